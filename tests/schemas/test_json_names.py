"""The names of the fields in `--json` documents are public: they change on purpose only.

`json_names.txt` lists them, by the file that writes them. Who changes one writes it there,
and into CHANGELOG.md.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "replicator"
REPORTS = (PACKAGE / "services/inspection/points_report.py",)
"""Their dataclasses are printed as they are."""
LISTED = Path(__file__).parent / "json_names.txt"
WRITERS = (
    *PACKAGE.glob("cli/**/*.py"),
    *PACKAGE.glob("web/*.py"),
    PACKAGE / "model/store/drill.py",
)


def test_each_field_is_listed_and_each_listed_one_is_there():
    written = {f"{path.relative_to(PACKAGE)} {name}" for path in WRITERS for name in names(path)}
    written |= {f"{path.relative_to(PACKAGE)} {name}" for path in REPORTS for name in fields(path)}
    assert sorted(written) == LISTED.read_text().splitlines()


def test_what_a_verb_returns_is_found():
    """Else the test above would look at nothing."""
    assert {"objects_copied", "waits_until", "steps"} <= set(names(PACKAGE / "cli/follow/run.py"))
    assert {"objects_left", "bytes_read"} <= set(names(PACKAGE / "cli/prove/verify.py"))


def names(path: Path) -> Iterator[str]:
    """Yield the keys of all mappings in results of verbs and in functions that make documents."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "result":
            yield from keys(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name.endswith("json"):
            yield from keys(node)
        elif isinstance(node, ast.Assign) and [ast.unparse(one) for one in node.targets] in (
            ["result"],
            ["done"],
            ["nothing"],
            ["said"],
        ):
            yield from keys(node.value)


def fields(path: Path) -> Iterator[str]:
    """Yield the fields of all dataclasses in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def keys(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (
                key.value
                for key in node.keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            )
