"""Events as documents: what is written is read again, byte for byte."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import ConfigError, CorruptionError
from replicator.model.document import CONTAINERS_MAX
from replicator.model.event import (
    CutClosed,
    CutNumber,
    Entry,
    Envelope,
    Epoch,
    Event,
    Offset,
    Record,
    RowChanged,
    RowRemoved,
)
from replicator.model.fingerprint import DIGEST_MODULUS, Digest, Fingerprint, fingerprint
from replicator.model.log.peek import summary_of
from replicator.model.log.wire import (
    EVENT_TYPES,
    decode,
    document_of,
    encode,
    event_type,
    schema_name,
)
from replicator.model.log.wire import segment_payload as payload_of
from replicator.model.row import TABLES, Kind, Row, RowKey, key_of
from replicator.model.stream import Lsn, Shown, StreamPosition
from tests.builders import (
    ONE_OF_EACH,
    TIME,
    changed,
    commit,
    config_entry,
    cut_closed,
    envelope,
    json_bytes,
    mark,
    record,
    removed,
    rules,
    segment,
    segment_payload,
)

texts = st.text(max_size=8)
marks = st.binary(min_size=32, max_size=32).map(Fingerprint)
int64 = st.integers(-(2**63), 2**63 - 1)
# Up to the last year that every time zone knows.
times = st.datetimes(datetime(1970, 1, 1), datetime(9000, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
by_type: dict[str, st.SearchStrategy[Any]] = {
    "str": texts,
    "int": int64,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=20) | texts.map(str.encode),
    "str | None": st.none() | texts,
    "int | None": st.none() | int64,
    "Extras": st.dictionaries(texts, texts, max_size=2),
}


def name_of(annotation: Any) -> str:
    if annotation in {str, int, bool, bytes}:
        return str(annotation.__name__)
    return str(annotation) if "None" in str(annotation) else "Extras"


def rows_of(kind: Kind) -> st.SearchStrategy[Row]:
    row_type = TABLES[kind].row_type
    columns = {spec.name: by_type[name_of(spec.type)] for spec in fields(row_type)}
    return st.builds(row_type, **columns)


rows = st.sampled_from(Kind).flatmap(rows_of)
envelopes = st.builds(
    Envelope,
    source=texts,
    cut=st.integers(1, 2**62).map(CutNumber),
    epoch=st.integers(1, 2**62).map(Epoch),
    time=times,
)
changes = st.builds(RowChanged, row=rows, fingerprint=marks, previous=st.none() | marks)
removals = st.builds(
    RowRemoved, key=st.builds(RowKey, st.sampled_from(Kind), texts), previous=marks
)


@given(event=changes | removals, within=envelopes)
def test_an_event_is_read_as_it_was_written(event: Event, within: Envelope):
    """Also a payload that is not UTF-8, and a column that this release does not know."""
    entry = decode(record(event, offset=7, within=within))

    assert entry == Entry(offset=Offset(7), envelope=within, event=event)


@given(
    within=envelopes,
    time=times,
    count=st.integers(0, 2**62),
    digest=st.integers(0, DIGEST_MODULUS - 1).map(Digest),
)
def test_a_closed_cut_is_read_as_it_was_written(
    within: Envelope, time: datetime, count: int, digest: Digest
):
    event = CutClosed(
        cut=within.cut, source_time=time, count=count, digest=digest, epoch=within.epoch
    )

    assert decode(record(event, within=within)).event == event


@given(event=changes | removals, within=envelopes)
def test_the_same_event_gives_the_same_bytes(event: Event, within: Envelope):
    """A repeat is recognisable, whoever publishes it."""
    assert encode(event, within) == encode(event, within)


def test_the_order_of_unknown_columns_makes_no_difference():
    one = changed(config_entry(extras={"a": "1", "b": "2"}))
    other = changed(config_entry(extras={"b": "2", "a": "1"}))

    assert encode(one, envelope()).data == encode(other, envelope()).data


def id_of(event: Event, within: Envelope) -> str:
    return str(json.loads(encode(event, within).data)["id"])


def test_an_id_is_the_same_for_the_same_fact_in_the_same_cut():
    """Whichever watcher says it, at whatever time."""
    later = replace(envelope(epoch=9), time=TIME + timedelta(hours=1))

    assert id_of(changed(segment()), later) == id_of(changed(segment()), envelope())


@pytest.mark.parametrize(
    ("event", "within"),
    [
        (changed(segment()), envelope(cut=4)),
        (changed(segment()), envelope(source="other")),
        (changed(segment(used=False)), envelope()),
        (changed(segment(partition=1)), envelope()),
        (removed(Kind.SEGMENT, segment().id), envelope()),
        (cut_closed(), envelope()),
    ],
)
def test_another_fact_has_another_id(event: Event, within: Envelope):
    assert id_of(event, within) != id_of(changed(segment()), envelope())


def test_a_payload_of_text_can_be_read_by_people():
    data = json.loads(record(changed(commit(commit_metadata_payload='{"é":1}'.encode()))).data)

    assert data["data"]["row"]["commit_metadata_payload"] == '{"é":1}'


def test_a_payload_that_is_no_text_stands_in_base64():
    data = json.loads(record(changed(commit(commit_metadata_payload=b"\xff\x00"))).data)

    assert data["data"]["row"]["commit_metadata_payload_base64"] == "/wA="
    assert "commit_metadata_payload" not in data["data"]["row"]


def test_times_are_written_in_utc():
    elsewhere = timezone(timedelta(hours=2))
    within = replace(envelope(), time=datetime(2024, 5, 1, 12, 0, 10, tzinfo=elsewhere))

    assert json.loads(record(changed(segment()), within=within).data)["time"] == (
        "2024-05-01T10:00:10.000000Z"
    )


@pytest.mark.parametrize(
    "event",
    [*map(changed, ONE_OF_EACH.values()), *(removed(kind) for kind in Kind), cut_closed()],
    ids=event_type,
)
def test_an_event_says_what_it_is_about(event: Event):
    document = encode(event, envelope())
    told = json.loads(document.data)

    assert event_type(event) in EVENT_TYPES
    assert document.type == told["type"] == event_type(event)
    assert document.subject == told["subject"]
    assert told["dataschema"].endswith("/" + schema_name(document.type))
    if isinstance(event, RowChanged):
        assert document.subject == key_of(event.row).key


def altered(event: Event, path: str, value: Any) -> Record:
    """The record of an event with one field set, or removed by Ellipsis."""
    whole = record(event)
    document = json.loads(whole.data)
    *above, name = path.split(".")
    at = document
    for step in above:
        at = at[step]
    if value is ...:
        del at[name]
    else:
        at[name] = value
    return whole._replace(data=json.dumps(document).encode())


CUT, CHANGE, REMOVAL = cut_closed(), changed(segment()), removed()
HEX = "ab" * 32


@pytest.mark.parametrize(
    ("event", "path", "value"),
    [
        (CHANGE, "specversion", "2.0"),
        (CHANGE, "specversion", ...),
        (CHANGE, "type", "segment.exploded"),
        (CHANGE, "type", ["segment.published"]),
        (CHANGE, "dataschema", "https://druid-replicator.dev/schemas/segment.published.v2.json"),
        (CHANGE, "dataschema", ...),
        (CHANGE, "source", 7),
        (CHANGE, "cut", "3"),
        (CHANGE, "cut", True),
        (CHANGE, "cut", 3.5),
        (CHANGE, "epoch", ...),
        (CHANGE, "time", "yesterday"),
        (CHANGE, "time", 7),
        (CHANGE, "subject", "another"),
        (CHANGE, "data", []),
        (CHANGE, "data", "x"),
        (CHANGE, "data.row", "x"),
        (CHANGE, "data.row", ...),
        (CHANGE, "data.row.id", ...),
        (CHANGE, "data.row.used", "yes"),
        (CHANGE, "data.row.used", None),
        (CHANGE, "data.row.partitioned", 1),
        (CHANGE, "data.row.num_rows", "6"),
        (CHANGE, "data.row.num_rows", True),
        (CHANGE, "data.row.payload", ...),
        (CHANGE, "data.row.payload", {"dataSource": "wiki"}),
        (CHANGE, "data.row.payload_base64", "not base64!"),
        (CHANGE, "data.row.payload_base64", 7),
        (CHANGE, "data.row.unheard_of", 1),
        (CHANGE, "data.row.extras", ["a"]),
        (CHANGE, "data.row.extras", {"a": 1}),
        (CHANGE, "data.fingerprint", "ab"),
        (CHANGE, "data.fingerprint", "zz" * 32),
        (CHANGE, "data.fingerprint", "ab " * 21 + "a"),
        (CHANGE, "data.fingerprint", None),
        (CHANGE, "data.previous", ...),
        (CHANGE, "data.previous", "0"),
        (REMOVAL, "data.previous", None),
        (REMOVAL, "data.previous", ...),
        (CUT, "subject", "4"),
        (CUT, "data.count", "1"),
        (CUT, "data.count", ...),
        (CUT, "data.digest", "-1"),
        (CUT, "data.digest", 255),
        (CUT, "data.source_time", "2024-05-01T10:00:10"),
    ],
)
def test_an_altered_event_names_its_offset_and_field(event: Event, path: str, value: Any):
    """Corruption is found when it is read, and never applied."""
    with pytest.raises(CorruptionError) as caught:
        decode(altered(event, path, value))

    assert "offset 4711 " in str(caught.value)
    assert path.rpartition(".")[2] in str(caught.value)
    assert caught.value.exit_code == 9


NESTED = b'{"specversion":' + b"[" * 1000 + b"]" * 1000 + b"}"
"""More levels than can be shown, and fewer than can be read."""


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'"x"', b"7", b"\xff", b"{}", NESTED],
    ids=lambda data: repr(data[:9]),
)
def test_what_is_no_event_names_its_offset(data: bytes):
    broken = record(CHANGE)._replace(data=data)

    with pytest.raises(CorruptionError, match="offset 4711 "):
        decode(broken)


def test_an_event_of_very_many_values_is_damage_and_its_payloads_do_not_count():
    many = b"[" + b"[]," * CONTAINERS_MAX + b"[]]"
    row = segment(payload=many)
    written = record(changed(row))
    assert decode(written).event == changed(row)
    assert payload_of(written) == many
    altered = written._replace(data=b'{"more":%s,%s' % (many, written.data[1:]))
    for read in (decode, payload_of, document_of):
        with pytest.raises(CorruptionError, match=r"offset 4711 .*values, or objects"):
            read(altered)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("version", None),
        ("used", None),
        ("used", 1),
        ("used", "true"),
        ("created_date", datetime(2026, 1, 1, tzinfo=UTC)),
        ("num_rows", 1.5),
        ("num_rows", 2**63),
        ("payload", "{}"),
        ("extras", {"colour": 7}),
    ],
)
def test_what_no_reader_could_read_is_never_written(column: str, value: Any):
    """The log keeps it for ever: each target would halt there, and no watcher could start."""
    row = replace(segment(), **{column: value})
    with pytest.raises(ConfigError, match=r"segment 'wiki_.*it was not published"):
        encode(RowChanged(row=row, fingerprint=mark(1), previous=None), envelope())


@pytest.mark.parametrize("year", [1969, 9001])
def test_a_time_that_no_reader_could_read_is_never_written(year: int):
    """A source's clock is its owner's; the log would keep what it said for ever."""
    time = datetime(year, 1, 1, tzinfo=UTC)
    with pytest.raises(ConfigError, match=rf"says that it is {year}.*nothing was published"):
        encode(CHANGE, replace(envelope(), time=time))
    with pytest.raises(ConfigError, match=rf"says that it is {year}"):
        encode(replace(cut_closed(), source_time=time), envelope())


def test_a_position_that_no_reader_could_read_is_never_written():
    shown = Shown(snapshot="7:8", until=Lsn(9))
    stream = StreamPosition(at=Lsn(8), identity="one", shown=shown)
    with pytest.raises(ConfigError, match=r"position in its change stream that is none.*not pub"):
        encode(replace(cut_closed(), stream=stream), envelope())


@given(data=st.binary(max_size=30))
def test_no_bytes_whatsoever_are_a_crash(data: bytes):
    with pytest.raises(CorruptionError):
        decode(record(CHANGE)._replace(data=data))


def test_a_field_that_a_later_patch_adds_beside_the_data_is_ignored():
    assert decode(altered(CHANGE, "traceparent", "00-1")).event == CHANGE


def test_a_digest_keeps_its_leading_zeros():
    told = json.loads(record(replace(cut_closed(), digest=Digest(255))).data)

    assert told["data"]["digest"] == "0" * 62 + "ff"
    assert HEX in json.dumps(
        json.loads(record(replace(CUT, digest=Digest(int(HEX, 16)))).data)["data"]
    )


@pytest.mark.parametrize(
    ("row", "glanced"),
    [
        (segment(), (Kind.SEGMENT, "wiki", 1967)),
        (
            segment(payload=json_bytes(segment_payload(loadSpec={"type": "tombstone"}, size=1))),
            (Kind.SEGMENT, "wiki", None),
        ),
        (segment(payload=b"\xff not even text"), (Kind.SEGMENT, "wiki", None)),
        (rules("orders"), (Kind.RULES, "orders", None)),
        (config_entry(), (Kind.CONFIG, None, None)),
    ],
)
def test_a_glance_gives_what_a_summary_needs(row: Row, glanced: tuple[object, ...]):
    event = RowChanged(row=row, fingerprint=fingerprint(row), previous=None)
    assert summary_of(record(event))[:3] == glanced
