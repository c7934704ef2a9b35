"""The replicator's own files at a target in a dict, for tests and simulations."""

import asyncio
from bisect import bisect_left, insort
from collections import UserDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from replicator.errors import NotFoundError
from replicator.ports import DOCUMENT_BYTES_MAX, too_large

LAST: Final = "\U0010ffff"
"""No character sorts behind it."""


class SortedFiles(UserDict[str, bytes]):
    """Files by name, their names in order: simulations list them all the time."""

    def __init__(self, files: Mapping[str, bytes] = MappingProxyType({})) -> None:
        self._names: list[str] = []
        super().__init__(files)

    def __setitem__(self, name: str, data: bytes) -> None:
        if name not in self.data:
            insort(self._names, name)
        self.data[name] = data

    def __delitem__(self, name: str) -> None:
        del self.data[name]
        del self._names[bisect_left(self._names, name)]

    def below(self, prefix: str) -> list[str]:
        """Return the names that begin so, sorted."""
        first = bisect_left(self._names, prefix)
        return self._names[first : bisect_left(self._names, prefix + LAST, first)]


class MemoryArea:
    """An `Area`; tests may read and change `files`."""

    def __init__(self, *, yields: bool = True) -> None:
        """Create an empty area; `yields`: other tasks run during each call, as with a real one."""
        self._yields = yields
        self.files = SortedFiles()
        self.locked: dict[str, datetime] = {}
        """End of each file's lock; no request is refused because of it."""

    async def names(self, prefix: str) -> Sequence[str]:
        await self._turn()
        return self.files.below(prefix)

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        await self._turn()
        if name not in self.files:
            raise NotFoundError(f"memory: there is no {name}")
        if len(self.files[name]) > bytes_max:
            raise too_large(f"memory: {name}", len(self.files[name]), bytes_max)
        return self.files[name]

    async def create(self, name: str, data: bytes) -> bool:
        await self._turn()
        return self.files.setdefault(name, data) is data

    async def replace(self, name: str, data: bytes) -> None:
        await self._turn()
        self.files[name] = data

    async def delete(self, name: str) -> None:
        await self._turn()
        self.files.pop(name, None)

    async def extend(self, name: str, until: datetime) -> None:
        await self._turn()
        if name not in self.files:
            raise NotFoundError(f"memory: there is no {name}")
        self.locked[name] = max(until, self.locked.get(name, until))

    async def _turn(self) -> None:
        if self._yields:
            await asyncio.sleep(0)
