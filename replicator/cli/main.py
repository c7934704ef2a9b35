"""`replicator`: the program, which imports the file of a verb when the verb is called."""

import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from replicator import __version__
from replicator.cli.help import (
    CLEAN_UP,
    FOLLOW,
    GO_BACK,
    LOOK,
    PROVE,
    SET_UP,
    TAKE_OVER,
    dressed,
    without_values,
)
from replicator.cli.outlets import OUTPUT, UNWRITTEN, open_outlets


@dataclass(frozen=True, slots=True)
class Verb:
    """Module and function of a verb, and its line in the list of verbs."""

    group: str
    place: str
    """`module:attribute` below `replicator.cli`: a function, or a group of verbs."""
    help: str

    def command(self, name: str) -> Any:
        """Import the verb and return its command."""
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(f"replicator.cli.{module}"), attribute)
        gc.freeze()
        gc.enable()  # `__main__` has disabled it
        if isinstance(found, typer.Typer):
            group = typer.main.get_group(found)  # also for a group of one verb
            group.name = name
            return dressed(group, name)
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        return dressed(typer.main.get_command(alone), name)


VERBS: Final = {
    "demo": Verb(
        SET_UP,
        "demo.story:demo",
        "Replicate, break and restore a recorded Druid on this machine; nothing to configure.",
    ),
    "init": Verb(
        SET_UP,
        "set_up.init:init",
        "Write a first configuration: five questions, each answer tried at once.",
    ),
    "check": Verb(
        SET_UP,
        "set_up.check:check",
        "Read the source, the log and an object of each kind; copy an object to each target.",
    ),
    "target": Verb(
        SET_UP,
        "set_up.target:app",
        "Prepare a target.",
    ),
    "config": Verb(
        SET_UP,
        "set_up.config:app",
        "Check or print the configuration.",
    ),
    "stream": Verb(
        SET_UP,
        "set_up.stream:app",
        "Create or drop the source's change stream.",
    ),
    "run": Verb(
        FOLLOW,
        "follow.run:run",
        "Watch the source and keep every target up to date, in one process.",
    ),
    "watch": Verb(
        FOLLOW,
        "follow.run:watch",
        "Publish the source's changes to the log.",
    ),
    "apply": Verb(
        FOLLOW,
        "follow.run:apply",
        "Keep one target up to date with the log.",
    ),
    "serve": Verb(
        FOLLOW,
        "follow.serve:serve",
        "Serve the control API that `web.control` configures, for clients with a token.",
    ),
    "token": Verb(
        SET_UP,
        "set_up.token:app",
        "Create, list and revoke tokens of the control API.",
    ),
    "status": Verb(
        LOOK,
        "look.status:status",
        "Show what runs, whether promises are kept, what can be restored, and what is wrong.",
    ),
    "points": Verb(
        LOOK,
        "look.naming:app",
        "List what can be restored, and name cuts.",
    ),
    "log": Verb(
        LOOK,
        "look.log_move:app",
        "List the events of the log, or move it to another store.",
    ),
    "notifications": Verb(
        LOOK,
        "look.notifications:app",
        "List notifications of webhooks, and send them again.",
    ),
    "blame": Verb(
        LOOK,
        "look.blame:blame",
        "Show the events that changed a segment or a datasource, the newest last.",
    ),
    "diff": Verb(
        LOOK,
        "look.diff:diff",
        "Show which rows differ between two cuts.",
    ),
    "restore": Verb(
        GO_BACK,
        "go_back.restore_plan:app",
        "Bring a target to an earlier cut.",
    ),
    "rollback": Verb(
        GO_BACK,
        "go_back.rollback:rollback",
        "Return one datasource of a target to an earlier state; the target is then paused.",
    ),
    "undelete": Verb(
        GO_BACK,
        "go_back.undelete:undelete",
        "Restore a datasource to the last cut in which it had used segments.",
    ),
    "promote": Verb(
        TAKE_OVER,
        "follow.promote:promote",
        "Make a target the primary without loss, after its source was brought to rest.",
    ),
    "failover": Verb(
        TAKE_OVER,
        "follow.promote:failover",
        "Make a target the primary as it is; its source is gone and must not come back by itself.",
    ),
    "verify": Verb(
        PROVE,
        "prove.verify:verify",
        "Compare a target's rows, objects and bytes with the log, or its answers with the source.",
    ),
    "repair": Verb(
        PROVE,
        "prove.repair:repair",
        "Find a target's damage and copy the bytes again, one interval after the other.",
    ),
    "drill": Verb(
        PROVE,
        "prove.drill:app",
        "Prove that a target's store alone is enough, or list the proofs.",
    ),
    "expire": Verb(
        CLEAN_UP,
        "clean_up.expire:expire",
        "Delete bytes and history that no point in the retention, no hold and no restore needs.",
    ),
    "lock": Verb(
        CLEAN_UP,
        "clean_up.lock:lock",
        "Lock all that retention, holds and the target's rows need, for the retention from now.",
    ),
    "hold": Verb(
        CLEAN_UP,
        "clean_up.hold:app",
        "Keep cuts from expiring.",
    ),
}


class Verbs(TyperGroup):
    """All verbs; `--help` lists them without importing any, which would take most of a second."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=verb.help, rich_help_panel=verb.group)
            for name, verb in VERBS.items()
        }

    def get_params(self, ctx: Any) -> Any:
        """Return the options of the program."""
        return without_values(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - of the class above
        """Return the verbs in the order in which an operator needs them."""
        return list(self.commands)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept the program's own options after a verb, too."""
        return super().parse_args(ctx, hoisted(args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the called verb, imported."""
        name, shown, rest = super().resolve_command(ctx, args)
        return name, VERBS[name].command(name) if name and shown else shown, rest


OF_ALL: Final = {
    "--log-level": {"debug", "info", "warning", "error"},
    "--log-format": {"console", "json"},
}
"""Options of the program, with their values."""


def hoisted(args: Sequence[str]) -> list[str]:
    """Return the arguments with the program's own options moved to the front."""
    first, rest, left = list[str](), list[str](), list(args)
    while left:
        name, _, value = left[0].partition("=")
        if value in OF_ALL.get(name, ()):
            first.append(left.pop(0))
        elif name in OF_ALL and len(left) > 1 and left[1] in OF_ALL[name]:
            first += [left.pop(0), left.pop(0)]
        else:
            rest.append(left.pop(0))
    return first + rest


USAGE: Final = 2
app = typer.Typer(
    name="replicator",
    cls=Verbs,
    help="Continuous backup, replication and point-in-time restore for Apache Druid.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
)


class LogLevel(Enum):
    """Level of the log on stderr."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(Enum):
    """Format of the log on stderr."""

    CONSOLE = "console"
    JSON = "json"


def _print_version(given: bool) -> None:
    if given:
        typer.echo(f"replicator {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    log_level: Annotated[
        LogLevel, typer.Option(help="How much is logged to stderr.")
    ] = LogLevel.INFO,
    log_format: Annotated[
        LogFormat, typer.Option(help="How: lines for people, or a JSON document a line.")
    ] = LogFormat.CONSOLE,
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    from replicator.cli.terminal.log_lines import configure_logging  # noqa: PLC0415 - `--help` does without

    configure_logging(log_level.name, os.environ, as_json=log_format is LogFormat.JSON)


def main() -> None:
    """Run the command line."""
    open_outlets()
    try:
        _require_text(sys.argv)
        app()
    except SystemExit as exc:
        _leave(_unless_cut(exc))


def _unless_cut(exc: SystemExit) -> SystemExit:
    """Return the exit; one with another code if a good result could not be written."""
    if not OUTPUT.cut_by:
        return exc
    code = exc.code or 0
    why = f"the output could not be written: {OUTPUT.cut_by}; otherwise the code would be {code}"
    print(f"replicator: {why}", file=sys.stderr)  # noqa: T201
    return SystemExit(code or UNWRITTEN)


def _require_text(args: Sequence[str]) -> None:
    try:
        "".join(args).encode()
    except UnicodeEncodeError:
        print("replicator: an argument is not UTF-8", file=sys.stderr)  # noqa: T201
        raise SystemExit(USAGE) from None


def _leave(exc: SystemExit) -> None:
    """Exit at once if a call was left that does not return, or if obstore was used.

    The interpreter waits for the thread of such a call. Obstore's threads can abort the process
    (SIGABRT) during the interpreter's finalization, after all work is done and everything is
    closed; seen with obstore 0.12.1.
    """
    from replicator.cli.terminal import signals  # noqa: PLC0415 - the list of verbs does without

    if not isinstance(exc.code, int | None):
        raise exc
    if not signals.WORK.hangs and "obstore" not in sys.modules:
        raise exc
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exc.code or 0)
