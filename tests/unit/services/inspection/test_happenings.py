"""What happened in each cut, in words."""

from dataclasses import replace

import pytest

from replicator.errors import RefusedError
from replicator.model.row import key_of
from replicator.services.inspection.happenings import Happening, happenings
from replicator.services.inspection.undeletion import Undeletion
from tests.builders import commit, rules, segment
from tests.unit.pipeline import Pipeline
from tests.unit.services.history.test_trimmed import alone

WIKI, ORDERS = segment(), segment("orders")


async def told(
    pipeline: Pipeline, datasource: str | None = None, limit: int = 99
) -> list[Happening]:
    return await happenings(
        pipeline.history(), limit=limit, observer=pipeline.seen.append, datasource=datasource
    )


async def story() -> Pipeline:
    pipeline = Pipeline()
    pipeline.publish(WIKI, ORDERS, segment("orders", 1), commit())
    await pipeline.cut()
    for partition in (0, 1):
        row = segment("orders", partition)
        pipeline.source.rows[key_of(row)] = replace(row, used=False)
    await pipeline.cut()
    pipeline.kill(ORDERS)
    pipeline.publish(rules("orders"))
    await pipeline.cut()
    pipeline.source.rows[key_of(segment("orders", 1))] = segment("orders", 1)
    await pipeline.cut()
    return pipeline


async def test_each_cut_says_what_it_did_to_which_datasource():
    pipeline = await story()
    assert [(one.words, one.does_harm) for one in await told(pipeline)] == [
        (f"orders: 2 new; {WIKI.datasource}: 1 new; stream offsets", False),
        ("orders: 2 of 2 marked unused", True),
        ("orders: 1 removed; rules", True),
        ("orders: 1 used again", False),
    ]


async def begun_late() -> Pipeline:
    """A target that began with the second cut: its store has a base of that, and what came then."""
    pipeline = Pipeline()
    pipeline.publish(WIKI, ORDERS, segment("orders", 1))
    await pipeline.cut()
    pipeline.publish(segment("orders", 2))
    await pipeline.cut()
    await pipeline.follow()
    for partition in range(3):
        row = segment("orders", partition)
        pipeline.source.rows[key_of(row)] = replace(row, used=False)
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


async def test_a_store_alone_says_what_happened_since_its_first_base():
    pipeline = await begun_late()
    found = await happenings(alone(pipeline.area), limit=9, observer=pipeline.seen.append)
    assert [(one.cut.closed.cut, one.words) for one in found] == [
        (2, "history begins: 4 segments of 2 datasources"),
        (3, "orders: 3 of 3 marked unused"),
    ]


async def test_a_store_alone_says_how_a_datasource_was_dropped():
    pipeline = await begun_late()
    undeletion = Undeletion(history=alone(pipeline.area), observer=pipeline.seen.append)
    drop = await undeletion.dropped("orders")
    assert (drop.last.cut.closed.cut, drop.last.used) == (2, 3)
    with pytest.raises(RefusedError, match="is not dropped"):
        await undeletion.dropped(WIKI.datasource)


async def test_of_one_datasource_its_segments_alone_and_the_newest():
    pipeline = await story()
    assert [one.words for one in await told(pipeline, WIKI.datasource)] == [
        f"{WIKI.datasource}: 1 new"
    ]
    (last,) = await told(pipeline, "orders", limit=1)
    assert (last.words, last.cut.closed.cut) == ("orders: 1 used again", 4)
    assert last.after is not None
    assert last.after.closed.cut == 3


async def test_many_datasources_are_counted():
    pipeline = Pipeline()
    pipeline.publish(*(segment(f"d{number}") for number in range(9)))
    await pipeline.cut()
    (one,) = await told(pipeline)
    assert one.words == "d0: 1 new; d1: 1 new; d2: 1 new; 6 more datasources"
