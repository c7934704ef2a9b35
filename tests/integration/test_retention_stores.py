"""Expiry in real stores: what goes is gone, what is kept is whole, and orphans are found."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from replicator.errors import GapError, TransientError
from replicator.model.event import Offset
from replicator.model.load_spec import Location
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import Segment
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store as OwnFiles
from tests.builders import segment
from tests.contract.storages import ALL, Origin, Store
from tests.unit.pipeline import Pipeline, place_of

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("stores")]
WIKI, ORDERS, CLICKS = segment(), segment("orders"), segment("clicks")


@pytest.fixture(params=["local", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with ALL[request.param](tmp_path, request) as made:
        yield made


def over(store: Store) -> Pipeline:
    """Rows and log in memory, bytes and history in the store."""
    pipeline: Any = Pipeline()
    storage: Any = store.storage
    pipeline.target_storage, pipeline.area = storage, storage.area()
    pipeline.applier = pipeline.new_applier()
    found: Pipeline = pipeline
    return found


async def day(pipeline: Pipeline, *come: Segment, gone: tuple[Segment, ...] = ()) -> Offset:
    pipeline.publish(*come)
    pipeline.kill(*gone)
    await pipeline.cut(move_s=86_400)
    await pipeline.follow()
    archive = ArchivedLog(OwnFiles(pipeline.area), "log")
    runs, _ = await archive.windows()
    cut = await archive.last_cut(runs[-1])
    await pipeline.archivist().write_base(cut)
    return cut.offset


async def test_what_no_point_needs_goes_and_the_rest_is_whole(store: Store):
    pipeline = over(store)
    first = await day(pipeline, WIKI, ORDERS)
    held = await day(pipeline, CLICKS)
    third = await day(pipeline, segment("clicks", partition=1), gone=(WIKI, CLICKS))
    await day(pipeline, segment("clicks", partition=2))
    stray = Location("stray/0/index.zip")
    await store.storage.put(stray, await Origin({"": b"left over"}).copy_source(stray))
    await pipeline.holds().create("audit", ToOffset(offset=held), reason="r", until=None)

    plan = await pipeline.planner().plan(timedelta(days=1), storage=True)
    assert (plan.horizon, plan.storage is not None) == (third, True)
    assert len(plan.unreferenced) == 0, "the hold keeps both"
    await pipeline.expirer().carry_out(plan, orphans=False)
    await pipeline.holds().remove("audit")
    plan = await pipeline.planner().plan(timedelta(days=1), storage=True)
    assert plan.storage is not None
    assert len(plan.unreferenced) == plan.storage.expiring == 2
    assert plan.storage.expiring_bytes == 2 * 1967
    assert plan.storage.foreign == 0
    assert plan.storage.young + len(plan.storage.orphans) == 1
    expired = await pipeline.expirer().carry_out(plan, orphans=False)
    assert (expired.locations, expired.locked) == (2, [])

    for row in (WIKI, CLICKS):
        assert await store.storage.receipt(place_of(row)) is None
    for row in (ORDERS, segment("clicks", partition=1), segment("clicks", partition=2)):
        assert await store.storage.receipt(place_of(row)) is not None
    with pytest.raises(GapError):
        await pipeline.points().refuse_expired("log", first)
    assert [
        o for o in await ArchivedLog(OwnFiles(pipeline.area), "log").offsets() if o < third
    ] == []
    again = await pipeline.planner().plan(timedelta(days=1), storage=True)
    assert again.is_empty
    pipeline.publish(replace(WIKI, created_date="2031-01-01T00:00:00.000Z"))
    await pipeline.cut()
    with pytest.raises(TransientError, match="bytes are copied again"):
        await pipeline.follow()  # two expiries went by since it asked for bytes the last time
    await pipeline.follow()
    assert await store.storage.receipt(place_of(WIKI)) is not None
