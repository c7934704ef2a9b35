"""Finds our own files that other users of the machine can read."""

from collections.abc import Iterable, Sequence
from pathlib import Path

OTHERS = 0o077
"""Mode bits of group and others: none on our own files."""


def exposed(paths: Iterable[Path]) -> Sequence[Path]:
    """Return those that exist and are open to others; what cannot be looked at is not."""
    return [path for path in paths if _mode(path) & OTHERS]


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0
