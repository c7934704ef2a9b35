"""What a target does not have yet, and how long the source's kill spares it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import CorruptionError
from replicator.model.document import INT_MAX
from replicator.model.druid.payload import SIZE_BYTES_MAX
from replicator.model.event import Offset
from replicator.model.log import backlog as module
from replicator.model.log.backlog import Backlog, SegmentUpdate
from replicator.model.log.kill_margin import UNKNOWN, USED, kill_margins_ms
from replicator.model.log.peek import segment_update
from replicator.model.row import Kind, Segment
from tests.builders import (
    ONE_OF_EACH,
    changed,
    cut_closed,
    json_bytes,
    mark,
    record,
    recorded_segments,
    removed,
    segment,
    segment_payload,
)

NOW = datetime(2024, 7, 1, tzinfo=UTC)
BUFFER = timedelta(days=30)


def test_a_kill_counts_the_buffer_from_the_day_a_segment_was_marked_unused():
    day = 86_400_000
    now = 1_000 * day
    since = np.array([USED, now, now - 10 * day, now - 30 * day, now - 40 * day, UNKNOWN])

    margins = kill_margins_ms(since, now_ms=now, buffer_ms=30 * day)

    assert [int(margin) / day for margin in margins] == [30, 30, 20, 0, -10, 0]


def test_a_clock_ahead_of_ours_spares_nothing_longer():
    """`used_status_last_updated` is the source's clock; ours decides what is now."""
    assert kill_margins_ms(np.array([5_000]), now_ms=1_000, buffer_ms=100).tolist() == [100]


# ------------------------------------------------------------------------------------- the words


@pytest.mark.parametrize(
    "row",
    [
        segment(),
        segment(used=False, used_status_last_updated=None),
        segment('a "b" \\ \u00e9\u2028', id='"x"\\', used=False),
        segment(extras={"used": "true", "previous": "null"}),
        segment(payload=b'{"dimensions":"\\"used\\":false,\\"previous\\":null","size":7}'),
        *recorded_segments("druid-33-segments.csv")[:20],
        *recorded_segments("druid-37-segments.csv")[:20],
    ],
)
def test_a_word_is_what_the_event_says(row: Segment):
    new, known = changed(row), changed(row, previous=mark(1))

    for event in (new, known):
        word = segment_update(record(event))
        if b'"tombstone"' in row.payload:
            assert word is None
            continue
        assert word is not None
        assert (word.id, word.datasource) == (row.id, row.datasource)
        assert (word.used, word.used_status_last_updated) == (
            row.used,
            row.used_status_last_updated,
        )
        assert word.is_new is (event is new)
        assert word.size_bytes


def test_a_kill_is_a_word_too_and_other_rows_are_none():
    gone = segment_update(record(removed(key="wiki_1")))
    assert gone is not None
    assert (gone.id, gone.size_bytes) == ("wiki_1", None)
    for kind, row in ONE_OF_EACH.items():
        assert (segment_update(record(changed(row))) is None) == (kind is not Kind.SEGMENT)
    assert segment_update(record(removed(Kind.COMMIT))) is None
    assert segment_update(record(cut_closed())) is None


def test_a_tombstone_has_no_bytes_to_lose():
    payload = json_bytes(segment_payload(loadSpec={"type": "tombstone"}))
    assert segment_update(record(changed(segment(payload=payload)))) is None


def test_a_record_that_is_not_what_its_type_says_is_corrupt():
    odd = record(changed(segment()))._replace(data=b"{}")
    with pytest.raises(CorruptionError, match="4711"):
        segment_update(odd)


# ----------------------------------------------------------------------------------- the backlog


def word(id_: str, **fields: Any) -> SegmentUpdate:
    defaults = SegmentUpdate(
        id=id_,
        datasource="wiki",
        is_new=True,
        used=True,
        used_status_last_updated=None,
        size_bytes=10,
    )
    return defaults._replace(**fields)


def unused(id_: str, days: int, **fields: Any) -> SegmentUpdate:
    since = (NOW - timedelta(days=days)).isoformat()
    return word(id_, used=False, used_status_last_updated=since, **fields)


def said(*words: SegmentUpdate) -> Backlog:
    backlog = Backlog()
    backlog.add([(Offset(offset), one) for offset, one in enumerate(words)])
    return backlog


def test_each_datasource_has_its_smallest_margin():
    backlog = said(
        unused("a", 10), unused("b", 20), word("c"), word("d", datasource="orders"), unused("e", 1)
    )
    assert backlog.kill_margins(NOW, BUFFER) == {
        "wiki": timedelta(days=10),
        "orders": timedelta(days=30),
    }


def test_bytes_that_no_64_bits_hold_are_as_many_as_they_do():
    """Two thousand rows of a hostile source; a sum of them never ends `status`."""
    backlog = said(*[word(str(one), size_bytes=SIZE_BYTES_MAX) for one in range(2_048)])
    assert backlog.pending() == (2_048, INT_MAX)


def test_the_last_word_counts():
    kill = word("a", is_new=False, datasource="", size_bytes=None)
    again = said(unused("a", 25), word("a", is_new=False))
    assert again.kill_margins(NOW, BUFFER) == {"wiki": timedelta(days=30)}
    assert again.pending() == (1, 10)
    gone = said(unused("a", 25), kill)
    assert (gone.kill_margins(NOW, BUFFER), gone.pending()) == ({}, (0, 0))
    back = said(unused("a", 25), kill, unused("a", 3))
    assert back.kill_margins(NOW, BUFFER) == {"wiki": timedelta(days=27)}


def test_what_was_reached_is_forgotten():
    backlog = said(unused("a", 25), unused("b", 5), word("c", size_bytes=7))
    backlog.reach(Offset(0))
    assert backlog.kill_margins(NOW, BUFFER) == {"wiki": timedelta(days=25)}
    assert backlog.pending() == (2, 17)
    backlog.reach(Offset(2))
    assert (backlog.kill_margins(NOW, BUFFER), backlog.pending()) == ({}, (0, 0))


def test_a_segment_that_the_target_has_is_not_pending_when_it_is_marked():
    """Its bytes were copied when it was new: a kill takes nothing that is needed."""
    backlog = said(word("a"), unused("a", 1, is_new=False), unused("b", 40, is_new=False))
    assert backlog.pending() == (1, 10)
    assert backlog.kill_margins(NOW, BUFFER) == {"wiki": timedelta(days=29)}
    backlog.reach(Offset(0))
    assert (backlog.kill_margins(NOW, BUFFER), backlog.pending()) == ({}, (0, 0))
    backlog.add([(Offset(3), unused("a", 40, is_new=False))])
    assert (backlog.kill_margins(NOW, BUFFER), backlog.pending()) == ({}, (0, 0))


def test_a_segment_that_came_again_is_new_again():
    kill = word("a", is_new=False, datasource="", size_bytes=None)
    backlog = said(unused("a", 25), kill, unused("a", 3))
    backlog.reach(Offset(1))
    assert backlog.kill_margins(NOW, BUFFER) == {"wiki": timedelta(days=27)}


@pytest.mark.parametrize("text", [None, "", "yesterday", "2024-06-01T00:00:00"])
def test_what_does_not_say_since_when_it_is_unused_may_be_killed_now(text: str | None):
    backlog = said(word("a", used=False, used_status_last_updated=text))
    assert backlog.kill_margins(NOW, BUFFER) == {"wiki": timedelta(0)}


IDS = ("a1", "a2", "b1", "b2", "c1")


def told(known: set[str], changes: list[tuple[str, int | None]]) -> list[SegmentUpdate]:
    """Words as a log has them: only what is there goes, and what comes back is new."""
    words = []
    for id_, days in changes:
        if days is not None:
            words.append(unused(id_, days, is_new=id_ not in known, datasource=id_[:1]))
            known.add(id_)
        elif id_ in known:
            words.append(word(id_, is_new=False, datasource="", size_bytes=None))
            known.remove(id_)
    return words


@given(
    known=st.sets(st.sampled_from(IDS)),
    changes=st.lists(st.tuples(st.sampled_from(IDS), st.none() | st.integers(0, 40)), max_size=40),
    reached=st.integers(-1, 40),
    merge_min=st.integers(1, 9),
)
def test_words_in_any_number_of_batches_are_as_one_dictionary(
    known: set[str], changes: list[tuple[str, int | None]], reached: int, merge_min: int
):
    words = told(known, changes)
    expected: dict[str, timedelta] = {}
    last = {one.id: one for one in words}
    born = {one.id: offset for offset, one in enumerate(words) if one.is_new}
    for one in last.values():
        if born.get(one.id, -1) > reached and one.size_bytes is not None:
            since = datetime.fromisoformat(one.used_status_last_updated or "")
            margin = since + BUFFER - NOW
            expected[one.datasource] = min(margin, expected.get(one.datasource, margin))

    backlog, before = Backlog(), module.MERGE_MIN
    module.MERGE_MIN = merge_min
    try:
        for offset, one in enumerate(words):
            backlog.add([(Offset(offset), one)])
    finally:
        module.MERGE_MIN = before
    backlog.reach(Offset(reached))

    assert backlog.kill_margins(NOW, BUFFER) == expected
