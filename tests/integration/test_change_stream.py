"""Cuts by the change stream of a real PostgreSQL: every commit, in its order, once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from random import Random

import asyncpg
import pytest

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.stream.change_stream import PostgresqlChangeStream
from replicator.adapters.postgresql.stream.slot import StreamOptions
from replicator.app.wiring import pipeline as wiring
from replicator.app.wiring.histories import Tools
from replicator.app.wiring.pipeline import Following
from replicator.errors import ConfigError, TransientError
from replicator.model.event import CutClosed, Offset, RowChanged, RowRemoved
from replicator.model.fingerprint import fingerprint
from replicator.model.log.wire import decode
from replicator.model.observation import (
    Observation,
    Polled,
    StreamBegun,
    StreamDropped,
    StreamEnded,
    VersionsMissed,
)
from replicator.model.row import Kind, RowKey, Segment, key_of
from replicator.services.history.reader import History
from replicator.services.replication import commit_follower
from tests.integration.test_postgresql_versions import FLIP, SOURCE, rows_of, segment
from tests.integration.test_postgresql_versions import Watch as PollingWatch
from tests.rings import times
from tests.servers.postgresql import Postgresql, connected, execute, put
from tests.wiring import watch_settings

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("change stream")]

Inventory = dict[RowKey, bytes]
DRUIDS = "druid_segments, druid_datasource, druid_supervisors, druid_rules, druid_config"
PUBLISH = f"CREATE PUBLICATION druid_replicator FOR TABLE {DRUIDS}"
SUPERVISE = "INSERT INTO druid_supervisors (spec_id, created_date, payload) VALUES ($1, '', $2)"
RETAINED_MAX = 1 << 30


@dataclass
class Told:
    """A cut as the log tells it."""

    cut: CutClosed
    events: int
    inventory: Inventory


@dataclass
class Watch:
    """A watcher that follows the stream of a database, and what its log says."""

    dsn: str
    messages_max: int = 20_000
    retained_max: int = RETAINED_MAX
    append_bytes_max: int = 1 << 20
    audit: bool = False
    full_scan_interval: timedelta = timedelta(days=1)
    seen: list[Observation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = StreamOptions(slot=self.dsn.rpartition("/")[2], publication="druid_replicator")
        self.log = MemoryEventLog(SystemClock(), SOURCE)
        self.start()

    def start(self) -> None:
        """Be another process with the same log."""
        tools = Tools(
            workers=InPlaceWorkers(),
            clock=SystemClock(),
            rng=Random(1),
            observer=lambda _: self.seen.append,
        )
        self.stream = PostgresqlChangeStream(
            self.dsn, self.names, messages_max=self.messages_max, audit=self.audit
        )
        log = self.log.reopen()
        self.watcher = wiring.watcher(
            watch_settings(
                poll_interval_s=0.01,
                idle_cut_interval_s=3600.0,
                append_bytes_max=self.append_bytes_max,
                full_scan_interval=self.full_scan_interval,
            ),
            source=SOURCE,
            metadata=PostgresqlMetadataReader(self.dsn, stream=self.names, audit=self.audit),
            log=log,
            history=History(log, source=SOURCE, workers=InPlaceWorkers()),
            tools=tools,
            observer=self.seen.append,
            following=Following(
                stream=self.stream, read_interval_s=0.01, retained_bytes_max=self.retained_max
            ),
        )

    async def look(self) -> int:
        """Publish all there is by the stream; return how many cuts that made."""
        before = len(await self.cuts())
        polls = self.polls
        await self.watcher.catch_up()
        assert self.polls == polls, self.reasons
        cuts = await self.cuts()
        assert cuts[-1].inventory == await rows_of(self.dsn, audit=self.audit)
        return len(cuts) - before

    async def poll(self) -> str:
        """Let the stream break, and a poll take its place; return why."""
        polls = self.polls
        await self.watcher.catch_up()
        assert self.polls == polls + 1, self.seen[-6:]
        cuts = await self.cuts()
        assert cuts[-1].inventory == await rows_of(self.dsn, audit=self.audit)
        return self.reasons[-1]

    async def begin(self) -> None:
        """Make the slot, and bring the log to where the stream goes on."""
        await self.stream.create()
        await self.watcher.catch_up()
        assert await self.look() == 0
        assert isinstance(self.seen[-1], StreamBegun) or StreamBegun() in self.seen

    @property
    def reasons(self) -> list[str]:
        return [one.reason for one in self.seen if isinstance(one, StreamEnded)]

    @property
    def polls(self) -> int:
        return sum(isinstance(one, Polled) for one in self.seen)

    async def cuts(self) -> list[Told]:
        """Return every cut, with the inventory after it."""
        rows: Inventory = {}
        found: list[Told] = []
        events = 0
        for record in await self.log.read(Offset(0), records_max=1_000_000):
            match decode(record).event:
                case RowChanged(row=row):
                    rows[key_of(row)] = fingerprint(row)
                    events += 1
                case RowRemoved(key=key):
                    rows.pop(key)
                    events += 1
                case CutClosed() as cut:
                    found.append(Told(cut, events, dict(rows)))
                    events = 0
        return found


@pytest.fixture
async def dsn(logical_postgresql: Postgresql) -> AsyncIterator[str]:
    async with logical_postgresql.database() as found:
        await execute(found, f"DROP PUBLICATION IF EXISTS druid_replicator; {PUBLISH}")
        yield found
        for slot in await slots(found):
            await execute(found, "SELECT pg_drop_replication_slot($1)", slot)


async def slots(dsn: str) -> Sequence[str]:
    async with connected(dsn) as connection:
        found = await connection.fetch(
            "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
        )
    return [row[0] for row in found]


@pytest.fixture
async def watch(dsn: str) -> AsyncIterator[Watch]:
    """Of eight segments; it follows the stream."""
    await put(dsn, *(segment(number) for number in range(8)))
    watch = Watch(dsn)
    await watch.begin()
    yield watch
    await watch.stream.close()


async def in_one(dsn: str, *statements: str) -> None:
    """Commit statements together."""
    await execute(dsn, f"BEGIN; {'; '.join(statements)}; COMMIT")


def flip(number: int) -> str:
    return f"UPDATE druid_segments SET used = NOT used WHERE id = 'wiki_{number}'"


# ---------------------------------------------------------------------------------------- commits


async def test_each_commit_is_a_cut_with_its_own_time(watch: Watch):
    async with connected(watch.dsn) as druid:
        before = await druid.fetchval("SELECT clock_timestamp()")
        await in_one(watch.dsn, flip(1), flip(2), "INSERT INTO druid_config VALUES ('a', '1')")
        between = await druid.fetchval("SELECT clock_timestamp()")
        await execute(watch.dsn, "DELETE FROM druid_segments WHERE id = 'wiki_3'")
        await execute(watch.dsn, "UPDATE druid_config SET payload = '2'")
        after = await druid.fetchval("SELECT clock_timestamp()")
    assert await watch.look() == 3
    first, second, third = (await watch.cuts())[-3:]
    assert (first.events, second.events, third.events) == (3, 1, 1)
    assert before < first.cut.source_time < between < second.cut.source_time
    assert second.cut.source_time < third.cut.source_time < after
    assert RowKey(key_of(segment(3)).kind, "wiki_3") not in second.inventory


async def test_what_changes_no_row_makes_no_cut(watch: Watch):
    await execute(watch.dsn, "CREATE TABLE druid_other (id int)")
    await execute(watch.dsn, "INSERT INTO druid_other VALUES (1)")
    await execute(watch.dsn, "UPDATE druid_segments SET used = used")
    await in_one(watch.dsn, flip(1), flip(1))
    await in_one(
        watch.dsn, "INSERT INTO druid_config VALUES ('a', '1')", "DELETE FROM druid_config"
    )
    found = await watch.look()
    events = [told.events for told in (await watch.cuts())[-found:]] if found else []
    assert all(count == 2 for count in events), "only what came and went within a transaction"


async def test_a_row_that_changes_twice_in_a_commit_is_in_its_last_state(watch: Watch):
    size = "UPDATE druid_segments SET payload = payload || '{}'::bytea WHERE id = 'wiki_5'"
    await in_one(watch.dsn, size, size, "DELETE FROM druid_segments WHERE id = 'wiki_6'", flip(5))
    assert await watch.look() == 1


async def test_rolled_back_nested_and_prepared_transactions(watch: Watch):
    async with connected(watch.dsn) as druid:
        await druid.execute(f"BEGIN; {flip(1)}; ROLLBACK")
        await druid.execute(
            f"BEGIN; SAVEPOINT a; {flip(2)}; ROLLBACK TO a; SAVEPOINT b; {flip(3)};"
            f" RELEASE b; {flip(4)}; COMMIT"
        )
        await druid.execute(f"BEGIN; {flip(5)}; PREPARE TRANSACTION '{watch.names.slot}'")
        assert await watch.look() == 1
        await druid.execute(f"COMMIT PREPARED '{watch.names.slot}'")
        assert await watch.look() == 1
        await druid.execute(f"BEGIN; {flip(6)}; PREPARE TRANSACTION '{watch.names.slot}'")
        await druid.execute(f"ROLLBACK PREPARED '{watch.names.slot}'")
        assert await watch.look() == 0


async def test_commits_are_told_in_their_order_and_not_in_that_of_their_begin(watch: Watch):
    async with connected(watch.dsn) as slow:
        await slow.execute(f"BEGIN; {flip(1)}")
        await execute(watch.dsn, flip(2))
        assert await watch.look() == 1
        await execute(watch.dsn, flip(3))
        await slow.execute("COMMIT")
    assert await watch.look() == 2


@pytest.mark.parametrize("identity", ["DEFAULT", pytest.param("FULL", marks=pytest.mark.long)])
async def test_a_payload_that_lies_out_of_line_is_never_lost(watch: Watch, identity: str):
    """It is not in the message of an update that leaves it as it was."""
    await execute(watch.dsn, f"ALTER TABLE druid_segments REPLICA IDENTITY {identity}")
    await watch.watcher.catch_up()
    large = replace(segment(1), payload=Random(1).randbytes(20_000))
    await put(watch.dsn, large)
    assert await watch.look() >= 1
    await execute(watch.dsn, FLIP, "wiki_1")
    await in_one(watch.dsn, flip(1), "UPDATE druid_segments SET version = 'x' WHERE id = 'wiki_1'")
    await execute(watch.dsn, "UPDATE druid_segments SET id = 'wiki_new' WHERE id = 'wiki_1'")
    assert await watch.look() == 3
    events = [decode(one).event for one in await watch.log.read(Offset(0), records_max=10_000)]
    said = [one.row for one in events if isinstance(one, RowChanged) and one.row == large]
    assert len(said) == 2, "as it was put, and as its flag came back"
    rows = [one.row for one in events if isinstance(one, RowChanged)]
    renamed = [row for row in rows if isinstance(row, Segment) and row.id == "wiki_new"]
    assert [row.payload == large.payload for row in renamed] == [True]


async def test_only_the_newest_row_of_a_supervisor_counts(watch: Watch):
    for payload in (b"1", b"2"):
        await execute(watch.dsn, SUPERVISE, "s", payload)
    assert await watch.look() == 2
    rule = "INSERT INTO druid_rules VALUES ($1, 'wiki', $2, $3)"
    await execute(watch.dsn, rule, "new", "2026-02", b"2")
    await execute(watch.dsn, rule, "old", "2026-01", b"1")
    assert await watch.look() == 1
    await execute(watch.dsn, "DELETE FROM druid_supervisors WHERE payload = '2'")
    assert "an older one may count again" in await watch.poll()
    assert await watch.look() == 0


async def test_a_transaction_of_many_rows_is_one_cut_in_bounded_appends(dsn: str):
    watch = Watch(dsn, append_bytes_max=1 << 20)
    await watch.begin()
    appended: list[int] = []
    append = watch.watcher._writer._log.append

    async def counted(documents):
        appended.append(sum(len(one.data) for one in documents))
        return await append(documents)

    watch.watcher._writer._log.append = counted  # type: ignore[method-assign]
    rows = times(3000, 100_000)
    await execute(
        dsn,
        "INSERT INTO druid_segments SELECT 'wiki_' || n, 'wiki', '2026', 'a', 'b', true, 'v', true,"
        " repeat('x', 600)::bytea, '2026' FROM generate_series(1, $1) AS n",
        rows,
    )
    assert await watch.look() == 1
    assert (await watch.cuts())[-1].events == rows
    assert len(appended) > 2
    assert max(appended) < (1 << 20) + 2000
    await watch.stream.close()


@pytest.mark.long
async def test_a_long_history_is_read_in_parts(dsn: str):
    watch = Watch(dsn, messages_max=10)
    await watch.begin()
    async with connected(dsn) as druid:
        for number in range(30):
            await druid.execute("INSERT INTO druid_config VALUES ($1, '1')", str(number))
    assert await watch.look() == 30
    await watch.stream.close()


async def test_audit_rows_are_in_the_cut_of_the_commit_that_wrote_them(dsn: str):
    """Druid writes both in one transaction, and deletes old audit rows by itself."""
    await put(dsn, *(segment(number) for number in range(3)))
    await execute(dsn, "ALTER PUBLICATION druid_replicator ADD TABLE druid_audit")
    watch = Watch(dsn, audit=True)
    await watch.begin()
    asked = (
        "INSERT INTO druid_audit (audit_key, type, author, comment, created_date, payload)"
        " VALUES ('wiki', 'segment.markUnused', 'ann', 'c', '2026-01-02T00:00:00.000Z', '{}')"
    )
    await in_one(dsn, flip(1), asked)
    await execute(dsn, flip(2))
    assert await watch.look() == 2
    both, _ = (await watch.cuts())[-2:]
    assert both.events == 2
    assert RowKey(Kind.AUDIT, "1") in both.inventory
    await execute(dsn, "DELETE FROM druid_audit")
    assert await watch.look() == 1
    assert RowKey(Kind.AUDIT, "1") not in (await watch.cuts())[-1].inventory
    await execute(dsn, "ALTER PUBLICATION druid_replicator DROP TABLE druid_audit")
    assert "does not name" in await watch.poll()
    await watch.stream.close()


# ------------------------------------------------------------------------------- deaths and doubts


async def test_another_process_goes_on_where_the_log_ends(watch: Watch):
    await execute(watch.dsn, flip(1))
    assert await watch.look() == 1
    await watch.stream.close()
    for number in (2, 3):
        await execute(watch.dsn, flip(number))
    watch.start()
    assert await watch.look() == 2, "no scan, and each commit that was missed is a cut"


@pytest.mark.parametrize("is_stored", [True, pytest.param(False, marks=pytest.mark.long)])
async def test_an_append_of_unknown_end_doubles_and_loses_nothing(watch: Watch, is_stored: bool):
    log = watch.watcher._writer._log
    append = log.append

    async def fail(documents):
        if is_stored:
            await append(documents)
        raise ConfigError("the answer was lost")

    await execute(watch.dsn, flip(1))
    await execute(watch.dsn, flip(2))
    log.append = fail  # type: ignore[method-assign]
    with pytest.raises(ConfigError):
        await watch.watcher.catch_up()
    log.append = append  # type: ignore[method-assign]
    before = len(await watch.cuts())
    await execute(watch.dsn, flip(3))
    await watch.look()
    cuts = await watch.cuts()
    assert len(cuts) - before == (1 if is_stored else 3)
    assert [one.cut.cut for one in cuts] == [*range(1, len(cuts) + 1)]


@pytest.mark.long
async def test_the_connection_is_lost(watch: Watch):
    await execute(watch.dsn, flip(1))
    await watch.watcher._step()
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
    await execute(watch.dsn, ended, "replicator")
    await execute(watch.dsn, flip(2))
    with pytest.raises(TransientError):
        await watch.watcher._step()
    assert await watch.look() == 1


# --------------------------------------------------------------------- what the stream does not say


CHANGED = "is not what it was"
UNSAID = {
    "TRUNCATE druid_config": CHANGED,
    "VACUUM FULL druid_segments": CHANGED,
    "ALTER TABLE druid_segments ADD COLUMN more varchar(9) DEFAULT 'x'": CHANGED,
    "ALTER TABLE druid_segments ALTER COLUMN version TYPE text USING version || '!'": CHANGED,
    "ALTER PUBLICATION druid_replicator DROP TABLE druid_config": "does not name",
    """ALTER PUBLICATION druid_replicator DROP TABLE druid_config;
    INSERT INTO druid_config VALUES ('unseen', '1');
    ALTER PUBLICATION druid_replicator ADD TABLE druid_config""": CHANGED,
    """ALTER TABLE druid_config RENAME TO other;
    CREATE TABLE druid_config (LIKE other INCLUDING ALL);
    INSERT INTO druid_config VALUES ('b', '2')""": "does not name",
    """ALTER TABLE druid_config ADD COLUMN more text;
    INSERT INTO druid_config VALUES ('c', '2', 'x');
    ALTER TABLE druid_config DROP COLUMN more""": "had other columns",
    "SELECT pg_drop_replication_slot(current_database())": "no replication slot",
}


IN_THE_GATE = (0, 2, 6, 7, 8)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        pytest.param(*one, id=str(at), marks=() if at in IN_THE_GATE else pytest.mark.long)
        for at, one in enumerate(UNSAID.items())
    ],
)
async def test_what_the_stream_does_not_say_is_found_by_a_poll(
    watch: Watch, statement: str, why: str
):
    await execute(watch.dsn, "INSERT INTO druid_config VALUES ('a', '1')")
    await watch.look()
    await execute(watch.dsn, flip(1))
    for one in statement.split(";"):
        await execute(watch.dsn, one)
    assert why in await watch.poll()


async def test_an_upgrade_of_druid_in_the_middle(watch: Watch, monkeypatch: pytest.MonkeyPatch):
    """It adds columns and tables; commits go on, and some are in neither way's cut alone."""
    monkeypatch.setattr(commit_follower, "BROKEN_FIRST_S", 0.0)
    await execute(watch.dsn, "ALTER TABLE druid_segments ADD COLUMN num_rows bigint")
    await execute(watch.dsn, "UPDATE druid_segments SET num_rows = 5 WHERE id = 'wiki_2'")
    assert "is not what it was" in await watch.poll()
    await execute(watch.dsn, "UPDATE druid_segments SET num_rows = 6 WHERE id = 'wiki_2'")
    assert await watch.look() == 1
    await execute(
        watch.dsn,
        "CREATE TABLE druid_segmentschemas (id bigserial PRIMARY KEY, created_date text,"
        " datasource text, fingerprint text UNIQUE, payload bytea, used boolean,"
        " used_status_last_updated text, version int)",
    )
    await execute(watch.dsn, flip(1))
    assert "does not name" in await watch.poll()
    await execute(watch.dsn, "ALTER PUBLICATION druid_replicator ADD TABLE druid_segmentschemas")
    await execute(watch.dsn, flip(1))
    await watch.watcher.catch_up()
    await watch.watcher.catch_up()
    await execute(watch.dsn, flip(1))
    assert await watch.look() == 1


async def test_a_slot_that_was_made_anew_has_left_commits_out(watch: Watch):
    await execute(watch.dsn, flip(1))
    await watch.look()
    await watch.stream.drop()
    await execute(watch.dsn, flip(2))
    await watch.stream.create()
    assert "made anew" in await watch.poll()
    await execute(watch.dsn, flip(3))
    assert await watch.look() == 1


@pytest.mark.long
async def test_a_slot_that_keeps_too_much_is_dropped(dsn: str):
    watch = Watch(dsn, retained_max=1 << 20)
    await watch.begin()
    await watch.stream.close()
    async with connected(dsn) as druid:
        await druid.execute("CREATE TABLE druid_other AS SELECT generate_series(1, 100000) AS n")
    log = watch.watcher._writer
    log._epoch = None

    async def away() -> int:
        raise ConfigError("the log is away")

    acquire, log._log.acquire = log._log.acquire, away  # type: ignore[method-assign,assignment]
    with pytest.raises(ConfigError):
        await watch.watcher.catch_up()
    assert any(isinstance(one, StreamDropped) for one in watch.seen)
    assert not await slots(dsn)
    log._log.acquire = acquire  # type: ignore[method-assign]
    assert "no replication slot" in await watch.poll()
    await watch.stream.create()
    await watch.watcher.catch_up()
    await execute(dsn, "INSERT INTO druid_config VALUES ('a', '1')")
    assert await watch.look() == 1
    await watch.stream.close()


async def test_the_slot_moves_with_the_log(watch: Watch):
    kept = await watch.stream.retained_bytes()
    for number in range(6):
        await execute(watch.dsn, flip(number))
        await watch.look()
        await asyncio.sleep(0.3)
    async with connected(watch.dsn) as connection:
        behind = await connection.fetchval(
            "SELECT pg_current_wal_lsn() - confirmed_flush_lsn FROM pg_replication_slots"
            " WHERE slot_name = $1",
            watch.names.slot,
        )
    assert kept is not None
    assert behind < 10_000


async def test_a_snapshot_taken_amid_commits_is_continued_exactly(dsn: str):
    """Transactions that it shows are told again by the stream, and those that it does not, too."""
    await put(dsn, *(segment(number) for number in range(8)))
    watch = Watch(dsn)
    async with connected(dsn) as early, connected(dsn) as late:
        await watch.stream.create()
        await early.execute(f"BEGIN; {flip(1)}")
        await late.execute(f"BEGIN; {flip(2)}")
        await watch.watcher.catch_up()
        assert "still is" in watch.reasons[-1], watch.seen
        await early.execute("COMMIT")
        await late.execute("COMMIT")
        await late.execute(f"BEGIN; {flip(3)}")
        await execute(dsn, flip(4))
        await late.execute("COMMIT")
        await watch.watcher.catch_up()
    await watch.look()
    cuts = await watch.cuts()
    assert cuts[-1].inventory == await rows_of(dsn)
    await watch.stream.close()


# ------------------------------------------------------------------------------------ the auditor


@pytest.mark.long
async def test_an_audit_holds_the_stream_against_every_row(dsn: str):
    await put(dsn, *(segment(number) for number in range(8)))
    watch = Watch(dsn, full_scan_interval=timedelta(seconds=0))
    await watch.stream.create()
    for number in range(8):
        await execute(dsn, flip(number))
        await watch.watcher.catch_up()
    assert any(isinstance(one, Polled) and one.full for one in watch.seen[-4:])
    assert not any(isinstance(one, VersionsMissed) for one in watch.seen)
    async with connected(dsn) as owner:
        await owner.execute("SET session_replication_role = replica")
        await owner.execute("ALTER PUBLICATION druid_replicator SET (publish = 'insert')")
    await watch.stream.close()


@pytest.mark.long
async def test_a_change_that_the_stream_missed_ends_the_trust_in_it(
    dsn: str, monkeypatch: pytest.MonkeyPatch
):
    await put(dsn, *(segment(number) for number in range(8)))
    watch = Watch(dsn, full_scan_interval=timedelta(seconds=0))
    await watch.stream.create()
    await watch.watcher.catch_up()
    await watch.watcher.catch_up()
    read = watch.stream.read

    async def silent(since, visitor, *, until=None):
        class Nobody:
            async def begin(self, commit): ...
            async def change(self, changes): ...
            async def end(self, at): ...

        return await read(since, Nobody(), until=until)

    await execute(dsn, flip(1))
    monkeypatch.setattr(watch.stream, "read", silent)
    await watch.watcher.catch_up()
    assert VersionsMissed(rows=1) in watch.seen
    assert (await watch.cuts())[-1].inventory == await rows_of(dsn)
    assert (await watch.cuts())[-1].cut.distrusts_versions
    monkeypatch.undo()
    await execute(dsn, flip(2))
    await watch.watcher.catch_up()
    assert isinstance([x for x in watch.seen if isinstance(x, Polled)][-1], Polled)
    await watch.stream.close()


# -------------------------------------------------------------------- three ways, the same cuts


async def random_commit(rng: Random, druid: asyncpg.Connection) -> None:
    """Commit something that Druid or its operator could do."""
    ids = [f"wiki_{rng.randrange(8)}" for _ in range(rng.randrange(1, 4))]
    payload = rng.randbytes(rng.choice([10, 10, 9000]))
    insert = (
        "INSERT INTO druid_segments VALUES ($1, 'wiki', '2026', 'a', 'b', true, 'v', true, $2, '')"
        " ON CONFLICT (id) DO UPDATE SET payload = excluded.payload"
    )
    config = (
        "INSERT INTO druid_config VALUES ($1, $2)"
        " ON CONFLICT (name) DO UPDATE SET payload = excluded.payload"
    )
    async with druid.transaction():
        for id_ in ids:
            match rng.randrange(6):
                case 0:
                    await druid.execute("DELETE FROM druid_segments WHERE id = $1", id_)
                case 1:
                    await druid.execute(insert, id_, payload)
                case 2:
                    await druid.execute(SUPERVISE, id_, payload)
                case 3:
                    await druid.execute(config, id_, payload)
                case _:
                    await druid.execute(FLIP, id_)


def changing(before: Inventory, states: Sequence[Inventory]) -> list[Inventory]:
    """Leave out what does not differ from the state before."""
    return [now for was, now in pairwise([before, *states]) if was != now]


OPERATORS: Sequence[str] = (
    "VACUUM FULL druid_segments",
    "TRUNCATE druid_config",
    "VACUUM (FREEZE) druid_segments",
    "DELETE FROM druid_supervisors WHERE id IN (SELECT max(id) FROM druid_supervisors)",
    "ALTER TABLE druid_config ADD COLUMN more text DEFAULT 'x'",
    "ALTER TABLE druid_config DROP COLUMN IF EXISTS more",
    "ALTER TABLE druid_segments REPLICA IDENTITY FULL",
    "ALTER TABLE druid_segments REPLICA IDENTITY DEFAULT",
    "SELECT pg_drop_replication_slot(current_database())",
)


@pytest.mark.parametrize("seed", range(times(1, 20)))
async def test_stream_versions_and_scans_say_the_same_of_an_instant(
    dsn: str, seed: int, monkeypatch: pytest.MonkeyPatch
):
    """After each step all three ways look; in between only the stream sees each commit."""
    monkeypatch.setattr(commit_follower, "BROKEN_FIRST_S", 0.0)
    rng = Random(seed)
    watch = Watch(dsn)
    await put(dsn, *(segment(number) for number in range(8)))
    others = [PollingWatch(dsn), PollingWatch(dsn, row_versions=False)]
    await watch.begin()
    followed = 0
    async with connected(dsn) as druid:
        for _ in range(times(8, 60)):
            states, before_all = [], await rows_of(dsn)
            for _ in range(rng.randrange(4)):
                await random_commit(rng, druid)
                states.append(await rows_of(dsn))
            disturbed = rng.random() < 0.25
            if disturbed:
                await druid.execute(rng.choice(OPERATORS))
                await watch.stream.create()
            before, polls = len(await watch.cuts()), watch.polls
            await watch.watcher.catch_up()
            made = (await watch.cuts())[before:]
            if watch.polls == polls and not disturbed:
                followed += len(made)
                told = [cut.inventory for cut in made]
                assert changing(before_all, states) == told
            expected = await rows_of(dsn)
            assert (await watch.cuts())[-1].inventory == expected
            for other in others:
                await other.poll()
                assert await other.told() == expected
    assert followed > 3, "or this test shows nothing"
    await watch.stream.close()
