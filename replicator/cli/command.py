"""Parts shared by all verbs: settings, the event loop, text or JSON output, exit codes."""

import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from rich.console import Console

from replicator import __version__, config
from replicator.adapters.machine.clock import SystemClock
from replicator.cli.outlets import LOG
from replicator.cli.terminal import signals
from replicator.cli.terminal.console import ask, paper, say
from replicator.cli.terminal.job_channel import job_channel
from replicator.cli.terminal.printed_commands import ANY_TARGET, PrintedCommands
from replicator.cli.terminal.typed import parse_overrides
from replicator.config import Settings
from replicator.errors import BUG, BUG_HINT, DefectError, RefusedError, ReplicatorError, worst
from replicator.model.operations.command_line import SHOWN_SERVICE
from replicator.web.document import document

if TYPE_CHECKING:
    from replicator.app import Application
    from replicator.cli.terminal.screen import Screen
    from replicator.model.observation import Observation, Observer

_Result = TypeVar("_Result")
PARTLY_DONE = 3
NAMED_MAX = 20
"""Number of failures that a text names; the JSON document names all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a verb, as a JSON value and as text."""

    result: Mapping[str, Any]
    show: Callable[[Console], None]
    exit_code: int = 0


class Changes(Enum):
    """The point from which a verb may have changed something; earlier interruptions say so."""

    NEVER = auto()
    """The verb changes nothing."""
    ONCE_AGREED = auto()
    """After the operator has agreed: see `agree`."""
    AT_ONCE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a verb was called."""

    command: str
    config_path: Path
    changes: Changes = Changes.AT_ONCE
    overrides: tuple[str, ...] = ()
    as_json: bool = False
    store: str | None = None
    """Target of `--from`, whose store alone is read; None: the log is read."""
    service: str | None = None
    """Service of `--service`, as typed; empty: the environment names it; None: none."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def settings(self) -> Settings:
        """Return the verb's settings."""
        return config.load(self.config_path, self.environ, parse_overrides(self.overrides))

    @property
    def printed(self) -> PrintedCommands:
        """The options that commands in this call's messages repeat."""
        service = self.environ.get(SHOWN_SERVICE) if self.service is None else self.service
        return PrintedCommands(
            config=self.config_path,
            environ=self.environ,
            store=self.store,
            overrides=self.overrides,
            service=service,
        )

    def complete(self, text: str) -> str:
        """Return a message whose commands can be typed as printed."""
        only = self._only_target() if ANY_TARGET in text else None
        return self.printed.complete(text, target=only)

    def _only_target(self) -> str | None:
        with suppress(ReplicatorError):  # the message itself is about the settings then
            targets = list(self.settings().targets)
            return targets[0] if len(targets) == 1 else None
        return None


class LateScreen:
    """The screen of one verb, created with its first observation: many verbs show none.

    Args:
        quiet: Whether no bar is ever drawn.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._screen: Screen | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._screen is not None:
            self._screen.__exit__(kind, exc, traceback)

    @property
    def screen(self) -> "Screen":
        """The screen; it is made now if there was none."""
        if self._screen is None:
            from replicator.cli.terminal.screen import Screen  # noqa: PLC0415 - as it says

            self._screen = Screen(quiet=self._quiet).__enter__()
        return self._screen

    def of(self, target: str) -> "Observer":
        """Return the observer of one target's services."""

        def observe(observation: "Observation") -> None:
            self.screen.of(target)(observation)

        return observe

    def observe(self, observation: "Observation") -> None:
        """Show one observation of the watcher, or of no particular service."""
        self.screen.observe(observation)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call of a verb, with its application and screen while the verb runs."""

    typed: Call
    application: "Application"
    late_screen: LateScreen

    @property
    def as_json(self) -> bool:
        """Whether the outcome is printed as a JSON document, and nothing else is printed."""
        return self.typed.as_json

    @property
    def screen(self) -> "Screen":
        """The screen on which the verb shows what happens."""
        return self.late_screen.screen


def run(call: Call, body: Callable[[OpenCall], Awaitable[Outcome]]) -> None:
    """Run a verb over a configured application, print its outcome and exit with its code."""
    # Only verbs with an application need these modules; `config` starts in half the time without.
    from replicator.app import Application  # noqa: PLC0415
    from replicator.cli.terminal.loop import in_loop  # noqa: PLC0415

    async def within() -> Outcome:
        with LateScreen(quiet=call.as_json) as screen:
            observers = (screen.observe, screen.of)
            async with Application(
                call.settings(), call.environ, *observers, unlogged=lambda: LOG.fault
            ) as application:
                opened = OpenCall(typed=call, application=application, late_screen=screen)
                return await body(opened)

    finish(call, lambda: in_loop(within))


def finish(call: Call, work: Callable[[], Outcome]) -> None:
    """Do the work, print its outcome, and exit."""
    _begin(call)
    job_channel()  # from here on this process ends with the service that started it
    outcome = _attempted(call, work)
    print_document(call, {"result": dict(outcome.result)})
    if not call.as_json:
        outcome.show(paper(call.complete))
    raise SystemExit(outcome.exit_code)


def _attempted(call: Call, work: Callable[[], _Result]) -> _Result:
    try:
        return work()
    except ReplicatorError as exc:
        _fail(call, exc)
    except BaseExceptionGroup as group:
        if (failure := worst(group)) is None:
            _fail_by_a_bug(call, group)
        _fail(call, failure)
    except KeyboardInterrupt:
        say(f"replicator: interrupted; {signals.WORK.left}")
        raise SystemExit(signals.INTERRUPTED) from None
    except signals.Unanswered as exc:
        say(f"\nreplicator: {exc.word} at the question; {signals.WORK.left}")
        raise SystemExit(exc.exit_code) from None
    except Exception as exc:  # noqa: BLE001 - an unexpected error is a bug, and reported as one
        _fail_by_a_bug(call, exc)


def print_document(call: Call, content: Mapping[str, Any]) -> None:
    """Print a verb's JSON document if `--json` was given, and send it to the service of a job."""
    channel = job_channel()
    if channel is None and not call.as_json:
        return
    written = document(call.command, content, SystemClock().now())
    if channel is not None:
        channel.document(written)
    if call.as_json:
        sys.stdout.write(written.decode())


def attempt(call: Call, work: Callable[[], int]) -> NoReturn:
    """Do work that prints its own outcome, and exit with the code that it returns."""
    _begin(call)
    raise SystemExit(_attempted(call, work))


def _begin(call: Call) -> None:
    is_begun = call.changes is Changes.AT_ONCE
    signals.WORK.so_far = None if is_begun else signals.NOTHING_CHANGED
    signals.begin()


def agree(
    target: str,
    *,
    yes: bool,
    doing: str,
    what: str = "target to change",
    so_far: str = signals.NOTHING_CHANGED,
) -> None:
    """Continue only if the operator agrees, by `--yes` or by typing the name of the changed thing.

    From then on, the message of an interruption says that work has begun.

    Args:
        target: Name of the changed thing.
        yes: Whether the operator has agreed already.
        doing: The work, as a noun.
        what: Kind of the changed thing.
        so_far: What has been done so far, for the message if the operator does not agree.

    Raises:
        RefusedError: the operator did not agree.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise RefusedError(f"{so_far}: {doing} needs --yes where no terminal can ask")
        signals.WORK.so_far = so_far
        typed = ask(f"Type the name of the {what} ({target})")
        if typed != target:
            raise RefusedError(f"{so_far}: {typed!r} is not {target!r}")
    signals.WORK.so_far = None


def _fail(call: Call, exc: ReplicatorError) -> NoReturn:
    error = {"type": type(exc).__name__, "message": str(exc), "hint": exc.hint}
    print_document(call, {"error": error})
    text = f"replicator: {exc}" + (f"\nhint: {exc.hint}" if exc.hint else "")
    say(call.complete(text))
    raise SystemExit(exc.exit_code) from exc


def _fail_by_a_bug(call: Call, exc: BaseException) -> NoReturn:
    """Report an unexpected error, and how to report it to the project."""
    error = {"type": type(exc).__name__, "message": str(exc), "hint": BUG_HINT}
    print_document(call, {"error": error})
    say("".join(traceback.format_exception(exc)).rstrip())
    say(f"replicator {__version__}: {DefectError.hint}")
    raise SystemExit(BUG) from exc
