"""The event loop of a verb; SIGTERM ends it after the verb has cleaned up."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from replicator.adapters.machine.event_loop import Loop
from replicator.cli.terminal import signals
from replicator.services.running.patience import GIVEN_UP

T = TypeVar("T")
LOOKUPS_MAX: Final = 16
"""Names of hosts looked up at once: one whose name server is gone takes a place for half a minute.

libuv, which looks them up for all of asyncio, has two places by default; it lends half its threads.
"""


def in_loop(within: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a coroutine in a new event loop; SIGTERM ends it."""
    os.environ.setdefault("UV_THREADPOOL_SIZE", str(2 * LOOKUPS_MAX))
    runner = asyncio.Runner(loop_factory=Loop)
    try:
        outcome = runner.run(_unless_terminated(within))
    finally:
        if not signals.WORK.hangs:
            runner.close()
    if outcome is None:
        signals.say_terminated()
        raise SystemExit(signals.terminated_code(sys.argv[1:]))
    return outcome


async def _unless_terminated(within: Callable[[], Awaitable[T]]) -> T | None:
    """Return the coroutine's result; None if SIGTERM ended it, after it had cleaned up."""
    loop, work = asyncio.get_running_loop(), asyncio.current_task()
    assert work is not None  # noqa: S101 - for the type checker
    terminated = asyncio.Event()

    def end() -> None:
        loop.remove_signal_handler(signal.SIGTERM)  # the second one kills as usual
        terminated.set()
        work.cancel()
        signals.end_within(signals.CLEANING_UP_S)

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        return await within()
    except asyncio.CancelledError:
        if not terminated.is_set():
            raise
        # The task goes on to its result: as long as it counts as cancelled, each timeout in it
        # would end it again.
        work.uncancel()
        return None
    finally:
        await _leave_what_hangs(work)


async def _leave_what_hangs(work: asyncio.Task[object]) -> None:
    """Wait for all tasks but those that were given up: a thread may hold these for ever.

    A runner would wait for them as well, and the interpreter for their threads.
    """
    others = asyncio.all_tasks() - {work}
    left = {task for task in others if task.get_name() == GIVEN_UP}
    if not left:
        return
    signals.WORK.hangs = True
    for task in others - left:
        task.cancel()
    if rest := others - left:
        await asyncio.wait(rest)
