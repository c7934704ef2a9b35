"""Heartbeats of processes beside a log's file: one small file for each process.

They are not in the database: its online backup starts again whenever another process writes.
"""

import os
from pathlib import Path

from replicator.errors import NotFoundError


def keep(log: Path, who: str, data: bytes) -> None:
    """Write one heartbeat, completely or not at all; it need not survive a loss of power."""
    if not log.exists():
        raise NotFoundError(f"{log}: there is no such event log")
    place = _place(log, who)
    new = place.with_name(f".{place.name}.{os.getpid()}")
    new.unlink(missing_ok=True)  # left by a dead process; it may be a link, so never written to
    try:
        with open(new, "xb", opener=_opened) as file:
            file.write(data)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def kept(log: Path, who: str) -> bytes | None:
    """Return the last heartbeat of one of them; None: there is none."""
    try:
        return _place(log, who).read_bytes()
    except FileNotFoundError:
        return None


def _opened(path: str, flags: int) -> int:
    """Open the file for this user alone, like the log beside it."""
    return os.open(path, flags, 0o600)


def _place(log: Path, who: str) -> Path:
    return log.with_name(f"{log.name}-running-{who}.json")
