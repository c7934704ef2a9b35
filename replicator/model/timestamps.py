"""Druid's timestamps: texts that sort as their times do, when they are written as it does."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9000
"""Earliest and latest year of a time that is reckoned with; Python cannot represent much later."""
_LAST_S: Final = datetime(LAST_YEAR, 1, 1, tzinfo=UTC).timestamp()
ISO_MS: Final = re.compile(
    r"[1-9]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z",
    re.ASCII,
)
"""UTC with milliseconds, as Druid writes every time."""


def iso_ms(time: datetime) -> str:
    """Return a time as Druid writes it: UTC with milliseconds, what is below cut off."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def at_seconds(since_1970: float) -> datetime:
    """Return a time that a file or a server gives as a number of seconds.

    One that cannot be reckoned with is the nearest that can: the owner of a file sets its time.
    """
    return datetime.fromtimestamp(min(max(since_1970, 0.0), _LAST_S), UTC)


def time_of(text: str | None) -> datetime | None:
    """Return the time that a row says, UTC; None where it says none that can be reckoned with.

    A row is its source's: it may say a time without a zone, or one at an end of the calendar, from
    which nothing can be taken and to which nothing can be added.
    """
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    is_one = found.tzinfo is not None and FIRST_YEAR <= found.year <= LAST_YEAR
    return found.astimezone(UTC) if is_one else None


def stamped(text: str, stamp: str) -> datetime | None:
    """Return the time in a file's name, UTC; None where it says none that can be reckoned with.

    A writer to a store can give files any name: a time of month 99 is no time.
    """
    try:
        found = datetime.strptime(text, stamp).replace(tzinfo=UTC)
    except ValueError:
        return None
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else None


def later(former: str | None, now: str) -> str:
    """Return max(now, former + 1 ms), where a former value that is no timestamp does not count.

    The day is added apart, so that no text that passes the pattern can fail to be a date.
    """
    if former is None or not ISO_MS.fullmatch(former) or former < now:
        return now
    first = datetime.fromisoformat(f"{former[:8]}01{former[10:]}")
    try:
        return iso_ms(first + timedelta(days=int(former[8:10]) - 1, milliseconds=1))
    except OverflowError:  # the last millisecond of year 9999
        return now
