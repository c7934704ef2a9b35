"""Whether an applier has to leave its target alone for now, and who is at work there instead."""

from typing import assert_never

from replicator.errors import FencedError, RefusedError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import Epoch
from replicator.model.observation import TargetPaused
from replicator.model.operations.words import whole_time
from replicator.services.records.applier_record import ApplierRecord, PausedBy
from replicator.services.target.target import Target


class PauseWatch:
    """Tells a restore, a repair or a promotion, for which an applier waits, from another applier.

    Args:
        target: Target of the applier.
        record: Says which epochs of the target are those of appliers.
    """

    def __init__(self, target: Target, record: ApplierRecord) -> None:
        self._target, self._record = target, record
        self._is_paused = False
        self._reported: PausedBy | None = None
        self._led: Epoch | None = None
        """Newest epoch that this applier has taken."""

    async def lead(self, epoch: Epoch, *, lasts: bool) -> None:
        """Record that this applier has an epoch, and whether it goes on until it is stopped.

        Recorded before anything else is done with it: an applier that finds itself fenced reads
        this record to tell another applier, for which it ends, from a restore or a repair.
        """
        self._led = epoch  # before the record: the answer to it may be lost
        await self._record.take(epoch, lasts=lasts)

    async def paused_by(self, *, resume: bool, adopt: bool) -> PausedBy | None:
        """Return why this applier does not lead now; report when the reason changes.

        Only a target whose checkpoint is paused holds back an applier that starts. An applier that
        had led and failed checks who has taken an epoch since: a repair of the fault may be
        running.

        Args:
            resume: Whether the operator lets the applier continue after a restore in place.
            adopt: Whether the applier may take over another process's target.

        Raises:
            FencedError: another running applier has taken over.
        """
        state = await self._target.state(anew=adopt)
        is_paused = state.checkpoint is not None and state.checkpoint.paused
        was_fenced = self._led not in (None, state.epoch)
        if not (self._is_paused or was_fenced) and (resume or not is_paused):
            return None
        if was_fenced:
            await self._refuse_taken(state.epoch)  # the new owner may have recorded itself by now
        paused_by = await self._record.paused_by(state)
        if paused_by is PausedBy.AFTER_RESTORE and resume and not self._is_paused:
            return None  # the newer epoch is this applier's own: only the answer to it was lost
        self._tell(paused_by, state.checkpoint)
        self._is_paused = paused_by is not None
        return paused_by

    async def require(self, *, adopt: bool) -> None:
        """Pause this applier because a restore, a repair or a promotion has fenced it.

        Raises:
            FencedError: another applier has taken over.
        """
        state = await self._target.state(anew=adopt)
        await self._refuse_taken(state.epoch)
        self._is_paused = True

    async def _refuse_taken(self, epoch: Epoch) -> None:
        # an applier that takes over has a newer epoch: an older one was put back, as was its note
        is_newer = self._led is None or epoch > self._led
        if is_newer and await self._record.was_taken(epoch):
            raise FencedError(
                f"another applier has taken over target {self._target.name!r}: epoch {epoch}"
            )

    def _tell(self, paused_by: PausedBy | None, checkpoint: Checkpoint | None) -> None:
        if paused_by is self._reported:
            return
        self._reported = paused_by
        self._target.observer(
            TargetPaused(target=self._target.name, why=None)
            if paused_by is None
            else TargetPaused(target=self._target.name, why=self._why(paused_by, checkpoint))
        )

    def _why(self, paused_by: PausedBy, checkpoint: Checkpoint | None) -> str:
        match paused_by:
            case PausedBy.PROMOTED:
                return "it was promoted and is a cluster of its own"
            case PausedBy.AT_WORK:
                return "a restore or a repair is running there"
            case PausedBy.AFTER_RESTORE:
                cut = "" if checkpoint is None else f" to cut {checkpoint.cut}"
                resume = f"`replicator apply {self._target.name} --resume --once`"
                return f"it is paused after a restore{cut}, until {resume}"
        assert_never(paused_by)


def refuse_paused(checkpoint: Checkpoint, target: str) -> None:
    """Refuse to follow the source again after a restore, until the operator says so.

    Raises:
        RefusedError: the target is paused.
    """
    if not checkpoint.paused:
        return
    what = f"datasource {checkpoint.datasource!r}" if checkpoint.datasource else "it"
    raise RefusedError(
        f"target {target!r} is paused: {what} was restored to cut"
        f" {checkpoint.cut} (offset {checkpoint.offset}, {whole_time(checkpoint.source_time)})",
        hint=f"`replicator apply {target} --resume --once` follows the source"
        " again and undoes the restore",
    )
