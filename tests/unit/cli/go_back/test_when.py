"""Moments as people write them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from replicator.app import Application
from replicator.app.verbs.restoring import Place
from replicator.cli.go_back.rollback import point_to
from replicator.cli.go_back.when import Moment, moment_of, time_of
from replicator.errors import ConfigError, NotFoundError
from replicator.model.operations.pulse import WATCH, Pulse, pulse_json
from replicator.model.plans.restore_point import Latest, ToTime
from replicator.services.monitoring.life import Ear, LifeSigns
from replicator.services.monitoring.status import LogStatus
from replicator.services.store.points import StorePoints
from tests.builders import segment
from tests.unit.pipeline import Pipeline

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
        ("7th-release", Moment(to_point="7th-release")),
        ("2026-01-31T12:00Z", Moment(to_time="2026-01-31T12:00Z")),
        ("2026-01-31", Moment(to_time="2026-01-31")),
        ("7:48", Moment(to_time="7:48")),
    ],
)
def test_rollback_reads_one_text(text: str, meant: Moment):
    assert moment_of(text, "orders") == meant


@pytest.mark.parametrize(
    ("name", "read_as"),
    [
        ("latest", "a word"),
        ("before-drop", "a word"),
        ("42", "an offset"),
        ("2026-01-31", "a time"),
        ("20260131T120000Z", "a time"),
    ],
)
async def test_a_name_that_could_never_be_chosen_is_refused(name: str, read_as: str):
    """`rollback --to latest` means the newest cut, whatever a point is called."""
    pipeline = Pipeline()
    pipeline.publish(segment("a"))
    await pipeline.cut()
    await pipeline.follow()
    with pytest.raises(ConfigError, match=f"reads it as {read_as}"):
        await pipeline.holds().create(name, Latest(), reason="it may fail", until=None)
    assert not await pipeline.points().holds()


def test_a_bare_number_of_how_long_ago_is_asked_for_its_unit():
    with pytest.raises(ConfigError, match="'10' is not how long ago") as refused:
        time_of("10 ago", NOW)
    assert refused.value.hint == "use 10m for minutes"


async def test_no_moment_and_two_moments_are_each_said_to_be_so():
    """Before anything is asked: neither needs a log."""
    nothing, place = cast(Application, None), Place(target="standby", into="standby")
    with pytest.raises(ConfigError, match="no restore point was given") as none:
        await Moment().point(nothing, place)
    with pytest.raises(ConfigError, match="--latest and --before-drop are 2 moments") as two:
        await Moment(latest=True, before_drop="wiki").point(nothing, place)
    assert none.value.hint == two.value.hint
    assert none.value.hint.startswith("use one of --latest")


class Opened:
    """What a moment asks of an application: the log, its heartbeats, and a target's store."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.clock = pipeline.clock
        self.history = pipeline.history()
        self.processes = SimpleNamespace(life=self.life)

    async def life(self, log: LogStatus | None) -> LifeSigns:
        return await Ear(self._pipeline.log, self.clock).life_signs([], log)

    def points(self, _: str) -> StorePoints:
        return self._pipeline.points()

    async def beat(self, **changed: Any) -> None:
        now = self.clock.now()
        every = timedelta(seconds=5)
        pulse = Pulse(verb="run", host="a", pid=7, since=now, seen_at=now, every=every)
        await self._pipeline.log.beat(WATCH, pulse_json(replace(pulse, **changed)))


async def test_a_moment_after_the_last_cut_is_that_cut_while_a_watcher_finds_no_change():
    """`--ago 1s`, of a source at rest; where nobody looks it stays a moment nobody knows of."""
    pipeline, place = Pipeline(), Place(target="standby", into="standby")
    pipeline.publish(segment("a"))
    await pipeline.cut()
    pipeline.clock.move(60)
    opened = Opened(pipeline)
    application = cast(Application, opened)
    asked = Moment(ago="1s")
    just_now = ToTime(time=opened.clock.now() - timedelta(seconds=1))
    assert await asked.point(application, place) == just_now, "nobody was ever heard"
    await opened.beat()
    assert await asked.point(application, place) == Latest()
    assert await moment_of("1s ago", "x").point(application, place) == Latest()
    before = ToTime(time=opened.clock.now() - timedelta(seconds=61))
    assert await Moment(ago="61s").point(application, place) == before
    alone = replace(place, from_store=True)
    assert await asked.point(application, alone) == just_now, "a store has no watcher"
    await opened.beat(waits="the source is away")
    assert await asked.point(application, place) == just_now
    await opened.beat()
    pipeline.clock.move(60)
    assert isinstance(await asked.point(application, place), ToTime), "it is silent now"


async def test_a_misspelt_name_is_answered_with_the_one_that_was_meant():
    pipeline, place = Pipeline(), Place(target="standby", into="standby")
    pipeline.publish(segment("a"))
    await pipeline.cut()
    await pipeline.follow()
    await pipeline.holds().create("before-migration", Latest(), reason="it may fail", until=None)
    application = cast(Application, Opened(pipeline))
    for name, meant in (
        ("before-dorp", "`--to before-drop`"),
        ("lastest", "`--to latest`"),
        ("before-migraton", "'before-migration'"),
    ):
        with pytest.raises(NotFoundError, match=f"no point '{name}'") as refused:
            await point_to(application, moment_of(name, "wiki"), place)
        assert f"did you mean {meant}?" in refused.value.hint, name
    with pytest.raises(NotFoundError) as gone:
        await pipeline.holds().remove("befor-migration")
    assert "did you mean 'before-migration'?" in gone.value.hint
    with pytest.raises(NotFoundError) as far:
        await point_to(application, moment_of("xyz", "wiki"), place)
    assert far.value.hint == "`replicator points` lists those that there are"
