"""`replicator`: one program, one verb a file."""

import os
import sys
from enum import Enum
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from replicator.cli import (
    blame,
    check,
    configuration,
    differences,
    drill,
    expiring,
    holding,
    listing,
    locking,
    naming,
    plans,
    promotion,
    repair,
    restore,
    running,
    status,
    targets,
    undelete,
    verify,
)
from replicator.cli.demo import story
from replicator.cli.screen import configure_logging
from replicator.config import RESTORE_VERBS

RESTORE = "TARGET"
"""How the restore itself is shown in a message about its usage."""
app = typer.Typer(
    name="replicator",
    help="Continuous backup, replication and point-in-time restore for Apache Druid.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


class RestoreGroup(TyperGroup):
    """`restore plan` and `restore run`; everything else is `restore TARGET`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what names no verb for the restore itself."""
        if not args or args[0] not in RESTORE_VERBS:
            args = [RESTORE, *args]
        return super().parse_args(ctx, args)


restore_app = typer.Typer(cls=RestoreGroup, help="Bring a target to an earlier cut.")
restore_app.command(RESTORE, hidden=True)(restore.restore)
restore_app.command("plan")(plans.plan)
restore_app.command("run")(plans.run_plan)


class LogLevel(Enum):
    """How much is logged to stderr."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _print_version(given: bool) -> None:
    if given:
        typer.echo(f"replicator {version('druid-replicator')}")
        raise typer.Exit


@app.callback()
def _root(
    log_level: Annotated[
        LogLevel, typer.Option(help="How much is logged to stderr.")
    ] = LogLevel.INFO,
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    configure_logging(log_level.name, os.environ)


app.command("demo")(story.demo)
app.command("check")(check.check)
app.command("run")(running.run)
app.command("watch")(running.watch)
app.command("apply")(running.apply)
app.command("status")(status.status)
app.command("log")(listing.log)
app.command("expire")(expiring.expire)
app.command("lock")(locking.lock)
app.command("undelete")(undelete.undelete)
app.command("promote")(promotion.promote)
app.command("failover")(promotion.failover)
app.command("verify")(verify.verify)
app.command("repair")(repair.repair)
app.command("diff")(differences.diff)
app.command("blame")(blame.blame)
app.add_typer(restore_app, name="restore")
app.add_typer(naming.app, name="points")
app.add_typer(holding.app, name="hold")
app.add_typer(drill.app, name="drill")
app.add_typer(targets.app, name="target")
app.add_typer(configuration.app, name="config")


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SystemExit as exc:
        _leave(exc)


def _leave(exc: SystemExit) -> None:
    """Exit at once where obstore was used.

    Its threads can abort the process (SIGABRT) while the interpreter takes itself apart, after all
    work is done and everything is closed: seen with obstore 0.12.1.
    """
    if "obstore" not in sys.modules or not isinstance(exc.code, int | None):
        raise exc
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exc.code or 0)
