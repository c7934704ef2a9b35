"""The SQLite file of an event log: created durably, recognised, opened, its errors translated."""

import os
import sqlite3
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EROFS
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from replicator.adapters.machine.file_lock import alone
from replicator.adapters.sqlite.rows import DamagedRowError, damage
from replicator.errors import (
    ConfigError,
    CorruptionError,
    NotFoundError,
    ReplicatorError,
    TransientError,
)
from replicator.ports import Obstacle

FORMAT_VERSION = 1
APPLICATION_ID = 0x44524C47
"""Mark in the file's header ("DRLG") that tells an event log from other SQLite files."""
PAGE_BYTES = 16384
"""A page holds several payloads of 1 to 2 KiB: a fifth more appends a second than with 4096."""

MAKE_RECORDS = """
CREATE TABLE records (
    offset INTEGER PRIMARY KEY,
    appended_at_us INTEGER NOT NULL,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    data BLOB NOT NULL
)"""
# One row. The end is kept apart from the records, so that no offset is used again after a trim.
MAKE_META = """
CREATE TABLE meta (
    log_id TEXT NOT NULL,
    source TEXT NOT NULL,
    format_version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    end_offset INTEGER NOT NULL,
    last_appended_at_us INTEGER NOT NULL
)"""

ERRORS: dict[int, type[ReplicatorError]] = {
    sqlite3.SQLITE_BUSY: TransientError,
    sqlite3.SQLITE_LOCKED: TransientError,
    sqlite3.SQLITE_PROTOCOL: TransientError,
    sqlite3.SQLITE_FULL: TransientError,
    sqlite3.SQLITE_IOERR: TransientError,
    sqlite3.SQLITE_CANTOPEN: TransientError,
    sqlite3.SQLITE_NOMEM: TransientError,
    sqlite3.SQLITE_CORRUPT: CorruptionError,
    sqlite3.SQLITE_NOTADB: ConfigError,
    sqlite3.SQLITE_READONLY: ConfigError,
    sqlite3.SQLITE_PERM: ConfigError,
}
"""Errors by SQLite's primary result code; any other one is a `ConfigError`, perhaps of damage."""
HINTS: dict[type[ReplicatorError], str] = {
    TransientError: "look for a disk that is full or read-only, a mount that is gone or another"
    " writer on the file",
    CorruptionError: "keep the file as evidence and go on with a copy of it",
    ConfigError: "check the path of the log and the rights on the file; if both are right, it was"
    " damaged: go on with a copy of it",
}


COMPANIONS = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite creates beside a database, and writes to if they exist."""
FREE_BYTES_MIN = 1 << 20
"""Less than this is a full disk: SQLite needs pages beside those that it writes."""
LINKED_HINT = "find out who has made it, then remove it; nothing of this file is in it"
NONE_HINT = (
    "if there was one, mount the volume that it is on, or correct log.path; if there never was"
    " one, `replicator watch` makes it"
)
FOLDER_HINT = (
    "mount the disk that it is on, or make it: `install -d -m 700 FOLDER`, as the user that runs"
    " the watcher"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """The file of one source's event log, by its path."""

    path: Path
    source: str
    busy_timeout_s: float

    def make(self, *, log_id: str | None = None) -> None:
        """Create the log durably if there is none; a file with any contents is left alone.

        `log_id` is the id of a log that is moved here; a new log gets an id of its own.

        The folder is not created. If it is missing, a disk may not be mounted: a new log below the
        mount point would be a different one, which no target follows.

        Raises:
            ConfigError: the folder is missing.
        """
        if not self.path.parent.is_dir():
            raise ConfigError(
                f"{self.path}: the folder {self.path.parent} is not there", hint=FOLDER_HINT
            )
        if self._is_made():
            return
        # SQLite itself answers the second of two that make it with "locked" at once, whatever its
        # timeout is, while the journal mode of a new file changes.
        making = self.path.with_name(f".{self.path.name}.making")
        with alone(making, within_s=self.busy_timeout_s):
            self._touch()
            connection = self._connect("rw")
            try:
                if not self._found_log(connection):
                    self._fill(connection, log_id or uuid4().hex)
                    fsync_folder(self.path.parent)
            finally:
                connection.close()

    def _is_made(self) -> bool:
        """Return whether the log is there; False also while another process makes it."""
        if not self.path.exists():
            return False
        connection = self._connect("rw")
        try:
            return self._found_log(connection)
        except sqlite3.OperationalError:
            return False
        finally:
            connection.close()

    def open(self, mode: str) -> sqlite3.Connection:
        """Open the log; `mode` is 'ro' or 'rw'.

        Raises:
            NotFoundError: there is no file, or it is empty.
            ConfigError: the file is not this source's log.
        """
        self.inode()
        try:
            return self._opened(mode)
        except sqlite3.OperationalError as exc:
            # A reader cannot roll back a journal: a log whose maker was killed would be "damaged"
            # to every command but `watch`.
            if mode == "rw" or not _is_unfinished(exc):
                raise
        self._roll_back()
        return self._opened(mode)

    def _opened(self, mode: str) -> sqlite3.Connection:
        connection = self._connect(mode)
        try:
            self._require_log(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _roll_back(self) -> None:
        """Undo what a killed process had begun; only who may write the file can.

        A log has a rollback journal, and no write-ahead log yet, while it is made.
        """
        connection = self._connect("rw")
        try:
            self._found_log(connection)
        finally:
            connection.close()

    def obstacles(self) -> Iterator[Obstacle]:
        """Yield what would keep a writer from the log; nothing is created."""
        folder = self.path.parent
        if not folder.is_dir():
            what = f"{self.path} is not there, nor is its folder {folder}"
            yield Obstacle(what=what, remedy=FOLDER_HINT.replace("FOLDER", str(folder)))
        elif not os.access(folder, os.W_OK | os.X_OK) or (
            self.path.exists() and not os.access(self.path, os.R_OK | os.W_OK)
        ):
            what = f"{self.path}: this user may not write there"
            yield Obstacle(what=what, remedy=f"give the user that runs the watcher {folder}")
        else:
            yield from self.disk_obstacles()

    def _is_on_read_only_disk(self) -> bool:
        """A disk with errors is made read-only under its mount, whose flags stay.

        The log itself is not opened: closing it would end the locks that SQLite has on it.
        """
        try:
            os.close(os.open(self.path.parent, os.O_TMPFILE | os.O_WRONLY, 0o600))
        except OSError as exc:
            return exc.errno == EROFS
        return False

    def disk_obstacles(self) -> Iterator[Obstacle]:
        """Yield why the disk takes nothing of any user: no beat of a process that runs, either."""
        folder = self.path.parent
        with suppress(OSError):  # opening the file reports the fault
            disk = os.statvfs(folder)
            if disk.f_flag & os.ST_RDONLY or self._is_on_read_only_disk():
                what = f"{self.path}: its disk is mounted read-only, so no process can write"
                yield Obstacle(what=what, remedy=f"look at the kernel's log, mount {folder} anew")
            elif (free_bytes := disk.f_bavail * disk.f_frsize) < FREE_BYTES_MIN:
                what = f"{self.path}: its disk is full ({free_bytes} bytes are free)"
                yield Obstacle(
                    what=what, remedy=f"free some space in {folder}; what runs goes on by itself"
                )

    def log_id(self) -> str | None:
        """Return the id of the log; None if the file is empty.

        Raises:
            ConfigError: the file is not this source's log.
        """
        connection = self._connect("rw")
        try:
            if not self._found_log(connection):
                return None
            found: str = connection.execute("SELECT log_id FROM meta").fetchone()[0]
            return found
        finally:
            connection.close()

    def inode(self) -> int:
        """Return the identity of the file at the path.

        Raises:
            NotFoundError: there is no file.
        """
        try:
            return self.path.stat().st_ino
        except FileNotFoundError as exc:
            raise NotFoundError(f"{self.path}: there is no such event log", hint=NONE_HINT) from exc

    def _touch(self) -> None:
        """Create an empty file that no other user can read; SQLite's companion files get its mode.

        The log holds what Druid's tables hold, including passwords of supervisors.
        """
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _connect(self, mode: str) -> sqlite3.Connection:
        refuse_linked(self.path)
        return sqlite3.connect(
            f"file:{quote(str(self.path.absolute()))}?mode={mode}",
            uri=True,
            timeout=self.busy_timeout_s,
            isolation_level=None,
        )

    def _fill(self, connection: sqlite3.Connection, log_id: str) -> None:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ConfigError(
                f"{self.path}: its file system cannot keep a write-ahead log",
                hint="keep the log on a local disk",
            )
        connection.execute("PRAGMA synchronous = FULL")
        with transaction(connection, "BEGIN IMMEDIATE"):
            connection.execute(MAKE_RECORDS)
            connection.execute(MAKE_META)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(
                "INSERT INTO meta VALUES (?, ?, ?, 0, 0, 0)",
                (log_id, self.source, FORMAT_VERSION),
            )

    def _require_log(self, connection: sqlite3.Connection) -> None:
        if not self._found_log(connection):
            raise NotFoundError(
                f"{self.path}: the file is there, but no event log was made in it", hint=NONE_HINT
            )

    def _found_log(self, connection: sqlite3.Connection) -> bool:
        """As `_holds_log`, in one look: another process may be creating the log meanwhile."""
        with transaction(connection, "BEGIN"):
            return self._holds_log(connection)

    def _holds_log(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is this source's log; False if it is empty; all else is refused."""
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id != APPLICATION_ID:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                return False
            raise ConfigError(f"{self.path}: an SQLite file of another program, not an event log")
        (version,) = connection.execute("SELECT format_version FROM meta").fetchone()
        if version != FORMAT_VERSION:
            raise ConfigError(
                f"{self.path}: format version {version}, this release reads {FORMAT_VERSION}",
                hint="use the release that wrote the log",
            )
        (source,) = connection.execute("SELECT source FROM meta").fetchone()
        if source != self.source:
            raise ConfigError(
                f"{self.path}: the log of source {source!r}, and {self.source!r} is configured",
                hint="give every source a log file of its own",
            )
        return True


class SqliteSession:
    """The one connection of a thread, opened when it is needed."""

    def __init__(self, file: LogFile, mode: str, begin: str, pragmas: Sequence[str] = ()) -> None:
        self._file, self._mode, self._begin, self._pragmas = file, mode, begin, pragmas
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    @contextmanager
    def transaction(self, doing: str) -> Generator[sqlite3.Connection]:
        """Open one transaction for the block; `doing` is named in errors."""
        with translated(self._file.path, doing):
            connection = self._opened()
            try:
                with transaction(connection, self._begin):
                    yield connection
            except sqlite3.Error:
                self.close()  # after an I/O error only a new connection sees what is on the disk
                raise

    def checkpoint(self) -> None:
        """Move all of the write-ahead log into the file, which is complete then."""
        self._opened().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection; the next transaction opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        # Another file may have replaced the old one, as when an operator puts a copy back:
        # the old one would still take appends, and lose them when it is closed.
        inode = self._file.inode()
        if self._connection is None or self._inode != inode:
            self.close()
            self._connection, self._inode = self._file.open(self._mode), inode
            for pragma in self._pragmas:
                self._connection.execute(f"PRAGMA {pragma}")
        return self._connection


def files_of(path: Path) -> list[Path]:
    """Return a database's file, and the files that SQLite may create beside it."""
    return [path, *(path.with_name(f"{path.name}{end}") for end in COMPANIONS)]


def refuse_linked(path: Path) -> None:
    """Refuse a companion file that is one elsewhere, too: SQLite would write into that.

    Raises:
        ConfigError: one is a link, or has a second name.
    """
    _, *companions = files_of(Path(os.path.realpath(path)))
    for companion in companions:
        with suppress(FileNotFoundError):
            found = companion.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise ConfigError(
                    f"{companion} is a link, or a file that has a name elsewhere, too",
                    hint=LINKED_HINT,
                )


@contextmanager
def translated(path: Path, doing: str) -> Generator[None]:
    """Translate errors of SQLite and of the operating system, naming the file.

    Raises:
        ConfigError: the file, or the rights on it, must be corrected.
        TransientError: the same may succeed later: a lock, a full disk, one that is read-only.
        CorruptionError: the file or a row of it is damaged.
    """
    try:
        yield
    except DamagedRowError as exc:
        raise damage(path, exc) from exc
    except sqlite3.Error as exc:
        # The primary code is the low byte; errors that Python itself raises carry none.
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        kind = ERRORS.get(code, ConfigError)
        if code == sqlite3.SQLITE_READONLY and _is_on_a_read_only_disk(path):
            kind = TransientError  # work goes on once the disk is mounted again
        raise kind(f"{path}: cannot {doing}: {exc}", hint=HINTS[kind]) from exc
    except (PermissionError, NotADirectoryError) as exc:
        raise ConfigError(f"{path}: cannot {doing}: {exc}", hint=HINTS[ConfigError]) from exc
    except OSError as exc:
        raise TransientError(f"{path}: cannot {doing}: {exc}", hint=HINTS[TransientError]) from exc


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str) -> Generator[None]:
    """Commit at the end of the block; undo everything if the block fails."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is_unfinished(error: sqlite3.OperationalError) -> bool:
    """Return whether a reader found the rollback journal of a process that was killed."""
    return error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK


def _is_on_a_read_only_disk(path: Path) -> bool:
    """Return whether the folder cannot be written, by trying: the rights may be wrong, too.

    A disk that the kernel has given up fails only writes (ext4 of Linux 6.18). The log itself is
    not opened: SQLite would lose its locks on the file when it is closed
    (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        os.close(os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o600))
    except OSError as exc:
        return exc.errno == EROFS
    return False


def fsync_folder(folder: Path) -> None:
    """Make changes of the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
