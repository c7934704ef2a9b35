"""Any number of cuts fits a screen, and nothing of them is lost in the sums."""

from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.checkpoint import Gap
from replicator.model.event import Offset
from replicator.page.lanes import Promised, TimeSpan, gap_spans, missed
from replicator.page.timeline import COLUMNS_MAX, at_offset, at_time, timeline
from replicator.services.inspection.chronicle import CutColumns, microseconds_of, time_of

BEGIN_US = microseconds_of(time_of(1_700_000_000_000_000))


def columns_of(steps_us: list[int], events: list[int] | None = None) -> CutColumns:
    times = BEGIN_US + np.cumsum(np.array(steps_us, np.int64))
    count = len(times)
    made = np.array(events if events is not None else [1] * count, np.int64)
    return CutColumns(
        offsets=np.arange(count, dtype=np.int64) * 3 + 2,
        numbers=np.arange(1, count + 1, dtype=np.int64),
        times_us=times,
        events=made,
        new_bytes=made * 100,
        lost=made % 2,
    )


steps = st.lists(st.integers(0, 100_000), min_size=1, max_size=60)


@given(steps=steps, columns_max=st.integers(1, 40), data=st.data())
def test_the_sums_of_the_columns_are_those_of_the_cuts(steps, columns_max, data):
    cuts = columns_of(steps)
    first, last = sorted(data.draw(st.tuples(st.integers(-5, 65), st.integers(-5, 65))))
    times = cuts.times_us
    begins = time_of(int(times[max(0, min(first, len(times) - 1))]))
    ends = time_of(int(times[max(0, min(last, len(times) - 1))]))
    found = timeline(cuts, begins=begins, ends=ends, columns_max=columns_max)
    inside = (times >= microseconds_of(begins)) & (times <= microseconds_of(ends))
    assert len(found.columns) <= columns_max
    assert found.cuts == sum(one.cuts for one in found.columns) == inside.sum()
    assert sum(one.events for one in found.columns) == cuts.events[inside].sum()
    assert sum(one.new_bytes for one in found.columns) == cuts.new_bytes[inside].sum()
    assert sum(one.lost for one in found.columns) == cuts.lost[inside].sum()
    starts = [one.begins for one in found.columns]
    assert starts == sorted(set(starts))
    assert all(begins <= one <= ends for one in starts)


minutes = st.lists(st.integers(0, 40), min_size=2, max_size=12, unique=True).map(sorted)


@given(edges=minutes, promise=st.tuples(st.integers(0, 40), st.integers(1, 40)))
def test_each_promised_moment_is_in_a_window_or_missed(edges, promise):
    """Minute by minute: what is missed is what is promised and in no window."""
    at = [time_of(BEGIN_US + 60_000_000 * minute) for minute in range(90)]
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    windows = [TimeSpan(begins=at[first], ends=at[last]) for first, last in pairs]
    begins, length = promise
    found = missed(windows, Promised(begins=at[begins], ends=at[begins + length]))
    told = {minute for minute in range(80) if any(w.begins <= at[minute] < w.ends for w in found)}
    kept = {minute for first, last in pairs for minute in range(first, last)}
    assert told == set(range(begins, begins + length)) - kept


def test_a_column_names_the_last_of_its_cuts():
    cuts = columns_of([0, 10, 10, 1000])
    found = timeline(cuts, begins=time_of(BEGIN_US), ends=time_of(BEGIN_US + 1020), columns_max=2)
    assert [(one.cuts, one.last_offset) for one in found.columns] == [(3, 8), (1, 11)]


def test_an_answer_never_has_more_columns_than_a_screen():
    cuts = columns_of([1] * 5_000)
    ends = time_of(BEGIN_US + 5_000)
    found = timeline(cuts, begins=time_of(BEGIN_US), ends=ends, columns_max=10**9)
    assert len(found.columns) <= COLUMNS_MAX
    assert timeline(cuts, begins=ends, ends=time_of(BEGIN_US), columns_max=9).columns == ()


def test_a_moment_is_the_last_cut_at_or_before_it():
    cuts = columns_of([0, 10, 10, 10], events=[1, 0, 2, 0])
    assert at_time(cuts, time_of(BEGIN_US - 1)) is None
    found = at_time(cuts, time_of(BEGIN_US + 25))
    assert found is not None
    assert (found.at.cut, found.at.offset, found.at.events) == (3, 8, 2)
    assert [one and one.cut for one in (found.before, found.after)] == [2, 4]
    assert [one and one.cut for one in (found.changed_before, found.changed_after)] == [1, None]
    assert at_offset(cuts, 1) is None
    exact = at_offset(cuts, 2)
    assert exact is not None
    assert (exact.at.cut, exact.before, exact.changed_before) == (1, None, None)


def gap(opened: int, closed: int | None) -> Gap:
    return Gap(
        key="a",
        datasource="a",
        reason="object_missing",
        detail="",
        opened=Offset(opened),
        closed=None if closed is None else Offset(closed),
    )


def test_gaps_that_a_screen_cannot_tell_apart_are_one_stretch():
    cuts = columns_of([0] + [1_000] * 99)
    until = time_of(int(cuts.times_us[-1]) + 1_000)
    found = gap_spans(
        [gap(2, 5), gap(3, 5), gap(62, 65), gap(290, None)], cuts, until=until, columns_max=50
    )
    assert [one.rows for one in found] == [2, 1, 1]
    assert found[0].begins == time_of(BEGIN_US)
    assert found[-1].ends == until, "one that is open reaches to the end"
    assert len(gap_spans([gap(2, 5)] * 10_000, cuts, until=until, columns_max=50)) == 1
    empty = columns_of([])
    assert gap_spans([gap(2, 5)], empty, until=until + timedelta(1), columns_max=50) == []
