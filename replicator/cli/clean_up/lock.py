"""`lock`: extends object locks in a target's store to cover its retention."""

from typing import Annotated

import typer
from rich.console import Console

from replicator.cli.clean_up.expire import retention_of
from replicator.cli.command import PARTLY_DONE, OpenCall, Outcome
from replicator.cli.terminal.console import good
from replicator.cli.verb import verb
from replicator.model.operations.words import counted, moment
from replicator.services.retention.object_locks import Locked

SHOWN_MAX = 10


@verb("lock")
async def lock(
    call: OpenCall,
    target: Annotated[str, typer.Argument(help="The target whose store is locked.")],
) -> Outcome:
    """Lock all that retention, holds and the target's rows need, for the retention from now.

    This takes two requests for each object, or one if its lock lasts long enough.
    """
    object_locker = (await call.application.retention(target)).object_locker()
    locked = await object_locker.lock(retention_of(call.application, target, None))
    return Outcome(
        result={
            "locked_until": locked.until,
            "locations": locked.locations,
            "files": locked.files,
            "missing": locked.missing,
        },
        show=lambda console: _show(console, locked),
        exit_code=PARTLY_DONE if locked.missing else 0,
    )


def _show(console: Console, locked: Locked) -> None:
    console.print(
        good("locked"),
        f" until {moment(locked.until)}: {locked.locations}"
        f" segments and {counted(locked.files, 'file')} of history",
        sep="",
    )
    for one in locked.missing[:SHOWN_MAX]:
        console.print(f"  MISSING {one}", markup=False)
    if locked.missing:
        console.print(f"  {len(locked.missing)} are not there: see `replicator verify TARGET`")
