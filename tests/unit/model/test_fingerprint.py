"""A row has one hash, the same in Python and in SQL; here it stands by hand."""

from dataclasses import replace
from hashlib import sha256
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.fingerprint import (
    DIGEST_MODULUS,
    EMPTY_DIGEST,
    changed,
    fingerprint,
    hex_digest,
    key_hash,
    text_columns,
)
from replicator.model.row import (
    AuditRow,
    CommitMetadata,
    ConfigEntry,
    IndexingState,
    Kind,
    Row,
    RowKey,
    Rules,
    Segment,
    SegmentSchema,
    Supervisor,
    TableDefinition,
)
from tests.builders import ONE_OF_EACH, config_entry, segment

BY_HAND: list[tuple[Row, bytes]] = [
    (
        Segment(
            id="wiki_1",
            datasource="wiki",
            created_date="c",
            start="s",
            end="e",
            partitioned=True,
            version="v",
            used=False,
            used_status_last_updated="u",
            upgraded_from_segment_id=None,
            indexing_state_fingerprint="F",
            schema_fingerprint=None,
            num_rows=6,
            payload=b"{}",
        ),
        b"segment\x1fwiki_1\x1fwiki\x1fc\x1fs\x1fe\x1f1\x1fv\x1f0\x1fu\x1f\x1e\x1fF\x1f\x1e\x1f6\x1f{}",
    ),
    (
        CommitMetadata(
            datasource="wiki",
            created_date="c",
            commit_metadata_sha1="da39",
            commit_metadata_payload=b"\xff\x00",
        ),
        b"datasource\x1fwiki\x1fc\x1fda39\x1f\xff\x00",
    ),
    (
        Supervisor(spec_id="wiki", id=7, created_date="c", payload=b"{}"),
        b"supervisor\x1fwiki\x1f7\x1fc\x1f{}",
    ),
    (
        Rules(datasource="_default", id="_default_v", version="v", payload=b"[]"),
        b"rules\x1f_default\x1f_default_v\x1fv\x1f[]",
    ),
    (ConfigEntry(name="lookupsConfig", payload=b"{}"), b"config\x1flookupsConfig\x1f{}"),
    (
        SegmentSchema(
            fingerprint="F",
            created_date="c",
            datasource="wiki",
            used=True,
            used_status_last_updated="u",
            version=1,
            payload=b"{}",
        ),
        b"segment_schema\x1fF\x1fc\x1fwiki\x1f1\x1fu\x1f1\x1f{}",
    ),
    (
        IndexingState(
            fingerprint="F",
            created_date="c",
            datasource="wiki",
            used=True,
            pending=False,
            used_status_last_updated="u",
            payload=b"{}",
        ),
        b"indexing_state\x1fF\x1fc\x1fwiki\x1f1\x1f0\x1fu\x1f{}",
    ),
    (
        TableDefinition(
            schemaname="druid",
            name="wiki",
            creationtime=1,
            updatetime=2,
            state="A",
            tabletype="datasource",
            properties=b"{}",
            columns=b"[]",
        ),
        b"table_definition\x1fdruid\x1fwiki\x1f1\x1f2\x1fA\x1fdatasource\x1f7b7d\x1f[]",
    ),
    (
        AuditRow(
            id=7,
            audit_key="wiki",
            type="t",
            author="a",
            comment="",
            created_date="c",
            payload=b"{}",
        ),
        b"audit\x1f7\x1fwiki\x1ft\x1fa\x1f\x1fc\x1f{}",
    ),
]


@pytest.mark.parametrize(("row", "text"), BY_HAND, ids=lambda value: type(value).__name__)
def test_a_fingerprint_is_the_hash_of_this_text(row: Row, text: bytes):
    """The same text is built in SQL; who changes it must change both, and the logs' meaning."""
    assert fingerprint(row) == sha256(text).digest()


def test_every_kind_is_written_by_hand():
    assert {type(row) for row, _ in BY_HAND} == {type(row) for row in ONE_OF_EACH.values()}


def test_an_absent_column_counts_as_null():
    """Two Druid releases describe the same row alike."""
    bare = replace(segment(), used_status_last_updated=None)
    columns = frozenset(text_columns(Kind.SEGMENT)) - {"used_status_last_updated"}

    assert fingerprint(bare) == fingerprint(segment(), columns=columns)


def test_an_empty_text_is_not_null():
    assert fingerprint(replace(segment(), schema_fingerprint="")) != fingerprint(segment())


@pytest.mark.parametrize("kind", Kind)
def test_all_columns_named_is_the_same_as_none_named(kind: Kind):
    row = ONE_OF_EACH[kind]

    assert fingerprint(row, columns=frozenset(text_columns(kind))) == fingerprint(row)


@pytest.mark.parametrize("kind", Kind)
def test_each_column_counts(kind: Kind):
    """No change of a source is overlooked, whatever column it is in."""
    row = ONE_OF_EACH[kind]
    for name in text_columns(kind):
        value = getattr(row, name)
        other: Any = value + b"x" if isinstance(value, bytes) else f"{value}x"
        if isinstance(value, int):
            other = int(value) + 1
        assert fingerprint(replace(row, **{name: other})) != fingerprint(row), name


def test_a_column_outside_the_subset_does_not_count():
    """The target writes this one by its own rule."""
    columns = frozenset(text_columns(Kind.SEGMENT)) - {"used_status_last_updated"}
    later = replace(segment(), used_status_last_updated="2030-01-01T00:00:00.000Z")

    assert fingerprint(later, columns=columns) == fingerprint(segment(), columns=columns)


def test_columns_that_this_release_does_not_know_count_in_the_order_of_their_names():
    text = b"config\x1flookupsConfig\x1fa=1\x1fb=2\x1f{}"
    for extras in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}):
        row = config_entry(payload=b"{}", extras=extras)
        assert fingerprint(row) == sha256(text).digest()


def test_an_unknown_column_that_the_target_has_not_does_not_count():
    row = config_entry(payload=b"{}", extras={"a": "1", "b": "2"})

    found = fingerprint(row, columns=frozenset({"name", "b"}))

    assert found == sha256(b"config\x1flookupsConfig\x1fb=2\x1f{}").digest()


def test_a_percent_sign_is_a_letter_like_any_other():
    row = config_entry(name="100%s", payload=b"%d", extras={"%x": "%"})

    assert fingerprint(row) == sha256(b"config\x1f100%s\x1f%x=%\x1f%d").digest()


def test_a_key_hash_is_the_head_of_the_hash_of_kind_and_key():
    assert key_hash(RowKey(Kind.COMMIT, "wiki")) == sha256(b"datasource\x1fwiki").digest()[:16]


@given(values=st.lists(st.binary(min_size=32, max_size=32), max_size=5))
def test_a_digest_does_not_depend_on_an_order(values: list[bytes]):
    expected = sum(map(int.from_bytes, values)) % DIGEST_MODULUS

    for order in permutations(values):
        assert changed(EMPTY_DIGEST, gone=(), come=order) == expected


@given(
    stay=st.lists(st.binary(min_size=32, max_size=32)),
    gone=st.lists(st.binary(min_size=32, max_size=32)),
)
def test_what_leaves_a_set_leaves_its_digest(stay: list[bytes], gone: list[bytes]):
    both = changed(EMPTY_DIGEST, gone=(), come=[*stay, *gone])

    assert changed(both, gone=gone, come=()) == changed(EMPTY_DIGEST, gone=(), come=stay)


def test_a_digest_is_written_with_all_its_digits():
    assert hex_digest(changed(EMPTY_DIGEST, gone=(), come=[b"\x01"])) == "0" * 63 + "1"
