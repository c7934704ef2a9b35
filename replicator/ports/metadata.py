"""Druid's metadata store, of a source and of a target."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from replicator.errors import LargeRowsError
from replicator.model.checkpoint import Checkpoint, Gap, TargetState
from replicator.model.event import Epoch
from replicator.model.operations.words import moment
from replicator.model.row import AuditRow, Kind, Row, RowKey
from replicator.ports.obstacle import Obstacle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from replicator.model.inventory.ledger import Keys, Marks
    from replicator.model.log.renaming import Renamed
    from replicator.model.stream import NoStream, StreamPosition
    from replicator.model.versions import (
        BinlogPosition,
        Continuity,
        NewStamps,
        Places,
        VersionDigest,
        Versions,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of one table as a scan sees it: no payloads, three parallel columns."""

    keys: Keys
    """`key_hash` of each row."""
    marks: Marks
    """`fingerprint` of each row, computed where the row is."""
    handles: NDArray[Any]
    """Lead back to the rows within the same snapshot; of no meaning outside it."""
    versions: Versions | None = None
    """Versions of the rows; None: the snapshot has no lineage."""


FETCHED_BYTES_MAX: Final = 16 << 20
"""Bytes of several rows that are read at once: a process holds them a few times over."""
ROW_BYTES_MAX: Final = 64 << 20
"""Bytes of a single row; the largest event of a log is smaller (`watch.row_bytes_max`)."""
Visit: TypeAlias = Callable[[Chunk], None]
"""Called with each chunk of a scan; must not block."""
VisitVersions: TypeAlias = "Callable[[Versions], None]"
"""Called with each chunk of versions; must not block."""


class Snapshot(Protocol):
    """A metadata store at one instant: every call sees the same rows."""

    taken_at: datetime
    """Time by the database's clock, UTC: all that was committed before is in the snapshot; on a
    replica, the time of what it has replayed."""
    kinds: frozenset[Kind]
    """The tables that this store has."""
    lineage: Continuity
    """Identity of the rows' versions, or a position that shows whether any row was written, or why
    there is neither."""
    stream: StreamPosition | NoStream
    """Position from which a change stream continues this snapshot, or why none does."""

    async def scan(
        self,
        kind: Kind,
        visit: Visit,
        *,
        datasources: Sequence[str] | None = None,
        places: Places | None = None,
    ) -> None:
        """Visit every row of one kind once, in no order, a bounded number at a time.

        Of append-only tables only the newest row of each key counts. With `datasources`, only rows
        of these datasources are visited; kinds without a datasource then have no rows. With
        `places`, taken from this snapshot's versions, only the rows at these places are visited.

        Raises:
            TransientError: the database is gone; the snapshot is lost, take a new one.
            ConfigError: a table, a column or a privilege is missing; the message names it.
        """
        ...

    async def version_digest(self, kind: Kind, new: NewStamps) -> VersionDigest | None:
        """Return a table's versions as a digest; None: the store computes none of this table.

        Rows with a stamp of `new` are not part of the digest and named one by one. Only a snapshot
        with a lineage has versions. The others do not leave the store.

        Raises:
            TransientError, ConfigError: as for `scan`.
        """
        ...

    async def versions(self, kind: Kind, visit: VisitVersions) -> None:
        """Visit the version of every row that a scan would visit, without payload and key.

        Only a snapshot with a lineage has versions. The store does a small part of a scan's work.

        Raises:
            TransientError, ConfigError: as for `scan`.
        """
        ...

    async def written_since(self, position: BinlogPosition) -> str | None:
        """Return why a row may have been written since another snapshot; None: none was.

        Only a snapshot whose own position continues the other one's can show this.

        Raises:
            TransientError, ConfigError: as for `scan`.
        """
        ...

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        """Return the rows behind handles of this snapshot, whole, in no order.

        `fetched` asks for fewer rows where these are too many.

        Raises:
            LargeRowsError: several rows have more than `FETCHED_BYTES_MAX` together.
            ConfigError: a single row has more than `ROW_BYTES_MAX`; the message names it.
        """
        ...


async def fetched(
    snapshot: Snapshot, kind: Kind, handles: NDArray[Any]
) -> AsyncIterator[Sequence[Row]]:
    """Yield the rows behind handles of a snapshot, whole, in bounded lists.

    What a row takes on a database's disk says nothing: a gigabyte of one letter takes megabytes.

    Raises:
        ConfigError: a row is too large; the message names it.
    """
    left = [handles]
    while left:
        some = left.pop()
        try:
            rows = await snapshot.fetch(kind, some)
        except LargeRowsError:
            half = len(some) // 2
            left += [some[half:], some[:half]]
        else:
            yield rows


class MetadataReader(Protocol):
    """Read side of a metadata store; a source cluster is handed over as this and nothing else."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Open a snapshot for the length of the block: one transaction that only reads.

        Raises:
            TransientError: the database cannot be reached.
            ConfigError: a table, a column or a privilege is missing; the message names it.
        """
        ...


SAMPLES_MAX = 100
"""Number of kinds of load specs above which one configuration cannot describe the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old the rows are that a database shows."""

    requested_at: datetime
    """Time of the request, by the database's own clock."""
    shows: datetime
    """Time before which everything committed at the primary is visible."""
    is_replica: bool
    reason: str = ""
    """Why a replica is behind, if the replica tells."""
    is_blind: bool = False
    """Whether the role may not see when the replica last heard of its primary."""

    @property
    def behind(self) -> timedelta:
        """Age of what the database shows."""
        return self.requested_at - self.shows

    @property
    def text(self) -> str:
        """The freshness of a replica in words."""
        why = f": {self.reason}" if self.reason else ""
        return (
            "a replica that shows what was committed until"
            f" {moment(self.shows)}"
            f" ({self.behind.total_seconds():.1f} s ago){why}"
        )


class WatchedReader(MetadataReader, Protocol):
    """Read side of a metadata store that a watcher takes for its source."""

    async def followed(self) -> Collection[str]:
        """Return the sources of which this store is a target, as long as it was not promoted.

        Their rows are written here, so this store is none of those sources.

        Raises:
            TransientError, ConfigError: as for `snapshot`.
        """
        ...


class SourceReader(WatchedReader, Protocol):
    """Read side of a source's metadata store, with questions beyond its rows."""

    async def freshness(self) -> Freshness:
        """Return how old the rows are that a snapshot would show now.

        Raises:
            TransientError, ConfigError: as for `snapshot`.
        """
        ...

    async def load_spec_samples(self) -> Sequence[tuple[str, bytes]]:
        """Return id and payload of one segment for each kind of load spec among all rows.

        A kind is a type and a bucket or container, and which things it has that not every release
        of Druid reads. There may be more than one sample of a kind, and at most `SAMPLES_MAX`.

        Raises:
            TransientError, ConfigError: as for `snapshot`.
        """
        ...

    async def left_behind(self) -> Sequence[str]:
        """Return the tables with Druid's prefix that are not known here, sorted.

        Those are named that hold a row, or that this role may not read; empty ones lose nothing.
        One request a table, whatever it holds.

        Raises:
            TransientError, ConfigError: as for `snapshot`.
        """
        ...

    async def without_used(self, datasources: Sequence[str]) -> Collection[str]:
        """Return the given datasources that have no used segment.

        One search of an index for each, whatever the tables hold.

        Raises:
            TransientError, ConfigError: as for `snapshot`.
        """
        ...

    async def running_tasks(self) -> Sequence[str]:
        """Return the ids of the tasks that the source's Overlord has not ended.

        Raises:
            TransientError, ConfigError: as for `snapshot`.
        """
        ...


class AuditTrail(Protocol):
    """The requests that a source's Druid has recorded, with their users."""

    async def audit(
        self, about: str, *, since: datetime, until: datetime, rows_max: int
    ) -> Sequence[AuditRow]:
        """Return the rows whose key is `about` or whose payload names it, oldest first.

        If there are more than `rows_max` rows between the two times (both included), the newest
        count.

        Raises:
            TransientError: the database cannot be reached.
            ConfigError: there is no such table, or the role may not read it.
        """
        ...


class Transaction(Protocol):
    """Changes of a target that become visible together."""

    async def upsert(self, rows: Sequence[Row]) -> None:
        """Make rows exist with this content (already mapped, see model/log/row_mapping.py).

        For segments, schemas and indexing states `used_status_last_updated` becomes
        max(now, existing + 1 ms) and never the source's value: Druid's segment cache ignores a row
        whose timestamp does not move forward, and its kill tasks count their days from it. A row
        that is already so is left alone. Supervisors and rules are appended, as Druid does.
        Columns that the target does not have are left out; an extra one is refused.

        Raises:
            ConfigError: a row has a column with a value that the target's table does not know.
            UnfitRowError: a table cannot hold one of the rows; outside of a savepoint the
                transaction is over.
        """
        ...

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Undo what the block did if it ends with an `UnfitRowError`, which is passed on.

        The transaction continues after that, and after no other error.
        """
        ...

    async def remove(self, keys: Sequence[RowKey]) -> None:
        """Delete rows, with all their older versions; missing rows are no error."""
        ...

    async def remove_hashed(self, kind: Kind, keys: Keys) -> None:
        """Delete rows that are known by their key hash only."""
        ...

    async def record(self, checkpoint: Checkpoint, gaps: Sequence[Gap]) -> None:
        """Set the checkpoint, and open or close gaps (one per key and opening offset).

        A checkpoint of another log than before deletes the former log's gaps.
        """
        ...

    async def note_renamed(self, renamed: Renamed) -> None:
        """Record that the rows of a datasource belong to no cut.

        Raises:
            RefusedError: there already is such a datasource.
        """
        ...

    async def forget_renamed(self, datasource: str) -> None:
        """Delete the record of a renamed datasource; an unknown one is no error."""
        ...


class MetadataWriter(MetadataReader, Protocol):
    """Write side of a target's metadata store, given only to the executor.

    Its snapshots compute fingerprints over `columns` only, so that they compare with mapped rows.
    """

    async def columns(self) -> Mapping[Kind, frozenset[str]]:
        """Return, for each table there is, the columns by which rows are compared.

        These are the table's columns except those that the target writes by its own rule
        (`Table.target_owned`).
        """
        ...

    async def acquire(
        self, source: str, *, store: str | None = None, anew: bool = False
    ) -> TargetState:
        """Become the writer for one source: take a new epoch, and return the checkpoint with it.

        Once this returns, no transaction of an older epoch can commit. The own tables are created
        if they are missing.

        Args:
            source: Name of the source.
            store: Id of the store with the bytes of the target's rows; the first recorded one
                stays. None: the writer has no bytes.
            anew: Whether another store may be recorded. The checkpoint is then forgotten: the rows
                prove nothing about that store.

        Raises:
            RefusedError: the rows' bytes are in another store; the epoch is what it was.
        """
        ...

    async def state(self, source: str) -> TargetState:
        """Return the checkpoint without becoming the writer; epoch 0 if there never was one."""
        ...

    async def gaps(self, source: str, log_id: str) -> Sequence[Gap]:
        """Return all gaps ever recorded by the offsets of this log, oldest first.

        There are none when the checkpoint is of another log: its offsets mean other events.
        """
        ...

    async def renamed(self, source: str) -> Sequence[Renamed]:
        """Return the datasources whose rows belong to no cut, by name."""
        ...

    def transaction(self, source: str, epoch: Epoch) -> AbstractAsyncContextManager[Transaction]:
        """Open one transaction: it commits when the block ends and leaves nothing on an error.

        Raises:
            FencedError: on entry or at the end, when a newer epoch has acquired the target; nothing
                was changed.
            TransientError: the database is gone. At the end of the block that leaves open whether
                it was committed: read the checkpoint.
        """
        ...


class NewMetadata(Protocol):
    """A target's metadata store before anything is written to it."""

    async def obstacles(self) -> Sequence[Obstacle]:
        """Return what would make a later write fail or go wrong; nothing is changed.

        Raises:
            TransientError, ConfigError: as for `snapshot`.
        """
        ...

    async def create(self, release: str | None, *, centralized: bool) -> bool:
        """Create the own tables, and Druid's if missing; return whether Druid's were created.

        Sequences that are behind their tables are put forward.

        `release` is the target's Druid's, like `33.0.0`; `centralized`: whether it keeps
        segment schemas (`druid.centralizedDatasourceSchema.enabled`).

        Raises:
            NotFoundError: there are none, and no release was given; nothing was created.
            ConfigError: the release's tables are not known, or a privilege is missing.
        """
        ...


class CheckableMetadata(MetadataWriter, NewMetadata, Protocol):
    """Everything that `check` needs of a target's metadata store."""

    async def is_made(self) -> bool:
        """Return whether Druid's tables exist; an archive has none.

        Raises:
            TransientError: the database cannot be reached.
            ConfigError: the login fails.
        """
        ...


class NewStorage(Protocol):
    """A target's deep storage before anything is written to it."""

    async def create(self) -> None:
        """Create the place where everything is stored, if it does not exist.

        Raises:
            ConfigError: this process has no permission; the message names the place.
            TransientError: as for `put`.
        """
        ...
