"""Druid's metadata store on MySQL or MariaDB, as a target: rows and checkpoint in one transaction.

The user needs SELECT, INSERT, UPDATE and DELETE on Druid's tables, and CREATE and INDEX on the
database until all tables exist.
"""

from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from typing import Final, Unpack

from replicator.adapters import refusals
from replicator.adapters.kept_rows import (
    LONG_KEY,
    gaps_of,
    refuse_large,
    renamed_of,
    require_written,
    sound,
    state_of,
)
from replicator.adapters.mysql import druid_tables
from replicator.adapters.mysql.errors import CLASH, CLASH_HINT, in_utf8
from replicator.adapters.mysql.fitness import obstacles
from replicator.adapters.mysql.own_rows import (
    OwnTables,
    gap_values,
    naive,
    read_gap,
    read_renamed,
    read_state,
)
from replicator.adapters.mysql.reader import CHUNK_ROWS, reading
from replicator.adapters.mysql.session import (
    Database,
    Options,
    Session,
    connect,
    discover,
    patient_sql,
)
from replicator.adapters.mysql.sql import (
    BOOLEAN,
    BYTES_HEAD,
    USED_STATUS,
    Shape,
    add_store_sql,
    change_store_sql,
    checkpoint_table_sql,
    existing_sql,
    forget_gaps_sql,
    gap_table_sql,
    gaps_sql,
    insert_sql,
    is_binary,
    key_sql,
    keys_hashed_sql,
    own_size_sql,
    quoted,
    record_checkpoint_sql,
    record_gaps_sql,
    remove_sql,
    renamed_table_sql,
    renew_gaps_sql,
    spelled,
)
from replicator.errors import RefusedError, UnfitRowError
from replicator.model.batches import batches, by_kind, slices
from replicator.model.checkpoint import Checkpoint, Gap, TargetState
from replicator.model.event import Epoch
from replicator.model.fingerprint import fingerprint, hex_digest
from replicator.model.inventory.ledger import Keys, items
from replicator.model.log.renaming import Renamed
from replicator.model.row import KIND_OF, TABLES, Kind, Row, RowKey, Rules, key_of
from replicator.model.timestamps import iso_ms, later
from replicator.ports import Obstacle, Snapshot, Transaction

BATCH_ROWS: Final = 1000
"""Number of keys of most batches: each number has a prepared statement of its own."""
PLACES_MAX: Final = 65_535
"""Limit for the parameters of a statement; their count has two bytes on the wire."""
BATCH_BYTES: Final = 4 << 20
"""Limit for the bytes of payloads in one statement; a larger payload is sent alone."""
BATCH_KEYS: Final = 500
BATCH_HASHES: Final = 16_384


STORE: Final = "store"
"""A column of the checkpoints' table that it did not have at first."""


class MysqlMetadataWriter:
    """A `MetadataWriter`; the options are the fields of `Database`."""

    def __init__(
        self,
        dsn: str,
        *,
        own_prefix: str = "replicator_",
        chunk_rows: int = CHUNK_ROWS,
        **options: Unpack[Options],
    ) -> None:
        self._database = Database(dsn=dsn, **options)
        self._own = OwnTables(
            checkpoints=f"{own_prefix}checkpoint",
            gaps=f"{own_prefix}gap",
            renamed=f"{own_prefix}renamed",
        )
        self._chunk_rows = chunk_rows

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        async with (
            connect(self._database) as session,
            reading(session, self._database, chunk_rows=self._chunk_rows, target=True) as snapshot,
        ):
            yield snapshot

    async def columns(self) -> Mapping[Kind, frozenset[str]]:
        async with connect(self._database) as session:
            shapes = await discover(session, self._database)
        return {kind: shape.compared for kind, shape in shapes.items()}

    async def obstacles(self) -> Sequence[Obstacle]:
        async with connect(self._database) as session:
            shapes = await discover(session, self._database)
            return await obstacles(session, self._database, shapes)

    async def is_made(self) -> bool:
        segments = self._database.spelled(spelled(TABLES[Kind.SEGMENT]))
        async with connect(self._database) as session:
            return await _exists(session, segments)

    async def create(self, release: str | None, *, centralized: bool) -> bool:
        segments = self._database.spelled(spelled(TABLES[Kind.SEGMENT]))
        if release is not None:
            druid_tables.statements(release, centralized=centralized)  # also if no table is created
        async with connect(self._database) as session:
            made = not await _exists(session, segments)
            if made:
                await self._make_druids_tables(session, release, centralized=centralized)
            await self._make_own_tables(session)
            await discover(session, self._database)
        return made

    async def acquire(
        self, source: str, *, store: str | None = None, anew: bool = False
    ) -> TargetState:
        own = quoted(self._own.checkpoints)
        async with connect(self._database) as session:
            await self._make_own_tables(session)
            columns = await _columns_of(session, self._own.checkpoints)
            await session.execute("become the writer", patient_sql(self._database))
            await _begin(session)
            # waits for a transaction of the epoch before, whose lock is on this row
            await session.execute(
                "become the writer",
                f'INSERT INTO {own} ("source", "epoch", "store") VALUES (?, 1, ?)'  # noqa: S608 - quoted names
                ' ON DUPLICATE KEY UPDATE "epoch" = "epoch" + 1,'
                ' "store" = COALESCE("store", VALUES("store"))',
                source.encode(),
                store,
            )
            await self._refuse_large(session, self._own.checkpoints, columns, source)
            state = await self._state(session, source)
            if store is not None and state.store != store:
                if not anew:
                    await session.execute("leave the target alone", "ROLLBACK")
                    raise refusals.other_store(self._database.name, source, store)
                await session.execute(
                    "change the store", change_store_sql(own), store, source.encode()
                )
                state = await self._state(session, source)
            await session.execute("become the writer", "COMMIT")
        return state

    async def state(self, source: str) -> TargetState:
        async with connect(self._database) as session:
            if not (columns := await _columns_of(session, self._own.checkpoints)):
                return UNTOUCHED
            await _begin_look(session)
            await self._refuse_large(session, self._own.checkpoints, columns, source)
            return await self._state(session, source, says_store=STORE in columns)

    async def gaps(self, source: str, log_id: str) -> Sequence[Gap]:
        own = self._own
        async with connect(self._database) as session:
            if not (columns := await _columns_of(session, own.gaps)):
                return []
            await _begin_look(session)
            await self._refuse_large(session, own.gaps, columns, source)
            query = gaps_sql(quoted(own.gaps), quoted(own.checkpoints), columns)
            args = (source.encode(), log_id.encode())
            found = await session.fetch(f"read {own.gaps}", query, *args)
        return gaps_of(self._database.name, own.gaps, map(read_gap, found))

    async def renamed(self, source: str) -> Sequence[Renamed]:
        own = self._own
        query = (
            'SELECT "datasource", "original", "offset", "cut", "source_time"'  # noqa: S608 - quoted names
            f' FROM {quoted(own.renamed)} WHERE "source" = ? ORDER BY "datasource"'
        )
        async with connect(self._database) as session:
            if not (columns := await _columns_of(session, own.renamed)):
                return []
            await _begin_look(session)
            await self._refuse_large(session, own.renamed, columns, source)
            found = await session.fetch(f"read {own.renamed}", query, source.encode())
        return renamed_of(self._database.name, own.renamed, map(read_renamed, found))

    async def _refuse_large(
        self, session: Session, table: str, columns: Collection[str], source: str
    ) -> None:
        query = own_size_sql(quoted(table), columns)
        size_bytes = await session.value(f"read {table}", query, source.encode())
        refuse_large(self._database.name, table, size_bytes)

    @asynccontextmanager
    async def transaction(self, source: str, epoch: Epoch) -> AsyncGenerator[Transaction]:
        async with connect(self._database) as session:
            await _begin(session)
            await self._check_epoch(session, source, epoch)
            now: datetime = await session.value("ask the time", "SELECT UTC_TIMESTAMP(6)")
            yield MysqlTransaction(
                session, self._database, self._own, source=source, now=now.replace(tzinfo=UTC)
            )
            await session.execute("commit", "COMMIT")

    async def _make_druids_tables(
        self, session: Session, release: str | None, *, centralized: bool
    ) -> None:
        database = self._database
        if release is None:
            raise refusals.no_druid(database.name)
        if database.table_prefix != druid_tables.PREFIX:
            raise refusals.other_prefix(database.name, druid_tables.PREFIX)
        for statement in druid_tables.statements(release, centralized=centralized):
            # no transaction holds them together here: the table of segments, by which all of them
            # are taken to be there, is made last
            await session.execute("create Druid's tables", statement)

    async def _make_own_tables(self, session: Session) -> None:
        own = self._own
        wanted = {
            own.checkpoints: checkpoint_table_sql(quoted(own.checkpoints)),
            own.gaps: gap_table_sql(quoted(own.gaps)),
            own.renamed: renamed_table_sql(quoted(own.renamed)),
        }
        for name, statement in wanted.items():
            if not await _exists(session, name):  # so that a user without CREATE can continue
                await session.execute(f"create {name}", statement)
        if STORE not in await _columns_of(session, own.checkpoints):
            what = f"add the store to {own.checkpoints}"
            await session.execute(what, add_store_sql(quoted(own.checkpoints)))
        if LONG_KEY not in await _columns_of(session, own.gaps):
            what = f"let {own.gaps} hold long keys"
            await session.execute(what, renew_gaps_sql(quoted(own.gaps)))

    async def _check_epoch(self, session: Session, source: str, epoch: Epoch) -> None:
        # the lock makes `acquire` of a newer writer wait: the epoch stays true until the commit
        own = quoted(self._own.checkpoints)
        query = f'SELECT "epoch" FROM {own} WHERE "source" = ? FOR UPDATE'  # noqa: S608 - quoted names
        found = await session.value("check the epoch", query, source.encode())
        if found != epoch:
            raise refusals.older_epoch(self._database.name, source, epoch, found)

    async def _state(
        self, session: Session, source: str, *, says_store: bool = True
    ) -> TargetState:
        own = quoted(self._own.checkpoints)
        store = quoted(STORE) if says_store else "NULL"
        query = (
            'SELECT "log_id", "offset", "cut", "source_time", "digest", "paused", "promoted",'  # noqa: S608 - quoted names
            f' "datasource", "epoch", "applied_at", {store} FROM {own} WHERE "source" = ?'
        )
        rows = await session.fetch(f"read {own}", query, source.encode())
        if not rows:
            return UNTOUCHED
        with sound(self._database.name, own):
            found = read_state(source, rows[0])
        return state_of(self._database.name, own, found)


class MysqlTransaction:
    """A `Transaction`; its memory is bounded by one batch, however many rows it is given.

    The existing rows with a batch's keys are read and locked first, and compared here, which shows
    which rows are new and which change. An INSERT that decides by itself would overwrite a row
    whose key differs only in case.
    """

    def __init__(
        self,
        session: Session,
        database: Database,
        own: OwnTables,
        *,
        source: str,
        now: datetime,
    ) -> None:
        self._session = session
        self._database = database
        self._own = own
        self._source = source
        self._now = now
        self._shapes: Mapping[Kind, Shape] | None = None

    async def upsert(self, rows: Sequence[Row]) -> None:
        bytes_max = min(BATCH_BYTES, self._session.packet_bytes_max // 2)
        for batch in batches(rows, rows_max=BATCH_ROWS, bytes_max=bytes_max):
            kind = KIND_OF[type(batch[0])]
            shape = (await self._discovered()).get(kind)
            if shape is None:
                table = self._database.spelled(TABLES[kind].name)
                raise refusals.no_table_for(self._database.name, table, key_of(batch[0]).key)
            self._check_extras(shape, batch)
            if shape.table.newest_by:
                await self._append(shape, batch)
            else:
                await self._put(shape, batch)

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        await self._session.execute("set a savepoint", "SAVEPOINT rows_")
        try:
            yield
        except UnfitRowError:
            # a server that has rolled everything back knows no savepoint any more, and says so
            self._session.mend()
            await self._session.execute("return to it", "ROLLBACK TO SAVEPOINT rows_")
            raise
        await self._session.execute("release it", "RELEASE SAVEPOINT rows_")

    async def remove(self, keys: Sequence[RowKey]) -> None:
        for kind, names in by_kind(keys).items():
            if shape := (await self._discovered()).get(kind):
                await self._remove(shape, names)

    async def remove_hashed(self, kind: Kind, keys: Keys) -> None:
        shape = (await self._discovered()).get(kind)
        if shape is None:
            return
        for batch in slices(items(keys), BATCH_HASHES):
            query = keys_hashed_sql(shape, len(batch))
            found = await self._session.fetch(f"look into {shape.relation}", query, *batch)
            with in_utf8(shape.relation):
                gone = [key.decode() for (key,) in found]
            await self._remove(shape, gone)

    async def record(self, checkpoint: Checkpoint, gaps: Sequence[Gap]) -> None:
        if checkpoint.source != self._source:
            raise ValueError(f"source {checkpoint.source!r} is not the one of this transaction")
        own, source = self._own, checkpoint.source.encode()
        checkpoints, table = quoted(own.checkpoints), quoted(own.gaps)
        log_id = checkpoint.log_id.encode()
        forget = forget_gaps_sql(table, checkpoints)
        await self._session.execute(f"write {own.gaps}", forget, source, source, log_id)
        written = await self._session.execute(
            f"write {own.checkpoints}",
            record_checkpoint_sql(checkpoints),
            log_id,
            checkpoint.offset,
            checkpoint.cut,
            naive(checkpoint.source_time),
            hex_digest(checkpoint.digest),
            checkpoint.paused,
            checkpoint.promoted,
            None if checkpoint.datasource is None else checkpoint.datasource.encode(),
            naive(self._now),
            source,
        )
        require_written(
            self._database.name, own.checkpoints, checkpoint.source, is_one=written == 1
        )
        latest = {(gap.key, gap.opened): gap for gap in gaps}
        for batch in slices(latest.values(), BATCH_ROWS):
            args = [value for gap in batch for value in (source, *gap_values(gap))]
            query = record_gaps_sql(table, len(batch))
            await self._session.execute(f"write {own.gaps}", query, *args)

    async def note_renamed(self, renamed: Renamed) -> None:
        table = quoted(self._own.renamed)
        key = (self._source.encode(), renamed.datasource.encode())
        known = await self._session.value(
            f"read {self._own.renamed}",
            f'SELECT COUNT(*) FROM {table} WHERE "source" = ? AND "datasource" = ?',  # noqa: S608 - quoted names
            *key,
        )
        if known:
            raise RefusedError(
                f"{self._database.name}: datasource {renamed.datasource!r} is there already"
            )
        await self._session.execute(
            f"write {self._own.renamed}",
            f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - quoted names
            *key,
            renamed.original.encode(),
            renamed.offset,
            renamed.cut,
            naive(renamed.source_time),
        )

    async def forget_renamed(self, datasource: str) -> None:
        await self._session.execute(
            f"write {self._own.renamed}",
            f'DELETE FROM {quoted(self._own.renamed)} WHERE "source" = ? AND "datasource" = ?',  # noqa: S608 - quoted names
            self._source.encode(),
            datasource.encode(),
        )

    async def _put(self, shape: Shape, rows: Sequence[Row]) -> None:
        """Make rows of a table without history exist."""
        keys = [key_of(row).key for row in rows]
        found = await self._existing(shape, keys)
        names = [*shape.written, *([USED_STATUS] if shape.moves_on else [])]
        now, compared, values_of = iso_ms(self._now), shape.compared, _values_of(shape)
        new: list[list[object]] = []
        changed: list[list[object]] = []
        for key, row in zip(keys, rows, strict=True):
            former = found.get(key)
            if former is not None and former.mark == fingerprint(row, columns=compared):
                continue
            values = values_of(row)
            if shape.moves_on:
                values.append(now if former is None else later(former.stamp, now))
            (new if former is None else changed).append(values)
        await self._insert(shape, names, new)
        await self._insert(shape, names, changed, over=True)

    async def _append(self, shape: Shape, rows: Sequence[Row]) -> None:
        """Add rows that differ from the newest one of their key, with the values that Druid sets.

        SQLMetadataSupervisorManager and SQLMetadataRuleManager do the same.
        """
        keys = [key_of(row).key for row in rows]
        found = await self._existing(shape, keys)
        now, compared, values_of = iso_ms(self._now), shape.compared, _values_of(shape)
        for key, row in zip(keys, rows, strict=True):
            former = found.get(key)
            if former is not None and former.mark == fingerprint(row, columns=compared):
                continue
            values = values_of(row)
            if isinstance(row, Rules):
                id_, version = await self._rules_id(
                    shape, row, former.stamp if former else None, now
                )
                names = (*shape.written, "id", "version")
                values += [id_, version]
            else:
                names = (*shape.written, "created_date")
                values.append(now)
            await self._insert(shape, names, [values])

    async def _rules_id(
        self, shape: Shape, row: Rules, former: str | None, now: str
    ) -> tuple[str, str]:
        """Return an id that no row has, whatever its case, and its version."""
        version = later(former, now)
        query = f'SELECT COUNT(*) FROM {shape.relation} WHERE "id" = ?'  # noqa: S608 - quoted names
        while await self._session.value(
            f"read {shape.relation}", query, f"{row.datasource}_{version}"
        ):
            version = later(version, now)
        return f"{row.datasource}_{version}", version

    async def _existing(self, shape: Shape, keys: Sequence[str]) -> Mapping[str, "_Former"]:
        """Return the existing rows with some keys.

        Raises:
            UnfitRowError: the table equates a key with another one that exists.
        """
        found = await self._session.fetch(
            f"read {shape.relation}", existing_sql(shape, len(keys)), *keys
        )
        with in_utf8(shape.relation):
            formers = {key.decode(): _Former(stamp, mark) for key, stamp, mark in found}
        if not shape.table.newest_by and (others := sorted(formers.keys() - set(keys))):
            raise UnfitRowError(
                f"{self._database.name}: {key_sql(shape.table)} of {shape.relation} takes a key"
                f" of the log for {others[0]!r}, which is there: {CLASH}",
                hint=CLASH_HINT,
            )
        return formers

    async def _insert(
        self, shape: Shape, names: Sequence[str], rows: list[list[object]], *, over: bool = False
    ) -> None:
        if not rows:
            return
        doing = f"write {shape.relation}"
        if len(rows) == 1 or shape.extras:
            # a batch of several rows is bounded by its payloads; only unknown columns are as large
            self._session.expect_room(doing, max(map(_size, rows)))
        absent = frozenset(
            name for at, name in enumerate(names) if all(values[at] is None for values in rows)
        )
        given = [at for at, name in enumerate(names) if name not in absent]
        cells = [[values[at] for at in given] for values in rows] if absent else rows
        # MariaDB with a binary log writes out the values of any other statement as text
        query = insert_sql(shape, names, 1, absent=absent, over=over)
        if await self._session.execute_rows(doing, query, cells):
            return
        for batch in slices(cells, PLACES_MAX // len(given)):
            query = insert_sql(shape, names, len(batch), absent=absent, over=over)
            await self._session.execute(doing, query, *chain.from_iterable(batch))

    async def _remove(self, shape: Shape, keys: Iterable[str]) -> None:
        for batch in slices(keys, BATCH_KEYS):
            exact = [key.encode() for key in batch]
            query = remove_sql(shape, len(batch))
            await self._session.execute(f"remove from {shape.relation}", query, *batch, *exact)

    async def _discovered(self) -> Mapping[Kind, Shape]:
        if self._shapes is None:
            self._shapes = await discover(self._session, self._database)
        return self._shapes

    def _check_extras(self, shape: Shape, rows: Sequence[Row]) -> None:
        known = set(shape.extras)
        for row in rows:
            for name in sorted(row.extras.keys() - known):
                raise refusals.no_column_for(
                    self._database.name,
                    shape.relation,
                    quoted(name),
                    key_of(row).key,
                    f"ALTER TABLE {shape.name} ADD COLUMN `{name}` <type>",
                )


class _Former:
    """The existing row with the key of one to write."""

    def __init__(self, stamp: str | bytes | None, mark: bytes | None) -> None:
        self.stamp = stamp.decode() if isinstance(stamp, bytes) else stamp
        """Timestamp of the row, which must move forward, or its version."""
        self.mark = mark
        """Fingerprint of the row; None: the row is too large for the server to compute it."""


async def _begin(session: Session) -> None:
    # locks rows and nothing between them: no gaps into which Druid could not insert
    await session.execute("begin", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    await session.execute("begin", "START TRANSACTION READ WRITE")


async def _begin_look(session: Session) -> None:
    # rows cannot grow between a look at their size and their reading; the session ends it
    await session.execute("begin", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    await session.execute("begin", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


def _values_of(shape: Shape) -> Callable[[Row], list[object]]:
    """Return the function that returns the values which an upsert writes of a row."""
    extras = shape.extras
    known = attrgetter(*(name for name in shape.written if name not in extras))

    def values(row: Row) -> list[object]:
        return [*known(row), *(_parsed(shape, name, row.extras.get(name)) for name in extras)]

    return values


def _parsed(shape: Shape, name: str, text: str | None) -> object:
    """Return the value of an unknown column, whose text is in PostgreSQL's form."""
    if text is None:
        return None
    if shape.types[name] == BOOLEAN and text in {"true", "false"}:
        return text == "true"
    if is_binary(shape.types[name]) and text.startswith(BYTES_HEAD):
        return bytes.fromhex(text.removeprefix(BYTES_HEAD))
    return text


def _size(values: Sequence[object]) -> int:
    return sum(len(value) for value in values if isinstance(value, bytes | str))


async def _exists(session: Session, table: str) -> bool:
    query = (
        "SELECT COUNT(*) FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?"
    )
    return bool(await session.value(f"look for {table}", query, table))


async def _columns_of(session: Session, table: str) -> frozenset[str]:
    """Return the names of a table's columns; none if there is no such table."""
    query = (
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?"
    )
    rows = await session.fetch(f"look for {table}", query, table)
    return frozenset(name if isinstance(name, str) else name.decode() for (name,) in rows)


UNTOUCHED: Final = TargetState(checkpoint=None, epoch=Epoch(0), applied_at=None)
