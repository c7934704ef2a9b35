"""Which jobs have a living process: each process holds a lock on its job's file."""

import asyncio
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from replicator.adapters.machine.threads import Threads
from replicator.adapters.sqlite.file import translated

FOLDER: Final = "running"
POLL_S: Final = 0.1


class JobLocks:
    """Locks of a service's jobs.

    A process inherits its job's lock, which therefore lasts as long as the process, even if the
    service that started it was killed: another service must not repeat its work meanwhile.

    Args:
        folder: The control folder.
        wait_s: Longest wait for the end of a process, in seconds.
        threads: What makes the file calls.
    """

    def __init__(self, folder: Path, wait_s: float, threads: Threads) -> None:
        self._folder, self._wait_s, self._threads = folder / FOLDER, wait_s, threads

    async def take(self, id_: str) -> int:
        """Return an open file with a job's lock, for the job's process to inherit.

        Raises:
            TransientError: the file cannot be created.
        """
        with translated(self._folder, "begin a job"):
            return await self._threads.finished(lambda: self._taken(id_))

    async def give_back(self, id_: str, held: int) -> None:
        """Close the file and remove it; the job has no process any more."""
        os.close(held)
        with suppress(OSError):  # a file without a lock means nothing, and the job is done
            await self._threads.finished(lambda: self._path(id_).unlink(missing_ok=True))

    async def is_let_go(self, id_: str) -> bool:
        """Wait for the end of an unwatched job's process; return False if it still lives."""
        path = self._path(id_)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s):
                while not await self._threads.finished(lambda: _is_free(path)):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)  # a lock's end is not signalled
                await self._threads.finished(lambda: path.unlink(missing_ok=True))
                return True
        return False

    def _path(self, id_: str) -> Path:
        return self._folder / id_

    def _taken(self, id_: str) -> int:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        held = os.open(self._path(id_), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        return held


def _is_free(path: Path) -> bool:
    try:
        held = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(held)
    return True
