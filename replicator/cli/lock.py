"""`lock`: what a target keeps is locked for as long as its window is."""

from typing import Annotated

import typer
from rich.console import Console

from replicator.app import Application
from replicator.cli.command import (
    DEFAULT_CONFIG,
    PARTLY_DONE,
    AsJson,
    Call,
    ConfigPath,
    Outcome,
    Overrides,
    run,
)
from replicator.cli.console import Screen, good
from replicator.cli.expire import retention_of
from replicator.services.retention.object_locks import Locked

SHOWN_MAX = 10


def lock(
    target: Annotated[str, typer.Argument(help="The target whose store is locked.")],
    config: ConfigPath = DEFAULT_CONFIG,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Lock all that the retention, holds and the target's rows need: the retention from now.

    Two requests for each object, or one where the lock lasts long enough.
    """
    call = Call(command="lock", config_path=config, overrides=tuple(set_ or ()), as_json=as_json)

    async def body(application: Application, _: Screen) -> Outcome:
        object_locker = (await application.retention(target)).object_locker()
        locked = await object_locker.lock(retention_of(application, target, None))
        return Outcome(
            result={
                "locked_until": locked.until,
                "places": locked.locations,
                "files": locked.files,
                "missing": locked.missing,
            },
            show=lambda console: _show(console, locked),
            exit_code=PARTLY_DONE if locked.missing else 0,
        )

    run(call, body)


def _show(console: Console, locked: Locked) -> None:
    console.print(
        good("locked"),
        f" until {locked.until.isoformat(timespec='seconds')}: {locked.locations}"
        f" segments and {locked.files} files of history",
        sep="",
    )
    for one in locked.missing[:SHOWN_MAX]:
        console.print(f"  MISSING {one}", markup=False)
    if locked.missing:
        console.print(f"  {len(locked.missing)} are not there: see `replicator verify`")
