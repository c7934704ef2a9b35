"""Druid's metadata store on PostgreSQL 11 or later, as a source: nothing here can write."""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Unpack

import asyncpg
import numpy as np
from numpy.typing import NDArray

from replicator.adapters.postgresql.freshness import freshness_of
from replicator.adapters.postgresql.session import (
    Database,
    Options,
    PostgresqlSession,
    connect,
    discover,
)
from replicator.adapters.postgresql.sql import Shape, fetch_sql, literal, scan_sql
from replicator.errors import CorruptionError
from replicator.model.fingerprint import FINGERPRINT_BYTES, KEY_HASH_BYTES
from replicator.model.known_since import DIM_VALUE_SET
from replicator.model.row import Kind, Row
from replicator.ports import SAMPLES_MAX, AuditRow, Chunk, Freshness, Snapshot, Visit

CHUNK_ROWS: Final = 16_384
HANDLE = np.dtype([("block", ">u4"), ("place", ">u2")])
"""A ctid on the wire."""
RECORD = np.dtype(
    [
        ("fields", ">i2"),
        ("key_bytes", ">i4"),
        ("key", f"S{KEY_HASH_BYTES}"),
        ("mark_bytes", ">i4"),
        ("mark", f"S{FINGERPRINT_BYTES}"),
        ("handle_bytes", ">i4"),
        ("handle", HANDLE),
    ]
)
"""One row of a scan in PostgreSQL's binary COPY format; all are of one size."""
LOAD_SPEC_TYPE = r"""'"loadSpec"\s*:\s*\{[^{}]*"type"\s*:\s*"([^"]*)"'"""
CONTAINER = r"""'"loadSpec"\s*:\s*\{[^{}]*"(?:bucket|containerName)"\s*:\s*"([^"]*)"'"""
"""Rough, but whole rows are looked at only where these differ."""
NEW_IN_SEGMENTS = (f'"{DIM_VALUE_SET}"', '"rangeable":true', '"binaryVersion":10')
"""What not every release reads, as Druid writes it (`model/known_since.py`); a search each."""
LEFT_BEHIND = ("tableDefs",)
"""The catalog's (druid-catalog, SQLCatalogManager)."""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


class PostgresqlMetadataReader:
    """A `MetadataReader`; a role that may only SELECT is enough.

    The options are the fields of `Database`.
    """

    def __init__(
        self, dsn: str, *, chunk_rows: int = CHUNK_ROWS, **options: Unpack[Options]
    ) -> None:
        self._database = Database(dsn=dsn, **options)
        self._chunk_rows = chunk_rows

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        async with (
            self._connect() as session,
            reading(session, self._database, chunk_rows=self._chunk_rows) as snapshot,
        ):
            yield snapshot

    async def freshness(self) -> Freshness:
        async with self._connect() as session:
            return await freshness_of(session)

    async def load_spec_samples(self) -> Sequence[tuple[str, bytes]]:
        segments = self._database.relation("segments")
        query = f"""
            SELECT id, payload FROM {segments} WHERE id IN (
                SELECT min(id) FROM (
                    SELECT id, encode(payload, 'escape') AS text FROM {segments}
                ) AS segments
                GROUP BY substring(text FROM {LOAD_SPEC_TYPE}), substring(text FROM {CONTAINER}),
                    {", ".join(f"strpos(text, {literal(one)}) > 0" for one in NEW_IN_SEGMENTS)}
                LIMIT {SAMPLES_MAX}
            ) ORDER BY id
        """  # noqa: S608 - names are quoted
        async with self._connect() as session:
            found = await session.fetch(f"read {segments}", query)
            return [(row["id"], row["payload"]) for row in found]

    async def left_behind(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        async with self._connect() as session:
            for name in LEFT_BEHIND:
                table = self._database.relation(name)
                readable = (
                    "SELECT coalesce(has_table_privilege(to_regclass($1)::oid, 'SELECT'), false)"
                )
                if not await session.value(f"look for {table}", readable, table):
                    continue
                query = f"SELECT count(*) FROM {table}"  # noqa: S608 - quoted names
                if rows := await session.value(f"count {table}", query):
                    found[self._database.table(name)] = rows
        return found

    async def running_tasks(self) -> Sequence[str]:
        tasks = self._database.relation("tasks")
        async with self._connect() as session:
            query = f"SELECT id FROM {tasks} WHERE active ORDER BY id"  # noqa: S608 - quoted names
            return [row["id"] for row in await session.fetch(f"read {tasks}", query)]

    async def audit(
        self, about: str, *, since: datetime, until: datetime, rows_max: int
    ) -> Sequence[AuditRow]:
        audit = self._database.relation("audit")
        quoted = json.dumps(about, ensure_ascii=False)[:-1]
        query = f"""
            SELECT id, audit_key, type, author, comment, created_date, payload FROM {audit}
            WHERE created_date >= $1 AND created_date <= $2 AND (
                audit_key = $3 OR position($4::bytea IN payload) > 0
                OR position($5::bytea IN payload) > 0
            )
            ORDER BY created_date DESC, id DESC LIMIT $6
        """  # noqa: S608 - names are quoted
        # a payload within a payload is a text: its quotes are escaped
        names = (f'{quoted}"'.encode(), f'{quoted}\\"'.encode())
        async with self._connect() as session:
            found = await session.fetch(
                f"read {audit}", query, _iso_ms(since), _iso_ms(until), about, *names, rows_max
            )
        return [AuditRow(**dict(row)) for row in reversed(found)]

    def _connect(self) -> AbstractAsyncContextManager[PostgresqlSession]:
        """Open a session that cannot write, whatever its transactions say."""
        return connect(self._database, default_transaction_read_only="on")


def _iso_ms(time: datetime) -> str:
    """Write a time as Druid does; its columns are texts."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@asynccontextmanager
async def reading(
    session: PostgresqlSession, database: Database, *, chunk_rows: int, target: bool = False
) -> AsyncGenerator["PostgresqlSnapshot"]:
    """Make the block one transaction that sees one instant and cannot write.

    The tables are locked against TRUNCATE and the like before the snapshot is taken: a table that
    is emptied and filled again between the two would be empty in it, which it never was for others
    (https://www.postgresql.org/docs/current/mvcc-caveats.html).
    """
    freshness = await freshness_of(session)
    shapes = await discover(session, database)
    tables = ", ".join(sorted(shape.relation for shape in shapes.values()))
    await session.execute(
        "begin",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
        f" LOCK TABLE {tables} IN ACCESS SHARE MODE; SELECT",
    )
    yield PostgresqlSnapshot(session, shapes, freshness.shows, chunk_rows=chunk_rows, target=target)
    await session.execute("end the snapshot", "ROLLBACK")


class PostgresqlSnapshot:
    """A `Snapshot`; its handles are ctids, which stay valid as long as the transaction lives."""

    def __init__(
        self,
        session: PostgresqlSession,
        shapes: Mapping[Kind, Shape],
        taken_at: datetime,
        *,
        chunk_rows: int,
        target: bool,
    ) -> None:
        self.taken_at = taken_at
        self.kinds = frozenset(shapes)
        self._session = session
        self._shapes = shapes
        self._chunk_rows = chunk_rows
        self._target = target

    async def scan(
        self, kind: Kind, visit: Visit, *, datasources: Sequence[str] | None = None
    ) -> None:
        shape = self._shapes[kind]
        if datasources is not None and "datasource" not in shape.types:
            return
        columns = shape.compared if self._target else frozenset(shape.types)
        query = scan_sql(shape, columns, filtered=datasources is not None)
        args = [] if datasources is None else [list(datasources)]
        records = Records(visit, shape.relation, rows_max=self._chunk_rows)
        await self._session.copy(f"scan {shape.relation}", query, *args, sink=records.write)
        records.close()

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        shape = self._shapes[kind]
        found = await self._session.fetch(
            f"read {shape.relation}", fetch_sql(shape), handles.tolist()
        )
        return [_row(shape, values) for values in found]


class Records:
    """Cuts the bytes of a scan into chunks of whole rows, however they arrive."""

    def __init__(self, visit: Visit, relation: str, *, rows_max: int) -> None:
        self._visit = visit
        self._relation = relation
        self._chunk_bytes = rows_max * RECORD.itemsize
        self._pending = bytearray()
        self._started = False

    async def write(self, data: bytes) -> None:
        """Take the next bytes and visit all chunks that are full."""
        self._pending += data
        if not self._started and len(self._pending) >= len(HEADER):
            self._expect(self._pending.startswith(HEADER))
            del self._pending[: len(HEADER)]
            self._started = True
        while self._started and len(self._pending) >= self._chunk_bytes + len(TRAILER):
            self._emit(self._chunk_bytes)

    def close(self) -> None:
        """Visit the last rows; the data must end where the format says that it ends."""
        self._expect(self._started and self._pending.endswith(TRAILER))
        self._emit(len(self._pending) - len(TRAILER))

    def _emit(self, size: int) -> None:
        self._expect(size % RECORD.itemsize == 0)
        records = np.frombuffer(bytes(self._pending[:size]), RECORD)
        del self._pending[:size]
        # a NULL would have another length: only whole rows may be taken for rows
        self._expect(
            bool(
                (records["fields"] == len(_SIZES)).all()
                and all((records[name] == size_).all() for name, size_ in _SIZES.items())
            )
        )
        if len(records):
            self._visit(
                Chunk(
                    keys=np.ascontiguousarray(records["key"]),
                    marks=np.ascontiguousarray(records["mark"]),
                    handles=np.ascontiguousarray(records["handle"]),
                )
            )

    def _expect(self, fine: bool) -> None:  # noqa: FBT001 - an assertion
        if not fine:
            raise CorruptionError(f"{self._relation}: a row has no key or no payload")


_SIZES: Mapping[str, int] = {
    "key_bytes": KEY_HASH_BYTES,
    "mark_bytes": FINGERPRINT_BYTES,
    "handle_bytes": HANDLE.itemsize,
}


def _row(shape: Shape, values: asyncpg.Record) -> Row:
    cells: Iterator[Any] = iter(values.values())
    known = dict(zip(shape.known, cells, strict=False))
    extras = {
        name: value for name, value in zip(shape.extras, cells, strict=True) if value is not None
    }
    return shape.table.row_type(**known, extras=extras)
