"""Whether Druid's tables were written between two snapshots, by MariaDB's binary log.

MariaDB with a binary log tells the position of a consistent snapshot in that log
(https://mariadb.com/kb/en/enhancements-for-start-transaction-with-consistent-snapshot/): every
transaction before that position is in the snapshot, and no later one. Between the positions of two
snapshots, each transaction names the tables that it writes, or its statement. If none of them is a
table that is read here, the two snapshots hold the same rows.

MySQL has no such position: a transaction is in its binary log before a snapshot shows it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from replicator.adapters.boundary import understood
from replicator.adapters.mysql.errors import REPORT, number_of
from replicator.adapters.mysql.session import Database, Session
from replicator.errors import ConfigError, TransientError
from replicator.model.versions import BinlogPosition, NoVersions

EVENTS_MAX: Final = 20_000
"""Number of events between two snapshots above which the rows are read instead."""
EVENTS_READ: Final = 1_000
"""Number of events per statement: commits wait while it runs, for about 10 ms."""
SNAPSHOT: Final = "SHOW STATUS LIKE 'binlog_snapshot%'"
IDENTITY: Final = ("hostname", "port", "server_id")
SETTINGS: Final = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
    " ('hostname', 'port', 'server_id', 'gtid_binlog_pos', 'log_slave_updates', 'wsrep_on')"
)
UNREADABLE: Final = 1220
REFUSALS: Final[Mapping[int, str]] = {
    1227: "this user may not read the binary log: GRANT BINLOG MONITOR ON *.* TO it"
    " (docs/mysql.md says what that saves)",
    # a write on a full disk leaves a file that is shorter than the server believes
    UNREADABLE: "the binary log cannot be read at its own end, as after a full disk:"
    " FLUSH BINARY LOGS begins another one",
}
"""Reasons by the number of the server's error."""
FILE: Final = re.compile(r"[\w.\-]+\Z")
TABLE: Final = re.compile(r"table_id: \d+ \((?P<name>.*)\)\Z", re.DOTALL)
HARMLESS: Final = frozenset(
    {
        "Annotate_rows",
        "Binlog_checkpoint",
        "Gtid",
        "Gtid_list",
        "Start_encryption",
        "Xid",
        # rows of a table that the previous event named
        "Delete_rows_compressed_v1",
        "Delete_rows_v1",
        "Update_rows_compressed_v1",
        "Update_rows_v1",
        "Write_rows_compressed_v1",
        "Write_rows_v1",
    }
)
"""Types of events that name no further table as written."""
ENDS: Final = frozenset({"COMMIT", "ROLLBACK"})
"""Statements that end a transaction whose own events have named its tables."""


async def position_of(
    session: Session, database: Database, *, is_replica: bool
) -> BinlogPosition | NoVersions:
    """Return the position of the session's snapshot in the binary log, or why it is unknown.

    Raises:
        TransientError: the server is gone.
    """
    if not session.is_mariadb:
        return NoVersions("MySQL tells neither versions of rows nor a snapshot's binlog position")
    snapshot, variables = await _rows(session, SNAPSHOT), await _rows(session, SETTINGS)
    with understood(f"{database.name}: what the server says of its binary log", REPORT):
        return _position_of(snapshot, variables, database, is_replica=is_replica)


def _position_of(
    snapshot: Sequence[Sequence[Any]],
    variables: Sequence[Sequence[Any]],
    database: Database,
    *,
    is_replica: bool,
) -> BinlogPosition | NoVersions:
    found = {str(name).lower(): value for name, value in snapshot}
    file, position = found.get("binlog_snapshot_file"), found.get("binlog_snapshot_position")
    if not file or not FILE.match(file):
        return NoVersions("the server keeps no binary log: log_bin is OFF")
    settings = {str(name).lower(): str(value) for name, value in variables}
    has_other_writers = is_replica or settings.get("wsrep_on") == "ON"
    if has_other_writers and settings.get("log_slave_updates") != "ON":
        return NoVersions("the binary log lacks what other servers wrote: log_slave_updates is OFF")
    return BinlogPosition(
        server={name: settings.get(name, "") for name in IDENTITY},
        database=database.address.database,
        file=file,
        position=int(position or 0),
        gtids=_gtids(settings.get("gtid_binlog_pos", "")),
    )


async def refusal(session: Session) -> str:
    """Return why the binary log is unreliable; empty: it is reliable. Ask outside transactions."""
    if not session.is_mariadb:
        return ""
    try:
        status = await session.named("look at the binary log", "SHOW MASTER STATUS")
        if status is None:
            return "the server keeps no binary log: log_bin is OFF"
        await _rows(session, _events_sql(status["file"], int(status["position"]), 1))
    except (ConfigError, TransientError) as exc:
        reason = REFUSALS.get(number_of(exc.__cause__ or exc) or 0)
        if reason is None:
            raise
        session.mend()
        return reason
    filters = [status.get(name) for name in ("binlog_do_db", "binlog_ignore_db")]
    return "the binary log is filtered: binlog_do_db or binlog_ignore_db" if any(filters) else ""


async def written_since(
    session: Session, since: BinlogPosition, until: BinlogPosition, tables: Collection[str]
) -> str | None:
    """Return why one of the tables may have been written; None: none was.

    Args:
        session: Session in any state; its transaction continues.
        since: Position of the earlier snapshot.
        until: Position of the later one, of the same server.
        tables: Names of the tables.

    Raises:
        TransientError: the server is gone.
    """
    if since.position == until.position:
        return None
    wanted = {f"{until.database}.{name}".casefold() for name in tables}
    at = since.position
    for _ in range(EVENTS_MAX // EVENTS_READ):
        events = await _events(session, since.file, at)
        for event in events:
            if event.position >= until.position:
                return None
            if (writing := event.writing(wanted)) is not None:
                return writing
        if events and events[-1].end >= until.position:
            return None
        if not events or events[-1].next == at:
            return f"{since.file} cannot be read from {at} to {until.position}"
        at = events[-1].next
    return f"more than {EVENTS_MAX} events since the last poll"


class _Event(NamedTuple):
    """A row of SHOW BINLOG EVENTS."""

    file: str
    position: int
    type: str
    server_id: int
    end: int
    """0 within a transaction."""
    info: str

    @property
    def next(self) -> int:
        """Position to continue from; within a transaction this event's, which is read again."""
        return self.end or self.position

    def writing(self, wanted: Collection[str]) -> str | None:
        """Return why the event may have written a wanted table; None if it wrote none."""
        if self.type in HARMLESS:
            return None
        if self.type == "Table_map":
            found = TABLE.match(self.info)
            if found is None:
                return f"a table whose name cannot be read: {self.info}"
            name = found["name"]
            return f"{name} was written" if name.casefold() in wanted else None
        if self.type == "Query" and self.info.rpartition(";")[2].strip().upper() in ENDS:
            return None
        return f"an event of type {self.type}, which may write any table"


async def _events(session: Session, file: str, at: int) -> Sequence[_Event]:
    """Return the next events; none if the server cannot read there."""
    try:
        rows = await _rows(session, _events_sql(file, at, EVENTS_READ))
        with understood("what the server says of its binary log", REPORT):
            return [
                _Event(str(name), int(position), str(type_), int(server), int(end), str(info))
                for name, position, type_, server, end, info in rows
            ]
    except TransientError as exc:
        if number_of(exc.__cause__ or exc) != UNREADABLE:
            raise
        session.mend()  # the server has ended the statement alone
        return ()


def _events_sql(file: str, position: int, count: int) -> str:
    if not FILE.match(file):
        raise ConfigError(f"a binary log with a name that is not one: {file!r}")
    return f"SHOW BINLOG EVENTS IN '{file}' FROM {position} LIMIT {count}"


def _gtids(text: str) -> Mapping[int, int]:
    """Return the last number of each domain: `domain-server-number`, with commas between them."""
    parts = (one.strip().split("-") for one in text.split(",") if one.strip())
    return {int(domain): int(number) for domain, _, number in parts}


async def _rows(session: Session, query: str) -> Sequence[Sequence[Any]]:
    return await session.fetch("read the binary log", query)
