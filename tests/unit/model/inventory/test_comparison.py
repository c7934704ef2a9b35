"""What one comparison says of a ledger and a scan: it serves watcher, restorer and verifier."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.event import Offset
from replicator.model.fingerprint import Fingerprint
from replicator.model.inventory import ledger as ledgers
from replicator.model.inventory.comparison import Comparison
from replicator.model.inventory.ledger import KnownRow, Ledger, batch, empty, fold

Content = dict[bytes, tuple[bytes, int]]
"""Key hash to fingerprint and offset."""

# Tiny alphabets make collisions common, and most items end in the zero bytes that numpy drops.
KEYS = [bytes([n]) + bytes(15) for n in range(5)] + [bytes(15) + b"\1", b"\xff" * 16]
MARKS = [bytes([n]) + bytes(31) for n in range(1, 4)] + [bytes(31) + b"\1", b"\xff" * 32]
keys, marks, offsets = st.sampled_from(KEYS), st.sampled_from(MARKS), st.integers(0, 99)
contents = st.dictionaries(keys, st.tuples(marks, offsets))
words = st.dictionaries(keys, st.none() | st.tuples(marks, offsets))
scans = st.dictionaries(keys, marks)


def ledger_of(content: Content) -> Ledger:
    return fold(empty(), batch([(key, mark, offset) for key, (mark, offset) in content.items()]))


def row(word: tuple[bytes, int] | None) -> KnownRow | None:
    return None if word is None else KnownRow(Fingerprint(word[0]), Offset(word[1]))


@given(before=contents, later=words, scan=scans, split=st.integers(0, 7))
def test_a_comparison_agrees_with_a_dict(
    before: Content,
    later: dict[bytes, tuple[bytes, int] | None],
    scan: dict[bytes, bytes],
    split: int,
):
    """The last word on a row counts, whether the ledger has it or it comes beside the ledger."""
    comparison = Comparison(ledger_of(before), {key: row(word) for key, word in later.items()})
    content = {key: word for key, word in {**before, **later}.items() if word is not None}
    unknown, stale = set(), set()
    rows = list(scan.items())
    for chunk in (rows[:split], rows[split:]):
        chunk_keys = np.array([key for key, _ in chunk], ledgers.KEY)
        chunk_marks = np.array([mark for _, mark in chunk], ledgers.MARK)
        is_unknown, is_stale = comparison.see(chunk_keys, chunk_marks)
        unknown |= {key for (key, _), is_so in zip(chunk, is_unknown, strict=True) if is_so}
        stale |= {key for (key, _), is_so in zip(chunk, is_stale, strict=True) if is_so}

    gone = content.keys() - scan.keys()
    assert unknown == scan.keys() - content.keys()
    assert stale == {key for key in scan if key in content and content[key][0] != scan[key]}
    assert list(comparison.unseen()) == sorted(content[key][1] for key in gone)
    assert set(ledgers.items(comparison.unseen_keys())) == gone
    assert list(comparison.lacking()) == sorted(
        offset for key, (mark, offset) in content.items() if scan.get(key) != mark
    )
