"""Files of an archive by the offsets they hold, fetched ahead and unpacked one after the other."""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from replicator.errors import CorruptionError, NotFoundError, worst_alone
from replicator.model.archive import ArchiveFile, unpack
from replicator.model.event import Offset
from replicator.ports import Area

AHEAD_FILES = 4
"""Files fetched at once while reading on."""
KEPT_FILES = 2
"""Files kept unpacked: the one being read, and the one that was read before."""


class MissingFileError(CorruptionError):
    """A file is not there that was listed: perhaps an expiry has taken it since."""


class Files:
    """Files by the offsets they hold, read one after the other."""

    def __init__(self, area: Area, names: Sequence[tuple[Offset, Offset, str]] = ()) -> None:
        self._area = area
        self.starts, self.ends, self.names = list[Offset](), list[Offset](), list[str]()
        for start, end, name in sorted(names, key=lambda found: (found[0], -found[1])):
            if not self.ends or end > self.ends[-1]:  # what another file holds as well is not read
                self.starts.append(start)
                self.ends.append(end)
                self.names.append(name)
        self._packed: dict[int, bytes | None] = {}
        self._unpacked: deque[tuple[int, ArchiveFile]] = deque(maxlen=KEPT_FILES)

    def __len__(self) -> int:
        return len(self.starts)

    def holding(self, offset: Offset) -> int:
        """Return the place of the last file that begins at or before an offset, -1 for none."""
        return bisect_right(self.starts, offset) - 1

    def whole_until(self, start: Offset) -> Offset:
        """Return up to where there is no hole, from `start` on."""
        place, end = max(0, self.holding(start)), start
        while place < len(self) and self.starts[place] <= end:
            end = max(end, self.ends[place])
            place += 1
        return end

    async def file(self, place: int) -> ArchiveFile:
        """Return a file, checked; the next ones are fetched along when it is read in order.

        Raises:
            CorruptionError: it is missing or altered; the message names it.
        """
        for kept, found in self._unpacked:
            if kept == place:
                return found
        if place not in self._packed:
            in_order = any(kept == place - 1 for kept, _ in self._unpacked)
            await self._fetch(range(place, place + (AHEAD_FILES if in_order else 1)))
        if (data := self._packed.pop(place)) is None:
            raise MissingFileError(f"{self.names[place]} is missing from the archive")
        found = unpack(self.names[place], data)
        self._unpacked.append((place, found))
        return found

    async def _fetch(self, places: range) -> None:
        self._packed.clear()
        wanted = [place for place in places if place < len(self.names)]
        with worst_alone():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._get(self.names[place])) for place in wanted]
        self._packed = {place: task.result() for place, task in zip(wanted, tasks, strict=True)}

    async def _get(self, name: str) -> bytes | None:
        """Return a file's bytes, None when it is missing: it may have been fetched too early."""
        try:
            return await self._area.get(name)
        except NotFoundError:
            return None
