"""The loop of a service: one step after another, until the process is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from replicator.errors import (
    ConfigError,
    CorruptionError,
    GapError,
    MalformedRowError,
    NotFoundError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.observation import Halted, Observer, Waiting, WentOn
from replicator.model.operations.retry import RetryPolicy
from replicator.services.running.pause import pause

Step: TypeAlias = Callable[[], Awaitable[float | None]]
"""Does one step; returns the seconds to wait before the next one, None to end the loop."""
Errors: TypeAlias = tuple[type[ReplicatorError], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Which errors do not end a service; all others do, and so does every defect.

    A FencedError always ends it: another process does the work.
    """

    passing: Errors
    """May pass by themselves: the next step comes after the retry policy's wait."""
    halting: Errors = ()
    """Somebody must mend something, here and nowhere else: the service halts and looks again."""
    halting_later: Errors = ()
    """The same after a step that went well; until then they end the start, which says so at once.

    The settings of a process never change, so later they mean that its surroundings did (rights on
    a file, a password), and who mends that has no process to start.
    """


OF_THE_WATCHER: Final = Tolerance(passing=(TransientError,), halting_later=(ConfigError,))
"""A log that contradicts itself ends the watcher, and its process with it."""
OF_A_TARGET: Final = Tolerance(
    passing=(TransientError, NotFoundError),  # where there is no log, its watcher comes later
    halting=(CorruptionError, GapError, MalformedRowError),
    halting_later=(ConfigError, RefusedError),
)
"""What is wrong with one target ends neither the watcher nor the services of others."""


async def repeat(
    step: Step,
    stop: asyncio.Event,
    *,
    what: str,
    retry: RetryPolicy,
    halted_retry_s: float,
    rng: Random,
    observer: Observer,
    tolerance: Tolerance,
) -> None:
    """Do steps until `stop` is set or a step ends the loop; a started step always finishes.

    Args:
        step: One step; each starts only from what the previous ones have written.
        stop: Ends the loop, and every wait in it.
        what: What a step does, for the observer of a wait.
        retry: Length of the waits after consecutive failures that may pass.
        halted_retry_s: Seconds until the next look after an error that somebody must mend.
        rng: Source of jitter for the waits after failures that may pass.
        observer: Receives each wait, each halt and its end.
        tolerance: Which errors these are; others are raised.
    """
    failures, halting, is_halted = 0, tolerance.halting, False
    while not stop.is_set():
        try:
            wait_s = await step()
        except tolerance.passing as exc:
            wait_s = retry.delay_s(failures, rng)
            failures += 1
            observer(Waiting(what=what, reason=str(exc), delay_s=wait_s))
        except halting as exc:
            failures, is_halted, wait_s = 0, True, halted_retry_s
            observer(_halted(what, exc, halted_retry_s))
        else:
            failures, halting = 0, (*tolerance.halting, *tolerance.halting_later)
            if is_halted:
                observer(WentOn(what=what))
            is_halted = False
        if wait_s is None:
            return
        if wait_s:
            await pause(stop, wait_s)


def _halted(what: str, exc: ReplicatorError, retry_s: float) -> Halted:
    return Halted(
        what=what, reason=str(exc), hint=exc.hint, exit_code=exc.exit_code, retry_s=retry_s
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LookInterval:
    """How often a service of a target looks for work, and when it tries again."""

    seconds: float
    """Between two looks."""
    retry: RetryPolicy
    """Length of the waits while something is unreachable."""
    halted_retry_s: float
    """Seconds until the next look after an error that somebody must mend."""
    rng: Random
    """Source of jitter for the waits while something is unreachable."""

    async def repeat(
        self, step: Step, stop: asyncio.Event, *, what: str, observer: Observer
    ) -> None:
        """Do steps as `repeat` does, with the tolerance of a target's services."""
        await repeat(
            step,
            stop,
            what=what,
            retry=self.retry,
            halted_retry_s=self.halted_retry_s,
            rng=self.rng,
            observer=observer,
            tolerance=OF_A_TARGET,
        )
