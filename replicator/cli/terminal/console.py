"""Printing for an operator and asking one; names are data and are never interpreted."""

import sys
from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from replicator.cli.terminal import signals
from replicator.model.operations.shown import printable


class Bars(Protocol):
    """Progress bars that would overwrite other output."""

    def hold_still(self) -> None:
        """Remove the bars until there is progress again."""
        ...


SHOWN: list[Bars] = []
"""Bars that may be on the terminal; at most one screen has any."""


def hold_still() -> None:
    """Remove all bars, before a question or other text is printed."""
    for screen in SHOWN:
        screen.hold_still()


class Paper(Console):
    """A console that prints names as data: without markup, and without control characters.

    Styled text is passed as `Text`, as `good` and `bad` return it.
    """

    def __init__(self, complete: Callable[[str], str] = str, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)
        self._complete = complete

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as it is shown; also used for cells of tables."""
        return super().render_str(printable(self._complete(text)), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print strings and texts, with control characters made visible."""
        super().print(*map(self._clean, objects), **options)

    def _clean(self, one: object) -> object:
        if isinstance(one, Text):
            one = one.copy()
            one.plain = printable(one.plain)
        return one


def good(words: str) -> Text:
    """Return text styled as good news."""
    return Text(words, style="green")


def note(words: str) -> Text:
    """Return text styled as worth attention."""
    return Text(words, style="yellow")


def bad(words: str) -> Text:
    """Return text styled as bad news."""
    return Text(words, style="red")


def ask(question: str, *, hidden: bool = False) -> str:
    """Ask the operator at the terminal and return the answer; `hidden` shows nothing of it."""
    hold_still()
    shown = Text(f"{printable(question)}: ", style="prompt")
    with signals.at_a_question() as wait:
        if hidden:
            return _hidden_answer(shown)
        Paper().print(shown, end="")
        wait(sys.stdin.fileno())
        return Paper().input()


def _hidden_answer(question: Text) -> str:
    """Return an answer that is not shown while it is typed.

    `getpass` prints the question, after it has switched off the echo: what is typed into a question
    that stands there before would be shown, and lost, because the switch discards it.
    """
    from getpass import getpass  # noqa: PLC0415 - most verbs ask nothing

    page = Paper()
    with page.capture() as printed:
        page.print(question, end="")
    return getpass(printed.get()).strip()


def paper(complete: Callable[[str], str] = str) -> Paper:
    """Return the console for a verb's result, after removing all bars.

    Args:
        complete: Completes the commands in a text so that they can be typed as printed.
    """
    hold_still()
    return Paper(complete)


def say(message: str) -> None:
    """Print a message of several lines to stderr, with control characters made visible."""
    sys.stderr.write(printable(message, lines=True) + "\n")
