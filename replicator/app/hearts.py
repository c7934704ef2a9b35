"""Heartbeats of the watcher and the appliers of one process, created from one configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from replicator.adapters.machine.process import host, process_id
from replicator.model.operations.pulse import BEAT_S, WATCH, Pulse, apply_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator.app.monitoring import Monitoring
    from replicator.model.observation import Observation, Observer
    from replicator.ports import Clock, Pulses
    from replicator.services.running.heart import Heart


class Hearts:
    """The hearts of one process, which observe its services."""

    def __init__(
        self, monitoring: Monitoring, clock: Clock, *, unlogged: Callable[[], str]
    ) -> None:
        """Take what says why this process cannot write its log lines; '' if it can."""
        self._monitoring, self._clock, self._unlogged = monitoring, clock, unlogged
        self._hearts: dict[str, Heart] = {}

    def heart(self, pulses: Pulses, who: str, verb: str) -> Heart:
        """Return the heart of the watcher or an applier, `who` by `model/operations/pulse.py`."""
        from replicator.services.running.heart import Heart  # noqa: PLC0415 - few verbs have one

        now = self._clock.now()
        pulse = Pulse(
            verb=verb,
            host=host(),
            pid=process_id(),
            since=now,
            seen_at=now,
            every=timedelta(seconds=BEAT_S),
        )
        observer = self._monitoring.observer()
        heart = Heart(
            pulses,
            who,
            pulse=pulse,
            clock=self._clock,
            observer=observer,
            unlogged=self._unlogged,
        )
        self._hearts[who] = heart
        return heart

    def pulse(self, who: str) -> Pulse | None:
        """Return this process's heartbeat for a kind of work; None: it does not do that work."""
        heart = self._hearts.get(who)
        return None if heart is None else heart.pulse

    def observer(self, target: str) -> Observer:
        """Return the observer of a target's services."""
        return self._beating(apply_to(target), self._monitoring.observer(target))

    def watching(self) -> Observer:
        """Return the observer of the watcher."""
        return self._beating(WATCH, self._monitoring.observer())

    def _beating(self, who: str, then: Observer) -> Observer:
        def observe(observation: Observation) -> None:
            if (heart := self._hearts.get(who)) is not None:
                heart.observe(observation)
            then(observation)

        return observe
