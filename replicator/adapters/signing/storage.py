"""A target's storage whose bytes are sealed when they are stored, and trusted by their seals."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from replicator.adapters.signing.area import Signatures, SignedArea
from replicator.errors import CorruptionError, MissingObjectError, NotFoundError
from replicator.model.load_spec import Location
from replicator.model.store.seal import SEALS, Seal, digest_of, seal_json, seal_name, seal_of
from replicator.ports import (
    Area,
    Checked,
    CopySource,
    DeepStorageReader,
    Known,
    Piece,
    Receipt,
    StoredLocation,
    StoredObject,
    TargetStorage,
)

HINT = (
    "the bytes or their receipt were exchanged: `replicator repair TARGET` copies them again,"
    " or take them from a copy of this store"
)


class SealedStorage:
    """A `TargetStorage` over another one, for a target with keys.

    A receipt without a seal does not count, so `put` compares and seals what a process left that
    died between the two. Bytes are written first, then their receipt, then their seal.

    Args:
        storage: The storage with the bytes.
        rule: Rule by which the target's files are signed.
    """

    def __init__(self, storage: TargetStorage, rule: Signatures) -> None:
        self._storage, self._rule = storage, rule
        self._area = SignedArea(storage.area(), rule)

    def area(self) -> Area:
        return self._storage.area()

    def at(self, location: Location) -> tuple[DeepStorageReader, Location]:
        return self._storage, location

    # -------------------------------------------------------------------------------------- bytes

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        return await self._storage.objects(location, ahead=ahead)

    def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        return self._storage.read(location, stored, start=start, end=end)

    async def check(self, location: Location) -> tuple[Checked, ...]:
        return await self._storage.check(location)

    def copies_from(self, reader: DeepStorageReader, location: Location) -> bool:
        return self._storage.copies_from(reader, location)

    async def probe(self) -> Sequence[str]:
        return await self._storage.probe()

    def stored_locations(self, known: Known) -> AsyncIterator[Sequence[StoredLocation]]:
        return self._storage.stored_locations(known)

    # ------------------------------------------------------------------------------------ receipts

    async def receipt(self, location: Location) -> Receipt | None:
        return await self._believed(location, await self._storage.receipt(location))

    async def written_receipt(self, location: Location) -> Receipt | None:
        return await self._believed(location, await self._storage.written_receipt(location))

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        receipt = await self._storage.put(location, copy_source)
        await self._seal(location, receipt)
        return receipt

    async def write_receipt(self, location: Location, receipt: Receipt) -> None:
        await self._storage.write_receipt(location, receipt)
        await self._seal(location, receipt)

    async def replace(
        self, location: Location, copy_source: CopySource, truth: Receipt | None
    ) -> Receipt:
        receipt = await self._storage.replace(location, copy_source, truth)
        await self._seal(location, receipt)
        return receipt

    async def remove(self, location: Location) -> None:
        await self._storage.remove(location)
        await self._area.delete(seal_name(location))

    async def extend(self, location: Location, until: datetime) -> None:
        await self._storage.extend(location, until)
        try:
            await self._area.extend(seal_name(location), until)
        except NotFoundError as exc:
            if not self._rule.reads_unsigned(f"{SEALS}/ of {location}"):
                raise MissingObjectError(f"{location} has no seal that could be locked") from exc

    async def seal(self, location: Location) -> bool:
        """Seal a location's receipt, unless it is sealed already; return whether it was sealed now.

        Raises:
            CorruptionError: the location has a seal of something else, or an altered one.
        """
        if (receipt := await self._storage.receipt(location)) is None:
            return False
        try:
            await self._require_sealed(location, receipt)
        except NotFoundError:
            self._rule.require_key()
            await self._seal(location, receipt)
            return True
        return False

    # --------------------------------------------------------------------------------------- seals

    async def _believed(self, location: Location, receipt: Receipt | None) -> Receipt | None:
        """Return a receipt if its location has a seal of it, None if it has no seal.

        Raises:
            CorruptionError: the seal is of something else, or is altered.
        """
        if receipt is None:
            return None
        try:
            await self._require_sealed(location, receipt)
        except NotFoundError:
            return receipt if self._rule.reads_unsigned(f"{SEALS}/ of {location}") else None
        return receipt

    async def _require_sealed(self, location: Location, receipt: Receipt) -> None:
        # First: a receipt that no seal can tell from others is not trusted without a seal either.
        wanted = _seal_of(location, receipt)
        name = seal_name(location)
        seal = seal_of(name, await self._area.get(name))
        if seal != wanted:
            raise CorruptionError(
                f"{location} is not what its seal ({name}) says was stored there", hint=HINT
            )

    async def _seal(self, location: Location, receipt: Receipt) -> None:
        data = seal_json(_seal_of(location, receipt))
        await self._area.replace(seal_name(location), data)


def _seal_of(location: Location, receipt: Receipt) -> Seal:
    """Return the seal of a receipt.

    Raises:
        CorruptionError: a receipt of other files would have the same one.
    """
    names = [one.name for one in receipt.objects]
    if names != [""] and (receipt.packed or "" in names):
        # The digest does not say where the objects end and the files packed into one begin.
        raise CorruptionError(
            f"the receipt of {location} takes files for packed that are not, or the reverse",
            hint=HINT,
        )
    files = [(one.name, one.size_bytes, one.sha256) for one in receipt.objects]
    packed = [(one.name, one.size_bytes, one.sha256) for one in receipt.packed]
    return Seal(location=location, sha256=digest_of([*files, *packed]))
