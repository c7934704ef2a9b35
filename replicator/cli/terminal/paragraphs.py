"""Paragraphs with their names beside them, wrapped between words to the width of the screen."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH_MIN, WIDTH_MAX = 40, 110
GAP = 2
NAME_MAX = 14
"""Longest name beside its paragraph; longer ones get a line of their own."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines under one name; a line that begins with a blank is a command and is never wrapped."""

    name: str
    lines: Sequence[str]


def paragraphs(shown: Sequence[Paragraph], width: int) -> Iterator[str]:
    """Yield the lines of the paragraphs in their order."""
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


def listing(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Yield a table; where it is wider than the screen, a paragraph a row, so that no cell is cut.

    The first cell of a row names it.
    """
    cells = [list(heads), *map(list, rows)]
    widths = [max(len(one) for one in column) for column in zip(*cells, strict=True)]
    if sum(widths) + GAP * (len(widths) - 1) <= width:
        for row in cells:
            line = (f"{one:<{wide + GAP}}" for one, wide in zip(row, widths, strict=True))
            yield "".join(line).rstrip()
        return
    room = min(max(width, WIDTH_MIN), WIDTH_MAX) - NAME_MAX - GAP
    for name, *rest in rows:
        cells_named = [f"{head} {one}" for head, one in zip(heads[1:], rest, strict=True) if one]
        yield from paragraphs([Paragraph(name, _packed(cells_named, room))], width)


def _packed(cells: Sequence[str], room: int) -> list[str]:
    """Return lines of whole cells, as many on each as there is room for."""
    lines: list[str] = []
    for cell in cells:
        if lines and len(lines[-1]) + len(cell) + GAP <= room:
            lines[-1] += f", {cell}"
        else:
            lines.append(cell)
    return lines
