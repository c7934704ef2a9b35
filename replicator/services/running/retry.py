"""Retries calls that may succeed later."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import TypeVar

from replicator.errors import TransientError
from replicator.model.observation import Observer
from replicator.model.observed.faults import Waiting
from replicator.model.operations.retry import RetryPolicy

_Result = TypeVar("_Result")


class Retry:
    """Tries a call as often as a policy allows, and reports each wait."""

    def __init__(
        self, policy: RetryPolicy, *, in_flight_max: int = 1, rng: Random, observer: Observer
    ) -> None:
        """Start with all slots free.

        Args:
            policy: Number of attempts, and the waits between them.
            in_flight_max: Number of calls at once; a caller with several takes one of `slots` for
                each.
            rng: Source of jitter for the waits.
            observer: Receives each wait.
        """
        self._policy, self._rng, self._observer = policy, rng, observer
        self.slots = asyncio.Semaphore(in_flight_max)
        """One slot per call in flight; taken by callers that make several calls at once."""

    @property
    def attempts_max(self) -> int:
        """Number of attempts for one call."""
        return self._policy.attempts_max

    def delays_s(self) -> Iterator[float]:
        """Yield the seconds to wait between attempts, one value fewer than there are attempts."""
        return self._policy.delays_s(self._rng)

    async def call(self, doing: str, attempt: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return the result of the first successful attempt; `doing` names the call in reports.

        Raises:
            TransientError: the last attempt's error. Other errors are raised at once.
        """
        for delay_s in self.delays_s():
            try:
                return await attempt()
            except TransientError as exc:
                self._observer(Waiting(what=doing, reason=str(exc), delay_s=delay_s, is_part=True))
                await asyncio.sleep(delay_s)
        return await attempt()
