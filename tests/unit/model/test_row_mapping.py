"""What a target holds of a source's rows."""

import json
from dataclasses import replace
from typing import Any

import pytest

from replicator.errors import MalformedRowError
from replicator.model.druid.load_rules import LoadRules
from replicator.model.fingerprint import fingerprint
from replicator.model.load_spec import LocalLayout
from replicator.model.log.row_mapping import (
    RowMapping,
    check_segment,
    locate,
    supervised_datasource,
)
from replicator.model.log.wire import RawRow, parse
from replicator.model.row import TABLES, Kind, Row, Rules, Segment, key_of
from tests.builders import (
    CREATED,
    END,
    ONE_OF_EACH,
    ROOT,
    START,
    VERSION,
    changed,
    commit,
    config_entry,
    indexing_state,
    json_bytes,
    record,
    recorded_segments,
    rules,
    segment,
    segment_id,
    segment_payload,
    segment_schema,
    supervisor,
    table_definition,
)

SOURCE, TARGET = LocalLayout(root=ROOT), LocalLayout(root="/standby")
LOCAL_FILES = (
    "druid-33-segments.csv",
    "druid-33-centralized-segments.csv",
    "druid-37-segments.csv",
)
LOCAL = [row for file in LOCAL_FILES for row in recorded_segments(file)]


def mapping(**settings: Any) -> RowMapping:
    columns = {
        kind: frozenset(table.columns) - table.target_owned for kind, table in TABLES.items()
    }
    defaults: dict[str, Any] = {
        "source": SOURCE,
        "target": TARGET,
        "config_names": frozenset({"lookupsConfig"}),
        "columns": columns,
    }
    return RowMapping(**{**defaults, **settings})


def in_event(row: Row) -> RawRow:
    """The row as its event tells it."""
    found = parse(record(changed(row))).fact
    assert isinstance(found, RawRow)
    return found


@pytest.mark.parametrize("row", LOCAL, ids=lambda row: row.id)
def test_a_segment_that_druid_wrote_moves_to_the_targets_root(row: Segment):
    """Only its place changes: a 64-bit limit in its compaction state would not survive a parser."""
    mapped = mapping().mapped(row)

    moved = row.payload.replace(b'"path":"/druid/segments/', b'"path":"/standby/')
    assert moved != row.payload
    assert mapped == replace(row, payload=moved)


def test_a_tombstone_is_carried_as_it_is():
    row = segment(payload=json_bytes(segment_payload(loadSpec={"type": "tombstone"})))

    assert mapping().mapped(row) is row
    assert locate(row, SOURCE) is None


def test_a_segment_of_another_storage_is_refused_by_its_type():
    (row, *_) = recorded_segments("druid-33-s3-segments.csv")

    with pytest.raises(MalformedRowError, match="s3_zip"):
        mapping().mapped(row)
    with pytest.raises(MalformedRowError, match="s3_zip"):
        locate(row, SOURCE)


@pytest.mark.parametrize("load_spec", [None, "tombstone", ["local"]])
def test_a_segment_without_a_load_spec_is_refused(load_spec: object):
    row = segment(payload=json_bytes(segment_payload(loadSpec=load_spec)))

    with pytest.raises(MalformedRowError, match="no load spec"):
        mapping().mapped(row)


def test_rows_that_share_bytes_share_their_place():
    """Concurrent append and replace publishes one object under several ids."""
    upgraded = segment(
        id=segment_id(partition=1), upgraded_from_segment_id=segment_id(), partition=0
    )

    assert locate(upgraded, SOURCE) == locate(segment(), SOURCE)


@pytest.mark.parametrize("row", [commit(), rules()], ids=lambda row: type(row).__name__)
def test_stream_offsets_and_rules_are_carried_byte_for_byte(row: Row):
    """Druid compares the hash of the commit metadata's bytes at the next publish."""
    assert mapping().mapped(row) is row


def test_a_supervisor_sleeps_in_the_target():
    """A standby that ingests would diverge from its source."""
    awake = b'{"type":"kafka","spec":{"suspended":false},"suspended":false,"context":null}'
    asleep = b'{"type":"kafka","spec":{"suspended":false},"suspended":true,"context":null}'

    assert mapping().mapped(supervisor(payload=awake)) == supervisor(payload=asleep)
    assert mapping().mapped(supervisor(payload=asleep)) == supervisor(payload=asleep)


def test_a_supervisor_that_says_nothing_is_put_to_sleep():
    mapped = mapping().mapped(supervisor(payload=b'{"type":"kafka"}'))

    assert mapped == supervisor(payload=b'{"type":"kafka","suspended":true}')


def test_a_terminated_supervisor_stays_terminated():
    row = supervisor(payload=b'{"type":"NoopSupervisorSpec","dataSources":["wiki"]}')

    assert mapping().mapped(row) is row


def test_a_supervisor_that_cannot_be_read_is_refused():
    with pytest.raises(MalformedRowError):
        mapping().mapped(supervisor(payload=b'{"type":"kafka"'))


@pytest.mark.parametrize(
    ("payload", "datasource"),
    [
        (supervisor().payload, "wiki"),
        (b'{"type":"NoopSupervisorSpec","spec":null}', None),
        (b'{"spec":{"dataSchema":{"dataSource":7}}}', None),
        (b'{"spec":{"dataSchema":[]}}', None),
    ],
)
def test_a_supervisor_names_its_datasource(payload: bytes, datasource: str | None):
    assert supervised_datasource(supervisor(payload=payload)) == datasource


def test_config_entries_are_carried_by_name_only():
    """Compaction would write new versions in the standby; the Coordinator's entry names hosts."""
    assert mapping().mapped(config_entry("lookupsConfig")) == config_entry("lookupsConfig")
    assert mapping().mapped(config_entry("coordinator.compaction.config")) is None
    assert mapping(config_names=frozenset()).mapped(config_entry("lookupsConfig")) is None
    for pattern, carries in (("lookups*", True), ("*.config", False), ("lookupsConfi?", True)):
        found = mapping(config_names=frozenset({pattern})).mapped(config_entry("lookupsConfig"))
        assert (found is not None) is carries


@pytest.mark.parametrize(
    "row", [segment_schema(), indexing_state(), table_definition()], ids=lambda r: type(r).__name__
)
def test_a_table_that_the_target_has_not_is_left_out(row: Row):
    """A target of an older release, or with the feature off, is still a good target."""
    kind = next(kind for kind, one in ONE_OF_EACH.items() if type(one) is type(row))
    columns = {other: frozenset({"payload"}) for other in Kind if other is not kind}

    assert mapping().mapped(row) is row
    assert mapping(columns=columns).mapped(row) is None


def test_a_carried_row_is_compared_without_what_the_target_writes_itself():
    row = segment()
    later = replace(row, used_status_last_updated="2030-01-01T00:00:00.000Z")

    assert mapping().fingerprint(in_event(row)) == mapping().fingerprint(in_event(later))
    assert mapping().fingerprint(in_event(row)) != fingerprint(row)


@pytest.mark.parametrize("row", ONE_OF_EACH.values(), ids=lambda row: type(row).__name__)
def test_the_fingerprint_as_carried_is_that_of_the_carried_row(row: Row):
    """No row need be made to know what the target's scan must show."""
    mapped = mapping().mapped(row)
    columns = mapping().columns[key_of(row).kind]

    assert mapping().fingerprint(in_event(row)) == (
        None if mapped is None else fingerprint(mapped, columns=columns)
    )


@pytest.mark.parametrize("row", LOCAL, ids=lambda row: row.id)
def test_what_druid_wrote_is_sound(row: Segment):
    assert check_segment(row) == json.loads(row.payload)["size"]


def test_a_segment_without_a_size_counts_as_nothing():
    payload = segment_payload()
    del payload["size"]

    assert check_segment(segment(payload=json_bytes(payload))) == 0


def test_an_old_payload_without_an_identifier_is_sound():
    payload = segment_payload()
    del payload["identifier"]

    assert check_segment(segment(payload=json_bytes(payload))) == 1967


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("-146136543-09-08T08:23:32.096Z", "146140482-04-24T15:36:27.903Z"),
        ("-146136543-09-08T08:23:32.096Z", START),
        (START, "146140482-04-24T15:36:27.903Z"),
        ("-0002-01-01T00:00:00.000Z", "-0001-01-01T00:00:00.000Z"),
        ("9999-01-01T00:00:00.000Z", "10000-01-01T00:00:00.000Z"),
    ],
)
def test_an_interval_without_a_bound_is_sound(start: str, end: str):
    """Druid writes these for `all` granularity, and for tombstones of an open interval."""
    payload = json_bytes(segment_payload(interval=f"{start}/{end}"))

    check_segment(segment(start=start, end=end, payload=payload))


def told(**members: Any) -> bytes:
    return json_bytes(segment_payload(**members))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"payload": b"{"}, "not JSON"),
        ({"payload": b"[]"}, "not a JSON object"),
        ({"payload": b"\xff"}, "not JSON"),
        ({"payload": told(dataSource="other")}, "dataSource 'other'"),
        ({"payload": told(version="v9")}, "version 'v9'"),
        ({"payload": told(version=None)}, "version None"),
        ({"payload": told(interval=f"{START}/{START}")}, "interval"),
        ({"payload": told(identifier="another")}, "identifier 'another'"),
        ({"id": "another"}, "identifier"),
        ({"start": END, "end": START, "payload": told(interval=f"{END}/{START}")}, "empty"),
        ({"end": START, "payload": told(interval=f"{START}/{START}")}, "empty"),
        ({"start": "x", "payload": told(interval=f"x/{END}")}, "instant 'x'"),
        ({"version": VERSION + "\x1f", "payload": told(version=VERSION + "\x1f")}, "control"),
        ({"created_date": CREATED + "\x1e"}, "control"),
    ],
)
def test_a_row_that_tells_two_stories_is_refused(columns: dict[str, Any], said: str):
    """It becomes a gap with a name, and not a segment that Druid cannot load."""
    with pytest.raises(MalformedRowError, match=said):
        check_segment(segment(**columns))


# -------------------------------------------------------------------------------------- load rules

DROP_OLD = {"type": "dropByInterval", "interval": "2020-01-01/2021-01-01"}
LOAD_HOT = {"type": "loadForever", "tieredReplicants": {"hot": 2, "_default_tier": 1}}


def mapped_rules(*found: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    row = mapping(load_rules=LoadRules(**settings)).mapped(rules(payload=json_bytes(found)))
    assert isinstance(row, Rules)
    kept: list[dict[str, Any]] = json.loads(row.payload)
    return kept


def test_rules_that_drop_stay_behind_because_they_would_undo_a_restore():
    assert mapped_rules(DROP_OLD, LOAD_HOT) == [LOAD_HOT]
    assert mapped_rules({"type": "dropForever"}) == []
    assert mapped_rules(DROP_OLD, LOAD_HOT, with_drops=True) == [DROP_OLD, LOAD_HOT]


def test_rules_without_drops_keep_their_bytes():
    payload = b'[ {"type":"loadForever", "later":18446744073709551615} ]'
    row = mapping().mapped(rules(payload=payload))
    assert isinstance(row, Rules)
    assert row.payload == payload


def test_tiers_have_the_targets_names_and_the_larger_count():
    [rule] = mapped_rules(LOAD_HOT, tiers={"hot": "_default_tier"})
    assert rule["tieredReplicants"] == {"_default_tier": 2}


@pytest.mark.parametrize("payload", [b"{}", b"[1]", b"nonsense", b"\xff"])
def test_rules_that_are_no_list_of_rules_are_malformed(payload: bytes):
    with pytest.raises(MalformedRowError):
        mapping().mapped(rules(payload=payload))
