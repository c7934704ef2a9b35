"""A passive process waits until no other does its work: `run --passive` on a second machine.

Heartbeats only decide when it begins. Two writers are kept apart by the epochs of log and targets,
as always: a process that begins too early fences the other one and does no harm.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from replicator.errors import NotFoundError, TransientError
from replicator.model.operations.pulse import BEAT_S, Pulse, pulse_of
from replicator.ports import Pulses
from replicator.services.running.pause import pause

SILENT_MAX_S = 3 * BEAT_S
"""Seconds without a new heartbeat after which another process counts as gone."""
FIRST_BEAT_S = 2.0
"""Seconds within which a process that has just begun a log writes its first heartbeat."""
LOOK_S = 1.0
"""Seconds between two looks for new heartbeats."""


class Turn:
    """Watches other processes' heartbeats by its own clock alone: clocks of two machines differ.

    A heartbeat is new if it differs from the one before, whatever its time. A heartbeat that
    reports its process's end is waited for like any other: a verb typed beside a `run` leaves one,
    and the next heartbeat of the `run` follows.
    """

    def __init__(
        self, pulses: Pulses, who: Sequence[str], *, waits_for: Callable[[str], None]
    ) -> None:
        """Take the heartbeats to watch, and the observer, which learns once for whom it waits."""
        self._pulses, self._who, self._waits_for = pulses, who, waits_for
        self._said: dict[str, bytes | None] = {}
        self._told = ""

    async def comes(self, stop: asyncio.Event) -> bool:
        """Wait until no other process sends heartbeats; return False if `stop` was set first.

        Raises:
            ConfigError: the log denies heartbeats, or was moved.
        """
        clock = asyncio.get_running_loop().time
        if not await self._is_anybody():
            await pause(stop, FIRST_BEAT_S)
            if stop.is_set() or not await self._is_anybody():
                return not stop.is_set()
        heard_at = clock()
        while not stop.is_set():
            await pause(stop, LOOK_S)
            if await self._is_news():
                heard_at = clock()
            elif clock() - heard_at >= SILENT_MAX_S:
                return True
        return False

    async def _is_anybody(self) -> bool:
        """Return whether any process was ever seen; an unreachable log may have another one's."""
        try:
            for who in self._who:
                self._said[who] = await self._pulses.heard(who)
        except NotFoundError:
            return False
        except TransientError as exc:
            self._tell(str(exc))
            return True
        self._tell_of(self._said)
        return any(said is not None for said in self._said.values())

    async def _is_news(self) -> bool:
        """Return whether a heartbeat came since the last look, or could not be read."""
        try:
            said = {who: await self._pulses.heard(who) for who in self._who}
        except (NotFoundError, TransientError) as exc:
            self._tell(str(exc))
            return True
        new = [who for who, data in said.items() if data != self._said.get(who)]
        self._said = dict(said)
        self._tell_of({who: said[who] for who in new})
        return bool(new)

    def _tell_of(self, said: Mapping[str, bytes | None]) -> None:
        """Report the process waited for: the first known one, at once and whenever that changes."""
        pulses = (pulse_of(data) for data in said.values() if data is not None)
        if (pulse := next((one for one in pulses if one is not None), None)) is not None:
            self._tell(_words(pulse))

    def _tell(self, who: str) -> None:
        if who != self._told:
            self._told = who
            self._waits_for(who)


def _words(pulse: Pulse) -> str:
    ended = ", which has ended" if pulse.ended_at is not None else ""
    return f"{pulse.process}{ended}"
