"""`points create`, `points remove`, `points rotate`: names of cuts."""

from typing import Annotated

import typer
from rich.console import Console

from replicator.cli.command import PARTLY_DONE, OpenCall, Outcome
from replicator.cli.go_back.restore import restore_point
from replicator.cli.look.points import points
from replicator.cli.terminal.typed import OFFSET_MAX
from replicator.cli.verb import verb
from replicator.config.values import duration
from replicator.errors import ConfigError
from replicator.model.operations.rotation import Period, Tier
from replicator.model.operations.schedule import checked_zone
from replicator.model.operations.words import counted, whole_time
from replicator.model.plans.restore_point import Latest
from replicator.model.store.holds import NamedPoint, checked_name
from replicator.services.retention.point_rotation import Rotated, RotationRules

app = typer.Typer(help="List what can be restored, and name cuts.", invoke_without_command=True)
app.callback()(points)

Name = Annotated[str, typer.Argument(help="Letters, digits, dots, dashes and underscores.")]
OnTargets = Annotated[
    list[str] | None,
    typer.Option("--target", help="Only in this target's store; may be repeated."),
]


@app.command("create")
@verb("points create")
async def create(
    call: OpenCall,
    name: Name,
    to_offset: Annotated[int | None, typer.Option("--to-offset", min=0, max=OFFSET_MAX)] = None,
    to_time: Annotated[str | None, typer.Option("--to-time", help="With its zone.")] = None,
    before: Annotated[
        int | None,
        typer.Option("--before", min=0, max=OFFSET_MAX, help="The last cut before this event."),
    ] = None,
    targets: OnTargets = None,
) -> Outcome:
    """Name a cut, by default the newest one, for `restore --to-point`."""
    is_given = (to_offset, to_time, before) != (None, None, None)
    point = restore_point(to_offset, to_time, before) if is_given else Latest()
    naming = call.application.naming(targets or call.application.target_names)
    made = await naming.create(name, point)
    return Outcome(
        result=point_json(made),
        show=lambda console: console.print(
            f"{made.name} is the cut at offset {made.offset}, {whole_time(made.source_time)}",
            markup=False,
        ),
    )


@app.command("remove")
@verb("points remove")
async def remove(
    call: OpenCall,
    name: Name,
    targets: OnTargets = None,
) -> Outcome:
    """Remove a name; the cut stays as restorable as any other."""
    await call.application.naming(targets or call.application.target_names).remove(name)
    return Outcome(
        result={"removed": name},
        show=lambda console: console.print(f"{name} is no name any more", markup=False),
    )


@app.command("rotate")
@verb("points rotate")
async def rotate(
    call: OpenCall,
    target: Annotated[str, typer.Argument(help="The target whose store is rotated.")],
    tier: Annotated[
        list[str],
        typer.Option(
            "--tier",
            metavar="EACH=AGE",
            help="Keep one point of each hour, day, week, month or year, or all of them, up to this"
            " age, like day=90d; may be repeated.",
        ),
    ],
    prefix: Annotated[
        str, typer.Option("--prefix", help="First part of the names of these points.")
    ] = "auto",
    time_zone: Annotated[
        str, typer.Option("--time-zone", help="Time zone of days, weeks and months.")
    ] = "UTC",
) -> Outcome:
    """Name the newest cut, and keep older such points in a grandfather-father-son scheme."""
    application = call.application
    rotation = await application.point_rotation(target)
    rotated = await rotation.rotate(
        RotationRules(
            prefix=checked_name(prefix),
            tiers=[_tier(text) for text in tier],
            retention=application.target(target).settings.retention,
            time_zone=_zone(time_zone),
        )
    )
    return Outcome(
        result={
            "made": None if rotated.made is None else point_json(rotated.made),
            "removed": rotated.removed,
            "held": rotated.held,
            "kept": rotated.kept,
            "lost": rotated.lost,
        },
        show=lambda console: _show_rotated(console, rotated),
        exit_code=PARTLY_DONE if rotated.lost else 0,
    )


def _tier(text: str) -> Tier:
    each, _, age = text.partition("=")
    try:
        return Tier(each=Period(each), keep=duration(age))
    except ValueError:
        periods = ", ".join(period.value for period in Period)
        raise ConfigError(f"--tier {text}: write it like day=90d, with one of {periods}") from None


def _zone(name: str) -> str:
    try:
        return checked_zone(name)
    except ValueError as exc:
        raise ConfigError(f"--time-zone: {exc}") from None


def _show_rotated(console: Console, rotated: Rotated) -> None:
    if rotated.made is None:
        console.print("the newest cut has its name already")
    else:
        console.print(f"{rotated.made.name} is the cut at offset {rotated.made.offset}")
    console.print(
        f"  {counted(len(rotated.kept), 'point')} kept, {len(rotated.removed)} forgotten,"
        f" {len(rotated.held)} held from now on"
    )
    for name in rotated.lost:
        console.print(f"  EXPIRED {name}: it could not be held in time", markup=False)


def point_json(point: NamedPoint) -> dict[str, object]:
    """Return a named point for `--json`."""
    return {
        "name": point.name,
        "log_id": point.log_id,
        "offset": point.offset,
        "cut": point.cut,
        "source_time": point.source_time,
        "created_at": point.created_at,
    }
