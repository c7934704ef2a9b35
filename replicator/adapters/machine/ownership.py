"""Finds files that a folder's user cannot use, because root or another user created them.

Such files are reported and left alone: if root gave away a file in another user's folder, that user
could exchange it meanwhile and receive a different file.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from replicator.adapters.machine.privacy import user_name

ROOT = 0
LOOKED_AT_MAX = 100_000
"""Limit of the files and folders that are checked in one place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Unusable files of another user in a folder."""

    first: Path
    count: int
    owner: str
    """Name of the first file's owner."""
    user: str
    """Name of the user who needs the files."""


def foreign(folder: Path, found: Iterable[Path]) -> Foreign | None:
    """Return the files that the folder's user cannot use; None: all are usable.

    The folder's user is this process's, or the folder's owner if this process is root's, who may do
    everything.

    Args:
        folder: Folder whose owner is the user if this process is root's.
        found: Files to check, of which at most `LOOKED_AT_MAX` are.
    """
    try:
        user = os.geteuid() or folder.stat().st_uid
    except OSError:
        return None
    if user == ROOT:
        return None
    wrong = [path for path in islice(found, LOOKED_AT_MAX) if _is_useless(path, user)]
    if not wrong:
        return None
    owner = user_name(wrong[0].lstat().st_uid)
    return Foreign(first=wrong[0], count=len(wrong), owner=owner, user=user_name(user))


def below(folder: Path) -> Iterator[Path]:
    """Yield a folder, and all files and folders below it."""
    if folder.is_dir():
        yield folder
    for parent, folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in chain(folders, names))


def _is_useless(path: Path, user: int) -> bool:
    """Return whether a user can neither write nor read another user's file or folder."""
    try:
        found = path.lstat()
    except OSError:
        return False
    if found.st_uid == user or stat.S_ISLNK(found.st_mode):
        return False
    if user != os.geteuid():
        return found.st_uid == ROOT
    needed = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return not os.access(path, needed)
