"""A standby becomes a primary, also when it is interrupted anywhere on the way."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count
from typing import Any

import pytest
from rich.console import Console

from replicator.app.verbs.known_faults import KnownFaults
from replicator.cli.follow.promote import _json, _show
from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.druid.cluster_config import ConfigParts, Configuration
from replicator.model.druid.load_rules import LoadRules
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.promotion import (
    Await,
    Done,
    Fence,
    Halt,
    Resumption,
    Start,
    SupervisorState,
    next_step,
    offsets_of,
)
from replicator.model.druid.release import Release
from replicator.model.observed.faults import Waiting
from replicator.model.row import ConfigEntry, Kind, Row, RowKey, Rules, Supervisor, key_of
from replicator.ports import Freshness
from replicator.services.standby.promoter import (
    ALL,
    Promoter,
    PromotionPlan,
    Takeover,
    refuse_moving_source,
)
from tests.builders import commit, config_entry, json_bytes, rules, segment, supervisor
from tests.unit.pipeline import SOURCE, Pipeline

DROP = {"type": "dropByInterval", "interval": "2020-01-01/2021-01-01"}
LOAD = {"type": "loadForever"}


class Crash(BaseException):
    """The process is gone."""


@dataclass
class Fuse:
    """Ends the process at the n-th thing that it does."""

    at: int | None = None
    done: int = 0

    def burn(self) -> None:
        self.done += 1
        if self.done == self.at:
            raise Crash


@dataclass
class Overlord:
    """A `DruidCluster` of its own."""

    committed: Mapping[str, str]
    fuse: Fuse = field(default_factory=Fuse)
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    polls: count = field(default_factory=count)  # type: ignore[type-arg]
    posts: list[str] = field(default_factory=list)
    away: bool = False
    asked: int = 0
    elsewhere: set[str] = field(default_factory=set)
    """Supervisors whose tasks begin at the stream's beginning."""
    slow: set[str] = field(default_factory=set)
    """Supervisors whose tasks never come up."""

    async def release(self) -> str:
        return "33.0.0"

    async def supervisor(self, id_: str) -> SupervisorState | None:
        self.asked += 1
        self.fuse.burn()
        if self.away:
            raise TransientError("the Overlord is away")
        if (spec := self.specs.get(id_)) is None:
            return None
        has_tasks = not spec["suspended"] and id_ not in self.slow and next(self.polls) > 2
        return SupervisorState(
            is_suspended=spec["suspended"],
            state="RUNNING",
            starts=({"0": "0"} if id_ in self.elsewhere else self.committed,) if has_tasks else (),
        )

    async def supervise(self, spec: bytes) -> None:
        self.fuse.burn()
        found = json.loads(spec)
        self.posts.append(found["spec"]["dataSchema"]["dataSource"])
        self.specs[found["spec"]["dataSchema"]["dataSource"]] = found
        self.fuse.burn()

    async def tier_aliases(self) -> Mapping[str, Sequence[str]]:
        return {}

    async def tiers(self) -> frozenset[str]:
        return frozenset({"_default_tier"})

    async def properties(self) -> Mapping[str, str]:
        return {}


def offsets(number: int) -> bytes:
    return json_bytes(
        {"type": "kafka", "partitions": {"partitionSequenceNumberMap": {"0": number}}}
    )


def spec(name: str, *, suspended: bool = False, type_: str = "kafka") -> Supervisor:
    payload = {
        "type": type_,
        "spec": {"dataSchema": {"dataSource": name}},
        "suspended": suspended,
    }
    return supervisor(name, payload=json_bytes(payload))


async def followed(*more: Row) -> Pipeline:
    """A standby that has applied one cut of a stream."""
    pipeline = Pipeline()
    pipeline.publish(
        segment(),
        commit("wiki", commit_metadata_payload=offsets(42)),
        spec("wiki"),
        rules(payload=json_bytes([DROP, LOAD])),
        *more,
    )
    await pipeline.cut()
    while await pipeline.applier.apply_next():
        pass
    return pipeline


def promoter(
    pipeline: Pipeline,
    overlord: Overlord | None,
    *,
    timeout_s: float = 30,
    takeover: Takeover = Takeover(),  # noqa: B008 - frozen
) -> Promoter:
    return Promoter(
        source=SOURCE,
        target="standby",
        history=pipeline.history(),
        metadata=pipeline.target,
        druid=overlord,
        takeover=takeover,
        resume_timeout_s=timeout_s,
        observer=pipeline.seen.append,
    )


async def is_promoted(pipeline: Pipeline) -> bool:
    checkpoint = (await pipeline.target.state(SOURCE)).checkpoint
    return checkpoint is not None and checkpoint.promoted


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicator.services.standby.promoter.POLL_S", 0.001)


async def test_it_fences_gives_the_rules_back_and_resumes_where_the_segments_end():
    pipeline = await followed(spec("asleep", suspended=True))
    overlord = Overlord({"0": "42"})
    plan = await promoter(pipeline, overlord).plan(chosen=None)
    assert [(one.id, one.offsets) for one in plan.resumptions] == [("wiki", {"0": "42"})]
    assert plan.asleep == ("asleep",)
    assert not overlord.posts

    await promoter(pipeline, overlord).execute(plan)

    assert overlord.posts == ["wiki"]
    assert await is_promoted(pipeline)
    row = pipeline.target.rows[RowKey(Kind.RULES, "wiki")]
    assert isinstance(row, Rules)
    assert json.loads(row.payload) == [DROP, LOAD]


COMPACTION = config_entry("coordinator.compaction.config", payload=b'{"compactionConfigs":[]}')
DYNAMIC = config_entry(
    "coordinator.config",
    payload=json_bytes({"maxSegmentsToMove": 7, "decommissioningNodes": ["h-1.prod:8083"]}),
)


async def test_the_configuration_comes_with_the_fence_and_not_before():
    """No promotion stops between the two: a primary compacts, and a standby does not."""
    pipeline = await followed()
    pipeline.publish(COMPACTION, DYNAMIC)
    await pipeline.cut()
    await pipeline.follow()
    assert RowKey(Kind.CONFIG, COMPACTION.name) not in pipeline.target.rows
    overlord = Overlord({"0": "42"}, polls=iter([0] * 10_000))  # type: ignore[arg-type]
    this = promoter(pipeline, overlord, timeout_s=0.05)
    plan = await this.plan(chosen=None)
    assert plan.configuration is not None
    assert [row.name for row in plan.configuration.rows] == [COMPACTION.name, DYNAMIC.name]
    assert [one.name for one in plan.configuration.left] == [
        "coordinator.config decommissioningNodes"
    ]
    with pytest.raises(TransientError):
        await this.execute(plan)  # its tasks never come up: that changes nothing of it

    assert pipeline.target.rows[RowKey(Kind.CONFIG, COMPACTION.name)] == COMPACTION
    dynamic = pipeline.target.rows[RowKey(Kind.CONFIG, DYNAMIC.name)]
    assert isinstance(dynamic, ConfigEntry)
    assert json.loads(dynamic.payload) == {"maxSegmentsToMove": 7}


async def test_without_its_druids_address_a_plan_is_shown_and_batches_are_promoted():
    """Whoever learns on the bad night that a line is lacking can still see what would be done."""
    pipeline = await followed()
    plan = await promoter(pipeline, None).plan(chosen=None)
    assert [one.id for one in plan.resumptions] == ["wiki"]
    with pytest.raises(ConfigError, match=r"targets\.standby\.druid is not configured"):
        await promoter(pipeline, None).execute(plan)
    assert not await is_promoted(pipeline), "nothing was fenced"

    pipeline = await followed(spec("wiki", suspended=True))
    plan = await promoter(pipeline, None).plan(chosen=None)
    await promoter(pipeline, None).execute(plan)
    assert await is_promoted(pipeline)


async def test_what_an_operator_configured_since_is_not_undone_by_going_on():
    pipeline = await followed()
    pipeline.publish(COMPACTION)
    await pipeline.cut()
    await pipeline.follow()
    overlord = Overlord({"0": "42"})
    await run(pipeline, overlord)
    own = replace(COMPACTION, payload=b'{"compactionConfigs":[{"dataSource":"wiki"}]}')
    pipeline.target.rows[key_of(own)] = own
    plan = await promoter(pipeline, overlord).plan(chosen=ALL)
    await promoter(pipeline, overlord).execute(plan)
    assert plan.configuration == Configuration()
    assert pipeline.target.rows[key_of(own)] == own


async def test_rules_come_back_in_the_targets_own_tiers_and_as_its_druid_reads_them():
    """By the source's own names nothing would be loaded; by a newer Druid's no rule at all."""
    hot = {"type": "loadPartialForever", "tieredReplicants": {"hot": 2}, "matcher": {"type": "x"}}
    falls = {**hot, "onCannotMatch": "fallThrough"}
    pipeline = await followed()
    pipeline.publish(
        rules(payload=json_bytes([DROP, hot])), rules("falls", payload=json_bytes([falls]))
    )
    await pipeline.cut()
    await pipeline.follow()
    takeover = Takeover(
        load_rules=LoadRules(with_drops=True, tiers={"hot": "_default_tier"}),
        druid=OlderDruid(release=Release(33)),
    )
    plan = await promoter(pipeline, Overlord({}), takeover=takeover).plan(chosen=None)
    assert plan.rules is not None
    assert {row.datasource: json.loads(row.payload) for row in plan.rules} == {
        "wiki": [DROP, {"type": "loadForever", "tieredReplicants": {"_default_tier": 2}}]
    }
    assert [one.name for one in plan.left] == ["rules of falls"]


async def test_a_supervisor_whose_bounds_the_target_would_pass_over_stays_asleep():
    bounded = json_bytes(
        {
            "type": "kafka",
            "spec": {
                "dataSchema": {"dataSource": "wiki"},
                "ioConfig": {"topic": "clicks", "boundedStreamConfig": {"endOffsets": {"0": 9}}},
            },
            "suspended": False,
        }
    )
    pipeline = await followed(supervisor("wiki_backfill_1", payload=bounded))
    for release, resumed in ((33, ["wiki"]), (38, ["wiki", "wiki_backfill_1"])):
        takeover = Takeover(druid=OlderDruid(release=Release(release)))
        plan = await promoter(pipeline, Overlord({}), takeover=takeover).plan(chosen=ALL)
        assert [one.id for one in plan.resumptions] == resumed
        assert len(plan.left) == 2 - len(resumed)


async def test_one_that_is_interrupted_anywhere_goes_on():
    """Every prefix of what it does, then the same command again."""
    for at in count(1):
        pipeline = await followed(spec("orders"))
        overlord = Overlord({"0": "42"}, fuse=Fuse(at))
        writes = _burning(pipeline, overlord.fuse)
        interrupted = True
        try:
            await run(pipeline, overlord)
            interrupted = False
        except* Crash:
            pass
        overlord.fuse.at = None
        await run(pipeline, overlord)
        assert set(overlord.specs) == {"wiki", "orders"}
        assert not any(found["suspended"] for found in overlord.specs.values())
        assert writes
        assert not any(checkpoint.promoted for checkpoint in writes), "a primary was written to"
        checkpoint = pipeline.target.sources[SOURCE].checkpoint
        assert checkpoint is not None
        assert checkpoint.promoted
        if not interrupted:
            assert at > 8, "the fuse was never reached: nothing was interrupted"
            return


async def run(pipeline: Pipeline, overlord: Overlord) -> None:
    this = promoter(pipeline, overlord)
    await this.execute(await this.plan(chosen=ALL))


def _burning(pipeline: Pipeline, fuse: Fuse) -> list[Any]:
    """Let the target burn the fuse too; return the checkpoint before each transaction."""
    written: list[Any] = []
    transaction = pipeline.target.transaction

    def watched(source: str, epoch: Any) -> Any:
        fuse.burn()
        written.append(pipeline.target.sources[source].checkpoint)
        return transaction(source, epoch)

    pipeline.target.transaction = watched  # type: ignore[method-assign]
    held = pipeline.target.state

    async def seen(source: str) -> Any:
        fuse.burn()
        return await held(source)

    pipeline.target.state = seen  # type: ignore[method-assign]
    return written


async def test_tasks_that_begin_elsewhere_are_stopped_and_named():
    pipeline, overlord = await followed(), Overlord({"0": "0"})
    with pytest.raises(CorruptionError, match="began to read at") as caught:
        await run(pipeline, overlord)
    assert "wiki" in str(caught.value)
    assert overlord.specs["wiki"]["suspended"]


async def test_tasks_that_do_not_come_up_are_waited_for_up_to_a_limit():
    pipeline, overlord = await followed(), Overlord({"0": "42"})
    overlord.polls = iter([0] * 10_000)  # type: ignore[assignment]
    this = promoter(pipeline, overlord, timeout_s=0.1)
    with pytest.raises(TransientError, match=r"supervisor wiki .* no running tasks after"):
        await this.execute(await this.plan(chosen=None))


async def test_an_overlord_that_is_away_is_named_and_the_fence_is_up_already():
    pipeline, overlord = await followed(), Overlord({"0": "42"}, away=True)
    with pytest.raises(TransientError, match="away"):
        await run(pipeline, overlord)


async def test_a_target_that_moves_after_the_plan_is_planned_again():
    pipeline, overlord = await followed(), Overlord({"0": "77"})
    this = promoter(pipeline, overlord)
    plan = await this.plan(chosen=None)
    pipeline.publish(commit("wiki", commit_metadata_payload=offsets(77)))
    await pipeline.cut()
    while await pipeline.applier.apply_next():
        pass
    done = await this.execute(plan)
    assert done.checkpoint.cut == plan.checkpoint.cut + 1
    assert done.resumptions[0].offsets == {"0": "77"}


async def test_what_the_log_holds_beyond_the_target_is_counted():
    pipeline = await followed()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    plan = await promoter(pipeline, Overlord({})).plan(chosen=None)
    assert plan.behind is not None
    assert (plan.behind.cuts, plan.behind.events) == (1, 1)
    assert plan.behind.datasources == {"late"}
    assert await promoter(pipeline, Overlord({})).behind() == plan.behind


async def test_a_record_that_is_none_holds_up_no_takeover():
    """Whoever can write to the log must not keep a standby from being used."""
    pipeline = await followed()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    records = pipeline.log._stored.records
    records[-1] = records[-1]._replace(data=b"{}")
    this = promoter(pipeline, Overlord({}))
    assert (await this.plan(chosen=None)).behind is None
    assert await this.behind() is None


async def test_a_log_that_was_cut_short_is_not_said_to_hold_nothing_more():
    """What came after is unknown, and so are the newest rules: an operator must not be lulled."""
    pipeline = await followed()
    span = await pipeline.history().span()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    await pipeline.follow()
    del pipeline.log._stored.records[span.end :]
    pipeline.log._stored.end = span.end
    plan = await promoter(pipeline, Overlord({})).plan(chosen=None)
    assert plan.behind is not None
    assert plan.behind.cut_short_at == span.end
    paper = Console(file=StringIO(), width=400)
    faults = KnownFaults(looked_at=pipeline.clock.now(), gaps=())
    _show(paper, "standby", plan, faults, done=False)
    said = paper.file.getvalue()  # type: ignore[attr-defined]
    assert f"the log was cut short: it ends at offset {span.end}, before that cut" in said
    assert "holds nothing" not in said
    counted = _json(plan, faults, "", done=False)
    assert (counted["log_cut_short"], counted["lost_events"]) == (True, None)


async def test_a_plan_in_words_names_what_changes():
    """A failover loses what the log holds after the target; a promotion applies it first."""
    pipeline = await followed()
    pipeline.publish(segment("late"), segment("[red]x[/]"))
    await pipeline.cut()
    plan = await promoter(pipeline, Overlord({})).plan(chosen=None)
    words = "2 changes in 1 cut that the log holds after it, of [red]x[/] and late"
    said = dict[bool, str]()
    faults = KnownFaults(looked_at=pipeline.clock.now(), gaps=())
    for drains in (False, True):
        paper = Console(file=StringIO(), width=200)
        _show(paper, "standby", plan, faults, done=False, drains=drains)
        said[drains] = paper.file.getvalue()  # type: ignore[attr-defined]
    assert f"  lost: {words}; and what the source committed" in said[False]
    assert f"  applied first: {words}\n" in said[True]
    assert plan.rules
    assert f"  load rules, of {plan.rules[0].datasource}" in said[True]


async def test_without_the_log_the_operator_says_which_supervisors_go_on():
    pipeline = await followed()
    checkpoint = pipeline.target.sources[SOURCE].checkpoint
    pipeline.log = Pipeline().log  # another one, that nobody has made
    overlord = Overlord({"0": "42"})
    with pytest.raises(RefusedError, match="unknown which supervisors") as caught:
        await promoter(pipeline, overlord).plan(chosen=None)
    assert "--supervisor" in caught.value.hint
    plan = await promoter(pipeline, overlord).plan(chosen=frozenset({"wiki"}))
    assert (plan.rules, plan.behind, plan.checkpoint) == (None, None, checkpoint)
    await promoter(pipeline, overlord).execute(plan)
    assert overlord.posts == ["wiki"]


async def test_a_log_that_somebody_has_altered_does_not_hold_up_a_failover():
    """Who can write to the topic could keep each standby from taking over, with one record."""
    pipeline = await followed()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    pipeline.log._stored.records[-1] = pipeline.log._stored.records[-1]._replace(data=b"rubbish")
    plan = await promoter(pipeline, Overlord({"0": "42"})).plan(chosen=None)
    assert plan.behind is None
    assert [one.id for one in plan.resumptions] == ["wiki"]
    assert any("cannot be read" in one.reason for one in pipeline.seen if isinstance(one, Waiting))

    for name in [*pipeline.area.files]:
        del pipeline.area.files[name]
    pipeline.log._stored.records[0] = pipeline.log._stored.records[0]._replace(data=b"rubbish")
    with pytest.raises(RefusedError, match="unknown which supervisors"):
        await promoter(pipeline, Overlord({})).plan(chosen=None)
    plan = await promoter(pipeline, Overlord({})).plan(chosen=frozenset({"wiki"}))
    assert (plan.rules, plan.behind) == (None, None)


async def test_a_supervisor_that_is_not_there_is_not_found():
    pipeline = await followed()
    with pytest.raises(NotFoundError, match="no supervisor nobody; it has wiki"):
        await promoter(pipeline, Overlord({})).plan(chosen=frozenset({"nobody"}))


async def test_a_target_that_holds_nothing_is_refused():
    with pytest.raises(RefusedError, match="holds nothing"):
        await promoter(Pipeline(), Overlord({})).plan(chosen=None)


async def test_nothing_is_written_to_a_primary():
    pipeline = await followed()
    await run(pipeline, Overlord({"0": "42"}))
    pipeline.publish(segment("late"))
    await pipeline.cut()
    before = dict(pipeline.target.rows)
    with pytest.raises(FencedError):
        await pipeline.applier.apply_next()
    for applier in (pipeline.applier, pipeline.new_applier(resume=True, adopt=True)):
        with pytest.raises(RefusedError, match="was promoted"):
            await applier.apply_next()
    assert pipeline.target.rows == before


async def test_a_source_that_may_still_commit_is_refused():
    pipeline = await followed()
    source = Source(pipeline)
    with pytest.raises(RefusedError, match="supervisors wiki are not suspended"):
        await refuse_moving_source(source)
    pipeline.publish(spec("wiki", suspended=True))
    source.tasks = ["index_kafka_wiki_1"]
    with pytest.raises(RefusedError, match="1 tasks of the source have not ended: index_kafka"):
        await refuse_moving_source(source)
    source.tasks = []
    await refuse_moving_source(source)
    source.behind = timedelta(minutes=1)
    with pytest.raises(RefusedError, match=r"a replica that shows .* \(60.0 s ago\): it is paused"):
        await refuse_moving_source(source)


class Source:
    def __init__(self, pipeline: Pipeline) -> None:
        self.tasks: list[str] = []
        self.behind = timedelta(0)
        self.snapshot = pipeline.source.snapshot

    async def freshness(self) -> Freshness:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return Freshness(
            requested_at=now, shows=now - self.behind, is_replica=True, reason="it is paused"
        )

    async def load_spec_samples(self) -> list[tuple[str, bytes]]:
        raise AssertionError("nobody asked for it")

    async def left_behind(self) -> list[str]:
        return []

    async def followed(self) -> list[str]:
        raise AssertionError("nobody asked for it")

    async def without_used(self, datasources: Sequence[str]) -> list[str]:
        raise AssertionError("nobody asked for it")

    async def running_tasks(self) -> list[str]:
        return self.tasks


# ---------------------------------------------------------------------------------- each next step

ONE = Resumption(id="wiki", spec=b'{"type":"kafka"}', offsets={"0": "42", "1": "7"})


def state(*starts: Mapping[str, str], suspended: bool = False) -> SupervisorState:
    return SupervisorState(is_suspended=suspended, state="RUNNING", starts=starts)


@pytest.mark.parametrize(
    ("promoted", "seen", "wanted"),
    [
        (False, None, Fence()),
        (True, None, Start((ONE,))),
        (True, state(suspended=True), Start((ONE,))),
        (True, state(), Await(ONE)),
        (True, state({"0": "42", "1": "7"}), Done()),
        (True, state({"0": "42"}, {"1": "7"}), Done()),
        (True, state({"0": "42", "1": "7", "2": "0"}), Done()),
        (True, state({"0": "50", "1": "9"}), Done()),
        (True, state({"0": "41", "1": "7"}), Halt(ONE, {"0": "41", "1": "7"})),
        (True, state({"0": "42"}, {"1": "0"}), Halt(ONE, {"1": "0"})),
    ],
)
def test_each_step_is_decided_from_what_is_seen(
    promoted: bool, seen: SupervisorState | None, wanted: object
):
    """The committed offsets have moved to 50 and 9: tasks of the promoted target published them."""
    step = next_step(
        [ONE],
        is_promoted=promoted,
        states={"wiki": seen} if seen else {},
        committed={"wiki": {"0": "50", "1": "9"}},
    )
    assert step == wanted


def test_a_supervisor_without_a_stream_has_no_offsets_to_wait_for():
    one = Resumption(id="compact", spec=b'{"type":"autocompact"}', offsets={})
    step = next_step(
        [one], is_promoted=True, states={"compact": state()}, committed={"compact": {}}
    )
    assert step == Done()


def test_offsets_are_those_that_druid_writes():
    payload = (
        b'{"type":"kafka","partitions":{"type":"end","stream":"clicks",'
        b'"partitionSequenceNumberMap":{"0":40},"partitionOffsetMap":{"0":40},"topic":"clicks"}}'
    )
    assert offsets_of(commit("clicks", commit_metadata_payload=payload)) == {"0": "40"}
    assert offsets_of(None) == {}


def streams(count_: int) -> list[Resumption]:
    return [replace(ONE, id=f"s{number}") for number in range(count_)]


def test_one_stream_goes_first_and_all_others_at_once_when_it_goes_on():
    """What is wrong with every topic is seen at one; and hundreds do not wait for one another."""
    compaction = Resumption(id="c", spec=b'{"type":"autocompact"}', offsets={})
    some = [compaction, *streams(3)]
    committed = {one.id: one.offsets for one in some}

    def step(**states: SupervisorState) -> object:
        return next_step(some, is_promoted=True, states=states, committed=committed)

    right = state({"0": "42", "1": "7"})
    assert step() == Start((compaction, some[1]))
    assert step(c=state(), s0=state()) == Await(some[1])
    assert step(c=state(), s0=right) == Start((some[2], some[3]))
    assert step(c=state(), s0=right, s1=state(), s2=right) == Await(some[2])
    assert step(c=state(), s0=right, s1=right, s2=right) == Done()
    assert step(c=state(), s0=right, s1=state(), s2=state({"0": "1"})) == Halt(some[3], {"0": "1"})


async def test_what_nobody_has_seen_going_on_is_suspended_with_one_that_began_elsewhere():
    pipeline = await followed(*(spec(f"s{number}") for number in range(3)))
    overlord = Overlord({"0": "42"})
    overlord.elsewhere, overlord.slow = {"s1"}, {"s2"}
    pipeline.publish(commit("s1", commit_metadata_payload=offsets(42)))
    await pipeline.cut()
    await pipeline.follow()
    with pytest.raises(CorruptionError, match="supervisor s1 began to read at"):
        await run(pipeline, overlord)
    asleep_ = {id_ for id_, found in overlord.specs.items() if found["suspended"]}
    assert asleep_ == {"s1", "s2"}, "s0 and wiki were seen to go on where they ended"


async def test_a_promotion_asks_for_each_of_many_supervisors_a_few_times():
    """A look that asked for all of them at each of their steps would ask 40,000 times."""
    many = 200
    pipeline = await followed(*(spec(f"s{number:03d}") for number in range(many)))
    overlord = Overlord({"0": "42"})
    await run(pipeline, overlord)
    assert len(overlord.posts) == many + 1
    assert overlord.asked < 8 * many


async def test_a_spec_that_is_taken_over_later_is_not_sent_again_and_again():
    """Druid 38 may keep a spec without a restart (#19541); what it does by then is asked for."""
    pipeline, overlord = await followed(), Overlord({"0": "42"})
    overlord.specs["wiki"] = json.loads(spec("wiki", suspended=True).payload)

    async def keeps(spec: bytes) -> None:
        overlord.posts.append("wiki")
        if len(overlord.posts) == 5:
            overlord.specs["wiki"] = json.loads(spec)

    overlord.supervise = keeps  # type: ignore[method-assign]
    await run(pipeline, overlord)
    assert not overlord.specs["wiki"]["suspended"]
    waits = [one.reason for one in pipeline.seen if isinstance(one, Waiting)]
    assert waits.count("it is suspended all the same") == 4


SUPERVISORS, RULES, USERS = 200, 500, 1000
USERS_OF = "basic_authentication_Basic_users"


def users(count: int, *, own: str | None = None) -> ConfigEntry:
    names = [f"user{number:04d}" for number in range(count)] + ([own] if own else [])
    found = {name: {"name": name, "credentials": {"salt": name, "hash": name}} for name in names}
    return config_entry(USERS_OF, payload=json_bytes(found))


async def large() -> Pipeline:
    """A standby of a cluster with many of all that a promotion looks at."""
    pipeline = await followed(
        *(spec(f"s{number:03d}") for number in range(SUPERVISORS - 1)),
        *(rules(f"d{number:03d}", payload=json_bytes([DROP, LOAD])) for number in range(RULES)),
        users(USERS),
    )
    pipeline.target.rows[RowKey(Kind.CONFIG, USERS_OF)] = users(0, own="druid_system")
    return pipeline


async def test_a_large_cluster_is_planned_by_a_few_looks_and_no_question_for_each_row():
    """What costs time are round trips: their number does not grow with the cluster."""
    looks: list[int] = []
    plans: list[PromotionPlan] = []
    takeover = Takeover(parts=ConfigParts(security=True))
    for pipeline in (await followed(spec("s000")), await large()):
        snapshot, count_ = pipeline.target.snapshot, count()

        def counted(snapshot: Any = snapshot, count_: Any = count_) -> Any:
            next(count_)
            return snapshot()

        pipeline.target.snapshot = counted  # type: ignore[method-assign]
        overlord = Overlord({"0": "42"})
        plans.append(await promoter(pipeline, overlord, takeover=takeover).plan(chosen=None))
        assert (overlord.asked, overlord.posts) == (0, [])
        looks.append(next(count_))
    assert looks[0] == looks[1] < 5
    plan = plans[-1]
    assert len(plan.resumptions) == SUPERVISORS
    assert plan.rules is not None
    assert len(plan.rules) == RULES + 1
    assert plan.configuration is not None
    (merged,) = [row for row in plan.configuration.rows if row.name == USERS_OF]
    assert len(json.loads(merged.payload)) == USERS + 1
    assert "druid_system" in json.loads(merged.payload)


@pytest.mark.parametrize("posted", [SUPERVISORS // 2])
async def test_one_of_a_large_cluster_that_is_interrupted_starts_no_supervisor_twice(posted: int):
    pipeline = await large()
    overlord = Overlord({"0": "42"})

    async def breaks(spec: bytes) -> None:
        if len(overlord.posts) == posted:
            raise Crash
        await Overlord.supervise(overlord, spec)

    overlord.supervise = breaks  # type: ignore[method-assign]
    with pytest.raises(Crash):
        await run(pipeline, overlord)
    del overlord.supervise
    await run(pipeline, overlord)
    assert len(overlord.posts) == SUPERVISORS
    assert len(set(overlord.posts)) == SUPERVISORS
    assert overlord.asked < 8 * SUPERVISORS


# ------------------------------------------------------------ supervisors, as Druid's classes write

MULTI = (
    b'{"type":"kafka","partitions":{"type":"end","stream":"clicks\\\\..*",'
    b'"partitionSequenceNumberMap":{"clicks.eu:0":42,"clicks.us:0":7},"topic":"clicks\\\\..*",'
    b'"partitionOffsetMap":{"clicks.eu:0":42,"clicks.us:0":7}}}'
)
"""KafkaDataSourceMetadata of a Druid 33, of several topics: the keys are KafkaTopicPartition's."""
KINESIS = (
    b'{"type":"kinesis","partitions":{"type":"end","stream":"clicks","partitionSequenceNumberMap":{'
    b'"shardId-000000000000":"EOS","shardId-000000000001":"EXPIRED","shardId-000000000002":'
    b'"49617866350551331066284417462934306735"},"exclusivePartitions":[]}}'
)
"""By KinesisSequenceNumber's markers; the shape is SeekableStreamEndSequenceNumbers'."""
RABBIT = (
    b'{"type":"rabbit","partitions":{"type":"end","stream":"clicks","partitionSequenceNumberMap":'
    b'{"clicks-0":17,"clicks-1":3}}}'
)


def test_offsets_of_every_stream_are_read():
    assert offsets_of(commit("a", commit_metadata_payload=MULTI)) == {
        "clicks.eu:0": "42",
        "clicks.us:0": "7",
    }
    kinesis = offsets_of(commit("a", commit_metadata_payload=KINESIS))
    assert list(kinesis.values())[:2] == ["EOS", "EXPIRED"]
    assert offsets_of(commit("a", commit_metadata_payload=RABBIT)) == {
        "clicks-0": "17",
        "clicks-1": "3",
    }


def resumed(offsets: Mapping[str, str], *, type_: str = "kinesis", **io: Any) -> Resumption:
    spec = {"type": type_, "spec": {"ioConfig": {"stream": "clicks", **io}}, "suspended": False}
    return Resumption(id="clicks", spec=json_bytes(spec), offsets=offsets)


def step_of(one: Resumption, found: SupervisorState | None, **committed: str) -> object:
    return next_step(
        [one],
        is_promoted=True,
        states={} if found is None else {one.id: found},
        committed={one.id: committed or one.offsets},
    )


def test_tasks_do_not_read_shards_that_are_closed():
    one = resumed({"s-0": "EOS", "s-1": "EXPIRED", "s-2": "4961786635"})

    assert step_of(one, state()) == Await(one)
    assert step_of(one, state({"s-2": "4961786635"})) == Done()
    assert step_of(one, state({"s-2": "4961786635", "s-3": "0"})) == Done()
    assert step_of(one, state({"s-2": "1"})) == Halt(one, {"s-2": "1"})
    assert step_of(one, state({"s-0": "0", "s-2": "4961786635"})) == Halt(
        one, {"s-0": "0", "s-2": "4961786635"}
    )


def test_a_stream_of_closed_shards_alone_has_no_tasks_to_wait_for():
    assert step_of(resumed({"s-0": "EOS", "s-1": "EXPIRED"}), state()) == Done()


def test_each_of_several_topics_goes_on_where_it_ended():
    one = resumed({"eu:0": "42", "us:0": "7"}, type_="kafka", topicPattern="clicks.*")

    assert step_of(one, state({"eu:0": "42"}, {"us:0": "7"})) == Done()
    assert step_of(one, state({"eu:0": "42", "us:0": "8"})) == Halt(
        one, {"eu:0": "42", "us:0": "8"}
    )


def test_a_queue_goes_on_where_it_ended():
    one = resumed({"clicks-0": "17"}, type_="rabbit")

    assert step_of(one, state({"clicks-0": "17"})) == Done()
    assert step_of(one, state({"clicks-0": "0"})) == Halt(one, {"clicks-0": "0"})


@pytest.mark.parametrize("said", ["IDLE", "COMPLETED"])
def test_one_that_has_nothing_to_read_has_no_tasks_to_wait_for(said: str):
    found = SupervisorState(is_suspended=False, state=said, starts=())

    assert step_of(resumed({"0": "9"}, type_="kafka"), found) == Done()


BOUNDS = {"startSequenceNumbers": {"0": 10, "1": 5}, "endSequenceNumbers": {"0": 50, "1": 9}}
"""As BoundedStreamConfig of a Druid 38 has it."""


def test_a_bounded_one_that_ended_itself_is_not_started_again():
    """It is terminated when it has read all: the Overlord does not know it any more."""
    one = resumed({"0": "30", "1": "9"}, type_="kafka", boundedStreamConfig=BOUNDS)

    assert step_of(one, None) == Start((one,))
    assert step_of(one, None, **{"0": "50", "1": "9"}) == Done()
    assert step_of(one, None, **{"0": "50"}) == Start((one,))
    assert step_of(one, None, **{"0": "51", "1": "100"}) == Done()


def of_backfill(id_: str, **bounds: Any) -> Supervisor:
    """What `resetToLatestAndBackfill` of a Druid 38 makes beside the supervisor of a datasource."""
    payload = {
        "type": "kafka",
        "id": id_,
        "spec": {
            "dataSchema": {"dataSource": "wiki"},
            "ioConfig": {"topic": "clicks", "boundedStreamConfig": {**BOUNDS, **bounds}},
        },
        "context": {"useConcurrentLocks": True},
        "suspended": False,
    }
    return supervisor(id_, payload=json_bytes(payload))


async def test_each_supervisor_of_a_datasource_has_offsets_of_its_own():
    """A backfill that has committed nothing begins at its bounds, not where the main one is."""
    new, done = of_backfill("wiki_backfill_ab12"), of_backfill("wiki_backfill_cd34")
    pipeline = await followed(
        new,
        done,
        commit(
            "wiki_backfill_cd34",
            commit_metadata_payload=json_bytes(
                {
                    "type": "kafka",
                    "partitions": {"partitionSequenceNumberMap": {"0": 50, "1": 9}},
                }
            ),
        ),
    )
    plan = await promoter(pipeline, Overlord({})).plan(chosen=ALL)

    assert {one.id: dict(one.offsets) for one in plan.resumptions} == {
        "wiki": {"0": "42"},
        "wiki_backfill_ab12": {},
    }
    assert plan.asleep == ("wiki_backfill_cd34",)
    assert [(one.name, one.why) for one in plan.left] == [
        ("supervisor wiki_backfill_cd34", "it has read all that it was bounded to")
    ]
