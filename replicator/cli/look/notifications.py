"""`notifications`: lists what was sent to webhooks, and sends dead notifications again."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from replicator.cli.command import PARTLY_DONE, Changes, OpenCall, Outcome
from replicator.cli.terminal.console import good
from replicator.cli.terminal.paragraphs import listing
from replicator.cli.verb import verb
from replicator.errors import NotFoundError
from replicator.model.operations.words import counted, moment
from replicator.ports.notifications import Delivery, DeliveryState
from replicator.web.deliveries import delivery_json

app = typer.Typer(help="List notifications of webhooks, and send them again.", no_args_is_help=True)


@app.command("list")
@verb("notifications list", changes=Changes.NEVER)
async def list_(
    call: OpenCall,
    state: Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")] = None,
) -> Outcome:
    """List notifications that wait, were delivered lately, or are dead (given up)."""
    found = await call.application.notifying().journal().listed(state)
    return Outcome(
        result={"notifications": [delivery_json(one) for one in found]},
        show=lambda console: _show(console, found),
    )


@app.command("resend")
@verb("notifications resend")
async def resend(
    call: OpenCall,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Notifications; default: all dead.")
    ] = None,
) -> Outcome:
    """Let the running process deliver dead notifications again."""
    count = await call.application.notifying().journal().send_again(ids or None)
    if ids and not count:
        raise NotFoundError(
            f"there is no dead notification {ids[0]!r}",
            hint="`replicator notifications list --state dead` lists them",
        )
    return Outcome(
        result={"waiting_again": count},
        show=lambda console: console.print(f"{counted(count, 'notification')} will be sent again"),
    )


@app.command("test")
@verb("notifications test")
async def test(
    call: OpenCall,
    webhook: Annotated[str, typer.Argument(help="The webhook's name in the configuration.")],
) -> Outcome:
    """Send a notification of type `test` to one webhook, after those that wait for it."""
    application = call.application
    sender = application.notifying().sender(webhook)
    notification = await application.promise_watch().test(webhook)
    while await sender.send_next():
        pass
    journal = application.notifying().journal()
    ours = next((one for one in await journal.listed() if one.id == notification.id), None)
    is_delivered = ours is not None and ours.state is DeliveryState.DELIVERED
    error = "" if ours is None else ours.error

    def show(console: Console) -> None:
        if is_delivered:
            console.print(good("delivered"), f" to {webhook}", sep="")
        else:
            console.print(f"not delivered to {webhook} yet: {error or 'others wait before it'}")

    return Outcome(
        result={"id": notification.id, "delivered": is_delivered, "error": error},
        show=show,
        exit_code=0 if is_delivered else PARTLY_DONE,
    )


def _show(console: Console, found: Sequence[Delivery]) -> None:
    if not found:
        console.print("there are no notifications yet")
        return
    heads = ("id", "webhook", "type", "made", "state", "attempts", "why not")
    for line in listing(heads, list(map(_cells, found)), console.width):
        console.print(line, markup=False)


def _cells(one: Delivery) -> Sequence[str]:
    made = moment(one.made_at)
    return (one.id, one.webhook, one.type, made, one.state.value, str(one.attempts), one.error)
