"""Runs services side by side and stops them in order."""

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from replicator.task_group import TaskGroup


class Service(Protocol):
    """A task that runs until it is asked to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Return soon after `stop` is set, with the work in hand finished."""
        ...


async def supervise(
    services: Mapping[str, Service],
    *,
    stop: asyncio.Event,
    drain_s: float,
    late: Callable[[str], None] = lambda _: None,
) -> None:
    """Run all services until `stop` or until each has ended; give them `drain_s` to finish.

    If one fails, the others are cancelled and its error is raised in an ExceptionGroup: every step
    can be repeated safely, so stopping early is better than running on without one service.
    `late` is called with the name of each service that did not finish within `drain_s`.

    Raises:
        BaseExceptionGroup: the services' errors.
        RuntimeError: a service was cancelled, but not by this function; also within a group.
    """
    async with TaskGroup() as group:
        tasks = {group.create_task(s.run(stop), name=name) for name, s in services.items()}
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            running = tasks
            while running and not stopping.done():
                done, _ = await asyncio.wait(
                    {*running, stopping}, return_when=asyncio.FIRST_COMPLETED
                )
                running = running - done
                _require_none_lost(done)
            if running:
                _, hanging = await asyncio.wait(running, timeout=drain_s)
                for task in hanging:
                    late(task.get_name())
                    task.cancel()
        finally:
            stopping.cancel()


def _require_none_lost(ended: Iterable[asyncio.Task[Any]]) -> None:
    """Refuse to continue without a service that ended by cancellation alone."""
    for task in ended:
        if task.cancelled():
            raise RuntimeError(
                f"{task.get_name()!r} was cancelled though nothing stops this process; start it"
                " again: it continues where it stopped"
            )


def stop_on_signals(stop: asyncio.Event, *, told: Callable[[], None] = lambda: None) -> None:
    """Set `stop` on the first SIGTERM or SIGINT; a second one kills the process as usual."""
    loop = asyncio.get_running_loop()

    def stop_once(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        stop.set()
        told()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_once, number)
