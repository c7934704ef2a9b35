"""A store's witness in restores: shown in the plan, logged, and recorded."""

from typing import Annotated

import typer
from rich.console import Console

from replicator.app.verbs.restoring import Decided
from replicator.cli.terminal.console import bad
from replicator.cli.terminal.log_lines import logger
from replicator.model.store.testimony import WITHOUT_WITNESS, Testimony

WithoutWitness = Annotated[
    bool,
    typer.Option(
        WITHOUT_WITNESS,
        help="With --from: do not ask the store's witness; then nothing proves that its cuts are"
        " the newest.",
    ),
]


def show_testimony(console: Console, testimony: Testimony | None) -> None:
    """Print what is known of the store's newest cuts, as part of a plan."""
    if testimony is None:
        return
    if testimony.proves:
        console.print(f"  witness            {testimony.text}", markup=False)
    else:
        console.print(bad("  NOT PROVED"), f"         {testimony.text}", sep="")


async def go_without(decided: Decided) -> None:
    """Log and record that no witness vouches for the restored history.

    Raises:
        TransientError, ConfigError: the changed target's store cannot be written.
    """
    testimony = decided.testimony
    if testimony is not None and not testimony.proves:
        logger().warning(
            "restore without a witness", target=testimony.target, reason=testimony.text
        )
    await decided.put_on_record()
