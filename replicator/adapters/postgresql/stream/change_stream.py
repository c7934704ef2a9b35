"""A `ChangeStream` of PostgreSQL: a logical replication slot, read by SQL over one connection.

A read peeks: `pg_logical_slot_peek_binary_changes` tells whole transactions in the order of their
commits, and moves nothing. The slot is moved only once the log durably has those transactions, so
that a crash repeats and never skips (docs/decisions/0014-change-stream.md).

During a read its transaction holds ACCESS SHARE locks on the tables, and has checked that they are
the tables of the log's position. So no ALTER, TRUNCATE or rewrite, which the stream does not
report, lies between the commits that it reports.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Final, Unpack

from replicator.adapters.postgresql.session import (
    Database,
    Options,
    PostgresqlSession,
    connect,
    discover,
)
from replicator.adapters.postgresql.sql import Shape, literal, quoted
from replicator.adapters.postgresql.stream.fitness import (
    PLUGIN,
    advice,
    moved_text,
    unable,
    unpublished,
    unusable,
)
from replicator.adapters.postgresql.stream.pgoutput import (
    OF_ROWS,
    Begin,
    Commit,
    CopiedFields,
    Delete,
    Insert,
    Message,
    Relation,
    Truncate,
    Update,
    message_of,
)
from replicator.adapters.postgresql.stream.row_changes import RowChanges
from replicator.adapters.postgresql.stream.slot import (
    Slot,
    StreamLook,
    StreamOptions,
    look_at,
    slot_of,
)
from replicator.errors import BrokenStreamError, ConfigError, CorruptionError
from replicator.model.row import Kind
from replicator.model.stream import (
    Lsn,
    NoStream,
    RowChange,
    Shown,
    SourceCommit,
    StreamPosition,
    is_snapshot,
    lsn_text,
)
from replicator.ports import FETCHED_BYTES_MAX, CommitVisitor, Obstacle, StreamRead

MESSAGES_MAX: Final = 20_000
"""Number of messages after which a read ends, at the end of the current transaction: the server
keeps the result of one call in a temporary file beyond its `work_mem`."""
CHANGES_MAX: Final = 500
"""Number of changes of one transaction that are handed over together, or fewer large ones."""
FLUSHED: Final = """
SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS flushed,
       clock_timestamp() AS read_at
"""
SNAPSHOT: Final = """
SELECT seen::text AS snapshot,
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS until
FROM txid_current_snapshot() AS seen
"""
OPEN: Final = """
SELECT transactionid::text::bigint FROM pg_locks WHERE locktype = 'transactionid' AND granted
"""
"""Every writing transaction holds a lock on its own id until others see that it has ended."""
ADVANCE: Final = """
SELECT pg_replication_slot_advance(slot_name, $2::text::pg_lsn) FROM pg_replication_slots
WHERE slot_name = $1 AND confirmed_flush_lsn < $2::text::pg_lsn
"""
DROP: Final = """
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1
"""


FAILOVER_SLOTS: Final = 170_000
"""First release of PostgreSQL whose slots can follow the server to a replica."""


class PostgresqlChangeStream:
    """A `NewChangeStream`; the options are the fields of `Database`.

    Args:
        dsn: As for the reader of the same source.
        names: Slot and publication.
        messages_max: Number of messages after which a read ends.
    """

    def __init__(
        self,
        dsn: str,
        names: StreamOptions,
        *,
        messages_max: int = MESSAGES_MAX,
        **options: Unpack[Options],
    ) -> None:
        self._database = Database(dsn=dsn, **options)
        self._names = names
        self._messages_max = messages_max
        self._stack: AsyncExitStack | None = None
        self._session: PostgresqlSession | None = None
        self._idle_read: StreamRead | None = None
        """The last read, if it has reported nothing."""
        self._shapes: Mapping[Kind, Shape] | None = None
        """Druid's tables when the session began."""

    # ------------------------------------------------------------------------------------ reading

    async def read(
        self, since: StreamPosition, visitor: CommitVisitor, *, until: Lsn | None = None
    ) -> StreamRead:
        async with self._using() as session:
            if until is None and (idle := await self._idle(session, since)) is not None:
                return idle
            if self._shapes is None:
                self._shapes = await discover(session, self._database)
            tables = ", ".join(sorted(shape.relation for shape in self._shapes.values()))
            await session.execute(
                "begin to read the change stream",
                f"BEGIN READ ONLY; LOCK TABLE {tables} IN ACCESS SHARE MODE",
            )
            look = await look_at(session, self._database, self._names)
            reporter = _Reporter(
                since, visitor, RowChanges(self._checked(look, since, self._shapes))
            )
            flushed = Lsn(look.slot.flushed)
            end = flushed if until is None else min(flushed, until)
            await self._peek(session, reporter, end)
            await session.execute("end the read", "ROLLBACK")
            is_whole = reporter.messages < self._messages_max
            read_until = max(since.at, end if is_whole else reporter.end)
            read = StreamRead(
                until=read_until,
                at=look.slot.read_at,
                is_whole=is_whole,
                behind_bytes=0 if is_whole else max(0, flushed - read_until),
                messages=reporter.messages,
                retained_bytes=look.slot.retained_bytes,
            )
            self._idle_read = read if until is None and not reporter.reported else None
            return read

    async def _idle(self, session: PostgresqlSession, since: StreamPosition) -> StreamRead | None:
        """Return what a read would return, if nothing was written since the last complete one."""
        last = self._idle_read
        if last is None or not last.is_whole or last.until < since.at:
            return None
        (now,) = await session.fetch("ask how far the server is", FLUSHED)
        # A read decodes the WAL again from the slot's `restart_lsn`, 5 to 35 ms for an empty one
        # (decision 14); this question takes none of it.
        if now["flushed"] != last.until:
            return None
        return StreamRead(
            until=last.until,
            at=now["read_at"].astimezone(UTC),
            is_whole=True,
            behind_bytes=0,
            messages=0,
            retained_bytes=last.retained_bytes,
        )

    def _checked(
        self, look: StreamLook, since: StreamPosition, shapes: Mapping[Kind, Shape]
    ) -> Mapping[int, Shape]:
        """Return the tables by their oids, if all is as it was at the log's position."""
        slot = look.slot
        for obstacle in unusable(slot, self._names):
            raise BrokenStreamError(obstacle.what, hint=obstacle.remedy)
        # The server tells nothing from before the slot: commits in between would be missed in
        # silence.
        if slot.confirmed is None or slot.confirmed > since.at:
            raise BrokenStreamError(moved_text(slot.confirmed or 0, since.at))
        if look.tables.keys() == shapes.keys():
            for obstacle in unpublished(look, shapes, self._names):
                raise BrokenStreamError(obstacle.what, hint=obstacle.remedy)
        if look.identity != since.identity or look.tables.keys() != shapes.keys():
            raise BrokenStreamError(
                "the server, a table or the publication is not what it was at"
                f" {lsn_text(since.at)}: it was started anew, altered, rewritten or exchanged"
            )
        return {found["oid"]: shapes[kind] for kind, found in look.tables.items()}

    async def _peek(self, session: PostgresqlSession, reporter: "_Reporter", until: Lsn) -> None:
        name, publication = literal(self._names.slot), literal(quoted(self._names.publication))
        query = (
            "SELECT data FROM pg_logical_slot_peek_binary_changes("  # noqa: S608 - quoted names
            f"{name}, '{lsn_text(until)}', {self._messages_max},"
            f" 'proto_version', '1', 'publication_names', {publication})"
        )
        try:
            await session.copy("read the change stream", query, sink=reporter.write)
            reporter.close()
        except (ConfigError, CorruptionError) as exc:
            # such as a publication that was not there for a while, or messages that are none
            raise BrokenStreamError(str(exc), hint=exc.hint) from exc

    # ------------------------------------------------------------------------ what the source keeps

    async def confirm(self, at: Lsn) -> None:
        async with self._using() as session:
            await session.execute(
                "move the replication slot", ADVANCE, self._names.slot, lsn_text(at)
            )

    async def retained_bytes(self) -> int | None:
        async with self._using() as session:
            slot = await slot_of(session, self._names.slot)
            return slot.retained_bytes if slot.is_there else None

    async def create(self) -> bool:
        async with connect(self._database) as session:
            slot = await slot_of(session, self._names.slot)
            # Before the slot is made: one that nobody can use would keep WAL until the source's
            # disk is full.
            lacks = unusable(slot, self._names) if slot.is_there else unable(slot)
            for obstacle in (*lacks, *await self._unpublished(session)):
                raise ConfigError(f"{self._database.name}: {obstacle.what}", hint=obstacle.remedy)
            if slot.is_there:
                return False
            version = int(await session.value("ask for the version", "SHOW server_version_num"))
            failover = ", failover => true" if version >= FAILOVER_SLOTS else ""
            await session.execute(
                "make the replication slot",
                f"SELECT pg_create_logical_replication_slot({literal(self._names.slot)},"
                f" '{PLUGIN}'{failover})",
            )
            return True

    async def drop(self) -> bool:
        await self.close()  # a slot that is read cannot be dropped
        async with connect(self._database) as session:
            found = await session.fetch("drop the replication slot", DROP, self._names.slot)
            return bool(found)

    async def obstacles(self) -> Sequence[Obstacle]:
        async with connect(self._database, default_transaction_read_only="on") as session:
            slot = await slot_of(session, self._names.slot)
            return [*unusable(slot, self._names), *await self._unpublished(session)]

    async def advice(self) -> Sequence[str]:
        async with connect(self._database, default_transaction_read_only="on") as session:
            shapes = await discover(session, self._database)
            return advice(await look_at(session, self._database, self._names), shapes)

    async def _unpublished(self, session: PostgresqlSession) -> Sequence[Obstacle]:
        shapes = await discover(session, self._database)
        look = await look_at(session, self._database, self._names)
        return [*unpublished(look, shapes, self._names)]

    # ---------------------------------------------------------------------------------- connection

    async def close(self) -> None:
        stack, self._stack, self._session = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    @asynccontextmanager
    async def _using(self) -> AsyncGenerator[PostgresqlSession]:
        """Lend the session that is kept; any error ends it, with its transaction."""
        if self._session is None:
            self._stack = AsyncExitStack()
            self._session = await self._stack.enter_async_context(
                connect(self._database, default_transaction_read_only="on")
            )
            self._idle_read, self._shapes = None, None
        try:
            yield self._session
        except BaseException:
            self._idle_read = None
            await self.close()
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """Answers that were collected before a snapshot was taken, in this order.

    A commit may be in the write-ahead log and still be invisible while the server waits for its
    synchronous replicas. So the snapshot shows every commit before the slot's `flushed` only if all
    transactions that were open have ended.
    """

    slot: Slot
    open: Sequence[int]


async def state_before(session: PostgresqlSession, names: StreamOptions) -> Before:
    """Return what must be known before a snapshot from which the stream is to continue."""
    slot = await slot_of(session, names.slot)
    rows = await session.fetch("ask for the open transactions", OPEN)
    return Before(slot=slot, open=[row[0] for row in rows])


async def position_of_snapshot(
    session: PostgresqlSession,
    before: Before,
    database: Database,
    names: StreamOptions,
    shapes: Mapping[Kind, Shape],
) -> StreamPosition | NoStream:
    """Return the position from which the stream continues this transaction's snapshot."""
    for obstacle in unusable(before.slot, names):
        return NoStream(f"{obstacle.what}: {obstacle.remedy}")
    look = await look_at(session, database, names)
    for obstacle in unpublished(look, shapes, names):
        return NoStream(f"{obstacle.what}: {obstacle.remedy}")
    (seen,) = await session.fetch("ask for the snapshot", SNAPSHOT)
    if not is_snapshot(seen["snapshot"]):
        return NoStream(f"the server says a snapshot that is none: {seen['snapshot']!r:.80}")
    shown = Shown(snapshot=seen["snapshot"], until=Lsn(seen["until"]))
    # Such a transaction may have its commit in the WAL before the position, and be invisible in the
    # snapshot: neither a scan nor the stream would report it.
    if not all(map(shown.holds, before.open)):
        return NoStream("a transaction that writes was open before this poll, and still is")
    return StreamPosition(
        at=Lsn(max(before.slot.flushed, before.slot.confirmed or 0)),
        identity=look.identity,
        shown=shown,
    )


class _Reporter:
    """Takes the messages of one read, and hands a visitor the commits that the log lacks."""

    def __init__(self, since: StreamPosition, visitor: CommitVisitor, rows: RowChanges) -> None:
        self.messages = 0
        self.end = since.at
        self.reported = 0
        """Number of commits that the log did not have."""
        self._since, self._visitor, self._rows = since, visitor, rows
        self._fields = CopiedFields()
        self._is_known = True
        """Whether the log has the current commit."""
        self._changes: list[RowChange] = []
        self._changes_bytes = 0

    async def write(self, data: bytes) -> None:
        """Take the next bytes of the read."""
        for field in self._fields.take(data):
            self.messages += 1
            if self._is_known and field[:1] in OF_ROWS:
                continue  # the log has it; the slot moves more rarely than it is read
            self._changes_bytes += len(field)
            if (message := message_of(field)) is not None:
                await self._tell(message)

    def close(self) -> None:
        """Require that the read ended where its format says."""
        self._fields.close()

    async def _tell(self, message: Message) -> None:
        match message:
            case Begin():
                await self._begin(message)
            case Commit(end=end):
                await self._flush()
                self.end = max(self.end, end)
                if not self._is_known:
                    self.reported += 1
                    await self._visitor.end(end)
            case Relation():
                self._rows.describe(message)
            case Insert() | Update() | Delete() | Truncate():
                self._changes += self._rows.changes(message)
                if len(self._changes) >= CHANGES_MAX or self._changes_bytes >= FETCHED_BYTES_MAX:
                    await self._flush()

    async def _begin(self, begin: Begin) -> None:
        self._is_known = self._since.has(begin.lsn, begin.transaction)
        if not self._is_known:
            commit = SourceCommit(begin.lsn, begin.time, begin.transaction)
            await self._visitor.begin(commit)

    async def _flush(self) -> None:
        changes, self._changes, self._changes_bytes = self._changes, [], 0
        if changes:
            await self._visitor.change(changes)
