"""`undelete`: restores a dropped datasource on a target, or prints the calls for the source."""

import shlex
from dataclasses import replace
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from replicator.app import Application
from replicator.app.verbs.restoring import Place
from replicator.cli.command import PARTLY_DONE, Changes, OpenCall, Outcome
from replicator.cli.go_back.commands import way_back
from replicator.cli.go_back.restore import RestoreOptions, carry_out, restore_point
from replicator.cli.terminal.console import paper
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.cli.terminal.typed import OFFSET_MAX
from replicator.cli.verb import Expect, verb
from replicator.errors import ConfigError
from replicator.model.log.undeletion import DruidCall
from replicator.model.operations.shown import escaped_json
from replicator.model.operations.words import counted, whole_time
from replicator.model.plans.restore_point import RestorePoint, ToOffset
from replicator.services.inspection.undeletion import Drop, SourcePlan

OVERLORD = "http://overlord:8090"
REFUSED = (
    "a call that is refused changes nothing: when a kill has removed one of its segments since, run"
    " undelete again after the next cut"
)


@verb("undelete", changes=Changes.ONCE_AGREED)
async def undelete(
    call: OpenCall,
    datasource: Annotated[str, typer.Argument(help="The datasource that was dropped.")],
    on: Annotated[str | None, typer.Option("--on", help="Restore it on this target.")] = None,
    on_source: Annotated[
        bool, typer.Option("--on-source", help="Print the calls for the source's Overlord.")
    ] = False,
    to_offset: Annotated[int | None, typer.Option("--to-offset", min=0, max=OFFSET_MAX)] = None,
    to_time: Annotated[str | None, typer.Option("--to-time", help="With its zone.")] = None,
    before: Annotated[
        int | None,
        typer.Option("--before", min=0, max=OFFSET_MAX, help="The last cut before this event."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    accept_gaps: Annotated[
        bool, typer.Option("--accept-gaps", help="Restore the rest when bytes are missing.")
    ] = False,
    expect: Expect = None,
) -> Outcome:
    """Restore a datasource to the last cut in which it had used segments."""
    application = call.application
    if on_source == (on is not None):
        raise ConfigError("use either --on TARGET or --on-source")
    if on is not None:
        application.target(on)
    drop = None
    if (to_offset, to_time, before) == (None, None, None):
        drop = await application.undeletion().dropped(datasource)
    point = _point(drop, to_offset, to_time, before)
    if on is None:
        plan = await application.undeletion().on_source(datasource, point)
        return _on_source(application, datasource, drop, plan, call.typed.printed)
    if drop is not None and not call.as_json:
        _show_drop(paper(), datasource, drop)
    request = RestoreOptions(
        place=Place(target=on, into=on),
        point=point,
        datasource=datasource,
        dry_run=dry_run,
        yes=yes,
        accept_gaps=accept_gaps,
        expect=expect,
    )
    done = await carry_out(call, request)
    return replace(done, result={**done.result, "drop": _drop_json(drop)})


def _point(
    drop: Drop | None, to_offset: int | None, to_time: str | None, before: int | None
) -> RestorePoint:
    if drop is not None:
        return ToOffset(offset=drop.last.cut.offset)
    return restore_point(to_offset, to_time, before)


def _on_source(
    application: Application,
    datasource: str,
    drop: Drop | None,
    plan: SourcePlan,
    printed: PrintedCommands,
) -> Outcome:
    restores = [
        printed.command(way_back(application.settings, name, datasource, plan.cut.offset))
        for name in application.target_names
    ]

    def show(console: Console) -> None:
        _show_calls(console, datasource, drop, plan, restores)

    return Outcome(
        result={**_plan_json(datasource, plan, restores), "drop": _drop_json(drop)},
        show=show,
        exit_code=PARTLY_DONE if plan.killed_count else 0,
    )


def _drop_json(drop: Drop | None) -> dict[str, Any] | None:
    if drop is None:
        return None
    return {
        name: {
            "cut": height.cut.closed.cut,
            "offset": height.cut.offset,
            "source_time": height.cut.closed.source_time,
            "used_segments": height.used,
        }
        for name, height in (("last", drop.last), ("before", drop.before))
    }


def _plan_json(datasource: str, plan: SourcePlan, restores: list[str]) -> dict[str, Any]:
    return {
        "datasource": datasource,
        "cut": plan.cut.closed.cut,
        "offset": plan.cut.offset,
        "source_time": plan.cut.closed.source_time,
        "as_of_cut": plan.now.closed.cut,
        "as_of": plan.now.closed.source_time,
        "segments": plan.wanted,
        "used": plan.used,
        "mark_used": len(plan.mark_used),
        "mark_unused": len(plan.mark_unused),
        "killed_count": plan.killed_count,
        "killed": plan.killed,
        "restores": restores if plan.killed_count else [],
        "drop_rules": list(plan.drop_rules),
        "calls": [
            {"method": "POST", "path": call.path, "body": {"segmentIds": list(call.segment_ids)}}
            for call in plan.calls
        ],
    }


def _show_drop(console: Console, datasource: str, drop: Drop) -> None:
    for line in _drop_lines(datasource, drop):
        console.print(line, markup=False)


def _drop_lines(datasource: str, drop: Drop) -> list[str]:
    last, first = drop.last, drop.before
    until = f"offset {last.cut.offset}, {whole_time(last.cut.closed.source_time)}"
    lines = [f"{datasource} had {last.used} used segments until cut {last.cut.closed.cut}: {until}"]
    if first.used > last.used:
        lines.append(
            f"they went little by little: in cut {first.cut.closed.cut} there were {first.used};"
            f" for these use --to-offset {first.cut.offset}"
        )
    return lines


def _show_calls(
    console: Console, datasource: str, drop: Drop | None, plan: SourcePlan, restores: list[str]
) -> None:
    """Print a shell script of calls, with the explanations as its comments."""
    lines = [] if drop is None else _drop_lines(datasource, drop)
    lines.append(
        f"used in cut {plan.cut.closed.cut}: {counted(plan.wanted, 'segment')}; used now:"
        f" {plan.used},"
        f" {len(plan.mark_used)} can be marked used, {plan.killed_count} are gone"
    )
    lines.append(
        f"as of cut {plan.now.closed.cut}, {whole_time(plan.now.closed.source_time)};"
        " nothing was called: these are for the operator of the source"
    )
    if plan.mark_unused:
        lines.append(f"first {len(plan.mark_unused)} newer segments that would hide them go")
    if plan.drop_rules:
        lines.append(f"change rules before, they may drop it again: {', '.join(plan.drop_rules)}")
    if plan.killed_count:
        lines.append("no API brings back what a kill removed; on a target it comes back with:")
        lines += [f"  {command}" for command in restores]
        lines += [f"  gone: {id_}" for id_ in plan.killed]
    for line in lines:
        console.print(f"# {line}", markup=False)
    if plan.calls:
        console.print(f"# {REFUSED}", markup=False)
        console.print(f"OVERLORD=${{OVERLORD:-{OVERLORD}}}", markup=False)
    for call in plan.calls:
        console.print(_curl(call), markup=False)


def _curl(call: DruidCall) -> str:
    # Without `Accept`, Druid 33 carries out the request but answers 500.
    body = escaped_json(orjson.dumps({"segmentIds": list(call.segment_ids)}).decode())
    return (
        f'curl --fail-with-body -sS -X POST "$OVERLORD{call.path}"'
        f' -H "Content-Type: application/json" -H "Accept: application/json" -d {shlex.quote(body)}'
    )
