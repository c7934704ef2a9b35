"""`log move`: moves the log to another store, from a file to Kafka or back."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from replicator import config
from replicator.cli.command import Changes, OpenCall, Outcome, agree
from replicator.cli.look.log import log
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.cli.verb import verb
from replicator.model.operations.words import counted
from replicator.services.replication.log_mover import Moved

app = typer.Typer(
    help="List the events of the log, or move it to another store.", invoke_without_command=True
)
app.callback()(log)


@app.command("move")
@verb("log move", changes=Changes.ONCE_AGREED)
async def move(
    call: OpenCall,
    to: Annotated[
        Path,
        typer.Option("--to", help="The configuration with the new `log`; all else as it is now."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Outcome:
    """Move the log to the store that another configuration names, with its id, offsets and times.

    A move is refused while `run`, `watch` or `apply` runs. Afterwards targets follow the new log
    and copy nothing again. The former log is kept unchanged, but no process can read or write it.
    An interrupted move continues when it is started again.
    """
    wanted = config.load(to, call.typed.environ)
    mover = call.application.recorded.mover(wanted)
    await call.application.processes.refuse_beside_others("a move of the log")
    agree(call.application.source.name, yes=yes, doing="moving the log", what="source to move")
    moved = await mover.move()
    printed = PrintedCommands(config=to, environ=call.typed.environ)
    return Outcome(result=_json(moved), show=lambda console: _show(console, moved, printed))


def _json(moved: Moved) -> dict[str, Any]:
    return {
        "log_id": moved.log_id,
        "first_offset": moved.first,
        "end_offset": moved.end,
        "records_copied": moved.copied,
        "already": moved.was_done,
    }


def _show(console: Console, moved: Moved, printed: PrintedCommands) -> None:
    if moved.was_done:
        console.print("nothing to do: the log was moved there before")
    else:
        copied = f"{counted(moved.copied, 'record')} copied, and all of them read back"
        offsets = f"offsets {moved.first} to {moved.end - 1}"
        console.print(f"moved: {copied}; {offsets} are what they were")
    console.print("next, with nothing else changed in it:")
    console.print(f"  {printed.command('run')}", markup=False)
