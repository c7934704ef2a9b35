"""`log`: lists events with offset, time, type and subject."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from replicator.cli.command import Changes, OpenCall, Outcome
from replicator.cli.terminal.console import paper
from replicator.cli.terminal.typed import LIST_MAX, OFFSET_MAX
from replicator.cli.verb import verb
from replicator.errors import ConfigError, NotFoundError
from replicator.model.event import Entry, Offset
from replicator.model.log.wire import EVENT_TYPES, event_type
from replicator.model.operations.words import whole_time
from replicator.services.history.datasources import is_known, nearest
from replicator.services.history.reader import History
from replicator.services.inspection.log_listing import (
    LogFilter,
    detail_text,
    event_json,
    newest_events,
    subject_text,
)

FOLLOW_INTERVAL_S = 1.0


@verb("log", changes=Changes.NEVER)
async def log(
    call: OpenCall,
    start: Annotated[
        int | None,
        typer.Option("--from", min=0, max=OFFSET_MAX, help="First offset."),
    ] = None,
    end: Annotated[
        int | None, typer.Option("--to", min=0, max=OFFSET_MAX, help="Last offset.")
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            min=1,
            max=LIST_MAX,
            help="Show at most N events: the newest, or with --from the first from there on.",
        ),
    ] = 1000,
    datasource: Annotated[str | None, typer.Option("--datasource")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only this type of event.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new events.")] = False,
) -> Outcome:
    """List the events of the log."""
    application = call.application
    if type_ is not None and type_ not in EVENT_TYPES:
        raise ConfigError(f"there is no event type {type_!r}; there are {', '.join(EVENT_TYPES)}")
    wanted = LogFilter(datasource=datasource, type=type_)
    if follow:
        return await _follow(application.history, start, wanted, limit)
    found = await _listed(application.history, start, end, wanted, limit)
    if datasource is not None and not found.events:
        await _require_known(application.history, datasource)
    return Outcome(
        result={"events": [event_json(entry) for entry in found.events]},
        show=lambda console: _show_all(console, found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ShownEvents:
    """Events in the order of the log, and how to list those that were left out."""

    events: Sequence[Entry]
    left: str
    """Options that list the events that were left out; empty: none were."""


async def _listed(
    history: History, start: int | None, end: int | None, wanted: LogFilter, limit: int
) -> _ShownEvents:
    """Return the first events from `start` on, or without `start` the newest ones up to `end`."""
    if start is None:
        before = None if end is None else Offset(end + 1)
        newest = await newest_events(
            history, wanted, before=before, limit=limit, records_max=sys.maxsize
        )
        older = newest.earlier
        left = (
            ""
            if older is None
            else f"older ones, if any, come with --to {older - 1} or a larger --limit"
        )
        return _ShownEvents(events=newest.entries[::-1], left=left)
    found: list[Entry] = []
    after = await _collect(history, Offset(start), end, wanted, limit, found.append)
    left = (
        f"newer ones, if any, come with --from {after} or a larger --limit"
        if len(found) == limit
        else ""
    )
    return _ShownEvents(events=found, left=left)


async def _collect(
    history: History,
    start: Offset,
    end: int | None,
    wanted: LogFilter,
    limit: int,
    take: Callable[[Entry], None],
) -> Offset:
    """Collect matching events from `start` to `end`; return the offset after the last one read."""
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
    """Refuse a datasource that no event refers to.

    Raises:
        NotFoundError: the log has no such event; the hint suggests a similar name.
    """
    found: list[Entry] = []
    wanted = LogFilter(datasource=datasource, type=None)
    await _collect(history, Offset(0), None, wanted, 1, found.append)
    if not found and not await is_known(history, datasource):
        raise NotFoundError(
            f"the log has no event of a datasource {datasource!r}",
            hint=await nearest(history, datasource),
        )


async def _follow(history: History, start: int | None, wanted: LogFilter, limit: int) -> Outcome:
    """Print the newest events, or those from `start` on, and then each new event."""
    console = paper()
    while True:
        with suppress(NotFoundError):  # the watcher has not created the log yet
            if start is None:
                start = (await history.span()).end
                newest = await newest_events(
                    history, wanted, before=Offset(start), limit=limit, records_max=sys.maxsize
                )
                for entry in reversed(newest.entries):
                    _show(console, entry)
            start = await _collect(
                history, Offset(start), None, wanted, sys.maxsize, partial(_show, console)
            )
        await asyncio.sleep(FOLLOW_INTERVAL_S)


def _show_all(console: Console, found: _ShownEvents) -> None:
    for entry in found.events:
        _show(console, entry)
    if found.left:
        console.print(found.left)


def _show(console: Console, entry: Entry) -> None:
    time = _time(entry.envelope.time)
    console.print(
        f"{entry.offset:>8}  {time}  {event_type(entry.event):<22} {subject_text(entry)}"
        f"  {detail_text(entry)}",
        markup=False,
    )


def _time(time: datetime) -> str:
    return whole_time(time)
