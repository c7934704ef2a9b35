"""What is kept is locked for as long as it is kept; what goes is not."""

from datetime import timedelta

import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.errors import TransientError
from replicator.model.event import Offset
from replicator.model.load_spec import Location
from replicator.model.plans.restore_point import ToOffset
from tests.builders import segment
from tests.unit.pipeline import Pipeline, place_of
from tests.unit.services.retention.test_expiry import CLICKS, ORDERS, WIKI, story

WINDOW = timedelta(days=2)


async def locked_story() -> tuple[Pipeline, list[Offset]]:
    pipeline, days = await story()
    pipeline.target_storage.locks = True
    return pipeline, days


async def test_what_the_window_needs_is_locked_for_its_length_from_now():
    pipeline, _ = await locked_story()
    until = pipeline.clock.now() + WINDOW
    locked = await pipeline.object_locker().lock(WINDOW)
    rows = (ORDERS, segment("orders", 7), CLICKS, segment("orders", 1))
    assert pipeline.target_storage.locked_until == {place_of(row): until for row in rows}
    assert (locked.until, locked.locations, locked.missing) == (until, 4, [])
    expired_files = (await pipeline.planner().plan(WINDOW, storage=False)).expired_files
    files = {name for name in pipeline.area.files if name.startswith(("history/", "bases/"))}
    assert pipeline.area.locked == dict.fromkeys(
        files - {*expired_files.history, *expired_files.base_files}, until
    )
    assert locked.files == len(pipeline.area.locked) > 0
    assert expired_files.history
    assert expired_files.base_files


async def test_what_a_hold_keeps_is_locked_as_well():
    pipeline, days = await locked_story()
    await pipeline.holds().create("audit", ToOffset(offset=days[0]), reason="r", until=None)
    await pipeline.object_locker().lock(WINDOW)
    assert place_of(WIKI) in pipeline.target_storage.locked_until
    held = f"bases/log/{days[0]:020}/manifest.json"
    assert held in pipeline.area.locked


async def test_a_longer_lock_stays_and_what_is_gone_is_named():
    pipeline, _ = await locked_story()
    later = pipeline.clock.now() + timedelta(days=90)
    pipeline.target_storage.locked_until[place_of(ORDERS)] = later
    del pipeline.target_storage.stored[place_of(CLICKS)]
    locked = await pipeline.object_locker().lock(WINDOW)
    assert pipeline.target_storage.locked_until[place_of(ORDERS)] == later
    assert locked.locations == 3
    (missing,) = locked.missing
    assert place_of(CLICKS) in missing


async def test_a_store_that_is_away_for_a_moment_is_asked_again():
    pipeline, _ = await locked_story()
    extend, failed = pipeline.target_storage.extend, set[Location]()

    async def once_away(location, until):
        if location not in failed:
            failed.add(location)
            raise TransientError("away")
        await extend(location, until)

    pipeline.target_storage.extend = once_away  # type: ignore[method-assign]
    assert (await pipeline.object_locker().lock(WINDOW)).locations == len(failed) == 4


async def test_a_store_that_stays_away_ends_it_and_the_next_run_locks_all(
    monkeypatch: pytest.MonkeyPatch,
):
    pipeline, _ = await locked_story()

    async def away(*_: object) -> None:
        raise TransientError("away")

    with monkeypatch.context() as power:
        power.setattr(MemoryArea, "extend", away)
        with pytest.raises(TransientError, match="away"):
            await pipeline.object_locker().lock(WINDOW)
    assert (await pipeline.object_locker().lock(WINDOW)).locations == 4
