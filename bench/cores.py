"""A scan of fingerprints with the source's cores: our session's settings beside a server's own.

Goal: at most 0.6 of the time on two idle cores. What is compared is the query of a poll alone, its
bytes thrown away. Run `python -m bench.cores` on a quiet machine; the load is told beside the
verdict.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import asyncpg

from bench.stage import FILL, SOURCE_ROOT, TABLES, server
from replicator.adapters.postgresql.session import SESSION, Database, connect, discover
from replicator.adapters.postgresql.sql import Chosen, scan_sql
from replicator.model.row import Kind

RATIO_MAX = 0.6
SETTING = "parallel_tuple_cost"


async def main(rows: int, payload_bytes: int, rounds: int, folder: Path | None) -> int:
    """Run it and say what was found."""
    async with server(folder) as (_, dsn):
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(TABLES.read_text())
            await connection.execute(FILL, 0, rows, SOURCE_ROOT, payload_bytes)
            await connection.execute("VACUUM ANALYZE druid_segments")
            database = Database(dsn=dsn)
            async with connect(database) as session:
                shape = (await discover(session, database))[Kind.SEGMENT]
            query = scan_sql(shape, frozenset(shape.types), Chosen.ALL, versions=False)
            seconds: dict[str, list[float]] = {"0.1": [], SESSION[SETTING]: []}
            for _ in range(rounds):
                for value, found in seconds.items():
                    await connection.execute(f"SET {SETTING} = {value}")
                    found.append(await _timed(connection, query))
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}"))
        finally:
            await connection.close()
    before, after = (median(found) for found in seconds.values())
    parallel = "Parallel Seq Scan" in plan
    good = parallel and after <= RATIO_MAX * before
    print(
        f"{rows} rows, at load {os.getloadavg()[0]:.0f}: {before:.2f} s by the server's own"
        f" settings, {after:.2f} s by ours: {after / before:.2f} (at most {RATIO_MAX}); in"
        f" parallel: {parallel}: {'goal met' if good else 'GOAL MISSED'}"
    )
    return 0 if good else 1


async def _timed(connection: "asyncpg.Connection[asyncpg.Record]", query: str) -> float:
    async def away(_: bytes) -> None:
        pass

    started = perf_counter()
    await connection.copy_from_query(query, output=away, format="binary")
    return perf_counter() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--payload-bytes", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    args = parser.parse_args()
    sys.exit(asyncio.run(main(args.rows, args.payload_bytes, args.rounds, args.folder)))
