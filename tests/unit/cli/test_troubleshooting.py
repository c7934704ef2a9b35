"""Every kind of error and every reason of a gap stands in docs/troubleshooting.md."""

import inspect
import re
from pathlib import Path

from replicator import errors
from replicator.errors import ReplicatorError
from replicator.model.checkpoint import GAP_REASONS, OBJECT_CHANGED

TEXT = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text()


def rows(columns: int) -> dict[str, list[str]]:
    cells = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in cells if len(row) == columns}


def test_every_class_is_told_with_its_exit_code_and_what_to_do():
    found = inspect.getmembers(errors, inspect.isclass)
    kinds = {name: cls for name, cls in found if issubclass(cls, ReplicatorError)}
    told = rows(5)
    assert told.keys() == kinds.keys()
    assert {name: int(row[0]) for name, row in told.items()} == {
        name: cls.exit_code for name, cls in kinds.items()
    }


def test_a_gap_that_closes_by_itself_asks_for_no_restore():
    """A restore pauses the target, for something that a new try does."""
    told = rows(2)
    heals = [one for one in GAP_REASONS if one != OBJECT_CHANGED]
    assert all("restore`" not in told[one][0] for one in heals)
    assert "All gaps except `object_changed` close by themselves" in TEXT


def test_every_reason_of_a_gap_is_told_with_what_to_do():
    assert rows(2).keys() == set(GAP_REASONS)
    assert re.search(r"^## Gaps$", TEXT, re.MULTILINE)
