"""`init`: writes a first configuration from answers that were tried on the real servers."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from replicator.app.verbs.trying import Trying
from replicator.cli.command import Call, Changes, Outcome
from replicator.cli.set_up.interview import Interview, PasswordVariables, Question, questions
from replicator.cli.terminal.loop import in_loop
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.cli.verb import local_verb
from replicator.config.file.starter import Starter
from replicator.errors import ConfigError, RefusedError

HEAD = """\
Five questions; each answer is tried at once, and nothing is written before the last one.
"""


@local_verb("init", changes=Changes.NEVER)
def init(
    call: Call,
    source_metadata: Annotated[
        str | None,
        typer.Option(help="postgresql://user@host/database or mysql://…, of the source."),
    ] = None,
    source_storage: Annotated[
        str | None,
        typer.Option(
            help="Its deep storage: a folder, s3://bucket/prefix, gs://…,"
            " azure://account/container/prefix, hdfs://namenode:8020/path; settings behind '?'."
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option("--log", help="A file, or kafka://broker1:9092,broker2:9092."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="The target's metadata store by its URL, or `archive`."),
    ] = None,
    target_storage: Annotated[
        str | None, typer.Option(help="The target's deep storage, like --source-storage.")
    ] = None,
    target_druid: Annotated[
        str | None, typer.Option(help="Its Coordinator, like http://coordinator:8081.")
    ] = None,
    source_name: Annotated[
        str, typer.Option(help="The name of the source in every event; it never changes.")
    ] = "prod",
    target_name: Annotated[
        str | None, typer.Option(help="Default: `standby`, or `archive` for one.")
    ] = None,
    source_password_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The variable with the source's password; SOURCE_PASSWORD if set."
        ),
    ] = None,
    target_password_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The variable with the target's; STANDBY_PASSWORD if set."
        ),
    ] = None,
) -> Outcome:
    """Write a first configuration: five questions, each answer tried at once.

    Flags answer questions; without a terminal every question needs one. A password that is typed or
    part of a URL is used for the trial; the file only names the variable that will hold it.
    """
    to_answer = questions(
        source_metadata=source_metadata,
        source_storage=source_storage,
        log=log,
        target=target,
        target_storage=target_storage,
        source_name=source_name,
    )
    can_ask = sys.stdin.isatty() and not call.as_json
    starter = Starter(
        source_name=source_name, target_name=target_name or "standby", target_druid=target_druid
    )
    variables = PasswordVariables(source=source_password_env, target=target_password_env)

    async def within() -> Outcome:
        _require_free(call.config_path)
        if not can_ask:
            _require_answers(to_answer)
        environ = dict(call.environ)
        async with Trying(environ) as trying:
            interview = Interview(
                starter, trying, environ, variables, can_ask=can_ask, target_name=target_name
            )
            if can_ask:
                typer.echo(HEAD)
            answered = await interview.hold(to_answer)
        _write(call.config_path, answered)
        return _outcome(call.config_path, answered, call.environ, environ)

    return in_loop(within)


def _require_free(config: Path) -> None:
    if config.exists():
        raise RefusedError(
            f"{config} is there already; nothing was changed",
            hint="name another file with --config, or move this one away",
        )
    if not config.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {config.absolute().parent} for {config.name}")


def _require_answers(to_answer: Mapping[str, Question]) -> None:
    missing = [one.flag for one in to_answer.values() if one.answer is None and one.default is None]
    if missing:
        raise ConfigError(
            f"there is no terminal to ask, and these answers are missing: {', '.join(missing)}",
            hint="pass them as flags, or start `replicator init` at a terminal",
        )


def _write(config: Path, answered: Starter) -> None:
    try:
        with config.open("x", encoding="utf-8") as file:
            file.write(answered.text())
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        _require_free(config)
    except OSError as exc:
        raise ConfigError(f"{config} cannot be written: {exc.strerror}") from exc


def _outcome(
    config: Path, answered: Starter, environ: Mapping[str, str], tried: Mapping[str, str]
) -> Outcome:
    variables = [
        str(part["password_env"])
        for part in (answered.source_metadata, answered.target_metadata)
        if part is not None and "password_env" in part
    ]
    unset = [name for name in variables if environ.get(name) != tried.get(name, "")]
    printed = PrintedCommands(config=config, environ=environ)
    create = printed.command(f"target create {answered.target_name}")

    def show(console: Console) -> None:
        console.print(f"wrote {config}")
        _show_next(console, unset, create)

    return Outcome(
        result={"config": str(config), "variables_unset": unset, "next": create}, show=show
    )


def _show_next(console: Console, unset: Sequence[str], create: str) -> None:
    console.print("next:")
    for name in unset:
        console.print(f"  read -rs {name} && export {name}    # its password, for this shell")
    console.print(f"  {create}")
