"""A target whose Druid is older than the source's: each thing it cannot read is named."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.model.druid.payload import member
from replicator.model.row import Kind, Row, RowKey, Rules, Segment, key_of
from replicator.services.standby.promoter import rows_of
from tests.acceptance.test_killed import set_up
from tests.builders import ROOT, json_bytes, load_spec, rules, segment, segment_payload
from tests.servers.fake_http import Fake, serving
from tests.servers.postgresql import Postgresql, put
from tests.servers.process import Ended, Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

FOREVER = {"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}
PARTIAL = {
    "type": "loadPartialForever",
    "tieredReplicants": {"_default_tier": 1},
    "useDefaultTierForNull": True,
    "matcher": {"type": "exactProjection", "projections": ["daily"]},
}
VALUES = {
    "type": "dim_value_set",
    "partitionNum": 0,
    "partitions": 0,
    "partitionDimensionValues": {"country": ["DE"]},
}


def of(datasource: str, **members: Any) -> Segment:
    payload = segment_payload(datasource=datasource, **members)
    return segment(datasource, payload=json_bytes(payload))


SET = of("set", shardSpec=VALUES)
V10 = of("v10", binaryVersion=10)
RANGE = of("range", loadSpec={**load_spec("range"), "rangeable": True})
PLAIN = segment("plain")
FALLS = rules("falls", payload=json_bytes([{**PARTIAL, "onCannotMatch": "fallThrough"}]))
SOURCE: list[Row] = [
    *(SET, V10, RANGE, PLAIN, FALLS),
    rules("set", payload=json_bytes([PARTIAL])),
    rules("plain", payload=json_bytes([FOREVER])),
]


def write_bytes(root: Path) -> None:
    for row in SOURCE:
        if isinstance(row, Segment):
            path = member(row.payload, "loadSpec")["path"].removeprefix(ROOT).lstrip("/")
            folder = root / path
            folder.mkdir(parents=True)
            (folder / "00000.smoosh").write_bytes(b"x" * 1967)


@dataclass
class World:
    """A source of release 38 and a standby whose Druid says that it is of 33."""

    target: str
    druid: Fake
    config: str
    folder: Path
    processes: Processes

    async def types(self, *args: str) -> Ended:
        return await self.processes.run(*args, "--config", self.config)

    async def rows(self) -> dict[RowKey, Row]:
        reader = PostgresqlMetadataReader(self.target)
        found = [row for kind in (Kind.SEGMENT, Kind.RULES) for row in await rows_of(reader, kind)]
        return {key_of(row): row for row in found}

    async def payload(self, kind: Kind, key: str) -> Any:
        row = (await self.rows())[RowKey(kind, key)]
        assert isinstance(row, Segment | Rules)
        return json.loads(row.payload)


@pytest.fixture
async def world(postgresql: Postgresql, tmp_path: Path, forks: Processes) -> AsyncIterator[World]:
    fake = Fake(body={"version": "33.0.0"})
    async with (
        postgresql.database() as source,
        postgresql.database() as target,
        serving(fake) as url,
    ):
        log = {"type": "sqlite", "path": str(tmp_path / "log.sqlite")}
        config = set_up(tmp_path, source, target, log)
        found = yaml.safe_load(config.read_text())
        found["targets"]["standby"]["druid"] = {"coordinator_url": url}
        config.write_text(yaml.safe_dump(found))
        write_bytes(tmp_path / "source")
        await put(source, *SOURCE)
        yield World(target, fake, str(config), tmp_path, forks)


async def test_check_names_each_thing_that_a_druid_33_does_not_read(world: World):
    world.druid.status = 503
    checked = await world.types("check", "--json")
    (away,) = [one for one in checked.result["findings"] if one["what"] == "target standby Druid"]
    assert (checked.code, away["good"]) == (1, False)
    assert away["detail"].startswith("its Coordinator cannot be reached: ")
    world.druid.status = 200
    checked = await world.types("check", "--json")
    named = [one for one in checked.result["findings"] if one["what"] == "target standby Druid"]
    assert checked.code == 1
    assert named[0]["detail"] == "release 33.0.0, the source's is not known"
    assert [(one["detail"].split(",")[0], one["good"]) for one in named[1:]] == [
        ("load spec with rangeable", True),
        ("rule loadPartialForever", True),
        ("rule loadPartialForever with onCannotMatch fallThrough", False),
        ("segments of version 10", False),
        ("shard spec dim_value_set", True),
    ]
    assert f"like that of segment {V10.id}, is of 36.0.0: refused" in named[4]["detail"]


async def test_each_thing_that_a_druid_33_cannot_read_is_named_and_all_others_are_served(
    world: World,
):
    """One rule that it does not know would stop all of its rules; one segment would hide others."""
    await world.types("check")  # its Druid says which release it is, and need not run afterwards
    world.druid.status = 503
    assert (await world.types("watch", "--once")).code == 0
    applied = await world.types("apply", "standby", "--once", "--json")
    assert applied.code == 3
    assert {gap["row"]: gap["reason"] for gap in applied.result["gaps"]} == {
        V10.id: "newer_release",
        "falls": "newer_release",
    }
    served = {row.id for row in (SET, RANGE, PLAIN)}
    assert {key.key for key in await world.rows()} == served | {"set", "plain"}
    assert (await world.payload(Kind.SEGMENT, SET.id))["shardSpec"]["type"] == "numbered"
    assert (await world.payload(Kind.SEGMENT, RANGE.id))["loadSpec"]["rangeable"]
    assert await world.payload(Kind.RULES, "set") == [
        {**FOREVER, "useDefaultTierForNull": True},
    ]
    assert not (world.folder / "target" / "v10").exists()
    proved = await world.types("verify", "standby", "--json")
    assert proved.result["findings"] == []


async def test_what_was_left_out_comes_when_the_targets_druid_is_brought_forward(world: World):
    await world.types("watch", "--once")
    assert (await world.types("apply", "standby", "--once")).code == 3
    world.druid.body = {"version": "38.0.0"}
    assert (await world.types("apply", "standby", "--once")).code == 0
    restored = await world.types("restore", "standby", "--to-offset", "7", "--yes")
    assert restored.code == 0, restored.err
    assert {key.key for key in await world.rows()} == {key_of(row).key for row in SOURCE}
    assert await world.payload(Kind.RULES, "set") == [PARTIAL]
    assert (await world.payload(Kind.SEGMENT, SET.id))["shardSpec"] == VALUES


@pytest.mark.parametrize("args", [("apply", "standby", "--once"), ("check",)])
async def test_a_druid_that_is_older_than_it_is_said_to_be_stops_all(
    postgresql: Postgresql, tmp_path: Path, forks: Processes, args: tuple[str, ...]
):
    async with (
        postgresql.database() as source,
        postgresql.database() as target,
        serving(Fake(body={"version": "33.0.0"})) as url,
    ):
        log = {"type": "sqlite", "path": str(tmp_path / "log.sqlite")}
        config = set_up(tmp_path, source, target, log)
        found = yaml.safe_load(config.read_text())
        found["targets"]["standby"] |= {"druid": {"coordinator_url": url}, "druid_release": "38"}
        config.write_text(yaml.safe_dump(found))
        said = await forks.run(*args, "--config", str(config))
        assert said.code == {"apply": 2, "check": 1}[args[0]]
        assert "targets.standby.druid_release is 38, and its Druid runs 33.0.0" in (
            said.err + " ".join(said.out.split())
        )
