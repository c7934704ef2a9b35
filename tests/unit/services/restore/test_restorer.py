"""A restore makes the rows exactly those of a cut; the bytes were there all the time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.errors import GapError, NotFoundError, RefusedError, TransientError
from replicator.model.checkpoint import KILLED_BEFORE_COPIED, OBJECT_CHANGED
from replicator.model.event import Offset
from replicator.model.load_spec import LocalLayout
from replicator.model.plans.restore_point import BeforeEvent, Latest, RestorePoint, ToOffset, ToTime
from replicator.model.row import CommitMetadata, Kind, key_of
from replicator.model.store.proof import Level
from replicator.services.store.archived_log import archived_gaps
from replicator.services.target.copier import Backup
from tests.builders import commit, config_entry, rules, segment, supervisor
from tests.unit.pipeline import SIZE_BYTES, SOURCE, TARGET_ROOT, Pipeline, place_of

WIKI, ORDERS = segment(), segment("orders")


async def story() -> Pipeline:
    """Cut 1 (offset 3): wiki, orders, offsets. Cut 2 (5): more wiki. Cut 3 (8): orders killed."""
    pipeline = Pipeline()
    pipeline.publish(WIKI, ORDERS, commit())
    await pipeline.cut()
    pipeline.publish(segment(partition=1))
    await pipeline.cut()
    pipeline.kill(ORDERS)
    pipeline.publish(commit(commit_metadata_payload=b"later", commit_metadata_sha1="LATER"))
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


async def restore(pipeline: Pipeline, point: RestorePoint, **options) -> None:
    restorer = pipeline.restorer()
    plan = await restorer.plan(
        point, datasource=options.pop("datasource", None), adopt=options.pop("adopt", False)
    )
    await restorer.execute(plan, accept_gaps=options.pop("accept_gaps", False))


async def follow_from_the_start() -> Pipeline:
    """As `story`, each cut applied by itself, so that the target has all bytes."""
    pipeline = Pipeline()
    pipeline.publish(WIKI, ORDERS, commit())
    await pipeline.cut()
    await pipeline.follow()
    pipeline.publish(segment(partition=1))
    await pipeline.cut()
    await pipeline.follow()
    pipeline.kill(ORDERS)
    pipeline.publish(commit(commit_metadata_payload=b"later", commit_metadata_sha1="LATER"))
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


@pytest.mark.parametrize(
    ("point", "cut"),
    [
        (ToOffset(offset=Offset(3)), 1),
        (ToOffset(offset=Offset(4)), 1),
        (ToOffset(offset=Offset(5)), 2),
        (BeforeEvent(offset=Offset(5)), 1),
        (BeforeEvent(offset=Offset(6)), 2),
        (ToOffset(offset=Offset(8)), 3),
    ],
)
async def test_a_point_between_two_cuts_means_the_earlier_one(point: RestorePoint, cut: int):
    pipeline = await follow_from_the_start()
    assert (await pipeline.history().find(point)).closed.cut == cut


async def test_a_time_means_the_last_cut_at_or_before_it():
    pipeline = await follow_from_the_start()
    cuts = await pipeline.history().cuts(Offset(0), Offset(9))
    second = cuts[1].closed.source_time
    for time, cut in (
        (second, 2),
        (second + timedelta(seconds=1), 2),
        (second - timedelta(seconds=1), 1),
    ):
        assert (await pipeline.history().find(ToTime(time=time))).closed.cut == cut


@pytest.mark.parametrize(
    "point", [ToOffset(offset=Offset(2)), ToOffset(offset=Offset(9)), BeforeEvent(offset=Offset(3))]
)
async def test_a_point_outside_the_window_is_refused_with_the_nearest_ones(point: RestorePoint):
    pipeline = await follow_from_the_start()
    with pytest.raises(GapError, match=r"can restore from offset 3 .* to offset 8"):
        await pipeline.history().find(point)


async def test_times_outside_the_window_are_refused():
    pipeline = await follow_from_the_start()
    cuts = await pipeline.history().cuts(Offset(0), Offset(9))
    for time in (
        cuts[0].closed.source_time - timedelta(seconds=1),
        cuts[-1].closed.source_time + timedelta(seconds=1),
    ):
        with pytest.raises(GapError, match="can restore from"):
            await pipeline.history().find(ToTime(time=time))


async def test_rows_and_offsets_become_exactly_those_of_the_cut():
    """Trap 15: PITR is not flipping `used`; rows that are not in the cut are gone."""
    pipeline = await follow_from_the_start()
    await restore(pipeline, ToOffset(offset=Offset(3)))
    assert pipeline.target_ids() == {WIKI.id, ORDERS.id}
    offsets = pipeline.target.rows[key_of(commit())]
    assert isinstance(offsets, CommitMetadata)
    assert offsets.commit_metadata_payload == commit().commit_metadata_payload
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good


async def test_bytes_stay_so_forwards_works_as_well():
    pipeline = await follow_from_the_start()
    for offset, ids in (
        (3, {WIKI.id, ORDERS.id}),
        (8, {WIKI.id, segment(partition=1).id}),
        (5, {WIKI.id, ORDERS.id, segment(partition=1).id}),
    ):
        await restore(pipeline, ToOffset(offset=Offset(offset)))
        assert pipeline.target_ids() == ids


async def test_what_is_the_targets_own_stays():
    pipeline = await follow_from_the_start()
    own = [key_of(rules("_default")), key_of(config_entry("coordinator.config"))]
    pipeline.target.rows[own[0]] = rules("_default")
    pipeline.target.rows[own[1]] = config_entry("coordinator.config")
    await restore(pipeline, ToOffset(offset=Offset(3)))
    assert pipeline.target.rows.keys() >= set(own)


async def test_only_entries_of_carried_names_go_and_patterns_name_many():
    pipeline = await follow_from_the_start()
    mapping = replace(pipeline.mapping(), config_names=frozenset({"lookups*", "basic_?_users"}))
    pipeline.mapping = lambda: mapping  # type: ignore[method-assign]
    for name in ("lookupsOfBefore", "basic_b_users", "basic_bb_users", "coordinator.config"):
        pipeline.target.rows[key_of(config_entry(name))] = config_entry(name)
    await restore(pipeline, ToOffset(offset=Offset(3)))
    assert {key.key for key in pipeline.target.rows if key.kind is Kind.CONFIG} == {
        *("basic_bb_users", "coordinator.config")
    }


async def test_a_row_that_looks_right_goes_where_its_bytes_are_known_to_be_anothers():
    """Its id and its place were given out again; after a restore to before that its row is back."""
    pipeline = await follow_from_the_start()
    pipeline.source.rows[key_of(ORDERS)] = ORDERS
    pipeline.source_storage.stored[place_of(ORDERS)] = {"00000.smoosh": b"y" * SIZE_BYTES}
    await pipeline.cut()
    await pipeline.follow()
    assert [reason for _, reason, _ in pipeline.gaps()] == [OBJECT_CHANGED]
    await restore(pipeline, ToOffset(offset=Offset(5)))
    assert ORDERS.id in pipeline.target_ids()
    await restore(pipeline, Latest(), accept_gaps=True)
    assert ORDERS.id not in pipeline.target_ids()


async def test_after_a_recovery_of_the_source_a_new_version_is_the_way_out_and_keeps_old_cuts():
    """Its metadata store was put back, and an id that it had forgotten was given out again."""
    pipeline = await follow_from_the_start()
    old = pipeline.target_storage.stored[place_of(ORDERS)]
    made = (pipeline.clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    reborn = replace(ORDERS, created_date=made)
    pipeline.source.rows[key_of(ORDERS)] = reborn
    pipeline.source_storage.stored[place_of(ORDERS)] = {"00000.smoosh": b"y" * SIZE_BYTES}
    await pipeline.cut(move_s=2 * 86_400)
    await pipeline.follow()
    (gap,) = [gap for gap in await pipeline.target.gaps(SOURCE, "log") if gap.closed is None]
    assert "a former segment with the same id, which is kept" in gap.detail
    assert "program" not in gap.detail
    assert gap.detail.endswith("segments of a new version are copied, and close the gap")
    pipeline.kill(reborn)
    again = segment("orders", partition=1)
    pipeline.publish(again)  # what a compaction leaves: another id, and with it another location
    await pipeline.cut()
    await pipeline.follow()
    assert again.id in pipeline.target_ids()
    assert not [gap for gap in await pipeline.target.gaps(SOURCE, "log") if gap.closed is None]
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good
    await restore(pipeline, ToOffset(offset=Offset(3)))
    assert pipeline.target_ids() == {WIKI.id, ORDERS.id}
    assert pipeline.target_storage.stored[place_of(ORDERS)] == old
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good


async def test_a_plan_that_the_target_has_left_behind_is_made_again():
    pipeline = await follow_from_the_start()
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=Offset(5)), datasource=None, adopt=False)
    pipeline.publish(segment("late"))
    await pipeline.cut()
    await pipeline.follow()
    await restorer.execute(plan, accept_gaps=False)
    assert pipeline.target_ids() == {WIKI.id, ORDERS.id, segment(partition=1).id}


async def test_a_plan_that_is_made_again_removes_no_row_that_nobody_agreed_to():
    pipeline = await follow_from_the_start()
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=Offset(5)), datasource=None, adopt=False)
    late = segment("late")
    pipeline.publish(late)
    await pipeline.cut()
    await pipeline.follow()
    with pytest.raises(RefusedError, match="rows came to the target"):
        await restorer.execute(replace(plan, held=True), accept_gaps=False)
    assert late.id in pipeline.target_ids()


async def test_the_target_stands_still_until_it_is_told_to_go_on():
    """A replayed accident must not follow at once."""
    pipeline = await follow_from_the_start()
    await restore(pipeline, ToOffset(offset=Offset(5)))
    with pytest.raises(RefusedError, match="is paused"):
        await pipeline.new_applier().apply_next()
    assert ORDERS.id in pipeline.target_ids()
    pipeline.applier = pipeline.new_applier(resume=True)
    await pipeline.follow()
    assert ORDERS.id not in pipeline.target_ids()


async def test_one_datasource_goes_back_and_the_others_stay():
    pipeline = await follow_from_the_start()
    await restore(pipeline, ToOffset(offset=Offset(5)), datasource="orders")
    assert pipeline.target_ids() == {WIKI.id, segment(partition=1).id, ORDERS.id}
    offsets = pipeline.target.rows[key_of(commit())]
    assert isinstance(offsets, CommitMetadata)
    assert offsets.commit_metadata_payload == b"later"


async def test_a_datasource_takes_the_offsets_of_its_supervisors_along():
    """Since Druid 34 the offsets are filed under the supervisor's id."""
    pipeline = Pipeline()
    filed = commit("sv-1")
    spec = supervisor("sv-1")
    pipeline.publish(WIKI, filed, spec, rules())
    await pipeline.cut()
    pipeline.publish(commit("sv-1", commit_metadata_payload=b"later", commit_metadata_sha1="L"))
    await pipeline.cut()
    await pipeline.follow()
    await restore(pipeline, ToOffset(offset=Offset(4)), datasource="wiki")
    assert pipeline.target.rows[key_of(filed)] == filed


async def test_missing_bytes_are_refused_before_any_row_changes():
    pipeline = await story()  # seeded after the kill: the bytes of orders never came here
    before = dict(pipeline.target.rows)
    with pytest.raises(GapError, match=rf"1 rows have no bytes any more \({ORDERS.id}"):
        await restore(pipeline, ToOffset(offset=Offset(5)))
    assert pipeline.target.rows == before
    await restore(pipeline, ToOffset(offset=Offset(5)), accept_gaps=True)
    assert pipeline.target_ids() == {WIKI.id, segment(partition=1).id}
    assert pipeline.gaps() == [(ORDERS.id, "object_missing", True)]


async def test_a_plan_changes_nothing():
    pipeline = await follow_from_the_start()
    before = dict(pipeline.target.rows)
    plan = await pipeline.restorer().plan(ToOffset(offset=Offset(3)), datasource=None, adopt=False)
    assert (plan.estimate.segments, plan.estimate.removals) == (1, 1)
    assert plan.estimate.size_bytes == 1967
    assert pipeline.target.rows == before


async def test_verify_names_what_is_wrong():
    pipeline = await follow_from_the_start()
    location = place_of(WIKI)
    pipeline.target_storage.stored[location]["00000.smoosh"] = b"z" * 1967
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good
    assert (await pipeline.verifier().verify(Level.EXISTS)).is_good
    found = await pipeline.verifier().verify(Level.CHECKSUM)
    assert found.findings == [f"object {location}00000.smoosh has other bytes than were stored"]
    assert not found.is_good
    del pipeline.target_storage.stored[location]
    found = await pipeline.verifier().verify(Level.EXISTS)
    assert found.findings == [f"object {location} is missing or not whole"]
    del pipeline.target.rows[key_of(WIKI)]
    pipeline.target.rows[key_of(segment("foreign"))] = segment("foreign")
    found = await pipeline.verifier().verify(Level.ROWS)
    assert found.findings == [
        f"row {WIKI.id} is missing or differs",
        f"segment {segment('foreign').id} is in the target and not in the cut",
    ]
    assert found.surplus == [key_of(segment("foreign"))]


async def test_verify_of_an_empty_target_says_so():
    pipeline = Pipeline()
    with pytest.raises(NotFoundError, match="no checkpoint"):
        await pipeline.verifier().verify(Level.ROWS)


async def test_going_forward_compares_what_the_target_never_applied():
    """An id that was given out again: the target's bytes are those of its first life."""
    pipeline = Pipeline()
    pipeline.publish(WIKI)
    await pipeline.cut()
    await pipeline.follow()
    pipeline.source_storage.stored[place_of(WIKI)] = {"00000.smoosh": b"y" * 1967}
    pipeline.source.rows[key_of(WIKI)] = segment(created_date="2024-09-01T00:00:00.000Z")
    await pipeline.cut()
    with pytest.raises(GapError, match="has other bytes now"):
        await restore(pipeline, ToOffset(offset=Offset(3)))


async def test_a_restore_works_when_the_source_is_gone(monkeypatch: pytest.MonkeyPatch):
    """The day it is for: back, and forward again, with the target's bytes alone."""
    pipeline = await follow_from_the_start()

    async def away(*_: object) -> None:
        raise TransientError("the region burns")

    monkeypatch.setattr(pipeline.source_storage, "objects", away)
    for offset, ids in ((3, {WIKI.id, ORDERS.id}), (8, {WIKI.id, segment(partition=1).id})):
        await restore(pipeline, ToOffset(offset=Offset(offset)))
        assert pipeline.target_ids() == ids


async def test_other_bytes_in_a_place_are_remembered_when_a_later_cut_speaks_of_the_row():
    """A restore to the cut in between must not give the new row the old row's bytes."""
    pipeline = Pipeline(kill_wait_s=60.0)
    first, doomed = segment("x"), segment("doomed")
    pipeline.publish(first)
    await pipeline.cut()
    await pipeline.follow()
    reborn = replace(first, created_date="2024-02-02T00:00:00.000Z")
    pipeline.publish(reborn, doomed)
    pipeline.source_storage.stored[place_of(reborn)] = {"00000.smoosh": b"y" * SIZE_BYTES}
    pipeline.source_storage.stored.pop(place_of(doomed))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.applied_cuts() == [1], "the doomed one may yet be killed"
    pipeline.source.rows[key_of(reborn)] = replace(reborn, used=False)
    del pipeline.source.rows[key_of(doomed)]
    await pipeline.cut()
    await pipeline.follow()
    reasons = {gap.reason for gap in await pipeline.target.gaps(SOURCE, "log")}
    assert reasons == {OBJECT_CHANGED, KILLED_BEFORE_COPIED}
    history = pipeline.history()
    span = await history.span()
    second = (await history.cuts(span.first, span.end))[1]
    plan = await pipeline.restorer().plan(
        ToOffset(offset=second.offset), datasource=None, adopt=False
    )
    await pipeline.restorer().execute(plan, accept_gaps=True)
    assert pipeline.target_ids() == set()


async def test_a_gap_does_not_reach_further_than_the_cut_that_had_the_row_again():
    """The target has jumped over that cut, so only a later one was known to do without the gap."""
    pipeline = Pipeline()
    pipeline.publish(WIKI)
    await pipeline.cut()
    await pipeline.follow()
    pipeline.publish(ORDERS)
    pipeline.source_storage.stored.pop(place_of(ORDERS))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(ORDERS.id, "object_missing", True)]
    await restore(pipeline, Latest(), accept_gaps=True)
    pipeline.publish(replace(ORDERS, used=False))  # its bytes are back
    await pipeline.cut()
    pipeline.publish(segment(partition=1))
    await pipeline.cut()
    pipeline.applier = pipeline.new_applier(resume=True)
    await pipeline.follow()
    cuts = await pipeline.history().cuts(Offset(0), (await pipeline.log.span()).end)
    (gap,) = await pipeline.target.gaps(SOURCE, "log")
    assert gap.closed == cuts[3].offset, "it jumped over the third cut"
    await restore(pipeline, ToOffset(offset=cuts[2].offset))
    assert pipeline.target_ids() == {WIKI.id, ORDERS.id}
    (gap,) = await pipeline.target.gaps(SOURCE, "log")
    assert gap.closed == cuts[2].offset
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).gaps == ()


async def test_what_a_store_knows_to_be_other_bytes_is_not_taken_from_it():
    """Its gaps are all that says so: the source is gone, and its receipts fit the old bytes."""
    pipeline = Pipeline()
    pipeline.publish(WIKI, ORDERS)
    await pipeline.cut()
    await pipeline.follow()
    reborn = replace(WIKI, created_date="2024-02-02T00:00:00.000Z")
    pipeline.publish(reborn)
    pipeline.source_storage.stored[place_of(reborn)] = {"00000.smoosh": b"y" * SIZE_BYTES}
    await pipeline.cut()
    await pipeline.follow()
    kept = pipeline.target_storage
    gaps = await archived_gaps(pipeline.area, "log")
    backup = Backup(layout=LocalLayout(root=TARGET_ROOT), storage=kept, gaps=gaps)
    pipeline.target, pipeline.target_storage = MemoryMetadata(pipeline.clock), MemoryDeepStorage()
    pipeline.source_storage, pipeline.backup = kept, backup
    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False)
    with pytest.raises(GapError, match="other bytes"):
        await pipeline.restorer().execute(plan, accept_gaps=False)
    assert pipeline.target_ids() == set()
    await pipeline.restorer().execute(plan, accept_gaps=True)
    assert pipeline.target_ids() == {ORDERS.id}


async def test_a_named_point_counts_in_the_log_that_it_was_named_in():
    """A log that was made anew gives the same offsets to other cuts."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    history = pipeline.history()
    cut = await history.find(ToOffset(offset=Offset(1), log_id="log"))
    assert cut == await history.find(ToOffset(offset=Offset(1)))
    with pytest.raises(RefusedError, match="of log lost, and this is log log"):
        await history.find(ToOffset(offset=Offset(1), log_id="lost"))


async def test_a_target_that_has_the_rows_already_is_left_alone():
    """Nobody is fenced, and it goes on following; also where the rows are those of an older cut."""
    pipeline = await follow_from_the_start()
    pipeline.watcher = pipeline.new_watcher()
    await pipeline.cut()  # its first, without a change: the cut before has the same rows
    await pipeline.follow()
    before = pipeline.target.sources[SOURCE]
    for offset in (8, 9):
        await restore(pipeline, ToOffset(offset=Offset(offset)))
        assert pipeline.target.sources[SOURCE] == before
    await restore(pipeline, ToOffset(offset=Offset(8)), datasource=WIKI.datasource)
    assert pipeline.target.sources[SOURCE] == before
    pipeline.publish(segment(partition=2))
    await pipeline.cut()
    await pipeline.follow()
    assert segment(partition=2).id in pipeline.target_ids()


async def test_one_that_is_to_stand_stands_whatever_it_holds():
    pipeline = await follow_from_the_start()
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=Offset(8)), datasource=None, adopt=False, pause=True)
    await restorer.execute(plan, accept_gaps=False)
    found = pipeline.target.sources[SOURCE].checkpoint
    assert found is not None
    assert (found.paused, found.offset) == (True, Offset(8))
    again = await restorer.plan(
        ToOffset(offset=Offset(8)), datasource=None, adopt=False, pause=True
    )
    assert again.changes_nothing
