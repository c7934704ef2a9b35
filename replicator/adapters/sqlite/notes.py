"""Small files beside a log's file: heartbeats of processes, and the store of each target.

They are not in the database: its online backup starts again whenever another process writes.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from replicator.errors import NotFoundError
from replicator.model.document import Name, Shape, written

NOTE_BYTES_MAX = 64 << 10
"""Limit for one of these files, most of which take some hundred bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _TargetStore:
    store: Name


_STORE = Shape(_TargetStore, "remove it: the target's next start writes it again")


def keep_pulse(log: Path, who: str, data: bytes) -> None:
    """Write one heartbeat, completely or not at all; it need not survive a loss of power."""
    _keep(log, _pulse(log, who), data)


def kept_pulse(log: Path, who: str) -> bytes | None:
    """Return the last heartbeat of one of them; None: there is none."""
    return _kept(_pulse(log, who))


def keep_store(log: Path, target: str, store: str) -> None:
    """Note the id of a target's store; it is written once for each store that a target has."""
    place, data = _store(log, target), written({"store": store})
    if _kept(place) != data:
        _keep(log, place, data)


def kept_store(log: Path, target: str) -> str | None:
    """Return the id of a target's store; None: none was noted.

    Raises:
        CorruptionError: the note cannot be read.
    """
    data = _kept(place := _store(log, target))
    return None if data is None else _STORE.read(str(place), data).store


def _keep(log: Path, place: Path, data: bytes) -> None:
    if not log.exists():
        raise NotFoundError(f"{log}: there is no such event log")
    new = place.with_name(f".{place.name}.{os.getpid()}")
    new.unlink(missing_ok=True)  # left by a dead process; it may be a link, so never written to
    try:
        with open(new, "xb", opener=_opened) as file:
            file.write(data)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def _kept(place: Path) -> bytes | None:
    """Return a note; nothing of a pipe, a link or a large file that stands in its place."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno not in {errno.ELOOP, errno.ENXIO}:  # a link, a socket
            raise
        return b""
    try:
        found = os.fstat(descriptor)
        is_one = stat.S_ISREG(found.st_mode) and found.st_size <= NOTE_BYTES_MAX
        return os.read(descriptor, NOTE_BYTES_MAX) if is_one else b""
    finally:
        os.close(descriptor)


def _opened(path: str, flags: int) -> int:
    """Open the file for this user alone, like the log beside it."""
    return os.open(path, flags, 0o600)


def _pulse(log: Path, who: str) -> Path:
    return log.with_name(f"{log.name}-running-{who}.json")


def _store(log: Path, target: str) -> Path:
    return log.with_name(f"{log.name}-store-{target}.json")
