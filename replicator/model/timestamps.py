"""Druid's timestamps: texts that sort as their times do, when they are written as it does."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

ISO_MS: Final = re.compile(
    r"[1-9]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z",
    re.ASCII,
)
"""UTC with milliseconds, as Druid writes every time."""


def iso_ms(time: datetime) -> str:
    """Return a time as Druid writes it: UTC with milliseconds, what is below cut off."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
