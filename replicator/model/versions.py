"""Row versions: which rows of a snapshot are those of an earlier one, without their contents.

A store that never changes a row in place says of each row where it is and which transaction put it
there. Two rows with equal place and stamp are the same row, payload and all, as long as the store
is the same one (`Lineage`) and no transaction since can have had that stamp (`NewStamps`).

What is remembered is 24 bytes a row beside the ledger: place, stamp and key hash.

A store that can digest the versions of a whole table sends the digest and the new rows alone
(`VersionDigest`). All versions are read only if a row has gone, or was written again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from replicator.model.arrays import np
from replicator.model.inventory.ledger import KEY, Keys, Mask
from replicator.model.row import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

Places: TypeAlias = "NDArray[np.uint64]"
Stamps: TypeAlias = "NDArray[np.uint32]"

STAMPS: Final = 1 << 32
"""Transactions after which the stamps begin again."""
TRANSACTIONS_MAX: Final = STAMPS // 2
"""Number of transactions between two polls above which remembered versions are discarded."""
REGION_BITS: Final = 28
"""Places that are kept together: in PostgreSQL 4096 pages, some ten thousand rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Rows of one table as two parallel columns."""

    places: Places
    stamps: Stamps
    """The transaction that put the row there, modulo `STAMPS`."""

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDigest:
    """The versions of one table: those with a new stamp row by row, the others as a digest."""

    rows: int
    """Number of rows whose stamp no transaction since the earlier snapshot can have had."""
    digest: int
    """Exclusive or of a hash, computed by the store, of the place and stamp of each of them."""
    new: Versions
    """The other rows."""
    hashes: NDArray[np.int64]
    """Hash of each new row."""

    def without_new(self, since: NewStamps) -> tuple[int, int]:
        """Return rows and digest of those rows that have no new stamp for a later snapshot."""
        known = ~since.holds(self.new.stamps)
        digest = self.digest ^ int(np.bitwise_xor.reduce(self.hashes[known], initial=0))
        return self.rows + int(known.sum()), digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What must be the same for the versions of two snapshots to mean the same."""

    server: Mapping[str, str]
    """Identity of this server and its present run: names in words, with values."""
    tables: Mapping[Kind, Mapping[str, str]]
    """Identity of each table."""
    settled: int
    """Every transaction before this one had ended: the snapshot shows it, or none ever will."""
    begun: int
    """No transaction from this one on had begun. Both count on without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BinlogPosition:
    """Where a snapshot is in its server's own log of changes, if there are no row versions."""

    server: Mapping[str, str]
    """Identity of the server: names in words, with values."""
    database: str
    file: str
    """A server begins another file when it starts, and when one is full."""
    position: int
    """All transactions before it are in the snapshot, and none behind it."""
    gtids: Mapping[int, int]
    """The last transaction's number in each domain, which only grows while the log is one log."""

    def broken(self, now: BinlogPosition) -> str | None:
        """Return why a later position does not continue this one, in words; None: it does."""
        ours = {**self.server, "database": self.database, "binary log": self.file}
        theirs = {**now.server, "database": now.database, "binary log": now.file}
        if (other := _differing(ours, theirs)) is not None:
            return f"the server's {other}"
        went_back = any(now.gtids.get(domain, 0) < last for domain, last in self.gtids.items())
        if went_back or now.position < self.position:
            return f"the server's binary log {self.file} begins anew"
        return None


@dataclass(frozen=True, slots=True)
class NoVersions:
    """Versions of this store's rows cannot be had, or not be trusted."""

    reason: str


Continuity: TypeAlias = Lineage | BinlogPosition | NoVersions
"""How a snapshot relates to earlier ones."""


class NewStamps(NamedTuple):
    """The transactions that can have become visible between two snapshots."""

    since: int
    until: int

    def holds(self, stamps: Stamps) -> Mask:
        """Return which stamps are those of such a transaction."""
        within: Mask = stamps - np.uint32(self.since % STAMPS) < np.uint32(self.until - self.since)
        return within


def new_stamps(before: Lineage, now: Lineage) -> NewStamps:
    """Return what can have become visible between two snapshots of one lineage."""
    return NewStamps(before.settled, now.begun)


def broken(before: Lineage | BinlogPosition, now: Lineage | BinlogPosition) -> str | None:
    """Return why the two say nothing of each other, in words; None: they do."""
    match before, now:
        case BinlogPosition(), BinlogPosition():
            return before.broken(now)
        case Lineage(), Lineage():
            return _broken_versions(before, now)
        case _:
            return "the source is another kind of server"


def _broken_versions(before: Lineage, now: Lineage) -> str | None:
    if (other := _differing(before.server, now.server)) is not None:
        return f"the server's {other}"
    for kind in sorted(before.tables.keys() | now.tables.keys(), key=lambda kind: kind.value):
        ours, theirs = before.tables.get(kind, {}), now.tables.get(kind, {})
        if (other := _differing(ours, theirs)) is not None:
            return f"the {kind.value} table's {other}"
    if now.begun < before.begun or now.settled < before.settled:
        return f"the server's transaction ids went back from {before.begun} to {now.begun}"
    if now.begun - before.settled >= TRANSACTIONS_MAX:
        return (
            f"{now.begun - before.settled} transactions have begun since the oldest that was open"
        )
    return None


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    for name in [*before, *now]:
        ours, theirs = before.get(name, "none"), now.get(name, "none")
        if ours != theirs:
            return f"{name} was {ours} and is {theirs}"
    return None


class _Region(NamedTuple):
    """Rows whose places are near each other, sorted by place."""

    places: NDArray[np.uint32]
    """Within the region."""
    stamps: Stamps
    keys: Keys

    def where(self, places: NDArray[np.uint32]) -> tuple[NDArray[np.intp], Mask]:
        """Return where places are, and which of them are there at all."""
        at = np.searchsorted(self.places, places)
        at[at == len(self.places)] = 0
        there: Mask = self.places[at] == places if len(self.places) else np.zeros(len(at), np.bool_)
        return at, there


@cache
def _nothing() -> _Region:
    return _Region(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, KEY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What becomes of a table's memory: rows that left their places, and such that took one."""

    gone: Places
    come: Versions
    keys: Keys
    """Keys of the rows that came."""


class Remembered:
    """The versions of one table's rows, and of which key each is."""

    def __init__(self) -> None:
        self._regions: dict[int, _Region] = {}
        self.digest: VersionDigest | None = None
        """Of the snapshot with these versions; None: it was not queried for one."""

    def __len__(self) -> int:
        return sum(len(region.places) for region in self._regions.values())

    def keys_at(self, places: Places) -> Keys:
        """Return the keys of the rows at some places; of no meaning where there is none."""
        found = np.zeros(len(places), KEY)
        for number, chosen in _split(places):
            region = self._regions.get(number, _nothing())
            at, there = region.where(_within(places[chosen]))
            found[chosen[there]] = region.keys[at[there]]
        return found

    def move(self, moves: Moves) -> None:
        """Forget the rows that are gone, and remember those that came."""
        for number, chosen in _split(moves.gone):
            region = self._regions[number]
            at, there = region.where(_within(moves.gone[chosen]))
            stays = np.ones(len(region.places), np.bool_)
            stays[at[there]] = False
            places, stamps, keys = region
            self._regions[number] = _Region(places[stays], stamps[stays], keys[stays])
        for number, chosen in _split(moves.come.places):
            region = self._regions.get(number, _nothing())
            places = np.concatenate([region.places, _within(moves.come.places[chosen])])
            order = np.argsort(places, kind="stable")
            self._regions[number] = _Region(
                places[order],
                np.concatenate([region.stamps, moves.come.stamps[chosen]])[order],
                np.concatenate([region.keys, moves.keys[chosen]])[order],
            )
        for number in [n for n, region in self._regions.items() if not len(region.places)]:
            del self._regions[number]

    def look(self, new: NewStamps) -> VersionLook:
        """Begin to hold this against a snapshot."""
        return VersionLook(self._regions, new, self.digest)


class VersionLook:
    """Holds what is remembered of a table against a snapshot, in a byte a row."""

    def __init__(
        self, regions: Mapping[int, _Region], new: NewStamps, before: VersionDigest | None
    ) -> None:
        self._regions, self._new, self._before = regions, new, before
        self._seen = {
            number: np.zeros(len(region.places), np.bool_) for number, region in regions.items()
        }

    def see(self, versions: Versions) -> Mask:
        """Take rows of the snapshot; return which of them are the very ones that are remembered.

        A stamp that a transaction can have had since then is no proof, whatever is remembered.
        """
        known = np.zeros(len(versions), np.bool_)
        old = ~self._new.holds(versions.stamps)
        for number, chosen in _split(versions.places):
            if (region := self._regions.get(number)) is None:
                continue
            at, there = region.where(_within(versions.places[chosen]))
            same = there & (region.stamps[at] == versions.stamps[chosen]) & old[chosen]
            known[chosen[same]] = True
            self._seen[number][at[same]] = True
        return known

    def pass_over(self, now: VersionDigest) -> bool:
        """Return whether all remembered rows are there whose stamps are not new, and no others.

        They count as seen then; the new rows are still to be seen. The number of remembered rows is
        compared as well, so a digest that meant other rows than these is no proof.
        """
        if self._before is None:
            return False
        old = {number: ~self._new.holds(one.stamps) for number, one in self._regions.items()}
        remembered = sum(int(mask.sum()) for mask in old.values())
        same = self._before.without_new(self._new) == (now.rows, now.digest)
        if not same or remembered != now.rows:
            return False
        self._seen = old
        return True

    def gone(self) -> tuple[Places, Keys]:
        """Return the places, and the keys, of what was not seen."""
        places, keys = [np.empty(0, np.uint64)], [np.empty(0, KEY)]
        for number, seen in self._seen.items():
            if not seen.all():
                region = self._regions[number]
                base = np.uint64(number << REGION_BITS)
                places.append(region.places[~seen].astype(np.uint64) + base)
                keys.append(region.keys[~seen])
        return np.concatenate(places), np.concatenate(keys)


def _split(places: Places) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield the number of each region, and which of the places are in it."""
    numbers = places >> np.uint64(REGION_BITS)
    order = np.argsort(numbers, kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    for chosen in np.split(order, ends):
        if len(chosen):
            yield int(numbers[chosen[0]]), chosen


def _within(places: Places) -> NDArray[np.uint32]:
    return (places & np.uint64((1 << REGION_BITS) - 1)).astype(np.uint32)
