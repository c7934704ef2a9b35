"""Estimates what a plan costs before it is carried out: bytes, requests, time, missing objects."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from replicator.errors import (
    MalformedRowError,
    MissingObjectError,
    UnreadableObjectError,
    worst_alone,
)
from replicator.model.document import natural
from replicator.model.event import Entry, RowChanged
from replicator.model.inventory.ledger import Offsets
from replicator.model.load_spec import Location
from replicator.model.log.row_mapping import RowMapping, check_segment, locate
from replicator.model.observation import Progress
from replicator.model.plans.cost import CopyRoute, Requests
from replicator.model.row import Segment, datasource_of
from replicator.model.store.rates import Rates
from replicator.ports import StoredObject
from replicator.services.target.copier import Backup, BytesFrom
from replicator.services.target.rates import RateBook
from replicator.services.target.target import Target
from replicator.task_group import TaskGroup

MISSING_SHOWN_MAX = 1_000
PROBE_BYTES_MAX = 32 << 20
PROBE_OBJECTS_MAX = 16
PROBED_MIN_S = 0.001


@dataclass(slots=True, kw_only=True)
class Share:
    """The share of one datasource in a plan."""

    segments: int = 0
    objects: int = 0
    """Number of locations whose bytes the target lacks, as far as that is known."""
    size_bytes: int = 0
    """Number of bytes at these locations; the unpacked size, an upper bound, without a look."""


@dataclass(slots=True, kw_only=True)
class CostEstimate:
    """Cost of carrying out a plan."""

    looked: bool
    """Whether the bytes were looked up, on the target and where they come from."""
    rows: int = 0
    there: int = 0
    """Number of locations that the target already has; 0 without a look."""
    objects: int = 0
    size_bytes: int = 0
    server_side_objects: int = 0
    streamed_bytes: int = 0
    requests: Requests = field(default_factory=Requests)
    by_datasource: dict[str, Share] = field(default_factory=dict)
    missing: list[tuple[str, str]] = field(default_factory=list)
    """Segments without bytes, each with the reason; at most `MISSING_SHOWN_MAX` of them."""
    missing_count: int = 0
    rates: Rates = field(default_factory=Rates)
    probed: bool = False
    """Whether the throughput comes from a short probe, because no earlier copy was measured."""

    @property
    def eta_s(self) -> float | None:
        """Return the seconds the plan takes; None if a part of it was never measured."""
        return self.rates.seconds(size_bytes=self.size_bytes, rows=self.rows)

    def misses(self, row: str, why: str) -> None:
        """Record a segment whose bytes are missing."""
        self.missing_count += 1
        if len(self.missing) < MISSING_SHOWN_MAX:
            self.missing.append((row, why))


@dataclass(frozen=True, slots=True)
class _PricedCopy:
    source_location: Location
    target: Location
    row: Segment
    size_bytes: int


class Estimator:
    """Looks up each location once, a bounded number at a time; copies nothing."""

    def __init__(
        self,
        target: Target,
        *,
        bytes_from: BytesFrom,
        mapping: RowMapping,
        route: CopyRoute,
        rates: RateBook,
        looks_in_flight_max: int,
    ) -> None:
        self._history, self._observer = target.history, target.observer
        self._storage, self._mapping, self._route, self._rates = (
            target.storage,
            mapping,
            route,
            rates,
        )
        self._backup = bytes_from if isinstance(bytes_from, Backup) else None
        self._reader = bytes_from.storage if isinstance(bytes_from, Backup) else bytes_from
        self._slots = asyncio.Semaphore(looks_in_flight_max)
        self._samples: list[tuple[Location, StoredObject]] = []

    async def estimate(self, picks: Offsets, *, removals: int, look: bool) -> CostEstimate:
        """Return the cost of the rows at some offsets.

        Raises:
            TransientError: a storage is unreachable; without `look` only the probe reads a storage.
        """
        found, seen, done = CostEstimate(looked=look, rows=len(picks) + removals), set[int](), 0
        self._samples = []
        async for entries in self._history.pick(picks):
            await self._count_all(self._wanted(entries, seen, found), found)
            done += len(entries)
            what = "look for bytes" if look else "size the plan"
            self._observer(Progress(what=what, done=done, total=len(picks), unit="rows"))
        found.rates = await self._rates.rates()
        if found.rates.bytes_per_s is None and self._samples:
            found.rates, found.probed = await self._probed(found.rates), True
        return found

    def _wanted(
        self, entries: Sequence[Entry], seen: set[int], found: CostEstimate
    ) -> list[_PricedCopy]:
        """Return the copies whose locations no earlier entry has named."""
        copies: list[_PricedCopy] = []
        for entry in entries:
            if not isinstance(entry.event, RowChanged):
                continue
            row = entry.event.row
            if not isinstance(row, Segment):
                continue
            share = found.by_datasource.setdefault(datasource_of(row) or "", Share())
            share.segments += 1
            try:
                if (copy := self._priced(row)) is None or hash(copy.target) in seen:
                    continue
            except MalformedRowError as exc:
                found.misses(row.id, str(exc))
                continue
            # A hash takes less memory than a location, of which a plan may have millions; two that
            # are alike make the estimate one copy too low.
            seen.add(hash(copy.target))
            copies.append(copy)
        return copies

    def _priced(self, row: Segment) -> _PricedCopy | None:
        location = locate(row, self._mapping.source)
        if location is None:
            return None
        source_location = (
            location if self._backup is None else self._backup.layout.own_location(location)
        )
        target = self._mapping.placed(row, location)
        return _PricedCopy(source_location, target, row, check_segment(row))

    async def _count_all(self, copies: Sequence[_PricedCopy], found: CostEstimate) -> None:
        if not found.looked:
            for copy in copies:
                self._count(copy, copy.size_bytes, found)
            return
        with worst_alone():
            async with TaskGroup() as group:
                for copy in copies:
                    group.create_task(self._look(copy, found))

    async def _look(self, copy: _PricedCopy, found: CostEstimate) -> None:
        async with self._slots:
            if await self._storage.receipt(copy.target) is not None:
                found.there += 1
                found.requests = found.requests.plus(self._route.look())
                return
            try:
                objects = await self._reader.objects(copy.source_location)
            except (MissingObjectError, UnreadableObjectError) as exc:
                found.misses(copy.row.id, str(exc))
                return
        self._count(copy, sum(stored.size_bytes for stored in objects), found)
        if len(self._samples) < PROBE_OBJECTS_MAX:
            self._samples.append((copy.source_location, objects[0]))

    def _count(self, copy: _PricedCopy, size_bytes: int, found: CostEstimate) -> None:
        share = found.by_datasource[copy.row.datasource]
        share.objects += 1
        share.size_bytes = natural(share.size_bytes + size_bytes)
        found.objects += 1
        found.size_bytes = natural(found.size_bytes + size_bytes)
        found.requests = found.requests.plus(self._route.copy(size_bytes))
        if self._route.is_server_side(size_bytes):
            found.server_side_objects += 1
        else:
            found.streamed_bytes = natural(found.streamed_bytes + size_bytes)

    async def _probed(self, rates: Rates) -> Rates:
        """Measure how fast a few objects can be read from their storage."""
        clock, read_bytes = asyncio.get_running_loop().time, 0
        began, objects = clock(), 0
        for location, stored in self._samples:
            # A plan must show its time in seconds, however slow the storage is.
            end = min(stored.size_bytes, PROBE_BYTES_MAX - read_bytes)
            if end <= 0:
                break
            async for piece in self._reader.read(location, stored, end=end):
                read_bytes += len(piece)
            objects += 1
        took_s = max(clock() - began, PROBED_MIN_S)
        return replace(rates, copied_bytes=read_bytes, copied_objects=objects, copy_s=took_s)
