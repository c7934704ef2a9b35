"""Many records at once, as columns: checked, hashed, and without the rows themselves.

This is the expensive part of reading a log, some 20 µs per record. It needs only the records, so
it can be done on another core (`ports.Workers`); the result is 57 bytes per event. What must follow
the log's order, cuts and the chain of their digests, is left to `services/history`.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from replicator.errors import CorruptionError, MalformedRowError
from replicator.model.event import (
    CutClosed,
    CutNumber,
    Envelope,
    Epoch,
    Offset,
    Record,
    RowRemoved,
)
from replicator.model.fingerprint import FINGERPRINT_BYTES, fingerprint_of, key_hash
from replicator.model.log.folded_rows import BatchRows, batch_rows
from replicator.model.log.peek import EventSummary, summary_of_row
from replicator.model.log.row_mapping import RowMapping
from replicator.model.log.wire import RawRow, parse, require_source
from replicator.model.row import Kind, datasource_of

_NO_MARK = bytes(FINGERPRINT_BYTES)


class Attempt(NamedTuple):
    """The poll that an event belongs to, whether or not its cut was ever closed."""

    epoch: Epoch
    cut: CutNumber


@dataclass(slots=True)
class AttemptEvents:
    """Consecutive events of one attempt, in parallel columns that grow while it is read."""

    attempt: Attempt
    keys: bytearray = field(default_factory=bytearray)
    marks: bytearray = field(default_factory=bytearray)
    """Fingerprint of each row; zeros where `removed`."""
    removed: bytearray = field(default_factory=bytearray)
    """1 where the row was removed, or does not count."""
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    come: int = 0
    """Sum of the rows' new fingerprints, not reduced."""
    gone: int = 0
    """Sum of the rows' previous fingerprints, not reduced."""

    def add(self, offset: Offset, fact: RawRow | RowRemoved, mark: bytes | None) -> None:
        """Add the next event."""
        self.keys += key_hash(fact.key)
        self.marks += mark or _NO_MARK
        self.removed.append(mark is None)
        self.offsets.append(offset)
        if fact.previous is not None:
            self.gone += int.from_bytes(fact.previous)
        if isinstance(fact, RawRow):
            self.come += int.from_bytes(fact.fingerprint)


class CutClosing(NamedTuple):
    """The record that closes a cut."""

    offset: Offset
    closed: CutClosed


class Reading(NamedTuple):
    """The contents of a batch of records, in their order."""

    parts: Sequence[AttemptEvents | CutClosing]
    last: Offset
    """Offset of the batch's last record."""
    rows: BatchRows | None = None
    """What totals need of the batch's rows, where it was requested."""


def added_up(part: AttemptEvents | CutClosing) -> tuple[int, int] | None:
    """Return how many rows come with a part, and the sum of their fingerprints; None: it closes."""
    return None if isinstance(part, CutClosing) else (len(part.offsets), part.come)


class Rule(Protocol):
    """How a reader that folds a log counts rows; it can be pickled."""

    def mark(self, raw: RawRow, offset: Offset) -> bytes | None:
        """Return the fingerprint by which the row is compared; None: the row does not count."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """Rows in the source's state."""

    def mark(self, raw: RawRow, _: Offset) -> bytes:
        """Return the source's fingerprint."""
        return raw.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class OfKinds:
    """Rows of some tables, in the source's state."""

    kinds: frozenset[Kind]

    def mark(self, raw: RawRow, _: Offset) -> bytes | None:
        """Return the source's fingerprint of a row of these tables."""
        return raw.fingerprint if raw.key.kind in self.kinds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The rows that a restore covers: all of them, or those of one datasource."""

    datasource: str | None = None
    supervisors: frozenset[str] = frozenset()
    """Ids of the datasource's supervisors: their offsets go back with its segments."""

    def holds(self, raw: RawRow) -> bool:
        """Return whether the scope includes the row."""
        if self.datasource is None:
            return True
        name = datasource_of(raw.row())
        return name == self.datasource or (raw.key.kind is Kind.COMMIT and name in self.supervisors)

    def names(self, kind: Kind) -> Sequence[str] | None:
        """Return the datasources of one table's rows to look at; None: all."""
        if self.datasource is None:
            return None
        more = self.supervisors if kind is Kind.COMMIT else frozenset[str]()
        return sorted({self.datasource, *more})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """Rows of a scope in the target's state."""

    mapping: RowMapping
    scope: Scope
    excluded: frozenset[Offset] = frozenset()
    """Offsets of events that do not count."""

    def mark(self, raw: RawRow, offset: Offset) -> bytes | None:
        """Return the fingerprint that the target's own scan must show for the row."""
        if offset in self.excluded or not self.scope.holds(raw):
            return None
        try:
            return self.mapping.fingerprint(raw)
        except MalformedRowError:
            return raw.fingerprint  # picked, and the executor says what is wrong with it


def read(
    records: Sequence[Record], *, source: str, rule: Rule, for_totals: bool = False
) -> Reading:
    """Return the contents of one or more consecutive records, with what totals need of the rows.

    Raises:
        CorruptionError: an event cannot be decoded or does not match its fingerprint.
        ConfigError: an event belongs to another source.
    """
    parts: list[AttemptEvents | CutClosing] = []
    events: AttemptEvents | None = None
    known: Envelope | None = None
    attempt: Attempt | None = None
    offsets: list[Offset] = []
    seen: list[EventSummary] = []
    for record in records:
        offset, envelope, fact = parse(record)
        if attempt is None or envelope is not known:  # the events of one poll share theirs
            require_source(offset, envelope, source)
            known, attempt = envelope, attempt_of(envelope)
        if isinstance(fact, CutClosed):
            parts.append(CutClosing(offset, fact))
            events = None
            continue
        if events is None or events.attempt != attempt:
            events = AttemptEvents(attempt)
            parts.append(events)
        mark = None
        if isinstance(fact, RawRow):
            require_own_fingerprint(offset, fact)
            mark = rule.mark(fact, offset)
            if for_totals and mark is not None:
                offsets.append(offset)
                seen.append(summary_of_row(fact))
        events.add(offset, fact, mark)
    rows = batch_rows(offsets, seen) if for_totals else None
    return Reading(parts=parts, last=records[-1].offset, rows=rows)


def attempt_of(envelope: Envelope) -> Attempt:
    """Return the poll that an event belongs to."""
    return Attempt(envelope.epoch, envelope.cut)


def require_own_fingerprint(offset: Offset, raw: RawRow) -> None:
    """Refuse a row that is not what its event's fingerprint says.

    Raises:
        CorruptionError: it is not.
    """
    if fingerprint_of(raw.text) != raw.fingerprint:
        raise CorruptionError(f"the event at offset {offset} does not match its own fingerprint")
