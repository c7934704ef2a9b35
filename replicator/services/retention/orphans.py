"""What stands in a target's storage and is not kept: what expires, and what nobody knows."""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from replicator.model.load_spec import Location
from replicator.model.locations import HASH, LocationHashes, hashes, location_hash
from replicator.model.observation import Observer, Progress
from replicator.ports import SegmentRemover, StoredLocation

ORPHANS_MAX = 100_000
"""Listed by one look; of more, the next one finds the others."""


@dataclass(slots=True)
class StorageFindings:
    """Places that are not kept, by who knows them."""

    expiring: int = 0
    """Places that no point needs any more, as far as they are there."""
    expiring_bytes: int = 0
    orphans: list[StoredLocation] = field(default_factory=list)
    """Stored by this tool and known to no record, at most `ORPHANS_MAX`."""
    orphans_bytes: int = 0
    young: int = 0
    """The same, stored so lately that they may be on their way to a cut."""
    foreign: int = 0
    """Not stored by this tool: never removed."""
    foreign_bytes: int = 0

    @property
    def orphan_hashes(self) -> LocationHashes:
        """The orphans' hashes, ascending."""
        found: LocationHashes = np.unique(hashes(one.location for one in self.orphans))
        return found


async def find_orphans(
    remover: SegmentRemover,
    *,
    retained: LocationHashes,
    unreferenced: LocationHashes,
    stored_before: datetime,
    observer: Observer,
) -> StorageFindings:
    """List a storage and return what is not kept; orphans are older than a time."""
    found, done = StorageFindings(), 0
    async for page in remover.stored_locations(lambda location: _has(retained, location)):
        for stored in page:
            _count(found, stored, unreferenced, stored_before)
        done += len(page)
        observer(Progress(what="list the storage", done=done, total=None, unit="places not kept"))
    return found


def _count(
    found: StorageFindings,
    stored: StoredLocation,
    unreferenced: LocationHashes,
    stored_before: datetime,
) -> None:
    if any(_has(unreferenced, one) for one in _with_folders(stored.location)):
        found.expiring += 1
        found.expiring_bytes += stored.size_bytes
    elif not stored.has_receipt:
        found.foreign += 1
        found.foreign_bytes += stored.size_bytes
    elif stored.stored_at >= stored_before:
        found.young += 1
    elif len(found.orphans) < ORPHANS_MAX:
        found.orphans.append(stored)
        found.orphans_bytes += stored.size_bytes


def _with_folders(location: Location) -> list[Location]:
    """Return a place and the folders above: of an unfinished removal single files may be left."""
    names = location.split("/")
    return [location, *(Location("/".join(names[:n]) + "/") for n in range(1, len(names)))]


def _has(known: LocationHashes, location: Location) -> bool:
    wanted = np.array(location_hash(location), HASH)
    at = int(np.searchsorted(known, wanted))
    return at < len(known) and bool(known[at] == wanted)
