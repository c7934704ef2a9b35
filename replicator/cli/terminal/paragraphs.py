"""Text in paragraphs with their names beside them, no wider than the screen, no word cut."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH_MIN, WIDTH_MAX = 40, 110
GAP = 2
NAME_MAX = 14
"""A longer name stands on a line of its own: beside it no room would be left for words."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines under one name; one that begins with a blank is to be copied and never wrapped."""

    name: str
    lines: Sequence[str]


def paragraphs(shown: Sequence[Paragraph], width: int) -> Iterator[str]:
    """Yield the lines of the paragraphs one below the other."""
    width = min(max(width, WIDTH_MIN), WIDTH_MAX)
    indent = max((len(one.name) for one in shown if len(one.name) <= NAME_MAX), default=0) + GAP
    for one in shown:
        name = one.name
        if len(name) > NAME_MAX:
            yield name
            name = ""
        for line in one.lines:
            for part in _wrapped(line, width - indent):
                yield f"{name:<{indent}}{part}".rstrip()
                name = ""


def _wrapped(line: str, width: int) -> list[str]:
    if line.startswith(" "):
        return [line]
    return textwrap.wrap(
        line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
