"""What was dropped lately: told from what overwrites and drop rules mark unused."""

from dataclasses import replace

import pytest

from replicator.model.row import Segment, key_of
from replicator.services.monitoring import drops
from replicator.services.monitoring.drops import recent_drops
from tests.builders import segment
from tests.unit.pipeline import Pipeline

HOUR_S = 3600.0


async def dropped(pipeline: Pipeline) -> list[tuple[str, int]]:
    found = await recent_drops(pipeline.history(), pipeline.source, pipeline.clock.now())
    return [(one.datasource, one.cut.closed.cut) for one in found]


def unuse(pipeline: Pipeline, *rows: Segment) -> None:
    for row in rows:
        pipeline.source.rows[key_of(row)] = replace(row, used=False)


def two(datasource: str) -> tuple[Segment, Segment]:
    return segment(datasource), segment(datasource, 1)


async def test_a_drop_is_news_for_a_day_and_what_leaves_a_segment_used_is_none():
    pipeline = Pipeline()
    gone, aged, kept = two("gone"), two("aged"), two("kept")
    pipeline.publish(*gone, *aged, *kept)
    await pipeline.cut()
    assert await dropped(pipeline) == []
    unuse(pipeline, aged[0])  # by a drop rule: the newer one stays
    await pipeline.cut(move_s=2 * 24 * HOUR_S)
    unuse(pipeline, gone[0])
    await pipeline.cut(move_s=HOUR_S)
    assert await dropped(pipeline) == []
    unuse(pipeline, gone[1])
    await pipeline.cut(move_s=HOUR_S)
    unuse(pipeline, *kept)
    await pipeline.cut(move_s=HOUR_S)
    assert await dropped(pipeline) == [("kept", 5), ("gone", 4)]
    pipeline.publish(*kept)  # somebody has brought it back
    await pipeline.cut(move_s=HOUR_S)
    pipeline.kill(*gone)
    await pipeline.cut(move_s=HOUR_S)
    assert await dropped(pipeline) == [("gone", 4)]
    pipeline.clock.move(24 * HOUR_S)
    assert await dropped(pipeline) == []


async def test_a_look_reads_no_more_than_the_newest_records(monkeypatch: pytest.MonkeyPatch):
    """Nor does it ask the source about anything where nothing was marked unused."""
    monkeypatch.setattr(drops, "RECORDS_MAX", 20)
    monkeypatch.setattr(drops, "RECORDS_PER_READ_MAX", 10)
    pipeline = Pipeline()
    lost = segment("lost")
    pipeline.publish(lost)
    await pipeline.cut()
    unuse(pipeline, lost)
    await pipeline.cut()
    assert await dropped(pipeline) == [("lost", 2)]
    pipeline.publish(*[segment(f"more-{number}") for number in range(40)])
    await pipeline.cut()
    assert await dropped(pipeline) == []
