"""Which processes follow a source: heartbeats of this one, and what is heard of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from replicator.adapters.machine.process import host, is_alive
from replicator.services.monitoring.life import Ear, at_work, refuse_beside

if TYPE_CHECKING:
    from replicator.app.configured.recorded_log import RecordedLog
    from replicator.app.configured.targets import ConfiguredTargets
    from replicator.app.hearts import Hearts
    from replicator.model.operations.pulse import Pulse
    from replicator.ports import Clock
    from replicator.services.monitoring.life import LifeSigns
    from replicator.services.monitoring.status import LogStatus
    from replicator.services.running.heart import Heart
    from replicator.services.running.processes import RunningProcesses
    from replicator.services.running.turn import Turn


class Processes:
    """Hears of the watcher and the appliers, in this process and in others.

    Args:
        recorded: Log beside which their heartbeats lie.
        targets: The targets that have appliers.
        hearts: Hearts of this process.
        clock: Clock by which a heartbeat is recent.
    """

    def __init__(
        self, recorded: RecordedLog, targets: ConfiguredTargets, hearts: Hearts, clock: Clock
    ) -> None:
        self._recorded, self._targets = recorded, targets
        self._hearts, self._clock = hearts, clock

    def heart(self, who: str, verb: str) -> Heart:
        """Return the heart of the watcher or an applier, `who` by `model/operations/pulse.py`.

        From then on the work of that service shows in its heartbeats.
        """
        return self._hearts.heart(self._recorded.log, who, verb)

    def turn(self, who: Sequence[str], waits_for: Callable[[str], None]) -> Turn:
        """Return the turn: it waits until no other process does this work, named as for `heart`."""
        from replicator.services.running.turn import Turn  # noqa: PLC0415 - few verbs wait

        return Turn(self._recorded.log, who, waits_for=waits_for)

    async def life(self, log: LogStatus | None) -> LifeSigns:
        """Return which processes are running."""
        return await self._ear.life_signs(self._targets.names, log)

    @property
    def running(self) -> RunningProcesses:
        """Processes whose work is waited for rather than taken over."""
        from replicator.services.running.processes import (  # noqa: PLC0415 - few verbs wait
            RunningProcesses,
        )

        return RunningProcesses(self._recorded.log, self._clock, is_gone=_is_gone)

    async def others(self, who: Sequence[str]) -> list[Pulse]:
        """Return the processes that do this work now, named as for `heart`."""
        return at_work(await self._patiently(), who, host=host(), is_alive=is_alive)

    async def refuse_beside_others(self, doing: str) -> None:
        """Refuse what must not be done while watcher or appliers run.

        Raises:
            RefusedError: one of them does.
        """
        refuse_beside(await self._patiently(), doing)

    async def _patiently(self) -> LifeSigns:
        return await self._ear.life_signs(self._targets.names, None, is_patient=True)

    @cached_property
    def _ear(self) -> Ear:
        return Ear(self._recorded.log, self._clock, own=self._hearts.pulse, is_gone=_is_gone)


def _is_gone(pulse: Pulse) -> bool:
    """Return whether a process of this machine has ended; unknown for one of another machine."""
    return pulse.host == host() and not is_alive(pulse.pid)
