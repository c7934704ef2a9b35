"""The canary on real Druids: how long a row takes from the source's Broker to the standby's.

What is told of it in `status`, in metrics and on the page is one and the same, and no row takes
longer than somebody sees who asks both Brokers at the same time.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.scratch.ports import free_ports
from tests.acceptance.druids import Cluster, User, cluster, write_config
from tests.page.browser import WAIT_MS, browsing, visit
from tests.page.figures import canaries, read
from tests.servers.postgresql import Postgresql
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.long,
    pytest.mark.real,
    pytest.mark.timeout(1_800),
    pytest.mark.xdist_group("jvms"),
]
ROWS = 4
LOOK_S = 0.5
NEWEST = 'SELECT MAX(__time) AS "newest" FROM "canary"'
SLOW_S = 15.0
"""Longest that a busy machine may take between two looks."""


async def newest(there: Cluster) -> str | None:
    """Return the newest row that a Broker answers with."""
    found = await there.client.sql_or_nothing(NEWEST)
    return found[0]["newest"] if found else None


async def until(there: Cluster, row: str) -> float:
    """Wait until a Broker answers with a row; return when it did."""
    async with asyncio.timeout(300):
        while (await newest(there) or "") < row:
            await asyncio.sleep(0.1)
    return asyncio.get_running_loop().time()


async def sung(source: Cluster, standby: Cluster) -> float:
    """Publish a row at the source; return how long after it the standby answers with it."""
    now = SystemClock().now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    await source.client.load("canary", [{"__time": now, "page": "tweet", "n": 1}], append=True)
    async with asyncio.TaskGroup() as group:
        here, there = (group.create_task(until(one, now)) for one in (source, standby))
    await asyncio.sleep(4 * LOOK_S)  # rows that come between two looks are one to the canary
    return there.result() - here.result()


async def histogram(url: str, token: str) -> dict[str, float]:
    """Return the sum and the number of what the canary's histogram has."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{url}/metrics") as answer,
    ):
        families = text_string_to_metric_families(await answer.text())
    return {
        sample.name.rpartition("_")[2]: sample.value
        for family in families
        for sample in family.samples
        if sample.name in {"replicator_canary_seconds_sum", "replicator_canary_seconds_count"}
    }


async def told(user: User, arrived: int) -> dict[str, Any]:
    """Wait until `status` tells of so many arrivals."""
    async with asyncio.timeout(200):
        while True:
            found = (await user.status())["canaries"]
            if found and found[0]["arrived"] >= arrived:
                (one,) = found
                return dict(one)
            await asyncio.sleep(1)


def with_canary(config: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    (port,) = free_ports(1)
    settings["canary"] = {"datasource": "canary", "look_interval_s": LOOK_S}
    settings["web"] = {"status_interval_s": 1, "control": {"listen": f"127.0.0.1:{port}"}}
    config.write_text(json.dumps(settings))


async def test_a_row_is_timed_from_one_broker_to_the_other(
    tmp_path: Path, postgresql: Postgresql, forks: Processes
):
    async with (
        cluster("source", tmp_path, postgresql) as source,
        cluster("standby", tmp_path, postgresql, standby=True) as standby,
    ):
        log = {"type": "sqlite", "path": str(tmp_path / "prod.log")}
        config = await write_config(tmp_path, source, {"standby": standby}, log)
        with_canary(config)
        user = User(config, forks, source, standby)
        token = (await user.does("token", "create", "ada", "--role", "admin"))["token"]
        running = await user.starts("run")
        await running.says("serving the control API", within_s=120)
        found = re.search(r"url=(http://\S+)", running.err)
        assert found is not None, running.err
        took_s = [await sung(source, standby) for _ in range(ROWS + 1)][1:]
        said = await told(user, ROWS)
        assert (said["datasource"], said["target"], said["lost"]) == ("canary", "standby", 0)
        assert 0 < said["p50_s"] <= said["p95_s"] <= said["p99_s"]
        assert said["p99_s"] <= max(took_s) + 2 * LOOK_S + SLOW_S
        metrics = await histogram(found[1], token)
        assert metrics["count"] >= ROWS
        assert metrics["sum"] <= metrics["count"] * said["p99_s"] + 1e-6
        async with browsing() as browser:
            guest = await visit(browser, found[1], token)
            await guest.page.locator("table.canary").wait_for(timeout=2 * WAIT_MS)
            await guest.page.wait_for_timeout(12_000)  # the store's notes are read again
            await guest.page.reload()
            await guest.page.locator("table.canary").wait_for(timeout=WAIT_MS)
            shown = (await read(guest))["rows"]
            (one,) = (await user.status())["canaries"]
            assert [row[:7] for row in shown[0]] == [row[:7] for row in canaries([one])]
            guest.is_clean()
        print("seconds that a client saw", took_s, "canary", said, "metrics", metrics)
        assert (await running.terminate()).code == 0
