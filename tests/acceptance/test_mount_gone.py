"""A mount under one target's store answers nothing any more: the others know nothing of it."""

import asyncio
import json
import signal
from pathlib import Path
from random import Random

import pytest
import yaml

from replicator.errors import NotFoundError
from tests.acceptance.test_killed import World, set_up
from tests.integration.druid_on_postgresql import DruidOnPostgresql
from tests.integration.test_every_cut import TargetState
from tests.servers.hung_mount import hung_mount
from tests.servers.postgresql import Postgresql
from tests.servers.process import Ended, Processes, Running

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
ANSWER_S, DRAIN_S = 1.0, 1.0
FOLLOWS_WITHIN_S = 60.0


async def follows(world: World) -> None:
    """The standby becomes what the source is."""
    wanted = TargetState(*world.druid.now_held())
    async with asyncio.timeout(FOLLOWS_WITHIN_S):
        while True:
            try:
                await world.target_is(wanted)
            except (AssertionError, NotFoundError):  # there is no log yet
                await asyncio.sleep(0.2)
            else:
                return


async def vault_follows(world: World) -> bool:
    """Whether `status` can look at it, and it has all cuts."""
    found = json.loads((await world.types("status", "--json")).out)["result"]["targets"]
    return any(one["target"] == "vault" and one["lag_records"] == 0 for one in found)


async def stopped(running: Running) -> Ended:
    running.signal(signal.SIGTERM)
    return await running.ended(within_s=DRAIN_S + 30)


async def test_a_mount_that_is_gone_stops_what_needs_it_alone(
    postgresql: Postgresql, tmp_path: Path, forks: Processes
):
    vault = tmp_path / "vault"
    vault.mkdir()
    async with postgresql.database() as source, postgresql.database() as target:
        path = set_up(tmp_path, source, target, {"type": "sqlite", "path": str(tmp_path / "log")})
        settings = yaml.safe_load(path.read_text())
        storage = {"type": "local", "root": str(vault), "answer_timeout_s": ANSWER_S}
        settings["targets"]["vault"] = {"deep_storage": storage, "apply_interval_s": 0.05}
        settings["drain_s"] = DRAIN_S
        path.write_text(yaml.safe_dump(settings))
        rng = Random(path.name)
        druid = DruidOnPostgresql(rng, source, tmp_path / "source")
        world = World(tmp_path, path, druid, target, forks, rng)
        said = f"the folder {vault} did not answer within {ANSWER_S:g} s"

        running = await world.starts("run")
        await druid.step()
        await follows(world)
        while not (vault / "_replicator").exists():
            await asyncio.sleep(0.05)
        with hung_mount(vault) as is_mounted:
            if not is_mounted:
                await running.kill()
                pytest.skip("only root can mount")
            for _ in range(8):
                await druid.step()
            await follows(world)
            await running.says(said)
            shown = (await world.types("status")).out
            assert said in " ".join(shown.split())
            ended = await stopped(running)
            assert ended.code in {0, 143}, ended.err

            running = await world.starts("run")  # it is gone before the start, too
            await druid.step()
            await follows(world)
            await running.says(said)
        async with asyncio.timeout(FOLLOWS_WITHIN_S):
            while not await vault_follows(world):
                await asyncio.sleep(0.5)
        ended = await stopped(running)
        assert ended.code == 0, ended.err
