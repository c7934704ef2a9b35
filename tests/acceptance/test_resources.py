"""The first cut of a large source, in bounded memory and with few file descriptors."""

import asyncio
import resource
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from bench.memory import peak_bytes, resident_bytes
from tests.acceptance.test_cli import User, user
from tests.rings import times
from tests.servers.postgresql import connected
from tests.servers.process import Running

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(7200)]

ROWS, OBJECTS = times(3_000, 1_000_000), times(300, 100_000)
DATASOURCES = 300
IDLE_DESCRIPTORS_MAX, DESCRIPTORS_ABOVE_IDLE = 32, 64
"""Of a `run` with one target: what it has open at rest, and what it may open beside."""
MIB = 1 << 20
BYTES_A_ROW_MAX, BYTES_FIXED_MAX = 400, 256 * MIB
"""Above what the process takes after its imports, its workers included."""

# Segment n: every (rows/objects)th has bytes, the others are tombstones, which need none.
FILL = """
WITH numbered AS (
    SELECT n, 'ds_' || n % $2 AS datasource,
           timestamp '2015-01-01' + n / $2 * interval '1 hour' AS hour
    FROM generate_series(0, $1::bigint - 1) AS n
), timed AS (
    SELECT n, datasource, to_char(hour, 'YYYY-MM-DD"T"HH24:00:00.000"Z"') AS start,
           to_char(hour + interval '1 hour', 'YYYY-MM-DD"T"HH24:00:00.000"Z"') AS "end",
           '2026-01-01T00:00:00.000Z' AS version
    FROM numbered
), named AS (
    SELECT *, datasource || '_' || start || '_' || "end" || '_' || version AS id FROM timed
)
INSERT INTO druid_segments (id, datasource, created_date, start, "end", partitioned, version, used,
                            payload, used_status_last_updated)
SELECT id, datasource, version, start, "end", true, version, true, convert_to(format(
    '{"dataSource":"%s","interval":"%s/%s","version":"%s","loadSpec":%s,"dimensions":"a,b",'
    '"metrics":"count","shardSpec":{"type":"%s"},"binaryVersion":9,"size":%s,"identifier":"%s"}',
    datasource, start, "end", version,
    CASE WHEN n % $3 = 0
         THEN '{"type":"local","path":"' || $4 || '/' || n / $3 % 1000 || '/' || n || '/index.zip"}'
         ELSE '{"type":"tombstone","path":null}' END,
    CASE WHEN n % $3 = 0 THEN 'none' ELSE 'tombstone' END,
    CASE WHEN n % $3 = 0 THEN 4 ELSE 1 END, id), 'UTF8'), version
FROM named
"""


def zipped() -> bytes:
    found = BytesIO()
    with zipfile.ZipFile(found, "w") as file:
        file.writestr("version.bin", b"\0\0\0\x09")
    return found.getvalue()


async def filled(user: User) -> None:
    """Give the source its rows, and the bytes of those that have any."""
    every, data = ROWS // OBJECTS, zipped()
    root = user.folder / "source"
    for number in range(0, ROWS, every):
        place = root / str(number // every % 1000) / str(number)
        place.mkdir(parents=True)
        (place / "index.zip").write_bytes(data)
    async with connected(user.source) as connection:
        await connection.execute("ALTER TABLE druid_segments SET (autovacuum_enabled = false)")
        await connection.execute(FILL, ROWS, DATASOURCES, every, str(root), timeout=3600)


@dataclass
class Used:
    """What a process and its children had at most."""

    descriptors: int = 0
    memory: int = 0

    def look(self, pid: int) -> None:
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            count = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            self.descriptors = max(self.descriptors, count)
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            self.memory = max(self.memory, sum(map(peak_bytes, (pid, *map(int, children)))))


@asynccontextmanager
async def watched(running: Running) -> AsyncIterator[Used]:
    used = Used()

    async def look() -> None:
        while running.is_running:
            used.look(running.pid)
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(look())
        yield used
        task.cancel()


async def test_the_first_cut_of_a_large_source(user: User):
    """64 descriptors above idle are enough, and memory grows by some hundred bytes a row."""
    await filled(user)
    running = await user.starts("run")
    limit = IDLE_DESCRIPTORS_MAX + DESCRIPTORS_ABOVE_IDLE
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (limit, limit))
    memory = resident_bytes(running.pid)
    async with watched(running) as used:
        await running.says("first filling done", within_s=7000)
    async with watched(running) as at_rest:
        await asyncio.sleep(1)
    ended = await running.terminate()
    assert ended.code == 0, ended.err

    async with connected(user.target) as connection:
        assert await connection.fetchval("SELECT count(*) FROM druid_segments") == ROWS
    assert sum(1 for _ in (user.folder / "target").rglob("index.zip")) == OBJECTS
    above, descriptors = used.memory - memory, used.descriptors - at_rest.descriptors
    print(
        f"{ROWS} rows, {OBJECTS} objects: {descriptors} descriptors above {at_rest.descriptors} at"
        f" rest, {above / MIB:.0f} MiB above {memory / MIB:.0f} at the start"
    )
    assert at_rest.descriptors <= IDLE_DESCRIPTORS_MAX
    assert above <= BYTES_FIXED_MAX + BYTES_A_ROW_MAX * ROWS
    assert "waiting" not in ended.err, "nothing failed for want of descriptors"
