"""What the house promises of itself, where no contract of an import can say it."""

import ast
from collections.abc import Iterator
from pathlib import Path

SERVICES = Path(__file__).parents[3] / "replicator" / "services"
ARGUMENTS_MAX = 8
"""More of them are a noun that nobody has named."""


def constructors() -> Iterator[tuple[str, int]]:
    """Yield each class of the services and how many arguments its constructor takes."""
    for path in SERVICES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef):
                continue
            for made in node.body:
                if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                    yield node.name, len(made.args.args) - 1 + len(made.args.kwonlyargs)


def test_no_service_takes_more_arguments_than_a_reader_can_hold():
    found = dict(constructors())
    assert len(found) > 40, "this looked in the wrong place"
    assert {name: count for name, count in found.items() if count > ARGUMENTS_MAX} == {}


def test_each_room_says_what_lives_in_it():
    rooms = [
        path.parent for path in SERVICES.parent.rglob("__init__.py") if "data" not in path.parts
    ]
    said = {
        room: ast.get_docstring(ast.parse((room / "__init__.py").read_text())) for room in rooms
    }
    assert [room.name for room, words in said.items() if not words] == []
