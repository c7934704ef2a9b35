"""Blocking calls in threads, which are awaited to their end even if the caller is cancelled."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

_Result = TypeVar("_Result")


async def finished(
    call: Callable[[], _Result], thread: ThreadPoolExecutor | None = None
) -> _Result:
    """Return the result of `call`, run in a thread.

    A cancelled caller waits for the call's end first, so that nothing is renamed, written or
    adopted while the caller already cleans up.
    """
    future = asyncio.get_running_loop().run_in_executor(thread, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):  # raised again below
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # retrieved, or the event loop would report it as lost
        raise
