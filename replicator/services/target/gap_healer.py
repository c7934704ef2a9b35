"""Closes gaps whose bytes have become available: bytes, history, then row and gap together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from replicator.errors import NotFoundError
from replicator.model.checkpoint import OBJECT_CHANGED, Gap, TargetState, merged
from replicator.model.event import ClosedCut, Epoch
from replicator.model.inventory.ledger import Offsets
from replicator.model.observation import GapHealed
from replicator.model.plans.plan import Plan
from replicator.model.plans.restore_point import ToOffset
from replicator.services.target.copier import Copier, Trust, Uncopied
from replicator.services.target.executor import Executor
from replicator.services.target.reconciler import refuse_promoted, require_log_of
from replicator.services.target.target import Target


class Covering(Protocol):
    """Writes the target's own history, including the list of its gaps."""

    async def cover(self, cut: ClosedCut, gaps: Sequence[Gap], *, whole: bool) -> None:
        """Make sure that the cut can be restored from the store alone."""


class BytesGuard(Protocol):
    """Prevents expiries from deleting bytes that were just copied."""

    async def look(self) -> None:
        """Find out which expiries are over."""

    async def require_spared(self, offsets: Offsets) -> None:
        """Require that no expiry deletes bytes that these records need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """Result of a new attempt for some gaps."""

    copied: tuple[Gap, ...] = ()
    """Gaps whose bytes the target has now, and whose rows fit into its tables."""
    left: tuple[Uncopied, ...] = ()
    """Rows that the target still cannot have, with the reason."""


class GapHealer:
    """Retries gaps at the target's present cut.

    The row of an open gap is the event that opened it: a later event of the same row would have
    closed it. So the plan needs no comparison of the target with the cut.

    Args:
        target: Target with the gaps.
        copier: Copies the bytes.
        executor: Writes row, gap and checkpoint.
        archivist: Writes the list of gaps in the target's store.
        guard: Detects expiries that need the same bytes.
    """

    def __init__(
        self,
        target: Target,
        *,
        copier: Copier,
        executor: Executor,
        archivist: Covering,
        guard: BytesGuard,
    ) -> None:
        self._target, self._copier, self._executor = target, copier, executor
        self._archivist, self._guard = archivist, guard

    async def gaps(self, *, datasource: str | None = None) -> Sequence[Gap]:
        """Return the gaps of the target's own cut that `heal_all` retries.

        Raises:
            CorruptionError: the target follows another log.
            RefusedError: the target was promoted.
        """
        return await self._of(await self._target.state(), datasource)

    async def heal_all(self, *, datasource: str | None = None) -> Retried:
        """Retry all gaps of the target's own cut; a running applier pauses if one can be closed.

        Raises:
            TransientError: a store is unreachable, or an expiry deletes what was copied.
            FencedError: another process took over; no row was changed.
        """
        # Before any byte is copied, as an applier does.
        await self._guard.look()
        before = await self._target.state()
        found = await self.retry(await self._of(before, datasource), before.epoch)
        if not found.copied:
            return found
        state = await self._target.acquire()
        copied = {(gap.key, gap.opened) for gap in found.copied}
        # An applier may have closed some of them before it was fenced.
        gaps = [gap for gap in await self._of(state, datasource) if (gap.key, gap.opened) in copied]
        await self.close(gaps, state)
        return replace(found, copied=tuple(gaps))

    async def retry(self, gaps: Sequence[Gap], epoch: Epoch) -> Retried:
        """Copy the bytes of these gaps' rows as far as possible, and try the rows; change none.

        The rows are tried in a transaction of the target's present `epoch`, which is rolled back.

        Raises:
            TransientError: a storage, or the target's database, is unreachable.
            FencedError: another process took over.
        """
        if not gaps:
            return Retried()
        left = await self._copier.copy(_picks(gaps), trust=Trust.NEVER)
        missing = {row.offset for row in left}
        there = _picks([gap for gap in gaps if gap.opened not in missing])
        unfit = await self._executor.unfit(there, epoch=epoch) if len(there) else ()
        missing |= {row.offset for row in unfit}
        return Retried(
            copied=tuple(gap for gap in gaps if gap.opened not in missing),
            left=(*left, *unfit),
        )

    async def close(self, gaps: Sequence[Gap], acquired: TargetState) -> None:
        """Write the rows of gaps whose bytes were copied, and close the gaps where they opened.

        `acquired` is the target's state, with the caller's epoch; its checkpoint stays.
        The store's list comes first, as for each commit; if the rows fail, the next applier writes
        the list again.

        Raises:
            TransientError: the outcome is unknown; read the checkpoint before continuing.
            FencedError: another process took over; no row was changed.
            NotFoundError: the target has lost its checkpoint.
        """
        if (checkpoint := acquired.checkpoint) is None:
            raise NotFoundError(f"target {self._target.name!r} has no checkpoint any more")
        # Closed where they opened: no cut is left that lacks their bytes.
        healed = tuple(replace(gap, closed=gap.opened) for gap in gaps)
        if not healed:
            return
        await self._target.require_store(acquired)
        if checkpoint.datasource is None:
            cut = await self._target.history.find(ToOffset(offset=checkpoint.offset))
            known = await self._target.gaps(checkpoint.log_id)
            await self._archivist.cover(cut, merged(known, healed), whole=False)
        picks = _picks(gaps)
        await self._guard.require_spared(picks)
        plan = Plan(picks=picks, checkpoint=checkpoint, gaps=healed)
        await self._executor.commit(plan, epoch=acquired.epoch)
        for gap in healed:
            self._target.observer(GapHealed(gap=gap))

    async def _of(self, state: TargetState, datasource: str | None) -> Sequence[Gap]:
        """Return the gaps of a state's cut that may be retried."""
        if (checkpoint := state.checkpoint) is None:
            return ()
        refuse_promoted(checkpoint, self._target.name)
        await require_log_of(checkpoint, self._target)
        of = datasource or checkpoint.datasource
        return [
            gap
            for gap in await self._target.gaps(checkpoint.log_id)
            if gap.at(checkpoint.offset) and may_heal(gap) and of in {None, gap.datasource}
        ]


def may_heal(gap: Gap) -> bool:
    """Return whether a retry may close a gap: not if its location holds another row's bytes."""
    return gap.reason != OBJECT_CHANGED


def _picks(gaps: Sequence[Gap]) -> Offsets:
    return np.array(sorted({gap.opened for gap in gaps}), np.int64)
