"""Finds files that the user of a folder cannot use, because root or another user has made them.

They are named and left: root that gives a file away in a folder of another user may be led to give
away another one, which that user puts in its place meanwhile.
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
"""Files and folders that are looked at in one place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Files of another user in a folder of ours."""

    first: Path
    count: int
    owner: str
    """Whose the first one is."""
    user: str
    """Who has to use it."""


def foreign(folder: Path, found: Iterable[Path]) -> Foreign | None:
    """Return what of some files is useless to the user who works in a folder; None: nothing.

    That user is this process's, or the folder's owner where this process is root's, who may do
    everything.

    Args:
        folder: Whose owner counts for root.
        found: What is looked at, at most `LOOKED_AT_MAX` of it.
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
    """Yield a folder, and all files and folders in it."""
    if folder.is_dir():
        yield folder
    for parent, folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in chain(folders, names))


def _is_useless(path: Path, user: int) -> bool:
    """Return whether a user can neither write a file or folder of another one, nor read it."""
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
