"""The messages of PostgreSQL's output plugin `pgoutput`, version 1 of its protocol, decoded.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

Version 1 sends a transaction as a whole when it is committed: rolled back ones and subtransactions
are not sent, and a prepared one counts when it is committed. Values come in their text form.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final, TypeAlias

from replicator.errors import CorruptionError
from replicator.model.stream import Lsn
from replicator.ports import ROW_BYTES_MAX

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Epoch of PostgreSQL's timestamps."""
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"
ONE_FIELD: Final = b"\x00\x01"


class Unchanged(Enum):
    """Stands for a value that lies out of line, was not changed, and is therefore not sent."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
Value: TypeAlias = bytes | Unchanged | None
"""The text form of a value in the database's encoding; None for NULL."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction begins."""

    lsn: Lsn
    """Start of its commit record."""
    time: datetime
    transaction: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The transaction ends; all of its changes were sent."""

    end: Lsn
    """End of its commit record."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table's columns; sent before its first row in a read, and after each change of them."""

    oid: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """A row is new."""

    oid: int
    new: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Update:
    """A row was changed."""

    oid: int
    old: Sequence[Value] | None
    """Former replica identity of the row, if that was changed or is the whole row."""
    is_old_whole: bool
    new: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Delete:
    """A row is gone."""

    oid: int
    old: Sequence[Value]
    """Replica identity of the row; NULL in all other columns."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """Tables were emptied."""

    oids: tuple[int, ...]


Message: TypeAlias = Begin | Commit | Relation | Insert | Update | Delete | Truncate
MESSAGE_BYTES_MAX: Final = 4 * ROW_BYTES_MAX
"""Bytes of one message: it may have a row twice, as it was and as it is, in digits."""
OF_ROWS: Final = frozenset({b"I", b"U", b"D", b"T"})
"""Kinds of messages about rows."""


def message_of(data: bytes) -> Message | None:
    """Return a message; None if it is not about rows.

    Raises:
        CorruptionError: version 1 has no such kind, or the message is cut short.
    """
    try:
        return _message(data)
    except (IndexError, OverflowError, ValueError) as exc:
        raise CorruptionError(
            f"a message of the change stream cannot be read: {exc}",
            hint="report this with the version of PostgreSQL; nothing of it was published",
        ) from exc


def _message(data: bytes) -> Message | None:  # noqa: C901, PLR0911 - one case for each kind
    body = _Body(data)
    match data[:1]:
        case b"B":
            lsn, time = Lsn(body.number(8)), body.time()
            return Begin(lsn, time, body.number(4))
        case b"C":
            body.skip(1 + 8)
            return Commit(Lsn(body.number(8)))
        case b"R":
            return _relation(body)
        case b"I":
            return Insert(body.number(4), body.row(b"N"))
        case b"U":
            return _update(body)
        case b"D":
            oid = body.number(4)
            return Delete(oid, body.row(b"K", b"O"))
        case b"T":
            count = body.number(4)
            body.skip(1)
            return Truncate(tuple(body.number(4) for _ in range(count)))
        case b"O" | b"Y" | b"M":
            return None
        case kind:
            raise ValueError(f"its kind is {kind!r}")


def _relation(body: "_Body") -> Relation:
    oid = body.number(4)
    body.text()
    body.text()
    body.skip(1)
    names = []
    for _ in range(body.number(2)):
        body.skip(1)
        names.append(body.text())
        body.skip(4 + 4)
    return Relation(oid, tuple(names))


def _update(body: "_Body") -> Update:
    oid, old, is_whole = body.number(4), None, False
    if body.peek() in {b"K", b"O"}:
        is_whole = body.peek() == b"O"
        old = body.row(b"K", b"O")
    return Update(oid, old, is_whole, body.row(b"N"))


class _Body:
    """Reads a message after its first byte."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 1

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size))

    def time(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.number(8))

    def text(self) -> str:
        end = self._data.index(0, self._at)
        found = self._data[self._at : end].decode()
        self._at = end + 1
        return found

    def skip(self, size: int) -> None:
        self._take(size)

    def peek(self) -> bytes:
        return self._data[self._at : self._at + 1]

    def row(self, *kinds: bytes) -> list[Value]:
        if (kind := self._take(1)) not in kinds:
            raise ValueError(f"a row is of the kind {kind!r}")
        values = list[Value]()
        count = self.number(2)
        data, at = self._data, self._at  # a row has a dozen values, and each costs its calls
        for _ in range(count):
            match data[at]:
                case 0x74:  # t, and its length
                    end = at + 5 + int.from_bytes(data[at + 1 : at + 5])
                    values.append(data[at + 5 : end])
                    at = end
                case 0x6E:  # n
                    values.append(None)
                    at += 1
                case 0x75:  # u
                    values.append(UNCHANGED)
                    at += 1
                case other:
                    raise ValueError(f"a value is of the kind {chr(other)!r}")
        if at > len(data):
            raise ValueError("it is cut short")
        self._at = at
        return values

    def _take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) != size:
            raise ValueError("it is cut short")
        self._at += size
        return found


class CopiedFields:
    """Cuts the bytes of a binary COPY of one column into its values, however they arrive."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._started = False
        self._wanted = 0
        """Bytes with which the next value is complete, as far as its length is known."""

    def take(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes and yield the complete values.

        Raises:
            CorruptionError: they are no COPY of one column, or a value is larger than any message.
        """
        self._pending += data
        if not self._started:
            if len(self._pending) < len(COPY_HEADER):
                return
            del self._pending[: len(COPY_HEADER)]
            self._started = True
        if len(self._pending) < self._wanted:
            return  # a large value in small pieces is not copied with each of them
        at, pending, self._wanted = 0, bytes(self._pending), 0
        while pending[at : at + 2] == ONE_FIELD and len(pending) >= at + 6:
            size = int.from_bytes(pending[at + 2 : at + 6])
            if size > MESSAGE_BYTES_MAX:
                raise CorruptionError(f"a message of the change stream has {size} bytes")
            if len(pending) < at + 6 + size:
                self._wanted = 6 + size
                break
            yield pending[at + 6 : at + 6 + size]
            at += 6 + size
        del self._pending[:at]
        if len(rest := pending[at : at + 3]) > 1 and rest[:2] != ONE_FIELD and rest != COPY_TRAILER:
            # nothing that follows could be read, so it is not gathered either
            raise CorruptionError("the change stream is no COPY of one column")

    def close(self) -> None:
        """Require that the data ended where the format says.

        Raises:
            CorruptionError: the data did not.
        """
        if not self._started or self._pending != COPY_TRAILER:
            raise CorruptionError("the change stream ended within a message")
