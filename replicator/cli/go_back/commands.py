"""Commands to suggest for restoring a datasource and for continuing after a restore."""

import shlex

from replicator.app import Application
from replicator.cli.terminal.printed_commands import ANY_TARGET
from replicator.config import Settings
from replicator.errors import ReplicatorError
from replicator.model.event import Offset
from replicator.model.operations.command_line import typed


def way_back(settings: Settings, target: str, datasource: str, offset: Offset) -> str:
    """Return the verb that restores one datasource from the bytes of a target.

    A target with rows is restored in place; an archive is restored into another target. Without a
    log the history comes from the target's own store.
    """
    has_rows = settings.targets[target].metadata is not None
    if has_rows and settings.log is not None:
        return typed("rollback", datasource, f"--on {target} --to {offset}")
    into, name = target if has_rows else _only_cluster(settings), shlex.quote(datasource)
    return f"restore --from {target} --into {into} --datasource {name} --to-offset {offset}"


def _only_cluster(settings: Settings) -> str:
    found = [name for name, one in settings.targets.items() if one.metadata is not None]
    return found[0] if len(found) == 1 else ANY_TARGET


async def goes_on(application: Application, target: str, log_id: str) -> str:
    """Return how a target that was restored to a cut of a log can follow the source again.

    A restore from a store alone needs no log, and a lost log may have been replaced.
    """
    if application.settings.log is None:
        return "this configuration has no log, so there is nothing that it could follow"
    try:
        is_of_it = (await application.history.span()).log_id == log_id
    except ReplicatorError as exc:
        return f"the log cannot be read now, so whether it is the same log is unknown: {exc}"
    if not is_of_it:
        over = f"`replicator apply {target} --resume --new-log --once`"
        return f"its log is not the configured one: {over} goes over to that"
    resume = f"`replicator apply {target} --resume --once`"
    return f"{resume} follows the source again, through all that came since"
