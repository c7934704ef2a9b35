"""Ports that are slow and sometimes fail, before or after the deed, by the seed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from numpy.typing import NDArray

from replicator.errors import MissingObjectError, TransientError
from replicator.model.checkpoint import Gap, TargetState
from replicator.model.event import Document, Epoch, Offset, Record
from replicator.model.load_spec import Location
from replicator.model.log.renaming import Renamed
from replicator.model.row import Kind, Row
from replicator.model.stream import Lsn, StreamPosition
from replicator.model.versions import BinlogPosition, NewStamps, Places, VersionDigest
from replicator.ports import (
    DOCUMENT_BYTES_MAX,
    Area,
    ChangeStream,
    Checked,
    CommitVisitor,
    CopySource,
    DeepStorage,
    DeepStorageReader,
    EventLogWriter,
    Keeping,
    Known,
    MetadataWriter,
    Piece,
    Receipt,
    Snapshot,
    Span,
    StoredLocation,
    StoredObject,
    StreamRead,
    TargetStorage,
    Transaction,
    Visit,
    VisitVersions,
    WatchedReader,
)

LONG_LISTING = 4
"""Names that a storage does not list at once."""


@dataclass(slots=True)
class Weather:
    """How bad the days are; drawn once for a world, so that calm and storm both occur."""

    rng: Random
    fault_probability: float
    delay_mean_s: float
    marks: set[str] = field(default_factory=set)

    async def before(self) -> None:
        if self.delay_mean_s:
            await asyncio.sleep(self.rng.expovariate(1 / self.delay_mean_s))
        else:
            await asyncio.sleep(0)
        if self.rng.random() < self.fault_probability:
            raise TransientError("the weather is bad")

    async def after(self, mark: str) -> None:
        """The deed is done, and nobody is told so."""
        if self.rng.random() < self.fault_probability / 2:
            self.marks.add(mark)
            raise TransientError("the connection was lost after the deed")
        await asyncio.sleep(0)


@dataclass(slots=True)
class Mount:
    """Whether the source's storage is there; its own chance changes nobody else's."""

    rng: Random
    away_probability: float = 0.1
    is_away: bool = False

    def change(self) -> None:
        """Draw whether it is away until the next change."""
        self.is_away = self.rng.random() < self.away_probability


class FlakyLog:
    def __init__(self, log: EventLogWriter, weather: Weather) -> None:
        self._log = log
        self._weather = weather

    async def span(self) -> Span:
        return await self._log.span()

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        await self._weather.before()
        return await self._log.read(start, records_max=records_max)

    async def offset_at(self, time: datetime) -> Offset | None:
        return await self._log.offset_at(time)

    async def keeping(self) -> Keeping:
        return await self._log.keeping()

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        await self._weather.before()
        await self._log.report(reader, offset, store)

    async def reported(self, reader: str) -> str | None:
        await self._weather.before()
        return await self._log.reported(reader)

    async def acquire(self) -> Epoch:
        await self._weather.before()
        epoch = await self._log.acquire()
        await self._weather.after("acquired the log and was not told")
        return epoch

    async def append(self, documents: Sequence[Document]) -> Offset:
        await self._weather.before()
        offset = await self._log.append(documents)
        await self._weather.after("appended and was not told")
        return offset


class FlakySnapshot:
    def __init__(self, snapshot: Snapshot, weather: Weather) -> None:
        self._snapshot = snapshot
        self._weather = weather
        self.taken_at = snapshot.taken_at
        self.kinds = snapshot.kinds
        self.lineage = snapshot.lineage
        self.stream = snapshot.stream

    async def scan(
        self,
        kind: Kind,
        visit: Visit,
        *,
        datasources: Sequence[str] | None = None,
        places: Places | None = None,
    ) -> None:
        await self._weather.before()
        await self._snapshot.scan(kind, visit, datasources=datasources, places=places)

    async def version_digest(self, kind: Kind, new: NewStamps) -> VersionDigest | None:
        await self._weather.before()
        return await self._snapshot.version_digest(kind, new)

    async def versions(self, kind: Kind, visit: VisitVersions) -> None:
        await self._weather.before()
        await self._snapshot.versions(kind, visit)

    async def written_since(self, position: BinlogPosition) -> str | None:
        await self._weather.before()
        return await self._snapshot.written_since(position)

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        await self._weather.before()
        return await self._snapshot.fetch(kind, handles)


class FlakyReader:
    def __init__(self, metadata: WatchedReader, weather: Weather) -> None:
        self._metadata = metadata
        self._weather = weather

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        await self._weather.before()
        async with self._metadata.snapshot() as snapshot:
            yield FlakySnapshot(snapshot, self._weather)

    async def followed(self) -> Collection[str]:
        return await self._metadata.followed()


class FlakyStream:
    """The source's change stream."""

    def __init__(self, stream: ChangeStream, weather: Weather) -> None:
        self._stream, self._weather = stream, weather

    async def read(
        self, since: StreamPosition, visitor: CommitVisitor, *, until: Lsn | None = None
    ) -> StreamRead:
        await self._weather.before()
        read = await self._stream.read(since, visitor, until=until)
        await self._weather.before()
        self._weather.marks.add("commits were followed")
        return read

    async def confirm(self, at: Lsn) -> None:
        await self._weather.before()
        await self._stream.confirm(at)

    async def retained_bytes(self) -> int | None:
        await self._weather.before()
        return await self._stream.retained_bytes()

    async def drop(self) -> bool:
        await self._weather.before()
        return await self._stream.drop()

    async def close(self) -> None:
        await self._stream.close()


class FlakyWriter:
    """A target's metadata store; `committed` is called as soon as a transaction is true."""

    def __init__(self, metadata: MetadataWriter, weather: Weather, committed: Any) -> None:
        self._metadata = metadata
        self._weather = weather
        self._committed = committed

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        await self._weather.before()
        async with self._metadata.snapshot() as snapshot:
            yield FlakySnapshot(snapshot, self._weather)

    async def columns(self) -> Mapping[Kind, frozenset[str]]:
        return await self._metadata.columns()

    async def acquire(
        self, source: str, *, store: str | None = None, anew: bool = False
    ) -> TargetState:
        await self._weather.before()
        held = await self._metadata.acquire(source, store=store, anew=anew)
        await self._weather.after("acquired the target and was not told")
        return held

    async def state(self, source: str) -> TargetState:
        await self._weather.before()
        return await self._metadata.state(source)

    async def gaps(self, source: str, log_id: str) -> Sequence[Gap]:
        return await self._metadata.gaps(source, log_id)

    async def renamed(self, source: str) -> Sequence[Renamed]:
        return await self._metadata.renamed(source)

    @asynccontextmanager
    async def transaction(self, source: str, epoch: Epoch) -> AsyncIterator[Transaction]:
        await self._weather.before()
        async with self._metadata.transaction(source, epoch) as transaction:
            yield transaction
            await self._weather.before()
        self._committed()
        await self._weather.after("committed and was not told")


class FlakyStorage:
    def __init__(self, storage: DeepStorage, weather: Weather) -> None:
        self._storage = storage
        self._weather = weather

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        await self._weather.before()
        return await self._storage.objects(location, ahead=ahead)

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        await self._weather.before()
        async for piece in self._storage.read(location, stored, start=start, end=end):
            yield piece
            await asyncio.sleep(0)

    async def check(self, location: Location) -> tuple[Checked, ...]:
        await self._weather.before()
        return await self._storage.check(location)

    async def receipt(self, location: Location) -> Receipt | None:
        return await self._storage.receipt(location)

    def copies_from(self, reader: DeepStorageReader, location: Location) -> bool:
        return self._storage.copies_from(reader, location)

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        await self._weather.before()
        receipt = await self._storage.put(location, copy_source)
        await self._weather.after("stored and was not told")
        return receipt

    async def probe(self) -> Sequence[str]:
        return await self._storage.probe()


class FlakySource(FlakyStorage):
    """The source's storage, in whose place there is sometimes an empty disk."""

    def __init__(self, storage: DeepStorage, weather: Weather, mount: Mount) -> None:
        super().__init__(storage, weather)
        self._mount = mount

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        found = await super().objects(location, ahead=ahead)
        if self._mount.is_away:
            raise MissingObjectError(f"{location} is not on this disk")
        return found


class FlakyTargetStorage(FlakyStorage):
    """A target's storage and the files beside it."""

    def __init__(self, storage: TargetStorage, area: Area, weather: Weather) -> None:
        super().__init__(storage, weather)
        self._target, self._area = storage, area

    def area(self) -> Area:
        return FlakyArea(self._area, self._weather)

    async def remove(self, location: Location) -> None:
        await self._weather.before()
        await self._target.remove(location)
        await self._weather.after("removed and was not told")

    async def extend(self, location: Location, until: datetime) -> None:
        await self._target.extend(location, until)

    async def stored_locations(self, known: Known) -> AsyncIterator[Sequence[StoredLocation]]:
        await self._weather.before()
        async for page in self._target.stored_locations(known):
            yield page

    async def written_receipt(self, location: Location) -> Receipt | None:
        return await self._target.written_receipt(location)

    async def write_receipt(self, location: Location, receipt: Receipt) -> None:
        await self._weather.before()
        await self._target.write_receipt(location, receipt)

    async def replace(
        self, location: Location, copy_source: CopySource, truth: Receipt | None
    ) -> Receipt:
        await self._weather.before()
        return await self._target.replace(location, copy_source, truth)


class FlakyArea:
    def __init__(self, area: Area, weather: Weather) -> None:
        self._area = area
        self._weather = weather

    async def names(self, prefix: str) -> Sequence[str]:
        await self._weather.before()
        found = await self._area.names(prefix)
        if len(found) < LONG_LISTING:
            return found
        page = found[: self._weather.rng.randrange(len(found))]  # the next one is of a later moment
        await self._weather.before()
        last = page[-1] if page else ""
        return [*page, *[name for name in await self._area.names(prefix) if name > last]]

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        await self._weather.before()
        return await self._area.get(name, bytes_max=bytes_max)

    async def create(self, name: str, data: bytes) -> bool:
        await self._weather.before()
        created = await self._area.create(name, data)
        await self._weather.after("kept a file and was not told")
        return created

    async def replace(self, name: str, data: bytes) -> None:
        await self._weather.before()
        await self._area.replace(name, data)
        await self._weather.after("kept a file and was not told")

    async def delete(self, name: str) -> None:
        await self._weather.before()
        await self._area.delete(name)

    async def extend(self, name: str, until: datetime) -> None:
        await self._area.extend(name, until)
