"""When an applier tries its open gaps again, and how many at a time."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from replicator.model.checkpoint import Gap
from replicator.model.event import Offset
from replicator.services.target.gap_healer import may_heal

GAPS_PER_TRY_MAX = 100
"""Gaps that are tried between two looks for a new cut: new cuts do not wait for old gaps."""


class GapRetries:
    """Hands out the open gaps in small lots: all of them at the start, and once an interval.

    Args:
        interval: Time from one round to the next.
    """

    def __init__(self, interval: timedelta) -> None:
        self._interval_s = interval.total_seconds()
        self._next_s: float | None = None
        self._left = frozenset[Offset]()

    def begin(self, gaps: Iterable[Gap], now_s: float) -> None:
        """Start the first round with the gaps that a new applier has found; later calls do nothing.

        Those that it opens itself were tried just now.
        """
        if self._next_s is None:
            self._fill(gaps, now_s)

    def next(self, gaps: Iterable[Gap], now_s: float) -> Sequence[Gap]:
        """Return the gaps to try now, of those that are open; none if it is not time."""
        gaps = sorted(gaps, key=lambda gap: gap.opened)
        if self._next_s is None or now_s >= self._next_s:
            self._fill(gaps, now_s)
        return [gap for gap in gaps if gap.opened in self._left][:GAPS_PER_TRY_MAX]

    def tried(self, gaps: Iterable[Gap]) -> None:
        """Note that these gaps were tried in this round."""
        self._left -= {gap.opened for gap in gaps}

    def put_off(self) -> None:
        """End this round: nothing can be copied now."""
        self._left = frozenset()

    def _fill(self, gaps: Iterable[Gap], now_s: float) -> None:
        self._left = frozenset(gap.opened for gap in gaps if may_heal(gap))
        self._next_s = now_s + self._interval_s
