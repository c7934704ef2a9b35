"""A deep storage in dicts, for tests and simulations: same promises, but it dies with us."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256

from replicator.errors import CorruptionError, MissingObjectError, RefusedError
from replicator.model.load_spec import Location
from replicator.ports import Checked, Receipt, Shipment, StoredObject


class MemoryDeepStorage:
    """A `DeepStorage`; `stored` may be looked at and changed by anybody."""

    def __init__(self) -> None:
        self.stored: dict[Location, dict[str, bytes]] = {}
        self.receipts: dict[Location, Receipt] = {}

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        del ahead
        await asyncio.sleep(0)
        return [
            StoredObject(name=name, size_bytes=len(data), tag=sha256(data).hexdigest()[:8])
            for name, data in sorted(self._found(location).items())
        ]

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        await asyncio.sleep(0)
        data = self._found(location).get(stored.name)
        if data is None:
            raise MissingObjectError(f"{location}{stored.name} is not there")
        yield data[start:end]

    async def check(self, location: Location) -> tuple[Checked, ...]:
        await asyncio.sleep(0)
        return tuple(_checked(name, data) for name, data in sorted(self._found(location).items()))

    async def receipt(self, location: Location) -> Receipt | None:
        await asyncio.sleep(0)
        receipt, found = self.receipts.get(location), self.stored.get(location)
        if receipt is None or found is None:
            return None
        sizes = {checked.name: checked.size_bytes for checked in receipt.objects}
        return receipt if sizes == {name: len(data) for name, data in found.items()} else None

    async def put(self, location: Location, shipment: Shipment) -> Receipt:
        found: dict[str, bytes] = {}
        for wanted in shipment.objects:
            pieces = [piece async for piece in shipment.read(wanted)]
            found[wanted.name] = data = b"".join(pieces)
            if len(data) != wanted.size_bytes:
                raise CorruptionError(f"{location}{wanted.name}: {len(data)} bytes arrived")
        checked = tuple(_checked(name, data) for name, data in sorted(found.items()))
        present = await self.receipt(location)
        if present is not None and present.objects != checked:
            raise RefusedError(f"{location} holds other bytes already")
        if present is None and location in self.stored and location not in self.receipts:
            raise RefusedError(f"{location} holds something that this tool did not write")
        receipt = Receipt(objects=checked, copied_from=shipment.objects)
        self.stored[location], self.receipts[location] = found, receipt
        return receipt

    async def probe(self) -> None:
        await asyncio.sleep(0)

    def _found(self, location: Location) -> dict[str, bytes]:
        found = self.stored.get(location)
        if not found:
            raise MissingObjectError(f"{location} is not there")
        return found


def _checked(name: str, data: bytes) -> Checked:
    return Checked(name=name, size_bytes=len(data), sha256=sha256(data).hexdigest())
