"""A poll by row versions, next to the scan that it spares: what it costs the source's database.

Goals, with ten changes and with none: at most 1/20 of the CPU time that the bare scan of
fingerprints takes from the server's processes, run beside it with the bytes thrown away, and at
most 1/15 of its wall time. Above what it needs when idle, and 64 MiB for what it appends at once,
the watcher takes at most 100 bytes a row in polls, and 200 in the first cut.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import median
from subprocess import run
from time import perf_counter

import asyncpg

from bench.memory import peak_bytes, reset_peak, resident_bytes
from bench.scan import bare_scan_s, change, fill
from bench.stage import server
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.model.observation import Observation, Polled
from replicator.model.operations.retry import RetryPolicy
from replicator.services.history.reader import History
from replicator.services.replication.cut_writer import CutLimits, CutWriter
from replicator.services.replication.readers import Readers
from replicator.services.replication.scout import VersionOptions
from replicator.services.replication.watcher import Watcher, WatchLimits

CPU_MAX = 1 / 20
WALL_MAX = 1 / 15
BYTES_PER_ROW_MAX = 100
BYTES_ONCE = 64 << 20
FIRST_BYTES_PER_ROW_MAX = 200
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """What some repetitions of one thing took."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def text(self, base: "Measured") -> str:
        """Return the medians, and their ratios to those of something else."""
        wall, cpu = median(self.wall_s), median(self.cpu_s)
        ratios = (
            f"1/{median(base.wall_s) / wall:.0f} and 1/{median(base.cpu_s) / max(cpu, TICK_S):.0f}"
        )
        return f"{wall:8.3f} s wall, {cpu:7.2f} s of the server's CPU, {ratios} of the scan"

    def is_within(self, base: "Measured") -> bool:
        """Return whether both goals are met."""
        cpu = median(self.cpu_s) <= CPU_MAX * median(base.cpu_s)
        return cpu and median(self.wall_s) <= WALL_MAX * median(base.wall_s)


def children_s(postmaster: int) -> float:
    """Return the CPU time of all server processes that have ended: each poll has its own."""
    fields = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * TICK_S


async def measure_one(
    into: Measured, postmaster: int, what: Callable[[], Awaitable[object]]
) -> None:
    """Do it once, from when the server is quiet until its process has ended."""
    await asyncio.sleep(0.3)
    before_s, started_s = children_s(postmaster), perf_counter()
    await what()
    into.wall_s.append(perf_counter() - started_s)
    await asyncio.sleep(0.3)
    into.cpu_s.append(children_s(postmaster) - before_s)


async def watch(dsn: str, folder: Path, rows: int, rounds: int) -> bool:
    """Measure a real watcher, in a process of its own; return whether all goals are met."""
    postmaster = int((folder / "postgresql" / "postmaster.pid").read_text().split()[0])
    polls: list[Polled] = []

    def observe(observation: Observation) -> None:
        if isinstance(observation, Polled):
            polls.append(observation)

    async with SqliteEventLog(folder / f"log-{rows}.sqlite", SystemClock(), "bench") as log:
        history = History(log, source="bench", workers=ProcessWorkers(2))
        watcher = Watcher(
            metadata=PostgresqlMetadataReader(dsn),
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
                observer=observe,
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
                versions=VersionOptions(enabled=True, full_scan_interval_s=86_400),
            ),
            retry=RetryPolicy(),
            rng=Random(1),
            observer=observe,
        )
        idle = resident_bytes()
        reset_peak()
        started_s = perf_counter()
        await watcher.poll()
        first_s, first_peak = perf_counter() - started_s, (peak_bytes() - idle) / rows
        print(f"first cut        {first_s:8.1f} s, {first_peak:.0f} bytes a row above idle")
        scan, changed, quiet = Measured(), Measured(), Measured()
        later_peak = 0.0
        for round_ in range(rounds):
            await change(dsn, 1000 * (round_ + 1))
            await measure_one(scan, postmaster, lambda: bare_scan_s(dsn))
            reset_peak()
            await measure_one(changed, postmaster, watcher.poll)
            await measure_one(quiet, postmaster, watcher.poll)
            later_peak = max(later_peak, (peak_bytes() - idle) / rows)
    hashed = [poll.fingerprinted_rows for poll in polls[1:]]
    print(f"bare scan        {median(scan.wall_s):8.3f} s wall, {median(scan.cpu_s):7.2f} s of CPU")
    print(f"with ten changes {changed.text(scan)}; {max(hashed)} rows fingerprinted")
    print(f"idle             {quiet.text(scan)}")
    print(f"memory           {later_peak:8.0f} bytes a row above idle in polls")
    by_versions = not any(poll.full for poll in polls[1:]) and max(hashed) <= 9
    once = BYTES_ONCE / rows
    small = later_peak <= BYTES_PER_ROW_MAX + once and first_peak <= FIRST_BYTES_PER_ROW_MAX + once
    return by_versions and small and changed.is_within(scan) and quiet.is_within(scan)


async def measure(args: argparse.Namespace) -> int:
    """Set up, and measure each size in a child process."""
    worst = 0
    for rows in args.rows:
        async with server(args.folder) as (folder, dsn):
            await fill(dsn, rows, args.payload_bytes)
            connection = await asyncpg.connect(dsn)
            await connection.execute("ALTER SYSTEM SET autovacuum = off")
            await connection.execute("SELECT pg_reload_conf()")
            await connection.close()
            print(f"{rows} segments with payloads of {args.payload_bytes} bytes", flush=True)
            command = [sys.executable, "-m", "bench.versions", "--watch", dsn, str(folder)]
            command += ["--rows", str(rows), "--rounds", str(args.rounds)]
            ended = await asyncio.to_thread(run, command, check=False)
            worst = max(worst, ended.returncode)
    return worst


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--payload-bytes", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on a disk with room")
    parser.add_argument("--watch", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.watch:
        dsn, folder = args.watch
        good = asyncio.run(watch(dsn, Path(folder), args.rows[0], args.rounds))
        print("goals met" if good else "GOAL MISSED")
        sys.exit(0 if good else 1)
    sys.exit(asyncio.run(measure(args)))


if __name__ == "__main__":
    main()
