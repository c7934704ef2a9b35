"""Calls an address as long as all promises are kept: a receiver alarms when calls stop."""

import asyncio
from collections.abc import Callable

from replicator.errors import ConfigError, TransientError
from replicator.model.observation import Observer, SwitchCalled
from replicator.model.observed.faults import Waiting
from replicator.ports.notifications import Caller
from replicator.services.running.pause import pause


class DeadMansSwitch:
    """Calls an address at intervals as long as all is well.

    Args:
        caller: The address.
        is_well: Whether all is well.
        every_s: Time between two calls.
        observer: Receives each call.
    """

    def __init__(
        self, caller: Caller, *, is_well: Callable[[], bool], every_s: float, observer: Observer
    ) -> None:
        self._caller, self._is_well = caller, is_well
        self._every_s, self._observer = every_s, observer

    async def run(self, stop: asyncio.Event) -> None:
        """Call until `stop` is set."""
        while not stop.is_set():
            await self.call()
            await pause(stop, self._every_s)

    async def call(self) -> bool:
        """Call once if all is well; return whether the call was accepted."""
        if not self._is_well():
            return False
        try:
            await self._caller.post(b"", {})
        except (TransientError, ConfigError) as exc:
            what = "call the dead man's switch"
            self._observer(Waiting(what=what, reason=str(exc), delay_s=self._every_s))
            return False
        self._observer(SwitchCalled())
        return True
