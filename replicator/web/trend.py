"""How far behind each target was, look by look: the last day, in memory."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SPAN: Final = timedelta(hours=24)
"""Older samples are forgotten."""
SAMPLES_MAX: Final = 20_000
"""Number of samples kept: a day's, with a look every 5 s."""
SHOWN_MAX: Final = 400
"""Points of one answer for each target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSample:
    """State of one target at one look."""

    lag_s: float | None
    """None: it has no cut yet."""
    pending_bytes: int | None
    """Unpacked size of what waits; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """The worst of the looks that one point represents."""

    at: datetime
    lag_s: float | None
    pending_bytes: int | None


class Trend:
    """Samples of all targets."""

    def __init__(self) -> None:
        self._samples = deque[tuple[datetime, Mapping[str, TargetSample]]](maxlen=SAMPLES_MAX)

    def add(self, at: datetime, samples: Mapping[str, TargetSample]) -> None:
        """Keep the samples of one look, and forget those older than a day."""
        self._samples.append((at, samples))
        while at - self._samples[0][0] > SPAN:
            self._samples.popleft()

    def points(self, target: str) -> Sequence[TrendPoint]:
        """Return a target's course: the worst look of each period."""
        found = [(at, one[target]) for at, one in self._samples if target in one]
        width = max(1, -(-len(found) // SHOWN_MAX))
        periods = [found[start : start + width] for start in range(0, len(found), width)]
        return [
            TrendPoint(
                at=period[-1][0],
                lag_s=max((one.lag_s for _, one in period if one.lag_s is not None), default=None),
                pending_bytes=max(
                    (one.pending_bytes for _, one in period if one.pending_bytes is not None),
                    default=None,
                ),
            )
            for period in periods
        ]
