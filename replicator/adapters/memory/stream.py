"""A change stream of a store in dicts that behaves like PostgreSQL's, for tests and simulation.

The store's rows are changed from outside, so a commit is whatever has changed between two looks.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from replicator.errors import BrokenStreamError, ConfigError
from replicator.model.row import KIND_OF, TABLES, Kind, Row, RowKey, key_of
from replicator.model.stream import (
    Lsn,
    NoStream,
    RowChange,
    RowPut,
    Shown,
    SourceCommit,
    StreamPosition,
)
from replicator.ports import Clock, CommitVisitor, StreamRead

COMMIT_BYTES: Final = 1000
"""What the store keeps of each commit."""
READ_COMMITS_MAX: Final = 20
BEGINNING: Final = Lsn(0)


class WatchedRows(Protocol):
    """What a stream needs of a store."""

    rows: dict[RowKey, Row]
    tables: Mapping[Kind, frozenset[str]]
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCommit:
    """What changed between two looks."""

    lsn: Lsn
    time: datetime
    changes: tuple[tuple[RowKey, Row | None, Row | None], ...]
    """Key, row before and row after; None: there was or is none."""


@dataclass
class MemoryChangeStream:
    """A `ChangeStream` of a store; what its fields say can be changed at any time.

    The store's `change_stream` must be this, so that its snapshots know from where it goes on.
    """

    metadata: WatchedRows
    identity: str = "0" * 32
    """Another one after a failover, an upgrade of the tables, a TRUNCATE."""
    has_slot: bool = True
    leaves_out_payloads: bool = True
    """Whether an unchanged payload is left out."""
    confirmed: Lsn = BEGINNING
    end: Lsn = BEGINNING
    commits: list[MemoryCommit] = field(default_factory=list)
    _rows: dict[RowKey, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rows = dict(self.metadata.rows)

    def look(self) -> None:
        """Make a commit of what has changed since the last look."""
        now = {key: row for key, row in self.metadata.rows.items() if key.kind in self._kinds}
        changed = [key for key in {**self._rows, **now} if self._rows.get(key) != now.get(key)]
        if not changed:
            return
        changes = tuple((key, self._rows.get(key), now.get(key)) for key in changed)
        time = self.metadata.clock.now()
        if self.has_slot:
            self.commits.append(MemoryCommit(lsn=self.end, time=time, changes=changes))
        self.end = Lsn(self.end + COMMIT_BYTES)
        self._rows = now

    def position(self) -> StreamPosition | NoStream:
        """Return the position from which the stream continues the store's present rows."""
        self.look()
        if not self.has_slot:
            return NoStream("there is no slot")
        number = self.end // COMMIT_BYTES
        shown = Shown(snapshot=f"{number}:{number}:", until=self.end)
        return StreamPosition(at=self.end, identity=self.identity, shown=shown)

    async def read(
        self, since: StreamPosition, visitor: CommitVisitor, *, until: Lsn | None = None
    ) -> StreamRead:
        self.look()
        end = self.end if until is None else min(self.end, until)
        await asyncio.sleep(0)
        if not self.has_slot:
            raise BrokenStreamError("there is no slot")
        if self.confirmed > since.at:
            raise BrokenStreamError("the slot was moved")
        if self.identity != since.identity:
            raise BrokenStreamError("the store is not what it was")
        due = [
            one
            for one in self.commits
            if one.lsn < end and not since.has(one.lsn, one.lsn // COMMIT_BYTES)
        ]
        commits = due[:READ_COMMITS_MAX]
        for commit in commits:
            number = commit.lsn // COMMIT_BYTES
            await visitor.begin(SourceCommit(commit.lsn, commit.time, number))
            for key, before, after in commit.changes:
                await asyncio.sleep(0)
                await visitor.change([self._change(key, before, after)])
            await visitor.end(Lsn(commit.lsn + COMMIT_BYTES))
        is_whole = len(commits) == len(due)
        return StreamRead(
            until=end if is_whole else Lsn(commits[-1].lsn + COMMIT_BYTES),
            at=self.metadata.clock.now(),
            is_whole=is_whole,
            behind_bytes=0 if is_whole else self.end - commits[-1].lsn,
            messages=len(commits),
            retained_bytes=self.end - self.confirmed,
        )

    async def confirm(self, at: Lsn) -> None:
        await asyncio.sleep(0)
        if self.has_slot:
            self.confirmed = max(self.confirmed, at)
            self.commits = [one for one in self.commits if one.lsn >= self.confirmed]

    async def retained_bytes(self) -> int | None:
        return self.end - self.confirmed if self.has_slot else None

    async def create(self) -> bool:
        return self.made()

    def made(self) -> bool:
        """Create the slot, as an operator does; return whether there was none."""
        self.look()
        if self.has_slot:
            return False
        self.has_slot, self.confirmed = True, self.end
        return True

    async def drop(self) -> bool:
        was, self.has_slot = self.has_slot, False
        self.commits.clear()
        return was

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _change(self, key: RowKey, before: Row | None, after: Row | None) -> RowChange:
        if after is None:
            if TABLES[key.kind].newest_by:
                raise BrokenStreamError(f"a {key.kind.value} row was deleted")
            return key
        table = TABLES[KIND_OF[type(after)]]
        columns = {name: getattr(after, name) for name in table.columns}
        unchanged = frozenset[str]()
        if before is not None and columns[table.payload] == getattr(before, table.payload):
            unchanged = frozenset({table.payload} if self.leaves_out_payloads else ())
        for name in unchanged:
            del columns[name]
        if key_of(after) != key:
            raise ConfigError(f"the row under {key} is {key_of(after)}")
        return RowPut(kind=key.kind, columns=columns, extras=after.extras, unchanged=unchanged)

    @property
    def _kinds(self) -> frozenset[Kind]:
        return frozenset(self.metadata.tables)
