"""What only a real MariaDB can show: SQL against Python, the traps of MySQL, lost connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from replicator.adapters.mysql.druid_tables import LAYOUTS
from replicator.adapters.mysql.reader import MysqlMetadataReader
from replicator.adapters.mysql.session import Database, connect, discover
from replicator.adapters.mysql.writer import MysqlMetadataWriter
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import CutNumber, Offset
from replicator.model.fingerprint import Digest, fingerprint, key_hash
from replicator.model.inventory.ledger import KEY, items
from replicator.model.row import (
    REPLICATED,
    TABLES,
    CommitMetadata,
    ConfigEntry,
    Kind,
    Row,
    RowKey,
    Rules,
    Segment,
    Supervisor,
    key_of,
)
from replicator.ports import Chunk, MetadataReader, MetadataWriter, Transaction
from tests.builders import config_entry
from tests.random_rows import random_row
from tests.servers.mariadb import Mariadb, connected, empty, execute, put
from tests.servers.mysql_greeting import without_mariadbs_own
from tests.servers.postgresql import Postgresql

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

SOURCE = "east"
SECRET = "s3cret-w0rd"
ROWS_A_KIND = 40
PACKET = 1 << 20
SEGMENT = Segment(
    id="wiki_1",
    datasource="wiki",
    created_date="2026-01-02T03:04:05.678Z",
    start="2026-01-01T00:00:00.000Z",
    end="2026-01-02T00:00:00.000Z",
    partitioned=True,
    version="2026-01-02T03:04:05.000Z",
    used=True,
    used_status_last_updated="2026-01-02T03:04:05.678Z",
    payload=b'{"dataSource":"wiki"}',
)
COMMIT = CommitMetadata(
    datasource="wiki", created_date="", commit_metadata_sha1="A", commit_metadata_payload=b"{}"
)
SUPERVISOR = Supervisor(spec_id="wiki", id=1, created_date="", payload=b"{}")
RULES = Rules(datasource="wiki", id="", version="", payload=b"[]")
CONFIG = ConfigEntry(name="coordinator.config", payload=b"{}")
CHECKPOINT = Checkpoint(
    source=SOURCE,
    log_id="log-1",
    offset=Offset(4711),
    cut=CutNumber(12),
    source_time=datetime(2026, 1, 2, tzinfo=UTC),
    digest=Digest(1),
    paused=False,
)
GAP = Gap(key="wiki_9", datasource="wiki", reason="object_missing", detail="", opened=Offset(1))


@pytest.fixture
async def druid_dsn(mariadb: Mariadb) -> AsyncIterator[str]:
    """A database with the tables of Druid 33."""
    async with mariadb.database() as dsn:
        yield dsn


async def scanned(reader: MetadataReader) -> list[tuple[bytes, bytes, Row]]:
    """Return key hash, fingerprint and row of everything, as the database says."""
    found: list[tuple[bytes, bytes, Row]] = []
    async with reader.snapshot() as snapshot:
        for kind in snapshot.kinds:
            chunks: list[Chunk] = []
            await snapshot.scan(kind, chunks.append)
            for chunk in chunks:
                rows = {
                    key_hash(key_of(row)): row for row in await snapshot.fetch(kind, chunk.handles)
                }
                assert len(rows) == len(chunk.keys)
                places = zip(items(chunk.keys), items(chunk.marks), strict=True)
                found += [(key, mark, rows[key]) for key, mark in places]
    return found


async def rows_of(reader: MetadataReader) -> dict[RowKey, Row]:
    return {key_of(row): row for _, _, row in await scanned(reader)}


async def of_source(dsn: str, **options: Any) -> dict[RowKey, Row]:
    return await rows_of(MysqlMetadataReader(dsn, **options))


@asynccontextmanager
async def writing_to(target: MetadataWriter) -> AsyncIterator[Transaction]:
    held = await target.acquire(SOURCE)
    async with target.transaction(SOURCE, held.epoch) as transaction:
        yield transaction


@asynccontextmanager
async def writing(dsn: str, **options: Any) -> AsyncIterator[Transaction]:
    async with writing_to(MysqlMetadataWriter(dsn, **options)) as transaction:
        yield transaction


async def upsert(dsn: str, *rows: Row) -> None:
    async with writing(dsn) as transaction:
        await transaction.upsert(rows)


async def columns_of(dsn: str) -> dict[Kind, set[str]]:
    found = await execute(
        dsn,
        "SELECT LOWER(table_name), LOWER(column_name) FROM information_schema.columns"
        " WHERE table_schema = DATABASE()",
    )
    columns = {
        kind: {name for relation, name in found if relation == f"druid_{table.name}"}
        for kind, table in TABLES.items()
    }
    return {kind: names for kind, names in columns.items() if names}


async def fill(dsn: str, rng: Random) -> int:
    columns = await columns_of(dsn)
    for kind in columns:
        rows = (random_row(rng, kind, columns[kind]) for _ in range(ROWS_A_KIND))
        await put(dsn, *{key_of(row): row for row in rows}.values())
    return len(columns) * ROWS_A_KIND


# ------------------------------------------------------------------- one hash in two languages


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_sql_and_python_hash_every_row_alike(mariadb: Mariadb, layout: str):
    async with mariadb.database(layout) as dsn:
        count = await fill(dsn, Random(layout))
        source = await scanned(MysqlMetadataReader(dsn, audit=True))
        writer = MysqlMetadataWriter(dsn)
        target = await scanned(writer)
        compared = await writer.columns()
    assert len(source) == len(target) + ROWS_A_KIND > count * 0.9
    for key, mark, row in source:
        assert key == key_hash(key_of(row))
        assert mark == fingerprint(row)
    for key, mark, row in target:
        assert key == key_hash(key_of(row))
        assert mark == fingerprint(row, columns=compared[key_of(row).kind])


async def test_a_key_that_ends_in_a_zero_or_a_dot_leads_back_to_its_row(mariadb: Mariadb):
    names = {"x", "x.", "x..", "x\0", "x\0."}
    async with mariadb.database() as dsn:
        await put(dsn, *(config_entry(name) for name in sorted(names)))
        found: list[Chunk] = []
        async with MysqlMetadataReader(dsn).snapshot() as snapshot:
            await snapshot.scan(Kind.CONFIG, found.append)
            rows = await snapshot.fetch(Kind.CONFIG, np.concatenate([one.handles for one in found]))
    assert {row.name for row in rows if isinstance(row, ConfigEntry)} == names


async def test_random_rows_travel_to_postgresql_and_back(mariadb: Mariadb, postgresql: Postgresql):
    layout = "druid-37-centralized"
    async with (
        mariadb.database(layout) as dsn,
        postgresql.database(layout) as middle,
        mariadb.database(layout) as last,
    ):
        await fill(dsn, Random(7))
        ours = await scanned(MysqlMetadataReader(dsn))
        async with writing_to(PostgresqlMetadataWriter(middle)) as transaction:
            await transaction.upsert([row for _, _, row in ours])
        there = await rows_of(PostgresqlMetadataReader(middle))
        async with writing(last) as transaction:
            await transaction.upsert(list(there.values()))
        writer = MysqlMetadataWriter(last)
        compared = await writer.columns()
        found = {key: mark for key, mark, _ in await scanned(writer)}
    assert found == {
        key: fingerprint(row, columns=compared[key_of(row).kind]) for key, _, row in ours
    }


async def test_columns_of_one_table_may_have_any_character_sets_and_collations(mariadb: Mariadb):
    """Concatenated as they are, they would be an error, or be taken for one another."""
    mixed = (
        "ALTER TABLE druid_segments MODIFY version VARCHAR(255) CHARACTER SET latin1 NOT NULL,"
        " MODIFY start VARCHAR(255) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL,"
        " MODIFY created_date VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL,"
        " MODIFY `end` VARBINARY(255) NOT NULL,"
        " MODIFY id VARCHAR(255) CHARACTER SET ucs2 NOT NULL"
    )
    row = replace(SEGMENT, id="ü_1", version="é", start="日", created_date="👍", end="ж")
    async with mariadb.altered(mixed, collation="latin1_swedish_ci") as dsn:
        await put(dsn, row)
        ((key, mark, found),) = await scanned(MysqlMetadataReader(dsn))
        assert (key, mark, found) == (key_hash(key_of(row)), fingerprint(row), row)
        await upsert(dsn, replace(row, used=False, version="è"))
        (there,) = (await of_source(dsn)).values()
        assert getattr(there, "version") == "è"  # noqa: B009


EXTRA_TYPES = {
    "colour": ("TEXT", "it's réd"),
    "flag": ("BOOLEAN", "true"),
    "weight": ("DECIMAL(10,2)", "1.50"),
    "seen": ("TIMESTAMP(3) NULL", "2026-01-02 03:04:05.678"),
    "blob": ("LONGBLOB", "\\x00ff"),
    "count": ("BIGINT", "-12"),
    'odd `name" é': ("VARCHAR(20)", "x"),
}


async def test_columns_of_a_later_release_are_carried_as_postgresql_writes_them(mariadb: Mariadb):
    """And whatever the server's time zone is."""
    added = [
        f"ALTER TABLE {table} ADD COLUMN `{name.replace('`', '``')}` {type_}"
        for name, (type_, _) in EXTRA_TYPES.items()
        for table in ("druid_segments", "druid_supervisors")
    ]
    extras = {name: value for name, (_, value) in EXTRA_TYPES.items()}
    written: list[Row] = [replace(SEGMENT, extras=extras), replace(SUPERVISOR, extras=extras)]
    written.append(replace(SEGMENT, id="plain"))
    async with mariadb.altered(*added) as dsn:
        await upsert(dsn, *written)
        before = await scanned(MysqlMetadataReader(dsn))
        await execute(dsn, "SET GLOBAL time_zone = '+09:00'")
        try:
            assert await scanned(MysqlMetadataReader(dsn)) == before
            await upsert(dsn, *written)
            assert await scanned(MysqlMetadataReader(dsn)) == before
        finally:
            await execute(dsn, "SET GLOBAL time_zone = 'SYSTEM'")
        assert {key_of(row): row.extras for _, _, row in before} == {
            key_of(row): row.extras for row in written
        }
        for key, mark, row in before:
            assert (key, mark) == (key_hash(key_of(row)), fingerprint(row))
        await upsert(dsn, SEGMENT)
        assert (await of_source(dsn))[key_of(SEGMENT)].extras == {}


# ------------------------------------------------------------------------------- trap 1: keys

TWINS = [("Wiki_1", "wiki_1"), ("wiki_1", "wiki_1 "), ("wiki_é", "wiki_e")]
"""One row each by `utf8mb4_general_ci`, which pads with blanks."""


@pytest.mark.parametrize(("there", "wanted"), TWINS)
async def test_a_row_is_never_written_over_another_ones_key(
    druid_dsn: str, there: str, wanted: str
):
    before = replace(SEGMENT, id=there)
    await put(druid_dsn, before)
    with pytest.raises(ConfigError, match="differ only in case") as refused:
        await upsert(druid_dsn, replace(SEGMENT, id=wanted, used=False))
    assert repr(there) in str(refused.value)
    assert await of_source(druid_dsn) == {key_of(before): before}


@pytest.mark.parametrize(("one", "other"), TWINS)
async def test_two_rows_of_one_cut_do_not_become_one(druid_dsn: str, one: str, other: str):
    with pytest.raises(ConfigError, match="differ only in case"):
        await upsert(druid_dsn, replace(SEGMENT, id=one), replace(SEGMENT, id=other, used=False))
    assert await of_source(druid_dsn) == {}


@pytest.mark.parametrize(("there", "wanted"), TWINS)
async def test_a_removal_leaves_the_row_whose_key_only_looks_alike(
    druid_dsn: str, there: str, wanted: str
):
    kept = replace(SEGMENT, id=there)
    await put(druid_dsn, kept)
    key = RowKey(Kind.SEGMENT, wanted)
    async with writing(druid_dsn) as transaction:
        await transaction.remove([key])
        await transaction.remove_hashed(Kind.SEGMENT, np.array([key_hash(key)], KEY))
    assert await of_source(druid_dsn) == {key_of(kept): kept}


async def test_tables_that_we_make_tell_keys_apart_by_case(mariadb: Mariadb):
    rows = [replace(SEGMENT, id=one) for one in ("Wiki_1", "wiki_1", "wiki_é", "wiki_e")]
    async with mariadb.database(None) as dsn:
        writer = MysqlMetadataWriter(dsn)
        assert await writer.create("33.0.0", centralized=False)
        await upsert(dsn, *rows)
        assert (await of_source(dsn)).keys() == set(map(key_of, rows))
        assert await writer.obstacles() == []
        assert not await writer.create(None, centralized=False)


async def test_the_newest_row_of_a_spec_is_looked_for_among_its_own(druid_dsn: str):
    rows: list[Supervisor | Rules] = [
        replace(SUPERVISOR, spec_id="Wiki", id=5, payload=b"5"),
        replace(SUPERVISOR, spec_id="wiki", id=6, payload=b"6"),
        replace(SUPERVISOR, spec_id="wiki ", id=7, payload=b"7"),
        replace(RULES, datasource="Wiki", id="a", version="2025-01-01T00:00:00.000Z"),
        replace(RULES, datasource="wiki", id="b", version="2025-01-03T00:00:00.000Z"),
    ]
    older: list[Row] = [
        replace(SUPERVISOR, spec_id="Wiki", id=3),
        replace(SUPERVISOR, spec_id="wiki", id=4),
        replace(RULES, datasource="wiki", id="c", version="2025-01-02T00:00:00.000Z"),
    ]
    await put(druid_dsn, *older, *rows)
    assert await of_source(druid_dsn) == {key_of(row): row for row in rows}
    changed = [replace(row, payload=b"new") for row in rows]
    await upsert(druid_dsn, *changed)
    found = await of_source(druid_dsn)
    assert {key: getattr(row, "payload") for key, row in found.items()} == {  # noqa: B009
        key_of(row): b"new" for row in rows
    }


async def test_rules_of_datasources_that_look_alike_get_ids_of_their_own(druid_dsn: str):
    """Both would be `<datasource>_<now>`, which `druid_rules` takes for one key."""
    rows = [replace(RULES, datasource=name) for name in ("Wiki", "wiki", "WIKI")]
    await upsert(druid_dsn, *rows)
    assert (await of_source(druid_dsn)).keys() == set(map(key_of, rows))


async def test_offsets_of_two_supervisors_that_look_alike_are_two_rows(druid_dsn: str):
    """Their column is binary in Druid's own tables."""
    rows = [replace(COMMIT, datasource=name) for name in ("Wiki", "wiki")]
    await upsert(druid_dsn, *rows)
    assert await of_source(druid_dsn) == {key_of(row): row for row in rows}


# ---------------------------------------------------------------------- trap 2: large payloads


@asynccontextmanager
async def small_packets(dsn: str) -> AsyncIterator[None]:
    await execute(dsn, f"SET GLOBAL max_allowed_packet = {PACKET}")
    try:
        yield
    finally:
        await execute(dsn, f"SET GLOBAL max_allowed_packet = {16 << 20}")


async def test_a_payload_that_the_server_computes_nothing_over_is_an_error(druid_dsn: str):
    """It answers NULL, which must not look as if the row were not there."""
    large = replace(SEGMENT, id="large", payload=bytes(PACKET))
    await put(druid_dsn, SEGMENT, large)
    async with small_packets(druid_dsn):
        with pytest.raises(
            ConfigError, match=r"'large'.*1048576 bytes.*max_allowed_packet"
        ) as found:
            await of_source(druid_dsn)
        assert "SET GLOBAL max_allowed_packet" in found.value.hint
        (obstacle,) = await MysqlMetadataWriter(druid_dsn).obstacles()
        assert "max_allowed_packet" in obstacle.what
    assert len(await of_source(druid_dsn)) == 2


async def test_rows_are_written_in_statements_that_the_server_takes(druid_dsn: str):
    rows = [replace(SEGMENT, id=f"w{n}", payload=bytes(PACKET // 3)) for n in range(7)]
    too_large = replace(SEGMENT, id="large", payload=bytes(PACKET))
    async with small_packets(druid_dsn):
        await upsert(druid_dsn, *rows)
        with pytest.raises(ConfigError, match=r"max_allowed_packet \(1048576"):
            await upsert(druid_dsn, too_large)
    assert (await of_source(druid_dsn)).keys() == set(map(key_of, rows))


async def prepared(dsn: str) -> int:
    """How many statements the server has prepared so far, for anybody."""
    ((_, number),) = await execute(dsn, "SHOW GLOBAL STATUS LIKE 'Com_stmt_prepare'")
    return int(number)


async def prepared_for_three_batches(dsn: str) -> int:
    """How many statements three batches of other sizes need, after a first one."""
    rows = [replace(SEGMENT, id=f"w{n}") for n in range(26)]
    async with writing(dsn) as transaction:
        await transaction.upsert(rows[:5])
        before = await prepared(dsn)
        for start, end in ((5, 11), (11, 18), (18, 26)):
            await transaction.upsert(rows[start:end])
        found = await prepared(dsn) - before
    assert (await of_source(dsn)).keys() == set(map(key_of, rows))
    return found


async def test_one_statement_writes_any_number_of_rows(mariadb: Mariadb, druid_dsn: str):
    """With a binary log the server spells out the values of any other, at twice the cost."""
    assert await prepared_for_three_batches(druid_dsn) == 3, "one each that looks what is there"
    await empty(druid_dsn)
    async with without_mariadbs_own(mariadb.port) as port:
        there = druid_dsn.replace(f":{mariadb.port}/", f":{port}/")
        assert await prepared_for_three_batches(there) == 6


async def test_what_is_null_and_what_is_of_two_types_is_written_as_it_is(mariadb: Mariadb):
    """Neither a column of NULLs alone nor one of two types can be sent row by row."""
    flag, note = "ADD flag BOOLEAN", "ADD note VARCHAR(20) DEFAULT 'none'"
    async with mariadb.altered(f"ALTER TABLE druid_segments {flag}, {note}") as dsn:
        batches: Sequence[tuple[dict[str, str], dict[str, str]]] = (
            ({}, {}),
            ({"flag": "true"}, {"note": "a"}),
            ({"flag": "false", "note": "b"}, {"flag": "0", "note": "c"}),
            ({"flag": "1"}, {"flag": "true"}),
        )
        for number, (one, other) in enumerate(batches):
            rows = (
                replace(SEGMENT, id=f"{number}-one", extras=one),
                replace(SEGMENT, id=f"{number}-other", extras=other),
            )
            await upsert(dsn, *rows)
            await upsert(dsn, *(replace(row, version="2027") for row in rows))
        found = await execute(dsn, "SELECT id, flag, note, version FROM druid_segments ORDER BY id")
    assert list(found) == [
        ("0-one", None, None, "2027"),
        ("0-other", None, None, "2027"),
        ("1-one", 1, None, "2027"),
        ("1-other", None, "a", "2027"),
        ("2-one", 0, "b", "2027"),
        ("2-other", 0, "c", "2027"),
        ("3-one", 1, None, "2027"),
        ("3-other", 1, None, "2027"),
    ]


async def test_a_row_without_payload_stops_the_scan(mariadb: Mariadb):
    change = "ALTER TABLE druid_segments MODIFY payload LONGBLOB"
    async with mariadb.altered(change) as dsn:
        await put(dsn, SEGMENT)
        await execute(dsn, "UPDATE druid_segments SET payload = NULL")
        with pytest.raises(ConfigError, match=r"druid_segments.* has no key or no payload"):
            await of_source(dsn)


# ---------------------------------------------------------------- trap 4: one instant, or none


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE druid_segments MODIFY version VARCHAR(191) NOT NULL",
        "TRUNCATE TABLE druid_segments",
        "DROP TABLE druid_segments",
    ],
)
async def test_a_table_that_changes_its_form_is_never_read_as_empty_or_half(
    mariadb: Mariadb, change: str
):
    async with mariadb.altered() as dsn:
        await put(dsn, SEGMENT)
        database = Database(dsn=dsn)
        async with connect(database) as session:
            await session.execute("begin", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            await execute(dsn, change)
            with pytest.raises((TransientError, ConfigError)):
                await discover(session, database)


async def test_a_snapshot_keeps_its_tables_as_they_are_until_it_ends(druid_dsn: str):
    await put(druid_dsn, SEGMENT)
    async with MysqlMetadataReader(druid_dsn).snapshot() as snapshot:
        emptying = asyncio.create_task(execute(druid_dsn, "TRUNCATE TABLE druid_segments"))
        await until_waiting(druid_dsn)
        chunks: list[Chunk] = []
        await snapshot.scan(Kind.SEGMENT, chunks.append)
    await emptying
    assert len(chunks) == 1
    assert await of_source(druid_dsn) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE druid_config ENGINE=Aria", "Aria, which knows no transactions"),
        ("DROP TABLE druid_segments", "no table `druid_segments`"),
        ("ALTER TABLE druid_segments DROP COLUMN created_date", 'no column "created_date"'),
        (
            "ALTER TABLE druid_config RENAME TO old; CREATE VIEW druid_config AS SELECT * FROM old",
            "is a view",
        ),
    ],
)
async def test_what_is_missing_is_named(mariadb: Mariadb, change: str, message: str):
    async with mariadb.altered(*change.split("; ")) as dsn:
        for store in (MysqlMetadataReader(dsn), MysqlMetadataWriter(dsn)):
            with pytest.raises(ConfigError, match=message) as found:
                await rows_of(store)
            assert found.value.hint


async def test_a_sources_session_cannot_write(druid_dsn: str):
    async with connect(Database(dsn=druid_dsn), read_only=True) as session:
        with pytest.raises(TransientError, match="READ ONLY"):
            await session.execute("write", "DELETE FROM druid_config")


async def test_a_value_that_is_too_long_is_refused_and_never_cut(mariadb: Mariadb):
    change = "ALTER TABLE druid_segments MODIFY version VARCHAR(3) NOT NULL"
    async with mariadb.altered(change, "SET GLOBAL sql_mode = ''") as dsn:
        try:
            with pytest.raises(ConfigError, match="Data too long"):
                await upsert(dsn, SEGMENT)
        finally:
            await execute(dsn, "SET GLOBAL sql_mode = DEFAULT")
        assert await of_source(dsn) == {}


async def test_no_mode_of_the_server_changes_what_is_written(druid_dsn: str):
    """A backslash is a backslash, a quote a quote, and zero no number to be counted up."""
    row = replace(SEGMENT, version="a\\'\"`\0", payload=b"\\'\"\0\x1a")
    modes = "NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,PAD_CHAR_TO_FULL_LENGTH"
    await execute(druid_dsn, f"SET GLOBAL sql_mode = '{modes}'")
    try:
        await upsert(druid_dsn, row)
        ((_, mark, found),) = await scanned(MysqlMetadataReader(druid_dsn))
    finally:
        await execute(druid_dsn, "SET GLOBAL sql_mode = DEFAULT")
    assert mark == fingerprint(found)
    assert getattr(found, "version") == row.version  # noqa: B009
    assert found.payload == row.payload if isinstance(found, Segment) else False


async def test_a_table_of_checkpoints_from_before_learns_of_stores(druid_dsn: str):
    writer = MysqlMetadataWriter(druid_dsn)
    before = await writer.acquire(SOURCE)
    await execute(druid_dsn, "ALTER TABLE replicator_checkpoint DROP COLUMN store")
    assert await writer.state(SOURCE) == before

    assert (await writer.acquire(SOURCE, store="here")).store == "here"


async def test_own_rows_do_not_grow_between_a_look_at_their_size_and_their_reading(
    druid_dsn: str, monkeypatch: pytest.MonkeyPatch
):
    writer = MysqlMetadataWriter(druid_dsn)
    async with writing(druid_dsn) as transaction:
        await transaction.record(CHECKPOINT, [GAP])
    refuse_large = MysqlMetadataWriter._refuse_large

    async def then_grown(*args: Any) -> None:
        await refuse_large(*args)
        await execute(druid_dsn, "UPDATE replicator_gap SET detail = REPEAT('d', 20000)")

    monkeypatch.setattr(MysqlMetadataWriter, "_refuse_large", then_grown)
    assert list(await writer.gaps(SOURCE, CHECKPOINT.log_id)) == [GAP]
    monkeypatch.undo()
    (grown,) = await writer.gaps(SOURCE, CHECKPOINT.log_id)
    assert len(grown.detail) == 20_000


async def test_a_table_of_gaps_from_before_learns_of_long_keys(druid_dsn: str):
    long = replace(GAP, key="k" * 3000, datasource="d" * 3000)
    writer = MysqlMetadataWriter(druid_dsn)
    async with writing(druid_dsn) as transaction:
        await transaction.record(CHECKPOINT, [GAP])
    former = "DROP COLUMN long_key, MODIFY datasource VARBINARY(1024) NOT NULL"
    await execute(druid_dsn, f"ALTER TABLE replicator_gap {former}")
    assert list(await writer.gaps(SOURCE, CHECKPOINT.log_id)) == [GAP]
    async with writing(druid_dsn) as transaction:
        await transaction.record(CHECKPOINT, [long])
    found = {gap.key: gap for gap in await writer.gaps(SOURCE, CHECKPOINT.log_id)}
    assert found == {GAP.key: GAP, long.key: long}


async def test_tables_of_another_prefix_and_spelling_are_found(mariadb: Mariadb):
    """`lower_case_table_names=1` has all names in lower case."""
    renamed = [f"RENAME TABLE druid_{name} TO my_{name.lower()}" for name in (
        "segments", "dataSource", "supervisors", "rules", "config",
    )]  # fmt: skip
    async with mariadb.altered(*renamed) as dsn:
        async with writing(dsn, table_prefix="my_") as transaction:
            await transaction.upsert([SEGMENT, COMMIT])
        found = await rows_of(MysqlMetadataReader(dsn, table_prefix="my_"))
        assert found.keys() == {key_of(SEGMENT), key_of(COMMIT)}


async def test_who_did_what(druid_dsn: str):
    reader = MysqlMetadataReader(druid_dsn)
    assert await reader.left_behind() == []
    await execute(
        druid_dsn,
        "INSERT INTO druid_audit (audit_key, type, author, comment, created_date, payload) VALUES"
        " ('wiki', 't', 'é', 'c', '2026-01-02T00:00:00.000Z', 'a'),"
        " ('other', 't', 'a', 'c', '2026-01-03T00:00:00.000Z', '{\"dataSource\":\"wiki\"}'),"
        " ('Wiki', 't', 'a', 'c', '2026-01-03T00:00:00.000Z', '{}'),"
        " ('wiki', 't', 'a', 'c', '2027-01-03T00:00:00.000Z', '{}')",
        "INSERT INTO druid_tasks (id, created_date, dataSource, payload, status_payload, active)"
        " VALUES ('b', '', '', '', '', TRUE), ('a', '', '', '', '', FALSE)",
    )
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)
    found = await reader.audit("wiki", since=since, until=until, rows_max=9)
    assert [(row.audit_key, row.author) for row in found] == [("wiki", "é"), ("other", "a")]
    assert len(await reader.audit("wiki", since=since, until=until, rows_max=1)) == 1
    assert await reader.running_tasks() == ["b"]
    await execute(
        druid_dsn,
        "CREATE TABLE druid_leases (id INT)",
        "CREATE TABLE druidXleases (id INT)",
        "INSERT INTO druidXleases VALUES (1)",
    )
    assert await reader.left_behind() == []
    await execute(druid_dsn, "INSERT INTO druid_leases VALUES (1)")
    assert await reader.left_behind() == ["druid_leases"]
    async with writing(druid_dsn) as transaction:
        await transaction.upsert([SEGMENT, replace(SEGMENT, id="é", datasource="é", used=False)])
    names = ["é", SEGMENT.datasource, SEGMENT.datasource.upper(), "'; --"]
    assert await reader.without_used(names) == [names[0], *names[2:]]


# --------------------------------------------------------------------------------- privileges


@asynccontextmanager
async def limited(dsn: str, mariadb: Mariadb, *grants: str) -> AsyncIterator[str]:
    name = dsn.rpartition("/")[2]
    await execute(
        mariadb.dsn,
        f"CREATE USER lim@'%' IDENTIFIED BY '{SECRET}'",
        *(grant.format(db=name) for grant in grants),
    )
    try:
        yield mariadb.dsn_of(name, user="lim", password=SECRET)
    finally:
        await execute(mariadb.dsn, "DROP USER lim@'%'")


async def test_a_user_who_may_only_select_can_be_a_source(mariadb: Mariadb, druid_dsn: str):
    await put(druid_dsn, SEGMENT)
    async with limited(druid_dsn, mariadb, "GRANT SELECT ON {db}.* TO lim@'%'") as dsn:
        reader = MysqlMetadataReader(dsn)
        assert await rows_of(reader) == {key_of(SEGMENT): SEGMENT}
        assert not (await reader.freshness()).is_replica
        assert len(await reader.load_spec_samples()) == 1
        with pytest.raises(ConfigError, match="denied") as denied:
            await MysqlMetadataWriter(dsn).acquire(SOURCE)
        assert "CREATE" in denied.value.hint
        told = await MysqlMetadataWriter(dsn).obstacles()
        assert "INSERT, UPDATE, DELETE ON `" in told[0].remedy
        assert len(told) == len((await columns_of(druid_dsn)).keys() & REPLICATED)


async def test_a_snapshot_locks_no_row_and_waits_for_none(mariadb: Mariadb, druid_dsn: str):
    """While somebody else holds every row for a change."""
    await put(druid_dsn, SEGMENT, SUPERVISOR)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    async with (
        limited(druid_dsn, mariadb, "GRANT SELECT ON {db}.* TO lim@'%'") as dsn,
        connected(druid_dsn) as writer,
        writer.cursor() as cursor,
    ):
        await cursor.execute("BEGIN")
        for table in ("config", "dataSource", "rules", "segments", "supervisors"):
            await cursor.execute(f"SELECT * FROM druid_{table} FOR UPDATE")
        reader = MysqlMetadataReader(dsn, statement_timeout_s=20.0)
        async with reader.snapshot() as snapshot:
            chunks: list[Chunk] = []
            await snapshot.scan(Kind.SEGMENT, chunks.append)
            assert len(await snapshot.fetch(Kind.SEGMENT, chunks[0].handles)) == 1
            found = await execute(
                mariadb.dsn,
                "SELECT trx_rows_locked, trx_tables_locked FROM information_schema.INNODB_TRX"
                " JOIN information_schema.PROCESSLIST ON ID = trx_mysql_thread_id"
                " WHERE USER = 'lim'",
            )
        assert list(found) == [(0, 0)]
        await reader.freshness()
        await reader.load_spec_samples()
        await reader.left_behind()
        assert await reader.running_tasks() == []
        assert await reader.audit("wiki", since=now, until=now, rows_max=1) == []


async def test_a_missing_privilege_is_named_with_the_grant_that_helps(
    mariadb: Mariadb, druid_dsn: str
):
    grants = [f"GRANT SELECT ON {{db}}.druid_{name} TO lim@'%'" for name in (
        "segments", "dataSource", "supervisors", "rules",
    )]  # fmt: skip
    async with limited(druid_dsn, mariadb, *grants) as dsn:
        with pytest.raises(ConfigError, match="no table `druid_config`") as unseen:
            await rows_of(MysqlMetadataReader(dsn))
        assert "GRANT SELECT" in unseen.value.hint
    column = "GRANT SELECT (name) ON {db}.druid_config TO lim@'%'"
    async with limited(druid_dsn, mariadb, *grants, column) as dsn:
        with pytest.raises(ConfigError, match='has no column "payload"') as denied:
            await rows_of(MysqlMetadataReader(dsn))
        assert "GRANT SELECT" in denied.value.hint


async def test_a_column_that_may_not_be_read_is_not_taken_for_one_that_is_not_there(
    mariadb: Mariadb,
):
    grants = [f"GRANT SELECT ON {{db}}.druid_{name} TO lim@'%'" for name in (
        "segments", "dataSource", "supervisors", "rules",
    )]  # fmt: skip
    columns = "GRANT SELECT (name, payload) ON {db}.druid_config TO lim@'%'"
    async with (
        mariadb.altered("ALTER TABLE druid_config ADD COLUMN later INT") as druid_dsn,
        limited(druid_dsn, mariadb, *grants, columns) as dsn,
    ):
        with pytest.raises(ConfigError, match="denied") as denied:
            await rows_of(MysqlMetadataReader(dsn))
        assert "GRANT SELECT" in denied.value.hint


async def test_the_grants_of_the_documentation_are_enough(mariadb: Mariadb):
    page = Path("docs/mysql.md").read_text()
    grants = [
        line.replace("druid.*", "{db}.*").replace("'replicator'@'%'", "lim@'%'").rstrip(";")
        for line in page.splitlines()
        if line.startswith("GRANT SELECT, INSERT")
    ]
    assert len(grants) == 1
    async with mariadb.database(None) as empty, limited(empty, mariadb, *grants) as dsn:
        writer = MysqlMetadataWriter(dsn)
        with pytest.raises(NotFoundError):
            await writer.create(None, centralized=False)
        assert await writer.create("37.0.0", centralized=True)
        await upsert(dsn, SEGMENT, SUPERVISOR, RULES)
        async with writing(dsn) as transaction:
            await transaction.remove([key_of(SEGMENT)])
            await transaction.record(CHECKPOINT, [GAP])
        assert await writer.obstacles() == []
        assert len(await rows_of(MysqlMetadataReader(dsn))) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE druid_segments DROP PRIMARY KEY", "no primary key"),
        ("ALTER TABLE druid_supervisors MODIFY id BIGINT NOT NULL", "nothing counts up"),
    ],
)
async def test_what_a_later_write_would_trip_over_is_told_before(
    mariadb: Mariadb, change: str, told: str
):
    async with mariadb.altered(change) as dsn:
        (obstacle,) = await MysqlMetadataWriter(dsn).obstacles()
        assert told in obstacle.what
        await execute(dsn, obstacle.remedy.partition(";")[0])
        assert await MysqlMetadataWriter(dsn).obstacles() == []


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("mysql://lim:wrong@{place}", ConfigError, "Access denied"),
        ("mysql://lim:{secret}@{host}/nowhere", ConfigError, "nowhere"),
        ("mysql://lim:{secret}@127.0.0.1:1/druid", TransientError, "127.0.0.1"),
        ("mysql://lim:{secret}@{host}", ConfigError, "cannot be understood"),
        ("mysql://lim:{secret}@{place}?colour=red", ConfigError, "colour"),
        ("mysql://lim:{secret}@{place}?ssl-mode=REQUIRED", ConfigError, "SSL"),
        ("mysql://lim:{secret}@{place}?ssl-ca=/nowhere.pem", ConfigError, "/nowhere.pem"),
    ],
)
async def test_who_cannot_connect_is_told_why_and_never_the_password(
    mariadb: Mariadb, druid_dsn: str, url: str, error: type[Exception], message: str
):
    place = druid_dsn.rpartition("@")[2]
    async with limited(druid_dsn, mariadb, "GRANT SELECT ON {db}.* TO lim@'%'"):
        dsn = url.format(place=place, host=place.partition("/")[0], secret=SECRET)
        with pytest.raises(error, match=message) as found:
            await of_source(dsn)
    assert SECRET not in str(found.value)
    assert found.value.hint  # type: ignore[attr-defined]


# ----------------------------------------------------------------------------- lost connections


async def kill_others(dsn: str) -> None:
    async with connected(dsn) as connection, connection.cursor() as cursor:
        await cursor.execute(
            "SELECT ID FROM information_schema.PROCESSLIST"
            " WHERE DB = DATABASE() AND ID <> CONNECTION_ID()"
        )
        for (number,) in await cursor.fetchall():
            await cursor.execute(f"KILL {number}")


async def scan_segments(dsn: str) -> None:
    async with MysqlMetadataReader(dsn).snapshot() as snapshot:
        await kill_others(dsn)
        await snapshot.scan(Kind.SEGMENT, lambda chunk: None)


async def fetch_segments(dsn: str) -> None:
    async with MysqlMetadataReader(dsn).snapshot() as snapshot:
        chunks: list[Chunk] = []
        await snapshot.scan(Kind.SEGMENT, chunks.append)
        await kill_others(dsn)
        await snapshot.fetch(Kind.SEGMENT, chunks[0].handles)


def in_transaction(
    act: Callable[[Transaction], Awaitable[None]],
) -> Callable[[str], Awaitable[None]]:
    async def run(dsn: str) -> None:
        async with writing(dsn) as transaction:
            await transaction.upsert([replace(SEGMENT, used=False)])
            await kill_others(dsn)
            await act(transaction)

    return run


LOST: dict[str, Callable[[str], Awaitable[None]]] = {
    "scan": scan_segments,
    "fetch": fetch_segments,
    "upsert": in_transaction(lambda to: to.upsert([SUPERVISOR])),
    "remove": in_transaction(lambda to: to.remove([key_of(CONFIG)])),
    "remove_hashed": in_transaction(
        lambda to: to.remove_hashed(Kind.CONFIG, np.array([key_hash(key_of(CONFIG))], KEY))
    ),
    "record": in_transaction(lambda to: to.record(CHECKPOINT, [GAP])),
    "commit": in_transaction(lambda to: asyncio.sleep(0)),
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST.keys())
async def test_a_lost_connection_passes_and_leaves_nothing(
    druid_dsn: str, lose: Callable[[str], Awaitable[None]]
):
    await put(druid_dsn, SEGMENT, CONFIG)
    with pytest.raises(TransientError):
        await lose(druid_dsn)
    assert await of_source(druid_dsn) == {key_of(SEGMENT): SEGMENT, key_of(CONFIG): CONFIG}
    assert (await MysqlMetadataWriter(druid_dsn).state(SOURCE)).checkpoint is None


WAITING: dict[str, Callable[[str], Awaitable[object]]] = {
    "scan": of_source,
    "upsert": lambda dsn: upsert(dsn, replace(SEGMENT, used=False)),
    "acquire": lambda dsn: MysqlMetadataWriter(dsn).acquire(SOURCE),
    "state": lambda dsn: MysqlMetadataWriter(dsn).state(SOURCE),
}


@asynccontextmanager
async def locked(dsn: str) -> AsyncIterator[None]:
    """Let every statement on two tables wait."""
    async with connected(dsn) as connection, connection.cursor() as cursor:
        await cursor.execute("LOCK TABLES druid_segments WRITE, replicator_checkpoint WRITE")
        yield


async def waiting(dsn: str) -> list[int]:
    found = await execute(
        dsn,
        "SELECT ID FROM information_schema.PROCESSLIST"
        " WHERE DB = DATABASE() AND STATE LIKE 'Waiting for%lock'",
    )
    return [number for (number,) in found]


async def until_waiting(dsn: str) -> int:
    async with asyncio.timeout(20):
        while not (found := await waiting(dsn)):
            await asyncio.sleep(0.01)
    return found[0]


@pytest.mark.parametrize("ask", WAITING.values(), ids=WAITING.keys())
async def test_a_connection_lost_in_the_middle_of_a_statement_passes(
    druid_dsn: str, ask: Callable[[str], Awaitable[object]]
):
    await put(druid_dsn, SEGMENT)
    await MysqlMetadataWriter(druid_dsn).acquire(SOURCE)
    async with locked(druid_dsn):
        asking = asyncio.ensure_future(ask(druid_dsn))  # noqa: TID251 - any awaitable
        await execute(druid_dsn, f"KILL {await until_waiting(druid_dsn)}")
        with pytest.raises(TransientError):
            await asking
    await ask(druid_dsn)


async def test_a_statement_that_takes_too_long_passes(druid_dsn: str):
    await MysqlMetadataWriter(druid_dsn).acquire(SOURCE)
    reader = MysqlMetadataReader(druid_dsn, statement_timeout_s=0.3)
    async with locked(druid_dsn):
        with pytest.raises(TransientError) as found:
            await rows_of(reader)
    assert "statement_timeout_s" in found.value.hint
    assert await rows_of(reader) == {}


CACHED_S = 0.2
"""Asked more often, the server repeats what it said of its transactions."""


async def waits_for_rows(dsn: str) -> bool:
    query = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
    ((count,),) = await execute(dsn, query)
    return bool(count)


async def test_a_cancelled_statement_is_ended_at_the_server_too(druid_dsn: str):
    """It would wait on there for what it wants, and then keep it."""
    await put(druid_dsn, SEGMENT)
    async with connected(druid_dsn) as rival, rival.cursor() as cursor, asyncio.timeout(30):
        await cursor.execute("BEGIN")
        await cursor.execute("UPDATE druid_segments SET used = 0")
        writes = asyncio.create_task(upsert(druid_dsn, replace(SEGMENT, payload=b"x")))
        while not await waits_for_rows(druid_dsn):
            await asyncio.sleep(CACHED_S)
        writes.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writes
        while await waits_for_rows(druid_dsn):
            await asyncio.sleep(CACHED_S)


async def test_many_may_acquire_at_once_and_each_gets_its_own_epoch(druid_dsn: str):
    writers = [MysqlMetadataWriter(druid_dsn) for _ in range(6)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(writer.acquire(SOURCE)) for writer in writers]
    assert sorted(task.result().epoch for task in tasks) == list(range(1, 7))


async def test_a_session_that_is_idle_for_too_long_is_ended_by_the_server(druid_dsn: str):
    await put(druid_dsn, SEGMENT)

    async def doze() -> None:
        async with MysqlMetadataReader(druid_dsn, idle_timeout_s=1.0).snapshot() as snapshot:
            async with asyncio.timeout(20):
                while len(await execute(druid_dsn, "SHOW PROCESSLIST")) > 1:
                    await asyncio.sleep(0.1)
            await snapshot.scan(Kind.SEGMENT, lambda chunk: None)

    with pytest.raises(TransientError) as found:
        await doze()
    assert "wait_timeout" in found.value.hint


async def test_a_deadlock_passes_and_nothing_is_written_after_it(druid_dsn: str):
    """The server rolls all back, and would carry out each further statement by itself."""
    other = replace(SEGMENT, id="wiki_2")
    await put(druid_dsn, SEGMENT, other)
    async with connected(druid_dsn) as rival, rival.cursor() as cursor:
        # the one who changed more rows lives on
        await cursor.execute("BEGIN")
        await cursor.execute("INSERT INTO druid_config SELECT seq, '' FROM seq_1_to_100")
        await cursor.execute("UPDATE druid_segments SET used = 0 WHERE id = 'wiki_2'")

        async def go_on_regardless() -> None:
            async with writing(druid_dsn) as transaction:
                await transaction.upsert([replace(SEGMENT, used=False)])
                waits = asyncio.create_task(transaction.upsert([replace(other, payload=b"x")]))
                await asyncio.sleep(0.1)
                ends = asyncio.create_task(
                    cursor.execute("UPDATE druid_segments SET used = 0 WHERE id = 'wiki_1'")
                )
                with pytest.raises(TransientError, match="Deadlock"):
                    await waits
                await ends
                await cursor.execute("ROLLBACK")
                await transaction.record(CHECKPOINT, [])

        with pytest.raises(TransientError, match="rolled back"):
            await go_on_regardless()
    assert await of_source(druid_dsn) == {key_of(SEGMENT): SEGMENT, key_of(other): other}
    assert (await MysqlMetadataWriter(druid_dsn).state(SOURCE)).checkpoint is None


async def test_a_row_that_another_session_holds_is_waited_for_and_no_longer(druid_dsn: str):
    """A Druid that hangs in a transaction keeps a target from its cut, and loses it none."""
    await upsert(druid_dsn, SEGMENT)
    changed = replace(SEGMENT, used=False)
    async with connected(druid_dsn) as connection, connection.cursor() as cursor:
        await cursor.execute("BEGIN")
        await cursor.execute("SELECT id FROM druid_segments FOR UPDATE")
        with pytest.raises(TransientError) as found:
            async with writing(druid_dsn, lock_timeout_s=1) as transaction:
                await transaction.upsert([changed, CONFIG])
        await cursor.execute("ROLLBACK")
        assert "a lock on the row" in found.value.hint
        await cursor.execute("LOCK TABLES druid_segments WRITE")
        with pytest.raises(TransientError) as found:
            await of_source(druid_dsn, lock_timeout_s=1)
        assert "or the table" in found.value.hint
        await cursor.execute("UNLOCK TABLES")
    assert (await of_source(druid_dsn)).keys() == {key_of(SEGMENT)}
    await upsert(druid_dsn, changed, CONFIG)
    assert (await of_source(druid_dsn)).keys() == {key_of(SEGMENT), key_of(CONFIG)}


async def test_a_server_that_only_reads_says_so(mariadb: Mariadb, druid_dsn: str):
    rights = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {db}.* TO lim@'%'"
    async with limited(druid_dsn, mariadb, rights) as dsn:
        await MysqlMetadataWriter(dsn).acquire(SOURCE)
        await execute(druid_dsn, "SET GLOBAL read_only = ON")
        try:
            with pytest.raises(TransientError, match=r"read.only") as found:
                await upsert(dsn, SEGMENT)
            obstacles = await MysqlMetadataWriter(dsn).obstacles()
            with pytest.raises(ConfigError, match="as a replica does") as unseen:
                await MysqlMetadataReader(dsn).freshness()
        finally:
            await execute(druid_dsn, "SET GLOBAL read_only = OFF")
    assert "primary" in found.value.hint
    assert [one.what.rpartition(": ")[2] for one in obstacles] == [
        "the server only reads (read_only)"
    ]
    assert "GRANT" in unseen.value.hint


async def test_a_checkpoint_of_another_source_is_a_bug(druid_dsn: str):
    with pytest.raises(ValueError, match="'west'"):
        async with writing(druid_dsn) as transaction:
            await transaction.record(replace(CHECKPOINT, source="west"), [])
