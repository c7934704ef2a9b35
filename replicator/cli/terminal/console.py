"""What a verb prints for a person, and what it asks one; names are data on both ways."""

import sys
from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from replicator.cli.terminal import signals
from replicator.model.operations.shown import printable


class Bars(Protocol):
    """Progress bars that are drawn over whatever else is printed."""

    def hold_still(self) -> None:
        """Take the bars away until there is progress again."""
        ...


SHOWN: list[Bars] = []
"""Bars that may be on the terminal: at most one screen has some."""


def hold_still() -> None:
    """Take bars away, before a question or before text is printed."""
    for screen in SHOWN:
        screen.hold_still()


class Paper(Console):
    """A console for which names are data: no markup, and nothing that a terminal acts upon.

    Styles come as `Text`, like `good` and `bad` give it.
    """

    def __init__(self, complete: Callable[[str], str] = str, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)
        self._complete = complete

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as it is shown, also that of a table's cell."""
        return super().render_str(printable(self._complete(text)), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print strings and texts as they are shown, tables as `render_str` gives their cells."""
        super().print(*map(self._clean, objects), **options)

    def _clean(self, one: object) -> object:
        if isinstance(one, Text):
            one = one.copy()
            one.plain = printable(one.plain)
        return one


def good(words: str) -> Text:
    """Return words that say that all is well."""
    return Text(words, style="green")


def note(words: str) -> Text:
    """Return words that deserve attention."""
    return Text(words, style="yellow")


def bad(words: str) -> Text:
    """Return words that say that something is wrong."""
    return Text(words, style="red")


def ask(question: str, *, hidden: bool = False) -> str:
    """Ask a person at the terminal, and return what was typed; `hidden` shows nothing of it."""
    from rich.prompt import Prompt  # noqa: PLC0415 - most verbs ask nothing

    hold_still()
    shown = Text(printable(question), style="prompt")
    with signals.at_a_question() as wait:
        if hidden:  # the echo is switched off before anything is waited for
            return Prompt.ask(shown, console=Paper(), password=True)
        Paper().print(shown.append(": "), end="")
        wait(sys.stdin.fileno())
        return Paper().input()


def paper(complete: Callable[[str], str] = str) -> Paper:
    """Return where the answer of a verb is printed; no bar is drawn over it.

    Args:
        complete: What makes the commands in a text such as can be typed as they are.
    """
    hold_still()
    return Paper(complete)


def say(message: str) -> None:
    """Print a message of several lines to stderr, whatever names are in it."""
    sys.stderr.write(printable(message, lines=True) + "\n")
