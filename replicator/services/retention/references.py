"""Reads which locations the files of one target's history reference, in bounded memory."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeAlias

from replicator.errors import CorruptionError
from replicator.model.event import Offset, Record
from replicator.model.load_spec import Location
from replicator.model.log.locations import HashSet, Located, LocationHashes, TargetLocator
from replicator.model.observation import Observer, Progress
from replicator.model.observed.faults import ArchiveDamaged
from replicator.model.store.archive import Base, history_span
from replicator.ports import Workers
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.files import Files, spanned
from replicator.services.store.store import Store

Records: TypeAlias = AsyncIterator[Sequence[Record]]
"""Records in batches."""


@dataclass(slots=True)
class ReferencedLocations:
    """Hashes of locations that records reference, gathered over several reads."""

    found: HashSet = field(default_factory=HashSet)
    unlocated: set[Offset] = field(default_factory=set)
    """Offsets of records whose load spec leads to no location by the configuration."""

    def hashes(self) -> LocationHashes:
        """Return the hashes, ascending."""
        return self.found.hashes()


class References:
    """Reads the history and the bases of a store as locations on the target.

    Args:
        store: The target's files.
        locator: Rule by which a record references a location.
        workers: Processes that decode records.
        records_max: Number of records that are handed to a worker at once.
        observer: Receives progress, and files that had to be skipped.
    """

    def __init__(
        self,
        *,
        store: Store,
        locator: TargetLocator,
        workers: Workers,
        records_max: int,
        observer: Observer,
    ) -> None:
        self._store, self._locator, self._workers = store, locator, workers
        self._records_max, self._observer = records_max, observer

    async def gather(self, *parts: Records, into: ReferencedLocations, what: str) -> None:
        """Add the locations that some records reference."""
        done = 0
        async with self._workers.each(self._locator.located_hashes, _chained(parts)) as results:
            async for placed in results:
                self._add(placed, into)
                done += 1
                self._observer(Progress(what=what, done=done, total=None, unit="batches"))

    async def by_datasource(self, *parts: Records, what: str) -> dict[str, LocationHashes]:
        """Return the locations that some records reference, by the datasources of their rows."""
        found: dict[str, HashSet] = {}
        done, work = 0, self._locator.hashes_by_datasource
        async with self._workers.each(work, _chained(parts)) as results:
            async for hashes in results:
                for datasource, some in hashes.items():
                    found.setdefault(datasource, HashSet()).add(some)
                done += 1
                self._observer(Progress(what=what, done=done, total=None, unit="batches"))
        return {datasource: one.hashes() for datasource, one in found.items()}

    def named(self, *parts: Records) -> AbstractAsyncContextManager[AsyncIterator[list[Location]]]:
        """Yield the locations of some records by their names, within the block."""
        return self._workers.each(self._locator.named, _chained(parts))

    async def history(
        self, names: Sequence[str], *, after: Offset, until: Offset | None, tolerant: bool
    ) -> Records:
        """Yield the records of some files with offsets after one offset and up to another.

        Raises:
            CorruptionError: a file is altered or missing, unless `tolerant`: such files are then
                skipped and reported.
        """
        files = Files(self._store, spanned(names))
        for index in range(len(files)):
            records = await self._records(files, index, tolerant=tolerant)
            found = [
                one
                for one in records
                if one.offset > after and (until is None or one.offset <= until)
            ]
            for start in range(0, len(found), self._records_max):
                yield found[start : start + self._records_max]

    async def base(self, archive: ArchivedLog, base: Base) -> Records:
        """Yield the records of a base.

        Raises:
            CorruptionError: the base is altered or incomplete.
        """
        start, count = Offset(0), 0
        while records := await archive.read_base(base.offset, start, records_max=self._records_max):
            yield records
            start, count = Offset(records[-1].offset + 1), count + len(records)
        if count != base.rows:
            raise CorruptionError(
                f"the base at offset {base.offset} has {count} rows, its manifest says {base.rows}"
            )

    async def base_if_whole(self, archive: ArchivedLog, offset: Offset) -> Records:
        """Yield the records of a base as far as they can be read."""
        try:
            async for records in self.base(archive, await archive.base(offset)):
                yield records
        except CorruptionError as exc:
            self._observer(ArchiveDamaged(reason=str(exc)))

    async def _records(self, files: Files, index: int, *, tolerant: bool) -> Sequence[Record]:
        try:
            return (await files.file(index)).records
        except CorruptionError as exc:
            if not tolerant:
                raise
            self._observer(ArchiveDamaged(reason=str(exc)))
            return ()

    def _add(self, placed: Located, into: ReferencedLocations) -> None:
        into.found.add(placed.hashes)
        into.unlocated.update(placed.unlocated)


async def _chained(parts: Sequence[Records]) -> Records:
    for part in parts:
        async for batch in part:
            yield batch


def ending_after(names: Collection[str], offset: Offset) -> list[str]:
    """Return the files with records after an offset, ordered by start."""
    spans = [(span, name) for name in names if (span := history_span(name)) is not None]
    return [name for (_, end), name in sorted(spans) if end > offset + 1]


def beginning_until(names: Collection[str], offset: Offset) -> list[str]:
    """Return the files that can have records at or before an offset, ordered by start."""
    spans = [(span, name) for name in names if (span := history_span(name)) is not None]
    return [name for (start, _), name in sorted(spans) if start <= offset]
