"""The replicator's own files at a target in a dict, for tests and simulations."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from replicator.errors import NotFoundError
from replicator.ports import DOCUMENT_BYTES_MAX, too_large


class MemoryArea:
    """An `Area`; tests may read and change `files`."""

    def __init__(self, *, yields: bool = True) -> None:
        """Create an empty area; `yields`: other tasks run during each call, as with a real one."""
        self._yields = yields
        self.files: dict[str, bytes] = {}
        self.locked: dict[str, datetime] = {}
        """End of each file's lock; no request is refused because of it."""

    async def names(self, prefix: str) -> Sequence[str]:
        await self._turn()
        return sorted([name for name in self.files if name.startswith(prefix)])

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
