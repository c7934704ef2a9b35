"""Writes every segment of a database as it is, with the writer of the checkout that it runs in.

`bench.rewrites` starts it once in each of two checkouts, so it is given to Python as a file.
"""

import asyncio
import importlib.util
import json
import resource
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg

from replicator.model.row import Segment

SOURCE = "bench"
ROWS = 1_000
"""As many as the executor gives to the writer at once."""
NAMES = '"id", datasource, created_date, start, "end", partitioned, version, used, payload'
calls: Counter[str] = Counter()


def writer() -> Any:
    """Return the class of the checkout's writer, which moved in November 2026."""
    here, before = "replicator.adapters.postgresql.writer", "metadata_postgresql_writer"
    name = here if importlib.util.find_spec("replicator.adapters.postgresql") else f"..{before}"
    return importlib.import_module(name, "replicator.adapters.x").PostgresqlMetadataWriter


def count_statements() -> None:
    """Let asyncpg count what a server is asked to do."""
    execute, execute_many = asyncpg.Connection.execute, asyncpg.Connection.executemany

    def counted(args: Iterable[Any]) -> Iterable[Any]:
        for each in args:
            calls["statements"] += 1
            yield each

    async def one(self: Any, query: str, *args: Any, **more: Any) -> str:
        calls["statements"] += 1
        return await execute(self, query, *args, **more)

    async def many(self: Any, query: str, args: Iterable[Any], **more: Any) -> None:
        await execute_many(self, query, counted(args), **more)

    for name, call in (("execute", one), ("executemany", many)):
        setattr(asyncpg.Connection, name, call)


def server_s(pid: int) -> float:
    """Return the CPU time of a server process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def client_s() -> float:
    """Return the CPU time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(dsn: str) -> None:
    """Write all rows; only the writing is measured."""
    count_statements()
    reading, asking = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    target = writer()(dsn)
    held = await target.acquire(SOURCE)
    async with target.transaction(SOURCE, held.epoch) as transaction, reading.transaction():
        pid = await asking.fetchval(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'replicator' AND state = 'idle in transaction'"
        )
        cursor = await reading.cursor(f"SELECT {NAMES} FROM druid_segments")
        wall = client = server = 0.0
        before = calls.total()
        at = await asking.fetchval("SELECT pg_current_wal_insert_lsn()")
        while found := await cursor.fetch(ROWS):
            rows = [Segment(**dict(row)) for row in found]
            started, busy, served = perf_counter(), client_s(), server_s(pid)
            await transaction.upsert(rows)
            wall += perf_counter() - started
            client += client_s() - busy
            server += server_s(pid) - served
        wal = await asking.fetchval(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)::bigint", at
        )
    print(json.dumps([wall, client, server, wal, calls.total() - before]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
