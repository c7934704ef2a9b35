"""The script that `undelete --on-source` prints, run against a real Druid."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.druids import Cluster, User, cluster, write_config
from tests.servers.druid import Row
from tests.servers.postgresql import Postgresql, execute
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("jvms"),
]
DAY = "2024-01-01/2024-01-02"
QUERY = 'SELECT COUNT(*) AS "rows", SUM(n) AS "sum" FROM "orders"'


@dataclass
class Source:
    """A Druid whose operator has the log of its changes, and no target."""

    druid: Cluster
    user: User
    folder: Path

    async def cut(self) -> int:
        """Return where the source as it is now is closed in the log."""
        await self.user.does("watch", "--once")
        return int((await self.user.status())["log"]["last_cut_offset"])

    async def script(self, offset: int) -> str:
        said = await self.user.types(
            "undelete", "orders", "--on-source", "--to-offset", str(offset)
        )
        assert said.code in {0, 3}, said.err
        return said.out

    async def ran(self, script: str) -> tuple[int, str]:
        path = self.folder / "undelete.sh"
        path.write_text(script)
        done = await asyncio.create_subprocess_exec(
            *("sh", str(path)),
            env={**os.environ, "OVERLORD": self.druid.druid.url("coordinator")},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await done.communicate()
        assert done.returncode is not None
        return done.returncode, said.decode()

    async def answers(self, wanted: dict[str, int]) -> None:
        found: list[Any] = []
        try:
            async with asyncio.timeout(60):
                while (found := await self.druid.client.sql_or_nothing(QUERY)) != [wanted]:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"wanted {wanted}, found {found}") from None


@pytest.fixture
async def source(
    postgresql: Postgresql, druid_folder: Path, forks: Processes
) -> AsyncIterator[Source]:
    async with cluster("source", druid_folder, postgresql) as druid:
        log = {"type": "sqlite", "path": str(druid_folder / "log.sqlite")}
        config = await write_config(druid_folder, druid, {}, log)
        yield Source(druid, User(config, forks, druid, druid), druid_folder)


def rows(n: int) -> list[Row]:
    times = [f"2024-01-01T0{hour}:00:00.000Z" for hour in range(5)]
    return [{"__time": time, "page": "a", "n": n} for time in times]


async def test_a_bad_overwrite_is_undone_a_moment_later(source: Source):
    """The rows that it hides are still used then: Druid leaves them so for a quarter of an hour."""
    await source.druid.client.load("orders", rows(1), interval=DAY)
    await source.answers({"rows": 5, "sum": 5})
    before = await source.cut()
    await source.druid.client.load("orders", rows(9)[:1], interval=DAY)
    await source.answers({"rows": 1, "sum": 9})
    await source.cut()

    code, said = await source.ran(await source.script(before))
    assert code == 0, said
    await source.answers({"rows": 5, "sum": 5})


async def test_a_call_that_is_refused_says_why_and_the_next_script_goes_on(source: Source):
    await source.druid.client.load("orders", rows(1), interval=DAY)
    await source.druid.client.load("orders", rows(2), interval=DAY, append=True)
    await source.answers({"rows": 10, "sum": 15})
    before = await source.cut()
    await source.druid.client.mark_unused("orders", DAY)
    await source.cut()
    script = await source.script(before)
    gone = "DELETE FROM druid_segments WHERE id = (SELECT max(id) FROM druid_segments)"
    await execute(source.druid.dsn, gone)  # a kill, of which the log does not know yet

    code, said = await source.ran(script)
    assert code != 0
    assert "orders_2024" in said, "the Overlord's own words"
    await source.cut()
    code, said = await source.ran(await source.script(before))
    assert code == 0, said
    await source.answers({"rows": 5, "sum": 5})
