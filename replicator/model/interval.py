"""Druid's half-open intervals of time, in milliseconds since 1970, and what they cover together."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENDLESS_MS = 1 << 62
"""Druid's eternity ends in the year 146140482, which no calendar of ours reaches."""
_YEAR_DIGITS = 4


class Interval(NamedTuple):
    """From `start_ms` up to `end_ms`, which does not belong to it."""

    start_ms: int
    end_ms: int

    def overlaps(self, other: "Interval") -> bool:
        """Return whether some instant is in both."""
        return self.start_ms < other.end_ms and other.start_ms < self.end_ms

    @property
    def start(self) -> datetime | None:
        """Its first instant, None when it has no beginning."""
        return _datetime(self.start_ms)

    @property
    def end(self) -> datetime | None:
        """The instant after it, None when it has no end."""
        return _datetime(self.end_ms)

    def __str__(self) -> str:
        return f"{_text(self.start_ms)}/{_text(self.end_ms)}"


def interval(start: str, end: str) -> Interval:
    """Return the interval between two instants as Druid writes them; a date alone is in UTC.

    Raises:
        ValueError: one is no ISO-8601 instant, has a time without a zone, or nothing is between.
    """
    found = Interval(_ms(start), _ms(end))
    if not found.start_ms < found.end_ms:
        raise ValueError(f"the interval {start}/{end} is empty")
    return found


def stretches(intervals: Iterable[Interval], *, shortest_ms: int) -> list[Interval]:
    """Return what the intervals cover, ascending, in parts that no interval crosses.

    Parts that lie within one stretch of `shortest_ms`, counted from 1970, are one part; instants
    between them belong to it too.
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
    year = text.lstrip("+-").partition("-")[0]
    if text.startswith("-") or len(year) > _YEAR_DIGITS:
        return -_ENDLESS_MS if text.startswith("-") else _ENDLESS_MS
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        if "T" in text or " " in text:
            raise ValueError(f"the time {text} has no zone")
        found = found.replace(tzinfo=UTC)
    return (found - _EPOCH) // timedelta(milliseconds=1)


def _datetime(ms: int) -> datetime | None:
    return None if abs(ms) >= _ENDLESS_MS else _EPOCH + timedelta(milliseconds=ms)


def _text(ms: int) -> str:
    found = _datetime(ms)
    if found is None:
        return "-inf" if ms < 0 else "+inf"
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
