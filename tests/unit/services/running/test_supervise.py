"""Services run side by side: one that fails ends all, a signal ends each with its work done."""

import asyncio
from random import Random

import pytest

from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    RefusedError,
    ReplicatorError,
)
from replicator.model.observation import Observation
from replicator.model.observed.faults import Halted, WentOn
from replicator.model.operations.retry import RetryPolicy
from replicator.services.running.loop import LookInterval
from replicator.services.running.opened import Opened
from replicator.services.running.supervisor import Service, supervise


class Follows:
    """Runs until it is told to stop, then finishes what it is at."""

    def __init__(self) -> None:
        self.runs, self.finished = asyncio.Event(), False

    async def run(self, stop: asyncio.Event) -> None:
        self.runs.set()
        await stop.wait()
        self.finished = True


class Fails:
    def __init__(self, beside: Follows) -> None:
        self._beside = beside

    async def run(self, stop: asyncio.Event) -> None:
        await self._beside.runs.wait()
        raise FencedError("another one took over")


class Hangs:
    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.Event().wait()


async def test_one_that_fails_ends_all_and_is_told():
    follows = Follows()
    services: dict[str, Service] = {"follows": follows, "fails": Fails(follows)}
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(30):
            await supervise(services, stop=asyncio.Event(), drain_s=30)
    assert caught.group_contains(FencedError, match="another one took over")
    assert not follows.finished


async def test_told_to_stop_each_finishes_its_work_and_one_that_hangs_is_ended():
    stop, follows, late = asyncio.Event(), Follows(), list[str]()
    stop.set()
    async with asyncio.timeout(30):
        services: dict[str, Service] = {"follows": follows, "hangs": Hangs()}
        await supervise(services, stop=stop, drain_s=0.01, late=late.append)
    assert follows.finished
    assert late == ["hangs"]


class Made(Follows):
    """A target's service, whose store is damaged until the other one has gone on for a while."""

    def __init__(self, failure: ReplicatorError) -> None:
        super().__init__()
        self.failure = failure
        self.tries, self.told = 0, list[Observation]()

    async def opened(self) -> Service:
        self.tries += 1
        if self.tries < 3:
            raise self.failure
        return self

    def service(self) -> Service:
        interval = LookInterval(seconds=0, retry=RetryPolicy(), halted_retry_s=0.001, rng=Random(1))
        observer = self.told.append
        return Opened(self.opened, what="apply to it", interval=interval, observer=observer)


@pytest.mark.parametrize(
    "failure",
    [
        CorruptionError("druid.json is altered"),
        RefusedError("the store is another one"),
        ConfigError("the password is refused"),
    ],
)
async def test_a_target_with_something_wrong_at_the_start_keeps_nobody_from_working(
    failure: ReplicatorError,
):
    stop, watcher, made = asyncio.Event(), Follows(), Made(failure)
    services: dict[str, Service] = {"watch": watcher, "apply": made.service()}
    async with asyncio.timeout(30):
        working = asyncio.create_task(supervise(services, stop=stop, drain_s=30))
        await made.runs.wait()
        stop.set()
        await working
    assert (watcher.finished, made.finished, made.tries) == (True, True, 3)
    assert [type(one) for one in made.told] == [Halted, Halted, WentOn]


class EndsByNoWord:
    async def run(self, stop: asyncio.Event) -> None:
        raise asyncio.CancelledError


async def test_one_that_is_lost_without_an_error_ends_all_and_is_named():
    follows = Follows()
    services: dict[str, Service] = {"follows": follows, "apply standby": EndsByNoWord()}
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(30):
            await supervise(services, stop=asyncio.Event(), drain_s=30)
    assert caught.group_contains(RuntimeError, match="'apply standby' was cancelled")
