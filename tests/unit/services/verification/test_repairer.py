"""A repair puts right what is wrong, from bytes that were compared first, and dies anywhere."""

import asyncio
from dataclasses import replace

import pytest

from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.errors import (
    CorruptionError,
    FencedError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.druid.interval import interval
from replicator.model.event import Offset
from replicator.model.extent import WHOLE, Extent
from replicator.model.fingerprint import Digest
from replicator.model.load_spec import LocalLayout, Location
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import Segment, key_of
from replicator.model.store.proof import Level
from replicator.ports import Receipt, StoredObject
from replicator.services.target.copier import Backup, BytesFrom
from replicator.services.verification.repairer import Repair, Repairer
from replicator.services.verification.verifier import Verification
from tests.builders import segment
from tests.unit.pipeline import SOURCE, TARGET_ROOT, Pipeline, place_of

WIKI, MORE, ORDERS = segment(), segment(partition=1), segment("orders")
FILE = "00000.smoosh"


async def story(*, swaps: bool = True) -> Pipeline:
    """Three segments, applied, none of them wrong."""
    pipeline = Pipeline()
    pipeline.target_storage.swaps = swaps
    pipeline.publish(WIKI, MORE, ORDERS)
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


def repairer(pipeline: Pipeline, bytes_from: BytesFrom | None = None) -> Repairer:
    return pipeline.wired().repairer(bytes_from or pipeline.source_storage)


async def repair(
    pipeline: Pipeline, *, extent: Extent = WHOLE, bytes_from: BytesFrom | None = None
) -> Repair:
    mending = repairer(pipeline, bytes_from)
    plan = await mending.plan(Level.CHECKSUM, extent=extent)
    return await mending.execute(plan, extent=extent)


async def verified(pipeline: Pipeline) -> Verification:
    return await pipeline.verifier().verify(Level.CHECKSUM)


def flip(pipeline: Pipeline, row: Segment) -> None:
    files = pipeline.target_storage.stored[place_of(row)]
    files[FILE] = b"!" + files[FILE][1:]


async def other_target(pipeline: Pipeline) -> Backup:
    """A second target that holds the same, by its own receipts."""
    storage = MemoryDeepStorage()
    for place, files in pipeline.source_storage.stored.items():
        storage.stored[place] = dict(files)
        receipt = pipeline.target_storage.receipts[place]
        storage.receipts[place] = Receipt(
            objects=receipt.objects, copied_from=(StoredObject(name="x", size_bytes=1, tag="x"),)
        )
    return Backup(layout=LocalLayout(root=TARGET_ROOT), storage=storage)


async def test_a_gap_is_closed_beside_an_applier_that_follows():
    """A gap is no difference to a `verify`, so a repair had nothing to do, and said so."""
    pipeline = await story()
    lost = segment("lost")
    pipeline.publish(lost)
    held = pipeline.source_storage.stored.pop(place_of(lost))
    await pipeline.cut()
    await pipeline.follow()
    healer = pipeline.wired().gap_healer(pipeline.source_storage)
    assert [gap.key for gap in await healer.gaps()] == [lost.id]
    assert await healer.gaps(datasource="orders") == []
    epoch = (await pipeline.wired().target.state()).epoch
    found = await healer.heal_all()
    assert ([row.key.key for row in found.left], found.copied) == ([lost.id], ())
    assert (await pipeline.wired().target.state()).epoch == epoch, "nobody is fenced for nothing"

    pipeline.source_storage.stored[place_of(lost)] = held
    found = await healer.heal_all()
    assert ([gap.key for gap in found.copied], found.left) == ([lost.id], ())
    assert lost.id in pipeline.target_ids()
    assert await healer.gaps() == []
    assert (await verified(pipeline)).is_good
    pipeline.publish(segment("next"))
    await pipeline.cut()
    with pytest.raises(FencedError):  # which pauses an applier until the repair is over
        await pipeline.applier.apply_next()
    await pipeline.follow()
    assert segment("next").id in pipeline.target_ids()


async def test_nothing_wrong_is_nothing_done():
    pipeline = await story()
    done = await repair(pipeline)
    assert (done.did_something, done.is_whole) == (False, True)


@pytest.mark.parametrize("swaps", [True, False])
async def test_altered_and_missing_bytes_are_copied_again(swaps: bool):
    pipeline = await story(swaps=swaps)
    flip(pipeline, WIKI)
    del pipeline.target_storage.stored[place_of(ORDERS)]
    assert not (await verified(pipeline)).is_good
    done = await repair(pipeline)
    assert (done.copied, done.receipts_written, done.rows, done.unproved) == (2, 0, 0, 0)
    assert done.is_whole
    assert (await verified(pipeline)).is_good


async def test_a_repair_of_bytes_stops_no_applier():
    pipeline = await story()
    flip(pipeline, WIKI)
    await repair(pipeline)
    pipeline.publish(segment(partition=2))
    await pipeline.cut()
    await pipeline.follow()
    assert segment(partition=2).id in pipeline.target_ids()


async def test_an_origin_with_other_bytes_is_refused_and_reported():
    """The receipt says what was stored; a source that was overwritten is never copied over it."""
    pipeline = await story()
    flip(pipeline, WIKI)
    pipeline.source_storage.stored[place_of(WIKI)] = {FILE: b"y" * 1967}
    before = dict(pipeline.target_storage.stored[place_of(WIKI)])
    done = await repair(pipeline)
    assert [one.damaged.location for one in done.unmended] == [place_of(WIKI)]
    assert "other bytes now" in done.unmended[0].reason
    assert pipeline.target_storage.stored[place_of(WIKI)] == before


async def test_what_the_source_has_killed_comes_from_another_target():
    pipeline = await story()
    origin = await other_target(pipeline)
    flip(pipeline, ORDERS)
    del pipeline.source_storage.stored[place_of(ORDERS)]
    done = await repair(pipeline)
    assert [one.damaged.location for one in done.unmended] == [place_of(ORDERS)]
    copied_from = pipeline.target_storage.receipts[place_of(ORDERS)].copied_from
    done = await repair(pipeline, bytes_from=origin)
    assert (done.copied, done.is_whole) == (1, True)
    assert (await verified(pipeline)).is_good
    assert pipeline.target_storage.receipts[place_of(ORDERS)].copied_from == copied_from


async def test_another_target_that_rots_too_is_no_origin():
    pipeline = await story()
    origin = await other_target(pipeline)
    assert isinstance(origin.storage, MemoryDeepStorage)
    origin.storage.stored[place_of(WIKI)] = {FILE: b"z" * 1967}
    del pipeline.target_storage.stored[place_of(WIKI)]
    del pipeline.target_storage.receipts[place_of(WIKI)]
    done = await repair(pipeline, bytes_from=origin)
    assert "altered at the other target too" in done.unmended[0].reason
    del origin.storage.receipts[place_of(WIKI)]
    done = await repair(pipeline, bytes_from=origin)
    assert "not whole at the other target" in done.unmended[0].reason
    assert place_of(WIKI) not in pipeline.target_storage.stored


async def test_a_lost_receipt_is_made_again_where_the_bytes_are_right():
    pipeline = await story()
    receipt = pipeline.target_storage.receipts.pop(place_of(WIKI))
    done = await repair(pipeline)
    assert (done.copied, done.receipts_written) == (0, 1)
    assert pipeline.target_storage.receipts[place_of(WIKI)] == receipt


async def test_without_a_receipt_the_source_s_bytes_are_taken_and_that_is_said():
    pipeline = await story()
    flip(pipeline, WIKI)
    del pipeline.target_storage.receipts[place_of(WIKI)]
    done = await repair(pipeline)
    assert (done.copied, done.unproved) == (1, 1)
    assert (await verified(pipeline)).is_good


async def test_rows_are_those_of_the_cut_again_and_the_target_goes_on():
    pipeline = await story()
    foreign = segment("foreign")
    del pipeline.target.rows[key_of(WIKI)]
    pipeline.target.rows[key_of(foreign)] = foreign
    before = pipeline.target.sources[SOURCE].checkpoint
    done = await repair(pipeline)
    assert (done.rows, done.is_whole) == (2, True)
    assert pipeline.target_ids() == {WIKI.id, MORE.id, ORDERS.id}
    assert pipeline.target.sources[SOURCE].checkpoint == before
    pipeline.publish(segment(partition=2))
    await pipeline.cut()
    with pytest.raises(FencedError):
        await pipeline.follow()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert segment(partition=2).id in pipeline.target_ids()


async def test_no_row_is_made_that_of_a_log_which_was_put_back_and_written_on():
    """The fork would become the target's, and a verify by the fork would call it good."""
    pipeline = await story()
    held = pipeline.target.sources[SOURCE]
    assert held.checkpoint is not None
    digest = Digest(held.checkpoint.digest + 1)
    held.checkpoint = replace(held.checkpoint, digest=digest)
    del pipeline.target.rows[key_of(ORDERS)]
    rows = dict(pipeline.target.rows)
    with pytest.raises(CorruptionError, match="put back to an older copy, and written on"):
        await repair(pipeline)
    assert pipeline.target.rows == rows


async def test_rows_that_somebody_else_has_put_right_fence_nobody():
    pipeline = await story()
    row = pipeline.target.rows.pop(key_of(WIKI))
    found = await verified(pipeline)
    pipeline.target.rows[key_of(WIKI)] = row
    before = pipeline.target.sources[SOURCE]
    done = await repairer(pipeline).execute(found, extent=Extent())
    assert (done.rows, done.is_whole) == (0, True)
    assert pipeline.target.sources[SOURCE] == before


async def test_a_row_whose_bytes_are_gone_everywhere_is_left_and_named():
    pipeline = await story()
    for lost in (WIKI, ORDERS):
        del pipeline.target.rows[key_of(lost)]
    del pipeline.target_storage.stored[place_of(WIKI)]
    del pipeline.source_storage.stored[place_of(WIKI)]
    done = await repair(pipeline)
    assert [row.key.key for row in done.uncopied] == [WIKI.id]
    assert [one.damaged.location for one in done.unmended] == [place_of(WIKI)]
    assert pipeline.target_ids() == {MORE.id, ORDERS.id}
    assert pipeline.gaps() == []


async def test_one_datasource_or_interval_is_put_right_and_the_rest_is_not_looked_at():
    pipeline = await story()
    for row in (WIKI, ORDERS):
        flip(pipeline, row)
        del pipeline.target.rows[key_of(row)]
    done = await repair(pipeline, extent=Extent(datasource="orders"))
    assert (done.copied, done.rows) == (1, 1)
    assert pipeline.target_ids() == {MORE.id, ORDERS.id}
    elsewhere = Extent(interval=interval("2025-01-01", "2025-01-02"))
    plan = await repairer(pipeline).plan(Level.CHECKSUM, extent=elsewhere)
    assert (plan.objects, plan.rows_differ) == (0, True)
    here = Extent(interval=interval("2024-01-01T12:00Z", "2024-01-01T13:00Z"))
    assert (await repair(pipeline, extent=here)).copied == 1
    assert (await verified(pipeline)).is_good


async def test_after_a_restore_of_one_datasource_only_that_one_can_be_repaired():
    pipeline = await story()
    restorer = pipeline.restorer()
    plan = await restorer.plan(
        ToOffset(offset=Offset(3)), datasource="orders", adopt=False, pause=True
    )
    await restorer.execute(plan, accept_gaps=False)
    with pytest.raises(NotFoundError, match="only datasource 'orders'"):
        await repair(pipeline, extent=Extent(datasource="wiki"))
    flip(pipeline, ORDERS)
    flip(pipeline, WIKI)
    assert (await repair(pipeline)).copied == 1


async def test_a_primary_is_not_repaired():
    pipeline = await story()
    kept = pipeline.target.sources[SOURCE]
    assert kept.checkpoint is not None
    kept.checkpoint = type(kept.checkpoint)(
        **{name: getattr(kept.checkpoint, name) for name in kept.checkpoint.__slots__}
        | {"promoted": True}
    )
    with pytest.raises(RefusedError, match="was promoted"):
        await repair(pipeline)


class Away(MemoryDeepStorage):
    """A storage that is down for a while."""

    failures = 1

    async def check(self, location: Location):
        if self.failures:
            self.failures -= 1
            raise TransientError("down")
        return await super().check(location)


@pytest.mark.parametrize(("failures", "ends"), [(1, True), (9, False)])
async def test_an_origin_that_is_away_is_tried_again_and_then_it_is_later(
    failures: int, ends: bool
):
    pipeline = await story()
    flip(pipeline, WIKI)
    away = Away()
    away.stored, away.failures = pipeline.source_storage.stored, failures
    if ends:
        assert (await repair(pipeline, bytes_from=away)).copied == 1
        return
    with pytest.raises(TransientError):
        await repair(pipeline, bytes_from=away)


@pytest.mark.parametrize("swaps", [True, False])
async def test_a_repair_that_is_killed_at_any_step_is_finished_by_the_next(swaps: bool):
    """Cancelled at each await: no receipt is lost, and a second run ends as an unbroken one."""
    steps, ended = 0, False
    while not ended:
        steps += 1
        pipeline = await story(swaps=swaps)
        truth = dict(pipeline.target_storage.receipts)
        flip(pipeline, WIKI)
        del pipeline.target_storage.stored[place_of(ORDERS)]
        del pipeline.target.rows[key_of(MORE)]
        ended = await killed_after(steps, repair(pipeline))
        assert pipeline.target_storage.receipts == truth
        done = await repair(pipeline)
        assert (done.is_whole, done.unproved) == (True, 0)
        assert (await verified(pipeline)).is_good
        assert pipeline.target_ids() == {WIKI.id, MORE.id, ORDERS.id}
    assert steps > 20


async def killed_after(steps: int, work) -> bool:
    """Let a task run for so many turns of the loop, then kill it; return whether it had ended."""
    task = asyncio.create_task(work)
    for _ in range(steps):
        await asyncio.sleep(0)
        if task.done():
            task.result()
            return True
    task.cancel()
    await asyncio.wait([task])
    return False
