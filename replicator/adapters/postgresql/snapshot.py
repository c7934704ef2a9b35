"""One instant of a metadata store on PostgreSQL: its rows by table, as a scan or one by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from replicator.adapters import refusals
from replicator.adapters.postgresql.freshness import freshness_of
from replicator.adapters.postgresql.lineage import lineage_of, server_of
from replicator.adapters.postgresql.session import Database, PostgresqlSession, discover
from replicator.adapters.postgresql.sql import (
    Chosen,
    Shape,
    fetch_sql,
    new_versions_sql,
    scan_sql,
    size_sql,
    version_digest_sql,
    versions_sql,
)
from replicator.model.arrays import np
from replicator.model.inventory.ledger import KEY, MARK
from replicator.model.row import Kind, Row
from replicator.model.stream import NoStream, StreamPosition
from replicator.model.versions import (
    STAMPS,
    BinlogPosition,
    Continuity,
    Lineage,
    NewStamps,
    NoVersions,
    Places,
    VersionDigest,
    Versions,
)
from replicator.ports import Chunk, Visit, VisitVersions

if TYPE_CHECKING:
    import asyncpg
    from numpy.typing import NDArray

    from replicator.adapters.postgresql.stream.change_stream import Before
    from replicator.adapters.postgresql.stream.slot import StreamOptions

# The change stream's protocol is imported only where there is a stream: few sources have one.

PLACE_BITS: Final = 16
"""Bits of a ctid that number the place within its page."""
HANDLE = (("block", ">u4"), ("place", ">u2"))
"""A ctid on the wire."""
STAMP = ">u4"
"""An xmin on the wire."""


_COLUMNS = {"key": KEY, "mark": MARK, "handle": list(HANDLE), "stamp": STAMP}
SCANNED: Final = ("key", "mark", "handle")
SCANNED_VERSIONS: Final = (*SCANNED, "stamp")
VERSION: Final = ("handle", "stamp")


@cache
def _record(columns: tuple[str, ...]) -> np.dtype[Any]:
    """Return one row in PostgreSQL's binary COPY format; all are of one size."""
    wire: list[Any] = [("fields", ">i2")]
    for name in columns:
        wire += [(f"{name}_bytes", ">i4"), (name, _COLUMNS[name])]
    return np.dtype(wire)


NO_STREAM: Final = NoStream("`source.metadata.change_stream` is not set")
PLAIN_PLANS: Final = "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off"
"""Next to nothing is computed over versions: workers and compiled code cost more than they save."""
DIGESTED_PAGES_MIN: Final = 1024
"""Pages from which a table is digested: the versions of fewer are few bytes."""
NEW_ROWS_MAX: Final = 100_000
"""New rows up to which they are named beside the digest; with more, all versions are read."""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


@asynccontextmanager
async def reading(
    session: PostgresqlSession,
    database: Database,
    *,
    chunk_rows: int,
    target: bool = False,
    stream: StreamOptions | None = None,
) -> AsyncGenerator[PostgresqlSnapshot]:
    """Make the block one transaction that sees a single instant and cannot write.

    The tables are locked against TRUNCATE and the like before the snapshot is taken: a table that
    is emptied and refilled in between would be empty in it, which it never was for others
    (https://www.postgresql.org/docs/current/mvcc-caveats.html).
    """
    freshness = await freshness_of(session)
    shapes = await discover(session, database)
    server = NoVersions("of a target") if target else await server_of(session, shapes)
    before = None if stream is None else await _state_before(session, stream)
    # Neither BEGIN nor LOCK TABLE takes a snapshot: the empty SELECT does, once the locks are held.
    # The tables are sorted, so that two sessions cannot wait for each other.
    tables = ", ".join(sorted(shape.relation for shape in shapes.values()))
    await session.execute(
        "lock the tables to read them",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
        f" LOCK TABLE {tables} IN ACCESS SHARE MODE; SELECT",
    )
    position: StreamPosition | NoStream = NO_STREAM
    if stream is not None and before is not None:
        from replicator.adapters.postgresql.stream.change_stream import (  # noqa: PLC0415 - see above
            position_of_snapshot,
        )

        position = await position_of_snapshot(session, before, database, stream, shapes)
    lineage, pages = await lineage_of(session, server, shapes)
    yield PostgresqlSnapshot(
        session,
        shapes,
        freshness.shows,
        lineage,
        position,
        pages=pages,
        chunk_rows=chunk_rows,
        target=target,
    )
    await session.execute("end the snapshot", "ROLLBACK")


async def _state_before(session: PostgresqlSession, stream: StreamOptions) -> Before:
    from replicator.adapters.postgresql.stream.change_stream import (  # noqa: PLC0415 - see above
        state_before,
    )

    return await state_before(session, stream)


class PostgresqlSnapshot:
    """A `Snapshot`; its handles are ctids, which stay valid as long as the transaction lives."""

    def __init__(
        self,
        session: PostgresqlSession,
        shapes: Mapping[Kind, Shape],
        taken_at: datetime,
        lineage: Continuity,
        stream: StreamPosition | NoStream,
        *,
        pages: Mapping[Kind, int],
        chunk_rows: int,
        target: bool,
    ) -> None:
        self.taken_at = taken_at
        self.lineage = lineage
        self.stream = stream
        self.kinds = frozenset(shapes)
        self._session = session
        self._shapes = shapes
        self._chunk_rows = chunk_rows
        self._target = target
        self._pages = pages
        self._is_plain = False

    async def scan(
        self,
        kind: Kind,
        visit: Visit,
        *,
        datasources: Sequence[str] | None = None,
        places: Places | None = None,
    ) -> None:
        shape = self._shapes[kind]
        if places is not None:
            for start in range(0, len(places), self._chunk_rows):
                handles = _handles(places[start : start + self._chunk_rows]).tolist()
                await self._scan(shape, visit, Chosen.PLACES, handles)
        elif datasources is None:
            await self._scan(shape, visit, Chosen.ALL)
        elif "datasource" in shape.types:
            await self._scan(shape, visit, Chosen.DATASOURCES, list(datasources))

    async def _scan(self, shape: Shape, visit: Visit, chosen: Chosen, *args: object) -> None:
        versions = isinstance(self.lineage, Lineage)
        columns = shape.compared if self._target else frozenset(shape.types)
        query = scan_sql(shape, columns, chosen, versions=versions)

        def take(records: NDArray[Any]) -> None:
            handles = np.ascontiguousarray(records["handle"])
            visit(
                Chunk(
                    keys=np.ascontiguousarray(records["key"]),
                    marks=np.ascontiguousarray(records["mark"]),
                    handles=handles,
                    versions=_versions(records) if versions else None,
                )
            )

        await self._copy(
            shape, query, *args, into=take, of=_record(SCANNED_VERSIONS if versions else SCANNED)
        )

    async def written_since(self, position: BinlogPosition) -> str | None:
        del position
        raise TypeError("this snapshot has no position")

    async def version_digest(self, kind: Kind, new: NewStamps) -> VersionDigest | None:
        shape = self._shapes[kind]
        # Of an append-only table the newest row of each key counts, wherever the others are.
        if self._pages[kind] < DIGESTED_PAGES_MIN or shape.table.newest_by:
            return None
        await self._plan_plainly()
        doing, since = f"digest {shape.relation}", str(new.since % STAMPS)
        (found,) = await self._session.fetch(doing, version_digest_sql(shape), since)
        if found["new"] > NEW_ROWS_MAX:
            return None
        rows: Sequence[asyncpg.Record] = ()
        if found["new"]:
            rows = await self._session.fetch(doing, new_versions_sql(shape), since)
        handles = np.array([row["ctid"] for row in rows], list(HANDLE))
        return VersionDigest(
            rows=found["rows"],
            digest=found["digest"],
            new=Versions(
                places=_places(handles), stamps=np.array([row["xmin"] for row in rows], np.uint32)
            ),
            hashes=np.array([row["hash"] for row in rows], np.int64),
        )

    async def versions(self, kind: Kind, visit: VisitVersions) -> None:
        shape = self._shapes[kind]
        await self._plan_plainly()

        def take(records: NDArray[Any]) -> None:
            visit(_versions(records))

        await self._copy(shape, versions_sql(shape), into=take, of=_record(VERSION))

    async def _plan_plainly(self) -> None:
        if not self._is_plain:
            await self._session.execute("set how versions are read", PLAIN_PLANS)
            self._is_plain = True

    async def _copy(
        self,
        shape: Shape,
        query: str,
        *args: object,
        into: Callable[[NDArray[Any]], None],
        of: np.dtype[Any],
    ) -> None:
        records = Records(into, shape.relation, of, rows_max=self._chunk_rows)
        await self._session.copy(f"scan {shape.relation}", query, *args, sink=records.write)
        records.close()

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        shape, wanted = self._shapes[kind], handles.tolist()
        doing = f"read {shape.relation}"
        ((size_bytes, key),) = await self._session.fetch(doing, size_sql(shape), wanted)
        refusals.refuse_large(shape.relation, len(wanted), size_bytes, key)
        found = await self._session.fetch(doing, fetch_sql(shape), wanted)
        return [_row(shape, values) for values in found]


class Records:
    """Cuts the bytes of a scan, however they arrive, into chunks of whole rows."""

    def __init__(
        self,
        visit: Callable[[NDArray[Any]], None],
        relation: str,
        record: np.dtype[Any],
        *,
        rows_max: int,
    ) -> None:
        self._visit = visit
        self._relation = relation
        self._record = record
        self._sizes = {
            name: record[name.removesuffix("_bytes")].itemsize
            for name in record.names or ()
            if name.endswith("_bytes")
        }
        self._chunk_bytes = rows_max * record.itemsize
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
        """Visit the last rows; the data must end where the format says."""
        self._expect(self._started and self._pending.endswith(TRAILER))
        self._emit(len(self._pending) - len(TRAILER))

    def _emit(self, size: int) -> None:
        self._expect(size % self._record.itemsize == 0)
        records = np.frombuffer(bytes(self._pending[:size]), self._record)
        del self._pending[:size]
        # a NULL would have another length: only whole rows count as rows
        self._expect(
            bool(
                (records["fields"] == len(self._sizes)).all()
                and all((records[name] == size_).all() for name, size_ in self._sizes.items())
            )
        )
        if len(records):
            self._visit(records)

    def _expect(self, fine: bool) -> None:  # noqa: FBT001 - an assertion
        if not fine:
            raise refusals.no_value(self._relation)


def _versions(records: NDArray[Any]) -> Versions:
    return Versions(places=_places(records["handle"]), stamps=records["stamp"].astype(np.uint32))


def _places(handles: NDArray[Any]) -> Places:
    blocks, places = handles["block"].astype(np.uint64), handles["place"].astype(np.uint64)
    return blocks << np.uint64(PLACE_BITS) | places


def _handles(places: Places) -> NDArray[Any]:
    handles = np.empty(len(places), list(HANDLE))
    handles["block"] = places >> np.uint64(PLACE_BITS)
    handles["place"] = places & np.uint64((1 << PLACE_BITS) - 1)
    return handles


def _row(shape: Shape, values: asyncpg.Record) -> Row:
    cells: Iterator[Any] = iter(values.values())
    known = dict(zip(shape.known, cells, strict=False))
    extras = {
        name: value for name, value in zip(shape.extras, cells, strict=True) if value is not None
    }
    return shape.table.row_type(**known, extras=extras)
