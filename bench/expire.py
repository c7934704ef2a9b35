"""Planning the expiry of a store with a million segments: within 60 s, in bounded memory.

The store has a base of half of them that has expired, a base of all but those that were killed
since, and the history in between. The plan is the one of `replicator expire --no-listing`: what is
kept is read as places, what goes is read as places, and the one is taken from the other.
"""

import argparse
import asyncio
import resource
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.memory import peak_bytes, reset_peak, resident_bytes
from bench.model import segment
from bench.plan import numbered
from bench.wiring import SOURCE, Wiring
from replicator.adapters.local.area import LocalArea
from replicator.adapters.local.workspace import Workspace
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.threads import Threads
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import (
    ClosedCut,
    CutClosed,
    CutNumber,
    Envelope,
    Epoch,
    Offset,
    Record,
    RowChanged,
)
from replicator.model.fingerprint import EMPTY_DIGEST, fingerprint
from replicator.model.log.wire import encode
from replicator.model.store.archive import (
    BASES,
    HISTORY,
    Base,
    BasePart,
    Header,
    history_name,
    manifest,
    manifest_name,
    pack,
    part_name,
    record_line,
)
from replicator.ports import DOCUMENT_BYTES_MAX
from replicator.services.retention.planner import ExpiryPlan, ExpiryPlanner
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store

PLAN_MAX_S = 60.0
CHUNK = 4_000
"""Records of one file: about 8 MiB before they are compressed."""
LOG = "log"
NOW = datetime.now(UTC)  # noqa: TID251 - a benchmark


class CountingArea(LocalArea):
    """Counts what is read: the requests that an object store would be asked for."""

    gets = lists = read_bytes = 0

    async def names(self, prefix: str) -> Sequence[str]:
        """List."""
        CountingArea.lists += 1
        return await super().names(prefix)

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        """Read."""
        data = await super().get(name, bytes_max=bytes_max)
        CountingArea.gets += 1
        CountingArea.read_bytes += len(data)
        return data


class Filling:
    """Writes a store's files as an archivist would, without a log to read them from."""

    def __init__(self, area: LocalArea, payload_bytes: int) -> None:
        self._area, self._template = area, segment(payload_bytes)

    def records(self, first: int, last: int, offset: int, cut: int) -> list[Record]:
        """Return the events that publish some segments."""
        time = NOW - timedelta(days=40 - cut)
        envelope = Envelope(source=SOURCE, cut=CutNumber(cut), epoch=Epoch(1), time=time)
        found = []
        for place, number in enumerate(range(first, last)):
            row = numbered(self._template, number)
            event = RowChanged(row=row, fingerprint=fingerprint(row), previous=None)
            document = encode(event, envelope)
            found.append(Record(Offset(offset + place), time, document.type, document.data))
        return found

    def closed(self, offset: int, cut: int, days: float) -> ClosedCut:
        """Return a cut that was closed some days ago."""
        return ClosedCut(
            offset=Offset(offset),
            closed=CutClosed(
                cut=CutNumber(cut),
                source_time=NOW - timedelta(days=days),
                count=0,
                digest=EMPTY_DIGEST,
                epoch=Epoch(1),
            ),
        )

    async def base(self, first: int, last: int, offset: int, closed: ClosedCut) -> None:
        """Write a base of the segments numbered so, whose events begin at an offset."""
        parts = []
        for at in range(first, last, CHUNK):
            records = self.records(at, min(last, at + CHUNK), offset + at - first, 1)
            start = records[0].offset
            header = Header(kind=BASES, source=SOURCE, log_id=LOG, start=start, previous=None)
            lines = [record_line(record) for record in records]
            data, footer = pack(header, lines, end=Offset(closed.offset + 1), last=None)
            await self._area.replace(part_name(LOG, closed.offset, start), data)
            parts.append(BasePart(start=start, records=len(records), sha256=footer.sha256))
        base = Base(source=SOURCE, log_id=LOG, cut=closed, rows=last - first, parts=tuple(parts))
        await self._area.replace(manifest_name(LOG, closed.offset), manifest(base))

    async def history(self, first: int, last: int, offset: int, closed: ClosedCut) -> None:
        """Write the history of the segments numbered so, up to a cut."""
        for at in range(first, last, CHUNK):
            end = min(last, at + CHUNK)
            records = self.records(at, end, offset + at - first, 2)
            final = end == last
            until = Offset(closed.offset + 1) if final else Offset(records[-1].offset + 1)
            start = records[0].offset
            header = Header(kind=HISTORY, source=SOURCE, log_id=LOG, start=start, previous="-")
            lines = [record_line(record) for record in records]
            data, _ = pack(header, lines, end=until, last=closed if final else None)
            await self._area.replace(history_name(LOG, start, until), data)


async def fill(area: LocalArea, rows: int, payload_bytes: int) -> ClosedCut:
    """Write a store; return its newest cut.

    Day -40: a base of the first half. Until day -31: the second half is published, a tenth of the
    first is killed. Day -31: a base of what is left. Until now: a tenth more.
    """
    filling, half, tenth = Filling(area, payload_bytes), rows // 2, rows // 10
    await filling.base(0, half, 0, filling.closed(half, 1, 40))
    second = filling.closed(rows + 1, 2, 31)
    await filling.history(half, rows, half + 1, second)
    await filling.base(tenth, rows, tenth, second)
    newest = filling.closed(rows + tenth + 2, 3, 0)
    await filling.history(rows, rows + tenth, rows + 2, newest)
    return newest


async def planner(
    area: LocalArea, metadata: MemoryMetadata, workers: ProcessWorkers
) -> ExpiryPlanner:
    """Return what the application would build."""
    archive, storage = ArchivedLog(Store(area), LOG), StorageBeside(area)
    wiring = Wiring(log=archive, bases=archive, workers=workers, metadata=metadata, storage=storage)
    return (await wiring.retention(archive)).planner()


class StorageBeside(MemoryDeepStorage):
    """A storage without bytes beside files on a disk."""

    def __init__(self, area: LocalArea) -> None:
        super().__init__()
        self._files = area

    def area(self) -> LocalArea:  # type: ignore[override]
        """Return where our own files are."""
        return self._files


async def at(metadata: MemoryMetadata, cut: ClosedCut) -> None:
    """Let the target be at a cut."""
    held = await metadata.acquire(SOURCE)
    closed = cut.closed
    async with metadata.transaction(SOURCE, held.epoch) as transaction:
        await transaction.record(
            Checkpoint(
                source=SOURCE,
                log_id=LOG,
                offset=cut.offset,
                cut=closed.cut,
                source_time=closed.source_time,
                digest=closed.digest,
                paused=False,
            ),
            (),
        )


async def measure(args: argparse.Namespace, folder: Path) -> bool:
    """Measure planning; return whether the goal is met."""
    area = CountingArea(
        folder, "_replicator", Workspace(folder, lock_timeout_s=60.0), Threads(str(folder))
    )
    metadata = MemoryMetadata(SystemClock())
    await at(metadata, await fill(area, args.rows, args.payload_bytes))
    expiry = await planner(area, metadata, ProcessWorkers(args.workers))
    CountingArea.gets = CountingArea.lists = CountingArea.read_bytes = 0
    idle = resident_bytes()
    reset_peak()
    started_s, worked_s = perf_counter(), cpu_s()
    plan = await expiry.plan(timedelta(days=30), storage=False)
    plan_s, worked_s = perf_counter() - started_s, cpu_s() - worked_s
    show(plan, args.rows, plan_s, worked_s, peak_bytes() - idle)
    right = (len(plan.unreferenced), len(plan.marked.locations.hashes())) == (
        args.rows // 10,
        args.rows,
    )
    return right and plan_s <= PLAN_MAX_S


def cpu_s() -> float:
    """Return the time that cores have worked for this process, and for its workers that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def show(plan: ExpiryPlan, rows: int, plan_s: float, worked_s: float, peak: int) -> None:
    """Print what was measured."""
    print(f"plan the expiry of {rows:,} segments  {plan_s:.1f} s (goal {PLAN_MAX_S:.0f} s)")
    print(f"  cores' work      {worked_s:.1f} s, workers counted")
    print(f"  locations kept   {len(plan.marked.locations.hashes()):,}")
    print(f"  places condemned {len(plan.unreferenced):,}")
    print(
        f"  files read       {CountingArea.gets:,} ({CountingArea.read_bytes / 2**20:.0f} MiB),"
        f" {CountingArea.lists} listings"
    )
    print(f"  memory           {peak / 2**20:.0f} MiB more at the peak, workers not counted")


async def main(args: argparse.Namespace) -> bool:
    """Run in a folder of its own."""
    with TemporaryDirectory(dir=args.folder) as folder:
        return await measure(args, Path(folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--payload-bytes", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    sys.exit(0 if asyncio.run(main(parser.parse_args())) else 1)
