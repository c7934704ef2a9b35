"""The ledger is the fold of the log, whatever the order, the size and the repetitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.fingerprint import DIGEST_MODULUS
from replicator.model.inventory import ledger as ledgers
from replicator.model.inventory.ledger import Batch, Folding, Ledger, batch, diff, empty, fold

Content = dict[bytes, tuple[bytes, int]]
"""What a ledger should say, as a plain dict: key hash to fingerprint and offset."""
Change = tuple[bytes, bytes | None, int]

# Tiny alphabets make collisions common, and most items end in the zero bytes that numpy drops.
KEYS = [bytes([n]) + bytes(15) for n in range(5)] + [bytes(15) + b"\1", b"\xff" * 16]
MARKS = [bytes([n]) + bytes(31) for n in range(1, 4)] + [bytes(31) + b"\1", b"\xff" * 32]
keys, marks, offsets = st.sampled_from(KEYS), st.sampled_from(MARKS), st.integers(0, 99)
contents = st.dictionaries(keys, st.tuples(marks, offsets))
changes = st.lists(st.tuples(keys, st.none() | marks, offsets), max_size=20)


def folded(content: Content, given_changes: list[Change]) -> Content:
    """The same law, by a dict."""
    after = dict(content)
    for key, mark, offset in given_changes:
        if mark is None:
            after.pop(key, None)
        else:
            after[key] = (mark, offset)
    return after


def ledger_of(content: Content) -> Ledger:
    return fold(empty(), batch([(key, mark, offset) for key, (mark, offset) in content.items()]))


def content_of(ledger: Ledger) -> Content:
    columns = zip(
        ledgers.items(ledger.keys), ledgers.items(ledger.marks), ledger.offsets, strict=True
    )
    return {key: (mark, int(offset)) for key, mark, offset in columns}


def changes_of(given_batch: Batch) -> list[Change]:
    columns = zip(
        ledgers.items(given_batch.keys),
        ledgers.items(given_batch.marks),
        given_batch.offsets,
        given_batch.removed,
        strict=True,
    )
    return [(key, None if gone else mark, int(offset)) for key, mark, offset, gone in columns]


def digest_of(content: Content) -> int:
    return sum(int.from_bytes(mark) for mark, _ in content.values()) % DIGEST_MODULUS


@given(before=contents, given_changes=changes)
def test_folding_is_what_a_dict_would_do(before: Content, given_changes: list[Change]):
    after = fold(ledger_of(before), batch(given_changes))

    assert content_of(after) == folded(before, given_changes)


@given(before=contents, given_changes=changes, block_rows=st.integers(1, 4))
def test_folding_in_blocks_is_the_same(
    before: Content, given_changes: list[Change], block_rows: int
):
    """A million rows are folded in parts, so that little memory is needed on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "BLOCK_ROWS", block_rows)
        after = fold(ledger_of(before), batch(given_changes))

    assert content_of(after) == folded(before, given_changes)
    total = sum(int.from_bytes(mark) for mark, _ in content_of(after).values())
    assert after.digest == total % DIGEST_MODULUS


@given(before=contents, given_changes=changes)
def test_a_ledger_is_sorted_by_key_hash(before: Content, given_changes: list[Change]):
    """Every look-up is a binary search."""
    after = fold(ledger_of(before), batch(given_changes))

    found = list(ledgers.items(after.keys))
    assert found == sorted(set(found))


@given(before=contents, after=contents)
def test_folding_the_diff_gives_the_later_ledger(before: Content, after: Content):
    """The log always rebuilds what the source held."""
    one, other = ledger_of(before), ledger_of(after)

    rebuilt = fold(one, diff(one, other))

    assert {key: mark for key, (mark, _) in content_of(rebuilt).items()} == {
        key: mark for key, (mark, _) in after.items()
    }
    assert rebuilt.digest == other.digest


@given(before=contents, after=contents)
def test_the_diff_names_only_what_differs(before: Content, after: Content):
    """A poll of a quiet source appends nothing."""
    found = changes_of(diff(ledger_of(before), ledger_of(after)))

    assert {key for key, mark, _ in found if mark is not None} == {
        key for key in after if before.get(key, (None, 0))[0] != after[key][0]
    }
    assert {key for key, mark, _ in found if mark is None} == before.keys() - after.keys()


@given(before=contents, given_changes=changes)
def test_folding_a_batch_twice_changes_nothing(before: Content, given_changes: list[Change]):
    """An event delivered again is harmless, so delivery may be at-least-once."""
    once = fold(ledger_of(before), batch(given_changes))
    twice = fold(once, batch(given_changes))

    assert content_of(twice) == content_of(once)
    assert twice.digest == once.digest


@given(before=contents, given_changes=changes)
def test_the_digest_is_the_sum_of_what_the_ledger_holds(
    before: Content, given_changes: list[Change]
):
    """Following changes gives the same digest as adding up from nothing, in any order."""
    after = fold(ledger_of(before), batch(given_changes))

    expected = folded(before, given_changes)
    assert after.digest == digest_of(expected)
    assert after.digest == ledger_of(dict(reversed(list(expected.items())))).digest


@given(before=contents, given_changes=changes)
def test_folding_leaves_the_ledger_before_as_it_was(before: Content, given_changes: list[Change]):
    ledger = ledger_of(before)
    fold(ledger, batch(given_changes))

    assert content_of(ledger) == before


@given(content=contents, key=keys)
def test_a_row_is_found_with_all_its_zero_bytes(content: Content, key: bytes):
    found = ledger_of(content).find(key)

    assert (tuple(found) if found else None) == content.get(key)


cuts = st.lists(st.tuples(changes, st.booleans()), max_size=6)


@given(before=contents, given_cuts=cuts)
def test_only_closed_cuts_count(before: Content, given_cuts: list[tuple[list[Change], bool]]):
    """An attempt that was never closed is as if it had not been."""
    folding, expected = Folding(ledger_of(before)), before
    for given_changes, closed in given_cuts:
        for key, mark, offset in given_changes:
            folding.add(key, mark, offset)
        if closed:
            folding.close()
            expected = folded(expected, given_changes)
        else:
            folding.discard()

    assert (said_by(folding), folding.rows) == (expected, len(expected))
    assert content_of(folding.ledger()) == expected
    assert folding.rows == len(expected)


def said_by(folding: Folding) -> Content:
    """What a ledger and the last words on some rows say together."""
    ledger, later = folding.layers()
    said = content_of(ledger)
    for key, word in later.items():
        said.pop(key, None)
        if word is not None:
            said[key] = (word.fingerprint, word.offset)
    return said


def test_an_open_cut_waits_while_the_closed_ones_are_folded():
    folding = Folding(empty())
    folding.add(KEYS[1], MARKS[0], 1)
    folding.close()
    folding.add(KEYS[2], MARKS[1], 2)

    assert content_of(folding.ledger()) == {KEYS[1]: (MARKS[0], 1)}
    folding.close()
    assert content_of(folding.ledger()) == {KEYS[1]: (MARKS[0], 1), KEYS[2]: (MARKS[1], 2)}


def test_more_changes_than_one_fold_takes_give_the_same_ledger():
    """A history is folded while it is read, in bounded memory."""
    folding, expected = Folding(empty()), {}
    for number in range(2 * ledgers.FOLD_MIN + 5):
        key, mark = (number % 70_000).to_bytes(16), (number + 1).to_bytes(32)
        folding.add(key, mark, number)
        folding.close()
        expected[key] = (mark, number)

    assert content_of(folding.ledger()) == expected
    assert folding.ledger().digest == digest_of(expected)


def test_the_sum_of_many_large_fingerprints_does_not_overflow():
    count = 1000
    column = np.array([b"\xff" * 32] * count, ledgers.MARK)

    assert ledgers.total(column) == count * (DIGEST_MODULUS - 1)


def test_an_empty_ledger_knows_nothing():
    nothing = empty()

    assert len(nothing) == 0
    assert nothing.digest == 0
    assert nothing.find(KEYS[0]) is None
    assert len(diff(nothing, nothing).keys) == 0


def test_what_was_asked_of_a_row_is_forgotten_with_the_ledger_that_said_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(ledgers, "FOLD_MIN", 2)
    folding = Folding(empty())
    assert [folding.find(key) for key in KEYS[:2]] == [None, None]
    cut: list[Change] = [(KEYS[0], bytes([1]) * 32, 1), (KEYS[1], bytes([2]) * 32, 2)]
    for change in cut:
        folding.add(*change)
    folding.close()  # folds what nobody has looked through
    last: list[Change] = [(KEYS[0], bytes([3]) * 32, 3)]
    folding.add(*last[0])
    folding.close()
    assert folding.digest == digest_of(folded(folded({}, cut), last))


@given(before=contents, cuts=st.lists(changes, max_size=4), recent_max=st.integers(0, 12))
def test_single_rows_are_known_without_a_fold(
    before: Content, cuts: list[list[Change]], recent_max: int
):
    """A cut of ten rows asks for ten; nobody folds a ledger of millions for it."""
    folding, expected = Folding(ledger_of(before)), before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "RECENT_MAX", recent_max)
        for cut in cuts:
            for change in cut:
                folding.add(*change)
            assert folding.digest == digest_of(expected), "what is not closed does not count"
            folding.close()
            expected = folded(expected, cut)
            known = {key: folding.find(key) for key in KEYS}
            assert {key: one for key, one in known.items() if one is not None} == expected
            assert folding.digest == digest_of(expected)
            told = folding.known_rows(np.array(KEYS, ledgers.KEY))
            columns = zip(
                KEYS, told.known, ledgers.items(told.marks), told.offsets.tolist(), strict=True
            )
            assert {key: (mark, at) for key, there, mark, at in columns if there} == expected
    assert content_of(folding.ledger()) == expected
