"""`log`: the events with offset, time, type and subject."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
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
    subject_text,
)

FOLLOW_INTERVAL_S = 1.0


@verb("log", changes=Changes.NEVER)
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
    wanted = LogFilter(datasource=datasource, type=type_)
    if follow:
        return await _follow(application.history, Offset(start), wanted)
    found: list[Entry] = []
    await _collect(application.history, Offset(start), end, wanted, limit, found.append)
    if datasource is not None and not found:
        await _require_known(application.history, datasource)
    return Outcome(
        result={"events": [event_json(entry) for entry in found]},
        show=lambda console: _show_all(console, found),
    )


async def _collect(
    history: History,
    start: Offset,
    end: int | None,
    wanted: LogFilter,
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
    wanted = LogFilter(datasource=datasource, type=None)
    await _collect(history, Offset(0), None, wanted, 1, found.append)
    if not found and not await is_known(history, datasource):
        raise NotFoundError(
            f"the log has no event of a datasource {datasource!r}",
            hint=await nearest(history, datasource),
        )


async def _follow(history: History, start: Offset, wanted: LogFilter) -> Outcome:
    console = paper()
    while True:
        with suppress(NotFoundError):  # the watcher has not made it yet
            start = await _collect(
                history, start, None, wanted, sys.maxsize, lambda entry: _show(console, entry)
            )
        await asyncio.sleep(FOLLOW_INTERVAL_S)


def _show_all(console: Console, entries: list[Entry]) -> None:
    for entry in entries:
        _show(console, entry)


def _show(console: Console, entry: Entry) -> None:
    time = _time(entry.envelope.time)
    console.print(
        f"{entry.offset:>8}  {time}  {event_type(entry.event):<22} {subject_text(entry)}"
        f"  {detail_text(entry)}",
        markup=False,
    )


def _time(time: datetime) -> str:
    return whole_time(time)
