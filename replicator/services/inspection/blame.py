"""Finds which events changed a segment or a datasource, when, and which user asked for it.

Two passes over the log's raw events: the first keeps the newest events of the subject, the second
reads what the rows were before the first of these.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from replicator.errors import (
    ConfigError,
    CorruptionError,
    NotFoundError,
    TransientError,
)
from replicator.model.druid.interval import Interval
from replicator.model.event import (
    ClosedCut,
    CutClosed,
    Entry,
    Envelope,
    Offset,
    Record,
    RowChanged,
    RowEvent,
    key_of_event,
)
from replicator.model.log.change import Change, change
from replicator.model.log.peek import EventSubject, kind_of, segment_name, subject_of
from replicator.model.observation import Observer
from replicator.model.operations.clocks import CLOCK_SKEW_MAX
from replicator.model.row import DEFAULT_RULES, AuditRow, Kind, Row, RowKey, Supervisor
from replicator.ports import AuditTrail
from replicator.services.history.datasources import ingests_into, nearest
from replicator.services.history.reader import History
from replicator.services.history.search import search

SUBMITTED_BEFORE_MAX = timedelta(hours=1)
"""How long before its rows appear a task may have been submitted."""
AUDIT_ROWS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Blamed:
    """One event, its effect, and the two times between which it happened at the source."""

    offset: Offset
    envelope: Envelope
    """Envelope of the event; its time is the cut's, by the source database's clock."""
    event: RowEvent
    change: Change
    after: datetime | None
    """When the previous cut was taken, which lacks the event; None if there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """The newest events that changed one subject, oldest first."""

    datasource: str
    """Datasource that was requested, or that of the segment."""
    count: int
    """Number of all such events in the log."""
    events: Sequence[Blamed]
    audit: Sequence[AuditRow] = ()
    audit_missing: str | None = None
    """Why there are no audit rows; None if they could be read."""


class Blamer:
    """Searches for the events that changed a subject."""

    def __init__(self, *, history: History, trail: AuditTrail, observer: Observer) -> None:
        self._history = history
        self._trail = trail
        self._observer = observer

    async def blame(self, name: str, *, interval: Interval | None, limit: int) -> Blame:
        """Return the newest `limit` events that changed the segment or datasource of this name.

        With `interval` only the events of a datasource's segments that overlap it.

        Raises:
            NotFoundError: no event of a closed cut is about the subject.
        """
        subject = _Subject(name, interval)
        if subject.has_controls:
            subject.supervisors = await self._supervisors(name)
        newest = _Newest(limit, subject)
        await search(self._history, subject.wanted, newest, observer=self._observer)
        if not newest.named_count:
            within = "" if interval is None else f" in {interval}"
            raise NotFoundError(
                f"the log has no event of a segment or datasource {name!r}{within}",
                hint=await nearest(self._history, subject.datasource),
            )
        found = [(self._history.entry(record), after) for record, after in newest.found_records]
        rows = await self._before(subject, [(_event(entry), entry.offset) for entry, _ in found])
        events = [
            Blamed(
                offset=entry.offset,
                envelope=entry.envelope,
                event=_event(entry),
                change=_change(_event(entry), rows),
                after=after,
            )
            for entry, after in found
        ]
        audit, missing = await self._audit(subject.datasource, events, newest)
        return Blame(
            datasource=subject.datasource,
            count=newest.count,
            events=events,
            audit=audit,
            audit_missing=missing,
        )

    async def _supervisors(self, datasource: str) -> frozenset[str]:
        """Return the ids of all supervisors that ever ingested into a datasource."""
        end = (await self._history.span()).end
        rows = self._history.rows(Kind.SUPERVISOR, end)
        return frozenset(
            [
                row.spec_id
                async for row in rows
                if isinstance(row, Supervisor) and ingests_into(row) == datasource
            ]
        )

    async def _before(
        self, subject: "_Subject", events: Sequence[tuple[RowEvent, Offset]]
    ) -> dict[RowKey, Row]:
        """Return what the rows were before the first of these events about each of them."""
        firsts: dict[RowKey, tuple[RowEvent, Offset]] = {}
        for event, offset in events:
            firsts.setdefault(key_of_event(event), (event, offset))
        wanted = {key: at for key, (event, at) in firsts.items() if event.previous is not None}
        if not wanted:
            return {}

        def earlier(record: Record) -> EventSubject | None:
            found = subject.wanted(record)
            if found is None or record.offset >= wanted.get(RowKey(found.kind, found.key), -1):
                return None
            return found

        latest = _LatestPerKey()
        until = Offset(max(wanted.values()))
        await search(self._history, earlier, latest, until=until, observer=self._observer)
        found = [self._history.entry(record).event for record in latest.found_records.values()]
        return {key_of_event(event): event.row for event in found if isinstance(event, RowChanged)}

    async def _audit(
        self, datasource: str, events: Sequence[Blamed], newest: "_Newest"
    ) -> tuple[Sequence[AuditRow], str | None]:
        """Return the requests of that time: those that the log keeps, and those of the source."""
        since = (events[0].after or events[0].envelope.time) - SUBMITTED_BEFORE_MAX
        # Druid's servers date audit rows by their own clocks, and a cut has the database's time.
        until = events[-1].envelope.time + CLOCK_SKEW_MAX
        rows = [_audit_row(self._history.entry(record)) for record in newest.audit_records]
        kept = {row.id: row for row in rows if row.is_about(datasource, since, until)}
        try:
            found = await self._trail.audit(
                datasource, since=since, until=until, rows_max=AUDIT_ROWS_MAX
            )
        except (ConfigError, TransientError) as exc:
            return _in_order(kept), None if newest.audit_kept else str(exc)
        return _in_order(kept | {row.id: row for row in found}), None


class _Subject:
    """Decides which events are about a segment, a datasource, or an interval of a datasource."""

    def __init__(self, name: str, interval: Interval | None) -> None:
        self._name = name
        self._interval = interval
        segment = segment_name(name)
        self._is_like_a_segment = segment is not None
        self.datasource = name if segment is None else segment.datasource
        # As a record's JSON has it: only records with these bytes are decoded at all.
        self._text = orjson.dumps(name)[1:-1]
        self.supervisors = frozenset[str]()
        """Supervisors of the datasource: since Druid 34 offsets carry a supervisor's name."""

    @property
    def has_controls(self) -> bool:
        """Whether rules, offsets and supervisors belong to the subject."""
        return not self._is_like_a_segment and self._interval is None

    def wanted(self, record: Record) -> EventSubject | None:
        """Return what a record is about, if that belongs to the subject."""
        match kind_of(record):
            case Kind.SEGMENT:
                found = subject_of(record) if self._text in record.data else None
                return found if found is not None and self._is_of(found) else None
            case Kind.RULES | Kind.COMMIT | Kind.SUPERVISOR as kind:
                found = subject_of(record) if self.has_controls else None
                return found if found is not None and self._controls(kind, found.key) else None
            case Kind.AUDIT:
                return subject_of(record)
            case _:
                return None

    def mentions(self, record: Record) -> bool:
        """Return whether a record's text has the subject's name."""
        return self._text in record.data or orjson.dumps(self.datasource)[1:-1] in record.data

    def is_named(self, found: EventSubject) -> bool:
        """Return whether an event is about the subject alone, not about all datasources."""
        return (found.kind, found.key) != (Kind.RULES, DEFAULT_RULES) or (
            self._name == DEFAULT_RULES
        )

    def _is_of(self, found: EventSubject) -> bool:
        if self._is_like_a_segment and found.key == self._name:
            return True
        if not found.is_of(self._name):
            return False
        self.datasource = self._name  # a datasource can have a name like a segment's
        return self._interval is None or found.interval.overlaps(self._interval)

    def _controls(self, kind: Kind, key: str) -> bool:
        if kind is Kind.RULES:
            return key in {self._name, DEFAULT_RULES}
        return key in self.supervisors or (kind is Kind.COMMIT and key == self._name)


class _Newest:
    """A `Visitor` that keeps the newest events, and when the cut before each was taken."""

    def __init__(self, limit: int, subject: _Subject) -> None:
        self.found_records: deque[tuple[Record, datetime | None]] = deque(maxlen=limit)
        self.count = 0
        self.named_count = 0
        self.audit_records: deque[Record] = deque(maxlen=AUDIT_ROWS_MAX)
        self.audit_kept = False
        """Whether the log keeps audit rows, of whatever subject."""
        self._open_audit: deque[Record] = deque(maxlen=AUDIT_ROWS_MAX)
        self._subject = subject
        self._open: deque[Record] = deque(maxlen=limit)
        self._open_count = 0
        self._open_named_count = 0
        self._last: datetime | None = None

    def see(self, found: EventSubject, record: Record) -> None:
        if found.kind is Kind.AUDIT:
            self.audit_kept = True
            if not found.is_removal and self._subject.mentions(record):
                self._open_audit.append(record)
            return
        self._open.append(record)
        self._open_count += 1
        self._open_named_count += self._subject.is_named(found)

    def close(self, cut: ClosedCut) -> None:
        self.found_records.extend((record, self._last) for record in self._open)
        self.count += self._open_count
        self.named_count += self._open_named_count
        self.audit_records.extend(self._open_audit)
        self._last = cut.closed.source_time
        self.discard()

    def discard(self) -> None:
        self._open.clear()
        self._open_audit.clear()
        self._open_count = self._open_named_count = 0


class _LatestPerKey:
    """A `Visitor` that keeps the last event of each row."""

    def __init__(self) -> None:
        self.found_records: dict[RowKey, Record] = {}
        self._open: dict[RowKey, Record] = {}

    def see(self, found: EventSubject, record: Record) -> None:
        self._open[RowKey(found.kind, found.key)] = record

    def close(self, _: ClosedCut) -> None:
        self.found_records |= self._open
        self.discard()

    def discard(self) -> None:
        self._open = {}


def _audit_row(entry: Entry) -> AuditRow:
    if isinstance(event := entry.event, RowChanged) and isinstance(event.row, AuditRow):
        return event.row
    raise CorruptionError(f"the record at offset {entry.offset} is not what its type says")


def _in_order(rows: Mapping[int, AuditRow]) -> Sequence[AuditRow]:
    found = sorted(rows.values(), key=lambda row: (row.created_date, row.id))
    return found[-AUDIT_ROWS_MAX:]


def _event(entry: Entry) -> RowEvent:
    if isinstance(entry.event, CutClosed):
        raise CorruptionError(f"the record at offset {entry.offset} is not what its type says")
    return entry.event


def _change(event: RowEvent, rows: dict[RowKey, Row]) -> Change:
    """Return what an event did to its row in `rows`, and update the row there."""
    found = change(event, rows.get(key_of_event(event)))
    if isinstance(event, RowChanged):
        rows[key_of_event(event)] = event.row
    else:
        rows.pop(event.key, None)
    return found
