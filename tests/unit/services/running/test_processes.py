"""Work of a running watcher is waited for; only that of a watcher that is gone is done."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from replicator.cli.follow.taking_over import polled_by_another
from replicator.errors import TransientError
from replicator.model.operations.pulse import WATCH, Pulse, pulse_json
from replicator.services.running import change_watch
from replicator.services.running import processes as module
from replicator.services.running.processes import RunningProcesses
from tests.builders import segment
from tests.unit.pipeline import Pipeline

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    monkeypatch.setattr(change_watch, "LOOK_S", 0.001)
    monkeypatch.setattr(change_watch, "BEAT_S", 0.01)


@pytest.fixture
async def pipeline() -> Pipeline:
    """A log with one cut."""
    made = Pipeline()
    made.publish(segment())
    await made.cut()
    return made


def running(pipeline: Pipeline) -> RunningProcesses:
    return RunningProcesses(pipeline.log, pipeline.clock)


def pulse(pipeline: Pipeline, polls: int = 0) -> Pulse:
    now, every = pipeline.clock.now(), timedelta(seconds=5)
    return Pulse(verb="run", host="here", pid=1, since=now, seen_at=now, every=every, polls=polls)


@asynccontextmanager
async def watching(
    pipeline: Pipeline, beats: Callable[[Pipeline, int], Pulse] | None = None
) -> AsyncIterator[None]:
    """Play a `run` that polls and says so."""

    async def run() -> None:
        polls = 0
        while True:
            await pipeline.log.beat(WATCH, pulse_json((beats or pulse)(pipeline, polls)))
            await asyncio.sleep(0.002)
            await pipeline.watcher.poll()
            polls += 1

    task = asyncio.create_task(run())
    await asyncio.sleep(0.01)
    yield
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled(), "it was fenced"


async def said(pipeline: Pipeline) -> tuple[bool, str] | None:
    """Return whether a cut was published while the running watcher polled, and the text."""
    outcome = await polled_by_another(running(pipeline), pipeline.history(), 5)
    if outcome is None:
        return None
    console = Console(width=200)
    with console.capture() as text:
        outcome.show(console)
    assert outcome.result["polled_by"] == "`run` on here, pid 1"
    return outcome.result["published"], text.get()


async def test_a_running_watcher_is_waited_for_and_goes_on(pipeline: Pipeline):
    async with watching(pipeline):
        unchanged = await said(pipeline)
        pipeline.publish(segment("other"))
        changed = await said(pipeline)
    process = "(`run` on here, pid 1)"
    assert unchanged == (False, f"the running watcher has polled: cut 1, no change {process}\n")
    assert changed == (True, f"the running watcher has polled: cut 2 {process}\n")


@pytest.mark.parametrize(
    "away",
    [
        lambda one: replace(one, verb="watch --once"),
        lambda one: replace(one, ended_at=one.seen_at),
        lambda one: replace(one, seen_at=one.seen_at - timedelta(seconds=16)),
        lambda one: replace(one, seen_at=one.seen_at + timedelta(hours=1)),
    ],
    ids=["ends by itself", "stopped", "stale", "killed, and its clock was ahead"],
)
async def test_what_is_not_heard_is_not_waited_for(
    pipeline: Pipeline, away: Callable[[Pulse], Pulse]
):
    await pipeline.log.beat(WATCH, pulse_json(away(pulse(pipeline))))
    assert await said(pipeline) is None


async def test_a_running_watcher_whose_clock_is_ahead_is_waited_for(
    pipeline: Pipeline,
):
    now = pulse(pipeline).seen_at

    def ahead(_: Pipeline, polls: int = 0) -> Pulse:
        made = pulse(pipeline, polls)
        return replace(made, since=now + HOUR, seen_at=now + HOUR + timedelta(seconds=polls))

    async with watching(pipeline, ahead):
        assert await said(pipeline) is not None


@pytest.mark.parametrize("is_alive", [True, False])
async def test_a_running_watcher_is_waited_for_although_this_clock_is_a_day_ahead(
    pipeline: Pipeline, *, is_alive: bool
):
    """It would be ended otherwise, with all its targets and jobs."""

    def a_day_ago(_: Pipeline, polls: int = 0) -> Pulse:
        then = pipeline.clock.now() - 24 * HOUR
        return replace(pulse(pipeline, polls), since=then, seen_at=then + timedelta(seconds=polls))

    if is_alive:
        async with watching(pipeline, a_day_ago):
            assert await said(pipeline) is not None
    else:
        await pipeline.log.beat(WATCH, pulse_json(a_day_ago(pipeline)))
        assert await said(pipeline) is None


async def test_a_process_of_this_machine_that_has_ended_is_not_waited_for(pipeline: Pipeline):
    late = replace(pulse(pipeline), seen_at=pipeline.clock.now() - HOUR)
    await pipeline.log.beat(WATCH, pulse_json(late))
    gone = RunningProcesses(pipeline.log, pipeline.clock, is_gone=lambda one: one.pid == 1)
    async with asyncio.timeout(0.01):
        assert await gone.heard(WATCH) is None


async def test_one_that_falls_silent_meanwhile_leaves_its_work(pipeline: Pipeline):
    await pipeline.log.beat(WATCH, pulse_json(pulse(pipeline)))
    waiting = asyncio.create_task(said(pipeline))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    pipeline.clock.move(60)
    assert await waiting is None


async def test_the_last_beat_of_one_that_was_shut_out_hides_no_newer_one(pipeline: Pipeline):
    """It may come just after the first beat of the newer one, whose next one is seconds away."""
    await pipeline.log.beat(WATCH, pulse_json(replace(pulse(pipeline), pid=2**22 + 1, polls=9)))
    waiting = asyncio.create_task(said(pipeline))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    pipeline.clock.move(4)
    newer = pulse(pipeline)
    for polls in range(3):
        await pipeline.log.beat(WATCH, pulse_json(replace(newer, polls=polls)))
        await asyncio.sleep(0.02)
    assert (await waiting) is not None


async def test_too_long_a_wait_says_what_the_watcher_waits_for(pipeline: Pipeline):
    waits = replace(pulse(pipeline), waits="the source does not answer")
    await pipeline.log.beat(WATCH, pulse_json(waits))
    with pytest.raises(TransientError, match=r"pid 1, ended no poll .* 0\.05 s: the source does"):
        await polled_by_another(running(pipeline), pipeline.history(), 0.05)
