"""`hold`: keeps cuts from expiring, lists such holds, and removes them."""

from dataclasses import asdict
from typing import Annotated

import typer

from replicator.cli.command import Changes, OpenCall, Outcome, agree
from replicator.cli.each_target import of_each
from replicator.cli.go_back.restore import wanted_point
from replicator.cli.points_text import holds_outcome
from replicator.cli.terminal.console import paper
from replicator.cli.terminal.typed import OFFSET_MAX, parse_time
from replicator.cli.verb import verb
from replicator.errors import ConfigError
from replicator.model.operations.words import whole_time
from replicator.model.plans.restore_point import Latest, RestorePoint
from replicator.services.inspection.points_report import HoldsReport, listed_hold

app = typer.Typer(help="Keep cuts from expiring.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Letters, digits, dots, dashes and underscores.")]
On = Annotated[str, typer.Option("--on", metavar="TARGET", help="The target whose store has it.")]


@app.command("create")
@verb("hold create")
async def create(
    call: OpenCall,
    name: Name,
    on: On,
    reason: Annotated[str, typer.Option("--reason", help="Reason, for those who list it later.")],
    to_point: Annotated[str | None, typer.Option("--to-point", help="A named point.")] = None,
    to_offset: Annotated[int | None, typer.Option("--to-offset", min=0, max=OFFSET_MAX)] = None,
    to_time: Annotated[str | None, typer.Option("--to-time", help="With its zone.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Time at which it ends, with its zone.")
    ] = None,
) -> Outcome:
    """Keep a cut restorable, by default the target's newest, whatever expires around it.

    A base of the cut is written to the store.
    """
    application = call.application
    is_newest = (to_point, to_offset, to_time) == (None, None, None)
    point: RestorePoint = Latest()
    if not is_newest:
        point = await wanted_point(application.points(on), to_point, to_offset, to_time, None)
    hold = await (await application.holds(on)).create(
        name, point, reason=_reason(reason), until=parse_time(until) if until else None
    )
    return Outcome(
        result=asdict(listed_hold(hold, on, application.clock.now())),
        show=lambda console: console.print(
            f"{name} keeps the {'newest ' if is_newest else ''}cut of {on}: offset"
            f" {hold.point.offset}, {whole_time(hold.point.source_time)}",
            markup=False,
        ),
    )


@app.command("list")
@verb("hold list", changes=Changes.NEVER)
async def list_(
    call: OpenCall,
    on: Annotated[str | None, typer.Option("--on", metavar="TARGET")] = None,
) -> Outcome:
    """List the holds; ended ones are listed until the next expiry."""
    application = call.application
    names = [on] if on is not None else application.target_names
    kept, failures = await of_each(names, lambda name: application.points(name).readable_holds())
    now = application.clock.now()
    return holds_outcome(
        HoldsReport(
            holds=[listed_hold(one, name, now) for name, (held, _) in kept.items() for one in held],
            faults=[f"{name}: {one}" for name, (_, altered) in kept.items() for one in altered],
            failures=failures,
        )
    )


@app.command("remove")
@verb("hold remove", changes=Changes.ONCE_AGREED)
async def remove(
    call: OpenCall,
    name: Name,
    on: On,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Outcome:
    """Let a cut expire like any other."""
    holds = await call.application.holds(on)
    kept = await holds.words(name)
    if not (yes or call.as_json):
        paper().print(f"{name} on {on} {kept}")
        paper().print("without it the next expiry may delete what no other point needs")
    agree(name, yes=yes, doing="the removal of a hold", what="hold to remove")
    await holds.remove(name)
    return Outcome(
        result={"removed": name},
        show=lambda console: console.print(f"{name} is held no more", markup=False),
    )


def _reason(text: str) -> str:
    if not text.strip():
        raise ConfigError("give a reason: --reason 'audit of 2026'")
    return text
