"""A deep storage in dicts, for tests and simulations: it promises the same, but is not durable."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from replicator.adapters.memory.area import MemoryArea
from replicator.errors import (
    CorruptionError,
    LockedError,
    MissingObjectError,
    RefusedError,
    RewrittenObjectError,
)
from replicator.model.load_spec import Location
from replicator.ports import (
    AREAS,
    Checked,
    Clock,
    CopySource,
    DeepStorageReader,
    Known,
    Receipt,
    StoredLocation,
    StoredObject,
)

NEVER = datetime.min.replace(tzinfo=UTC)


class MemoryDeepStorage:
    """A `DeepStorage`, `SegmentRemover` and `SegmentReplacer`; tests may change `stored`."""

    def __init__(
        self, clock: Clock | None = None, *, locks: bool = False, swaps: bool = True
    ) -> None:
        """Create an empty storage; flags say whether `extend` locks and `replace` replaces."""
        self.locks, self.swaps = locks, swaps
        self.stored: dict[Location, dict[str, bytes]] = {}
        self.receipts: dict[Location, Receipt] = {}
        self.own = MemoryArea()
        self.stored_at: dict[Location, datetime] = {}
        self.locked_until: dict[Location, datetime] = {}
        self._clock = clock

    def area(self) -> MemoryArea:
        """Return the area of the replicator's own files."""
        return self.own

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        del ahead
        await asyncio.sleep(0)
        return [
            StoredObject(name=name, size_bytes=len(data), tag=_tag(data))
            for name, data in sorted(self._found(location).items())
        ]

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        await asyncio.sleep(0)
        data = self._found(location).get(stored.name)
        if data is None:
            raise MissingObjectError(f"{location}{stored.name} is not there")
        if _tag(data) != stored.tag:
            raise RewrittenObjectError(f"{location}{stored.name} was written since it was listed")
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
        if sizes != {name: len(data) for name, data in found.items()}:
            return None
        return replace(receipt, stored_at=self.stored_at.get(location))

    def copies_from(self, reader: DeepStorageReader, location: Location) -> bool:
        del reader, location
        return False

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        if location.split("/", 1)[0] in AREAS:
            raise RefusedError(f"{location!r} is not a place in a deep storage")
        found = await _arrived(location, copy_source)
        checked = tuple(_checked(name, data) for name, data in sorted(found.items()))
        present = await self.receipt(location)
        if present is not None and present.objects != checked:
            raise RefusedError(f"{location} holds other bytes already")
        if location not in self.receipts and self.stored.get(location, found) != found:
            raise RefusedError(f"{location} holds other bytes already, which are not replaced")
        receipt = Receipt(objects=checked, copied_from=copy_source.objects)
        self.stored[location], self.receipts[location] = found, receipt
        if self._clock is not None:
            self.stored_at[location] = self._clock.now()
        return receipt

    async def probe(self) -> Sequence[str]:
        await asyncio.sleep(0)
        return ()

    async def remove(self, location: Location) -> None:
        await asyncio.sleep(0)
        if location.split("/", 1)[0] in AREAS:
            raise RefusedError(f"{location} is our own area")
        locked = self.locked_until.get(location)
        if locked is not None and self._clock is not None and locked > self._clock.now():
            raise LockedError(f"{location} is locked until {locked.isoformat()}")
        if self.receipts.pop(location, None) is not None:
            self.stored.pop(location, None)
            self.stored_at.pop(location, None)

    async def written_receipt(self, location: Location) -> Receipt | None:
        await asyncio.sleep(0)
        return self.receipts.get(location)

    async def write_receipt(self, location: Location, receipt: Receipt) -> None:
        if await self.check(location) != receipt.objects:
            raise MissingObjectError(f"{location} is not what its receipt says")
        self.receipts[location] = receipt

    async def replace(
        self, location: Location, copy_source: CopySource, truth: Receipt | None
    ) -> Receipt:
        if not self.swaps:
            self.stored.pop(location, None)
            await asyncio.sleep(0)
        found = await _arrived(location, copy_source)
        checked = tuple(_checked(name, data) for name, data in sorted(found.items()))
        receipt = Receipt(objects=checked, copied_from=copy_source.objects).confirmed(truth)
        if receipt is None:
            raise CorruptionError(f"{location}: other bytes arrived than its receipt says")
        self.stored[location], self.receipts[location] = found, receipt
        return receipt

    async def extend(self, location: Location, until: datetime) -> None:
        await asyncio.sleep(0)
        if self.locks:
            self._found(location)
            self.locked_until[location] = max(until, self.locked_until.get(location, NEVER))

    async def stored_locations(self, known: Known) -> AsyncIterator[Sequence[StoredLocation]]:
        for location, files in list(self.stored.items()):
            await asyncio.sleep(0)
            names = location.rstrip("/").split("/")
            above = (Location("/".join(names[:n]) + "/") for n in range(1, len(names)))
            if not known(location) and not any(map(known, above)):
                yield self._locations_of(location, files)

    def _locations_of(self, location: Location, files: Mapping[str, bytes]) -> list[StoredLocation]:
        ours, at = location in self.receipts, self.stored_at.get(location, NEVER)
        if ours or not location.endswith("/"):
            files = {"": b"".join(files.values())}
        return [
            StoredLocation(
                location=Location(location + name),
                size_bytes=len(data),
                has_receipt=ours,
                stored_at=at,
            )
            for name, data in files.items()
        ]

    def _found(self, location: Location) -> dict[str, bytes]:
        found = self.stored.get(location)
        if not found:
            raise MissingObjectError(f"{location} is not there")
        return found


def _tag(data: bytes) -> str:
    return sha256(data).hexdigest()[:8]


async def _arrived(location: Location, copy_source: CopySource) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for wanted in copy_source.objects:
        pieces = [piece async for piece in copy_source.read(wanted)]
        found[wanted.name] = data = b"".join(pieces)
        if len(data) != wanted.size_bytes:
            raise CorruptionError(f"{location}{wanted.name}: {len(data)} bytes arrived")
    return found


def _checked(name: str, data: bytes) -> Checked:
    return Checked(name=name, size_bytes=len(data), sha256=sha256(data).hexdigest())
