"""Events of the log as `log` lists them: their selection and their members."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from replicator.model.event import CutClosed, Entry, Offset, Record, RowChanged, key_of_event
from replicator.model.log.peek import segment_name, subject_of
from replicator.model.log.wire import event_type
from replicator.model.operations.words import counted
from replicator.model.row import Kind, datasource_of
from replicator.services.history.reader import History

STEP: Final = 2_000
"""Number of offsets that one read of the newest events covers."""
OPEN_ID_CHARS_MAX: Final = 255
"""Longest id whose possible datasources are listed: as long as Druid's column is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Selection of events."""

    datasource: str | None = None
    """Only those that speak of it."""
    type: str | None = None
    """Only this type, such as `segment.published`."""

    def takes(self, entry: Entry) -> bool:
        """Return whether an event is wanted."""
        if self.type is not None and event_type(entry.event) != self.type:
            return False
        return self.datasource is None or _is_of(entry, self.datasource)

    def may_take(self, record: Record) -> bool:
        """Return whether a record could be wanted, by its text alone."""
        if self.type is not None and record.type != self.type:
            return False
        if self.datasource is None:
            return True
        found = subject_of(record)
        if found is None:
            return False
        return found.kind is not Kind.SEGMENT or found.is_of(self.datasource)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestEvents:
    """Events before an offset, newest first."""

    entries: Sequence[Entry]
    earlier: Offset | None
    """Offset from which to continue backwards; None: the log's start was reached."""


async def newest_events(
    history: History, wanted: LogFilter, *, before: Offset | None, limit: int, records_max: int
) -> NewestEvents:
    """Return the newest `limit` wanted events before an offset, from the newest `records_max` ones.

    Raises:
        TransientError: the log cannot be reached.
        NotFoundError: there is no log.
        GapError: the next records have been trimmed meanwhile.
    """
    span = await history.span()
    end = span.end if before is None else min(before, span.end)
    stop = max(span.first, end - records_max)
    found = list[Entry]()
    while end > stop and len(found) < limit:
        start = Offset(max(stop, end - STEP))
        found += reversed(await _wanted(history, wanted, start, Offset(end)))
        end = start
    if len(found) > limit:
        found = found[:limit]
        end = found[-1].offset
    return NewestEvents(entries=found, earlier=Offset(end) if end > span.first else None)


async def _wanted(history: History, wanted: LogFilter, start: Offset, end: Offset) -> list[Entry]:
    found = list[Entry]()
    while start < end and (records := await history.raw(start)):
        likely = [one for one in records if one.offset < end and wanted.may_take(one)]
        entries = (history.entry(record) for record in likely)
        found += [entry for entry in entries if wanted.takes(entry)]
        start = Offset(records[-1].offset + 1)
    return found


def event_json(entry: Entry) -> dict[str, Any]:
    """Return an event as `log --json` lists it."""
    return {
        "offset": entry.offset,
        "cut": entry.envelope.cut,
        "time": entry.envelope.time,
        "type": event_type(entry.event),
        "subject": subject_text(entry),
        "datasource": sorted(datasources_of(entry)),
        "detail": detail_text(entry),
    }


def subject_text(entry: Entry) -> str:
    """Return an event's subject: a cut's number, or a row's key."""
    event = entry.event
    return str(event.cut) if isinstance(event, CutClosed) else key_of_event(event).key


def detail_text(entry: Entry) -> str:
    """Return in a few words what an event says."""
    event = entry.event
    if isinstance(event, CutClosed):
        return counted(event.count, "event")
    if not isinstance(event, RowChanged):
        return ""
    new = "new" if event.previous is None else "changed"
    used = getattr(event.row, "used", None)
    return new if used is None else f"{new}, {'used' if used else 'unused'}"


def _is_of(entry: Entry, datasource: str) -> bool:
    """Return whether an event is, or could be, about a datasource."""
    event = entry.event
    if not isinstance(event, RowChanged | CutClosed) and event.key.kind is Kind.SEGMENT:
        key = event.key.key
        if segment_name(key) is None:
            return key == datasource or key.startswith(f"{datasource}_")
    return datasource in datasources_of(entry)


def datasources_of(entry: Entry) -> frozenset[str]:
    """Return the datasource of an event; several if an id leaves it open.

    None for an id that is longer than Druid's: what it leaves open grows by the square.
    """
    event = entry.event
    if isinstance(event, RowChanged):
        name = datasource_of(event.row)
        return frozenset() if name is None else frozenset({name})
    if isinstance(event, CutClosed):
        return frozenset()
    kind, key = event.key
    match kind:
        case Kind.SEGMENT:
            found = segment_name(key)
            return _beginnings(key) if found is None else frozenset({found.datasource})
        case Kind.COMMIT | Kind.RULES | Kind.SUPERVISOR:
            return frozenset({key})
        case (
            Kind.CONFIG
            | Kind.SEGMENT_SCHEMA
            | Kind.INDEXING_STATE
            | Kind.TABLE_DEFINITION
            | Kind.AUDIT
        ):
            return frozenset()
        case _:
            assert_never(kind)


def _beginnings(key: str) -> frozenset[str]:
    if len(key) > OPEN_ID_CHARS_MAX:
        return frozenset()
    return frozenset(key[:at] for at in range(len(key) + 1) if at == len(key) or key[at] == "_")
