"""A log that cannot be read, is somebody else's or was trimmed stops everybody, with a name."""

from collections.abc import Awaitable, Callable

import numpy as np
import orjson
import pytest

from replicator.errors import ConfigError, CorruptionError, GapError, ReplicatorError
from replicator.model.event import Record
from replicator.model.plans.restore_point import ToOffset
from tests.builders import segment
from tests.unit.pipeline import Pipeline

Reader = Callable[[Pipeline], Awaitable[object]]


async def watches(pipeline: Pipeline) -> None:
    await pipeline.new_watcher().poll()


async def applies(pipeline: Pipeline) -> None:
    applier = pipeline.new_applier()
    while await applier.apply_next():
        pass


async def restores(pipeline: Pipeline) -> None:
    history = pipeline.history()
    cut = (await history.cuts((await history.span()).first, (await history.span()).end))[-1]
    point = ToOffset(offset=cut.offset)
    await pipeline.restorer().plan(point, datasource=None, adopt=False)


READERS: list[Reader] = [watches, applies, restores]


async def written() -> Pipeline:
    """Two cuts in the log, offsets 0 to 4, that no target has seen."""
    pipeline = Pipeline()
    pipeline.publish(segment(), segment("orders"))
    await pipeline.cut()
    pipeline.publish(segment("later"))
    await pipeline.cut()
    return pipeline


def alter(pipeline: Pipeline, place: int, **members: object) -> None:
    records = pipeline.log._stored.records
    document = orjson.loads(records[place].data) | members
    records[place] = records[place]._replace(data=orjson.dumps(document))


def broken(record: Record) -> Record:
    return record._replace(data=record.data[: len(record.data) // 2])


async def is_refused(
    pipeline: Pipeline, reader: Reader, kind: type[ReplicatorError], message: str
) -> ReplicatorError:
    before = list(pipeline.log._stored.records)
    with pytest.raises(kind, match=message) as found:
        await reader(pipeline)
    assert pipeline.log._stored.records == before
    assert not pipeline.target_ids()
    return found.value


@pytest.mark.parametrize("reader", READERS)
async def test_an_event_that_was_cut_short_is_named_by_its_offset(reader: Reader):
    pipeline = await written()
    whole = pipeline.log._stored.records[1]
    pipeline.log._stored.records[1] = broken(whole)
    found = await is_refused(pipeline, reader, CorruptionError, "offset 1 of the log")
    assert "restore the log from a copy" in found.hint

    pipeline.log._stored.records[1] = whole
    await reader(pipeline)


@pytest.mark.parametrize("reader", READERS)
async def test_an_event_of_an_unknown_version_is_named_by_its_offset(reader: Reader):
    pipeline = await written()
    schema = "https://druid-replicator.dev/schemas/segment.published.v99.json"
    alter(pipeline, 3, dataschema=schema)
    await is_refused_unless_applied_before(pipeline, reader, "offset 3 of the log.*v99")


async def is_refused_unless_applied_before(
    pipeline: Pipeline, reader: Reader, message: str
) -> None:
    """The applier may be at the cut before, and never past it."""
    with pytest.raises(CorruptionError, match=message):
        await reader(pipeline)
    assert segment("later").id not in pipeline.target_ids()


@pytest.mark.parametrize("reader", READERS)
async def test_the_log_of_another_source_is_refused_with_what_to_do(reader: Reader):
    pipeline = await written()
    for place in range(5):
        alter(pipeline, place, source="another")
    found = await is_refused(pipeline, reader, ConfigError, "source 'another' at offset 0")
    assert "correct `source.name`" in found.hint


@pytest.mark.parametrize("reader", READERS)
async def test_a_trimmed_log_is_a_gap_and_no_smaller_inventory(reader: Reader):
    """Without what was trimmed nobody knows what the source holds: it is not made up."""
    pipeline = await written()
    del pipeline.log._stored.records[:3]
    await is_refused(pipeline, reader, GapError, "begins at offset 3")


async def test_a_record_that_a_log_has_lost_is_no_shorter_list():
    pipeline = await written()
    del pipeline.log._stored.records[1]
    with pytest.raises(CorruptionError, match="no record at offset 1 any more") as lost:
        async for _ in pipeline.history().pick(np.array([1, 3])):
            pass
    assert "verify TARGET --from TARGET" in lost.value.hint


@pytest.mark.parametrize("reader", READERS)
async def test_a_cut_that_lost_events_as_by_compaction_names_where_the_history_is(reader: Reader):
    """The hint of other damage names `verify`, which an operator may just have typed."""
    pipeline = await written()
    del pipeline.log._stored.records[1]
    found = await is_refused(pipeline, reader, CorruptionError, "does not add up")
    assert "compacted" in found.hint
    assert "verify TARGET --from TARGET" in found.hint
