"""Files of an archive by their offsets, fetched ahead and unpacked one after the other.

Small files are merged into a larger one while others read. Until they are deleted both are there,
with the same records; afterwards a reader with an older listing still asks for the small ones. So a
file that is gone is looked for in a merged one, and a merged one that is altered is made up of the
files that it holds, if they are still there.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.event import Offset
from replicator.model.store.archive import ArchiveFile, history_span, is_merged, joined
from replicator.services.store.store import Store

AHEAD_FILES = 4
"""Number of files that are fetched at once while files are read in order."""
Spanned: TypeAlias = tuple[Offset, Offset, str]
"""First offset of a file, the offset after its last one, and its name."""


class MissingFileError(CorruptionError):
    """A listed file is gone and not merged into another one: it may have expired."""


class Files:
    """Files by their offsets, read one after the other."""

    def __init__(self, store: Store, files: Sequence[Spanned] = ()) -> None:
        """Take the files in the order of their starts; does no I/O."""
        self._store, self._all = store, files
        files = without_doubles(files)
        self.starts = [start for start, _, _ in files]
        self.ends = [end for _, end, _ in files]
        self.names = [name for _, _, name in files]
        self._packed: dict[int, bytes | None] = {}
        self._last: int | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def holding(self, offset: Offset) -> int:
        """Return the index of the last file that starts at or before an offset; -1 for none."""
        return bisect_right(self.starts, offset) - 1

    def whole_until(self, start: Offset) -> Offset:
        """Return the offset up to which no file is missing, from `start` on."""
        index, end = max(0, self.holding(start)), start
        while index < len(self) and self.starts[index] <= end:
            end = max(end, self.ends[index])
            index += 1
        return end

    async def file(self, index: int, *, sha256: str | None = None) -> ArchiveFile:
        """Return a file, checked; if files are read in order, the next ones are fetched along.

        Args:
            index: Position of the file in `names`.
            sha256: Checksum that an earlier read has shown; None to accept any.

        Raises:
            CorruptionError: the file is missing or altered; the message names it.
        """
        name = self.names[index]
        if (found := self._store.known(name, sha256)) is None:
            try:
                found = await self._read(index)
            except CorruptionError:
                if (made_up := await self._from_doubles(index)) is None:
                    raise
                found = made_up
        self._last = index
        return found

    async def _read(self, index: int) -> ArchiveFile:
        name = self.names[index]
        if index not in self._packed:
            in_order = self._last is not None and self._last == index - 1
            await self._fetch(range(index, index + (AHEAD_FILES if in_order else 1)))
        if (data := self._packed.pop(index)) is not None:
            return self._store.unpacked(name, data)
        if (found := await merged_part(self._store, name)) is None:
            raise MissingFileError(f"{name} is missing from the archive")
        return found

    async def _fetch(self, indexes: range) -> None:
        self._packed.clear()
        first, *ahead = [index for index in indexes if index < len(self.names)]
        wanted = [first, *[one for one in ahead if self._store.known(self.names[one]) is None]]
        try:
            found = await self._store.fetch([self.names[index] for index in wanted])
        except CorruptionError:  # perhaps of a later file, which is read when its turn comes
            wanted = [first]
            found = await self._store.fetch([self.names[first]])
        self._packed = dict(zip(wanted, found, strict=True))

    async def _from_doubles(self, index: int) -> ArchiveFile | None:
        """Return a merged file made up of its original files; None: some of them are gone."""
        if not is_merged(self.names[index]):
            return None
        at, end, found = self.starts[index], self.ends[index], list[ArchiveFile]()
        for one_start, one_end, name in self._all:
            if name != self.names[index] and one_start == at and one_end <= end:
                try:
                    found.append(await self._store.read(name))
                except (CorruptionError, NotFoundError):
                    continue
                at = one_end
        try:
            return joined(found) if found and at == end else None
        except ValueError:
            return None


async def merged_part(store: Store, name: str) -> ArchiveFile | None:
    """Return a file that is gone from the merged one that holds it; None: there is none.

    Raises:
        CorruptionError: the merged file is altered.
    """
    if (span := history_span(name)) is None:
        return None  # a part of a base
    start, end = span
    there = await store.area.names("/".join(name.split("/")[:2]) + "/")
    for one_start, one_end, other in spanned(there):
        if is_merged(other) and other != name and one_start <= start and end <= one_end:
            file = store.known(other) or await store.read(other)
            if (found := file.part(start, end)) is not None:
                return found
    return None


def spanned(names: Iterable[str]) -> list[Spanned]:
    """Return the files of a history ordered by start; of two with one start, the longer first."""
    spans = [(span, name) for name in names if (span := history_span(name)) is not None]
    return sorted([(*span, name) for span, name in spans], key=lambda found: (found[0], -found[1]))


def without_doubles(files: Iterable[Spanned]) -> list[Spanned]:
    """Drop files whose offsets are all in another file."""
    found: list[Spanned] = []
    for one in files:
        if not found or one[1] > found[-1][1]:
            found.append(one)
    return found
