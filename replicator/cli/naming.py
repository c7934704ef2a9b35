"""`points create`, `points remove`: cuts by a name."""

from typing import Annotated

import typer

from replicator.cli.command import OpenCall, Outcome
from replicator.cli.points import points
from replicator.cli.restore import restore_point
from replicator.cli.typed import OFFSET_MAX
from replicator.cli.verb import verb
from replicator.model.holds import NamedPoint
from replicator.model.restore_point import Latest

app = typer.Typer(help="What can be restored, and cuts by a name.", invoke_without_command=True)
app.callback()(points)

Name = Annotated[str, typer.Argument(help="Letters, digits, dots, dashes and underscores.")]
OnTargets = Annotated[
    list[str] | None,
    typer.Option("--target", help="In the store of this target only; may be repeated."),
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
    """Give a cut a name, by default the newest one; `restore --to-point` finds it."""
    asked = (to_offset, to_time, before) != (None, None, None)
    point = restore_point(to_offset, to_time, before) if asked else Latest()
    naming = call.application.naming(targets or call.application.target_names)
    made = await naming.create(name, point)
    return Outcome(
        result=point_json(made),
        show=lambda console: console.print(
            f"{made.name} is the cut at offset {made.offset},"
            f" {made.source_time.isoformat(timespec='milliseconds')}",
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
    """Forget a name; the cut itself stays as restorable as any other."""
    await call.application.naming(targets or call.application.target_names).remove(name)
    return Outcome(
        result={"removed": name},
        show=lambda console: console.print(f"{name} is no name any more", markup=False),
    )


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
