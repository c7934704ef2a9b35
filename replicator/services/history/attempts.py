"""The rule that an attempt counts only once it is closed; readers of a log decide by it alone."""

from replicator.model.event import CutClosed
from replicator.model.log.reading import Attempt


class OpenAttempt:
    """The attempt whose events were read last and whose cut is not closed yet.

    A watcher that dies in the middle of a cut leaves events without a closing record. The next
    watcher writes the same cut again under a later epoch, so whatever follows from another attempt
    says that the open one was given up: its events never counted and must be forgotten.
    """

    def __init__(self) -> None:
        self._attempt: Attempt | None = None

    @property
    def has_events(self) -> bool:
        """Whether there are events whose cut is not closed."""
        return self._attempt is not None

    def is_given_up_by(self, attempt: Attempt) -> bool:
        """Return whether events that are open belong to another attempt than this one."""
        return self._attempt not in {None, attempt}

    def read(self, attempt: Attempt) -> bool:
        """Take events of an attempt; return whether the open events before them are given up."""
        given_up = self.is_given_up_by(attempt)
        self._attempt = attempt
        return given_up

    def forget(self) -> None:
        """Start again without open events: they were closed or given up."""
        self._attempt = None


def attempt_of(closed: CutClosed) -> Attempt:
    """Return the attempt that a closing record closes."""
    return Attempt(closed.epoch, closed.cut)
