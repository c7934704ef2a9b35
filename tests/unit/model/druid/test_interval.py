"""Intervals as Druid has them, and the separate_parts that can be compared on their own."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.druid.interval import (
    ETERNITY,
    Interval,
    instant,
    interval,
    interval_or_eternity,
    separate_parts,
)

HOUR = 3_600_000
DAY = 24 * HOUR

intervals = st.builds(
    lambda start, length: Interval(start * HOUR, (start + length) * HOUR),
    st.integers(-60, 60),
    st.integers(1, 40),
)


def test_druids_texts_are_read_and_written():
    found = interval("2026-01-01T00:00:00.000Z", "2026-01-02")
    assert str(found) == "2026-01-01T00:00:00.000Z/2026-01-02T00:00:00.000Z"
    assert found.end_ms - found.start_ms == DAY
    assert interval("1969-12-31", "1970-01-01") == Interval(-DAY, 0)


def test_eternity_has_no_ends():
    found = interval("-146136543-09-08T08:23:32.096Z", "146140482-04-24T15:36:27.903Z")
    assert found == ETERNITY == Interval(-(1 << 62), (1 << 62) - 1), "JodaUtils.ETERNITY"
    assert not found.has_beginning
    assert not found.has_end
    assert str(found) == "-inf/+inf"
    assert found.overlaps(Interval(0, 1))


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0000-01-01T00:00:00.000Z", -62_167_219_200_000),
        ("0001-01-01T00:00:00.000Z", -62_135_596_800_000),
        ("-0044-03-15T12:00:00.000Z", -63_549_316_800_000),
        ("-146136543-09-08T08:23:32.097Z", -(1 << 62) + 1),
        ("10000-01-01T00:00:00.000Z", 253_402_300_800_000),
        ("55969-09-28T00:00:00.000Z", 1_704_067_200_000_000),
        ("146140482-04-24T15:36:27.902Z", (1 << 62) - 2),
    ],
)
def test_years_of_any_length_are_counted_as_joda_does(text: str, ms: int):
    assert interval(text, "146140482-04-24T15:36:27.903Z").start_ms == ms
    assert instant(ms) == text


def days_before(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 by the rule of the Gregorian calendar, counted and not looked up."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    months = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    past = year - 1
    days = 365 * past + past // 4 - past // 100 + past // 400
    return days + sum(months[: month - 1]) + day - 1 - 719_162


@given(
    st.integers(-146_136_542, 146_140_481),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(0, DAY - 1),
)
def test_every_year_of_druids_is_read_and_written(year: int, month: int, day: int, ms: int):
    time = f"{ms // HOUR:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
    text = f"{'-' if year < 0 else ''}{abs(year):04}-{month:02}-{day:02}T{time}Z"
    expected = days_before(year, month, day) * DAY + ms
    assert instant(expected) == text
    assert interval(text, instant(expected + 1)) == Interval(expected, expected + 1)


def test_what_cannot_be_told_is_all_of_time():
    assert interval_or_eternity("yesterday", "2026-01-02") == ETERNITY
    assert interval_or_eternity("2026-01-01", "2026-01-02").end_ms < ETERNITY.end_ms


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-01-02", "2026-01-01", "is empty"),
        ("2026-01-01T00:00:00", "2026-01-02", "has no zone"),
        ("yesterday", "2026-01-02", "yesterday"),
        ("²024-01-01", "2026-01-02", "is not a time"),
        ("12345-02-30", "12346-01-01", "12345-02-30"),
        ("9999999999-01-01", "2026-01-02", "is not a time"),
    ],
)
def test_what_is_no_interval_is_refused(start: str, end: str, said: str):
    with pytest.raises(ValueError, match=said):
        interval(start, end)


def test_hours_of_a_day_are_one_stretch_and_days_are_their_own():
    hours = [Interval(n * HOUR, (n + 1) * HOUR) for n in (1, 2, 7, 23, 24, 30)]
    assert separate_parts(hours, shortest_ms=DAY) == [
        Interval(HOUR, DAY),
        Interval(DAY, 31 * HOUR),
    ]
    days = [Interval(0, DAY), Interval(DAY, 2 * DAY)]
    assert separate_parts(days, shortest_ms=DAY) == days


def test_a_month_over_days_is_one_stretch():
    month, day = Interval(0, 30 * DAY), Interval(DAY, 2 * DAY)
    assert separate_parts([day, month, Interval(30 * DAY, 31 * DAY)], shortest_ms=1) == [
        month,
        Interval(30 * DAY, 31 * DAY),
    ]


@given(st.lists(intervals), st.sampled_from([1, HOUR, DAY]))
def test_stretches_cover_every_interval_whole_and_do_not_overlap(
    found: list[Interval], shortest_ms: int
):
    parts = separate_parts(found, shortest_ms=shortest_ms)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(parts))
    for one in found:
        around = [part for part in parts if part.overlaps(one)]
        assert len(around) == 1
        assert around[0].start_ms <= one.start_ms
        assert one.end_ms <= around[0].end_ms
