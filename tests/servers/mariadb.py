"""A MariaDB for tests: a fresh database for each of them, with the tables of a Druid release."""

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncmy
from asyncmy.connection import Connection

from replicator.adapters.mysql.druid_tables import CATALOG, LAYOUTS, split
from replicator.adapters.mysql.sql import spelled
from replicator.model.row import KIND_OF, TABLES, Row, key_of
from tests.servers import fetching
from tests.servers.server import Server, free_ports, is_open

START_S = 60.0
SMALL = (
    *("--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--key-buffer-size=1M"),
    *("--performance-schema=OFF", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"),
    *("--aria-pagecache-buffer-size=1M", "--table-open-cache=200"),
    "--innodb-buffer-pool-load-at-startup=OFF",
    *("--innodb-buffer-pool-dump-at-shutdown=OFF", "--skip-name-resolve", "--max-connections=60"),
    *("--innodb-doublewrite=OFF", "--innodb-flush-method=nosync"),
    *("--innodb-temp-data-file-path=ibtmp1:4M:autoextend",),
)  # fmt: skip
MAKES_NO_CERTIFICATE = ("--skip-ssl",)
"""Otherwise it makes keys at each start, which takes seconds."""
BINLOG = ("--log-bin=binlog", "--binlog-format=ROW", "--server-id=7")
"""A binary log of rows."""
OURS = " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
"""What `target create` makes better than Druid: the tests have the tables as Druid makes them."""
DRUIDS = "dataSource VARCHAR(255)"


class Mariadb:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *options: str, tls: Sequence[str] = MAKES_NO_CERTIFICATE):
        self.home = fetching.mariadb()
        self.data_dir = folder / "data"
        (self.port,) = free_ports(1)
        self._numbers = count(1)
        self._free: dict[tuple[str, str], list[str]] = {}
        self._make(folder)
        command = [str(self.home / "bin" / "mariadbd"), "--no-defaults", *self._places(folder)]
        command += [f"--port={self.port}", "--bind-address=127.0.0.1", *SMALL, *tls, *options]
        self.server = Server(command, folder / "log")

    def _places(self, folder: Path) -> Sequence[str]:
        return (
            *(f"--basedir={self.home}", f"--datadir={self.data_dir}", f"--tmpdir={folder}"),
            *(f"--socket={folder / 's'}", f"--pid-file={folder / 'pid'}", "--user=root"),
        )

    def _make(self, folder: Path) -> None:
        done = subprocess.run(
            [
                str(self.home / "scripts" / "mariadb-install-db"),
                *("--no-defaults", *self._places(folder), *SMALL, "--skip-test-db"),
                "--auth-root-authentication-method=normal",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def dsn(self) -> str:
        """Of the superuser, for the database `mysql`."""
        return self.dsn_of("mysql")

    def start(self) -> None:
        self.server.start(lambda: is_open(self.port), within_s=START_S)

    def stop(self) -> None:
        self.server.stop()

    def restart(self) -> None:
        """Stop it, which ends all connections, and start it at the same port."""
        self.stop()
        self.start()

    def dsn_of(self, database: str, *, user: str = "root", password: str = "") -> str:
        """Return the DSN of a database, for the superuser or another one."""
        login = f"{user}:{password}" if password else user
        return f"mysql://{login}@127.0.0.1:{self.port}/{database}"

    @asynccontextmanager
    async def database(
        self, layout: str | None = "druid-33", *, collation: str = "utf8mb4_general_ci"
    ) -> AsyncIterator[str]:
        """Give the DSN of a database with a layout's tables (None: none at all) and no rows.

        Its databases are used again: to empty one costs a tenth of what it costs to make one.
        """
        if layout is None:
            dsn = await self._made(collation)
            try:
                yield dsn
            finally:
                await self.drop(dsn)
            return
        free = self._free.setdefault((layout, collation), [])
        if free:
            dsn = free.pop()
            await empty(dsn)
        else:
            dsn = await self._made(collation, *druids_own(layout))
        yield dsn
        free.append(dsn)

    @asynccontextmanager
    async def altered(
        self, *statements: str, layout: str = "druid-33", collation: str = "utf8mb4_general_ci"
    ) -> AsyncIterator[str]:
        """Give the DSN of a database whose tables a test may change; it is used once."""
        dsn = await self._made(collation, *druids_own(layout), *statements)
        try:
            yield dsn
        finally:
            await self.drop(dsn)

    async def drop(self, dsn: str) -> None:
        await execute(self.dsn, f"DROP DATABASE {dsn.rpartition('/')[2]}")

    async def _made(self, collation: str, *statements: str) -> str:
        name = f"test_{next(self._numbers)}"
        charset = collation.partition("_")[0]
        await execute(
            self.dsn, f"CREATE DATABASE {name} CHARACTER SET {charset} COLLATE {collation}"
        )
        dsn = self.dsn_of(name)
        await execute(dsn, *statements)
        return dsn


async def empty(dsn: str) -> None:
    """Remove all rows, and let what counts up begin again."""
    for (table,) in await execute(dsn, "SHOW TABLES"):
        if await execute(dsn, f"SELECT 1 FROM {table} LIMIT 1"):
            await execute(dsn, f"DELETE FROM {table}")
    for table in ("druid_supervisors", "druid_segmentSchemas"):
        if await execute(dsn, f"SHOW TABLES LIKE '{table}'"):
            await execute(dsn, f"ALTER TABLE {table} AUTO_INCREMENT = 1")


def druids_own(layout: str) -> Sequence[str]:
    """Return what makes a layout's tables as Druid does: only names of datasources are binary."""
    text = LAYOUTS[layout].read_text().replace(OURS, "")
    text = text.replace(DRUIDS, f"{DRUIDS} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    catalog = [CATALOG.replace(OURS, "")] if layout.startswith("druid-37") else []
    return [*split(text), *catalog]


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    """Connect as somebody else than the code under test."""
    login, _, place = dsn.removeprefix("mysql://").rpartition("@")
    user, _, password = login.partition(":")
    host, _, database = place.partition("?")[0].partition("/")
    name, _, port = host.partition(":")
    connection = await asyncmy.connect(
        host=name, port=int(port), user=user, password=password, database=database,
        charset="utf8mb4", autocommit=True,
    )  # fmt: skip
    try:
        yield connection
    finally:
        await connection.ensure_closed()


async def execute(dsn: str, *statements: str) -> Sequence[tuple[Any, ...]]:
    """Run statements behind the back of the code under test; return the last one's rows."""
    rows: Sequence[tuple[Any, ...]] = ()
    async with connected(dsn) as connection, connection.cursor() as cursor:
        for statement in statements:
            await cursor.execute(statement)
            rows = await cursor.fetchall()
    return rows


async def put(dsn: str, *rows: Row) -> None:
    """Write rows as they are, timestamps too: what a Druid of its own does to its tables."""
    async with connected(dsn) as connection, connection.cursor() as cursor:
        for row in rows:
            table = TABLES[KIND_OF[type(row)]]
            relation = f"druid_{spelled(table)}"
            await cursor.execute(f"SELECT * FROM {relation} LIMIT 0")
            known = {one[0].lower() for one in cursor.description}
            names = [name for name in table.columns if name in known]
            columns = ", ".join(f"`{name}`" for name in names)
            if table.newest_by is None:
                key = f"CONCAT_WS('.', {', '.join(f'`{name}`' for name in table.key)})"
                statement = await connection.prepare(f"DELETE FROM {relation} WHERE {key} = ?")
                await statement.execute((key_of(row).key,))
            statement = await connection.prepare(
                f"INSERT INTO {relation} ({columns}) VALUES ({', '.join('?' * len(names))})"
            )
            await statement.execute([getattr(row, name) for name in names])
