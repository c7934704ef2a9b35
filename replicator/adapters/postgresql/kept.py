"""The connection that one block leaves to the next: a verb asks a database a dozen questions.

Each connection costs the server a process. So the blocks of one verb, or of one poll, share one as
long as they follow each other; blocks at the same time have one each. It is closed soon after the
last of them: nothing stays connected between two polls.
"""

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import asyncpg

IDLE_MAX_S: Final = 5.0
"""Longest time for which a connection waits for the next block."""
AGE_MAX_S: Final = 30.0
"""Age at which a connection is left to no other block: its address may lead elsewhere by then, as
after a failover."""


class Link(NamedTuple):
    """A connection, and the loop's time at which it was made."""

    connection: "asyncpg.Connection[asyncpg.Record]"
    made_s: float


class KeptConnection:
    """Keeps at most one connection that no block uses, for blocks of one event loop.

    Whoever takes it makes sure that it still answers.
    """

    def __init__(self) -> None:
        self._left: Link | None = None
        self._end: asyncio.TimerHandle | None = None
        self._is_closed = False

    def take(self) -> Link | None:
        """Return the connection that was left, if there is one; it is the caller's then."""
        left, self._left = self._left, None
        if self._end is not None:
            self._end.cancel()
        return left

    def leave(self, link: Link) -> bool:
        """Take back a connection that is as good as new; return whether it is kept.

        If not, the caller closes it.
        """
        connection, loop = link.connection, asyncio.get_running_loop()
        is_good = not connection.is_closed() and not connection.is_in_transaction()
        is_old = loop.time() - link.made_s >= AGE_MAX_S
        if self._is_closed or self._left is not None or is_old or not is_good:
            return False
        self._left, self._end = link, loop.call_later(IDLE_MAX_S, self._close_left)
        return True

    async def close(self) -> None:
        """Close what was left; nothing is kept from then on."""
        self._is_closed = True
        if (left := self.take()) is not None:
            try:
                await left.connection.close(timeout=IDLE_MAX_S)
            except Exception:  # noqa: BLE001 - as with any connection that nobody needs any more
                left.connection.terminate()

    def _close_left(self) -> None:
        if (left := self.take()) is not None:
            left.connection.terminate()
