"""Repairs what `verify` found: first bytes, from a source that is checked before, then rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

import numpy as np

from replicator.errors import (
    CorruptionError,
    GapError,
    MissingObjectError,
    NotFoundError,
    RefusedError,
    RewrittenObjectError,
    worst_alone,
)
from replicator.model.checkpoint import Checkpoint, TargetState
from replicator.model.event import Epoch
from replicator.model.extent import Extent
from replicator.model.load_spec import Location, is_lz4
from replicator.model.observation import ObjectCopied, Progress
from replicator.model.plans.expectation import refuse_more_removals
from replicator.model.plans.plan import Plan
from replicator.model.store.proof import Level
from replicator.ports import Checked, CopySource, DeepStorageReader, Receipt, SegmentReplacer
from replicator.services.running.retry import Retry
from replicator.services.store.archivist import Mended
from replicator.services.store.restore_lease import RestoreLeases
from replicator.services.target.copier import Backup, Copier, Uncopied
from replicator.services.target.executor import Executor
from replicator.services.target.lz4_container import Lz4Container
from replicator.services.target.reconciler import (
    Reconciliation,
    refuse_promoted,
    require_compared,
)
from replicator.services.target.recovery import recover
from replicator.services.target.target import Target
from replicator.services.target.unfit_rows import UnfitRowsError
from replicator.services.target.unzipping import Unpacking, unpacked
from replicator.services.verification.verifier import (
    Damaged,
    Verification,
    Verifier,
)
from replicator.task_group import TaskGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmended:
    """A location that could not be repaired, and why."""

    damaged: Damaged
    reason: str


@dataclass(slots=True, kw_only=True)
class Repair:
    """Result of a repair."""

    copied: int = 0
    """Number of locations that were stored again."""
    copied_bytes: int = 0
    unproved: int = 0
    """Number of copied locations that no receipt proved: the source's present bytes were taken."""
    receipts_written: int = 0
    """Number of locations with right bytes that lacked a receipt."""
    unmended: list[Unmended] = field(default_factory=list)
    rows: int = 0
    """Number of rows that were written or deleted."""
    history: Mended | None = None
    """What became of the target's own history; None: nothing was wrong with it."""
    uncopied: tuple[Uncopied, ...] = ()
    """Rows that still differ because the target cannot have their bytes."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to repair."""
        history_is_whole = self.history is None or not self.history.left
        return history_is_whole and not self.unmended and not self.uncopied

    @property
    def did_something(self) -> bool:
        """Whether anything was repaired."""
        mended_history = self.history is not None and self.history.did_something
        return mended_history or bool(self.copied or self.receipts_written or self.rows)


@dataclass(frozen=True, slots=True)
class RepairSource:
    """Source of right bytes: the source's storage, or another target with receipts of its own."""

    reader: DeepStorageReader
    backup: Backup | None = None

    def location(self, damaged: Damaged) -> Location:
        """Return the location of the damaged bytes in this storage."""
        if self.backup is None:
            return damaged.source_location
        return self.backup.layout.own_location(damaged.source_location)

    def reading(self, damaged: Damaged) -> tuple[DeepStorageReader, Location]:
        """Return the reader and the location to read: a packed folder is read out of its zip."""
        location = self.location(damaged)
        if _repacks(damaged, location):
            return Lz4Container(self.reader), unpacked(location)
        if _unpacks(damaged, location):
            return Unpacking(self.reader), unpacked(location)
        return self.reader, location

    async def checked(self, damaged: Damaged) -> tuple[Checked, ...]:
        """Read the bytes and return their checksums.

        Raises:
            MissingObjectError: the bytes are missing or incomplete.
            CorruptionError: the other target's own receipt shows that they are altered.
        """
        reader, location = self.reading(damaged)
        found = await reader.check(location)
        if self.backup is not None:
            location = self.location(damaged)
            receipt = await self.backup.storage.receipt(location)
            if receipt is None:
                raise MissingObjectError(f"{location} is not whole at the other target either")
            if not await self._is_of(damaged, receipt, found):
                raise CorruptionError(f"{location} is altered at the other target too")
        return found

    async def _is_of(self, damaged: Damaged, receipt: Receipt, found: tuple[Checked, ...]) -> bool:
        """Return whether what was read is what the other target's receipt says."""
        location = self.location(damaged)
        if _repacks(damaged, location):  # no receipt tells what is inside
            return receipt.objects == await self.reader.check(location)
        return found == (receipt.packed if _unpacks(damaged, location) else receipt.objects)


def _unpacks(damaged: Damaged, location: Location) -> bool:
    return damaged.location.endswith("/") and not location.endswith("/")


def _repacks(damaged: Damaged, location: Location) -> bool:
    return is_lz4(location) and not is_lz4(damaged.location)


class Repairer:
    """Repairs one location after the other; the source is read and compared before any change.

    Args:
        target: Target to repair.
        replacer: Replaces bytes in the target's storage.
        source: Storage that holds the right bytes.
        verifier: Finds what is damaged.
        copier: Copies the bytes of missing rows.
        executor: Writes these rows.
        leases: Keep expiries away during the repair.
        retry: Number of attempts for one location, and of locations at once.
    """

    def __init__(
        self,
        target: Target,
        *,
        replacer: SegmentReplacer,
        source: RepairSource,
        verifier: Verifier,
        copier: Copier,
        executor: Executor,
        leases: RestoreLeases,
        retry: Retry,
    ) -> None:
        self._target, self._observer, self._storage = target, target.observer, target.storage
        self._replacer, self._source, self._verifier = replacer, source, verifier
        self._copier, self._executor, self._leases = copier, executor, leases
        self._retry = retry

    async def plan(self, level: Level, *, extent: Extent) -> Verification:
        """Return what is damaged; nothing is changed.

        Raises:
            NotFoundError: nothing was applied to the target yet.
            RefusedError: the target was promoted.
        """
        refuse_promoted(await self._target.checkpoint(), self._target.name)
        return await self._verifier.verify(level, extent=extent)

    async def execute(self, plan: Verification, *, extent: Extent) -> Repair:
        """Repair what the plan names; what is right by now is left alone.

        Rows come last, and only if some differ: then a running applier pauses.

        Raises:
            TransientError: a storage was unreachable for longer than the retry policy allows.
            FencedError: another process took over while rows were compared; none was changed.
            RefusedError: rows that would be removed are not in the plan; none was changed.
        """
        repair, done = Repair(), 0
        ordered = sorted(plan.damaged, key=lambda one: (one.datasource, one.start, one.end))
        for _, group in groupby(ordered, key=lambda one: (one.datasource, one.start, one.end)):
            some = list(group)
            await self._mend_all(some, repair)
            done += len(some)
            self._observer(
                Progress(what="repair objects", done=done, total=len(ordered), unit="objects")
            )
        # Rows come last: a row must not become visible before the bytes that it names are right.
        if plan.rows_differ:
            await self._rows(repair, extent.datasource, plan.row_plan)
        return repair

    async def _mend_all(self, damaged: Sequence[Damaged], repair: Repair) -> None:
        with worst_alone():
            async with TaskGroup() as group:
                for one in damaged:
                    group.create_task(self._mend(one, repair))

    async def _mend(self, damaged: Damaged, repair: Repair) -> None:
        async with self._retry.slots:
            attempt = partial(self._mend_or_say, damaged, repair)
            try:
                await self._retry.call(f"repair {damaged.location}", attempt)
            except RewrittenObjectError as exc:
                repair.unmended.append(Unmended(damaged=damaged, reason=str(exc)))

    async def _mend_or_say(self, damaged: Damaged, repair: Repair) -> None:
        try:
            await self._mend_once(damaged, repair)
        except (GapError, CorruptionError, RefusedError) as exc:
            repair.unmended.append(Unmended(damaged=damaged, reason=str(exc)))

    async def _mend_once(self, damaged: Damaged, repair: Repair) -> None:
        """Read the source once and compare it before changing anything at the location."""
        truth, here = await self._truth(damaged.location), await self._here(damaged.location)
        # The bytes may have been mended since the plan was made, by the applier or by another
        # repair.
        if truth is not None and here == truth.objects:
            if not damaged.is_no_segment:
                await self._write_receipt(damaged.location, truth, repair)
                return
            truth = None  # it was copied as it was: its receipt proves no segment
        reader, location = self._source.reading(damaged)
        objects = tuple(await reader.objects(location))
        found = await self._source.checked(damaged)
        if damaged.is_no_segment and truth is None:
            await self._require_segment(reader, location, is_same=here == found)
        if truth is None and here == found:
            receipt = Receipt(objects=found, copied_from=objects)
            await self._write_receipt(damaged.location, receipt, repair)
            return
        # The receipt is the only record of what belongs here: other bytes, whoever has them, would
        # replace damage that is known by one that is not.
        if truth is not None and found not in {truth.objects, truth.source_objects}:
            raise CorruptionError(
                f"{location} has other bytes now than the receipt of {damaged.location}"
                " records; nothing was changed"
            )
        copy_source = CopySource(reader=reader, location=location, objects=objects)
        stored = await self._replacer.replace(damaged.location, copy_source, truth)
        size_bytes = sum(one.size_bytes for one in stored.objects)
        repair.copied += 1
        repair.copied_bytes += size_bytes
        repair.unproved += truth is None and self._source.backup is None
        self._observer(
            ObjectCopied(
                location=damaged.location, size_bytes=size_bytes, reused=False, streamed=True
            )
        )

    async def _require_segment(
        self, reader: DeepStorageReader, location: Location, *, is_same: bool
    ) -> None:
        """Refuse to put other bytes in the place of a broken zip that are no better.

        Raises:
            CorruptionError: they are the same, or are no zip that can be unpacked.
        """
        if is_same:
            raise CorruptionError(
                f"{location} has the same bytes, which are no segment: only another ingestion, or"
                " another copy, has them"
            )
        if location.endswith(".zip"):
            await Unpacking(reader).check(unpacked(location))

    async def _write_receipt(self, location: Location, receipt: Receipt, repair: Repair) -> None:
        """Write a missing receipt; one that was written meanwhile is left alone."""
        try:
            missing = await self._storage.receipt(location) is None
        except CorruptionError:
            missing = True
        if missing:
            await self._replacer.write_receipt(location, receipt)
            repair.receipts_written += 1

    async def _truth(self, location: Location) -> Receipt | None:
        try:
            return await self._replacer.written_receipt(location)
        except CorruptionError:
            return None  # an unreadable receipt counts as a missing one

    async def _here(self, location: Location) -> tuple[Checked, ...]:
        try:
            return await self._storage.check(location)
        except GapError:
            return ()

    async def _rows(self, repair: Repair, datasource: str | None, agreed: Plan | None) -> None:
        """Make the rows those of the checkpoint, by the plan of a restore to that cut."""
        checkpoint = _required(await self._target.checkpoint(), self._target.name)
        async with self._leases.taken(checkpoint.log_id, checkpoint.offset, is_here=True):
            await self._put_right(repair, datasource, agreed)

    async def _put_right(self, repair: Repair, datasource: str | None, agreed: Plan | None) -> None:
        state = await self._target.state()
        checkpoint, found = await self._compared(state, datasource)
        if found.plan.is_empty:
            return  # the rows are right by now: no process is fenced
        before, state = state, await self._target.acquire()
        if state.checkpoint != before.checkpoint or state.epoch != before.epoch + 1:
            checkpoint, found = await self._compared(state, datasource)
        if agreed is not None:
            refuse_more_removals(agreed, found.plan)
        repair.uncopied = await recover(
            self._copier, found.plan.picks, gaps=found.known_gaps, reached=checkpoint.offset
        )
        plan = replace(found.plan, checkpoint=checkpoint)
        try:
            await self._write(plan, repair, state.epoch)
        except UnfitRowsError as exc:
            repair.uncopied = (*repair.uncopied, *exc.rows)
            await self._write(plan, repair, state.epoch)

    async def _write(self, plan: Plan, repair: Repair, epoch: Epoch) -> None:
        """Write the rows of a plan that the target can have."""
        picks = np.setdiff1d(plan.picks, [row.offset for row in repair.uncopied])
        plan = replace(plan, picks=picks)
        if not plan.is_empty:
            await self._executor.commit(plan, epoch=epoch)
            repair.rows = len(picks) + sum(len(keys) for keys in plan.surplus.values())

    async def _compared(
        self, state: TargetState, datasource: str | None
    ) -> tuple[Checkpoint, Reconciliation]:
        """Hold the target's rows against the cut that it is at."""
        checkpoint = _required(state.checkpoint, self._target.name)
        refuse_promoted(checkpoint, self._target.name)
        found = await self._verifier.compare(checkpoint, datasource)
        await require_compared(checkpoint, found, self._target)
        return checkpoint, found


def _required(checkpoint: Checkpoint | None, target: str) -> Checkpoint:
    if checkpoint is None:
        raise NotFoundError(f"target {target!r} has no checkpoint any more")
    return checkpoint
