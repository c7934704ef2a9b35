"""The events that changed something are found, newest last, with what was before."""

from dataclasses import replace

import pytest

from replicator.adapters.memory.metadata import ALL_COLUMNS
from replicator.cli.look import log as listing
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.druid.interval import interval
from replicator.model.event import Entry, Offset, key_of_event
from replicator.model.log.change import ChangeKind
from replicator.model.log.peek import SegmentName, segment_name, subject_of
from replicator.model.log.wire import decode, encode
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import TABLES, AuditRow, Kind, RowKey, Segment, key_of
from replicator.model.store.proof import Level
from replicator.services.inspection.blame import Blame, Blamer
from replicator.services.inspection.log_listing import LogFilter, event_json
from replicator.services.inspection.undeletion import Undeletion
from tests.builders import (
    ONE_OF_EACH,
    VERSION,
    changed,
    commit,
    cut_closed,
    envelope,
    json_bytes,
    record,
    removed,
    rules,
    segment,
    segment_payload,
    supervisor,
)
from tests.unit.pipeline import Pipeline

WIKI, MORE = segment(), segment(partition=1)


def blamer(pipeline: Pipeline) -> Blamer:
    return Blamer(history=pipeline.history(), trail=pipeline.source, observer=pipeline.seen.append)


async def blame(pipeline: Pipeline, name: str, *, limit: int = 100, within: str = "") -> Blame:
    found = interval(*within.split("/")) if within else None
    return await blamer(pipeline).blame(name, interval=found, limit=limit)


def told(found: Blame) -> list[tuple[str, str, int]]:
    return [
        (str(one.change.what), key_of_event(one.event).key, one.envelope.cut)
        for one in found.events
    ]


async def story() -> Pipeline:
    """1 published, 2 offsets, 3 unused, 4 killed; other things in between."""
    pipeline = Pipeline()
    pipeline.publish(WIKI, MORE, segment("wikipedia"), rules("_default"))
    await pipeline.cut()
    pipeline.publish(supervisor("ingest"), commit("ingest"), commit("other"))
    await pipeline.cut()
    pipeline.publish(replace(WIKI, used=False), rules(), rules("wikipedia"))
    await pipeline.cut()
    pipeline.kill(WIKI)
    pipeline.publish(commit("ingest", commit_metadata_payload=b'{"partitions":{"0":50}}'))
    await pipeline.cut()
    return pipeline


async def test_the_life_of_a_segment():
    pipeline = await story()
    found = await blame(pipeline, WIKI.id)
    assert told(found) == [
        ("published", WIKI.id, 1),
        ("marked unused", WIKI.id, 3),
        ("killed", WIKI.id, 4),
    ]
    assert (found.datasource, found.count) == ("wiki", 3)
    assert found.events[2].change.details[0].startswith("it was unused")
    assert found.events[0].after is None
    assert found.events[1].after is not None
    assert found.events[1].after < found.events[1].envelope.time


async def test_a_datasource_with_its_offsets_rules_and_supervisor_and_no_other():
    pipeline = await story()
    found = [one[:2] for one in told(await blame(pipeline, "wiki"))]
    assert sorted(found) == sorted(
        [
            ("published", WIKI.id),
            ("published", MORE.id),
            ("rules changed", "_default"),
            ("supervisor changed", "ingest"),
            ("offsets committed", "ingest"),
            ("marked unused", WIKI.id),
            ("rules changed", "wiki"),
            ("killed", WIKI.id),
            ("offsets committed", "ingest"),
        ]
    )


async def test_an_interval_leaves_out_what_does_not_overlap():
    pipeline = await story()
    inside = await blame(pipeline, "wiki", within="2024-01-01/2024-01-01T01:00:00Z")
    assert {key for _, key, _ in told(inside)} == {WIKI.id, MORE.id}
    with pytest.raises(NotFoundError, match="2024-01-02"):
        await blame(pipeline, "wiki", within="2024-01-02/2024-02-01")


async def test_the_newest_are_kept_and_still_know_what_was_before():
    pipeline = await story()
    found = await blame(pipeline, WIKI.id, limit=1)
    assert (found.count, told(found)) == (3, [("killed", WIKI.id, 4)])
    assert found.events[0].change.details[0].startswith("it was unused")


@pytest.mark.parametrize("name", ["nobody", "wik", "wikipedi", segment("nobody").id])
async def test_a_name_that_was_never_seen_is_not_found(name: str):
    """`_default` rules hold for everybody and make nobody known."""
    with pytest.raises(NotFoundError):
        await blame(await story(), name)


async def test_an_attempt_that_was_given_up_is_nobodys_deed():
    pipeline = await story()
    abandoned = encode(changed(replace(MORE, used=False)), envelope(cut=5, epoch=9))
    writer = pipeline.log.reopen()
    await writer.acquire()
    await writer.append([abandoned])
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(commit("other", commit_metadata_payload=b"{}"))
    await pipeline.cut()
    assert [what for what, *_ in told(await blame(pipeline, MORE.id))] == ["published"]


async def test_what_was_rewritten_is_compared_with_the_event_before():
    pipeline = Pipeline()
    pipeline.publish(WIKI)
    await pipeline.cut()
    for size in (5, 6):
        payload = json_bytes(segment_payload(size=size))
        pipeline.source.rows[key_of(WIKI)] = replace(WIKI, payload=payload)
        await pipeline.cut()
    found = await blame(pipeline, WIKI.id, limit=2)
    assert [one.change for one in found.events] == [
        (ChangeKind.PAYLOAD_REWRITTEN, ("size: 1967 → 5",)),
        (ChangeKind.PAYLOAD_REWRITTEN, ("size: 5 → 6",)),
    ]


def audited(id_: int, key: str, time: str, payload: bytes = b"{}") -> AuditRow:
    return AuditRow(
        id=id_,
        audit_key=key,
        type="segment.markUnused",
        author="ann",
        comment="",
        created_date=time,
        payload=payload,
    )


async def test_audit_rows_of_that_time_and_datasource_come_along():
    pipeline = await story()
    pipeline.source.audited = [
        audited(1, "wiki", "2024-06-01T00:00:25.000Z"),
        audited(2, "task", "2024-06-01T00:00:26.000Z", b'{"dataSource":"wiki"}'),
        audited(3, "wikipedia", "2024-06-01T00:00:26.000Z"),
        audited(4, "wiki", "2024-05-01T00:00:00.000Z"),
    ]
    found = await blame(pipeline, WIKI.id)
    assert ([row.id for row in found.audit], found.audit_missing) == ([1, 2], None)


async def test_a_source_that_shows_no_audit_rows_is_said_and_no_failure(
    monkeypatch: pytest.MonkeyPatch,
):
    async def denied(*_: object, **__: object) -> list[AuditRow]:
        raise ConfigError("permission denied for druid_audit")

    pipeline = await story()
    monkeypatch.setattr(pipeline.source, "audit", denied)
    found = await blame(pipeline, WIKI.id)
    assert (len(found.events), found.audit_missing) == (3, "permission denied for druid_audit")


AUDITED = {**ALL_COLUMNS, Kind.AUDIT: frozenset(TABLES[Kind.AUDIT].columns)}


async def kept_audit() -> Pipeline:
    """The log keeps audit rows; Druid removes one of them later, as it does with old ones."""
    pipeline = await story()
    pipeline.source.tables = AUDITED
    pipeline.publish(
        audited(1, "wiki", "2024-06-01T00:00:25.000Z"),
        audited(2, "task", "2024-06-01T00:00:26.000Z", b'{"dataSource":"wiki"}'),
        audited(3, "wikipedia", "2024-06-01T00:00:26.000Z"),
        audited(4, "wiki", "2024-05-01T00:00:00.000Z"),
    )
    await pipeline.cut()
    del pipeline.source.rows[RowKey(Kind.AUDIT, "1")]
    await pipeline.cut()
    return pipeline


@pytest.mark.parametrize("source_is_there", [True, False])
async def test_audit_rows_that_the_log_keeps_need_no_source(
    monkeypatch: pytest.MonkeyPatch, source_is_there: bool
):
    async def away(*_: object, **__: object) -> list[AuditRow]:
        raise TransientError("the region is gone")

    pipeline = await kept_audit()
    if not source_is_there:
        monkeypatch.setattr(pipeline.source, "audit", away)
    for name in (WIKI.id, "wiki"):
        found = await blame(pipeline, name)
        assert [row.id for row in found.audit] == [1, 2]
        assert found.audit_missing is None


async def test_the_same_request_of_log_and_source_is_told_once():
    pipeline = await kept_audit()
    pipeline.source.audited = [
        audited(2, "task", "2024-06-01T00:00:26.000Z", b'{"dataSource":"wiki"}'),
        audited(5, "wiki", "2024-06-01T00:00:24.000Z"),
    ]
    assert [row.id for row in (await blame(pipeline, WIKI.id)).audit] == [5, 1, 2]


async def test_a_target_gets_no_audit_rows_and_is_equal_all_the_same():
    pipeline = await kept_audit()
    await pipeline.follow()
    assert not [key for key in pipeline.target.rows if key.kind is Kind.AUDIT]
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good


def test_the_text_of_an_event_says_what_it_speaks_of():
    for kind, row in ONE_OF_EACH.items():
        found = subject_of(record(changed(row)))
        assert found is not None
        assert (found.kind, found.key) == key_of(row)
        assert found.used == (row.used if isinstance(row, Segment) else None)
        assert (found.cut, found.epoch, found.is_removal) == (3, 2, False)
        gone = subject_of(record(removed(kind, key_of(row).key)))
        assert gone is not None
        assert (RowKey(gone.kind, gone.key), gone.is_removal) == (key_of(row), True)
    assert subject_of(record(cut_closed())) is None


@pytest.mark.parametrize("name", ['a"b', "a\\b", "wi ki", "ä_2024-01-01T00:00:00.000Z"])
async def test_names_of_all_kinds_are_found(name: str):
    pipeline = Pipeline()
    odd = segment(name)
    pipeline.publish(odd)
    await pipeline.cut()
    assert (await blame(pipeline, odd.id)).count == 1
    assert (await blame(pipeline, name)).count == 1
    found = segment_name(odd.id)
    assert found is not None
    assert (found.datasource, Kind.SEGMENT) == (name, key_of(odd).kind)


AN_ID = "wiki_2024-01-01T00:00:00.000Z_2024-01-02T00:00:00.000Z_2024-01-03T00:00:00.000Z"


@pytest.mark.parametrize("partition", [0, 1])
async def test_a_datasource_that_is_called_like_a_segment_is_not_mistaken(partition: int):
    pipeline, confusing = Pipeline(), segment(AN_ID, partition=partition)
    pipeline.publish(WIKI, confusing)
    await pipeline.cut()
    pipeline.kill(confusing)
    await pipeline.cut()
    assert {key for _, key, _ in told(await blame(pipeline, "wiki"))} == {WIKI.id}
    found = await blame(pipeline, AN_ID)
    assert found.datasource == AN_ID
    assert [key for _, key, _ in told(found)] == [confusing.id] * 2
    assert (await blame(pipeline, confusing.id)).count == 2
    name = segment_name(confusing.id)
    assert name is not None
    assert name.datasource == AN_ID
    for datasource, ids in (("wiki", [WIKI.id]), (AN_ID, [confusing.id] * 2)):
        listed: list[Entry] = []
        wanted = LogFilter(datasource=datasource)
        history = pipeline.history()
        await listing._collect(history, Offset(0), None, wanted, 9, listed.append)
        assert [event_json(one)["subject"] for one in listed] == ids
        assert [event_json(one)["datasource"] for one in listed] == [[datasource]] * len(ids)


@pytest.mark.parametrize("version", ["v1", "2024-01-03T00:00:00.000Z", "1"])
@pytest.mark.parametrize("partition", ["", "_7"])
def test_a_version_can_be_anything(version: str, partition: str):
    start, end = "2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z"
    found = segment_name(f"a_b_{start}_{end}_{version}{partition}")
    assert found == SegmentName("a_b", interval(start, end))


FAR = [
    ("-146136543-09-08T08:23:32.096Z", "146140482-04-24T15:36:27.903Z"),
    ("0000-01-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z"),
    ("-0044-03-15T00:00:00.000Z", "-0044-03-16T00:00:00.000Z"),
    ("19940-01-01T00:00:00.000Z", "19941-01-01T00:00:00.000Z"),
    ("55969-09-28T00:00:00.000Z", "55969-09-29T00:00:00.000Z"),
]


async def test_segments_of_any_year_are_blamed_and_undeleted():
    pipeline = Pipeline()
    rows = [
        segment("far", start=start, end=end, id=f"far_{start}_{end}_{VERSION}")
        for start, end in FAR
    ]
    pipeline.publish(*rows)
    await pipeline.cut()
    for row in rows:
        pipeline.source.rows[key_of(row)] = replace(row, used=False)
    await pipeline.cut()
    assert (await blame(pipeline, "far")).count == 2 * len(FAR)
    assert (await blame(pipeline, "far", within="19940-06-01/19940-07-01")).count == 4
    undeletion = Undeletion(history=pipeline.history(), observer=pipeline.seen.append)
    drop = await undeletion.dropped("far")
    assert (drop.last.cut.closed.cut, drop.last.used) == (1, len(FAR))
    plan = await undeletion.on_source("far", ToOffset(offset=drop.last.cut.offset))
    assert (plan.wanted, plan.used) == (len(FAR), 0)
    assert plan.mark_used == sorted(row.id for row in rows)


@pytest.mark.parametrize("length", [256, 100_000])
def test_an_id_that_is_longer_than_druids_takes_no_more_memory(length: int):
    """What it leaves open grows by the square: of such an id no datasource is listed."""
    key, short = "a_" * (length // 2), "a_b_c"
    (long_one, open_one) = (decode(record(removed(Kind.SEGMENT, id_))) for id_ in (key, short))
    assert event_json(long_one)["datasource"] == []
    assert event_json(open_one)["datasource"] == ["a", "a_b", "a_b_c"]
    for datasource, is_taken in (("a", True), ("a_a", True), (key, True), ("b", False)):
        assert LogFilter(datasource=datasource).takes(long_one) == is_taken
