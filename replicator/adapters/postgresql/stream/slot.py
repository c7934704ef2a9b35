"""What a PostgreSQL change stream depends on: settings, slot, publication and tables.

Every role may read all of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import orjson

from replicator.adapters.boundary import understood
from replicator.adapters.postgresql.lineage import SERVER
from replicator.adapters.postgresql.session import Database, PostgresqlSession
from replicator.errors import TransientError
from replicator.model.row import TABLES, Kind
from replicator.model.stream import identity_of

REPORT: Final = "what the PostgreSQL server says of its change stream"
SLOT: Final = """
SELECT pg_is_in_recovery() AS is_replica,
       current_setting('wal_level') AS wal_level,
       current_setting('max_slot_wal_keep_size', true) AS keep_size,
       CASE WHEN NOT pg_is_in_recovery()
            THEN (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint END AS flushed,
       clock_timestamp() AS read_at,
       EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolreplication))
       OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication'
                  AND pg_has_role(current_user, oid, 'member')) AS may_replicate,
       slot.slot_name IS NOT NULL AS is_there,
       slot.plugin::text AS plugin,
       slot.database = current_database() AS is_here,
       (slot.confirmed_flush_lsn - '0/0'::pg_lsn)::bigint AS confirmed,
       (slot.restart_lsn - '0/0'::pg_lsn)::bigint AS kept_from,
       to_jsonb(slot) ->> 'wal_status' AS wal_status,
       to_jsonb(slot) ->> 'invalidation_reason' AS invalid
FROM (SELECT) AS one LEFT JOIN pg_replication_slots AS slot ON slot.slot_name = $1
"""
"""Columns that came after PostgreSQL 11 are read from the row as JSON."""
PUBLISHED: Final = """
SELECT class.relname::text AS name, class.oid::bigint AS oid,
       coalesce(pg_relation_filenode(class.oid)::text, 'none') AS file,
       class.relreplident::text AS identity,
       (SELECT string_agg(attnum || ' ' || attname || ' ' || format_type(atttypid, NULL)
                          || coalesce(to_jsonb(attribute) ->> 'attgenerated', ''), ', '
                          ORDER BY attnum)
        FROM pg_attribute AS attribute
        WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped) AS columns,
       EXISTS (SELECT FROM pg_attribute AS attribute WHERE attrelid = class.oid
               AND coalesce(to_jsonb(attribute) ->> 'attgenerated', '') <> '') AS has_generated,
       ARRAY(SELECT attname::text FROM pg_index AS index
             JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
             WHERE indrelid = class.oid AND CASE class.relreplident
                 WHEN 'd' THEN indisprimary WHEN 'i' THEN indisreplident ELSE false END) AS named,
       publication.oid IS NOT NULL AS is_there,
       coalesce(publication.puballtables, false) AS is_for_all,
       pubinsert AND pubupdate AND pubdelete AND pubtruncate AS tells_all,
       member.oid IS NOT NULL AS is_member,
       coalesce(to_jsonb(member) ->> 'prqual', to_jsonb(member) ->> 'prattrs') IS NOT NULL
           AS is_partial,
       concat_ws(' ', publication.oid, publication.xmin, member.oid, member.xmin) AS publication
FROM pg_class AS class
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
LEFT JOIN pg_publication AS publication ON publication.pubname = $2
LEFT JOIN pg_publication_rel AS member
  ON member.prpubid = publication.oid AND member.prrelid = class.oid
WHERE namespace.nspname = $3 AND class.relname = ANY($4::text[]) AND class.relkind = 'r'
"""
"""A publication that was changed and changed back has other row versions in the catalogue: its
commits in between were reported by another rule."""
LOOK: Final = f"""
WITH slot AS ({SLOT}), server AS ({SERVER}), tables AS ({PUBLISHED})
SELECT slot.*, to_jsonb(server)::text AS server,
       (SELECT jsonb_agg(to_jsonb(tables)) FROM tables)::text AS tables
FROM slot, server
"""  # noqa: S608 - constants alone
"""Query for all of it in one round trip: it runs at each read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """Names of the slot and the publication at the source."""

    slot: str
    publication: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A slot, and the settings of its server."""

    is_replica: bool
    wal_level: str
    keep_size: str | None
    """`max_slot_wal_keep_size`; None before PostgreSQL 13, which has no such limit."""
    flushed: int
    read_at: datetime
    may_replicate: bool
    is_there: bool
    plugin: str | None
    is_here: bool
    confirmed: int | None
    kept_from: int | None
    invalid: str | None

    @property
    def retained_bytes(self) -> int:
        """Size of the write-ahead log that the slot keeps."""
        return 0 if self.kept_from is None else max(0, self.flushed - self.kept_from)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLook:
    """What a change stream depends on, at one moment."""

    slot: Slot
    server: Mapping[str, str]
    tables: Mapping[Kind, Mapping[str, Any]]
    """A row of `PUBLISHED` for each of Druid's tables that exists."""

    @property
    def identity(self) -> str:
        """Token that changes if the stream cannot continue."""
        return identity_of(
            self.server,
            {
                kind: {
                    "oid": str(found["oid"]),
                    "file": found["file"],
                    "columns": found["columns"],
                    "replica identity": found["identity"],
                    "publication": found["publication"],
                }
                for kind, found in self.tables.items()
            },
        )


async def look_at(
    session: PostgresqlSession, database: Database, names: StreamOptions
) -> StreamLook:
    """Return what a change stream depends on."""
    kinds = {database.table(TABLES[kind].name): kind for kind in database.kinds}
    (found,) = await session.fetch(
        "ask for the change stream",
        LOOK,
        names.slot,
        names.publication,
        database.schema,
        list(kinds),
    )
    with understood(REPORT, TransientError.hint):
        tables = orjson.loads(found["tables"] or "[]")
        return StreamLook(
            slot=_slot(found),
            server=orjson.loads(found["server"]),
            tables={kinds[row["name"]]: row for row in tables},
        )


async def slot_of(session: PostgresqlSession, name: str) -> Slot:
    """Return a slot as the server describes it."""
    (found,) = await session.fetch("ask for the replication slot", SLOT, name)
    with understood(REPORT, TransientError.hint):
        return _slot(found)


def _slot(found: asyncpg.Record) -> Slot:
    lost = found["wal_status"] == "lost"
    return Slot(
        is_replica=found["is_replica"],
        wal_level=found["wal_level"],
        keep_size=found["keep_size"],
        flushed=found["flushed"] or 0,
        read_at=found["read_at"].astimezone(UTC),
        may_replicate=found["may_replicate"],
        is_there=found["is_there"],
        plugin=found["plugin"],
        is_here=bool(found["is_here"]),
        confirmed=found["confirmed"],
        kept_from=found["kept_from"],
        invalid=found["invalid"] or ("its WAL was removed" if lost else None),
    )
