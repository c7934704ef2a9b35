"""The loop of a service: one step after another, until it is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

from replicator.errors import ReplicatorError, TransientError
from replicator.model.observation import Observer, Waiting
from replicator.model.retry import RetryPolicy
from replicator.services.running.pause import pause

Step: TypeAlias = Callable[[], Awaitable[float | None]]
"""Does one step; returns the seconds to wait before the next, None when there is none."""


async def repeat(
    step: Step,
    stop: asyncio.Event,
    *,
    what: str,
    retry: RetryPolicy,
    rng: Random,
    observer: Observer,
    passing: tuple[type[ReplicatorError], ...] = (TransientError,),
) -> None:
    """Do steps until `stop` is set or there is none any more; a begun step always finishes.

    Args:
        step: One step; the next begins from nothing but what the last has written.
        stop: Ends the loop, and every wait in it.
        what: What a step does, for whoever is told of a wait.
        retry: How long the waits are after failures that follow each other.
        rng: Draws them.
        observer: Is told of them.
        passing: Failures after which the next step may go well; all others are raised.
    """
    failures = 0
    while not stop.is_set():
        try:
            wait_s = await step()
        except passing as exc:
            wait_s = retry.delay_s(failures, rng)
            failures += 1
            observer(Waiting(what=what, reason=str(exc), delay_s=wait_s))
        else:
            failures = 0
        if wait_s is None:
            return
        if wait_s:
            await pause(stop, wait_s)
