"""Blocking calls in a thread, whose end is waited for even by a caller that was cancelled."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

_Result = TypeVar("_Result")


async def finished(
    call: Callable[[], _Result], thread: ThreadPoolExecutor | None = None
) -> _Result:
    """Return what `call` gives in a thread.

    A cancelled caller waits for its end first, so that nothing is renamed, written or taken over
    behind the back of the code that cleans up.
    """
    future = asyncio.get_running_loop().run_in_executor(thread, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):  # raised again below
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # looked at, or the event loop would report it as lost
        raise
