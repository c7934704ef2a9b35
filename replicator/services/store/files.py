"""Files of an archive by the offsets they hold, fetched ahead and unpacked one after the other."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from replicator.errors import CorruptionError
from replicator.model.archive import ArchiveFile, history_span
from replicator.model.event import Offset
from replicator.services.store.store import Store

AHEAD_FILES = 4
"""Files fetched at once while reading on."""
Spanned: TypeAlias = tuple[Offset, Offset, str]
"""The offsets of a file from the first up to the second, excluded, and its name."""


class MissingFileError(CorruptionError):
    """A file is not there that was listed: perhaps an expiry has taken it since."""


class Files:
    """Files by the offsets they hold, read one after the other."""

    def __init__(self, store: Store, files: Sequence[Spanned] = ()) -> None:
        """Take the files in the order of their starts; nothing is read yet."""
        self._store = store
        self.starts = [start for start, _, _ in files]
        self.ends = [end for _, end, _ in files]
        self.names = [name for _, _, name in files]
        self._packed: dict[int, bytes | None] = {}
        self._last: int | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def holding(self, offset: Offset) -> int:
        """Return the place of the last file that begins at or before an offset, -1 for none."""
        return bisect_right(self.starts, offset) - 1

    def whole_until(self, start: Offset) -> Offset:
        """Return up to where there is no hole, from `start` on."""
        index, end = max(0, self.holding(start)), start
        while index < len(self) and self.starts[index] <= end:
            end = max(end, self.ends[index])
            index += 1
        return end

    async def file(self, index: int, *, sha256: str | None = None) -> ArchiveFile:
        """Return a file, checked; the next ones are fetched along when it is read in order.

        Args:
            index: Position of the file in `names`.
            sha256: What it must end with when it was read before; None: whatever it does.

        Raises:
            CorruptionError: it is missing or altered; the message names it.
        """
        name = self.names[index]
        if (found := self._store.known(name, sha256)) is None:
            if index not in self._packed:
                in_order = self._last is not None and self._last == index - 1
                await self._fetch(range(index, index + (AHEAD_FILES if in_order else 1)))
            if (data := self._packed.pop(index)) is None:
                raise MissingFileError(f"{name} is missing from the archive")
            found = self._store.unpacked(name, data)
        self._last = index
        return found

    async def _fetch(self, indexes: range) -> None:
        self._packed.clear()
        first, *ahead = [index for index in indexes if index < len(self.names)]
        wanted = [first, *[one for one in ahead if self._store.known(self.names[one]) is None]]
        found = await self._store.fetch([self.names[index] for index in wanted])
        self._packed = dict(zip(wanted, found, strict=True))


def spanned(names: Iterable[str]) -> list[Spanned]:
    """Return the files of a history by their starts, of those with one start the longest first."""
    spans = [(span, name) for name in names if (span := history_span(name)) is not None]
    return sorted([(*span, name) for span, name in spans], key=lambda found: (found[0], -found[1]))


def without_doubles(files: Iterable[Spanned]) -> list[Spanned]:
    """Leave out files whose offsets another one holds as well."""
    found: list[Spanned] = []
    for one in files:
        if not found or one[1] > found[-1][1]:
            found.append(one)
    return found
