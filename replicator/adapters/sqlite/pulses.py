"""What processes say of themselves beside a log's file: one small file for each of them.

Not in the database: a backup of it begins anew whenever another process writes to it.
"""

import os
from pathlib import Path

from replicator.errors import NotFoundError


def keep(log: Path, who: str, data: bytes) -> None:
    """Write one heartbeat, whole or not at all; it need not survive a loss of power."""
    if not log.exists():
        raise NotFoundError(f"{log}: there is no such event log")
    place = _place(log, who)
    new = place.with_name(f".{place.name}.{os.getpid()}")
    new.unlink(missing_ok=True)  # of a dead process; never written through, it may be a link
    try:
        with open(new, "xb", opener=_opened) as file:
            file.write(data)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def kept(log: Path, who: str) -> bytes | None:
    """Return what one of them said last, None when it never did."""
    try:
        return _place(log, who).read_bytes()
    except FileNotFoundError:
        return None


def _opened(path: str, flags: int) -> int:
    """Open it for this user alone, like the log beside it."""
    return os.open(path, flags, 0o600)


def _place(log: Path, who: str) -> Path:
    return log.with_name(f"{log.name}-running-{who}.json")
