"""What a restore says of a store's witness: in its plan, in the log, and on record."""

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
        help="With --from: do not ask its witness; nothing proves then that its cuts are the"
        " newest.",
    ),
]


def show_testimony(console: Console, said: Testimony | None) -> None:
    """Say in a plan what is known of the store's newest cuts."""
    if said is None:
        return
    if said.proves:
        console.print(f"  witness            {said.text}", markup=False)
    else:
        console.print(bad("  NOT PROVED"), f"         {said.text}", sep="")


async def go_without(decided: Decided) -> None:
    """Tell the log, and keep on record, that nobody vouches for what is restored from now on.

    Raises:
        TransientError, ConfigError: the changed target's store cannot be written.
    """
    said = decided.testimony
    if said is not None and not said.proves:
        logger().warning("restore without a witness", target=said.target, reason=said.text)
    await decided.put_on_record()
