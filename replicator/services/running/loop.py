"""The loop of a service: one step after another, until the process is stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final, TypeAlias

from replicator.errors import (
    ConfigError,
    CorruptionError,
    DamagedServerError,
    DamagedStoreError,
    DefectError,
    GapError,
    LogCutShortError,
    MalformedRowError,
    NotFoundError,
    RefusedError,
    ReplicatorError,
    TransientError,
    expected,
    trace,
)
from replicator.model.observation import Observer
from replicator.model.observed.faults import Halted, Waiting, WentOn
from replicator.model.operations.retry import RetryPolicy
from replicator.services.running.pause import pause

Step: TypeAlias = Callable[[], Awaitable[float | None]]
"""Does one step; returns the seconds to wait before the next one, or None to end the loop."""
Errors: TypeAlias = tuple[type[ReplicatorError], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Errors that do not end a service; all other errors end it.

    A FencedError always ends the service: another process does the work.
    """

    passing: Errors
    """Errors that may pass by themselves: the next step follows after the retry policy's wait."""
    halting: Errors = ()
    """Errors that an operator must mend: the service halts and looks again."""
    halting_later: Errors = ()
    """Errors that halt the service after its first successful step; before it, they end the start.

    A process's settings never change, so such an error later means that its surroundings did
    (rights on a file, a password), and the operator who mends them need not restart a process.
    """
    defects_halt: bool = False
    """Whether a defect (an unexpected exception is one, too) halts the service, or ends it."""

    def halts(self, exc: Exception, *, later: bool) -> bool:
        """Return whether an error halts the service; `later`: a step has succeeded before."""
        if isinstance(expected(exc), DefectError):
            return self.defects_halt
        return isinstance(exc, (*self.halting, *(self.halting_later if later else ())))


OF_THE_WATCHER: Final = Tolerance(
    passing=(TransientError, DamagedServerError),
    halting=(DamagedStoreError,),
    halting_later=(ConfigError,),
)
"""A log that contradicts itself ends the watcher, and its process with it.

A source that does is waited for: its disk may be failing, and then the copies are needed most.
Where the log was trimmed, one target's store may be what is damaged: that ends no other target.
"""
_OF_THE_DATA: Final = (CorruptionError, GapError, MalformedRowError)
_OF_ITS_CHECKPOINT: Final = (LogCutShortError,)
"""A writer to one target's state can say that it is further than the log.

A log that has lost records ends its watcher, which knows it by itself and asks the targets at its
start.
"""
_OF_THE_SURROUNDINGS: Final = (ConfigError, RefusedError)
OF_A_TARGET: Final = Tolerance(
    passing=(TransientError, NotFoundError),  # a missing log is created by its watcher
    halting=(*_OF_THE_DATA, *_OF_ITS_CHECKPOINT, *_OF_THE_SURROUNDINGS),
    defects_halt=True,
)
"""Errors of one target end neither the watcher nor the services of other targets, ever.

Nor at the start: a machine that boots at night with one store refused must go on with the others,
and an operator who starts the process reads the error at once, in the line of the halt.

Nor does a defect of this program that one target's store or database brings out: a step that failed
for any reason begins anew from what is stored, and each other target goes on.
"""
OF_A_TARGET_ALONE: Final = replace(
    OF_A_TARGET,
    halting=_OF_THE_DATA,
    halting_later=_OF_THE_SURROUNDINGS,
    defects_halt=False,
)
"""Of a process that does nothing else: an error at its start ends it."""


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
    """Run steps until `stop` is set or a step ends the loop; a started step always finishes.

    Args:
        step: One step; each uses only what previous steps have written.
        stop: Ends the loop, and every wait in it.
        what: Work of a step, for the observer of a wait.
        retry: Waits after consecutive failures that may pass.
        halted_retry_s: Seconds until the next look after an error that an operator must mend.
        rng: Source of jitter for the waits after failures that may pass.
        observer: Receives each wait, each halt and its end.
        tolerance: Errors that do not end the loop; others are raised.
    """
    failures, has_worked, is_halted = 0, False, False
    while not stop.is_set():
        try:
            wait_s = await step()
        except tolerance.passing as exc:
            wait_s = retry.delay_s(failures, rng)
            failures += 1
            observer(Waiting(what=what, reason=str(exc), delay_s=wait_s))
        except Exception as exc:  # noqa: BLE001 - raised again unless the service halts by it
            _require_halts(exc, tolerance, later=has_worked)
            failures, is_halted, wait_s = 0, True, halted_retry_s
            observer(_halted(what, exc, halted_retry_s))
        else:
            failures, has_worked = 0, True
            if is_halted:
                observer(WentOn(what=what))
            is_halted = False
        if wait_s is None:
            return
        if wait_s:
            await pause(stop, wait_s)


def _require_halts(exc: Exception, tolerance: Tolerance, *, later: bool) -> None:
    """Raise an error that ends the service."""
    if not tolerance.halts(exc, later=later):
        raise exc


def _halted(what: str, exc: Exception, retry_s: float) -> Halted:
    error = expected(exc)
    return Halted(
        what=what,
        reason=str(error),
        hint=error.hint,
        exit_code=error.exit_code,
        retry_s=retry_s,
        traceback=trace(exc) if isinstance(error, DefectError) else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LookInterval:
    """How often a target's service looks for work, and when it tries again."""

    seconds: float
    """Seconds between two looks."""
    retry: RetryPolicy
    """Waits while a store or server is unreachable."""
    halted_retry_s: float
    """Seconds until the next look after an error that an operator must mend."""
    rng: Random
    """Source of jitter for these waits."""
    tolerance: Tolerance = OF_A_TARGET
    """Which errors do not end it."""

    async def repeat(
        self, step: Step, stop: asyncio.Event, *, what: str, observer: Observer
    ) -> None:
        """Run steps as `repeat` does."""
        await repeat(
            step,
            stop,
            what=what,
            retry=self.retry,
            halted_retry_s=self.halted_retry_s,
            rng=self.rng,
            observer=observer,
            tolerance=self.tolerance,
        )
