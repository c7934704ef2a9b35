"""Number of requests for the copy of one object, and their price.

The numbers are those of docs/storages.md; the contract tests count them on real servers.
"""

from dataclasses import dataclass
from typing import NamedTuple

MIB = 1 << 20
GIB = 1 << 30
SERVER_SIDE_MIN_BYTES = MIB
"""Size below which this process reads and writes an object: a server's copy takes longer."""
AHEAD_MAX_BYTES = 16 * MIB
"""Largest segment, unpacked, that is fetched by the request that looks it up.

Larger ones are read in ranges, even packed ones, and the fetched bytes are thrown away.
"""
READS_ITSELF = frozenset({"local"})
"""Storages without requests over a network."""


class Requests(NamedTuple):
    """Numbers of requests: `get` for reads and look-ups, `put` for writes and copies."""

    get: int = 0
    put: int = 0

    def plus(self, other: "Requests") -> "Requests":
        """Return the sum of both."""
        return Requests(self.get + other.get, self.put + other.put)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRoute:
    """The route of an object's bytes from one storage to another."""

    source: str
    """Kind of the source storage, as in the configuration."""
    target: str
    same_service: bool
    """Whether one service has both storages, so that it can copy between them."""
    part_bytes: int
    """Size of the largest object that one request stores."""

    def is_server_side(self, size_bytes: int) -> bool:
        """Return whether the service copies an object of this size itself."""
        return self.same_service and size_bytes >= SERVER_SIDE_MIN_BYTES

    def look(self) -> Requests:
        """Return the requests that find out whether an object is at the target."""
        return _look(self.target)

    def copy(self, size_bytes: int) -> Requests:
        """Return the requests that copy an object to the target, including the look-up."""
        found = self.look()
        if self.is_server_side(size_bytes):
            # Google's copy must be looked up and read for its checksum, which S3 returns
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
    """Prices in one currency; an omitted price is 0."""

    currency: str
    request_get: float = 0.0
    """Price of one read request."""
    request_put: float = 0.0
    egress_gib: float = 0.0
    """Price of one GiB read out of the source storage."""
    storage_gib_month: float = 0.0

    def once(self, requests: Requests, streamed_bytes: int) -> float:
        """Return the price of copying."""
        requests_price = requests.get * self.request_get + requests.put * self.request_put
        return requests_price + streamed_bytes / GIB * self.egress_gib

    def monthly(self, size_bytes: int) -> float:
        """Return the price of keeping this many more bytes for a month."""
        return size_bytes / GIB * self.storage_gib_month


def _look(kind: str) -> Requests:
    if kind in READS_ITSELF:
        return Requests()
    return Requests(get=2 if kind in {"google", "hdfs"} else 1)
