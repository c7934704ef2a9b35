"""Proves that a target matches its checkpoint: first rows, then objects, then bytes."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replicator.errors import (
    CorruptionError,
    LogCutShortError,
    MalformedRowError,
    MissingObjectError,
    NewerReleaseError,
    NotFoundError,
    TransientError,
    UnreadableObjectError,
)
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import ClosedCut, CutClosed, Entry, Epoch, RowChanged, RowRemoved
from replicator.model.extent import WHOLE, Extent
from replicator.model.inventory.ledger import Keys
from replicator.model.load_spec import Location
from replicator.model.log.row_mapping import RowMapping, check_segment, locate
from replicator.model.observation import Progress
from replicator.model.plans.plan import Plan
from replicator.model.row import Kind, RowKey, Segment, datasource_of, key_of
from replicator.model.store.proof import Level
from replicator.ports import Chunk, Receipt, fetched
from replicator.services.records.store_id import store_id_fault
from replicator.services.store.archived_log import ArchivedLog, about_fault
from replicator.services.store.store import Store
from replicator.services.target.reconciler import (
    Reconciler,
    Reconciliation,
    refuse_other_log,
    require_compared,
)
from replicator.services.target.target import Target
from replicator.services.target.unzipping import Unpacking, unpacked, unpacked_max
from replicator.services.target.zip_directory import fault_in_zip

COMPARISONS_MAX = 5
"""How often rows are compared again because the target has moved on meanwhile."""
FINDINGS_MAX = 1_000
DAMAGED_MAX = 100_000
"""Number of damaged locations that one run collects, some 500 bytes each; the next finds more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A location whose bytes are not those that were stored there, or that lack a receipt."""

    location: Location
    """Location in the target's storage."""
    source_location: Location
    """Location in the source's storage."""
    datasource: str
    start: str
    end: str
    """End of the interval of the first segment with this location, as Druid writes it."""
    reason: str
    is_no_segment: bool = False
    """Whether the bytes were copied as they are, and are a zip that no Druid can load."""


@dataclass(slots=True, kw_only=True)
class Verification:
    """What was examined, and what is wrong with it."""

    checkpoint: Checkpoint
    level: Level
    rows: int = 0
    objects: int = 0
    size_bytes: int = 0
    read_bytes: int = 0
    left: int = 0
    """Number of objects that were not read because the limit of bytes was reached."""
    gaps: tuple[Gap, ...] = ()
    findings: list[str] = field(default_factory=list)
    """Messages for what is wrong; at most `FINDINGS_MAX`, the count below is complete."""
    findings_count: int = 0
    surplus: list[RowKey] = field(default_factory=list)
    """Rows that the target has beyond the cut, at most `FINDINGS_MAX`; a repair deletes them."""
    damaged: list[Damaged] = field(default_factory=list)
    """Damaged locations, each once; at most `DAMAGED_MAX`."""
    damaged_count: int = 0
    rows_differ: bool = False
    history_is_damaged: bool = False
    """Whether files of the target's own history are damaged or lost."""
    row_plan: Plan | None = None
    """What would make the rows those of the cut; None: they were not compared."""

    @property
    def is_good(self) -> bool:
        """Whether target and checkpoint agree, gaps apart."""
        return self.findings_count == 0

    def add(self, finding: str) -> None:
        """Record a finding."""
        self.findings_count += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def of_history(self, finding: str) -> None:
        """Record a finding about the store's own history."""
        self.history_is_damaged = True
        self.add(finding)

    def damage(self, looked: "_Looked", finding: str, *, is_no_segment: bool = False) -> None:
        """Record a finding about the bytes of a location."""
        self.add(finding)
        if self.damaged and self.damaged[-1].location == looked.location:
            return
        self.damaged_count += 1
        if len(self.damaged) < DAMAGED_MAX:
            row = looked.row
            self.damaged.append(
                Damaged(
                    location=looked.location,
                    source_location=looked.source_location,
                    datasource=row.datasource,
                    start=row.start,
                    end=row.end,
                    reason=finding,
                    is_no_segment=is_no_segment,
                )
            )


class _Looked(NamedTuple):
    """A location that is examined, and a row that needs it."""

    location: Location
    source_location: Location
    row: Segment


class Verifier:
    """Compares a target with the log at its checkpoint.

    Args:
        target: Target to prove; its history is what it is compared with.
        reconciler: Compares the target with a cut.
        mapping: Rule that finds the location of a row's bytes.
        has_rows: Whether the target is a cluster and not an archive.
        rng: Source of samples.
    """

    def __init__(
        self,
        target: Target,
        *,
        reconciler: Reconciler,
        mapping: RowMapping,
        has_rows: bool,
        rng: Random,
    ) -> None:
        self._target, self._history, self._observer = target, target.history, target.observer
        self._storage, self._reconciler, self._mapping = target.storage, reconciler, mapping
        self._has_rows, self._rng = has_rows, rng

    async def verify(self, level: Level, *, extent: Extent = WHOLE) -> Verification:
        """Return what a comparison at the checkpoint finds.

        Except for its datasource, `extent` limits the objects only.

        Raises:
            NotFoundError: nothing was applied to the target yet, or only another datasource; or
                neither the cut nor the target has a row of the datasource.
            CorruptionError: the log itself does not add up, or the target follows another log.
            TransientError: the target moved on during each comparison.
        """
        checkpoint, found = await self._compared(extent.datasource)
        if extent.datasource is not None and extent.datasource != checkpoint.datasource:
            await self._reconciler.require_known(found, cut_of(checkpoint), extent.datasource)
        verification = Verification(
            checkpoint=checkpoint, level=level, rows=len(found.wanted), gaps=found.known_gaps
        )
        await self._log(checkpoint, found, verification)
        if self._has_rows:
            verification.rows_differ = not found.plan.is_empty
            await self._rows(found, verification)
        if level.is_about_objects or not self._has_rows:  # an archive is nothing but its store
            await self._history_files(checkpoint.log_id, verification)
        if level.is_about_objects:
            await self._objects(found, verification, extent)
        return verification

    async def _compared(self, datasource: str | None) -> tuple[Checkpoint, Reconciliation]:
        """Return a checkpoint, and how the rows differ from it.

        Rows are read after the checkpoint. An applier that commits a cut in between makes rows of
        that cut look foreign, so such a comparison is made again.
        """
        for _ in range(COMPARISONS_MAX):
            checkpoint = await self._target.checkpoint()
            if checkpoint is None:
                raise NotFoundError(
                    f"target {self._target.name!r} has no checkpoint: nothing was applied to it yet"
                )
            refuse_other_log(checkpoint, await self._target.log_id(), self._target.name)
            found = await self.compare(checkpoint, datasource)
            # Equal rows at an unequal checkpoint are still proof: the target was at that cut when
            # it was compared.
            if found.plan.is_empty or await self._target.checkpoint() == checkpoint:
                return checkpoint, found
        raise TransientError(
            f"target {self._target.name!r} moved on during each of {COMPARISONS_MAX} comparisons",
            hint="run it again, or stop the applier meanwhile",
        )

    async def compare(self, checkpoint: Checkpoint, datasource: str | None) -> Reconciliation:
        """Return the difference between the target's rows and its checkpoint, gaps apart.

        Raises:
            NotFoundError: only another datasource is at that cut.
        """
        return await self._reconciler.reconcile(
            cut_of(checkpoint),
            paused=checkpoint.paused,
            datasource=scope_of(checkpoint, datasource),
            without_gaps=True,
        )

    async def _log(
        self, checkpoint: Checkpoint, found: Reconciliation, verification: Verification
    ) -> None:
        """Check that the history has the very cut that the target is at.

        A log that was put back to an older copy, and written on, adds up for itself.
        """
        try:
            await require_compared(checkpoint, found, self._target)
        except (CorruptionError, LogCutShortError) as exc:
            verification.add(f"{exc}; {exc.hint}")

    async def _history_files(self, log_id: str, verification: Verification) -> None:
        """Check the target's own history: the names of its files or, for checksums, all of them."""
        archive = ArchivedLog(
            Store(self._target.area), log_id
        )  # a proof believes nothing read before
        deep = verification.level is Level.CHECKSUM
        if (about := await about_fault(self._target.area, log_id)) is not None:
            verification.of_history(about)
        if (fault := await store_id_fault(self._target.area)) is not None:
            verification.of_history(fault)
        for fault in await (archive.damages() if deep else archive.lost()):
            verification.of_history(fault)
        end, reached = archive.listed_end, verification.checkpoint.offset
        if verification.checkpoint.datasource is not None:
            return  # the other datasources, and with them the history, are at another cut
        if end is None or end <= reached:
            verification.of_history(
                f"the target is at offset {reached}, and its store keeps history up to"
                f" {'nothing' if end is None else end}"
            )

    async def _rows(self, found: Reconciliation, verification: Verification) -> None:
        verification.row_plan = found.plan
        async for entries in self._history.pick(found.plan.picks):
            for entry in entries:
                verification.add(f"row {_name(entry)} is missing or differs")
        for kind, keys in found.plan.surplus.items():
            names = await self._names(kind, keys[: FINDINGS_MAX - len(verification.surplus)])
            verification.surplus += [RowKey(kind, name) for name in names]
            for name in names:
                verification.add(f"{kind.value} {name} is in the target and not in the cut")
            for _ in range(len(keys) - len(names)):
                verification.add(f"a row of {kind.value} is in the target and not in the cut")

    async def _names(self, kind: Kind, keys: Keys) -> list[str]:
        """Return the names of rows known by their hashes, except rows deleted meanwhile."""
        handles: list[NDArray[Any]] = []

        def visit(chunk: Chunk) -> None:
            if (here := np.isin(chunk.keys, keys)).any():
                handles.append(chunk.handles[here])

        async with self._target.metadata.snapshot() as snapshot:
            await snapshot.scan(kind, visit)
            if not handles:
                return []
            some = fetched(snapshot, kind, np.concatenate(handles))
            return sorted({key_of(row).key async for rows in some for row in rows})

    async def _objects(
        self, found: Reconciliation, verification: Verification, extent: Extent
    ) -> None:
        seen: set[int] = set()
        offsets = found.wanted.offsets.copy()
        offsets.sort()
        async for entries in self._history.pick(offsets):
            for entry in entries:
                looked = self._looked(entry)
                if (
                    looked is None
                    or hash(looked.location) in seen
                    or not extent.is_about(looked.row)
                ):
                    continue
                # Rows share bytes, as upgraded segments do: each location is read once, and eight
                # bytes of it are kept.
                seen.add(hash(looked.location))
                if extent.holds(looked.location, self._rng):
                    await self._object(looked, verification, extent)
            self._observer(
                Progress(
                    what="verify objects", done=verification.objects, total=None, unit="objects"
                )
            )

    async def _object(self, looked: _Looked, verification: Verification, extent: Extent) -> None:
        verification.objects += 1
        location = looked.location
        try:
            receipt = await self._storage.receipt(location)
        except CorruptionError as exc:
            verification.damage(looked, str(exc))
            return
        if receipt is None:
            verification.damage(looked, f"object {location} is missing or not whole")
            return
        verification.size_bytes += sum(stored.size_bytes for stored in receipt.objects)
        self._require_read(looked, receipt, verification)
        try:
            if extent.structure and location.endswith(".zip"):
                await self._structure(looked, verification)
            if verification.level is Level.CHECKSUM:
                await self._checksums(looked, receipt, verification, extent)
        except (MissingObjectError, UnreadableObjectError) as exc:
            verification.damage(looked, str(exc))

    def _require_read(self, looked: _Looked, receipt: Receipt, verification: Verification) -> None:
        """Add a finding if the target's Druid is too old for what is stored at a location."""
        druid, location = self._mapping.druid, looked.location
        try:
            druid.load_spec(self._mapping.target.load_spec(location))
            druid.files({stored.name for stored in receipt.source_objects})
        except NewerReleaseError as exc:
            verification.add(f"object {location} cannot be loaded: {exc}")

    async def _checksums(
        self, looked: _Looked, receipt: Receipt, verification: Verification, extent: Extent
    ) -> None:
        location = looked.location
        size_bytes = sum(stored.size_bytes for stored in receipt.objects)
        # The limit is compared before the read: the operator pays for each byte that leaves the
        # store.
        if extent.bytes_max is not None and verification.read_bytes + size_bytes > extent.bytes_max:
            verification.left += 1
            return
        verification.read_bytes += size_bytes
        read = await self._storage.check(location)
        for stored, now in zip(receipt.objects, read, strict=False):
            if stored != now:
                verification.damage(
                    looked, f"object {location}{now.name} has other bytes than were stored"
                )
        if len(receipt.objects) != len(read):
            verification.damage(
                looked,
                f"object {location} has {len(read)} files, {len(receipt.objects)} were stored",
            )

    async def _structure(self, looked: _Looked, verification: Verification) -> None:
        """Look into a zip: its directory by a short read or, for checksums, all that is in it."""
        location, druid = looked.location, self._mapping.druid
        for stored in await self._storage.objects(location):
            fault = await fault_in_zip(self._storage, location, stored, druid)
            if fault is None and verification.level is Level.CHECKSUM:
                fault = await self._fault_inside(looked)
            if fault is not None:
                found = f"object {location} is no segment: {fault}"
                verification.damage(looked, found, is_no_segment=True)

    async def _fault_inside(self, looked: _Looked) -> str | None:
        """Unpack all that is in a zip, and hold it against the checksums in its directory."""
        reader = Unpacking(self._storage, bytes_max=unpacked_max(check_segment(looked.row)))
        try:
            await reader.check(unpacked(looked.location))
        except CorruptionError as exc:
            return str(exc)
        return None

    def _looked(self, entry: Entry) -> _Looked | None:
        event = entry.event
        if not isinstance(event, RowChanged) or not isinstance(event.row, Segment):
            return None
        try:
            source_location = locate(event.row, self._mapping.source)
            if source_location is None:
                return None
            return _Looked(
                self._mapping.target.own_location(source_location), source_location, event.row
            )
        except MalformedRowError:
            return None


def scope_of(checkpoint: Checkpoint, datasource: str | None) -> str | None:
    """Return the datasource to compare at a checkpoint; None for all.

    Raises:
        NotFoundError: only another datasource than this one is at that cut.
    """
    if datasource is None or checkpoint.datasource in {None, datasource}:
        return datasource or checkpoint.datasource
    raise NotFoundError(
        f"only datasource {checkpoint.datasource!r} is at cut {checkpoint.cut} of this target:"
        f" nothing says what {datasource!r} should be",
        hint="`replicator apply TARGET --resume --once` brings all datasources to one cut",
    )


def cut_of(checkpoint: Checkpoint) -> ClosedCut:
    """Return the cut that a target is at."""
    closed = CutClosed(
        cut=checkpoint.cut,
        source_time=checkpoint.source_time,
        count=0,
        digest=checkpoint.digest,
        epoch=Epoch(0),
    )
    return ClosedCut(offset=checkpoint.offset, closed=closed)


def _name(entry: Entry) -> str:
    match entry.event:
        case RowChanged(row=row):
            return key_of(row).words(datasource_of(row) or "")
        case RowRemoved(key=key):
            return key.words()
        case CutClosed(cut=cut):
            return f"cut {cut}"
