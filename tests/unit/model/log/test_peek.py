"""Texts that are found in a record may be no JSON: whoever wrote it may be anybody."""

from datetime import UTC, datetime

import pytest

from replicator.errors import CorruptionError
from replicator.model.event import Offset, Record
from replicator.model.log.peek import segment_update, subject_of, summary_of
from replicator.model.log.tally import tally

EVENT = (
    b'{"subject":"%s","cut":1,"epoch":1,"data":{"row":{"datasource":"%s","used":true,'
    b'"used_status_last_updated":"%s"}}}'
)
NO_TEXTS = (rb"\q", b"\xff", b"a\nb", rb"\ud800")


def record(type_: str, *texts: bytes) -> Record:
    return Record(Offset(7), datetime(2026, 1, 1, tzinfo=UTC), type_, EVENT % texts)


def test_the_fields_of_an_event_are_found():
    found = record("segment.published", b"a", b"wiki", b"2026")
    assert (summary_of(found).datasource, tally([found]).segments) == ("wiki", 1)
    assert (update := segment_update(found)) is not None
    assert (update.id, update.datasource, update.used_status_last_updated) == ("a", "wiki", "2026")
    assert (subject := subject_of(found)) is not None
    assert (subject.key, subject.datasource) == ("a", "wiki")


@pytest.mark.parametrize("text", NO_TEXTS)
def test_a_text_that_is_no_json_names_its_offset(text: bytes):
    of_datasource = record("segment.published", b"a", text, b"")
    of_subject = record("segment.published", text, b"wiki", b"")
    of_removed = record("segment.removed", text, b"wiki", b"")
    for look, found in [
        (summary_of, of_datasource),
        (lambda one: tally([one]), of_datasource),
        (segment_update, of_datasource),
        (segment_update, of_subject),
        (segment_update, of_removed),
        (subject_of, of_datasource),
        (subject_of, of_subject),
        (subject_of, of_removed),
    ]:
        with pytest.raises(CorruptionError, match="offset 7 of the log cannot be read") as told:
            look(found)
        assert "restore the log" in told.value.hint


def test_a_time_that_is_no_json_names_its_offset():
    with pytest.raises(CorruptionError, match="offset 7 of the log cannot be read"):
        segment_update(record("segment.published", b"a", b"wiki", b"\xff"))
