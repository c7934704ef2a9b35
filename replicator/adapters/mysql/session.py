"""Connections to a MySQL or MariaDB server that holds Druid's tables, and what they look like.

Every snapshot and every transaction has a connection of its own: none can meet a connection that
has died or was closed for being idle, and a cancelled one is closed.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias, TypedDict, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncmy
from asyncmy.connection import Connection, PreparedStatement
from asyncmy.constants import CLIENT
from asyncmy.cursors import SSCursor
from asyncmy.errors import MySQLError, NotSupportedError

from replicator.adapters import refusals
from replicator.adapters.mysql.errors import (
    PACKET_HINT,
    TABLE_HINT,
    UNREADABLE,
    translated,
    unreadable,
)
from replicator.adapters.mysql.sql import COLUMNS, Shape, places, spelled, ticked, whole_sql
from replicator.adapters.tls import trusting
from replicator.errors import ConfigError, TransientError, UnfitRowError
from replicator.model.row import TABLES, Kind, Table

Values: TypeAlias = tuple[Any, ...]
"""Values of one row of a result."""
SQL_MODE: Final = "ANSI_QUOTES,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
"""Strict mode: without it, a value that is too long would be cut, and the row still written."""
PORT: Final = 3306
STATEMENTS_MAX: Final = 16
"""Number of prepared statements that one session keeps."""
OPTIONS: Final = ("ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket")
SSL_MODES: Final = ("DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
URL_HINT: Final = (
    "write mysql://user@host:3306/database, percent-encode special characters, and give the"
    " password apart (password_env or password_file)"
)
FOREIGN: Final = ("VIEW", "SYSTEM VIEW", "SEQUENCE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Contents of a URL."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The address of a metadata store, and the time limits of its server."""

    dsn: str = field(repr=False)
    """`mysql://user@host:port/database`, with options of `OPTIONS` after a question mark."""
    password: Callable[[], str | None] = field(default=lambda: None, repr=False)
    """Reads the password for each connection; None: the DSN has it, or there is none.

    So an unset variable or a missing file makes only this store unreachable.
    """
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
    """Seconds without a statement after which the server ends the session, so that a process that
    hangs holds neither the undo log of a source nor the lock of a target."""

    @property
    def name(self) -> str:
        """Name of the database in messages, never with a password."""
        place = self.dsn.partition("?")[0]
        _, scheme_ends, rest = place.partition("://")
        if not scheme_ends or "@" in self.dsn.partition("?")[2]:
            return "MySQL"
        return f"MySQL {rest.rpartition('@')[2]}"

    @property
    def kinds(self) -> Sequence[Kind]:
        """Kinds of rows that are read, and written if this is a target."""
        return [kind for kind, table in TABLES.items() if self.audit or not table.source_only]

    @property
    def address(self) -> Address:
        """Parts of the URL.

        Raises:
            ConfigError: the URL cannot be understood; the message does not quote it.
        """
        try:
            url = urlsplit(self.dsn)
            options = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
            port = url.port or PORT
        except ValueError:
            raise ConfigError("MySQL: the URL cannot be understood", hint=URL_HINT) from None
        database = unquote(url.path.removeprefix("/"))
        if url.scheme not in {"mysql", "mariadb"} or not database or "/" in database:
            raise ConfigError("MySQL: the URL cannot be understood", hint=URL_HINT)
        if unknown := sorted(options.keys() - set(OPTIONS)):
            raise ConfigError(
                f"{self.name}: the URL has an option that is not known: {unknown[0]}",
                hint=f"known are {', '.join(OPTIONS)}",
            )
        password = self.password()
        return Address(
            host=url.hostname or "localhost",
            port=port,
            user=unquote(url.username or ""),
            password=password if password is not None else unquote(url.password or ""),
            database=database,
            options=options,
        )

    def spelled(self, name: str) -> str:
        """Return a table's name, `name` being Druid's without its prefix."""
        return f"{self.table_prefix}{name}"


class Options(TypedDict, total=False):
    """The fields of `Database` that have defaults, as the adapters take them."""

    password: Callable[[], str | None]
    table_prefix: str
    connect_timeout_s: float
    statement_timeout_s: float
    lock_timeout_s: float
    idle_timeout_s: float
    audit: bool


class Session:
    """One connection, whose errors are translated.

    After an error in a transaction it executes nothing more: the server may have rolled everything
    back, and would then commit each further statement by itself.
    """

    def __init__(self, connection: Connection, database: Database) -> None:
        self._connection = connection
        self._database = database
        self._statements: dict[str, PreparedStatement] = {}
        self._is_broken = False
        self._takes_rows = True
        self.is_abandoned = False
        """Whether a statement was abandoned, which the server does not notice."""
        self.packet_bytes_max = 0
        """Limit for a statement, and for a row, in bytes."""
        self.version = ""

    @property
    def is_mariadb(self) -> bool:
        """Whether the server says that it is one."""
        return "mariadb" in self.version.lower()

    async def execute(self, doing: str, query: str, *args: object) -> int:
        """Run a statement and return how many rows it found or added."""
        if args:
            return int((await self._run(doing, query, args)).affected_rows)
        with self._translated(doing):
            async with self._in_time(), self._connection.cursor() as cursor:
                return int(await cursor.execute(query))

    async def execute_rows(self, doing: str, query: str, rows: Sequence[Sequence[object]]) -> bool:
        """Run a statement once for each row, in one exchange; return False if nothing was sent.

        Only MariaDB can do that (COM_STMT_BULK_EXECUTE), and only if each column has one type and
        no NULL in any row.
        """
        if not self._takes_rows:
            return False
        with self._translated(doing):
            async with self._in_time():
                statement = await self._prepared(query)
                try:
                    await statement.execute_bulk(rows)  # type: ignore[no-untyped-call]
                except NotSupportedError:
                    self._takes_rows = False
                    return False
                except ValueError:
                    return False
        return True

    async def fetch(self, doing: str, query: str, *args: object) -> Sequence[Values]:
        """Return all rows of an answer."""
        if args:
            return (await self._run(doing, query, args)).rows or ()
        with self._translated(doing):
            # not every statement can be prepared on every server
            async with self._in_time(), self._connection.cursor() as cursor:
                await cursor.execute(query)
                return cast("Sequence[Values]", await cursor.fetchall())

    async def value(self, doing: str, query: str, *args: object) -> Any:
        """Return the first value of an answer, None when it has no rows."""
        rows = await self.fetch(doing, query, *args)
        return rows[0][0] if rows else None

    async def named(self, doing: str, query: str) -> Mapping[str, Any] | None:
        """Return the first row of an answer by the names of its columns, in lower case."""
        with self._translated(doing):
            async with self._in_time(), self._connection.cursor() as cursor:
                await cursor.execute(query)
                found = await cursor.fetchone()
                names = [one[0].lower() for one in cursor.description or ()]
        return None if found is None else dict(zip(names, found, strict=True))

    async def stream(
        self, doing: str, query: str, *, rows_max: int, sink: Callable[[list[Values]], None]
    ) -> None:
        """Hand the rows of an answer to `sink` as they arrive, at most so many at a time."""
        async with aclosing(self._chunks(doing, query, rows_max)) as chunks:
            async for rows in chunks:
                sink(rows)

    async def _chunks(
        self, doing: str, query: str, rows_max: int
    ) -> AsyncGenerator[list[Values], None]:
        with self._translated(doing):
            async with self._connection.cursor(cursor=SSCursor) as cursor:
                async with self._in_time():
                    await cursor.execute(query)
                while True:
                    async with self._in_time():
                        rows = await cursor.fetchmany(rows_max)
                    if not rows:
                        return
                    yield rows

    async def _run(self, doing: str, query: str, args: Sequence[object]) -> Any:
        with self._translated(doing):
            async with self._in_time():
                statement = await self._prepared(query)
                return await statement.execute(args)  # type: ignore[no-untyped-call]

    async def _prepared(self, query: str) -> PreparedStatement:
        if (known := self._statements.get(query)) is not None:
            return known
        # A server has one limit for all sessions together: max_prepared_stmt_count.
        if len(self._statements) == STATEMENTS_MAX:
            oldest = next(iter(self._statements))
            await self._statements.pop(oldest).close()
        made: PreparedStatement = await self._connection.prepare(query)  # type: ignore[no-untyped-call]
        self._statements[query] = made
        return made

    def _in_time(self) -> asyncio.Timeout:
        # the server gives up first and says why; this limit is for a server that is gone
        database = self._database
        return asyncio.timeout(database.statement_timeout_s + database.connect_timeout_s)

    @contextmanager
    def _translated(self, doing: str) -> Generator[None]:
        if self._is_broken:
            raise TransientError(f"{self._database.name}: {doing}: the transaction was rolled back")
        try:
            with translated(f"{self._database.name}: {doing}"):
                yield
        except BaseException as exc:
            self._is_broken = True
            self.is_abandoned = isinstance(exc, asyncio.CancelledError | TransientError) and (
                not isinstance(exc.__cause__, MySQLError)
            )
            raise

    def mend(self) -> None:
        """Let the session continue after an error outside any transaction."""
        self._is_broken = False

    def expect_room(self, doing: str, size: int) -> None:
        """Require that the server accepts a statement with so many bytes of values.

        Raises:
            UnfitRowError: it is too large; the server would end the connection without a message.
        """
        if size + ROOM_BYTES > self.packet_bytes_max:
            raise UnfitRowError(
                f"{self._database.name}: {doing}: a row of {size} bytes is larger than"
                f" max_allowed_packet ({self.packet_bytes_max} bytes)",
                hint=PACKET_HINT,
            )


IN_CLEAR: Final = ("mysql_clear_password", "dialog")
"""Ways to log in for which a server asks for the password itself, as PAM and LDAP do."""


class NotInClear:
    """Takes the place of asyncmy's own login: refuses to show a password to the network.

    An attacker who answers in a server's place can ask for it, whatever the server would have done.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        del connection
        self._name = name

    def authenticate(self, packet: object) -> NoReturn:
        """Refuse the server's request for the password.

        Raises:
            ConfigError: always; nothing was sent.
        """
        del packet
        raise ConfigError(
            f"{self._name}: the server asks for the password in clear, and the connection is not"
            " encrypted: it was not sent",
            hint="set ssl-mode=VERIFY_IDENTITY and ssl-ca in the URL; if the server has no TLS, let"
            " the user log in by a way that shows no password, such as mysql_native_password",
        )


ROOM_BYTES: Final = 1 << 16
"""Number of bytes of a packet that are reserved for all but the values."""


@asynccontextmanager
async def connect(database: Database, *, read_only: bool = False) -> AsyncGenerator[Session]:
    """Open a connection for the length of the block.

    Raises:
        TransientError: the server cannot be reached now.
        ConfigError: it refuses the user or the database, or the URL cannot be understood.
    """
    connection = await _connected(database)
    session = Session(connection, database)
    try:
        await _prepare(session, database, read_only=read_only)
        yield session
        await _disconnect(connection, database)
    finally:
        connection.close()
        if session.is_abandoned:
            await _kill(connection.thread_id(), database)


async def _connected(database: Database) -> Connection:
    address = database.address
    context = tls(database.name, address.options)
    is_private = context is not None or "socket" in address.options
    doing = f"{database.name}: connect"
    try:
        with translated(doing):
            async with asyncio.timeout(database.connect_timeout_s):
                return await asyncmy.connect(
                    host=address.host,
                    port=address.port,
                    unix_socket=address.options.get("socket"),
                    user=address.user,
                    password=address.password,
                    database=address.database,
                    charset="utf8mb4",
                    autocommit=True,
                    # Otherwise an UPDATE that changes nothing counts no row, and a checkpoint that
                    # is there would look lost.
                    client_flag=CLIENT.FOUND_ROWS,
                    connect_timeout=max(1, round(database.connect_timeout_s)),
                    ssl=context,
                    auth_plugin_map={}
                    if is_private
                    else dict.fromkeys(IN_CLEAR, partial(NotInClear, database.name)),
                    program_name="replicator",
                )
    except ValueError as exc:  # a greeting whose version is none
        raise unreadable(exc, doing) from exc


async def _kill(thread: int, database: Database) -> None:
    """End a session whose statement was abandoned: the statement would go on and keep its locks."""
    with suppress(MySQLError, OSError, ConfigError, TransientError, *UNREADABLE):
        connection = await _connected(database)
        try:
            async with asyncio.timeout(database.connect_timeout_s):
                await connection.query(f"KILL {thread}")  # type: ignore[no-untyped-call]
        finally:
            connection.close()


async def _disconnect(connection: Connection, database: Database) -> None:
    """Tell the server about the end, so that it forgets the session at once."""
    with translated(f"{database.name}: disconnect"):
        try:
            async with asyncio.timeout(database.connect_timeout_s):
                await connection.ensure_closed()
        except OSError:
            pass  # all statements have been answered


def tls(name: str, options: Mapping[str, str]) -> ssl.SSLContext | None:
    """Return the TLS context that a URL's options ask for, by the names of MySQL's own client.

    Raises:
        ConfigError: the options contradict each other, or a file cannot be used.
    """
    files = [one for one in ("ssl-ca", "ssl-cert", "ssl-key") if one in options]
    mode = options.get("ssl-mode", "VERIFY_IDENTITY" if files else "DISABLED").upper()
    if mode not in SSL_MODES:
        raise ConfigError(
            f"{name}: ssl-mode {mode} is not known", hint=f"known are {', '.join(SSL_MODES)}"
        )
    if mode == "DISABLED":
        return None
    context = _certificates(name, {one: options[one] for one in files})
    if mode != "VERIFY_IDENTITY":
        context.check_hostname = False
    if mode == "REQUIRED":
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificates(name: str, files: Mapping[str, str]) -> ssl.SSLContext:
    for one, file in files.items():
        if not Path(file).is_file():
            raise ConfigError(
                f"{name}: {file} is not there",
                hint=f"correct {one} in the URL, or put the file there",
            )
    try:
        context = trusting(files.get("ssl-ca"))
        if "ssl-cert" in files:
            context.load_cert_chain(files["ssl-cert"], files.get("ssl-key"))
    except OSError as exc:
        raise ConfigError(
            f"{name}: the certificates cannot be used: {exc}",
            hint="check ssl-ca, ssl-cert and ssl-key in the URL: they name PEM files",
        ) from exc
    return context


async def _prepare(session: Session, database: Database, *, read_only: bool) -> None:
    """Make the session's settings, so that none depends on the server's configuration."""
    session.version = str(await session.value("connect", "SELECT VERSION()"))
    longest_s, lock_s = _whole(database.statement_timeout_s), _whole(database.lock_timeout_s)
    limit = (
        f"max_statement_time = {database.statement_timeout_s:f}"
        if session.is_mariadb
        else f"max_execution_time = {round(database.statement_timeout_s * 1000)}"
    )
    settings = (
        f"sql_mode = '{SQL_MODE}'",
        # unknown columns may have a type whose text depends on it
        "time_zone = '+00:00'",
        f"wait_timeout = {_whole(database.idle_timeout_s)}",
        # of a row, and of a table
        f"innodb_lock_wait_timeout = {lock_s}",
        f"lock_wait_timeout = {lock_s}",
        # for a scan that the client reads slowly
        f"net_write_timeout = {longest_s}",
        f"net_read_timeout = {longest_s}",
        limit,
    )
    await session.execute("connect", f"SET SESSION {', SESSION '.join(settings)}")
    if read_only:
        await session.execute("connect", "SET SESSION TRANSACTION READ ONLY")
    found = await session.value("connect", "SELECT @@max_allowed_packet")
    session.packet_bytes_max = int(found)


def patient_sql(database: Database) -> str:
    """Return the statement after which only `statement_timeout_s` ends the wait for a row."""
    longest_s = _whole(database.statement_timeout_s)
    return f"SET SESSION innodb_lock_wait_timeout = {longest_s}"


def _whole(duration_s: float) -> int:
    return round(duration_s) or 1


async def discover(session: Session, database: Database) -> dict[Kind, Shape]:
    """Return Druid's tables as this database has them.

    Raises:
        ConfigError: a table, a column or a privilege is missing, or a table is not of InnoDB; the
            message names it.
    """
    kinds: dict[str, Kind] = {}
    for kind in database.kinds:
        table = TABLES[kind]
        # Druid's own spelling last: it counts if both exist
        for name in (table.name, spelled(table)):
            kinds[database.spelled(name)] = kind
    query = COLUMNS.format(names=places(len(kinds)))
    found: dict[str, list[Values]] = {}
    for row in await session.fetch("read the catalogue", query, *kinds):
        found.setdefault(row[0], []).append(row)
    shapes: dict[Kind, Shape] = {}
    for name, kind in kinds.items():
        if name in found:
            shapes[kind] = _shape(database, TABLES[kind], name, found[name])
    for kind in database.kinds:
        table = TABLES[kind]
        if kind not in shapes and table.always_there:
            missing = ticked(database.spelled(spelled(table)))
            raise refusals.no_table(database.name, missing, TABLE_HINT)
    # a column that this user may not read is missing in the catalogue: it would look like an older
    # release's table. From here on no session alters or empties a table until the end
    await session.fetch("look at all columns", whole_sql(shapes.values()))
    return shapes


def _shape(database: Database, table: Table, name: str, rows: Sequence[Values]) -> Shape:
    shown = f'"{name}"'
    engine = rows[0][3]
    if engine in FOREIGN:
        raise ConfigError(
            f"{database.name}: {shown} is a {engine.lower()}, not a table",
            hint="name the database with Druid's own tables",
        )
    if engine.lower() != "innodb":
        raise ConfigError(
            f"{database.name}: {shown} is kept by {engine}, which knows no transactions: no"
            " snapshot of it is of one instant",
            hint=f"ALTER TABLE {ticked(name)} ENGINE=InnoDB",
        )
    types = {row[1].lower(): row[2] for row in rows}
    if missing := sorted(table.required - types.keys()):
        raise refusals.no_columns(
            database.name,
            shown,
            [f'"{name}"' for name in missing],
            ", and GRANT SELECT ON the whole table: a column without any privilege looks the same",
        )
    return Shape(table=table, name=name, types=types)
