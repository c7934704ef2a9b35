"""`@verb`: makes a command of a function, and gives it the options that every verb has.

A verb is a coroutine function. Its first parameter is an `OpenCall`; the others are the verb's own
arguments and options, as Typer reads them. A parameter whose type is a dataclass stands for the
options that the fields of the dataclass declare, so that verbs can share them. The `Outcome` that
a verb returns is printed as text or as one JSON document, and its exit code ends the process.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial, update_wrapper
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec

import typer

from replicator.cli.command import Call, Changes, OpenCall, Outcome, finish, run
from replicator.cli.terminal.printed_commands import CONFIG_VARIABLE, DEFAULT_CONFIG

ConfigPath = Annotated[
    Path,
    typer.Option("--config", "-c", envvar=CONFIG_VARIABLE, help="The configuration, a YAML file."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Overrule one setting; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
FromStore = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STORE",
        help="Read the history that this target keeps in its store; source and log are not needed.",
    ),
]
Expect = Annotated[
    str | None,
    typer.Option(
        "--expect",
        metavar="TEXT",
        help="Refuse to do anything else: `expect` in the document of --dry-run --json.",
    ),
]
LogId = Annotated[
    str | None,
    typer.Option("--log", help="Log id to use if the store holds several (default: newest)."),
]
Service = Annotated[
    str | None,
    typer.Option(
        "--service",
        metavar="URL",
        envvar="REPLICATOR_SERVICE",
        help="Let this control API do it; REPLICATOR_TOKEN or REPLICATOR_TOKEN_FILE has the token.",
    ),
]
REMOTE = frozenset(
    {
        "apply",
        "blame",
        "check",
        "diff",
        "drill",
        "drill list",
        "expire",
        "failover",
        "hold create",
        "hold list",
        "hold remove",
        "lock",
        "log",
        "notifications list",
        "notifications resend",
        "points",
        "points create",
        "points remove",
        "points rotate",
        "promote",
        "repair",
        "restore",
        "rollback",
        "status",
        "target create",
        "undelete",
        "verify",
    }
)
"""Verbs that a control API can be asked for."""
_Own = ParamSpec("_Own")
"""Arguments and options of one verb."""


def verb(
    command: str, *, json: bool = True, changes: Changes = Changes.AT_ONCE
) -> Callable[[Callable[Concatenate[OpenCall, _Own], Awaitable[Outcome]]], Callable[..., None]]:
    """Make a command of a coroutine function that works with the configured application.

    Args:
        command: The verb as users type it, like `points create`; JSON documents name it.
        json: Whether the verb takes `--json`.
        changes: From when on it may have changed something.
    """

    def decorate(
        body: Callable[Concatenate[OpenCall, _Own], Awaitable[Outcome]],
    ) -> Callable[..., None]:
        work: Callable[..., Awaitable[Outcome]] = body
        return _command(
            command,
            work,
            lambda call, own: run(call, partial(work, **own)),
            json=json,
            changes=changes,
        )

    return decorate


def local_verb(
    command: str, *, changes: Changes = Changes.AT_ONCE
) -> Callable[[Callable[Concatenate[Call, _Own], Outcome]], Callable[..., None]]:
    """Make a command of a function that needs no application, at most the configuration.

    Args:
        command: The verb as users type it; JSON documents name it.
        changes: From when on it may have changed something.
    """

    def decorate(body: Callable[Concatenate[Call, _Own], Outcome]) -> Callable[..., None]:
        work: Callable[..., Outcome] = body
        return _command(
            command,
            work,
            lambda call, own: finish(call, partial(work, call, **own)),
            changes=changes,
        )

    return decorate


def _command(
    command: str,
    body: Callable[..., object],
    called: Callable[[Call, Mapping[str, object]], None],
    *,
    json: bool = True,
    changes: Changes,
) -> Callable[..., None]:
    """Return the function that Typer calls, with a signature that lists every option."""
    _, *own = signature(body, eval_str=True).parameters.values()

    def typed(
        context: typer.Context,
        config: ConfigPath = DEFAULT_CONFIG,
        set_: Overrides = None,
        as_json: AsJson = False,
        service: Service = None,
        **values: object,
    ) -> None:
        if context.invoked_subcommand is not None:
            return  # Typer calls `points`, the group, before `points create`
        overrides = tuple(set_ or ())
        store = values.get("from_")
        call = Call(
            command=command,
            config_path=config,
            changes=changes,
            overrides=overrides,
            as_json=as_json,
            store=store if isinstance(store, str) else None,
            service=None if service is None else _named(context, service),
        )
        if service is not None:
            from replicator.cli.remote import ask_service  # noqa: PLC0415 - few calls need it

            ask_service(call, context, service)
        called(call, {one.name: _value(one, values) for one in own})

    shared = [one for one in signature(typed).parameters.values() if one.name != "values"]
    options = [*(option for one in own for option in _options(one)), *shared]
    parameters = [
        one.replace(kind=Parameter.KEYWORD_ONLY)
        for one in options
        if (json or one.name != "as_json") and (command in REMOTE or one.name != "service")
    ]
    update_wrapper(typed, body)
    typed.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # Typer reads it
    typed.__annotations__ = {one.name: one.annotation for one in parameters}
    return typed


def _named(context: typer.Context, service: str) -> str:
    """Return how a service has to be named again; empty: the environment does."""
    source = context.get_parameter_source("service")
    return "" if source is not None and source.name == "ENVIRONMENT" else service


def _options(parameter: Parameter) -> Iterator[Parameter]:
    """Yield the options that a parameter of a verb stands for."""
    group = parameter.annotation
    if not is_dataclass(group):
        yield parameter
        return
    for one in fields(group):
        default = Parameter.empty if one.default is MISSING else one.default
        yield Parameter(one.name, Parameter.KEYWORD_ONLY, default=default, annotation=one.type)


def _value(parameter: Parameter, values: Mapping[str, object]) -> object:
    """Return the argument for a parameter of a verb, made of the options that were given."""
    made: Callable[..., object] = parameter.annotation
    if not is_dataclass(parameter.annotation):
        return values[parameter.name]
    return made(**{one.name: values[one.name] for one in fields(parameter.annotation)})
