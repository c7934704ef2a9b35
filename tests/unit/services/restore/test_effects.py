"""What a restore takes away and brings back, told for each datasource before it is agreed to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from replicator.adapters.memory.log import MemoryEventLog
from replicator.cli.go_back.effects import SHOWN_MAX, effect_lines
from replicator.model.druid.interval import interval
from replicator.model.event import Offset, Record
from replicator.model.plans.plan import Effect, Estimate
from replicator.model.plans.restore_point import Latest, RestorePoint, ToOffset
from tests.builders import segment
from tests.unit.pipeline import SIZE_BYTES, Pipeline

FIRST: RestorePoint = ToOffset(offset=Offset(3))
DAY = interval("2024-05-01", "2024-05-02")


async def effects(pipeline: Pipeline, point: RestorePoint, **options: str) -> list[Effect]:
    datasource = options.get("datasource")
    plan = await pipeline.restorer().plan(point, datasource=datasource, adopt=False)
    return list(plan.estimate.effects)


async def accident() -> Pipeline:
    """Cut 1: wiki with two used segments, orders with one. Then wiki goes and clicks come."""
    pipeline = Pipeline()
    wiki = segment("wiki", 0), segment("wiki", 1)
    pipeline.publish(*wiki, segment("orders"))
    await pipeline.cut()
    await pipeline.follow()
    pipeline.publish(replace(wiki[0], used=False), segment("clicks", 0), segment("clicks", 1))
    pipeline.kill(wiki[1])
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


async def test_what_came_since_is_lost_and_what_went_is_gained():
    """Marked unused or removed is one to a query; a datasource that is equal is not named."""
    pipeline = await accident()
    clicks, wiki = await effects(pipeline, FIRST)
    assert (clicks.datasource, clicks.lost, clicks.gained) == ("clicks", 2, 0)
    assert (wiki.datasource, wiki.lost, wiki.gained) == ("wiki", 0, 2)
    (found,) = {str(clicks.lost_interval), str(wiki.gained_interval)}
    assert found == str(clicks.lost_interval)
    assert clicks.gained_interval is None


async def test_of_one_datasource_only_its_own_are_told():
    pipeline = await accident()
    (clicks,) = await effects(pipeline, FIRST, datasource="clicks")
    assert (clicks.datasource, clicks.lost) == ("clicks", 2)


async def test_the_way_back_is_the_same_with_the_signs_changed():
    pipeline = await accident()
    plan = await pipeline.restorer().plan(FIRST, datasource=None, adopt=False)
    await pipeline.restorer().execute(plan, accept_gaps=False)
    wiki, clicks = await effects(pipeline, Latest())
    assert (wiki.datasource, wiki.lost, wiki.gained) == ("wiki", 2, 0)
    assert (clicks.datasource, clicks.lost, clicks.gained) == ("clicks", 0, 2)


async def test_rows_that_nobody_sees_are_no_loss():
    """Unused segments that go, and used ones whose row changes, lose nothing."""
    pipeline = Pipeline()
    pipeline.publish(segment("wiki"))
    await pipeline.cut()
    pipeline.publish(segment("wiki", 1, used=False))
    await pipeline.cut()
    await pipeline.follow()
    assert await effects(pipeline, ToOffset(offset=Offset(1))) == []


def test_the_text_names_the_largest_losses_first_and_is_bounded():
    found = [Effect(datasource=f"d{n:02}", lost=99 - n, lost_interval=DAY) for n in range(25)]
    estimate = Estimate(effects=tuple(found), by_datasource={"d00": 3, "(cluster)": 1})
    lines = list(effect_lines(estimate))
    assert lines[0] == f"d00: 3 rows to write; LOSES 99 used segments of {DAY}"
    assert len(lines) == SHOWN_MAX + 1
    left = sum(99 - n for n in range(20, 25))
    assert lines[-1] == f"and 6 more datasources, which lose {left} used segments"


@pytest.fixture
def read_offsets(monkeypatch: pytest.MonkeyPatch) -> Counter[Offset]:
    """How often each record of the log was read."""
    counts, read = Counter[Offset](), MemoryEventLog.read

    async def counted(self: MemoryEventLog, start: Offset, *, records_max: int) -> Sequence[Record]:
        found = await read(self, start, records_max=records_max)
        counts.update(record.offset for record in found)
        return found

    monkeypatch.setattr(MemoryEventLog, "read", counted)
    return counts


async def test_a_plan_for_an_empty_target_reads_each_record_once(read_offsets: Counter[Offset]):
    """Its totals come with the fold."""
    pipeline = Pipeline(records_max=5)
    pipeline.publish(*[segment("wiki", n) for n in range(20)], *[segment("clicks", 1)])
    await pipeline.cut()
    read_offsets.clear()
    first = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False)
    closing = Offset(21)  # it is looked for, too
    assert {read_offsets[Offset(at)] for at in range(16)} == {1}
    assert read_offsets[closing] > 1
    assert first.estimate.by_datasource == {"wiki": 20, "clicks": 1}
    assert {one.datasource: one.gained for one in first.estimate.effects} == {
        "wiki": 20,
        "clicks": 1,
    }
    assert first.estimate.size_bytes == 21 * SIZE_BYTES
    pipeline.kill(segment("wiki", 7))
    await pipeline.cut()
    read_offsets.clear()
    later = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False)
    assert {read_offsets[Offset(at)] for at in range(16)} == {1}
    assert later.estimate.by_datasource == {"wiki": 19, "clicks": 1}
    assert later.estimate.size_bytes == 20 * SIZE_BYTES
