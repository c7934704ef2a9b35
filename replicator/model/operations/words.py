"""Numbers, times and durations in people's notation, for the terminal and the page."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

LONGEST_S: Final = 100 * 365.25 * 86_400
"""A century: longer estimates mean nothing more."""


def moment(time: datetime) -> str:
    """Return a time to the second."""
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def whole_time(time: datetime) -> str:
    """Return a time that identifies its cut when it is typed again."""
    return time.isoformat().replace("+00:00", "Z")


def size_text(size_bytes: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < 1024:  # noqa: PLR2004 - the step between two units
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def duration_text(duration: timedelta) -> str:
    """Return a duration for people."""
    return seconds_text(duration.total_seconds())


def seconds_text(seconds: float) -> str:
    """Return a duration for people; an estimate may be longer than any `timedelta`."""
    if seconds >= LONGEST_S:
        return "more than a century"
    if abs(seconds) < 10:  # noqa: PLR2004 - tenths matter of a few seconds only
        return f"{seconds:.1f} s"
    if abs(seconds) < 120:  # noqa: PLR2004 - from two minutes on, minutes read better
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    if abs(hours) < 2:  # noqa: PLR2004 - and so on
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if abs(hours) < 48 else f"{hours / 24:.1f} days"  # noqa: PLR2004


def age_text(age: timedelta) -> str:
    """Return how long ago something was; two machines' clocks may differ a little."""
    return f"{duration_text(max(age, timedelta(0)))} ago"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural; the noun must be regular."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def enumerated(names: Iterable[str]) -> str:
    """Return names as a sentence lists them: "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def eta_text(seconds: float | None) -> str:
    """Return a duration by the measurements so far."""
    if seconds is None:
        return "how long is not known: nothing was measured here yet"
    return f"about {seconds_text(seconds)}" if seconds < LONGEST_S else seconds_text(seconds)
