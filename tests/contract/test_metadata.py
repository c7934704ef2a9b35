"""What every metadata store promises (replicator/ports.py): in memory, PostgreSQL, MariaDB."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import numpy as np
import pytest

from replicator.adapters import kept_rows, refusals
from replicator.adapters.memory.metadata import ALL_COLUMNS, MemoryMetadata
from replicator.adapters.mysql.reader import MysqlMetadataReader
from replicator.adapters.mysql.writer import MysqlMetadataWriter
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    RefusedError,
    UnfitRowError,
)
from replicator.model.checkpoint import Checkpoint, Gap, TargetState
from replicator.model.event import CutNumber, Epoch, Offset
from replicator.model.fingerprint import Digest, fingerprint, key_hash
from replicator.model.inventory.ledger import KEY, items
from replicator.model.log.renaming import Renamed
from replicator.model.row import (
    REPLICATED,
    TABLES,
    CommitMetadata,
    ConfigEntry,
    IndexingState,
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
from replicator.model.versions import Lineage, NoVersions, Versions, broken, new_stamps
from replicator.ports import (
    Chunk,
    MetadataReader,
    MetadataWriter,
    Snapshot,
    SourceReader,
    WatchedReader,
    fetched,
)
from replicator.task_group import TaskGroup
from tests.servers import mariadb as of_mariadb
from tests.servers.mariadb import Mariadb
from tests.servers.postgresql import Postgresql, put

pytest_plugins = ["tests.servers.fixtures"]

SOURCE = "east"
CHUNK_ROWS = 4
DRUID_25 = {
    kind: table.required | table.local
    for kind, table in TABLES.items()
    if table.always_there and not table.source_only
}

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
    datasource="wiki",
    created_date="2026-01-02T03:04:05.678Z",
    commit_metadata_sha1="0BEEC7B5EA3F0FDBC95D0DD47F3C5BC275DA8A33",
    commit_metadata_payload=b"foo",
)
SUPERVISOR = Supervisor(
    spec_id="wiki", id=7, created_date="2026-01-02T03:04:05.678Z", payload=b'{"spec":1}'
)
RULES = Rules(
    datasource="wiki",
    id="wiki_2026-01-02T03:04:05.678Z",
    version="2026-01-02T03:04:05.678Z",
    payload=b"[]",
)
CONFIG = ConfigEntry(name="coordinator.config", payload=b"{}")
SCHEMA = SegmentSchema(
    fingerprint="E394",
    created_date="2026-01-02T03:04:05.678Z",
    datasource="wiki",
    used=True,
    used_status_last_updated="2026-01-02T03:04:05.678Z",
    version=1,
    payload=b"{}",
)
STATE = IndexingState(
    fingerprint="AA01",
    created_date="2026-01-02T03:04:05.678Z",
    datasource="wiki",
    used=True,
    pending=False,
    used_status_last_updated="2026-01-02T03:04:05.678Z",
    payload=b"{}",
)
DEFINITION = TableDefinition(
    schemaname="druid",
    name="wiki",
    creationtime=1767323045678,
    updatetime=1767323045678,
    state="A",
    tabletype="datasource",
    properties=b'{"segmentGranularity":"P1D"}',
    columns=b'[{"name":"__time"}]',
)
ONE_OF_EACH: tuple[Row, ...] = (
    *(SEGMENT, COMMIT, SUPERVISOR, RULES, CONFIG, SCHEMA, STATE),
    DEFINITION,
)
CHECKPOINT = Checkpoint(
    source=SOURCE,
    log_id="log-1",
    offset=Offset(4711),
    cut=CutNumber(12),
    source_time=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    digest=Digest(2**256 - 1),
    paused=True,
    datasource="wiki",
)
GAP = Gap(
    key="wiki_9",
    datasource="wiki",
    reason="object_missing",
    detail="wiki/9/index.zip",
    opened=Offset(40),
)


RENAMED = Renamed(
    datasource="wiki_then",
    original="wiki",
    offset=Offset(40),
    cut=CutNumber(3),
    source_time=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
)


class SetClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 6, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self.time += timedelta(milliseconds=5)
        return self.time


@dataclass(frozen=True, kw_only=True)
class Store:
    """One cluster's metadata store, as its own Druid, as a source and as a target."""

    put: Callable[..., Awaitable[None]]
    source: WatchedReader
    target: MetadataWriter


OpenStore = Callable[[str], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def memory_store(layout: str) -> AsyncIterator[Store]:
    tables = DRUID_25 if layout == "druid-25" else ALL_COLUMNS
    metadata = MemoryMetadata(SetClock(), tables=tables, chunk_rows=CHUNK_ROWS)

    async def put_rows(*rows: Row) -> None:
        metadata.rows.update({key_of(row): row for row in rows})

    yield Store(put=put_rows, source=metadata.as_source(), target=metadata)


@pytest.fixture(
    params=[
        "memory",
        pytest.param("postgresql", marks=pytest.mark.real),
        pytest.param("mariadb", marks=pytest.mark.real),
    ]
)
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    if request.param == "memory":
        return memory_store
    if request.param == "mariadb":
        return mariadb_store_of(request.getfixturevalue("mariadb"))
    postgresql: Postgresql = request.getfixturevalue("postgresql")

    @asynccontextmanager
    async def postgresql_store(layout: str) -> AsyncIterator[Store]:
        async with postgresql.database(layout) as dsn:
            yield Store(
                put=lambda *rows: put(dsn, *rows),
                source=PostgresqlMetadataReader(dsn, chunk_rows=CHUNK_ROWS),
                target=PostgresqlMetadataWriter(dsn, chunk_rows=CHUNK_ROWS),
            )

    return postgresql_store


def mariadb_store_of(mariadb: Mariadb) -> OpenStore:
    @asynccontextmanager
    async def mariadb_store(layout: str) -> AsyncIterator[Store]:
        async with mariadb.database(layout) as dsn:
            yield Store(
                put=lambda *rows: of_mariadb.put(dsn, *rows),
                source=MysqlMetadataReader(dsn, chunk_rows=CHUNK_ROWS),
                target=MysqlMetadataWriter(dsn, chunk_rows=CHUNK_ROWS),
            )

    return mariadb_store


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[Store]:
    """A store with every table and every column that this release knows."""
    async with open_store("druid-37-centralized") as opened:
        yield opened


@pytest.fixture
async def old_store(open_store: OpenStore) -> AsyncIterator[Store]:
    """A store as Druid 25 makes it."""
    async with open_store("druid-25") as opened:
        yield opened


async def chunks_of(
    snapshot: Snapshot, kind: Kind, datasources: Sequence[str] | None = None
) -> list[Chunk]:
    chunks: list[Chunk] = []
    await snapshot.scan(kind, chunks.append, datasources=datasources)
    return chunks


async def rows_of(reader: MetadataReader) -> dict[RowKey, Row]:
    found: dict[RowKey, Row] = {}
    async with reader.snapshot() as snapshot:
        for kind in snapshot.kinds:
            for chunk in await chunks_of(snapshot, kind):
                rows = await snapshot.fetch(kind, chunk.handles)
                found.update({key_of(row): row for row in rows})
    return found


async def marks_of(reader: MetadataReader) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    async with reader.snapshot() as snapshot:
        for kind in snapshot.kinds:
            for chunk in await chunks_of(snapshot, kind):
                found.update(zip(items(chunk.keys), items(chunk.marks), strict=True))
    return found


async def write(store: Store, *rows: Row) -> None:
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.upsert(rows)


async def remove(store: Store, *keys: RowKey) -> None:
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.remove(keys)


async def segment_after_writing(store: Store, existing: Segment, row: Segment) -> Segment:
    await store.put(existing)
    await write(store, row)
    found = (await rows_of(store.source))[key_of(row)]
    assert isinstance(found, Segment)
    return found


# -------------------------------------------------------------------------------- the read side


async def test_an_empty_store_has_all_tables_and_no_rows(store: Store):
    async with store.source.snapshot() as snapshot:
        assert snapshot.kinds == REPLICATED
        for kind in REPLICATED:
            assert await chunks_of(snapshot, kind) == []


async def test_a_store_of_an_old_release_has_fewer_tables(old_store: Store):
    async with old_store.source.snapshot() as snapshot:
        assert snapshot.kinds == {
            Kind.SEGMENT,
            Kind.COMMIT,
            Kind.SUPERVISOR,
            Kind.RULES,
            Kind.CONFIG,
        }


async def test_a_source_gives_rows_of_every_kind_as_they_are(store: Store):
    await store.put(*ONE_OF_EACH)
    assert await rows_of(store.source) == {key_of(row): row for row in ONE_OF_EACH}


async def test_every_kind_of_load_spec_has_a_sample(store: Store):
    specs = [
        b'{"type":"local","path":"/a"}',
        b'{"type":"local","path":"/b"}',
        b'{"bucket":"one","key":"a{}b","type":"s3_zip"}',
        b'{"type":"s3_zip","key":"a","bucket":"two"}',
        b'{ "type" : "c*" , "key":"\xc3\xbc\\\\" }',
        b'{"type":"tombstone"}',
        b"null",
        b'{"type":"local","path":"/a","rangeable":true}',
    ]
    rows = [
        replace(SEGMENT, id=f"wiki_{n}", payload=b'{"a":{"type":"x"},"loadSpec":' + spec + b"}")
        for n, spec in enumerate(specs)
    ]
    await store.put(*rows)
    source = cast(SourceReader, store.source)
    found = dict(await source.load_spec_samples())
    payloads = {row.id: row.payload for row in rows}
    assert found.items() <= payloads.items()
    assert {f"wiki_{n}" for n in (2, 3, 4, 5, 6, 7)} <= found.keys()
    assert found.keys() & {"wiki_0", "wiki_1"}


async def test_a_row_without_the_columns_of_later_releases_has_none_there(old_store: Store):
    row = replace(SEGMENT, used_status_last_updated=None)
    await old_store.put(row)
    assert await rows_of(old_store.source) == {key_of(row): row}
    assert await marks_of(old_store.source) == {key_hash(key_of(row)): fingerprint(row)}


async def test_a_scan_of_a_source_gives_the_fingerprints_of_whole_rows(store: Store):
    await store.put(*ONE_OF_EACH)
    assert await marks_of(store.source) == {
        key_hash(key_of(row)): fingerprint(row) for row in ONE_OF_EACH
    }


async def test_a_scan_visits_each_row_once_in_bounded_chunks(store: Store):
    for count in (1, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS):
        rows = [replace(SEGMENT, id=f"wiki_{number}") for number in range(count)]
        await store.put(*rows)
        async with store.source.snapshot() as snapshot:
            chunks = await chunks_of(snapshot, Kind.SEGMENT)
        assert all(0 < len(chunk.keys) <= CHUNK_ROWS for chunk in chunks)
        assert all(len(c.keys) == len(c.marks) == len(c.handles) for c in chunks)
        visited = [key for chunk in chunks for key in items(chunk.keys)]
        assert sorted(visited) == sorted(key_hash(key_of(row)) for row in rows)


async def test_handles_lead_back_to_the_rows_they_came_with(store: Store):
    rows = [replace(SEGMENT, id=f"wiki_{number}") for number in range(10)]
    await store.put(*rows)
    async with store.source.snapshot() as snapshot:
        chunks = await chunks_of(snapshot, Kind.SEGMENT)
        for chunk in chunks:
            for place, key in enumerate(items(chunk.keys)):
                (row,) = await snapshot.fetch(Kind.SEGMENT, chunk.handles[place : place + 1])
                assert key_hash(key_of(row)) == key
        together = np.concatenate([chunk.handles for chunk in chunks])
        assert len(await snapshot.fetch(Kind.SEGMENT, together[2:9])) == 7
        assert list(await snapshot.fetch(Kind.SEGMENT, together[:0])) == []


async def test_rows_are_read_by_their_size(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Few at a time where they are large, and one that is too large is named."""
    if isinstance(store.target, MemoryMetadata):
        return
    rows = [replace(CONFIG, name=f"row {number}", payload=b"x" * 600) for number in range(5)]
    await store.put(*rows)
    monkeypatch.setattr(refusals, "FETCHED_BYTES_MAX", 1500)
    at_once, found = list[int](), list[Row]()
    async with store.source.snapshot() as snapshot:
        chunks = await chunks_of(snapshot, Kind.CONFIG)
        handles = np.concatenate([chunk.handles for chunk in chunks])
        async for some in fetched(snapshot, Kind.CONFIG, handles):
            at_once.append(len(some))
            found += some
        assert max(at_once) == 2
        assert sorted(found, key=key_of) == rows
        monkeypatch.setattr(refusals, "FETCHED_BYTES_MAX", 500)
        monkeypatch.setattr(refusals, "ROW_BYTES_MAX", 500)
        with pytest.raises(ConfigError, match=r"row 'row \d' has 60\d bytes; at most 500 are read"):
            async for _ in fetched(snapshot, Kind.CONFIG, handles):
                pass


async def test_a_snapshot_does_not_see_what_changes_while_it_is_open(store: Store):
    gone = replace(SEGMENT, id="wiki_gone")
    await store.put(SEGMENT, gone, CONFIG)
    async with store.source.snapshot() as snapshot:
        await store.put(replace(SEGMENT, used=False), replace(SEGMENT, id="wiki_new"))
        await store.put(replace(CONFIG, payload=b"changed"), COMMIT)
        await remove(store, key_of(gone))
        found: list[Row] = []
        for kind in snapshot.kinds:
            for chunk in await chunks_of(snapshot, kind):
                found += await snapshot.fetch(kind, chunk.handles)
    assert {key_of(row): row for row in found} == {
        key_of(row): row for row in (SEGMENT, gone, CONFIG)
    }


async def test_a_snapshot_says_when_it_was_taken_by_the_databases_clock(store: Store):
    async with store.source.snapshot() as first:
        pass
    async with store.source.snapshot() as second:
        assert first.taken_at < second.taken_at
    assert first.taken_at.utcoffset() == timedelta(0)


async def test_a_scan_of_some_datasources_leaves_the_others_and_the_clusters_own_out(store: Store):
    others = (
        replace(SEGMENT, id="o", datasource="orders"),
        replace(COMMIT, datasource="or'ders"),
        replace(RULES, id="x", datasource="_default"),
    )
    await store.put(*ONE_OF_EACH, *others)
    for names in (["wiki"], ["wiki", "or'ders"], ["nobody"], []):
        found: set[bytes] = set()
        async with store.source.snapshot() as snapshot:
            for kind in snapshot.kinds:
                for chunk in await chunks_of(snapshot, kind, names):
                    found |= set(items(chunk.keys))
        wanted: list[Row] = []
        if "wiki" in names:
            wanted += [SEGMENT, COMMIT, RULES, SCHEMA, STATE]
        if "or'ders" in names:
            wanted += [others[1]]
        assert found == {key_hash(key_of(row)) for row in wanted}


async def test_only_the_newest_row_of_a_key_is_a_row(store: Store):
    """Supervisors by id, rules by version; Druid keeps all their former rows."""
    newest: tuple[Row, ...] = (
        replace(SUPERVISOR, id=10, payload=b"new"),
        replace(RULES, id="wiki_2027", version="2027-01-01T00:00:00.000Z", payload=b"[2]"),
    )
    await store.put(
        replace(SUPERVISOR, id=9), replace(RULES, id="z", version="2026-09-01T00:00:00.000Z")
    )
    await store.put(*newest)
    assert await rows_of(store.source) == {key_of(row): row for row in newest}


with_versions = pytest.mark.parametrize(
    "open_store", ["memory", pytest.param("postgresql", marks=pytest.mark.real)], indirect=True
)


async def versions_of(snapshot: Snapshot, kind: Kind) -> dict[int, int]:
    """Return the stamp at each place."""
    assert isinstance(snapshot.lineage, Lineage)
    found: list[Versions] = []
    await snapshot.versions(kind, found.append)
    assert all(0 < len(versions) <= CHUNK_ROWS for versions in found)
    return {
        place: stamp
        for versions in found
        for place, stamp in zip(versions.places.tolist(), versions.stamps.tolist(), strict=True)
    }


@with_versions
async def test_a_source_says_the_version_of_each_row_that_a_scan_visits(store: Store):
    rows = [replace(SEGMENT, id=f"row_{number}") for number in range(2 * CHUNK_ROWS + 1)]
    await store.put(*rows, *ONE_OF_EACH)
    async with store.source.snapshot() as snapshot:
        for kind in REPLICATED:
            scanned = [chunk.versions for chunk in await chunks_of(snapshot, kind)]
            told = await versions_of(snapshot, kind)
            assert told == {
                place: stamp
                for versions in scanned
                if versions is not None
                for place, stamp in zip(
                    versions.places.tolist(), versions.stamps.tolist(), strict=True
                )
            }
            assert len(told) == (len(rows) + 1 if kind is Kind.SEGMENT else 1)


@with_versions
async def test_rows_are_scanned_by_their_places(store: Store):
    rows = [replace(SEGMENT, id=f"wiki_{number}") for number in range(3 * CHUNK_ROWS)]
    await store.put(*rows, SUPERVISOR)
    async with store.source.snapshot() as snapshot:
        (chunk, *_) = await chunks_of(snapshot, Kind.SEGMENT)
        assert chunk.versions is not None
        found: list[Chunk] = []
        places = chunk.versions.places[1:3]
        await snapshot.scan(Kind.SEGMENT, found.append, places=places)
        assert sum(len(one.keys) for one in found) == 2
        assert {key for one in found for key in items(one.keys)} == set(items(chunk.keys[1:3]))
        assert {mark for one in found for mark in items(one.marks)} == set(items(chunk.marks[1:3]))
        (row,) = await snapshot.fetch(Kind.SEGMENT, found[0].handles[:1])
        assert key_hash(key_of(row)) == next(items(found[0].keys))
        every = np.array(list(await versions_of(snapshot, Kind.SEGMENT)), np.uint64)
        found.clear()
        await snapshot.scan(Kind.SEGMENT, found.append, places=every)
        assert sum(len(one.keys) for one in found) == len(rows)
        found.clear()
        await snapshot.scan(Kind.SEGMENT, found.append, places=every[:0])
        assert found == []


@with_versions
async def test_a_version_stays_for_as_long_as_its_row_does(store: Store):
    """What was written since has a stamp that no transaction before the snapshot can have had."""
    others = [replace(SEGMENT, id=f"row_{number}") for number in range(5)]
    await store.put(*others, SEGMENT)
    async with store.source.snapshot() as before:
        first, lineage = await versions_of(before, Kind.SEGMENT), before.lineage
    await store.put(replace(SEGMENT, payload=b"{}"))
    async with store.source.snapshot() as after:
        second = await versions_of(after, Kind.SEGMENT)
        assert isinstance(lineage, Lineage)
        assert isinstance(after.lineage, Lineage)
        assert broken(lineage, after.lineage) is None
        ((place, stamp),) = second.items() - first.items()
        assert len(second.items() & first.items()) == 5
        new = new_stamps(lineage, after.lineage)
        assert new.holds(np.array([stamp], np.uint32)).all()
        assert not new.holds(np.array([first[place] for place in first], np.uint32)).any()
        found: list[Chunk] = []
        await after.scan(Kind.SEGMENT, found.append, places=np.array([place], np.uint64))
        assert [*items(found[0].keys)] == [key_hash(key_of(SEGMENT))]


@with_versions
async def test_only_the_newest_row_of_a_key_has_a_version(store: Store):
    await store.put(SUPERVISOR, replace(SUPERVISOR, id=9, payload=b"newer"))
    async with store.source.snapshot() as snapshot:
        places = list(await versions_of(snapshot, Kind.SUPERVISOR))
        found: list[Chunk] = []
        await snapshot.scan(
            Kind.SUPERVISOR, found.append, places=np.array([*places, 1 << 40], np.uint64)
        )
        (row,) = await snapshot.fetch(Kind.SUPERVISOR, found[0].handles)
        assert isinstance(row, Supervisor)
        assert (len(places), row.id) == (1, 9)


@pytest.mark.parametrize(
    "open_store", [pytest.param("mariadb", marks=pytest.mark.real)], indirect=True
)
async def test_a_source_without_versions_says_why(store: Store):
    await store.put(SEGMENT)
    async with store.source.snapshot() as snapshot:
        assert snapshot.lineage == NoVersions("the server keeps no binary log: log_bin is OFF")
        assert [chunk.versions for chunk in await chunks_of(snapshot, Kind.SEGMENT)] == [None]
        with pytest.raises(TypeError, match="no lineage"):
            await snapshot.versions(Kind.SEGMENT, lambda versions: None)


async def test_a_target_has_no_versions(store: Store):
    """Nobody asks for them: its rows are compared by what they are mapped to."""
    async with store.target.snapshot() as snapshot:
        assert isinstance(snapshot.lineage, NoVersions)
        assert all(chunk.versions is None for chunk in await chunks_of(snapshot, Kind.SEGMENT))


# ------------------------------------------------------------------------------ the target's rows


async def test_written_rows_are_there_with_the_columns_that_a_target_owns_made_anew(store: Store):
    await write(store, *ONE_OF_EACH)
    rows = await rows_of(store.source)
    columns = await store.target.columns()
    assert rows.keys() == {key_of(row) for row in ONE_OF_EACH}
    for row in ONE_OF_EACH:
        kind = key_of(row).kind
        there = rows[key_of(row)]
        assert fingerprint(there, columns=columns[kind]) == fingerprint(row, columns=columns[kind])
        for name in TABLES[kind].target_owned:
            assert getattr(there, name) != getattr(row, name)


async def test_a_targets_scan_says_of_written_rows_what_their_carriage_says(store: Store):
    """So that a comparison right after a write is empty, and stays so when timestamps move."""
    await write(store, *ONE_OF_EACH)
    columns = await store.target.columns()
    assert await marks_of(store.target) == {
        key_hash(key_of(row)): fingerprint(row, columns=columns[key_of(row).kind])
        for row in ONE_OF_EACH
    }


async def test_the_compared_columns_are_the_tables_less_the_targets_own(
    store: Store, old_store: Store
):
    columns = await store.target.columns()
    assert columns.keys() == REPLICATED
    assert columns[Kind.SUPERVISOR] == {"spec_id", "payload"}
    assert columns[Kind.RULES] == {"datasource", "payload"}
    assert columns[Kind.SEGMENT_SCHEMA] == {
        *("created_date", "datasource", "fingerprint", "payload", "used", "version")
    }
    old = await old_store.target.columns()
    assert Kind.SEGMENT_SCHEMA not in old
    assert columns[Kind.SEGMENT] - old[Kind.SEGMENT] == {
        "upgraded_from_segment_id",
        "indexing_state_fingerprint",
        "schema_fingerprint",
        "num_rows",
    }


async def test_writing_the_same_again_changes_nothing(store: Store):
    await write(store, *ONE_OF_EACH)
    before = await rows_of(store.source)
    await write(store, *ONE_OF_EACH)
    assert await rows_of(store.source) == before


async def test_the_last_word_on_a_key_counts(store: Store):
    await write(store, CONFIG, replace(CONFIG, payload=b"2"), SUPERVISOR, CONFIG)
    assert (await rows_of(store.source))[key_of(CONFIG)] == CONFIG


CHANGES: Sequence[Row] = (
    replace(SEGMENT, used=False),
    replace(SEGMENT, payload=b"moved"),
    replace(SEGMENT, num_rows=12),
    replace(SEGMENT, upgraded_from_segment_id="wiki_0"),
    replace(COMMIT, commit_metadata_payload=b"bar", commit_metadata_sha1="62CD"),
    replace(SUPERVISOR, payload=b"2"),
    replace(RULES, payload=b"[2]"),
    replace(CONFIG, payload=b""),
    replace(SCHEMA, used=False),
    replace(STATE, pending=True),
    replace(DEFINITION, properties=b"{}"),
    replace(DEFINITION, columns=b"[]", updatetime=1767323045679),
    replace(DEFINITION, state="D"),
)


async def test_a_changed_column_is_written_and_seen(store: Store):
    await write(store, *ONE_OF_EACH)
    columns = await store.target.columns()
    before = await marks_of(store.target)
    for changed in CHANGES:
        await write(store, changed)
        after = await marks_of(store.target)
        key = key_hash(key_of(changed))
        assert {one for one in after if before[one] != after[one]} == {key}, changed
        assert after[key] == fingerprint(changed, columns=columns[key_of(changed).kind]), changed
        await write(store, *ONE_OF_EACH)


async def test_a_value_that_is_gone_is_gone_in_the_target(store: Store):
    await write(store, replace(SEGMENT, num_rows=12, schema_fingerprint="E394"))
    await write(store, SEGMENT)
    there = (await rows_of(store.source))[key_of(SEGMENT)]
    assert isinstance(there, Segment)
    assert (there.num_rows, there.schema_fingerprint) == (None, None)


async def test_used_status_moves_on_from_a_future_one_by_a_millisecond(store: Store):
    """Druid's segment cache ignores a row whose timestamp does not move forward."""
    for existing, written in (
        ("2999-01-01T00:00:00.000Z", "2999-01-01T00:00:00.001Z"),
        ("2999-02-28T23:59:59.999Z", "2999-03-01T00:00:00.000Z"),
        ("2996-02-29T23:59:59.999Z", "2996-03-01T00:00:00.000Z"),
        ("2999-02-30T00:00:00.000Z", "2999-03-02T00:00:00.001Z"),
    ):
        there = await segment_after_writing(
            store,
            replace(SEGMENT, used_status_last_updated=existing),
            replace(SEGMENT, used=False),
        )
        assert there.used_status_last_updated == written


async def test_used_status_becomes_the_targets_now_else(store: Store):
    for existing in (
        "2026-01-01T00:00:00.000Z", "2999-01-01", "yesterday", "", "2999-13-01T00:00:00.000Z",
    ):  # fmt: skip
        async with store.source.snapshot() as before:
            pass
        there = await segment_after_writing(
            store,
            replace(SEGMENT, used_status_last_updated=existing),
            replace(SEGMENT, used=False),
        )
        async with store.source.snapshot() as after:
            pass
        assert there.used_status_last_updated is not None
        written = datetime.fromisoformat(there.used_status_last_updated)
        assert before.taken_at - timedelta(milliseconds=1) < written <= after.taken_at, existing
        assert len(there.used_status_last_updated) == len("2026-01-01T00:00:00.000Z")


async def test_a_store_tells_whose_target_it_is_until_it_is_promoted(store: Store):
    assert not await store.source.followed()
    state = await store.target.acquire(SOURCE)
    assert not await store.source.followed(), "nothing was applied"
    for promoted in (False, True):
        async with store.target.transaction(SOURCE, state.epoch) as transaction:
            await transaction.record(replace(CHECKPOINT, promoted=promoted), [])
        assert [*await store.source.followed()] == ([] if promoted else [SOURCE])


async def test_timestamps_move_on_within_one_transaction_too(store: Store):
    """It reads the clock once, so a second change of a row meets its own timestamp."""
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.record(CHECKPOINT, [])
        await transaction.upsert([SEGMENT, RULES])
        await transaction.upsert([replace(SEGMENT, payload=b"2"), replace(RULES, payload=b"2")])
    rows = await rows_of(store.source)
    segment, rules = rows[key_of(SEGMENT)], rows[key_of(RULES)]
    now = (await store.target.state(SOURCE)).applied_at
    assert isinstance(segment, Segment)
    assert isinstance(rules, Rules)
    assert now is not None
    assert segment.payload == rules.payload == b"2"
    assert segment.used_status_last_updated == rules.version
    moved = datetime.fromisoformat(rules.version) - now
    assert timedelta(0) < moved <= timedelta(milliseconds=1)


async def test_a_row_that_is_already_so_keeps_its_used_status(store: Store):
    await store.put(replace(SEGMENT, used_status_last_updated="2020-01-01T00:00:00.000Z"))
    there = await segment_after_writing(
        store,
        replace(SEGMENT, used_status_last_updated="2020-01-01T00:00:00.000Z"),
        replace(SEGMENT, used_status_last_updated="2030-01-01T00:00:00.000Z"),
    )
    assert there.used_status_last_updated == "2020-01-01T00:00:00.000Z"


async def test_rules_get_a_version_larger_than_all_before(store: Store):
    """Druid takes the rules with the largest version."""
    await store.put(replace(RULES, id="f", version="2999-12-31T23:59:59.998Z"))
    await write(store, replace(RULES, payload=b"[1]"))
    (row,) = (await rows_of(store.source)).values()
    assert row == Rules(
        datasource="wiki",
        id="wiki_2999-12-31T23:59:59.999Z",
        version="2999-12-31T23:59:59.999Z",
        payload=b"[1]",
    )


async def test_supervisors_get_the_next_id_of_the_target(store: Store):
    await write(store, replace(SUPERVISOR, id=900))
    first = (await rows_of(store.source))[key_of(SUPERVISOR)]
    await write(store, replace(SUPERVISOR, id=5, payload=b"2"))
    second = (await rows_of(store.source))[key_of(SUPERVISOR)]
    assert isinstance(first, Supervisor)
    assert isinstance(second, Supervisor)
    assert first.id < second.id < 900
    assert second.payload == b"2"


async def test_a_row_can_go_back_to_what_it_was_before(store: Store):
    """A restore does so; the former row of an append-only table must not count."""
    for payload in (b"1", b"2", b"1"):
        await write(store, replace(SUPERVISOR, payload=payload), replace(RULES, payload=payload))
    rows = await rows_of(store.source)
    assert {getattr(row, "payload") for row in rows.values()} == {b"1"}  # noqa: B009


async def test_columns_that_the_target_does_not_have_are_left_out(old_store: Store):
    await write(old_store, replace(SEGMENT, num_rows=5, schema_fingerprint="E394"))
    assert (await rows_of(old_store.source)) == {
        key_of(SEGMENT): replace(SEGMENT, used_status_last_updated=None)
    }


async def test_an_unknown_column_with_a_value_is_refused_by_name(store: Store):
    with pytest.raises(ConfigError, match=r'segments"? has no column "colour".*wiki_1'):
        await write(store, CONFIG, replace(SEGMENT, extras={"colour": "red"}))
    assert await rows_of(store.source) == {}


async def test_a_row_of_a_table_that_the_target_does_not_have_is_refused(old_store: Store):
    with pytest.raises(ConfigError, match="segmentschemas"):
        await write(old_store, SCHEMA)


async def test_many_rows_and_large_payloads_are_written_whole(store: Store):
    rows = [replace(SEGMENT, id=f"wiki_{n}", payload=b"%d" % n) for n in range(2345)]
    rows += [replace(SEGMENT, id=f"large_{n}", payload=bytes(3 << 20)) for n in range(3)]
    written: list[Row] = [*rows, CONFIG]
    await write(store, *written)
    columns = await store.target.columns()
    assert await marks_of(store.target) == {
        key_hash(key_of(row)): fingerprint(row, columns=columns[key_of(row).kind])
        for row in written
    }


async def test_nothing_to_write_is_fine(store: Store):
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.upsert([])
        await transaction.remove([])
        await transaction.remove_hashed(Kind.SEGMENT, np.empty(0, KEY))
    assert await rows_of(store.source) == {}


# ------------------------------------------------------------------------------------ removing


async def test_removed_rows_are_gone_with_all_their_former_rows(store: Store):
    kept = replace(SEGMENT, id="kept")
    await write(store, *ONE_OF_EACH, kept)
    await write(store, replace(SUPERVISOR, payload=b"2"), replace(RULES, payload=b"2"))
    await remove(store, *(key_of(row) for row in ONE_OF_EACH))
    assert (await rows_of(store.source)).keys() == {key_of(kept)}


async def test_removing_what_is_not_there_is_no_error(store: Store, old_store: Store):
    await remove(store, key_of(SEGMENT), key_of(CONFIG))
    await remove(old_store, key_of(SCHEMA))


async def test_definitions_of_one_name_in_two_schemas_are_two_rows(store: Store):
    """The catalog's key is of two columns; `druid.a` of the schema `x` is not `a` of `x.druid`."""
    others = [replace(DEFINITION, schemaname="lookup"), replace(DEFINITION, name="lookup.wiki")]
    await write(store, DEFINITION, *others)
    await write(store, replace(others[0], columns=b"[1]"), replace(others[1], properties=b"[2]"))
    await remove(store, key_of(DEFINITION))
    assert await rows_of(store.source) == {
        RowKey(Kind.TABLE_DEFINITION, "lookup.wiki"): replace(others[0], columns=b"[1]"),
        RowKey(Kind.TABLE_DEFINITION, "druid.lookup.wiki"): replace(others[1], properties=b"[2]"),
    }


async def test_rows_are_removed_by_their_key_hash_alone(store: Store):
    others = [replace(SEGMENT, id=f"wiki_{n}") for n in range(2, 9)]
    await write(store, *ONE_OF_EACH, *others)
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        gone = [SEGMENT, *others[:3], replace(SEGMENT, id="never")]
        keys = np.array([key_hash(key_of(row)) for row in gone], KEY)
        await transaction.remove_hashed(Kind.SEGMENT, keys)
        await transaction.remove_hashed(
            Kind.SUPERVISOR, np.array([key_hash(key_of(SUPERVISOR))], KEY)
        )
        # a hash belongs to a kind: the same one of another kind removes nothing
        await transaction.remove_hashed(Kind.CONFIG, np.array([key_hash(key_of(COMMIT))], KEY))
    left: list[Row] = [COMMIT, RULES, CONFIG, SCHEMA, STATE, DEFINITION, *others[3:]]
    assert (await rows_of(store.source)).keys() == set(map(key_of, left))


async def test_a_removed_row_can_be_written_again_in_the_same_transaction(store: Store):
    await write(store, *ONE_OF_EACH)
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.remove([key_of(row) for row in ONE_OF_EACH])
        await transaction.upsert(ONE_OF_EACH)
    assert (await rows_of(store.source)).keys() == {key_of(row) for row in ONE_OF_EACH}


# -------------------------------------------------------------- checkpoint, gaps and the writer


async def test_a_target_that_nobody_wrote_to_has_no_checkpoint_and_no_gaps(store: Store):
    nothing = TargetState(checkpoint=None, epoch=Epoch(0), applied_at=None)
    assert await store.target.state(SOURCE) == nothing
    assert list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)) == []
    await store.target.acquire("another")
    assert await store.target.state(SOURCE) == nothing


async def test_every_acquire_gives_a_larger_epoch_and_keeps_the_checkpoint(store: Store):
    first = await store.target.acquire(SOURCE)
    assert first.checkpoint is None
    async with store.target.transaction(SOURCE, first.epoch) as transaction:
        await transaction.record(CHECKPOINT, [])
    second = await store.target.acquire(SOURCE)
    assert second.epoch > first.epoch
    assert second.checkpoint == CHECKPOINT
    assert await store.target.state(SOURCE) == second


async def test_the_first_store_that_is_said_stays_and_another_takes_no_epoch(store: Store):
    unsaid = await store.target.acquire(SOURCE)
    first = await store.target.acquire(SOURCE, store="here")
    async with store.target.transaction(SOURCE, first.epoch) as transaction:
        await transaction.record(CHECKPOINT, [GAP])
    with pytest.raises(RefusedError, match="another store than there"):
        await store.target.acquire(SOURCE, store="there")
    state = await store.target.state(SOURCE)
    assert (unsaid.store, first.store, state.store) == (None, "here", "here")
    assert (state.epoch, state.checkpoint) == (first.epoch, CHECKPOINT)
    for said in (None, "here"):
        again = await store.target.acquire(SOURCE, store=said)
        assert (again.store, again.checkpoint) == ("here", CHECKPOINT)


async def test_another_store_that_is_taken_anew_forgets_what_was_reached_with_the_first(
    store: Store,
):
    first = await store.target.acquire(SOURCE, store="here")
    async with store.target.transaction(SOURCE, first.epoch) as transaction:
        await transaction.record(CHECKPOINT, [GAP])
    same = await store.target.acquire(SOURCE, store="here", anew=True)
    assert (same.checkpoint, same.store) == (CHECKPOINT, "here")

    anew = await store.target.acquire(SOURCE, store="there", anew=True)

    assert (anew.checkpoint, anew.store) == (None, "there")
    assert anew.epoch > same.epoch
    assert await store.target.state(SOURCE) == anew
    assert list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)) == []
    async with store.target.transaction(SOURCE, anew.epoch) as transaction:
        await transaction.record(CHECKPOINT, [])
    assert list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)) == []


async def test_of_two_stores_that_are_said_at_once_one_is_taken(store: Store):
    said = [f"store-{number}" for number in range(6)]

    async def acquired(name: str) -> str | None:
        try:
            return (await store.target.acquire(SOURCE, store=name)).store
        except RefusedError:
            return None

    async with TaskGroup() as group:
        asked = [group.create_task(acquired(name)) for name in said]
    taken = {one.result() for one in asked} - {None}
    assert taken == {(await store.target.state(SOURCE)).store}


@pytest.mark.parametrize(
    "checkpoint",
    [CHECKPOINT, replace(CHECKPOINT, paused=False, datasource=None, digest=Digest(0))],
)
async def test_a_recorded_checkpoint_is_read_as_it_was(store: Store, checkpoint: Checkpoint):
    async with store.source.snapshot() as before:
        pass
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.record(checkpoint, [])
    now = await store.target.state(SOURCE)
    assert now.checkpoint == checkpoint
    assert now.epoch == state.epoch
    assert now.applied_at is not None
    assert before.taken_at < now.applied_at


async def test_two_sources_of_one_target_have_each_their_own(store: Store):
    east, west = await store.target.acquire(SOURCE), await store.target.acquire("west")
    async with store.target.transaction("west", west.epoch) as transaction:
        await transaction.record(replace(CHECKPOINT, source="west"), [GAP])
    async with store.target.transaction(SOURCE, east.epoch):
        pass
    assert (await store.target.state(SOURCE)).checkpoint is None
    assert list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)) == []
    assert list(await store.target.gaps("west", CHECKPOINT.log_id)) == [GAP]


async def test_gaps_are_opened_and_closed_and_never_forgotten(store: Store):
    again = replace(GAP, opened=Offset(50), reason="malformed_row", detail="it's new")
    other = replace(GAP, key="wiki_1")
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.record(CHECKPOINT, [again, GAP])
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.record(CHECKPOINT, [replace(GAP, closed=Offset(60)), other])
    assert list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)) == [
        other,
        replace(GAP, closed=Offset(60)),
        again,
    ]


async def test_rows_of_ours_that_are_larger_than_any_are_not_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    """Compressed in the target's database, a few of them filled the memory of all targets."""
    if isinstance(store.target, MemoryMetadata):
        return
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.record(CHECKPOINT, [GAP])
    monkeypatch.setattr(kept_rows, "OWN_BYTES_MAX", 10)
    with pytest.raises(CorruptionError, match="at most 10 are read"):
        await store.target.gaps(SOURCE, CHECKPOINT.log_id)
    with pytest.raises(CorruptionError, match="at most 10 are read"):
        await store.target.state(SOURCE)
    with pytest.raises(CorruptionError, match="at most 10 are read"):
        await store.target.acquire(SOURCE)
    assert list(await store.target.renamed(SOURCE)) == []
    # a row takes more here than its few bytes there
    monkeypatch.setattr(kept_rows, "OWN_BYTES_MAX", kept_rows.ROW_BYTES)
    with pytest.raises(CorruptionError, match="are read"):
        await store.target.gaps(SOURCE, CHECKPOINT.log_id)


async def test_rows_that_do_not_fit_are_undone_alone(store: Store):
    """Of a statement that fails nothing stays, and the transaction goes on without it."""
    long = replace(SEGMENT, id="x" * 300)
    if isinstance(store.target, MemoryMetadata):
        store.target.unfit = lambda row: row == long
    gap = replace(GAP, key=long.id, reason="row_unfit")
    some: tuple[list[Row], ...] = ([SEGMENT, long, RULES], [long])
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.upsert([CONFIG])
        for rows in some:
            with pytest.raises(UnfitRowError) as refused:
                async with transaction.savepoint():
                    await transaction.upsert(rows)
            assert refused.value.hint
        async with transaction.savepoint():
            await transaction.upsert([COMMIT])
        await transaction.remove([key_of(long)])
        await transaction.record(CHECKPOINT, [gap])
    assert (await rows_of(store.source)).keys() == {key_of(CONFIG), key_of(COMMIT)}
    assert list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)) == [gap]


async def test_a_gap_of_a_row_with_a_nul_is_remembered(store: Store):
    """Of all things that a text of MySQL can hold this is the one that PostgreSQL cannot."""
    key = "wiki\0\x10"
    gap = replace(GAP, key=key, datasource="wi\0ki", detail="\x100")
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.remove([RowKey(Kind.SEGMENT, key), RowKey(Kind.RULES, key)])
        await transaction.record(CHECKPOINT, [gap])
        await transaction.record(CHECKPOINT, [replace(gap, closed=Offset(60))])
    found = list(await store.target.gaps(SOURCE, CHECKPOINT.log_id))
    assert found == [replace(gap, closed=Offset(60))]


async def test_a_gap_of_a_row_whose_key_no_index_takes_is_remembered(store: Store):
    """A text of the source can be longer than any key of an index, and a datasource, too."""
    keys = ["\u4e00\x10" * 3000, "\u4e00\x10" * 3000 + "x"]
    gaps = [replace(GAP, key=key, datasource="d" * 70_000) for key in keys]
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.record(CHECKPOINT, gaps)
        await transaction.record(CHECKPOINT, [replace(gaps[0], closed=Offset(60))])
    found = {gap.key: gap for gap in await store.target.gaps(SOURCE, CHECKPOINT.log_id)}
    assert found == {keys[0]: replace(gaps[0], closed=Offset(60)), keys[1]: gaps[1]}


async def test_gaps_of_another_log_are_forgotten_when_its_successor_is_recorded(store: Store):
    """Their offsets would be read as those of other events."""
    state, west = await store.target.acquire(SOURCE), await store.target.acquire("west")
    async with store.target.transaction("west", west.epoch) as transaction:
        await transaction.record(replace(CHECKPOINT, source="west"), [GAP])
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.record(CHECKPOINT, [GAP])
    assert list(await store.target.gaps(SOURCE, "log-2")) == []
    other = replace(GAP, key="wiki_1")
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.record(replace(CHECKPOINT, log_id="log-2"), [other])
    assert list(await store.target.gaps(SOURCE, "log-2")) == [other]
    assert list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)) == []
    assert list(await store.target.gaps("west", CHECKPOINT.log_id)) == [GAP]


async def test_renamed_datasources_are_remembered_for_each_source(store: Store):
    assert list(await store.target.renamed(SOURCE)) == []
    state, west = await store.target.acquire(SOURCE), await store.target.acquire("west")
    other = replace(RENAMED, datasource="a wiki")
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.note_renamed(RENAMED)
        await transaction.note_renamed(other)
    async with store.target.transaction("west", west.epoch) as transaction:
        await transaction.forget_renamed(RENAMED.datasource)
    assert list(await store.target.renamed(SOURCE)) == [other, RENAMED]
    assert list(await store.target.renamed("west")) == []
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.forget_renamed(RENAMED.datasource)
        await transaction.forget_renamed("unknown")
    assert list(await store.target.renamed(SOURCE)) == [other]


async def test_a_renamed_datasource_that_is_there_is_refused_and_nothing_is_written(store: Store):
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.note_renamed(RENAMED)

    async def note_again() -> None:
        async with store.target.transaction(SOURCE, state.epoch) as transaction:
            await transaction.record(CHECKPOINT, [GAP])
            await transaction.note_renamed(replace(RENAMED, offset=Offset(5)))

    with pytest.raises(RefusedError):
        await note_again()
    assert list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)) == []
    assert list(await store.target.renamed(SOURCE)) == [RENAMED]


# ----------------------------------------------------------------------- atomicity and fencing


class BrokenError(Exception):
    pass


async def change_everything(store: Store, epoch: Epoch, then: Callable[[], Awaitable[object]]):
    async with store.target.transaction(SOURCE, epoch) as transaction:
        await transaction.upsert(
            [replace(SEGMENT, used=False), replace(RULES, payload=b"x"), STATE]
        )
        await transaction.remove([key_of(CONFIG)])
        await transaction.record(replace(CHECKPOINT, offset=Offset(9999)), [GAP])
        await then()


async def everything(store: Store) -> tuple[Mapping[RowKey, Row], TargetState, Sequence[Gap]]:
    state = await store.target.state(SOURCE)
    return (
        await rows_of(store.source),
        state,
        list(await store.target.gaps(SOURCE, CHECKPOINT.log_id)),
    )


async def prepared(store: Store) -> Epoch:
    state = await store.target.acquire(SOURCE)
    async with store.target.transaction(SOURCE, state.epoch) as transaction:
        await transaction.upsert([SEGMENT, RULES, CONFIG])
        await transaction.record(CHECKPOINT, [])
    return state.epoch


async def test_a_transaction_that_fails_leaves_nothing(store: Store):
    epoch = await prepared(store)
    before = await everything(store)

    async def fail() -> None:
        raise BrokenError

    with pytest.raises(BrokenError):
        await change_everything(store, epoch, fail)
    assert await everything(store) == before


async def test_a_cancelled_transaction_leaves_nothing(store: Store):
    epoch = await prepared(store)
    before = await everything(store)
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(change_everything(store, epoch, hang))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await everything(store) == before


async def test_nothing_is_visible_before_the_end_and_all_of_it_after(store: Store):
    epoch = await prepared(store)
    before = await everything(store)

    async def look() -> None:
        assert await everything(store) == before

    await change_everything(store, epoch, look)
    rows, state, gaps = await everything(store)
    assert rows.keys() == {key_of(SEGMENT), key_of(RULES), key_of(STATE)}
    assert state.checkpoint == replace(CHECKPOINT, offset=Offset(9999))
    assert gaps == [GAP]


async def test_a_transaction_of_an_older_epoch_is_fenced_on_entry(store: Store):
    epoch = await prepared(store)
    await store.target.acquire(SOURCE)
    before = await everything(store)
    with pytest.raises(FencedError):
        await change_everything(store, epoch, lambda: asyncio.sleep(0))
    assert await everything(store) == before


async def test_nobody_writes_without_having_acquired(store: Store):
    await store.target.acquire("another")
    with pytest.raises(FencedError):
        await change_everything(store, Epoch(0), lambda: asyncio.sleep(0))
    assert await rows_of(store.source) == {}


async def test_after_acquire_returns_no_older_transaction_commits(store: Store):
    """Either the older one committed before, and the newer one sees its checkpoint, or never."""
    epoch = await prepared(store)
    acquiring: list[asyncio.Task[TargetState]] = []

    async def take_over() -> None:
        acquiring.append(asyncio.create_task(store.target.acquire(SOURCE)))
        # as far as it gets while the older transaction is open
        await asyncio.wait(acquiring, timeout=0.2)

    try:
        await change_everything(store, epoch, take_over)
    except FencedError:
        committed = False
    else:
        committed = True
    state = await acquiring[0]
    assert state.epoch > epoch
    assert state.checkpoint == replace(CHECKPOINT, offset=Offset(9999 if committed else 4711))
    assert await store.target.state(SOURCE) == state


async def test_a_writer_that_is_overtaken_before_it_wrote_anything_does_not_commit_late(
    store: Store,
):
    """The epoch is held from the first statement on, not only from the first change on."""
    epoch = await prepared(store)
    acquiring: list[asyncio.Task[TargetState]] = []
    try:
        async with store.target.transaction(SOURCE, epoch) as transaction:
            acquiring.append(asyncio.create_task(store.target.acquire(SOURCE)))
            await asyncio.wait(acquiring, timeout=0.2)
            await transaction.record(replace(CHECKPOINT, offset=Offset(9999)), [])
    except FencedError:
        committed = False
    else:
        committed = True
    state = await acquiring[0]
    assert state.checkpoint == replace(CHECKPOINT, offset=Offset(9999 if committed else 4711))
