"""What is remembered of row versions says of no row that it is unchanged unless it is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.adapters.memory.versions import digest_of
from replicator.model.inventory.ledger import KEY, items
from replicator.model.row import Kind
from replicator.model.versions import (
    REGION_BITS,
    STAMPS,
    TRANSACTIONS_MAX,
    Lineage,
    Moves,
    NewStamps,
    Remembered,
    Versions,
    broken,
    new_stamps,
)

# Few places, at both ends of regions, so that they are taken again and again.
PLACES = [1, 2, 3, (1 << REGION_BITS) - 1, 1 << REGION_BITS, (5 << REGION_BITS) + 7]
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


@given(before=tables, now=tables, stamps=st.tuples(*[st.integers(3, 7)] * 2), data=st.data())
def test_a_digest_that_proves_the_old_rows_says_all_that_every_version_says(
    before: Table, now: Table, stamps: tuple[int, int], data: st.DataObject
):
    """Also when other rows are remembered than the former digest had: their number is compared."""
    first, second = min(stamps), max(stamps)
    new = NewStamps(second, 8)
    known = {place: before[place] for place in before if data.draw(st.integers(0, 9))}
    if data.draw(st.booleans()):
        now = before | {place: now[place] for place in now if now[place][0] >= second}
    whole, parts = remembering(known), remembering(known)
    parts.digest = digest_of(versions(before, list(before)), NewStamps(first, 8))
    by_versions, by_digest = whole.look(new), parts.look(new)
    seen = by_versions.see(versions(now, list(now))).tolist()
    digest = digest_of(versions(now, list(now)), new)
    if by_digest.pass_over(digest):
        assert [now[place][0] < second for place in now] == seen
        assert not by_digest.see(digest.new).any()
        assert [sorted(one.tolist()) for one in by_digest.gone()] == [
            sorted(one.tolist()) for one in by_versions.gone()
        ]
    elif known == before:
        old, still = (
            {place: one[place][0] for place in one if one[place][0] < second}
            for one in (before, now)
        )
        assert old != still


def test_a_digest_proves_rows_until_one_of_them_is_gone_or_unknown():
    table = dict.fromkeys(PLACES, (3, KEYS[0]))
    known, new = remembering(table), NewStamps(5, 6)
    now = digest_of(versions(table, PLACES), new)
    assert not known.look(new).pass_over(now), "there is none yet"
    known.digest = digest_of(versions(table, PLACES), NEVER)
    assert known.look(new).pass_over(now)
    added = table | {9: (5, KEYS[1])}
    assert known.look(new).pass_over(digest_of(versions(added, list(added)), new))
    for other in (table | {9: (4, KEYS[1])}, table | {1: (4, KEYS[0])}):
        assert not known.look(new).pass_over(digest_of(versions(other, list(other)), new))
    assert not known.look(new).pass_over(digest_of(versions(table, PLACES[1:]), new))
    fewer = remembering({place: table[place] for place in PLACES[1:]})
    fewer.digest = known.digest
    assert not fewer.look(new).pass_over(now), "the digest is of other rows than these"


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
