"""All deep storages of a source as one: where it writes now, and those it wrote to before."""

from collections.abc import AsyncIterator, Mapping, Sequence

from replicator.model.load_spec import Location, storage_of
from replicator.ports import Checked, DeepStorageReader, Piece, StoredObject


class SourceStorages:
    """A `DeepStorageReader` that leads each place to the storage it names."""

    def __init__(self, main: DeepStorageReader, others: Mapping[str, DeepStorageReader]) -> None:
        self._main, self._others = main, others

    def at(self, location: Location) -> tuple[DeepStorageReader, Location]:
        """Return the storage of a place, and the place there."""
        name, key = storage_of(location)
        return (self._others[name] if name else self._main), key

    def each(self) -> Mapping[str, DeepStorageReader]:
        """Return all of them by their names, '' for where it writes now."""
        return {"": self._main, **self._others}

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        storage, key = self.at(location)
        return await storage.objects(key, ahead=ahead)

    def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        storage, key = self.at(location)
        return storage.read(key, stored, start=start, end=end)

    async def check(self, location: Location) -> tuple[Checked, ...]:
        storage, key = self.at(location)
        return await storage.check(key)
