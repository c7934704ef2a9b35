"""What lies in a folder while another process changes it."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(root: Path) -> Iterator[Path]:
    """Yield the files below `root`; a folder that is gone meanwhile has none.

    `Path.rglob` raises in the middle of such a walk (until Python 3.13).
    """
    for folder, _, names in os.walk(root, onerror=_raise_unless_gone):
        yield from (Path(folder, name) for name in names)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
