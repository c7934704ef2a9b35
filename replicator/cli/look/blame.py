"""`blame`: shows which events changed a segment or a datasource, when, and at whose request."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from replicator.cli.command import Changes, OpenCall, Outcome
from replicator.cli.look.blame_summary import Summary, summary, undo_lines
from replicator.cli.terminal.paragraphs import Paragraph, paragraphs
from replicator.cli.terminal.typed import LIST_MAX, parse_interval
from replicator.cli.verb import verb
from replicator.model.event import key_of_event
from replicator.model.log.wire import event_type
from replicator.model.operations.clocks import CLOCK_SKEW_MAX
from replicator.model.operations.words import counted, whole_time
from replicator.model.row import AuditRow
from replicator.model.timestamps import time_of
from replicator.services.inspection.blame import Blame, Blamed


@verb("blame", changes=Changes.NEVER)
async def blame(
    call: OpenCall,
    name: Annotated[str, typer.Argument(help="A segment's id, or a datasource.")],
    interval: Annotated[
        str | None,
        typer.Option("--interval", help="Only segments that overlap it: START/END, dates in UTC."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=LIST_MAX, help="Show at most N events.")
    ] = 100,
) -> Outcome:
    """Show the events that changed a segment or a datasource, the newest last."""
    within = None if interval is None else parse_interval(interval)
    found = await call.application.blamer().blame(name, interval=within, limit=limit)
    first = await summary(
        call.application,
        found.datasource,
        found.audit,
        printed=call.typed.printed,
        observer=call.screen.observe,
    )
    return Outcome(
        result={
            "name": name,
            "interval": interval,
            "summary": list(first.lines),
            "undo": list(first.undo),
            **_json(found),
        },
        show=lambda console: _show(console, name, found, first),
    )


def _json(found: Blame) -> dict[str, Any]:
    return {
        "datasource": found.datasource,
        "count": found.count,
        "events": [_event_json(one, found.audit) for one in found.events],
        "audit": [  # without payloads: a request may hold a password, and any viewer may ask
            {
                "id": row.id,
                "time": row.created_date,
                "key": row.audit_key,
                "type": row.type,
                "author": row.author,
                "comment": row.comment,
            }
            for row in found.audit
        ],
        "audit_missing": found.audit_missing,
    }


def _event_json(one: Blamed, audit: Sequence[AuditRow]) -> dict[str, Any]:
    return {
        "offset": one.offset,
        "cut": one.envelope.cut,
        "time": one.envelope.time,
        "after": one.after,
        "type": event_type(one.event),
        "subject": key_of_event(one.event).key,
        "what": str(one.change.what),
        "details": list(one.change.details),
        "audit": [row.id for row in audit if _fits(row, one)],
    }


def _fits(row: AuditRow, one: Blamed) -> bool:
    """Return whether an audit row lies between an event's cut and the cut before it."""
    if (requested_at := time_of(row.created_date)) is None:
        return False
    if one.after is not None and requested_at < one.after - CLOCK_SKEW_MAX:
        return False
    return requested_at <= one.envelope.time + CLOCK_SKEW_MAX


def _show(console: Console, name: str, found: Blame, first: Summary) -> None:
    for line in paragraphs([Paragraph("in short", first.lines)], console.width):
        console.print(line, markup=False)
    console.print()
    for line in _lines(found):
        console.print(line, markup=False)
    if found.count > len(found.events):
        console.print(
            f"the newest {len(found.events)} of {counted(found.count, 'event')} (--limit)"
        )
    if found.audit_missing is not None:
        console.print(f"without the source's audit rows: {found.audit_missing}", markup=False)
    elif not found.audit:
        console.print(f"the source's audit table has nothing of {name} in this time", markup=False)
    for line in undo_lines(first):
        console.print(line, markup=False)


def _lines(found: Blame) -> Iterator[str]:
    """Yield events and audit rows in the order of their times."""
    audit = list(found.audit)
    for one in found.events:
        time = _text(one.envelope.time)
        while audit and audit[0].created_date <= time:
            yield _audit_line(audit.pop(0))
        subject = key_of_event(one.event).key
        yield f"{one.offset:>8}  cut {one.envelope.cut}  {time}  {one.change.what}  {subject}"
        yield from (f"            {detail}" for detail in one.change.details)
    yield from map(_audit_line, audit)


def _audit_line(row: AuditRow) -> str:
    comment = f": {row.comment}" if row.comment else ""
    who = row.author or "an unknown user"
    return f"   audit  {row.created_date}  {row.type} {row.audit_key} by {who}{comment}"


def _text(time: datetime) -> str:
    return whole_time(time)
