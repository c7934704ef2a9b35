"""Limits for a storage: requests per second, bytes per second, bytes in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PAUSE_FIRST_S = 0.5
"""First pause, in seconds, after a server has refused a request because it has too many."""


class Pace:
    """Limits for requests and bytes per second, each with one second's burst.

    When the server has too many requests, all requests to it pause: as long as it asks, or longer
    each time. `within` is a pace shared with others; both are kept.
    """

    def __init__(
        self,
        *,
        requests_per_s_max: float | None = None,
        bytes_per_s_max: float | None = None,
        pause_s_max: float = 30.0,
        within: "Pace | None" = None,
    ) -> None:
        self._requests = None if requests_per_s_max is None else _TokenBucket(requests_per_s_max)
        self._bytes = None if bytes_per_s_max is None else _TokenBucket(bytes_per_s_max)
        self._within = within
        self._pause_s_max = pause_s_max
        self._pause_s, self._paused_until = 0.0, 0.0

    def refused(self, wait_s: float | None = None) -> None:
        """Pause, because the server has too many requests; `wait_s` is the pause that it asks for.

        Refusals of requests that were under way when the pause began do not extend it. A refusal
        soon after its end (within its length) doubles the next one, up to `pause_s_max`.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._paused_until:
            soon = now < self._paused_until + self._pause_s
            self._pause_s = 2 * self._pause_s if soon else PAUSE_FIRST_S
            self._paused_until = now + min(self._pause_s, self._pause_s_max)
        if wait_s is not None:
            self._paused_until = max(self._paused_until, now + min(wait_s, self._pause_s_max))
        self._pause_s = min(self._pause_s, self._pause_s_max)

    async def request(self) -> None:
        """Wait until one more request may be sent."""
        loop = asyncio.get_running_loop()
        while (delay_s := self._paused_until - loop.time()) > 0:  # noqa: ASYNC110 - it may be extended
            await asyncio.sleep(delay_s)
        if self._requests is not None:
            await self._requests.take(1)
        if self._within is not None:
            await self._within.request()

    async def transfer(self, size_bytes: int) -> None:
        """Wait until a number of bytes may be sent."""
        if self._bytes is not None:
            await self._bytes.take(size_bytes)
        if self._within is not None:
            await self._within.transfer(size_bytes)


class _TokenBucket:
    """Tokens arrive at a rate; taking more than there are is a debt that later takers wait for."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._full_at = 0.0

    async def take(self, tokens: float) -> None:
        now = asyncio.get_running_loop().time()
        self._full_at = max(self._full_at, now - 1.0) + tokens / self._rate
        if (delay_s := self._full_at - now) > 0:
            await asyncio.sleep(delay_s)


class InFlight:
    """Limit of the bytes in memory between a read and a write, first come, first served."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = self._free = bytes_max
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold a number of bytes for the length of the block, at most all of them."""
        wanted = await self.acquire(size_bytes)
        try:
            yield
        finally:
            self.release(wanted)

    async def acquire(self, size_bytes: int) -> int:
        """Wait for a number of bytes; return the number to release."""
        # An object larger than the limit must pass as well: alone.
        wanted = min(size_bytes, self._bytes_max)
        if self._waiting or wanted > self._free:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((wanted, turn))
            try:
                await turn
            except asyncio.CancelledError:
                # Its turn came in the same pass of the loop as the cancellation: nobody else would
                # give the bytes back.
                if turn.done() and not turn.cancelled():
                    self.release(wanted)
                else:
                    with suppress(ValueError):  # served meanwhile
                        self._waiting.remove((wanted, turn))
                    self._wake()
                raise
        else:
            self._free -= wanted
        return wanted

    def release(self, held_bytes: int) -> None:
        """Return bytes that `acquire` gave."""
        self._free += held_bytes
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= wanted
                turn.set_result(None)
