"""What no kept point needs goes, and nothing else, whoever works or dies beside the expiry."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.adapters.signing.area import SignedArea
from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    GapError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.event import ClosedCut, CutNumber, Offset
from replicator.model.load_spec import LocalLayout, Location, SourceLayout
from replicator.model.log.locations import (
    HASH_BYTES,
    HashSet,
    RemainingLocations,
    among,
    hashes,
    less,
    location_hash,
)
from replicator.model.log.reading import Recorded
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import Segment
from replicator.model.store.archive import BASES, HISTORY, history_name, manifest_name
from replicator.model.store.holds import (
    RESTORES,
    Hold,
    NamedPoint,
    RestoreLease,
    file_name,
    hold_json,
    lasting_s,
    lease_json,
    point_at,
    point_json,
)
from replicator.model.store.intent import (
    NUMBER_MAX,
    Intent,
    IntentDone,
    LaterEnd,
    done_json,
    intent_json,
    intent_name,
    intent_of,
    lease_name,
    until_json,
)
from replicator.ports import CopySource
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.services.retention.expirer import Expired, _Lease
from replicator.services.retention.planner import ExpiryPlan
from replicator.services.retention.references import beginning_until, ending_after
from replicator.services.retention.retained import listed_base
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.intents import horizon
from replicator.services.store.points import StorePoints
from replicator.services.store.restore_lease import LeaseLimits, RestoreLeases
from replicator.services.store.store import Store
from replicator.services.store.windows import windows
from tests.builders import TIME, segment
from tests.simulation.virtual_time import in_virtual_time
from tests.unit.adapters.test_signing import rule
from tests.unit.pipeline import EXPIRY, SOURCE, Pipeline, place_of
from tests.unit.services.restore.test_renamer import renamer

DAY_S = 86_400.0
WIKI, ORDERS, CLICKS = segment(), segment("orders"), segment("clicks")


async def day(pipeline: Pipeline, *come: Segment, gone: tuple[Segment, ...] = ()) -> Offset:
    """A day passes; then some segments come and go, the target follows and has a base of it."""
    pipeline.publish(*come)
    pipeline.kill(*gone)
    await pipeline.cut(move_s=DAY_S)
    await pipeline.follow()
    cut = await newest(pipeline)
    await pipeline.archivist().write_base(cut)
    return cut.offset


async def newest(pipeline: Pipeline) -> ClosedCut:
    archive = ArchivedLog(Store(pipeline.area), "log")
    runs, _ = await archive.windows()
    return await archive.last_cut(runs[-1])


async def story() -> tuple[Pipeline, list[Offset]]:
    """Day 0: wiki. 1: orders. 2: wiki is killed. 3: clicks. 4: another one of orders."""
    pipeline = Pipeline()
    days = [
        await day(pipeline, WIKI),
        await day(pipeline, ORDERS),
        await day(pipeline, segment("orders", partition=7), gone=(WIKI,)),
        await day(pipeline, CLICKS),
        await day(pipeline, segment("orders", partition=1)),
    ]
    return pipeline, days


async def expire(
    pipeline: Pipeline, days: float = 2, *, orphans: bool = False
) -> tuple[ExpiryPlan, Expired]:
    plan = await pipeline.planner().plan(timedelta(days=days), storage=True, orphans=orphans)
    return plan, await pipeline.expirer().carry_out(plan, orphans=orphans)


def stored(pipeline: Pipeline) -> set[Location]:
    return set(pipeline.target_storage.stored)


def files(pipeline: Pipeline, folder: str) -> list[str]:
    return sorted(name for name in pipeline.area.files if name.startswith(folder))


async def restorable(pipeline: Pipeline, offset: Offset) -> None:
    """The store alone has all rows and all bytes of a cut."""
    archive = ArchivedLog(Store(pipeline.area), "log")
    history = History(archive, source=SOURCE, workers=InPlaceWorkers(), bases=archive)
    cut = await history.find(ToOffset(offset=offset))
    assert cut.offset == offset
    ledger = await fold(history, offset, Recorded())
    assert ledger.digest == cut.closed.digest
    async for records in history.records(np.sort(ledger.offsets)):
        for location in pipeline.locator().named(records):
            assert location in pipeline.target_storage.stored, location


async def test_what_no_point_of_the_window_needs_goes():
    pipeline, days = await story()
    plan, expired = await expire(pipeline)
    assert plan.horizon == days[2]
    assert (plan.oldest_before.offset, plan.oldest_after.offset) == (days[0], days[2])
    assert (expired.locations, expired.needed_again, expired.locked) == (1, 0, [])
    assert place_of(WIKI) not in stored(pipeline)
    assert place_of(ORDERS) in stored(pipeline)
    for offset in days[2:]:
        await restorable(pipeline, offset)
    assert all(name > f"{BASES}/log/{days[2]:020}" for name in files(pipeline, BASES))
    archive = ArchivedLog(Store(pipeline.area), "log")
    assert await archive.whole_until(days[2]) == (await archive.span()).end
    again, nothing = await expire(pipeline)
    assert (again.is_empty, nothing.number) == (True, None)


async def test_the_plan_says_what_would_go_and_changes_nothing():
    pipeline, _ = await story()
    before = (dict(pipeline.area.files), stored(pipeline))
    plan = await pipeline.planner().plan(timedelta(days=2), storage=True)
    assert plan.storage is not None
    assert (plan.storage.expiring, plan.storage.expiring_bytes) == (1, 1967)
    assert len(plan.unreferenced) == 1
    assert len(plan.expired_files.bases) == 2
    assert (dict(pipeline.area.files), stored(pipeline)) == before


async def test_a_window_longer_than_the_history_lets_nothing_expire():
    pipeline, days = await story()
    plan, expired = await expire(pipeline, days=30)
    assert (plan.horizon, plan.is_empty, expired.number) == (0, True, None)
    for offset in days:
        await restorable(pipeline, offset)


async def test_a_clock_that_is_ahead_does_not_use_up_the_window():
    pipeline, days = await story()
    pipeline.clock.move(400 * DAY_S)
    plan = await pipeline.planner().plan(timedelta(days=2), storage=True)
    assert plan.horizon == days[2]


async def test_bytes_that_another_row_shares_stay():
    pipeline = Pipeline()
    await day(pipeline, WIKI)
    upgraded = with_load_spec_of(WIKI)
    await day(pipeline, upgraded)
    del pipeline.source.rows[next(key for key in pipeline.source.rows if key.key == WIKI.id)]
    await pipeline.cut(move_s=DAY_S)
    await pipeline.follow()
    await pipeline.archivist().write_base(await newest(pipeline))
    for number in range(3):
        await day(pipeline, segment("clicks", partition=number))
    last = (await newest(pipeline)).offset
    _, expired = await expire(pipeline)
    assert expired.locations == 0
    assert place_of(WIKI) in stored(pipeline)
    await restorable(pipeline, last)


def with_load_spec_of(row: Segment) -> Segment:
    """An upgraded segment of append and replace: another id, the same bytes."""
    other = segment(row.datasource, partition=5)
    place, own = place_of(row), place_of(other)
    return replace(other, payload=other.payload.replace(own.encode(), place.encode()))


# ------------------------------------------------------------------------------------------ holds


async def test_a_hold_keeps_its_cut_and_nothing_else():
    pipeline, days = await story()
    hold = await pipeline.holds().create(
        "audit", ToOffset(offset=days[1]), reason="year end", until=None
    )
    assert hold.point.offset == days[1]
    plan, expired = await expire(pipeline)
    assert [one.point.name for one in plan.holds] == ["audit"]
    assert (plan.horizon, expired.locations) == (days[2], 0)
    await restorable(pipeline, days[1])
    found = await windows(Store(pipeline.area), "log", pipeline.points())
    assert [one.first.offset for one in found.windows] == [days[2]], "what expired is offered"
    assert [one.point.name for one in found.holds] == ["audit"]
    with pytest.raises(GapError, match=f"offset {days[1]} .*held as audit"):
        await pipeline.points().refuse_expired("log", days[0])
    await pipeline.points().refuse_expired("log", days[1])
    await pipeline.holds().remove("audit")
    _, expired = await expire(pipeline)
    assert expired.locations == 1
    assert place_of(WIKI) not in stored(pipeline)


async def test_a_hold_between_two_bases_writes_its_own():
    pipeline = Pipeline()
    await day(pipeline, WIKI)
    pipeline.publish(ORDERS)
    await pipeline.cut()
    await pipeline.follow()
    held = (await newest(pipeline)).offset
    pipeline.kill(WIKI, ORDERS)
    for number in range(4):
        await day(pipeline, segment("clicks", partition=number))
    await pipeline.holds().create("both", ToOffset(offset=held), reason="r", until=None)
    _, expired = await expire(pipeline)
    assert expired.locations == 0
    await restorable(pipeline, held)


async def test_a_hold_that_has_ended_keeps_nothing():
    pipeline, days = await story()
    until = pipeline.clock.now() + timedelta(hours=1)
    await pipeline.holds().create("short", ToOffset(offset=days[1]), reason="r", until=until)
    _, expired = await expire(pipeline)
    assert expired.locations == 0
    await restorable(pipeline, days[1])
    pipeline.clock.move(3600)
    _, expired = await expire(pipeline)
    assert expired.locations == 1
    assert await pipeline.points().holds() == []


NAIVE = hold_json(
    Hold(
        point=NamedPoint(
            name="odd",
            log_id="log",
            offset=Offset(3),
            cut=CutNumber(1),
            source_time=TIME,
            created_at=TIME,
        ),
        reason="r",
        until=TIME,
    )
).replace(b'Z"}', b'"}')
"""A hold whose end has no zone."""


async def test_an_altered_hold_stops_what_deletes_and_nothing_else():
    pipeline, days = await story()
    await pipeline.holds().create("audit", ToOffset(offset=days[1]), reason="r", until=None)
    pipeline.area.files["holds/odd.json"] = NAIVE
    with pytest.raises(
        CorruptionError, match=r"holds/odd\.json cannot be read: field 'until'.*zone"
    ):
        await expire(pipeline)
    points = pipeline.points()
    held, faults = await points.readable_holds()
    assert [hold.point.name for hold in held] == ["audit"]
    assert "holds/odd.json" in "".join(faults)
    assert (await points.point("audit")).offset == days[1]
    found = await windows(Store(pipeline.area), "log", points)
    assert "holds/odd.json" in "".join(found.faults)
    await pipeline.holds().create("third", ToOffset(offset=days[2]), reason="r", until=None)
    await pipeline.holds().remove("odd")
    await expire(pipeline)
    with pytest.raises(GapError):
        await pipeline.points().refuse_expired("log", days[0])
    pipeline.area.files["holds/odd.json"] = NAIVE
    await pipeline.points().refuse_expired("log", days[1])  # held by one that can be read
    with pytest.raises(CorruptionError, match=r"unless a hold that cannot be read .*holds/odd"):
        await pipeline.points().refuse_expired("log", days[0])


async def test_an_altered_point_stops_no_other_one():
    pipeline, _ = await story()
    pipeline.area.files["points/odd.json"] = b'{"format":1,"offset":"6"}'
    pipeline.area.files["points/fine.json"] = point_json(
        point_at(await newest(pipeline), name="fine", log_id="log", now=TIME)
    )
    found, faults = await pipeline.points().points()
    assert [point.name for point in found] == ["fine"]
    assert "points/odd.json cannot be read" in "".join(faults)
    assert (await pipeline.points().point("fine")).name == "fine"
    with pytest.raises(CorruptionError, match=r"points/odd\.json"):
        await pipeline.points().point("odd")


async def test_holds_are_refused_with_words():
    pipeline, days = await story()
    holds = pipeline.holds()
    with pytest.raises(ConfigError, match="already be over"):
        await holds.create("past", ToOffset(offset=days[1]), reason="r", until=pipeline.clock.now())
    with pytest.raises(ConfigError, match="no name"):
        await holds.create("../x", ToOffset(offset=days[1]), reason="r", until=None)
    await holds.create("a", ToOffset(offset=days[3]), reason="r", until=None)
    with pytest.raises(RefusedError, match="exists"):
        await holds.create("a", ToOffset(offset=days[2]), reason="r", until=None)
    await expire(pipeline)
    with pytest.raises(GapError, match="no cut was closed"):
        await holds.create("old", ToOffset(offset=days[0]), reason="r", until=None)
    with pytest.raises(NotFoundError):
        await holds.remove("nobody")


async def test_a_damaged_base_of_a_hold_is_named_also_when_all_around_it_has_expired():
    pipeline, days = await story()
    await pipeline.holds().create("audit", ToOffset(offset=days[1]), reason="r", until=None)
    await expire(pipeline)
    name = next(n for n in files(pipeline, f"{BASES}/log/{days[1]:020}") if n.endswith(".zst"))
    del pipeline.area.files[name]
    assert [name in one for one in await ArchivedLog(Store(pipeline.area), "log").damages()] == [
        True
    ]


async def test_a_hold_that_an_expiry_overtakes_and_then_gives_up_is_not_said_to_hold(
    monkeypatch: pytest.MonkeyPatch,
):
    """The horizon has moved behind the cut and back while the hold was taken back."""
    pipeline, days = await story()
    holds = pipeline.holds()
    horizons = iter([Offset(0), Offset(days[1] + 1), Offset(0), Offset(0)])

    async def moving(_: StorePoints, __: str) -> Offset:
        return next(horizons)

    with monkeypatch.context() as patch:
        patch.setattr(StorePoints, "horizon", moving)
        with pytest.raises(TransientError, match="hold was taken back"):
            await holds.create("audit", ToOffset(offset=days[1]), reason="r", until=None)
    assert await pipeline.points().holds() == []
    await holds.create("audit", ToOffset(offset=days[1]), reason="r", until=None)
    await expire(pipeline)
    await restorable(pipeline, days[1])


async def test_a_hold_that_an_expiry_overtakes_leaves_no_half_of_a_base():
    """The expiry takes what of the base is there; the manifest comes later."""
    pipeline, _ = await story()
    pipeline.publish(segment("clicks", partition=9))
    await pipeline.cut()
    await pipeline.follow()
    between = (await newest(pipeline)).offset
    for number in range(4):
        await day(pipeline, segment("orders", partition=20 + number))
    plan = await pipeline.planner().plan(timedelta(days=1), storage=False)
    holds = pipeline.holds()
    create = holds._archivist.write_base

    async def overtaken(cut: ClosedCut) -> object:
        base = await create(cut)
        expired = await pipeline.expirer().carry_out(plan, orphans=False)
        assert expired.number == 1
        return base

    holds._archivist.write_base = overtaken  # type: ignore[method-assign,assignment]
    with pytest.raises(GapError, match="has expired"):
        await holds.create("late", ToOffset(offset=between), reason="r", until=None)
    assert files(pipeline, f"{BASES}/log/{between:020}/manifest") == []
    assert not await ArchivedLog(Store(pipeline.area), "log").damages()


async def test_a_hold_whose_base_is_gone_stops_the_expiry():
    pipeline, days = await story()
    await pipeline.holds().create("audit", ToOffset(offset=days[1]), reason="r", until=None)
    for name in files(pipeline, f"{BASES}/log/{days[1]:020}"):
        del pipeline.area.files[name]
    with pytest.raises(CorruptionError, match="its references are unknown"):
        await pipeline.planner().plan(timedelta(days=2), storage=False)


# -------------------------------------------------------------------------- the target and its rows


async def test_a_target_that_stands_at_an_old_cut_keeps_its_rows_bytes_and_its_proof():
    pipeline, days = await story()
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=days[1]), datasource=None, adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    _, expired = await expire(pipeline)
    assert expired.locations == 0
    assert place_of(WIKI) in stored(pipeline)
    await restorable(pipeline, days[1])
    pipeline.applier = pipeline.new_applier(resume=True)
    await pipeline.follow()
    _, expired = await expire(pipeline)
    assert expired.locations == 1


async def test_a_target_that_stands_between_two_bases_gets_one_of_its_own():
    pipeline = Pipeline()
    await day(pipeline, WIKI)
    pipeline.publish(ORDERS)
    await pipeline.cut()
    await pipeline.follow()
    paused = (await newest(pipeline)).offset
    pipeline.kill(WIKI, ORDERS)
    for number in range(4):
        await day(pipeline, segment("clicks", partition=number))
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=paused), datasource=None, adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    await expire(pipeline)
    await restorable(pipeline, paused)


async def test_a_target_of_which_one_datasource_stands_keeps_what_its_rows_point_to():
    pipeline, days = await story()
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=days[0]), datasource="wiki", adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    assert WIKI.id in pipeline.target_ids()
    await expire(pipeline)
    assert place_of(WIKI) in stored(pipeline)


async def test_what_was_restored_under_another_name_keeps_its_bytes():
    """Its rows are in no cut; the source has killed what they were made of."""
    pipeline, days = await story()
    renaming = renamer(pipeline)
    plan = await renaming.plan(ToOffset(offset=days[1]), datasource="wiki", to="wiki_old")
    await renaming.execute(plan, accept_gaps=False)
    _, expired = await expire(pipeline)
    assert expired.locations == 0
    assert place_of(WIKI) in stored(pipeline)
    await renaming.forget(await renaming.plan_forget("wiki_old"))
    _, expired = await expire(pipeline, orphans=True)  # its history is gone: nobody knows it now
    assert (expired.locations, expired.orphans) == (0, 1)
    assert place_of(WIKI) not in stored(pipeline)
    with pytest.raises(GapError, match="has expired"):
        await renaming.plan(ToOffset(offset=days[1]), datasource="wiki", to="wiki_old")


async def test_a_promoted_target_and_foreign_rows_are_refused():
    pipeline, _ = await story()
    kept = pipeline.target.sources[SOURCE]
    assert kept.checkpoint is not None
    kept.checkpoint = replace(kept.checkpoint, promoted=True)
    with pytest.raises(RefusedError, match="promoted"):
        await pipeline.planner().plan(timedelta(days=2), storage=False)
    del pipeline.target.sources[SOURCE]
    with pytest.raises(RefusedError, match="did not write"):
        await pipeline.planner().plan(timedelta(days=2), storage=False)


async def test_load_specs_that_nobody_can_read_any_more_stop_the_expiry():
    """With another configuration the same records might lead to bytes that would be deleted."""
    pipeline, _ = await story()
    origin = replace(
        pipeline.history_source(),
        layout=SourceLayout(main=LocalLayout(root="/elsewhere"), others={}),
    )
    pipeline.history_source = lambda **_: origin  # type: ignore[method-assign]
    with pytest.raises(RefusedError, match="cannot read"):
        await pipeline.planner().plan(timedelta(days=2), storage=False)


# ------------------------------------------------------------------------------------ the damaged


async def test_a_damaged_base_is_no_horizon_and_damaged_history_stops_the_expiry():
    pipeline, days = await story()
    name = next(n for n in files(pipeline, f"{BASES}/log/{days[2]:020}") if n.endswith(".zst"))
    pipeline.area.files[name] = pipeline.area.files[name][:-9]
    plan = await pipeline.planner().plan(timedelta(days=2), storage=False)
    assert plan.horizon == days[1]
    name = files(pipeline, HISTORY)[-1]
    pipeline.area.files[name] = pipeline.area.files[name][:-9]
    with pytest.raises(CorruptionError, match=name):
        await pipeline.planner().plan(timedelta(days=2), storage=False)


async def test_damaged_files_that_go_are_passed_over():
    pipeline, days = await story()
    for name in (*files(pipeline, HISTORY)[:1], files(pipeline, BASES)[0]):
        pipeline.area.files[name] = pipeline.area.files[name][:-9]
    plan, _ = await expire(pipeline)
    assert plan.horizon == days[2]
    assert place_of(ORDERS) in stored(pipeline)


# ---------------------------------------------------------------------------------------- orphans


async def test_orphans_are_listed_and_go_only_when_asked():
    pipeline, _ = await story()
    await pipeline.target_storage.put(*await copy_source(pipeline, Location("left/over/index.zip")))
    pipeline.target_storage.stored[Location("foreign.txt")] = {"": b"not ours"}
    await day(pipeline, segment("clicks", partition=5))
    await day(pipeline, segment("clicks", partition=6))
    young = Location("young/index.zip")
    await pipeline.target_storage.put(*await copy_source(pipeline, young))
    plan, expired = await expire(pipeline)
    assert plan.storage is not None
    assert [one.location for one in plan.storage.orphans] == ["left/over/index.zip"]
    assert (plan.storage.young, plan.storage.foreign, expired.orphans) == (1, 1, 0)
    assert Location("left/over/index.zip") in stored(pipeline)
    _, expired = await expire(pipeline, orphans=True)
    assert expired.orphans == 1
    assert {Location("foreign.txt"), young} <= stored(pipeline)
    assert Location("left/over/index.zip") not in stored(pipeline)


@pytest.mark.parametrize("lost", ["history", "part", "manifest"])
async def test_what_lost_files_may_name_is_no_orphan(lost: str):
    """Those bytes looked like orphans, and were deleted before `repair` brought the file back."""
    pipeline, days = await story()
    await expire(pipeline)
    whole = dict(pipeline.area.files)
    base = files(pipeline, f"{BASES}/log/{days[2]:020}")
    gone = {
        "history": files(pipeline, f"{HISTORY}/")[-2],
        "part": next(name for name in base if name.endswith(".zst")),
        "manifest": next(name for name in base if not name.endswith(".zst")),
    }
    del pipeline.area.files[gone[lost]]
    before = stored(pipeline)
    with pytest.raises(RefusedError, match="it is unknown which bytes are orphans"):
        await expire(pipeline, days=30, orphans=True)
    assert stored(pipeline) == before
    pipeline.area.files.update(whole)
    await expire(pipeline, days=30, orphans=True)


async def test_bytes_of_a_cut_that_is_still_being_copied_are_no_orphans():
    """However long that takes: the first cut of a large source takes days."""
    pipeline, _ = await story()
    copied = Location("being/copied/index.zip")
    pipeline.clock.move(10)
    await pipeline.target_storage.put(*await copy_source(pipeline, copied))
    pipeline.clock.move(30 * DAY_S)
    plan, expired = await expire(pipeline, orphans=True)
    assert plan.storage is not None
    assert (plan.storage.young, expired.orphans) == (1, 0)
    assert copied in stored(pipeline)


async def copy_source(pipeline: Pipeline, location: Location):
    origin = MemoryDeepStorage()
    origin.stored[location] = {"": b"bytes"}
    objects = tuple(await origin.objects(location))
    return location, CopySource(reader=origin, location=location, objects=objects)


async def test_what_is_locked_stays_and_so_does_its_history():
    pipeline, days = await story()
    place = place_of(WIKI)
    pipeline.target_storage.locked_until[place] = pipeline.clock.now() + timedelta(days=1)
    _, expired = await expire(pipeline)
    assert (expired.locations, len(expired.locked), expired.files) == (0, 1, 0)
    pipeline.clock.move(2 * DAY_S)
    _, expired = await expire(pipeline)
    assert (expired.locations, expired.locked) == (1, [])
    assert expired.files > 0
    await restorable(pipeline, days[2])


async def test_a_place_that_cannot_be_ours_holds_no_history_back(monkeypatch: pytest.MonkeyPatch):
    """A row named a folder, or a place that leads elsewhere: it was a gap, and stays no file."""
    pipeline, days = await story()

    async def refused(location: Location) -> None:
        raise RefusedError(f"{location} is a folder")

    monkeypatch.setattr(pipeline.target_storage, "remove", refused)
    _, expired = await expire(pipeline)
    assert (expired.locked, expired.files > 0) == ([], True)
    await restorable(pipeline, days[2])


# ------------------------------------------------------------------------------ beside each other


async def test_a_place_that_a_cut_needs_again_after_the_plan_is_spared():
    pipeline, _ = await story()
    plan = await pipeline.planner().plan(timedelta(days=2), storage=True)
    again = replace(WIKI, created_date="2031-01-01T00:00:00.000Z")
    last = await day(pipeline, again)
    expired = await pipeline.expirer().carry_out(plan, orphans=False)
    assert (expired.locations, expired.needed_again) == (0, 1)
    await restorable(pipeline, last)


async def test_a_cut_that_needs_what_is_being_deleted_waits_and_copies_again():
    """The applier has seen that the bytes are there; then they go before its row is written."""
    pipeline, _ = await story()
    plan = await pipeline.planner().plan(timedelta(days=2), storage=True)
    pipeline.publish(replace(WIKI, created_date="2031-01-01T00:00:00.000Z"))
    await pipeline.cut()
    step = pipeline.applier._copier.copy
    expired: list[Expired] = []

    async def copy(*args, **options):
        found = await step(*args, **options)
        if not expired:  # after it was asked whether the bytes are there, before its history
            expired.append(await pipeline.expirer().carry_out(plan, orphans=False))
        return found

    pipeline.applier._copier.copy = copy  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="expiry 1 deletes"):
        await pipeline.follow()
    assert expired[0].locations == 1
    assert place_of(WIKI) not in stored(pipeline)
    assert WIKI.id not in pipeline.target_ids()
    await pipeline.follow()
    assert WIKI.id in pipeline.target_ids()
    assert place_of(WIKI) in stored(pipeline)


async def test_a_cut_waits_as_long_as_an_expiry_that_died_might_still_delete():
    pipeline, _ = await story()
    plan = await pipeline.planner().plan(timedelta(days=2), storage=True)
    expirer = pipeline.expirer()
    await expirer._announce(plan, plan.unreferenced, [])
    pipeline.publish(replace(WIKI, created_date="2031-01-01T00:00:00.000Z"))
    await pipeline.cut()
    for _ in range(3):
        with pytest.raises(TransientError, match="expiry 1 deletes"):
            await pipeline.follow()
        pipeline.clock.move(600)
    pipeline.clock.move(60)
    await pipeline.follow()
    assert WIKI.id in pipeline.target_ids()


async def test_cuts_that_need_nothing_of_what_goes_do_not_wait():
    pipeline, _ = await story()
    plan = await pipeline.planner().plan(timedelta(days=2), storage=True)
    await pipeline.expirer()._announce(plan, plan.unreferenced, [])
    last = await day(pipeline, segment("clicks", partition=3))
    await restorable(pipeline, last)


async def test_of_two_expiries_one_is_refused():
    pipeline, days = await story()
    first = await pipeline.planner().plan(timedelta(days=2), storage=False)
    second = await pipeline.planner().plan(timedelta(days=1), storage=False)
    await pipeline.expirer()._announce(first, first.unreferenced, [])
    with pytest.raises(FencedError, match="is running"):
        await pipeline.expirer().carry_out(second, orphans=False)
    await restorable(pipeline, days[2])
    pipeline.clock.move(31 * 60)
    assert (await pipeline.expirer().carry_out(second, orphans=False)).number == 2


async def test_of_two_expiries_at_once_one_is_refused():
    pipeline, days = await story()
    plans = [await pipeline.planner().plan(timedelta(days=2), storage=False) for _ in range(2)]
    failures, done = [], []

    async def run(plan: ExpiryPlan) -> None:
        try:
            done.append(await pipeline.expirer().carry_out(plan, orphans=False))
        except FencedError as exc:
            failures.append(str(exc))

    async with asyncio.TaskGroup() as group:
        for plan in plans:
            group.create_task(run(plan))
    assert (len(failures), len(done)) == (1, 1)
    assert "same time" in failures[0] or "is running" in failures[0]
    await restorable(pipeline, days[2])


async def test_an_expiry_that_takes_too_long_stops():
    pipeline, days = await story()
    plan = await pipeline.planner().plan(timedelta(days=1), storage=False)
    remove = pipeline.target_storage.remove

    async def slow(location: Location) -> None:
        await remove(location)
        pipeline.clock.move(25 * 60)

    pipeline.target_storage.remove = slow  # type: ignore[method-assign]
    with pytest.raises(FencedError, match="took longer"):
        await pipeline.expirer().carry_out(plan, orphans=False)
    await restorable(pipeline, days[3])


async def announced(pipeline: Pipeline) -> Intent:
    """An expiry that has said nothing yet but that it begins: what it condemns is not known."""
    intent = Intent(
        number=1,
        log_id="log",
        horizon=Offset(0),
        before=Offset(0),
        valid_until=pipeline.clock.now() + EXPIRY.lease,
        places=1,
        lasts_s=lasting_s(EXPIRY.lease),
    )
    await pipeline.area.create(intent_name(1), intent_json(intent))
    return intent


async def test_an_expiry_deletes_for_as_long_as_it_says_so_and_no_longer():
    pipeline = Pipeline()
    intent = await announced(pipeline)
    announced_at_s = asyncio.get_running_loop().time()
    limits = pipeline.planner().limits
    lease = _Lease(pipeline.area, pipeline.clock, limits, intent, announced_at_s=announced_at_s)
    for _ in range(6):
        pipeline.clock.move(600)
        await lease.extend()
    (files_,) = await pipeline.intents().listed()
    until = await pipeline.intents().valid_until(files_)
    assert pipeline.clock.now() < until
    assert intent.valid_until < pipeline.clock.now()
    assert not await pipeline.intents().is_over(files_)
    pipeline.clock.time = until
    assert not await pipeline.intents().is_over(files_), "its machine's clock may be behind"
    pipeline.clock.time = until + EXPIRY.clock_skew_max
    assert await pipeline.intents().is_over(files_)


def test_an_expiry_whose_clock_was_ahead_holds_nobody_up():
    """It was killed: a cut that needs what it condemned waits that long, and the next expiry."""

    async def within() -> None:
        pipeline, _ = await story()
        plan = await pipeline.planner().plan(timedelta(days=2), storage=True)
        pipeline.clock.move(86_400)
        await pipeline.expirer()._announce(plan, plan.unreferenced, [])
        pipeline.clock.move(-86_400)
        pipeline.publish(replace(WIKI, created_date="2031-01-01T00:00:00.000Z"))
        await pipeline.cut()
        lasts_s = (EXPIRY.lease + EXPIRY.clock_skew_max).total_seconds()
        waited_s = 0
        while WIKI.id not in pipeline.target_ids():
            try:
                await pipeline.follow()
            except TransientError:
                await asyncio.sleep(60)
                waited_s += 60
        assert lasts_s <= waited_s <= lasts_s + 60
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        second = await pipeline.planner().plan(timedelta(days=1), storage=False)
        assert (await pipeline.expirer().carry_out(second, orphans=False)).number == 2
        assert clock() - begun_s == lasts_s, "another process has not watched it"

    in_virtual_time(within())


def test_an_expiry_that_says_more_is_waited_for_and_not_outwaited():
    async def within() -> None:
        pipeline, days = await story()
        pipeline.clock.move(86_400)
        intent = await announced(pipeline)
        pipeline.clock.move(-86_400)
        plan = await pipeline.planner().plan(timedelta(days=1), storage=False)
        refused = asyncio.create_task(pipeline.expirer().carry_out(plan, orphans=False))
        await asyncio.sleep(600)
        later = LaterEnd(
            valid_until=intent.valid_until + timedelta(minutes=10), lasts_s=intent.lasts_s
        )
        await pipeline.area.create(lease_name(1, 1), until_json(later))
        with pytest.raises(FencedError, match="is running"):
            await refused
        await restorable(pipeline, days[2])

    in_virtual_time(within())


def test_an_expiry_whose_clock_was_put_back_deletes_no_longer_than_others_wait():
    """Others believe that it is over when they have watched it for so long: it must, too."""

    async def within() -> None:
        pipeline = Pipeline()
        pipeline.clock.move(86_400)
        intent = await announced(pipeline)
        limits, announced_at_s = pipeline.planner().limits, asyncio.get_running_loop().time()
        lease = _Lease(pipeline.area, pipeline.clock, limits, intent, announced_at_s=announced_at_s)
        pipeline.clock.move(-86_400)
        await asyncio.sleep((EXPIRY.lease - EXPIRY.margin).total_seconds() - 1)
        lease.require()
        await asyncio.sleep(1)
        with pytest.raises(FencedError, match="took longer"):
            lease.require()

    in_virtual_time(within())


async def test_an_intent_that_is_tidied_up_while_it_is_read_is_no_missing_log(
    monkeypatch: pytest.MonkeyPatch,
):
    """The next expiry removes it between the listing and the reading."""
    pipeline = Pipeline()
    await announced(pipeline)
    get = pipeline.area.get

    async def after_the_next(name: str, **limits: int) -> bytes:
        if name == intent_name(1):
            data = pipeline.area.files.pop(name, None)
            if data is not None:
                newer = replace(intent_of(1, data), number=2, horizon=Offset(7))
                pipeline.area.files[intent_name(2)] = intent_json(newer)
        return await get(name, **limits)

    monkeypatch.setattr(pipeline.area, "get", after_the_next)
    assert await horizon(pipeline.area, "log") == Offset(7)


async def test_an_expiry_that_does_not_say_what_it_condemns_may_condemn_anything():
    pipeline = Pipeline()
    pipeline.publish(WIKI)
    await pipeline.cut()
    guard = pipeline.guard()
    await guard.look()
    await announced(pipeline)
    with pytest.raises(TransientError, match="expiry 1 deletes"):
        await guard.require_spared(np.array([0]))


async def test_in_a_signed_store_only_a_signed_file_ends_an_expiry():
    pipeline, done = Pipeline(), done_json(IntentDone(carried_out=True))
    pipeline.publish(WIKI)
    await pipeline.cut()
    plain, pipeline.area = pipeline.area, SignedArea(pipeline.area, rule())  # type: ignore[assignment]
    intents = pipeline.intents()
    guard = ExpiryGuard(intents=intents, history=pipeline.history(), locator=pipeline.locator())
    await guard.look()
    await announced(pipeline)
    await plain.create(intent_name(1, "done.json"), done)
    (files_,) = await intents.listed()
    with pytest.raises(CorruptionError, match=r"expiry/0000000001\.done\.json is not signed"):
        await intents.is_over(files_)
    with pytest.raises(CorruptionError, match="is not signed"):
        await guard.look()
    await plain.delete(intent_name(1, "done.json"))
    assert not await intents.is_over(files_), "a file that went says nothing either"
    await pipeline.area.create(intent_name(1, "done.json"), done)
    assert await intents.is_over(files_)
    await guard.look()


async def test_that_an_expiry_is_over_is_read_once():
    pipeline, _ = await story()
    await expire(pipeline)
    intents, read = pipeline.intents(), list[str]()

    async def get(name: str, **options: int) -> bytes:
        read.append(name)
        return await MemoryArea.get(pipeline.area, name, **options)

    pipeline.area.get = get  # type: ignore[method-assign]
    (files_,) = await intents.listed()
    assert await intents.is_over(files_)
    assert await intents.is_over(files_)
    assert read == [intent_name(1, "done.json")]


async def test_files_beside_no_intent_are_none():
    """They would pass for an expiry that is over, and so would those with lower numbers."""
    pipeline = Pipeline()
    for name in (intent_name(50, "places"), lease_name(51, 1)):
        await pipeline.area.create(name, b"")
    assert await pipeline.intents().listed() == []


async def test_a_list_of_locations_that_is_cut_off_is_damage():
    pipeline = Pipeline()
    await pipeline.area.create(name := intent_name(1, "places"), bytes(2 * HASH_BYTES))
    assert await pipeline.intents().hashes(1) is not None
    await pipeline.area.replace(name, bytes(HASH_BYTES + 1))
    with pytest.raises(CorruptionError, match=f"{name} cannot be read: it has 17 bytes"):
        await pipeline.intents().hashes(1)


async def test_no_intent_has_a_number_that_nobody_reads():
    pipeline, _ = await story()
    last = intent_name(NUMBER_MAX, "done.json")
    await pipeline.area.create(last, done_json(IntentDone(carried_out=True)))
    before = stored(pipeline)
    with pytest.raises(RefusedError, match=rf"{last} leaves no number") as refused:
        await expire(pipeline)
    assert f"remove {last}" in str(refused.value.hint)
    assert (files(pipeline, "expiry"), stored(pipeline)) == ([last], before)
    await pipeline.area.create(longer := intent_name(NUMBER_MAX + 1), b"{}")
    with pytest.raises(CorruptionError, match=longer):
        await pipeline.intents().listed()


async def test_a_running_restore_keeps_its_cut():
    pipeline, days = await story()
    lease = RestoreLease(
        log_id="log",
        offset=days[1],
        valid_until=pipeline.clock.now() + timedelta(minutes=10),
    )
    name = file_name(RESTORES, "1")
    pipeline.area.files[name] = lease_json(lease)
    plan, expired = await expire(pipeline)
    assert (plan.horizon, expired.locations) == (days[1], 0)
    await restorable(pipeline, days[1])
    pipeline.clock.move(3600)
    plan, expired = await expire(pipeline)
    assert (plan.horizon, expired.locations) == (days[2], 1)
    assert name not in pipeline.area.files


async def test_a_restore_that_takes_long_says_so_again():
    pipeline, days = await story()
    leases = RestoreLeases(
        areas={"standby": pipeline.area},
        points=pipeline.points(),
        clock=pipeline.clock,
        limits=LeaseLimits(lease=timedelta(minutes=10), renewal=timedelta(milliseconds=1)),
        rng=Random(2),
    )
    async with leases.taken("log", days[1]):
        ((_, begun),) = await pipeline.points().leases()
        pipeline.clock.move(300)
        async with asyncio.timeout(10):
            while (await pipeline.points().leases())[0][1].valid_until == begun.valid_until:
                await asyncio.sleep(0.001)
    assert await pipeline.points().leases() == []


async def test_no_row_comes_back_while_an_expiry_may_take_its_bytes():
    pipeline, days = await story()
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=days[1]), datasource=None, adopt=False)
    copied = await restorer.copy(plan)
    await announced(pipeline)
    with pytest.raises(TransientError, match="expiry 1 deletes"):
        await restorer.commit(copied, accept_gaps=False)
    assert WIKI.id not in pipeline.target_ids()


async def test_a_restore_that_begins_after_the_plan_stops_the_expiry():
    pipeline, days = await story()
    plan = await pipeline.planner().plan(timedelta(days=2), storage=False)
    async with pipeline.restorer()._leases.taken("log", days[1]):
        with pytest.raises(RefusedError, match="a restore of offset"):
            await pipeline.expirer().carry_out(plan, orphans=False)
    await restorable(pipeline, days[0])
    await pipeline.points().refuse_expired("log", days[0])  # it gave way: nothing has expired
    assert files(pipeline, RESTORES) == []


async def test_a_restore_of_what_goes_is_refused_and_that_of_what_stays_is_not():
    pipeline, days = await story()
    restorer = pipeline.restorer()
    ready = await restorer.plan(ToOffset(offset=days[0]), datasource=None, adopt=False)
    plan = await pipeline.planner().plan(timedelta(days=2), storage=False)
    await pipeline.expirer()._announce(plan, plan.unreferenced, [])
    with pytest.raises(GapError, match=f"has expired; the nearest .* offset {days[2]}"):
        await restorer.execute(ready, accept_gaps=False)
    with pytest.raises(GapError, match="has expired"):
        await restorer.plan(ToOffset(offset=days[0]), datasource=None, adopt=False)
    ready = await restorer.plan(ToOffset(offset=days[2]), datasource=None, adopt=False)
    await restorer.execute(ready, accept_gaps=False)
    assert files(pipeline, RESTORES) == []


async def test_an_expiry_during_a_restore_takes_nothing_from_it():
    pipeline, days = await story()
    restorer = pipeline.restorer()
    ready = await restorer.plan(ToOffset(offset=days[1]), datasource=None, adopt=False)
    copy, refused = restorer._copier.copy, []

    async def meanwhile(*args, **options):
        found = await copy(*args, **options)
        plan, expired = await expire(pipeline)
        refused.append((plan.horizon, expired.locations))
        return found

    restorer._copier.copy = meanwhile  # type: ignore[method-assign]
    await restorer.execute(ready, accept_gaps=False)
    assert refused[0] == (days[1], 0)
    assert place_of(WIKI) in stored(pipeline)
    assert WIKI.id in pipeline.target_ids()


async def test_a_base_that_goes_while_it_is_looked_at_is_looked_for_again():
    """A hold that is refused takes its base along, after an expiry has listed it."""
    pipeline, days = await story()
    area, name = pipeline.area, manifest_name("log", days[2])
    archive = ArchivedLog(Store(area), "log")
    assert days[2] in await archive.offsets()
    del area.files[name]
    with pytest.raises(TransientError, match="removed while it was looked at"):
        await listed_base(archive, days[2])


# ------------------------------------------------------------------------------------------ crashes


async def interrupted(work: Coroutine[Any, Any, object], at: int) -> bool:
    """Run until the nth step and cancel it there; return whether it had ended before."""
    task = asyncio.create_task(work)
    for _ in range(at):
        if task.done():
            break
        await asyncio.sleep(0)
    if task.done():
        task.result()
        return True
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return False
    return False


async def test_killed_at_every_step_it_ends_the_same():
    """The next expiry finishes what was begun, and until then nothing kept is lost."""
    pipeline, days = await story()
    await expire(pipeline)
    wanted = end_state(pipeline)
    steps = 0
    while True:
        pipeline, days = await story()
        plan = await pipeline.planner().plan(timedelta(days=2), storage=False)
        ended = await interrupted(pipeline.expirer().carry_out(plan, orphans=False), at=steps)
        for offset in days[2:]:
            await restorable(pipeline, offset)
        pipeline.clock.move(31 * 60)
        await expire(pipeline)
        assert end_state(pipeline) == wanted, steps
        if ended:
            break
        steps += 1
    assert steps > 30


def end_state(pipeline: Pipeline) -> tuple[set[Location], set[Location], list[str]]:
    kept = [name for name in pipeline.area.files if name.startswith((BASES, HISTORY, RESTORES))]
    return stored(pipeline), set(pipeline.target_storage.receipts), sorted(kept)


@pytest.mark.parametrize("hold_first", [True, False])
async def test_a_hold_and_an_expiry_at_once_never_both_win(*, hold_first: bool):
    """Whichever of the two is how far when the other begins."""
    step = 0
    while True:
        pipeline, days = await story()
        plan = await pipeline.planner().plan(timedelta(days=2), storage=False)
        point = ToOffset(offset=days[1])
        works = [
            pipeline.holds().create("h", point, reason="r", until=None),
            pipeline.expirer().carry_out(plan, orphans=False),
        ]
        first, second = works if hold_first else reversed(works)
        began = asyncio.create_task(first)
        for _ in range(step):
            await asyncio.sleep(0)
        ended = began.done()
        held, expired = await outcomes(began, asyncio.create_task(second), hold_first=hold_first)
        assert isinstance(expired, Expired)
        assert not await ArchivedLog(Store(pipeline.area), "log").damages()
        if isinstance(held, Exception):
            assert isinstance(held, GapError | TransientError)
            assert await pipeline.points().holds() == []
        else:
            await restorable(pipeline, days[1])
        await restorable(pipeline, days[2])
        if ended:
            break
        step += 1
    assert step > 20


async def outcomes(
    began: asyncio.Task[Any], other: asyncio.Task[Any], *, hold_first: bool
) -> tuple[Any, Any]:
    found = []
    for task in (began, other) if hold_first else (other, began):
        try:
            found.append(await task)
        except (GapError, TransientError) as exc:
            found.append(exc)
    return found[0], found[1]


# --------------------------------------------------------------------------------- sets of places


def test_a_file_goes_once_all_of_its_records_are_before_the_horizon():
    spans = [(0, 5), (5, 9), (9, 12)]
    names = [history_name("log", Offset(start), Offset(end)) for start, end in spans]
    assert [ending_after(names, Offset(at)) for at in (3, 4, 8)] == [names, names[1:], names[2:]]
    assert [beginning_until(names, Offset(at)) for at in (4, 5)] == [names[:1], names[:2]]


def test_places_are_counted_once_and_taken_once():
    names = [Location(f"{number}/index.zip") for number in range(1000)]
    found = HashSet()
    for name in (*names, *names):
        found.add(location_hash(name))
    assert len(found.hashes()) == 1000
    some = np.unique(hashes(names[:10]))
    assert among(hashes(names[5:15]), some).tolist() == [True] * 5 + [False] * 5
    assert len(less(found.hashes(), some)) == 990
    pending = RemainingLocations(some)
    assert pending.take([*names[8:12], names[8]]) == names[8:10]
    assert pending.take(names) == names[:8]


def test_hashes_that_end_in_zeros_are_told_apart():
    """Numpy pads with zeros; a hash may end in one."""
    name = next(
        Location(str(n)) for n in range(100_000) if location_hash(Location(str(n)))[-1:] == b"\0"
    )
    found = HashSet()
    found.add(location_hash(name))
    assert among(hashes([name]), found.hashes()).all()
    assert RemainingLocations(found.hashes()).take([name]) == [name]
