"""The source's deep storage goes away and comes back, beside a `run` that goes on."""

import asyncio
import os
import signal

import yaml

from tests.acceptance.test_cli import User, ids, user

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]

PATIENCE_S = 60


async def test_a_target_goes_on_when_the_sources_bytes_can_be_read_again(user: User):
    """Also after all retries of a copy: what is tried again then is the whole step."""
    settings = yaml.safe_load(user.config.read_text())
    settings["targets"]["standby"]["retry"] = {"attempts_max": 2}
    settings["watch"] = {"poll_interval_s": 0.5}
    user.config.write_text(yaml.safe_dump(settings))
    await user.play("1-history")
    run = await user.starts("run")
    source, away = user.folder / "source", user.folder / "away"
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await ids(user.target, "orders"):
                await asyncio.sleep(0.1)
        os.kill(run.pid, signal.SIGSTOP)
        await user.play("2-publish")
        source.rename(away)
        os.kill(run.pid, signal.SIGCONT)
        async with asyncio.timeout(PATIENCE_S):
            while "what='apply to standby'" not in run.err + run.out:
                await asyncio.sleep(0.1)
        away.rename(source)
        async with asyncio.timeout(PATIENCE_S):
            while (await user.types("status", "--json")).result["targets"][0]["lag_records"]:
                await asyncio.sleep(0.5)
    finally:
        ended = await run.terminate()
    assert ended.code == 0
