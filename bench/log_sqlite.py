"""What the SQLite event log carries, next to plain sqlite3 doing the same in the same run."""

import argparse
import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import perf_counter

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.sqlite.file import MAKE_RECORDS, PAGE_BYTES
from replicator.adapters.sqlite.log import INSERT, SqliteEventLog
from replicator.model.event import Document, Offset


def raw_append(path: Path, chunks: Sequence[Sequence[Document]]) -> float:
    """Insert the same rows with executemany, one transaction a chunk; return the seconds."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(MAKE_RECORDS)
    first, begin = 0, perf_counter()
    for chunk in chunks:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            INSERT, [(first + n, 1, d.type, d.subject, d.data) for n, d in enumerate(chunk)]
        )
        connection.execute("COMMIT")
        first += len(chunk)
    seconds = perf_counter() - begin
    connection.close()
    return seconds


def raw_read(path: Path, records_max: int) -> float:
    """Fetch all rows in pages of tuples; return the seconds."""
    connection = sqlite3.connect(path)
    start, begin = 0, perf_counter()
    while rows := connection.execute(
        "SELECT offset, appended_at_us, type, data FROM records WHERE offset >= ?"
        " ORDER BY offset LIMIT ?",
        (start, records_max),
    ).fetchall():
        start = rows[-1][0] + 1
    seconds = perf_counter() - begin
    connection.close()
    return seconds


async def log_append(log: SqliteEventLog, chunks: Sequence[Sequence[Document]]) -> float:
    """Append chunk after chunk, as a watcher does; return the seconds."""
    await log.acquire()
    begin = perf_counter()
    for chunk in chunks:
        await log.append(chunk)
    return perf_counter() - begin


async def log_append_together(log: SqliteEventLog, documents: Sequence[Document]) -> float:
    """Append one document a task, all at once: what group commit is for; return the seconds."""
    await log.acquire()
    begin = perf_counter()
    async with asyncio.TaskGroup() as group:
        for document in documents:
            group.create_task(log.append([document]))
    return perf_counter() - begin


async def log_read(log: SqliteEventLog, records_max: int) -> float:
    """Read the whole log; return the seconds."""
    start, begin = Offset(0), perf_counter()
    while records := await log.read(start, records_max=records_max):
        start = Offset(records[-1].offset + 1)
    return perf_counter() - begin


def show(what: str, count: int, seconds: float, raw_seconds: float | None = None) -> None:
    """Print one line of the table."""
    ratio = "" if raw_seconds is None else f"{raw_seconds / seconds:>8.2f}"
    print(f"{what:<44}{count:>9}{seconds:>9.3f}{count / seconds:>12,.0f}{ratio}")


async def run(args: argparse.Namespace, folder: Path) -> None:
    """Measure and print."""
    data = Random(1).randbytes(args.document_bytes)
    made = [
        Document(type="segment.published", subject=f"wikipedia_{n}", data=data)
        for n in range(args.events)
    ]
    print(f"{args.events} documents of {args.document_bytes} bytes, folder {folder}")
    print("ratio: against plain sqlite3 with the same rows, chunks, pages and pragmas; 1 = equal\n")
    print(f"{'what':<44}{'events':>9}{'seconds':>9}{'events/s':>12}{'ratio':>8}")
    raw, own = folder / "raw.db", folder / "log.db"
    for size in args.chunk:
        chunks = [made[at : at + size] for at in range(0, len(made), size)]
        raw, own = folder / f"raw-{size}.db", folder / f"log-{size}.db"
        raw_seconds = raw_append(raw, chunks)
        show(f"sqlite3 executemany, {size} a transaction", len(made), raw_seconds)
        async with SqliteEventLog(own, SystemClock(), "bench") as log:
            seconds = await log_append(log, chunks)
            show(f"append, {size} a call", len(made), seconds, raw_seconds)
    raw_seconds = raw_read(raw, args.records_max)
    show(f"sqlite3 fetchall, {args.records_max} a page", len(made), raw_seconds)
    async with SqliteEventLog(own, SystemClock(), "bench") as log:
        seconds = await log_read(log, args.records_max)
        show(f"read, {args.records_max} a call", len(made), seconds, raw_seconds)
    few = made[: args.together]
    raw_seconds = raw_append(folder / "raw-one.db", [[one] for one in few])
    show("sqlite3, 1 a transaction", len(few), raw_seconds)
    async with SqliteEventLog(folder / "together.db", SystemClock(), "bench") as log:
        seconds = await log_append_together(log, few)
        show("append, 1 a call, all callers at once", len(few), seconds, raw_seconds)


def main() -> None:
    """Read the command line, then measure in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--document-bytes", type=int, default=500)
    parser.add_argument("--chunk", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--records-max", type=int, default=10_000)
    parser.add_argument("--together", type=int, default=5_000)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        asyncio.run(run(args, Path(folder)))


if __name__ == "__main__":
    main()
