"""A datasource can be restored beside the live one, and nothing that follows disturbs it."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.app import Application
from replicator.app.verbs.side_copies import refuse_name_of_source
from replicator.errors import (
    ConfigError,
    FencedError,
    GapError,
    MalformedRowError,
    NotFoundError,
    RefusedError,
)
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import Offset
from replicator.model.load_spec import LocalLayout
from replicator.model.log.renaming import renamed
from replicator.model.log.row_mapping import check_segment, located
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import Kind, RowKey, Rules, Segment, key_of
from replicator.model.store.proof import Level
from replicator.services.monitoring.side_copies import mixed_copies
from replicator.services.restore.renamer import Renamer
from replicator.services.target.copier import Uncopied
from replicator.web.status_report import _mixed
from tests.builders import VERSION, commit, rules, segment, segment_payload, supervisor
from tests.unit.pipeline import SOURCE, TARGET_ROOT, Pipeline, place_of
from tests.unit.services.verification.test_repairer import killed_after, repair

WIKI, MORE, ORDERS = segment(), segment(partition=1), segment("orders")
UNUSED = segment(partition=2, used=False)
FIRST = ToOffset(offset=Offset(7))


async def story() -> Pipeline:
    """Cut 1 (offset 7): wiki with offsets, rules and supervisor. Cut 2: its first is killed."""
    pipeline = Pipeline()
    pipeline.publish(WIKI, MORE, UNUSED, ORDERS, commit(), rules(), supervisor())
    await pipeline.cut()
    await pipeline.follow()
    pipeline.kill(WIKI)
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


def renamer(pipeline: Pipeline) -> Renamer:
    return pipeline.wired().renamer(pipeline.source_storage)


async def rename(pipeline: Pipeline, *, to: str = "wiki_old") -> tuple[Uncopied, ...]:
    renaming = renamer(pipeline)
    plan = await renaming.plan(FIRST, datasource="wiki", to=to)
    return await renaming.execute(plan, accept_gaps=False)


def of(pipeline: Pipeline, datasource: str) -> list[Segment]:
    rows = [row for row in pipeline.target.rows.values() if isinstance(row, Segment)]
    return sorted((row for row in rows if row.datasource == datasource), key=lambda row: row.id)


def old(pipeline: Pipeline) -> set[str]:
    return {row.id.removeprefix("wiki_old_") for row in of(pipeline, "wiki_old")}


BESIDE = {row.id.removeprefix("wiki_") for row in (WIKI, MORE)}


async def test_a_copy_is_named_once_the_source_takes_its_name():
    """Its rows were hidden by a newer version without a word."""
    pipeline = await story()
    await rename(pipeline)
    copies = await pipeline.target.renamed(SOURCE)
    assert await mixed_copies("standby", copies, pipeline.source) == []
    pipeline.publish(segment("wiki_old", used=False))
    assert await mixed_copies("standby", copies, pipeline.source) == []
    pipeline.publish(segment("wiki_old"))
    (found,) = await mixed_copies("standby", copies, pipeline.source)
    trouble = _mixed(found)
    assert trouble.what.startswith("standby: wiki_old is a copy of wiki, as it was in cut 1, and")
    assert trouble.remedy == "restore standby --forget-renamed wiki_old"


class _Application:
    """The little that a check of a new name asks for."""

    def __init__(self, pipeline: Pipeline, *, source: MemoryMetadata | None) -> None:
        self._pipeline = pipeline
        self.settings = SimpleNamespace(source=source)
        self.source = SimpleNamespace(metadata=lambda: source)

    async def checkpoint(self, _: str) -> Checkpoint | None:
        return (await self._pipeline.target.state(SOURCE)).checkpoint


async def test_a_name_that_the_source_has_is_refused_on_a_target_that_follows_it():
    pipeline = await story()
    pipeline.publish(segment("wiki_old"))  # the target has not heard of it yet
    application = cast("Application", _Application(pipeline, source=pipeline.source))
    await refuse_name_of_source(application, "standby", "another")
    with pytest.raises(RefusedError, match="the source has a datasource 'wiki_old' of its own"):
        await refuse_name_of_source(application, "standby", "wiki_old")
    alone = cast("Application", _Application(pipeline, source=None))
    await refuse_name_of_source(alone, "standby", "wiki_old")
    pipeline.target.sources.clear()
    await refuse_name_of_source(application, "standby", "wiki_old")


async def test_rows_get_the_name_where_druid_says_it_and_share_the_bytes():
    pipeline = await story()
    before = dict(pipeline.target_storage.stored)
    assert await rename(pipeline) == ()
    for row, then in zip(of(pipeline, "wiki_old"), (WIKI, MORE), strict=True):
        payload = json.loads(row.payload)
        assert row.id == payload["identifier"] == f"wiki_old_{then.id.removeprefix('wiki_')}"
        assert (payload["dataSource"], payload["version"]) == ("wiki_old", VERSION)
        assert located(row.payload, LocalLayout(root=TARGET_ROOT)) == place_of(then)
        assert check_segment(row) == 1967
        assert row.used
    assert pipeline.target_storage.stored == before


async def test_it_gets_the_load_rules_and_no_offsets_and_no_supervisor():
    pipeline = await story()
    await rename(pipeline)
    copied = pipeline.target.rows[RowKey(Kind.RULES, "wiki_old")]
    assert isinstance(copied, Rules)
    assert copied.payload == rules().payload
    kinds = [key.kind for key in pipeline.target.rows if key.key.startswith("wiki_old")]
    assert sorted(kinds) == [Kind.RULES, Kind.SEGMENT, Kind.SEGMENT]


async def test_the_live_one_goes_on_and_nobody_touches_the_other():
    pipeline = await story()
    before = pipeline.target.sources[SOURCE].checkpoint
    await rename(pipeline)
    assert pipeline.target.sources[SOURCE].checkpoint == before
    pipeline.publish(segment(partition=3))
    await pipeline.cut()
    await pipeline.follow()
    assert segment(partition=3).id in {row.id for row in of(pipeline, "wiki")}
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good
    assert not (await repair(pipeline)).did_something
    with pytest.raises(NotFoundError, match="is in no cut"):
        await pipeline.restorer().plan(FIRST, datasource="wiki_old", adopt=False)
    for datasource in ("wiki", None):
        restorer = pipeline.restorer()
        plan = await restorer.plan(FIRST, datasource=datasource, adopt=False)
        await restorer.execute(plan, accept_gaps=False)
        assert old(pipeline) == BESIDE
    assert WIKI.id in {row.id for row in of(pipeline, "wiki")}
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good


async def test_it_is_no_foreign_row_to_a_target_that_is_seeded_later():
    pipeline = Pipeline()
    pipeline.publish(WIKI, MORE, UNUSED, ORDERS, commit(), rules(), supervisor())
    await pipeline.cut()
    assert await rename(pipeline) == ()
    assert pipeline.target_storage.stored.keys() == {place_of(WIKI), place_of(MORE)}
    await pipeline.follow()
    assert old(pipeline) == BESIDE
    assert ORDERS.id in pipeline.target_ids()


async def test_a_name_that_is_taken_is_refused():
    pipeline = await story()
    with pytest.raises(RefusedError, match="1 rows of a datasource 'orders'"):
        await rename(pipeline, to="orders")
    renaming = renamer(pipeline)
    plan = await renaming.plan(FIRST, datasource="wiki", to="wiki_old")
    await rename(pipeline)
    with pytest.raises(RefusedError, match="already"):
        await renaming.execute(plan, accept_gaps=False)
    with pytest.raises(ConfigError, match="no name"):
        await rename(pipeline, to="a/b")


async def test_what_was_not_there_then_is_not_found():
    pipeline = await story()
    with pytest.raises(NotFoundError, match="no segment of a datasource 'nothing'"):
        await renamer(pipeline).plan(FIRST, datasource="nothing", to="other")


async def test_bytes_that_are_gone_are_named_before_any_row_is_written():
    pipeline = await story()
    del pipeline.target_storage.stored[place_of(WIKI)]
    with pytest.raises(GapError, match="no bytes any more"):
        await rename(pipeline)
    assert old(pipeline) == set()
    renaming = renamer(pipeline)
    plan = await renaming.plan(FIRST, datasource="wiki", to="wiki_old")
    (left,) = await renaming.execute(plan, accept_gaps=True)
    assert left.key.key == WIKI.id
    assert old(pipeline) == {MORE.id.removeprefix("wiki_")}


async def test_forgetting_removes_exactly_its_rows_and_keeps_the_bytes():
    pipeline = await story()
    before = dict(pipeline.target.rows)
    await rename(pipeline)
    with pytest.raises(NotFoundError, match="it has wiki_old"):
        await renamer(pipeline).plan_forget("wiki")
    plan = await renamer(pipeline).plan_forget("wiki_old")
    assert plan.rows == 3
    await renamer(pipeline).forget(plan)
    assert pipeline.target.rows == before
    assert place_of(WIKI) in pipeline.target_storage.stored
    assert await pipeline.target.renamed(SOURCE) == []


async def test_rows_that_the_source_has_by_that_name_since_stay():
    pipeline = await story()
    await rename(pipeline)
    came = segment("wiki_old", partition=9)
    pipeline.publish(came)
    await pipeline.cut()
    await pipeline.follow()
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good
    await renamer(pipeline).forget(await renamer(pipeline).plan_forget("wiki_old"))
    assert [row.id for row in of(pipeline, "wiki_old")] == [came.id]
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good


async def test_an_applier_that_takes_over_fences_it():
    pipeline = await story()
    await rename(pipeline)
    executor = pipeline.wired().executor()
    epoch = (await pipeline.target.state(SOURCE)).epoch
    await pipeline.target.acquire(SOURCE)
    with pytest.raises(FencedError):
        await executor.commit_forgotten("wiki_old", {}, epoch=epoch)
    assert old(pipeline) == BESIDE


async def test_killed_at_any_step_it_is_whole_or_not_there():
    steps, ended = 0, False
    while not ended:
        steps += 1
        pipeline = await story()
        ended = await killed_after(steps, rename(pipeline))
        assert old(pipeline) in (set(), BESIDE)
        if not old(pipeline):
            await rename(pipeline)
        assert (await pipeline.verifier().verify(Level.ROWS)).is_good
    assert steps > 10


def test_ids_are_those_that_druid_gives():
    row = segment(partition=3, upgraded_from_segment_id=WIKI.id, schema_fingerprint="X", num_rows=3)
    new = renamed(row, "wiki_1")
    assert isinstance(new, Segment)
    assert new.id == f"wiki_1_{MORE.id.removeprefix('wiki_').removesuffix('_1')}_3"
    assert new.upgraded_from_segment_id == f"wiki_1_{WIKI.id.removeprefix('wiki_')}"
    assert (new.schema_fingerprint, new.num_rows) == (None, None)


def test_no_other_byte_of_a_payload_changes():
    """Druid's 64-bit numbers and the fields of newer releases stay as they are."""
    members: dict[str, Any] = {
        "shardSpec": {"type": "hashed", "bucketId": 2**63 - 1},
        "future": [1.0, "é"],
    }
    text = json.dumps(segment_payload(**members), ensure_ascii=False)
    payload = text.replace(", ", " ,  ").encode()
    new = renamed(segment(payload=payload), "other")
    assert isinstance(new, Segment)
    expected = payload.replace(b'"wiki"', b'"other"').replace(b'"wiki_2024', b'"other_2024')
    assert new.payload == expected


def test_a_row_that_is_not_named_after_its_datasource_is_refused():
    with pytest.raises(MalformedRowError, match="does not begin with"):
        renamed(segment(id="elsewhere_1"), "other")
    with pytest.raises(MalformedRowError, match="no other name"):
        renamed(commit(), "other")
    assert key_of(renamed(rules(), "other")) == RowKey(Kind.RULES, "other")
