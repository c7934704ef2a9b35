"""How a service tries again what may go well later."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import TypeVar

from replicator.errors import TransientError
from replicator.model.observation import Observer, Waiting
from replicator.model.retry import RetryPolicy

_Result = TypeVar("_Result")


class Retry:
    """Tries as often as a policy says, and tells what it waits for."""

    def __init__(
        self, policy: RetryPolicy, *, in_flight_max: int = 1, rng: Random, observer: Observer
    ) -> None:
        """Begin with all slots free.

        Args:
            policy: How often something is tried, and how long the waits are.
            in_flight_max: How many things may be tried at once, each in one of `slots`.
            rng: Draws the waits.
            observer: Is told of each wait.
        """
        self._policy, self._rng, self._observer = policy, rng, observer
        self.slots = asyncio.Semaphore(in_flight_max)
        """Taken by whoever tries several things at once, one for each."""

    def delays_s(self) -> Iterator[float]:
        """Yield the waits in seconds between one thing's attempts, one less than there are."""
        return self._policy.delays_s(self._rng)

    async def call(self, doing: str, attempt: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return what an attempt returns; `doing` says what it is, for whoever looks.

        Raises:
            TransientError: that of the last attempt. Other failures are not waited for.
        """
        for delay_s in self.delays_s():
            try:
                return await attempt()
            except TransientError as exc:
                self._observer(Waiting(what=doing, reason=str(exc), delay_s=delay_s))
                await asyncio.sleep(delay_s)
        return await attempt()
