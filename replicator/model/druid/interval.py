"""Druid's half-open intervals of time, in milliseconds since 1970, and their union.

Years are those of Joda's ISO calendar, which Druid uses: Gregorian also before 1582, with a year 0,
negative years before it, and years of more than four digits.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
FIRST_MS: Final = -(1 << 62)
"""Druid's eternity begins in the year -146136543 (JodaUtils.MIN_INSTANT)."""
LAST_MS: Final = (1 << 62) - 1
"""End of eternity in Druid, in the year 146140482 (JodaUtils.MAX_INSTANT)."""
_CYCLE_YEARS: Final = 400
_CYCLE_MS: Final = 146_097 * 86_400_000
"""Length of the calendar's cycle of 400 years, leap years included."""
_PROXY_YEAR: Final = 2000
"""First of those 400 years by which Python's own calendar reads and writes any other year."""
_YEAR = re.compile(r"([+-]?[0-9]{4,9})(?=-)")


class Interval(NamedTuple):
    """Time from `start_ms`, inclusive, to `end_ms`, exclusive."""

    start_ms: int
    end_ms: int

    def overlaps(self, other: "Interval") -> bool:
        """Return whether both intervals have an instant in common."""
        return self.start_ms < other.end_ms and other.start_ms < self.end_ms

    @property
    def has_beginning(self) -> bool:
        """Whether the interval has a beginning."""
        return self.start_ms > FIRST_MS

    @property
    def has_end(self) -> bool:
        """Whether the interval has an end."""
        return self.end_ms < LAST_MS

    def __str__(self) -> str:
        start = instant(self.start_ms) if self.has_beginning else "-inf"
        return f"{start}/{instant(self.end_ms) if self.has_end else '+inf'}"


ETERNITY = Interval(FIRST_MS, LAST_MS)


@lru_cache(maxsize=4096)  # segments share their intervals: partitions, datasources, versions
def interval(start: str, end: str) -> Interval:
    """Return the interval between two instants as Druid writes them; a date alone is in UTC.

    Raises:
        ValueError: an instant is not ISO 8601 or has a time without a zone, or the interval is
            empty.
    """
    found = Interval(_ms(start), _ms(end))
    if not found.start_ms < found.end_ms:
        raise ValueError(f"the interval {start}/{end} is empty")
    return found


def interval_or_eternity(start: str, end: str) -> Interval:
    """Return the interval between two instants; all of time if one of them cannot be read.

    A segment whose interval cannot be read overlaps every interval, so that no check skips it.
    """
    try:
        return interval(start, end)
    except ValueError:
        return ETERNITY


def instant(ms: int) -> str:
    """Return an instant as Druid writes it."""
    cycles = (ms - _ms_of(datetime(_PROXY_YEAR, 1, 1, tzinfo=UTC))) // _CYCLE_MS
    proxy = _EPOCH + timedelta(milliseconds=ms - cycles * _CYCLE_MS)
    year = proxy.year + cycles * _CYCLE_YEARS
    text = proxy.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{'-' if year < 0 else ''}{abs(year):04}{text[4:]}"


def separate_parts(intervals: Iterable[Interval], *, shortest_ms: int) -> list[Interval]:
    """Return the union of the intervals, ascending, in parts whose ends no interval crosses.

    Parts within one period of `shortest_ms`, counted from 1970, are merged, together with the
    instants between them.
    """
    found: list[Interval] = []
    for one in sorted(set(intervals)):
        if found and (one.start_ms < found[-1].end_ms or _are_near(found[-1], one, shortest_ms)):
            found[-1] = Interval(found[-1].start_ms, max(found[-1].end_ms, one.end_ms))
        else:
            found.append(one)
    return found


def _are_near(first: Interval, second: Interval, shortest_ms: int) -> bool:
    return second.end_ms <= (first.start_ms // shortest_ms + 1) * shortest_ms


def _ms(text: str) -> int:
    found, cycles = text, 0
    if (written := _YEAR.match(text)) is not None:
        cycles, place = divmod(int(written[1]) - _PROXY_YEAR, _CYCLE_YEARS)
        found = f"{_PROXY_YEAR + place}{text[written.end() :]}"
    try:
        time = datetime.fromisoformat(found)
    except ValueError as exc:
        raise ValueError(f"{text!r} is not a time like 2026-01-31T12:00:00Z") from exc
    if time.tzinfo is None:
        if "T" in text or " " in text:
            raise ValueError(f"the time {text} has no zone")
        time = time.replace(tzinfo=UTC)
    return min(max(_ms_of(time) + cycles * _CYCLE_MS, FIRST_MS), LAST_MS)


def _ms_of(time: datetime) -> int:
    return (time - _EPOCH) // _MS
