"""Events are what `schemas/` says they are, and what old logs hold can always be read."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from replicator.model.event import Event, Offset, Record, RowChanged
from replicator.model.log.wire import (
    CHANGED_TYPE,
    CUT_CLOSED,
    EVENT_TYPES,
    SCHEMA_BASE,
    decode,
    encode,
    schema_name,
)
from replicator.model.row import TABLES
from tests.builders import (
    ONE_OF_EACH,
    TIME,
    changed,
    commit,
    config_entry,
    cut_closed,
    envelope,
    mark,
    removed,
    segment,
    table_definition,
)
from tests.schemas.golden_events import ENVELOPE, EVENTS

SCHEMAS = Path(__file__).parents[2] / "schemas"
OPTIONAL = {"extras", "distrusts_row_versions"}
GOLDEN = Path(__file__).parent / "golden"
ALL_EVENTS: list[Event] = [
    *(changed(row, previous=mark(9)) for row in ONE_OF_EACH.values()),
    *(removed(kind) for kind in TABLES),
    cut_closed(),
    changed(segment(used_status_last_updated=None)),
    changed(segment(upgraded_from_segment_id="a", schema_fingerprint="b", num_rows=6)),
    changed(commit(commit_metadata_payload=b"\xff")),
    changed(commit(commit_metadata_payload=b"")),
    changed(config_entry(extras={"later": "1"})),
    changed(table_definition(properties=b"\xff", columns=b"\xfe")),
    cut_closed(count=0, digest=0),
    replace(cut_closed(), distrusts_versions=True),
]


def schema_of(type_: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / schema_name(type_)).read_text())
    return found


def validator(type_: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(type_))


def told(event: Event) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(encode(event, envelope()).data)
    return document


def fields_of(document: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in document.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from fields_of(value, (*above, name))


def parent_of(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for step in path[:-1]:
        document = document[step]
    return document


def test_every_type_has_its_schema_and_no_other_is_there():
    assert {path.name for path in SCHEMAS.iterdir()} == {schema_name(name) for name in EVENT_TYPES}


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_schema_is_one_and_has_the_name_that_events_refer_to(type_: str):
    schema = schema_of(type_)

    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == SCHEMA_BASE + schema_name(type_)
    assert schema["properties"]["type"]["const"] == type_


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_field_is_described(type_: str):
    schema = schema_of(type_)

    def undescribed(part: dict[str, Any], above: str) -> Iterator[str]:
        for name, field in part.get("properties", {}).items():
            if name not in {"data"} and "description" not in field:
                yield f"{above}.{name}"
            yield from undescribed(field, f"{above}.{name}")

    assert list(undescribed(schema, type_)) == []


@pytest.mark.parametrize("kind", TABLES)
def test_a_schema_has_the_columns_of_the_row(kind: Any):
    row = schema_of(CHANGED_TYPE[kind])["properties"]["data"]["properties"]["row"]
    table = TABLES[kind]

    both = {*table.columns, *(f"{name}_base64" for name in table.in_bytes), "extras"}
    assert row["properties"].keys() == both
    assert set(row["required"]) == set(table.columns) - set(table.in_bytes)


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: told(event)["type"])
def test_every_event_is_what_its_schema_says(event: Event):
    document = told(event)

    assert list(validator(document["type"]).iter_errors(document)) == []


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: told(event)["type"])
def test_an_event_without_one_of_its_fields_is_not(event: Event):
    type_ = told(event)["type"]
    for path in fields_of(told(event)):
        document = told(event)
        del parent_of(document, path)[path[-1]]
        assert not OPTIONAL.isdisjoint(path) or not validator(type_).is_valid(document), path


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: told(event)["type"])
def test_an_event_with_a_field_of_another_type_is_not(event: Event):
    type_ = told(event)["type"]
    wrongs: list[object] = [[], 3.5, {"": 1}]
    for path in fields_of(told(event)):
        for wrong in wrongs:
            document = deepcopy(told(event))
            parent_of(document, path)[path[-1]] = wrong
            assert not validator(type_).is_valid(document), (path, wrong)


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: told(event)["type"])
def test_an_event_with_one_more_field_is_not(event: Event):
    document = told(event)
    parts = [document, document["data"]]
    if isinstance(event, RowChanged):
        parts.append(document["data"]["row"])

    for part in parts:
        part["unheard_of"] = 1
        assert not validator(document["type"]).is_valid(document)
        del part["unheard_of"]
    assert validator(document["type"]).is_valid(document)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", -1),
        ("digest", "ff"),
        ("digest", "A" * 64),
        ("source_time", "2024-05-01 10:00:00"),
        ("source_time", "2024-05-01T12:00:00.000000+02:00"),
    ],
)
def test_a_closed_cut_has_bounds(field: str, value: object):
    document = told(cut_closed())
    document["data"][field] = value

    assert not validator(CUT_CLOSED).is_valid(document)


def test_there_is_a_golden_document_for_every_type():
    assert {path.name for path in GOLDEN.iterdir() if path.is_file()} == EVENTS.keys()
    assert {schema_name(name) for name in EVENT_TYPES} <= EVENTS.keys()


@pytest.mark.parametrize("name", EVENTS)
def test_what_an_old_log_holds_still_means_the_same(name: str):
    """A history outlives the release that wrote it."""
    data = (GOLDEN / name).read_bytes()

    entry = decode(Record(offset=Offset(7), appended_at=TIME, type="", data=data))

    assert entry.event == EVENTS[name]
    assert entry.envelope == ENVELOPE
    assert entry.offset == 7


@pytest.mark.parametrize("name", EVENTS)
def test_this_release_still_writes_the_same(name: str):
    """Two releases that watch the same source give the same event the same id."""
    written = json.loads(encode(EVENTS[name], ENVELOPE).data)

    assert written == json.loads((GOLDEN / name).read_text())
