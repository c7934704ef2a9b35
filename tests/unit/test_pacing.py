"""Limits hold, whoever waits and whoever gives up."""

import asyncio
from random import Random

import pytest

from replicator.adapters.pacing import PAUSE_FIRST_S, InFlight, Pace


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
    async with asyncio.timeout(1), in_flight.hold(10):
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
async def test_a_rate_is_kept_alone_and_within_another(within: bool):
    outer = Pace(requests_per_s_max=200)
    pace = Pace(within=outer) if within else outer
    loop = asyncio.get_running_loop()
    for _ in range(200):
        await pace.request()  # the burst of the first second
    start = loop.time()
    for _ in range(40):
        await pace.request()
    assert loop.time() - start >= 0.15


async def test_all_pause_when_the_server_has_too_many_requests():
    pace, loop = Pace(), asyncio.get_running_loop()
    start = loop.time()
    for _ in range(5):
        pace.refused()  # all of them were under way
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(pace.request())
    assert PAUSE_FIRST_S <= loop.time() - start < 1.5 * PAUSE_FIRST_S
    pace.refused()  # again at once: twice as long
    start = loop.time()
    await pace.request()
    assert 2 * PAUSE_FIRST_S <= loop.time() - start < 3 * PAUSE_FIRST_S


async def test_a_pause_is_as_long_as_the_server_says_up_to_the_limit():
    pace, loop = Pace(pause_s_max=0.9), asyncio.get_running_loop()
    for asked_s, waited_s in ((0.7, 0.7), (3600.0, 0.9)):
        start = loop.time()
        pace.refused(asked_s)
        await pace.request()
        assert waited_s <= loop.time() - start < waited_s + 0.3
        await asyncio.sleep(1)
    start = loop.time()
    await pace.request()
    assert loop.time() - start < 0.1, "a pause that is over is forgotten"


async def test_a_busy_server_delays_no_other():
    shared, loop = Pace(), asyncio.get_running_loop()
    busy, other = Pace(within=shared), Pace(within=shared)
    busy.refused(5.0)
    start = loop.time()
    await other.request()
    assert loop.time() - start < 0.1


async def test_bytes_are_counted():
    pace, loop = Pace(bytes_per_s_max=1000), asyncio.get_running_loop()
    await pace.transfer(1000)
    start = loop.time()
    await pace.transfer(200)
    assert 0.15 <= loop.time() - start < 2
