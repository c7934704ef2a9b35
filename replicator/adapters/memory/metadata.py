"""A metadata store in dicts, with the rules of the real ones, for tests and the simulation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, assert_never

import numpy as np
from numpy.typing import NDArray

from replicator.adapters import refusals
from replicator.adapters.memory.stream import MemoryChangeStream
from replicator.adapters.memory.versions import MemoryVersions, digest_of
from replicator.errors import ConfigError, FencedError, RefusedError, UnfitRowError
from replicator.model.checkpoint import Checkpoint, Gap, TargetState
from replicator.model.event import Epoch, Offset
from replicator.model.fingerprint import fingerprint, key_hash
from replicator.model.inventory.ledger import KEY, MARK, Keys, items
from replicator.model.log.renaming import Renamed
from replicator.model.row import (
    KIND_OF,
    REPLICATED,
    TABLES,
    AuditRow,
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
    datasource_of,
    key_of,
)
from replicator.model.stream import NoStream, StreamPosition
from replicator.model.timestamps import iso_ms, later
from replicator.model.versions import (
    BinlogPosition,
    Continuity,
    Lineage,
    NewStamps,
    NoVersions,
    Places,
    VersionDigest,
    Versions,
)
from replicator.ports import (
    SAMPLES_MAX,
    Chunk,
    Clock,
    Freshness,
    Snapshot,
    Transaction,
    Visit,
    VisitVersions,
    WatchedReader,
)

CHUNK_ROWS: Final = 1000
USED_STATUS: Final = "used_status_last_updated"
ALL_COLUMNS: Mapping[Kind, frozenset[str]] = {
    kind: frozenset(table.columns) | table.local
    for kind, table in TABLES.items()
    if kind in REPLICATED
}
"""Columns of the newest Druid's replicated tables."""


@dataclass(slots=True)
class Bookkeeping:
    """Contents of the replicator's own tables for one source."""

    epoch: Epoch
    checkpoint: Checkpoint | None = None
    applied_at: datetime | None = None
    gaps: dict[tuple[str, Offset], Gap] = field(default_factory=dict)
    renamed: dict[str, Renamed] = field(default_factory=dict)
    store: str | None = None


class MemoryMetadata:
    """A `MetadataWriter`, or with `target=False` a source, whose snapshots compare all columns.

    `rows` may be read and changed at any time, as the store's own Druid would do; of append-only
    tables it holds the newest row of each key. `tables` are the columns of this store's tables, so
    that it can play an older Druid.
    """

    def __init__(
        self,
        clock: Clock,
        rows: Iterable[Row] = (),
        *,
        target: bool = True,
        tables: Mapping[Kind, frozenset[str]] = ALL_COLUMNS,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self.rows: dict[RowKey, Row] = {key_of(row): row for row in rows}
        self.sources: dict[str, Bookkeeping] = {}
        self.audited: list[AuditRow] = []
        self.other_tables: set[str] = set()
        self.unfit: Callable[[Row], bool] = lambda _: False
        """Says which rows the tables cannot hold."""
        self.clock = clock
        self.target = target
        self.tables = tables
        self.chunk_rows = chunk_rows
        self.versions = MemoryVersions()
        self.change_stream: MemoryChangeStream | None = None
        self.marks: dict[tuple[Kind, bool], dict[int, tuple[Row, bytes]]] = {}
        self.supervisor_id = max(
            (row.id for row in self.rows.values() if isinstance(row, Supervisor)), default=0
        )

    def as_source(self) -> WatchedReader:
        """Return these same rows as a source, for a cluster that is both."""
        return _Source(self)

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        yield MemorySnapshot(self, await self.columns() if self.target else None)

    async def columns(self) -> Mapping[Kind, frozenset[str]]:
        return {
            kind: columns - TABLES[kind].local - TABLES[kind].target_owned
            for kind, columns in self.tables.items()
        }

    async def load_spec_samples(self) -> Sequence[tuple[str, bytes]]:
        rows = [row for row in self.rows.values() if isinstance(row, Segment)]
        return [(row.id, row.payload) for row in rows[:SAMPLES_MAX]]

    async def freshness(self) -> Freshness:
        """As a source; it is no replica."""
        now = self.clock.now()
        return Freshness(requested_at=now, shows=now, is_replica=False)

    async def left_behind(self) -> Sequence[str]:
        """As a source; the only other tables are those that a test names."""
        return sorted(self.other_tables)

    async def followed(self) -> Collection[str]:
        """As a source that is a target, too."""
        held = {name: books.checkpoint for name, books in self.sources.items()}
        return {name for name, one in held.items() if one is not None and not one.promoted}

    async def without_used(self, datasources: Sequence[str]) -> Collection[str]:
        """As a source."""
        rows = (row for row in self.rows.values() if isinstance(row, Segment))
        return set(datasources) - {row.datasource for row in rows if row.used}

    async def running_tasks(self) -> Sequence[str]:
        """As a source; no task runs here."""
        return ()

    async def audit(
        self, about: str, *, since: datetime, until: datetime, rows_max: int
    ) -> Sequence[AuditRow]:
        found = [row for row in self.audited if row.is_about(about, since, until)]
        return sorted(found, key=lambda row: (row.created_date, row.id))[-rows_max:]

    async def acquire(
        self, source: str, *, store: str | None = None, anew: bool = False
    ) -> TargetState:
        books = self.sources.setdefault(source, Bookkeeping(Epoch(0)))
        if store is not None and books.store not in {None, store}:
            if not anew:
                raise refusals.other_store("memory", source, store)
            books.checkpoint = None
        books.store = store or books.store
        books.epoch = Epoch(books.epoch + 1)
        return await self.state(source)

    async def state(self, source: str) -> TargetState:
        books = self.sources.get(source, Bookkeeping(Epoch(0)))
        return TargetState(
            checkpoint=books.checkpoint,
            epoch=books.epoch,
            applied_at=books.applied_at,
            store=books.store,
        )

    async def gaps(self, source: str, log_id: str) -> Sequence[Gap]:
        books = self.sources.get(source, Bookkeeping(Epoch(0)))
        if books.checkpoint is None or books.checkpoint.log_id != log_id:
            return []
        return sorted(books.gaps.values(), key=lambda gap: (gap.opened, gap.key))

    async def renamed(self, source: str) -> Sequence[Renamed]:
        books = self.sources.get(source, Bookkeeping(Epoch(0)))
        return [books.renamed[name] for name in sorted(books.renamed)]

    @asynccontextmanager
    async def transaction(self, source: str, epoch: Epoch) -> AsyncGenerator[Transaction]:
        self._check_epoch(source, epoch)
        transaction = MemoryTransaction(self, source, await self.columns())
        yield transaction
        self._check_epoch(source, epoch)
        transaction.commit()

    def _check_epoch(self, source: str, epoch: Epoch) -> None:
        books = self.sources.get(source)
        if books is None or books.epoch != epoch:
            newest = "no process has acquired it" if books is None else books.epoch
            raise FencedError(f"memory: epoch {epoch} of source {source!r} is not {newest}")


class _Source:
    """The read side of a store that another component writes."""

    def __init__(self, metadata: MemoryMetadata) -> None:
        self._metadata = metadata

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        yield MemorySnapshot(self._metadata, None)

    async def load_spec_samples(self) -> Sequence[tuple[str, bytes]]:
        return await self._metadata.load_spec_samples()

    async def followed(self) -> Collection[str]:
        return await self._metadata.followed()


class MemorySnapshot:
    """A `Snapshot`: a copy of the dict of frozen rows; its handles are indexes in the copy."""

    def __init__(
        self, metadata: MemoryMetadata, columns: Mapping[Kind, frozenset[str]] | None
    ) -> None:
        self.taken_at = metadata.clock.now()
        self.kinds = frozenset(metadata.tables)
        self._columns, self._all_marks = columns, metadata.marks
        self._chunk_rows = metadata.chunk_rows
        self._rows = [row for key, row in metadata.rows.items() if key.kind in self.kinds]
        self.lineage: Continuity = (
            metadata.versions.see(metadata.rows) if columns is None else NoVersions("of a target")
        )
        self.stream: StreamPosition | NoStream = NoStream("there is none")
        if columns is None and metadata.change_stream is not None:
            self.stream = metadata.change_stream.position()
        self._versions = None
        if isinstance(self.lineage, Lineage):
            self._versions = metadata.versions.versions(map(key_of, self._rows))

    async def scan(
        self,
        kind: Kind,
        visit: Visit,
        *,
        datasources: Sequence[str] | None = None,
        places: Places | None = None,
    ) -> None:
        columns = self._columns[kind] if self._columns is not None else None
        indexes = self._indexes(kind, places)
        if datasources is not None:
            indexes = [one for one in indexes if datasource_of(self._rows[one]) in datasources]
        marks = self._marks(kind, columns)
        for start in range(0, len(indexes), self._chunk_rows):
            some = indexes[start : start + self._chunk_rows]
            rows = [self._rows[index] for index in some]
            visit(
                Chunk(
                    keys=np.array([key_hash(key_of(row)) for row in rows], KEY),
                    marks=np.array([marks[id(row)][1] for row in rows], MARK),
                    handles=np.array(some, np.int64),
                    versions=self._versions_of(some) if self._versions is not None else None,
                )
            )
            await asyncio.sleep(0)  # a real scan lets others run as well

    async def version_digest(self, kind: Kind, new: NewStamps) -> VersionDigest | None:
        await asyncio.sleep(0)
        return digest_of(self._versions_of(self._indexes(kind, None)), new)

    async def versions(self, kind: Kind, visit: VisitVersions) -> None:
        handles = self._indexes(kind, None)
        for start in range(0, len(handles), self._chunk_rows):
            visit(self._versions_of(handles[start : start + self._chunk_rows]))
            await asyncio.sleep(0)

    async def written_since(self, position: BinlogPosition) -> str | None:
        await asyncio.sleep(0)
        if not isinstance(self.lineage, BinlogPosition):
            raise TypeError("this snapshot has no position")
        return "a row was written" if self.lineage.position != position.position else None

    def _versions_of(self, handles: list[int]) -> Versions:
        if self._versions is None:
            raise TypeError("this snapshot has no lineage")
        return Versions(
            places=self._versions.places[handles], stamps=self._versions.stamps[handles]
        )

    def _indexes(self, kind: Kind, places: Places | None) -> list[int]:
        found = [at for at, row in enumerate(self._rows) if KIND_OF[type(row)] is kind]
        if places is None or self._versions is None:
            return found
        wanted = set(places.tolist())
        return [at for at in found if int(self._versions.places[at]) in wanted]

    def _marks(self, kind: Kind, columns: frozenset[str] | None) -> dict[int, tuple[Row, bytes]]:
        """Return the fingerprint of each row; rows are frozen, so none is hashed twice."""
        known = self._all_marks.get((kind, columns is None), {})
        found = {
            id(row): known.get(id(row)) or (row, fingerprint(row, columns=columns))
            for row in self._rows
            if KIND_OF[type(row)] is kind
        }
        self._all_marks[kind, columns is None] = found
        return found

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        await asyncio.sleep(0)
        rows = [self._rows[index] for index in handles.tolist()]
        return [row for row in rows if KIND_OF[type(row)] is kind]


class MemoryTransaction:
    """A `Transaction` on a copy that replaces the store's rows when it commits."""

    def __init__(
        self, metadata: MemoryMetadata, source: str, columns: Mapping[Kind, frozenset[str]]
    ) -> None:
        self._metadata = metadata
        self._source = source
        self._columns = columns
        self._now = metadata.clock.now()
        self._changes: dict[RowKey, Row | None] = {}
        self._recorded: list[tuple[Checkpoint, Sequence[Gap]]] = []
        self._renamed: dict[str, Renamed | None] = {}
        self._supervisor_id = metadata.supervisor_id

    async def upsert(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._check_extras(row)
            if self._metadata.unfit(row):
                raise UnfitRowError("memory: a row does not fit", hint="widen the column")
            existing = self._existing(key_of(row))
            if existing is None or self._content(existing) != self._content(row):
                self._changes[key_of(row)] = self._stamped(self._fitted(row), existing)

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        changes, supervisor_id = dict(self._changes), self._supervisor_id
        try:
            yield
        except UnfitRowError:
            self._changes, self._supervisor_id = changes, supervisor_id
            raise

    async def remove(self, keys: Sequence[RowKey]) -> None:
        self._changes.update(dict.fromkeys(keys))

    async def remove_hashed(self, kind: Kind, keys: Keys) -> None:
        hashes = set(items(keys))
        known = self._metadata.rows.keys() | self._changes.keys()
        gone = [key for key in known if key.kind is kind and key_hash(key) in hashes]
        await self.remove(gone)

    async def record(self, checkpoint: Checkpoint, gaps: Sequence[Gap]) -> None:
        if checkpoint.source != self._source:
            raise ValueError(f"source {checkpoint.source!r} is not the one of this transaction")
        self._recorded.append((checkpoint, tuple(gaps)))

    async def note_renamed(self, renamed: Renamed) -> None:
        if renamed.datasource in self._metadata.sources[self._source].renamed:
            raise RefusedError(f"memory: datasource {renamed.datasource!r} is there already")
        self._renamed[renamed.datasource] = renamed

    async def forget_renamed(self, datasource: str) -> None:
        self._renamed[datasource] = None

    def commit(self) -> None:
        """Make all changes visible in one step."""
        # only what this transaction changed: the store's own Druid may have changed other rows
        for key, row in self._changes.items():
            if row is None:
                self._metadata.rows.pop(key, None)
            else:
                self._metadata.rows[key] = row
        self._metadata.supervisor_id = self._supervisor_id
        books = self._metadata.sources[self._source]
        for checkpoint, gaps in self._recorded:
            if books.checkpoint is None or books.checkpoint.log_id != checkpoint.log_id:
                books.gaps.clear()
            books.checkpoint, books.applied_at = checkpoint, self._now
            books.gaps.update({(gap.key, gap.opened): gap for gap in gaps})
        changed = books.renamed | self._renamed
        books.renamed = {name: one for name, one in changed.items() if one is not None}

    def _existing(self, key: RowKey) -> Row | None:
        return self._changes[key] if key in self._changes else self._metadata.rows.get(key)

    def _content(self, row: Row) -> bytes:
        return fingerprint(row, columns=self._columns[KIND_OF[type(row)]])

    def _check_extras(self, row: Row) -> None:
        kind = KIND_OF[type(row)]
        if kind not in self._columns:
            raise ConfigError(f"memory: there is no table {TABLES[kind].name}")
        for name in sorted(row.extras.keys() - self._columns[kind]):
            raise ConfigError(
                f'memory: {TABLES[kind].name} has no column "{name}",'
                f" which {key_of(row).key!r} has a value for"
            )

    def _fitted(self, row: Row) -> Row:
        if not isinstance(row, Segment):
            return row
        table = TABLES[Kind.SEGMENT]
        absent: dict[str, Any] = dict.fromkeys(table.optional - self._metadata.tables[table.kind])
        return replace(row, **absent)

    def _stamped(self, row: Row, existing: Row | None) -> Row:
        match row:
            case Supervisor():
                former_id = existing.id if isinstance(existing, Supervisor) else 0
                self._supervisor_id = max(self._supervisor_id, former_id) + 1
                return replace(row, id=self._supervisor_id, created_date=iso_ms(self._now))
            case Rules():
                version = later(getattr(existing, "version", None), iso_ms(self._now))
                return replace(row, id=f"{row.datasource}_{version}", version=version)
            case Segment() | SegmentSchema() | IndexingState():
                if USED_STATUS not in self._metadata.tables[KIND_OF[type(row)]]:
                    return row
                former = getattr(existing, USED_STATUS, None)
                return replace(row, used_status_last_updated=later(former, iso_ms(self._now)))
            case CommitMetadata() | ConfigEntry() | TableDefinition() | AuditRow():
                return row
        assert_never(row)
