"""Full disks, and a restore that is killed while it copies bytes and while it writes rows."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from time import monotonic

import asyncpg
import pytest
import yaml

from replicator.model.row import Segment
from tests.acceptance.test_killed import World, restored, restoring, set_up
from tests.folders import files_below
from tests.integration.druid_on_postgresql import DruidOnPostgresql
from tests.integration.test_every_cut import present_rows
from tests.servers.postgresql import WAITS_FOR_A_LOCK, Postgresql, connected
from tests.servers.process import Processes, Running
from tests.simulation.druid import ROOT

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

LARGE_BYTES = 60 << 20
"""Enough to be killed in the middle of its copy, and not so many more than its row says that it
would be a gap."""
FULL_BYTES = 16 << 20
"""Enough for a disk that is full in the middle of it."""
WRITTEN = 60


@pytest.fixture
async def world(postgresql: Postgresql, tmp_path: Path, forks: Processes) -> AsyncIterator[World]:
    log = {"type": "sqlite", "path": str(tmp_path / "log.sqlite")}
    async with postgresql.database() as source, postgresql.database() as target:
        path = set_up(tmp_path, source, target, log)
        found = yaml.safe_load(path.read_text())
        found["targets"]["standby"]["rows_per_batch_max"] = 3
        path.write_text(yaml.safe_dump(found))
        druid = DruidOnPostgresql(Random(5), source, tmp_path / "source")
        for _ in range(WRITTEN):
            await druid.step()
        yield World(tmp_path, path, druid, target, forks, Random(5))


async def first_that(world: World, *args: str, limits: range) -> tuple[int, int]:
    """Run a command with files that may be larger each time; return the first exit codes seen."""
    codes = []
    for limit in limits:
        ended = await world.processes.run(
            *args, "--config", str(world.config), file_bytes_max=limit
        )
        codes.append(ended.code)
        if ended.code == 0:
            break
        assert ended.code == 8, ended.err
        assert str(world.folder) in ended.err
    return codes[0], codes[-1]


async def test_a_full_disk_under_the_log_loses_nothing_and_the_next_start_goes_on(world: World):
    """Wherever the disk is full: while the log is made, in the middle of a cut, at its end."""
    codes = await first_that(world, "watch", "--once", limits=range(1_000, 2_000_000, 40_000))
    assert codes == (8, 0)

    for _ in range(WRITTEN):
        await world.druid.step()
    await world.settles()


async def test_a_full_disk_under_a_target_leaves_it_at_its_cut(world: World):
    large = large_object(world, FULL_BYTES)
    assert (await world.types("watch", "--once")).code == 0
    ended = await world.processes.run(
        "apply", "standby", "--once", "--config", str(world.config), file_bytes_max=FULL_BYTES // 2
    )
    assert ended.code == 8, ended.err
    assert str(world.folder / "target") in ended.err
    assert await present_rows(world.target_dsn) == {}
    assert not (world.folder / "target" / large).exists()

    for args in (("apply", "standby", "--once"), ("verify", "standby", "--level", "checksum")):
        ended = await world.types(*args)
        assert ended.code == 0, ended.err


async def test_a_restore_killed_while_it_copies_bytes_leaves_no_row(world: World):
    assert (await world.types("watch", "--once")).code == 0
    offset = (await world.types("points", "--json")).result["points"][-1]["offset"]
    large = large_object(world, LARGE_BYTES)
    seen: set[Path] = set()
    for _ in range(3):
        process = await world.starts(*restoring(offset))
        seen |= await begun(process, world.folder / "target")
        assert (await process.kill()).code == -9
        assert await present_rows(world.target_dsn) == {}
        assert not (world.folder / "target" / large).exists(), "a part of an object is visible"
    assert seen

    await is_restored(world, offset)
    assert (world.folder / "target" / large).stat().st_size == LARGE_BYTES


async def test_a_restore_killed_while_it_writes_rows_leaves_no_row(world: World):
    """Somebody holds one of the rows, so that the transaction stands still in its middle."""
    assert (await world.types("watch", "--once")).code == 0
    offset = (await world.types("points", "--json")).result["points"][-1]["offset"]
    async with connected(world.target_dsn) as connection:
        held = connection.transaction()
        await held.start()
        await hold_last_segment(world, connection)
        process = await world.starts(*restoring(offset))
        await waits_for_a_row(process, world.target_dsn)
        assert (await process.kill()).code == -9
        await held.rollback()
    assert await present_rows(world.target_dsn) == {}

    await is_restored(world, offset)


async def is_restored(world: World, offset: int) -> None:
    ended = await restored(world, offset)
    assert ended.code == 0, ended.err
    proof = await world.types("verify", "standby", "--level", "checksum", "--json")
    assert proof.code == 0, proof.out
    rows = await present_rows(world.target_dsn)
    assert {key.key for key in rows} >= {id_ for id_, _ in segments(world)}


def segments(world: World) -> list[tuple[str, str]]:
    """Id and place of the source's segments that have bytes."""
    rows = [row for row in world.druid.now_held()[0].values() if isinstance(row, Segment)]
    paths = [(row.id, json.loads(row.payload)["loadSpec"].get("path")) for row in rows]
    return [(id_, path.removeprefix(f"{ROOT}/")) for id_, path in paths if path]


def large_object(world: World, size_bytes: int) -> str:
    """Make one of the source's objects take a while to copy; return its path below the root."""
    _, place = segments(world)[-1]
    file = next((world.folder / "source" / place).iterdir())
    os.truncate(file, size_bytes)
    return f"{place}{file.name}"


async def begun(process: Running, root: Path) -> set[Path]:
    """Wait until a part of the large object is in the target; return where it is."""
    while process.is_running:
        parts = {path for path in files_below(root) if is_large(path)}
        if parts:
            return parts
        await asyncio.sleep(0.005)
    raise AssertionError(process.err)


def is_large(path: Path) -> bool:
    try:
        return path.stat().st_size > 1 << 20
    except FileNotFoundError:  # renamed meanwhile
        return False


async def hold_last_segment(world: World, connection: asyncpg.Connection) -> None:
    id_, _ = segments(world)[-1]
    await connection.execute(
        'INSERT INTO druid_segments (id, datasource, created_date, start, "end", partitioned,'
        " version, used, used_status_last_updated, payload)"
        " VALUES ($1, 'x', 'x', 'x', 'x', true, 'x', true, 'x', 'x')",
        id_,
    )


async def waits_for_a_row(process: Running, dsn: str) -> None:
    limit_s = monotonic() + 60
    async with connected(dsn) as connection:
        while process.is_running and monotonic() < limit_s:
            if await connection.fetchval(
                f"SELECT count(*) FROM pg_stat_activity WHERE {WAITS_FOR_A_LOCK}"
            ):
                return
            await asyncio.sleep(0.02)
    raise AssertionError(process.err)
