"""How many requests one object costs on its way, and what they are worth.

The counts are those of docs/storages.md, which the contract tests count on real servers.
"""

from dataclasses import dataclass
from typing import NamedTuple

MIB = 1 << 20
GIB = 1 << 30
SERVER_SIDE_MIN_BYTES = MIB
"""Smaller objects are read and written here: that takes less than asking for a copy."""
AHEAD_MAX_BYTES = 16 * MIB
"""Segments up to this, unpacked, are fetched by the request that looks at them.

Larger ones are read in ranges even where they are packed, and what was fetched is lost.
"""
READS_ITSELF = frozenset({"local"})
"""Storages that are asked nothing over a network."""


class Requests(NamedTuple):
    """How often servers are asked: what reads and looks, what writes and copies."""

    get: int = 0
    put: int = 0

    def plus(self, other: "Requests") -> "Requests":
        """Return both together."""
        return Requests(self.get + other.get, self.put + other.put)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRoute:
    """From one storage to another."""

    source: str
    """The kind of storage, as a configuration names it."""
    target: str
    same_service: bool
    """Whether one service holds both, which can copy by itself."""
    part_bytes: int
    """Objects up to this are stored by one request."""

    def is_server_side(self, size_bytes: int) -> bool:
        """Return whether the service copies an object of this size itself."""
        return self.same_service and size_bytes >= SERVER_SIDE_MIN_BYTES

    def look(self) -> Requests:
        """Return what it costs to find out that an object is at the target."""
        return _look(self.target)

    def copy(self, size_bytes: int) -> Requests:
        """Return what one object costs that is not at the target yet, looking included."""
        found = self.look()
        if self.is_server_side(size_bytes):
            # Google's copy is looked at and read for its checksum, which S3 tells
            done = Requests(get=3, put=2) if self.target == "google" else Requests(put=1)
            return found.plus(_look(self.source)).plus(done)
        found = found.plus(self._read(size_bytes))
        return found.plus(self._store(size_bytes))

    def _read(self, size_bytes: int) -> Requests:
        if self.source in READS_ITSELF:
            return Requests()
        if self.source in {"google", "hdfs"}:
            return Requests(get=2 if self.source == "google" else 4)
        if size_bytes <= min(AHEAD_MAX_BYTES, self.part_bytes):
            return Requests(get=1)
        parts = self._parts(size_bytes) if self.target == "s3" else 1
        return Requests(get=1 + parts)

    def _store(self, size_bytes: int) -> Requests:
        if self.target in READS_ITSELF:
            return Requests()
        if self.target == "hdfs":
            return Requests(put=8)
        if size_bytes <= self.part_bytes:
            return Requests(put=1)
        return Requests(get=1, put=self._parts(size_bytes) + 3)

    def _parts(self, size_bytes: int) -> int:
        return max(1, -(-size_bytes // self.part_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What an operator pays, in one currency; what is not said costs nothing."""

    currency: str
    request_get: float = 0.0
    """Price of one read request."""
    request_put: float = 0.0
    egress_gib: float = 0.0
    """Price of one GiB read out of the source storage."""
    storage_gib_month: float = 0.0

    def once(self, requests: Requests, streamed_bytes: int) -> float:
        """Return what copying costs once."""
        asked = requests.get * self.request_get + requests.put * self.request_put
        return asked + streamed_bytes / GIB * self.egress_gib

    def monthly(self, size_bytes: int) -> float:
        """Return what keeping so many bytes more costs in a month."""
        return size_bytes / GIB * self.storage_gib_month


def _look(kind: str) -> Requests:
    if kind in READS_ITSELF:
        return Requests()
    return Requests(get=2 if kind in {"google", "hdfs"} else 1)
