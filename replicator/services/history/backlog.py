"""Reads which segments of the log one target does not have yet."""

from replicator.model.event import Offset
from replicator.model.log.backlog import Backlog
from replicator.services.history.reader import History

NOTHING = Offset(-1)
"""Offset of a target that has applied no cut."""


class BacklogReader:
    """Follows the log and a checkpoint; reads each record once, whichever of them moves."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._reached = self._read = NOTHING
        self.backlog = Backlog()

    async def read(self, reached: Offset, until: Offset, *, records_max: int | None = None) -> bool:
        """Bring the backlog up to `until`, for a target that has reached a cut.

        Returns False if that takes more than `records_max` records: the next call continues.

        Raises:
            GapError: the log was trimmed beyond what the target has reached.
            TransientError: the log is unreachable; the next call continues.
        """
        if reached < self._reached:  # a restore in place moved the target back
            self.backlog, self._read = Backlog(), NOTHING
        self._reached = reached
        self.backlog.reach(reached)
        self._read = at = max(self._read, reached)
        while self._read < until:
            if records_max is not None and self._read - at >= records_max:
                return False
            words, after = await self._history.segment_updates(Offset(self._read + 1), until)
            self.backlog.add(words)
            self._read = Offset(after - 1)
        return True
