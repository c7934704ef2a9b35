"""Merges small files of a history into larger ones, and later deletes the small ones.

The order is what makes it safe beside writers, readers, expiries and a loss of power:

1. Small files that follow one another are read and checked, and written whole into one file.
2. That file is read back. Only one that proves the checksum of each file in it counts.
3. For a while both are there. A reader prefers the merged one and believes either.
4. A small file is deleted once the merged one was listed beside it for `stay_s`: a slow listing
   that began before step 1 must not miss both.

Nothing is remembered: a process that dies leaves files beside the merged one that holds them, and
the next one deletes them after the same time.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from replicator.errors import (
    ConfigError,
    CorruptionError,
    NotFoundError,
    RefusedError,
    TooLargeError,
    worst_alone,
)
from replicator.model.event import Offset
from replicator.model.observation import HistoryMerged, Observer
from replicator.model.observed.faults import ArchiveDamaged, Waiting
from replicator.model.store.archive import (
    ArchiveFile,
    Footer,
    Header,
    history_span,
    is_merged,
    merge,
)
from replicator.services.store.files import Spanned, spanned, without_doubles
from replicator.services.store.store import Store
from replicator.task_group import TaskGroup

LARGE_OFFSETS = 1_000
"""A file with this many offsets is not merged: it already compresses well."""
MERGED_BYTES_MAX = 4 << 20
"""Limit for a merged file before compression, which takes a tenth of a second for as many."""
REQUESTS = 16
"""Number of files that are read or deleted at once."""
GROUPS_MAX = 16
"""Number of groups that one call merges, so that a process can stop in between."""
FILES_MIN = 2
"""Smallest number of files that are merged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeLimits:
    """How many files become one, and how long they stay beside it."""

    files: int
    """Number of consecutive files that are merged; fewer only where no more can follow."""
    bytes_max: int
    """Limit for a merged file before compression."""
    stay_s: float
    """Seconds for which merged files and the file that holds them are both there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Small files that follow one another without a hole."""

    files: Sequence[Spanned]
    is_closed: bool
    """Whether no file that is written later belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Small:
    """A small file, checked."""

    name: str
    lines: bytes
    header: Header
    footer: Footer

    def follows(self, run: Sequence["_Small"]) -> bool:
        """Return whether it names the last file of a run as the one before it.

        Two archivists that wrote at once have a chain each, and a new window starts a new chain.
        A file that another program wrote may say that it is of another source.
        """
        if not run:
            return True
        last = run[-1]
        is_next = self.header.previous == last.footer.sha256
        return is_next and self.header.source == last.header.source


@dataclass(slots=True)
class _Merges:
    """What one call of `merge` did."""

    small: int = 0
    merged: int = 0
    deleted: int = 0


class Merger:
    """Merges the history of one store; several at once do no harm.

    Args:
        store: The target's files.
        limits: How many files become one.
        observer: Receives what was merged, and why merging stopped.
    """

    def __init__(self, store: Store, *, limits: MergeLimits, observer: Observer) -> None:
        self._store, self._limits, self._observer = store, limits, observer
        self._seen_s = dict[str, float]()
        self._proved = dict[str, str]()
        """Checksums of small files that a merged file was proved to hold."""
        self._alone = set[str]()
        """Files that are never merged: too large, or altered."""
        self._holder: tuple[str, ArchiveFile | None] | None = None
        self.is_stopped = False
        """Whether nothing can be merged in this store, as was found out."""

    async def merge(self, log_id: str) -> bool:
        """Merge what can be merged now, and delete what was merged long enough ago.

        Returns:
            Whether there is more to merge at once.

        Raises:
            TransientError: the store is unreachable; the next call starts from what is there.
        """
        if self.is_stopped:
            return False
        listing, done = await self._store.listing(log_id), _Merges()
        files = spanned(listing.history_of(log_id))
        await self._delete_doubles(files, done)
        bases = frozenset(listing.offsets(log_id))
        due = groups(files, bases, self._alone, self._limits.files)
        for group in due[:GROUPS_MAX]:
            await self._merge(group, done)
        if done.merged or done.deleted:
            self._observer(
                HistoryMerged(small=done.small, merged=done.merged, deleted=done.deleted)
            )
        return len(due) > GROUPS_MAX and not self.is_stopped

    # --------------------------------------------------------------------------- merged files

    async def _merge(self, group: Group, done: _Merges) -> None:
        """Write the files of a group into as few as their sizes and chains allow."""
        run, size, before = list[_Small](), 0, done.merged
        limit = self._bytes_max
        for at in range(0, len(group.files), REQUESTS):
            batch = [name for _, _, name in group.files[at : at + REQUESTS]]
            for small in await self._read(batch):
                if small is None or size + len(small.lines) > limit or not small.follows(run):
                    await self._write(run, done)
                    run, size = [], 0
                if small is not None:
                    run.append(small)
                    size += len(small.lines)
        if group.is_closed or done.merged == before:
            await self._write(run, done)

    async def _read(self, names: Sequence[str]) -> list[_Small | None]:
        """Return some files; None: it is gone, or it is altered and stays as it is."""
        with worst_alone():
            async with TaskGroup() as group:
                tasks = [group.create_task(self._small(name)) for name in names]
        return [task.result() for task in tasks]

    @property
    def _bytes_max(self) -> int:
        """Limit for a merged file, and so for each of those in it: many are read at once."""
        return min(self._limits.bytes_max, MERGED_BYTES_MAX)

    async def _small(self, name: str) -> _Small | None:
        try:
            lines, file = await self._store.lines(name, bytes_max=self._bytes_max)
        except NotFoundError:
            return None
        except TooLargeError:
            self._alone.add(name)
            return None
        except CorruptionError as exc:
            self._leave(name, exc)
            return None
        return _Small(name=name, lines=lines, header=file.header, footer=file.footer)

    async def _write(self, run: Sequence[_Small], done: _Merges) -> None:
        """Write one merged file, and read it back."""
        if self.is_stopped:
            return
        names = [small.name for small in run]
        if len(names) < FILES_MIN:
            self._alone.update(names)
            return
        merged, data = merge([small.lines for small in run])
        is_new = await self._store.area.create(merged, data)
        try:
            # Read back before any small file may go: only what is readable under the trusted keys
            # replaces them.
            file = await self._store.read(merged)
        except NotFoundError:
            return  # it has expired
        except CorruptionError as exc:
            await self._take_back(merged if is_new else None, exc)
            return
        for small in run:
            part = _part_of(file, small.name)
            if part is not None and part.footer.sha256 == small.footer.sha256:
                self._proved[small.name] = small.footer.sha256
        done.small += len(names)
        done.merged += 1

    async def _take_back(self, name: str | None, exc: CorruptionError) -> None:
        """Stop merging: the written file cannot be read, for example without a trusted key."""
        self._stop(exc)
        if name is not None:
            await self._delete([name], _Merges())

    # -------------------------------------------------------------------------------- doubles

    async def _delete_doubles(self, files: Sequence[Spanned], done: _Merges) -> None:
        """Delete the files that a merged one has held for long enough."""
        now_s = asyncio.get_running_loop().time()
        holders = without_doubles(files)
        kept = {name for _, _, name in holders}
        doubles = [one for one in files if one[2] not in kept]
        # Counted from when this process saw both, by its own clock: a reader with an older listing,
        # and one on a machine with another clock, still find the small files for `stay_s`.
        self._seen_s = {name: self._seen_s.get(name, now_s) for _, _, name in doubles}
        self._proved = {n: sha for n, sha in self._proved.items() if n in self._seen_s}
        starts, gone = [start for start, _, _ in holders], list[str]()
        self._holder = None
        for start, end, name in doubles:
            holder = holders[bisect_right(starts, start) - 1]
            is_due = now_s - self._seen_s[name] >= self._limits.stay_s and end <= holder[1]
            if is_due and is_merged(holder[2]) and await self._is_held(name, holder[2]):
                gone.append(name)
        for at in range(0, len(gone), REQUESTS):
            if not self.is_stopped:
                await self._delete(gone[at : at + REQUESTS], done)

    async def _is_held(self, name: str, holder: str) -> bool:
        """Return whether a merged file, read anew, has all of a file, checksum by checksum."""
        if name in self._alone:
            return False
        if self._holder is None or self._holder[0] != holder:
            self._holder = holder, await self._readable(holder)
        if (file := self._holder[1]) is None:
            return False
        if (part := _part_of(file, name)) is not None and name in self._proved:
            return part.footer.sha256 == self._proved[name]
        if (own := await self._readable(name)) is None:
            return False
        found = [file.part(one.header.start, one.footer.end) for one in own.parts]
        return all(
            part is not None and part.footer.sha256 == one.footer.sha256
            for one, part in zip(own.parts, found, strict=True)
        )

    async def _readable(self, name: str) -> ArchiveFile | None:
        try:
            return await self._store.read(name)
        except NotFoundError:
            return None
        except CorruptionError as exc:
            self._leave(name, exc)
            return None

    async def _delete(self, names: Sequence[str], done: _Merges) -> None:
        """Delete some files, unless the storage refuses to delete them."""
        try:
            with worst_alone():
                async with TaskGroup() as group:
                    for name in names:
                        group.create_task(self._store.delete(name))
        # Object locks, or a key that may not delete: the merged files would only add to what is
        # stored.
        except (RefusedError, ConfigError) as exc:
            self._stop(exc)
        else:
            done.deleted += len(names)

    def _leave(self, name: str, exc: CorruptionError) -> None:
        """Leave an altered file where it is, and say so once."""
        if name not in self._alone:
            self._alone.add(name)
            self._observer(ArchiveDamaged(reason=str(exc)))

    def _stop(self, exc: CorruptionError | RefusedError | ConfigError) -> None:
        if not self.is_stopped:
            self.is_stopped = True
            self._observer(
                Waiting(what="merge small files of the history", reason=str(exc), delay_s=0.0)
            )


def groups(
    files: Sequence[Spanned], bases: frozenset[Offset], alone: set[str], count: int
) -> list[Group]:
    """Return which files are to be merged now.

    A group never goes beyond a base: what expires ends at one.

    Args:
        files: All files of a history, as `spanned` orders them.
        bases: Offsets of the cuts that there are bases of.
        alone: Names of files that nothing is merged with.
        count: How many files make a group, unless no more can follow.
    """
    found, run = list[Group](), list[Spanned]()

    def end_run() -> None:
        if len(run) >= FILES_MIN:
            found.append(Group(files=tuple(run), is_closed=True))
        run.clear()

    for start, end, name in without_doubles(files):
        if run and run[-1][1] != start:
            end_run()
        # A commit that is a cut of its own leaves a file that zstd hardly packs; a file of many
        # offsets gains nothing.
        if is_merged(name) or name in alone or end - start >= LARGE_OFFSETS:
            end_run()
            continue
        run.append((start, end, name))
        if end - 1 in bases:
            end_run()
        elif len(run) == count:
            found.append(Group(files=tuple(run), is_closed=False))
            run.clear()
    return found


def _part_of(file: ArchiveFile, name: str) -> ArchiveFile | None:
    """Return the file with a name in a merged one; None: it is not in there."""
    span = history_span(name)
    return None if span is None else file.part(*span)
