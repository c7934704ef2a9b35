"""Whether a process runs whose clock disagrees: its heartbeat changes while it is watched."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from replicator.errors import ReplicatorError
from replicator.model.operations.pulse import BEAT_S, MISSED_MAX
from replicator.ports import Pulses

LOOK_S = 1.0
"""Seconds between two looks for a changed heartbeat."""


class ChangeWatch:
    """Watches heartbeats whose times cannot be used (not `Pulse.is_recent`).

    By its time alone such a heartbeat would count as that of a running process for as long as the
    clock was ahead, also after a kill.

    Args:
        pulses: Where the heartbeats are kept.
    """

    def __init__(self, pulses: Pulses) -> None:
        self._pulses = pulses
        self._silent: dict[str, bytes] = {}
        """Heartbeats that did not change while they were watched."""

    async def changed(self, ahead: Mapping[str, bytes]) -> frozenset[str]:
        """Watch heartbeats for as long as one may be missing; return those that change.

        The first look at a heartbeat takes some seconds; one that has not changed since it was
        found silent takes none.
        """
        silent = {who: said for who, said in ahead.items() if self._silent.get(who) != said}
        changed = set[str]()
        for _ in range(round(MISSED_MAX * BEAT_S / LOOK_S)):
            if not silent:
                break
            await asyncio.sleep(LOOK_S)
            for who in [*silent]:
                with suppress(ReplicatorError):
                    if await self._pulses.heard(who) != silent[who]:
                        changed.add(who)
                        del silent[who]
        self._silent |= silent
        return frozenset(changed)
