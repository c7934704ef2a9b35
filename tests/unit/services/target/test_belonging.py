"""The rows of a target and the bytes of its store belong together, and both know it."""

import pytest

from replicator.adapters.archive_metadata import ArchiveMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.errors import RefusedError
from replicator.model.checkpoint import TargetState
from replicator.model.observation import ObjectCopied
from replicator.model.plans.restore_point import Latest
from replicator.model.row import key_of
from replicator.model.store.proof import Level
from replicator.services.records.store_id import NAME, made_store_id, store_id
from tests.builders import segment
from tests.unit.pipeline import SOURCE, Pipeline, place_of


async def seeded() -> Pipeline:
    pipeline = Pipeline()
    pipeline.publish(segment(), segment("orders"))
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


def with_another_store(pipeline: Pipeline) -> None:
    """Let the configuration lead to an empty folder or bucket."""
    pipeline.target_storage = MemoryDeepStorage(pipeline.clock)
    pipeline.area = pipeline.target_storage.area()


async def state(pipeline: Pipeline) -> TargetState:
    return await pipeline.target.state(SOURCE)


async def test_whatever_writes_or_proves_refuses_rows_whose_bytes_are_elsewhere():
    pipeline = await seeded()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    before = await state(pipeline)
    with_another_store(pipeline)

    with pytest.raises(RefusedError, match=r"at cut 1, belong to the bytes of another .* no store"):
        await pipeline.new_applier().apply_next()
    with pytest.raises(RefusedError):
        await pipeline.restorer().plan(Latest(), datasource=None, adopt=True)
    with pytest.raises(RefusedError):
        await pipeline.verifier().verify(Level.ROWS)

    assert await state(pipeline) == before, "nobody was fenced"
    assert not await pipeline.area.names(""), "and nothing was left where it does not belong"


async def test_a_store_that_belongs_to_other_rows_is_refused():
    pipeline = await seeded()
    with_another_store(pipeline)
    other = await made_store_id(pipeline.area)
    with pytest.raises(RefusedError, match=f"store id {other} and not"):
        await pipeline.new_applier().apply_next()


async def test_two_targets_of_one_metadata_store_are_seen_and_the_first_goes_on():
    first, second = await seeded(), Pipeline()
    second.log, second.source, second.target = first.log, first.source, first.target
    with pytest.raises(RefusedError, match="belong to the bytes of another"):
        await second.new_applier().apply_next()
    first.publish(segment("late"))
    await first.cut()
    assert await first.applier.apply_next()


async def test_a_lost_store_is_filled_again_when_it_is_said():
    pipeline = await seeded()
    with_another_store(pipeline)
    pipeline.applier = pipeline.new_applier(adopt=True)
    await pipeline.follow()

    assert len(pipeline.target_storage.stored) == 2
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good
    assert (await state(pipeline)).store == await store_id(pipeline.area)
    await pipeline.area.delete(NAME)
    pipeline.applier._epoch = None  # it leads anew, as after any error
    with pytest.raises(RefusedError):
        await pipeline.applier.apply_next()


async def test_a_store_that_is_emptied_while_it_is_followed_is_missed_at_the_next_cut():
    """A bucket that was made again takes new objects as if nothing had been in it."""
    pipeline = await seeded()
    before = await state(pipeline)
    pipeline.target_storage.stored.clear()
    for name in await pipeline.area.names(""):
        await pipeline.area.delete(name)
    pipeline.publish(segment("late"))
    await pipeline.cut()
    for _ in range(2):
        with pytest.raises(RefusedError, match="no store id"):
            await pipeline.applier.apply_next()
    assert (await state(pipeline)).checkpoint == before.checkpoint


async def test_an_archive_that_lost_its_checkpoint_with_its_store_is_not_begun_anew_in_silence():
    """Nothing of an archive is elsewhere, so that only the log can miss its history and holds."""
    pipeline = Pipeline()
    archive = ArchiveMetadata(pipeline.area, pipeline.clock)
    pipeline.applier = pipeline.new_applier(into=archive)
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    lost = await store_id(pipeline.area)
    with_another_store(pipeline)
    archive = ArchiveMetadata(pipeline.area, pipeline.clock)

    for applier in (pipeline.new_applier(into=archive), pipeline.new_applier(into=archive)):
        with pytest.raises(RefusedError, match=f"with id {lost}; .* no store id and no") as caught:
            await applier.apply_next()
        assert "apply standby --once --adopt" in caught.value.hint
    assert not await pipeline.area.names(""), "it is left as it was found"

    pipeline.applier = pipeline.new_applier(into=archive, adopt=True)
    await pipeline.follow()
    assert len(pipeline.target_storage.stored) == 1
    pipeline.applier = pipeline.new_applier(into=archive)
    assert not await pipeline.applier.apply_next(), "from now on it is this store"
    assert await pipeline.log.reported("standby") == await store_id(pipeline.area)


async def test_a_log_of_an_earlier_release_learns_the_store_at_the_next_start():
    pipeline = await seeded()
    pipeline.log._stored.reports.clear()
    assert not await pipeline.new_applier().apply_next()
    assert await pipeline.log.reported("standby") == await store_id(pipeline.area)


async def test_what_died_while_it_filled_a_store_again_is_not_taken_for_done():
    pipeline = await seeded()
    with_another_store(pipeline)
    pipeline.source_storage.stored.clear()
    pipeline.objects_missing_max = 0
    with pytest.raises(RefusedError, match="no bytes in the source's deep storage"):
        await pipeline.new_applier(adopt=True).apply_next()
    with pytest.raises(RefusedError, match="rows that this tool did not write"):
        await pipeline.new_applier().apply_next()


async def test_rows_that_somebody_copied_by_hand_get_their_bytes():
    """Whoever fills a target with a dump of rows may have forgotten a part of the bytes."""
    pipeline = await seeded()
    by_hand = Pipeline()
    by_hand.publish(segment(), segment("orders"))
    await by_hand.cut()
    by_hand.target.rows.update(pipeline.target.rows)
    by_hand.applier = by_hand.new_applier(adopt=True)
    await by_hand.follow()

    assert by_hand.target.rows.keys() == {key_of(segment()), key_of(segment("orders"))}
    assert (await by_hand.verifier().verify(Level.CHECKSUM)).is_good


@pytest.mark.parametrize("verb", ["apply", "restore"])
async def test_bytes_copied_by_hand_are_adopted_and_no_row_goes_where_others_lie(verb: str):
    """`cp` and a dump fill a standby: one bit that differs removes no row, and is not hidden."""
    by_hand = Pipeline(objects_missing_max=100)
    rows = [segment(name) for name in ("one", "two", "three")]
    by_hand.publish(*rows)
    await by_hand.cut()
    for row in rows:
        by_hand.target.rows[key_of(row)] = by_hand.source.rows[key_of(row)]
        place = place_of(row)
        by_hand.target_storage.stored[place] = dict(by_hand.source_storage.stored[place])
    rotten = by_hand.target_storage.stored[place_of(rows[1])]
    rotten["00000.smoosh"] = rotten["00000.smoosh"][:-1] + b"y"
    before = dict(by_hand.target.rows)

    async def take_over() -> None:
        if verb == "apply":
            by_hand.applier = by_hand.new_applier(adopt=True)
            await by_hand.follow()
            return
        plan = await by_hand.restorer().plan(Latest(), datasource=None, adopt=True)
        await by_hand.restorer().execute(plan, accept_gaps=True)

    with pytest.raises(RefusedError, match=r"would lose 1 of 3 rows .*two.*holds other bytes"):
        await take_over()
    assert by_hand.target.rows == before
    assert rotten["00000.smoosh"].endswith(b"y")

    by_hand.seen.clear()
    del by_hand.target_storage.stored[place_of(rows[1])]
    await take_over()
    assert by_hand.target_ids() == {row.id for row in rows}
    copied = [one.location for one in by_hand.seen if isinstance(one, ObjectCopied)]
    assert [one for one in copied if "two" in one] == [place_of(rows[1])]
    assert (await by_hand.verifier().verify(Level.CHECKSUM)).is_good


async def test_rows_that_the_source_has_no_bytes_for_go_when_somebody_said_how_many():
    by_hand = Pipeline()
    by_hand.publish(segment("kept"), segment("lost"))
    await by_hand.cut()
    by_hand.target.rows.update(by_hand.source.rows)
    del by_hand.source_storage.stored[place_of(segment("lost"))]
    with pytest.raises(RefusedError, match="would lose 1 of 2 rows") as refused:
        await by_hand.new_applier(adopt=True).apply_next()
    assert "`rows_lost_max` to 1" in refused.value.hint
    by_hand.rows_lost_max = 1
    by_hand.applier = by_hand.new_applier(adopt=True)
    await by_hand.follow()
    assert by_hand.target_ids() == {segment("kept").id}


async def test_a_restore_of_rows_copied_by_hand_gets_their_bytes_too():
    pipeline = await seeded()
    by_hand = Pipeline()
    by_hand.publish(segment(), segment("orders"))
    await by_hand.cut()
    by_hand.target.rows.update(pipeline.target.rows)
    restorer = by_hand.restorer()
    plan = await restorer.plan(Latest(), datasource=None, adopt=True)
    assert not await restorer.execute(plan, accept_gaps=False)
    assert (await by_hand.verifier().verify(Level.CHECKSUM)).is_good


async def test_an_id_is_given_once():
    area = MemoryDeepStorage().area()
    assert await store_id(area) is None
    first = await made_store_id(area)
    assert await made_store_id(area) == await store_id(area) == first


async def test_a_target_is_acquired_with_one_look_at_its_stores_id(monkeypatch: pytest.MonkeyPatch):
    """Each look is a request to the bucket."""
    pipeline = await seeded()
    get, looks = pipeline.area.get, list[str]()

    async def counted(name: str, **limits: int) -> bytes:
        looks.append(name)
        return await get(name, **limits)

    monkeypatch.setattr(pipeline.area, "get", counted)
    await pipeline.wired().target.acquire()
    assert looks == [NAME]
