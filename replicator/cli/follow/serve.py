"""`serve`: the control API, without a watcher or an applier of its own."""

from replicator.cli.command import OpenCall, Outcome
from replicator.cli.follow.run import SERVE, supervised
from replicator.cli.verb import verb


@verb(SERVE, json=False)
async def serve(call: OpenCall) -> Outcome:
    """Serve the control API that `web.control` configures, for clients with a token."""
    return await supervised(call, {}, call.application.target_names)
