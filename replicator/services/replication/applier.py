"""Follows the log and brings one target to each of its cuts in turn.

An applier keeps no position of its own: the checkpoint lies in the target beside the rows and is
written with them. It begins by taking a new epoch, which shuts out every applier before it, and
continues after that checkpoint. A target without a checkpoint, or one that resumes after a pause,
is *seeded*: brought to the newest cut in one step, whatever rows it holds.

For each cut the order is: bytes; history in the target's own store; a look whether an expiry
deletes any of it; rows, gaps and checkpoint in one transaction. Wherever a process dies, the target
is whole at its checkpoint, and the next process repeats work but loses none.

A row that the target's database cannot hold makes the last step fail; it becomes a gap, and the
two steps before are repeated without it.

Missing bytes are not a gap at once. A kill at the source removes them before a poll sees that
their rows are gone, so a later cut may explain them; the applier then takes that group of cuts in
one step. After `kill_wait` they become gaps, unless the source's other bytes are missing, too. Gaps
are retried at each start and at intervals: the fault of a mount or a permission passes, and then
its bytes are there.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    GapError,
    RefusedError,
    TransientError,
)
from replicator.model.checkpoint import (
    Checkpoint,
    Gap,
    TargetState,
    changed_rows,
    merged,
)
from replicator.model.event import ClosedCut, Epoch, Offset
from replicator.model.observation import (
    CutApplied,
    EpochAcquired,
    Followed,
    GapOpened,
)
from replicator.model.observed.faults import Waiting
from replicator.model.operations.words import counted, moment
from replicator.model.plans.plan import Plan
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import RowKey
from replicator.ports import Span
from replicator.services.history.cuts import CutReader, CutSpan
from replicator.services.records.applier_record import LOOK_S, ApplierRecord, PausedBy
from replicator.services.records.missing_wait import Awaited, MissingWait
from replicator.services.replication.cut_group import CutGroup, killed, missing
from replicator.services.replication.delay import Delay
from replicator.services.replication.pause_watch import PauseWatch, refuse_paused
from replicator.services.replication.readers import is_wrong, proves_cut_short, wrong
from replicator.services.replication.source_check import SourceCheck, refuse_many
from replicator.services.running.loop import LookInterval
from replicator.services.store.archivist import Archivist
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.target.copier import Copier, Trust, Uncopied
from replicator.services.target.executor import Executor
from replicator.services.target.gap_healer import GapHealer
from replicator.services.target.gap_retries import GapRetries
from replicator.services.target.reconciler import (
    Reconciler,
    Reconciliation,
    checkpoint_at,
    gap_of,
    refuse_foreign_rows,
    refuse_promoted,
    require_log_of,
    without,
)
from replicator.services.target.target import Target
from replicator.services.target.unfit_rows import UnfitRowsError, leaving_out


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How the applier follows the log, and what the operator allowed for this run."""

    interval: LookInterval
    """Time between two reads of a log without news, and before a failed step is repeated."""
    objects_missing_max: int
    """Number of missing objects in one cut that kill tasks can explain; more are refused."""
    kill_wait: timedelta
    """How long a later cut may still explain missing bytes as killed; then they become a gap."""
    gap_retry_interval: timedelta = timedelta(hours=1)
    """Time between two retries of the open gaps, whose bytes may have become available."""
    delay: timedelta = timedelta(0)
    """Intended distance of the target's rows behind the source; bytes are copied at once."""
    resume: bool = False
    """Whether the operator lets the applier continue after a restore in place."""
    adopt: bool = False
    """Whether the applier may take over a target with rows that the replicator did not write."""
    new_log: bool = False
    """Whether the target changes to the configured log because the log it followed is lost."""


EARLY_EVENTS_MAX = 1_000_000
"""Number of events, 24 bytes each, in delayed cuts whose bytes are copied ahead of their time."""


class Applier:
    """Turns the log into plans for one target; the applier's position is a row of that target.

    Args:
        target: Target to bring to each cut; its history reads the log.
        reconciler: Compares the target with a cut.
        copier: Copies segments' bytes to the target.
        executor: Writes the target's rows.
        archivist: Writes the target's own history.
        guard: Detects expiries that run in the target's store.
        options: How the log is followed, and what the operator allowed.
    """

    def __init__(
        self,
        target: Target,
        *,
        reconciler: Reconciler,
        copier: Copier,
        executor: Executor,
        archivist: Archivist,
        guard: ExpiryGuard,
        options: ApplyOptions,
    ) -> None:
        self._target, self._history, self._observer = target, target.history, target.observer
        self._reconciler, self._copier, self._executor = reconciler, copier, executor
        self._archivist, self._guard = archivist, guard
        self._options, self._clock = options, target.clock
        self._source_check = SourceCheck(target.history, copier)
        self._missing = MissingWait(target.area, target.clock, options.kill_wait)
        self._pause = PauseWatch(target, ApplierRecord(target.area, target.clock))
        self._delay = Delay(target.history, target.clock, options.delay)
        self._healer = GapHealer(
            target, copier=copier, executor=executor, archivist=archivist, guard=guard
        )
        self._retries = GapRetries(options.gap_retry_interval)
        self._reader = CutReader(target.history)
        self._epoch: Epoch | None = None
        self._after: Offset | None = None
        self._recorded = frozenset[tuple[str, Offset]]()
        self._group = CutGroup()
        self._early = deque[CutSpan]()
        self._ahead = Offset(-1)
        """Offset of the last cut whose bytes this applier has copied ahead of its time."""
        self._reported_until: datetime | None = None
        self._lasts = False
        self._acquired: TargetState | None = None
        """The target's state when it was last acquired."""
        self.awaited: Awaited | None = None
        """Rows and deadline that the last `apply_next` waits for; None if it does not wait."""

    async def run(self, stop: asyncio.Event) -> None:
        """Apply cuts until `stop` is set; a started cut always finishes.

        While the target is paused by a restore or a repair, the applier only reads the target's
        state and continues once the pause is over. A promoted target ends the loop.

        Raises:
            FencedError: another running applier has taken over.
        """
        self._lasts = True
        what = f"apply to {self._target.name}"
        await self._options.interval.repeat(
            self._step_and_tell, stop, what=what, observer=self._observer
        )
        await self._archivist.settle(at_once=True)

    async def _step_and_tell(self) -> float | None:
        wait_s = await self._step()
        self._observer(Followed())
        return wait_s

    async def _step(self) -> float | None:
        """Apply a cut if the target allows it; return the seconds to wait, None to end the loop."""
        try:
            if self._epoch is None and (paused_by := await self._paused_by()) is not None:
                return None if paused_by is PausedBy.PROMOTED else LOOK_S
            return 0.0 if await self.apply_next() else self._options.interval.seconds
        except FencedError:
            await self._pause.require(adopt=self._options.adopt)
        except RefusedError:
            if await self._paused_by() is None:  # otherwise a restore has just paused the target
                raise
        return LOOK_S  # until the process that took over has recorded itself

    async def _paused_by(self) -> PausedBy | None:
        options = self._options
        return await self._pause.paused_by(resume=options.resume, adopt=options.adopt)

    async def apply_next(self) -> bool:
        """Bring the target to its next cut; return False if the log has no further cut yet.

        After False, `awaited` names the missing bytes that a later cut may explain, if there are
        any.

        Raises:
            TransientError: something is unreachable; the next call starts from the target's
                checkpoint.
            FencedError: another applier has taken over.
            RefusedError: the target holds foreign rows, is paused after a restore, or more objects
                are missing than kill tasks can explain.
            ConfigError: none of the source's segments is in a configured storage.
            CorruptionError: log and target contradict each other.
            LogCutShortError: the log has lost records that were already applied.
        """
        self.awaited = None
        try:
            epoch = self._epoch
            went_on = await (self._lead() if epoch is None else self._follow(epoch))
        except BaseException:
            self._epoch = None  # the target's checkpoint records what was done
            self._archivist.forget()  # and so does its store, which may be mended meanwhile
            raise
        if not went_on:
            await self._archivist.settle(at_once=not self._lasts)
        return went_on

    async def _lead(self) -> bool:
        """Become the target's only applier; continue at its checkpoint, or seed the target."""
        cut = await self._refuse_wrong_log()
        state = await self._target.acquire(anew=self._options.adopt)
        self._acquired = state
        await self._pause.lead(state.epoch, lasts=self._lasts)
        # Another applier may have moved the checkpoint beyond the cuts that this one had read
        # ahead.
        self._early.clear()
        self._observer(EpochAcquired(epoch=state.epoch))
        # Before any byte is copied: only expiries that are over by now cannot delete what is copied
        # from here on.
        await self._guard.look()
        span = await self._history.span()
        checkpoint = state.checkpoint
        if checkpoint is not None and await self._is_let_go(checkpoint):
            checkpoint = None
        if checkpoint is None:
            if not self._options.adopt:
                refuse_foreign_rows(await self._reconciler.foreign_rows(), self._target.name)
            return await self._seed(state.epoch, span)
        refuse_promoted(checkpoint, self._target.name)
        if not self._options.resume:
            refuse_paused(checkpoint, self._target.name)
        goes_over = self._options.new_log and checkpoint.log_id != span.log_id
        if checkpoint.paused or goes_over:
            return await self._seed(state.epoch, span, followed=checkpoint)
        if cut is None or cut.offset != checkpoint.offset:  # another applier was quicker
            cut = await self._cut_of(checkpoint)
        await self._cover(cut, (), whole=False)
        if self._archivist.has_outdated_rows:
            return await self._seed(state.epoch, span, followed=checkpoint, at=cut)
        await self._start_after(checkpoint, state.epoch)
        await self._report(checkpoint.offset)
        self._retries.begin(self._group.open_gaps, self._now_s())
        return await self._follow(state.epoch)

    async def _cut_of(self, checkpoint: Checkpoint) -> ClosedCut:
        """Return the cut that the target is at.

        Raises:
            GapError: the log was trimmed beyond it, and no store has what lies between.
        """
        try:
            return await self._history.find(ToOffset(offset=checkpoint.offset))
        except GapError as exc:
            raise GapError(
                f"the log was trimmed beyond offset {checkpoint.offset}, where {self._target.name}"
                f" is, and no target's store has what lies between: {exc}",
                hint=GapError.beyond_hole,
            ) from exc

    async def _refuse_wrong_log(self) -> ClosedCut | None:
        """Refuse a log that the target does not follow, before its applier is shut out.

        Return the cut that the target is at; None: it is at none of this log.

        A second machine that was started by mistake has an empty log, or a copy of the right one.

        Raises:
            CorruptionError: the target follows another log, or this one was written on otherwise.
            LogCutShortError: the log ends before the target's checkpoint.
        """
        checkpoint = (await self._target.state(anew=self._options.adopt)).checkpoint
        if checkpoint is None:
            return None
        if self._options.new_log and checkpoint.log_id != await self._log_id():
            return None
        if await self._is_let_go(checkpoint):
            return None
        return await require_log_of(checkpoint, self._target)

    async def _is_let_go(self, checkpoint: Checkpoint) -> bool:
        """Return whether the operator gives up a checkpoint beyond the log, as no log has its cut.

        Raises:
            CorruptionError: no applier wrote the checkpoint, and `--adopt` was not given.
        """
        span = await self._history.span()
        if checkpoint.log_id != span.log_id or checkpoint.offset < span.end:
            return False
        if self._options.adopt:
            return not await proves_cut_short(span, self._target.area)
        if await is_wrong(checkpoint, span, self._target.area):
            raise wrong(checkpoint, span, self._target.name)
        return False

    async def _seed(
        self,
        epoch: Epoch,
        span: Span,
        *,
        followed: Checkpoint | None = None,
        at: ClosedCut | None = None,
    ) -> bool:
        """Bring the target to a cut in one step, whatever rows it has now: the newest due one.

        `at` is the target's own: its rows are outdated, as they name the place where its store was,
        or were mapped by other settings.
        """
        if not await self._history.has_cuts(span):
            _require_untrimmed(span)
            return False
        same_log = followed is not None and followed.log_id == span.log_id
        cut = at or await self._delay.start(followed if same_log else None)
        if cut is None:
            return False
        # rows that exist already prove nothing about bytes that the replicator did not copy
        found = await self._reconciler.reconcile(cut, paused=False, whole=followed is None)
        doubted = changed_rows(found.known_gaps) | await self._reconciler.doubted(followed)
        uncopied = await self._copier.copy(found.plan.picks, trust=Trust.NEVER, doubted=doubted)
        await self._refuse_wrong_storage(uncopied, is_newest=True)
        known = {gap.opened for gap in found.known_gaps}
        self._recorded = frozenset((gap.key, gap.opened) for gap in found.known_gaps)
        new = [row for row in uncopied if row.offset not in known]
        if await self._waits(new, followed.offset if followed is not None else None):
            return False  # the next cut may remove these rows: their bytes were killed
        await self._source_check.require_there(missing(new), known)
        # A takeover makes the target exactly the cut: without this, each row whose location is
        # refused would be deleted although the source has it.
        self._reconciler.refuse_lost(found, uncopied)
        plan = without(found.plan, uncopied, found.known_gaps)
        known |= {row.offset for row in uncopied}
        since = followed.offset if same_log and followed else None
        passed = await self._passed(cut, since, known, doubted)
        # An expiry that was announced during the copies may have counted these bytes as needed by
        # nothing. Its intent must be looked for after the history was written, which protects them
        # from every later expiry, and before the rows, which would point at deleted bytes (trap 4).
        await self._cover(cut, (*plan.gaps, *passed), whole=False)
        await self._guard.require_spared(plan.picks)
        is_filling = followed is None
        await self._commit(plan, cut, epoch, is_filling=is_filling, found=found)
        await self._archivist.rewrote()
        self._retries.begin((), self._now_s())  # each gap was tried just now
        return True

    async def _passed(
        self,
        cut: ClosedCut,
        followed: Offset | None,
        known: set[Offset],
        doubted: AbstractSet[RowKey],
    ) -> Sequence[Gap]:
        """Return gaps for rows of an earlier seed attempt whose bytes cannot be copied any more.

        That attempt wrote a base and was then interrupted; meanwhile the source killed the bytes,
        or an expiry deleted their copies. The base stays in the store, and its cut lacks those
        bytes. The target was never at that cut, so the gaps are the store's alone.
        """
        try:
            begun = await self._archivist.base_before(cut.offset)
            if begun is None or (followed is not None and begun.offset <= followed):
                return ()
            found = await self._reconciler.reconcile(begun, paused=False)
        except (CorruptionError, GapError):
            return ()  # a base that cannot be read is not restored either
        uncopied = await self._copier.copy(
            found.plan.picks, trust=Trust.NEVER, doubted=doubted, again=True
        )
        known = known | {gap.opened for gap in found.known_gaps}
        return [
            gap_of(killed(row), closed=cut.offset) for row in uncopied if row.offset not in known
        ]

    async def _follow(self, epoch: Epoch) -> bool:
        """Read cuts until all of those read so far can be committed together, then commit them."""
        while (span := await self._next_due()) is not None:
            await self._take(span)
            if not self._group.awaited:
                await self._apply_group(epoch)
                return True
        if not (rows := self._group.awaited):
            return await self._heal(epoch)
        if await self._waits(rows, self._after):
            return False
        # The wait may have lasted hours: the fault of a mount or of a permission may be mended by
        # now.
        await self._group.copy_again(self._copier)
        known = {gap.opened for gap in self._group.open_gaps}
        await self._source_check.require_there(missing(self._group.uncopied), known)
        await self._apply_group(epoch)
        return True

    async def _heal(self, epoch: Epoch) -> bool:
        """Retry some open gaps, if it is time; return whether there were any.

        Only a target that has all cuts does this, so that no cut waits for it. An unreachable
        source is no reason to stop: the gaps stay known, and the next round retries them.
        """
        gaps = self._retries.next(self._group.open_gaps, self._now_s())
        if not gaps:
            return False
        try:
            found = await self._healer.retry(gaps, epoch)
        except TransientError as exc:
            self._retries.put_off()
            interval_s = self._options.gap_retry_interval.total_seconds()
            what = f"copy the bytes of {counted(len(gaps), 'known gap')}"
            self._observer(Waiting(what=what, reason=str(exc), delay_s=interval_s))
            return False
        checkpoint = await self._target.checkpoint()
        if found.copied and self._acquired is not None and checkpoint is not None:
            state = replace(self._acquired, checkpoint=checkpoint)
            await self._healer.close(found.copied, state)
            await self._start_after(checkpoint, epoch)
        self._retries.tried(gaps)
        return True

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def _next_due(self) -> CutSpan | None:
        """Return the next cut that is due; the bytes of later cuts are copied meanwhile.

        Bytes that such an early copy misses are examined when their cut is due.
        """
        early = self._early
        while sum(len(span.offsets) for span in early) < EARLY_EVENTS_MAX:
            if (span := await self._reader.next()) is None:
                break
            if not early and self._delay.is_due(span.at):
                return span
            again = span.at.offset <= self._ahead
            await self._copier.copy(span.offsets, trust=Trust.NEVER, again=again)
            early.append(span)
            self._ahead = max(self._ahead, span.at.offset)
        return early.popleft() if early and self._delay.is_due(early[0].at) else None

    async def _take(self, span: CutSpan) -> None:
        """Copy a cut's bytes and add the cut to the group."""
        again = span.at.offset <= self._ahead
        await self._group.take(span, self._copier, again=again)
        # Only at the log's end must used segments have their bytes: an older cut names some that
        # the source has killed since.
        is_newest = (await self._history.span()).end == span.at.offset + 1
        await self._refuse_wrong_storage(self._group.uncopied, is_newest=is_newest)

    async def _refuse_wrong_storage(self, uncopied: Sequence[Uncopied], *, is_newest: bool) -> None:
        if is_newest:
            await self._source_check.require_storage(uncopied, self._reconciler)
        refuse_many(uncopied, self._options.objects_missing_max)

    async def _waits(self, rows: Iterable[Uncopied], after: Offset | None) -> bool:
        """Return whether there is time left to wait for the missing bytes of some of these rows."""
        if not (awaited := missing(rows)):
            return False
        until = await self._missing.until(await self._log_id(), after)
        if self._missing.is_over(until):
            return False
        self.awaited = Awaited(keys=[row.words for row in awaited], until=until)
        self._tell_waiting(self.awaited)
        return True

    def _tell_waiting(self, awaited: Awaited) -> None:
        if self._reported_until == awaited.until:
            return
        self._reported_until = awaited.until
        more = f" and {len(awaited.keys) - 1} more" if len(awaited.keys) > 1 else ""
        left = awaited.until - self._clock.now()
        self._observer(
            Waiting(
                what=f"copy {awaited.keys[0]}{more}",
                reason="the bytes are missing; unless a later cut shows that they were killed, they"
                f" are recorded as a gap at {moment(awaited.until)}",
                delay_s=left.total_seconds(),
            )
        )

    async def _apply_group(self, epoch: Epoch) -> None:
        group = self._group
        last = group.last
        plan = Plan(
            picks=group.picks,
            checkpoint=checkpoint_at(last, self._target.source, await self._log_id(), paused=False),
            gaps=tuple(group.passed),
        )
        plan = without(plan, group.uncopied)
        await self._cover(last, plan.gaps, whole=True)
        await self._guard.require_spared(group.offsets)
        await self._commit(plan, last, epoch)

    async def _cover(self, cut: ClosedCut, changed: Sequence[Gap], *, whole: bool) -> None:
        """Write history to the target's store up to a cut, before the checkpoint reaches it.

        Raises:
            RefusedError: the store is not the one that this applier began with.
        """
        if self._acquired is not None:
            await self._target.require_store(self._acquired)
        known = await self._target.gaps(await self._log_id())
        await self._archivist.cover(cut, merged(known, changed), whole=whole)

    async def _commit(
        self,
        plan: Plan,
        cut: ClosedCut,
        epoch: Epoch,
        *,
        is_filling: bool = False,
        found: Reconciliation | None = None,
    ) -> None:
        """Write a plan whose cut is covered; rows that the database cannot hold become gaps.

        `found` is the comparison that a seed's plan comes from.
        """
        try:
            await self._executor.commit(plan, epoch=epoch)
        except UnfitRowsError as exc:
            if found is not None:
                self._reconciler.refuse_lost(found, exc.rows)
            plan = leaving_out(plan, exc.rows)
            # The history must name the new gaps before the checkpoint stands at their cut.
            await self._cover(cut, plan.gaps, whole=False)
            await self._executor.commit(plan, epoch=epoch)
        for gap in plan.gaps:
            # A plan repeats what its rows are known to lack; operators hear of each only once.
            if (gap.key, gap.opened) not in self._recorded:
                self._observer(GapOpened(gap=gap))
        self._observer(
            CutApplied(
                cut=cut.closed.cut,
                offset=cut.offset,
                rows=len(plan.picks),
                source_time=cut.closed.source_time,
                is_filling=is_filling,
            )
        )
        await self._start_after(plan.checkpoint, epoch)
        await self._report(cut.offset)
        await self._missing.end()

    async def _report(self, offset: Offset) -> None:
        """Report the target's position to the log's operators; a failed report stops nothing."""
        if self._acquired is None or (store := self._acquired.store) is None:
            return
        try:
            await self._history.report(self._target.name, offset, store)
        except (TransientError, ConfigError) as exc:
            what = "report the target's position to the log"
            self._observer(Waiting(what=what, reason=str(exc), delay_s=0.0))

    async def _start_after(self, checkpoint: Checkpoint, epoch: Epoch) -> None:
        gaps = await self._target.gaps(checkpoint.log_id)
        self._recorded = frozenset((gap.key, gap.opened) for gap in gaps)
        self._group = CutGroup(gaps)
        if not self._early:  # otherwise the reader is ahead already
            self._reader.skip_to(
                checkpoint.offset, checkpoint.cut, checkpoint.digest, checkpoint.source_time
            )
        self._epoch, self._after = epoch, checkpoint.offset
        # both permissions were for the state that the operator knew, not for what follows it
        self._options = replace(self._options, resume=False, adopt=False)

    async def _log_id(self) -> str:
        return await self._target.log_id()


def _require_untrimmed(span: Span) -> None:
    """Refuse to wait for the first cut of a log that has lost its cuts.

    Raises:
        GapError: the log was trimmed.
    """
    if span.first > 0:
        raise GapError(
            f"the log was trimmed up to offset {span.first} and has no closed cut left; no store"
            " has what was trimmed",
            hint=GapError.beyond_hole,
        )
