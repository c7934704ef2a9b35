"""Numbers and times that a source's rows say: whatever they are, they end nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from replicator.errors import CorruptionError
from replicator.model.document import INT_MAX
from replicator.model.druid.payload import SIZE_BYTES_MAX
from replicator.model.druid.promotion import has_read_all
from replicator.model.druid.release import release_of
from replicator.model.log.backlog import Backlog
from replicator.model.log.peek import segment_update, subject_of, summary_of
from replicator.model.log.row_mapping import check_segment
from replicator.model.log.wire import decode
from replicator.model.operations.words import LONGEST_S, eta_text
from replicator.model.row import AuditRow, Kind
from replicator.model.store.rates import Rates
from replicator.model.timestamps import time_of
from tests.builders import (
    ONE_OF_EACH,
    TIME,
    changed,
    cut_closed,
    json_bytes,
    record,
    segment,
    segment_payload,
)

DIGITS = b"9" * 5_000
"""More than Python reads as one number."""


@pytest.mark.parametrize(
    ("said", "believed"),
    [
        (b"1967", 1967),
        (b"%d" % SIZE_BYTES_MAX, SIZE_BYTES_MAX),
        (b"%d" % (SIZE_BYTES_MAX + 1), 0),
        (b"%d" % (2**62 + 5), 0),
        (b"%d" % 2**64, 0),
        (b"-5", 0),
        (b"-%d" % 2**70, 0),
        (b'"abc"', 0),
        (b"null", 0),
        (b"[]", 0),
        (b"true", 0),
    ],
)
def test_a_size_that_no_segment_has_is_none(said: bytes, believed: int):
    payload = json_bytes(segment_payload(size=0)).replace(b'"size":0', b'"size":' + said)
    row = segment(payload=payload)
    assert check_segment(row) == believed
    word = segment_update(record(changed(row)))
    assert word is not None
    assert word.size_bytes == believed


@pytest.mark.parametrize("said", [DIGITS, b"1e400", b"NaN", b"-Infinity"])
def test_a_number_that_cannot_be_read_ends_no_fold(said: bytes):
    payload = json_bytes(segment_payload(size=0)).replace(b'"size":0', b'"size":' + said)
    event = record(changed(segment(payload=payload)))
    word = segment_update(event)
    assert word is not None
    backlog = Backlog()
    backlog.add([(event.offset, word)])
    assert backlog.pending()[0] == 1
    assert (summary_of(event).size_bytes or 0) < 10


def test_an_attempt_of_absurd_numbers_is_none_of_ours():
    event = record(changed(segment()))
    odd = event._replace(data=event.data.replace(b'"epoch":', b'"epoch":' + DIGITS))
    assert subject_of(odd) is None


@pytest.mark.parametrize("member", ["cut", "epoch", "count"])
@pytest.mark.parametrize("number", [b"-1", b"%d" % (INT_MAX + 1), b"1e400", b"NaN"])
def test_a_number_of_an_event_fits_into_a_column(member: str, number: bytes):
    event = record(cut_closed())
    at = event.data.index(f'"{member}":'.encode()) + len(member) + 3
    end = min(found for sign in b",}" if (found := event.data.find(sign, at)) > 0)
    with pytest.raises(CorruptionError, match="4711"):
        decode(event._replace(data=event.data[:at] + number + event.data[end:]))


def test_a_number_of_a_row_fits_into_a_database():
    fits = record(changed(replace(segment(), num_rows=-(2**63))))
    decode(fits)
    odd = fits.data.replace(b'"num_rows":-9223372036854775808', b'"num_rows":9223372036854775808')
    with pytest.raises(CorruptionError, match="num_rows"):
        decode(fits._replace(data=odd))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_of_an_event_can_be_reckoned_with(time: str):
    event = record(cut_closed())
    told = TIME.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert told.encode() in event.data
    with pytest.raises(CorruptionError, match="years"):
        decode(event._replace(data=event.data.replace(told.encode(), time.encode())))


@pytest.mark.parametrize(
    "text",
    [None, "", "2024-05-01T12:30:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "x"],
)
def test_a_time_of_a_row_is_one_or_none(text: str | None):
    assert time_of(text) is None
    row = ONE_OF_EACH[Kind.AUDIT]
    assert isinstance(row, AuditRow)
    odd = replace(row, created_date=text or "")
    assert not odd.is_about(row.audit_key, TIME - timedelta(days=1), TIME)


def test_a_time_of_a_row_is_utc():
    assert time_of("2024-05-01T12:30:00+02:00") == datetime(2024, 5, 1, 10, 30, tzinfo=UTC)


def test_an_estimate_is_no_longer_than_can_be_said():
    slow = Rates(copied_bytes=1, copy_s=1e300, rows=1, rows_s=1)
    seconds = slow.seconds(size_bytes=INT_MAX, rows=1)
    assert seconds == LONGEST_S
    assert timedelta(seconds=seconds)
    for told in (seconds, 1e300, float("inf")):
        assert eta_text(told) == "more than a century"
    assert eta_text(90.0) == "about 90 s"


def test_offsets_of_any_length_are_compared():
    spec = (
        b'{"spec":{"ioConfig":{"boundedStreamConfig":{"endSequenceNumbers":{"0":"%s"}}}}}' % DIGITS
    )
    assert not has_read_all(spec, {"0": "7"})
    assert has_read_all(spec, {"0": DIGITS.decode()})


def test_a_release_of_any_length_is_none():
    assert release_of(DIGITS.decode()) is None
