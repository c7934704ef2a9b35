"""What only a log in an SQLite file promises: crashes, foreign files, full disks, processes."""

import asyncio
import fcntl
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.sqlite import notes
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    NotFoundError,
    TransientError,
)
from replicator.model.event import Document, Offset
from replicator.model.operations.pulse import pulse_of
from replicator.ports import Keeping
from tests.servers.disk import Disk
from tests.servers.tied import tied

BEGIN = Offset(0)

CHILD_THAT_APPENDS = """
import asyncio, sys
from pathlib import Path
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.adapters.machine.clock import SystemClock
from replicator.model.event import Document

async def main():
    log = SqliteEventLog(Path(sys.argv[1]), SystemClock(), "prod")
    await log.acquire()
    number = 0
    async def one(first):
        data = [b"%d" % n for n in range(first, first + 10)]
        await log.append([Document(type="t", subject="s", data=d) for d in data])
        print(first, flush=True)
    while True:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(one(number))
                number += 10

asyncio.run(main())
"""

CHILD_THAT_READS = """
import asyncio, sys
from pathlib import Path
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.adapters.machine.clock import SystemClock

async def main():
    async with SqliteEventLog(Path(sys.argv[1]), SystemClock(), "prod", create=False) as log:
        for line in sys.stdin:
            records = await log.read(int(line), records_max=10)
            print(*[record.data.decode() for record in records], flush=True)

asyncio.run(main())
"""

CHILD_WITH_A_FILE_LIMIT = """
import asyncio, resource, sys
from pathlib import Path
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.adapters.machine.clock import SystemClock
from replicator.errors import TransientError
from replicator.model.event import Document

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    log = SqliteEventLog(Path(sys.argv[1]), SystemClock(), "prod")
    await log.acquire()
    stored = 0
    try:
        while True:
            await log.append([Document(type="t", subject="s", data=b"x" * 1000)] * 100)
            stored += 100
    except TransientError as exc:
        assert sys.argv[1] in str(exc), exc
        print(stored)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[SqliteEventLog]:
    async with opened(path) as log:
        await log.acquire()
        yield log


def opened(path: Path, source: str = "prod", **settings: Any) -> SqliteEventLog:
    return SqliteEventLog(path, SystemClock(), source, **settings)


def documents(*names: str, size_bytes: int = 0) -> Sequence[Document]:
    return [Document(type="t", subject=n, data=n.encode().ljust(size_bytes, b".")) for n in names]


async def contents(log: SqliteEventLog) -> list[bytes]:
    return [record.data for record in await log.read(BEGIN, records_max=1_000_000)]


def child(code: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        tied(sys.executable, "-c", code, str(path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


# ------------------------------------------------------------------------------------ durability


async def test_every_commit_reaches_the_disk(log: SqliteEventLog):
    """With synchronous=NORMAL a loss of power would lose appends that had returned."""

    def pragmas() -> dict[str, Any]:
        with log._writer.transaction("look") as connection:
            names = ("journal_mode", "synchronous", "fullfsync", "page_size")
            return {n: connection.execute(f"PRAGMA {n}").fetchone()[0] for n in names}

    found = await asyncio.wrap_future(log._write_thread.submit(pragmas))
    assert found == {"journal_mode": "wal", "synchronous": 2, "fullfsync": 1, "page_size": 16384}


async def test_a_killed_writer_loses_nothing_that_was_acknowledged(path: Path):
    for kill_after in (1, 23, 60):
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        with child(CHILD_THAT_APPENDS, path) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(kill_after)]
            process.send_signal(signal.SIGKILL)
            told += [int(line) for line in process.stdout if line.endswith("\n")]
        async with opened(path) as log:
            found = [int(data) for data in await contents(log)]
            firsts = found[::10]
            assert found == [n for first in firsts for n in range(first, first + 10)]
            assert set(told) <= set(firsts)
            assert await log.acquire() == 2
            await log.append(documents("after"))


async def test_waiting_appends_share_a_transaction(path: Path):
    """One fsync for many callers; every transaction asks the clock once, so times count them."""

    class Ticking:
        time = datetime(2024, 1, 1, tzinfo=UTC)

        def now(self) -> datetime:
            self.time += timedelta(seconds=1)
            return self.time

    async with SqliteEventLog(path, Ticking(), "prod") as log:
        await log.acquire()
        async with asyncio.TaskGroup() as group:
            for n in range(200):
                group.create_task(log.append(documents(f"{n}", f"{n}")))
        records = await log.read(BEGIN, records_max=1000)
    assert len(records) == 400
    assert len({record.appended_at for record in records}) < 50


async def test_a_shared_transaction_is_bounded(path: Path):
    async with opened(path, group_documents_max=10) as log:
        await log.acquire()
        async with asyncio.TaskGroup() as group:
            for n in range(50):
                group.create_task(log.append(documents(f"{n}", "x", "y")))
        assert len(await contents(log)) == 150


async def test_closing_ends_the_appends_under_way(path: Path):
    log = opened(path)
    await log.acquire()
    tasks = [asyncio.create_task(log.append(documents(f"{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await log.close()
    await asyncio.wait(tasks)
    async with opened(path) as again:
        assert len(await contents(again)) == 20


# ------------------------------------------------------------------------------- other processes


async def test_a_reader_in_another_process_sees_every_append(log: SqliteEventLog, path: Path):
    with child(CHILD_THAT_READS, path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("a", "b", "c"):
            offset = await log.append(documents(name))
            print(offset, file=process.stdin, flush=True)
            assert process.stdout.readline() == f"{name}\n"
        process.stdin.close()


async def test_a_reader_needs_no_writer_to_be_running(path: Path):
    async with opened(path) as writer:
        await writer.acquire()
        await writer.append(documents("a"))
    assert not path.with_name("events.db-wal").exists()
    async with opened(path, create=False) as reader:
        assert await contents(reader) == [b"a"]


async def test_a_transaction_of_another_process_is_waited_for_and_then_reported(path: Path):
    async with opened(path, busy_timeout_s=0.05) as log:
        await log.acquire()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(TransientError, match=f"{path}.*locked"):
                await log.append(documents("a"))
            assert await contents(log) == []
            other.execute("ROLLBACK")
        await log.append(documents("b"))
        assert await contents(log) == [b"b"]


async def test_two_processes_that_make_the_log_at_once_make_one(path: Path):
    logs = [opened(path) for _ in range(6)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(log.acquire()) for log in logs]
    assert sorted(task.result() for task in tasks) == [1, 2, 3, 4, 5, 6]
    assert len({(await log.span()).log_id for log in logs}) == 1
    for log in logs:
        await log.close()


async def test_what_a_killed_maker_of_the_log_left_is_undone_by_whoever_looks(path: Path):
    with closing(sqlite3.connect(path.with_name("begun"), isolation_level=None)) as begun:
        begun.execute("PRAGMA cache_size = 1")
        begun.execute("BEGIN")
        begun.execute("CREATE TABLE records (data BLOB)")
        begun.executemany("INSERT INTO records VALUES (?)", [(bytes(100_000),)] * 3)
        for end in ("", "-journal"):  # as a kill leaves them
            shutil.copy(path.with_name(f"begun{end}"), path.with_name(f"{path.name}{end}"))
    async with opened(path) as log:
        with pytest.raises(NotFoundError, match="no event log was made in it"):
            await log.span()
        assert await log.acquire() == 1
        assert (await log.span()).end == 0


# --------------------------------------------------------------------------------- foreign files


@contextmanager
def locked(path: Path, flags: int) -> Iterator[None]:
    """As another process holds it: a lock belongs to the opened file."""
    held = os.open(path, flags, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


async def test_a_lock_of_a_stranger_on_its_folder_delays_no_start(path: Path):
    with locked(path.parent, os.O_RDONLY | os.O_DIRECTORY):
        async with asyncio.timeout(20), opened(path) as log:
            assert await log.acquire() == 1


async def test_whoever_holds_up_the_making_of_the_log_is_named(path: Path):
    making, flags = path.with_name(f".{path.name}.making"), os.O_RDWR | os.O_CREAT
    with locked(making, flags):
        async with opened(path, busy_timeout_s=0.01) as log:
            with pytest.raises(TransientError, match="is locked by") as refused:
                await log.acquire()
        assert f"process {os.getpid()} (`" in str(refused.value)
    async with opened(path) as log:
        assert await log.acquire() == 1
        assert not making.exists()
        with locked(making, flags):
            assert await log.acquire() == 2, "where the log is there nothing is locked"


async def test_a_missing_file_is_not_found_and_not_made_for_a_reader(tmp_path: Path):
    path = tmp_path / "none" / "events.db"
    async with opened(path, create=False) as log:
        for call in (log.span(), log.read(BEGIN, records_max=1), log.acquire()):
            with pytest.raises(NotFoundError, match=r"events\.db"):
                await call
    assert not path.parent.exists()


async def test_an_empty_file_is_no_log_until_somebody_acquires(path: Path):
    path.touch()
    async with opened(path) as log:
        with pytest.raises(NotFoundError):
            await log.span()
        await log.acquire()
        assert (await log.span()).end == 0


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path):
    text = b"dear diary, " * 1000
    path.write_bytes(text)
    async with opened(path) as log:
        for call in (log.acquire(), log.span()):
            with pytest.raises(ConfigError, match=r"events\.db.*not a database"):
                await call
    assert path.read_bytes() == text


async def test_another_programs_database_is_refused_and_left_alone(path: Path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE meta (contacts TEXT)")
        other.commit()
    before = path.read_bytes()
    async with opened(path) as log:
        for call in (log.acquire(), log.span()):
            with pytest.raises(ConfigError, match="another program"):
                await call
    assert path.read_bytes() == before


async def test_the_log_of_another_source_is_refused(log: SqliteEventLog, path: Path):
    async with opened(path, source="staging") as other:
        for call in (other.acquire(), other.read(BEGIN, records_max=1)):
            with pytest.raises(ConfigError, match=r"'prod'.*'staging'"):
                await call
    await log.append(documents("a"))


async def test_another_format_version_is_refused(path: Path):
    async with opened(path) as log:
        await log.acquire()
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE meta SET format_version = 7")
        other.commit()
    async with opened(path) as log:
        with pytest.raises(ConfigError, match="format version 7"):
            await log.acquire()


async def test_a_damaged_file_is_corruption(path: Path):
    async with opened(path) as log:
        await log.acquire()
        await log.append(documents(*map(str, range(1000)), size_bytes=500))
    data = bytearray(path.read_bytes())
    data[100_000:300_000] = b"\xa5" * 200_000
    path.write_bytes(data)
    async with opened(path) as log:
        with pytest.raises(CorruptionError, match=r"events\.db.*malformed"):
            await log.read(BEGIN, records_max=1_000)


# ------------------------------------------------------------------------- a file that goes away


async def test_a_log_that_was_removed_takes_no_more_appends(log: SqliteEventLog, path: Path):
    """They would go to a file without a name, and be lost when it is closed."""
    await log.append(documents("a"))
    for file in path.parent.glob("events.db*"):
        file.unlink()
    with pytest.raises(NotFoundError):
        await log.append(documents("b"))
    with pytest.raises(NotFoundError):
        await log.span()
    assert not path.exists()


async def test_another_log_in_its_place_is_not_written_to(log: SqliteEventLog, path: Path):
    """Both are at epoch 1, so the epoch alone would let the writer go on."""
    await log.append(documents("a"))
    for file in path.parent.glob("events.db*"):
        file.rename(file.with_name(f"old-{file.name}"))
    async with opened(path) as other:
        assert await other.acquire() == 1
        with pytest.raises(FencedError):
            await log.append(documents("b"))
        assert await contents(log) == []
        await other.append(documents("c"))
        assert await contents(log) == [b"c"]


# --------------------------------------------------------------------------------- full disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount") or "mount"
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", str(folder)], check=True)


async def filled(log: SqliteEventLog) -> None:
    for _ in range(10):
        await log.append(documents(*["big"] * 1000, size_bytes=1000))


async def test_a_full_disk_stores_nothing_by_halves_and_the_log_goes_on_after_it(small_disk: Path):
    path = small_disk / "events.db"
    async with opened(path) as log:
        await log.acquire()
        await log.append(documents("before", size_bytes=1000))
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 3_000_000)
        with pytest.raises(TransientError, match=f"{path}.*full"):
            await filled(log)
        count = len(await contents(log))
        assert count % 1000 == 1
        with pytest.raises(OSError, match="No space"):
            (small_disk / "rest").write_bytes(b"x" * 4_000_000)
        (said,) = await log.obstacles()
        assert f"{path}: its disk is full" in said.what
        assert (await log.keeping()).threat == said, "a beat cannot be written, and status says why"
        ballast.unlink()
        assert (await log.keeping(), await log.obstacles()) == (Keeping(), [])
        assert await log.append(documents("after")) == count
        assert len(await contents(log)) == count + 1


async def test_a_disk_that_became_read_only_is_waited_for(tmp_path: Path):
    """By a writer that has the log open, and by one that opens it only now."""
    disk = Disk(tmp_path / "disk", tmp_path / "image")
    if not disk.make():
        pytest.skip("only root can mount a disk")
    path = disk.folder / "events.db"
    try:
        async with opened(path) as log:
            await log.acquire()
            await log.append(documents("before"))
            disk.abort()
            for _ in range(3):
                with pytest.raises(TransientError, match=str(path)) as caught:
                    await log.append(documents("lost"))
                assert "read-only" in caught.value.hint
            threat = (await log.keeping()).threat
            assert threat is not None
            assert "read-only" in threat.what
        disk.repair()
        async with opened(path) as log:
            assert len(await contents(log)) == 1
            await log.acquire()
            assert await log.append(documents("after")) == 1
    finally:
        disk.remove()


async def test_a_file_that_may_not_grow_is_reported_with_its_name(path: Path):
    with child(CHILD_WITH_A_FILE_LIMIT, path) as process:
        assert process.stdout is not None
        stored = int(process.stdout.read())
    async with opened(path) as log:
        assert len(await contents(log)) == stored


async def test_a_read_is_bounded_in_bytes(path: Path):
    async with opened(path, read_bytes_max=100_000) as log:
        await log.acquire()
        await log.append(documents(*map(str, range(1000)), size_bytes=1000))
        records = await log.read(BEGIN, records_max=1000)
        assert 100 <= len(records) < 300
        rest = await log.read(Offset(len(records)), records_max=1000)
        assert rest[0].offset == len(records)


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("plant", [os.link, os.symlink])
async def test_sqlite_writes_into_no_file_elsewhere(
    tmp_path: Path, end: str, plant: Callable[[Path, Path], None]
):
    """Who can write to the folder gives a file of this user a second name beside the log."""
    path, elsewhere = tmp_path / "prod.log", tmp_path / "elsewhere"
    async with SqliteEventLog(path, SystemClock(), "prod") as log:
        await log.acquire()
    elsewhere.write_bytes(b"precious")
    plant(elsewhere, Path(f"{path}{end}"))
    async with SqliteEventLog(path, SystemClock(), "prod") as log:
        with pytest.raises(ConfigError, match=f"{end} is a link"):
            await log.acquire()
    assert elsewhere.read_bytes() == b"precious"


@pytest.mark.parametrize("kind", ["pipe", "link", "large", "socket"])
async def test_what_stands_in_a_notes_place_is_neither_followed_nor_waited_for(
    path: Path, kind: str
):
    """Where others can make files beside the log, a pipe held its reading thread for ever."""
    async with opened(path) as log:
        await log.acquire()
        for place in (notes._pulse(path, "watch"), notes._store(path, "standby")):
            match kind:
                case "pipe":
                    os.mkfifo(place)
                case "link":
                    (path.parent / "note").write_bytes(b'{"format": 1, "store": "theirs"}')
                    place.symlink_to(path.parent / "note")
                case "large":
                    with place.open("wb") as file:
                        file.truncate(1 << 30)
                case _:
                    os.mknod(place, stat.S_IFSOCK | 0o600)  # bind() takes no long path
        assert pulse_of(await log.heard("watch") or b"") is None
        with pytest.raises(CorruptionError, match=r"-store-standby\.json cannot be read"):
            await log.reported("standby")
        await log.beat("watch", b"{}")
        assert await log.heard("watch") == b"{}"
