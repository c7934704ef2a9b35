"""The canary: how long a row takes from its answer at the source to its answer at a standby."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from replicator.model.document import Name, Natural, NotNegative, Shape, Time, time_text, written

WAITING_MAX = 10_000
"""Number of rows awaited at once; of more rows, the oldest count as lost."""
REMEMBERED_MAX = 1_000
"""Number of arrivals from which percentiles are computed."""
PERCENTS = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySummary:
    """The canary's results for one target, as its store keeps them."""

    datasource: Name
    target: Name
    looked_at: Time
    arrived: Natural
    """Number of rows seen at the standby since the process began."""
    lost: Natural
    """Number of rows that did not arrive within `lost_after`."""
    waiting_s: NotNegative
    """Time for which the oldest missing row was awaited; 0: none is missing."""
    last_arrival_at: Time | None
    p50_s: NotNegative | None
    p95_s: NotNegative | None
    p99_s: NotNegative | None


@dataclass(slots=True, kw_only=True)
class CanaryTrack:
    """The rows seen at the source, and not yet at one target."""

    lost_after: timedelta
    _newest: datetime | None = None
    """Newest row that the source has shown; rows before the first look are not awaited."""
    _waiting: deque[tuple[datetime, datetime]] = field(default_factory=deque)
    """Time of each row, and when the source first showed it; both ascend."""
    _arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED_MAX))
    arrived: int = 0
    lost: int = 0
    last_arrival_at: datetime | None = None

    def source_shows(self, newest: datetime | None, now: datetime) -> None:
        """Await the source's newest row, if it is a new one."""
        if newest is None or (self._newest is not None and newest <= self._newest):
            return
        if self._newest is not None:
            self._waiting.append((newest, now))
        self._newest = newest

    def target_shows(self, newest: datetime | None, now: datetime) -> list[float]:
        """Return for each row that arrived since the last look how many seconds it took."""
        found = list[float]()
        while newest is not None and self._waiting and self._waiting[0][0] <= newest:
            _, since = self._waiting.popleft()
            found.append(max(0.0, (now - since).total_seconds()))
        while self._waiting and (
            now - self._waiting[0][1] > self.lost_after or len(self._waiting) > WAITING_MAX
        ):
            self._waiting.popleft()
            self.lost += 1
        if found:
            self.last_arrival_at = now
        self.arrived += len(found)
        self._arrivals.extend(found)
        return found

    def waiting_s(self, now: datetime) -> float:
        """Return how long the oldest missing row was awaited; 0: none is missing."""
        return max(0.0, (now - self._waiting[0][1]).total_seconds()) if self._waiting else 0.0

    def summary(self, datasource: str, target: str, now: datetime) -> CanarySummary:
        """Return the summary to be stored."""
        p50, p95, p99 = (percentile(self._arrivals, percent) for percent in PERCENTS)
        return CanarySummary(
            datasource=datasource,
            target=target,
            looked_at=now,
            arrived=self.arrived,
            lost=self.lost,
            waiting_s=self.waiting_s(now),
            last_arrival_at=self.last_arrival_at,
            p50_s=p50,
            p95_s=p95,
            p99_s=p99,
        )


def percentile(values: Sequence[float] | deque[float], percent: int) -> float | None:
    """Return the smallest value that a percentage of values does not exceed; None: no values."""
    ordered = sorted(values)
    return ordered[ceil(len(ordered) * percent / 100) - 1] if ordered else None


NAME = "canary/latest.json"
"""Name of the file in a target's store."""
_SHAPE = Shape(CanarySummary, "remove it: the next look writes it again")


def canary_json(summary: CanarySummary) -> bytes:
    """Return a summary as a document."""
    last = summary.last_arrival_at
    return written(
        {
            "datasource": summary.datasource,
            "target": summary.target,
            "looked_at": time_text(summary.looked_at),
            "arrived": summary.arrived,
            "lost": summary.lost,
            "waiting_s": summary.waiting_s,
            "last_arrival_at": None if last is None else time_text(last),
            "p50_s": summary.p50_s,
            "p95_s": summary.p95_s,
            "p99_s": summary.p99_s,
        }
    )


def canary_of(data: bytes) -> CanarySummary:
    """Return the summary that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _SHAPE.read(NAME, data)
