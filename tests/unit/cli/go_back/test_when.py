"""Moments as people write them."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from replicator.app import Application
from replicator.app.verbs.restoring import Place
from replicator.cli.go_back.when import Moment, moment_of, time_of
from replicator.errors import ConfigError

NOW = datetime(2026, 7, 1, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00 Europe/Berlin", datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("2026-01-31 12:00 UTC", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("05:59:30.5 UTC", datetime(2026, 7, 1, 5, 59, 30, 500_000, tzinfo=UTC)),
        ("05:59Z", datetime(2026, 7, 1, 5, 59, tzinfo=UTC)),
        ("07:59 Europe/Berlin", datetime(2026, 7, 1, 5, 59, tzinfo=UTC)),
        ("9:00 Europe/Berlin", datetime(2026, 6, 30, 7, 0, tzinfo=UTC)),
        ("23:00 UTC", datetime(2026, 6, 30, 23, 0, tzinfo=UTC)),
        ("10m ago", datetime(2026, 7, 1, 5, 50, tzinfo=UTC)),
        ("10 minutes ago", datetime(2026, 7, 1, 5, 50, tzinfo=UTC)),
        ("1 Hour ago", datetime(2026, 7, 1, 5, 0, tzinfo=UTC)),
        ("2 days ago", datetime(2026, 6, 29, 6, 0, tzinfo=UTC)),
    ],
)
def test_a_time_with_its_zone_is_that_time_and_one_of_day_the_last_that_was(
    text: str, meant: datetime
):
    assert time_of(text, NOW) == meant


def test_the_local_zone_is_that_of_the_machine():
    here = datetime(2026, 1, 31, 12).astimezone()
    assert time_of("2026-01-31T12:00:00 local", NOW) == here
    assert NOW - timedelta(days=1) < time_of("12:00 local", NOW) <= NOW


@pytest.mark.parametrize(
    "text",
    [
        "07:48",
        "2026-01-31T12:00:00",
        "12:00 Mars/Olympus",
        "25:00 UTC",
        "soon",
        "",
        "12:00Z UTC",
        "x y",
        "ago",
        " ago",
        "ten minutes ago",
        "10 months ago",
        "-5m ago",
    ],
)
def test_what_says_no_zone_or_no_time_is_refused(text: str):
    with pytest.raises(ConfigError):
        time_of(text, NOW)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("4711", Moment(to_offset=4711)),
        ("latest", Moment(latest=True)),
        ("before-drop", Moment(before_drop="orders")),
        ("10m ago", Moment(ago="10m")),
        ("07:48 local", Moment(to_time="07:48 local")),
        ("before-migration", Moment(to_point="before-migration")),
    ],
)
def test_rollback_reads_one_text(text: str, meant: Moment):
    assert moment_of(text, "orders") == meant


def test_a_bare_number_of_how_long_ago_is_asked_for_its_unit():
    with pytest.raises(ConfigError, match="'10' is not how long ago") as refused:
        time_of("10 ago", NOW)
    assert refused.value.hint == "say 10m for minutes"


async def test_no_moment_and_two_moments_are_each_said_to_be_so():
    """Before anything is asked: neither needs a log."""
    nothing, place = cast(Application, None), Place(target="standby", into="standby")
    with pytest.raises(ConfigError, match="no moment was said") as none:
        await Moment().point(nothing, place)
    with pytest.raises(ConfigError, match="--latest and --before-drop are 2 moments") as two:
        await Moment(latest=True, before_drop="wiki").point(nothing, place)
    assert none.value.hint == two.value.hint
    assert none.value.hint.startswith("say one of --latest")
