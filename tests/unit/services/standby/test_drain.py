"""A drain does what no running process does, and fences none that runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from replicator.errors import ConfigError, RefusedError, TransientError
from replicator.model.operations.pulse import WATCH, Pulse, apply_to, pulse_json
from replicator.model.plans.restore_point import Latest
from replicator.model.row import Segment
from replicator.services.replication.applier import Applier
from replicator.services.replication.watcher import Watcher
from replicator.services.running import change_watch, processes
from replicator.services.running.processes import RunningProcesses
from replicator.services.standby import drain as module
from replicator.services.standby.drain import Drain, OwnServices
from tests.builders import segment
from tests.unit.pipeline import Pipeline, place_of

NAME = "standby"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    monkeypatch.setattr(processes, "LOOK_S", 0.001)
    monkeypatch.setattr(change_watch, "LOOK_S", 0.001)
    monkeypatch.setattr(change_watch, "BEAT_S", 0.01)


def drain_of(pipeline: Pipeline, made: list[str]) -> Drain:
    """Return a drain that notes which services it has to run itself."""

    async def watcher() -> Watcher:
        made.append("watcher")
        return pipeline.new_watcher()

    async def applier() -> Applier:
        made.append("applier")
        return pipeline.new_applier()

    return Drain(
        pipeline.wired().target,
        running=RunningProcesses(pipeline.log, pipeline.clock),
        own=OwnServices(watcher=watcher, applier=applier),
    )


def pulse(pipeline: Pipeline, polls: int) -> bytes:
    now = pipeline.clock.now()
    every = timedelta(seconds=5)
    return pulse_json(
        Pulse(verb="run", host="h", pid=1, since=now, seen_at=now, every=every, polls=polls)
    )


@asynccontextmanager
async def running(pipeline: Pipeline, *, polls_max: int = 1000) -> AsyncIterator[None]:
    """Play a `run` whose heart beats after each poll and each apply."""

    async def run() -> None:
        for polls in range(1, polls_max + 1):
            await pipeline.log.beat(apply_to(NAME), pulse(pipeline, 0))
            await pipeline.watcher.poll()
            await pipeline.log.beat(WATCH, pulse(pipeline, polls))
            await pipeline.applier.apply_next()
            await asyncio.sleep(0.002)

    task = asyncio.create_task(run())
    await asyncio.sleep(0.01)
    yield
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() or task.exception() is None, "nobody fences it"


async def is_at_end(pipeline: Pipeline) -> bool:
    checkpoint = await pipeline.wired().target.checkpoint()
    assert checkpoint is not None
    return checkpoint.offset == (await pipeline.history().find(Latest())).offset


async def cut_and_follow(pipeline: Pipeline) -> None:
    await pipeline.cut()
    await pipeline.follow()


def source_ids(pipeline: Pipeline) -> set[str]:
    return {row.id for row in pipeline.source.rows.values() if isinstance(row, Segment)}


async def test_without_a_running_process_it_does_all_by_itself():
    pipeline, made = Pipeline(), list[str]()
    pipeline.publish(segment())
    await cut_and_follow(pipeline)
    pipeline.publish(segment("other"))
    await drain_of(pipeline, made).run(timeout_s=5)
    assert made == ["watcher", "applier"]
    assert await is_at_end(pipeline)
    assert pipeline.target_ids() == source_ids(pipeline)


async def test_a_running_process_is_waited_for_and_goes_on():
    pipeline, made = Pipeline(), list[str]()
    pipeline.publish(segment())
    await cut_and_follow(pipeline)
    async with running(pipeline):
        pipeline.publish(segment("other"))
        await drain_of(pipeline, made).run(timeout_s=5)
        assert await is_at_end(pipeline)
        assert pipeline.target_ids() == source_ids(pipeline)
    assert made == []


async def test_a_poll_that_began_before_is_not_enough():
    """What the source commits while a poll runs is in the next one only."""
    pipeline, made = Pipeline(), list[str]()
    pipeline.publish(segment())
    await cut_and_follow(pipeline)
    await pipeline.log.beat(apply_to(NAME), pulse(pipeline, 0))
    await pipeline.log.beat(WATCH, pulse(pipeline, 7))
    draining = asyncio.create_task(drain_of(pipeline, made).run(timeout_s=5))
    await asyncio.sleep(0.1)  # it has seen the seventh poll
    await pipeline.log.beat(WATCH, pulse(pipeline, 8))
    await asyncio.sleep(0.1)
    assert not draining.done()
    pipeline.publish(segment("other"))
    await cut_and_follow(pipeline)
    polls = 8
    while not draining.done():
        polls += 1
        await pipeline.log.beat(WATCH, pulse(pipeline, polls))
        await asyncio.sleep(0.01)
    await draining
    assert made == []
    assert await is_at_end(pipeline)


async def test_what_a_killed_process_leaves_is_done():
    pipeline, made = Pipeline(), list[str]()
    pipeline.publish(segment())
    await cut_and_follow(pipeline)
    async with running(pipeline, polls_max=1):
        pipeline.publish(segment("other"))
        draining = asyncio.create_task(drain_of(pipeline, made).run(timeout_s=5))
        await asyncio.sleep(0.02)
        assert not draining.done()
        pipeline.clock.move(60)
        await draining
    assert made == ["watcher", "applier"]
    assert await is_at_end(pipeline)


async def test_a_paused_target_says_so_though_its_applier_runs():
    pipeline, made = Pipeline(), list[str]()
    pipeline.publish(segment())
    await cut_and_follow(pipeline)
    pipeline.publish(segment("other"))
    await pipeline.cut()
    target = pipeline.wired().target
    state = await target.acquire()
    assert state.checkpoint is not None
    async with target.metadata.transaction(target.source, state.epoch) as transaction:
        await transaction.record(replace(state.checkpoint, paused=True), ())
    await pipeline.log.beat(apply_to(NAME), pulse(pipeline, 0))
    with pytest.raises(RefusedError, match="paused"):
        await drain_of(pipeline, made).run(timeout_s=5)


async def test_a_log_that_denies_heartbeats_leaves_all_work_to_it(
    monkeypatch: pytest.MonkeyPatch,
):
    pipeline, made = Pipeline(), list[str]()
    pipeline.publish(segment())
    await cut_and_follow(pipeline)

    async def heard(who: str) -> bytes | None:
        raise ConfigError(f"no privilege for {who}")

    monkeypatch.setattr(pipeline.log, "heard", heard)
    await drain_of(pipeline, made).run(timeout_s=5)
    assert made == ["watcher", "applier"]


async def test_too_long_a_wait_says_for_what_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    pipeline, made = Pipeline(kill_wait_s=3600), list[str]()
    pipeline.publish(segment())
    await cut_and_follow(pipeline)
    lost = segment("lost")
    pipeline.publish(lost)
    pipeline.source_storage.stored.pop(place_of(lost))
    with pytest.raises(TransientError, match=f"bytes of .*{lost.id}"):
        await drain_of(pipeline, made).run(timeout_s=1.5)
