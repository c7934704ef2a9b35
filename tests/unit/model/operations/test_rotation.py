"""Which named points are kept: laws of every tier, over years of a schedule."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from replicator.model.operations.rotation import Period, Rotating, Tier, rotation

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TIERS = (
    Tier(each=Period.ALL, keep=7 * DAY),
    Tier(each=Period.DAY, keep=90 * DAY),
    Tier(each=Period.MONTH, keep=730 * DAY),
)
tiers = st.lists(
    st.builds(
        Tier, each=st.sampled_from(Period), keep=st.timedeltas(timedelta(0), timedelta(days=400))
    ),
    max_size=4,
)
moments = st.lists(st.integers(0, 800 * 24), max_size=60, unique=True)


def points(hours: Sequence[int]) -> list[Rotating]:
    return [Rotating(name=f"p{hour}", time=START + timedelta(hours=hour)) for hour in hours]


def times(found: Sequence[Rotating]) -> list[datetime]:
    return [point.time for point in found]


@given(hours=moments, tiers=tiers, late=st.integers(0, 100))
def test_every_point_is_kept_or_goes_and_the_newest_stays(
    hours: list[int], tiers: list[Tier], late: int
):
    made = points(hours)
    now = START + timedelta(hours=max(hours, default=0) + late)
    plan = rotation(made, tiers, now=now, retention=None)
    assert sorted(times((*plan.keep, *plan.remove))) == sorted(times(made))
    if made:
        assert max(times(made)) in times(plan.keep)
    assert plan.hold == ()


@given(hours=moments, tiers=tiers)
def test_rotating_again_changes_nothing(hours: list[int], tiers: list[Tier]):
    now = START + timedelta(hours=max(hours, default=0))
    once = rotation(points(hours), tiers, now=now, retention=None)
    again = rotation(once.keep, tiers, now=now, retention=None)
    assert (again.keep, again.remove) == (once.keep, ())


@given(hours=moments, tiers=tiers)
def test_what_is_younger_than_a_tier_of_all_is_never_removed(hours: list[int], tiers: list[Tier]):
    now = START + timedelta(hours=max(hours, default=0))
    plan = rotation(points(hours), [*tiers, TIERS[0]], now=now, retention=None)
    assert all(now - point.time > 7 * DAY for point in plan.remove)


@given(hours=moments, tiers=tiers, retention_days=st.integers(1, 400))
def test_what_outlives_the_retention_is_held_before_it_expires(
    hours: list[int], tiers: list[Tier], retention_days: int
):
    now, retention = START + timedelta(hours=max(hours, default=0)), retention_days * DAY
    plan = rotation(points(hours), tiers, now=now, retention=retention)
    assert {point.name for point in plan.hold} == {
        point.name for point in plan.keep if now - point.time > retention / 2
    }
    held = [replace(point, is_held=True) for point in plan.keep]
    assert rotation(held, tiers, now=now, retention=retention).hold == ()


def lived(days: int, *, each_hours: int, gap: range = range(0)) -> tuple[list[Rotating], datetime]:
    """Make a point every few hours and rotate each time, but on the days of a gap."""
    kept: list[Rotating] = []
    now = START
    for hour in range(0, days * 24, each_hours):
        now = START + timedelta(hours=hour)
        if hour // 24 in gap:
            continue
        kept = [*kept, *points([hour])]
        kept = list(rotation(kept, TIERS, now=now, retention=30 * DAY).keep)
    return kept, now


def test_after_two_years_there_are_all_of_a_week_days_of_three_months_and_months_of_two_years():
    kept, now = lived(2 * 365 + 40, each_hours=12)
    ages = [now - point.time for point in kept]
    assert sum(age <= 7 * DAY for age in ages) == 7 * 2 + 1
    days = {point.time.date() for point in kept if now - point.time <= 90 * DAY}
    assert len(days) == 90
    months = {(point.time.year, point.time.month) for point in kept}
    assert len(months) == 24
    assert max(ages) <= 730 * DAY
    assert len(kept) <= 7 * 2 + 1 + 90 + 24
    assert all(point.time.day == 1 for point in kept if now - point.time > 90 * DAY)


def test_a_schedule_that_stood_still_keeps_what_it_had():
    kept, now = lived(400, each_hours=24, gap=range(200, 260))
    days = {(point.time - START).days for point in kept}
    assert not days & set(range(200, 260))
    assert {(point.time.year, point.time.month) for point in kept} >= {(2026, 7), (2026, 10)}
    assert (now - START).days in days


def test_days_begin_where_the_operator_is():
    """Half past eleven in the evening in London is the next day in Berlin."""
    summer = datetime(2026, 7, 1, tzinfo=UTC)
    evening = [
        Rotating(name=str(hour), time=summer + timedelta(hours=hour, minutes=30))
        for hour in (20, 21, 22, 23)
    ]
    day = [Tier(each=Period.DAY, keep=90 * DAY)]
    now = summer + 3 * DAY
    assert times(rotation(evening, day, now=now, retention=None).keep)[:1] == times(evening[:1])
    berlin = rotation(evening, day, now=now, retention=None, time_zone="Europe/Berlin")
    assert times(berlin.keep)[:2] == times([evening[0], evening[2]])


def test_an_hour_that_a_day_has_twice_is_two_hours():
    night = datetime(2026, 10, 25, tzinfo=UTC)
    twice = [Rotating(name=str(n), time=night + timedelta(minutes=n)) for n in (0, 10, 60, 70)]
    hour = [Tier(each=Period.HOUR, keep=DAY)]
    now = night + timedelta(hours=2)
    plan = rotation(twice, hour, now=now, retention=None, time_zone="Europe/Berlin")
    assert [point.name for point in plan.keep] == ["0", "60", "70"]  # the newest stays in any case
