"""`log`: the events with offset, time, type and subject."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, assert_never

import typer
from rich.console import Console

from replicator.cli.command import LIST_MAX, OFFSET_MAX, OpenCall, Outcome
from replicator.cli.console import paper
from replicator.cli.verb import verb
from replicator.errors import ConfigError, NotFoundError
from replicator.model.event import CutClosed, Entry, Offset, RowChanged, key_of_event
from replicator.model.peek import segment_name
from replicator.model.row import Kind, datasource_of
from replicator.model.wire import EVENT_TYPES, event_type
from replicator.services.history.datasources import is_known, nearest
from replicator.services.history.reader import History

FOLLOW_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    datasource: str | None
    type: str | None

    def takes(self, entry: Entry) -> bool:
        if self.type is not None and event_type(entry.event) != self.type:
            return False
        return self.datasource is None or self.datasource in _datasource(entry)


@verb("log")
async def log(
    call: OpenCall,
    start: Annotated[int, typer.Option("--from", min=0, max=OFFSET_MAX, help="First offset.")] = 0,
    end: Annotated[
        int | None, typer.Option("--to", min=0, max=OFFSET_MAX, help="Last offset.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=LIST_MAX, help="At most so many events.")
    ] = 1000,
    datasource: Annotated[str | None, typer.Option("--datasource")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only this type of event.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as events come.")] = False,
) -> Outcome:
    """List the events of the log."""
    application = call.application
    if type_ is not None and type_ not in EVENT_TYPES:
        raise ConfigError(f"there is no event type {type_!r}; there are {', '.join(EVENT_TYPES)}")
    wanted = _Filter(datasource=datasource, type=type_)
    if follow:
        return await _follow(application.history, Offset(start), wanted)
    found: list[Entry] = []
    await _collect(application.history, Offset(start), end, wanted, limit, found.append)
    if datasource is not None and not found:
        await _require_known(application.history, datasource)
    return Outcome(
        result={"events": [_json(entry) for entry in found]},
        show=lambda console: _show_all(console, found),
    )


async def _collect(
    history: History,
    start: Offset,
    end: int | None,
    wanted: _Filter,
    limit: int,
    take: Callable[[Entry], None],
) -> Offset:
    """Take matching events from `start` to `end`; return the offset after the last one read."""
    taken = 0
    span = await history.span()
    at = Offset(max(start, span.first))
    while entries := await history.entries(at):
        for entry in entries:
            if taken >= limit or (end is not None and entry.offset > end):
                return at
            if wanted.takes(entry):
                take(entry)
                taken += 1
            at = Offset(entry.offset + 1)
    return at


async def _require_known(history: History, datasource: str) -> None:
    """Refuse a datasource that no event speaks of.

    Raises:
        NotFoundError: so it is; its hint names what may have been meant.
    """
    found: list[Entry] = []
    wanted = _Filter(datasource=datasource, type=None)
    await _collect(history, Offset(0), None, wanted, 1, found.append)
    if not found and not await is_known(history, datasource):
        raise NotFoundError(
            f"the log has no event of a datasource {datasource!r}",
            hint=await nearest(history, datasource),
        )


async def _follow(history: History, start: Offset, wanted: _Filter) -> Outcome:
    console = paper()
    while True:
        with suppress(NotFoundError):  # the watcher has not made it yet
            start = await _collect(
                history, start, None, wanted, sys.maxsize, lambda entry: _show(console, entry)
            )
        await asyncio.sleep(FOLLOW_INTERVAL_S)


def _json(entry: Entry) -> dict[str, Any]:
    return {
        "offset": entry.offset,
        "cut": entry.envelope.cut,
        "time": entry.envelope.time,
        "type": event_type(entry.event),
        "subject": _subject(entry),
        "datasource": sorted(_datasource(entry)),
        "detail": _detail(entry),
    }


def _show_all(console: Console, entries: list[Entry]) -> None:
    for entry in entries:
        _show(console, entry)


def _show(console: Console, entry: Entry) -> None:
    time = _time(entry.envelope.time)
    console.print(
        f"{entry.offset:>8}  {time}  {event_type(entry.event):<22} {_subject(entry)}"
        f"  {_detail(entry)}",
        markup=False,
    )


def _subject(entry: Entry) -> str:
    event = entry.event
    return str(event.cut) if isinstance(event, CutClosed) else key_of_event(event).key


def _datasource(entry: Entry) -> frozenset[str]:
    """Return the datasource that an event speaks of; several where an id leaves it open."""
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
        case Kind.CONFIG | Kind.SEGMENT_SCHEMA | Kind.INDEXING_STATE:
            return frozenset()
        case _:
            assert_never(kind)


def _beginnings(key: str) -> frozenset[str]:
    return frozenset(key[:at] for at in range(len(key) + 1) if at == len(key) or key[at] == "_")


def _detail(entry: Entry) -> str:
    event = entry.event
    if isinstance(event, CutClosed):
        return f"{event.count} events"
    if not isinstance(event, RowChanged):
        return ""
    new = "new" if event.previous is None else "changed"
    used = getattr(event.row, "used", None)
    return new if used is None else f"{new}, {'used' if used else 'unused'}"


def _time(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
