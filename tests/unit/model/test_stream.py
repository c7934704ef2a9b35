"""Positions in a change stream: what a snapshot shows, and how `cut.closed` says it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from replicator.errors import CorruptionError
from replicator.model.event import CutClosed, CutNumber, Envelope, Epoch, Offset, Record
from replicator.model.fingerprint import Digest
from replicator.model.log.wire import decode, encode
from replicator.model.row import Kind
from replicator.model.stream import (
    IDS,
    Lsn,
    Shown,
    StreamPosition,
    identity_of,
    lsn_of,
    lsn_text,
    position_of,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
POSITION = StreamPosition(at=Lsn(0x16_B374_8000), identity="ab" * 16)


@pytest.mark.parametrize(
    ("transaction", "is_shown"),
    [(99, True), (100, True), (101, False), (102, True), (103, False), (109, True), (110, False)],
)
def test_a_snapshot_shows_what_had_ended(transaction: int, is_shown: bool):
    assert Shown(snapshot="100:110:101,103", until=Lsn(9)).holds(transaction) is is_shown


def test_ids_wrap_around():
    shown = Shown(snapshot=f"{IDS + 3}:{IDS + 5}:{IDS + 3}", until=Lsn(9))
    assert [shown.holds(one % IDS) for one in (IDS - 1, IDS + 3, IDS + 4, IDS + 5)] == [
        True,
        False,
        True,
        False,
    ]
    assert Shown(snapshot="3:5:", until=Lsn(9)).holds(IDS - 1)


def test_a_commit_before_the_position_is_known_whatever_the_snapshot_shows():
    shown = Shown(snapshot="100:110:101", until=Lsn(50))
    position = replace(POSITION, at=Lsn(20), shown=shown)
    assert position.has(Lsn(19), 101)
    assert not position.has(Lsn(20), 101)
    assert position.has(Lsn(20), 102)
    assert not position.has(Lsn(50), 102), "it committed after the snapshot"
    assert position.moved(Lsn(49)).shown == shown
    assert position.moved(Lsn(50)).shown is None


def test_a_place_is_written_as_postgresql_writes_it():
    assert lsn_text(POSITION.at) == "16/B3748000"
    assert lsn_of("16/B3748000") == POSITION.at
    with pytest.raises(ValueError, match="invalid literal"):
        lsn_of("nowhere")


def test_an_identity_depends_on_all_that_is_said():
    one = identity_of({"start": "1"}, {Kind.SEGMENT: {"file": "1"}})
    assert one == identity_of({"start": "1"}, {Kind.SEGMENT: {"file": "1"}})
    assert one != identity_of({"start": "2"}, {Kind.SEGMENT: {"file": "1"}})
    assert one != identity_of({"start": "1"}, {Kind.CONFIG: {"file": "1"}})


@pytest.mark.parametrize(
    "position", [None, POSITION, replace(POSITION, shown=Shown(snapshot="3:5:4", until=Lsn(7)))]
)
def test_a_closing_record_names_its_position(position: StreamPosition | None):
    closed = CutClosed(
        cut=CutNumber(1), source_time=AT, count=0, digest=Digest(0), epoch=Epoch(1), stream=position
    )
    envelope = Envelope(source="prod", cut=CutNumber(1), epoch=Epoch(1), time=AT)
    document = encode(closed, envelope)
    found = decode(Record(Offset(0), AT, document.type, document.data)).event
    assert isinstance(found, CutClosed)
    assert found.stream == position
    if position is not None:
        data = document.data.replace(b"16/B3748000", b"nowhere")
        with pytest.raises(CorruptionError):
            decode(Record(Offset(0), AT, document.type, data))


@pytest.mark.parametrize("snapshot", ["", "1:2", "a:b:", "1:2:3;4", "1:2:3,", "1" * 30 + ":2:"])
def test_a_snapshot_that_is_none_is_refused_when_it_is_read(snapshot: str):
    told = {"at": "0/1", "identity": "a", "snapshot": snapshot, "until": "0/9"}
    with pytest.raises(ValueError, match="is no snapshot"):
        position_of(told)
