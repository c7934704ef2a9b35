"""What all verbs share: settings, the event loop, output as text or as one document, exit codes."""

import asyncio
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvloop
from rich.console import Console

from replicator import config
from replicator.adapters.machine.clock import SystemClock
from replicator.cli import signals
from replicator.cli.console import Screen, ask, paper, say
from replicator.cli.job_channel import job_channel
from replicator.config import Settings
from replicator.config.yaml_file import scalar
from replicator.errors import ConfigError, RefusedError, ReplicatorError, worst
from replicator.model.event import Offset
from replicator.model.interval import Interval, interval
from replicator.web.document import document

if TYPE_CHECKING:
    from replicator.app import Application

DEFAULT_CONFIG = Path("replicator.yaml")
BUG = 1
BUG_HINT = (
    "report it to the project with the lines above, the command and the versions of Druid,"
    " PostgreSQL, Kafka and the storages; what was confirmed is safe, and the next start goes on"
    " from there"
)
PARTLY_DONE = 3
FIRST_YEAR, LAST_YEAR = 1970, 9000
"""Times outside are a slip of the hand, and some logs cannot look them up."""
OFFSET_MAX = 10**18 - 1
"""More than any log holds; it fits into 64 bits."""
LIST_MAX = 10_000_000
"""More is listed by nobody."""
NAMED_MAX = 20
"""So many of what is not done are named to people; a document names all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a verb found out or did."""

    result: Mapping[str, Any]
    show: Callable[[Console], None]
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a verb was called."""

    command: str
    config_path: Path
    overrides: tuple[str, ...] = ()
    as_json: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def settings(self) -> Settings:
        """Return the settings that the verb works with."""
        return config.load(self.config_path, self.environ, parse_overrides(self.overrides))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call of a verb, with what the verb works with until it returns."""

    typed: Call
    application: "Application"
    screen: Screen

    @property
    def as_json(self) -> bool:
        """Whether the outcome is printed as a JSON document, and nothing else is printed."""
        return self.typed.as_json


def run(call: Call, body: Callable[[OpenCall], Awaitable[Outcome]]) -> None:
    """Run a verb over a configured application, print its outcome and exit with its code."""
    from replicator.app import Application  # noqa: PLC0415 - `config` does without all services

    async def within() -> Outcome:
        with Screen(quiet=call.as_json) as screen:
            told = (screen.observe, screen.of)
            async with Application(call.settings(), call.environ, *told) as application:
                return await body(OpenCall(typed=call, application=application, screen=screen))

    finish(call, lambda: in_loop(within))


def finish(call: Call, work: Callable[[], Outcome]) -> None:
    """Do the work, print what came of it, and exit."""
    signals.begin()
    job_channel()  # from here on this process ends with the service that has started it
    outcome = _attempted(call, work)
    print_document(call, {"result": dict(outcome.result)})
    if not call.as_json:
        outcome.show(paper())
    raise SystemExit(outcome.exit_code)


def _attempted(call: Call, work: Callable[[], Outcome]) -> Outcome:
    try:
        return work()
    except ReplicatorError as exc:
        _fail(call, exc)
    except BaseExceptionGroup as group:
        if (failure := worst(group)) is None:
            _fail_by_a_bug(call, group)
        _fail(call, failure)
    except KeyboardInterrupt:
        say("replicator: interrupted; the next start goes on from here")
        raise SystemExit(signals.INTERRUPTED) from None
    except Exception as exc:  # noqa: BLE001 - the last word to whoever sees it
        _fail_by_a_bug(call, exc)


def next_command(verb: str, config: Path) -> str:
    """Return a verb as it is typed next, for the same configuration."""
    where = "" if config == DEFAULT_CONFIG else f" --config {shlex.quote(str(config))}"
    return f"replicator {verb}{where}"


def print_document(call: Call, content: Mapping[str, Any]) -> None:
    """Print the one JSON document of a verb where it was asked for, and hand it to a service."""
    channel = job_channel()
    if channel is None and not call.as_json:
        return
    written = document(call.command, content, SystemClock().now())
    if channel is not None:
        channel.document(written)
    if call.as_json:
        sys.stdout.write(written.decode())


def agree(target: str, *, yes: bool, doing: str) -> None:
    """Go on only when somebody said so: by `--yes`, or by typing the target's name.

    Raises:
        RefusedError: nobody did.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError(f"nothing was changed: {doing} needs --yes when nobody can be asked")
    question = f"Type the name of the target to change ({target})"
    typed = ask(question)
    if typed != target:
        raise RefusedError(f"nothing was changed: {typed!r} is not {target!r}")


def parse_overrides(given: tuple[str, ...]) -> dict[str, object]:
    """Return `--set` flags as dotted keys and values."""
    found: dict[str, object] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text}: write it as KEY=VALUE")
        found[key] = scalar(value)
    return found


def parse_time(text: str) -> datetime:
    """Return a point in time; it must say its zone, as ISO 8601 does or by its name behind it.

    Raises:
        ConfigError: it is no ISO-8601 time, has no zone, or nothing was or will be then.
    """
    written, _, zone = text.strip().rpartition(" ")
    if written and zone[:1].isalpha():
        return parse_time(_in_zone(written, parse_zone(zone)))
    try:
        time = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(f"{text!r} is not a time like 2026-01-31T12:00:00Z") from exc
    if time.tzinfo is None:
        raise ConfigError(
            f"{text!r} has no zone",
            hint=f"say {text}Z for UTC, or {text}+01:00 and the like, or '{text} local'",
        )
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ConfigError(f"{text!r} is not between the years {FIRST_YEAR} and {LAST_YEAR}")
    return time.astimezone(UTC)


def parse_zone(name: str) -> tzinfo | None:
    """Return the zone of that name; None for `local`: that of this machine.

    Raises:
        ConfigError: nobody knows it.
    """
    if name == "local":
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"{name!r} is no zone", hint="say UTC, local, or a name like Europe/Berlin"
        ) from None


def _in_zone(written: str, zone: tzinfo | None) -> str:
    try:
        time = datetime.fromisoformat(written)
    except ValueError as exc:
        raise ConfigError(f"{written!r} is not a time like 2026-01-31T12:00:00") from exc
    if time.tzinfo is not None:
        raise ConfigError(f"{written!r} has a zone already")
    return (time.astimezone() if zone is None else time.replace(tzinfo=zone)).isoformat()


def parse_offset(text: str) -> Offset:
    """Return an offset.

    Raises:
        ConfigError: it is no whole number that a log can have.
    """
    if text.isascii() and text.isdecimal() and len(text) < len(str(OFFSET_MAX)):
        return Offset(int(text))
    raise ConfigError(f"{text!r} is no offset")


def parse_interval(text: str) -> Interval:
    """Return an interval that is written as START/END.

    Raises:
        ConfigError: it is not.
    """
    start, separator, end = text.partition("/")
    try:
        if separator:
            return interval(start, end)
    except ValueError as exc:
        raise ConfigError(f"--interval {text}: {exc}") from None
    raise ConfigError(f"--interval {text}: write it like 2026-01-01/2026-01-02")


def in_loop(within: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Return what comes of it in an event loop; SIGTERM ends it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(_unless_terminated(within))
    if outcome is None:
        signals.say_terminated()
        raise SystemExit(signals.terminated_code(sys.argv[1:]))
    return outcome


async def _unless_terminated(within: Callable[[], Awaitable[Outcome]]) -> Outcome | None:
    """Return what came of it; None when SIGTERM ended it, once it has cleaned up after itself."""
    loop, work = asyncio.get_running_loop(), asyncio.current_task()
    assert work is not None  # noqa: S101 - for the type checker
    terminated = asyncio.Event()

    def end() -> None:
        loop.remove_signal_handler(signal.SIGTERM)  # the second one kills as usual
        terminated.set()
        work.cancel()
        signals.end_within(signals.CLEANING_UP_S)

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        return await within()
    except asyncio.CancelledError:
        if not terminated.is_set():
            raise
        work.uncancel()
        return None


def _fail(call: Call, exc: ReplicatorError) -> NoReturn:
    error = {"type": type(exc).__name__, "message": str(exc), "hint": exc.hint}
    print_document(call, {"error": error})
    text = f"replicator: {exc}" + (f"\nhint: {exc.hint}" if exc.hint else "")
    say(text)
    raise SystemExit(exc.exit_code) from exc


def _fail_by_a_bug(call: Call, exc: BaseException) -> NoReturn:
    """Say what nobody expected, and what to do with it."""
    error = {"type": type(exc).__name__, "message": str(exc), "hint": BUG_HINT}
    print_document(call, {"error": error})
    say("".join(traceback.format_exception(exc)).rstrip())
    release = version("druid-replicator")
    say(f"replicator {release}: this is a bug of the program and not of your set-up: {BUG_HINT}")
    raise SystemExit(BUG) from exc
