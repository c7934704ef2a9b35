"""Finds what a snapshot of the source holds and the log does not have yet.

The scout compares row versions where they can be trusted, and reads the contents of only those rows
whose version it has not seen. Where a store has a log of its changes instead, a poll ends at once
if that log names none of the tables. Otherwise the scout compares the fingerprints of all rows. All
ways find the same; the last audits the others.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

import numpy as np

from replicator.model.fingerprint import Digest
from replicator.model.inventory.comparison import Comparison
from replicator.model.inventory.ledger import KEY, Folding, Keys, Mask, Offsets, items, total
from replicator.model.observation import Observer, Progress, ScanBegun, VersionsMissed, Why
from replicator.model.row import Kind
from replicator.model.versions import (
    BinlogPosition,
    Lineage,
    Moves,
    NewStamps,
    NoVersions,
    Places,
    Remembered,
    VersionDigest,
    VersionLook,
    Versions,
    broken,
    new_stamps,
)
from replicator.ports import Chunk, Snapshot
from replicator.services.history.twins import refuse_twins
from replicator.services.replication.handles import Handles

ONCE = frozenset({Why.UNAVAILABLE, Why.DISTRUSTED, Why.OFF, Why.WRITTEN})
"""Reasons that stay or return; each poll would report them again."""


@dataclass(slots=True)
class Findings:
    """The findings of one poll; they grow with the changes, not with the inventory."""

    full: bool
    scanned: int = 0
    fingerprinted: int = 0
    handles: dict[Kind, Handles] = field(default_factory=dict)
    sums: dict[Kind, int] = field(default_factory=dict)
    unseen: Offsets = field(default_factory=lambda: np.empty(0, np.int64))
    """Offsets, ascending, of the log's last events of the rows that are gone."""

    @property
    def changes(self) -> int:
        """Return how many rows differ, or are gone."""
        return sum(map(len, self.handles.values())) + len(self.unseen)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to publish."""
        return not self.handles and not len(self.unseen)

    def take(self, kind: Kind, chunk: Chunk, differing: Mask) -> None:
        """Take the rows of a chunk that differ."""
        self.fingerprinted += len(chunk.keys)
        if differing.any():
            self.handles.setdefault(kind, Handles()).add(chunk.handles[differing])
            self.sums[kind] = self.sums.get(kind, 0) + total(chunk.marks[differing])


SHOWN_ROWS_MIN = 100_000
"""Number of rows from which a scan shows its progress: fewer take seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionOptions:
    """How far row versions are trusted."""

    enabled: bool
    full_scan_interval_s: float
    trusted_again: bool = False
    """Whether the operator trusts row versions, whatever the log says of them."""


@dataclass(slots=True)
class _Memory:
    """The row versions of an inventory, or its position in the source's binary log."""

    lineage: Lineage | BinlogPosition
    digest: Digest
    """Digest of the inventory; if the log has another digest, all of this is outdated."""
    tables: dict[Kind, Remembered]


@dataclass(slots=True)
class _ToRemember:
    """What the memory becomes once the log has the inventory that was found."""

    lineage: Lineage | BinlogPosition
    full: bool
    fresh: bool
    """Whether nothing of the former memory stays."""
    moves: dict[Kind, list[Moves]]
    digests: dict[Kind, VersionDigest] = field(default_factory=dict)
    digest: Digest | None = None


class Scout:
    """Compares snapshots with the ledger, and remembers their row versions in between.

    The memory counts for one inventory, which is identified by its digest. So it survives an append
    of unknown end, but no cut of another watcher.
    """

    def __init__(self, options: VersionOptions, observer: Observer) -> None:
        self._options = options
        self._observer = observer
        self._memory: _Memory | None = None
        self._pending: _ToRemember | None = None
        self._trusted = True
        self._scanned_at_s = -float("inf")
        self._reported = ""

    async def look(self, snapshot: Snapshot, known: Folding, *, is_audit: bool = False) -> Findings:
        """Return what differs between the ledger and a snapshot; an audit reads every row.

        Raises:
            TransientError, ConfigError: as for the snapshot's calls.
        """
        self.settle(known.digest)
        self._pending = None
        match way := await self._way(snapshot, is_audit=is_audit):
            case _Unwritten(position):
                self._pending = _ToRemember(lineage=position, full=False, fresh=False, moves={})
                return Findings(full=False)
            case _ByVersions():
                if (found := await self._look_at_versions(snapshot, way, known)) is not None:
                    return found
                self.distrust(1)
                way = _ByAll(Why.DISTRUSTED, "a row was not where its version said")
            case _ByAll():
                pass
            case _:
                assert_never(way)
        return await self._look_at_all(snapshot, way, known)

    @property
    def distrusts(self) -> bool:
        """Whether row versions have missed a change."""
        return not self._trusted

    def heed(self, *, distrusted: bool) -> None:
        """Take over what the log's last cut says of row versions: a restart restores no trust."""
        if distrusted and not self._options.trusted_again:
            self._trusted = False

    def expect(self, digest: Digest) -> None:
        """Note which inventory the log will have once it has the findings."""
        if self._pending is not None:
            self._pending.digest = digest

    def settle(self, digest: Digest) -> None:
        """Note which inventory the log has: the findings count if it is theirs."""
        pending, self._pending = self._pending, None
        if pending is not None and pending.digest == digest:
            self._remember(pending, digest)
        if self._memory is not None and self._memory.digest != digest:
            self._memory = None

    def _remember(self, pending: _ToRemember, digest: Digest) -> None:
        if pending.fresh:
            self._memory = _Memory(pending.lineage, digest, {})
        if self._memory is None:
            return
        if pending.full:
            self._scanned_at_s = asyncio.get_running_loop().time()
        self._memory.lineage, self._memory.digest = pending.lineage, digest
        for kind, moves in pending.moves.items():
            table = self._memory.tables.setdefault(kind, Remembered())
            # Taken off one by one: after a first scan they are as large as the memory that they
            # become.
            while moves:
                table.move(moves.pop(0))
        for kind in self._memory.tables.keys() | pending.digests.keys():
            table = self._memory.tables.setdefault(kind, Remembered())
            table.digest = pending.digests.get(kind)

    async def _way(
        self, snapshot: Snapshot, *, is_audit: bool
    ) -> "_ByVersions | _Unwritten | _ByAll":
        """Decide how to look: every reason to doubt versions is a reason to read all rows."""
        if not self._options.enabled:
            return _ByAll(Why.OFF, "watch.row_versions is false")
        if not self._trusted:
            return _ByAll(Why.DISTRUSTED, "row versions have missed a change")
        lineage = snapshot.lineage
        if isinstance(lineage, NoVersions):
            return _ByAll(Why.UNAVAILABLE, lineage.reason)
        if is_audit or self._memory is None:
            start = _ByAll(Why.START, "nothing of the source is known yet", lineage)
            return _ByAll(Why.DUE, "the stream is audited", lineage) if is_audit else start
        if (reason := broken(self._memory.lineage, lineage)) is not None:
            return _ByAll(Why.BROKEN, reason, lineage)
        return await self._way_since(self._memory, snapshot, lineage)

    async def _way_since(
        self, memory: _Memory, snapshot: Snapshot, lineage: Lineage | BinlogPosition
    ) -> "_ByVersions | _Unwritten | _ByAll":
        age_s = asyncio.get_running_loop().time() - self._scanned_at_s
        due = _ByAll(Why.DUE, f"the last one is {age_s:.0f} s ago", lineage)
        is_due = age_s >= self._options.full_scan_interval_s
        match memory.lineage, lineage:
            case Lineage() as before, Lineage():
                return due if is_due else _ByVersions(memory, before, lineage)
            case BinlogPosition() as before, BinlogPosition():
                if (writing := await snapshot.written_since(before)) is not None:
                    return _ByAll(Why.WRITTEN, writing, lineage)
                return replace(due, is_silent=True) if is_due else _Unwritten(lineage)
            case _:
                raise AssertionError("two kinds of servers continue each other")

    # ------------------------------------------------------------------------------- by versions

    async def _look_at_versions(
        self, snapshot: Snapshot, way: "_ByVersions", known: Folding
    ) -> Findings | None:
        """Return what differs; None when rows were not where their versions said."""
        findings, came, gone = Findings(full=False), set[bytes](), list[Keys]()
        pending = _ToRemember(lineage=way.now, full=False, fresh=False, moves={})
        since = new_stamps(way.before, way.now)
        for kind in _sorted(snapshot):
            look = way.memory.tables.get(kind, Remembered()).look(since)
            if (digest := await snapshot.version_digest(kind, since)) is not None:
                pending.digests[kind] = digest
            new = await self._new_places(snapshot, kind, look, digest, findings)
            places, keys = look.gone()
            if not len(new) and not len(places):
                continue
            moves = await self._fingerprint(snapshot, kind, new, known, findings)
            if sum(len(one.come) for one in moves) != len(new):
                return None
            left = Moves(gone=places, come=_no_versions(), keys=np.empty(0, KEY))
            pending.moves[kind] = [left, *moves]
            came.update(key for one in moves for key in items(one.keys))
            gone.append(keys)
        findings.unseen = _offsets_of(gone, came, known)
        self._pending = pending
        return findings

    async def _new_places(
        self,
        snapshot: Snapshot,
        kind: Kind,
        look: VersionLook,
        digest: VersionDigest | None,
        findings: Findings,
    ) -> Places:
        new: list[Places] = [np.empty(0, np.uint64)]

        def visit(versions: Versions) -> None:
            findings.scanned += len(versions)
            seen = look.see(versions)
            if not seen.all():
                new.append(versions.places[~seen])

        if digest is not None and look.pass_over(digest):
            findings.scanned += digest.rows
            visit(digest.new)
        else:
            await snapshot.versions(kind, visit)
        return np.concatenate(new)

    async def _fingerprint(
        self, snapshot: Snapshot, kind: Kind, places: Places, known: Folding, findings: Findings
    ) -> list[Moves]:
        """Compare the rows at some places, and return what to remember of them."""
        moves: list[Moves] = []

        def visit(chunk: Chunk) -> None:
            before = known.known_rows(chunk.keys)
            findings.take(kind, chunk, ~before.known | (before.marks != chunk.marks))
            if chunk.versions is not None:
                moves.append(_come(chunk.versions, chunk.keys))

        if len(places):
            await snapshot.scan(kind, visit, places=places)
        return moves

    # ------------------------------------------------------------------------------ by all rows

    async def _look_at_all(self, snapshot: Snapshot, way: "_ByAll", known: Folding) -> Findings:
        self._tell(way)
        if way.why is not Why.DUE or isinstance(way.lineage, BinlogPosition):
            self._memory = None  # before another one is created beside it
        ledger, later = known.layers()
        total = known.rows or None  # progress is measured by it
        audit = _Audit(self._memory, way.lineage)
        comparison, findings = Comparison(ledger, later), Findings(full=True)
        for kind in _sorted(snapshot):

            def visit(chunk: Chunk, kind: Kind = kind) -> None:
                findings.scanned += len(chunk.keys)
                unknown, stale = comparison.see(chunk.keys, chunk.marks)
                differing = unknown | stale
                findings.take(kind, chunk, differing)
                audit.see(kind, chunk, differing)
                if findings.scanned >= SHOWN_ROWS_MIN:
                    self._show_scan(findings.scanned, total)

            await snapshot.scan(kind, visit)
            if comparison.has_twins:
                await refuse_twins(snapshot, kind)
        if findings.scanned >= SHOWN_ROWS_MIN:
            self._show_scan(findings.scanned, findings.scanned)
        findings.unseen = comparison.unseen()
        missed = audit.missed(comparison.unseen_keys())
        # If the binary log named no table of Druid, whatever the scan found was written past it, as
        # with `sql_log_bin = 0`.
        self._judge(audit, findings.changes if way.is_silent else missed)
        return findings

    def _judge(self, audit: "_Audit", missed: int) -> None:
        """Remember the versions that a scan found, unless they have missed some changes."""
        if missed:
            self.distrust(missed)
        else:
            self._pending = audit.pending()

    def _show_scan(self, done: int, total: int | None) -> None:
        """Show how far a scan is; the first one does not know how many rows there are."""
        total = None if total is None else max(total, done)
        self._observer(Progress(what="scan the source", done=done, total=total, unit="rows"))

    def distrust(self, rows: int) -> None:
        """Trust only full scans from now on: so many changes were missed."""
        self._trusted, self._memory, self._pending = False, None, None
        self._observer(VersionsMissed(rows=rows))

    def _tell(self, way: "_ByAll") -> None:
        report = f"{way.why}: {way.detail}"
        if way.why not in ONCE or report != self._reported:
            self._observer(ScanBegun(why=way.why, detail=way.detail))
        self._reported = report


@dataclass(frozen=True, slots=True)
class _ByVersions:
    memory: _Memory
    before: Lineage
    now: Lineage


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """A look without rows: the source's binary log says that nothing was written."""

    position: BinlogPosition


@dataclass(frozen=True, slots=True)
class _ByAll:
    why: Why
    detail: str
    lineage: Lineage | BinlogPosition | None = None
    """What to remember on the way; None: nothing."""
    is_silent: bool = False
    """Whether the source's binary log says that there is nothing to find."""


class _Audit:
    """Versions as a scan of all rows found them: those to remember, and those that were wrong."""

    def __init__(self, memory: _Memory | None, lineage: Lineage | BinlogPosition | None) -> None:
        self._memory, self._lineage = memory, lineage
        since, tables = NewStamps(0, 0), memory.tables if memory else {}
        if memory and isinstance(memory.lineage, Lineage) and isinstance(lineage, Lineage):
            since = new_stamps(memory.lineage, lineage)
        self._looks = {kind: table.look(since) for kind, table in tables.items()}
        self._moves: dict[Kind, list[Moves]] = {}
        self._missed = 0

    def see(self, kind: Kind, chunk: Chunk, differing: Mask) -> None:
        """Take a chunk of the scan, and which of its rows differ from the ledger."""
        if self._lineage is None or chunk.versions is None:
            return
        seen = np.zeros(len(chunk.keys), np.bool_)
        if self._memory is not None and (look := self._looks.get(kind)) is not None:
            seen = look.see(chunk.versions)
            other = self._memory.tables[kind].keys_at(chunk.versions.places) != chunk.keys
            self._missed += int((seen & (differing | other)).sum())
        new = ~seen
        if new.any():
            versions = Versions(
                places=chunk.versions.places[new], stamps=chunk.versions.stamps[new]
            )
            self._moves.setdefault(kind, []).append(_come(versions, chunk.keys[new]))

    def missed(self, removed: Keys) -> int:
        """Return how many changes the versions have missed; `removed` are the rows gone."""
        if self._memory is None:
            return 0
        gone_by_version: set[bytes] = set()
        for kind, look in self._looks.items():
            places, keys = look.gone()
            gone_by_version.update(items(keys))
            left = Moves(gone=places, come=_no_versions(), keys=np.empty(0, KEY))
            self._moves.setdefault(kind, []).insert(0, left)
        return self._missed + sum(1 for key in items(removed) if key not in gone_by_version)

    def pending(self) -> _ToRemember | None:
        """Return what to remember."""
        if self._lineage is None:
            return None
        fresh = self._memory is None
        return _ToRemember(lineage=self._lineage, full=True, fresh=fresh, moves=self._moves)


def _sorted(snapshot: Snapshot) -> Iterator[Kind]:
    yield from sorted(snapshot.kinds, key=lambda kind: kind.value)


def _come(versions: Versions, keys: Keys) -> Moves:
    return Moves(gone=np.empty(0, np.uint64), come=versions, keys=keys)


def _no_versions() -> Versions:
    return Versions(places=np.empty(0, np.uint64), stamps=np.empty(0, np.uint32))


def _offsets_of(gone: Sequence[Keys], came: set[bytes], known: Folding) -> Offsets:
    """Return the log's offsets of those rows that left their place and took no other."""
    removed = [key for keys in gone for key in items(keys) if key not in came]
    rows = known.known_rows(np.array(removed, KEY))
    return np.sort(rows.offsets[rows.known])
