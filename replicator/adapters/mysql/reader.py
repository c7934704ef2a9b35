"""Druid's metadata store on MySQL or MariaDB, as a source: nothing here can write."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, Final, Unpack

import numpy as np
from numpy.typing import NDArray

from replicator.adapters import refusals
from replicator.adapters.kept_rows import FOLLOWED_CHARS, FOLLOWED_MAX
from replicator.adapters.mysql.binlog import position_of, refusal, written_since
from replicator.adapters.mysql.errors import PACKET_HINT, in_utf8
from replicator.adapters.mysql.freshness import freshness_of
from replicator.adapters.mysql.session import (
    Database,
    Options,
    Session,
    Values,
    connect,
    discover,
)
from replicator.adapters.mysql.sql import (
    BOOLEAN,
    Shape,
    fetch_sql,
    literal,
    quoted,
    scan_sql,
    size_sql,
    unreadable_sql,
)
from replicator.errors import ConfigError
from replicator.model.druid.known_since import NEW_IN_SEGMENTS
from replicator.model.fingerprint import FINGERPRINT_BYTES, KEY_HASH_BYTES
from replicator.model.inventory.ledger import KEY, MARK
from replicator.model.row import AuditRow, Kind, Row, is_left_behind
from replicator.model.stream import NoStream, StreamPosition
from replicator.model.timestamps import iso_ms
from replicator.model.versions import (
    BinlogPosition,
    Continuity,
    NewStamps,
    NoVersions,
    Places,
    VersionDigest,
)
from replicator.ports import (
    SAMPLES_MAX,
    Chunk,
    Freshness,
    Snapshot,
    Visit,
    VisitVersions,
)

CHUNK_ROWS: Final = 16_384
FETCHED_MAX: Final = 1000
"""Number of rows read by one statement; each such number has a prepared statement."""
KEY_BYTES_MAX: Final = 8192
"""Longest key of a row; Druid's columns take 255 characters."""
END: Final = b"."
"""End of each handle: numpy's arrays of bytes drop zeros at the end of values."""
HASHES_BYTES: Final = KEY_HASH_BYTES + FINGERPRINT_BYTES
CHECKPOINTS: Final = "replicator_checkpoint"
"""The table in which an applier keeps the cut of a target."""
SEEN: Final = """
SELECT COALESCE(MIN(LOWER(PRIVILEGES) LIKE '%select%'), 0) FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?
"""
"""Query for whether a table is there and all its columns can be read."""
DRUIDS_TABLES: Final = """
SELECT TABLE_NAME, MIN(LOWER(PRIVILEGES) LIKE '%select%') FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = DATABASE() AND LOWER(LEFT(TABLE_NAME, CHAR_LENGTH(?))) = LOWER(?)
GROUP BY TABLE_NAME ORDER BY TABLE_NAME
"""
"""Query for the tables that this user may see, and whether all their columns can be read."""


class MysqlMetadataReader:
    """A `MetadataReader`; needs a user who may only SELECT.

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
            return await freshness_of(session, self._database)

    async def load_spec_samples(self) -> Sequence[tuple[str, bytes]]:
        segments = quoted(self._database.spelled("segments"))
        new = ", ".join(f"LOCATE({literal(one)}, payload) > 0" for one in NEW_IN_SEGMENTS)
        parts = f"{_value_of('type')}, {_value_of('bucket')}, {_value_of('containerName')}"
        # rough, and with functions of MySQL 5.7; whole rows are read only where these differ
        query = f"""
            SELECT id, payload FROM {segments} JOIN (
                SELECT MIN(id) AS first_id FROM (
                    SELECT id, payload, SUBSTRING_INDEX(SUBSTRING(payload,
                        LOCATE({literal('"loadSpec"')}, payload)), {literal("}")}, 1) AS spec
                    FROM {segments}
                ) AS specs GROUP BY {parts}, {new} LIMIT {SAMPLES_MAX}
            ) AS firsts ON id = first_id ORDER BY id
        """  # noqa: S608 - names are quoted
        async with self._connect() as session:
            found = await session.fetch(f"read {segments}", query)
        with in_utf8(segments):
            return [(_text(id_), payload) for id_, payload in found]

    async def left_behind(self) -> Sequence[str]:
        prefix = self._database.table_prefix
        found: list[str] = []
        async with self._connect() as session:
            listed = await session.fetch("list Druid's tables", DRUIDS_TABLES, prefix, prefix)
            for name, readable in ((_text(row[0]), row[1]) for row in listed):
                if not is_left_behind(name[len(prefix) :]):
                    continue
                query = f"SELECT EXISTS (SELECT 1 FROM {quoted(name)})"  # noqa: S608 - quoted names
                if not readable or await session.value(f"look into {name}", query):
                    found.append(name)
        return found

    async def followed(self) -> Sequence[str]:
        query = (
            f'SELECT LEFT("source", {FOLLOWED_CHARS}) FROM {quoted(CHECKPOINTS)}'  # noqa: S608 - quoted names
            f' WHERE "log_id" IS NOT NULL AND "promoted" IS NOT TRUE LIMIT {FOLLOWED_MAX}'
        )
        async with self._connect() as session:
            if not await session.value(f"look for {CHECKPOINTS}", SEEN, CHECKPOINTS):
                return []
            found = await session.fetch(f"read {CHECKPOINTS}", query)
        with in_utf8(CHECKPOINTS):
            return [_text(row[0]) for row in found]

    async def without_used(self, datasources: Sequence[str]) -> Sequence[str]:
        segments, name = quoted(self._database.spelled("segments")), '"dataSource"'
        # the index uses the column's collation, which may equate names that Druid tells apart
        query = f"""
            SELECT EXISTS (
                SELECT 1 FROM {segments} WHERE {name} = ? AND "used"
                AND CAST(CONVERT({name} USING utf8mb4) AS BINARY) = ?
            )
        """  # noqa: S608 - names are quoted
        async with self._connect() as session:
            doing = f"read {segments}"
            return [
                one
                for one in datasources
                if not await session.value(doing, query, one, one.encode())
            ]

    async def running_tasks(self) -> Sequence[str]:
        tasks = quoted(self._database.spelled("tasks"))
        async with self._connect() as session:
            query = f"SELECT id FROM {tasks} WHERE active ORDER BY id"  # noqa: S608 - quoted names
            found = await session.fetch(f"read {tasks}", query)
        with in_utf8(tasks):
            return [_text(row[0]) for row in found]

    async def audit(
        self, about: str, *, since: datetime, until: datetime, rows_max: int
    ) -> Sequence[AuditRow]:
        audit = quoted(self._database.spelled("audit"))
        quoted_name = json.dumps(about, ensure_ascii=False)[:-1]
        query = f"""
            SELECT id, audit_key, type, author, comment, created_date, payload FROM {audit}
            WHERE created_date >= ? AND created_date <= ? AND (
                CAST(CONVERT(audit_key USING utf8mb4) AS BINARY) = ? OR LOCATE(?, payload) > 0
                OR LOCATE(?, payload) > 0
            )
            ORDER BY created_date DESC, id DESC LIMIT {int(rows_max)}
        """  # noqa: S608 - names are quoted
        # a payload within a payload is text, so its quotes are escaped
        names = (about.encode(), f'{quoted_name}"'.encode(), f'{quoted_name}\\"'.encode())
        async with self._connect() as session:
            found = await session.fetch(
                f"read {audit}", query, iso_ms(since), iso_ms(until), *names
            )
        with in_utf8(audit):
            return [_audit_row(values) for values in reversed(found)]

    def _connect(self) -> AbstractAsyncContextManager[Session]:
        """Open a session that cannot write, whatever its transactions request."""
        return connect(self._database, read_only=True)


def _value_of(key: str) -> str:
    """Return an expression for the text after a key of a load spec."""
    name, mark = literal(f'"{key}"'), literal('"')
    behind = f"SUBSTRING_INDEX(spec, {name}, -1)"
    value = f"SUBSTRING_INDEX(SUBSTRING_INDEX({behind}, {mark}, 2), {mark}, -1)"
    return f"CASE WHEN LOCATE({name}, spec) > 0 THEN {value} END"


def _audit_row(values: Values) -> AuditRow:
    id_, *texts, payload = values
    audit_key, type_, author, comment, created_date = map(_text, texts)
    return AuditRow(
        id=id_,
        audit_key=audit_key,
        type=type_,
        author=author,
        comment=comment,
        created_date=created_date,
        payload=payload,
    )


def _text(value: str | bytes) -> str:
    """Return a text, also from a column that was changed to VARBINARY."""
    return value.decode() if isinstance(value, bytes) else value


@asynccontextmanager
async def reading(
    session: Session, database: Database, *, chunk_rows: int, target: bool = False
) -> AsyncGenerator[MysqlSnapshot]:
    """Make the block one transaction that sees a single instant and cannot write.

    The tables' columns are read after it has begun: the server refuses a table that is altered or
    emptied later (error 1412), so that columns and rows are of the same instant.
    """
    freshness = await freshness_of(session, database)
    position: Continuity = NoVersions("of a target")
    # Before the transaction: it may fail, and a failed statement ends a snapshot.
    refused = "" if target else await refusal(session)
    await session.execute("begin", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    await session.execute("begin", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    if refused:
        position = NoVersions(refused)
    elif not target:
        position = await position_of(session, database, is_replica=freshness.is_replica)
    shapes = await discover(session, database)
    yield MysqlSnapshot(
        session,
        database,
        shapes,
        freshness.shows,
        lineage=position,
        chunk_rows=chunk_rows,
        target=target,
    )
    await session.execute("end the snapshot", "ROLLBACK")


class MysqlSnapshot:
    """A `Snapshot`; its handles are primary keys, as bytes that end in `END`."""

    stream: StreamPosition | NoStream = NoStream("MySQL and MariaDB are polled")

    def __init__(
        self,
        session: Session,
        database: Database,
        shapes: Mapping[Kind, Shape],
        taken_at: datetime,
        *,
        lineage: Continuity,
        chunk_rows: int,
        target: bool,
    ) -> None:
        self.taken_at = taken_at
        self.lineage = lineage
        self.kinds = frozenset(shapes)
        self._session = session
        self._database = database
        self._shapes = shapes
        self._chunk_rows = chunk_rows
        self._target = target

    async def version_digest(self, kind: Kind, new: NewStamps) -> VersionDigest | None:
        del kind, new
        raise TypeError("this snapshot has no lineage")

    async def versions(self, kind: Kind, visit: VisitVersions) -> None:
        del kind, visit
        raise TypeError("this snapshot has no lineage")

    async def written_since(self, position: BinlogPosition) -> str | None:
        if not isinstance(self.lineage, BinlogPosition):
            raise TypeError("this snapshot has no position")
        tables = [shape.name for shape in self._shapes.values()]
        return await written_since(self._session, position, self.lineage, tables)

    async def scan(
        self,
        kind: Kind,
        visit: Visit,
        *,
        datasources: Sequence[str] | None = None,
        places: Places | None = None,
    ) -> None:
        if places is not None:
            raise TypeError("this snapshot has no lineage")
        shape = self._shapes[kind]
        if datasources is not None and "datasource" not in shape.types:
            return
        columns = shape.compared if self._target else frozenset(shape.types)
        nothing = 0

        def see(rows: list[Values]) -> None:
            nonlocal nothing
            found = [row[0] for row in rows if row[0] is not None]
            nothing += len(rows) - len(found)
            if found:
                visit(_chunk(found, shape.relation))

        query = scan_sql(shape, columns, datasources=datasources)
        await self._session.stream(
            f"scan {shape.relation}", query, rows_max=self._chunk_rows, sink=see
        )
        if nothing:
            await self._explain(shape, columns)

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        shape, wanted = self._shapes[kind], [one.removesuffix(END) for one in handles.tolist()]
        rows: list[Row] = []
        made = _rows_of(shape)
        for start in range(0, len(wanted), FETCHED_MAX):
            some = wanted[start : start + FETCHED_MAX]
            with in_utf8(shape.relation):
                texts = [int(one) if shape.has_numbers else one.decode() for one in some]
            doing = f"read {shape.relation}"
            query = size_sql(shape, len(some))
            ((size_bytes, key),) = await self._session.fetch(doing, query, *texts, *some)
            named = (key or b"").decode(errors="replace")
            refusals.refuse_large(shape.relation, len(some), size_bytes, named)
            query = fetch_sql(shape, len(some))
            found = await self._session.fetch(doing, query, *texts, *some)
            with in_utf8(shape.relation):
                rows += map(made, found)
        return rows

    async def _explain(self, shape: Shape, columns: frozenset[str]) -> None:
        """Raise why the server had no value for a row: it returns NULL there and never an error."""
        doing = f"look into {shape.relation}"
        found = await self._session.fetch(doing, unreadable_sql(shape, columns))
        key, size = found[0] if found else (None, None)
        if size is None or key is None:
            raise refusals.no_value(shape.relation)
        raise ConfigError(
            f"{self._database.name}: the payload of {key.decode(errors='replace')!r} in"
            f" {shape.relation} has {size} bytes, and the server computes nothing over more than"
            f" max_allowed_packet ({self._session.packet_bytes_max} bytes)",
            hint=PACKET_HINT,
        )


def _chunk(found: list[bytes], table: str) -> Chunk:
    """Return the rows of a scan as three columns.

    Raises:
        ConfigError: a key is longer than any of Druid's: each handle would take as much memory.
    """
    longest = max(found, key=len)
    if len(longest) - HASHES_BYTES > KEY_BYTES_MAX:
        raise refusals.long_key(table, longest[HASHES_BYTES:].decode(errors="replace"))
    hashes = b"".join([one[:HASHES_BYTES] for one in found])
    both = np.frombuffer(hashes, np.dtype([("key", KEY), ("mark", MARK)]))
    handles = np.array([one[HASHES_BYTES:] + END for one in found], np.bytes_)
    return Chunk(
        keys=np.ascontiguousarray(both["key"]),
        marks=np.ascontiguousarray(both["mark"]),
        handles=handles,
    )


def _rows_of(shape: Shape) -> Callable[[Values], Row]:
    """Return the function that makes a row of a result of `fetch_sql`."""
    known, extras, row_type = shape.known, shape.extras, shape.table.row_type
    booleans = {name for name in known if shape.types[name] == BOOLEAN}
    in_bytes = shape.table.in_bytes

    def cell(name: str, value: Any) -> Any:
        if value is None or name in in_bytes:
            return value
        if name in booleans:
            return bool(value)
        return value.decode() if isinstance(value, bytes) else value

    def row(values: Values) -> Row:
        cells = dict(zip(known, values, strict=False))
        later = zip(extras, values[len(known) :], strict=True)
        return row_type(
            **{name: cell(name, value) for name, value in cells.items()},
            extras={name: _text(value) for name, value in later if value is not None},
        )

    return row
