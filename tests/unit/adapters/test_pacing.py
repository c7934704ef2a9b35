"""Limits hold, whoever waits and whoever gives up."""

import asyncio
from collections.abc import Awaitable
from random import Random

import pytest

from replicator.adapters.transfer.pacing import PAUSE_FIRST_S, InFlight, Pace
from tests.simulation.virtual_time import in_virtual_time


async def test_bytes_in_flight_never_exceed_the_limit():
    in_flight, rng, held = InFlight(100), Random(1), {"now": 0, "most": 0}

    async def one(size_bytes: int) -> None:
        async with in_flight.hold(size_bytes):
            held["now"] += min(size_bytes, 100)
            held["most"] = max(held["most"], held["now"])
            await asyncio.sleep(rng.random() / 1000)
            held["now"] -= min(size_bytes, 100)

    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(one(rng.randint(1, 150)))
    assert 50 < held["most"] <= 100
    assert held["now"] == 0


async def test_who_gives_up_waiting_leaves_nothing_held():
    in_flight, rng = InFlight(10), Random(2)

    async def one() -> None:
        async with in_flight.hold(rng.randint(1, 10)):
            await asyncio.sleep(rng.random() / 500)

    for _ in range(50):
        tasks = [asyncio.create_task(one()) for _ in range(10)]
        await asyncio.sleep(rng.random() / 300)
        for task in rng.sample(tasks, 5):
            task.cancel()
        await asyncio.wait(tasks)
    async with asyncio.timeout(30), in_flight.hold(10):
        pass


async def test_first_come_first_served():
    """A large part is not starved by small ones."""
    in_flight, order = InFlight(10), list[str]()

    async def one(name: str, size_bytes: int) -> None:
        async with in_flight.hold(size_bytes):
            order.append(name)
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        for name, size_bytes in (("first", 6), ("large", 10), ("small", 1)):
            group.create_task(one(name, size_bytes))
    assert order == ["first", "large", "small"]


@pytest.mark.parametrize("within", [False, True])
def test_a_rate_is_kept_alone_and_within_another(within: bool):
    async def requests() -> float:
        outer = Pace(requests_per_s_max=200)
        pace = Pace(within=outer) if within else outer
        await asyncio.sleep(10)
        first = sum([await waited_s(pace.request()) for _ in range(200)])
        assert first == pytest.approx(0, abs=1e-6), "the burst of the first second"
        return sum([await waited_s(pace.request()) for _ in range(40)])

    assert in_virtual_time(requests()) == pytest.approx(0.2)


def test_all_pause_when_the_server_has_too_many_requests():
    async def refusals() -> None:
        pace = Pace()
        for _ in range(5):
            pace.refused()  # all of them were under way
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(waited_s(pace.request())) for _ in range(3)]
        assert [task.result() for task in waits] == [PAUSE_FIRST_S] * 3
        pace.refused()  # again at once: twice as long
        assert await waited_s(pace.request()) == 2 * PAUSE_FIRST_S

    in_virtual_time(refusals())


def test_a_pause_is_as_long_as_the_server_says_up_to_the_limit():
    async def refusals() -> None:
        pace = Pace(pause_s_max=0.9)
        for asked_s, pause_s in ((0.7, 0.7), (3600.0, 0.9)):
            pace.refused(asked_s)
            assert await waited_s(pace.request()) == pytest.approx(pause_s)
            await asyncio.sleep(1)
        assert await waited_s(pace.request()) == 0, "a pause that is over is forgotten"

    in_virtual_time(refusals())


def test_a_busy_server_delays_no_other():
    async def two() -> None:
        shared = Pace()
        busy, other = Pace(within=shared), Pace(within=shared)
        busy.refused(5.0)
        assert await waited_s(other.request()) == 0
        assert await waited_s(busy.request()) == 5

    in_virtual_time(two())


def test_bytes_are_counted():
    async def transfers() -> None:
        pace = Pace(bytes_per_s_max=1000)
        await asyncio.sleep(10)
        assert await waited_s(pace.transfer(1000)) == 0
        assert await waited_s(pace.transfer(200)) == pytest.approx(0.2)

    in_virtual_time(transfers())


async def waited_s(work: Awaitable[None]) -> float:
    """How long it takes on the loop's clock."""
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    await work
    return loop.time() - begun_s
