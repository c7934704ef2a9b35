"""Brings a target to an earlier cut, or another target to any cut."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from replicator.model.checkpoint import Checkpoint, TargetState, merged
from replicator.model.event import ClosedCut
from replicator.model.log.folded_rows import FoldedRows
from replicator.model.observation import CutApplied
from replicator.model.plans.expectation import refuse_more_removals
from replicator.model.plans.plan import Estimate, Plan
from replicator.model.plans.restore_point import RestorePoint
from replicator.services.restore.effect_count import EffectCount
from replicator.services.store.archivist import Archivist
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.restore_lease import RestoreLeases
from replicator.services.target.copier import Copier, Uncopied
from replicator.services.target.executor import Executor
from replicator.services.target.reconciler import (
    Reconciler,
    Reconciliation,
    refuse_foreign_rows,
    refuse_promoted,
    without,
)
from replicator.services.target.recovery import not_whole, recover
from replicator.services.target.target import Target
from replicator.services.target.unfit_rows import UnfitRowsError, leaving_out


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """What a restore would do, before the operator agrees."""

    cut: ClosedCut
    datasource: str | None
    state: TargetState
    """State of the target when the plan was made."""
    reconciliation: Reconciliation
    estimate: Estimate
    pause: bool = False
    """Whether the target is paused at the cut even if it already has the cut's rows."""
    keeps: bool = False
    """Whether a hold in another store keeps the cut from then on, even if the rows are there."""

    held: bool = False
    """Whether the operator agreed to this plan: if made again, it may remove no other rows."""

    @property
    def changes_nothing(self) -> bool:
        """Whether the target already has the rows and stays as it is; then no process is fenced.

        A target that is paused at another cut changes to this one. A datasource that is as wanted
        never pauses the target, because the other datasources were not restored.
        """
        state, wanted = self.state.checkpoint, self.reconciliation.plan.checkpoint
        if not self.reconciliation.plan.is_empty or self.keeps:
            return False
        if state is None or state.log_id != wanted.log_id:
            return False
        if state == wanted:
            return True
        return not self.pause and (self.datasource is not None or not state.paused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A plan whose bytes are copied as far as possible; no row was changed yet."""

    plan: RestorePlan
    state: TargetState
    """The target's checkpoint, and the epoch under which the rows may be written."""
    reconciliation: Reconciliation
    uncopied: tuple[Uncopied, ...]


class Restorer:
    """Plans first, then makes the target's rows exactly those of a cut; no bytes are deleted.

    Args:
        target: Target that is changed; its history contains the cuts.
        reconciler: Compares target and cut.
        copier: Copies bytes to the target.
        executor: Writes the target's rows.
        archivist: Writes the target's own history; None for a target without a store.
        guard: Detects expiries that run in the store that will hold the bytes.
        leases: Keep expiries away from what the restore reads.
        by_reference: Whether the bytes stay where they are and are trusted as they are.
    """

    def __init__(
        self,
        target: Target,
        *,
        reconciler: Reconciler,
        copier: Copier,
        executor: Executor,
        archivist: Archivist | None,
        guard: ExpiryGuard,
        leases: RestoreLeases,
        by_reference: bool = False,
    ) -> None:
        self._target, self._history = target, target.history
        self._reconciler, self._copier, self._executor = reconciler, copier, executor
        self._archivist, self._guard, self._leases = archivist, guard, leases
        self._by_reference = by_reference

    async def plan(
        self,
        point: RestorePoint,
        *,
        datasource: str | None,
        adopt: bool,
        pause: bool = False,
    ) -> RestorePlan:
        """Return what would be done; nothing is changed.

        With `pause` a target that already has the rows is paused as well.

        Raises:
            GapError: the log has no such cut, or the cut has expired.
            NotFoundError: neither the cut nor the target has a row of the datasource.
            RefusedError: the target holds rows that this tool did not write, without `adopt`.
        """
        cut = await self._history.find(point)
        await self._leases.refuse_expired(await self._target.log_id(), cut.offset)
        state = await self._target.state()
        refuse_promoted(state.checkpoint, self._target.name)
        if state.checkpoint is None and not adopt:
            refuse_foreign_rows(await self._reconciler.foreign_rows(), self._target.name)
        effects = EffectCount()
        rows = FoldedRows() if state.checkpoint is None else None
        found = await self._reconciler.reconcile(
            cut,
            paused=True,
            datasource=datasource,
            whole=state.checkpoint is None,
            differing=effects,
            rows=rows,
        )
        if datasource is not None and not _is_at(state, found.plan.checkpoint):
            await self._reconciler.require_known(found, cut, datasource)
        sized, come = await self._reconciler.estimate(found, used_before=effects.used(), rows=rows)
        estimate = replace(sized, effects=effects.effects(come))
        return RestorePlan(
            cut=cut,
            datasource=datasource,
            state=state,
            reconciliation=found,
            estimate=estimate,
            pause=pause,
            keeps=self._leases.keeps,
        )

    async def execute(self, plan: RestorePlan, *, accept_gaps: bool) -> tuple[Uncopied, ...]:
        """Carry out a plan; return the rows that the target could not get.

        The target is fenced first: a running applier pauses. If the target has moved since the plan
        was made, the plan is made again. A plan that changes nothing fences no process.

        Raises:
            GapError: bytes are missing, or the target's database cannot hold a row, and
                `accept_gaps` is not given; or the cut has expired; no
                row was changed.
            TransientError: something is unreachable, or an expiry deletes what is needed; try
                again.
            FencedError: another process took over; no row was changed.
        """
        if plan.changes_nothing:
            return ()
        async with self.leased(plan):
            return await self.commit(await self.copy(plan), accept_gaps=accept_gaps)

    @asynccontextmanager
    async def leased(self, plan: RestorePlan) -> AsyncGenerator[None]:
        """Keep expiries away from what the plan reads, for the length of the block."""
        log_id = await self._target.log_id()
        async with self._leases.taken(log_id, plan.cut.offset):
            yield

    async def copy(self, plan: RestorePlan) -> Copied:
        """Do the first half of `execute`: fence the target and copy the bytes that it lacks."""
        refuse_promoted(await self._target.checkpoint(), self._target.name)
        state = await self._target.acquire()
        await self._guard.look()
        found = plan.reconciliation
        # An epoch in between says that another process may have written rows after the plan's
        # comparison.
        if state.checkpoint != plan.state.checkpoint or state.epoch != plan.state.epoch + 1:
            found = await self._reconciler.reconcile(
                plan.cut,
                paused=True,
                datasource=plan.datasource,
                whole=state.checkpoint is None,
            )
            # The operator agreed to what was shown: a plan that is made again must not remove more
            # than that.
            if plan.held:
                refuse_more_removals(plan.reconciliation.plan, found.plan)
        log_id = found.plan.checkpoint.log_id
        uncopied = await recover(
            self._copier,
            found.plan.picks,
            gaps=found.known_gaps,
            reached=state.reached_in(log_id),
            doubted=await self._reconciler.doubted(state.checkpoint),
            by_reference=self._by_reference,
        )
        return Copied(plan=plan, state=state, reconciliation=found, uncopied=uncopied)

    async def commit(self, copied: Copied, *, accept_gaps: bool) -> tuple[Uncopied, ...]:
        """Do the second half of `execute`: write the rows; raises as `execute` does."""
        plan, found, uncopied = copied.plan, copied.reconciliation, copied.uncopied
        self._require_whole(copied, uncopied, accept_gaps=accept_gaps)
        final = without(found.plan, uncopied, found.known_gaps)
        try:
            await self._write(copied, final)
        except UnfitRowsError as exc:
            uncopied = (*uncopied, *exc.rows)
            self._require_whole(copied, uncopied, accept_gaps=accept_gaps)
            await self._write(copied, leaving_out(final, exc.rows))
        await self._executor.keep_rates()
        self._target.observer(
            CutApplied(
                cut=plan.cut.closed.cut,
                offset=plan.cut.offset,
                rows=len(final.picks),
                source_time=plan.cut.closed.source_time,
            )
        )
        return uncopied

    def _require_whole(
        self, copied: Copied, uncopied: Sequence[Uncopied], *, accept_gaps: bool
    ) -> None:
        self._reconciler.refuse_lost(copied.reconciliation, uncopied)
        if uncopied and not accept_gaps:
            raise not_whole(copied.plan.cut, uncopied)

    async def _write(self, copied: Copied, final: Plan) -> None:
        """Write history, then rows."""
        plan = copied.plan
        gaps = merged(await self._target.gaps(final.checkpoint.log_id), final.gaps)
        # One datasource's bytes make no cut: the store must not offer the whole cut for a restore.
        if self._archivist is not None and plan.datasource is None:
            await self._archivist.cover(plan.cut, gaps, whole=False)
        await self._guard.require_spared(final.picks)
        await self._executor.commit(final, epoch=copied.state.epoch)


def _is_at(state: TargetState, wanted: Checkpoint) -> bool:
    """Return whether the target is at this cut: an unknown datasource is then no typo."""
    return state.checkpoint == wanted
