"""Druid's metadata store on PostgreSQL 11 or later, as a source: nothing here can write."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final, Unpack

from replicator.adapters.kept_rows import FOLLOWED_CHARS, FOLLOWED_MAX
from replicator.adapters.postgresql.freshness import freshness_of
from replicator.adapters.postgresql.session import Database, Options, PostgresqlSession, connect
from replicator.adapters.postgresql.sql import literal, relation
from replicator.model.row import AuditRow, is_left_behind
from replicator.model.timestamps import iso_ms
from replicator.ports import SAMPLES_MAX, Freshness, Snapshot

if TYPE_CHECKING:
    from replicator.adapters.postgresql.stream.slot import StreamOptions

# Verbs that look at no rows, like `status`, do not import what reads a snapshot.

CHUNK_ROWS: Final = 16_384
CHECKPOINTS: Final = "replicator_checkpoint"
"""The table in which an applier keeps the cut of a target."""
READABLE: Final = "SELECT coalesce(has_table_privilege(to_regclass($1)::oid, 'SELECT'), false)"
LOAD_SPEC_TYPE = r"""'"loadSpec"\s*:\s*\{[^{}]*"type"\s*:\s*"([^"]*)"'"""
CONTAINER = r"""'"loadSpec"\s*:\s*\{[^{}]*"(?:bucket|containerName)"\s*:\s*"([^"]*)"'"""
"""Rough, but whole rows are looked at only where these differ."""
DRUIDS_TABLES: Final = """
SELECT class.relname AS name, has_table_privilege(class.oid, 'SELECT') AS readable
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE namespace.nspname = $1 AND lower(left(class.relname::text, length($2))) = $2
  AND class.relkind IN ('r', 'p', 'f') AND NOT class.relispartition
ORDER BY class.relname
"""


class PostgresqlMetadataReader:
    """A `MetadataReader`; needs a role that may only SELECT.

    The options are the fields of `Database`.
    """

    def __init__(
        self,
        dsn: str,
        *,
        chunk_rows: int = CHUNK_ROWS,
        stream: StreamOptions | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Take the database's address; `stream` names the change stream that continues from it."""
        self._database = Database(dsn=dsn, **options)
        self._chunk_rows = chunk_rows
        self._stream = stream

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        from replicator.adapters.postgresql.snapshot import reading  # noqa: PLC0415 - see above

        async with (
            self._connect() as session,
            reading(
                session, self._database, chunk_rows=self._chunk_rows, stream=self._stream
            ) as snapshot,
        ):
            yield snapshot

    async def freshness(self) -> Freshness:
        async with self._connect() as session:
            return await freshness_of(session)

    async def load_spec_samples(self) -> Sequence[tuple[str, bytes]]:
        from replicator.model.druid.known_since import NEW_IN_SEGMENTS  # noqa: PLC0415 - see above

        segments = self._database.relation("segments")
        query = f"""
            SELECT id, payload FROM {segments} WHERE id IN (
                SELECT min(id) FROM (
                    SELECT id, encode(payload, 'escape') AS text FROM {segments}
                ) AS segments
                GROUP BY substring(text FROM {LOAD_SPEC_TYPE}), substring(text FROM {CONTAINER}),
                    {", ".join(f"strpos(text, {literal(one)}) > 0" for one in NEW_IN_SEGMENTS)}
                LIMIT {SAMPLES_MAX}
            ) ORDER BY id
        """  # noqa: S608 - names are quoted
        async with self._connect() as session:
            found = await session.fetch(f"read {segments}", query)
            return [(row["id"], row["payload"]) for row in found]

    async def left_behind(self) -> Sequence[str]:
        schema, prefix = self._database.schema, self._database.table_prefix.lower()
        found: list[str] = []
        async with self._connect() as session:
            for row in await session.fetch("list Druid's tables", DRUIDS_TABLES, schema, prefix):
                name: str = row["name"]
                if not is_left_behind(name[len(prefix) :]):
                    continue
                query = f"SELECT EXISTS (SELECT FROM {relation(schema, name)})"  # noqa: S608 - quoted names
                if not row["readable"] or await session.value(f"look into {name}", query):
                    found.append(name)
        return found

    async def followed(self) -> Sequence[str]:
        table = relation(self._database.schema, CHECKPOINTS)
        # A promoted target is a cluster of its own, and may be the source of another configuration.
        query = (
            f"SELECT left(source, {FOLLOWED_CHARS}) AS source FROM {table}"  # noqa: S608 - quoted names
            f" WHERE log_id IS NOT NULL AND promoted IS NOT TRUE LIMIT {FOLLOWED_MAX}"
        )
        async with self._connect() as session:
            if not await session.value(f"look for {table}", READABLE, table):
                return []
            return [row["source"] for row in await session.fetch(f"read {table}", query)]

    async def without_used(self, datasources: Sequence[str]) -> Sequence[str]:
        segments = self._database.relation("segments")
        query = f"""
            SELECT name FROM unnest($1::text[]) AS name
            WHERE NOT EXISTS (SELECT FROM {segments} WHERE datasource = name AND used)
        """  # noqa: S608 - names are quoted
        async with self._connect() as session:
            found = await session.fetch(f"read {segments}", query, list(datasources))
            return [row["name"] for row in found]

    async def running_tasks(self) -> Sequence[str]:
        tasks = self._database.relation("tasks")
        async with self._connect() as session:
            query = f"SELECT id FROM {tasks} WHERE active ORDER BY id"  # noqa: S608 - quoted names
            return [row["id"] for row in await session.fetch(f"read {tasks}", query)]

    async def audit(
        self, about: str, *, since: datetime, until: datetime, rows_max: int
    ) -> Sequence[AuditRow]:
        audit = self._database.relation("audit")
        quoted = json.dumps(about, ensure_ascii=False)[:-1]
        query = f"""
            SELECT id, audit_key, type, author, comment, created_date, payload FROM {audit}
            WHERE created_date >= $1 AND created_date <= $2 AND (
                audit_key = $3 OR position($4::bytea IN payload) > 0
                OR position($5::bytea IN payload) > 0
            )
            ORDER BY created_date DESC, id DESC LIMIT $6
        """  # noqa: S608 - names are quoted
        # a payload within a payload is text, so its quotes are escaped
        names = (f'{quoted}"'.encode(), f'{quoted}\\"'.encode())
        async with self._connect() as session:
            found = await session.fetch(
                f"read {audit}", query, iso_ms(since), iso_ms(until), about, *names, rows_max
            )
        return [AuditRow(**dict(row)) for row in reversed(found)]

    def _connect(self) -> AbstractAsyncContextManager[PostgresqlSession]:
        """Open a session that cannot write, whatever its transactions request."""
        return connect(self._database, default_transaction_read_only="on")
