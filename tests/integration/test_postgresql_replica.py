"""A source that is a replica shows what it has replayed, and says no more of itself."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.model.row import ConfigEntry, Kind
from replicator.ports import Chunk, Freshness
from tests.servers.postgresql import Postgresql, connected, execute, put

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

SECOND = timedelta(seconds=1)


@pytest.fixture
def folder() -> Iterator[Path]:
    # not below tmp_path: root's is closed to the user that the server runs as
    parent = Path(tempfile.mkdtemp(prefix="pg-"))
    parent.chmod(0o777)
    yield parent / "replica"
    shutil.rmtree(parent)


@pytest.fixture
async def replica(postgresql: Postgresql, folder: Path) -> AsyncIterator[Postgresql]:
    async with postgresql.replica(folder) as replica:
        yield replica


async def seen(dsn: str) -> tuple[datetime, int]:
    """Return the time of a snapshot and how many rows are in it."""
    chunks: list[Chunk] = []
    async with PostgresqlMetadataReader(dsn).snapshot() as snapshot:
        await snapshot.scan(Kind.CONFIG, chunks.append)
        return snapshot.taken_at, sum(len(chunk.keys) for chunk in chunks)


async def until_seen(dsn: str, rows: int) -> datetime:
    async with asyncio.timeout(30):
        while (found := await seen(dsn))[1] != rows:
            await asyncio.sleep(0.02)
    return found[0]


async def until_behind(dsn: str, reason: str) -> Freshness:
    reader = PostgresqlMetadataReader(dsn)
    async with asyncio.timeout(30):
        while (found := await reader.freshness()).reason != reason:
            await asyncio.sleep(0.02)
    return found


async def put_one(dsn: str, name: str) -> datetime:
    """Commit a row at the primary; return a time after the commit."""
    await put(dsn, ConfigEntry(name=name, payload=b"{}"))
    return SystemClock().now()


async def test_no_cut_of_a_replica_says_that_it_holds_more_than_it_does(
    postgresql: Postgresql, replica: Postgresql
):
    async with postgresql.database() as primary, blind(postgresql) as role:
        there = replica.dsn_of(primary.rpartition("/")[2])
        await put_one(primary, "first")
        async with asyncio.timeout(30):
            while not await is_there(there):
                await asyncio.sleep(0.02)
        await until_seen(there, 1)
        fresh = await PostgresqlMetadataReader(there).freshness()
        assert (fresh.is_replica, fresh.reason, fresh.is_blind) == (True, "", False)
        assert fresh.behind < 10 * SECOND
        limited = replica.dsn_of(there.rpartition("/")[2], role=role, password="blind")
        fresh = await PostgresqlMetadataReader(limited).freshness()
        assert (fresh.is_replica, fresh.reason, fresh.is_blind) == (True, "", True)
        assert fresh.behind < 10 * SECOND

        await execute(there, "SELECT pg_wal_replay_pause()")
        paused = await until_behind(there, "replay is paused")
        committed = await put_one(primary, "second")
        shows, rows = await seen(there)
        assert rows == 1
        assert shows < committed
        assert "replay is paused" in paused.text
        await execute(there, "SELECT pg_wal_replay_resume()")
        assert await until_seen(there, 2) <= SystemClock().now()

        await configure(there, "recovery_min_apply_delay = '1h'")
        await until_behind(there, "recovery_min_apply_delay is 1h")
        committed = await put_one(primary, "third")
        shows, rows = await seen(there)
        assert (rows, shows < committed) == (2, True)
        await configure(there, "recovery_min_apply_delay = 0")
        await until_seen(there, 3)

        await configure(there, "primary_conninfo = ''")
        cut_off = await until_behind(there, "it receives nothing from a primary")
        await put_one(primary, "fourth")
        later = await PostgresqlMetadataReader(there).freshness()
        assert later.shows == cut_off.shows
        assert later.behind > cut_off.behind
        assert (await seen(there))[1] == 3
    assert not (await PostgresqlMetadataReader(postgresql.dsn).freshness()).is_replica


@asynccontextmanager
async def blind(postgresql: Postgresql) -> AsyncIterator[str]:
    """Make a role that may not see what a replica receives."""
    await execute(postgresql.dsn, "CREATE ROLE blind LOGIN PASSWORD 'blind'")
    yield "blind"
    await execute(postgresql.dsn, "DROP ROLE blind")


async def is_there(dsn: str) -> bool:
    try:
        async with connected(dsn) as connection:
            return bool(await connection.fetchval("SELECT to_regclass('druid_config') IS NOT NULL"))
    except asyncpg.InvalidCatalogNameError:  # its making is not replayed yet
        return False


async def configure(dsn: str, setting: str) -> None:
    await execute(dsn, f"ALTER SYSTEM SET {setting}")
    await execute(dsn, "SELECT pg_reload_conf()")
