"""Planning the promotion of a large standby: 200 supervisors, 500 rules and 1,000 users in 5 s.

Log and target hold one cut with them, on SQLite and PostgreSQL. The plan is that of `promote` and
`failover`: the Overlord is not asked for it.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import asyncpg

from bench.plan import CHUNK
from bench.stage import TABLES, server
from bench.wiring import SOURCE, Wiring
from replicator.adapters.druid.cluster import DruidAddress, DruidHttp
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.model.druid.cluster_config import ConfigParts
from replicator.model.event import CutClosed, CutNumber, Envelope, Offset, RowChanged
from replicator.model.fingerprint import EMPTY_DIGEST, changed, fingerprint
from replicator.model.log.wire import encode
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import ConfigEntry, Row, Rules, Supervisor
from replicator.services.history.reader import History
from replicator.services.standby.promoter import Promoter, Takeover
from replicator.services.store.spliced_log import SplicedLog

PLAN_MAX_S = 5.0
CREATED = "2026-01-01T00:00:00.000Z"


def control(supervisors: int, rules: int, users: int) -> Iterator[Row]:
    """Yield what a cluster's operators have written."""
    for n in range(supervisors):
        spec = {
            "type": "kafka",
            "spec": {"dataSchema": {"dataSource": f"d{n}"}, "ioConfig": {"topic": f"t{n}"}},
            "suspended": False,
        }
        payload = json.dumps(spec | {"context": {"note": "x" * 4000}}).encode()
        yield Supervisor(spec_id=f"d{n}", id=n + 1, created_date=CREATED, payload=payload)
    for n in range(rules):
        some = [{"type": "loadForever", "tieredReplicants": {"_default_tier": 2}}]
        yield Rules(
            datasource=f"d{n}", id=f"d{n}_1", version=CREATED, payload=json.dumps(some).encode()
        )
    names = (f"user{n:05d}" for n in range(users))
    found = {name: {"name": name, "credentials": {"hash": "h" * 88}} for name in names}
    yield ConfigEntry(name="basic_authentication_Basic_users", payload=json.dumps(found).encode())


async def fill(log: SqliteEventLog, rows: list[Row]) -> Offset:
    """Write one cut of some rows; return the offset of its closing record."""
    epoch, time = await log.acquire(), datetime.now(UTC)  # noqa: TID251 - a benchmark
    envelope = Envelope(source=SOURCE, cut=CutNumber(1), epoch=epoch, time=time)
    events = [RowChanged(row=row, fingerprint=fingerprint(row), previous=None) for row in rows]
    for start in range(0, len(events), CHUNK):
        await log.append([encode(event, envelope) for event in events[start : start + CHUNK]])
    digest = changed(EMPTY_DIGEST, gone=(), come=[event.fingerprint for event in events])
    closed = CutClosed(
        cut=envelope.cut, source_time=time, count=len(rows), digest=digest, epoch=epoch
    )
    return await log.append([encode(closed, envelope)])


async def measure(args: argparse.Namespace) -> bool:
    """Measure the plan; return whether the goal is met."""
    rows = [*control(args.supervisors, args.rules, args.users)]
    async with (
        server(args.folder) as (folder, dsn),
        SqliteEventLog(folder / "log.sqlite", SystemClock(), SOURCE) as log,
    ):
        connection = await asyncpg.connect(dsn)
        await connection.execute(TABLES.read_text())
        await connection.close()
        end = await fill(log, rows)
        metadata, workers = PostgresqlMetadataWriter(dsn), ProcessWorkers(1)
        alone = SplicedLog(log, list, preferred=True)
        pipeline = await Wiring(
            log=alone, bases=alone, workers=workers, metadata=metadata
        ).pipeline()
        restore = await pipeline.restorer(MemoryDeepStorage()).plan(
            ToOffset(offset=end), datasource=None, adopt=False
        )
        held = await metadata.acquire(SOURCE)
        await pipeline.executor().commit(restore.reconciliation.plan, epoch=held.epoch)
        nobody = DruidAddress(coordinator_urls=["http://127.0.0.1:1"], overlord_urls=[])
        promoter = Promoter(
            source=SOURCE,
            target="standby",
            history=History(log, source=SOURCE, workers=workers),
            metadata=metadata,
            druid=DruidHttp(nobody),
            takeover=Takeover(parts=ConfigParts(security=True)),
            resume_timeout_s=1.0,
            observer=lambda _: None,
        )
        started_s = perf_counter()
        plan = await promoter.plan(chosen=None)
        plan_s = perf_counter() - started_s
    assert plan.rules is not None  # noqa: S101 - the log is there
    print(
        f"{len(plan.resumptions)} supervisors, {len(plan.rules)} rules, {args.users} users: planned"
        f" in {plan_s:.2f} s (at most {PLAN_MAX_S})"
    )
    return plan_s <= PLAN_MAX_S


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--supervisors", type=int, default=200)
    parser.add_argument("--rules", type=int, default=500)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=None, help="on a disk with room")
    sys.exit(0 if asyncio.run(measure(parser.parse_args())) else 1)


if __name__ == "__main__":
    main()
