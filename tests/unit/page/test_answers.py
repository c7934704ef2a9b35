"""What the page shows is what `status`, `points` and `drill list` say."""

import asyncio
from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from replicator.errors import NotFoundError, TransientError
from replicator.model.row import Segment
from replicator.model.store.drill import evidence_json
from replicator.page.answers import (
    accidents_json,
    drills_json,
    moment_json,
    overview_json,
    timeline_json,
    trend_json,
)
from replicator.page.outlook import OutlookLevel, outlook
from replicator.services.inspection.happenings import happenings
from replicator.services.monitoring.poller import Failure
from replicator.services.monitoring.trouble import troubles
from replicator.web.status_report import report_json
from replicator.web.trend import SAMPLES_MAX, SHOWN_MAX, TargetSample, Trend
from tests.page.made_up import MadeUp, broken, canary, made_up
from tests.page.made_up_log import HOSTILE, NOW

CUTS, DATASOURCES = 600, 7


@pytest.fixture(scope="module")
def made() -> MadeUp:
    return asyncio.run(made_up(cuts=CUTS, datasources=DATASOURCES))


async def test_the_overview_has_the_words_of_status(made: MadeUp):
    found = overview_json(made.panorama, None)
    report = made.panorama.report
    assert report is not None
    expected = report_json(report, lambda one: f"replicator {one.remedy}" if one.remedy else "")
    assert found["status"] == expected
    *wrong, bad_run = [one["what"] for one in expected["wrong"]]
    assert wrong == [one.what for one in troubles(report.seen)]
    assert bad_run.startswith("the schedule weekly-drill (drill) of vault was bad ")
    assert [one["target"] for one in expected["restorable"]] == ["standby", "vault"]
    scheduled = {one["schedule"]: one["last"]["state"] for one in expected["schedules"]}
    assert scheduled == {"nightly-proof": "good", "weekly-drill": "bad"}


async def test_the_datasources_are_those_of_the_last_cut(made: MadeUp):
    found = {one["datasource"]: one for one in overview_json(made.panorama, None)["datasources"]}
    rows = dict[str, tuple[Segment, bool]]()
    for cut in range(1, CUTS + 1):
        rows |= {row.id: (row, row.used) for row, _ in made.log.rows(cut)}
    for name in made.log.names:
        segments = [used for row, used in rows.values() if row.datasource == name]
        assert found[name]["segments"] == sum(segments)
        assert found[name]["unused_segments"] == len(segments) - sum(segments)
    assert len(found) == DATASOURCES
    assert found[HOSTILE]["kill_margins"] == {"vault": 30 * 3600}


async def test_a_moment_says_what_happened_and_who_restores_it(made: MadeUp):
    last = made.log.closed(CUTS)
    told = await happenings(made.history, limit=CUTS, observer=lambda _: None)
    one = told[-1]
    found = moment_json(made.panorama, None, time=None, offset=one.cut.offset + 1)
    assert (found["at"]["offset"], found["what"]) == (one.cut.offset, one.words)
    newest = moment_json(made.panorama, None, time=None, offset=None)
    assert newest["at"]["offset"] == last.offset
    assert [one["restorable"] for one in newest["targets"]] == [True, True]
    hole = made.log.closed(CUTS // 3 + 2)
    within = moment_json(made.panorama, None, time=hole.closed.source_time, offset=None)
    assert {one["target"]: one["restorable"] for one in within["targets"]} == {
        "standby": True,
        "vault": False,
    }
    gap = made.log.closed(CUTS * 2 // 3 + 1)
    with_gaps = moment_json(made.panorama, None, time=None, offset=gap.offset)
    assert {one["target"]: one["gaps"] for one in with_gaps["targets"]}["vault"] == 12
    with pytest.raises(NotFoundError):
        moment_json(made.panorama, None, time=NOW - timedelta(days=999), offset=None)


async def test_lanes_have_windows_marks_and_drills(made: MadeUp):
    found = timeline_json(made.panorama, None, begins=None, ends=None, columns_max=50)
    lanes = {one["target"]: one for one in found["lanes"]}
    assert [len(lanes[name]["windows"]) for name in ("standby", "vault")] == [1, 2]
    marks = {one["name"]: one for one in lanes["standby"]["marks"]}
    assert (marks["audit-2026"]["kind"], marks["release-42"]["kind"]) == ("hold", "point")
    assert (marks["too-old"]["expired"], marks["release-42"]["expired"]) == (True, False)
    assert [one["good"] for one in lanes["vault"]["drills"]] == [True, True, False]
    rpo, retention = timedelta(minutes=2), timedelta(days=28)
    assert lanes["standby"]["promised"] == {"begins": NOW - retention, "ends": NOW - rpo}
    assert lanes["vault"]["promised"] == {"begins": None, "ends": NOW - rpo}
    assert (found["cuts"], found["cuts_between"]) == (CUTS, CUTS)
    assert sum(one["rows"] for one in lanes["vault"]["gaps"]) == 13


async def test_what_is_promised_and_not_restorable_is_missed(made: MadeUp):
    found = timeline_json(made.panorama, None, begins=None, ends=None, columns_max=50)
    lanes = {one["target"]: one for one in found["lanes"]}
    time, promised = made.log.time, NOW - timedelta(minutes=2)
    hole = CUTS // 3
    assert lanes["vault"]["missed"] == [
        {"begins": time(1), "ends": time(CUTS // 10)},
        {"begins": time(hole), "ends": time(hole + CUTS // 25)},
    ]
    assert lanes["standby"]["missed"] == [{"begins": time(1), "ends": time(CUTS // 20)}]
    assert time(CUTS) > promised


async def test_the_canary_is_in_status(made: MadeUp):
    status = overview_json(made.panorama, None)["status"]
    assert status["canaries"] == [asdict(canary("standby"))]
    assert overview_json(made.panorama, {"vault"})["status"]["canaries"] == []


async def test_accidents_are_the_newest_first_each_with_the_cut_before(made: MadeUp):
    log = made.log
    found = accidents_json(made.panorama, datasource=None, harm=False)["happenings"]
    assert found
    assert [one["offset"] for one in found] == sorted(
        (one["offset"] for one in found), reverse=True
    )
    for one in found:
        assert one["before_offset"] == log.closed(one["cut"] - 1).offset
    harmed = accidents_json(made.panorama, datasource=None, harm=True)["happenings"]
    assert all(one["lost_segments"] > 0 for one in harmed)
    assert accidents_json(made.panorama, datasource="nothing", harm=True)["happenings"] == []


async def test_drills_are_as_they_are_listed(made: MadeUp):
    notes = made.panorama.notes("vault")
    assert notes is not None
    found = drills_json(made.panorama, {"vault"})["drills"]
    assert found == [evidence_json(one) for one in notes.drills]


async def test_who_may_see_one_target_sees_that_alone(made: MadeUp):
    found = overview_json(made.panorama, {"standby"})
    status = found["status"]
    assert [one["target"] for one in status["targets"]] == ["standby"]
    assert [one["target"] for one in status["running"]["appliers"]] == ["standby"]
    assert [one["target"] for one in status["restorable"]] == ["standby"]
    assert [one["schedule"] for one in status["schedules"]] == ["nightly-proof"]
    assert status["webhooks"] == [], "as /v1/notifications says"
    assert not any("vault" in one["what"] for one in status["wrong"])
    assert (found["datasources"], found["datasource_count"]) == ([], 0)
    assert [one["target"] for one in found["stores"]] == ["standby"]
    assert status["log"]["records"] is None
    assert status["log"]["last_cut_offset"] is not None, "a moment is chosen by it"
    timeline = timeline_json(made.panorama, {"standby"}, begins=None, ends=None, columns_max=5)
    counts = [(one["events"], one["new_bytes"], one["lost"]) for one in timeline["columns"]]
    assert {*counts} <= {(0, 0, 0), (1, 0, 0)}
    whole = timeline_json(made.panorama, None, begins=None, ends=None, columns_max=5)
    assert max(one["events"] for one in whole["columns"]) > 1
    moment = moment_json(made.panorama, {"standby"}, time=None, offset=None)
    near = [moment[name] for name in ("at", "before", "after", "changed_before", "changed_after")]
    assert all((one["new_bytes"], one["lost"]) == (0, 0) for one in near if one)
    assert [one["target"] for one in timeline["lanes"]] == ["standby"]
    assert moment_json(made.panorama, {"standby"}, time=None, offset=None)["what"] == ""
    trend = trend_json(made.panorama, {"standby"})
    assert [one["target"] for one in trend["targets"]] == ["standby"]


async def test_the_answer_is_yes_with_what_is_wrong(made: MadeUp):
    found = outlook(made.panorama.report)
    assert found.best is not None
    assert (found.level, found.best.target) == (OutlookLevel.WARNING, "standby")
    assert found.best.last_offset == made.log.closed(CUTS).offset


async def test_the_answer_is_good_where_all_is_kept(made: MadeUp):
    report = made.panorama.report
    assert report is not None
    found = outlook(report.of({"standby"}))
    assert (found.level, found.wrong, found.keeps_promises) == (OutlookLevel.GOOD, 0, True)


async def test_the_answer_is_no_only_where_nothing_can_be_restored(made: MadeUp):
    report = made.panorama.report
    assert report is not None
    nothing = replace(
        report,
        restorable={name: replace(one, windows=()) for name, one in report.restorable.items()},
    )
    assert outlook(nothing).level is OutlookLevel.BAD
    assert outlook(replace(report, restorable={})).level is OutlookLevel.UNKNOWN, "not read yet"
    assert outlook(None).level is OutlookLevel.UNKNOWN


async def test_what_cannot_be_reached_hides_nothing_else():
    made = await made_up(cuts=20, datasources=2)
    away = TransientError("vault-db: connect: nobody is there", hint="look after it")
    broken(made.panorama, Failure(since=NOW, error=away))
    found = overview_json(made.panorama, None)
    assert [one["what"] for one in found["status"]["failures"]] == ["target vault"]
    assert [one["target"] for one in found["status"]["targets"]] == ["standby"]
    assert found["outlook"]["best"]["target"] == "standby"


def test_a_course_keeps_the_worst_of_each_stretch_and_no_more_than_a_day():
    trend = Trend()
    for number in range(3 * SHOWN_MAX):
        lag_s = 500.0 if number == 700 else 1.0
        at = NOW + timedelta(seconds=number)
        trend.add(at, {"standby": TargetSample(lag_s=lag_s, pending_bytes=None)})
    points = trend.points("standby")
    assert len(points) <= SHOWN_MAX
    assert max(one.lag_s or 0 for one in points) == 500.0
    trend.add(NOW + timedelta(days=2), {"standby": TargetSample(lag_s=2.0, pending_bytes=3)})
    assert [one.lag_s for one in trend.points("standby")] == [2.0]
    assert trend.points("other") == []
    assert SAMPLES_MAX > 24 * 3600 / 15
