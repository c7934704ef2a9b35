"""Finds our own files that other users of the machine can read, or could have written."""

import os
import shlex
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from pwd import getpwuid

from replicator.errors import ConfigError

OTHERS = 0o077
"""Mode bits of group and others: none on our own files."""
WRITTEN_BY_OTHERS = 0o022


def exposed(paths: Iterable[Path]) -> Sequence[Path]:
    """Return those that exist and are open to others; what cannot be looked at is not."""
    return [path for path in paths if _mode(path) & OTHERS]


def refuse_foreign(paths: Iterable[Path], holds: str) -> None:
    """Refuse files and folders that are believed and that others have made or could write.

    Those that are not there are as good: whoever makes them makes them closed. A link is what it
    leads to, as its owner could lead it elsewhere.

    Args:
        paths: What is believed.
        holds: What is in it, as the message says it.

    Raises:
        ConfigError: one belongs to another user, or others can write it.
    """
    for path in paths:
        try:
            found = path.lstat()
        except OSError:
            continue
        typed = shlex.quote(str(path))
        if found.st_uid not in {os.geteuid(), 0}:
            raise ConfigError(
                f"{path} holds {holds} and belongs to {user_name(found.st_uid)}, and this is"
                f" {user_name(os.geteuid())}: what is in it is not believed",
                hint=f"remove it and start again, or run as its owner; if what is in it is yours:"
                f" `chown -R {os.geteuid()} {typed}`",
            )
        if not stat.S_ISLNK(found.st_mode) and found.st_mode & WRITTEN_BY_OTHERS:
            raise ConfigError(
                f"{path} holds {holds}, and other users of this machine can write it",
                hint=f"see who did with `ls -la {typed}`, then `chmod -R go= {typed}`",
            )


def user_name(uid: int) -> str:
    """Return the name of a user; their number where this machine knows none."""
    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0
