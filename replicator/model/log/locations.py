"""Locations of a target's storage as 16 bytes each, and which of them records reference.

References are counted by location and not by segment: several rows can share one object. Five
million locations are 80 MB, and no name of one is kept.
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
"""Hashes, ascending, each once."""
MERGE_MIN = 1 << 17
"""Fewer new locations than this wait for more: each merge sorts all of them once."""


@cache
def no_hashes() -> LocationHashes:
    """Return no hash at all."""
    return np.empty(0, HASH)


def location_hash(location: Location) -> bytes:
    """Return what stands for a location: the head of its SHA-256."""
    return sha256(location.encode()).digest()[:HASH_BYTES]


def hashes(locations: Iterable[Location]) -> LocationHashes:
    """Return the hashes of some locations in their order."""
    return np.frombuffer(b"".join(map(location_hash, locations)), HASH)


def sorted_hashes(data: bytes | bytearray) -> LocationHashes:
    """Return hashes that stand one after the other, ascending and each once."""
    found: LocationHashes = np.unique(np.frombuffer(bytes(data), HASH))
    return found


def among(wanted: LocationHashes, known: LocationHashes) -> Mask:
    """Return which of some hashes are among the known ones, which ascend."""
    at = np.searchsorted(known, wanted)
    found = np.zeros(len(wanted), np.bool_)
    inside = at < len(known)
    found[inside] = known[at[inside]] == wanted[inside]
    return found


def less(wanted: LocationHashes, others: LocationHashes) -> LocationHashes:
    """Return the hashes that are not among the others."""
    return wanted[~among(wanted, others)] if len(wanted) else wanted


def union(some: Iterable[LocationHashes]) -> LocationHashes:
    """Return the hashes that are in any of these, ascending and each once."""
    return np.unique(np.concatenate([no_hashes(), *some]))


class HashSet:
    """Takes hashes in any order, as often as they come."""

    def __init__(self) -> None:
        self._hashes, self._waiting = no_hashes(), bytearray()

    def add(self, data: bytes) -> None:
        """Take hashes that stand one after the other."""
        self._waiting += data
        if len(self._waiting) >= HASH_BYTES * max(MERGE_MIN, len(self._hashes) // 2):
            self._merge()

    def hashes(self) -> LocationHashes:
        """Return all of them."""
        if self._waiting:
            self._merge()
        return self._hashes

    def _merge(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        found = np.concatenate([self._hashes, np.frombuffer(waiting, HASH)])
        self._hashes = np.unique(found)


class RemainingLocations:
    """Locations that are still to be deleted or locked, each once."""

    def __init__(self, wanted: LocationHashes) -> None:
        self._hashes, self._open = wanted, np.ones(len(wanted), np.bool_)

    def take(self, locations: Sequence[Location]) -> list[Location]:
        """Return those of some locations that remained, and take them off."""
        found = dict.fromkeys(locations)
        wanted = hashes(found)
        known = among(wanted, self._hashes)
        at = np.searchsorted(self._hashes, wanted[known])
        fresh = self._open[at]
        self._open[at] = False
        named = [one for one, is_known in zip(found, known.tolist(), strict=True) if is_known]
        return [one for one, is_fresh in zip(named, fresh.tolist(), strict=True) if is_fresh]


class Located(NamedTuple):
    """Locations that some records reference."""

    hashes: bytes
    """Hashes of the records' locations, unordered and repeated."""
    unlocated: tuple[Offset, ...]
    """Records whose load spec leads to no location by the present configuration."""


@dataclass(frozen=True, kw_only=True)
class TargetLocator:
    """The rule by which a record references a location on the target; it can be pickled."""

    source: Layout
    target: Layout

    def location(self, record: Record) -> Location | None:
        """Return the location of a record's segment, None when it has no bytes.

        Raises:
            MalformedRowError: its load spec leads nowhere.
        """
        payload = segment_payload(record)
        location = None if payload is None else located(payload, self.source)
        return None if location is None else self.target.place(location)

    def located_hashes(self, records: Sequence[Record]) -> Located:
        """Return the locations of some records as hashes."""
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
        """Return the locations of some records as hashes, by the datasource of the row."""
        found: dict[str, bytearray] = {}
        for record, location in self._located(records):
            name = changed_datasource(record) or ""
            found.setdefault(name, bytearray()).extend(location_hash(location))
        return {name: bytes(hashes) for name, hashes in found.items()}

    def named(self, records: Sequence[Record]) -> list[Location]:
        """Return the locations of some records by their names."""
        return list(dict.fromkeys(location for _, location in self._located(records)))

    def _located(self, records: Sequence[Record]) -> Iterator[tuple[Record, Location]]:
        """Yield the records that reference a location; a malformed row has none."""
        for record in records:
            try:
                location = self.location(record)
            except MalformedRowError:
                continue
            if location is not None:
                yield record, location
