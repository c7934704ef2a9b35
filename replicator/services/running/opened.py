"""A service that is made when it runs, because what it is made from may be away or damaged."""

import asyncio
from collections.abc import Awaitable, Callable

from replicator.model.observation import Observer
from replicator.services.running.loop import LookInterval
from replicator.services.running.supervisor import Service


class Opened:
    """A target's service with what it reads before it can begin, such as its tables' columns.

    That a target is away, or its store damaged, keeps no other service of the process from its
    work.

    Args:
        opening: Makes the service.
        what: What the service does, for the observer of a wait.
        interval: When a failed attempt is repeated.
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
        """Make the service, however often that takes, and run it until `stop` is set."""
        await self._interval.repeat(self._open, stop, what=self._what, observer=self._observer)
        if self._service is not None:
            await self._service.run(stop)

    async def _open(self) -> None:
        self._service = await self._opening()
