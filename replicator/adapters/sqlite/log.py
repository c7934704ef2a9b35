"""An event log in one SQLite file: no server, one writer, any number of readers.

One thread writes and one reads, each with a connection of its own, so that no SQLite call ever
runs on the event loop and a cancelled caller leaves a thread that still ends its transaction.
Appends that arrive while a transaction commits share the next one: one fsync for all of them.

Offsets start at 0 and are dense. `appended_at` never decreases along the offsets (the larger of the
last one and the clock), so `offset_at` is a binary search over the primary key and appends need no
second index. An operator trims the log with `DELETE FROM records WHERE offset < ...`.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from replicator.adapters.machine.threads import finished
from replicator.adapters.sqlite import notes
from replicator.adapters.sqlite.file import PAGE_BYTES, LogFile, SqliteSession, translated
from replicator.errors import ConfigError, CorruptionError, FencedError, GapError
from replicator.model.event import Document, Epoch, Offset, Record
from replicator.ports import Clock, Keeping, LogState, Obstacle, Span

MIB = 1 << 20
ROWS_PER_FETCH = 128

MAKE_MOVED = "CREATE TABLE moved (into_log TEXT NOT NULL)"
"""Table of a log that was moved away: no process reads or writes that log any more."""
MAKE_MOVED_HERE = """
CREATE TABLE moved_here (
    first_offset INTEGER NOT NULL,
    first_record INTEGER
)"""
"""Table of a log that was moved here: its beginning, and its first record, which may come later.

The first offsets of a topic hold no events. As long as the first record is there, it is known that
none is missing before it.
"""
INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?)"
SELECT = (
    "SELECT offset, appended_at_us, type, data FROM records WHERE offset >= ? ORDER BY offset"
    " LIMIT ?"
)
LOOK_UP = "SELECT offset, appended_at_us FROM records WHERE offset >= ? ORDER BY offset LIMIT 1"

_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TYPES, _SUBJECTS, _DATA = attrgetter("type"), attrgetter("subject"), attrgetter("data")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Token:
    """Token of the writer; its epoch alone would also fit a new log in the old one's place."""

    log_id: str
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class _QueuedAppend:
    """An append on its way to the writing thread."""

    documents: Sequence[Document]
    token: _Token
    done: Future[Offset] = field(default_factory=Future)


class SqliteEventLog:
    """An `EventLog` and `EventLogWriter` in the SQLite file at `path`.

    No call before `acquire` writes anything. With `create=False` not even that call creates a file.

    Args:
        path: The SQLite file; `-wal` and `-shm` files are next to it while it is open.
        clock: Dates the records.
        source: Name of the source, kept in the file: the file of another source is refused.
        create: Whether `acquire` creates the file if it is missing.
        busy_timeout_s: Longest wait for another process's transaction.
        group_documents_max: Number of documents at which a shared transaction is closed.
        read_bytes_max: Number of bytes of documents at which a `read` ends early.
        wal_bytes: Size at which the write-ahead log is moved into the file.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        source: str,
        *,
        create: bool = True,
        busy_timeout_s: float = 5.0,
        group_documents_max: int = 20_000,
        read_bytes_max: int = 64 * MIB,
        wal_bytes: int = 16 * MIB,
    ) -> None:
        self._file = LogFile(path=path, source=source, busy_timeout_s=busy_timeout_s)
        self._clock, self._create = clock, create
        self._group_documents_max, self._read_bytes_max = group_documents_max, read_bytes_max
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="log-write")
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="log-read")
        self._writer = SqliteSession(
            self._file, "rw", "BEGIN IMMEDIATE", _writer_pragmas(wal_bytes)
        )
        self._reader = SqliteSession(self._file, "ro", "BEGIN")
        self._waiting: deque[_QueuedAppend] = deque()
        self._token: _Token | None = None
        self._is_moved_away = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what is under way and close the file. The log cannot be used again."""
        try:
            await asyncio.wrap_future(self._write_thread.submit(self._writer.close))
            await asyncio.wrap_future(self._read_thread.submit(self._reader.close))
        finally:
            self._write_thread.shutdown(wait=False)
            self._read_thread.shutdown(wait=False)

    # ------------------------------------------------------------------------- on the event loop

    async def span(self) -> Span:
        return await _in(self._read_thread, self._span)

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        return await _in(self._read_thread, lambda: self._read(start, records_max))

    async def offset_at(self, time: datetime) -> Offset | None:
        return await _in(self._read_thread, lambda: self._offset_at(to_us(time)))

    async def keeping(self) -> Keeping:
        """Return that all stays, as only an operator trims a file, and what a full disk does."""
        await self.span()
        found = await _in(self._read_thread, lambda: [*self._file.disk_obstacles()])
        return Keeping(threat=found[0] if found else None)

    async def obstacles(self) -> Sequence[Obstacle]:
        return await _in(self._read_thread, lambda: [*self._file.obstacles()])

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        """Keep the store alone: the target's checkpoint says how far the target is."""
        del offset

        def keep() -> None:
            with translated(self._file.path, f"note the store of target {reader}"):
                notes.keep_store(self._file.path, reader, store)

        await _in(self._read_thread, keep)

    async def reported(self, reader: str) -> str | None:
        def look() -> str | None:
            with translated(self._file.path, f"read the note on the store of target {reader}"):
                return notes.kept_store(self._file.path, reader)

        return await _in(self._read_thread, look)

    async def beat(self, who: str, data: bytes) -> None:
        def keep() -> None:
            with translated(self._file.path, "say that this process runs"):
                notes.keep_pulse(self._file.path, who, data)

        await _in(self._read_thread, keep)

    async def heard(self, who: str) -> bytes | None:
        def look() -> bytes | None:
            with translated(self._file.path, "see whether a process runs"):
                return notes.kept_pulse(self._file.path, who)

        return await _in(self._read_thread, look)

    async def acquire(self) -> Epoch:
        # Set here and not in the thread: after a cancelled call the old token stays, and
        # its appends are refused, rather than those of an epoch that no writer holds. And its
        # end is waited for, or it could still shut out a writer that comes after it.
        self._token = await finished(self._acquire, self._write_thread)
        return self._token.epoch

    async def state(self) -> LogState:
        self._is_moved_away = True  # the one who moves it must read it to the end
        return await _in(self._read_thread, self._state)

    async def seal(self, into: str) -> None:
        if (token := self._token) is None:
            raise FencedError(f"{self._file.path}: seal without acquire")
        await finished(lambda: self._seal(token, into), self._write_thread)

    async def append(self, documents: Sequence[Document]) -> Offset:
        if self._token is None:
            raise FencedError(f"{self._file.path}: append without acquire")
        waiting = _QueuedAppend(documents, self._token)
        self._waiting.append(waiting)
        self._write_thread.submit(self._commit_waiting)
        # A cancelled caller takes the append back while it waits, not once it is being committed.
        return await asyncio.wrap_future(waiting.done)

    # ---------------------------------------------------------------------- in the writing thread

    def _acquire(self) -> _Token:
        if self._create:
            with translated(self._file.path, "create"):
                self._file.make()
        with self._writer.transaction("acquire") as connection:
            self._refuse_moved(connection)
            connection.execute("UPDATE meta SET epoch = epoch + 1")
            return _Token(*connection.execute("SELECT log_id, epoch FROM meta").fetchone())

    def _seal(self, token: _Token, into: str) -> None:
        with self._writer.transaction("end the log here") as connection:
            found = connection.execute("SELECT log_id, epoch FROM meta").fetchone()
            if _Token(*found) != token:
                raise self._fenced()
            connection.execute(MAKE_MOVED)
            connection.execute("INSERT INTO moved VALUES (?)", (into,))

    def _commit_waiting(self) -> None:
        group = self._take_group()
        try:
            firsts = self._commit(group) if group else []
        except BaseException as exc:  # noqa: BLE001 - raised again where each caller waits
            for waiting in group:
                waiting.done.set_exception(exc)
            return
        for waiting, first in zip(group, firsts, strict=True):
            if first is None:
                waiting.done.set_exception(self._fenced())
            else:
                waiting.done.set_result(first)

    def _take_group(self) -> list[_QueuedAppend]:
        group, count = [], 0
        while self._waiting and count < self._group_documents_max:
            waiting = self._waiting.popleft()
            if waiting.done.set_running_or_notify_cancel():
                group.append(waiting)
                count += len(waiting.documents)
        return group

    def _commit(self, group: Sequence[_QueuedAppend]) -> list[Offset | None]:
        """Store the group in one transaction; return None for each append of an older writer."""
        with self._writer.transaction("append") as connection:
            log_id, epoch, end, last_us = connection.execute(
                "SELECT log_id, epoch, end_offset, last_appended_at_us FROM meta"
            ).fetchone()
            now_us = max(last_us, to_us(self._clock.now()))
            firsts: list[Offset | None] = []
            for waiting in group:
                if waiting.token != _Token(log_id, epoch):
                    firsts.append(None)
                    continue
                firsts.append(Offset(end))
                connection.executemany(INSERT, _rows(waiting.documents, end, now_us))
                end += len(waiting.documents)
            connection.execute(
                "UPDATE meta SET end_offset = ?, last_appended_at_us = ?", (end, now_us)
            )
        return firsts

    def _fenced(self) -> FencedError:
        return FencedError(f"{self._file.path}: another writer has acquired the log")

    # ---------------------------------------------------------------------- in the reading thread

    def _span(self) -> Span:
        with self._reader.transaction("read its span") as connection:
            self._refuse_moved(connection)
            return _span(connection)

    def _state(self) -> LogState:
        with self._reader.transaction("read its state") as connection:
            (epoch,) = connection.execute("SELECT epoch FROM meta").fetchone()
            return LogState(
                span=_span(connection), epoch=Epoch(epoch), moved_into=_moved_into(connection)
            )

    def _refuse_moved(self, connection: sqlite3.Connection) -> None:
        if not self._is_moved_away and (into := _moved_into(connection)) is not None:
            raise ConfigError(
                f"the log in {self._file.path} was moved to {into}",
                hint="correct `log`; if that move was cut off, the same"
                " `replicator log move --to FILE` ends it",
            )

    def _read(self, start: Offset, records_max: int) -> list[Record]:
        with self._reader.transaction("read") as connection:
            records = self._fetch(connection, start, records_max)
            if not records:
                self._refuse_moved(connection)
            if not records or records[0].offset > start:
                first = _span(connection).first
                if start < first:
                    raise GapError(
                        f"{self._file.path}: the log was trimmed, it begins at offset {first}"
                        f" and offset {start} was requested"
                    )
        return records

    def _fetch(self, connection: sqlite3.Connection, start: int, records_max: int) -> list[Record]:
        records: list[Record] = []
        size_bytes, at_us, at = 0, -1, _EPOCH_START
        cursor = connection.execute(SELECT, (start, records_max))
        while size_bytes < self._read_bytes_max and (rows := cursor.fetchmany(ROWS_PER_FETCH)):
            for offset, appended_at_us, type_, data in rows:
                if appended_at_us != at_us:  # the same for all records of one transaction
                    at_us, at = appended_at_us, from_us(appended_at_us)
                records.append(Record(offset=offset, appended_at=at, type=type_, data=data))
                size_bytes += len(data)
        cursor.close()
        return records

    def _offset_at(self, time_us: int) -> Offset | None:
        with self._reader.transaction("look up a time") as connection:
            span = _span(connection)
            low, high, answer = int(span.first), int(span.end), None
            while low < high:
                middle = (low + high) // 2
                found = connection.execute(LOOK_UP, (middle,)).fetchone()
                if found is not None and found[1] < time_us:
                    low = found[0] + 1
                else:
                    high, answer = middle, found and Offset(found[0])
        return answer


async def _in(thread: ThreadPoolExecutor, call: Callable[[], _Result]) -> _Result:
    return await asyncio.wrap_future(thread.submit(call))


def _span(connection: sqlite3.Connection) -> Span:
    log_id, end, first = connection.execute(
        "SELECT log_id, end_offset, (SELECT min(offset) FROM records) FROM meta"
    ).fetchone()
    if first is not None and _has_table(connection, "moved_here"):
        query = "SELECT first_offset FROM moved_here WHERE first_record = ?"
        (first,) = connection.execute(query, (first,)).fetchone() or (first,)
    return Span(log_id=log_id, first=Offset(end if first is None else first), end=Offset(end))


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE name = ?"
    (count,) = connection.execute(query, (name,)).fetchone()
    return bool(count)


def _moved_into(connection: sqlite3.Connection) -> str | None:
    """Return where the log was moved to; None if it was not."""
    if not _has_table(connection, "moved"):
        return None
    found: str = connection.execute("SELECT into_log FROM moved").fetchone()[0]
    return found


def _writer_pragmas(wal_bytes: int) -> Sequence[str]:
    return (
        "synchronous = FULL",
        "fullfsync = ON",  # on macOS only this one reaches the disk
        f"wal_autocheckpoint = {max(1, wal_bytes // PAGE_BYTES)}",
        f"journal_size_limit = {4 * wal_bytes}",
    )


def _rows(documents: Sequence[Document], first: int, at_us: int) -> Iterator[tuple[object, ...]]:
    return zip(
        range(first, first + len(documents)),
        repeat(at_us),
        map(_TYPES, documents),
        map(_SUBJECTS, documents),
        map(_DATA, documents),
        strict=False,
    )


def to_us(time: datetime) -> int:
    """Return a time as it is stored in the file."""
    return (time - _EPOCH_START) // _MICROSECOND


LAST_US: Final = 253_402_214_400_000_000
"""The calendar's last day, in microseconds since 1970."""


def from_us(time_us: object) -> datetime:
    """Return the time in a record; one beyond the calendar, written by another program, is its end.

    Raises:
        CorruptionError: it is no number.
    """
    if not isinstance(time_us, int):
        raise CorruptionError(
            f"a record of the log has {time_us!r:.80} for its time",
            hint="another program has written there: restore the newest copy of the log",
        )
    return _EPOCH_START + timedelta(microseconds=min(max(time_us, 0), LAST_US))
