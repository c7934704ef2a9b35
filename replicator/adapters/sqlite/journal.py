"""The journal of notifications in one SQLite file, shared by the processes of one machine."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from replicator.adapters.machine.threads import Threads
from replicator.adapters.sqlite.file import refuse_linked, translated
from replicator.adapters.sqlite.rows import flag, row_as, shape_of
from replicator.errors import ConfigError
from replicator.model.document import time_text
from replicator.model.operations.notification import Condition, body_of
from replicator.ports.notifications import Decision, Delivery, DeliveryState, QueueLength

APPLICATION_ID: Final = 0x44524E4A
"""Mark in the file's header ("DRNJ")."""
BUSY_TIMEOUT_S: Final = 5.0
FULL: Final = "more than notifications.waiting_max wait for this webhook"
MAKE: Final = (
    """
CREATE TABLE IF NOT EXISTS conditions (
    subject TEXT PRIMARY KEY,
    is_bad INTEGER NOT NULL,
    since TEXT NOT NULL,
    told_bad INTEGER NOT NULL,
    told_mark INTEGER NOT NULL
)""",
    """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    body BLOB NOT NULL,
    made_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'waiting',
    next_at TEXT NOT NULL,
    claimed_until TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT ''
)""",
    "CREATE INDEX IF NOT EXISTS of_webhook ON deliveries (webhook, state, number)",
    f"PRAGMA application_id = {APPLICATION_ID}",
)
COLUMNS: Final = "number, webhook, id, type, body, made_at, attempts, state, next_at, error"
_Result = TypeVar("_Result")
_CONDITION = shape_of(Condition)
_DELIVERY = shape_of(Delivery)


class SqliteJournal:
    """A `Journal`; each call has a connection of its own, because there are few.

    Args:
        path: The file; it is created if it is missing, its folder is not.
        waiting_max: Number of deliveries of one webhook that may wait.
        kept_max: Number of delivered and of dead ones of one webhook that are kept.
    """

    def __init__(self, path: Path, *, waiting_max: int, kept_max: int) -> None:
        self._path, self._waiting_max, self._kept_max = path, waiting_max, kept_max
        self._is_made = False
        self._threads = Threads(f"the journal {path}")

    async def decide(self, decide: Callable[[Mapping[str, Condition]], Decision]) -> None:
        await self._do("record what was seen", partial(self._decide, decide))

    async def claim(
        self, webhook: str, *, now: datetime, until: datetime, latest: datetime
    ) -> Delivery | None:
        claim = partial(_claim, webhook, time_text(now), time_text(until), time_text(latest))
        return await self._do("take a notification", claim)

    async def delivered(self, number: int, *, at: datetime) -> None:
        await self._do("note a delivery", partial(self._end, number, "delivered", "", at))

    async def failed(self, number: int, *, error: str, next_at: datetime | None) -> None:
        if next_at is None:
            await self._do("give up", partial(self._end, number, "dead", error, None))
        else:
            await self._do("note a failure", partial(_postpone, number, error, time_text(next_at)))

    async def listed(self, state: DeliveryState | None = None) -> Sequence[Delivery]:
        return await self._look("list notifications", partial(_listed, state), nothing=[])

    async def send_again(self, ids: Sequence[str] | None) -> int:
        return await self._do("send again", partial(_send_again, ids))

    async def lengths(self) -> Mapping[str, QueueLength]:
        return await self._look("count notifications", _lengths, nothing={})

    # ------------------------------------------------------------------------------ in a thread

    async def _do(self, doing: str, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        def run() -> _Result:
            with translated(self._path, doing), self._transaction() as connection:
                return work(connection)

        return await self._threads.finished(run)

    async def _look(
        self, doing: str, work: Callable[[sqlite3.Connection], _Result], *, nothing: _Result
    ) -> _Result:
        """Read without creating the file: it would belong to the reader, not to the service."""

        def run() -> _Result:
            with translated(self._path, doing):
                self._check_folder()
                if not self._path.exists() or self._path.stat().st_size == 0:
                    return nothing
                refuse_linked(self._path)
                with closing(sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S)) as connection:
                    return work(connection)

        return await self._threads.finished(run)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._make()
        refuse_linked(self._path)
        with closing(
            sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in () if self._is_made else MAKE:
                    connection.execute(statement)
                yield connection
                connection.execute("COMMIT")
                self._is_made = True
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _make(self) -> None:
        """Create an empty file that no other user can read."""
        self._check_folder()
        if not self._path.exists():
            self._is_made = False
        with suppress(FileExistsError), suppress(PermissionError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _check_folder(self) -> None:
        if not self._path.parent.is_dir():
            raise ConfigError(
                f"notifications.folder: the folder {self._path.parent} is not there",
                hint="mount the disk that it is on, or make it for the user that runs this",
            )

    def _decide(
        self,
        decide: Callable[[Mapping[str, Condition]], Decision],
        connection: sqlite3.Connection,
    ) -> None:
        rows = connection.execute(
            "SELECT subject, is_bad, since, told_bad, told_mark FROM conditions"
        )
        found = decide({row[0]: _condition(row) for row in rows})
        connection.execute("DELETE FROM conditions")
        connection.executemany(
            "INSERT INTO conditions VALUES (?, ?, ?, ?, ?)",
            [
                (one.subject, one.is_bad, time_text(one.since), one.reported_bad, one.reported_mark)
                for one in found.conditions
            ],
        )
        for notification, webhooks in found.notifications:
            body, at = body_of(notification), time_text(notification.at)
            connection.executemany(
                "INSERT INTO deliveries (webhook, id, type, body, made_at, next_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(name, notification.id, notification.type, body, at, at) for name in webhooks],
            )
        if found.notifications:
            self._bound(connection)

    def _bound(self, connection: sqlite3.Connection) -> None:
        """Give up the oldest deliveries beyond the limit; then forget the oldest ended ones."""
        for webhook in [
            row[0] for row in connection.execute("SELECT DISTINCT webhook FROM deliveries")
        ]:
            connection.execute(
                "UPDATE deliveries SET state = 'dead', error = ? WHERE number IN ("
                " SELECT number FROM deliveries WHERE webhook = ? AND state = 'waiting'"
                " ORDER BY number DESC LIMIT -1 OFFSET ?)",
                (FULL, webhook, self._waiting_max),
            )
            for state in ("delivered", "dead"):
                connection.execute(
                    "DELETE FROM deliveries WHERE number IN ("
                    " SELECT number FROM deliveries WHERE webhook = ? AND state = ?"
                    " ORDER BY number DESC LIMIT -1 OFFSET ?)",
                    (webhook, state, self._kept_max),
                )

    def _end(
        self,
        number: int,
        state: str,
        error: str,
        at: datetime | None,
        connection: sqlite3.Connection,
    ) -> None:
        connection.execute(
            "UPDATE deliveries SET state = ?, error = ?, next_at = coalesce(?, next_at),"
            " attempts = attempts + 1 WHERE number = ?",
            (state, error, None if at is None else time_text(at), number),
        )
        self._bound(connection)


def _claim(
    webhook: str, now: str, until: str, latest: str, connection: sqlite3.Connection
) -> Delivery | None:
    row = connection.execute(
        f"SELECT {COLUMNS}, claimed_until FROM deliveries"  # noqa: S608 - names of ours
        " WHERE webhook = ? AND state = 'waiting' ORDER BY number LIMIT 1",
        (webhook,),
    ).fetchone()
    # Times beyond `latest` are of a clock that was ahead and was put back since: they hold nothing
    # up.
    if row is None or now < row[8] <= latest or now < row[10] <= latest:
        return None
    connection.execute("UPDATE deliveries SET claimed_until = ? WHERE number = ?", (until, row[0]))
    return _delivery(row)


def _postpone(number: int, error: str, next_at: str, connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE deliveries SET attempts = attempts + 1, error = ?, next_at = ?, claimed_until = ''"
        " WHERE number = ?",
        (error, next_at, number),
    )


def _listed(state: DeliveryState | None, connection: sqlite3.Connection) -> list[Delivery]:
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM deliveries WHERE ? IN (state, '') ORDER BY number",  # noqa: S608 - names of ours
        ("" if state is None else state.value,),
    )
    return [_delivery(row) for row in rows]


def _send_again(ids: Sequence[str] | None, connection: sqlite3.Connection) -> int:
    again = "UPDATE deliveries SET state = 'waiting', attempts = 0, claimed_until = ''"
    where = " WHERE state = 'dead'"
    if ids is None:
        return connection.execute(again + where).rowcount
    return sum(connection.execute(f"{again}{where} AND id = ?", (id_,)).rowcount for id_ in ids)


def _lengths(connection: sqlite3.Connection) -> dict[str, QueueLength]:
    counted = {
        (row[0], row[1]): row[2]
        for row in connection.execute(
            "SELECT webhook, state, count(*) FROM deliveries GROUP BY webhook, state"
        )
    }
    return {
        name: QueueLength(
            waiting=counted.get((name, "waiting"), 0),
            dead=counted.get((name, "dead"), 0),
            error=_why_not(name, connection),
        )
        for name in {webhook for webhook, _ in counted}
    }


def _why_not(webhook: str, connection: sqlite3.Connection) -> str:
    for state, order in (("waiting", "ASC"), ("dead", "DESC")):
        row = connection.execute(
            "SELECT error FROM deliveries WHERE webhook = ? AND state = ?"  # noqa: S608 - ours
            f" ORDER BY number {order} LIMIT 1",
            (webhook, state),
        ).fetchone()
        if row is not None and row[0]:
            return str(row[0])
    return ""


def _condition(row: tuple[Any, ...]) -> Condition:
    return row_as(
        _CONDITION,
        lambda: {
            "subject": row[0],
            "is_bad": flag(row[1]),
            "since": row[2],
            "reported_bad": flag(row[3]),
            "reported_mark": row[4],
        },
        table="conditions",
        id_=row[0],
    )


def _delivery(row: tuple[Any, ...]) -> Delivery:
    return row_as(
        _DELIVERY,
        lambda: {
            "number": row[0],
            "webhook": row[1],
            "id": row[2],
            "type": row[3],
            "body": row[4].decode() if isinstance(row[4], bytes) else row[4],
            "made_at": row[5],
            "attempts": row[6],
            "state": row[7],
            "next_at": row[8],
            "error": row[9],
        },
        table="deliveries",
        id_=row[0],
    )
