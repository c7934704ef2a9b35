"""A source of release 38, played by its rows, and a real Druid 33 that follows it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.druids import Cluster, User, cluster, write_config
from tests.builders import json_bytes
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
PARTIAL = {
    "type": "loadPartialForever",
    "tieredReplicants": {"_default_tier": 1},
    "useDefaultTierForNull": True,
    "matcher": {"type": "exactProjection", "projections": ["daily"]},
}
FOREVER = {"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}
TWICE = {"type": "loadForever", "tieredReplicants": {"_default_tier": 2}}
NEWER = """
UPDATE druid_segments SET payload = convert_to(
    replace(convert_from(payload, 'UTF8'), $2, $3), 'UTF8')
WHERE datasource = $1
"""
RULES = "INSERT INTO druid_rules VALUES ($1 || '_' || $2, $1, $2, $3)"
STOPPED = "Exception while polling for rules"


def rows(n: int) -> list[Row]:
    return [{"__time": "2024-01-01T00:00:00.000Z", "page": "a", "n": n}]


async def rule(dsn: str, datasource: str, rules: list[dict[str, Any]], version: str) -> None:
    await execute(dsn, RULES, datasource, version, json_bytes(rules))


async def as_of_38(source: Cluster) -> None:
    """Write what a Druid 38 would have written in place of a 33."""
    changes = {
        "values": (
            '"shardSpec":{"type":"numbered"',
            '"shardSpec":{"type":"dim_value_set","partitionDimensionValues":{"page":["a"]}',
        ),
        "v10": ('"binaryVersion":9', '"binaryVersion":10'),
        "parts": ('"loadSpec":{', '"loadSpec":{"rangeable":true,'),
    }
    for datasource, (old, new) in changes.items():
        assert await execute(source.dsn, NEWER, datasource, old, new) == "UPDATE 1"
    await rule(source.dsn, "values", [PARTIAL], "2099-01-01T00:00:00.000Z")
    falls = {**PARTIAL, "onCannotMatch": "fallThrough"}
    await rule(source.dsn, "parts", [falls], "2099-01-01T00:00:00.000Z")


async def rules_are(standby: Cluster, datasource: str, wanted: list[dict[str, Any]]) -> None:
    path = f"/druid/coordinator/v1/rules/{datasource}"
    found: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(60):
            while True:
                found = await standby.client.ask("GET", "coordinator", path)
                plain = [
                    {name: value for name, value in one.items() if name != "useDefaultTierForNull"}
                    for one in found
                ]
                if plain == wanted:
                    return
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"{datasource}: wanted {wanted}, found {found}") from None


async def counts_are(standby: Cluster, wanted: dict[str, int]) -> None:
    found: dict[str, int] = {}
    try:
        async with asyncio.timeout(90):
            while found != wanted:
                await asyncio.sleep(0.2)
                for name in wanted:
                    answer = await standby.client.sql_or_nothing(
                        f'SELECT SUM(n) AS n FROM "{name}"'
                    )
                    found[name] = answer[0]["n"] if answer else 0
    except TimeoutError:
        raise AssertionError(f"wanted {wanted}, found {found}") from None


async def test_a_druid_33_serves_all_of_a_druid_38_that_it_can_read(
    postgresql: Postgresql, druid_folder: Path, forks: Processes
):
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(cluster("source", druid_folder, postgresql))
        standby = await stack.enter_async_context(
            cluster("standby", druid_folder, postgresql, standby=True)
        )
        log = {"type": "sqlite", "path": str(druid_folder / "log.sqlite")}
        config = await write_config(druid_folder, source, {"standby": standby}, log)
        user = User(config, forks, source, standby)
        for number, name in enumerate(("plain", "values", "v10", "parts"), start=1):
            await source.client.load(name, rows(number))
        source.druid.kill()
        await as_of_38(source)

        await user.does("watch", "--once")
        applied = await user.types("apply", "standby", "--once", "--json")
        assert applied.code == 3, applied.err
        assert {gap["reason"] for gap in applied.result["gaps"]} == {"newer_release"}
        assert {gap["row"].partition("_")[0] for gap in applied.result["gaps"]} == {"v10", "parts"}
        await counts_are(standby, {"plain": 1, "values": 2, "parts": 4, "v10": 0})
        await rules_are(standby, "values", [FOREVER])
        assert STOPPED not in (druid_folder / "standby-druid" / "druid.log").read_text()

        await rule(source.dsn, "plain", [TWICE], "2099-01-02T00:00:00.000Z")
        await user.does("watch", "--once")
        assert (await user.types("apply", "standby", "--once")).code == 0
        await rules_are(standby, "plain", [TWICE])
        await it_is_as_bad_as_that(standby, druid_folder)


async def it_is_as_bad_as_that(standby: Cluster, folder: Path) -> None:
    """The negative control: one rule of another release, and no rule is read any more."""
    await rule(standby.dsn, "values", [PARTIAL], "2199-01-01T00:00:00.000Z")
    log = folder / "standby-druid" / "druid.log"
    async with asyncio.timeout(60):
        while STOPPED not in log.read_text():
            await asyncio.sleep(0.2)
    await rule(standby.dsn, "plain", [FOREVER], "2199-01-01T00:00:00.000Z")
    before = log.read_text().count(STOPPED)
    async with asyncio.timeout(60):
        while log.read_text().count(STOPPED) < before + 3:
            await asyncio.sleep(0.2)
    await rules_are(standby, "plain", [TWICE])
