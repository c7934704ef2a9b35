"""A source's change stream: every commit as it happened, in order, and where a log stands in it.

Positions in the stream are those in PostgreSQL's write-ahead log. A commit belongs to the log once
a `cut.closed` names its position; that record also tells a repeated commit from a new one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple, NewType, TypeAlias

import orjson

from replicator.model.row import Kind, RowKey

Lsn = NewType("Lsn", int)
"""Position in the source's write-ahead log; later commits have larger ones."""
IDENTITY_CHARS: Final = 32
_SNAPSHOT: Final = re.compile(r"\d{1,20}:\d{1,20}:(\d{1,20}(,\d{1,20})*)?", re.ASCII)
IDS: Final = 1 << 32
"""Transactions after which the source's ids begin again."""


def lsn_text(lsn: Lsn) -> str:
    """Return a position as PostgreSQL writes it, like `0/16B3748`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_of(text: str) -> Lsn:
    """Return the position that PostgreSQL's text names.

    Raises:
        ValueError: the text is no position.
    """
    high, _, low = text.partition("/")
    return Lsn((int(high, 16) << 32) + int(low, 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The transactions that a snapshot shows; the stream tells of some of them once more."""

    snapshot: str
    """PostgreSQL's `pg_snapshot` as text: `xmin:xmax:` and the ids in between that were open."""
    until: Lsn
    """The commit of every transaction that the snapshot shows is before this position."""

    def holds(self, transaction: int) -> bool:
        """Return whether the snapshot shows a transaction, by its id modulo `IDS`."""
        oldest, end, open_ = self.snapshot.split(":")
        ahead = (transaction - int(end)) % IDS
        whole = int(end) + (ahead if ahead < IDS // 2 else ahead - IDS)
        if whole < int(oldest):
            return True
        return whole < int(end) and str(whole) not in open_.split(",")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPosition:
    """Where a log stands in its source's change stream."""

    at: Lsn
    """Everything that was committed before this position is in the log."""
    identity: str
    """Identity of the server and its tables; the stream of another one cannot continue the log."""
    shown: Shown | None = None
    """Commits after `at` that the log has as well: a snapshot showed them to a poll."""

    def moved(self, at: Lsn) -> "StreamPosition":
        """Return the position after everything that was committed before another position."""
        shown = self.shown if self.shown is not None and at < self.shown.until else None
        return StreamPosition(at=at, identity=self.identity, shown=shown)

    def has(self, lsn: Lsn, transaction: int) -> bool:
        """Return whether the log has a commit already."""
        if lsn < self.at:
            return True
        return self.shown is not None and lsn < self.shown.until and self.shown.holds(transaction)


@dataclass(frozen=True, slots=True)
class NoStream:
    """Why a snapshot's cut cannot be continued by a change stream."""

    reason: str


def is_snapshot(text: str) -> bool:
    """Return whether a text is PostgreSQL's for a snapshot, as a log keeps it."""
    return _SNAPSHOT.fullmatch(text) is not None


def identity_of(server: Mapping[str, str], tables: Mapping[Kind, Mapping[str, str]]) -> str:
    """Return what stands for a server and its tables in the log."""
    identity = [dict(server), {kind.value: dict(one) for kind, one in tables.items()}]
    return sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()[:IDENTITY_CHARS]


class SourceCommit(NamedTuple):
    """One transaction of the source, by the record of its commit."""

    lsn: Lsn
    """Start of that record."""
    time: datetime
    """When it was committed, by the source's clock, UTC."""
    transaction: int
    """Its id, modulo `IDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPut:
    """A row was inserted or updated."""

    kind: Kind
    columns: Mapping[str, Any]
    """Values of the known columns, typed as in the kind's row type."""
    extras: Mapping[str, str]
    unchanged: frozenset[str]
    """Columns that kept their values, which the stream therefore does not tell."""
    former_key: str | None = None
    """The key that the row had before; None if it is a new row, or kept its key."""


RowChange: TypeAlias = RowPut | RowKey
"""A row that was put, or the key of one that was deleted."""


def position_json(position: StreamPosition) -> dict[str, str]:
    """Return a position as it stands in `cut.closed`."""
    found = {"at": lsn_text(position.at), "identity": position.identity}
    if position.shown is not None:
        found |= {"snapshot": position.shown.snapshot, "until": lsn_text(position.shown.until)}
    return found


def position_of(found: Mapping[str, Any]) -> StreamPosition:
    """Return what `position_json` has written.

    Raises:
        KeyError, TypeError, ValueError: it has not.
    """
    shown = None
    if "snapshot" in found:
        if not is_snapshot(snapshot := str(found["snapshot"])):
            raise ValueError(f"{snapshot!r:.80} is no snapshot")
        shown = Shown(snapshot=snapshot, until=lsn_of(found["until"]))
    return StreamPosition(at=lsn_of(found["at"]), identity=str(found["identity"]), shown=shown)
