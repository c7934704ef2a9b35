"""Lists a target's storage and counts what is not retained: expiring, orphaned and foreign."""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from replicator.model.load_spec import Location
from replicator.model.log.locations import HASH, LocationHashes, hashes, location_hash
from replicator.model.observation import Observer, Progress
from replicator.ports import SegmentRemover, StoredLocation

ORPHANS_MAX = 100_000
"""Number of orphans that one listing collects; the next one finds further orphans."""


@dataclass(slots=True)
class StorageFindings:
    """Objects that are not retained, by what is known of them."""

    expiring: int = 0
    """Number of locations in the storage that only expired history references."""
    expiring_bytes: int = 0
    orphans: list[StoredLocation] = field(default_factory=list)
    """Locations stored by this tool and referenced by no record; at most `ORPHANS_MAX`."""
    orphans_bytes: int = 0
    young: int = 0
    """Number of unreferenced locations too young to judge: a cut may be about to need them."""
    foreign: int = 0
    """Number of objects that this tool did not store, or left without a receipt; never deleted."""
    foreign_bytes: int = 0

    @property
    def orphan_hashes(self) -> LocationHashes:
        """Hashes of the orphans' locations, ascending."""
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
    """List a storage and return what is not retained; orphans are older than `stored_before`."""
    found, done = StorageFindings(), 0
    async for page in remover.stored_locations(lambda location: _has(retained, location)):
        for stored in page:
            _count(found, stored, unreferenced, stored_before)
        done += len(page)
        observer(
            Progress(what="list the storage", done=done, total=None, unit="locations not retained")
        )
    return found


def _count(
    found: StorageFindings,
    stored: StoredLocation,
    unreferenced: LocationHashes,
    stored_before: datetime,
) -> None:
    # A bucket may be shared: only what a receipt or a mark proves to be ours may ever be deleted.
    if not stored.has_receipt:
        found.foreign += 1
        found.foreign_bytes += stored.size_bytes
    elif _has(unreferenced, stored.location):
        found.expiring += 1
        found.expiring_bytes += stored.size_bytes
    elif stored.stored_at >= stored_before:
        found.young += 1
    elif len(found.orphans) < ORPHANS_MAX:
        found.orphans.append(stored)
        found.orphans_bytes += stored.size_bytes


def _has(known: LocationHashes, location: Location) -> bool:
    wanted = np.array(location_hash(location), HASH)
    at = int(np.searchsorted(known, wanted))
    return at < len(known) and bool(known[at] == wanted)
