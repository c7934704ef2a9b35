"""A file that a log is moved into: the same records at the same offsets, with the same id.

The file grows beside its place under another name, and gets its own name when it is complete.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from replicator.adapters.machine.threads import finished
from replicator.adapters.sqlite.file import (
    LogFile,
    SqliteSession,
    files_of,
    fsync_folder,
    translated,
)
from replicator.adapters.sqlite.log import INSERT, MAKE_MOVED_HERE, SELECT, from_us, to_us
from replicator.errors import RefusedError
from replicator.model.event import Offset, Record
from replicator.model.log.wire import document_of
from replicator.ports import LogState

SUFFIX = ".moving"
DURABLE = ("synchronous = FULL", "fullfsync = ON")


class SqliteHeir:
    """A `LogHeir` in the SQLite file at `path`."""

    def __init__(self, path: Path, source: str, *, busy_timeout_s: float = 5.0) -> None:
        self._final = LogFile(path=path, source=source, busy_timeout_s=busy_timeout_s)
        self._file = replace(self._final, path=path.with_name(path.name + SUFFIX))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-heir")
        self._session = SqliteSession(self._file, "rw", "BEGIN IMMEDIATE", DURABLE)

    @property
    def name(self) -> str:
        return f"the file {self._final.path}"

    async def begin(self, state: LogState) -> Offset | None:
        return await finished(lambda: self._begin(state), self._thread)

    async def receive(self, records: Sequence[Record]) -> None:
        await finished(lambda: self._receive(records), self._thread)

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        return await finished(lambda: self._read(start, records_max), self._thread)

    async def forget(self) -> None:
        await finished(self._forget, self._thread)

    async def finish(self, state: LogState) -> None:
        await finished(lambda: self._finish(state), self._thread)

    async def close(self) -> None:
        await finished(self._session.close, self._thread)
        self._thread.shutdown(wait=False)

    def _begin(self, state: LogState) -> Offset | None:
        with translated(self._file.path, "begin the move"):
            if self._final.path.exists():
                # The move was done, and killed before its other name was removed.
                if self._final.log_id() == state.span.log_id:
                    self._forget()  # its other name, if that is left
                    return None
                raise RefusedError(
                    f"{self._final.path} is there already, and it is not this log",
                    hint="choose another log.path, or move that file away if nothing needs it",
                )
            if self._file.path.exists() and self._file.log_id() != state.span.log_id:
                self._forget()
            self._file.make(log_id=state.span.log_id)
        with self._session.transaction("see how far the move is") as connection:
            (last,) = connection.execute("SELECT max(offset) FROM records").fetchone()
        return state.span.first if last is None else Offset(last + 1)

    def _receive(self, records: Sequence[Record]) -> None:
        with self._session.transaction("store what is moved") as connection:
            for record in records:
                subject = document_of(record).subject
                at_us = to_us(record.appended_at)
                row = (record.offset, at_us, record.type, subject, record.data)
                connection.execute(INSERT, row)

    def _read(self, start: Offset, records_max: int) -> list[Record]:
        with self._session.transaction("read what was moved") as connection:
            return [
                Record(Offset(offset), from_us(at_us), type_, data)
                for offset, at_us, type_, data in connection.execute(SELECT, (start, records_max))
            ]

    def _forget(self) -> None:
        self._session.close()
        for path in files_of(self._file.path):
            path.unlink(missing_ok=True)

    def _finish(self, state: LogState) -> None:
        with self._session.transaction("end the move") as connection:
            query = "SELECT min(offset), max(appended_at_us) FROM records"
            first, last_us = connection.execute(query).fetchone()
            connection.execute(MAKE_MOVED_HERE)
            connection.execute("INSERT INTO moved_here VALUES (?, ?)", (state.span.first, first))
            connection.execute(
                "UPDATE meta SET epoch = ?, end_offset = ?, last_appended_at_us = ?",
                (state.epoch, state.span.end, last_us or 0),
            )
        with translated(self._file.path, "end the move"):
            # The file alone gets the new name: what is still in its write-ahead log would be lost.
            self._session.checkpoint()
            self._session.close()
            os.link(self._file.path, self._final.path)  # never over a log that appeared meanwhile
            fsync_folder(self._final.path.parent)
            self._forget()
