"""A group whose task fails is no cancellation of the task that waits for it."""

import asyncio

import pytest

from replicator.services.running.pause import pause
from replicator.task_group import TaskGroup


async def fails() -> None:
    await asyncio.sleep(0)
    raise ValueError("seen")


async def waits_for_a_failure() -> None:
    async with TaskGroup() as group:
        group.create_task(fails())


async def test_a_failure_leaves_no_cancellation_behind():
    task = asyncio.current_task()
    assert task is not None
    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            await waits_for_a_failure()
        assert task.cancelling() == 0
    await pause(asyncio.Event(), 0.01)


async def test_a_group_within_a_limit_that_ends_says_so():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), TaskGroup() as group:
            group.create_task(asyncio.sleep(60))


async def test_a_cancellation_from_outside_stays_one():
    async def body() -> None:
        async with TaskGroup() as group:
            group.create_task(asyncio.sleep(60))

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
