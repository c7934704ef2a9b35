"""Rings of tests: each folder below `tests/` is one, and each runs in two sizes.

`make test` gates a change: every promise once, as small as still proves it. `make test-long` has
the rest: tests marked `long`, and the same tests with the larger numbers that `times` is given.
"""

import os
from pathlib import Path
from typing import Final

IS_LONG: Final = os.environ.get("RING", "gate") == "long"
"""Whether this is the long run."""
_TESTS: Final = Path(__file__).parent.name


def times(gate: int, long: int) -> int:
    """Return how often something is done in this run: seeds, kills, restores, rows."""
    return long if IS_LONG else gate


def ring_of(nodeid: str) -> str:
    """Return the ring of a test by its node id, `tests/unit/test_x.py::test_y`: its folder."""
    parts = nodeid.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == _TESTS else _TESTS
