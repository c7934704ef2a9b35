"""The processes that do the work of the watcher and of the appliers already."""

import asyncio
from collections.abc import Callable

from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.operations.pulse import WATCH, Pulse, pulse_of
from replicator.ports import Clock, Pulses
from replicator.services.running.change_watch import ChangeWatch

LOOK_S = 0.5
"""Seconds between two looks at a process that does the work."""
POLLS_SEEN = 2
"""Number of polls of a running watcher that must end: the second began after the request."""


class RunningProcesses:
    """Processes whose work is waited for: a second one would fence them, and so end them.

    Args:
        pulses: Their heartbeats.
        clock: Clock by which a heartbeat is recent.
        is_gone: Returns whether the process of a heartbeat is known to have ended.
    """

    def __init__(
        self,
        pulses: Pulses,
        clock: Clock,
        *,
        is_gone: Callable[[Pulse], bool] = lambda _: False,
    ) -> None:
        self._pulses, self._clock, self._is_gone = pulses, clock, is_gone
        self._changes = ChangeWatch(pulses)

    async def heard(self, who: str) -> Pulse | None:
        """Return the heartbeat of a process that continues; None if none does, or can be heard.

        One of a dead process counts as long as any other: it may have been written over that of the
        process which has taken over, and which beats again soon.

        The clock of either machine may be wrong by a day: a heartbeat that is not recent is watched
        for as long as one may be missing, which takes some seconds.

        Args:
            who: The work, by `model/operations/pulse.py`.
        """
        try:
            said = await self._pulses.heard(who)
        except (ConfigError, NotFoundError):
            return None  # the log denies heartbeats, also to the running process, or is not there
        pulse = None if said is None else pulse_of(said)
        if said is None or pulse is None or pulse.ended_at is not None or not pulse.goes_on:
            return None
        if pulse.is_recent(self._clock.now()):
            return pulse
        if self._is_gone(pulse) or not await self._changes.changed({who: said}):
            return None
        return pulse

    async def poll(self) -> Pulse | None:
        """Return once a running watcher has ended a poll that began after this call.

        None: no watcher is heard, or not any more.
        """
        first = await self.heard(WATCH)
        while first is not None and (pulse := await self.heard(WATCH)) is not None:
            if pulse.since != first.since:
                first = pulse  # the watcher was restarted, and counts from 0
            if pulse.polls >= first.polls + POLLS_SEEN:
                return pulse
            await asyncio.sleep(LOOK_S)
        return None

    async def poll_within(self, timeout_s: float) -> Pulse | None:
        """Return what `poll` does.

        Raises:
            TransientError: it takes longer than `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self.poll()
        except TimeoutError as exc:
            raise _late(await self.heard(WATCH), timeout_s) from exc


def _late(pulse: Pulse | None, timeout_s: float) -> TransientError:
    reasons = [] if pulse is None else [pulse.waits, *(halt.reason for halt in pulse.halts)]
    why = "".join(f": {reason}" for reason in reasons if reason)
    process = "the running watcher" if pulse is None else f"{pulse.process},"
    return TransientError(
        f"{process} ended no poll that began after the request within {timeout_s:g} s{why}",
        hint="see what it waits for in `status`, then run the command again",
    )
