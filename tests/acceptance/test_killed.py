"""Processes that are killed at any moment, brokers too: nothing is lost, nothing is doubled."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from replicator import config
from replicator.app import Application
from replicator.model.event import Offset
from replicator.model.row import RowKey
from tests.integration.druid_on_postgresql import DruidOnPostgresql
from tests.integration.test_every_cut import Stage, TargetState, check, present_rows, settings_file
from tests.rings import times
from tests.servers.kafka import Kafka
from tests.servers.postgresql import Postgresql
from tests.servers.process import Ended, Processes, Running

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

KILLS = times(8, 100)
RESTORES = times(6, 24)
BROKER_KILLS = times(1, 3)
PUBLISHED = "cut published"
QUICK = {"attempts_max": 20, "delay_initial_s": 0.05, "delay_max_s": 0.5}


@dataclass(frozen=True)
class World:
    """A source that changes, and a user who starts and kills processes."""

    folder: Path
    config: Path
    druid: DruidOnPostgresql
    target_dsn: str
    processes: Processes
    rng: Random

    async def starts(self, *args: str) -> Running:
        return await self.processes.start(*args, "--config", str(self.config))

    async def types(self, *args: str) -> Ended:
        return await self.processes.run(*args, "--config", str(self.config))

    async def changes(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.druid.step()
            await asyncio.sleep(0.03)

    async def kills(self, *args: str, rounds: int) -> list[int]:
        """Start a command and kill it, again and again; return how those ended that did."""
        codes = []
        for _ in range(rounds):
            process = await self.starts(*args)
            await asyncio.sleep(self.rng.uniform(0.02, 0.9))
            ended = await process.kill()
            if ended.code >= 0:
                codes.append(ended.code)
                assert ended.code == 0, ended.err
        return codes

    async def settles(self) -> None:
        """Let everything be followed, and prove that the target is what the source is."""
        for args in (("watch", "--once", "--take-over"), ("apply", "standby", "--once")):
            ended = await self.types(*args)
            assert ended.code == 0, ended.err
        proof = await self.types("verify", "standby", "--level", "checksum", "--json")
        assert proof.code == 0, proof.out
        await self.target_is(TargetState(*self.druid.now_held()))

    async def target_is(self, held: TargetState) -> None:
        """Compare rows and files with what the source held, by the test's own rules."""
        async with Application(config.load(self.config, {}), {}, lambda _: None) as application:
            cuts = await application.history.cuts(Offset(0), (await application.history.span()).end)
            assert cuts, "nobody has looked at the source yet"
            assert [cut.closed.cut for cut in cuts] == list(range(1, len(cuts) + 1))
            log_id = (await application.history.span()).log_id
            gaps = list(await application.target("standby").metadata.gaps("prod", log_id))
            lost = {RowKey(gap.kind, gap.key) for gap in gaps if gap.closed is None}
            assert not lost & held.rows.keys(), "a row whose bytes are there was given up"
            stage = Stage(application, self.druid, self.target_dsn, self.folder / "target")
            await check(stage, cuts[-1].offset, held, gaps)


def set_up(folder: Path, source: str, target: str, log: dict[str, Any]) -> Path:
    path = settings_file(folder, source, target)
    found = yaml.safe_load(path.read_text())
    found["log"] = log
    found["watch"] = {"poll_interval_s": 0.05, "idle_cut_interval_s": 0.5, "retry": QUICK}
    found["targets"]["standby"] |= {"apply_interval_s": 0.05, "retry": QUICK, "kill_wait_s": 2}
    path.write_text(yaml.safe_dump(found))
    return path


def kafka_log(broker: Kafka, prefix: str) -> dict[str, Any]:
    return {
        "type": "kafka",
        "topic_prefix": prefix,
        "bootstrap_servers": [broker.bootstrap],
        "replication_factor": 1,
        "min_insync_replicas": 1,
        "request_timeout_s": 5,
    }


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.xdist_group("jvms"))])
async def world(
    request: pytest.FixtureRequest, postgresql: Postgresql, tmp_path: Path, forks: Processes
) -> AsyncIterator[World]:
    if request.param == "kafka":
        log = kafka_log(request.getfixturevalue("kafka_broker"), f"killed.{tmp_path.name}")
    else:
        log = {"type": "sqlite", "path": str(tmp_path / "log.sqlite")}
    async with postgresql.database() as source, postgresql.database() as target:
        path = set_up(tmp_path, source, target, log)
        rng = Random(request.param)
        druid = DruidOnPostgresql(rng, source, tmp_path / "source")
        yield World(tmp_path, path, druid, target, forks, rng)


KAFKA_IN_LONG_RUNS = pytest.mark.parametrize(
    "world",
    ["sqlite", pytest.param("kafka", marks=[pytest.mark.long, pytest.mark.xdist_group("jvms")])],
    indirect=True,
)


async def test_watch_and_apply_are_killed_again_and_again(world: World):
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(world.changes(stop))
        killed = [
            group.create_task(world.kills("watch", rounds=KILLS)),
            group.create_task(world.kills("apply", "standby", rounds=KILLS)),
        ]
        await asyncio.wait(killed)
        stop.set()
    await world.settles()


@KAFKA_IN_LONG_RUNS
async def test_a_second_watcher_and_a_second_applier_shut_out_the_first(world: World):
    """Whoever is shut out notices when it wants to write, so there must be something to write."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(world.changes(stop))
        running = []
        for args in (("watch",), ("apply", "standby")):
            first = await world.starts(*args)
            await first.says("cut ", within_s=60)  # published or applied: it leads
            second = await world.starts(*args)
            try:
                ended = await first.ended(within_s=60)
            except TimeoutError:
                raise AssertionError(f"{first.err[-2000:]}\n---\n{second.err[-2000:]}") from None
            assert ended.code == 7, ended.err
            await second.says("cut ", within_s=60)
            assert second.is_running
            running.append(second)
        stop.set()
    for process in running:
        assert (await process.terminate()).code == 0
    await world.settles()


@KAFKA_IN_LONG_RUNS
async def test_a_restore_that_is_killed_leaves_exactly_the_old_cut_or_the_new_one(world: World):
    for _ in range(2):
        for _ in range(60):
            await world.druid.step()
        assert (await world.types("watch", "--once")).code == 0
        assert (await world.types("apply", "standby", "--once")).code == 0
    points = (await world.types("points", "--json")).result["points"]
    early, late = points[0]["offset"], points[-1]["offset"]
    contents, took_s = {}, 0.0
    for offset in (early, late):
        began_s = asyncio.get_running_loop().time()
        ended = await restored(world, offset)
        took_s = max(took_s, asyncio.get_running_loop().time() - began_s)
        assert ended.code in {0, 3}, ended.err
        contents[offset] = await present_rows(world.target_dsn)
    assert contents[early] != contents[late]
    seen = set()
    for number in range(RESTORES):
        offset = early if number % 2 == 0 else late
        process = await world.starts(*restoring(offset))
        if number == RESTORES - 1:
            await process.ended(within_s=120)  # the kill comes too late
        else:  # the first at once, the others at any moment of it
            await asyncio.sleep(world.rng.uniform(0, 1.2 * took_s) if number else 0)
            await process.kill()
        found = await present_rows(world.target_dsn)
        assert found in contents.values()
        seen.add(found == contents[offset])
        ended = await restored(world, offset)
        assert ended.code in {0, 3}, ended.err
        assert await present_rows(world.target_dsn) == contents[offset]
    assert seen == {True, False}, "no kill came before, or none after, the restore was done"


def restoring(offset: int) -> tuple[str, ...]:
    return ("restore", "standby", "--to-offset", str(offset), "--yes", "--accept-gaps")


async def restored(world: World, offset: int) -> Ended:
    return await world.types(*restoring(offset))


@pytest.mark.xdist_group("jvms")
async def test_the_broker_is_killed_while_everything_runs(
    postgresql: Postgresql, tmp_path: Path, forks: Processes, own_kafka: Kafka
):
    async with postgresql.database() as source, postgresql.database() as target:
        path = set_up(tmp_path, source, target, kafka_log(own_kafka, "killed"))
        rng = Random(3)
        druid = DruidOnPostgresql(rng, source, tmp_path / "source")
        world = World(tmp_path, path, druid, target, forks, rng)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(world.changes(stop))
            running = await world.starts("run")
            for _ in range(BROKER_KILLS):
                await publishes(running)
                own_kafka.kill()
                await asyncio.sleep(rng.uniform(0.5, 2))  # every request fails, or waits
                await asyncio.to_thread(own_kafka.start)
            await publishes(running)
            stop.set()
        assert running.is_running, running.err
        ended = await running.terminate()
        assert ended.code == 0, ended.err
        await world.settles()


async def publishes(running: Running) -> None:
    """Wait until it has published two more cuts."""
    await running.says(PUBLISHED, times=running.err.count(PUBLISHED) + 2, within_s=90)


@pytest.mark.xdist_group("jvms")
async def test_several_targets_follow_one_log_and_a_new_one_is_seeded_meanwhile(
    postgresql: Postgresql, tmp_path: Path, forks: Processes, kafka_broker: Kafka
):
    async with (
        postgresql.database() as source,
        postgresql.database() as target,
        postgresql.database() as other,
    ):
        path = set_up(tmp_path, source, target, kafka_log(kafka_broker, f"several.{tmp_path.name}"))
        found = yaml.safe_load(path.read_text())
        second = json.loads(json.dumps(found["targets"]["standby"]))
        second["metadata"]["url"] = second["metadata"]["url"].rpartition("/")[0] + (
            "/" + other.rpartition("/")[2]
        )
        (tmp_path / "second").mkdir()
        second["deep_storage"]["root"] = str(tmp_path / "second")
        rng = Random(4)
        druid = DruidOnPostgresql(rng, source, tmp_path / "source")
        path.write_text(yaml.safe_dump(found))
        world = World(tmp_path, path, druid, target, forks, rng)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(world.changes(stop))
            running = await world.starts("run")
            await publishes(running)
            found["targets"]["second"] = second
            path.write_text(yaml.safe_dump(found))
            late = await world.starts("apply", "second")
            await late.says("cut applied", times=2, within_s=60)
            await publishes(running)
            stop.set()
        for process in (running, late):
            assert (await process.terminate()).code == 0
        await world.settles()
        assert (await world.types("apply", "second", "--once")).code == 0
        proof = await world.types("verify", "second", "--level", "checksum")
        assert proof.code == 0, proof.err
