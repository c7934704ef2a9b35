"""Writes bases of a target's cut, beside the applier that keeps the target up to date."""

import asyncio

from replicator.model.plans.restore_point import ToOffset
from replicator.services.running.loop import LookInterval
from replicator.services.store.archivist import Archivist
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
