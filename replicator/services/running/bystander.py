"""Services that only stand by the copies: their failures end no copies."""

import asyncio
from collections.abc import Callable
from typing import Final

from replicator.services.running.pause import pause
from replicator.services.running.supervisor import Service

AGAIN_S: Final = 60.0
"""Seconds from a failure to the next beginning."""


class Bystander:
    """A service that looks, tells or schedules; if it fails, that is reported and it begins anew.

    Args:
        service: A service whose `run` can be called again.
        failed: Receives each failure.
    """

    def __init__(self, service: Service, *, failed: Callable[[Exception], None]) -> None:
        self._service, self._failed = service, failed

    async def run(self, stop: asyncio.Event) -> None:
        """Run the service until `stop` is set, or until it ends without a failure."""
        while not stop.is_set():
            try:
                await self._service.run(stop)
            except Exception as exc:  # noqa: BLE001 - reported, with its traceback if it is a defect
                self._failed(exc)
                await pause(stop, AGAIN_S)
            else:
                return
