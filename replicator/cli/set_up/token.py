"""`token`: creates, lists and revokes tokens of the control API."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.sqlite.control_file import ControlFile
from replicator.adapters.sqlite.tokens import TokenStore
from replicator.app.control_folder import DATABASE, control_folder
from replicator.cli.command import Call, Changes, Outcome
from replicator.cli.terminal.loop import in_loop
from replicator.cli.terminal.paragraphs import listing
from replicator.cli.terminal.typed import parse_time
from replicator.cli.verb import local_verb
from replicator.config import Settings
from replicator.config.values import duration
from replicator.control.access.naming import refuse_unknown
from replicator.control.access.tokens import new_token
from replicator.errors import ConfigError, NotFoundError
from replicator.model.operations.access import AccessToken, Role
from replicator.model.operations.words import moment

app = typer.Typer(help="Create, list and revoke tokens of the control API.", no_args_is_help=True)
RESERVED = frozenset({"certificate", "schedule"})
"""First words of principals that have no token."""
Body = Callable[[Settings, TokenStore], Awaitable[Outcome]]


@app.command("create")
@local_verb("token create")
def create(
    call: Call,
    name: Annotated[str, typer.Argument(help="Name of its holder in the audit log.")],
    role: Annotated[Role, typer.Option(help="Role of its holder.")],
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Allow only this target; may be repeated."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it expires: 90d from now, or a time with its zone.")
    ] = None,
) -> Outcome:
    """Create a token and print it once; only its hash is stored."""

    async def body(settings: Settings, tokens: TokenStore) -> Outcome:
        refuse_unknown(target or (), settings.targets)
        now = SystemClock().now()
        _refuse_taken(_checked(name), await tokens.tokens(), now)
        kept, text = new_token(
            name=name,
            role=role,
            targets=frozenset(target) if target else None,
            now=now,
            until=None if expires is None else _expiry(expires, now),
        )
        await tokens.add(kept)
        return Outcome(
            result={**_json(kept), "token": text},
            show=lambda console: console.print(text, markup=False),
        )

    return _with_tokens(call, body)


@app.command("list")
@local_verb("token list", changes=Changes.NEVER)
def list_(call: Call) -> Outcome:
    """List the tokens, including revoked and expired ones."""

    async def body(_: Settings, tokens: TokenStore) -> Outcome:
        found = await tokens.tokens()
        return Outcome(
            result={"tokens": [_json(one) for one in found]},
            show=lambda console: _show(console, found),
        )

    return _with_tokens(call, body)


@app.command("revoke")
@local_verb("token revoke")
def revoke(
    call: Call,
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
) -> Outcome:
    """Revoke a token, from the next request on."""

    async def body(_: Settings, tokens: TokenStore) -> Outcome:
        if not await tokens.revoke(id_, SystemClock().now()):
            raise NotFoundError(f"there is no token {id_!r}", hint="`replicator token list`")
        return Outcome(
            result={"revoked": id_},
            show=lambda console: console.print(f"{id_} opens nothing any more", markup=False),
        )

    return _with_tokens(call, body)


def _with_tokens(call: Call, body: Body) -> Outcome:
    async def within() -> Outcome:
        settings = call.settings()
        file = ControlFile(control_folder(settings) / DATABASE)
        try:
            return await body(settings, TokenStore(file))
        finally:
            await file.close()

    return in_loop(within)


def _checked(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ConfigError("say who gets the token, in printable letters")
    if name.split(maxsplit=1)[0].lower() in RESERVED:
        raise ConfigError(
            f"{name!r}: the audit log calls holders of certificates and schedules so",
            hint="choose a name that begins with another word",
        )
    return name


def _refuse_taken(name: str, known: list[AccessToken], now: datetime) -> None:
    """Refuse the name of a token that is still valid.

    Raises:
        ConfigError: a valid token has the name; the audit log could not tell the two apart.
    """
    for one in known:
        if one.name == name and one.is_good(now):
            raise ConfigError(
                f"there is a token {name!r} already: {one.id}",
                hint=f"choose another name, or end it first: `replicator token revoke {one.id}`",
            )


def _expiry(text: str, now: datetime) -> datetime:
    """Return the time at which a token expires.

    Raises:
        ConfigError: the text is neither a duration nor a time, or the time has passed.
    """
    try:
        until = now + duration(text)
    except ValueError:
        until = parse_time(text)
    if until - now <= timedelta(0):
        raise ConfigError(f"--expires {text}: that has passed")
    return until


def _json(token: AccessToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "targets": None if token.targets is None else sorted(token.targets),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }


def _show(console: Console, found: list[AccessToken]) -> None:
    if not found:
        console.print("there is no token: only holders of certificates get in")
        return
    heads = ("id", "name", "role", "targets", "expires", "revoked")
    for line in listing(heads, list(map(_cells, found)), console.width):
        console.print(line, markup=False)


def _cells(token: AccessToken) -> Sequence[str]:
    return (
        token.id,
        token.name,
        token.role.value,
        "all" if token.targets is None else ", ".join(sorted(token.targets)),
        "never" if token.expires_at is None else moment(token.expires_at),
        "" if token.revoked_at is None else moment(token.revoked_at),
    )
