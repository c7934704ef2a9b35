"""The alerts and the dashboard of `deploy/`: each alert fires when what it watches is broken.

What they read is scraped from a pipeline in memory; Prometheus' own program judges it.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from replicator.errors import TransientError
from replicator.model.checkpoint import Gap
from replicator.model.event import Offset
from replicator.model.observation import (
    CanaryArrived,
    CanarySeen,
    DrillEnded,
    GapOpened,
    NotificationsQueued,
    ScheduledRunEnded,
    ScheduleSeen,
    StreamObservation,
    VersionsMissed,
)
from replicator.model.observed.faults import ArchiveDamaged, Halted, Waiting, WentOn
from replicator.model.operations.scheduled_run import RunRecord, RunState
from replicator.model.store.proof import proof_json
from replicator.services.records.drill_record import DrillRecord
from tests.builders import segment
from tests.servers import fetching
from tests.servers.desk import on_a_desk_only
from tests.servers.prometheus import Promtool, Scraped
from tests.unit.services.drills.test_drills import made
from tests.unit.services.monitoring.test_status import unused
from tests.unit.services.replication.test_commit_follower import (
    RETAINED_MAX,
    Followed,
    following,
    mark,
)
from tests.unit.services.verification.test_proof import PROOF
from tests.unit.web.test_web import Client, Monitored

pytestmark = pytest.mark.real
PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
RULES = DEPLOY / "prometheus" / "replicator-alerts.yml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
METRIC = re.compile(r"\breplicator_\w+")
COUNTED = ("_bucket", "_count", "_sum")


@pytest.fixture(scope="session")
def program() -> Path:
    with on_a_desk_only():
        return fetching.promtool()


@pytest.fixture
def promtool(program: Path, tmp_path: Path) -> Promtool:
    return Promtool(program, RULES, tmp_path)


class Watched:
    """A pipeline that is scraped; its clock goes on by as long as a scrape is repeated."""

    def __init__(self, client: Client, monitored: Monitored) -> None:
        self.client, self.monitored = client, monitored
        self.clock = monitored.pipeline.clock
        self.observe = monitored.metrics.observer("standby", lambda _: None)
        self.watcher = monitored.metrics.observer(None, lambda _: None)
        self.scrapes: list[Scraped] = []
        self.published = 0
        self.watcher(
            ScheduleSeen(schedule="nightly", target="standby", next_due=RUN_AT, last_good=None)
        )

    async def works(self, *, looks: bool = True, polls: bool = True) -> None:
        """One minute in which all goes well, but for what is left out."""
        pipeline = self.monitored.pipeline
        self.published += 1
        if polls:
            pipeline.publish(segment(f"d{self.published}"))
            await pipeline.cut(move_s=0)
            await pipeline.follow()
        if looks:
            await self.monitored.poller.look()
        await self.scrape()

    async def scrape(self, minutes: int = 1) -> None:
        text = await self.client.text("/metrics")
        at_s = self.clock.now().timestamp()
        self.scrapes.append(Scraped(text=text, at_s=at_s, minutes=minutes))
        self.clock.move(60 * minutes)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    monitored = Monitored()
    async with monitored.served() as client:
        found = Watched(client, monitored)
        for _ in range(3):
            await found.works()
        yield found


async def test_nothing_fires_while_all_is_well(watched: Watched, promtool: Promtool):
    for _ in range(12):
        await watched.works()
    assert promtool.firing(watched.scrapes) == set()


GAP = Gap(key="a", datasource="wiki", reason="object_missing", detail="", opened=7)  # type: ignore[arg-type]
RUN_AT = datetime(2026, 11, 30, 3, tzinfo=UTC)
BAD_RUN = RunRecord(
    schedule="nightly",
    target="standby",
    due=RUN_AT,
    attempt=1,
    state=RunState.BAD,
    started_at=RUN_AT,
    lease_until=RUN_AT,
)
COUNTED_FAULTS: dict[str, Callable[[Watched], None]] = {
    "ReplicatorRowVersionsMissed": lambda w: w.watcher(VersionsMissed(rows=3)),
    "ReplicatorGap": lambda w: w.observe(GapOpened(gap=GAP)),
    "ReplicatorScheduleFailed": lambda w: w.watcher(
        ScheduledRunEnded(kind="expire", record=BAD_RUN)
    ),
    "ReplicatorHistoryDamaged": lambda w: w.observe(ArchiveDamaged(reason="a file is gone")),
}


@pytest.mark.parametrize("alert", COUNTED_FAULTS)
async def test_what_happens_once_fires(watched: Watched, promtool: Promtool, alert: str):
    COUNTED_FAULTS[alert](watched)
    for _ in range(3):
        await watched.works()
    assert promtool.firing(watched.scrapes) == {alert}


async def test_a_failed_drill_fires_until_a_good_one(watched: Watched, promtool: Promtool):
    """Whoever ran it: the store's newest drill says so."""
    drills = DrillRecord(watched.monitored.area)
    await drills.keep(made(failure="the disk is full"))
    for _ in range(2):
        await watched.works()
    assert promtool.firing(watched.scrapes) == {"ReplicatorDrillFailed"}
    await drills.keep(made(days=1))
    await watched.works()
    assert promtool.firing(watched.scrapes) == set()


async def test_a_source_that_does_not_answer_fires_and_breaks_the_promise(
    watched: Watched, promtool: Promtool
):
    for _ in range(8):
        await watched.works(polls=False)
    assert promtool.firing(watched.scrapes) == {"ReplicatorSourceSilent", "ReplicatorPromiseBroken"}


async def test_a_target_that_cannot_be_looked_at_fires(watched: Watched, promtool: Promtool):
    watched.monitored.target.away = True
    for _ in range(9):
        watched.monitored.pipeline.publish(segment(f"x{len(watched.scrapes)}"))
        await watched.monitored.pipeline.cut(move_s=0)
        await watched.monitored.poller.look()
        await watched.scrape()
    assert promtool.firing(watched.scrapes) == {"ReplicatorDown"}


async def test_a_process_that_is_gone_fires(watched: Watched, promtool: Promtool):
    watched.scrapes.append(Scraped(text="", at_s=watched.clock.now().timestamp(), minutes=9))
    assert promtool.firing(watched.scrapes) == {"ReplicatorDown"}


async def test_bytes_that_a_kill_could_take_fire(watched: Watched, promtool: Promtool):
    pipeline = watched.monitored.pipeline
    for _ in range(8):
        watched.published += 1
        row = unused(f"d{watched.published}", watched.clock.now() - timedelta(days=28))
        pipeline.publish(row)
        await pipeline.cut(move_s=0)
        await watched.monitored.poller.look()
        await watched.scrape()
    assert "ReplicatorKillIsNear" in promtool.firing(watched.scrapes)


async def test_a_target_that_no_process_writes_fires(promtool: Promtool):
    monitored = Monitored()
    async with monitored.served() as client:
        watched = Watched(client, monitored)
        await watched.scrape(minutes=5)
        assert promtool.firing(watched.scrapes) == set()
        await watched.scrape(minutes=8)
        assert promtool.firing(watched.scrapes) == {"ReplicatorTargetWithoutWriter"}


async def test_failures_that_do_not_pass_fire(watched: Watched, promtool: Promtool):
    for _ in range(40):
        for _ in range(5):
            watched.observe(Waiting(what="copy", reason="503", delay_s=1))
        await watched.works()
    assert promtool.firing(watched.scrapes) == {"ReplicatorRetries"}


async def test_a_target_that_an_error_has_halted_fires(watched: Watched, promtool: Promtool):
    what = "write a base of standby"
    watched.observe(Halted(what=what, reason="altered", hint="", exit_code=9, retry_s=60))
    for _ in range(3):
        await watched.works()
    assert promtool.firing(watched.scrapes) == {"ReplicatorTargetHalted"}
    watched.observe(WentOn(what=what))
    await watched.works()
    assert promtool.firing(watched.scrapes) == set()


async def test_a_row_of_the_canary_that_does_not_arrive_fires(watched: Watched, promtool: Promtool):
    watched.watcher(CanarySeen(target="standby", waiting_s=30, lost=0))
    await watched.works()
    assert promtool.firing(watched.scrapes) == set()
    watched.watcher(CanarySeen(target="standby", waiting_s=901, lost=0))
    for _ in range(3):
        await watched.works()
    assert promtool.firing(watched.scrapes) == {"ReplicatorCanaryLate"}


async def test_notifications_that_were_given_up_fire(watched: Watched, promtool: Promtool):
    watched.watcher(NotificationsQueued(webhook="pager", waiting=0, dead=2))
    for _ in range(7):
        await watched.works()
    assert promtool.firing(watched.scrapes) == {"ReplicatorNotificationsDead"}


class Stream:
    """A watcher that follows a change stream; the same metrics count what it observes."""

    def __init__(self, followed: Followed, watched: Watched) -> None:
        self.followed, self.watched, self.told = followed, watched, 0

    async def minutes(self, count: int) -> None:
        for _ in range(count):
            clock = self.followed.clock
            clock.move((self.watched.clock.now() - clock.now()).total_seconds())
            with suppress(TransientError):
                await self.followed.watcher.catch_up()
            for seen in self.followed.seen[self.told :]:
                if isinstance(seen, StreamObservation):
                    self.watched.watcher(seen)
            self.told = len(self.followed.seen)
            await self.watched.works()


@pytest.fixture
async def stream(watched: Watched) -> Stream:
    found = Stream(await following(), watched)
    await found.minutes(12)
    return found


async def test_a_slot_that_was_dropped_by_others_fires(stream: Stream, promtool: Promtool):
    assert promtool.firing(stream.watched.scrapes) == set()
    await stream.followed.stream.drop()
    await stream.minutes(13)
    assert promtool.firing(stream.watched.scrapes) == {"ReplicatorChangeStreamOff"}


async def test_a_log_that_takes_nothing_fires_before_the_slot_is_dropped(
    stream: Stream, promtool: Promtool
):
    async def fail(documents: object) -> Offset:
        raise TransientError("disk full")

    stream.followed.watcher._writer._log.append = fail  # type: ignore[method-assign]
    for _ in range(600 * RETAINED_MAX // (1 << 20)):
        mark(stream.followed, "a")
    await stream.minutes(6)
    assert stream.followed.stream.has_slot
    assert promtool.firing(stream.watched.scrapes) == {
        "ReplicatorChangeStreamKeepsWal",
        "ReplicatorChangeStreamLate",
    }


def test_the_rules_are_right_and_their_own_tests_pass(promtool: Promtool):
    promtool.run("check", "rules", str(RULES))
    promtool.run("test", "rules", str(RULES.with_suffix(".test.yml")))


def test_each_alert_has_a_test_a_severity_and_a_line_of_advice():
    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    tests = RULES.with_suffix(".test.yml").read_text()
    advice = (PROJECT / "docs" / "alerting.md").read_text()
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert f"| `{rule['alert']}` |" in advice
        assert tests.count(f"alertname: {rule['alert']}") >= 2, "it fires, and it does not"


def documented() -> set[str]:
    text = (PROJECT / "docs" / "monitoring.md").read_text().partition("## Metrics")[2]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {f"replicator_{name}" for row in rows for name in re.findall(r"`(\w+)`", row)}


def without_part(metric: str) -> str:
    return next((metric.removesuffix(end) for end in COUNTED if metric.endswith(end)), metric)


@pytest.mark.parametrize("file", [RULES, *DASHBOARDS], ids=lambda file: file.name)
def test_every_metric_that_is_used_exists(file: Path):
    used = {without_part(name) for name in METRIC.findall(file.read_text())}
    assert used
    assert used <= documented()


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_a_dashboard_has_panels_that_do_not_overlap_and_queries_that_parse(
    file: Path, promtool: Promtool
):
    dashboard = json.loads(file.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    named = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$(\w+)", " ".join(expressions))) <= named
    promtool.check([re.sub(r"\$\w+", "x", one) for one in expressions])


async def test_each_query_of_each_panel_has_data_of_a_pipeline_that_has_done_everything(
    watched: Watched, promtool: Promtool
):
    """A query over labels that no series has would be an empty panel for ever."""
    monitored = watched.monitored
    good = made()
    await DrillRecord(monitored.area).keep(good)
    await monitored.area.create(PROOF.name, proof_json(PROOF))
    for number in range(4):
        watched.observe(GapOpened(gap=replace(GAP, key=f"b{number}")))
        watched.observe(DrillEnded(evidence=good, failure=None))
        watched.observe(Waiting(what="copy", reason="503", delay_s=1))
        watched.watcher(CanaryArrived(target="standby", seconds=2.0 + number))
        watched.watcher(NotificationsQueued(webhook="pager", waiting=1, dead=0))
        watched.watcher(
            ScheduleSeen(schedule="nightly", target="standby", next_due=RUN_AT, last_good=RUN_AT)
        )
        monitored.pipeline.publish(segment(f"waiting{number}"))
        monitored.pipeline.publish(unused(f"old{number}", watched.clock.now() - timedelta(days=1)))
        await monitored.pipeline.cut(move_s=0)
        await monitored.poller.look()
        await watched.scrape()
    queries = [
        re.sub(r"\$\w+", ".*", target["expr"])
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]
    assert len(queries) > 20
    assert promtool.without_data(watched.scrapes, queries) == []
    gone = [one.replace("replicator_", "replicator_no_") for one in queries if " or " not in one]
    assert promtool.without_data(watched.scrapes, gone) == gone, "it would see an empty panel"


def test_alertmanager_s_example_knows_the_alerts_and_its_own_receivers():
    example = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    routes = [example["route"], *example["route"]["routes"]]
    receivers = {one["name"] for one in example["receivers"]}
    assert {one["receiver"] for one in routes} == receivers
    matched = [one["matchers"] for one in routes if "matchers" in one]
    for inhibition in example["inhibit_rules"]:
        matched += [inhibition["source_matchers"], inhibition["target_matchers"]]
    for matchers in matched:
        fits = [re.fullmatch(r'(\w+)(=~|=)"(.*)"', one) for one in matchers]
        labels = [{"alertname": rule["alert"], **rule["labels"]} for rule in rules]
        for fit in fits:
            assert fit is not None, "each matcher is a label, an operator and a quoted value"
            label, operator, value = fit.groups()
            named = value if operator == "=~" else re.escape(value)
            for one in _alternatives(named):
                assert any(re.fullmatch(one, had[label]) for had in labels), one


def _alternatives(pattern: str) -> list[str]:
    """Return each way in which a pattern like `a(b|c)` can be met."""
    found = re.fullmatch(r"(.*)\((.*)\)(.*)", pattern)
    if found is None:
        return [pattern]
    before, within, after = found.groups()
    return [f"{before}{one}{after}" for one in within.split("|")]
