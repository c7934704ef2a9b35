"""`hold`: cuts that do not expire."""

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from replicator.cli.command import OpenCall, Outcome
from replicator.cli.go_back.restore import wanted_point
from replicator.cli.look.naming import point_json
from replicator.cli.terminal.typed import OFFSET_MAX, parse_time
from replicator.cli.verb import verb
from replicator.errors import ConfigError
from replicator.model.holds import Hold

app = typer.Typer(help="Keep cuts from expiring.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Letters, digits, dots, dashes and underscores.")]
On = Annotated[str, typer.Option("--on", metavar="TARGET", help="In the store of this target.")]


@app.command("create")
@verb("hold create")
async def create(
    call: OpenCall,
    name: Name,
    on: On,
    reason: Annotated[str, typer.Option("--reason", help="Why; for those who find it later.")],
    to_point: Annotated[str | None, typer.Option("--to-point", help="A named point.")] = None,
    to_offset: Annotated[int | None, typer.Option("--to-offset", min=0, max=OFFSET_MAX)] = None,
    to_time: Annotated[str | None, typer.Option("--to-time", help="With its zone.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="When it ends by itself, with its zone.")
    ] = None,
) -> Outcome:
    """Keep a cut restorable whatever expires around it; its inventory is written once more."""
    application = call.application
    point = await wanted_point(application.points(on), to_point, to_offset, to_time, None)
    hold = await (await application.holds(on)).create(
        name, point, reason=_reason(reason), until=parse_time(until) if until else None
    )
    return Outcome(
        result=hold_json(hold, on, application.clock.now()),
        show=lambda console: console.print(
            f"{name} keeps the cut at offset {hold.point.offset},"
            f" {hold.point.source_time.isoformat(timespec='milliseconds')}, on {on}",
            markup=False,
        ),
    )


@app.command("list")
@verb("hold list")
async def list_(
    call: OpenCall,
    on: Annotated[str | None, typer.Option("--on", metavar="TARGET")] = None,
) -> Outcome:
    """List the holds, those that have ended as well until the next expiry."""
    application = call.application
    names = [on] if on is not None else application.target_names
    kept = {name: await application.points(name).readable_holds() for name in names}
    found = [(hold, name) for name, (holds, _) in kept.items() for hold in holds]
    faults = [f"{name}: {fault}" for name, (_, altered) in kept.items() for fault in altered]
    now = application.clock.now()
    return Outcome(
        result={
            "holds": [hold_json(hold, name, now) for hold, name in found],
            "faults": faults,
        },
        show=lambda console: _show(console, found, faults, now),
    )


@app.command("remove")
@verb("hold remove")
async def remove(
    call: OpenCall,
    name: Name,
    on: On,
) -> Outcome:
    """Let a cut expire like any other."""
    await (await call.application.holds(on)).remove(name)
    return Outcome(
        result={"removed": name},
        show=lambda console: console.print(f"{name} is held no more", markup=False),
    )


def hold_json(hold: Hold, target: str, now: datetime) -> dict[str, Any]:
    """Return a hold for `--json`."""
    return {
        **point_json(hold.point),
        "target": target,
        "reason": hold.reason,
        "until": hold.until,
        "in_force": hold.holds_at(now),
    }


def _reason(text: str) -> str:
    if not text.strip():
        raise ConfigError("say why: --reason 'audit of 2026'")
    return text


def _show(
    console: Console, found: list[tuple[Hold, str]], faults: list[str], now: datetime
) -> None:
    for fault in faults:
        console.print(f"DAMAGED {fault}", markup=False)
    if not found:
        console.print("nothing is held")
        return
    table = Table("name", "target", "offset", "source time", "until", "reason")
    for hold, target in found:
        point = hold.point
        until = "no end" if hold.until is None else hold.until.isoformat(timespec="seconds")
        table.add_row(
            point.name,
            target,
            str(point.offset),
            point.source_time.isoformat(timespec="milliseconds"),
            until if hold.holds_at(now) else f"{until}, ended",
            hold.reason,
        )
    console.print(table)
