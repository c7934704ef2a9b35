"""Our own files at a target in a dict, for tests and simulations."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from replicator.errors import NotFoundError


class MemoryArea:
    """An `Area`; `files` may be looked at and changed by anybody."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.locked: dict[str, datetime] = {}
        """Until when; nothing is refused."""

    async def names(self, prefix: str) -> Sequence[str]:
        await asyncio.sleep(0)
        return sorted(name for name in self.files if name.startswith(prefix))

    async def get(self, name: str) -> bytes:
        await asyncio.sleep(0)
        if name not in self.files:
            raise NotFoundError(f"memory: there is no {name}")
        return self.files[name]

    async def create(self, name: str, data: bytes) -> bool:
        await asyncio.sleep(0)
        return self.files.setdefault(name, data) is data

    async def replace(self, name: str, data: bytes) -> None:
        await asyncio.sleep(0)
        self.files[name] = data

    async def delete(self, name: str) -> None:
        await asyncio.sleep(0)
        self.files.pop(name, None)

    async def extend(self, name: str, until: datetime) -> None:
        await asyncio.sleep(0)
        if name not in self.files:
            raise NotFoundError(f"memory: there is no {name}")
        self.locked[name] = max(until, self.locked.get(name, until))
