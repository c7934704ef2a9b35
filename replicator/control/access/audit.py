"""The audit log: one line in a file per request that changes something or is refused."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Final

import orjson
import structlog

from replicator.adapters.machine.threads import finished
from replicator.adapters.sqlite.file import translated
from replicator.control.access.refusal_limit import RefusalLimit
from replicator.errors import ReplicatorError, defects_named
from replicator.ports import Area, Clock
from replicator.services.records.deed_record import FOLDER, Deed, keep_deed
from replicator.services.running.pause import pause
from replicator.task_group import TaskGroup

log = structlog.get_logger("replicator")
FILE: Final = "audit.jsonl"
KEPT_ASIDE: Final = 2
WAITING_MAX: Final = 10_000
"""Number of lines that may wait for one target's store; the file has them in any case."""
RETRY_S: Final = 30.0
LOOK_S: Final = 1.0
"""Pause before the next look for deeds that wait for a target's store, in seconds."""
BLOCK_BYTES: Final = 65_536
"""Bytes read at once, from the end of the file."""


class AuditLog:
    """Writes deeds to a file, durably before the answer, and later to their targets' stores.

    Args:
        path: The file; this user alone can read it and its older parts.
        bytes_max: Size at which the file is renamed and a new one begins.
        areas: Own files of the configured targets.
        kept: How long deeds stay in the stores.
        clock: Clock by which deeds age.
    """

    def __init__(
        self,
        path: Path,
        *,
        bytes_max: int,
        areas: Mapping[str, Area],
        kept: timedelta,
        clock: Clock,
    ) -> None:
        self._path, self._bytes_max, self._areas = path, bytes_max, areas
        self._kept, self._clock = kept, clock
        self._limit = RefusalLimit(clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._waiting = {target: asyncio.Queue[Deed](WAITING_MAX) for target in areas}

    async def record(self, deed: Deed) -> None:
        """Write a deed, durably.

        Raises:
            TransientError: the deed cannot be written.
        """
        line = orjson.dumps(asdict(deed), option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
        with translated(self._path, "write who asked for what"):
            await finished(lambda: self._append(line), self._thread)
        for target in deed.targets if deed.status is not None else ():
            if (waiting := self._waiting.get(target)) is None:
                continue
            if waiting.full():
                log.warning("an audit line stays out of its target's store", target=target)
            else:
                waiting.put_nowait(deed)

    async def record_begun(self, deed: Deed, *, changes: bool) -> None:
        """Write a deed before it begins, or after it; count it if it changed nothing.

        Raises:
            TransientError: the deed cannot be written.
        """
        await self.record(deed)
        if deed.status is not None and (not changes or deed.status >= HTTPStatus.BAD_REQUEST):
            self._limit.began(deed)

    def closed_to(self, who: str, token: str) -> timedelta | None:
        """Return how long a principal may begin nothing, after too much in vain; None: it may.

        Each deed has a line before it begins, and no principal may displace others' lines.
        """
        return self._limit.left(who, token)

    async def record_some(self, deed: Deed) -> None:
        """Write a deed that changed nothing, unless its principal has used up the hour's lines.

        Raises:
            TransientError: the deed cannot be written.
        """
        if self._limit.admits(deed):
            await self.record(deed)

    async def run(self, stop: asyncio.Event) -> None:
        """Copy deeds to their targets' stores until `stop` is set, then the waiting ones.

        Stores are served side by side: one that is away or hangs holds up no other's deeds.
        """
        async with TaskGroup() as group:
            for target in self._areas:
                group.create_task(self._copy(target, stop))
            while not stop.is_set():
                await self._say_left_out(at_end=False)
                await pause(stop, LOOK_S)
        await self._say_left_out(at_end=True)

    async def newest(self, limit: int) -> list[dict[str, object]]:
        """Return the newest lines, newest first, including those of older files."""
        return await finished(lambda: self._tail(limit), self._thread)

    async def close(self) -> None:
        """End the log's thread."""
        await finished(lambda: None, self._thread)
        self._thread.shutdown(wait=False)

    async def _copy(self, target: str, stop: asyncio.Event) -> None:
        """Copy the deeds of one target; remove old ones once a day, while none waits."""
        waiting, cleared = self._waiting[target], None
        while not (stop.is_set() and waiting.empty()):
            if waiting.empty():
                if cleared != (today := self._clock.now().date()):
                    cleared = today
                    await self._clear(target)
                await pause(stop, LOOK_S)
                continue
            deed = waiting.get_nowait()
            while not await self._is_kept(target, deed) and not stop.is_set():
                await pause(stop, RETRY_S)

    async def _say_left_out(self, *, at_end: bool) -> None:
        for deed in self._limit.left_out(at_end=at_end):
            try:
                await self.record(deed)
            except ReplicatorError as exc:
                log.warning("an audit line was lost", line=deed.why, reason=str(exc))

    async def _clear(self, target: str) -> None:
        """Remove deeds from a target's store that have been kept long enough."""
        area, oldest = self._areas[target], f"{FOLDER}/{self._clock.now() - self._kept:%Y/%m/%d}"
        try:
            with defects_named(f"the store of target {target!r}"):
                for name in await area.names(f"{FOLDER}/"):
                    if name < oldest:
                        await area.delete(name)
        except ReplicatorError as exc:  # locked, or unreachable: again tomorrow
            log.warning("old audit lines stay", target=target, reason=str(exc))

    async def _is_kept(self, target: str, deed: Deed) -> bool:
        try:
            with defects_named(f"the store of target {target!r}"):
                await keep_deed(self._areas[target], deed)
        except ReplicatorError as exc:
            log.warning("audit line waits for its target's store", target=target, reason=str(exc))
            return False
        return True

    def _append(self, line: bytes) -> None:
        if self._path.exists() and self._path.stat().st_size + len(line) > self._bytes_max:
            for number in range(KEPT_ASIDE, 0, -1):
                older = self._aside(number - 1)
                if older.exists():
                    older.replace(self._aside(number))
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # a full disk has truncated the last line
            while line:  # the next call refuses the rest of a line truncated by a full disk
                line = line[os.write(descriptor, line) :]
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _tail(self, limit: int) -> list[dict[str, object]]:
        files = map(self._aside, range(KEPT_ASIDE + 1))
        lines = (line for file in files if file.exists() for line in _from_the_end(file))
        return list(islice((one for one in map(_read, lines) if one is not None), limit))


def _from_the_end(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first."""
    with path.open("rb") as file:
        at, rest = file.seek(0, os.SEEK_END), b""
        while at:
            size = min(at, BLOCK_BYTES)
            at = file.seek(at - size)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from reversed(lines)
        yield rest


def _read(line: bytes) -> dict[str, object] | None:
    """Return one line of the file; None: the line was truncated."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
