"""A datasource that nobody knows is refused with the nearest name, before anything is changed."""

from dataclasses import replace
from random import Random

import pytest

from replicator.cli.look import log as listing
from replicator.errors import NotFoundError
from replicator.model.druid.interval import interval
from replicator.model.event import Offset
from replicator.model.extent import Extent
from replicator.model.plans.restore_point import Latest, RestorePoint, ToOffset
from replicator.model.store.proof import Level
from replicator.services.inspection.undeletion import Undeletion
from tests.builders import segment
from tests.unit.pipeline import SOURCE, Pipeline
from tests.unit.services.inspection.test_blame import blamer

FIRST: RestorePoint = ToOffset(offset=Offset(2))


async def filled() -> Pipeline:
    """Cut 1 (offset 2): wiki, orders. Cut 2 (4): clicks."""
    pipeline = Pipeline()
    pipeline.publish(segment("wiki"), segment("orders"))
    await pipeline.cut()
    pipeline.publish(segment("clicks"))
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


async def test_each_verb_refuses_a_misspelt_datasource_and_names_the_nearest():
    pipeline = await filled()
    undeletion = Undeletion(history=pipeline.history(), observer=pipeline.seen.append)
    was = await pipeline.target.state(SOURCE)
    for work in (
        pipeline.restorer().plan(FIRST, datasource="wikki", adopt=False),
        pipeline.verifier().verify(Level.ROWS, extent=Extent(datasource="wikki")),
        undeletion.dropped("wikki"),
        undeletion.on_source("wikki", FIRST),
        blamer(pipeline).blame("wikki", interval=None, limit=5),
        listing._require_known(pipeline.history(), "wikki"),
    ):
        with pytest.raises(NotFoundError, match="wikki") as refused:
            await work
        assert "did you mean 'wiki'?" in refused.value.hint
    assert await pipeline.target.state(SOURCE) == was


async def test_each_verb_knows_a_datasource_that_was_dropped_and_says_when():
    """Its rows are gone from the last cut: marked unused in cut 3, killed in cut 4."""
    pipeline = await filled()
    wiki = segment("wiki")
    pipeline.publish(replace(wiki, used=False))
    await pipeline.cut()
    pipeline.kill(wiki)
    await pipeline.cut()
    await pipeline.follow()
    undeletion = Undeletion(history=pipeline.history(), observer=pipeline.seen.append)
    last: RestorePoint = Latest()
    for work in (
        pipeline.restorer().plan(last, datasource="wikki", adopt=False),
        pipeline.restorer().plan(last, datasource="wiki", adopt=False),
        undeletion.dropped("wikki"),
        undeletion.on_source("wiki", last),
        blamer(pipeline).blame("wikki", interval=None, limit=5),
        listing._require_known(pipeline.history(), "wikki"),
    ):
        with pytest.raises(NotFoundError) as refused:
            await work
        said = refused.value.hint
        assert "'wiki' was dropped in cut 3 (2024-06-01T00:00:30Z)" in said, said
        assert "its last cut with used segments is cut 2 (2024-06-01T00:00:20Z)" in said
        assert "`--to-offset 4`" in said
    with pytest.raises(NotFoundError) as unknown:
        await undeletion.dropped("nosuch")
    assert "the last cut has clicks, orders; dropped before it: wiki" in unknown.value.hint


async def test_a_datasource_that_came_later_is_said_to_have_come_later():
    pipeline = await filled()
    undeletion = Undeletion(history=pipeline.history(), observer=pipeline.seen.append)
    with pytest.raises(NotFoundError) as refused:
        await undeletion.on_source("clicks", FIRST)
    assert "'clicks' has had used segments since cut 2" in refused.value.hint


async def test_where_no_name_is_near_those_that_there_are_are_told():
    pipeline = await filled()
    with pytest.raises(NotFoundError) as refused:
        await pipeline.restorer().plan(FIRST, datasource="nosuch", adopt=False)
    assert "clicks, orders, wiki" in refused.value.hint


async def test_one_that_only_the_target_has_is_known():
    """A restore to before it was made takes its rows away; doing that again changes nothing."""
    pipeline = await filled()
    for _ in range(2):
        plan = await pipeline.restorer().plan(FIRST, datasource="clicks", adopt=False)
        await pipeline.restorer().execute(plan, accept_gaps=False)
    proof = await pipeline.verifier().verify(Level.ROWS, extent=Extent(datasource="clicks"))
    assert proof.is_good
    await listing._require_known(pipeline.history(), "clicks")


def test_an_interval_chooses_what_the_brokers_are_asked():
    first, second = interval("2024-01-01", "2024-01-02"), interval("2024-01-02", "2024-01-03")
    extent = Extent(interval=first)
    assert extent.asks("wiki", first, Random(1))
    assert not extent.asks("wiki", second, Random(1))
