"""A lock between processes of one user, which no other user can take."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from replicator.errors import TransientError

LOOK_S: Final = 0.01
LOCKS: Final = Path("/proc/locks")


@contextmanager
def alone(path: Path, *, within_s: float) -> Generator[None]:
    """Hold a file's lock within the block; the file is created for it and removed at the end.

    Other users could lock a folder that they can open; this file is open to this user only.

    Raises:
        TransientError: another process holds it for longer; the message names its id and command.
        OSError: the file cannot be created.
    """
    descriptor = _locked(path, time.monotonic() + within_s)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is locked: waiting processes see that it is gone
        os.close(descriptor)


def _locked(path: Path, deadline_s: float) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(path, descriptor):
                return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise _refusal(path, descriptor) from None
            time.sleep(LOOK_S)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    """Return whether the name still belongs to the file that was locked."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _refusal(path: Path, descriptor: int) -> TransientError:
    who = holder(descriptor)
    os.close(descriptor)
    return TransientError(
        f"{path} is locked by {who}",
        hint="a process holds it for a moment while it makes a file; end that process if it hangs",
    )


def holder(descriptor: int) -> str:
    """Return the process that holds the lock of an open file, as far as this machine tells."""
    found = os.fstat(descriptor)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        lines = LOCKS.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF; "->" after the number marks a waiting one
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == place:  # noqa: PLR2004 - above
            return f"process {words[4]}{_command(words[4])}"
    return "another process"


def _command(pid: str) -> str:
    try:
        arguments = Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return ""
    command = arguments.replace(b"\0", b" ").decode(errors="replace").strip()
    return f" (`{command:.200}`)" if command else ""
