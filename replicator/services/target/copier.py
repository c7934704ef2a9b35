"""Brings the bytes of segments to a target's deep storage, and proves them on the way."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import partial
from typing import NamedTuple, TypeAlias

from replicator.errors import (
    ArchivedObjectError,
    CorruptionError,
    DeniedObjectError,
    MalformedRowError,
    MisplacedError,
    MissingObjectError,
    NewerReleaseError,
    RefusedError,
    ReplicatorError,
    TransientError,
    UnreadableObjectError,
    worst_alone,
)
from replicator.model.checkpoint import (
    MALFORMED_ROW,
    NEWER_RELEASE,
    OBJECT_ARCHIVED,
    OBJECT_CHANGED,
    OBJECT_DENIED,
    OBJECT_MISSING,
    OBJECT_TRUNCATED,
    OBJECT_UNREADABLE,
    PLACE_REFUSED,
    Gap,
)
from replicator.model.clocks import CLOCK_SKEW_MAX
from replicator.model.cost import AHEAD_MAX_BYTES, SERVER_SIDE_MIN_BYTES
from replicator.model.event import Entry, Offset, RowChanged
from replicator.model.ledger import Offsets
from replicator.model.load_spec import Layout, Location
from replicator.model.observation import ObjectCopied, Progress
from replicator.model.row import Row, RowKey, Segment, datasource_of, key_of
from replicator.model.row_mapping import RowMapping, check_segment, locate
from replicator.ports import (
    CopySource,
    DeepStorage,
    DeepStorageReader,
    Piece,
    Receipt,
    StoredObject,
)
from replicator.services.running.retry import Retry
from replicator.services.target.rates import RateBook
from replicator.services.target.target import Target
from replicator.services.target.unzipping import Unpacking, unpacked


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncopied:
    """An event whose row the target cannot have, and why."""

    offset: Offset
    key: RowKey
    datasource: str
    reason: str
    """One of `GAP_REASONS`."""
    detail: str
    misplaced: bool = False
    """Whether its load spec leads to no configured storage, as does each of those with it."""


_UNREADABLE: Mapping[type[UnreadableObjectError], str] = {
    ArchivedObjectError: OBJECT_ARCHIVED,
    DeniedObjectError: OBJECT_DENIED,
}
_Failure: TypeAlias = tuple[str, str]
"""Reason and detail."""


class Trust(Enum):
    """Whether bytes that the target has are taken as they are, or compared with the source's.

    The place may have been written again since, with another segment under the same id.
    """

    NEVER = "never"
    """While following: what is asked for is what the source has now."""
    WITHOUT_SOURCE = "without_source"
    """Compare while the source is there; a restore must also work when it is gone."""
    ALWAYS = "always"
    """For what was applied here before: the source may have gone on since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """Another target that bytes come from.

    They must be what its receipts say, so that a backup that has rotted is not spread.
    """

    layout: Layout
    storage: DeepStorage
    gaps: Sequence[Gap] = ()
    """What it could not get; where one says that other bytes are in a row's place, they are not
    taken for the row's."""


UNPACKED_TIMES_MAX, UNPACKED_MORE_BYTES = 2, 64 << 20
"""What a zip may unpack to: Druid's own `size` is that of the files, told by its writer."""
BytesFrom: TypeAlias = DeepStorageReader | Backup
"""The source's deep storage, or another target."""


class _Copy(NamedTuple):
    source_location: Location
    """Where the bytes come from."""
    target_location: Location
    size_bytes: int
    doubted: bool
    """Whether the bytes at the target's place may be those of what was there before."""
    born: datetime | None
    """When the youngest of its rows was made that has bytes of its own; None: it does not count."""

    def doubt(self, receipt: Receipt) -> str | None:
        """Return why what is stored may not be the rows' where the source cannot be compared."""
        if self.doubted:
            return f"{self.source_location} had other bytes than were copied; now none"
        stored_at = receipt.stored_at
        if self.born is None or stored_at is None or stored_at >= self.born - CLOCK_SKEW_MAX:
            return None
        # The id was given out again, and with it the place.
        return f"{self.source_location} cannot be read, and the copy of it is older than the row"

    @property
    def unpacked_max(self) -> int | None:
        """How much its zip may unpack to; None: its rows do not say how large it is."""
        return (
            UNPACKED_TIMES_MAX * self.size_bytes + UNPACKED_MORE_BYTES if self.size_bytes else None
        )

    @property
    def unpacks(self) -> bool:
        """Whether a segment that was packed for its store becomes a folder again."""
        return self.target_location.endswith("/") and not self.source_location.endswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class _WatchedSource(CopySource):
    """A copy source that knows whether its bytes went through this process."""

    reads: list[StoredObject] = field(default_factory=list)

    def read(
        self, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        self.reads.append(stored)
        return self.reader.read(self.location, stored, start=start, end=end)

    @property
    def was_read(self) -> bool:
        """Whether anything was; a storage that copies by itself reads nothing here."""
        return bool(self.reads)


@dataclass(slots=True)
class _WantedBytes:
    rows: list[tuple[Entry, Segment]] = field(default_factory=list)
    size_bytes: int = 0


class Copier:
    """Copies what events name, from the source or from another target (`backup`), and proves it.

    Args:
        target: Gets the bytes.
        bytes_from: Has them.
        mapping: Says where the bytes of a row are, and where the target has them.
        retry: How often a copy is tried, and how many at once.
        rates: Keeps how fast it was; None: nobody asks.
    """

    def __init__(
        self,
        target: Target,
        *,
        bytes_from: BytesFrom,
        mapping: RowMapping,
        retry: Retry,
        rates: RateBook | None = None,
    ) -> None:
        self._history, self._observer = target.history, target.observer
        self._target_storage = target.storage
        self._backup = bytes_from if isinstance(bytes_from, Backup) else None
        self._source_storage = bytes_from.storage if isinstance(bytes_from, Backup) else bytes_from
        self._mapping, self._retry, self._rates = mapping, retry, rates
        self._changed = {
            gap.opened: gap
            for gap in (self._backup.gaps if self._backup else ())
            if gap.reason == OBJECT_CHANGED and gap.closed != gap.opened
        }
        self._copied_bytes = self._copied_objects = self._locations = 0
        self._source_is_away = self._probed = self._proved = False
        self._proving = asyncio.Lock()

    async def copy(
        self, picks: Offsets, *, trust: Trust, doubted: Collection[RowKey] = ()
    ) -> tuple[Uncopied, ...]:
        """Bring the bytes of all picked rows to the target; return the rows it cannot have.

        `trust` says what to make of bytes that the target has whole already. Those of `doubted`
        rows were others than the source's once: they count only when the source still says so.

        Raises:
            TransientError: a storage was away for longer than the retry policy lasts.
            CorruptionError: bytes arrived that are not what the source has.
        """
        self._source_is_away = self._probed = False
        self._locations = 0
        uncopied: list[Uncopied] = []
        began, done = asyncio.get_running_loop().time(), 0
        self._copied_bytes = self._copied_objects = 0
        async for entries in self._history.pick(picks):
            uncopied += await self._copy_entries(entries, trust=trust, doubted=doubted)
            done += len(entries)
            self._observer(Progress(what="copy segments", done=done, total=len(picks), unit="rows"))
        if self._rates is not None:
            took_s = asyncio.get_running_loop().time() - began
            await self._rates.copied(self._copied_bytes, self._copied_objects, took_s)
        if self._locations:
            uncopied = [replace(row, misplaced=False) for row in uncopied]
        return tuple(sorted(uncopied, key=lambda row: row.offset))

    async def _copy_entries(
        self, entries: Sequence[Entry], *, trust: Trust, doubted: Collection[RowKey]
    ) -> list[Uncopied]:
        wanted: dict[Location, _WantedBytes] = {}
        uncopied = [*self._placed(entries, wanted)]
        self._locations += len(wanted)
        copies = {self._aim(location, found, doubted): found for location, found in wanted.items()}
        with worst_alone():
            async with asyncio.TaskGroup() as group:
                tasks = {group.create_task(self._copy(copy, trust=trust)): copy for copy in copies}
        for task, copy in tasks.items():
            if (failure := task.result()) is not None:
                uncopied += [_uncopied(entry, row, *failure) for entry, row in copies[copy].rows]
        return uncopied

    def _placed(
        self, entries: Sequence[Entry], wanted: dict[Location, _WantedBytes]
    ) -> Iterator[Uncopied]:
        """Collect what is wanted at which place; yield the rows that have no bytes to want."""
        for entry in entries:
            if not isinstance(entry.event, RowChanged):
                continue
            if (gap := self._changed.get(entry.offset)) is not None:
                yield _uncopied(entry, entry.event.row, gap.reason, gap.detail)
                continue
            try:
                self._want(entry, entry.event.row, wanted)
            except MalformedRowError as exc:
                is_newer = isinstance(exc, NewerReleaseError)
                reason = NEWER_RELEASE if is_newer else MALFORMED_ROW
                row = _uncopied(entry, entry.event.row, reason, str(exc))
                yield replace(row, misplaced=isinstance(exc, MisplacedError))

    def _want(self, entry: Entry, row: Row, wanted: dict[Location, _WantedBytes]) -> None:
        if not isinstance(row, Segment):
            self._mapping.mapped(row)
            return
        size_bytes = check_segment(row)
        if (location := locate(row, self._mapping.source)) is not None:
            self._mapping.placed(row, location)  # refused here, while the row is at hand
            found = wanted.setdefault(location, _WantedBytes())
            found.rows.append((entry, row))
            found.size_bytes = max(found.size_bytes, size_bytes)

    def _aim(self, location: Location, found: _WantedBytes, doubted: Collection[RowKey]) -> _Copy:
        source_location = location if self._backup is None else self._backup.layout.place(location)
        return _Copy(
            source_location,
            self._mapping.target.place(location),
            found.size_bytes,
            doubted=any(key_of(row) in doubted for _, row in found.rows),
            born=max(filter(None, [_born(row) for _, row in found.rows]), default=None),
        )

    async def _copy(self, copy: _Copy, *, trust: Trust) -> _Failure | None:
        """Copy one location; return reason and detail when the target cannot have it."""
        async with self._retry.slots:
            if trust is Trust.WITHOUT_SOURCE:
                return await self._copy_perhaps_without_source(copy)
            attempt = partial(self._copy_once, copy, trust=trust)
            return await self._retry.call(f"copy {copy.source_location}", attempt)

    async def _copy_perhaps_without_source(self, copy: _Copy) -> _Failure | None:
        """Give the source as many chances as ever, but once it is away do not wait again."""
        for delay_s in self._retry.delays_s():
            if self._source_is_away:
                break
            try:
                return await self._copy_once(copy, trust=Trust.NEVER)
            except TransientError:
                await asyncio.sleep(delay_s)
        self._source_is_away = True
        return await self._copy_once(copy, trust=Trust.WITHOUT_SOURCE)

    async def _copy_once(self, copy: _Copy, *, trust: Trust) -> _Failure | None:
        try:
            return await self._copy_unless_there(copy, trust=trust)
        except MissingObjectError as exc:
            return OBJECT_MISSING, str(exc)
        except UnreadableObjectError as exc:
            return _UNREADABLE.get(type(exc), OBJECT_UNREADABLE), _with_hint(exc)
        except RefusedError as exc:
            # One row must not stop the others; but a target that takes nothing must stop them all.
            await self._require_storage_works()
            return PLACE_REFUSED, _with_hint(exc)

    async def _require_storage_works(self) -> None:
        if not self._probed:
            await self._target_storage.probe()
            self._probed = True

    async def _require_proved(self) -> None:
        """Try the storage before the first bytes are written, once: it must never overwrite."""
        async with self._proving:
            if not self._proved:
                await self._target_storage.probe()
                self._proved = self._probed = True

    async def _copy_unless_there(self, copy: _Copy, *, trust: Trust) -> _Failure | None:
        if (receipt := await self._target_storage.receipt(copy.target_location)) is None:
            return await self._copy_new(copy)
        try:
            if trust is not Trust.ALWAYS and not await self._is_unchanged(copy, receipt):
                return (
                    OBJECT_CHANGED,
                    f"{copy.source_location} has other bytes now than were copied before",
                )
        except (MissingObjectError, UnreadableObjectError):
            if (doubt := copy.doubt(receipt)) is not None:
                return OBJECT_CHANGED, doubt
        except TransientError:
            if trust is Trust.NEVER:
                raise
            if (doubt := copy.doubt(receipt)) is not None:
                return OBJECT_CHANGED, doubt
        self._observer(
            ObjectCopied(
                location=copy.target_location,
                size_bytes=_size_bytes(receipt),
                reused=True,
                streamed=False,
            )
        )
        return None

    async def _copy_new(self, copy: _Copy) -> _Failure | None:
        if (
            self._source_storage is self._target_storage
            and copy.source_location == copy.target_location
        ):
            return OBJECT_MISSING, f"{copy.target_location} is not there any more, or not whole"
        await self._require_proved()
        storage, location = self._reading(copy)
        ahead = copy.size_bytes <= ahead_bytes_max(self._target_storage, storage, location)
        objects = tuple(await storage.objects(location, ahead=ahead))
        copy_source = _WatchedSource(reader=storage, location=location, objects=objects)
        least_bytes = copy.size_bytes if location.endswith("/") else min(copy.size_bytes, 1)
        if copy_source.size_bytes < least_bytes:
            # an unpacked segment is exactly as large as its payload says (seen with Druid 33.0.0),
            # and a packed one is not empty
            return OBJECT_TRUNCATED, (
                f"{copy.source_location} holds {copy_source.size_bytes} bytes, its payload says"
                f" {copy.size_bytes}"
            )
        stored = await self._target_storage.put(copy.target_location, copy_source)
        await self._compare_receipts(copy, stored)
        self._copied_bytes += _size_bytes(stored)
        self._copied_objects += 1
        self._observer(
            ObjectCopied(
                location=copy.target_location,
                size_bytes=_size_bytes(stored),
                reused=False,
                streamed=copy_source.was_read,
            )
        )
        return None

    def _reading(self, copy: _Copy) -> tuple[DeepStorageReader, Location]:
        """Return how the bytes of a copy are read, and by which place."""
        if copy.unpacks:
            return Unpacking(self._source_storage, bytes_max=copy.unpacked_max), unpacked(
                copy.source_location
            )
        return self._source_storage, copy.source_location

    async def _compare_receipts(self, copy: _Copy, stored: Receipt) -> None:
        if self._backup is None:
            return
        receipt = await self._backup.storage.receipt(copy.source_location)
        same = receipt is not None and (
            receipt.packed == stored.objects
            if copy.unpacks
            else receipt.objects == stored.source_objects
        )
        if not same:
            raise CorruptionError(
                f"the bytes of {copy.source_location} are not those of the backup's receipt"
            )

    async def _is_unchanged(self, copy: _Copy, receipt: Receipt) -> bool:
        """Whether the source's objects are still those that were copied.

        The same names, sizes and tags are enough; with other tags the bytes decide.
        """
        storage, location = self._reading(copy)
        objects = tuple(await storage.objects(location))
        if receipt.copied_from == objects:
            return True
        return await storage.check(location) == receipt.source_objects


def ahead_bytes_max(target: DeepStorage, reader: DeepStorageReader, location: Location) -> int:
    """Return up to which size a segment's bytes are asked for before all is known of them."""
    return SERVER_SIDE_MIN_BYTES if target.copies_from(reader, location) else AHEAD_MAX_BYTES


def _born(segment: Segment) -> datetime | None:
    """Return when a row was made that does not share the bytes of an older one."""
    if segment.upgraded_from_segment_id is not None:
        return None
    try:
        return datetime.fromisoformat(segment.created_date)
    except ValueError:
        return None


def _uncopied(entry: Entry, row: Row, reason: str, detail: str) -> Uncopied:
    return Uncopied(
        offset=entry.offset,
        key=key_of(row),
        datasource=datasource_of(row) or "",
        reason=reason,
        detail=detail,
    )


def _with_hint(exc: ReplicatorError) -> str:
    return f"{exc}; {exc.hint}" if exc.hint else str(exc)


def _size_bytes(receipt: Receipt) -> int:
    return sum(stored.size_bytes for stored in receipt.objects)
