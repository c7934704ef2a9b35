"""Full disks of a real MariaDB: that of its data, of its binary log and of what is temporary."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from replicator.adapters.mysql.reader import MysqlMetadataReader
from replicator.adapters.mysql.writer import MysqlMetadataWriter
from replicator.errors import TransientError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import CutNumber, Offset
from replicator.model.fingerprint import Digest
from replicator.model.inventory.ledger import items
from replicator.model.row import Kind
from replicator.model.versions import NoVersions
from replicator.ports import Chunk
from tests.builders import config_entry
from tests.servers.disk import Disk
from tests.servers.mariadb import BINLOG, Mariadb

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(600)]

SOURCE = "east"
LOG_OPTION, *OTHERS = BINLOG
ROWS, ROW_BYTES = 500, 20_000
WAIT_S = 3.0
"""So long a server may wait for somebody to free space for a statement."""
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: that of a socket has a limit."""
    folder = Path(tempfile.mkdtemp(prefix="full-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def disk(short: Path) -> Iterator[Disk]:
    found = Disk(short / "d", short / "image")
    if not found.make():
        pytest.skip("only root can mount disks")
    yield found
    found.remove()


@dataclass
class Stage:
    """A target with a cut on a server, one of whose disks is small."""

    server: Mariadb
    disk: Disk
    target: MysqlMetadataWriter
    source: MysqlMetadataReader

    async def write(self, offset: int, rows: int) -> None:
        """Bring the target to a cut."""
        held = await self.target.acquire(SOURCE)
        async with self.target.transaction(SOURCE, held.epoch) as transaction:
            for start in range(0, rows, 100):
                names = range(start, min(rows, start + 100))
                await transaction.upsert(
                    [config_entry(f"{offset}-{name}", payload=bytes(ROW_BYTES)) for name in names]
                )
            await transaction.record(checkpoint(offset), [])

    async def holds(self) -> tuple[int, Checkpoint | None]:
        """How many rows there are, and of which cut."""
        chunks: list[Chunk] = []
        async with self.source.snapshot() as snapshot:
            await snapshot.scan(Kind.CONFIG, chunks.append)
        count = sum(len(list(items(chunk.keys))) for chunk in chunks)
        return count, (await self.target.state(SOURCE)).checkpoint


def checkpoint(offset: int) -> Checkpoint:
    return Checkpoint(
        source=SOURCE,
        log_id="log-1",
        offset=Offset(offset),
        cut=CutNumber(offset),
        source_time=NOW,
        digest=Digest(offset),
        paused=False,
    )


@asynccontextmanager
async def stage(disk: Disk, folder: Path, *options: str) -> AsyncIterator[Stage]:
    """Start a server, and bring a target on it to its first cut."""
    server = Mariadb(folder, *OTHERS, *options)
    server.start()
    try:
        async with server.database() as dsn:
            target = MysqlMetadataWriter(dsn, statement_timeout_s=WAIT_S)
            found = Stage(server, disk, target, MysqlMetadataReader(dsn))
            await found.write(1, 10)
            yield found
    finally:
        server.stop()


async def fails_and_goes_on(stage: Stage, *, left_bytes: int) -> TransientError:
    """Fill the disk under a large cut: it fails, and the next try succeeds on a freed disk."""
    stage.disk.fill(left_bytes=left_bytes)
    with pytest.raises(TransientError) as found:
        await stage.write(2, ROWS)
    stage.disk.empty()
    if not await answers(stage):
        stage.server.restart()
    assert await stage.holds() == (10, checkpoint(1)), "nothing is lost, and nothing half there"
    await stage.write(2, ROWS)
    assert await stage.holds() == (10 + ROWS, checkpoint(2))
    return found.value


async def answers(stage: Stage) -> bool:
    try:
        await stage.target.state(SOURCE)
    except TransientError:
        return False
    return True


async def test_the_disk_of_the_binary_log(disk: Disk, short: Path):
    """The cut fails as it is committed: that is where a transaction is logged."""
    async with stage(disk, short, f"--log-bin={disk.folder / 'log'}") as on:
        error = await fails_and_goes_on(on, left_bytes=100_000)
        async with on.source.snapshot() as snapshot:
            lineage = snapshot.lineage
    assert isinstance(lineage, NoVersions), "the log is shorter than the server takes it for"
    assert "FLUSH BINARY LOGS" in lineage.reason
    assert "No space left on device" in str(error)
    assert "a disk of the server is full" in str(error)
    assert "binary log" in error.hint


async def test_the_disk_of_what_is_temporary(disk: Disk, short: Path):
    """A large transaction is kept there until it is logged."""
    async with stage(disk, short, LOG_OPTION, f"--tmpdir={disk.folder}") as on:
        error = await fails_and_goes_on(on, left_bytes=100_000)
    assert str(disk.folder) in str(error)
    assert "a disk of the server is full" in str(error)
    assert "tmpdir" in error.hint


@pytest.mark.parametrize("left_bytes", [1_000_000, 9_000_000])
async def test_the_disk_of_the_data(disk: Disk, short: Path, left_bytes: int):
    """Where a rollback has no room either, the server ends itself; its log says why."""
    options = (f"--log-bin={short / 'log'}", f"--tmpdir={short}")
    async with stage(disk, disk.folder, *options) as on:
        error = await fails_and_goes_on(on, left_bytes=left_bytes)
        ended = "Out of disk space) in rollback" in on.server.server.log.read_text()
    said = "a disk of the server is full" in str(error)
    assert said or (ended and "full disk" in error.hint), error
