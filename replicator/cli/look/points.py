"""`points`: what can be restored, and the gaps in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console

from replicator.app import Application
from replicator.app.wiring.stores import OpenStore
from replicator.app.wiring.target import ConfiguredTarget, store_of
from replicator.cli.command import OpenCall, Outcome
from replicator.cli.terminal.paragraphs import Paragraph, paragraphs
from replicator.cli.terminal.screen import Screen
from replicator.cli.terminal.typed import LIST_MAX
from replicator.cli.verb import FromStore, LogId, verb
from replicator.errors import GapError
from replicator.model.checkpoint import Gap
from replicator.model.event import ClosedCut, Offset
from replicator.model.holds import NamedPoint
from replicator.model.words import counted, whole_time
from replicator.services.history.reader import History
from replicator.services.inspection.happenings import happenings
from replicator.services.store.archived_log import archived_logs
from replicator.services.store.windows import Windows, windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one target can be restored to."""

    target: str
    until: Offset | None
    gaps: tuple[Gap, ...]
    windows: Windows | None
    """Windows of its own store; None: it keeps no history of this log."""
    named: tuple[NamedPoint, ...]
    faults: tuple[str, ...]
    """Damage in its store that was found on the way."""
    other_logs: tuple[str, ...]
    """Ids of further logs whose histories its store keeps."""


@verb("points")
async def points(
    call: OpenCall,
    from_: FromStore = None,
    log_id: LogId = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=LIST_MAX, help="Show at most N cuts, newest last.")
    ] = 20,
    all_: Annotated[bool, typer.Option("--all", help="Also the cuts without a change.")] = False,
) -> Outcome:
    """List the cuts that a target can be brought to, the gaps in them, and the named points."""
    application = call.application
    if from_ is None:
        history = application.history
        kept = [await _kept(application, name) for name in application.target_names]
    else:
        store = await application.store(from_, log_id=log_id)
        named = await application.points(from_).points()
        history, kept = store.history, [await _kept_alone(store, *named)]
    span = await history.span()
    cuts = await history.cuts(span.first, span.end)
    shown = [cut for cut in cuts if all_ or cut.closed.count][-limit:]
    happened = await _happened(history, limit, call.screen)
    return Outcome(
        result={
            "cuts": len(cuts),
            "first": _cut_json(cuts[0], kept) if cuts else None,
            "last": _cut_json(cuts[-1], kept) if cuts else None,
            "points": [
                {**_cut_json(cut, kept), "what": happened.get(cut.offset, "")} for cut in shown
            ],
            "targets": [kept_json(one) for one in kept],
        },
        show=lambda console: _show(console, cuts, shown, happened, kept),
    )


async def _happened(history: History, limit: int, screen: Screen) -> dict[Offset, str]:
    """Return what happened in the newest cuts; nothing where not all events are kept."""
    try:
        found = await happenings(history, limit=limit, observer=screen.observe)
    except GapError:
        return {}
    return {one.cut.offset: one.words for one in found}


async def _kept(application: Application, name: str) -> Kept:
    target, source = application.target(name), application.source_name
    held = await target.metadata.state(source)
    log_id = (await application.history.span()).log_id
    found = await windows(store_of(target), log_id, application.points(name))
    named, faults = await application.points(name).points()
    return Kept(
        target=name,
        until=held.reached_in(log_id),
        gaps=tuple(await target.metadata.gaps(source, log_id)),
        windows=found if found.windows else None,
        named=tuple(named),
        faults=(*found.faults, *faults),
        other_logs=await _other_logs(target, log_id),
    )


async def _other_logs(target: ConfiguredTarget, log_id: str) -> tuple[str, ...]:
    return tuple(one for one in await archived_logs(target.area()) if one != log_id)


async def _kept_alone(store: OpenStore, named: list[NamedPoint], faults: list[str]) -> Kept:
    found = store.windows
    return Kept(
        target=store.target.name,
        until=found.windows[-1].last.offset,
        gaps=found.gaps,
        windows=found,
        named=tuple(point for point in named if point.log_id == found.log_id),
        faults=(*found.faults, *faults),
        other_logs=await _other_logs(store.target, found.log_id),
    )


def _cut_json(cut: ClosedCut, kept: list[Kept]) -> dict[str, Any]:
    return {
        "cut": cut.closed.cut,
        "offset": cut.offset,
        "source_time": cut.closed.source_time,
        "events": cut.closed.count,
        "gaps": {w.target: sum(gap.at(cut.offset) for gap in w.gaps) for w in kept},
    }


def kept_json(window: Kept) -> dict[str, Any]:
    """Return what one target can be restored to, for `--json`."""
    found = window.windows
    return {
        "target": window.target,
        "checkpoint_offset": window.until,
        "log_id": found.log_id if found else None,
        "other_logs": list(window.other_logs),
        "windows": [
            {"first": _place_json(one.first), "last": _place_json(one.last)}
            for one in (found.windows if found else ())
        ],
        "held": [
            {"name": hold.point.name, "offset": hold.point.offset, "reason": hold.reason}
            for hold in (found.holds if found else ())
        ],
        "expired_before": found.horizon if found else 0,
        "named": [
            {
                "name": point.name,
                "offset": point.offset,
                "cut": point.cut,
                "source_time": point.source_time,
                "created_at": point.created_at,
                "expired": _has_expired(point, found),
            }
            for point in window.named
        ],
        "faults": list(window.faults),
        "gaps": [
            {
                "row": gap.key,
                "datasource": gap.datasource,
                "reason": gap.reason,
                "detail": gap.detail,
                "from_offset": gap.opened,
                "to_offset": gap.closed,
            }
            for gap in window.gaps
        ],
    }


def _has_expired(point: NamedPoint, found: Windows | None) -> bool:
    return found is not None and found.has_expired(point.log_id, point.offset)


def _place_json(cut: ClosedCut) -> dict[str, Any]:
    return {
        "cut": cut.closed.cut,
        "offset": cut.offset,
        "source_time": cut.closed.source_time,
    }


def _cut_lines(cut: ClosedCut, what: str, kept: list[Kept]) -> Iterator[str]:
    """Yield a cut's line, whole, so that its time can be typed again, and what happened in it."""
    yield f"{whole_time(cut.closed.source_time)}  cut {cut.closed.cut}  offset {cut.offset}"
    yield what or ("no change" if not cut.closed.count else counted(cut.closed.count, "event"))
    gaps = {one.target: sum(gap.at(cut.offset) for gap in one.gaps) for one in kept}
    if any(gaps.values()):
        yield f"gaps: {', '.join(f'{name} {count}' for name, count in gaps.items() if count)}"


def _show(
    console: Console,
    cuts: list[ClosedCut],
    shown: list[ClosedCut],
    happened: Mapping[Offset, str],
    windows: list[Kept],
) -> None:
    if not cuts:
        console.print("no cut yet")
        return
    first, last = (whole_time(cut.closed.source_time) for cut in (cuts[0], cuts[-1]))
    console.print(f"{counted(len(cuts), 'cut')}, from {first} (offset {cuts[0].offset})")
    console.print(f"{'':>{len(str(len(cuts)))}}        to {last} (offset {cuts[-1].offset})")
    for cut in shown:
        lines = list(_cut_lines(cut, happened.get(cut.offset, ""), windows))
        console.print(lines[0], markup=False)
        for line in paragraphs([Paragraph("", lines[1:])], console.width):
            console.print(f"  {line}", markup=False)
    console.print("to bring one back: `replicator restore TARGET --to-offset OFFSET`")
    for window in windows:
        _show_windows(console, window)
        for log_id in window.other_logs:
            command = f"points --from {window.target} --log {log_id}"
            console.print(f"{window.target} keeps another log, too: `{command}`", markup=False)
        for fault in window.faults:
            console.print(f"DAMAGED {window.target}: {fault}", markup=False, style="red")
        _show_named(console, window)
        for gap in window.gaps:
            until = f"to {gap.closed}" if gap.closed is not None else "still open"
            console.print(
                f"gap {window.target}: {gap.key} from offset {gap.opened} {until},"
                f" {gap.reason}: {gap.detail}",
                markup=False,
            )


def _show_windows(console: Console, kept: Kept) -> None:
    """Say what the target's store can restore when everything else is gone."""
    found = kept.windows
    if found is None:
        console.print(f"{kept.target} keeps no history of its own yet", markup=False)
        return
    for one in found.windows:
        first, last = (cut.closed.source_time.isoformat() for cut in (one.first, one.last))
        console.print(
            f"{kept.target} alone restores every cut from {first} (offset {one.first.offset}) to"
            f" {last} (offset {one.last.offset})",
            markup=False,
        )


def _show_named(console: Console, kept: Kept) -> None:
    found = kept.windows
    for hold in found.holds if found else ():
        point = hold.point
        console.print(
            f"{kept.target} holds {point.name}: offset {point.offset},"
            f" {point.source_time.isoformat()}, {hold.reason}",
            markup=False,
        )
    for point in kept.named:
        state = ", has expired" if _has_expired(point, found) else ""
        console.print(
            f"{kept.target} knows {point.name}: offset {point.offset},"
            f" {point.source_time.isoformat()}{state}",
            markup=False,
        )
