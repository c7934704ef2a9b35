"""The names of what is stored are public: columns of our own tables, members of our own files.

An upgrade finds what an earlier release wrote. `stored_names.txt` lists the names, by the file that
writes them; who changes one also writes how the former one is read, and a line in CHANGELOG.md.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from replicator.model.document import Shape

PACKAGE = Path(__file__).parents[2] / "replicator"
LISTED = Path(__file__).parent / "stored_names.txt"
TABLES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if "CREATE TABLE" in path.read_text() and path.parent.name != "druid_tables"
)
DOCUMENTS = sorted(path for path in PACKAGE.rglob("*.py") if "Shape(" in path.read_text())
CREATE = re.compile(
    r"CREATE TABLE (?:IF NOT EXISTS )?(\S+) \((.*?)\)(?=$| ENGINE| \{\})", re.DOTALL
)
NO_COLUMNS = ("PRIMARY", "UNIQUE")


def test_each_stored_name_is_listed_and_each_listed_one_is_there():
    found = {f"{path.relative_to(PACKAGE)} {name}" for path in TABLES for name in columns(path)}
    found |= {f"{path.relative_to(PACKAGE)} {name}" for path in DOCUMENTS for name in members(path)}
    assert sorted(found) == LISTED.read_text().splitlines()


@pytest.mark.parametrize(
    ("names", "some"),
    [
        (lambda: columns(PACKAGE / "adapters/postgresql/sql.py"), "checkpoint_table_sql.epoch"),
        (lambda: columns(PACKAGE / "adapters/mysql/sql.py"), "gap_table_sql.reason"),
        (lambda: columns(PACKAGE / "adapters/sqlite/file.py"), "records.subject"),
        (lambda: members(PACKAGE / "model/store/intent.py"), "Announced.valid_until"),
    ],
    ids=["PostgreSQL", "MySQL", "SQLite", "document"],
)
def test_names_are_found(names: Any, some: str):
    """Else the test above would look at nothing."""
    assert some in set(names())


def test_both_databases_have_the_same_tables():
    postgresql, mysql = (
        set(columns(PACKAGE / f"adapters/{one}/sql.py")) for one in ("postgresql", "mysql")
    )
    assert postgresql == mysql


def columns(path: Path) -> Iterator[str]:
    """Yield `table.column` of a file's statements; a function's name stands for a name it takes."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        for text in ast.walk(node):
            if isinstance(text, ast.JoinedStr | ast.Constant):
                yield from _columns_of(_statement(text), getattr(node, "name", ""))


def _statement(text: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(text, ast.Constant):
        return str(text.value)
    parts = [str(one.value) if isinstance(one, ast.Constant) else "{}" for one in text.values]
    return "".join(parts)


def _columns_of(statement: str, function: str) -> Iterator[str]:
    for table, body in CREATE.findall(statement):
        for line in re.split(r",\s*\n|\n", body.strip()):
            column = line.split()[0].strip('"')
            if column not in NO_COLUMNS:
                yield f"{function if table == '{}' else table}.{column}"


def members(path: Path) -> Iterator[str]:
    """Yield `Type.member` of the documents whose shapes stand in a file, and of their parts."""
    module = importlib.import_module(
        ".".join(("replicator", *path.relative_to(PACKAGE).with_suffix("").parts))
    )
    for value in vars(module).values():
        for shape in value.values() if isinstance(value, dict) else [value]:
            if isinstance(shape, Shape):
                yield from _members_of(shape.type_, set())


def _members_of(type_: Any, seen: set[Any]) -> Iterator[str]:
    if isinstance(type_, type) and is_dataclass(type_) and type_ not in seen:
        seen.add(type_)
        hints = get_type_hints(type_)
        for one in fields(type_):
            yield f"{type_.__name__}.{one.name}"
            yield from _members_of(hints[one.name], seen)
    for part in get_args(type_):
        yield from _members_of(part, seen)
