"""How long rows of the canary take, whatever answers and whatever is missing in between."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from replicator.model.store.canary import (
    WAITING_MAX,
    CanaryTrack,
    canary_json,
    canary_of,
    percentile,
)

START = datetime(2026, 11, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_row_takes_from_its_answer_at_the_source_to_its_answer_at_the_target():
    track = CanaryTrack(lost_after=HOUR)
    track.source_shows(at(0), at(0))  # was there before: not awaited
    track.source_shows(at(100), at(105))
    assert track.target_shows(at(0), at(110)) == []
    assert track.waiting_s(at(110)) == 5
    track.source_shows(at(160), at(165))
    assert track.target_shows(at(160), at(170)) == [65, 5]
    assert track.waiting_s(at(170)) == 0
    assert (track.arrived, track.lost, track.last_arrival_at) == (2, 0, at(170))


def test_a_row_that_does_not_arrive_is_lost_once():
    track = CanaryTrack(lost_after=HOUR)
    track.source_shows(at(0), at(0))
    track.source_shows(at(10), at(10))
    assert track.target_shows(None, at(3600)) == []
    assert track.lost == 0
    assert track.target_shows(None, at(3611)) == []
    assert track.target_shows(None, at(9999)) == []
    assert track.lost == 1
    assert track.target_shows(at(10), at(9999)) == []  # late: it was counted as lost


def test_what_is_awaited_is_bounded():
    track = CanaryTrack(lost_after=timedelta(days=999))
    for second in range(WAITING_MAX + 11):
        track.source_shows(at(second), at(second))
    track.target_shows(None, at(WAITING_MAX + 11))
    assert track.lost == 10


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=60))
def test_each_row_arrives_or_is_awaited_or_is_lost(looks: list[tuple[int, int]]):
    track, shown, now = CanaryTrack(lost_after=timedelta(seconds=100)), list[datetime](), START
    for source, target in looks:
        now += timedelta(seconds=7)
        track.source_shows(at(source), now)
        if not shown or at(source) > shown[-1]:
            shown.append(at(source))
        took = track.target_shows(at(target), now)
        assert all(0 <= one <= 107 for one in took)
    assert track.arrived + track.lost + len(track._waiting) == max(0, len(shown) - 1)


def test_percentiles_are_those_of_rows_that_arrived():
    assert percentile([], 50) is None
    values = [float(one) for one in range(1, 101)]
    assert [percentile(values, percent) for percent in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 50) == 7


def test_a_summary_is_read_as_it_was_written():
    track = CanaryTrack(lost_after=HOUR)
    track.source_shows(at(0), at(0))
    track.source_shows(at(1), at(1))
    track.target_shows(at(1), at(4))
    summary = track.summary("canary", "standby", at(5))
    assert (summary.p50_s, summary.p99_s, summary.arrived) == (3, 3, 1)
    assert canary_of(canary_json(summary)) == summary
