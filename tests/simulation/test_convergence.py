"""Crash the processes at random instants for hours of virtual time; nothing is lost."""

import asyncio
import os
from collections.abc import Callable

import orjson
import pytest

from replicator.errors import FencedError, TransientError
from tests.rings import times
from tests.simulation.loss import lose_everything, trim, trim_too_far
from tests.simulation.marks import PROPERTY
from tests.simulation.remembering import remembering
from tests.simulation.virtual_time import in_virtual_time
from tests.simulation.world import SOURCE, World

# The virtual loop finds hangs itself; a wall-clock alarm inside a callback is swallowed by asyncio.
pytestmark = pytest.mark.timeout(0)
SEEDS = int(os.environ.get("SEEDS") or times(60, 5_000))
"""Some more in the gate than travel every rare road: a seed takes a second or two of one core."""
LIVES = 8


@pytest.mark.parametrize("seed", range(SEEDS))
def test_target_converges_whatever_dies(seed: int, record_property: Callable[[str, object], None]):
    """To replay one failure: pytest "tests/simulation/test_convergence.py::...[17]"."""
    world = World(seed)
    simulate(world)
    record_property(PROPERTY, "\n".join(sorted(world.marks)))


@pytest.mark.parametrize("seed", range(times(4, 1_000)))
def test_target_converges_where_commits_are_followed(seed: int):
    simulate(World(seed, streams=True))


def simulate(world: World) -> None:
    with remembering():
        in_virtual_time(live_and_die(world))


async def live_and_die(world: World) -> None:
    for _ in range(LIVES):
        world.mount.change()
        parts = world.start(asyncio.Event())
        await change(world, times=world.rng.randrange(5, 15))
        for part in parts:  # kill -9: no goodbye
            part.task.cancel()
        for part in parts:
            await settle(part.task)
        world.mount.is_away = False
        await interfere(world)
    if world.rng.random() < 0.2 and await all_follow(world):
        await trim_too_far(world)
    else:
        await heal(world)
    await lose_everything(world)


async def interfere(world: World) -> None:
    """Do what people do between two lives of the processes."""
    if world.rng.random() < 0.4:
        await try_restore(world)
    if world.rng.random() < 0.3:  # also while the target stands at an old cut
        await world.expire()
        world.check()
    if world.rng.random() < 0.3:
        await world.restore_from_the_store()
    if world.rng.random() < 0.05:
        world.lose_log()


async def all_follow(world: World) -> bool:
    """Whether every target that is at a cut is at one of the configured log, which there is."""
    archive = None if world.archive is None else await world.archive.checkpoint()
    return world.log_is_made and all(
        checkpoint is None or checkpoint.log_id == world.log_id
        for checkpoint in (world.checkpoint(), archive)
    )


async def change(world: World, *, times: int) -> None:
    for _ in range(times):
        world.druid.act()
        await asyncio.sleep(world.rng.expovariate(1 / world.rng.choice([1.0, 10.0, 30.0])))
        world.check()
        if world.trims and world.rng.random() < 0.2:
            await trim(world)


async def try_restore(world: World) -> None:
    """A restore may fail in bad weather like anything else; then nothing has changed."""
    try:
        if (await world.target.state(SOURCE)).checkpoint is not None:
            await world.restore()
    except (TransientError, FencedError):
        world.check()


async def settle(task: asyncio.Task[None]) -> None:
    try:
        await task
    except asyncio.CancelledError:
        pass


async def heal(world: World) -> None:
    """Liveness is promised to a healed world: no faults, no kills, and time."""
    world.weather.fault_probability = 0.0
    stop = asyncio.Event()
    parts = world.start(stop, doubles=False)
    for _ in range(30):  # where a request takes a second, a cut takes twenty
        await asyncio.sleep(30.0)
        if await world.has_followed() and not world.druid.deletions:
            break
    await asyncio.sleep(60.0)  # and it stays there
    for part in parts:
        assert not part.task.done(), f"{part.name} ended"
    stop.set()
    for part in parts:
        await part.task
    world.check()
    await world.restore_from_the_store()
    checkpoint = world.checkpoint()
    assert checkpoint is not None
    assert not checkpoint.paused
    assert world.source.seen[checkpoint.digest] == world.source.rows
    if world.archive is not None:
        kept = await world.archive.checkpoint()
        assert kept is not None
        assert world.source.seen[kept.digest] == world.source.rows
    note_attempts(world)
    if not {"kill_young", "kill_old", "drop_datasource", "rebirth"} & world.druid.done:
        assert world.open_gaps() == []


def note_attempts(world: World) -> None:
    if world.first_record() > 0:
        return
    records = world.log._stored.records
    closed = sum(1 for record in records if record.type == "cut.closed")
    counted = sum(_count(record.data) for record in records if record.type == "cut.closed")
    if counted + closed < len(records):
        world.marks.add("an attempt was given up")


def _count(data: bytes) -> int:
    count: int = orjson.loads(data)["data"]["count"]
    return count
