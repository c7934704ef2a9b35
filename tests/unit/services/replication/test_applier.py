"""The applier moves a target from cut to cut, bytes before rows, and says what it cannot have."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from replicator.adapters.archive_metadata import ArchiveMetadata
from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.log import MemoryEventLog
from replicator.app.wiring import pipeline as wiring
from replicator.app.wiring.histories import HistorySource
from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    GapError,
    LogCutShortError,
    RefusedError,
    TransientError,
)
from replicator.model.checkpoint import TargetState
from replicator.model.event import Epoch, Offset
from replicator.model.inventory.ledger import Offsets
from replicator.model.load_spec import LocalLayout, Location
from replicator.model.observation import ObjectCopied, TargetPaused
from replicator.model.observed.faults import Halted, Waiting, WentOn
from replicator.model.plans.restore_point import Latest, ToOffset
from replicator.model.row import (
    ConfigEntry,
    Kind,
    RowKey,
    Rules,
    Segment,
    Supervisor,
    key_of,
)
from replicator.model.store.archive_notes import about_name
from replicator.model.store.holds import RestoreLease, lease_json
from replicator.model.store.intent import intent_name
from replicator.model.store.proof import Level
from replicator.ports import Checked, Span, StoredObject
from replicator.services.history.reader import History
from replicator.services.records.applier_record import LOOK_S, ApplierRecord, PausedBy
from replicator.services.records.applier_record import NAME as NAME_OF_HELM
from replicator.services.records.missing_wait import NAME, Awaited, MissingWait
from replicator.services.replication.applier import Applier
from replicator.services.store.archived_log import ArchivedLog, archived_gaps
from replicator.services.store.store import Store
from replicator.services.target import gap_retries, unzipping
from replicator.services.target.copier import Backup
from tests.builders import (
    ROOT,
    commit,
    config_entry,
    json_bytes,
    load_spec,
    rules,
    segment,
    segment_payload,
    supervisor,
)
from tests.simulation.virtual_time import in_virtual_time
from tests.unit.pipeline import ORIGIN, RETRIES, SOURCE, TARGET_ROOT, HandClock, Pipeline, place_of


async def seeded(*rows: Segment, **options) -> Pipeline:
    """A pipeline whose target is at the first cut."""
    pipeline = Pipeline(**options)
    pipeline.publish(segment("seed"), *rows)
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


async def test_a_new_target_is_seeded_with_all_that_exists():
    pipeline = await seeded(segment(), segment("orders", used=False))
    assert pipeline.target_ids() == {
        segment("seed").id,
        segment().id,
        segment("orders").id,
    }


async def test_rows_on_the_target_name_the_targets_own_storage():
    """Trap 7: with the source's load spec a kill on the standby deletes the source's bytes."""
    pipeline = await seeded(segment())
    row = pipeline.target.rows[key_of(segment())]
    assert isinstance(row, Segment)
    path = json.loads(row.payload)["loadSpec"]["path"]
    assert path == load_spec()["path"].replace(ROOT, TARGET_ROOT)
    assert row.payload.replace(TARGET_ROOT.encode(), ROOT.encode()) == segment().payload


async def test_the_targets_timestamp_is_its_own_and_moves_forward():
    """Trap 8: Druid's cache ignores timestamps that do not move, its kill tasks count from them."""
    pipeline = await seeded(segment(used_status_last_updated="2020-01-01T00:00:00.000Z"))
    first = pipeline.target.rows[key_of(segment())]
    pipeline.publish(segment(used=False, used_status_last_updated="2020-01-02T00:00:00.000Z"))
    pipeline.watcher = pipeline.new_watcher()
    assert await pipeline.watcher.poll()
    await pipeline.follow()
    second = pipeline.target.rows[key_of(segment())]
    assert isinstance(first, Segment)
    assert isinstance(second, Segment)
    assert first.used_status_last_updated == "2024-06-01T00:00:10.000Z"
    assert second.used_status_last_updated == "2024-06-01T00:00:10.001Z"


async def test_offsets_are_carried_byte_for_byte():
    """Trap 11: Druid compares the SHA-1 of the bytes; re-serialised JSON stops every publish."""
    pipeline = Pipeline()
    odd = commit(commit_metadata_payload=b'{ "b":1,\n"a" : 1.0e0 }')
    pipeline.publish(odd)
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target.rows[key_of(odd)] == odd


async def test_rows_that_share_a_load_spec_share_one_copy():
    """Trap 6: concurrent append and replace gives several rows to one object."""
    spec = load_spec()
    upgraded = segment(partition=1, payload=json_bytes(segment_payload(partition=1, loadSpec=spec)))
    pipeline = await seeded(segment(), upgraded)
    assert len(pipeline.target_storage.stored) == 2  # with the seed's
    pipeline.source.rows.pop(key_of(segment()))
    await pipeline.cut()
    await pipeline.follow()
    assert len(pipeline.target_storage.stored) == 2


async def test_rows_that_share_bytes_that_are_gone_are_gaps_all_of_them():
    spec = load_spec()
    upgraded = segment(partition=1, payload=json_bytes(segment_payload(partition=1, loadSpec=spec)))
    pipeline = Pipeline()
    pipeline.publish(segment(), upgraded)
    pipeline.source_storage.stored.clear()
    await pipeline.cut()
    await pipeline.follow()
    assert {(key, reason) for key, reason, _ in pipeline.gaps()} == {
        (segment().id, "object_missing"),
        (upgraded.id, "object_missing"),
    }
    assert pipeline.target_ids() == set()


async def test_a_tombstone_is_a_row_without_bytes():
    tombstone = segment(
        payload=json_bytes(segment_payload(loadSpec={"path": None, "type": "tombstone"}))
    )
    pipeline = Pipeline()
    pipeline.publish(tombstone)
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == {tombstone.id}
    assert pipeline.target_storage.stored == {}


async def test_control_rows_are_carried_by_rule():
    """Traps 12 and 13: supervisors asleep, config by name, tasks and locks never."""
    pipeline = Pipeline()
    pipeline.publish(supervisor(), rules(), config_entry(), config_entry("coordinator.config"))
    await pipeline.cut()
    await pipeline.follow()
    rows = pipeline.target.rows
    spec, policy = rows[RowKey(Kind.SUPERVISOR, "wiki")], rows[RowKey(Kind.RULES, "wiki")]
    assert isinstance(spec, Supervisor)
    assert json.loads(spec.payload)["suspended"] is True
    assert isinstance(policy, Rules)
    assert (policy.payload, policy.version) == (rules().payload, "2024-06-01T00:00:10.000Z")
    assert RowKey(Kind.CONFIG, "lookupsConfig") in rows
    assert RowKey(Kind.CONFIG, "coordinator.config") not in rows


async def test_each_cut_is_applied_for_itself_so_that_each_can_be_restored():
    pipeline = await seeded()
    for name in ("a", "b", "c"):
        pipeline.publish(segment(name))
        await pipeline.cut()
    await pipeline.follow()
    assert pipeline.applied_cuts() == [1, 2, 3, 4]


async def test_a_segment_killed_before_it_was_copied_is_a_closed_gap():
    """The cut that says so needs no bytes; the cuts before it have a gap, and nothing waits."""
    pipeline = await seeded(kill_wait_s=3600.0)
    pipeline.publish(segment("young"), segment("other"))
    await pipeline.cut()
    pipeline.kill(segment("young"))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == {segment("seed").id, segment("other").id}
    assert pipeline.gaps() == [(segment("young").id, "killed_before_copied", False)]
    assert pipeline.applied_cuts() == [1, 3]
    assert pipeline.gaps_told() == ["killed_before_copied"]


async def test_a_missing_object_is_waited_for_before_it_becomes_a_gap():
    pipeline = await seeded(kill_wait_s=30.0)
    pipeline.publish(segment("lost"), segment("other"))
    pipeline.source_storage.stored.pop(place_of(segment("lost")))
    await pipeline.cut()
    assert not await pipeline.applier.apply_next()
    awaited = pipeline.applier.awaited
    assert awaited == Awaited(
        keys=[segment("lost").id], until=pipeline.clock.now() + timedelta(seconds=30)
    )
    assert pipeline.gaps() == []
    assert segment("other").id not in pipeline.target_ids()
    pipeline.clock.move(30.0)
    await pipeline.follow()
    assert pipeline.applier.awaited is None
    assert pipeline.gaps() == [(segment("lost").id, "object_missing", True)]
    assert segment("other").id in pipeline.target_ids()


@pytest.mark.parametrize("is_filled", [True, False])
async def test_the_wait_for_a_missing_object_outlives_the_process(is_filled: bool):
    """A target that is fed by one short process after the other gets past it, too."""
    pipeline = await seeded(kill_wait_s=30.0) if is_filled else Pipeline(kill_wait_s=30.0)
    pipeline.publish(segment("lost"), segment("other"))
    pipeline.source_storage.stored.pop(place_of(segment("lost")))
    await pipeline.cut()
    waited = []
    for _ in range(4):
        pipeline.applier = pipeline.new_applier()
        await pipeline.follow()
        waited.append(pipeline.applier.awaited is not None)
        pipeline.clock.move(10.0)
    assert waited == [True, True, True, False]
    assert pipeline.gaps() == [(segment("lost").id, "object_missing", True)]
    assert segment("other").id in pipeline.target_ids()
    assert NAME not in pipeline.area.files


async def test_a_wait_that_is_over_does_not_shorten_the_next_one():
    pipeline = await seeded(kill_wait_s=30.0)
    for name in ("lost", "gone"):
        pipeline.publish(segment(name))
        pipeline.source_storage.stored.pop(place_of(segment(name)))
        await pipeline.cut()
        assert not await pipeline.new_applier().apply_next()
        pipeline.clock.move(31.0)
        pipeline.applier = pipeline.new_applier()
        await pipeline.follow()
    assert len(pipeline.gaps()) == 2


@pytest.mark.parametrize("note", [b"", b"[]", b'{"log_id": "log", "after": 1, "since": 5}'])
async def test_a_wait_whose_note_cannot_be_read_begins_anew(note: bytes):
    area, clock = MemoryArea(), HandClock()
    area.files[NAME] = note
    wait = MissingWait(area, clock, timedelta(seconds=30))
    assert await wait.until("log", Offset(1)) == clock.now() + timedelta(seconds=30)


@pytest.mark.parametrize("same_process", [True, False])
async def test_a_clock_that_was_set_back_begins_the_wait_anew(*, same_process: bool):
    area, clock = MemoryArea(), HandClock()
    wait = MissingWait(area, clock, timedelta(seconds=30))
    await wait.until("log", Offset(1))
    clock.move(-3600.0)
    wait = wait if same_process else MissingWait(area, clock, timedelta(seconds=30))
    assert await wait.until("log", Offset(1)) == clock.now() + timedelta(seconds=30)


async def test_bytes_that_come_in_time_are_no_gap():
    pipeline = await seeded(kill_wait_s=30.0)
    pipeline.publish(segment("late"))
    location = place_of(segment("late"))
    held = pipeline.source_storage.stored.pop(location)
    await pipeline.cut()
    assert not await pipeline.applier.apply_next()
    pipeline.source_storage.stored[location] = held
    pipeline.clock.move(30.0)
    await pipeline.follow()
    assert pipeline.gaps() == []
    assert segment("late").id in pipeline.target_ids()


async def with_a_gap(**options) -> tuple[Pipeline, dict[str, bytes]]:
    """A pipeline whose target lacks a segment, and what the source's storage lost of it."""
    pipeline = await seeded(**options)
    pipeline.publish(segment("lost"))
    held = pipeline.source_storage.stored.pop(place_of(segment("lost")))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment("lost").id, "object_missing", True)]
    return pipeline, held


async def test_a_gap_of_missing_bytes_says_what_to_do():
    pipeline, _ = await with_a_gap()
    (gap,) = await pipeline.target.gaps(SOURCE, "log")
    assert gap.detail.endswith("(mount, bucket, lifecycle rule), then `repair`")


async def test_a_gap_is_healed_at_the_next_start_once_its_bytes_are_there():
    """A mount that was away for longer than `kill_wait` left gaps for ever, on archives, too."""
    pipeline, held = await with_a_gap()
    reached = await pipeline.wired().target.checkpoint()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert segment("lost").id not in pipeline.target_ids(), "its bytes are not there"
    assert pipeline.gaps() == [(segment("lost").id, "object_missing", True)]
    pipeline.source_storage.stored[place_of(segment("lost"))] = held
    await pipeline.follow()
    assert segment("lost").id not in pipeline.target_ids(), "the interval is not over"
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert segment("lost").id in pipeline.target_ids()
    assert pipeline.gaps() == [(segment("lost").id, "object_missing", False)]
    assert await pipeline.wired().target.checkpoint() == reached
    told = [gap.at(Offset(99)) for gap in await archived_gaps(pipeline.area, "log")]
    assert told == [False], "a restore from the store has the row, too"
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good
    pipeline.publish(segment("next"))
    await pipeline.cut()
    await pipeline.follow()
    assert segment("next").id in pipeline.target_ids()


async def test_a_gap_is_healed_while_the_applier_follows(monkeypatch: pytest.MonkeyPatch):
    pipeline, held = await with_a_gap()
    pipeline.source_storage.stored[place_of(segment("lost"))] = held
    assert not await pipeline.applier.apply_next(), "it was tried just now"
    later_s = asyncio.get_running_loop().time() + 3601
    monkeypatch.setattr(pipeline.applier, "_now_s", lambda: later_s)
    assert await pipeline.applier.apply_next()
    assert segment("lost").id in pipeline.target_ids()
    assert not await pipeline.applier.apply_next()


async def test_an_archives_gap_is_healed_as_well():
    """An archive has no rows to compare, and no verb could heal it."""
    pipeline = Pipeline()
    archive = ArchiveMetadata(pipeline.area, pipeline.clock)
    pipeline.applier = pipeline.new_applier(into=archive)
    pipeline.publish(segment("seed"), segment("lost"))
    held = pipeline.source_storage.stored.pop(place_of(segment("lost")))
    await pipeline.cut()
    await pipeline.follow()
    assert [gap.closed for gap in await archive.gaps(SOURCE, "log")] == [None]
    pipeline.source_storage.stored[place_of(segment("lost"))] = held
    pipeline.applier = pipeline.new_applier(into=archive)
    await pipeline.follow()
    assert [gap.closed == gap.opened for gap in await archive.gaps(SOURCE, "log")] == [True]
    assert len(pipeline.target_storage.stored) == 2


async def test_a_source_that_is_away_holds_up_no_target_with_gaps(monkeypatch: pytest.MonkeyPatch):
    pipeline, _ = await with_a_gap()

    async def away(location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        raise TransientError("the storage is away")

    monkeypatch.setattr(pipeline.source_storage, "objects", away)
    pipeline.applier = pipeline.new_applier()
    assert not await pipeline.applier.apply_next()
    told = [one.what for one in pipeline.seen if isinstance(one, Waiting)]
    assert told[-1] == "copy the bytes of 1 known gap"
    pipeline.publish(rules())
    await pipeline.cut()
    assert await pipeline.applier.apply_next()


async def test_gaps_are_tried_again_in_small_lots(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gap_retries, "GAPS_PER_TRY_MAX", 2)
    pipeline = await seeded()
    lost = [segment(name) for name in ("a", "b", "c")]
    pipeline.publish(*lost)
    held = {place_of(row): pipeline.source_storage.stored.pop(place_of(row)) for row in lost}
    await pipeline.cut()
    await pipeline.follow()
    pipeline.source_storage.stored |= held
    pipeline.applier = pipeline.new_applier()
    found = []
    while await pipeline.applier.apply_next():
        found.append(len(pipeline.target_ids()))
    assert found == [3, 4]


async def with_others_away(
    *published: Segment,
) -> tuple[Pipeline, dict[Location, dict[str, bytes]]]:
    """A target with three segments whose bytes are away, like those of what is published then."""
    pipeline = await seeded(segment("a"), segment("b"))
    pipeline.publish(*published)
    held, pipeline.source_storage.stored = pipeline.source_storage.stored, {}
    await pipeline.cut()
    return pipeline, held


async def test_a_storage_that_shows_none_of_its_segments_is_away_and_makes_no_gap():
    """An empty disk in its place had other files, and each new segment became a gap."""
    pipeline, held = await with_others_away(segment("new"))
    for _ in range(2):
        with pytest.raises(TransientError, match="and so are those of 3 others that the source"):
            await pipeline.applier.apply_next()
    assert pipeline.gaps() == []
    pipeline.source_storage.stored[place_of(segment("a"))] = held[place_of(segment("a"))]
    await pipeline.follow()
    assert pipeline.gaps() == [(segment("new").id, "object_missing", True)], "it is there"


async def test_a_target_is_not_seeded_with_gaps_by_a_storage_that_is_away():
    pipeline, held = await with_others_away(segment("new"))
    await pipeline.restorer().execute(
        await pipeline.restorer().plan(Latest(), datasource=None, adopt=False), accept_gaps=True
    )
    pipeline.applier = pipeline.new_applier(resume=True)
    pipeline.publish(segment("later"))
    del pipeline.source_storage.stored[place_of(segment("later"))]
    await pipeline.cut()
    with pytest.raises(TransientError, match="seems not to be mounted"):
        await pipeline.applier.apply_next()
    pipeline.source_storage.stored = held
    await pipeline.follow()
    assert pipeline.gaps()[-1] == (segment("later").id, "object_missing", True)


async def test_segments_that_the_source_uses_no_more_do_not_say_that_it_is_away():
    """Kill tasks removed them; a segment of one day's use is the whole of a small cluster."""
    pipeline, _ = await with_others_away(segment("new"))
    pipeline.publish(segment("a", used=False))
    del pipeline.source_storage.stored[place_of(segment("a"))]
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment("new").id, "object_missing", True)]


async def test_what_a_target_lacks_since_long_does_not_say_that_the_source_is_away():
    pipeline = await seeded()
    for names in (("a", "b", "c"), ("d",)):
        pipeline.publish(*map(segment, names))
        pipeline.source_storage.stored.clear()
        await pipeline.cut()
        await pipeline.follow()
    assert [reason for _, reason, _ in pipeline.gaps()] == ["object_missing"] * 4


async def test_a_gap_closes_when_its_row_goes():
    pipeline = await seeded()
    pipeline.publish(segment("lost"))
    pipeline.source_storage.stored.pop(place_of(segment("lost")))
    await pipeline.cut()
    await pipeline.follow()
    pipeline.kill(segment("lost"))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment("lost").id, "object_missing", False)]


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b"\xff\xfe",
        json_bytes(segment_payload(loadSpec=None)),
        json_bytes(segment_payload(loadSpec={"type": "c*", "key": "x"})),
        json_bytes(segment_payload(loadSpec={"type": "local", "path": "/etc/passwd"})),
        json_bytes(segment_payload(interval="2024-01-02/2024-01-01")),
        json_bytes(segment_payload(identifier="somebody-else")),
    ],
)
async def test_a_malformed_row_is_a_gap_and_the_rest_goes_on(payload: bytes):
    pipeline = await seeded()
    pipeline.source.rows[key_of(segment())] = segment(payload=payload)
    pipeline.publish(segment("good"))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "malformed_row", True)]
    assert pipeline.target_ids() == {segment("seed").id, segment("good").id}
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "malformed_row", False)]
    assert segment().id in pipeline.target_ids()


async def test_gaps_of_rows_with_one_key_say_what_each_of_them_is():
    """A supervisor, load rules and a datasource's offsets are often all called alike."""
    pipeline = await seeded()
    bad = (supervisor(payload=b"no JSON"), rules(payload=b"no JSON"))
    pipeline.source.rows |= {key_of(row): row for row in bad}
    await pipeline.cut()
    await pipeline.follow()
    gaps = await pipeline.target.gaps(SOURCE, "log")
    assert {gap.key for gap in gaps} == {"wiki"}
    assert {gap.words for gap in gaps} == {"supervisor wiki", "load rules of wiki"}


def misplaced(datasource: str) -> Segment:
    spec = {"type": "local", "path": f"/elsewhere/{datasource}/0/index/"}
    payload = segment_payload(datasource=datasource, loadSpec=spec)
    return segment(datasource, payload=json_bytes(payload))


@pytest.mark.parametrize("empty_before", [True, False])
async def test_a_source_whose_segments_are_all_elsewhere_is_not_replicated_for_show(
    empty_before: bool,
):
    """With a wrong prefix every segment was a gap, and apply said that all was well."""
    pipeline = Pipeline()
    if empty_before:
        pipeline.publish(rules())
        await pipeline.cut()
        await pipeline.follow()
    pipeline.source.rows |= {key_of(row): row for row in (misplaced("a"), misplaced("b"))}
    await pipeline.cut()
    with pytest.raises(ConfigError, match="none of 2 segments is in a configured deep") as refused:
        await pipeline.applier.apply_next()
    assert "/elsewhere/a/0/index/" in str(refused.value)
    assert "its prefix is Druid's own" in refused.value.hint
    assert pipeline.gaps() == []

    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == {segment().id}
    assert [(reason, is_open) for _, reason, is_open in pipeline.gaps()] == [
        ("malformed_row", True)
    ] * 2


async def test_one_segment_that_is_elsewhere_is_a_gap():
    pipeline = await seeded()
    pipeline.source.rows[key_of(misplaced("a"))] = misplaced("a")
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment("a").id, "malformed_row", True)]


async def test_an_object_that_is_written_again_at_each_try_is_a_gap(
    monkeypatch: pytest.MonkeyPatch,
):
    """It held up the target for ever: each try found it rewritten, and was repeated."""
    pipeline = await seeded()
    pipeline.publish(restless := segment("restless"), segment("good"))
    looked = list[int]()
    objects = pipeline.source_storage.objects

    async def rewritten(location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        found = await objects(location, ahead=ahead)
        if location == place_of(restless):
            looked.append(len(looked))
            data = b"%1967d" % len(looked)
            pipeline.source_storage.stored[location] = {"00000.smoosh": data}
        return found

    monkeypatch.setattr(pipeline.source_storage, "objects", rewritten)
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(restless.id, "object_rewritten", True)]
    assert segment("good").id in pipeline.target_ids()
    assert len(looked) == RETRIES.attempts_max
    (gap,) = await pipeline.target.gaps(SOURCE, "log")
    assert "until the last of 2 attempts; find out which program writes there" in gap.detail
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good

    monkeypatch.undo()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert pipeline.gaps() == [(restless.id, "object_rewritten", False)]
    assert restless.id in pipeline.target_ids()


async def test_a_storage_whose_objects_all_seem_rewritten_is_no_rows_trouble(
    monkeypatch: pytest.MonkeyPatch,
):
    """A file system without a steady time of change would leave out everything."""
    pipeline = await seeded(objects_missing_max=1)
    objects = pipeline.source_storage.objects

    async def restless(location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        return [replace(one, tag="now") for one in await objects(location, ahead=ahead)]

    monkeypatch.setattr(pipeline.source_storage, "objects", restless)
    pipeline.publish(segment("a"), segment("b"))
    await pipeline.cut()
    with pytest.raises(RefusedError, match="2 segments cannot be read or stored"):
        await pipeline.follow()
    assert pipeline.gaps() == []


async def test_fewer_bytes_than_the_payload_says_are_a_gap():
    pipeline = await seeded()
    pipeline.publish(segment())
    location = place_of(segment())
    pipeline.source_storage.stored[location] = {"00000.smoosh": b"half"}
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_truncated", True)]


async def test_many_more_bytes_than_the_payload_says_are_a_gap_and_no_copy(
    monkeypatch: pytest.MonkeyPatch,
):
    """A sparse file of any size costs whoever can write to the source's storage nothing."""
    monkeypatch.setattr(unzipping, "UNPACKED_MORE_BYTES", 100)
    pipeline = await seeded()
    pipeline.publish(segment())
    location = place_of(segment())
    pipeline.source_storage.stored[location] = {"00000.smoosh": bytes(2 * 1967 + 101)}
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_unreadable", True)]
    assert location not in pipeline.target_storage.stored


async def test_bytes_of_another_size_are_not_read_to_see_that_they_are_others(
    monkeypatch: pytest.MonkeyPatch,
):
    """A sparse file of eight exbibytes would be read for years."""
    pipeline = await seeded(segment())
    pipeline.source_storage.stored[place_of(segment())] = {"00000.smoosh": bytes(1968)}
    changed = replace(segment(), used=False)
    pipeline.source.rows[key_of(changed)] = changed
    await pipeline.cut()

    async def read(_: Location) -> tuple[Checked, ...]:
        raise AssertionError("it was read")

    monkeypatch.setattr(pipeline.source_storage, "check", read)
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_changed", True)]


async def test_other_bytes_in_the_same_place_are_a_gap_and_the_old_ones_stay():
    """A partition number can be given out again after a kill; the path is then the same."""
    pipeline = await seeded(segment())
    location = place_of(segment())
    before = pipeline.target_storage.stored[location]
    pipeline.source_storage.stored[location] = {"00000.smoosh": b"y" * 1967}
    reborn = replace(segment(), created_date="2024-08-01T00:00:00.000Z")
    pipeline.source.rows[key_of(reborn)] = reborn
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_changed", True)]
    assert pipeline.target_storage.stored[location] == before


async def test_bytes_are_compared_when_the_source_is_there_again_and_not_taken_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
):
    pipeline = await seeded(segment())
    changed = replace(segment(), used=False)
    pipeline.source.rows[key_of(changed)] = changed
    await pipeline.cut()

    async def away(location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        raise TransientError("the storage is away")

    monkeypatch.setattr(pipeline.source_storage, "objects", away)
    with pytest.raises(TransientError, match="the storage is away"):
        await pipeline.applier.apply_next()
    monkeypatch.undo()
    await pipeline.follow()
    assert pipeline.applied_cuts() == [1, 2]


async def reborn_and_gone(*, upgraded_from: str | None = None) -> Pipeline:
    """The id was given out again, and nobody has compared the new bytes before they went."""
    pipeline = await seeded()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    made = (pipeline.clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    reborn = replace(segment(), created_date=made, upgraded_from_segment_id=upgraded_from)
    pipeline.source.rows[key_of(reborn)] = reborn
    del pipeline.source_storage.stored[place_of(segment())]
    await pipeline.cut(move_s=2 * 86_400)
    await pipeline.follow()
    return pipeline


async def test_bytes_older_than_the_row_are_not_its_own_when_the_source_has_none_any_more():
    pipeline = await reborn_and_gone()
    assert pipeline.gaps() == [(segment().id, "object_changed", True)]
    assert pipeline.target_ids() == {segment("seed").id}


async def test_an_upgraded_row_shares_the_bytes_of_an_older_one():
    """Concurrent append and replace: they stay right when the source has killed them."""
    pipeline = await reborn_and_gone(upgraded_from="another")
    assert pipeline.gaps() == []
    assert pipeline.target_ids() == {segment("seed").id, segment().id}


async def test_other_bytes_do_not_become_right_because_the_source_has_none_any_more():
    """The row changes and is killed while the target is behind: it has no bytes of that life."""
    pipeline = await seeded(segment())
    pipeline.source_storage.stored[place_of(segment())] = {"00000.smoosh": b"y" * 1967}
    reborn = replace(segment(), created_date="2024-08-01T00:00:00.000Z")
    pipeline.source.rows[key_of(reborn)] = reborn
    await pipeline.cut()
    await pipeline.follow()
    pipeline.source.rows[key_of(reborn)] = replace(reborn, used=False)
    await pipeline.cut()
    pipeline.kill(reborn)
    await pipeline.follow()
    assert pipeline.gaps() == [
        (segment().id, "object_changed", False),
        (segment().id, "object_changed", True),
    ]
    assert segment().id not in pipeline.target_ids()


def upgraded(partition: int) -> Segment:
    """Return a row of another partition with the bytes of `segment()`."""
    payload = segment_payload(partition=partition, loadSpec=load_spec())
    return segment(
        partition=partition,
        upgraded_from_segment_id=segment().id,
        payload=json_bytes(payload),
    )


async def with_a_root_of_other_bytes() -> Pipeline:
    """An id was given out again; the target has the bytes of its former life, and a gap."""
    pipeline = await seeded(segment("seed"), segment())
    reborn = replace(segment(), created_date="2024-08-01T00:00:00.000Z")
    pipeline.source_storage.stored[place_of(segment())] = {"00000.smoosh": b"y" * 1967}
    pipeline.source.rows[key_of(reborn)] = reborn
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_changed", True)]
    return pipeline


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("root_is_killed", [False, True])
async def test_nor_for_a_row_that_shares_them(*, root_is_killed: bool, restarted: bool):
    """Concurrent append and replace of a row whose bytes the target does not have."""
    pipeline = await with_a_root_of_other_bytes()
    if root_is_killed:
        del pipeline.source.rows[key_of(segment())]
        await pipeline.cut()
        await pipeline.follow()
    if restarted:
        pipeline.applier = pipeline.new_applier()
    pipeline.source.rows[key_of(upgraded(1))] = upgraded(1)
    await pipeline.cut()
    del pipeline.source_storage.stored[place_of(segment())]
    await pipeline.follow()
    assert pipeline.gaps()[-1] == (upgraded(1).id, "object_changed", True)
    assert pipeline.target_ids() == {segment("seed").id}


async def test_nor_in_a_restore_of_a_row_that_shares_them():
    pipeline = await with_a_root_of_other_bytes()
    pipeline.source.rows[key_of(upgraded(1))] = upgraded(1)
    await pipeline.cut()
    del pipeline.source_storage.stored[place_of(segment())]
    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False, pause=True)
    await pipeline.restorer().execute(plan, accept_gaps=True)
    assert pipeline.target_ids() == {segment("seed").id}


async def test_nor_when_the_target_is_filled_anew():
    pipeline = await seeded(segment())
    pipeline.source_storage.stored[place_of(segment())] = {"00000.smoosh": b"y" * 1967}
    reborn = replace(segment(), created_date="2024-08-01T00:00:00.000Z")
    pipeline.source.rows[key_of(reborn)] = reborn
    await pipeline.cut()
    await pipeline.follow()
    restorer = pipeline.restorer()
    plan = await restorer.plan(Latest(), datasource=None, adopt=False, pause=True)
    await restorer.execute(plan, accept_gaps=True)
    pipeline.source_storage.stored.clear()
    pipeline.applier = pipeline.new_applier(resume=True)
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_changed", True)]
    assert segment().id not in pipeline.target_ids()


async def test_too_many_missing_objects_are_a_wrong_mount():
    pipeline = await seeded(objects_missing_max=2)
    names = [f"lost{number}" for number in range(3)]
    pipeline.publish(*(segment(name) for name in names))
    for name in names:
        pipeline.source_storage.stored.pop(place_of(segment(name)))
    await pipeline.cut()
    with pytest.raises(RefusedError, match="3 segments have no bytes"):
        await pipeline.applier.apply_next()
    assert pipeline.gaps() == []
    assert pipeline.target_ids() == {segment("seed").id}


async def test_a_second_applier_shuts_out_the_first():
    pipeline = await seeded()
    pipeline.publish(segment())
    await pipeline.cut()
    second = pipeline.new_applier()
    assert await second.apply_next()
    pipeline.publish(segment("orders"))
    await pipeline.cut()
    with pytest.raises(FencedError):
        await pipeline.applier.apply_next()
    assert segment("orders").id not in pipeline.target_ids()


async def test_a_target_with_somebody_elses_rows_is_refused_unless_adopted():
    pipeline = Pipeline()
    foreign = segment("foreign")
    pipeline.target.rows[key_of(foreign)] = foreign
    pipeline.publish(segment())
    await pipeline.cut()
    with pytest.raises(RefusedError, match="1 rows that this tool did not write"):
        await pipeline.applier.apply_next()
    assert pipeline.target_ids() == {foreign.id}
    pipeline.applier = pipeline.new_applier(adopt=True)
    await pipeline.follow()
    assert pipeline.target_ids() == {segment().id}


@pytest.mark.parametrize("left", [0, 2])
async def test_a_checkpoint_ahead_of_the_log_is_refused(left: int):
    """Also when nothing but the record that closed its cut is lost."""
    pipeline = await seeded(segment())
    del pipeline.log._stored.records[left:]
    pipeline.log._stored.end = Offset(left)
    with pytest.raises(
        LogCutShortError, match="the log has lost records that were already applied"
    ):
        await pipeline.new_applier().apply_next()
    assert (await pipeline.target.state(SOURCE)).epoch == 1, "who follows the right log goes on"


async def test_a_log_that_was_put_back_and_written_on_is_refused():
    """The same offset closes another cut: what follows it is another history."""
    pipeline = await seeded(segment())
    pipeline.publish(segment("other"))
    await pipeline.cut()
    await pipeline.follow()
    records = pipeline.log._stored.records
    first = next(n for n, one in enumerate(records) if one.type == "cut.closed") + 1
    del records[first:]
    pipeline.log._stored.end = Offset(records[-1].offset + 1)
    pipeline.watcher = pipeline.new_watcher(readers={})
    pipeline.kill(segment("seed"))
    for name in ("clicks", "edits", "views"):
        await pipeline.cut()
        pipeline.publish(segment(name))
    with pytest.raises(CorruptionError, match="put back to an older copy, and written on") as found:
        await pipeline.new_applier().apply_next()
    assert "--new-log" in found.value.hint
    proof = await pipeline.verifier().verify(Level.ROWS)
    assert "written on" in proof.findings[0]


async def test_another_log_is_refused():
    pipeline = await seeded(segment())
    pipeline.log._stored.log_id = "another"
    with pytest.raises(CorruptionError, match="follows log log, the configured log is another"):
        await pipeline.new_applier().apply_next()
    assert (await pipeline.target.state(SOURCE)).epoch == 1, "who follows the right log goes on"


async def with_a_lost_log(pipeline: Pipeline) -> None:
    """Put an empty log in the place of the one that the target follows; its watcher comes."""
    pipeline.log = MemoryEventLog(pipeline.clock, SOURCE, log_id="new")
    pipeline.watcher = pipeline.new_watcher()
    await pipeline.cut()


async def test_a_target_goes_over_to_the_log_that_replaces_a_lost_one():
    """Its rows become those of that log's newest cut; bytes that are right are not copied again."""
    kept, dropped, fresh = segment("kept"), segment("dropped"), segment("fresh")
    pipeline = await seeded(kept, dropped)
    pipeline.kill(dropped)
    pipeline.publish(fresh)
    await with_a_lost_log(pipeline)
    pipeline.seen.clear()
    pipeline.applier = pipeline.new_applier(new_log=True)
    await pipeline.follow()
    assert pipeline.target_ids() == {segment("seed").id, kept.id, fresh.id}
    copied = [one.location for one in pipeline.seen if isinstance(one, ObjectCopied)]
    assert copied == [place_of(fresh)], "only what is new"
    checkpoint = (await pipeline.target.state(SOURCE)).checkpoint
    assert checkpoint is not None
    assert (checkpoint.log_id, checkpoint.cut, checkpoint.paused) == ("new", 1, False)
    pipeline.publish(segment("later"))
    await pipeline.cut()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert segment("later").id in pipeline.target_ids()
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good


def stored(pipeline: Pipeline) -> wiring.Pipeline:
    """Return the target's services, fed from its own store."""
    archive = ArchivedLog(Store(pipeline.area), "log")
    return wiring.Pipeline(
        HistorySource(source=SOURCE, layout=ORIGIN, log=archive, bases=archive),
        pipeline.configured(),
        pipeline.tools(),
        mapping=pipeline.mapping(),
    )


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_lost_logs_cut_comes_back_into_the_target_that_keeps_it(*, is_whole: bool):
    """Its bytes are in place; where they are not, no row is changed."""
    pipeline = await seeded(segment("old"))
    pipeline.kill(segment("old"))
    pipeline.publish(segment("fresh"))
    await with_a_lost_log(pipeline)
    pipeline.applier = pipeline.new_applier(new_log=True)
    await pipeline.follow()
    now = pipeline.target_ids()
    assert now == {segment("seed").id, segment("fresh").id}
    if not is_whole:
        del pipeline.target_storage.stored[place_of(segment("old"))]
    before = dict(pipeline.target_storage.stored)
    backup = Backup(layout=LocalLayout(root=TARGET_ROOT), storage=pipeline.target_storage)
    restorer = stored(pipeline).restorer_in_place(backup)
    plan = await restorer.plan(ToOffset(offset=Offset(2)), datasource=None, adopt=False)
    if not is_whole:
        with pytest.raises(GapError, match=r"old_.*no row was changed"):
            await restorer.execute(plan, accept_gaps=False)
        assert pipeline.target_ids() == now
        return
    assert await restorer.execute(plan, accept_gaps=False) == ()
    assert pipeline.target_ids() == {segment("seed").id, segment("old").id}
    assert pipeline.target_storage.stored == before
    checkpoint = (await pipeline.target.state(SOURCE)).checkpoint
    assert checkpoint is not None
    assert (checkpoint.log_id, checkpoint.offset, checkpoint.paused) == ("log", 2, True)
    assert (await stored(pipeline).verifier().verify(Level.CHECKSUM)).is_good


async def test_gaps_of_a_lost_log_do_not_become_those_of_other_events():
    """Their offsets are those of other rows there, which they must not excuse."""
    pipeline = await seeded()
    pipeline.publish(segment("lost"))
    pipeline.source_storage.stored.pop(place_of(segment("lost")))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment("lost").id, "object_missing", True)]
    pipeline.kill(segment("lost"))
    pipeline.publish(*(segment(name) for name in "abcd"))
    await with_a_lost_log(pipeline)
    pipeline.applier = pipeline.new_applier(new_log=True)
    await pipeline.follow()
    assert pipeline.gaps() == []
    assert [gap.key for gap in await archived_gaps(pipeline.area, "log")] == [segment("lost").id]
    assert list(await archived_gaps(pipeline.area, "new")) == []
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good


@pytest.mark.parametrize("restored", [False, True])
async def test_what_a_lost_log_said_of_changed_bytes_is_not_forgotten(*, restored: bool):
    """The target has the bytes of an id's former life, and the source has none to compare."""
    pipeline = await seeded(segment())
    pipeline.source_storage.stored[place_of(segment())] = {"00000.smoosh": b"y" * 1967}
    reborn = replace(segment(), created_date="2024-01-01T00:00:00.000Z")
    pipeline.source.rows[key_of(reborn)] = reborn
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_changed", True)]
    del pipeline.source_storage.stored[place_of(segment())]
    await with_a_lost_log(pipeline)
    if restored:
        plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False, pause=True)
        await pipeline.restorer().execute(plan, accept_gaps=True)
    pipeline.applier = pipeline.new_applier(new_log=True, resume=True)
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_changed", True)]
    assert pipeline.target_ids() == {segment("seed").id}


async def test_a_target_that_stands_still_does_not_go_over_to_another_log_by_itself():
    pipeline = await seeded(segment())
    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False, pause=True)
    await pipeline.restorer().execute(plan, accept_gaps=False)
    pipeline.publish(segment("later"))
    await with_a_lost_log(pipeline)
    with pytest.raises(RefusedError, match="is paused"):
        await pipeline.new_applier(new_log=True).apply_next()
    pipeline.applier = pipeline.new_applier(new_log=True, resume=True)
    await pipeline.follow()
    assert segment("later").id in pipeline.target_ids()


async def test_a_new_log_without_a_cut_is_waited_for():
    pipeline = await seeded(segment())
    pipeline.log = MemoryEventLog(pipeline.clock, SOURCE, log_id="new")
    await pipeline.log.acquire()
    assert not await pipeline.new_applier(new_log=True).apply_next()
    assert pipeline.target_ids() == {segment("seed").id, segment().id}
    checkpoint = (await pipeline.target.state(SOURCE)).checkpoint
    assert checkpoint is not None
    assert checkpoint.log_id == "log"


async def test_nothing_is_proved_or_written_down_by_another_log():
    """Somebody configures the former log again."""
    pipeline = await seeded(segment())
    former = pipeline.log
    pipeline.publish(segment("b"), segment("c"))
    pipeline.clock.move(30 * 86_400)
    await with_a_lost_log(pipeline)
    pipeline.applier = pipeline.new_applier(new_log=True)
    await pipeline.follow()
    pipeline.log = former
    with pytest.raises(CorruptionError, match="follows log new, the configured log is log"):
        await pipeline.verifier().verify(Level.ROWS)
    assert not await pipeline.base_writer().write_if_due()


async def test_checkpoint_and_rows_agree_after_each_cut():
    pipeline = await seeded()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    checkpoint = (await pipeline.target.state(SOURCE)).checkpoint
    assert checkpoint is not None
    assert (checkpoint.cut, checkpoint.offset, checkpoint.paused) == (2, 3, False)


async def test_a_delayed_target_has_the_bytes_at_once_and_the_rows_later():
    """Six hours behind: an accident can be seen before it happens there; its bytes are safe."""
    pipeline = Pipeline(delay=timedelta(hours=6))
    first, late = segment("first"), segment("late")
    pipeline.publish(first)
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == set()
    pipeline.clock.move(6 * 3600)
    pipeline.publish(late)
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == {first.id}
    await pipeline.follow()
    assert place_of(late) in pipeline.target_storage.stored
    pipeline.kill(late)
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == {first.id}
    pipeline.clock.move(6 * 3600)
    await pipeline.follow()
    assert pipeline.target_ids() == {first.id}
    assert pipeline.applied_cuts() == [1, 2, 3]
    assert pipeline.gaps() == []


async def test_a_delayed_target_that_starts_anew_goes_on_from_its_checkpoint():
    pipeline = Pipeline(delay=timedelta(hours=6))
    pipeline.publish(segment("a"))
    await pipeline.cut()
    pipeline.clock.move(7 * 3600)
    await pipeline.follow()
    for name in ("b", "c"):
        pipeline.publish(segment(name))
        await pipeline.cut()
        await pipeline.follow()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert pipeline.applied_cuts() == [1]
    pipeline.clock.move(7 * 3600)
    await pipeline.follow()
    assert pipeline.applied_cuts() == [1, 2, 3]


async def test_a_delayed_target_that_was_restored_ahead_waits_there_and_never_goes_back():
    pipeline = Pipeline(delay=timedelta(hours=6))
    pipeline.publish(segment("a"))
    await pipeline.cut()
    pipeline.clock.move(7 * 3600)
    await pipeline.follow()
    pipeline.publish(segment("b"))
    await pipeline.cut()
    restorer = pipeline.restorer()
    plan = await restorer.plan(Latest(), datasource=None, adopt=False, pause=True)
    await restorer.execute(plan, accept_gaps=False)
    pipeline.publish(segment("c"))
    await pipeline.cut()
    pipeline.applier = pipeline.new_applier(resume=True)
    await pipeline.follow()
    checkpoint = (await pipeline.target.state(SOURCE)).checkpoint
    assert checkpoint is not None
    assert (checkpoint.cut, checkpoint.paused) == (2, False)
    pipeline.clock.move(7 * 3600)
    await pipeline.follow()
    checkpoint = (await pipeline.target.state(SOURCE)).checkpoint
    assert checkpoint is not None
    assert checkpoint.cut == 3


async def test_a_log_that_takes_no_reports_slows_nothing(monkeypatch: pytest.MonkeyPatch):
    """A consumer in the target's group, or a right that is missing: the report is a hint."""
    pipeline = Pipeline()

    async def refuse(log: MemoryEventLog, reader: str, offset: Offset, store: str) -> None:
        raise TransientError("commit the offset of group standby: a member is there")

    monkeypatch.setattr(MemoryEventLog, "report", refuse)
    for name in ("wiki", "orders"):
        pipeline.publish(segment(name))
        await pipeline.cut()
        assert await pipeline.applier.apply_next()
    assert len(pipeline.target.rows) == 2
    said = [one for one in pipeline.seen if isinstance(one, Waiting)]
    assert [one.what for one in said] == ["report the target's position to the log"] * 2


class Following:
    """An applier that runs beside the test, and what it says of its target."""

    def __init__(self, pipeline: Pipeline, applier: Applier) -> None:
        self.pipeline, self.stop = pipeline, asyncio.Event()
        self.epoch = pipeline.target.sources[SOURCE].epoch
        self.task = asyncio.create_task(applier.run(self.stop))

    async def leads(self) -> None:
        """Wait until it has taken the target."""
        note = json_bytes({"epoch": self.epoch + 1, "lasts": True})
        await self.until(lambda: self.pipeline.area.files.get(NAME_OF_HELM) == note)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what is soon so; fail with what the applier failed with."""
        async with asyncio.timeout(20):
            while not is_so():
                if self.task.done():
                    await self.task
                    raise AssertionError("it has ended")
                await asyncio.sleep(0)

    def whys(self) -> list[str | None]:
        return [one.why for one in self.pipeline.seen if isinstance(one, TargetPaused)]

    async def end(self) -> None:
        self.stop.set()
        await self.task


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicator.services.replication.applier.LOOK_S", 0.001)


async def restored(pipeline: Pipeline) -> None:
    plan = await pipeline.restorer().plan(
        ToOffset(offset=Offset(1)), datasource=None, adopt=False, pause=True
    )
    await pipeline.restorer().execute(plan, accept_gaps=False)


@pytest.mark.usefixtures("looks_at_once")
async def test_a_restore_pauses_a_running_applier_which_takes_the_target_up_again():
    """Nobody took over: it looks on while the target stands, and goes on once it is resumed."""
    pipeline = await seeded()
    following = Following(pipeline, pipeline.new_applier(resume=True))
    pipeline.publish(segment("before"))
    await pipeline.cut()
    await following.until(lambda: segment("before").id in pipeline.target_ids())
    await restored(pipeline)
    pipeline.publish(segment("during"))
    await pipeline.cut()
    await following.until(lambda: len(following.whys()) == 1)
    assert "is paused after a restore to cut 1" in str(following.whys()[0])
    assert pipeline.target_ids() == {segment("seed").id}, "--resume was for the first time alone"
    await pipeline.new_applier(resume=True).apply_next()
    pipeline.publish(segment("after"))
    await pipeline.cut()
    await following.until(lambda: segment("after").id in pipeline.target_ids())
    assert following.whys()[1:] == [None]
    await following.end()


@pytest.mark.usefixtures("looks_at_once")
async def test_a_target_that_stands_still_at_the_start_is_left_alone():
    """Its epoch, too: whoever restores it at that moment is not shut out."""
    pipeline = await seeded()
    await restored(pipeline)
    epoch = pipeline.target.sources[SOURCE].epoch
    following = Following(pipeline, pipeline.new_applier())
    await following.until(lambda: len(following.whys()) == 1)
    assert pipeline.target.sources[SOURCE].epoch == epoch
    await following.end()


@pytest.mark.usefixtures("looks_at_once")
async def test_a_restore_that_is_at_work_is_not_disturbed_and_may_fail():
    pipeline = await seeded()
    following = Following(pipeline, pipeline.new_applier())
    await following.leads()
    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False, pause=True)
    async with pipeline.restorer().leased(plan):
        copied = await pipeline.restorer().copy(plan)
        pipeline.publish(segment("during"))
        await pipeline.cut()
        await following.until(lambda: len(following.whys()) == 1)
        assert "is running" in str(following.whys()[0])
        assert pipeline.target.sources[SOURCE].epoch == copied.state.epoch
    await following.until(lambda: segment("during").id in pipeline.target_ids())
    await following.end()


@pytest.mark.usefixtures("looks_at_once")
async def test_an_applier_that_an_error_has_halted_goes_on_when_it_is_mended():
    """A damaged file in the target's store; every other service of the process works meanwhile."""
    pipeline = await seeded()
    pipeline.area.files[intent_name(1)] = b"{}"
    following = Following(pipeline, pipeline.new_applier())
    await following.until(lambda: any(isinstance(one, Halted) for one in pipeline.seen))
    pipeline.publish(segment("during"))
    await pipeline.cut()
    halted = next(one for one in pipeline.seen if isinstance(one, Halted))
    assert (halted.exit_code, intent_name(1) in halted.reason) == (9, True)
    assert segment("during").id not in pipeline.target_ids()
    del pipeline.area.files[intent_name(1)]
    await following.until(lambda: WentOn(what=halted.what) in pipeline.seen)
    assert segment("during").id in pipeline.target_ids()
    await following.end()


async def test_an_applier_that_looks_again_takes_nothing_from_who_mends():
    """After an error of its own it looks who has taken the target since, before it leads again."""
    pipeline = await seeded()
    applier = pipeline.new_applier()
    await applier._step()
    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False, pause=True)
    pipeline.area.files[intent_name(1)] = b"{}"
    pipeline.publish(segment("during"))
    await pipeline.cut()
    for failure in (TransientError, CorruptionError):  # an expiry may run; its file is altered
        with pytest.raises(failure):
            await applier._step()
    del pipeline.area.files[intent_name(1)]
    async with pipeline.restorer().leased(plan):
        copied = await pipeline.restorer().copy(plan)
        assert await applier._step() == LOOK_S
        assert pipeline.target.sources[SOURCE].epoch == copied.state.epoch
    assert await applier._step() == 0.0
    assert segment("during").id in pipeline.target_ids()


@pytest.mark.parametrize("is_renewed", [False, True])
def test_a_lease_of_a_clock_that_was_ahead_holds_nobody_up(*, is_renewed: bool):
    """Its process was killed, and nobody can know that but by watching."""

    async def within() -> None:
        clock = HandClock()
        area = MemoryArea()
        record, state = (
            ApplierRecord(area, clock),
            TargetState(epoch=Epoch(3), checkpoint=None, applied_at=None),
        )
        lease = RestoreLease(
            log_id="log",
            offset=Offset(1),
            valid_until=clock.now() + timedelta(days=1, seconds=600),
            lasts_s=600,
        )
        for minutes in range(12):
            if is_renewed and minutes % 4 == 0:
                until = lease.valid_until + timedelta(minutes=minutes)
                area.files["restores/1.json"] = lease_json(replace(lease, valid_until=until))
            elif not minutes:
                area.files["restores/1.json"] = lease_json(lease)
            is_over = minutes >= 10 and not is_renewed
            assert (await record.paused_by(state)) is (None if is_over else PausedBy.AT_WORK)
            await asyncio.sleep(60)

    in_virtual_time(within())


@pytest.mark.usefixtures("looks_at_once")
async def test_an_applier_that_took_over_ends_the_former_one():
    pipeline = await seeded()
    following = Following(pipeline, pipeline.new_applier())
    await following.leads()
    newer = Following(pipeline, pipeline.new_applier())
    await newer.leads()
    pipeline.publish(segment("next"))
    await pipeline.cut()
    with pytest.raises(FencedError, match="another applier has taken over target 'standby'"):
        await following.task
    await newer.end()


@pytest.mark.usefixtures("looks_at_once")
async def test_one_that_took_over_may_record_it_only_after_the_former_has_noticed(
    monkeypatch: pytest.MonkeyPatch,
):
    """The former looks for a pause then, finds none, and must not take the target back."""
    pipeline = await seeded()
    following = Following(pipeline, pipeline.new_applier())
    await following.leads()
    held = await pipeline.target.acquire(SOURCE)
    looked = ApplierRecord.was_taken

    async def looks_too_early(record: ApplierRecord, epoch: Epoch) -> bool:
        found = await looked(record, epoch)
        await record.take(held.epoch, lasts=True)
        return found

    monkeypatch.setattr(ApplierRecord, "was_taken", looks_too_early)
    pipeline.publish(segment("next"))
    await pipeline.cut()
    with pytest.raises(FencedError, match="another applier has taken over target 'standby'"):
        await following.task
    assert pipeline.target.sources[SOURCE].epoch == held.epoch


@pytest.mark.usefixtures("looks_at_once")
async def test_an_applier_that_resumes_a_target_and_ends_takes_it_from_nobody():
    """The source is quiet: who follows hears of the restore and its end with the next cut."""
    pipeline = await seeded()
    following = Following(pipeline, pipeline.new_applier())
    await following.leads()
    await restored(pipeline)
    once = pipeline.new_applier(resume=True)
    while await once.apply_next():
        pass
    pipeline.publish(segment("next"))
    await pipeline.cut()
    await following.until(lambda: segment("next").id in pipeline.target_ids())
    await following.end()


@pytest.mark.usefixtures("looks_at_once")
async def test_an_applier_of_a_target_that_is_promoted_has_nothing_more_to_do():
    pipeline = await seeded()
    following = Following(pipeline, pipeline.new_applier())
    await following.leads()
    held = await pipeline.target.acquire(SOURCE)
    assert held.checkpoint is not None
    async with pipeline.target.transaction(SOURCE, held.epoch) as transaction:
        await transaction.record(replace(held.checkpoint, promoted=True), ())
    pipeline.publish(segment("next"))
    await pipeline.cut()
    await following.task
    assert "promoted" in str(following.whys()[-1])


async def test_what_an_attempt_to_seed_kept_of_history_and_has_no_bytes_of_is_a_gap():
    """It wrote a base, an expiry had the bytes, and they were killed before they came again."""
    pipeline = Pipeline()
    gone, stays = segment("gone"), segment("stays")
    pipeline.publish(gone, stays)
    await pipeline.cut()
    refused = pipeline.new_applier()

    async def refuse(offsets: Offsets) -> None:
        raise TransientError("an expiry deletes what this cut needs")

    refused._guard.require_spared = refuse  # type: ignore[method-assign]
    with pytest.raises(TransientError):
        await refused.apply_next()
    archive = ArchivedLog(Store(pipeline.area), "log")
    (begun,) = await archive.offsets()
    del pipeline.target_storage.stored[place_of(gone)]
    pipeline.kill(gone)
    await pipeline.cut()
    await pipeline.follow()
    (gap,) = await archived_gaps(pipeline.area, "log")
    assert (gap.key, gap.reason) == (gone.id, "killed_before_copied")
    assert gap.at(begun)
    assert gap.closed == (await pipeline.history().find(Latest())).offset
    assert pipeline.target_ids() == {stays.id}
    assert pipeline.gaps() == []  # it never was at that cut


@pytest.mark.parametrize("interrupted", [False, True])
async def test_rows_name_the_place_to_which_a_store_was_moved(
    monkeypatch: pytest.MonkeyPatch, *, interrupted: bool
):
    """The bytes are elsewhere, with all files: its Druid would look for earlier ones in vain."""
    pipeline = Pipeline()
    pipeline.publish(segment(), segment("orders"))
    await pipeline.cut()
    await pipeline.follow()
    pipeline.target_root = "/elsewhere"
    kept = pipeline.area.replace

    async def stopped_at_the_end(name: str, data: bytes) -> None:
        if name == about_name("log"):
            raise TransientError("the store is away")
        await kept(name, data)

    if interrupted:
        monkeypatch.setattr(pipeline.area, "replace", stopped_at_the_end)
        with pytest.raises(TransientError):
            await pipeline.new_applier().apply_next()
        monkeypatch.undo()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    rows = [row for row in pipeline.target.rows.values() if isinstance(row, Segment)]
    assert [b"/elsewhere/" in row.payload for row in rows] == [True, True]
    assert b"/elsewhere" in pipeline.area.files[about_name("log")]
    applied = pipeline.applied_cuts()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert pipeline.applied_cuts() == applied, "once is enough"


@pytest.mark.usefixtures("looks_at_once")
async def test_who_puts_back_an_older_note_and_state_ends_no_process():
    """Both are signed in a signed store: they were right once. The applier takes a new epoch."""
    pipeline = await seeded()
    following = Following(pipeline, pipeline.new_applier())
    await following.leads()
    older = pipeline.area.files[NAME_OF_HELM], replace(pipeline.target.sources[SOURCE])
    await following.end()
    following = Following(pipeline, pipeline.new_applier())
    await following.leads()
    pipeline.area.files[NAME_OF_HELM], pipeline.target.sources[SOURCE] = older
    pipeline.publish(segment("later"))
    await pipeline.cut()
    await following.until(lambda: segment("later").id in pipeline.target_ids())
    await following.end()


async def test_control_rows_follow_a_changed_setting_of_their_mapping():
    """`run` left them as they were, `check` found nothing, and `verify` called each one bad."""
    pipeline = Pipeline()
    lookups = ConfigEntry(name="lookupsConfig", payload=b"{}")
    compaction = ConfigEntry(name="coordinator.compaction.config", payload=b"{}")
    pipeline.publish(segment(), lookups, compaction)
    await pipeline.cut()
    await pipeline.follow()

    def config() -> set[str]:
        return {row.name for row in pipeline.target.rows.values() if isinstance(row, ConfigEntry)}

    assert config() == {lookups.name}
    pipeline.config_names = frozenset({"*"})
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert config() == {lookups.name, compaction.name}
    applied = pipeline.applied_cuts()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert pipeline.applied_cuts() == applied, "once is enough"


async def test_a_store_of_an_earlier_build_does_not_say_how_rows_were_mapped():
    """Writing all rows of each target anew with the first start of a release would cost much."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    document = orjson.loads(pipeline.area.files[about_name("log")])
    del document["control_form"]
    pipeline.area.files[about_name("log")] = orjson.dumps(document)
    applied = pipeline.applied_cuts()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert pipeline.applied_cuts() == applied
    assert b"control_form" in pipeline.area.files[about_name("log")]


async def test_history_that_another_applier_writes_meanwhile_is_no_lost_log(
    monkeypatch: pytest.MonkeyPatch,
):
    """A takeover read the log's end, and then a file that the former applier wrote of a new cut.

    That one learns only with its rows that it is shut out.
    """
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    tail = ArchivedLog.tail

    async def later(archive: ArchivedLog, *args: Any) -> tuple[Offset, str | None] | None:
        monkeypatch.setattr(ArchivedLog, "tail", tail)
        pipeline.publish(segment("later"))
        await pipeline.cut()
        newest = await pipeline.history().find(Latest())
        await pipeline.wired().archivist().cover(newest, (), whole=True)
        return await tail(archive, *args)

    monkeypatch.setattr(ArchivedLog, "tail", later)
    newer = pipeline.new_applier()
    while await newer.apply_next():
        pass
    assert segment("later").id in pipeline.target_ids()


async def test_a_log_that_was_put_back_halts_a_target_also_while_it_grows(
    monkeypatch: pytest.MonkeyPatch,
):
    """Each look at a large store takes a while: it looked again until the log had passed it."""
    pipeline = Pipeline()
    for number in range(3):
        pipeline.publish(*[segment(f"s{number}-{i}") for i in range(9)])
        await pipeline.cut()
    await pipeline.follow()
    span, looks = History.span, 0

    async def growing(history: History) -> Span:
        nonlocal looks
        looks += 1
        return replace(await span(history), end=Offset(looks))

    archivist, newest = pipeline.archivist(), await pipeline.history().find(Latest())
    monkeypatch.setattr(History, "span", growing)
    with pytest.raises(LogCutShortError):
        await archivist.cover(newest, (), whole=True)
    assert looks < 10
