"""A whole inventory in 56 bytes a row: its key hash, its fingerprint and its event's offset.

The ledger is the fold of the log. Its two laws, for ledgers `a` and `b` of the same source:
folding `diff(a, b)` into `a` gives `b`, and folding a batch twice changes nothing
(tests/unit/model/inventory/test_ledger.py). Contents stay in the log: an offset leads back to them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from replicator.model.arrays import np
from replicator.model.event import Offset
from replicator.model.fingerprint import (
    DIGEST_MODULUS,
    FINGERPRINT_BYTES,
    KEY_HASH_BYTES,
    Digest,
    Fingerprint,
)
from replicator.model.inventory import pages

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = f"S{KEY_HASH_BYTES}"
"""Fixed-width bytes; numpy compares them whole, padded with zeros, so equality is exact."""
MARK = f"S{FINGERPRINT_BYTES}"
Keys: TypeAlias = "NDArray[np.bytes_]"
Marks: TypeAlias = "NDArray[np.bytes_]"
Offsets: TypeAlias = "NDArray[np.int64]"
Mask: TypeAlias = "NDArray[np.bool_]"
T = TypeVar("T", bound="np.generic")

FOLD_MIN = 1 << 16
"""Number of changes below which a fold waits for more: each fold copies the whole ledger once."""
RECENT_MAX, RECENT_SHARE = 1 << 12, 64
"""Limits for unfolded changes while single rows are looked up: a number, or one per 64 rows. Each
takes 300 bytes, so 5 bytes a row; with less, a busy stream copies a ledger of millions every few
seconds."""
BLOCK_ROWS = 1 << 16
"""Number of rows computed at once, which keeps intermediate results small."""
_NO_MARK = bytes(FINGERPRINT_BYTES)


class KnownRow(NamedTuple):
    """One row in a ledger."""

    fingerprint: Fingerprint
    offset: Offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Changes in the order of the log; if a row occurs more than once, its last change counts."""

    keys: Keys
    marks: Marks
    offsets: Offsets
    removed: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """An inventory as three parallel columns, sorted by key hash."""

    keys: Keys
    marks: Marks
    offsets: Offsets
    digest: Digest

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, key: bytes) -> KnownRow | None:
        """Return what is known of the row with this key hash."""
        index = int(self.keys.searchsorted(np.array(key, KEY)))
        if index == len(self.keys) or whole(self.keys[index : index + 1]) != key:
            return None
        mark = Fingerprint(whole(self.marks[index : index + 1]))
        return KnownRow(mark, Offset(int(self.offsets[index])))


def empty() -> Ledger:
    """Return the ledger of an empty log."""
    return Ledger(
        keys=np.empty(0, KEY),
        marks=np.empty(0, MARK),
        offsets=np.empty(0, np.int64),
        digest=Digest(0),
    )


def batch(changes: list[tuple[bytes, bytes | None, int]]) -> Batch:
    """Return changes given as (key hash, fingerprint or None for removed, offset) as a batch."""
    return Batch(
        keys=np.array([key for key, _, _ in changes], KEY),
        marks=np.array([mark or b"" for _, mark, _ in changes], MARK),
        offsets=np.array([offset for _, _, offset in changes], np.int64),
        removed=np.array([mark is None for _, mark, _ in changes], np.bool_),
    )


def fold(before: Ledger, changes: Batch) -> Ledger:
    """Return the ledger after the changes, in time linear in its size with a small factor."""
    chosen = _latest_per_key(changes.keys)
    removed = changes.removed[chosen]
    if not len(before) and not removed.any():
        return _first(changes, chosen)
    keys, marks, offsets = changes.keys[chosen], changes.marks[chosen], changes.offsets[chosen]
    indexes = np.searchsorted(before.keys, keys)
    known = same_rows(before.keys, indexes, keys)
    overwritten, added, gone = known & ~removed, ~known & ~removed, known & removed
    digest = int(before.digest) + total(marks[~removed]) - total(before.marks[indexes[known]])
    inserts, deletes, updates = indexes[added], indexes[gone], indexes[overwritten]
    moved = (
        updates
        + np.searchsorted(inserts, updates, side="right")
        - np.searchsorted(deletes, updates, side="left")
    )
    after = _room(len(before) + len(inserts) - len(deletes))
    _splice(before.keys, deletes, inserts, keys[added], after.keys)
    _splice(before.marks, deletes, inserts, marks[added], after.marks)
    _splice(before.offsets, deletes, inserts, offsets[added], after.offsets)
    after.marks[moved], after.offsets[moved] = marks[overwritten], offsets[overwritten]
    return Ledger(**after._asdict(), digest=Digest(digest % DIGEST_MODULUS))


def diff(before: Ledger, after: Ledger) -> Batch:
    """Return the changes that turn `before` into `after`: what came, then what is gone.

    Each part is sorted by key hash. A row with the same fingerprint keeps its offset.
    """
    indexes = np.searchsorted(before.keys, after.keys)
    known = same_rows(before.keys, indexes, after.keys)
    same = known.copy()
    same[known] = before.marks[indexes[known]] == after.marks[known]
    stays = np.zeros(len(before), np.bool_)
    stays[indexes[known]] = True
    gone = ~stays
    return Batch(
        keys=np.concatenate([after.keys[~same], before.keys[gone]]),
        marks=np.concatenate([after.marks[~same], np.zeros(int(gone.sum()), MARK)]),
        offsets=np.concatenate([after.offsets[~same], before.offsets[gone]]),
        removed=np.concatenate([np.zeros(int((~same).sum()), np.bool_), gone[gone]]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRows:
    """Many rows in a ledger, in the order of the lookup."""

    known: Mask
    marks: Marks
    """Fingerprints of the rows; meaningless, like the offsets, for unknown rows."""
    offsets: Offsets


class Folding:
    """Folds a long history into a ledger, with 57 bytes for each unfolded change.

    Changes are added as they are read, and count once `close` confirms that their cut is complete;
    `discard` forgets those of an attempt that was never closed. Looking up single rows needs no
    fold: a cut of ten rows does not copy a ledger of millions.
    """

    def __init__(self, start: Ledger) -> None:
        self._ledger = start
        self._keys, self._marks, self._removed = bytearray(), bytearray(), bytearray()
        self._offsets = array("q")
        self._closed = 0
        self._recent: dict[bytes, KnownRow | None] = {}
        """Latest state of each row in the unfolded changes, as far as they were looked through."""
        self._looked_up: dict[bytes, KnownRow | None] = {}
        """The ledger's rows that were looked up: the caller usually changes them next."""
        self._looked, self._sum, self._rows = 0, int(start.digest), len(start)

    def add(self, key: bytes, mark: bytes | None, offset: int) -> None:
        """Add one change; `mark` is None for a removed row."""
        self._keys += key
        self._marks += mark or _NO_MARK
        self._removed.append(mark is None)
        self._offsets.append(offset)

    def extend(
        self, keys: bytearray, marks: bytearray, removed: bytearray, offsets: array[int]
    ) -> None:
        """Add changes as parallel columns, with 1 in `removed` for removed rows."""
        self._keys += keys
        self._marks += marks
        self._removed += removed
        self._offsets.extend(offsets)

    def close(self) -> None:
        """Make all changes added so far count."""
        self._closed = len(self._offsets)
        if self._closed >= max(FOLD_MIN, len(self._ledger) // 4):
            self._fold()

    def discard(self) -> None:
        """Forget the changes added since the last close."""
        self._cut(self._closed)

    def restart(self, start: Ledger) -> None:
        """Continue from another ledger; changes added so far do not count."""
        self._cut(0)
        self._closed, self._ledger = 0, start
        self._begin_anew()

    def ledger(self) -> Ledger:
        """Return the ledger after all closed changes."""
        if self._closed:
            self._fold()
        return self._ledger

    def layers(self) -> tuple[Ledger, Mapping[bytes, KnownRow | None]]:
        """Return an older ledger, and the rows changed since, by key hash; None: a removed row.

        No ledger is copied for this.
        """
        self._look_through()
        return self._ledger, self._recent

    @property
    def rows(self) -> int:
        """Number of the ledger's rows after all closed changes."""
        self._look_through()
        return self._rows

    @property
    def digest(self) -> Digest:
        """Digest of the ledger after all closed changes."""
        self._look_through()
        return Digest(self._sum % DIGEST_MODULUS)

    def find(self, key: bytes) -> KnownRow | None:
        """Return a row's state after all closed changes; None: there is no such row."""
        self._look_through()
        if key in self._recent:
            return self._recent[key]
        found = self._ledger.find(key)
        if len(self._looked_up) > RECENT_MAX:
            self._looked_up.clear()
        self._looked_up[key] = found
        return found

    def known_rows(self, keys: Keys) -> KnownRows:
        """Return the state of many rows after all closed changes."""
        self._look_through()
        indexes = np.searchsorted(self._ledger.keys, keys)
        known = same_rows(self._ledger.keys, indexes, keys)
        marks, offsets = np.zeros(len(keys), MARK), np.zeros(len(keys), np.int64)
        marks[known] = self._ledger.marks[indexes[known]]
        offsets[known] = self._ledger.offsets[indexes[known]]
        for index, key in enumerate(items(keys)) if self._recent else ():
            if key in self._recent:
                row = self._recent[key]
                known[index] = row is not None
                marks[index], offsets[index] = row or (b"", 0)
        return KnownRows(known=known, marks=marks, offsets=offsets)

    def _look_through(self) -> None:
        if self._closed > max(RECENT_MAX, len(self._ledger) // RECENT_SHARE):
            self._fold()
        keys, marks = memoryview(self._keys), memoryview(self._marks)
        for at in range(self._looked, self._closed):
            key = bytes(keys[at * KEY_HASH_BYTES : (at + 1) * KEY_HASH_BYTES])
            former = self._former(key)
            mark = Fingerprint(bytes(marks[at * FINGERPRINT_BYTES : (at + 1) * FINGERPRINT_BYTES]))
            gone = bool(self._removed[at])
            self._recent[key] = None if gone else KnownRow(mark, Offset(self._offsets[at]))
            self._sum += int.from_bytes(b"" if gone else mark)
            self._sum -= int.from_bytes(former.fingerprint if former else b"")
            self._rows += (not gone) - (former is not None)
        self._looked = self._closed

    def _former(self, key: bytes) -> KnownRow | None:
        """Return a row's state before the change that is looked at."""
        if key in self._recent:
            return self._recent[key]
        return self._looked_up.pop(key) if key in self._looked_up else self._ledger.find(key)

    def _begin_anew(self) -> None:
        self._recent, self._looked, self._sum = {}, 0, int(self._ledger.digest)
        self._rows = len(self._ledger)
        self._looked_up.clear()

    def _fold(self) -> None:
        """Fold the closed changes; the buffers are handed over, as they may be large."""
        count, self._closed = self._closed, 0
        keys, marks, removed, offsets = self._keys, self._marks, self._removed, self._offsets
        self._keys, self._marks = keys[count * KEY_HASH_BYTES :], marks[count * FINGERPRINT_BYTES :]
        self._removed, self._offsets = removed[count:], offsets[count:]
        self._ledger = fold(
            self._ledger,
            Batch(
                keys=np.frombuffer(keys, KEY, count),
                marks=np.frombuffer(marks, MARK, count),
                offsets=np.frombuffer(offsets, np.int64, count),
                removed=np.frombuffer(removed, np.bool_, count),
            ),
        )
        self._begin_anew()

    def _cut(self, count: int) -> None:
        del self._keys[count * KEY_HASH_BYTES :]
        del self._marks[count * FINGERPRINT_BYTES :]
        del self._removed[count:]
        del self._offsets[count:]


def total(marks: Marks) -> int:
    """Return the sum of the fingerprints as one integer, not reduced."""
    sums = np.zeros(FINGERPRINT_BYTES // 4, np.uint64)
    for start in range(0, len(marks), BLOCK_ROWS):
        block = np.ascontiguousarray(marks[start : start + BLOCK_ROWS])
        # Words of 32 bits: a sum of 64 bits holds those of 2**32 rows.
        sums += block.view(">u4").reshape(len(block), -1).sum(axis=0, dtype=np.uint64)
    return sum(int(word) << (32 * (len(sums) - 1 - i)) for i, word in enumerate(sums))


def whole(column: NDArray[np.bytes_]) -> bytes:
    """Return a column's bytes with trailing zeros kept, which numpy drops from single items."""
    return np.ascontiguousarray(column).tobytes()


def items(column: NDArray[np.bytes_]) -> Iterator[bytes]:
    """Yield each item of a column with its trailing zeros kept."""
    width, data = column.dtype.itemsize, whole(column)
    for start in range(0, len(data), width):
        yield data[start : start + width]


def same_rows(known: Keys, indexes: NDArray[np.intp], keys: Keys) -> Mask:
    """Return which keys a ledger's column has at the indexes that a search found for them."""
    found = np.zeros(len(keys), np.bool_)
    inside = indexes < len(known)
    found[inside] = known[indexes[inside]] == keys[inside]
    return found


class _Room(NamedTuple):
    """The columns of a new ledger."""

    keys: Keys
    marks: Marks
    offsets: Offsets


def _room(rows: int) -> _Room:
    """Return columns in pages of their own, which go back to the system with the ledger."""
    offsets, marks, keys = pages.columns(rows, np.dtype(np.int64), np.dtype(MARK), np.dtype(KEY))
    return _Room(keys=keys, marks=marks, offsets=offsets)


def _first(changes: Batch, chosen: NDArray[np.intp]) -> Ledger:
    """Return the ledger of the chosen changes, sorted by key, without another copy of them."""
    room = _room(len(chosen))
    for start in range(0, len(chosen), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        for column, given in zip(room, (changes.keys, changes.marks, changes.offsets), strict=True):
            column[block] = given[chosen[block]]
    return Ledger(**room._asdict(), digest=Digest(total(room.marks) % DIGEST_MODULUS))


def _latest_per_key(given: Keys) -> NDArray[np.intp]:
    """Return the index of each key's last change, sorted by key."""
    order = np.argsort(given, kind="stable")
    keys = given[order]
    last = np.ones(len(keys), np.bool_)
    last[:-1] = keys[1:] != keys[:-1]
    return order if last.all() else order[last]


def _splice(
    column: NDArray[T],
    deletes: NDArray[np.intp],
    inserts: NDArray[np.intp],
    values: NDArray[T],
    out: NDArray[T],
) -> None:
    """Fill `out` with a column without the deleted items and with the inserted ones, by blocks."""
    filled = 0
    for start in range(0, max(1, len(column)), BLOCK_ROWS):
        end = start + BLOCK_ROWS
        beyond = end if end < len(column) else len(column) + 1  # the last one takes what is added
        new = slice(*np.searchsorted(inserts, (start, beyond)))
        old = slice(*np.searchsorted(deletes, (start, beyond)))
        piece = _spliced(column[start:end], deletes[old] - start, inserts[new] - start, values[new])
        out[filled : filled + len(piece)] = piece
        filled += len(piece)


def _spliced(
    column: NDArray[T], deletes: NDArray[np.intp], inserts: NDArray[np.intp], values: NDArray[T]
) -> NDArray[T]:
    if len(inserts):
        shift = np.searchsorted(inserts, deletes, side="right") if len(deletes) else 0
        column = np.insert(column, inserts, values)
        deletes = deletes + shift
    return np.delete(column, deletes) if len(deletes) else column
