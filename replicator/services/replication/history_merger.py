"""Merges small files of a target's history, beside the applier that writes them."""

import asyncio

from replicator.services.running.loop import LookInterval
from replicator.services.store.merger import Merger
from replicator.services.target.target import Target


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
