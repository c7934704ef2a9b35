"""A service that is created when it runs, because its parts may be unreachable or damaged."""

import asyncio
from collections.abc import Awaitable, Callable

from replicator.model.observation import Observer
from replicator.services.running.loop import LookInterval
from replicator.services.running.supervisor import Service


class Opened:
    """A target's service that must read something to begin, for example its tables' columns.

    An unreachable target or a damaged store keeps no other service of the process from its work.

    Args:
        opening: Creates the service.
        what: Work of the service, for the observer of a wait.
        interval: Waits between failed attempts.
        observer: Receives each wait.
    """

    def __init__(
        self,
        opening: Callable[[], Awaitable[Service]],
        *,
        what: str,
        interval: LookInterval,
        observer: Observer,
    ) -> None:
        self._opening, self._what = opening, what
        self._interval, self._observer = interval, observer
        self._service: Service | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Create the service, with as many attempts as needed, and run it until `stop` is set."""
        await self._interval.repeat(self._open, stop, what=self._what, observer=self._observer)
        if self._service is not None:
            await self._service.run(stop)

    async def _open(self) -> None:
        self._service = await self._opening()
