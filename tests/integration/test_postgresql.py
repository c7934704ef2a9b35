"""What only a real PostgreSQL can show: SQL against Python, privileges, lost connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import ANY
from urllib.parse import urlsplit

import asyncpg
import numpy as np
import pytest

from replicator.adapters.postgresql import sql
from replicator.adapters.postgresql.druid_tables import CATALOG, LAYOUTS
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.session import Database, PostgresqlSession, connect
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.errors import (
    ConfigError,
    CorruptionError,
    NotFoundError,
    TransientError,
    UnfitRowError,
)
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import CutNumber, Offset
from replicator.model.fingerprint import Digest, fingerprint, key_hash
from replicator.model.inventory.ledger import KEY, items
from replicator.model.log.wire import encode
from replicator.model.row import (
    TABLES,
    AuditRow,
    ConfigEntry,
    Kind,
    Row,
    RowKey,
    Rules,
    Segment,
    SegmentSchema,
    Supervisor,
    TableDefinition,
    key_of,
)
from replicator.ports import Chunk, MetadataReader, Transaction, fetched
from tests.builders import changed, envelope
from tests.random_rows import random_row
from tests.servers.postgresql import WAITS_FOR_A_LOCK, Postgresql, connected, execute, put

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

SOURCE = "east"
SECRET = "s3cret-w0rd"
USED_STATUS = "used_status_last_updated"
ROWS_A_KIND = 60
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
SCHEMA = SegmentSchema(
    fingerprint="E394",
    created_date="2026-01-02T03:04:05.678Z",
    datasource="wiki",
    used=True,
    used_status_last_updated="2026-01-02T03:04:05.678Z",
    version=1,
    payload=b"{}",
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


async def columns_of(dsn: str) -> dict[Kind, set[str]]:
    async with connected(dsn) as connection:
        found = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        )
    columns = {
        kind: {name for relation, name in found if relation == f"druid_{table.name}"}
        for kind, table in TABLES.items()
    }
    return {kind: names for kind, names in columns.items() if names}


async def scanned(reader: MetadataReader) -> list[tuple[bytes, bytes, Row]]:
    """Return key hash, fingerprint and row of everything, as the database says."""
    found: list[tuple[bytes, bytes, Row]] = []
    async with reader.snapshot() as snapshot:
        for kind in snapshot.kinds:
            chunks: list[Chunk] = []
            await snapshot.scan(kind, chunks.append)
            for chunk in chunks:
                places = zip(items(chunk.keys), items(chunk.marks), strict=True)
                for place, (key, mark) in enumerate(places):
                    (row,) = await snapshot.fetch(kind, chunk.handles[place : place + 1])
                    found.append((key, mark, row))
    return found


async def rows_of(reader: MetadataReader) -> dict[RowKey, Row]:
    return {key_of(row): row for _, _, row in await scanned(reader)}


@asynccontextmanager
async def writing(dsn: str, **options: Any) -> AsyncIterator[Transaction]:
    target = PostgresqlMetadataWriter(dsn, **options)
    state = await target.acquire(SOURCE)
    async with target.transaction(SOURCE, state.epoch) as transaction:
        yield transaction


# ------------------------------------------------------------------- one hash in two languages


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_sql_and_python_hash_every_row_alike(postgresql: Postgresql, layout: str):
    rng = Random(layout)
    async with postgresql.database(layout) as dsn:
        columns = await columns_of(dsn)
        for kind in columns:
            rows = (random_row(rng, kind, columns[kind]) for _ in range(ROWS_A_KIND))
            await put(dsn, *{key_of(row): row for row in rows}.values())
        source = await scanned(PostgresqlMetadataReader(dsn, audit=True))
        writer = PostgresqlMetadataWriter(dsn)
        target = await scanned(writer)
        compared = await writer.columns()
    assert len(source) == len(target) + ROWS_A_KIND > len(columns) * ROWS_A_KIND * 0.9
    for key, mark, row in source:
        assert key == key_hash(key_of(row))
        assert mark == fingerprint(row)
    for key, mark, row in target:
        assert key == key_hash(key_of(row))
        assert mark == fingerprint(row, columns=compared[key_of(row).kind])


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_random_rows_travel_from_any_layout_to_any_newer_one(
    postgresql: Postgresql, layout: str
):
    rng = Random(layout)
    async with (
        postgresql.database(layout) as dsn,
        postgresql.database("druid-37-centralized") as target_dsn,
    ):
        columns = await columns_of(dsn)
        for kind in columns:
            rows = (random_row(rng, kind, columns[kind]) for _ in range(ROWS_A_KIND))
            await put(dsn, *{key_of(row): row for row in rows}.values())
        mapped = [row for _, _, row in await scanned(PostgresqlMetadataReader(dsn))]
        async with writing(target_dsn) as transaction:
            await transaction.upsert(mapped)
        writer = PostgresqlMetadataWriter(target_dsn)
        compared = await writer.columns()
        there = {key: mark for key, mark, _ in await scanned(writer)}
    assert there == {
        key_hash(key_of(row)): fingerprint(row, columns=compared[key_of(row).kind])
        for row in mapped
    }


async def test_a_payload_rewritten_without_any_timestamp_is_another_row(druid_dsn: str):
    """Druid's move, archive and restore tasks do that."""
    await put(druid_dsn, SEGMENT)
    reader = PostgresqlMetadataReader(druid_dsn)
    ((_, before, _),) = await scanned(reader)
    await execute(druid_dsn, "UPDATE druid_segments SET payload = payload || ' '::bytea")
    ((_, after, row),) = await scanned(reader)
    assert before != after == fingerprint(replace(SEGMENT, payload=SEGMENT.payload + b" "))
    assert isinstance(row, Segment)


async def test_a_row_without_payload_stops_the_scan(druid_dsn: str):
    await put(druid_dsn, SEGMENT)
    await execute(druid_dsn, "ALTER TABLE druid_segments ALTER payload DROP NOT NULL")
    await execute(druid_dsn, "UPDATE druid_segments SET payload = NULL")
    with pytest.raises(ConfigError, match=r"druid_segments.* has no key or no payload"):
        await scanned(PostgresqlMetadataReader(druid_dsn))


async def test_a_value_of_blanks_alone_has_the_same_fingerprint_here_and_there(druid_dsn: str):
    """A `character` is filled up with blanks, which a cast drops and a client gets."""
    await put(druid_dsn, SEGMENT)
    await execute(druid_dsn, "ALTER TABLE druid_segments ALTER version TYPE char(40)")
    ((_, mark, row),) = await scanned(PostgresqlMetadataReader(druid_dsn))
    assert row == SEGMENT
    assert fingerprint(row) == mark


async def test_rows_are_read_by_their_size_and_none_beyond_memory(druid_dsn: str):
    """Compressed on the source's disk, they have a thousandth of it."""
    await execute(
        druid_dsn,
        "INSERT INTO druid_config SELECT 'row' || i, convert_to(repeat('x', i * 6000000), 'UTF8')"
        " FROM generate_series(1, 3) AS i",
    )
    found, at_once = list[Chunk](), list[int]()
    async with PostgresqlMetadataReader(druid_dsn).snapshot() as snapshot:
        await snapshot.scan(Kind.CONFIG, found.append)
        (chunk,) = found
        async for rows in fetched(snapshot, Kind.CONFIG, chunk.handles):
            at_once.append(len(rows))
    assert sorted(at_once) in ([1, 1, 1], [1, 2])
    await execute(
        druid_dsn,
        "INSERT INTO druid_config VALUES ('huge', convert_to(repeat('x', 70000000), 'UTF8'))",
    )
    async with PostgresqlMetadataReader(druid_dsn).snapshot() as snapshot:
        found.clear()
        await snapshot.scan(Kind.CONFIG, found.append)
        with pytest.raises(ConfigError, match="row 'huge' has 70000004 bytes"):
            async for _ in fetched(snapshot, Kind.CONFIG, found[0].handles):
                pass


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER used TYPE smallint USING used::int", "used"),
        ("ALTER used TYPE text", "used"),
        ("ALTER start TYPE timestamptz USING start::timestamptz", "start"),
        ("ALTER version DROP NOT NULL; UPDATE druid_segments SET version = NULL", "version"),
    ],
)
async def test_a_row_that_no_reader_of_the_log_could_read_is_not_published(
    druid_dsn: str, change: str, named: str
):
    """Fingerprints say nothing of types: a table that was moved by hand may have others."""
    await put(druid_dsn, SEGMENT)
    await execute(druid_dsn, f"ALTER TABLE druid_segments {change}")
    (row,) = (await rows_of(PostgresqlMetadataReader(druid_dsn))).values()
    with pytest.raises(ConfigError, match=f"'{named}' has the wrong type; it was not published"):
        encode(changed(row), envelope())


# ------------------------------------------------------------------------------ unknown columns

EXTRA_TYPES = {
    "colour": ("text", "it's réd"),
    "flag": ("boolean", "true"),
    "weight": ("numeric", "1.50"),
    "share": ("double precision", "0.1"),
    "tags": ("jsonb", '{"a": [1, 2]}'),
    "notes": ("json", '{"b":  1}'),
    "seen": ("timestamptz", "2026-01-02 03:04:05.678+00"),
    "blob": ("bytea", "\\x00ff"),
    "odd \"name'": ("varchar(20)", "x"),
}


async def add_columns(dsn: str) -> None:
    for name, (type_, _) in EXTRA_TYPES.items():
        quoted = '"' + name.replace('"', '""') + '"'
        for table in ("druid_segments", "druid_supervisors"):
            await execute(dsn, f"ALTER TABLE {table} ADD COLUMN {quoted} {type_}")


def with_extras(row: Segment | Supervisor) -> Segment | Supervisor:
    return replace(row, extras={name: value for name, (_, value) in EXTRA_TYPES.items()})


async def test_columns_of_a_later_release_are_carried_whatever_their_type(postgresql: Postgresql):
    """Their text form is the same whatever the session's settings are."""
    written = [with_extras(SEGMENT), with_extras(SUPERVISOR), replace(SEGMENT, id="plain")]
    async with postgresql.database() as dsn, postgresql.database() as other_dsn:
        for each in (dsn, other_dsn):
            await add_columns(each)
        name = other_dsn.rpartition("/")[2]
        for setting in (
            "bytea_output = 'escape'",
            "timezone = 'Asia/Tokyo'",
            "datestyle = 'German'",
        ):
            await execute(other_dsn, f'ALTER DATABASE "{name}" SET {setting}')
        for each in (dsn, other_dsn):
            async with writing(each) as transaction:
                await transaction.upsert(written)
            before = await rows_of(PostgresqlMetadataReader(each))
            assert {row.extras == with_extras(SEGMENT).extras for row in before.values()} == {
                True,
                False,
            }
            async with writing(each) as transaction:
                await transaction.upsert(written)
            assert await rows_of(PostgresqlMetadataReader(each)) == before
            for key, mark, row in await scanned(PostgresqlMetadataReader(each)):
                assert (key, mark) == (key_hash(key_of(row)), fingerprint(row))
            writer = PostgresqlMetadataWriter(each)
            columns = await writer.columns()
            assert columns[Kind.SEGMENT] >= EXTRA_TYPES.keys()
            assert {mark for _, mark, _ in await scanned(writer)} == {
                fingerprint(row, columns=columns[key_of(row).kind]) for row in written
            }
            async with writing(each) as transaction:
                await transaction.upsert([SEGMENT])
            assert (await rows_of(PostgresqlMetadataReader(each)))[key_of(SEGMENT)].extras == {}


async def test_a_value_that_the_targets_column_cannot_hold_is_refused(druid_dsn: str):
    await execute(druid_dsn, "ALTER TABLE druid_segments ADD COLUMN weight numeric")
    with pytest.raises(ConfigError, match="numeric"):
        async with writing(druid_dsn) as transaction:
            await transaction.upsert([replace(SEGMENT, extras={"weight": "heavy"})])
    with pytest.raises(UnfitRowError, match="0x00") as refused:
        async with writing(druid_dsn) as transaction:
            await transaction.upsert([replace(SEGMENT, id="wiki\0")])
    assert "no text of PostgreSQL holds a NUL" in refused.value.hint


async def test_the_refusal_of_an_unknown_column_says_what_to_do(druid_dsn: str):
    with pytest.raises(ConfigError, match='"colour"') as caught:
        async with writing(druid_dsn) as transaction:
            await transaction.upsert([replace(SEGMENT, extras={"colour": "red"})])
    assert 'ALTER TABLE "public"."druid_segments" ADD COLUMN "colour"' in caught.value.hint


# ------------------------------------------------------------------------- as Druid would write


async def test_append_only_tables_are_appended_to_and_emptied_whole(druid_dsn: str):
    for payload in (b"1", b"2", b"2"):
        async with writing(druid_dsn) as transaction:
            await transaction.upsert(
                [replace(SUPERVISOR, payload=payload), replace(RULES, payload=payload)]
            )
    async with connected(druid_dsn) as connection:
        for table in ("supervisors", "rules"):
            assert await connection.fetchval(f"SELECT count(*) FROM druid_{table}") == 2
        rules = await connection.fetchrow(
            "SELECT id, version, payload FROM druid_rules ORDER BY version DESC LIMIT 1"
        )
        assert rules is not None
        assert rules["id"] == f"wiki_{rules['version']}"
        assert rules["payload"] == b"2"
    async with writing(druid_dsn) as transaction:
        await transaction.remove([key_of(SUPERVISOR)])
        await transaction.remove_hashed(Kind.RULES, np.array([key_hash(key_of(RULES))], KEY))
    async with connected(druid_dsn) as connection:
        for table in ("supervisors", "rules"):
            assert await connection.fetchval(f"SELECT count(*) FROM druid_{table}") == 0


async def test_a_row_is_the_newest_whatever_its_sequence_says(postgresql: Postgresql):
    """COPY, a dump and logical replication fill tables and leave their sequences behind."""
    async with postgresql.database("druid-37-centralized") as dsn:
        await put(dsn, *(replace(SUPERVISOR, id=number) for number in (1, 2, 102)))
        await execute(
            dsn,
            "INSERT INTO druid_segmentschemas"
            " (id, created_date, datasource, fingerprint, payload, used,"
            " used_status_last_updated, version) VALUES (1, '', '', 'old', '', true, '', 1)",
        )
        asleep, schema = replace(SUPERVISOR, payload=b"asleep"), replace(SCHEMA, fingerprint="new")
        async with writing(dsn) as transaction:
            await transaction.upsert([asleep, replace(asleep, spec_id="other"), schema])
        assert (await rows_of(PostgresqlMetadataReader(dsn)))[key_of(asleep)] == replace(
            asleep, id=103, created_date=ANY
        )
        async with connected(dsn) as connection:
            ids = await connection.fetch("SELECT id FROM druid_supervisors ORDER BY id")
        assert [id_ for (id_,) in ids] == [1, 2, 102, 103, 104]
        assert await PostgresqlMetadataWriter(dsn).obstacles() == []


async def test_what_a_later_write_would_trip_over_is_told_before(druid_dsn: str):
    writer = PostgresqlMetadataWriter(druid_dsn)
    assert await writer.obstacles() == []
    await put(druid_dsn, *(replace(SUPERVISOR, id=number) for number in (1, 102)))
    (behind,) = await writer.obstacles()
    assert "druid_supervisors_id_seq stands at 0" in behind.what
    assert "rows up to 102" in behind.what
    await writer.create(None, centralized=False)
    assert await writer.obstacles() == []
    joint = "&" if "?" in druid_dsn else "?"
    replica = PostgresqlMetadataWriter(f"{druid_dsn}{joint}default_transaction_read_only=on")
    assert ["the server only reads" in one.what for one in await replica.obstacles()] == [True]
    await execute(
        druid_dsn,
        "ALTER TABLE druid_segments DROP CONSTRAINT druid_segments_pkey;"
        " CREATE UNIQUE INDEX ON druid_segments (id) WHERE used;"
        " ALTER TABLE druid_supervisors ALTER id DROP DEFAULT",
    )
    keyless, uncounted = await writer.obstacles()
    assert 'ALTER TABLE "public"."druid_segments" ADD PRIMARY KEY ("id")' in keyless.remedy
    assert 'no sequence counts up "id" of "public"."druid_supervisors"' in uncounted.what


async def test_a_used_status_of_null_becomes_now(druid_dsn: str):
    """Releases before 28 left it so, and their rows may still be there."""
    await execute(
        druid_dsn, "ALTER TABLE druid_segments ALTER used_status_last_updated DROP NOT NULL"
    )
    await put(druid_dsn, replace(SEGMENT, used_status_last_updated=None))
    assert await rows_of(PostgresqlMetadataReader(druid_dsn)) == {
        key_of(SEGMENT): replace(SEGMENT, used_status_last_updated=None)
    }
    async with writing(druid_dsn) as transaction:
        await transaction.upsert([replace(SEGMENT, used=False)])
    (row,) = (await rows_of(PostgresqlMetadataReader(druid_dsn))).values()
    assert isinstance(row, Segment)
    assert row.used_status_last_updated is not None
    assert row.used_status_last_updated > "2026"


async def test_all_rows_of_one_transaction_have_one_time(druid_dsn: str):
    async with writing(druid_dsn) as transaction:
        await transaction.upsert([SEGMENT])
        await transaction.upsert([replace(SEGMENT, id="wiki_2"), SUPERVISOR])
    async with connected(druid_dsn) as connection:
        times = await connection.fetch(
            "SELECT used_status_last_updated FROM druid_segments"
            " UNION SELECT created_date FROM druid_supervisors"
        )
    assert len(times) == 1


async def test_tables_of_another_schema_and_prefix_are_found(postgresql: Postgresql):
    async with postgresql.database(None) as dsn:
        ddl = LAYOUTS["druid-33"].read_text().replace("druid_", "metrics_")
        await execute(dsn, f'CREATE SCHEMA "Meta"; SET search_path TO "Meta"; {ddl}')
        async with writing(dsn, schema="Meta", table_prefix="Metrics_") as transaction:
            await transaction.upsert([CONFIG])
            await transaction.record(CHECKPOINT, [GAP])
        reader = PostgresqlMetadataReader(dsn, schema="Meta", table_prefix="Metrics_")
        assert await rows_of(reader) == {key_of(CONFIG): CONFIG}
        assert await reader.load_spec_samples() == []
        assert await reader.running_tasks() == []
        ever = {
            "since": datetime(2026, 1, 1, tzinfo=UTC),
            "until": datetime(2027, 1, 1, tzinfo=UTC),
        }
        assert await reader.audit("wiki", **ever, rows_max=1) == []
        writer = PostgresqlMetadataWriter(dsn, schema="Meta", table_prefix="Metrics_")
        assert await writer.obstacles() == []
        assert not await writer.create(None, centralized=False)
        async with connected(dsn) as connection:
            assert await connection.fetchval('SELECT cut FROM "Meta".replicator_checkpoint') == 12


async def test_the_tables_of_another_schema_are_not_the_targets(druid_dsn: str):
    """They would be another cluster's."""
    writer = PostgresqlMetadataWriter(druid_dsn, schema="standby", table_prefix="Druid_")
    with pytest.raises(ConfigError, match="no schema has been selected"):
        await writer.create("33.0.0", centralized=False)
    await execute(druid_dsn, "CREATE SCHEMA standby")
    with pytest.raises(NotFoundError, match="no tables of a Druid"):
        await writer.create(None, centralized=False)
    assert await writer.create("33.0.0", centralized=False)
    async with writer.snapshot() as snapshot:
        assert len(snapshot.kinds) >= 5


# ------------------------------------------------------------------- what is missing, and refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP TABLE druid_config", 'no table "public"."druid_config"'),
        ("ALTER TABLE druid_rules RENAME payload TO p", '"druid_rules" has no column "payload"'),
        (
            "ALTER TABLE druid_segments DROP COLUMN used, DROP COLUMN start",
            '"druid_segments" has no columns "start", "used"',
        ),
        (
            "ALTER TABLE druid_config RENAME TO c; CREATE VIEW druid_config AS SELECT * FROM c",
            'no table "public"."druid_config"',
        ),
    ],
)
async def test_what_is_missing_is_named(druid_dsn: str, change: str, message: str):
    await execute(druid_dsn, change)
    for store in (PostgresqlMetadataReader(druid_dsn), PostgresqlMetadataWriter(druid_dsn)):
        with pytest.raises(ConfigError) as caught:
            async with store.snapshot():
                pass
        assert message in str(caught.value)
        assert caught.value.hint


@pytest.fixture
async def role(postgresql: Postgresql) -> AsyncIterator[str]:
    await execute(postgresql.dsn, f"CREATE ROLE limited LOGIN PASSWORD '{SECRET}'")
    yield "limited"
    await execute(postgresql.dsn, "DROP OWNED BY limited; DROP ROLE limited")


@pytest.fixture
async def role_dsn(postgresql: Postgresql, role: str) -> AsyncIterator[tuple[str, str]]:
    """A database as its owner and as a role that may do nothing yet."""
    async with postgresql.database() as dsn:
        yield dsn, postgresql.dsn_of(dsn.rpartition("/")[2], role=role, password=SECRET)
        await execute(dsn, f"DROP OWNED BY {role}")


async def test_a_role_that_may_only_select_can_be_a_source(role_dsn: tuple[str, str]):
    owner, limited = role_dsn
    await put(owner, SEGMENT, SUPERVISOR, CONFIG)
    for table in ("segments", "datasource", "supervisors", "rules", "config"):
        await execute(owner, f"GRANT SELECT ON druid_{table} TO limited")
    assert (await rows_of(PostgresqlMetadataReader(limited))).keys() == {
        key_of(SEGMENT),
        key_of(SUPERVISOR),
        key_of(CONFIG),
    }
    reader = PostgresqlMetadataReader(limited)
    async with reader.snapshot() as snapshot:
        await snapshot.scan(Kind.SEGMENT, lambda chunk: None, datasources=["wiki"])
    writer = PostgresqlMetadataWriter(limited)
    assert (await writer.state(SOURCE)).epoch == 0
    with pytest.raises(ConfigError, match="permission denied"):
        await writer.acquire(SOURCE)


async def test_a_missing_privilege_is_named_with_the_grant_that_helps(role_dsn: tuple[str, str]):
    owner, limited = role_dsn
    for table in ("segments", "datasource", "supervisors", "config"):
        await execute(owner, f"GRANT SELECT ON druid_{table} TO limited")
    await execute(owner, "GRANT SELECT (id, datasource, version) ON druid_rules TO limited")
    with pytest.raises(ConfigError, match=r'column "payload" of "public"\."druid_rules"') as caught:
        await rows_of(PostgresqlMetadataReader(limited))
    assert 'GRANT SELECT ON "public"."druid_rules"' in caught.value.hint
    await execute(owner, "GRANT SELECT ON druid_rules TO limited")
    await execute(owner, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(ConfigError, match="permission denied for schema public") as caught:
        await rows_of(PostgresqlMetadataReader(limited))
    assert "GRANT USAGE ON SCHEMA" in caught.value.hint


async def test_rows_hidden_from_the_role_are_an_error_and_not_removed_rows(
    role_dsn: tuple[str, str],
):
    owner, limited = role_dsn
    await put(owner, SEGMENT)
    await execute(owner, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO limited")
    await execute(owner, "ALTER TABLE druid_segments ENABLE ROW LEVEL SECURITY")
    with pytest.raises(ConfigError, match="row-level security") as caught:
        await rows_of(PostgresqlMetadataReader(limited))
    assert "BYPASSRLS" in caught.value.hint


async def test_the_grants_of_the_documentation_are_enough(role_dsn: tuple[str, str]):
    owner, limited = role_dsn
    text = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()
    for whose, role in (("source", "replicator"), ("target", "standby")):
        statements = text.partition(f"-- {whose}\n")[2].partition("```")[0]
        create, *grants = statements.strip().rstrip(";").split(";")
        assert create.startswith(f"CREATE ROLE {role}")
        await execute(owner, "DROP OWNED BY limited")
        for grant in grants:
            await execute(owner, grant.replace(f"TO {role}", "TO limited"))
        reader, writer = PostgresqlMetadataReader(limited), PostgresqlMetadataWriter(limited)
        if whose == "source":
            await put(owner, SEGMENT, SUPERVISOR)
            assert len(await rows_of(reader)) == 2
            now = datetime(2026, 1, 1, tzinfo=UTC)
            assert await reader.audit("wiki", since=now, until=now, rows_max=1) == []
            assert len(await reader.load_spec_samples()) == 1
            assert await reader.running_tasks() == []
        else:
            assert not await writer.create(None, centralized=False)
            assert await writer.obstacles() == []
            async with writing(limited) as transaction:
                await transaction.upsert([replace(SUPERVISOR, payload=b"2"), RULES, CONFIG])
                await transaction.remove([key_of(SEGMENT)])
                await transaction.record(CHECKPOINT, [GAP])
            assert len(await rows_of(reader)) == 3


async def test_a_target_needs_create_only_until_our_tables_are_there(role_dsn: tuple[str, str]):
    owner, limited = role_dsn
    await PostgresqlMetadataWriter(owner).acquire(SOURCE)
    await execute(
        owner, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO limited"
    )
    await execute(owner, "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO limited")
    async with writing(limited) as transaction:
        await transaction.upsert([SEGMENT, SUPERVISOR, RULES, CONFIG])
        await transaction.remove([key_of(CONFIG)])
        await transaction.record(CHECKPOINT, [GAP])
    assert (await PostgresqlMetadataWriter(limited).state(SOURCE)).checkpoint == CHECKPOINT


async def test_a_sources_session_cannot_write(druid_dsn: str):
    async with connect(Database(dsn=druid_dsn), default_transaction_read_only="on") as session:
        with pytest.raises(TransientError, match="read-only"):
            await session.execute("write", "DELETE FROM druid_segments")
    async with PostgresqlMetadataReader(druid_dsn).snapshot() as snapshot:
        session = snapshot._session  # type: ignore[attr-defined]
        with pytest.raises(TransientError, match="read-only"):
            await session.execute("write", "DELETE FROM druid_segments")


@pytest.mark.parametrize(
    ("dsn", "error"),
    [
        ("postgresql://druid:{secret}@127.0.0.1:1/postgres", TransientError),
        ("postgresql://druid:{secret}@no-such-host.invalid:5432/postgres", TransientError),
        ("postgresql://druid:{secret}@{place}/postgres", ConfigError),
        ("postgresql://nobody:{secret}@{place}/postgres", ConfigError),
        ("{login}@{place}/no_such_database", ConfigError),
        ("postgresql://druid:{secret}@{place}x/postgres", ConfigError),
        ("postgresql://druid:?{secret}@{place}/postgres", ConfigError),
        ("mysql://druid:{secret}@{place}/postgres", ConfigError),
        ("host=127.0.0.1 password={secret}", ConfigError),
        ("postgresql://druid@{place}/postgres?password={secret}", ConfigError),
    ],
)
async def test_who_cannot_connect_is_told_why_and_never_the_password(
    postgresql: Postgresql, dsn: str, error: type[Exception]
):
    login, _, place = postgresql.dsn.rpartition("/")[0].rpartition("@")
    dsn = dsn.format(secret=SECRET, place=place, login=login)
    with pytest.raises(error) as caught:
        await rows_of(PostgresqlMetadataReader(dsn, connect_timeout_s=5))
    shown = f"{caught.value!r} {caught.value} {Database(dsn=dsn)!r} {caught.value.__cause__!r}"
    assert SECRET not in shown


async def test_a_password_may_come_apart_from_the_dsn(postgresql: Postgresql, druid_dsn: str):
    password = urlsplit(druid_dsn).password
    dsn = druid_dsn.replace(f":{password}@", "@")
    with pytest.raises(ConfigError, match="password"):
        await rows_of(PostgresqlMetadataReader(dsn, password=lambda: "wrong"))
    assert await rows_of(PostgresqlMetadataReader(dsn, password=lambda: password)) == {}


async def test_a_url_says_where_to_look_as_libpq_reads_it(
    druid_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = urlsplit(druid_dsn)
    place, user, password = f"{url.hostname}:{url.port}", url.username, url.password
    dead = druid_dsn.replace(f"@{place}", f"@127.0.0.1:1,{place}")
    assert await rows_of(PostgresqlMetadataReader(f"{dead}?target_session_attrs=read-write")) == {}
    with pytest.raises(TransientError) as caught:
        await rows_of(PostgresqlMetadataReader(f"{druid_dsn}?target_session_attrs=read-only"))
    assert "target_session_attrs" in caught.value.hint
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"{url.hostname}:{url.port}:*:{user}:{password}\n")
    passwords.chmod(0o600)
    bare = f"postgresql://{user}@{place}{url.path}"
    assert await rows_of(PostgresqlMetadataReader(f"{bare}?passfile={passwords}")) == {}
    services = tmp_path / "services"
    lines = ("[druid]", f"host={url.hostname}", f"port={url.port}", f"dbname={url.path[1:]}")
    services.write_text("\n".join([*lines, f"user={user}", f"password={password}\n"]))
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert await rows_of(PostgresqlMetadataReader("postgresql://?service=druid")) == {}
    with pytest.raises(ConfigError, match="/nowhere is not there") as unreadable:
        await rows_of(
            PostgresqlMetadataReader(f"{druid_dsn}?sslmode=verify-full&sslrootcert=/nowhere")
        )
    assert "sslrootcert" in unreadable.value.hint


async def test_too_many_connections_pass(role_dsn: tuple[str, str]):
    owner, limited = role_dsn
    await execute(owner, "ALTER ROLE limited CONNECTION LIMIT 0")
    with pytest.raises(TransientError, match="too many connections"):
        await rows_of(PostgresqlMetadataReader(limited))


# ----------------------------------------------------------------------------- lost connections


async def terminate_all(dsn: str) -> None:
    await execute(
        dsn,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


async def active(dsn: str) -> int:
    """Return how many statements of others run in the database."""
    async with connected(dsn) as connection:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()"
        )
    return found


async def scan_segments(dsn: str) -> None:
    async with PostgresqlMetadataReader(dsn).snapshot() as snapshot:
        await terminate_all(dsn)
        await snapshot.scan(Kind.SEGMENT, lambda chunk: None)


async def fetch_segments(dsn: str) -> None:
    async with PostgresqlMetadataReader(dsn).snapshot() as snapshot:
        chunks: list[Chunk] = []
        await snapshot.scan(Kind.SEGMENT, chunks.append)
        await terminate_all(dsn)
        await snapshot.fetch(Kind.SEGMENT, chunks[0].handles)


def in_transaction(
    act: Callable[[Transaction], Awaitable[None]],
) -> Callable[[str], Awaitable[None]]:
    async def run(dsn: str) -> None:
        async with writing(dsn) as transaction:
            await transaction.upsert([replace(SEGMENT, used=False)])
            await terminate_all(dsn)
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
    assert await rows_of(PostgresqlMetadataReader(druid_dsn)) == {
        key_of(SEGMENT): SEGMENT,
        key_of(CONFIG): CONFIG,
    }
    assert (await PostgresqlMetadataWriter(druid_dsn).state(SOURCE)).checkpoint is None


async def upsert_segment(dsn: str, **options: Any) -> None:
    async with writing(dsn, **options) as transaction:
        await transaction.upsert([replace(SEGMENT, used=False)])


async def begin_transaction(dsn: str) -> None:
    async with PostgresqlMetadataWriter(dsn).transaction(SOURCE, (await _held(dsn)).epoch):
        pass


async def _held(dsn: str):
    return await PostgresqlMetadataWriter(dsn).state(SOURCE)


async def test_a_table_of_checkpoints_from_before_learns_of_stores(druid_dsn: str):
    writer = PostgresqlMetadataWriter(druid_dsn)
    before = await writer.acquire(SOURCE)
    await execute(druid_dsn, "ALTER TABLE replicator_checkpoint DROP COLUMN store")
    assert await writer.state(SOURCE) == before

    assert (await writer.acquire(SOURCE, store="here")).store == "here"


async def test_own_rows_that_are_too_large_are_not_even_sent(
    druid_dsn: str, monkeypatch: pytest.MonkeyPatch
):
    """Nor where somebody enlarges them between a look at their size and their reading."""
    writer = PostgresqlMetadataWriter(druid_dsn)
    async with writing(druid_dsn) as transaction:
        await transaction.record(CHECKPOINT, [replace(GAP, detail="d" * 20_000)])
    looks: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: writer.gaps(SOURCE, CHECKPOINT.log_id),
        lambda: writer.state(SOURCE),
        lambda: writer.acquire(SOURCE),
    )
    monkeypatch.setattr(sql, "OWN_BYTES_MAX", 100)
    for look in looks:
        with pytest.raises(CorruptionError, match="cannot be read"):  # a row without values came
            await look()
    monkeypatch.undo()
    assert len(await writer.gaps(SOURCE, CHECKPOINT.log_id)) == 1


async def test_a_table_of_gaps_from_before_learns_of_long_keys(druid_dsn: str):
    long = replace(GAP, key="k" * 3000)
    writer = PostgresqlMetadataWriter(druid_dsn)
    async with writing(druid_dsn) as transaction:
        await transaction.record(CHECKPOINT, [GAP])
    await execute(druid_dsn, "ALTER TABLE replicator_gap DROP COLUMN long_key")
    assert list(await writer.gaps(SOURCE, CHECKPOINT.log_id)) == [GAP]
    async with writing(druid_dsn) as transaction:
        await transaction.record(CHECKPOINT, [long])
    found = {gap.key: gap for gap in await writer.gaps(SOURCE, CHECKPOINT.log_id)}
    assert found == {GAP.key: GAP, long.key: long}


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP"])
async def test_a_database_that_lacks_a_rows_characters_remembers_its_gap(
    postgresql: Postgresql, encoding: str
):
    """Of another encoding than UTF-8, as old installations have them."""
    name = f"of_{encoding.lower()}"
    made = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    await execute(postgresql.dsn, made)
    dsn = f"{postgresql.dsn.rpartition('/')[0]}/{name}"
    try:
        writer = PostgresqlMetadataWriter(dsn)
        gap = replace(GAP, key="wiki_\u4e00_\u00e4\0\x10", datasource="\U0001f600", detail="\u00e4")
        state = await writer.acquire(SOURCE)
        for one in (gap, replace(gap, closed=Offset(60))):
            async with writer.transaction(SOURCE, state.epoch) as transaction:
                await transaction.record(CHECKPOINT, [one])
            assert list(await writer.gaps(SOURCE, CHECKPOINT.log_id)) == [one]
    finally:
        await execute(postgresql.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP", "EUC_TW"])
async def test_a_row_goes_by_a_name_in_the_database_s_own_encoding(
    postgresql: Postgresql, encoding: str
):
    """Druid's rows are there under each name that the database can hold."""
    name = f"held_by_{encoding.lower()}"
    made = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    await execute(postgresql.dsn, made)
    dsn = f"{postgresql.dsn.rpartition('/')[0]}/{name}"
    row = ConfigEntry(name="caf\u00e9" if encoding == "LATIN1" else "wiki_\u4e00", payload=b"1")
    try:
        await execute(dsn, LAYOUTS["druid-33"].read_text())
        writer = PostgresqlMetadataWriter(dsn)
        state = await writer.acquire(SOURCE)
        left = list[int]()
        for rows, keys in (([row], []), ([], [key_of(row)])):
            async with writer.transaction(SOURCE, state.epoch) as transaction:
                await transaction.upsert(rows)
                await transaction.remove(keys)
            async with connected(dsn) as connection:
                left.append(await connection.fetchval("SELECT count(*) FROM druid_config"))
        assert left == [1, 0]
    finally:
        await execute(postgresql.dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_table_of_checkpoints_from_before_the_first_release_is_read_and_renewed(
    druid_dsn: str,
):
    paused = replace(CHECKPOINT, paused=True)
    writer = PostgresqlMetadataWriter(druid_dsn)
    async with writing(druid_dsn) as transaction:
        await transaction.record(paused, [])
    await execute(
        druid_dsn,
        "ALTER TABLE replicator_checkpoint DROP COLUMN store;"
        " ALTER TABLE replicator_checkpoint RENAME COLUMN paused TO standing",
    )
    assert (await writer.state(SOURCE)).checkpoint == paused
    async with writing(druid_dsn) as transaction:
        await transaction.record(CHECKPOINT, [])
    assert (await writer.state(SOURCE)).checkpoint == CHECKPOINT


WAITING: dict[str, tuple[str, Callable[..., Awaitable[object]]]] = {
    "scan": ("druid_segments", lambda *a, **b: rows_of(PostgresqlMetadataReader(*a, **b))),
    "upsert": ("druid_segments", upsert_segment),
    "acquire": (
        "replicator_checkpoint",
        lambda *a, **b: PostgresqlMetadataWriter(*a, **b).acquire(SOURCE),
    ),
    "held": (
        "replicator_checkpoint",
        lambda *a, **b: PostgresqlMetadataWriter(*a, **b).state(SOURCE),
    ),
    "gaps": (
        "replicator_gap",
        lambda *a, **b: PostgresqlMetadataWriter(*a, **b).gaps(SOURCE, "log-1"),
    ),
    "renamed": (
        "replicator_renamed",
        lambda *a, **b: PostgresqlMetadataWriter(*a, **b).renamed(SOURCE),
    ),
}
HASTE_S = 0.2


@asynccontextmanager
async def locked(dsn: str, table: str) -> AsyncIterator[int]:
    """Let every statement on a table wait; gives the process id that must not be ended."""
    async with connected(dsn) as connection:
        await connection.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection.get_server_pid()


async def until_waiting(dsn: str) -> None:
    query = f"SELECT count(*) FROM pg_stat_activity WHERE {WAITS_FOR_A_LOCK}"
    async with connected(dsn) as connection, asyncio.timeout(20):
        while not await connection.fetchval(query):
            await asyncio.sleep(0.01)


async def terminate_waiting(dsn: str) -> None:
    await execute(
        dsn,
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {WAITS_FOR_A_LOCK}",
    )


@pytest.mark.parametrize(("table", "ask"), WAITING.values(), ids=WAITING.keys())
async def test_a_connection_lost_in_the_middle_of_a_statement_passes(
    druid_dsn: str, table: str, ask: Callable[[str], Awaitable[object]]
):
    await put(druid_dsn, SEGMENT)
    await PostgresqlMetadataWriter(druid_dsn).acquire(SOURCE)
    async with locked(druid_dsn, table):
        asking = asyncio.ensure_future(ask(druid_dsn))  # noqa: TID251 - any awaitable
        await until_waiting(druid_dsn)
        await terminate_waiting(druid_dsn)
        with pytest.raises(TransientError):
            await asking
    await ask(druid_dsn)


async def test_a_statement_that_takes_too_long_passes(druid_dsn: str):
    reader = PostgresqlMetadataReader(druid_dsn, statement_timeout_s=0.2)
    async with locked(druid_dsn, "druid_segments"):
        with pytest.raises(TransientError, match="statement timeout"):
            await rows_of(reader)
    assert await rows_of(reader) == {}


@pytest.mark.parametrize(("table", "ask"), WAITING.values(), ids=WAITING.keys())
async def test_a_table_that_somebody_has_locked_is_named_before_long(
    druid_dsn: str, table: str, ask: Callable[..., Awaitable[object]]
):
    await put(druid_dsn, SEGMENT)
    await PostgresqlMetadataWriter(druid_dsn).acquire(SOURCE)
    async with locked(druid_dsn, table):
        with pytest.raises(TransientError, match="lock timeout") as found:
            await ask(druid_dsn, lock_timeout_s=HASTE_S)
    assert "pg_locks" in found.value.hint
    await ask(druid_dsn)


async def test_the_next_writer_waits_for_a_long_transaction_of_the_one_before(druid_dsn: str):
    next_writer = PostgresqlMetadataWriter(druid_dsn, lock_timeout_s=HASTE_S)
    async with writing(druid_dsn):
        asking = asyncio.create_task(next_writer.acquire(SOURCE))
        await until_waiting(druid_dsn)
        await asyncio.sleep(2 * HASTE_S)
        assert not asking.done()
    assert (await asking).epoch == 2


async def test_a_cancelled_scan_leaves_no_statement_behind(druid_dsn: str):
    async with locked(druid_dsn, "druid_segments"):
        asking = asyncio.create_task(rows_of(PostgresqlMetadataReader(druid_dsn)))
        await until_waiting(druid_dsn)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(20):
            while await active(druid_dsn) > 1:
                await asyncio.sleep(0.01)


async def test_a_cancelled_write_does_not_wait_for_the_server(druid_dsn: str):
    """What asyncpg has not sent to its end gets no answer: it would wait for one all the same."""
    await put(druid_dsn, SEGMENT)
    large = replace(SEGMENT, payload=bytes(1 << 20))
    many = [large, *(replace(large, id=f"large_{i}") for i in range(24))]

    async def write() -> None:
        async with writing(druid_dsn) as transaction:
            await transaction.upsert(many)

    async with connected(druid_dsn) as other, other.transaction():
        await other.execute("SELECT FROM druid_segments FOR UPDATE")
        asking = asyncio.create_task(write())
        await until_waiting(druid_dsn)
        asking.cancel()
        done, _ = await asyncio.wait({asking}, timeout=20)
        assert done
        assert asking.cancelled()
    assert list(await rows_of(PostgresqlMetadataReader(druid_dsn))) == [key_of(SEGMENT)]


async def test_a_server_that_restarts_is_found_again(postgresql: Postgresql, druid_dsn: str):
    await put(druid_dsn, SEGMENT)
    reader = PostgresqlMetadataReader(druid_dsn)

    async def interrupted() -> None:
        async with reader.snapshot() as snapshot:
            await postgresql.restart()
            await snapshot.scan(Kind.SEGMENT, lambda chunk: None)

    with pytest.raises(TransientError):
        await interrupted()
    assert await rows_of(reader) == {key_of(SEGMENT): SEGMENT}


# ------------------------------------------------------------------------------ writers at odds


async def test_many_may_acquire_at_once_and_each_gets_its_own_epoch(druid_dsn: str):
    """Also when our tables are not there yet."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(PostgresqlMetadataWriter(druid_dsn).acquire(SOURCE)) for _ in range(6)
        ]
    assert sorted(task.result().epoch for task in tasks) == [1, 2, 3, 4, 5, 6]


async def test_a_session_that_the_server_ends_is_a_lost_connection_at_any_moment(druid_dsn: str):
    """Also between its last word and the connection's end, when asyncpg calls it a client's."""
    database, causes = Database(dsn=druid_dsn), set[type[BaseException | None]]()

    async def goes_on(session: PostgresqlSession, turns: int) -> None:
        while True:
            for _ in range(turns % 8):
                await asyncio.sleep(0)
            await session.execute("go on", "SELECT 1")

    async with connect(database) as other:
        for turns in range(1000):
            async with connect(database) as session:
                pid = await session.value("ask", "SELECT pg_backend_pid()")
                await other.execute("end it", "SELECT pg_terminate_backend($1)", pid)
                with pytest.raises(TransientError) as caught:
                    await goes_on(session, turns)
                causes.add(type(caught.value.__cause__))
            if asyncpg.InternalClientError in causes:
                return
    raise AssertionError("the moment that this is about was never met")


async def test_a_writer_that_hangs_loses_its_transaction_to_the_next(druid_dsn: str):
    slow = PostgresqlMetadataWriter(druid_dsn, idle_timeout_s=0.2)
    state = await slow.acquire(SOURCE)

    async def hang() -> None:
        async with slow.transaction(SOURCE, state.epoch) as transaction:
            await transaction.upsert([SEGMENT])
            next_one = await PostgresqlMetadataWriter(druid_dsn).acquire(SOURCE)
            assert next_one.epoch == state.epoch + 1

    with pytest.raises(TransientError):
        await hang()
    assert await rows_of(PostgresqlMetadataReader(druid_dsn)) == {}


async def test_going_on_after_a_failed_statement_commits_nothing(druid_dsn: str):
    async def go_on() -> None:
        async with writing(druid_dsn) as transaction:
            await transaction.upsert([SEGMENT])
            with pytest.raises(ConfigError):
                await transaction.upsert([replace(SEGMENT, id="x" * 300)])

    with pytest.raises(TransientError, match="rolled back"):
        await go_on()
    assert await rows_of(PostgresqlMetadataReader(druid_dsn)) == {}


async def test_a_checkpoint_of_another_source_is_a_bug(druid_dsn: str):
    with pytest.raises(ValueError, match="west"):
        async with writing(druid_dsn) as transaction:
            await transaction.record(replace(CHECKPOINT, source="west"), [])


NOTHING = (
    "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    " CREATE TRIGGER leave_out BEFORE UPDATE OF cut ON replicator_checkpoint"
    " FOR EACH ROW EXECUTE FUNCTION leave_out()"
)
TWICE = (
    "ALTER TABLE replicator_checkpoint DROP CONSTRAINT replicator_checkpoint_pkey;"
    " INSERT INTO replicator_checkpoint SELECT * FROM replicator_checkpoint"
)


@pytest.mark.parametrize("altered", [NOTHING, TWICE], ids=["a trigger", "two rows"])
async def test_a_checkpoint_that_cannot_be_one_row_is_damage_of_the_target(
    druid_dsn: str, altered: str
):
    """Whoever owns the database of one target must not end what works for all of them."""
    async with writing(druid_dsn) as transaction:
        await transaction.record(CHECKPOINT, [])
    writer = PostgresqlMetadataWriter(druid_dsn)
    state = await writer.acquire(CHECKPOINT.source)
    await execute(druid_dsn, altered)
    with pytest.raises(CorruptionError, match="is not one row that can be written") as told:
        async with writer.transaction(CHECKPOINT.source, state.epoch) as transaction:
            await transaction.record(CHECKPOINT, [])
    assert "triggers" in told.value.hint


async def test_a_column_of_numbers_that_holds_others_is_the_operators_matter(druid_dsn: str):
    writer = PostgresqlMetadataWriter(druid_dsn)
    await put(druid_dsn, SUPERVISOR)
    await execute(
        druid_dsn,
        "ALTER TABLE druid_supervisors ALTER id TYPE numeric;"
        " UPDATE druid_supervisors SET id = 'NaN'",
    )
    with pytest.raises(ConfigError, match='"id" is no column of whole numbers'):
        await writer.obstacles()


async def test_a_table_that_is_filled_anew_is_never_empty_in_a_snapshot(druid_dsn: str):
    """TRUNCATE is seen by older snapshots too, so none may be older than the wait for its lock."""
    await put(druid_dsn, SEGMENT, CONFIG)
    reader = PostgresqlMetadataReader(druid_dsn)
    async with connected(druid_dsn) as loading:
        await loading.execute("BEGIN; TRUNCATE druid_config")
        asking = asyncio.create_task(rows_of(reader))
        await until_waiting(druid_dsn)
        await loading.execute("INSERT INTO druid_config VALUES ('new', ''); COMMIT")
        found = await asking
    assert found.keys() == {key_of(SEGMENT), RowKey(Kind.CONFIG, "new")}
    async with reader.snapshot() as snapshot, connected(druid_dsn) as loading:
        emptying = asyncio.create_task(loading.execute("TRUNCATE druid_config"))
        await until_waiting(druid_dsn)
        chunks: list[Chunk] = []
        await snapshot.scan(Kind.CONFIG, chunks.append)
        assert sum(len(chunk.keys) for chunk in chunks) == 1
        await snapshot._session.execute("end", "ROLLBACK")  # type: ignore[attr-defined]
        await emptying


async def test_a_row_that_is_already_so_is_not_even_locked(druid_dsn: str):
    """A lock is written to the WAL: a target that is seeded again would write all of it twice."""
    changed = replace(SEGMENT, id="changed")
    async with writing(druid_dsn) as transaction:
        await transaction.upsert([SEGMENT, CONFIG, changed])
    async with writing(druid_dsn) as transaction:
        await transaction.upsert([SEGMENT, CONFIG, replace(changed, used=not changed.used)])
    async with connected(druid_dsn) as connection:
        locked = await connection.fetch("SELECT id FROM druid_segments WHERE xmax <> 0")
        assert [row["id"] for row in locked] == ["changed"]
        assert await connection.fetchval("SELECT count(*) FROM druid_config WHERE xmax <> 0") == 0


async def test_a_scan_may_use_all_cores_of_the_server(druid_dsn: str):
    """By default it reads a large table with one: each row that it gives back has a price."""
    async with connect(Database(dsn=druid_dsn)) as session:
        assert await session.value("ask", "SHOW parallel_tuple_cost") == "0"


async def test_tables_that_nobody_replicates_are_named(druid_dsn: str):
    """A newer Druid's, or an extension's; what is left out on purpose and empty is not named."""
    reader = PostgresqlMetadataReader(druid_dsn)
    assert await reader.left_behind() == []
    await execute(
        druid_dsn,
        "CREATE TABLE druid_leases (id INT);"
        "CREATE TABLE druidical (id INT);"
        'CREATE TABLE "druid_taskLogs" (id INT);'
        "INSERT INTO druidical VALUES (1);"
        'INSERT INTO "druid_taskLogs" VALUES (1)',
    )
    assert await reader.left_behind() == []
    await execute(druid_dsn, "INSERT INTO druid_leases VALUES (1)")
    assert await reader.left_behind() == ["druid_leases"]


async def test_which_datasources_have_no_used_segment(druid_dsn: str):
    async with writing(druid_dsn) as transaction:
        await transaction.upsert([SEGMENT, replace(SEGMENT, id="é", datasource="é", used=False)])
    reader = PostgresqlMetadataReader(druid_dsn)
    names = ["é", SEGMENT.datasource, SEGMENT.datasource.upper(), "'; --"]
    assert {*await reader.without_used(names)} == {names[0], *names[2:]}


async def test_a_table_that_may_not_be_read_is_named_too(role_dsn: tuple[str, str]):
    """Rights were granted before an extension made its table: nobody can say that it is empty."""
    owner, limited = role_dsn
    await execute(owner, "CREATE TABLE druid_leases (id INT)")
    assert await PostgresqlMetadataReader(limited).left_behind() == ["druid_leases"]


async def test_a_null_in_the_catalog_is_the_null_that_druid_reads(druid_dsn: str):
    """SQLCatalogManager takes both for nothing; it writes neither."""
    await execute(druid_dsn, CATALOG)
    await execute(
        druid_dsn,
        "INSERT INTO druid_tableDefs (schemaName, name, creationTime, updateTime, state, tableType)"
        " VALUES ('druid', 'wiki', 1, 2, 'A', 'datasource')",
    )
    ((key, mark, row),) = await scanned(PostgresqlMetadataReader(druid_dsn))
    assert isinstance(row, TableDefinition)
    assert (row.properties, row.columns) == (b"null", b"null")
    assert (key, mark) == (key_hash(key_of(row)), fingerprint(row))


async def test_audit_rows_are_read_where_that_is_asked_for(druid_dsn: str):
    await execute(
        druid_dsn,
        "INSERT INTO druid_audit (audit_key, type, author, comment, created_date, payload)"
        " VALUES ('wiki', 't', 'ann', 'c', '2026-01-02T00:00:00.000Z', '{}')",
    )
    assert await scanned(PostgresqlMetadataReader(druid_dsn)) == []
    assert await scanned(PostgresqlMetadataWriter(druid_dsn)) == []
    ((key, mark, row),) = await scanned(PostgresqlMetadataReader(druid_dsn, audit=True))
    assert isinstance(row, AuditRow)
    assert (row.id, row.author) == (1, "ann")
    assert (key, mark) == (key_hash(RowKey(Kind.AUDIT, "1")), fingerprint(row))
