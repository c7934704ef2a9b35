"""One hash for a row, the same here and in SQL, and one digest for any set of rows.

A row's fingerprint is the SHA-256 of its columns in a fixed order: text columns joined by the
unit separator (0x1f), bytes beside the payload in hexadecimal, NULL or absent columns as the record
separator (0x1e), then 0x1f and the payload's bytes. Databases compute the same value themselves
(`adapters/postgresql/reader.py`), so a poll reads 48 bytes a row and no payload. A NULL and an
absent column are the same on purpose: two Druid releases describe the same row alike.

The digest of an inventory is the sum of its rows' fingerprints modulo 2^256. It does not depend on
an order and follows a change in time proportional to the change. It detects faults, not forgery.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import Any, NamedTuple, NewType, TypeAlias

from replicator.model.row import KIND_OF, TABLES, Extras, Kind, Row, RowKey

Fingerprint = NewType("Fingerprint", bytes)
"""SHA-256 of a row, 32 bytes."""
Digest = NewType("Digest", int)
"""Sum of fingerprints modulo 2^256."""

UNIT, NULL = "\x1f", "\x1e"
KEY_HASH_BYTES = 16
FINGERPRINT_BYTES = 32
DIGEST_MODULUS = 1 << (8 * FINGERPRINT_BYTES)
EMPTY_DIGEST = Digest(0)

_WORDS: Mapping[str | int | bytes | None, str] = {None: NULL, False: "0", True: "1"}
_Value: TypeAlias = str | int | bytes | None
_ValuesOf: TypeAlias = Callable[[Row], Iterable[_Value]]
_KEY_HEAD: Mapping[Kind, bytes] = {kind: f"{kind.value}{UNIT}".encode() for kind in Kind}


class RowText(NamedTuple):
    """A row as its fingerprints read it: what they all share is worked out once."""

    kind: Kind
    words: list[str]
    """Texts of the columns before the payload, in the order of the fingerprint."""
    extras: Extras | None
    payload: bytes


def key_hash(key: RowKey) -> bytes:
    """Return 16 bytes that stand for the key: the head of SHA-256 of kind, 0x1f and key."""
    return sha256(_KEY_HEAD[key.kind] + key.key.encode()).digest()[:KEY_HASH_BYTES]


def fingerprint(
    row: Row, *, columns: frozenset[str] | None = None, payload: bytes | None = None
) -> Fingerprint:
    """Return the row's fingerprint over all columns, or over the named ones only.

    Columns outside `columns` count as NULL, so that rows can be compared without the ones that a
    target writes by its own rule or does not have. `payload` takes the place of the row's own.
    """
    kind = KIND_OF[type(row)]
    words = _words(_VALUES_OF[kind](row))
    content: bytes = getattr(row, TABLES[kind].payload)
    return fingerprint_of(RowText(kind, words, row.extras, content), columns, payload)


def row_text(kind: Kind, found: Mapping[str, Any]) -> RowText:
    """Return the text of a row that is still a mapping of its columns."""
    words = _words(map(found.get, _TEXT_COLUMNS[kind]))
    return RowText(kind, words, found.get("extras"), found[TABLES[kind].payload])


def fingerprint_of(
    row: RowText, columns: frozenset[str] | None = None, payload: bytes | None = None
) -> Fingerprint:
    """Return what `fingerprint` does, for a row's text."""
    kind, words, extras, content = row
    if columns is not None:
        words = words.copy()
        for at in _absent(kind, columns):
            words[at] = NULL
    text = _HEADS[kind] + UNIT.join(words) + UNIT
    if extras:
        names = sorted(extras if columns is None else columns & extras.keys())
        text += "".join([f"{name}={extras[name]}{UNIT}" for name in names])
    return Fingerprint(sha256(text.encode() + (content if payload is None else payload)).digest())


def text_columns(kind: Kind) -> tuple[str, ...]:
    """Return the columns that come before the payload, in the order of the fingerprint."""
    table = TABLES[kind]
    return tuple(name for name in table.columns if name != table.payload)


def changed(digest: Digest, *, gone: Iterable[bytes], come: Iterable[bytes]) -> Digest:
    """Return the digest after the fingerprints `gone` left the set and `come` joined it."""
    total = int(digest)
    for value in come:
        total += int.from_bytes(value)
    for value in gone:
        total -= int.from_bytes(value)
    return Digest(total % DIGEST_MODULUS)


def hex_digest(digest: Digest) -> str:
    """Return the digest as 64 hexadecimal digits, as it stands in `cut.closed`."""
    return f"{digest:064x}"


def _words(values: Iterable[_Value]) -> list[str]:
    # As keys of a mapping 0 and 1 are False and True, whose texts are theirs, too.
    return [v if v.__class__ is str else _WORDS.get(v) or _word(v) for v in values]


def _word(value: _Value) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


@lru_cache(maxsize=8 * len(Kind))
def _absent(kind: Kind, columns: frozenset[str]) -> tuple[int, ...]:
    """Return the places of the words that count as NULL where only some columns are compared."""
    return tuple(at for at, name in enumerate(_TEXT_COLUMNS[kind]) if name not in columns)


def _tuple_of(names: tuple[str, ...]) -> _ValuesOf:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda row: tuple(getattr(row, name) for name in names)


_HEADS: Mapping[Kind, str] = {kind: f"{kind.value}{UNIT}" for kind in Kind}
_TEXT_COLUMNS: Mapping[Kind, tuple[str, ...]] = {kind: text_columns(kind) for kind in Kind}
_VALUES_OF: Mapping[Kind, _ValuesOf] = {
    kind: _tuple_of(names) for kind, names in _TEXT_COLUMNS.items()
}
