"""Planning the restore of a million segments: within 30 s, without holding a payload.

The log is filled with one cut of segments with 2 KB payloads; the target is an empty PostgreSQL.
The plan is the one of `replicator restore`: the log folded, the target scanned, the plan sized.
Then the rows of 100,000 of them are written, which says what a restore's metadata costs.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from time import perf_counter

import asyncpg

from bench.memory import peak_bytes, reset_peak, resident_bytes
from bench.model import segment
from bench.stage import TABLES, server
from bench.wiring import SOURCE, Wiring
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.model.event import CutClosed, CutNumber, Envelope, Offset, RowChanged
from replicator.model.fingerprint import EMPTY_DIGEST, changed, fingerprint
from replicator.model.log.wire import encode
from replicator.model.plans.plan import Plan
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import Segment
from replicator.ports import MetadataWriter
from replicator.services.restore.restorer import RestorePlan
from replicator.services.store.spliced_log import SplicedLog
from replicator.services.target.executor import Executor

PLAN_MAX_S = 30.0
CHUNK = 1000
COMMIT_ROWS = 100_000


def numbered(template: Segment, number: int) -> Segment:
    """Return a segment of its own: another partition of the template."""
    id_ = f"{template.id}_{number}"
    payload = (
        template.payload.replace(template.id.encode(), id_.encode())
        .replace(b"/0/index/", f"/{number}/index/".encode())
        .replace(b'"partitionNum":0', f'"partitionNum":{number}'.encode())
    )
    return Segment(
        id=id_,
        datasource=template.datasource,
        created_date=template.created_date,
        start=template.start,
        end=template.end,
        partitioned=True,
        version=template.version,
        used=True,
        used_status_last_updated=template.used_status_last_updated,
        payload=payload,
    )


async def fill(log: SqliteEventLog, rows: int, payload_bytes: int) -> Offset:
    """Write one cut of so many segments; return the offset of its closing record."""
    epoch, time = await log.acquire(), datetime.now(UTC)  # noqa: TID251 - a benchmark
    envelope = Envelope(source=SOURCE, cut=CutNumber(1), epoch=epoch, time=time)
    template, digest = segment(payload_bytes), EMPTY_DIGEST
    for start in range(0, rows, CHUNK):
        found = [numbered(template, n) for n in range(start, min(rows, start + CHUNK))]
        events = [RowChanged(row=row, fingerprint=fingerprint(row), previous=None) for row in found]
        digest = changed(digest, gone=(), come=[event.fingerprint for event in events])
        await log.append([encode(event, envelope) for event in events])
    closed = CutClosed(cut=envelope.cut, source_time=time, count=rows, digest=digest, epoch=epoch)
    return await log.append([encode(closed, envelope)])


async def measure(args: argparse.Namespace) -> bool:
    """Measure planning and writing; return whether the goal is met."""
    async with (
        server(args.folder) as (folder, dsn),
        SqliteEventLog(folder / "log.sqlite", SystemClock(), SOURCE) as log,
    ):
        connection = await asyncpg.connect(dsn)
        await connection.execute(TABLES.read_text())
        await connection.close()
        end = await fill(log, args.rows, args.payload_bytes)
        metadata = PostgresqlMetadataWriter(dsn)
        alone = SplicedLog(log, list, preferred=True)
        workers = ProcessWorkers(args.workers)
        pipeline = await Wiring(
            log=alone, bases=alone, workers=workers, metadata=metadata
        ).pipeline()
        restorer = pipeline.restorer(MemoryDeepStorage())
        idle = resident_bytes()
        reset_peak()
        started_s, cpu_s = perf_counter(), used_s()
        plan = await restorer.plan(ToOffset(offset=end), datasource=None, adopt=False)
        plan_s, peak = perf_counter() - started_s, peak_bytes() - idle
        own_s, workers_s = (after - before for after, before in zip(used_s(), cpu_s, strict=True))
        show(plan, args.rows, plan_s, peak)
        own_us, workers_us = own_s / args.rows * 1e6, workers_s / args.rows * 1e6
        print(
            f"  processor time     {own_us:.1f} us a segment here, {workers_us:.1f} us in workers"
        )
        await commit(pipeline.executor(), metadata, plan)
        return bool(plan_s <= PLAN_MAX_S)


def used_s() -> tuple[float, float]:
    """Return the processor time of this process and of its workers that have ended."""
    own, ended = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, ended.ru_utime + ended.ru_stime


def show(plan: RestorePlan, rows: int, plan_s: float, peak: int) -> None:
    """Print what planning took."""
    print(f"plan for {plan.estimate.segments} segments  {plan_s:.1f} s, ", end="")
    print(f"{plan_s / rows * 1e6:.1f} us a segment")
    print(f"  memory above idle  {peak / rows:.0f} bytes a segment, {peak / 1e6:.0f} MB")
    print(f"  sized              {plan.estimate.size_bytes:,} bytes in {plan.estimate.objects}")


async def commit(executor: Executor, metadata: MetadataWriter, plan: RestorePlan) -> float:
    """Write the rows of a part of the plan in one transaction; return the seconds of a row."""
    whole = plan.reconciliation.plan
    part = Plan(picks=whole.picks[:COMMIT_ROWS], checkpoint=whole.checkpoint)
    held = await metadata.acquire(SOURCE)
    started_s = perf_counter()
    await executor.commit(part, epoch=held.epoch)
    commit_s = perf_counter() - started_s
    print(f"rows written         {len(part.picks)} in {commit_s:.1f} s, ", end="")
    print(f"{len(part.picks) / commit_s:,.0f} rows/s in one transaction")
    return commit_s / len(part.picks)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--payload-bytes", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=2, help="1: this process alone")
    parser.add_argument("--folder", type=Path, default=None, help="on a disk with room")
    good = asyncio.run(measure(parser.parse_args()))
    print("goal met" if good else "GOAL MISSED")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
