"""An archive of many small commits, whose files are merged while it is used and processes die.

Everything is typed, but for the end of the time for which merged files stay beside each other.
"""

import asyncio
from typing import Any

import pytest

from replicator import config
from replicator.app import Application
from replicator.model.store.archive import HISTORY, is_merged
from tests.acceptance.test_cli import User, user
from tests.acceptance.test_clouds import ENV, clouds
from tests.acceptance.test_signed_archive import Vault, new_key, storage_of
from tests.acceptance.test_store_alone import edited
from tests.servers.postgresql import connected, execute

__all__ = ["clouds", "user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("stores"),
]

COMMITS = 14
TOUCH = """UPDATE druid_segments SET used_status_last_updated = '2026-01-01T00:00:{:02}.000Z'
    WHERE id = (SELECT id FROM druid_segments ORDER BY id LIMIT 1)"""
TOUCHED = "SELECT used_status_last_updated FROM druid_segments ORDER BY id LIMIT 1"


class MergedVault(Vault):
    """A vault whose files are merged six at a time."""

    def signs(self, **settings: Any) -> None:
        super().signs(**settings)

        def few(found: dict[str, Any]) -> None:
            found["targets"]["vault"]["history"] = {"merge_files": 6}

        edited(self.user, few)

    async def files(self) -> tuple[int, int]:
        """How many files of the history there are as they were written, and merged ones."""
        async with self.behind() as storage:
            names = [*await storage.area().names(f"{HISTORY}/")]
        merged = sum(map(is_merged, names))
        return len(names) - merged, merged

    async def commit(self, number: int) -> None:
        await execute(self.user.source, TOUCH.format(number))
        await self.is_fine("watch", "--once")
        await self.is_fine("apply", "vault", "--once")

    async def runs_until_killed(self, merged: int) -> None:
        """Start `run`, and kill it as soon as there are so many merged files."""
        running = await self.user.forks.start(
            "run", "--target", "vault", "--config", str(self.user.config), env=ENV
        )
        while (await self.files())[1] < merged:
            assert running.is_running, running.err
            await asyncio.sleep(0.2)
        await running.kill()

    async def drops_what_was_merged(self) -> None:
        """What `run` does ten minutes later."""
        async with Application(
            config.load(self.user.config, ENV), environ=ENV, observer=lambda _: None
        ) as application:
            merger = (await application.pipeline("vault")).history_merger(stay_s=0.0)
            await merger.merge()


@pytest.mark.parametrize("where", ["local", "s3"])
async def test_an_archive_of_small_commits(user: User, request: pytest.FixtureRequest, where: str):
    vault = MergedVault(user, storage_of(user, request, where))
    key = user.folder / "vault.pem"
    new_key(key)
    vault.signs(key_file=str(key))
    await vault.cut("1-history")
    for number in range(COMMITS):
        await vault.commit(number)
    points = (await vault.is_fine("points", "--from", "vault", "--all", "--json")).result
    offsets = [point["offset"] for point in points["points"]]
    assert len(offsets) == COMMITS + 1
    held = ("--to-offset", str(offsets[3]), "--reason", "a base in the middle")
    await vault.is_fine("hold", "create", "middle", "--on", "vault", *held)

    assert await vault.files() == (COMMITS, 0)
    await vault.runs_until_killed(2)
    assert await vault.files() == (COMMITS, 2), "both are there"
    await proves_and_restores(vault, offsets)
    await vault.drops_what_was_merged()
    assert await vault.files() == (COMMITS - 9, 2), "three up to the hold's base, and six"
    await proves_and_restores(vault, offsets)
    await vault.commit(COMMITS)
    drilled = await vault.types("drill", "vault", "--json")
    assert drilled.code == 0, drilled.out + drilled.err
    expired = await vault.types("expire", "vault", "--retention", "1s", "--yes", "--json")
    assert expired.code == 0, expired.out + expired.err
    await vault.is_fine("verify", "vault", "--from", "vault", "--level", "checksum")


async def proves_and_restores(vault: MergedVault, offsets: list[int]) -> None:
    """Cuts before, at the edges of, within and after what was merged: each is what it was."""
    await vault.is_fine("verify", "vault", "--from", "vault", "--level", "checksum")
    for at in (1, 3, 6, COMMITS):
        await vault.is_fine(
            *("restore", "--from", "vault", "--into", "standby", "--yes"),
            *("--to-offset", str(offsets[at])),
        )
        async with connected(vault.user.target) as connection:
            touched = await connection.fetchval(TOUCHED)
        assert touched == f"2026-01-01T00:00:{at - 1:02}.000Z"
