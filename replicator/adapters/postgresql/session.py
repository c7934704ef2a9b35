"""Connections to a PostgreSQL server that holds Druid's tables, and what those tables look like.

Every snapshot and every transaction has a connection of its own, which may be the one that was left
by the block before (`kept.py`). It answers first, or another one is made, so that none can meet a
connection that has died since. Connect directly or through a pooler in session mode: the settings
below belong to the session. They are made after connecting, because poolers refuse unknown settings
in a start-up packet.
"""

import asyncio
import re
import ssl
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypedDict
from urllib.parse import parse_qs

import asyncpg

from replicator.adapters import refusals
from replicator.adapters.boundary import translate
from replicator.adapters.postgresql.errors import ERRORS, SHARED, SHARED_HINT, TABLE_HINT
from replicator.adapters.postgresql.kept import KeptConnection, Link
from replicator.adapters.postgresql.sql import COLUMNS, Shape, literal, quoted, relation
from replicator.errors import ConfigError, TransientError
from replicator.model.row import TABLES, Kind

Sink: TypeAlias = Callable[[bytes], Coroutine[Any, Any, None]]
"""Takes the pieces of a COPY as they arrive."""
SESSION: Mapping[str, str] = {
    "application_name": "replicator",
    # the text form of unknown columns must not depend on a role's settings
    "bytea_output": "hex",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    # a scan gives back 68 bytes of each row and reads all of it: that is work for all cores
    "parallel_tuple_cost": "0",
    # a row hidden from this role would look like a removed row: fail instead
    "row_security": "off",
}

ABOUT_TLS = re.compile(
    "root certificate file|`sslmode` parameter|cannot determine location of user"
)
"""Beginnings of asyncpg's messages about certificates, which contain no secret."""
TLS_HINT = "check sslmode, sslrootcert, sslcert and sslkey in the URL"
CLOSED_HINT = (
    "the server ended the connection while it was made: its log says why. It may ask for TLS"
    " (sslmode), or reject the client certificate (sslcert, sslkey)"
)
CERTIFICATES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
PROCESS = "SELECT pg_backend_pid()"
GONE = tuple(ERRORS)
"""What a connection raises that cannot be used any more, answers that cannot be read included."""
LOOKS = 3
"""Number of comparisons between two connections that may share a pooler."""


@dataclass(slots=True)
class Sharing:
    """Whether a pooler is known to keep a connection's server process for it alone."""

    excluded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The address of a metadata store, and the time limits of its server."""

    dsn: str = field(repr=False)
    """`postgresql://user@host:port/database`, with libpq's options."""
    password: Callable[[], str | None] = field(default=lambda: None, repr=False)
    """Reads the password for each connection; None: the DSN has it, or there is none.

    So an unset variable or a missing file makes only this store unreachable.
    """
    schema: str = "public"
    """Druid's `druid.metadata.postgres.dbTableSchema`."""
    table_prefix: str = "druid_"
    """Druid's `druid.metadata.storage.tables.base` and an underscore."""
    connect_timeout_s: float = 10.0
    statement_timeout_s: float = 600.0
    """Longest time for one statement, in seconds; the longest one is the scan of all segments."""
    lock_timeout_s: float = 10.0
    """Longest wait for a lock of another session, in seconds; not for a writer of the same
    target."""
    audit: bool = False
    """Whether `druid_audit` is read like a replicated table; no target has it."""
    idle_timeout_s: float = 300.0
    """Seconds without a statement after which the server ends the transaction, so that a process
    that hangs blocks neither the vacuum of a source nor the lock of a target."""
    sharing: Sharing = field(default_factory=Sharing, repr=False, compare=False)
    """What is known about a pooler in front of the server."""
    kept: KeptConnection | None = field(default=None, repr=False, compare=False)
    """Keeps a connection for the next block; None: each block closes its own."""

    @property
    def name(self) -> str:
        """Name of the database in messages, never with a password."""
        base, _, query = self.dsn.partition("?")
        _, scheme_ends, rest = base.partition("://")
        if not scheme_ends or "@" in query:  # perhaps a password with a question mark
            return "PostgreSQL"
        return f"PostgreSQL {rest.rpartition('@')[2]}"

    @property
    def kinds(self) -> Sequence[Kind]:
        """Kinds of rows that are read, and written if this is a target."""
        return [kind for kind, table in TABLES.items() if self.audit or not table.source_only]

    def table(self, name: str) -> str:
        """Return a table's name in the catalogue, `name` being Druid's without its prefix.

        PostgreSQL folds Druid's unquoted names to lower case.
        """
        return f"{self.table_prefix}{name}".lower()

    def relation(self, name: str) -> str:
        """Return the same for a statement, qualified and quoted."""
        return relation(self.schema, self.table(name))


class Options(TypedDict, total=False):
    """The fields of `Database` that have defaults, as the adapters take them."""

    password: Callable[[], str | None]
    schema: str
    table_prefix: str
    connect_timeout_s: float
    statement_timeout_s: float
    lock_timeout_s: float
    idle_timeout_s: float
    audit: bool
    kept: KeptConnection


class PostgresqlSession:
    """One connection, whose errors are translated."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
        self._connection = connection
        self._name = name

    @property
    def encoding(self) -> str:
        """Encoding of the database, as PostgreSQL names it."""
        found: str = self._connection.get_settings().server_encoding
        return found

    async def execute(self, doing: str, query: str, *args: object) -> str:
        """Run a statement and return its tag, such as `UPDATE 1`; `doing` is named in errors."""
        with self._translated(doing):
            return await self._connection.execute(query, *args)

    async def execute_many(self, doing: str, query: str, calls: Iterable[Sequence[object]]) -> None:
        """Run a statement with each list of arguments; one is encoded while the server works.

        A caller that is cancelled here loses the connection: asyncpg's `executemany` ignores it,
        and then waits for the answer to a message that it never completes.
        """
        with self._translated(doing):
            running = asyncio.create_task(self._connection.executemany(query, calls))
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                self._connection.terminate()  # it ends the wait for an answer
                running.cancel()  # and this the wait for room to send
                await asyncio.wait({running})
                if not running.cancelled():
                    running.exception()  # the lost connection: retrieved, and expected
                raise

    async def fetch(self, doing: str, query: str, *args: object) -> list[asyncpg.Record]:
        """Return all rows of an answer."""
        with self._translated(doing):
            return await self._connection.fetch(query, *args)

    async def value(self, doing: str, query: str, *args: object) -> Any:
        """Return the first value of an answer, None if it has no rows."""
        with self._translated(doing):
            return await self._connection.fetchval(query, *args)

    async def copy(self, doing: str, query: str, *args: object, sink: Sink) -> None:
        """Hand a query's rows to `sink` as binary COPY data, no faster than it takes them."""
        with self._translated(doing):
            await self._connection.copy_from_query(query, *args, output=sink, format="binary")

    @contextmanager
    def _translated(self, doing: str) -> Generator[None]:
        with translate(ERRORS, f"{self._name}: {doing}"):
            try:
                yield
            except asyncpg.InterfaceError as exc:
                if not self._connection.is_closed():
                    raise
                raise TransientError(f"{self._name}: {doing}: the connection is lost") from exc


@asynccontextmanager
async def connect(database: Database, **settings: str) -> AsyncGenerator[PostgresqlSession]:
    """Open a connection for the length of the block.

    Raises:
        TransientError: the server cannot be reached now.
        ConfigError: it refuses the user or the database, or the DSN cannot be understood.
    """
    link = await _kept(database, settings) or await _made(database, settings)
    is_kept = False
    try:
        yield PostgresqlSession(link.connection, database.name)
        is_kept = database.kept is not None and database.kept.leave(link)
    finally:
        if not is_kept:
            await _disconnect(link.connection, database)


async def _kept(database: Database, settings: Mapping[str, str]) -> Link | None:
    """Return the connection that was left, if it still answers; None: there is none."""
    link = None if database.kept is None else database.kept.take()
    if link is None:
        return None
    answers = False
    try:
        with suppress(*GONE):
            async with asyncio.timeout(database.connect_timeout_s):
                # a column that was added meanwhile is no error of a statement known before
                await link.connection.reload_schema_state()
                await _prepare(link.connection, database, settings)
                answers = True
    finally:
        if not answers:
            link.connection.terminate()  # a server that hangs would be waited for once more
    return link if answers else None


async def _made(database: Database, settings: Mapping[str, str]) -> Link:
    connection = await _connected(database)
    is_ready = False
    try:
        with translate(ERRORS, f"{database.name}: connect"):
            await _prepare(connection, database, settings)
        is_ready = True
    finally:
        if not is_ready:
            await _disconnect(connection, database)
    return Link(connection, asyncio.get_running_loop().time())


async def _connected(database: Database) -> "asyncpg.Connection[asyncpg.Record]":
    with translate(ERRORS, f"{database.name}: connect"):
        try:
            return await _dialled(database)
        except (ssl.SSLError, UnicodeDecodeError):
            raise
        except asyncpg.ConnectionDoesNotExistError as exc:
            raise TransientError(f"{database.name}: connect: {exc}", hint=CLOSED_HINT) from exc
        except FileNotFoundError as exc:
            for name, file in _certificates(database.dsn):
                if not file.exists():
                    raise ConfigError(
                        f"{database.name}: {file} is not there",
                        hint=f"correct {name} in the URL, or put the file there",
                    ) from exc
            raise
        except (asyncpg.ClientConfigurationError, ValueError) as exc:
            if ABOUT_TLS.match(str(exc)):
                raise ConfigError(f"{database.name}: {exc}", hint=TLS_HINT) from None
            # asyncpg's message quotes the DSN, so neither it nor the cause may be shown
            raise ConfigError(
                f"{database.name}: the DSN cannot be understood",
                hint="write postgresql://user@host:port/database and percent-encode special"
                " characters of the password, or give the password apart",
            ) from None


async def _dialled(database: Database) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(
            database.dsn,
            password=database.password(),
            timeout=database.connect_timeout_s,
            # the server gives up first and says why; this limit is for a server that is gone
            command_timeout=database.statement_timeout_s + database.connect_timeout_s,
        )
    except AttributeError as exc:  # the server did not say its version
        raise TransientError(
            f"{database.name}: connect: the server's answer cannot be read: {exc}"
        ) from exc


def _certificates(dsn: str) -> list[tuple[str, Path]]:
    """Return the files of certificates that a URL names."""
    options = parse_qs(dsn.partition("?")[2])
    return [(name, Path(options[name][0])) for name in CERTIFICATES if name in options]


async def _disconnect(connection: "asyncpg.Connection[asyncpg.Record]", database: Database) -> None:
    """Close a connection, which tells the server to forget the transaction at once."""
    try:
        with suppress(*GONE):
            await connection.close(timeout=database.connect_timeout_s)
    finally:
        connection.terminate()


async def _prepare(
    connection: "asyncpg.Connection[asyncpg.Record]",
    database: Database,
    settings: Mapping[str, str],
) -> None:
    """Make the session's settings, and check that it is a session."""
    wanted = {
        **SESSION,
        "statement_timeout": _ms(database.statement_timeout_s),
        "lock_timeout": _ms(database.lock_timeout_s),
        "idle_in_transaction_session_timeout": _ms(database.idle_timeout_s),
        **settings,
    }
    calls = ", ".join(
        f"set_config({literal(name)}, {literal(value)}, false)" for name, value in wanted.items()
    )
    process: int = await connection.fetchval(f"SELECT pg_backend_pid(), {calls}")
    # a pooler invents the process id that it reports at the start
    if process != connection.get_server_pid() and not database.sharing.excluded:
        if await _shares(connection, process, database):
            raise ConfigError(f"{database.name}: {SHARED}", hint=SHARED_HINT)
        database.sharing.excluded = True


async def _shares(
    connection: "asyncpg.Connection[asyncpg.Record]", process: int, database: Database
) -> bool:
    """Return whether a pooler gives one server process to several connections in turn."""
    ours, theirs = {process}, set[int]()
    with suppress(TimeoutError):  # the pooler has no other process: this one serves us alone
        async with asyncio.timeout(database.connect_timeout_s):
            other = await _connected(database)
            try:
                for _ in range(LOOKS):
                    theirs.add(await other.fetchval(PROCESS))
                    ours.add(await connection.fetchval(PROCESS))
            finally:
                await _disconnect(other, database)
    return len(ours) > 1 or not ours.isdisjoint(theirs)


async def discover(session: PostgresqlSession, database: Database) -> dict[Kind, Shape]:
    """Return Druid's tables as this database has them.

    Raises:
        ConfigError: a table, a column or a privilege is missing; the message names it.
    """
    wanted = database.kinds
    names = {database.table(TABLES[kind].name): kind for kind in wanted}
    rows = await session.fetch("read the catalogue", COLUMNS, database.schema, list(names))
    types: dict[Kind, dict[str, str]] = {}
    denied: dict[Kind, list[str]] = {}
    for table, column, type_, readable in rows:
        types.setdefault(names[table], {})[column] = type_
        if not readable:
            denied.setdefault(names[table], []).append(column)
    for kind in wanted:
        _check(database, kind, types.get(kind, {}), denied.get(kind, []))
    return {
        kind: Shape(
            table=TABLES[kind],
            relation=database.relation(TABLES[kind].name),
            name=database.table(TABLES[kind].name),
            types=found,
        )
        for kind, found in types.items()
    }


def _check(database: Database, kind: Kind, types: Mapping[str, str], unread: list[str]) -> None:
    name = database.relation(TABLES[kind].name)
    if denied := list(map(quoted, unread)):
        raise ConfigError(
            f"{database.name}: the role may not read {refusals.columns_text(denied)} of {name}",
            hint=f"GRANT USAGE ON SCHEMA {quoted(database.schema)} TO <role>;"
            f" GRANT SELECT ON {name} TO <role>",
        )
    if not types and TABLES[kind].always_there:
        raise refusals.no_table(database.name, name, TABLE_HINT)
    missing = sorted(TABLES[kind].required - types.keys()) if types else []
    if missing:
        raise refusals.no_columns(database.name, name, list(map(quoted, missing)))


def _ms(duration_s: float) -> str:
    return f"{round(duration_s * 1000)}ms"
