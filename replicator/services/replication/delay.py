"""Decides which cuts a deliberately delayed target may have by now."""

from datetime import timedelta

from replicator.errors import GapError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import ClosedCut
from replicator.model.plans.restore_point import Latest, ToOffset, ToTime
from replicator.ports import Clock
from replicator.services.history.reader import History


class Delay:
    """Decides when a cut is due; without a delay every cut is."""

    def __init__(self, history: History, clock: Clock, delay: timedelta) -> None:
        self._history, self._clock, self._delay = history, clock, delay

    def is_due(self, cut: ClosedCut) -> bool:
        """Return whether a target may have this cut by now."""
        return not self._delay or cut.closed.source_time <= self._clock.now() - self._delay

    async def newest(self) -> ClosedCut | None:
        """Return the newest cut that is due; None if none is."""
        last = await self._history.find(Latest())
        if self.is_due(last):
            return last
        try:
            return await self._history.find(ToTime(time=self._clock.now() - self._delay))
        except GapError:
            return None

    async def start(self, after: Checkpoint | None) -> ClosedCut | None:
        """Return the cut that a target starts with; None if none is due yet.

        A restore can be ahead of the delay: the target then stays at its cut until the delay has
        passed.
        """
        due = await self.newest()
        if after is None or after.datasource is not None:
            return due
        if due is not None and due.offset >= after.offset:
            return due
        return await self._history.find(ToOffset(offset=after.offset))
