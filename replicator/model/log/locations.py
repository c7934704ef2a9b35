"""Locations of a target's storage as 16 bytes each, and the locations that records reference.

References are counted by location and not by segment: several rows can share one object. Five
million locations are 80 MB, and their names are not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from replicator.errors import MalformedRowError
from replicator.model.arrays import np
from replicator.model.event import Offset, Record
from replicator.model.inventory.ledger import Mask
from replicator.model.load_spec import Layout, Location
from replicator.model.log.peek import changed_datasource
from replicator.model.log.row_mapping import located
from replicator.model.log.wire import segment_payload

if TYPE_CHECKING:
    from numpy.typing import NDArray

HASH_BYTES = 16
"""Length of a hash: two of ten million locations collide once in 10^24 storages."""
HASH = f"S{HASH_BYTES}"
LocationHashes: TypeAlias = "NDArray[np.bytes_]"
"""Unique hashes in ascending order."""
MERGE_MIN = 1 << 17
"""Number of new locations below which a merge waits: each merge sorts all of them once."""


@cache
def no_hashes() -> LocationHashes:
    """Return an empty array of hashes."""
    return np.empty(0, HASH)


def location_hash(location: Location) -> bytes:
    """Return the hash of a location: the head of its SHA-256."""
    return sha256(location.encode()).digest()[:HASH_BYTES]


def hashes(locations: Iterable[Location]) -> LocationHashes:
    """Return the hashes of some locations in their order."""
    return np.frombuffer(b"".join(map(location_hash, locations)), HASH)


def sorted_hashes(data: bytes | bytearray) -> LocationHashes:
    """Return concatenated hashes as unique ones in ascending order."""
    found: LocationHashes = np.unique(np.frombuffer(bytes(data), HASH))
    return found


def among(wanted: LocationHashes, known: LocationHashes) -> Mask:
    """Return which hashes are among the known ones, which ascend."""
    at = np.searchsorted(known, wanted)
    found = np.zeros(len(wanted), np.bool_)
    inside = at < len(known)
    found[inside] = known[at[inside]] == wanted[inside]
    return found


def less(wanted: LocationHashes, others: LocationHashes) -> LocationHashes:
    """Return the hashes that are not among the others."""
    return wanted[~among(wanted, others)] if len(wanted) else wanted


def union(some: Iterable[LocationHashes]) -> LocationHashes:
    """Return the unique hashes of all arrays in ascending order."""
    return np.unique(np.concatenate([no_hashes(), *some]))


class HashSet:
    """A set of hashes, added in any order and repeatedly."""

    def __init__(self) -> None:
        self._hashes, self._waiting = no_hashes(), bytearray()

    def add(self, data: bytes) -> None:
        """Add concatenated hashes."""
        self._waiting += data
        if len(self._waiting) >= HASH_BYTES * max(MERGE_MIN, len(self._hashes) // 2):
            self._merge()

    def hashes(self) -> LocationHashes:
        """Return all hashes."""
        if self._waiting:
            self._merge()
        return self._hashes

    def _merge(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        found = np.concatenate([self._hashes, np.frombuffer(waiting, HASH)])
        self._hashes = np.unique(found)


class RemainingLocations:
    """Locations still to be deleted or locked, each once."""

    def __init__(self, wanted: LocationHashes) -> None:
        self._hashes, self._open = wanted, np.ones(len(wanted), np.bool_)

    def take(self, locations: Sequence[Location]) -> list[Location]:
        """Return the given locations that remained, and remove them."""
        found = dict.fromkeys(locations)
        wanted = hashes(found)
        known = among(wanted, self._hashes)
        at = np.searchsorted(self._hashes, wanted[known])
        fresh = self._open[at]
        self._open[at] = False
        named = [one for one, is_known in zip(found, known.tolist(), strict=True) if is_known]
        return [one for one, is_fresh in zip(named, fresh.tolist(), strict=True) if is_fresh]


class Located(NamedTuple):
    """Locations that records reference."""

    hashes: bytes
    """Hashes of the records' locations, unordered and repeated."""
    unlocated: tuple[Offset, ...]
    """Records whose load spec leads to no location in the present configuration."""


@dataclass(frozen=True, kw_only=True)
class TargetLocator:
    """The rule that finds a record's location on the target; it can be pickled."""

    source: Layout
    target: Layout

    def location(self, record: Record) -> Location | None:
        """Return the location of a record's segment; None: it has no bytes.

        Raises:
            MalformedRowError: the load spec leads to no location.
        """
        payload = segment_payload(record)
        location = None if payload is None else located(payload, self.source)
        return None if location is None else self.target.own_location(location)

    def located_hashes(self, records: Sequence[Record]) -> Located:
        """Return the hashes of records' locations."""
        found, unlocated = bytearray(), list[Offset]()
        for record in records:
            try:
                location = self.location(record)
            except MalformedRowError:
                unlocated.append(record.offset)
            else:
                found += b"" if location is None else location_hash(location)
        return Located(bytes(found), tuple(unlocated))

    def hashes_by_datasource(self, records: Sequence[Record]) -> dict[str, bytes]:
        """Return the hashes of records' locations by datasource."""
        found: dict[str, bytearray] = {}
        for record, location in self._located(records):
            name = changed_datasource(record) or ""
            found.setdefault(name, bytearray()).extend(location_hash(location))
        return {name: bytes(hashes) for name, hashes in found.items()}

    def named(self, records: Sequence[Record]) -> list[Location]:
        """Return the names of records' locations."""
        return list(dict.fromkeys(location for _, location in self._located(records)))

    def _located(self, records: Sequence[Record]) -> Iterator[tuple[Record, Location]]:
        """Yield the records that reference a location; a malformed row references none."""
        for record in records:
            try:
                location = self.location(record)
            except MalformedRowError:
                continue
            if location is not None:
                yield record, location
