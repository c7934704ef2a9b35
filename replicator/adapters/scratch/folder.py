"""A folder for temporary files: a later scratch folder removes what a killed process left.

A lock of the operating system tells whether a process uses the folder. The lock of a killed process
is gone with it, so everything beside a free lock was left behind.
"""

import fcntl
import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from replicator.adapters.local.files import translated
from replicator.adapters.machine.threads import Threads
from replicator.errors import ConfigError, RefusedError

LOCK = "lock"
BEGINNING = "drill-"
"""Prefix of every scratch folder's name; nothing with another name is ever deleted."""
FOLDER_MODE = 0o711 if os.geteuid() == 0 else 0o700
"""Mode of the outer folder: under root the database runs as another user, who must enter it."""
_OTHERS_MAY_WRITE = 0o022

Tidy = Callable[[Path], Awaitable[None]]
"""Called before a scratch folder is removed: ends processes that still use it, if any."""


@asynccontextmanager
async def scratch(folder: Path, tidy: Tidy) -> AsyncGenerator[Path]:
    """Make an empty folder in `folder` for the length of the block, and remove it afterwards.

    The remains of an earlier process that was killed are removed first.

    Raises:
        RefusedError: another process uses it.
        ConfigError: the folder cannot be made, or another user could write there.
        TransientError: the disk fails.
    """
    threads = Threads(f"the scratch folder {folder}")
    lock = await threads.finished(lambda: _locked(folder))
    try:
        for left in await threads.finished(lambda: sorted(folder.glob(f"{BEGINNING}*"))):
            await _remove(left, tidy, threads)
        made = folder / f"{BEGINNING}{os.getpid()}"
        await threads.finished(lambda: _make(made))
        try:
            yield made
        finally:
            await _remove(made, tidy, threads)
    finally:
        os.close(lock)


def free_bytes(folder: Path) -> int:
    """Return how many bytes this user may still write to the disk of a folder."""
    with translated(f"look at the disk of {folder}"):
        return shutil.disk_usage(folder).free


def _locked(folder: Path) -> int:
    """Return the lock, which lasts until it is closed; a child process does not inherit it."""
    with translated(f"open the scratch folder {folder}"):
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(FOLDER_MODE)  # independent of the umask
        found = folder.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE or folder.is_symlink():
            raise ConfigError(
                f"the scratch folder {folder} is not this user's alone: its contents can be neither"
                " trusted nor removed",
                hint=f"name another drill.folder, or `chown` and `chmod go-w {folder}`",
            )
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise RefusedError(
            f"another drill is at work in {folder}: nothing was done",
            hint="wait for its end, or name another drill.folder",
        ) from None
    return lock


def _make(made: Path) -> None:
    with translated(f"make the scratch folder {made}"):
        made.mkdir()
        made.chmod(FOLDER_MODE)


async def _remove(path: Path, tidy: Tidy, threads: Threads) -> None:
    await tidy(path)

    def remove() -> None:
        with translated(f"remove the scratch folder {path}"):
            shutil.rmtree(path)

    await threads.finished(remove)
