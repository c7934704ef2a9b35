"""How a service tries again what may go well later."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from replicator.errors import TransientError
from replicator.model.observation import Observer, Waiting
from replicator.model.retry import RetryPolicy

_Result = TypeVar("_Result")


class Patience:
    """Tries as often as a policy says, and tells what it waits for."""

    def __init__(self, policy: RetryPolicy, *, rng: Random, observer: Observer) -> None:
        self._policy, self._rng, self._observer = policy, rng, observer

    async def tried(self, doing: str, attempt: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return what an attempt returns; `doing` says what it is, for whoever looks.

        Raises:
            TransientError: that of the last attempt. Other failures are not waited for.
        """
        for delay_s in self._policy.delays_s(self._rng):
            try:
                return await attempt()
            except TransientError as exc:
                self._observer(Waiting(what=doing, reason=str(exc), delay_s=delay_s))
                await asyncio.sleep(delay_s)
        return await attempt()
