"""The one sentence: could I restore now, to when, and is anything wrong? Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from replicator.model.event import Offset
from replicator.web.status_report import StatusReport


class OutlookLevel(StrEnum):
    """Severity of the answer."""

    GOOD = "good"
    """Something can be restored, and all promises are kept."""
    WARNING = "warning"
    """Something can be restored, and something is wrong."""
    BAD = "bad"
    """Nothing can be restored."""
    UNKNOWN = "unknown"
    """Unknown: nothing was looked at yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restorable:
    """The target whose store reaches furthest, and how far."""

    target: str
    first: datetime
    last: datetime
    last_offset: Offset
    holes: int
    """Number of holes between its windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The answer."""

    level: OutlookLevel
    best: Restorable | None
    """None: nothing can be restored, or it is not known."""
    wrong: int
    """Number of things that are wrong."""
    keeps_promises: bool


def outlook(report: StatusReport | None) -> Outlook:
    """Return the answer to the first question, by the last look."""
    if report is None:
        return Outlook(level=OutlookLevel.UNKNOWN, best=None, wrong=0, keeps_promises=False)
    best = _best(report)
    wrong, kept = len(report.wrong), report.seen.keeps_promises
    if best is None:
        answered = set(report.restorable) | set(report.seen.failures)
        missing = {one.target for one in report.seen.targets} - answered
        level = OutlookLevel.UNKNOWN if missing else OutlookLevel.BAD
    else:
        level = OutlookLevel.GOOD if kept and not wrong else OutlookLevel.WARNING
    return Outlook(level=level, best=best, wrong=wrong, keeps_promises=kept)


def _best(report: StatusReport) -> Restorable | None:
    found = [
        Restorable(
            target=name,
            first=one.windows[0].first.closed.source_time,
            last=one.windows[-1].last.closed.source_time,
            last_offset=one.windows[-1].last.offset,
            holes=len(one.windows) - 1,
        )
        for name, one in report.restorable.items()
        if one.windows
    ]
    return max(found, key=_reach, default=None)


def _reach(one: Restorable) -> tuple[datetime, int, float, str]:
    """Return the order of targets for the answer: newest cut, fewest holes, oldest cut."""
    return one.last, -one.holes, -one.first.timestamp(), one.target
