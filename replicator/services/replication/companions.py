"""What runs beside an applier: bases of the target's cut are written, its history is merged."""

import asyncio

from replicator.model.plans.restore_point import ToOffset
from replicator.services.running.loop import LookInterval
from replicator.services.store.archivist import Archivist
from replicator.services.store.merger import Merger
from replicator.services.target.target import Target


class BaseWriter:
    """Writes a base of the cut that a target is at, whenever one is due.

    Args:
        target: Target whose cut is written.
        archivist: Writes the base.
        interval: Time between two looks.
    """

    def __init__(self, target: Target, *, archivist: Archivist, interval: LookInterval) -> None:
        self._target, self._archivist, self._interval = target, archivist, interval

    async def run(self, stop: asyncio.Event) -> None:
        """Check at each interval until `stop` is set; a base that was started is finished."""
        what = f"write a base of {self._target.name}"
        await self._interval.repeat(self._step, stop, what=what, observer=self._target.observer)

    async def _step(self) -> float:
        await self.write_if_due()
        return self._interval.seconds

    async def write_if_due(self) -> bool:
        """Write a base if one is due; return whether one was.

        A target that is paused, as a whole or for one datasource, is not at a cut at its history's
        end: the base waits until the applier follows the log again.
        """
        checkpoint = await self._target.checkpoint()
        if checkpoint is None or checkpoint.paused or checkpoint.promoted:
            return False
        if checkpoint.log_id != await self._target.log_id():
            return False  # the target does not follow this log yet, or never will
        if not await self._archivist.base_is_due(checkpoint):
            return False
        cut = await self._target.history.find(ToOffset(offset=checkpoint.offset))
        await self._archivist.write_base(cut)
        return True


class HistoryMerger:
    """Merges the history of the log that a target follows, again and again.

    Args:
        target: Target whose history is merged.
        merger: Merges the history; None: this target's history stays as it was written.
        interval: Time between two looks.
    """

    def __init__(self, target: Target, *, merger: Merger | None, interval: LookInterval) -> None:
        self._target, self._merger, self._interval = target, merger, interval

    async def run(self, stop: asyncio.Event) -> None:
        """Merge at each interval until `stop` is set; a file that was started is finished."""
        what = f"merge the history of {self._target.name}"
        await self._interval.repeat(self._step, stop, what=what, observer=self._target.observer)

    async def _step(self) -> float | None:
        if self._merger is None or self._merger.is_stopped:
            return None
        return 0.0 if await self.merge() else self._interval.seconds

    async def merge(self) -> bool:
        """Merge some of what can be merged now; return whether there is more.

        A promoted target's store is left alone: its Druid writes there.

        Raises:
            TransientError: something is unreachable.
            NotFoundError: there is no log.
        """
        checkpoint = await self._target.checkpoint()
        if self._merger is None or checkpoint is None or checkpoint.promoted:
            return False
        return await self._merger.merge(checkpoint.log_id)
