"""What the house promises of itself, where no contract of an import can say it."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("house")  # all files are parsed once
PRODUCT = Path(__file__).parents[3] / "replicator"
SERVICES = PRODUCT / "services"
SAME_NAME = {"Attempt", "Database", "Options", "Shape", "Found", "Seen"}
"""Names that two classes may have: twins of two technologies, and values of one file alone."""
ARGUMENTS_MAX = 8
"""More of them are a noun that nobody has named."""
FILES_MAX = 14
"""More files in one folder, the paragraph about it among them, are two rooms."""


@cache
def classes() -> tuple[tuple[Path, ast.ClassDef], ...]:
    """Return each class of the product, with its file."""
    return tuple(
        (path, node)
        for path in sorted(PRODUCT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )


def constructors() -> Iterator[tuple[str, int]]:
    """Yield each class of the services and how many arguments its constructor takes."""
    for path, node in classes():
        if SERVICES not in path.parents:
            continue
        for made in node.body:
            if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                yield node.name, len(made.args.args) - 1 + len(made.args.kwonlyargs)


def test_no_service_takes_more_arguments_than_a_reader_can_hold():
    found = dict(constructors())
    assert len(found) > 40, "this looked in the wrong place"
    assert {name: count for name, count in found.items() if count > ARGUMENTS_MAX} == {}


def test_what_a_class_says_of_its_arguments_is_what_its_constructor_takes():
    checked, wrong = 0, list[str]()
    for _, node in classes():
        listed = re.search(r"^Args:\n((?: +.*\n?)+)", ast.get_docstring(node) or "", re.MULTILINE)
        made = [
            one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"
        ]
        if listed is None or not made:
            continue
        said = re.findall(r"^    (\w+): ", listed[1], re.MULTILINE)
        taken = [one.arg for one in (*made[0].args.args[1:], *made[0].args.kwonlyargs)]
        checked += 1
        if said != taken:
            wrong.append(f"{node.name} says {said} and takes {taken}")
    assert checked > 30, "this looked in the wrong place"
    assert wrong == []


def test_a_name_is_one_class():
    names = Counter(node.name.lstrip("_") for _, node in classes())
    assert {name for name, count in names.items() if count > 1} - SAME_NAME == set()


def test_each_room_says_what_lives_in_it():
    rooms = [
        path.parent for path in SERVICES.parent.rglob("__init__.py") if "data" not in path.parts
    ]
    said = {
        room: ast.get_docstring(ast.parse((room / "__init__.py").read_text())) for room in rooms
    }
    assert [room.name for room, words in said.items() if not words] == []


def test_files_of_a_store_are_read_through_its_keys_alone():
    """`ConfiguredTarget.area` and what makes a target know the keys; nobody goes round them."""
    calls = re.compile(r"\bstorage\.area\(\)")
    found = {
        path.relative_to(PRODUCT).as_posix()
        for path in PRODUCT.rglob("*.py")
        if calls.search(path.read_text())
    }
    assert found == {
        "adapters/signing/storage.py", "app/configured/targets.py", "app/wiring/target.py",
    }  # fmt: skip


def test_a_drill_is_handed_what_it_uses_and_calls_nothing_back():
    """Store and scratch cluster are opened at the top, and go down as values."""
    files = [PRODUCT / "app" / "verbs" / "drills.py", *sorted((SERVICES / "drills").glob("*.py"))]
    assert len(files) > 3, "this looked in the wrong place"
    back = re.compile(r"\b(Application|Callable|lambda)\b")
    assert [path.name for path in files if back.search(path.read_text())] == []


def test_a_room_holds_what_a_reader_can_see_at_once():
    rooms = Counter(path.parent for path in PRODUCT.rglob("*.py"))
    assert len(rooms) > 40, "this looked in the wrong place"
    assert {
        room.relative_to(PRODUCT): files for room, files in rooms.items() if files > FILES_MAX
    } == {}


def test_tasks_end_together_in_the_products_own_group():
    """asyncio's cancels who waits for it, when one of its tasks fails, before Python 3.13."""
    assert [
        str(path.relative_to(PRODUCT))
        for path in sorted(PRODUCT.rglob("*.py"))
        if "asyncio.TaskGroup" in path.read_text()
    ] == ["task_group.py"]
