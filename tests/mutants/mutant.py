"""What a planted bug is, and how it is put into the source."""

import ast
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

Ring = Literal["unit", "fuzz", "contract", "simulation", "integration", "acceptance", "schemas"]
RINGS: Final[tuple[Ring, ...]] = get_args(Ring)
PRODUCT: Final = "replicator"
_TESTS: Final = Path(__file__).resolve().parents[1]
TRAPS: Final = range(1, 16)
"""The numbers of docs/traps.md."""
_DEFINES: Final = re.compile(r"^ *(?:async +)?(?:def|class) +(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A small wrong version of the product."""

    name: str
    function: str
    """The qualified name of the function, `Applier.run`; nothing else is called so."""
    old: str
    """Text that stands in the function once."""
    new: str
    """What stands there instead."""
    loses: str
    """What a user would lose by it, in one sentence."""
    ring: Ring
    """The ring that must catch it."""
    tests: str
    """What of the ring is run: arguments of pytest, files by their names."""
    trap: int | None = None
    """The trap of docs/traps.md that it walks into."""
    seeds: int | None = None
    """How many seeds of the simulation are run."""
    hangs: bool = False
    """Whether it is caught by a test that does not end in its time."""
    accepted: str = ""
    """Why no test catches it; empty: one must."""

    @property
    def selection(self) -> "Selection":
        """What is run for it."""
        return Selection(ring=self.ring, tests=self.tests, seeds=self.seeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Some tests of one ring."""

    ring: Ring
    tests: str
    seeds: int | None

    def arguments(self) -> list[str]:
        """Return it as arguments of pytest: a file is found by its name, in whichever room."""
        words = shlex.split(self.tests)
        return [_found(self.ring, word) if word.startswith("test_") else word for word in words]


def _found(ring: Ring, word: str) -> str:
    file, *rest = word.split("::")
    folder = _TESTS / ring
    place = next(folder.rglob(file), folder / file).relative_to(_TESTS.parent)
    return "::".join([str(place), *rest])


class StaleError(Exception):
    """A mutant does not fit the source any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutated:
    """A file of the product with a mutant in it."""

    path: Path
    """Relative to the project."""
    text: str

    @property
    def module(self) -> str:
        """The name that it is imported by."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    start: int
    end: int


def mutated(mutant: Mutant, project: Path) -> Mutated:
    """Return the file that a mutant changes, changed.

    Raises:
        StaleError: there is no such function, more than one, or its text is another.
    """
    place = _only_place(mutant, project)
    text = _read(project / place.path)
    body = text[place.start : place.end]
    if (count := body.count(mutant.old)) != 1:
        raise StaleError(f"{mutant.old!r} stands {count} times in {mutant.function}")
    if mutant.old == mutant.new:
        raise StaleError("it changes nothing")
    changed = body.replace(mutant.old, mutant.new)
    try:
        ast.parse(f"if True:\n{changed}" if changed.startswith(" ") else changed)
    except SyntaxError as exc:
        raise StaleError(f"what it makes is no Python: {exc}") from exc
    found = text[: place.start] + changed + text[place.end :]
    return Mutated(path=place.path, text=found)


def _only_place(mutant: Mutant, project: Path) -> _Place:
    """Return where the function stands; of several of its name, the one that has the text."""
    places = _places(mutant.function, project)
    if len(places) > 1:  # PostgreSQL's and MySQL's statements are made by functions of one name
        texts = [_read(project / place.path)[place.start : place.end] for place in places]
        having = [place for place, text in zip(places, texts, strict=True) if mutant.old in text]
        places = having if len(having) == 1 else places
    match places:
        case [place]:
            return place
        case []:
            raise StaleError(f"there is no {mutant.function} in {PRODUCT}/")
        case _:
            files = ", ".join(sorted({str(place.path) for place in places}))
            raise StaleError(f"{mutant.function} is {len(places)} functions: {files}")


def _places(function: str, project: Path) -> Sequence[_Place]:
    return [
        _Place(path.relative_to(project), start, end)
        for path in _files_that_define(project).get(function.rpartition(".")[2], ())
        for name, start, end in _definitions(path)
        if name == function
    ]


@cache
def _files_that_define(project: Path) -> Mapping[str, Sequence[Path]]:
    """Return the files by the last names of what they define: most need not be parsed."""
    found: dict[str, list[Path]] = {}
    for path in sorted((project / PRODUCT).rglob("*.py")):
        for name in set(_DEFINES.findall(_read(path))):
            found.setdefault(name, []).append(path)
    return found


@cache
def _read(path: Path) -> str:
    return path.read_text()


@cache
def _definitions(path: Path) -> Sequence[tuple[str, int, int]]:
    """Return the qualified names of functions and classes, and from where to where they stand."""
    text = _read(path)
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    return [
        (name, lines[node.lineno - 1], lines[node.end_lineno or node.lineno])
        for name, node in _named(ast.parse(text), "")
    ]


_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _named(node: ast.AST, within: str) -> Iterator[tuple[str, _Definition]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield within + child.name, child
            yield from _named(child, f"{within}{child.name}.")
        else:
            yield from _named(child, within)
