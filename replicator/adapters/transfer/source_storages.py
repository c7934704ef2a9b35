"""All deep storages of a source as one: the current one, and those it used before."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from replicator.model.load_spec import Location, storage_of
from replicator.ports import (
    Checked,
    DeepStorageReader,
    Effective,
    Piece,
    StoredObject,
    TellsEffective,
    TriesReading,
)


class SourceStorages:
    """A `DeepStorageReader` that routes each location to the storage it names."""

    def __init__(self, main: DeepStorageReader, others: Mapping[str, DeepStorageReader]) -> None:
        self._main, self._others = main, others

    def at(self, location: Location) -> tuple[DeepStorageReader, Location]:
        """Return the storage of a location, and the location within it."""
        name, key = storage_of(location)
        return (self._others[name] if name else self._main), key

    @property
    def all(self) -> tuple[DeepStorageReader, ...]:
        """Each of them, the main one first."""
        return (self._main, *self._others.values())

    async def effective(self) -> Sequence[Effective]:
        """Return the settings in force of each storage that reports them."""
        found: list[Effective] = []
        for name, storage in {"": self._main, **self._others}.items():
            if isinstance(storage, TellsEffective):
                found += [
                    replace(one, name=f"{name}: {one.name}" if name else one.name)
                    for one in await storage.effective()
                ]
        return found

    async def try_reading(self) -> None:
        """Try to read each storage that supports a trial."""
        for storage in self.all:
            if isinstance(storage, TriesReading):
                await storage.try_reading()

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
