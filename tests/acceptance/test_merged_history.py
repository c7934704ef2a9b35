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
from tests.acceptance.test_store_alone import edited, rows
from tests.rings import IS_LONG
from tests.servers.postgresql import execute

__all__ = ["clouds", "user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("stores"),
]

COMMITS = 14
TURN = """UPDATE druid_segments SET used = NOT used
    WHERE id = (SELECT id FROM druid_segments ORDER BY id OFFSET {} LIMIT 1)"""


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
        """Change one segment, so that the source is never twice the same: a Gray code."""
        segment = (number & -number).bit_length() - 1
        await execute(self.user.source, TURN.format(segment))
        await self.is_fine("watch", "--once")
        await self.is_fine("apply", "vault", "--once")

    async def runs_until_killed(self, merged: int) -> None:
        """Merge as `run` does, killed as soon as there are so many merged files.

        `run` would begin with a cut of its own, which is applied before the kill or is not.
        """
        running = await self.user.forks.start(
            "apply", "vault", "--config", str(self.user.config), env=ENV
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


@pytest.mark.parametrize("where", ["local", pytest.param("s3", marks=pytest.mark.long)])
async def test_an_archive_of_small_commits(user: User, request: pytest.FixtureRequest, where: str):
    vault = MergedVault(user, storage_of(user, request, where))
    key = user.folder / "vault.pem"
    new_key(key)
    vault.signs(key_file=str(key))
    await vault.cut("1-history")
    states = [await rows(user.source)]
    for number in range(1, COMMITS + 1):
        await vault.commit(number)
        states.append(await rows(user.source))
    points = (await vault.is_fine("points", "--from", "vault", "--all", "--json")).result
    offsets = [point["offset"] for point in points["points"]]
    held = dict(zip(offsets, states, strict=True))
    middle = ("--to-offset", str(offsets[3]), "--reason", "a base in the middle")
    await vault.is_fine("hold", "create", "middle", "--on", "vault", *middle)

    assert await vault.files() == (COMMITS, 0)
    await vault.runs_until_killed(2)
    assert await vault.files() == (COMMITS, 2), "both are there"
    await proves_and_restores(vault, held)
    await vault.drops_what_was_merged()
    assert await vault.files() == (COMMITS - 9, 2), "three up to the hold's base, and six"
    await proves_and_restores(vault, held)
    await vault.commit(COMMITS + 1)
    if IS_LONG:
        await vault.is_fine("drill", "vault", "--json")
    expired = await vault.types("expire", "vault", "--retention", "1s", "--yes", "--json")
    assert expired.code == 0, expired.out + expired.err
    await vault.is_fine("verify", "vault", "--from", "vault", "--level", "checksum")


async def proves_and_restores(vault: MergedVault, held: dict[int, list[tuple[Any, ...]]]) -> None:
    """Cuts at the edges of, within and after what was merged: each is what it was."""
    await vault.is_fine("verify", "vault", "--from", "vault", "--level", "checksum")
    for at in (1, 3, 6, COMMITS):
        offset = [*held][at]
        await vault.is_fine(
            *("restore", "--from", "vault", "--into", "standby", "--yes"),
            *("--to-offset", str(offset)),
        )
        assert await rows(vault.user.target) == held[offset]
