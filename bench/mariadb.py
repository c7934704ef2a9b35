"""What a poll of MariaDB costs, and what writing to it costs beside PostgreSQL.

Goals: a poll of all rows takes at most 1.3 times the bare scan, run beside it with the rows thrown
away; a poll while nothing is written reads no row; rows are written at 0.7 of PostgreSQL's rate at
least; the watcher needs at most 1.5 times the memory a row that it needs with PostgreSQL, in its
first cut and in polls after ten changes, with all rows read in both.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import median
from subprocess import run
from time import perf_counter
from urllib.parse import urlsplit

import asyncpg
import numpy as np

from bench.memory import peak_bytes, reset_peak, resident_bytes
from bench.scan import fill
from bench.stage import DATASOURCES, PARTITIONS, SOURCE_ROOT, server
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.mysql.druid_tables import LAYOUTS, split
from replicator.adapters.mysql.reader import MysqlMetadataReader
from replicator.adapters.mysql.session import Database, connect, discover
from replicator.adapters.mysql.sql import scan_sql
from replicator.adapters.mysql.writer import MysqlMetadataWriter
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.model.observation import Observation, Polled
from replicator.model.operations.retry import RetryPolicy
from replicator.model.row import Kind, Row
from replicator.ports import MetadataWriter, WatchedReader
from replicator.services.history.reader import History
from replicator.services.replication.cut_writer import CutLimits, CutWriter
from replicator.services.replication.readers import Readers
from replicator.services.replication.scout import VersionOptions
from replicator.services.replication.watcher import Watcher, WatchLimits
from tests.servers.mariadb import BINLOG, Mariadb, execute

POLL_MAX = 1.3
WRITE_MIN = 0.7
MEMORY_MAX = 1.5
ROUNDS = 3
WRITTEN_ROWS = 50_000
SOURCE = "bench"
# The same segments as bench/stage.py makes; MariaDB has no arrays: dimensions are words of a hash.
FILL = f"""
INSERT INTO druid_segments (id, dataSource, created_date, `start`, `end`, partitioned, version,
                            used, payload, used_status_last_updated)
SELECT id, datasource, version, starts, ends, TRUE, version, TRUE,
       CONCAT(head, LEFT(dimensions, {{size}} - LENGTH(head) - LENGTH(tail)), tail), version
FROM (SELECT *,
    CONCAT('{{{{"dataSource":"', datasource, '","interval":"', starts, '/', ends, '","version":"',
        version, '","loadSpec":{{{{"type":"local","path":"{SOURCE_ROOT}/', datasource, '/', starts,
        '_', ends, '/', version, '/', part, '/index/"}}}},"dimensions":"') AS head,
    CONCAT('","metrics":"count,added","shardSpec":{{{{"type":"numbered","partitionNum":', part,
        ',"partitions":{PARTITIONS}}}}},"binaryVersion":9,"size":', 400000000 + seq % 100000000,
        ',"identifier":"', id, '"}}}}') AS tail
FROM (SELECT *, CONCAT(datasource, '_', starts, '_', ends, '_', version,
        IF(part = 0, '', CONCAT('_', part))) AS id,
    REPEAT(CONCAT(SHA2(datasource, 256), '_country_customer_device,'), 100) AS dimensions
FROM (SELECT seq, CONCAT('datasource_', seq % {DATASOURCES}) AS datasource,
    seq DIV {DATASOURCES} % {PARTITIONS} AS part,
    DATE_FORMAT('2015-01-01' + INTERVAL seq DIV {DATASOURCES * PARTITIONS} HOUR,
        '%Y-%m-%dT%H:00:00.000Z') AS starts,
    DATE_FORMAT('2015-01-01' + INTERVAL seq DIV {DATASOURCES * PARTITIONS} + 1 HOUR,
        '%Y-%m-%dT%H:00:00.000Z') AS ends,
    DATE_FORMAT('2015-01-03' + INTERVAL seq DIV {DATASOURCES * PARTITIONS} HOUR,
        '%Y-%m-%dT03:04:05.678Z') AS version
FROM seq_{{first}}_to_{{last}}) AS numbered) AS named) AS told
"""


@contextmanager
def mariadb(folder: Path | None) -> Iterator[tuple[Path, Mariadb]]:
    """Run a server with a binary log on a new folder; all is removed at the end."""
    made = Path(tempfile.mkdtemp(prefix="replicator-bench-", dir=folder))
    try:
        found = Mariadb(made / "mariadb", *BINLOG, "--innodb-buffer-pool-size=1G")
        found.start()
        yield made, found
        found.stop()
    finally:
        shutil.rmtree(made)


async def filled(found: Mariadb, rows: int, payload_bytes: int) -> str:
    """Let the server make the segments, and return the database's DSN."""
    await execute(found.dsn, "CREATE DATABASE bench CHARACTER SET utf8mb4")
    dsn = found.dsn_of("bench")
    await execute(dsn, *split(LAYOUTS["druid-33"].read_text()))
    for first in range(0, rows, 50_000):
        last = min(rows, first + 50_000) - 1
        await execute(dsn, FILL.format(first=first, last=last, size=payload_bytes))
    return dsn


async def bare_scan_s(dsn: str) -> float:
    """Return how long the scan's own query takes when its rows are thrown away."""
    database = Database(dsn=dsn)
    async with connect(database) as session:
        shape = (await discover(session, database))[Kind.SEGMENT]
        query = scan_sql(shape, frozenset(shape.types))
        started_s = perf_counter()
        await session.stream("bare scan", query, rows_max=16_384, sink=lambda _: None)
        return perf_counter() - started_s


async def change(dsn: str, at: int) -> None:
    """Change ten rows at some place."""
    ids = f"SELECT id FROM druid_segments ORDER BY id LIMIT 10 OFFSET {at}"
    update = "UPDATE druid_segments SET used = NOT used WHERE id IN"
    if dsn.startswith("mysql"):
        await execute(dsn, f"{update} (SELECT id FROM ({ids}) AS some)")
        return
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"{update} ({ids})")
    await connection.close()


async def watch(dsn: str, folder: Path, rows: int) -> None:
    """Measure a real watcher, in a process of its own; print what `measure` reads."""
    is_mysql = dsn.startswith("mysql")
    reader: WatchedReader = MysqlMetadataReader(dsn) if is_mysql else PostgresqlMetadataReader(dsn)
    seen: list[Observation] = []
    async with SqliteEventLog(folder / "log.sqlite", SystemClock(), SOURCE) as log:
        history = History(log, source=SOURCE, workers=ProcessWorkers(2))
        watcher = Watcher(
            metadata=reader,
            writer=CutWriter(
                source=SOURCE,
                log=log,
                history=history,
                limits=CutLimits(
                    append_bytes_max=2 << 20,
                    row_bytes_max=32 << 20,
                    clock_ahead_max=timedelta(days=2),
                ),
                clock=SystemClock(),
                observer=seen.append,
                readers=Readers("bench", {}, lambda _: None),
            ),
            history=history,
            follower=None,
            limits=WatchLimits(
                vanished_share_max=1.0,
                poll_interval_s=10,
                jitter=0,
                idle_cut_interval_s=1e9,
                fetch_rows_max=1000,
                versions=VersionOptions(enabled=is_mysql, full_scan_interval_s=86_400),
            ),
            retry=RetryPolicy(),
            rng=Random(1),
            observer=seen.append,
        )
        idle = resident_bytes()
        reset_peak()
        await watcher.poll()
        first = (peak_bytes() - idle) / rows
        reset_peak()
        scans, polls, quiet = list[float](), list[float](), list[float]()
        for round_ in range(ROUNDS):
            await change(dsn, 1000 * (round_ + 1))
            scans.append(await bare_scan_s(dsn) if is_mysql else 0)
            polls.append(await taken_s(watcher.poll))
            quiet.append(await taken_s(watcher.poll))
        later = (peak_bytes() - idle) / rows
    last = [one for one in seen if isinstance(one, Polled)][-1]
    print(*(median(some) for some in (scans, polls, quiet)), last.scanned_rows, first, later)


async def taken_s(what: Callable[[], Awaitable[object]]) -> float:
    """Return how long something takes."""
    started_s = perf_counter()
    await what()
    return perf_counter() - started_s


async def write_s(metadata: MetadataWriter, rows: list[Row]) -> float:
    """Return how long a target's writer takes for some rows it does not have."""
    state = await metadata.acquire(SOURCE)
    started_s = perf_counter()
    async with metadata.transaction(SOURCE, state.epoch) as transaction:
        for start in range(0, len(rows), 1000):
            await transaction.upsert(rows[start : start + 1000])
    return perf_counter() - started_s


async def some_rows(dsn: str, count: int) -> list[Row]:
    """Return segments as a source has them."""
    found: list[Row] = []
    async with MysqlMetadataReader(dsn).snapshot() as snapshot:
        handles: list[np.ndarray] = []
        await snapshot.scan(Kind.SEGMENT, lambda chunk: handles.append(chunk.handles))
        found += await snapshot.fetch(Kind.SEGMENT, np.concatenate(handles)[:count])
    return found


async def written(found: Mariadb, source: str, postgresql: str) -> float:
    """Return the rate of writing to MariaDB, PostgreSQL's being 1, in turns."""
    rows = await some_rows(source, WRITTEN_ROWS)
    rates: list[float] = []
    for number in range(ROUNDS):
        name = f"target_{number}"
        await execute(found.dsn, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        connection = await asyncpg.connect(postgresql)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        ours = MysqlMetadataWriter(found.dsn_of(name))
        url = urlsplit(postgresql)
        theirs = PostgresqlMetadataWriter(url._replace(path=f"/{name}").geturl())
        for target in (ours, theirs):
            await target.create("33.0.0", centralized=False)
        rates.append(await write_s(theirs, rows) / await write_s(ours, rows))
    return median(rates)


async def measure(args: argparse.Namespace) -> int:
    """Set up, and measure in child processes."""
    with mariadb(args.folder) as (folder, found):
        dsn = await filled(found, args.rows, args.payload_bytes)
        print(f"{args.rows} segments with payloads of {args.payload_bytes} bytes", flush=True)
        ours = await child(dsn, folder, args.rows)
        async with server(args.folder) as (other, theirs):
            await fill(theirs, args.rows, args.payload_bytes)
            *_, their_first, their_later = await child(theirs, other, args.rows)
            rate = await written(found, dsn, theirs)
    scan_s, poll_s, quiet_s, scanned, first, later = ours
    print(f"bare scan            {scan_s:8.2f} s")
    print(f"poll with 10 changes {poll_s:8.2f} s, {poll_s / scan_s:.2f} of the bare scan")
    print(f"poll with none       {quiet_s:8.2f} s, {quiet_s / scan_s:.3f}; {scanned:.0f} rows read")
    print(f"memory, first cut    {first:8.0f} bytes a row, PostgreSQL's {their_first:.0f}")
    print(f"memory, later polls  {later:8.0f} bytes a row, PostgreSQL's {their_later:.0f}")
    print(f"rows are written at  {rate:8.2f} of PostgreSQL's rate")
    good = poll_s / scan_s <= POLL_MAX and scanned == 0 and rate >= WRITE_MIN
    good &= first <= MEMORY_MAX * their_first and later <= MEMORY_MAX * their_later
    print("goals met" if good else "GOAL MISSED")
    return 0 if good else 1


async def child(dsn: str, folder: Path, rows: int) -> list[float]:
    """Run `watch` in a process of its own and return its figures."""
    command = [sys.executable, "-m", "bench.mariadb", "--watch", dsn, str(folder)]
    command += ["--rows", str(rows)]
    ended = await asyncio.to_thread(run, command, check=True, capture_output=True, text=True)
    return [float(one) for one in ended.stdout.split()]


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--payload-bytes", type=int, default=2048)
    parser.add_argument("--folder", type=Path, default=None, help="on a disk with room")
    parser.add_argument("--watch", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.watch:
        dsn, folder = args.watch
        asyncio.run(watch(dsn, Path(folder), args.rows))
        return
    sys.exit(asyncio.run(measure(args)))


if __name__ == "__main__":
    main()
