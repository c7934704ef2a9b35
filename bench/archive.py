"""Restoring from the store alone: a base and what came after it, without log and source.

A source of a million segments changes ten million times; its history and its bases are written by
the target's own archivist, and the log is trimmed behind it. Then a process that has nothing but
the folder plans a restore of the last cut, into an empty target in memory and into an empty
PostgreSQL, and writes a part of the rows there.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from subprocess import run
from time import perf_counter
from typing import Self

import asyncpg

from bench.changes import CUT_EVENTS_MAX, Change, ChangingSource
from bench.memory import peak_bytes, reset_peak, resident_bytes
from bench.plan import CHUNK, commit, show, used_s
from bench.stage import SOURCE_ROOT, TABLES, TARGET_ROOT, server
from bench.wiring import SOURCE, Wiring
from replicator.adapters.local.area import LocalArea
from replicator.adapters.local.workspace import Workspace
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.threads import Threads
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.config import HistorySettings
from replicator.model.event import ClosedCut, CutClosed, CutNumber, Envelope, Offset
from replicator.model.load_spec import LocalLayout, SourceLayout
from replicator.model.log.wire import encode
from replicator.model.plans.restore_point import Latest
from replicator.model.store.archive import BASES, HISTORY
from replicator.model.store.archive_notes import RowForm
from replicator.ports import DOCUMENT_BYTES_MAX, MetadataWriter
from replicator.services.history.reader import History
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.archivist import ArchiveLimits, Archivist
from replicator.services.store.merger import MergeLimits, Merger
from replicator.services.store.spliced_log import SplicedLog
from replicator.services.store.store import Store

PLAN_MAX_S, PLAN_MAX_BYTES = 60.0, 500e6
"""For a million segments; the time is in proportion for fewer."""
ROWS_MAX_S = 600.0
"""To write a million rows."""
OVERHEAD_MAX = 0.25
"""Of an event's uncompressed size, as it is written."""
SMALL_OVERHEAD_MAX = 0.15
"""The same of cuts of up to ten events, once they are merged."""
SMALL_CUTS, SMALL_EVENTS = 2_000, 10
"""Number of small cuts that are written apart, and up to how many events there are in one."""
CUT_SIZES = (10, 100, 2 * CUT_EVENTS_MAX)
"""Up to how many events there are in a cut."""
LOG_ID = "bench"
MERGE_FILES = HistorySettings().merge_files
TASKS = Path("/proc/self/task")


class CountingArea(LocalArea):
    """Counts what is read, and what is written of each kind."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            root, "_replicator", Workspace(root, lock_timeout_s=60.0), Threads(str(root))
        )
        self.read_files, self.read_bytes = 0, 0
        self.written_bytes = Counter[str]()
        self.created_files, self.deleted_files = 0, 0

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        """Read a file."""
        data = await super().get(name, bytes_max=bytes_max)
        self.read_files += 1
        self.read_bytes += len(data)
        return data

    async def create(self, name: str, data: bytes) -> bool:
        """Write a file of the history, or a manifest."""
        self.written_bytes[name.partition("/")[0]] += len(data)
        self.created_files += 1
        return await super().create(name, data)

    async def delete(self, name: str) -> None:
        """Delete a file."""
        self.deleted_files += 1
        await super().delete(name)

    async def replace(self, name: str, data: bytes) -> None:
        """Write a part of a base."""
        self.written_bytes[name.partition("/")[0]] += len(data)
        await super().replace(name, data)


@dataclass(slots=True)
class Sizes:
    """What the cuts up to some size are, as the log has them and as the history keeps them."""

    cuts: int = 0
    events: int = 0
    event_bytes: int = 0
    kept_bytes: int = 0


class Archive:
    """A target's archivist behind a log that is trimmed after every cut."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.log = MemoryEventLog(SystemClock(), SOURCE, log_id=LOG_ID)
        self.area = CountingArea(folder)
        spliced = SplicedLog(self.log, lambda: [Store(self.area)], preferred=True)
        history = History(spliced, source=SOURCE, workers=ProcessWorkers(workers), bases=spliced)
        self.archivist = Archivist(
            source=SOURCE,
            store=Store(self.area),
            source_layout=SourceLayout(main=LocalLayout(root=SOURCE_ROOT), others={}),
            rows=RowForm(layout=LocalLayout(root=TARGET_ROOT), control=""),
            history=history,
            limits=ArchiveLimits(file_bytes_max=8 << 20, base_interval=timedelta(days=1)),
            observer=lambda _: None,
        )
        self._cuts = 0
        limits = MergeLimits(files=MERGE_FILES, bytes_max=8 << 20, stay_s=0.0)
        self.merger = Merger(Store(self.area), limits=limits, observer=lambda _: None)

    async def merge(self) -> None:
        """Merge what can be merged, and delete it at the next look."""
        while await self.merger.merge(LOG_ID):
            pass
        await self.merger.merge(LOG_ID)

    async def history(self) -> tuple[int, int]:
        """Return the number of files of the history, and their bytes."""
        names = await self.area.names(f"{HISTORY}/")
        return len(names), sum([len(await self.area.get(name)) for name in names])

    async def write(self, source: ChangingSource, chunks: Iterable[Sequence[Change]]) -> Sizes:
        """Write a cut to the log and cover it; return what it is. The log is empty again."""
        epoch = await self.log.acquire()
        time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=5 * self._cuts)
        self._cuts += 1
        envelope = Envelope(source=SOURCE, cut=CutNumber(self._cuts), epoch=epoch, time=time)
        target_layout, cut = self.area.written_bytes[HISTORY], Sizes(cuts=1)
        for chunk in chunks:
            documents = [encode(event, envelope) for event in chunk]
            await self.log.append(documents)
            cut.events += len(documents)
            cut.event_bytes += sum(len(document.data) for document in documents)
        closed = CutClosed(
            cut=envelope.cut,
            source_time=time,
            count=cut.events,
            digest=source.digest,
            epoch=epoch,
        )
        self.at = ClosedCut(offset=await self.log.append([encode(closed, envelope)]), closed=closed)
        await self.archivist.cover(self.at, (), whole=True)
        self.log.trim(Offset(self.at.offset + 1))
        cut.kept_bytes = self.area.written_bytes[HISTORY] - target_layout
        return cut

    async def write_base(self) -> None:
        """Write a base of the last cut, and say what it took."""
        read, written = self.area.read_files, self.area.written_bytes[BASES]
        started_s, cpu_s = perf_counter(), sum(used_s())
        base = await self.archivist.write_base(self.at)
        wall_s, cpu_s = perf_counter() - started_s, sum(used_s()) - cpu_s
        size_bytes = self.area.written_bytes[BASES] - written
        print(
            f"base of {base.rows} rows   {wall_s:.1f} s, {cpu_s:.1f} s of processor time,", end=" "
        )
        print(f"{size_bytes:,} bytes ({size_bytes / base.rows:.0f} a row),", end=" ")
        print(f"{self.area.read_files - read} files read", flush=True)


async def fill(folder: Path, args: argparse.Namespace) -> bool:
    """Write the archive; return whether its history is small enough."""
    archive, source = Archive(folder, args.workers), ChangingSource(args.segments, Random(1))
    started_s = perf_counter()
    first = await archive.write(source, source.first(CHUNK))
    print(f"first cut, and its base  {first.events} events, {perf_counter() - started_s:.0f} s")
    whole, sizes = Sizes(), {limit: Sizes() for limit in CUT_SIZES}
    due = [args.events // 2, args.events - args.suffix]
    while whole.events < args.events:
        cut = await archive.write(source, [source.cut()])
        add(whole, cut)
        add(next(found for limit, found in sizes.items() if cut.events <= limit), cut)
        if due and whole.events >= due[0]:
            due.pop(0)
            await archive.write_base()
    print(f"history written in {perf_counter() - started_s:.0f} s")
    for limit, found in sizes.items():
        if found.cuts:
            tell(f"cuts up to {limit} events", found)
    tell("all", whole)
    merged = await small_cuts(folder / "small", args)
    return merged and whole.kept_bytes <= OVERHEAD_MAX * whole.event_bytes


async def small_cuts(folder: Path, args: argparse.Namespace) -> bool:
    """Write cuts of up to ten events alone, and merge them; return whether they are small then."""
    await asyncio.to_thread(folder.mkdir)
    archive, source = Archive(folder, args.workers), ChangingSource(args.segments, Random(2))
    await archive.write(source, source.first(CHUNK))
    whole, area = Sizes(), archive.area
    while whole.cuts < SMALL_CUTS:
        add(whole, await archive.write(source, [source.small_cut(SMALL_EVENTS)]))
    tell("small cuts alone", whole)
    files, _ = await archive.history()
    read, written, deleted = area.read_files, area.created_files, area.deleted_files
    started_s = sum(used_s())
    await archive.merge()
    cpu_s = sum(used_s()) - started_s
    asked = f"{area.read_files - read} read, {area.created_files - written} written,"
    left, size_bytes = await archive.history()
    whole.kept_bytes = size_bytes
    tell("small cuts merged", whole)
    print(
        f"  {files} files became {left}: {asked} {area.deleted_files - deleted} deleted", end=", "
    )
    print(f"{cpu_s * 1e6 / whole.event_bytes:.2f} s of processor time a MB of events", flush=True)
    shutil.rmtree(folder)
    return size_bytes <= SMALL_OVERHEAD_MAX * whole.event_bytes


def add(whole: Sizes, part: Sizes) -> None:
    """Add what a cut is."""
    whole.cuts += part.cuts
    whole.events += part.events
    whole.event_bytes += part.event_bytes
    whole.kept_bytes += part.kept_bytes


def tell(what: str, sizes: Sizes) -> None:
    """Print how large the history is, next to its events."""
    print(f"  {what:<24} {sizes.cuts} cuts, {sizes.events} events,", end=" ")
    print(f"{sizes.event_bytes / sizes.events:.0f} bytes an event,", end=" ")
    target_layout, ratio = sizes.kept_bytes / sizes.events, sizes.kept_bytes / sizes.event_bytes
    print(f"kept in {target_layout:.0f}: {ratio:.1%}", flush=True)


class WorkersMemory:
    """Looks now and then at the memory of all processes that this one has started.

    What the system says of them at their end is no use: it counts what this process had when it
    started them.
    """

    def __init__(self) -> None:
        self.peak = 0

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()

    async def _look(self) -> None:
        while True:
            self.peak = max(self.peak, sum(map(peak_bytes, _children())))
            await asyncio.sleep(0.1)


def _children() -> list[str]:
    found: list[str] = []
    for path in TASKS.glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            found += path.read_text().split()
    return found


async def restore(folder: Path, dsn: str | None, args: argparse.Namespace) -> bool:
    """Plan from the store alone, and write rows where there is a server; return: in time."""
    area = CountingArea(folder)
    archive = ArchivedLog(Store(area), LOG_ID)
    workers = ProcessWorkers(args.workers)
    metadata: MetadataWriter = (
        MemoryMetadata(SystemClock()) if dsn is None else PostgresqlMetadataWriter(dsn)
    )
    pipeline = await Wiring(
        log=archive, bases=archive, workers=workers, metadata=metadata, root=SOURCE_ROOT
    ).pipeline()
    restorer, executor = pipeline.restorer(MemoryDeepStorage()), pipeline.executor()
    idle, started_s, cpu_s = resident_bytes(), perf_counter(), used_s()
    reset_peak()
    async with WorkersMemory() as used:
        plan = await restorer.plan(Latest(), datasource=None, adopt=False)
    plan_s, peak = perf_counter() - started_s, peak_bytes()
    own_s, workers_s = (after - before for after, before in zip(used_s(), cpu_s, strict=True))
    print("into memory" if dsn is None else "into PostgreSQL")
    show(plan, args.segments, plan_s, peak - idle)
    print(f"  memory in all      {peak / 1e6:.0f} MB here, {used.peak / 1e6:.0f} MB in workers")
    print(f"  processor time     {own_s:.1f} s here, {workers_s:.1f} s in workers")
    print(f"  read               {area.read_files} files, {area.read_bytes:,} bytes", flush=True)
    good = plan_s <= PLAN_MAX_S * args.segments / 1e6 and peak + used.peak <= PLAN_MAX_BYTES
    if dsn is None:
        return good
    rows_s = await commit(executor, metadata, plan)
    print(f"  a million of them  {rows_s * 1e6:.0f} s")
    return good and rows_s * 1e6 <= ROWS_MAX_S


async def restore_into_postgresql(folder: Path, args: argparse.Namespace) -> bool:
    """Do it with a server of its own, in a process of its own."""
    async with server(args.folder) as (_, dsn):
        connection = await asyncpg.connect(dsn)
        await connection.execute(TABLES.read_text())
        await connection.close()
        return await alone(args, folder, "--postgresql", dsn)


async def alone(args: argparse.Namespace, folder: Path, *more: str) -> bool:
    """Do a step in a process of its own, whose memory is that of the step."""
    command = [sys.executable, "-m", "bench.archive", "--archive", str(folder), *more]
    for name in ("segments", "events", "workers", "suffix"):
        command += [f"--{name}", str(getattr(args, name))]
    return (await asyncio.to_thread(run, command, check=False)).returncode == 0


async def measure(args: argparse.Namespace) -> bool:
    """Write an archive, unless one is given to stay, and restore from it."""
    folder = Path(tempfile.mkdtemp(prefix="replicator-bench-", dir=args.folder))
    try:
        steps = [
            await alone(args, folder, "--fill"),
            await alone(args, folder, "--restore"),
            await restore_into_postgresql(folder, args),
        ]
    finally:
        if not args.keep:
            shutil.rmtree(folder)
    return all(steps)


async def step(args: argparse.Namespace) -> bool:
    """Do the step that this process is for."""
    if args.fill:
        return await fill(args.archive, args)
    if args.restore or args.postgresql:
        return await restore(args.archive, args.postgresql, args)
    return await measure(args)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--suffix", type=int, default=200_000, help="events after the last base")
    parser.add_argument("--workers", type=int, default=2, help="1: this process alone")
    parser.add_argument("--folder", type=Path, default=None, help="on a disk with room")
    parser.add_argument("--keep", action="store_true", help="leave the archive there")
    parser.add_argument("--archive", type=Path, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--restore", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--postgresql", default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    good = asyncio.run(step(args))
    if args.archive is None:
        print("goals met" if good else "GOAL MISSED")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
