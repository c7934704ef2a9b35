"""The SQLite file of the control API: jobs, plans and tokens. One thread has its connection."""

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from replicator.adapters.machine.privacy import refuse_foreign
from replicator.adapters.machine.threads import finished
from replicator.adapters.sqlite.file import files_of, refuse_linked, transaction, translated
from replicator.errors import ConfigError

_Result = TypeVar("_Result")
APPLICATION_ID = 0x44524354
"""Mark in the file's header ("DRCT") that tells it from other SQLite files."""
FORMAT_VERSION = 1
HOLDS = "who may use the control API"
BUSY_TIMEOUT_S = 10.0
"""Longest wait for another process that writes to the file, such as `replicator token create`."""
MAKE = (
    """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    verb TEXT NOT NULL,
    request TEXT NOT NULL,
    targets TEXT NOT NULL,
    exclusive INTEGER NOT NULL,
    by TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    progress TEXT,
    exit_code INTEGER,
    why TEXT NOT NULL,
    plan TEXT,
    again TEXT,
    idempotency_key TEXT,
    UNIQUE (by, idempotency_key)
)""",
    "CREATE INDEX jobs_by_state ON jobs (state)",
    """
CREATE TABLE answers (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    document BLOB,
    stdout TEXT NOT NULL,
    stderr TEXT NOT NULL
)""",
    """
CREATE TABLE plans (
    digest TEXT PRIMARY KEY,
    verb TEXT NOT NULL,
    request TEXT NOT NULL,
    document BLOB NOT NULL,
    targets TEXT NOT NULL,
    by TEXT NOT NULL,
    made_at TEXT NOT NULL
)""",
    """
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    targets TEXT,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    digest TEXT NOT NULL
)""",
)


class ControlFile:
    """The file, opened when it is first needed, and created if it is missing.

    Args:
        path: The file. Its folder is created for this user alone; the folder's parent must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="control-file")
        self._connection: sqlite3.Connection | None = None

    async def read(self, doing: str, look: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Return the result of `look`, in one transaction; `doing` is named in errors."""
        return await finished(lambda: self._within(doing, "BEGIN", look), self._thread)

    async def write(self, doing: str, change: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Return the result of `change`: the change is durable, or nothing was changed."""
        return await finished(lambda: self._within(doing, "BEGIN IMMEDIATE", change), self._thread)

    async def close(self) -> None:
        """Close the file."""

        def close() -> None:
            if self._connection is not None:
                self._connection.close()

        await finished(close, self._thread)
        self._thread.shutdown(wait=False)

    def _within(
        self, doing: str, begin: str, work: Callable[[sqlite3.Connection], _Result]
    ) -> _Result:
        with translated(self._path, doing):
            connection = self._opened()
            with transaction(connection, begin):
                return work(connection)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            make_folder(self._path.parent)
            refuse_foreign(files_of(self._path), HOLDS)
            refuse_linked(self._path)
            # Made before SQLite opens it: the files beside it, which SQLite makes, get its mode.
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode=rw",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        with transaction(connection, "BEGIN IMMEDIATE"):
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                for statement in MAKE:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            elif (mark, version) != (APPLICATION_ID, FORMAT_VERSION):
                raise ConfigError(
                    f"{self._path}: not the control file of this release",
                    hint="name another web.control.folder, or use the release that made it",
                )


def make_folder(folder: Path) -> None:
    """Create the folder for this user alone, if its parent exists.

    Raises:
        ConfigError: the parent is missing, or the folder is another user's, or open to others.
    """
    if not folder.parent.is_dir():
        raise ConfigError(
            f"web.control.folder: {folder.parent} is not there",
            hint="mount the disk that it is on, or make it, as the user that runs the service",
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    refuse_foreign([folder], HOLDS)
