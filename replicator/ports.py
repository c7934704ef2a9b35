"""Everything the services need from outside, as small Protocols with written promises."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias, TypeVar

from numpy.typing import NDArray

from replicator.model.answer import Answer, Measure
from replicator.model.archive import Base
from replicator.model.checkpoint import Checkpoint, Gap, Held
from replicator.model.event import Document, Epoch, Offset, Record
from replicator.model.interval import Interval
from replicator.model.ledger import Keys, Marks
from replicator.model.load_spec import Location
from replicator.model.promotion import SupervisorState
from replicator.model.renaming import Renamed
from replicator.model.row import Kind, Row, RowKey

Result = TypeVar("Result")


class Clock(Protocol):
    """Wall time only; durations come from the running event loop."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        ...


# ---------------------------------------------------------------------------------------- the log


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a log holds at the moment."""

    log_id: str
    """Differs for every log that was ever created, also under the same name."""
    first: Offset
    """Where reading can begin, at or before the oldest record; it grows when the log is trimmed."""
    end: Offset
    """Larger than the offset of any record that can be read; not smaller than `first`."""


class EventLog(Protocol):
    """Totally ordered history of one source cluster, as its readers see it."""

    async def span(self) -> Span:
        """Return which offsets can be read now.

        Raises:
            TransientError: the log cannot be reached; ask again.
            NotFoundError: there is no such log.
        """
        ...

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        """Return records with an offset of `start` or larger, ascending, none at the end.

        At most `records_max`, perhaps fewer; empty only at the end. Offsets ascend but need not be
        dense. Only records whose append returned are seen, each of them exactly once.

        Raises:
            TransientError: as for `span`.
            GapError: `start` is smaller than the oldest record kept: the log was trimmed.
        """
        ...

    async def offset_at(self, time: datetime) -> Offset | None:
        """Return the first offset appended at or after `time` by the log's clock, None if none."""
        ...

    async def kept_for(self) -> timedelta | None:
        """Return how long the log keeps a record after its append, None: until somebody trims it.

        At least so long: a log may trim later than it could.

        Raises:
            TransientError: as for `span`.
            NotFoundError: there is no such log.
        """
        ...

    async def report(self, reader: str, offset: Offset) -> None:
        """Show how far a reader is, where those who run this log look for it (Kafka: a group).

        A hint for people: nobody reads it back, and a log without such a place does nothing.

        Raises:
            TransientError: as for `span`.
            ConfigError: the log does not let us; the message names the privilege.
        """
        ...


class Bases(Protocol):
    """Whole inventories of some of a log's cuts, for where the log itself was trimmed.

    A base holds the records that its cut still consists of, each at its own offset.
    """

    async def offsets(self) -> Sequence[Offset]:
        """Return at which cuts there are bases, by the offsets of the cuts, ascending."""
        ...

    async def base(self, offset: Offset) -> Base:
        """Return one of them, without its records.

        Raises:
            CorruptionError: it is missing or altered; another one may do.
        """
        ...

    async def read_base(
        self, offset: Offset, start: Offset, *, records_max: int
    ) -> Sequence[Record]:
        """Return records of a base with an offset of `start` or larger, ascending, as a log does.

        Raises:
            CorruptionError: as for `base`.
        """
        ...

    async def whole_until(self, start: Offset) -> Offset:
        """Return up to where there is no hole behind the base, or the record, at `start`."""
        ...

    async def resume(self, start: Offset) -> Offset | None:
        """Return from where on the log can be read again, `start` or later, None: nowhere."""
        ...


class EventLogWriter(EventLog, Protocol):
    """The one writer of a log; a newer one shuts out the older ones."""

    async def acquire(self) -> Epoch:
        """Become the writer. The epoch is larger than that of every writer before.

        From the return on, no append of an older writer can succeed. The log is created when there
        is none.

        Raises:
            TransientError: the log cannot be reached.
        """
        ...

    async def append(self, documents: Sequence[Document]) -> Offset:
        """Store all documents or none, and return the offset of the first.

        The offsets of one append are consecutive. On return they survive a crash of this process
        and a loss of power (SQLite: synchronous=FULL; Kafka: acks=all).

        Raises:
            FencedError: another writer acquired the log after this one.
            TransientError: nothing can be said about the documents; `acquire` again and read the
                log's end before going on.
        """
        ...


# ---------------------------------------------------------------------- our own files at a target


class Area(Protocol):
    """Small files of our own beside a target's bytes, `_replicator/` below its root.

    Names are relative, with `/` between their parts. Every call raises TransientError when the
    storage cannot be reached, and ConfigError when it denies access.
    """

    async def names(self, prefix: str) -> Sequence[str]:
        """Return the names of all files that begin with `prefix`, sorted."""
        ...

    async def get(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            NotFoundError: there is none.
        """
        ...

    async def create(self, name: str, data: bytes) -> bool:
        """Store a file whole and durably; return False, and change nothing, when there is one.

        Of two that create the same name at once, one gets True.
        """
        ...

    async def replace(self, name: str, data: bytes) -> None:
        """Store a file whole and durably, whatever was there."""
        ...

    async def delete(self, name: str) -> None:
        """Remove a file; an absent one is no error."""
        ...


# ----------------------------------------------------------------------------------- the machine


class Workers(Protocol):
    """Where pure work on many records is done: in this process, or in others beside it."""

    def each(
        self,
        work: Callable[[Sequence[Record]], Result],
        batches: AsyncIterator[Sequence[Record]],
    ) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        """Give what `work` makes of each batch, in their order, within the block.

        A bounded number of batches is read ahead. `work`, what it returns and what it raises can
        be pickled. When the block ends, nothing is left running.

        Raises:
            TransientError: a worker was killed. While the results are read, also whatever `work`
                and `batches` raise: then no result of a later batch is given.
        """
        ...


# ------------------------------------------------------------------------------ the metadata store


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of one table as a scan sees it: no payloads, three parallel columns."""

    keys: Keys
    """`key_hash` of each row."""
    marks: Marks
    """`fingerprint` of each row, computed where the row is."""
    handles: NDArray[Any]
    """Lead back to the rows within the same snapshot; of no meaning outside it."""


Visit: TypeAlias = Callable[[Chunk], None]
"""Called with each chunk of a scan; must not block."""


class Snapshot(Protocol):
    """A metadata store at one instant: every call sees the same rows."""

    taken_at: datetime
    """The database's own clock when the snapshot was taken, UTC."""
    kinds: frozenset[Kind]
    """The tables that this store has."""

    async def scan(
        self, kind: Kind, visit: Visit, *, datasources: Sequence[str] | None = None
    ) -> None:
        """Visit every row of one kind once, in no order, a bounded number at a time.

        Of append-only tables only the newest row of each key is a row. With `datasources`, only
        rows whose `datasource` is one of them; kinds without one then have no rows.

        Raises:
            TransientError: the database is gone; the snapshot is lost, take a new one.
            ConfigError: a table, a column or a privilege is missing; the message names it.
        """
        ...

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        """Return the rows behind handles of this snapshot, whole, in no order."""
        ...


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
"""More kinds of load specs than this are no source that one configuration describes."""


class SourceReader(MetadataReader, Protocol):
    """What is asked of a source beside its rows."""

    async def load_spec_samples(self) -> Sequence[tuple[str, bytes]]:
        """Return id and payload of one segment for each kind of load spec among all rows.

        A kind is a type and a bucket or container; there may be more than one sample of a kind,
        and at most `SAMPLES_MAX`.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One row of `druid_audit`: what somebody asked a Coordinator or an Overlord to do."""

    id: int
    audit_key: str
    """A datasource, a task, a supervisor, or a name of `druid_config`."""
    type: str
    author: str
    comment: str
    created_date: str
    """By the clock of the Druid process that was asked."""
    payload: bytes


class AuditTrail(Protocol):
    """What a source's Druid has written down about who did what."""

    async def audit(
        self, about: str, *, since: datetime, until: datetime, rows_max: int
    ) -> Sequence[AuditRow]:
        """Return the rows whose key is `about` or whose payload names it, oldest first.

        Of more than `rows_max` rows between the two times (both included) the newest.

        Raises:
            TransientError: the database cannot be reached.
            ConfigError: there is no such table, or the role may not read it.
        """
        ...


class Transaction(Protocol):
    """Changes of a target that become visible together."""

    async def upsert(self, rows: Sequence[Row]) -> None:
        """Make rows exist with this content (already carried, see model/carriage.py).

        For segments, schemas and indexing states `used_status_last_updated` becomes
        max(now, existing + 1 ms) and never the source's value: Druid's segment cache ignores a row
        whose timestamp does not move forward, and its kill tasks count their days from it. A row
        that is already so is left alone. Supervisors and rules are appended, as Druid does.
        Columns that the target does not have are left out; an extra one is refused.

        Raises:
            ConfigError: a row has a column with a value that the target's table does not know.
        """
        ...

    async def remove(self, keys: Sequence[RowKey]) -> None:
        """Make rows not exist, with all their older versions; absent ones are no error."""
        ...

    async def remove_hashed(self, kind: Kind, keys: Keys) -> None:
        """Make rows not exist that are known by their key hash only."""
        ...

    async def record(self, checkpoint: Checkpoint, gaps: Sequence[Gap]) -> None:
        """Set the checkpoint, and open or close gaps (one per key and opening offset)."""
        ...

    async def note_renamed(self, renamed: Renamed) -> None:
        """Remember that rows of a datasource belong to no cut.

        Raises:
            RefusedError: there is such a datasource already.
        """
        ...

    async def forget_renamed(self, datasource: str) -> None:
        """Remember it no longer; an unknown one is no error."""
        ...


class MetadataWriter(MetadataReader, Protocol):
    """Write side of a target's metadata store, given only to the executor.

    Its snapshots compute fingerprints over `columns` only, so that they compare with carried rows.
    """

    async def columns(self) -> Mapping[Kind, frozenset[str]]:
        """Return, for each table there is, the columns by which rows are compared.

        Those are the columns that the table has, less those that the target writes by its own rule
        (`Table.target_owned`).
        """
        ...

    async def acquire(self, source: str) -> Held:
        """Become the writer for one source: a new epoch, and the checkpoint as it stands.

        From the return on, no transaction of an older epoch can commit. Our own tables are made
        when they are missing.
        """
        ...

    async def held(self, source: str) -> Held:
        """Return the checkpoint without becoming the writer; epoch 0 when there is none."""
        ...

    async def gaps(self, source: str) -> Sequence[Gap]:
        """Return all gaps ever recorded, oldest first."""
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

    async def create(self, release: str | None, *, centralized: bool) -> bool:
        """Make our own tables, and Druid's when there are none; return whether Druid's were made.

        `release` is that of the target's Druid, like `33.0.0`, `centralized` whether it keeps
        segment schemas (`druid.centralizedDatasourceSchema.enabled`).

        Raises:
            NotFoundError: there are none, and no release was said; nothing was made.
            ConfigError: the release's tables are not known, or a privilege is missing.
        """
        ...


class NewStorage(Protocol):
    """A target's deep storage before anything is written to it."""

    async def create(self) -> None:
        """Make the place where everything is stored, when it is not there.

        Raises:
            ConfigError: this process may not; the message says where.
            TransientError: as for `put`.
        """
        ...


# ------------------------------------------------------------------------------------ Druid itself


class DruidCluster(Protocol):
    """A target's Overlord and Coordinator, asked and told by HTTP."""

    async def supervisor(self, id_: str) -> SupervisorState | None:
        """Return what the Overlord says of a supervisor, None when it does not know it.

        Raises:
            TransientError: no answer, or one that says to try later.
            ConfigError: access is denied.
        """
        ...

    async def supervise(self, spec: bytes) -> None:
        """Hand in a supervisor's spec, which replaces one of the same id.

        Raises:
            TransientError: as for `supervisor`; the spec may have been taken.
            ConfigError: access is denied, or the Overlord refuses the spec.
        """
        ...

    async def tiers(self) -> frozenset[str]:
        """Return the tiers that have Historicals now."""
        ...

    async def properties(self) -> Mapping[str, str]:
        """Return the Coordinator's runtime properties, secrets hidden by Druid itself."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An interval in which a Broker sees segments of a datasource."""

    interval: Interval
    is_realtime: bool
    """Whether a task is ingesting into it: what it answers is not all published yet."""


class QueryBroker(Protocol):
    """A cluster's Broker. It can only be asked, so the source's may be handed over as this.

    Raises, from every method:
        TransientError: no answer, none in time, or one that says to try later.
        ConfigError: access is denied, or the Broker refuses the query; the message says why.
    """

    async def datasources(self) -> Sequence[str]:
        """Return the datasources that it knows, sorted."""
        ...

    async def served(self, datasource: str) -> Sequence[Served]:
        """Return the intervals of the segments that answer for a datasource, each once."""
        ...

    async def columns(self, datasource: str) -> Mapping[str, str]:
        """Return each column with its SQL type, none when it does not know the datasource."""
        ...

    async def measure(
        self, datasource: str, measures: Sequence[Measure], interval: Interval
    ) -> Answer:
        """Return what the rows of an interval come to, computed now and not cached.

        Raises:
            NotFoundError: it does not know the datasource (any more).
        """
        ...


# -------------------------------------------------------------------------------- the deep storage


OWN_AREA = "_replicator"
"""Where our own files are kept, below a target's root."""
AREAS = frozenset({".replicator", OWN_AREA})
"""Names at a storage's root that are ours; no segment is stored there, and none read."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class StoredObject:
    """One object of a segment, as its storage lists it."""

    name: str
    """Relative to the segment's location, '' when the location is the object."""
    size_bytes: int
    tag: str
    """Changes when the object is written again (local: mtime; object stores: ETag)."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Checked:
    """One object whose bytes were read whole."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was stored at a location, and what the source's objects were then."""

    objects: tuple[Checked, ...]
    """Sorted by name."""
    copied_from: tuple[StoredObject, ...]
    """Sorted by name."""
    packed: tuple[Checked, ...] = ()
    """The files that were packed into the one object, sorted by name; none: it is a plain copy."""

    @property
    def origin(self) -> tuple[Checked, ...]:
        """What the bytes were where they came from."""
        return self.packed or self.objects

    def confirmed(self, truth: "Receipt | None") -> "Receipt | None":
        """Return what to keep of an older receipt once these bytes were stored in its place.

        None: they are other bytes than it says.
        """
        if truth is None or self.objects == truth.objects:
            return truth or self
        same = self.origin == truth.origin  # packed again: equal files, perhaps in another zip
        return replace(self, copied_from=truth.copied_from) if same else None


Piece: TypeAlias = bytes | memoryview
"""Bytes on their way, as a client library gave them: to copy them costs as much as to hash them."""


class DeepStorageReader(Protocol):
    """Read side of a deep storage; a source's storage is handed over as this."""

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        """Return the objects at a location, sorted by name, at least one.

        With `ahead` the caller reads all of it next: a small object may be fetched along.

        Raises:
            MissingObjectError: there are none, and the storage itself is there.
            TransientError: the storage cannot be reached (a mount that is gone, a server down).
            ConfigError: access is denied; the message says to what.
        """
        ...

    def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield an object's bytes from `start` up to `end` (excluded), in pieces of bounded size.

        Raises:
            MissingObjectError: it is gone, also while it is read.
            TransientError: as for `objects`; or the object was written again since it was listed.
        """
        ...

    async def check(self, location: Location) -> tuple[Checked, ...]:
        """Read all bytes at a location again and return their checksums, sorted by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """The bytes of one place on their way from one storage to another."""

    origin: DeepStorageReader
    place: Location
    """Where they are at the origin."""
    objects: tuple[StoredObject, ...]
    """What is there, sorted by name."""

    @property
    def size_bytes(self) -> int:
        """All of it together."""
        return sum(stored.size_bytes for stored in self.objects)

    def read(
        self, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield the bytes of one of the objects, as the origin's `read` does."""
        return self.origin.read(self.place, stored, start=start, end=end)


class DeepStorage(DeepStorageReader, Protocol):
    """Write side, given only to a target's executor."""

    async def receipt(self, location: Location) -> Receipt | None:
        """Return what `put` stored here; None when nothing whole is here.

        Cheap: sizes are compared with what is stored, bytes are not read.
        """
        ...

    def copies_from(self, origin: DeepStorageReader, location: Location) -> bool:
        """Return whether the service may copy by itself what is at a place of `origin`.

        Then its bytes need not come here, and are not to be fetched ahead.
        """
        ...

    async def put(self, location: Location, shipment: Shipment) -> Receipt:
        """Store a shipment whole or not at all, durably, and return what was stored.

        Files of a folder are packed into one object when `location` is no folder. Checksums are
        computed on the way, or by the storage itself where it copies on its own. There is a receipt
        once everything is there and survives a loss of power, and never before.

        Raises:
            CorruptionError: another number of bytes arrived than the shipment's objects have.
            RefusedError: other bytes are at the location, or something that is not ours.
            TransientError: the disk is full or the server refuses; nothing is visible.
        """
        ...

    async def probe(self) -> None:
        """Write, read back and remove a small object of our own, to prove that it can be done.

        Raises:
            ConfigError: this process may not write here; the message says where.
            TransientError: as for `put`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlace:
    """What stands at one place of a target's storage, whoever put it there."""

    location: Location
    """An object, or a folder for which there is a receipt."""
    size_bytes: int
    has_receipt: bool
    """Whether this tool stored it; `receipt` says whether all of it is still there."""
    stored_at: datetime
    """When the newest object was written, by the storage's own clock, UTC."""


Known: TypeAlias = Callable[[Location], bool]
"""Whether a place is needed; called for every place and every folder above one, must not block."""


class SegmentRemover(Protocol):
    """Takes bytes away: given only to a target's expiry and repair, to nothing that follows."""

    async def remove(self, location: Location) -> None:
        """Remove the bytes and the receipt of one place, durably; what is absent is no error.

        An object is this object only, a folder (`x/index/`) all that is below it. The receipt does
        not outlive the bytes: whenever this process dies, `receipt` gives None or what is whole,
        and calling it again finishes. Folders above that hold nothing any more may go with it.

        Raises:
            RefusedError: the place is our own area, outside of the root, an object's name that is a
                folder, or it is locked (see `extend`); nothing was removed.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def extend(self, location: Location, until: datetime) -> None:
        """Keep a place from being removed by anybody until then, where the storage has locks.

        Elsewhere nothing is done. A lock that lasts longer stays as it is. What is stored is locked
        from the beginning, for the target's `retention`.

        Raises:
            MissingObjectError: something of it is not there.
            ConfigError, TransientError: as for `put`.
        """
        ...

    def places(self, known: Known) -> AsyncIterator[Sequence[StoredPlace]]:
        """Yield what stands in the storage and is not `known`, in pages of bounded size.

        Our own areas are left out, and all that is below a folder that is known. The folder of an
        unpacked segment is one place when there is a receipt for it; everything else is a place for
        each object. In no order; what is written or removed meanwhile may be seen or not.

        Raises:
            ConfigError, TransientError: as for `objects`.
        """
        ...


class SegmentMender(Protocol):
    """Puts right what a place holds: given only to a target's repair."""

    async def kept(self, location: Location) -> Receipt | None:
        """Return the receipt that was written for a place, whatever has become of its bytes.

        Raises:
            CorruptionError: there is one and it cannot be read.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def vouch(self, location: Location, receipt: Receipt) -> None:
        """Write a receipt for bytes that are there, which the caller has read and compared.

        Raises:
            MissingObjectError: something of it is not there, or has another size.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def replace(
        self, location: Location, shipment: Shipment, truth: Receipt | None
    ) -> Receipt:
        """Store a shipment where other bytes may be, durably, and return what is kept of it.

        What is new stands whole beside the old and takes its place in one step where the storage
        can do so: local files, and objects that are stored by one request. Elsewhere the old goes
        first. With `truth` the bytes must be those of that receipt. Whenever this process dies,
        `kept` still gives `truth`, and calling it again finishes.

        Raises:
            CorruptionError: other bytes arrived; they were not left there.
            RefusedError: the place cannot hold such a shipment.
            MissingObjectError: the origin has lost it meanwhile.
            ConfigError, TransientError: as for `put`.
        """
        ...
