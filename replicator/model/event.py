"""Facts about a source cluster, and where they stand in its log."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, NewType, TypeAlias

from replicator.model.fingerprint import Digest, Fingerprint
from replicator.model.row import Row, RowKey, key_of

if TYPE_CHECKING:
    from replicator.model.stream import StreamPosition

Offset = NewType("Offset", int)
"""A record's place in the log; later records have larger offsets, gaps between them are normal."""
Epoch = NewType("Epoch", int)
"""Fencing token: a writer with a smaller one than the newest cannot write."""
CutNumber = NewType("CutNumber", int)
"""Counts the cuts of one log from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanged:
    """The row exists with this content: it is new, or any column or payload byte changed."""

    row: Row
    fingerprint: Fingerprint
    previous: Fingerprint | None
    """Fingerprint of the row in the previous cut; None if there was no such row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRemoved:
    """The row is gone from the metadata store (for a segment: a kill task ran)."""

    key: RowKey
    previous: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class CutClosed:
    """Ends a cut: everything the source's metadata held at one instant is in the log now."""

    cut: CutNumber
    source_time: datetime
    """The source database's own clock at the snapshot or at the commit, UTC."""
    count: int
    """How many events the cut holds, this one not counted."""
    digest: Digest
    """Digest of the whole inventory after the cut."""
    epoch: Epoch
    distrusts_versions: bool = False
    """Whether the source's row versions have missed a change, and no operator has allowed since to
    trust them again."""
    stream: "StreamPosition | None" = field(default=None, compare=False)
    """Position from which the source's change stream continues this cut; None: it cannot. Only the
    log keeps it: a target's history has no use for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedCut:
    """A cut by its closing record."""

    offset: Offset
    closed: CutClosed


RowEvent: TypeAlias = RowChanged | RowRemoved
Event: TypeAlias = RowChanged | RowRemoved | CutClosed


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What all events of one poll have in common."""

    source: str
    cut: CutNumber
    epoch: Epoch
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One encoded event, ready for a log."""

    type: str
    subject: str
    data: bytes


class Record(NamedTuple):
    """One document at its offset; a tuple, because millions of them are made."""

    offset: Offset
    appended_at: datetime
    """UTC, the log's clock."""
    type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One decoded event at its offset."""

    offset: Offset
    envelope: Envelope
    event: Event


def key_of_event(event: RowEvent) -> RowKey:
    """Return the key of the row that the event speaks of."""
    return key_of(event.row) if isinstance(event, RowChanged) else event.key
