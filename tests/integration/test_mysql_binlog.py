"""A real MariaDB's binary log tells of each write to one of Druid's tables."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

import pytest

from replicator.adapters.mysql import binlog
from replicator.adapters.mysql.reader import MysqlMetadataReader
from replicator.adapters.mysql.writer import MysqlMetadataWriter
from replicator.errors import ConfigError
from replicator.model.versions import BinlogPosition, Continuity, NoVersions, broken
from replicator.ports import Chunk, Snapshot
from tests.builders import commit, config_entry, rules, segment
from tests.rings import times
from tests.servers.mariadb import Mariadb, connected, execute, put

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(300), pytest.mark.xdist_group("binlog")]

TASK = (
    "INSERT INTO druid_tasks (id, created_date, datasource, payload, status_payload, active)"
    " VALUES ('{}', '2026', 'wiki', 'x', 'x', TRUE)"
)
"""A row of a table that is not read."""


@dataclass(frozen=True)
class Stage:
    server: Mariadb
    dsn: str
    """Of the superuser."""
    reader: MysqlMetadataReader
    """As a user who may read the tables and the binary log."""

    async def position(self) -> Continuity:
        async with self.reader.snapshot() as snapshot:
            return snapshot.lineage

    async def written(self, since: Continuity) -> str | None:
        """Ask a new snapshot, which must continue the earlier one."""
        assert isinstance(since, BinlogPosition), since
        async with self.reader.snapshot() as snapshot:
            assert isinstance(snapshot.lineage, BinlogPosition)
            assert broken(since, snapshot.lineage) is None
            found = await snapshot.written_since(since)
            assert await marks(snapshot), "the snapshot goes on"
            return found


@pytest.fixture
async def stage(mariadb_with_binlog: Mariadb) -> AsyncIterator[Stage]:
    server = mariadb_with_binlog
    async with server.database() as dsn:
        await put(dsn, segment(), commit(), rules(), config_entry())
        await granted(dsn, "GRANT BINLOG MONITOR ON *.* TO watcher@'%'")
        yield Stage(server, dsn, reader_of(server, dsn))


def reader_of(server: Mariadb, dsn: str) -> MysqlMetadataReader:
    database = dsn.rpartition("/")[2]
    return MysqlMetadataReader(server.dsn_of(database, user="watcher", password="x"))


async def granted(dsn: str, *grants: str) -> None:
    database = dsn.rpartition("/")[2]
    await execute(
        dsn,
        "CREATE OR REPLACE USER watcher@'%' IDENTIFIED BY 'x'",
        f"GRANT SELECT ON {database}.* TO watcher@'%'",
        *grants,
    )


async def marks(snapshot: Snapshot) -> frozenset[bytes]:
    """Return the fingerprints of all rows."""
    found: list[Chunk] = []
    for kind in snapshot.kinds:
        await snapshot.scan(kind, found.append)
    return frozenset(mark for chunk in found for mark in chunk.marks.tolist())


async def test_what_others_write_is_no_write_of_ours(stage: Stage):
    since = await stage.position()
    async with stage.server.database() as other:
        after_ddl = await stage.position()
        await put(other, segment("elsewhere"))
        assert await stage.written(after_ddl) is None
        await execute(stage.dsn, TASK.format("t"), "DELETE FROM druid_tasks")
        assert await stage.written(after_ddl) is None
    assert isinstance(since, BinlogPosition)


WRITING = (
    "UPDATE druid_segments SET payload = CONCAT(payload, ' ')",
    "DELETE FROM druid_segments",
    "INSERT INTO druid_config (name, payload) VALUES ('new', 'x')",
    "UPDATE druid_dataSource SET commit_metadata_sha1 = 'other'",
    "INSERT INTO druid_supervisors (spec_id, created_date, payload) VALUES ('s', '2026', 'x')",
    "TRUNCATE druid_rules",
    "ALTER TABLE druid_config ADD COLUMN more INT",
    "GRANT SELECT ON mysql.* TO watcher@'%'",
)


async def test_each_table_and_kind_of_statement_is_seen(mariadb_with_binlog: Mariadb):
    server = mariadb_with_binlog
    async with server.altered() as dsn:
        await put(dsn, segment(), commit(), rules(), config_entry())
        await granted(dsn, "GRANT BINLOG MONITOR ON *.* TO watcher@'%'")
        stage = Stage(server, dsn, reader_of(server, dsn))
        for statement in WRITING:
            since = await stage.position()
            await execute(dsn, statement)
            found = await stage.written(since) or ""
            assert "may write any table" in found or "was written" in found, statement


async def test_statements_are_seen_where_rows_are_not_logged(stage: Stage):
    since = await stage.position()
    await execute(
        stage.dsn, "SET SESSION binlog_format = 'STATEMENT'", "UPDATE druid_segments SET used = 0"
    )
    assert "may write any table" in (await stage.written(since) or "")


async def test_a_prepared_transaction_counts_when_it_is_committed(stage: Stage):
    """Its rows are in the log since it was prepared, before the earlier snapshot."""
    async with connected(stage.dsn) as connection, connection.cursor() as cursor:
        for statement in ("XA START 'a'", "UPDATE druid_segments SET used = 0", "XA END 'a'",
                          "XA PREPARE 'a'"):  # fmt: skip
            await cursor.execute(statement)
        since = await stage.position()
        assert await stage.written(since) is None
        await cursor.execute("XA COMMIT 'a'")
    assert await stage.written(since) is not None


async def test_a_transaction_that_is_open_at_the_first_snapshot_is_seen_by_the_second(stage: Stage):
    async with connected(stage.dsn) as connection, connection.cursor() as cursor:
        await cursor.execute("BEGIN")
        await cursor.execute("UPDATE druid_segments SET used = 0")
        since = await stage.position()
        assert await stage.written(since) is None
        await cursor.execute("COMMIT")
    assert await stage.written(since) is not None


@pytest.mark.parametrize("statement", ["FLUSH BINARY LOGS", "RESET MASTER"])
async def test_another_file_is_another_log(stage: Stage, statement: str):
    await execute(stage.dsn, "UPDATE druid_segments SET used = 0")
    since = await stage.position()
    await execute(stage.dsn, statement)
    now = await stage.position()
    assert isinstance(since, BinlogPosition)
    assert isinstance(now, BinlogPosition)
    assert broken(since, now) is not None


async def test_more_events_than_are_read_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binlog, "EVENTS_READ", 7)
    monkeypatch.setattr(binlog, "EVENTS_MAX", 70)
    since = await stage.position()
    await execute(stage.dsn, *(TASK.format(number) for number in range(10)))
    assert await stage.written(since) is None, "50 events"
    await execute(stage.dsn, "UPDATE druid_segments SET used = 0")
    assert "druid_segments was written" in (await stage.written(since) or "")
    since = await stage.position()
    await execute(stage.dsn, "DELETE FROM druid_tasks", *(TASK.format(n) for n in range(20)))
    assert "more than 70 events" in (await stage.written(since) or "")


async def test_why_it_cannot_be_relied_on_is_told(stage: Stage):
    await granted(stage.dsn)
    denied = await stage.position()
    assert isinstance(denied, NoVersions)
    assert "GRANT BINLOG MONITOR ON *.* TO" in denied.reason


async def test_a_log_that_is_shorter_than_its_server_takes_it_for_is_not_relied_on(stage: Stage):
    """So a full disk leaves it; a source must not stay away for that."""
    since = await stage.position()
    assert isinstance(since, BinlogPosition)
    os.truncate(stage.server.data_dir / since.file, since.position - 10)
    found = await stage.position()
    assert isinstance(found, NoVersions)
    assert "FLUSH BINARY LOGS" in found.reason
    await execute(stage.dsn, "FLUSH BINARY LOGS")
    now = await stage.position()
    assert isinstance(now, BinlogPosition)
    assert broken(since, now) is not None


async def test_a_filtered_log_is_not_relied_on(mariadb_with_filters: Mariadb):
    server = mariadb_with_filters
    async with server.database() as dsn:
        await granted(dsn, "GRANT BINLOG MONITOR ON *.* TO watcher@'%'")
        found = await Stage(server, dsn, reader_of(server, dsn)).position()
    assert found == NoVersions("the binary log is filtered: binlog_do_db or binlog_ignore_db")


@pytest.mark.timeout(times(gate=300, long=1800))
async def test_two_snapshots_with_nothing_between_them_are_equal(stage: Stage):
    """While others commit at any moment: what the log says is compared with the rows themselves."""
    stop, rng = asyncio.Event(), Random(19)

    async def writes(number: int) -> None:
        async with connected(stage.dsn) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                await cursor.execute("BEGIN")
                if rng.random() < 0.3:
                    row = f"'k{number}-{rng.randrange(5)}', '{rng.random()}'"
                    await cursor.execute(
                        f"REPLACE INTO druid_config (name, payload) VALUES ({row})"
                    )
                await cursor.execute(TASK.format(f"{number}-{rng.random()}"))
                await cursor.execute("COMMIT")
                await asyncio.sleep(rng.random() * 0.03)

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(writes(number))
        told = await compared(stage, times(gate=60, long=2000))
        stop.set()
    assert min(told.values()) > 0, f"both answers are met: {told}"


async def compared(stage: Stage, snapshots: int) -> dict[bool, int]:
    """Return how often the log said that nothing was written, and how often that something was."""
    before: tuple[BinlogPosition, frozenset[bytes]] | None = None
    told = {True: 0, False: 0}
    for _ in range(snapshots):
        async with stage.reader.snapshot() as snapshot:
            now = await marks(snapshot)
            assert isinstance(snapshot.lineage, BinlogPosition)
            if before is not None:
                writing = await snapshot.written_since(before[0])
                assert writing is not None or now == before[1], "a write was missed"
                told[writing is None] += 1
            before = snapshot.lineage, now
    return told


async def test_a_look_without_writes_reads_no_row(stage: Stage):
    """By the server's own counter."""
    await execute(
        stage.dsn, "INSERT INTO druid_config (name, payload) SELECT seq, 'x' FROM seq_1_to_5000"
    )
    since = await stage.position()
    assert isinstance(since, BinlogPosition)
    before = await rows_read(stage)
    async with stage.reader.snapshot() as snapshot:
        assert await snapshot.written_since(since) is None
        looked = await rows_read(stage) - before
        before = await rows_read(stage)
        await marks(snapshot)
        scanned = await rows_read(stage) - before
    assert scanned > 5000
    assert looked < 500, "those of the catalogue, and one of each table to hold its form"


async def test_what_is_written_is_logged_once(stage: Stage):
    """Values of a larger prepared statement are logged as text too, and then as rows."""
    rows = [config_entry(f"row-{number}", payload=bytes(2000)) for number in range(500)]
    target = MysqlMetadataWriter(stage.dsn)
    held = await target.acquire("east")
    before = await stage.position()
    async with target.transaction("east", held.epoch) as transaction:
        await transaction.upsert(rows)
    after = await stage.position()
    assert isinstance(before, BinlogPosition)
    assert isinstance(after, BinlogPosition)
    assert after.position - before.position < 1.1 * sum(len(row.payload) for row in rows)


async def test_a_cut_that_the_binary_log_has_no_room_for_names_the_limit(stage: Stage):
    """A first cut is one transaction of every row: nothing of it is there, and the next goes on."""
    rows = [config_entry(f"row-{number}", payload=bytes(2000)) for number in range(500)]
    target = MysqlMetadataWriter(stage.dsn)
    held = await target.acquire("east")
    ((former,),) = await execute(stage.dsn, "SELECT @@GLOBAL.max_binlog_cache_size")
    await execute(stage.dsn, "SET GLOBAL max_binlog_cache_size = 65536")
    try:
        with pytest.raises(ConfigError) as found:
            async with target.transaction("east", held.epoch) as transaction:
                await transaction.upsert(rows)
    finally:
        await execute(stage.dsn, f"SET GLOBAL max_binlog_cache_size = {former}")
    assert "max_binlog_cache_size" in found.value.hint
    there = "SELECT COUNT(*) FROM druid_config WHERE name LIKE 'row-%'"
    assert await execute(stage.dsn, there) == ((0,),)
    async with target.transaction("east", held.epoch) as transaction:
        await transaction.upsert(rows)
    assert await execute(stage.dsn, there) == ((500,),)


async def rows_read(stage: Stage) -> int:
    ((_, number),) = await execute(stage.dsn, "SHOW GLOBAL STATUS LIKE 'Rows_read'")
    return int(number)
