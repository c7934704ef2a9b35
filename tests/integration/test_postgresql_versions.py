"""A poll by row versions on a real PostgreSQL: what befalls tables and servers is seen, or told."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random

import asyncpg
import pytest

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.adapters.postgresql import lineage, snapshot
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.app.wiring import pipeline as wiring
from replicator.app.wiring.histories import Tools
from replicator.model.event import Offset, RowChanged, RowRemoved
from replicator.model.fingerprint import fingerprint
from replicator.model.log.wire import decode
from replicator.model.observation import Observation, Polled, ScanBegun, VersionsMissed, Why
from replicator.model.row import Kind, Row, RowKey, Segment, key_of
from replicator.ports import Chunk, VisitVersions
from replicator.services.history.reader import History
from tests.rings import times
from tests.servers.postgresql import Postgresql, connected, execute, put, started
from tests.wiring import watch_settings

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

SOURCE = "prod"
FLIP = "UPDATE druid_segments SET used = NOT used WHERE id = $1"


def segment(number: int, size: int = 1) -> Segment:
    return Segment(
        id=f"wiki_{number}",
        datasource="wiki",
        created_date="2026-01-02T03:04:05.678Z",
        start="2026-01-01T00:00:00.000Z",
        end="2026-01-02T00:00:00.000Z",
        partitioned=True,
        version="2026-01-02T03:04:05.000Z",
        used=True,
        used_status_last_updated="2026-01-02T03:04:05.678Z",
        payload=b'{"dataSource":"wiki","size":%d}' % size,
    )


@dataclass
class Watch:
    """A watcher of a database, and what its log says."""

    dsn: str
    seen: list[Observation] = field(default_factory=list)
    row_versions: bool = True

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.log = MemoryEventLog(clock, SOURCE)
        tools = Tools(
            workers=InPlaceWorkers(),
            clock=clock,
            rng=Random(1),
            observer=lambda _: self.seen.append,
        )
        self.watcher = wiring.watcher(
            watch_settings(
                idle_cut_interval_s=3600.0,
                full_scan_interval=timedelta(days=1),
                row_versions=self.row_versions,
            ),
            source=SOURCE,
            metadata=PostgresqlMetadataReader(self.dsn),
            log=self.log,
            history=History(self.log, source=SOURCE, workers=InPlaceWorkers()),
            tools=tools,
            observer=self.seen.append,
        )

    async def poll(self) -> Polled:
        """Poll, and hold the log against all that the database has."""
        await self.watcher.poll()
        assert await self.told() == await rows_of(self.dsn)
        assert not [one for one in self.seen if isinstance(one, VersionsMissed)]
        return self.polled

    @property
    def polled(self) -> Polled:
        return [one for one in self.seen if isinstance(one, Polled)][-1]

    async def by_versions(self) -> int:
        """Poll by versions; return how many rows were fingerprinted."""
        polled = await self.poll()
        assert not polled.full, self.seen[-4:]
        return polled.fingerprinted_rows

    async def by_rows(self) -> ScanBegun:
        """Poll all rows; return why."""
        assert (await self.poll()).full
        return [one for one in self.seen if isinstance(one, ScanBegun)][-1]

    async def told(self) -> dict[RowKey, bytes]:
        rows: dict[RowKey, bytes] = {}
        for record in await self.log.read(Offset(0), records_max=1_000_000):
            match decode(record).event:
                case RowChanged(row=row):
                    rows[key_of(row)] = fingerprint(row)
                case RowRemoved(key=key):
                    rows.pop(key, None)
                case _:
                    pass
        return rows


async def rows_of(dsn: str, *, audit: bool = False) -> dict[RowKey, bytes]:
    found: list[Row] = []
    async with PostgresqlMetadataReader(dsn, audit=audit).snapshot() as snapshot:
        for kind in snapshot.kinds:
            chunks: list[Chunk] = []
            await snapshot.scan(kind, chunks.append)
            for chunk in chunks:
                found += await snapshot.fetch(kind, chunk.handles)
    return {key_of(row): fingerprint(row) for row in found}


@pytest.fixture
async def watch(druid_dsn: str) -> Watch:
    """Of eight segments; it has looked once."""
    await put(druid_dsn, *(segment(number) for number in range(8)))
    watch = Watch(druid_dsn)
    assert (await watch.by_rows()).why is Why.START
    assert await watch.by_versions() == 0
    return watch


async def versions_of(dsn: str, number: int) -> tuple[object, object]:
    async with connected(dsn) as connection:
        found = await connection.fetchrow(
            "SELECT ctid, xmin FROM druid_segments WHERE id = $1", f"wiki_{number}"
        )
    assert found is not None
    return found["ctid"], found["xmin"]


# ------------------------------------------------------------------------------------------ tables


async def test_each_change_costs_its_own_row(watch: Watch):
    await put(watch.dsn, segment(1, size=2), segment(9))
    assert await watch.by_versions() == 2
    await execute(watch.dsn, "DELETE FROM druid_segments WHERE id = 'wiki_9'")
    assert await watch.by_versions() == 0
    await execute(watch.dsn, "UPDATE druid_segments SET payload = payload || ' '::bytea")
    assert await watch.by_versions() == 8
    assert await watch.by_versions() == 0


async def test_a_row_that_is_changed_and_changed_back_makes_no_event(watch: Watch):
    """Both are HOT updates: the tuple stays on its page, and the index points where it did."""
    end = (await watch.log.span()).end
    for _ in range(2):
        await execute(watch.dsn, FLIP, "wiki_3")
    assert await watch.by_versions() == 1
    assert (await watch.log.span()).end == end
    await execute(watch.dsn, FLIP, "wiki_3")
    assert await watch.by_versions() == 1
    assert (await watch.log.span()).end > end


async def test_an_id_that_is_used_again_and_a_place_that_is_used_again(watch: Watch):
    place, _ = await versions_of(watch.dsn, 7)
    await execute(watch.dsn, "DELETE FROM druid_segments WHERE id = 'wiki_7'")
    await execute(watch.dsn, "VACUUM druid_segments")
    await put(watch.dsn, segment(7, size=5))
    assert (await versions_of(watch.dsn, 7))[0] == place, "or this test shows nothing"
    assert await watch.by_versions() == 1
    await execute(watch.dsn, "DELETE FROM druid_segments WHERE id = 'wiki_7'")
    await execute(watch.dsn, "VACUUM druid_segments")
    await put(watch.dsn, segment(70))
    assert (await versions_of(watch.dsn, 70))[0] == place
    assert await watch.by_versions() == 1


async def test_freezing_changes_no_version(watch: Watch):
    await execute(watch.dsn, "VACUUM (FREEZE) druid_segments")
    assert await watch.by_versions() == 0


@pytest.mark.parametrize(
    "rewrite",
    [
        "VACUUM FULL druid_segments",
        "CLUSTER druid_segments USING druid_segments_pkey",
        "TRUNCATE druid_segments",
        "ALTER TABLE druid_segments ALTER COLUMN version TYPE varchar(99)",
    ],
)
async def test_a_table_that_was_rewritten_is_read_once(watch: Watch, rewrite: str):
    await execute(watch.dsn, "DELETE FROM druid_segments WHERE id < 'wiki_3'")
    await execute(watch.dsn, rewrite)
    why = await watch.by_rows()
    assert (why.why, "the segment table's file was" in why.detail) == (Why.BROKEN, True)
    await put(watch.dsn, segment(5, size=9))
    assert await watch.by_versions() == 1


async def test_a_column_that_a_new_release_adds_is_seen(watch: Watch):
    """Nothing is rewritten: every row has another fingerprint and its old version."""
    added = "ALTER TABLE druid_segments ADD COLUMN more varchar(255) DEFAULT 'x'"
    await execute(watch.dsn, added)
    why = await watch.by_rows()
    assert (why.why, "the segment table's columns" in why.detail) == (Why.BROKEN, True)
    await execute(watch.dsn, "ALTER TABLE druid_segments DROP COLUMN more")
    await execute(watch.dsn, added.replace("'x'", "'y'"))
    assert (await watch.by_rows()).why is Why.BROKEN
    assert await watch.by_versions() == 0


async def test_a_transaction_that_is_open_for_long_is_seen_when_it_ends(watch: Watch):
    async with connected(watch.dsn) as slow:
        await slow.execute("BEGIN")
        await slow.execute(FLIP, "wiki_2")
        await slow.execute("SAVEPOINT one")
        await slow.execute(FLIP, "wiki_4")
        await slow.execute("ROLLBACK TO one")
        await slow.execute("SAVEPOINT two")
        await slow.execute(FLIP, "wiki_5")
        assert await watch.by_versions() == 0
        await put(watch.dsn, segment(20))
        assert await watch.by_versions() == 1
        assert await watch.by_versions() == 1, "as long as that one is open"
        await slow.execute("COMMIT")
    assert await watch.by_versions() == 3
    assert await watch.by_versions() == 0


async def test_only_the_newest_row_of_a_supervisor_counts(watch: Watch):
    insert = "INSERT INTO druid_supervisors (spec_id, created_date, payload) VALUES ('s', '', $1)"
    for payload in (b"1", b"2"):
        await execute(watch.dsn, insert, payload)
        await watch.by_versions()
    await execute(watch.dsn, "DELETE FROM druid_supervisors WHERE payload = '2'")
    assert await watch.by_versions() == 1, "the older one is the newest again"
    await execute(watch.dsn, "DELETE FROM druid_supervisors")
    assert await watch.by_versions() == 0


async def versions_read(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, statement: str = ""
) -> tuple[bool, int]:
    """Poll after a statement; return whether the versions of all segments were read, and how many
    rows were fingerprinted."""
    read: list[Kind] = []
    versions = snapshot.PostgresqlSnapshot.versions

    async def note(self: snapshot.PostgresqlSnapshot, kind: Kind, visit: VisitVersions) -> None:
        read.append(kind)
        await versions(self, kind, visit)

    if statement:
        await execute(watch.dsn, statement)
    with monkeypatch.context() as patch:
        patch.setattr(snapshot.PostgresqlSnapshot, "versions", note)
        fingerprinted = await watch.by_versions()
    return Kind.SEGMENT in read, fingerprinted


async def test_versions_stay_in_the_database_until_a_row_goes(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
):
    """New rows are named beside the digest of the others."""
    monkeypatch.setattr(snapshot, "DIGESTED_PAGES_MIN", 0)
    assert await versions_read(watch, monkeypatch) == (True, 0), "there is no digest yet"
    assert await versions_read(watch, monkeypatch) == (False, 0)
    assert watch.polled.scanned_rows == 8
    await put(watch.dsn, segment(20), segment(21))
    assert await versions_read(watch, monkeypatch) == (False, 2)
    assert watch.polled.scanned_rows == 10
    assert await versions_read(watch, monkeypatch) == (False, 0)
    flip = "UPDATE druid_segments SET used = NOT used WHERE id = 'wiki_20'"
    assert await versions_read(watch, monkeypatch, flip) == (True, 1), "the old one is gone"
    assert await versions_read(watch, monkeypatch) == (False, 0)
    gone = "DELETE FROM druid_segments WHERE id = 'wiki_21'"
    assert await versions_read(watch, monkeypatch, gone) == (True, 0)
    assert await versions_read(watch, monkeypatch, "VACUUM druid_segments") == (False, 0)
    async with connected(watch.dsn) as slow:
        await slow.execute("BEGIN")
        await slow.execute(FLIP, "wiki_2")
        await put(watch.dsn, segment(30))
        assert await versions_read(watch, monkeypatch) == (False, 1)
        assert await versions_read(watch, monkeypatch) == (False, 1), "as long as it is open"
        await slow.execute("COMMIT")
    assert await versions_read(watch, monkeypatch) == (True, 2)
    assert await versions_read(watch, monkeypatch) == (False, 0)
    monkeypatch.setattr(snapshot, "NEW_ROWS_MAX", 1)
    await put(watch.dsn, segment(40), segment(41))
    assert await versions_read(watch, monkeypatch) == (True, 2), "too many to be named"


@pytest.mark.parametrize("seed", range(times(2, 60)))
async def test_whatever_happens_the_log_says_what_the_database_has(
    watch: Watch, seed: int, monkeypatch: pytest.MonkeyPatch
):
    """With digests of versions, which so small a table would not get, and without."""
    monkeypatch.setattr(snapshot, "DIGESTED_PAGES_MIN", 0 if seed % 2 else 1024)
    rng = Random(seed)
    statements = [
        "DELETE FROM druid_segments WHERE id IN (SELECT max(id) FROM druid_segments)",
        "DELETE FROM druid_segments WHERE id IN (SELECT min(id) FROM druid_segments)",
        "VACUUM druid_segments",
        "VACUUM (FREEZE) druid_segments",
        "VACUUM FULL druid_segments",
        "BEGIN; TRUNCATE druid_segments; ROLLBACK",
        "UPDATE druid_segments SET used = NOT used; UPDATE druid_segments SET used = NOT used",
        "INSERT INTO druid_config VALUES ('a', '1') ON CONFLICT (name) DO UPDATE SET payload = '1'",
        "CLUSTER druid_segments USING druid_segments_pkey",
    ]
    for _ in range(times(25, 100)):
        if rng.random() < 0.5:
            await put(watch.dsn, segment(rng.randrange(12), size=rng.randrange(3)))
        else:
            await execute(watch.dsn, rng.choice(statements))
        if rng.random() < 0.7:
            await watch.poll()
    await watch.poll()


# -------------------------------------------------------------------- servers that say too little


async def test_a_role_that_may_only_select_is_enough(postgresql: Postgresql, watch: Watch):
    await execute(postgresql.dsn, "CREATE ROLE selects LOGIN PASSWORD 'selects'")
    try:
        await execute(watch.dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO selects")
        database = watch.dsn.rpartition("/")[2]
        other = Watch(postgresql.dsn_of(database, role="selects", password="selects"))
        assert (await other.by_rows()).why is Why.START
        await put(watch.dsn, segment(1, size=3))
        assert await other.by_versions() == 1
        await execute(watch.dsn, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        await put(watch.dsn, segment(1, size=4))
        why = await other.by_rows()
        assert (why.why, "pg_control_system" in why.detail) == (Why.UNAVAILABLE, True)
        await execute(watch.dsn, "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
        assert (await other.by_rows()).why is Why.START
    finally:
        await execute(watch.dsn, "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
        await execute(watch.dsn, "DROP OWNED BY selects")
        await execute(postgresql.dsn, "DROP ROLE selects")


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("SERVER", "SELECT crdb_internal.cluster_id()"),
        ("probe_sql", "SELECT ctid, no_such_thing FROM druid_segments"),
    ],
)
async def test_a_server_without_versions_is_read_whole(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, name: str, query: str
):
    """What CockroachDB and its like answer: they speak PostgreSQL, and have no such columns."""
    monkeypatch.setattr(lineage, name, query if name == "SERVER" else lambda shapes: query)
    await put(watch.dsn, segment(1, size=3))
    assert (await watch.by_rows()).why is Why.UNAVAILABLE
    await put(watch.dsn, segment(1, size=4))
    assert (await watch.by_rows()).why is Why.UNAVAILABLE


async def test_a_table_that_is_no_heap_is_read_whole(watch: Watch):
    """Such as OrioleDB's, or Greenplum's for columns: their rows may change in place."""
    await execute(watch.dsn, "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler")
    await execute(watch.dsn, "ALTER TABLE druid_config SET ACCESS METHOD other")
    why = await watch.by_rows()
    assert (why.why, "other" in why.detail) == (Why.UNAVAILABLE, True)


# ------------------------------------------------------------- servers that are not what they were


@pytest.fixture
def folder() -> Iterator[Path]:
    # not below tmp_path: root's is closed to the user that the server runs as
    parent = Path(tempfile.mkdtemp(prefix="pg-"))
    parent.chmod(0o777)
    yield parent
    shutil.rmtree(parent)


@asynccontextmanager
async def own_server(folder: Path) -> AsyncIterator[Postgresql]:
    server = await started(folder / "data")
    try:
        yield server
    finally:
        await server.stop()


async def until_answering(dsn: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await execute(dsn, "SELECT 1")
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_server_that_was_another_one_meanwhile(folder: Path):
    """Ids and places are given out again: after a crash, after a disk was put back, after both."""
    async with own_server(folder) as server, server.database() as dsn:
        await execute(server.dsn, "ALTER SYSTEM SET autovacuum = off")
        await execute(server.dsn, "ALTER SYSTEM SET wal_writer_delay = '10s'")
        await execute(server.dsn, "SELECT pg_reload_conf()")
        await put(dsn, *(segment(number) for number in range(8)))
        watch = Watch(dsn)
        await watch.by_rows()
        await crashes_after_a_commit_that_was_not_written(watch, server)
        await is_put_back_to_a_snapshot_of_its_disk(watch, server)
        await is_restored_into_the_same_name(watch, server)


async def crashes_after_a_commit_that_was_not_written(watch: Watch, server: Postgresql) -> None:
    async with connected(watch.dsn) as unsafe:
        await unsafe.execute("SET synchronous_commit = off")
        await execute(watch.dsn, "CHECKPOINT")
        await unsafe.execute("INSERT INTO druid_config VALUES ('lost', '1')")
        assert await watch.by_versions() == 1
        shown = await unsafe.fetchrow("SELECT ctid, xmin FROM druid_config WHERE name = 'lost'")
        start = await unsafe.fetchval("SELECT pg_postmaster_start_time()")
        os.kill(unsafe.get_server_pid(), signal.SIGKILL)
    await until_answering(watch.dsn)
    async with connected(watch.dsn) as connection:
        await connection.execute("INSERT INTO druid_config VALUES ('lost', '2')")
        now = await connection.fetchrow("SELECT ctid, xmin FROM druid_config WHERE name = 'lost'")
        assert now == shown, "another row looks like the one that was lost"
        assert await connection.fetchval("SELECT pg_postmaster_start_time()") == start
    why = await watch.by_rows()
    assert (why.why, "last crash" in why.detail) == (Why.BROKEN, True)
    assert await watch.by_versions() == 0


async def is_put_back_to_a_snapshot_of_its_disk(watch: Watch, server: Postgresql) -> None:
    data, kept = server.data_dir, server.data_dir.with_name("kept")
    await execute(watch.dsn, "CHECKPOINT")
    copied = subprocess.run(["cp", "-a", str(data), str(kept)], check=False)
    assert copied.returncode == 0
    for running in ("postmaster.pid", ".s.PGSQL.*"):
        for file in kept.glob(running):
            file.unlink()
    await execute(watch.dsn, "SELECT txid_current()")  # as a start takes one, for the password
    await put(watch.dsn, segment(1, size=2))
    shown = await versions_of(watch.dsn, 1)
    assert await watch.by_versions() == 1
    await put(watch.dsn, segment(2, size=2))
    await server.put_back(kept)
    await put(watch.dsn, segment(1, size=3))
    assert await versions_of(watch.dsn, 1) == shown, "another row looks like the one of before"
    await put(watch.dsn, segment(2, size=3))
    why = await watch.by_rows()
    assert (why.why, "the server's start" in why.detail) == (Why.BROKEN, True)


async def is_restored_into_the_same_name(watch: Watch, server: Postgresql) -> None:
    name = watch.dsn.rpartition("/")[2]
    await execute(server.dsn, f'CREATE DATABASE copy TEMPLATE "{name}" STRATEGY file_copy')
    await execute(server.dsn, f'DROP DATABASE "{name}"')
    await execute(server.dsn, f'ALTER DATABASE copy RENAME TO "{name}"')
    await put(watch.dsn, segment(3, size=7))
    why = await watch.by_rows()
    assert (why.why, "database oid" in why.detail) == (Why.BROKEN, True)
    assert await watch.by_versions() == 0


async def test_a_replica_is_read_by_versions_and_its_promotion_is_noticed(
    postgresql: Postgresql, folder: Path
):
    async with postgresql.database() as primary:
        await put(primary, *(segment(number) for number in range(8)))
        async with postgresql.replica(folder / "replica") as replica:
            there = replica.dsn_of(primary.rpartition("/")[2])
            await until_same(primary, there)
            watch = Watch(there)
            await watch.by_rows()
            await put(primary, segment(1, size=2))
            await until_same(primary, there)
            assert await watch.by_versions() == 1
            await execute(primary, "CREATE TABLE dirty AS SELECT generate_series(1, 100000)")
            await until_same(primary, there)
            await execute(there, "SELECT pg_promote()")  # its checkpoint takes minutes from here
            await put(there, segment(1, size=3))
            why = await watch.by_rows()
            assert (why.why, "timeline was 1 and is 2" in why.detail) == (Why.BROKEN, True)
            await execute(there, "CHECKPOINT")  # from here on the control file says it as well
            await put(there, replace(segment(1), used=False))
            assert await watch.by_versions() == 1


async def until_same(primary: str, replica: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if await rows_of(replica) == await rows_of(primary):
                    return
            except Exception:  # noqa: BLE001, S110 - the database is not there yet
                pass
            await asyncio.sleep(0.05)
