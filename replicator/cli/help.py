"""What `--help` shows beside a verb's own text, and the names that a shell completes."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import typer

SET_UP, FOLLOW, LOOK = "Set up", "Run", "Look"
GO_BACK, PROVE, CLEAN_UP, TAKE_OVER = "Go back", "Prove", "Clean up", "Take over"
LAST: Final = ("config", "set_", "as_json", "yes")
"""Options that many verbs share; `--help` lists them after the verb's own options."""
EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "demo": ("demo", "demo --keep"),
    "init": (
        "init",
        "init --source-metadata postgresql://db1/druid --target archive --target-storage s3://vault",
    ),
    "check": ("check", "check --json"),
    "config": ("config validate", "config print"),
    "target": ("target create standby --druid-release 33.0.0", "target sign vault"),
    "run": ("run", "run --target standby --log-format json"),
    "watch": ("watch", "watch --once"),
    "apply": ("apply standby", "apply standby --resume --once"),
    "serve": ("serve", "serve -c /etc/replicator.yaml"),
    "token": (
        "token create alice --role operator --expires 90d",
        "token create page --role viewer --target standby",
    ),
    "stream": ("stream create", "stream drop"),
    "status": ("status", "status --json"),
    "points": ("points", "points create before-migration"),
    "notifications": ("notifications list --state dead", "notifications test pager"),
    "log": ("log --datasource orders --limit 20", "log move --to replicator.kafka.yaml"),
    "blame": ("blame orders", "blame orders --interval 2026-01-01/2026-01-02"),
    "diff": ("diff 4000 latest", "diff 2026-01-31T12:00:00Z latest"),
    "restore": (
        "restore standby --before-drop orders --dry-run",
        "restore standby --to-time '07:48 local'",
    ),
    "rollback": (
        "rollback orders --on standby --to before-drop",
        "rollback orders --to '10m ago' --dry-run",
    ),
    "undelete": ("undelete orders --on standby", "undelete orders --on-source"),
    "promote": ("promote standby --dry-run", "promote standby"),
    "failover": ("failover standby --dry-run", "failover standby"),
    "verify": ("verify standby", "verify standby --level checksum --subset 5%"),
    "repair": ("repair standby --dry-run", "repair standby --from vault"),
    "drill": ("drill vault", "drill list"),
    "expire": ("expire vault --dry-run", "expire vault --retention 30d"),
    "lock": ("lock vault", "lock vault --json"),
    "hold": ("hold create audit --on vault --to-point audit --reason 'the auditors'", "hold list"),
}
"""Two examples for each verb; a test parses each of them."""
TARGETS: Final = frozenset({"target", "on", "into", "from_"})
DATASOURCES: Final = frozenset({"datasource", "before_drop"})
RECORDS_MAX: Final = 20_000
"""Number of the newest events in which completion looks for names of datasources."""
_DATASOURCE: Final = re.compile(rb'"datasource":"([^"\\]+)"')


def dressed(command: Any, verb: str) -> Any:
    """Sort a command's options, and add its examples and the completion of names."""
    for name, one in getattr(command, "commands", {}).items():
        dressed(one, verb)
        if is_itself(name):
            one.context_class = _Itself
    if examples := EXAMPLES.get(verb):
        command.epilog = "\n\n".join(["Examples:", *(f"  replicator {line}" for line in examples)])
    command.params.sort(key=_order)
    command.get_help_option = _bare(command.get_help_option)
    _mend_usage(command)
    for param in without_values(command.params):
        if param.name in TARGETS or (param.name == "name" and verb in {"target", "apply"}):
            param._custom_shell_complete = _completing(target_names)
        elif param.name in DATASOURCES or (param.name == "name" and verb == "blame"):
            param._custom_shell_complete = _completing(datasource_names)
    return command


class _Itself(typer.Context):
    """Context of the command that a group runs without a subcommand, like `restore`."""

    @property
    def command_path(self) -> str:
        """The words that the operator types, which are those of the group."""
        return super().command_path if self.parent is None else self.parent.command_path


def is_itself(name: str) -> bool:
    """Return whether a group runs this command without a subcommand: its name is a placeholder."""
    return name.strip("<>").isupper()


def _mend_usage(command: Any) -> None:
    """Show in the usage line what the operator types: TARGET, and no word for the placeholder."""
    if getattr(command, "invoke_without_command", False):
        command.subcommand_metavar = "[COMMAND] [ARGS]..."
    for param in command.params:
        if param.param_type_name == "argument" and param.metavar is None:
            param.metavar = str(param.name).strip("_").upper()
    command.collect_usage_pieces = _bare_names(command.collect_usage_pieces)


def _bare_names(pieces: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """Show required arguments in usage lines without braces, as other programs do."""
    return lambda context: [piece.strip("{}") for piece in pieces(context)]


def without_values(params: Sequence[Any]) -> Sequence[Any]:
    """Show flags without a value in the list of options."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


def _bare(help_option: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def bare(context: Any) -> Any:
        option = help_option(context)
        without_values([option] if option is not None else [])
        return option

    return bare


def _order(param: Any) -> tuple[int, str]:
    """Return the sorting key of a parameter: arguments come first and keep their order."""
    if param.param_type_name == "argument":
        return (0, "")
    name = param.name or ""
    return (2 if name in LAST else 1, name)


def _completing(names: Callable[[Path], Sequence[str]]) -> Callable[[Any, Any, str], list[str]]:
    def complete(context: Any, _: Any, incomplete: str) -> list[str]:
        given = context.params.get("config") or os.environ.get("REPLICATOR_CONFIG")
        with suppress(Exception):  # a completion must not print a traceback
            return [
                one for one in names(Path(given or "replicator.yaml")) if one.startswith(incomplete)
            ]
        return []

    return complete


def target_names(config: Path) -> list[str]:
    """Return the names of the targets in a configuration, which is not validated."""
    return sorted(_read(config).get("targets") or {})


def datasource_names(config: Path) -> list[str]:
    """Return the datasources that the newest events of an SQLite log name."""
    log = _read(config).get("log") or {}
    if log.get("type") != "sqlite":
        return []
    import sqlite3  # noqa: PLC0415 - `--help` does without

    query = "SELECT data FROM records ORDER BY offset DESC LIMIT ?"
    with closing(sqlite3.connect(f"file:{log['path']}?mode=ro", uri=True)) as connection:
        found = {
            name.decode()
            for (data,) in connection.execute(query, (RECORDS_MAX,))
            for name in _DATASOURCE.findall(data)
        }
    return sorted(found)


def _read(config: Path) -> dict[str, Any]:
    from replicator.config.file.yaml_file import parse  # noqa: PLC0415 - `--help` does without

    return parse(config.read_text(), config.name).values
