"""The change stream when its server is lost, promoted, or runs short of room for its WAL."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from replicator.errors import ConfigError
from tests.integration.test_change_stream import PUBLISH, Watch, flip, in_one, slots
from tests.integration.test_postgresql_versions import segment, until_same
from tests.servers.postgresql import Postgresql, connected, execute, put, started

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.long]

FAILS_OVER = {
    "wal_level": "logical",
    "hot_standby_feedback": "on",
    "sync_replication_slots": "on",
    "autovacuum": "off",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="pg-"))
    found.chmod(0o777)  # a server that is not ours writes there
    yield found
    shutil.rmtree(found, ignore_errors=True)


@asynccontextmanager
async def served(folder: Path, **settings: str) -> AsyncIterator[Postgresql]:
    server = await started(folder / "data", settings={"wal_level": "logical", **settings})
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def watched(server: Postgresql) -> AsyncIterator[Watch]:
    """Eight segments in a database of a server, and who follows its stream."""
    async with server.database() as dsn:
        await execute(dsn, PUBLISH)
        await put(dsn, *(segment(number) for number in range(8)))
        watch = Watch(dsn)
        await watch.begin()
        await execute(dsn, flip(1))
        assert await watch.look() == 1
        try:
            yield watch
        finally:
            await watch.stream.close()


async def test_wal_beyond_the_servers_limit_costs_the_slot_and_no_change(folder: Path):
    """`max_slot_wal_keep_size` protects the source's disk while no watcher runs."""
    async with served(folder, max_slot_wal_keep_size="1MB") as server, watched(server) as watch:
        await watch.stream.close()
        await execute(watch.dsn, flip(2))
        async with connected(watch.dsn) as druid:
            for _ in range(4):
                await druid.execute("SELECT pg_switch_wal(), pg_logical_emit_message(true, '', '')")
            await druid.execute("CHECKPOINT")
        assert "is lost: wal_removed" in await watch.poll()
        await execute(watch.dsn, flip(3))
        await watch.watcher.catch_up()
        assert watch.polls >= 3, "until there is another slot each look is a poll"
        with pytest.raises(ConfigError, match="is lost"):
            await watch.stream.create()
        assert await watch.stream.drop()
        assert await watch.stream.create()
        await watch.watcher.catch_up()
        await in_one(watch.dsn, flip(4), flip(5))
        await execute(watch.dsn, flip(6))
        assert await watch.look() == 2


@pytest.mark.parametrize("is_synchronised", [False, True])
async def test_a_promoted_replica_is_followed_and_no_commit_is_lost_or_doubled(
    folder: Path, is_synchronised: bool
):
    settings = FAILS_OVER if is_synchronised else {}
    async with served(folder, **settings) as server, watched(server) as watch:
        name = watch.dsn.rpartition("/")[2]
        await execute(server.dsn, "SELECT pg_create_physical_replication_slot('follows', true)")
        async with server.replica(folder / "replica") as replica:
            there = replica.dsn_of(name)
            if is_synchronised:
                await synchronised(server, replica, watch)
            await execute(watch.dsn, flip(2))
            await execute(watch.dsn, flip(3))
            await until_same(watch.dsn, there)
            assert await watch.look() == 2
            await cut_off(replica)
            await execute(watch.dsn, flip(4))
            assert await watch.look() == 1, "the log has a commit that the replica never gets"
            await watch.stream.close()
            await execute(there, "SELECT pg_promote()")
            await execute(there, "CHECKPOINT")
            await execute(there, flip(5))
            watch.dsn = there
            watch.start()
            assert await slots(there) == ([watch.names.slot] if is_synchronised else [])
            why = await watch.poll()
            assert ("is not what it was" if is_synchronised else "no replication slot") in why
            if not is_synchronised:
                await watch.stream.create()
                await watch.watcher.catch_up()
            await execute(there, flip(6))
            await execute(there, flip(7))
            assert await watch.look() == 2
            await watch.stream.close()


async def synchronised(server: Postgresql, replica: Postgresql, watch: Watch) -> None:
    """Wait until a replica has the slot as its primary has it."""
    await execute(replica.dsn, "ALTER SYSTEM SET primary_slot_name = 'follows'")
    await execute(replica.dsn, "SELECT pg_reload_conf()")
    async with asyncio.timeout(60):
        while not await slots_there(replica):
            await execute(server.dsn, "SELECT pg_log_standby_snapshot()")
            await execute(watch.dsn, flip(0))  # the slot moves with the log, and the replica waits
            await watch.look()
            await asyncio.sleep(0.2)


async def cut_off(replica: Postgresql) -> None:
    """Let a replica hear nothing of its primary any more."""
    await execute(replica.dsn, "ALTER SYSTEM SET primary_conninfo = ''")
    await execute(replica.dsn, "SELECT pg_reload_conf()")
    async with asyncio.timeout(30), connected(replica.dsn) as connection:
        while await connection.fetchval("SELECT count(*) FROM pg_stat_wal_receiver"):
            await asyncio.sleep(0.05)


async def slots_there(replica: Postgresql) -> list[str]:
    async with connected(replica.dsn) as connection:
        rows = await connection.fetch(
            "SELECT slot_name FROM pg_replication_slots WHERE synced AND NOT temporary"
        )
    return [row[0] for row in rows]
