"""When a schedule is due: time zones, days that are an hour short or long, jitter, missed runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.operations.schedule import (
    MISSED_MAX,
    Timing,
    begins_at,
    checked_cron,
    checked_zone,
    due,
    next_due,
)

BERLIN = Timing(
    cron="30 2 * * *",
    time_zone="Europe/Berlin",
    jitter=timedelta(minutes=10),
    late_max=timedelta(hours=6),
)
SHORT_DAY = datetime(2026, 3, 29, tzinfo=UTC)
"""On this day Berlin's clocks go from 2:00 to 3:00."""
LONG_DAY = datetime(2026, 10, 25, tzinfo=UTC)
"""On this day they go from 3:00 to 2:00."""
moments = st.integers(0, 3 * 365 * 86_400)
times = moments.map(lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
crons = st.sampled_from(
    ["30 2 * * *", "*/7 * * * *", "0 0 29 2 *", "15 3 * * 1", "0 12 1 * *", "59 23 31 12 *"]
)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
)


def all_due(timing: Timing, start: datetime, days: int) -> list[datetime]:
    found, at = [], start
    while (at := next_due(timing, at)) < start + timedelta(days=days):
        found.append(at)
    return found


def test_a_time_is_that_of_its_zone_in_winter_and_in_summer():
    assert next_due(BERLIN, datetime(2026, 1, 5, tzinfo=UTC)) == datetime(
        2026, 1, 5, 1, 30, tzinfo=UTC
    )
    assert next_due(BERLIN, datetime(2026, 7, 5, tzinfo=UTC)) == datetime(
        2026, 7, 5, 0, 30, tzinfo=UTC
    )


def test_a_time_that_a_day_skips_is_due_right_after_the_skipped_hour():
    assert all_due(BERLIN, SHORT_DAY, 2) == [
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
    ]


def test_a_time_that_a_day_has_twice_is_due_once():
    assert all_due(BERLIN, LONG_DAY, 2) == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    ]


@pytest.mark.parametrize("day", [SHORT_DAY, LONG_DAY])
def test_what_is_due_each_hour_is_due_each_real_hour(day: datetime):
    found = all_due(replace(BERLIN, cron="15 * * * *"), day - timedelta(hours=6), 2)
    assert {later - sooner for sooner, later in pairwise(found)} == {timedelta(hours=1)}


@given(cron=crons, zone=zones, last=times)
def test_times_ascend_and_none_is_in_the_past(cron: str, zone: str, last: datetime):
    timing = replace(BERLIN, cron=cron, time_zone=zone)
    first = next_due(timing, last)
    assert last < first < next_due(timing, first)
    assert first.second == 0


@given(cron=crons, zone=zones, last=times, passed=st.timedeltas(timedelta(0), timedelta(days=40)))
def test_only_the_newest_missed_time_is_due(
    cron: str, zone: str, last: datetime, passed: timedelta
):
    timing, now = replace(BERLIN, cron=cron, time_zone=zone), last + passed
    found = due(timing, last=last, now=now)
    if found is None:
        assert next_due(timing, last) > now
        return
    assert last < found.at <= now < next_due(timing, found.at)
    assert 0 <= found.missed <= MISSED_MAX
    assert due(timing, last=found.at, now=now) is None


@pytest.mark.parametrize(("microseconds", "minute"), [(-1, 5), (-999_999, 5), (0, 12), (1, 12)])
def test_the_newest_of_very_many_missed_times_has_come(microseconds: int, minute: int):
    timing = replace(BERLIN, cron="*/7 * * * *", time_zone="Asia/Kolkata")
    at = datetime(2025, 1, 6, 2, 12, tzinfo=UTC)
    found = due(timing, last=at - timedelta(days=5), now=at + timedelta(microseconds=microseconds))
    assert found is not None
    assert (found.missed, found.at) == (MISSED_MAX, at.replace(minute=minute))


def test_missed_times_are_counted():
    found = due(BERLIN, last=SHORT_DAY, now=SHORT_DAY + timedelta(days=7))
    assert found is not None
    assert found.missed == 6


def test_a_program_that_was_off_for_years_is_not_slow_about_it():
    timing = replace(BERLIN, cron="* * * * *")
    found = due(timing, last=SHORT_DAY, now=SHORT_DAY + timedelta(days=4000, seconds=30))
    assert found is not None
    assert found.at == SHORT_DAY + timedelta(days=4000)
    assert found.missed == MISSED_MAX


@given(at=times, jitter=st.timedeltas(timedelta(0), timedelta(days=1)))
def test_jitter_is_the_same_for_all_processes_and_within_its_limit(at: datetime, jitter: timedelta):
    timing = replace(BERLIN, jitter=jitter)
    begins = begins_at(timing, "expire/standby", at)
    assert at <= begins <= at + jitter
    assert begins == begins_at(timing, "expire/standby", at)


def test_jitter_differs_from_line_to_line_and_from_day_to_day():
    begins = {begins_at(BERLIN, line, SHORT_DAY) for line in ("a", "b", "c")}
    begins |= {begins_at(BERLIN, "a", SHORT_DAY + timedelta(days=n)) for n in (1, 2)}
    assert (
        len({one - one.replace(hour=0, minute=0, second=0, microsecond=0) for one in begins}) == 5
    )


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "* * * * * *", "61 * * * *", "@daily", "0 0 30 2 *"]
)
def test_what_is_no_time_is_refused(cron: str):
    with pytest.raises(ValueError, match="it "):
        checked_cron(cron)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd"])
def test_what_is_no_zone_is_refused(zone: str):
    with pytest.raises(ValueError, match="time zone"):
        checked_zone(zone)
