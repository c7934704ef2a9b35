"""Intervals as Druid has them, and the stretches that can be compared on their own."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.interval import Interval, interval, stretches

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
    assert (found.start, found.end) == (None, None)
    assert str(found) == "-inf/+inf"
    assert found.overlaps(Interval(0, 1))


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-01-02", "2026-01-01", "is empty"),
        ("2026-01-01T00:00:00", "2026-01-02", "has no zone"),
        ("yesterday", "2026-01-02", "yesterday"),
    ],
)
def test_what_is_no_interval_is_refused(start: str, end: str, said: str):
    with pytest.raises(ValueError, match=said):
        interval(start, end)


def test_hours_of_a_day_are_one_stretch_and_days_are_their_own():
    hours = [Interval(n * HOUR, (n + 1) * HOUR) for n in (1, 2, 7, 23, 24, 30)]
    assert stretches(hours, shortest_ms=DAY) == [
        Interval(HOUR, DAY),
        Interval(DAY, 31 * HOUR),
    ]
    days = [Interval(0, DAY), Interval(DAY, 2 * DAY)]
    assert stretches(days, shortest_ms=DAY) == days


def test_a_month_over_days_is_one_stretch():
    month, day = Interval(0, 30 * DAY), Interval(DAY, 2 * DAY)
    assert stretches([day, month, Interval(30 * DAY, 31 * DAY)], shortest_ms=1) == [
        month,
        Interval(30 * DAY, 31 * DAY),
    ]


@given(st.lists(intervals), st.sampled_from([1, HOUR, DAY]))
def test_stretches_cover_every_interval_whole_and_do_not_overlap(
    found: list[Interval], shortest_ms: int
):
    parts = stretches(found, shortest_ms=shortest_ms)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(parts))
    for one in found:
        around = [part for part in parts if part.overlaps(one)]
        assert len(around) == 1
        assert around[0].start_ms <= one.start_ms
        assert one.end_ms <= around[0].end_ms
