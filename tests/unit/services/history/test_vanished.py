"""A source whose rows are gone at once is taken for another database until a person says so."""

import pytest

from replicator.errors import TransientError
from replicator.model.row import key_of
from replicator.services.history.vanished import ROWS_MIN
from tests.builders import segment
from tests.unit.pipeline import Pipeline

MANY = 2 * ROWS_MIN


async def watched(*, used: bool = True, count: int = MANY) -> Pipeline:
    pipeline = Pipeline()
    pipeline.publish(*(segment(partition=number, used=used) for number in range(count)))
    await pipeline.cut()
    return pipeline


def empty(pipeline: Pipeline, *, but: int = 0) -> None:
    """Take all rows away but the first ones, as another database shows none of them."""
    for key in sorted(pipeline.source.rows)[but:]:
        del pipeline.source.rows[key]


async def test_another_database_publishes_nothing_and_the_right_one_goes_on():
    pipeline = await watched()
    there = dict(pipeline.source.rows)
    end = (await pipeline.log.span()).end
    empty(pipeline)
    for _ in range(2):
        with pytest.raises(TransientError, match=r"200 of the 200 rows .* --accept-vanished"):
            await pipeline.watcher.poll()
    assert (await pipeline.log.span()).end == end

    pipeline.source.rows.update(there)
    pipeline.publish(segment("late"))
    await pipeline.cut()
    assert (await pipeline.log.span()).end == end + 2


async def test_what_is_gone_on_purpose_is_published_when_that_is_said():
    pipeline = await watched()
    await pipeline.follow()
    empty(pipeline)
    pipeline.watcher = pipeline.new_watcher(accept_vanished=True)
    assert await pipeline.watcher.poll()
    await pipeline.follow()
    assert not pipeline.target_ids()


async def test_a_running_watcher_goes_on_once_another_was_told_that_it_is_on_purpose():
    """It publishes nothing while it asks, so that nothing but the log tells it."""
    pipeline = await watched()
    empty(pipeline)
    with pytest.raises(TransientError):
        await pipeline.watcher.poll()
    assert await pipeline.new_watcher(accept_vanished=True).poll()
    with pytest.raises(TransientError):
        await pipeline.watcher.poll()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == {segment("late").id}


async def test_unused_segments_are_killed_by_the_thousand_and_nobody_is_asked():
    pipeline = await watched(used=False)
    empty(pipeline)
    assert await pipeline.watcher.poll()


@pytest.mark.parametrize(("count", "left"), [(MANY, MANY // 2), (ROWS_MIN - 1, 0)])
async def test_half_of_the_rows_or_a_few_may_go(count: int, left: int):
    pipeline = await watched(count=count)
    empty(pipeline, but=left)
    assert await pipeline.watcher.poll()


async def test_one_more_than_half_is_too_much():
    pipeline = await watched()
    empty(pipeline, but=MANY // 2 - 1)
    with pytest.raises(TransientError):
        await pipeline.watcher.poll()


async def test_rows_that_went_before_are_none_of_those_that_the_source_had():
    pipeline = await watched(count=4 * ROWS_MIN)
    empty(pipeline, but=2 * ROWS_MIN)
    assert await pipeline.watcher.poll()
    empty(pipeline, but=ROWS_MIN - 1)
    with pytest.raises(TransientError, match="101 of the 200 rows"):
        await pipeline.watcher.poll()


def test_keys_sort():
    """What `empty` relies on."""
    assert key_of(segment(partition=1)) < key_of(segment(partition=2))
