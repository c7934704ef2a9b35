"""Limits the audit log's lines about requests that changed nothing."""

from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from secrets import token_hex
from typing import Final

from replicator.model.operations.words import counted
from replicator.ports import Clock
from replicator.services.records.deed_record import Deed

WINDOW: Final = timedelta(hours=1)
LINES_MAX: Final = 200
"""Number of lines per window: for one principal, and for all strangers together.

At 3 KB a line, a client that never stops fills the log's three files of 64 MiB in two weeks, and
each hour has a line that says so.
"""


@dataclass(slots=True)
class _Refusals:
    """Unsuccessful requests of one principal, or of all strangers, since the first one."""

    first: Deed
    lines: int = 0
    left_out: int = 0
    begun: int = 0
    """Number of requests that had a line before their outcome was known."""


class RefusalLimit:
    """Counts lines by principal; strangers count as one, as addresses cost nothing.

    Args:
        clock: Clock that ends windows.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], _Refusals] = {}

    def admits(self, deed: Deed) -> bool:
        """Record a deed; return whether it gets a line."""
        window = self._windows.setdefault((deed.who, deed.token), _Refusals(deed))
        if window.lines < LINES_MAX:
            window.lines += 1
            return True
        window.left_out += 1
        return False

    def began(self, deed: Deed) -> None:
        """Record a deed that had its lines and no effect."""
        self._windows.setdefault((deed.who, deed.token), _Refusals(deed)).begun += 1

    def left(self, who: str, token: str) -> timedelta | None:
        """Return how long a principal may begin nothing more; None: it may."""
        window = self._windows.get((who, token))
        if window is None or window.begun < LINES_MAX:
            return None
        left = window.first.at + WINDOW - self._clock.now()
        return left if left > timedelta(0) else None

    def left_out(self, *, at_end: bool) -> list[Deed]:
        """Return a line for each window that is over, or for all, and start them anew."""
        now = self._clock.now()
        over = {
            who: window
            for who, window in self._windows.items()
            if at_end or now - window.first.at >= WINDOW
        }
        for who in over:
            del self._windows[who]
        return [self._line(window) for window in over.values() if window.left_out]

    def _line(self, window: _Refusals) -> Deed:
        count, since = counted(window.left_out, "more request"), window.first.at.isoformat()
        return replace(
            window.first,
            id=token_hex(8),
            at=self._clock.now(),
            address="",
            operation="",
            method="",
            path="",
            status=HTTPStatus.TOO_MANY_REQUESTS.value,
            targets=(),
            job_id=None,
            request=None,
            why=f"{count} that changed nothing since {since}, without a line of their own",
        )
