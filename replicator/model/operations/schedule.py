"""When a schedule is due: cron expressions in a time zone, with jitter and missed times.

On days when clocks change, cronsim follows Debian's cron: a fixed time that the day skips is due
right after the skipped hour, one that the day has twice is due once, and an hourly one is due every
real hour.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

FIELDS = 5
"""Number of fields of a cron expression: minute, hour, day, month, weekday."""
PAUSES = 60
"""Number of pauses compared; it includes years before a leap day."""
_START = datetime(2026, 1, 1, tzinfo=UTC)
MISSED_MAX = 1000
"""Highest number of missed times that is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times at which something is repeated."""

    cron: str
    time_zone: str
    jitter: timedelta
    """Longest delay of a run after its time, drawn from its name and that time."""
    late_max: timedelta
    """Age at which a run that could not begin is skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A time that has come."""

    at: datetime
    missed: int
    """Number of earlier times that were missed since the last run."""


def checked_cron(expression: str) -> str:
    """Return a cron expression of five fields.

    Raises:
        ValueError: the expression is invalid, or no time ever matches it.
    """
    if len(expression.split()) != FIELDS:
        raise ValueError("it has five fields, like `30 3 * * 1`: minute, hour, day, month, weekday")
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as exc:
        raise ValueError(f"it is no cron expression: {exc}") from exc
    return expression


def checked_zone(name: str) -> str:
    """Return the name of a time zone that this machine knows.

    Raises:
        ValueError: the machine does not know it.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write it like Europe/Berlin") from None
    return name


def next_due(timing: Timing, after: datetime) -> datetime:
    """Return the first matching time after another time, in UTC."""
    zone = ZoneInfo(timing.time_zone)
    return next(CronSim(timing.cron, after.astimezone(zone))).astimezone(UTC)


def longest_pause(timing: Timing) -> timedelta:
    """Return the longest time between two of the next `PAUSES` times."""
    before, longest = next_due(timing, _START), timedelta(0)
    for _ in range(PAUSES):
        following = next_due(timing, before)
        longest, before = max(longest, following - before), following
    return longest


def due(timing: Timing, *, last: datetime, now: datetime) -> Due | None:
    """Return the newest matching time after the last one that has come; None: there is none.

    Only the newest time is made up for: after a week without the program, one expiry is due instead
    of seven.
    """
    newest, missed = next_due(timing, last), 0
    if newest > now:
        return None
    while (following := next_due(timing, newest)) <= now:
        if missed == MISSED_MAX:
            return Due(at=_newest_before(timing, now), missed=missed)
        newest, missed = following, missed + 1
    return Due(at=newest, missed=missed)


def begins_at(timing: Timing, line: str, at: datetime) -> datetime:
    """Return the start of a time's run: the same for every process and after every restart.

    Args:
        timing: The schedule.
        line: Name of the repeated work; other names get another jitter.
        at: Time at which the run is due.
    """
    drawn = sha256(f"{line}/{at.timestamp():.0f}".encode()).digest()
    share = int.from_bytes(drawn[:8]) / 2**64
    return at + timing.jitter * share


def _newest_before(timing: Timing, now: datetime) -> datetime:
    zone = ZoneInfo(timing.time_zone)
    # now itself counts, but no time that only a fraction of a second would reach
    after = now.astimezone(zone).replace(microsecond=0) + timedelta(seconds=1)
    return next(CronSim(timing.cron, after, reverse=True)).astimezone(UTC)
