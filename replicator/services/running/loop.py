"""The loop of a service: one step after another, until the process is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from replicator.errors import ConfigError, NotFoundError, ReplicatorError, TransientError
from replicator.model.observation import Observer, Waiting
from replicator.model.operations.retry import RetryPolicy
from replicator.services.running.pause import pause

Step: TypeAlias = Callable[[], Awaitable[float | None]]
"""Does one step; returns the seconds to wait before the next one, None to end the loop."""
UNTIL_THE_LOG_IS_THERE: Final = (TransientError, NotFoundError)
"""What a service of a target gets over: where there is no log, its watcher comes later."""


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

    A ConfigError ends the loop only before a step has gone well. The settings of a process never
    change, so later one means that its surroundings did (rights on a file, a password), and who
    mends that has no process to start: one target's file must not end the recording of the source.

    Args:
        step: One step; each starts only from what the previous ones have written.
        stop: Ends the loop, and every wait in it.
        what: What a step does, for the observer of a wait.
        retry: Length of the waits after consecutive failures.
        rng: Source of jitter for these waits.
        observer: Receives each wait.
        passing: Errors that a later step may get over from the first one on; others are raised.
    """
    failures, later = 0, (*passing, ConfigError)
    while not stop.is_set():
        try:
            wait_s = await step()
        except passing as exc:
            wait_s = retry.delay_s(failures, rng)
            failures += 1
            reason = f"{exc}; {exc.hint}" if isinstance(exc, ConfigError) else str(exc)
            observer(Waiting(what=what, reason=reason, delay_s=wait_s))
        else:
            failures, passing = 0, later
        if wait_s is None:
            return
        if wait_s:
            await pause(stop, wait_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookInterval:
    """How often a service beside an applier looks for work, and when it tries again."""

    seconds: float
    """Between two looks."""
    retry: RetryPolicy
    """Length of the waits while something is unreachable."""
    rng: Random
    """Source of jitter for these waits."""

    async def repeat(
        self, step: Step, stop: asyncio.Event, *, what: str, observer: Observer
    ) -> None:
        """Do steps as `repeat` does, from the moment on at which there is a log."""
        await repeat(
            step,
            stop,
            what=what,
            retry=self.retry,
            rng=self.rng,
            observer=observer,
            passing=UNTIL_THE_LOG_IS_THERE,
        )
