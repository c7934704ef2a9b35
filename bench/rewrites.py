"""Rows that a target has already are written again, as after a crash.

Goal: no WAL for them, and at most half of the time that `ON CONFLICT` alone takes, side by side.
That locks each row it finds, and a lock is written to the WAL and makes the page dirty. What is
left is sending the rows: to send them alone, to a statement that touches no table, is printed too,
and takes half of it or more by itself. Two other ways were tried and took longer: fingerprints
first, and only rows that differ (1.1 to 2.3 of `ON CONFLICT`: the server hashes each row), and COPY
into a temporary table (0.9 to 1.5). A seeding and a restore send no equal row at all: they compare
by a scan first.
"""

import argparse
import asyncio
import re
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import asyncpg

from bench.stage import FILL, SOURCE_ROOT, TABLES, server
from replicator.adapters.postgresql import writer
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.sql import Shape, upsert_sql
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.model.row import Kind
from replicator.ports import Chunk

RATIO_MAX = 0.5
WAL_BYTES_PER_ROW_MAX = 1
SOURCE = "bench"


class Cost(NamedTuple):
    """What writing all rows took."""

    seconds: float
    wal_bytes: int


def without_a_look(shape: Shape) -> str:
    """Return the statement as it would be if rows were not looked up first."""
    said = upsert_sql(shape)
    return re.sub(
        r" LEFT JOIN LATERAL .*? AS former ON true WHERE .*? ON CONFLICT", " ON CONFLICT", said
    )


def sent_alone(shape: Shape) -> str:
    """Return a statement that is given the same rows and looks at no table."""
    rows = re.search(r"unnest\(.*?\) AS new \([^)]*\)", upsert_sql(shape))
    assert rows is not None  # noqa: S101 - the statement's own form
    return f"SELECT 1 FROM {rows[0]} WHERE ${len(shape.written) + 1}::text IS NULL"


async def main(rows: int, payload_bytes: int, folder: Path | None) -> int:
    """Run it and say what was found."""
    async with server(folder) as (_, dsn):
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(TABLES.read_text())
            await connection.execute(FILL, 0, rows, SOURCE_ROOT, payload_bytes)
            await connection.execute("VACUUM ANALYZE druid_segments")
            await connection.execute("CHECKPOINT")
            found: dict[str, Cost] = {}
            ways = {"before": without_a_look, "after": upsert_sql, "sent": sent_alone}
            for name, statement in ways.items():
                writer.upsert_sql = statement  # type: ignore[attr-defined]
                found[name] = await _written(connection, dsn)
                await connection.execute("CHECKPOINT")
        finally:
            writer.upsert_sql = upsert_sql  # type: ignore[attr-defined]
            await connection.close()
    before, after, sent = found["before"], found["after"], found["sent"]
    print(
        f"{rows} rows that are so already: {before.seconds:.1f} s and {before.wal_bytes} bytes of"
        f" WAL by ON CONFLICT alone, {after.seconds:.1f} s and {after.wal_bytes} by a look before:"
        f" {after.seconds / before.seconds:.2f} (at most {RATIO_MAX});"
        f" sending them alone takes {sent.seconds / before.seconds:.2f}"
    )
    quiet = after.wal_bytes <= WAL_BYTES_PER_ROW_MAX * rows
    return 0 if quiet and after.seconds <= RATIO_MAX * before.seconds else 1


async def _written(connection: "asyncpg.Connection[asyncpg.Record]", dsn: str) -> Cost:
    """Write every row as it is; only the writing is timed."""
    source, target = PostgresqlMetadataReader(dsn), PostgresqlMetadataWriter(dsn)
    held = await target.acquire(SOURCE)
    handles: list[Chunk] = []
    seconds, started_at = 0.0, await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
    async with source.snapshot() as snapshot, target.transaction(SOURCE, held.epoch) as transaction:
        await snapshot.scan(Kind.SEGMENT, handles.append)
        for chunk in handles:
            for at in range(0, len(chunk.handles), 1000):
                some = await snapshot.fetch(Kind.SEGMENT, chunk.handles[at : at + 1000])
                started = perf_counter()
                await transaction.upsert(some)
                seconds += perf_counter() - started
    wal = await connection.fetchval(
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)", started_at
    )
    return Cost(seconds, int(wal))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--payload-bytes", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, default=None)
    args = parser.parse_args()
    sys.exit(asyncio.run(main(args.rows, args.payload_bytes, args.folder)))
