"""Row versions of a store in dicts that behaves like PostgreSQL, for tests and the simulation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

import numpy as np

from replicator.model.row import Kind, Row, RowKey
from replicator.model.versions import (
    STAMPS,
    BinlogPosition,
    Continuity,
    Lineage,
    NewStamps,
    NoVersions,
    VersionDigest,
    Versions,
)

FIRST_TRANSACTION: Final = 3
"""First transaction id, as in PostgreSQL, which reserves the three before."""
_files: Final = count(1)


@dataclass(frozen=True, slots=True)
class Tuple:
    """A row and its place."""

    row: Row
    place: int
    transaction: int


@dataclass
class MemoryVersions:
    """Gives every row that is new or another object a place and the stamp of a transaction.

    It looks at the rows when a snapshot is taken: what changed since the previous one counts as one
    transaction.
    """

    reason: str | None = None
    """Reason why there are no versions; None: there are."""
    binlog: bool = False
    """Whether there is a log of changes, as in MariaDB, instead of versions."""
    server: dict[str, str] = field(default_factory=lambda: {"timeline": "1", "start": "1"})
    next: int = FIRST_TRANSACTION
    open_for: int = 0
    """Number of transactions that began since the oldest open one."""
    late: int | None = None
    """The transaction that commits next, if it began before others that have committed."""
    vacuums: bool = True
    """Whether a free place is given to the next row at once, the last one first."""
    tuples: dict[RowKey, Tuple] = field(default_factory=dict)
    files: dict[Kind, int] = field(default_factory=lambda: {kind: next(_files) for kind in Kind})
    _free: dict[Kind, list[int]] = field(default_factory=dict)
    _end: int = 1

    def see(self, rows: Mapping[RowKey, Row]) -> Continuity:
        """Look at the rows as they are now."""
        self._take(rows)
        if self.reason is not None:
            return NoVersions(self.reason)
        if self.binlog:
            return BinlogPosition(
                server=dict(self.server),
                database="druid",
                file=f"binlog.{self.files[Kind.SEGMENT]}",
                position=self.next,
                gtids={0: self.next},
            )
        return Lineage(
            server=dict(self.server),
            tables={kind: {"file": str(number)} for kind, number in self.files.items()},
            settled=max(FIRST_TRANSACTION, self.next - self.open_for),
            begun=self.next,
        )

    def rewrite(self, kind: Kind) -> None:
        """Do as VACUUM FULL does: rows keep their transactions, and others take their places."""
        chosen = [key for key in self.tuples if key.kind is kind]
        places = sorted(self.tuples[key].place for key in chosen)
        for key, place in zip(reversed(chosen), places, strict=True):
            self.tuples[key] = Tuple(self.tuples[key].row, place, self.tuples[key].transaction)
        self.files[kind] = next(_files)

    def copy(self) -> "MemoryVersions":
        """Return the state as a backup has it; a restored backup is another server."""
        return replace(
            self,
            server=dict(self.server),
            tuples=dict(self.tuples),
            files=dict(self.files),
            _free={kind: list(places) for kind, places in self._free.items()},
        )

    def versions(self, keys: Iterable[RowKey]) -> Versions:
        """Return the versions of rows of the last snapshot."""
        found = [self.tuples[key] for key in keys]
        return Versions(
            places=np.array([one.place for one in found], np.uint64),
            stamps=np.array([one.transaction % STAMPS for one in found], np.uint32),
        )

    def _take(self, rows: Mapping[RowKey, Row]) -> None:
        gone = [key for key, one in self.tuples.items() if rows.get(key) is not one.row]
        for key in gone:
            self._free.setdefault(key.kind, []).append(self.tuples.pop(key).place)
        new = [key for key in rows if key not in self.tuples]
        for key in new:
            stamp = self.next if self.late is None else self.late
            self.tuples[key] = Tuple(rows[key], self._place(key.kind), stamp)
        if self.late is None:
            self.next += bool(gone or new)
        self.late = None

    def _place(self, kind: Kind) -> int:
        if self.vacuums and self._free.get(kind):
            return self._free[kind].pop()
        self._end += 1
        return self._end


def digest_of(versions: Versions, new: NewStamps) -> VersionDigest:
    """Return a table's versions as a digest, with another hash than PostgreSQL's."""
    pairs = zip(versions.places.tolist(), versions.stamps.tolist(), strict=True)
    hashes = np.array([hash(pair) for pair in pairs], np.int64)
    is_new = new.holds(versions.stamps)
    return VersionDigest(
        rows=int((~is_new).sum()),
        digest=int(np.bitwise_xor.reduce(hashes[~is_new], initial=0)),
        new=Versions(places=versions.places[is_new], stamps=versions.stamps[is_new]),
        hashes=hashes[is_new],
    )
