"""Finds the replicator's files that other users of the machine can read, or could have written."""

import os
import shlex
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from pwd import getpwuid

from replicator.errors import ConfigError

OTHERS = 0o077
"""Mode bits of group and others: unset on the replicator's own files."""
WRITTEN_BY_OTHERS = 0o022


def exposed(paths: Iterable[Path]) -> Sequence[Path]:
    """Return the files that exist and are open to others; files that cannot be checked are not."""
    return [path for path in paths if _mode(path) & OTHERS]


def refuse_foreign(paths: Iterable[Path], holds: str) -> None:
    """Refuse trusted files and folders that other users created or can write.

    Missing files are accepted: the process that creates them closes them to others. A link counts
    as its target, which its owner could exchange.

    Args:
        paths: Files and folders that are trusted.
        holds: Their contents, for the message.

    Raises:
        ConfigError: a file belongs to another user, or others can write it.
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
                f" {user_name(os.geteuid())}: its contents are not trusted",
                hint=f"remove it and start again, or run as its owner; if its contents are yours:"
                f" `chown -R {os.geteuid()} {typed}`",
            )
        if not stat.S_ISLNK(found.st_mode) and found.st_mode & WRITTEN_BY_OTHERS:
            raise ConfigError(
                f"{path} holds {holds}, and other users of this machine can write it",
                hint=f"see who wrote there with `ls -la {typed}`, then `chmod -R go= {typed}`",
            )


def user_name(uid: int) -> str:
    """Return a user's name, or the number if this machine knows no name."""
    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0
