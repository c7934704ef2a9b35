"""The loop of a service: one step after another, until the process is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

from replicator.errors import ReplicatorError, TransientError
from replicator.model.observation import Observer, Waiting
from replicator.model.operations.retry import RetryPolicy
from replicator.services.running.pause import pause

Step: TypeAlias = Callable[[], Awaitable[float | None]]
"""Does one step; returns the seconds to wait before the next one, None to end the loop."""


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
    """Do steps until `stop` is set or a step ends the loop; a started step always finishes.

    Args:
        step: One step; each starts only from what the previous ones have written.
        stop: Ends the loop, and every wait in it.
        what: What a step does, for the observer of a wait.
        retry: Length of the waits after consecutive failures.
        rng: Source of jitter for these waits.
        observer: Receives each wait.
        passing: Errors that the next step may get over; all others are raised.
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
