"""Druid's metadata store on PostgreSQL, as a target: rows and checkpoint in one transaction.

The role needs SELECT, INSERT, UPDATE and DELETE on Druid's tables, USAGE on the sequences of
`druid_supervisors` and `druid_segmentSchemas`, and CREATE on the schema until the replicator's own
tables exist.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final, Unpack

import asyncpg

from replicator.adapters import refusals
from replicator.adapters.kept_rows import (
    GAP_COLUMNS,
    gaps_of,
    refuse_large,
    renamed_of,
    require_written,
    sound,
    state_of,
)
from replicator.adapters.postgresql import druid_tables
from replicator.adapters.postgresql.own_rows import can_hold, gap_values, read_gap
from replicator.adapters.postgresql.reader import CHUNK_ROWS
from replicator.adapters.postgresql.session import (
    Database,
    Options,
    PostgresqlSession,
    connect,
    discover,
)
from replicator.adapters.postgresql.sql import (
    Shape,
    become_writer_sql,
    bounded_sql,
    checkpoint_table_sql,
    forget_renamed_sql,
    gap_table_sql,
    gaps_sql,
    note_renamed_sql,
    patient_sql,
    quoted,
    record_checkpoint_sql,
    record_gaps_sql,
    relation,
    remove_hashed_sql,
    remove_sql,
    renamed_table_sql,
    renew_checkpoints_sql,
    renew_gaps_sql,
    upsert_sql,
)
from replicator.errors import RefusedError, TransientError, UnfitRowError
from replicator.model.batches import batches, by_kind, slices
from replicator.model.checkpoint import FORMER_PAUSED, Checkpoint, Gap, TargetState
from replicator.model.event import Epoch
from replicator.model.fingerprint import hex_digest
from replicator.model.row import KIND_OF, TABLES, Kind, Row, RowKey, key_of
from replicator.model.timestamps import iso_ms
from replicator.ports import Obstacle, Snapshot, Transaction

if TYPE_CHECKING:
    from replicator.model.inventory.ledger import Keys
    from replicator.model.log.renaming import Renamed

# Verbs that change nothing, like `status`, do not import what only a change or its trial needs.

BATCH_ROWS: Final = 250
BATCH_BYTES: Final = 64 << 10
"""Limit for the bytes of payloads in one statement; a larger payload is sent alone.

Many small statements are faster than few large ones: the next one is encoded while the server
works, and asyncpg's buffers grow by a kilobyte at a time once they are large.
"""
BATCH_GAPS: Final = 1000
BATCH_KEYS: Final = 65_536
OWN_TABLES_LOCK: Final = 0x72_65_70_6C
"""Advisory lock: CREATE TABLE IF NOT EXISTS fails when two sessions run it at once."""


class PostgresqlMetadataWriter:
    """A `MetadataWriter`; the options are the fields of `Database`."""

    def __init__(
        self,
        dsn: str,
        *,
        own_prefix: str = "replicator_",
        chunk_rows: int = CHUNK_ROWS,
        **options: Unpack[Options],
    ) -> None:
        self._database = database = Database(dsn=dsn, **options)
        self._checkpoints = relation(database.schema, f"{own_prefix}checkpoint")
        self._gaps = relation(database.schema, f"{own_prefix}gap")
        self._renamed = relation(database.schema, f"{own_prefix}renamed")
        self._chunk_rows = chunk_rows

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        from replicator.adapters.postgresql.snapshot import reading  # noqa: PLC0415 - as the reader

        async with (
            connect(self._database) as session,
            reading(session, self._database, chunk_rows=self._chunk_rows, target=True) as snapshot,
        ):
            yield snapshot

    async def columns(self) -> Mapping[Kind, frozenset[str]]:
        async with connect(self._database) as session:
            shapes = await discover(session, self._database)
        return {kind: shape.compared for kind, shape in shapes.items()}

    async def obstacles(self) -> Sequence[Obstacle]:
        async with connect(self._database) as session:
            from replicator.adapters.postgresql.fitness import obstacles  # noqa: PLC0415 - see above

            shapes = await discover(session, self._database)
            return await obstacles(session, self._database, shapes)

    async def is_made(self) -> bool:
        segments = self._database.relation(TABLES[Kind.SEGMENT].name)
        async with connect(self._database) as session:
            return await _exists(session, segments)

    async def create(self, release: str | None, *, centralized: bool) -> bool:
        segments = self._database.relation(TABLES[Kind.SEGMENT].name)
        if release is not None:
            druid_tables.statements(release, centralized=centralized)  # also if no table is created
        async with connect(self._database) as session:
            made = not await _exists(session, segments)
            if made:
                await self._make_druids_tables(session, release, centralized=centralized)
            await self._make_own_tables(session)
            from replicator.adapters.postgresql.fitness import put_forward  # noqa: PLC0415 - see above

            for shape in (await discover(session, self._database)).values():
                await put_forward(session, shape)
        return made

    async def acquire(
        self, source: str, *, store: str | None = None, anew: bool = False
    ) -> TargetState:
        async with connect(self._database) as session:
            await self._make_own_tables(session)
            # waits for a transaction of the epoch before, whose lock is on this row
            await session.execute(f"look at {self._checkpoints}", patient_sql(self._checkpoints))
            columns = await self._columns_of(session, self._checkpoints)
            query = bounded_sql(become_writer_sql(self._checkpoints), columns)
            found = await session.fetch("become the writer", query, source, store, anew)
        rows = self._own_rows(self._checkpoints, found)
        if not rows:
            raise refusals.other_store(self._database.name, source, str(store))
        return self._state_of(rows[0])

    async def state(self, source: str) -> TargetState:
        query = f"SELECT * FROM {self._checkpoints} WHERE source = $1"  # noqa: S608 - quoted names
        rows = await self._read_own(self._checkpoints, query, source)
        return (
            self._state_of(rows[0])
            if rows
            else TargetState(checkpoint=None, epoch=Epoch(0), applied_at=None)
        )

    async def gaps(self, source: str, log_id: str) -> Sequence[Gap]:
        query = gaps_sql(self._gaps, self._checkpoints)
        found = await self._read_own(self._gaps, query, source, log_id, order=("opened", "key"))
        return gaps_of(self._database.name, self._gaps, map(read_gap, found))

    async def renamed(self, source: str) -> Sequence[Renamed]:
        query = f"SELECT * FROM {self._renamed} WHERE source = $1"  # noqa: S608 - quoted names
        found = await self._read_own(self._renamed, query, source, order=("datasource",))
        return renamed_of(self._database.name, self._renamed, map(dict, found))

    @asynccontextmanager
    async def transaction(self, source: str, epoch: Epoch) -> AsyncGenerator[Transaction]:
        async with connect(self._database) as session:
            # The lock on the checkpoint's row is what keeps others away. A stricter level would
            # only fail: the epoch may have been taken after its snapshot.
            await session.execute("begin", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            await self._check_epoch(session, source, epoch)
            now: datetime = await session.value("ask the time", "SELECT clock_timestamp()")
            yield PostgresqlTransaction(
                session,
                self._database,
                source=source,
                checkpoints=self._checkpoints,
                gaps=self._gaps,
                renamed=self._renamed,
                now=now.astimezone(UTC),
            )
            ended = await session.execute("commit", "COMMIT")
            if ended != "COMMIT":
                # the server rolls back when a statement failed and the transaction went on
                raise TransientError(f"{self._database.name}: the transaction was rolled back")

    async def _make_druids_tables(
        self, session: PostgresqlSession, release: str | None, *, centralized: bool
    ) -> None:
        database = self._database
        if release is None:
            raise refusals.no_druid(database.name)
        if database.table_prefix.lower() != druid_tables.PREFIX:
            raise refusals.other_prefix(database.name, druid_tables.PREFIX)
        statements = druid_tables.statements(release, centralized=centralized)
        schema = quoted(database.schema)
        await session.execute(
            "create Druid's tables",
            f"BEGIN; SET LOCAL search_path TO {schema}; {statements}; COMMIT",
        )

    async def _make_own_tables(self, session: PostgresqlSession) -> None:
        wanted = {
            self._checkpoints: checkpoint_table_sql(self._checkpoints),
            self._gaps: gap_table_sql(self._gaps),
            self._renamed: renamed_table_sql(self._renamed),
        }
        missing = [name for name in wanted if not await _exists(session, name)]
        statements = [wanted[name] for name in missing]
        for table, renew in (
            (self._checkpoints, renew_checkpoints_sql),
            (self._gaps, renew_gaps_sql),
        ):
            if table not in missing:
                renewed = renew(table, await self._columns_of(session, table))
                missing += [f"{table}.{name}" for name in renewed]
                statements += renewed.values()
        if not missing:
            return  # so that a role without CREATE can continue
        await session.execute(
            f"create {' and '.join(missing)}",
            f"BEGIN; SELECT pg_advisory_xact_lock({OWN_TABLES_LOCK}); {';'.join(statements)};"
            " COMMIT",
        )

    async def _columns_of(self, session: PostgresqlSession, table: str) -> Collection[str]:
        """Return the columns of one of our tables, which had others in earlier builds."""
        query = (
            "SELECT attname FROM pg_catalog.pg_attribute"
            " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"
        )
        rows = await session.fetch("look for columns", query, table)
        return {row["attname"] for row in rows}

    async def _check_epoch(self, session: PostgresqlSession, source: str, epoch: Epoch) -> None:
        # the lock makes `acquire` of a newer writer wait: the epoch stays true until the commit
        query = f"SELECT epoch FROM {self._checkpoints} WHERE source = $1 FOR UPDATE"  # noqa: S608 - quoted names
        found = await session.value("check the epoch", query, source)
        if found != epoch:
            raise refusals.older_epoch(self._database.name, source, epoch, found)

    def _state_of(self, row: asyncpg.Record) -> TargetState:
        with sound(self._database.name, self._checkpoints):
            paused = row["paused" if "paused" in row else FORMER_PAUSED]
            found = {**dict(row), "store": row.get("store"), "paused": paused}
        return state_of(self._database.name, self._checkpoints, found)

    async def _read_own(
        self, table: str, query: str, *args: str, order: Sequence[str] = ()
    ) -> list[asyncpg.Record]:
        async with connect(self._database) as session:
            if not (columns := await self._columns_of(session, table)):
                return []
            there = [name for name in order if name in columns]
            bounded = bounded_sql(query, columns, order=there)
            return self._own_rows(table, await session.fetch(f"read {table}", bounded, *args))

    def _own_rows(self, table: str, found: list[asyncpg.Record]) -> list[asyncpg.Record]:
        """Return the rows that a `bounded_sql` found.

        Raises:
            CorruptionError: they are larger than any of ours, and were not sent.
        """
        rows, size_bytes = found[0][:2]  # by place: a column of the table may have any name
        refuse_large(self._database.name, table, size_bytes)
        return found if rows else []


class PostgresqlTransaction:
    """A `Transaction`; its memory is bounded by one batch, however many rows it is given."""

    def __init__(
        self,
        session: PostgresqlSession,
        database: Database,
        *,
        source: str,
        checkpoints: str,
        gaps: str,
        renamed: str,
        now: datetime,
    ) -> None:
        self._session = session
        self._database = database
        self._source = source
        self._checkpoints = checkpoints
        self._gaps = gaps
        self._renamed = renamed
        self._now = now
        self._shapes: dict[Kind, Shape] | None = None
        self._put: set[Kind] = set()
        """Kinds whose sequence is known to be ahead of the rows."""

    async def upsert(self, rows: Sequence[Row]) -> None:
        found = batches(rows, rows_max=BATCH_ROWS, bytes_max=BATCH_BYTES)
        for kind, statements in groupby(found, key=lambda batch: KIND_OF[type(batch[0])]):
            await self._write(kind, list(statements))

    async def _write(self, kind: Kind, statements: Sequence[Sequence[Row]]) -> None:
        shape = (await self._discovered()).get(kind)
        if shape is None:
            table = self._database.relation(TABLES[kind].name)
            key = key_of(statements[0][0]).key
            raise refusals.no_table_for(self._database.name, table, key)
        self._check_extras(shape, chain.from_iterable(statements))
        await self._put_forward(kind, shape)
        known, extras = shape.written_known, shape.extras
        last = [iso_ms(self._now)] if shape.stamped else []
        await self._session.execute_many(
            f"write {shape.relation}",
            upsert_sql(shape),
            ([*_columns(batch, known, extras), *last] for batch in statements),
        )

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        await self._session.execute("set a savepoint", "SAVEPOINT rows")
        try:
            yield
        except UnfitRowError:
            await self._session.execute("return to it", "ROLLBACK TO rows; RELEASE rows")
            raise
        await self._session.execute("release it", "RELEASE rows")

    async def remove(self, keys: Sequence[RowKey]) -> None:
        encoding = self._session.encoding
        held = [key for key in keys if can_hold(key.key, encoding)]  # others cannot be there
        for kind, names in by_kind(held).items():
            if shape := (await self._discovered()).get(kind):
                await self._remove(shape, remove_sql(shape), names)

    async def remove_hashed(self, kind: Kind, keys: Keys) -> None:
        from replicator.model.inventory.ledger import items  # noqa: PLC0415 - see above

        if shape := (await self._discovered()).get(kind):
            await self._remove(shape, remove_hashed_sql(shape), items(keys))

    async def record(self, checkpoint: Checkpoint, gaps: Sequence[Gap]) -> None:
        if checkpoint.source != self._source:
            raise ValueError(f"source {checkpoint.source!r} is not the one of this transaction")
        written = await self._session.execute(
            f"write {self._checkpoints}",
            record_checkpoint_sql(self._checkpoints, self._gaps),
            checkpoint.source,
            checkpoint.log_id,
            checkpoint.offset,
            checkpoint.cut,
            checkpoint.source_time,
            hex_digest(checkpoint.digest),
            checkpoint.paused,
            checkpoint.promoted,
            checkpoint.datasource,
            self._now,
        )
        require_written(
            self._database.name, self._checkpoints, self._source, is_one=written == "UPDATE 1"
        )
        # ON CONFLICT cannot change one row twice in one statement, and a plan may open and close a
        # gap.
        latest = {(gap.key, gap.opened): gap for gap in gaps}
        for batch in slices(latest.values(), BATCH_GAPS):
            rows = [gap_values(gap, self._session.encoding) for gap in batch]
            columns = [[row[name] for row in rows] for name in GAP_COLUMNS]
            await self._session.execute(
                f"write {self._gaps}", record_gaps_sql(self._gaps), checkpoint.source, *columns
            )

    async def note_renamed(self, renamed: Renamed) -> None:
        written = await self._session.execute(
            f"write {self._renamed}",
            note_renamed_sql(self._renamed),
            self._source,
            renamed.datasource,
            renamed.original,
            renamed.offset,
            renamed.cut,
            renamed.source_time,
        )
        if written != "INSERT 0 1":
            raise RefusedError(
                f"{self._database.name}: datasource {renamed.datasource!r} is there already"
            )

    async def forget_renamed(self, datasource: str) -> None:
        query = forget_renamed_sql(self._renamed)
        await self._session.execute(f"write {self._renamed}", query, self._source, datasource)

    async def _remove(self, shape: Shape, query: str, keys: Iterable[object]) -> None:
        for batch in slices(keys, BATCH_KEYS):
            await self._session.execute(f"remove from {shape.relation}", query, batch)

    async def _discovered(self) -> Mapping[Kind, Shape]:
        if self._shapes is None:
            self._shapes = await discover(self._session, self._database)
        return self._shapes

    async def _put_forward(self, kind: Kind, shape: Shape) -> None:
        if shape.table.numbered and kind not in self._put:
            from replicator.adapters.postgresql.fitness import put_forward  # noqa: PLC0415 - see above

            await put_forward(self._session, shape)
            self._put.add(kind)

    def _check_extras(self, shape: Shape, rows: Iterable[Row]) -> None:
        known = set(shape.extras)
        for row in rows:
            for name in sorted(row.extras.keys() - known):
                raise refusals.no_column_for(
                    self._database.name,
                    shape.relation,
                    quoted(name),
                    key_of(row).key,
                    f"ALTER TABLE {shape.relation} ADD COLUMN {quoted(name)} <type>",
                )


def _columns(
    rows: Sequence[Row], known: Sequence[str], extras: Sequence[str]
) -> Generator[list[Any]]:
    for name in known:
        yield [getattr(row, name) for row in rows]
    for name in extras:
        yield [row.extras.get(name) for row in rows]


async def _exists(session: PostgresqlSession, table: str) -> bool:
    return bool(
        await session.value(f"look for {table}", "SELECT to_regclass($1) IS NOT NULL", table)
    )
