"""Whether the versions of PostgreSQL rows can be trusted, and what they are versions of.

No row of a PostgreSQL table changes in place: an update makes another tuple, at another ctid, with
the id of its transaction as xmin; freezing keeps that id, and vacuum gives a ctid only to a later
transaction (https://www.postgresql.org/docs/current/ddl-system-columns.html). So equal ctid and
xmin mean the same tuple, unless ids or places were given out again, which is what this module
detects.

By default every role may run these queries. If a role may not, or the server only speaks
PostgreSQL's protocol, there is no lineage, and each poll reads every row.
"""

from collections.abc import Mapping
from typing import Final

from replicator.adapters.postgresql.session import PostgresqlSession
from replicator.adapters.postgresql.sql import Shape, probe_sql
from replicator.errors import ConfigError
from replicator.model.row import Kind
from replicator.model.versions import Lineage, NoVersions

SERVER: Final = """
SELECT (SELECT system_identifier FROM pg_control_system())::text AS "system identifier",
       greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                (SELECT min_recovery_end_timeline FROM pg_control_recovery()))::text AS "timeline",
       pg_postmaster_start_time()::text AS "start",
       coalesce((SELECT stats_reset FROM pg_stat_bgwriter)::text, 'unknown') AS "last crash",
       (SELECT oid FROM pg_database WHERE datname = current_database())::text AS "database oid"
"""
"""Query for what makes transaction ids start again; at least one column shows each:

another server, `initdb` or pg_upgrade: the system identifier. A backup that was restored and went
on, and a replica that was promoted: the timeline. The last checkpoint's is the former one until a
first checkpoint has ended, minutes after the promotion; until then the recovery's says the new one,
and afterwards it is 0. A disk that was put back to a snapshot keeps both: the start. A crash loses
what `synchronous_commit = off` had shown and not yet written, and the next transaction gets its id,
without a new start of the postmaster: a server that did not shut down cleanly begins its statistics
anew, and says when. A database that was dropped and filled again from a dump: its oid.
"""
TABLES: Final = """
SELECT class.relname AS name, class.oid::text AS "oid",
       coalesce(pg_relation_filenode(class.oid)::text, 'none') AS "file",
       CASE WHEN current_setting('server_version_num')::int < 140000 THEN 0
            ELSE pg_relation_size(class.oid) / current_setting('block_size')::int END AS pages,
       CASE WHEN current_setting('server_version_num')::int < 120000 THEN 'heap'
            ELSE (SELECT amname::text FROM pg_am WHERE pg_am.oid = class.relam) END AS "method",
       (SELECT string_agg(attnum || ' ' || attname || ' ' || format_type(atttypid, NULL), ', '
                          ORDER BY attnum)
        FROM pg_catalog.pg_attribute
        WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped) AS "columns"
FROM pg_catalog.pg_class AS class WHERE class.oid = ANY($1::text[]::regclass[])
"""
"""VACUUM FULL, CLUSTER, TRUNCATE and an ALTER that rewrites give a table another file. One that
rewrites nothing, ADD COLUMN with a default above all, changes what every row is all the same. The
tables are locked by then, so both are those of the snapshot. A server that cannot digest
versions (before PostgreSQL 14) has 0 pages here."""
TRANSACTIONS: Final = """
SELECT txid_snapshot_xmin(seen) AS settled, txid_snapshot_xmax(seen) AS begun
FROM txid_current_snapshot() AS seen
"""
"""Query for the next transaction id, 64 bits wide, on a replica as well."""
HEAP: Final = "heap"

Server = Mapping[str, str] | NoVersions


async def server_of(session: PostgresqlSession, shapes: Mapping[Kind, Shape]) -> Server:
    """Return the identity of this server; queried outside any transaction, because it may fail."""
    try:
        (found,) = await session.fetch("ask who the server is", SERVER)
        await session.fetch("ask for row versions", probe_sql(shapes.values()))
    except ConfigError as exc:
        return NoVersions(str(exc))
    return dict(found)


async def lineage_of(
    session: PostgresqlSession, server: Server, shapes: Mapping[Kind, Shape]
) -> tuple[Lineage | NoVersions, Mapping[Kind, int]]:
    """Return the lineage of the rows in this transaction's snapshot, and the tables' pages."""
    if isinstance(server, NoVersions):
        return server, {}
    kinds = {shape.name: kind for kind, shape in shapes.items()}
    relations = [shape.relation for shape in shapes.values()]
    rows = [dict(row) for row in await session.fetch("ask for the tables", TABLES, relations)]
    tables = {kinds[row.pop("name")]: row for row in rows}
    pages = {kind: row.pop("pages") for kind, row in tables.items()}
    for kind, table in tables.items():
        if table["method"] != HEAP:
            method = f"the access method {table['method']}"
            return NoVersions(f"{shapes[kind].relation} has {method}, whose rows may change"), {}
    (at,) = await session.fetch("ask for the transactions", TRANSACTIONS)
    lineage = Lineage(server=server, tables=tables, settled=at["settled"], begun=at["begun"])
    return lineage, pages
