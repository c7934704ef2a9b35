"""From a commit at the source to a record that another process can read in the log.

Three processes beside an embedded PostgreSQL that flushes to its disk: one commits, one runs the
real watcher on a log in SQLite, one reads that log every 2 ms. The clock runs from the commit's own
time, by the database's clock on the same machine, to the moment at which the reader has the
record that closes its cut.

Goals, at 50 commits a second of 20 rows each: a median of 100 ms, 1 s for the 99th percentile, one
cut for each commit, and no statement but the stream's own: no scan.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median, quantiles
from subprocess import PIPE, Popen, TimeoutExpired
from time import perf_counter

import asyncpg

from bench.scan import fill
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.stream.change_stream import PostgresqlChangeStream
from replicator.adapters.postgresql.stream.slot import StreamOptions
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.app.wiring import pipeline as wiring
from replicator.app.wiring.histories import Tools
from replicator.app.wiring.pipeline import Following
from replicator.config import WatchSettings
from replicator.model.event import CutClosed, Offset
from replicator.model.log.wire import CUT_CLOSED, decode
from replicator.model.observation import Observation, Polled, StreamEnded, StreamFollowed
from replicator.model.observed.faults import Waiting
from replicator.services.history.reader import History
from tests.servers.postgresql import started

MEDIAN_MAX_MS, LATE_MAX_MS = 100, 1000
NAMES = StreamOptions(slot="bench", publication="bench")
TABLES = "druid_segments, druid_datasource, druid_supervisors, druid_rules, druid_config"
INSERT = """
INSERT INTO druid_segments SELECT 'new_' || $1::text || '_' || n, 'wiki', '2026', 'a', 'b', true,
    'v', true, convert_to(repeat(md5(random()::text), $3 / 32), 'UTF8'), '2026'
FROM generate_series(1, $2) AS n
"""
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def process_s(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


async def write(dsn: str, args: argparse.Namespace) -> None:
    """Commit at a steady rate, and be late rather than silent."""
    connection = await asyncpg.connect(dsn)
    started_s = perf_counter()
    for number in range(args.commits_per_s * args.seconds):
        await asyncio.sleep(max(0.0, started_s + number / args.commits_per_s - perf_counter()))
        await connection.execute(INSERT, str(number), args.rows, args.payload_bytes)
    took_s = perf_counter() - started_s
    print(f"{number + 1} commits in {took_s:.0f} s", file=sys.stderr)
    await connection.close()


async def read(path: Path, cuts: int) -> None:
    """Print how many milliseconds after its commit each cut was there."""
    async with SqliteEventLog(path, SystemClock(), "bench") as log:
        at = (await log.span()).end
        while cuts > 0:
            records = await log.read(at, records_max=5000)
            now = datetime.now(UTC)  # noqa: TID251 - a benchmark
            for record in records:
                at = Offset(record.offset + 1)
                if record.type == CUT_CLOSED:
                    event = decode(record).event
                    if isinstance(event, CutClosed) and event.count:
                        cuts -= 1
                        print((now - event.source_time) / timedelta(milliseconds=1), flush=True)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def logical(below: Path | None) -> AsyncIterator[tuple[Path, str]]:
    """Run a server that tells its commits, in a new folder."""
    folder = Path(tempfile.mkdtemp(prefix="replicator-bench-", dir=below))
    folder.chmod(0o755)  # noqa: ASYNC240 - once; root starts the server as another user
    try:
        postgresql = await started(
            folder / "postgresql", fsync=True, settings={"wal_level": "logical"}
        )
        try:
            yield folder, postgresql.dsn
        finally:
            await postgresql.stop()
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def watching(dsn: str, path: Path, seen: list[Observation]) -> AsyncIterator[None]:
    """Run the watcher, once its stream has begun."""
    stop = asyncio.Event()
    stream = PostgresqlChangeStream(dsn, NAMES)
    await stream.create()
    async with SqliteEventLog(path, SystemClock(), "bench") as log:
        watcher = wiring.watcher(
            WatchSettings(idle_cut_interval_s=5.0),
            source="bench",
            metadata=PostgresqlMetadataReader(dsn, stream=NAMES),
            log=log,
            history=History(log, source="bench", workers=ProcessWorkers(1)),
            tools=Tools(
                workers=ProcessWorkers(1),
                clock=SystemClock(),
                rng=Random(1),
                observer=lambda _: seen.append,
            ),
            observer=seen.append,
            following=Following(stream=stream, read_interval_s=0.05, retained_bytes_max=1 << 34),
        )
        await watcher.poll()
        task = asyncio.create_task(watcher.run(stop))
        async with asyncio.timeout(60):
            while not any(isinstance(one, StreamFollowed) for one in seen):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield
        stop.set()
        await task


async def measure(args: argparse.Namespace) -> bool:
    """Set up, measure and print; return whether all goals are met."""
    loaded = os.getloadavg()
    async with logical(args.folder) as (folder, dsn):
        connection = await asyncpg.connect(dsn)
        await fill(dsn, args.inventory, args.payload_bytes)
        await connection.execute(f"CREATE PUBLICATION bench FOR TABLE {TABLES}")
        path, seen = folder / "log.sqlite", list[Observation]()
        async with watching(dsn, path, seen):
            polls = sum(isinstance(one, Polled) for one in seen)
            command = [sys.executable, "-m", "bench.stream", "--inner", dsn, str(path)]
            command += ["--rows", str(args.rows), "--commits-per-s", str(args.commits_per_s)]
            command += ["--seconds", str(args.seconds), "--payload-bytes", str(args.payload_bytes)]
            backend = await connection.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'replicator'"
            )
            before_s, ours_s = process_s(backend), process_s(os.getpid())
            reader = Popen([*command, "--do", "read"], stdout=PIPE, text=True)  # noqa: ASYNC220
            await asyncio.sleep(1)
            writer = Popen([*command, "--do", "write"])  # noqa: ASYNC220 - not waited for here
            deadline_s = args.seconds + 60
            try:
                out, _ = await asyncio.to_thread(reader.communicate, timeout=deadline_s)
            except TimeoutExpired:
                reader.kill()
                writer.kill()
                out, _ = reader.communicate()
                print([one for one in seen if isinstance(one, StreamEnded | Waiting)][:5])
            await asyncio.to_thread(writer.wait)
            theirs_s = process_s(backend) - before_s
            ours_s = process_s(os.getpid()) - ours_s
            scans = sum(isinstance(one, Polled) for one in seen) - polls
        await connection.close()
    print(f"load of the machine: {loaded[0]:.1f} before, {os.getloadavg()[0]:.1f} after")
    told = [float(line) for line in out.split()]
    for whose, spent_s in (("the source's database", theirs_s), ("the watcher", ours_s)):
        print(
            f"CPU of {whose}: {spent_s / args.seconds:.2f} of a core,"
            f" {1e3 * spent_s / max(1, len(told)):.2f} ms a commit,"
            f" {1e6 * spent_s / max(1, len(told) * args.rows):.0f} us a row"
        )
    whole = len(told) == args.commits_per_s * args.seconds and not scans
    return _told(told, [one for one in seen if isinstance(one, StreamFollowed)], scans) and whole


def _told(told: Sequence[float], reads: Sequence[StreamFollowed], scans: int) -> bool:
    """Print how late the cuts were; return whether that is within the goal."""
    late = quantiles(told, n=100)[98]
    tenths = " ".join(f"{one:.0f}" for one in quantiles(told, n=10))
    print(
        f"{len(told)} cuts: median {median(told):.0f} ms, 99 % {late:.0f} ms, max {max(told):.0f};"
        f" tenths {tenths}"
    )
    took = sorted(one.read_s for one in reads if one.messages)
    print(
        f"polls meanwhile: {scans}; reads {len(reads)}, {len(took)} with commits:"
        f" median {1000 * median(took):.0f} ms"
    )
    print(f"retained at most {max(one.retained_bytes for one in reads) / 1e6:.0f} MB of WAL")
    return median(told) <= MEDIAN_MAX_MS and late <= LATE_MAX_MS


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--commits-per-s", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--payload-bytes", type=int, default=2048)
    parser.add_argument("--folder", type=Path, default=None, help="on a disk with room")
    parser.add_argument("--inner", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--do", choices=["read", "write"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.do == "write":
        asyncio.run(write(args.inner[0], args))
    elif args.do == "read":
        asyncio.run(read(Path(args.inner[1]), args.commits_per_s * args.seconds))
    else:
        good = asyncio.run(measure(args))
        print("goals met" if good else "GOAL MISSED")
        sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
