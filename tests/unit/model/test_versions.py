"""What is remembered of row versions says of no row that it is unchanged unless it is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.adapters.memory.versions import ranges_of
from replicator.model.inventory.ledger import KEY, items
from replicator.model.row import Kind
from replicator.model.versions import (
    RANGE_BITS,
    REGION_BITS,
    STAMPS,
    TRANSACTIONS_MAX,
    BlockRanges,
    Lineage,
    Moves,
    NewStamps,
    Remembered,
    Versions,
    broken,
    new_stamps,
)

# Few places, at both ends of regions and block ranges, so that they are taken again and again.
PLACES = [
    *(1, 2, (1 << RANGE_BITS) - 1, 1 << RANGE_BITS),
    *((1 << REGION_BITS) - 1, 1 << REGION_BITS, (5 << REGION_BITS) + 7),
]
KEYS = [bytes([n]) + bytes(15) for n in range(3)] + [b"\xff" * 16]
Table = dict[int, tuple[int, bytes]]
"""What is where: place to stamp and key."""
tables: st.SearchStrategy[Table] = st.dictionaries(
    st.sampled_from(PLACES), st.tuples(st.integers(3, 6), st.sampled_from(KEYS))
)
NEVER = NewStamps(0, 0)


def versions(table: Table, places: list[int]) -> Versions:
    return Versions(
        places=np.array(places, np.uint64),
        stamps=np.array([table[place][0] for place in places], np.uint32),
    )


def keys(table: Table, places: list[int]) -> "np.ndarray[tuple[int], np.dtype[np.bytes_]]":
    return np.array([table[place][1] for place in places], KEY)


def move(remembered: Remembered, table: Table, *, gone: list[int], come: list[int]) -> None:
    moves = Moves(
        gone=np.array(gone, np.uint64), come=versions(table, come), keys=keys(table, come)
    )
    remembered.move(moves)


def remembering(table: Table) -> Remembered:
    remembered = Remembered()
    move(remembered, table, gone=[], come=list(table))
    return remembered


@given(before=tables, now=tables, since=st.integers(3, 7), data=st.data())
def test_a_look_tells_the_same_rows_from_all_others_as_a_dict_does(
    before: Table, now: Table, since: int, data: st.DataObject
):
    places = data.draw(st.permutations(list(now)))
    look = remembering(before).look(NewStamps(since, since + 1))
    cut = data.draw(st.integers(0, len(places)))
    seen = [
        bool(one) for part in (places[:cut], places[cut:]) for one in look.see(versions(now, part))
    ]
    same = {
        place
        for place in now
        if place in before and before[place][0] == now[place][0] and now[place][0] != since
    }
    assert seen == [place in same for place in places]
    gone, lost = look.gone()
    assert sorted(gone.tolist()) == sorted(before.keys() - same)
    assert sorted(items(lost)) == sorted(before[place][1] for place in before.keys() - same)


@given(before=tables, now=tables, since=st.integers(3, 7), forgotten=st.sets(st.integers(0, 6)))
def test_what_is_read_of_the_differing_block_ranges_says_all_that_every_version_says(
    before: Table, now: Table, since: int, forgotten: set[int]
):
    """Also when fewer rows are remembered than the former ranges had: their number is compared."""
    new = NewStamps(since, since + 1)
    known = {place: before[place] for n, place in enumerate(before) if n not in forgotten}
    whole, parts = remembering(known), remembering(known)
    parts.ranges = ranges_of(versions(before, list(before)), NEVER)
    by_versions, by_ranges = whole.look(new), parts.look(new)
    seen = dict(zip(now, by_versions.see(versions(now, list(now))).tolist(), strict=True))
    within = by_ranges.pass_over(ranges_of(versions(now, list(now)), new)).tolist()
    read = [place for place in now if place >> RANGE_BITS in within]
    assert by_ranges.see(versions(now, read)).tolist() == [seen[place] for place in read]
    assert all(seen[place] for place in now if place not in read)
    assert [sorted(one.tolist()) for one in by_ranges.gone()] == [
        sorted(one.tolist()) for one in by_versions.gone()
    ]


def test_only_block_ranges_that_may_differ_are_read():
    table = {number << RANGE_BITS: (3, KEYS[0]) for number in range(4)}
    known = remembering(table)
    now = ranges_of(versions(table, list(table)), NEVER)
    assert known.look(NEVER).pass_over(now).tolist() == [0, 1, 2, 3], "no digest is known"
    known.ranges = now
    assert known.look(NEVER).pass_over(now).tolist() == []
    grown = table | {(1 << RANGE_BITS) + 1: (3, KEYS[1]), 4 << RANGE_BITS: (3, KEYS[2])}
    found = ranges_of(versions(grown, list(grown)), NEVER)
    assert known.look(NEVER).pass_over(found).tolist() == [1, 4]
    renewed = replace(now, renewed=np.array([False, False, True, False]))
    assert known.look(NEVER).pass_over(renewed).tolist() == [2]
    shorter = BlockRanges(rows=now.rows[:2], digests=now.digests[:2], renewed=now.renewed[:2])
    look = known.look(NEVER)
    assert look.pass_over(shorter).tolist() == []
    assert look.gone()[0].tolist() == [2 << RANGE_BITS, 3 << RANGE_BITS]


@given(history=st.lists(tables, min_size=1, max_size=5))
def test_what_moves_is_remembered_where_it_is(history: list[Table]):
    remembered, before = Remembered(), dict[int, tuple[int, bytes]]()
    for now in history:
        look = remembered.look(NEVER)
        look.see(versions(now, list(now)))
        gone, _ = look.gone()
        stays = before.keys() - set(gone.tolist())
        come = [place for place in now if place not in stays]
        move(remembered, now, gone=gone.tolist(), come=come)
        before = {place: before[place] for place in stays} | {place: now[place] for place in come}
        assert len(remembered) == len(now)
        found = remembered.keys_at(np.array(list(now), np.uint64))
        assert list(items(found)) == [before[place][1] for place in now]


@pytest.mark.parametrize(
    ("since", "until", "stamp", "can_be_new"),
    [
        (10, 12, 9, False),
        (10, 12, 10, True),
        (10, 12, 11, True),
        (10, 12, 12, False),
        (10, 10, 10, False),
        (STAMPS - 1, STAMPS + 5, STAMPS - 2, False),
        (STAMPS - 1, STAMPS + 5, STAMPS - 1, True),
        (STAMPS - 1, STAMPS + 5, 4, True),
        (STAMPS - 1, STAMPS + 5, 5, False),
        (7 * STAMPS + 100, 7 * STAMPS + 200, 150, True),
        (7 * STAMPS + 100, 7 * STAMPS + 200, 99, False),
        (3, 3 + TRANSACTIONS_MAX - 1, TRANSACTIONS_MAX + 1, True),
    ],
)
def test_a_stamp_counts_as_new_when_a_transaction_since_can_have_had_it(
    since: int, until: int, stamp: int, can_be_new: bool
):
    """Stamps begin again: a row of four milliards of transactions ago may look like today's."""
    assert NewStamps(since, until).holds(np.array([stamp], np.uint32)).tolist() == [can_be_new]


LINEAGE = Lineage(
    server={"system identifier": "7", "timeline": "1"},
    tables={Kind.SEGMENT: {"file": "16384"}, Kind.CONFIG: {"file": "16390"}},
    settled=100,
    begun=110,
)


def test_a_lineage_goes_on_with_new_transactions():
    later = replace(LINEAGE, settled=120, begun=130)
    assert broken(LINEAGE, LINEAGE) is None
    assert broken(LINEAGE, later) is None
    assert new_stamps(LINEAGE, later) == NewStamps(100, 130)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (
            replace(LINEAGE, server={**LINEAGE.server, "timeline": "2"}),
            "the server's timeline was 1 and is 2",
        ),
        (
            replace(LINEAGE, server={"timeline": "1"}),
            "the server's system identifier was 7 and is none",
        ),
        (
            replace(LINEAGE, tables={**LINEAGE.tables, Kind.SEGMENT: {"file": "16399"}}),
            "the segment table's file was 16384 and is 16399",
        ),
        (
            replace(LINEAGE, tables={Kind.SEGMENT: {"file": "16384"}}),
            "the config table's file was 16390 and is none",
        ),
        (
            replace(LINEAGE, tables={**LINEAGE.tables, Kind.RULES: {"file": "1"}}),
            "the rules table's file was none and is 1",
        ),
        (replace(LINEAGE, begun=109), "the server's transaction ids went back from 110 to 109"),
        (replace(LINEAGE, settled=99), "the server's transaction ids went back from 110 to 110"),
        (
            replace(LINEAGE, begun=100 + TRANSACTIONS_MAX),
            f"{TRANSACTIONS_MAX} transactions have begun since the oldest that was open",
        ),
    ],
)
def test_a_lineage_that_is_broken_says_by_what(now: Lineage, why: str):
    assert broken(LINEAGE, now) == why


def test_the_last_transaction_before_too_many_still_counts():
    assert broken(LINEAGE, replace(LINEAGE, begun=99 + TRANSACTIONS_MAX)) is None
