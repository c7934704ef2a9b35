"""A poll of a million segments: one scan of fingerprints, no payload of an unchanged row.

Goals: a poll that finds ten changes takes at most 1.5 times the bare scan, run beside it with the
bytes thrown away; it fetches the changed rows only; the watcher needs at most 200 bytes a segment
above what it needs when idle, in the first cut as well.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import median
from subprocess import run
from time import perf_counter
from typing import Any

import asyncpg
from numpy.typing import NDArray

from bench.memory import peak_bytes, reset_peak, resident_bytes
from bench.stage import FILL, SOURCE_ROOT, TABLES, server
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.session import Database, connect, discover
from replicator.adapters.postgresql.sql import Chosen, scan_sql
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.model.operations.retry import RetryPolicy
from replicator.model.row import Kind, Row
from replicator.model.versions import BinlogPosition, NewStamps, Places, VersionDigest
from replicator.ports import Snapshot, Visit, VisitVersions
from replicator.services.history.reader import History
from replicator.services.replication.cut_writer import CutLimits, CutWriter
from replicator.services.replication.readers import Readers
from replicator.services.replication.scout import VersionOptions
from replicator.services.replication.watcher import Watcher, WatchLimits

RATIO_MAX = 1.5
BYTES_PER_SEGMENT_MAX = 200
RECORD_BYTES = 68
CHANGES = (
    (
        "UPDATE druid_segments SET used = NOT used, used_status_last_updated = 'later' WHERE id IN"
        " (SELECT id FROM druid_segments ORDER BY id OFFSET {at} LIMIT 4)"
    ),
    (
        "UPDATE druid_segments SET payload = payload || ' '::bytea WHERE id IN"
        " (SELECT id FROM druid_segments ORDER BY id OFFSET {at} + 4 LIMIT 4)"
    ),
    (
        "DELETE FROM druid_segments WHERE id IN"
        " (SELECT id FROM druid_segments ORDER BY id OFFSET {at} + 8 LIMIT 1)"
    ),
    (
        "INSERT INTO druid_segments SELECT id || '_new', datasource, created_date, start, \"end\","
        " partitioned, version, used, payload, used_status_last_updated FROM druid_segments"
        " ORDER BY id OFFSET {at} + 8 LIMIT 1"
    ),
)
"""Four used flags, four payloads without a timestamp, one delete, one insert."""


@dataclass
class CountingReader:
    """A `MetadataReader` that counts what it gives."""

    reader: PostgresqlMetadataReader
    scanned: int = 0
    fetched: int = 0
    statements: int = 0

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Open the real one."""
        async with self.reader.snapshot() as snapshot:
            yield CountingSnapshot(self, snapshot)

    async def followed(self) -> Sequence[str]:
        """Ask the real one."""
        return await self.reader.followed()


class CountingSnapshot:
    """A `Snapshot` that counts what it gives."""

    def __init__(self, counts: CountingReader, snapshot: Snapshot) -> None:
        self._counts, self._snapshot = counts, snapshot
        self.taken_at, self.kinds = snapshot.taken_at, snapshot.kinds
        self.lineage, self.stream = snapshot.lineage, snapshot.stream

    async def version_digest(self, kind: Kind, new: NewStamps) -> VersionDigest | None:
        """Ask and count."""
        self._counts.statements += 1
        return await self._snapshot.version_digest(kind, new)

    async def versions(self, kind: Kind, visit: VisitVersions) -> None:
        """Look at the versions and count."""
        self._counts.statements += 1
        await self._snapshot.versions(kind, visit)

    async def scan(
        self,
        kind: Kind,
        visit: Visit,
        *,
        datasources: Sequence[str] | None = None,
        places: Places | None = None,
    ) -> None:
        """Scan and count."""

        def count(chunk: Any) -> None:
            self._counts.scanned += len(chunk.keys)
            visit(chunk)

        self._counts.statements += 1
        await self._snapshot.scan(kind, count, datasources=datasources, places=places)

    async def written_since(self, position: BinlogPosition) -> str | None:
        """Ask and count."""
        self._counts.statements += 1
        return await self._snapshot.written_since(position)

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        """Fetch and count."""
        self._counts.statements += 1
        self._counts.fetched += len(handles)
        return await self._snapshot.fetch(kind, handles)


async def fill(dsn: str, rows: int, payload_bytes: int) -> None:
    """Let the server make the segments."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(TABLES.read_text())
    for start in range(0, rows, 100_000):
        end = min(rows, start + 100_000)
        await connection.execute(FILL, start, end, SOURCE_ROOT, payload_bytes)
    await connection.execute("VACUUM ANALYZE druid_segments")
    await connection.close()


async def bare_scan_s(dsn: str) -> float:
    """Return how long the scan's own query takes when its bytes are thrown away."""

    async def discard(_: bytes) -> None:
        pass

    database = Database(dsn=dsn)
    async with connect(database) as session:
        shape = (await discover(session, database))[Kind.SEGMENT]
        query = scan_sql(shape, frozenset(shape.types), Chosen.ALL, versions=False)
        started_s = perf_counter()
        await session.copy("bare scan", query, sink=discard)
        return perf_counter() - started_s


async def change(dsn: str, at: int) -> None:
    """Change ten rows at some place."""
    connection = await asyncpg.connect(dsn)
    for statement in CHANGES:
        await connection.execute(statement.format(at=at))
    await connection.close()


async def watch(dsn: str, folder: Path, rows: int, rounds: int) -> bool:
    """Measure a real watcher, in a process of its own; return whether all goals are met."""
    counts = CountingReader(PostgresqlMetadataReader(dsn))
    async with SqliteEventLog(folder / "log.sqlite", SystemClock(), "bench") as log:
        history = History(log, source="bench", workers=ProcessWorkers(2))
        watcher = Watcher(
            metadata=counts,
            writer=CutWriter(
                source="bench",
                log=log,
                history=history,
                limits=CutLimits(
                    append_bytes_max=2 << 20,
                    row_bytes_max=32 << 20,
                    clock_ahead_max=timedelta(days=2),
                ),
                clock=SystemClock(),
                observer=lambda _: None,
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
                versions=VersionOptions(enabled=False, full_scan_interval_s=86_400),
            ),
            retry=RetryPolicy(),
            rng=Random(1),
            observer=lambda _: None,
        )
        idle = resident_bytes()
        reset_peak()
        started_s = perf_counter()
        await watcher.poll()
        first_s, first_peak = perf_counter() - started_s, peak_bytes() - idle
        print(f"first cut               {first_s:8.1f} s, {rows / first_s:,.0f} rows/s")
        print(f"  memory above idle     {first_peak / rows:8.0f} bytes a segment")
        reset_peak()
        polls_s, bares_s, fetched = [], [], 0
        for round_ in range(rounds):
            await change(dsn, 1000 * (round_ + 1))
            bares_s.append(await bare_scan_s(dsn))
            counts.scanned = counts.fetched = counts.statements = 0
            started_s = perf_counter()
            await watcher.poll()
            polls_s.append(perf_counter() - started_s)
            fetched = max(fetched, counts.fetched)
        later_peak = peak_bytes() - idle
    ratio = median(polls_s) / median(bares_s)
    print(f"bare scan               {median(bares_s):8.2f} s, median of {rounds}")
    print(f"poll with 10 changes    {median(polls_s):8.2f} s, {ratio:.2f} of the bare scan")
    print(f"  statements            {counts.statements:8d} besides begin, catalogue and commit")
    print(f"  rows scanned          {counts.scanned:8d}, {counts.scanned * RECORD_BYTES:,} bytes")
    print(f"  rows fetched          {fetched:8d}")
    print(f"  memory above idle     {later_peak / rows:8.0f} bytes a segment")
    worst = max(first_peak, later_peak) / rows
    return ratio <= RATIO_MAX and fetched <= 9 and worst <= BYTES_PER_SEGMENT_MAX


async def measure(args: argparse.Namespace) -> int:
    """Set up, and measure in a child process."""
    async with server(args.folder) as (folder, dsn):
        started_s = perf_counter()
        await fill(dsn, args.rows, args.payload_bytes)
        print(f"{args.rows} segments with payloads of {args.payload_bytes} bytes,", end=" ")
        print(f"made in {perf_counter() - started_s:.0f} s", flush=True)
        command = [sys.executable, "-m", "bench.scan", "--watch", dsn, str(folder)]
        command += ["--rows", str(args.rows), "--rounds", str(args.rounds)]
        return (await asyncio.to_thread(run, command, check=False)).returncode


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--payload-bytes", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on a disk with room")
    parser.add_argument("--watch", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.watch:
        dsn, folder = args.watch
        good = asyncio.run(watch(dsn, Path(folder), args.rows, args.rounds))
        print("goals met" if good else "GOAL MISSED")
        sys.exit(0 if good else 1)
    sys.exit(asyncio.run(measure(args)))


if __name__ == "__main__":
    main()
