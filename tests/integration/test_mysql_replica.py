"""A real replica of MariaDB as a source: how old its rows are, and what its binary log tells."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from replicator.adapters.mysql.binlog import position_of
from replicator.adapters.mysql.reader import MysqlMetadataReader
from replicator.adapters.mysql.session import Database, connect
from replicator.errors import ConfigError
from replicator.model.versions import BinlogPosition, NoVersions
from tests.builders import segment
from tests.servers.mariadb import Mariadb, execute, put

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(300), pytest.mark.xdist_group("binlog")]

SOON_S = 30.0


@dataclass(frozen=True)
class Pair:
    primary: Mariadb
    replica: Mariadb

    async def follow(self) -> None:
        """Let the replica follow the primary, both being empty."""
        await execute(
            self.primary.dsn,
            "CREATE OR REPLACE USER follower@'%' IDENTIFIED BY 'x'",
            "GRANT REPLICATION SLAVE ON *.* TO follower@'%'",
        )
        await execute(
            self.replica.dsn,
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={self.primary.port},"
            " MASTER_USER='follower', MASTER_PASSWORD='x', MASTER_SSL=0, MASTER_USE_GTID=slave_pos",
            "START SLAVE",
        )

    async def caught_up(self) -> None:
        ((gtid,),) = await execute(self.primary.dsn, "SELECT @@gtid_binlog_pos")
        wait = f"SELECT MASTER_GTID_WAIT('{gtid}', {SOON_S})"
        reached = await execute(self.replica.dsn, wait)
        assert reached == ((0,),), await execute(self.replica.dsn, "SHOW SLAVE STATUS")

    def reader(self, database: str, *, user: str = "root", password: str = "") -> (
        MysqlMetadataReader
    ):  # fmt: skip
        return MysqlMetadataReader(self.replica.dsn_of(database, user=user, password=password))


@pytest.fixture
def pair(mariadb_with_binlog: Mariadb, mariadb_replica: Mariadb) -> Iterator[Pair]:
    asyncio.run(execute(mariadb_with_binlog.dsn, "RESET MASTER"))
    yield Pair(mariadb_with_binlog, mariadb_replica)
    asyncio.run(
        execute(
            mariadb_replica.dsn,
            *("STOP SLAVE", "RESET SLAVE ALL", "RESET MASTER", "SET GLOBAL gtid_slave_pos = ''"),
        )
    )


async def test_a_replica_says_how_old_its_rows_are_and_what_was_written(pair: Pair):
    await pair.follow()
    async with pair.primary.altered() as dsn:
        database = dsn.rpartition("/")[2]
        await put(dsn, segment())
        await pair.caught_up()
        reader = pair.reader(database)
        fresh = await reader.freshness()
        assert (fresh.is_replica, fresh.reason) == (True, "")
        assert fresh.behind <= timedelta(seconds=5)
        async with reader.snapshot() as snapshot:
            since = snapshot.lineage
        assert isinstance(since, BinlogPosition), since

        await execute(dsn, "UPDATE druid_segments SET used = 0")
        await pair.caught_up()
        async with reader.snapshot() as snapshot:
            assert "druid_segments was written" in (await snapshot.written_since(since) or "")

        await execute(pair.replica.dsn, "STOP SLAVE SQL_THREAD")
        stands = await reader.freshness()
        assert "it applies nothing" in stands.reason
        assert stands.shows == datetime.fromtimestamp(0, UTC), "how old its rows are is not known"
        async with reader.snapshot() as snapshot:
            assert snapshot.taken_at == stands.shows, "no cut claims to be of today"


async def test_a_user_who_may_not_see_how_far_a_replica_is_gets_the_grant_told(pair: Pair):
    await pair.follow()
    async with pair.primary.altered() as dsn:
        database = dsn.rpartition("/")[2]
        await execute(
            dsn,
            "CREATE OR REPLACE USER watcher@'%' IDENTIFIED BY 'x'",
            f"GRANT SELECT ON {database}.* TO watcher@'%'",
        )
        await pair.caught_up()
        reader = pair.reader(database, user="watcher", password="x")
        with pytest.raises(ConfigError) as found:
            await reader.freshness()
        assert "REPLICA MONITOR" in found.value.hint
        await execute(dsn, "GRANT REPLICA MONITOR ON *.* TO watcher@'%'")
        await pair.caught_up()
        assert (await reader.freshness()).is_replica


async def test_a_replica_that_logs_only_its_own_writes_is_not_relied_on(
    mariadb_with_binlog: Mariadb,
):
    async with mariadb_with_binlog.database() as dsn:
        database = Database(dsn=dsn)
        async with connect(database, read_only=True) as session:
            await session.execute("begin", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            found = await position_of(session, database, is_replica=True)
    assert isinstance(found, NoVersions)
    assert "log_slave_updates is OFF" in found.reason
