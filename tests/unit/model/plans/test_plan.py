"""Plans are small values, and the last word on a row counts."""

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import CutNumber, Offset
from replicator.model.fingerprint import Digest
from replicator.model.inventory import ledger as ledgers
from replicator.model.plans.plan import Plan, latest_per_key
from replicator.model.row import Kind
from tests.builders import TIME

KEYS = [bytes([n]) + bytes(15) for n in range(4)]
CHECKPOINT = Checkpoint(
    source="prod",
    log_id="log",
    offset=Offset(9),
    cut=CutNumber(2),
    source_time=TIME,
    digest=Digest(0),
    paused=False,
)


def offsets_of(*numbers: int) -> ledgers.Offsets:
    return np.array(numbers, np.int64)


@given(st.lists(st.sampled_from(KEYS), max_size=12), st.randoms())
def test_the_last_word_on_each_row_counts(keys: list[bytes], order: Random):
    """What was published and killed within a run asks for no bytes."""
    events = list(enumerate(keys))
    last = {key: offset for offset, key in events}
    order.shuffle(events)

    found = latest_per_key(
        offsets_of(*(offset for offset, _ in events)),
        np.array([key for _, key in events], ledgers.KEY),
    )

    assert list(found) == sorted(last.values())


def test_a_plan_that_changes_no_row_is_empty():
    assert Plan(picks=offsets_of(), checkpoint=CHECKPOINT).is_empty
    assert Plan(
        picks=offsets_of(), surplus={Kind.SEGMENT: np.empty(0, ledgers.KEY)}, checkpoint=CHECKPOINT
    ).is_empty


def test_a_plan_that_writes_or_removes_a_row_is_not_empty():
    surplus = {Kind.RULES: np.array(KEYS[:1], ledgers.KEY)}

    assert not Plan(picks=offsets_of(3), checkpoint=CHECKPOINT).is_empty
    assert not Plan(picks=offsets_of(), surplus=surplus, checkpoint=CHECKPOINT).is_empty


def test_a_gap_holds_from_its_event_to_the_cut_that_closes_it():
    gap = Gap(
        key="wiki_1",
        datasource="wiki",
        reason="object_missing",
        detail="",
        opened=Offset(5),
        closed=Offset(8),
    )

    assert [offset for offset in range(10) if gap.at(Offset(offset))] == [5, 6, 7]


def test_an_open_gap_holds_ever_after():
    gap = Gap(key="wiki_1", datasource="wiki", reason="object_missing", detail="", opened=Offset(5))

    assert [offset for offset in range(10) if gap.at(Offset(offset))] == [5, 6, 7, 8, 9]
