"""`stream`: creates or drops the replication slot of the source's change stream."""

import typer

from replicator.adapters.postgresql.stream.change_stream import PostgresqlChangeStream
from replicator.cli.command import OpenCall, Outcome
from replicator.cli.verb import verb
from replicator.errors import ConfigError

app = typer.Typer(help="Create or drop the source's change stream.", no_args_is_help=True)


@app.command("create")
@verb("stream create")
async def create(call: OpenCall) -> Outcome:
    """Create the replication slot; from then on the source keeps WAL until the log has it."""
    stream = _stream(call)
    made = await stream.create()
    advice = await stream.advice()
    done = "the slot is made; a running watcher takes it up" if made else "the slot is there"
    return Outcome(
        result={"created": made, "advice": list(advice)},
        show=lambda console: console.print("\n".join([done, *advice]), markup=False),
    )


@app.command("drop")
@verb("stream drop")
async def drop(call: OpenCall) -> Outcome:
    """Drop the replication slot; the source keeps no WAL for it, and the watcher polls."""
    dropped = await _stream(call).drop()
    done = "the slot is dropped; the source is polled" if dropped else "there was no slot"
    return Outcome(
        result={"dropped": dropped}, show=lambda console: console.print(done, markup=False)
    )


def _stream(call: OpenCall) -> PostgresqlChangeStream:
    if (stream := call.application.source.change_stream()) is None:
        raise ConfigError(
            "no change stream is configured",
            hint="set `source.metadata.change_stream: {}`; the source must be a PostgreSQL"
            " (docs/postgresql.md)",
        )
    return stream
