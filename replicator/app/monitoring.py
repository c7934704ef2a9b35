"""Metrics, status and the web server, made from one configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator import __version__
from replicator.config import Settings, TargetSettings, WebSettings
from replicator.services.monitoring.status import LogStatus, Promises, StatusReader

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from replicator.app.wiring.target import ConfiguredTarget
    from replicator.model.observation import Observation, Observer
    from replicator.ports import Clock
    from replicator.services.history.reader import History
    from replicator.services.monitoring.life import LifeSigns
    from replicator.services.monitoring.poller import Poller
    from replicator.web.metrics import Metrics
    from replicator.web.server import StatusAnswers, WebServer

# Prometheus' and aiohttp's libraries take a while to import: only where a port is configured.


class Monitoring:
    """Metrics and status of one configured application; nothing without `web`."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        observer: Observer,
        observers: Callable[[str], Observer] | None = None,
    ) -> None:
        """Count nothing yet.

        Args:
            settings: What is configured.
            clock: Stamps what is counted.
            observer: Receives what happens.
            observers: Returns one for a target, by its name; None: `observer` receives all.
        """
        self._settings = settings
        self._clock = clock
        self._observer, self._observers = observer, observers
        self._observed: list[str | None] = []
        """Targets with an observer; None stands for the watcher."""
        self._metrics: Metrics | None = None
        """Counters; None until something is counted or exposed: most verbs do neither."""

    def observer(self, target: str | None = None) -> Observer:
        """Return the observer of a target's services, or of the watcher."""
        observer = self._observer
        if target is not None and self._observers is not None:
            observer = self._observers(target)
        return observer if self._settings.web is None else self._counted(target, observer)

    def _counted(self, target: str | None, then: Observer) -> Observer:
        self._observed.append(target)
        if self._metrics is not None:
            self._metrics.begin(target)

        def observe(observation: Observation) -> None:
            self._counters().count(observation, target)
            then(observation)

        return observe

    def _counters(self) -> Metrics:
        if self._metrics is None:
            from replicator.web.metrics import Metrics  # noqa: PLC0415 - see above

            source = self._settings.watched.name
            self._metrics = Metrics(source=source, version=__version__, clock=self._clock)
            for target in self._observed:
                self._metrics.begin(target)
        return self._metrics

    def status_reader(
        self, history: History, *, records_per_look_max: int | None = None
    ) -> StatusReader:
        """Return the reader of log and targets."""
        return StatusReader(
            source=self._settings.watched.name,
            history=history,
            clock=self._clock,
            kill_buffer=self._settings.watched.kill_buffer,
            records_per_look_max=records_per_look_max,
        )

    def poller(
        self,
        history: History,
        targets: Iterable[ConfiguredTarget],
        *,
        interval_s: float,
        life: Callable[[LogStatus], Awaitable[LifeSigns]] | None = None,
    ) -> Poller:
        """Return the poller of these targets; `life` as for `Poller`."""
        web = self._settings.web or WebSettings(listen="localhost:0")
        from replicator.services.monitoring.poller import (  # noqa: PLC0415 - see above
            Poller,
            Watched,
        )

        return Poller(
            status_reader=self.status_reader(
                history, records_per_look_max=web.records_per_look_max
            ),
            targets={
                one.name: Watched(
                    metadata=one.metadata,
                    area=one.area(),
                    promises=promises(one.settings),
                    witness=one.witness,
                )
                for one in targets
            },
            clock=self._clock,
            interval_s=interval_s,
            life=life,
            timeout_s=self._settings.look_timeout_s,
        )

    def monitor(self, history: History, targets: Iterable[ConfiguredTarget]) -> Monitor | None:
        """Return the poller of these targets with its HTTP answers; None without `web`."""
        web = self._settings.web
        if web is None:
            return None
        poller = self.poller(history, targets, interval_s=web.status_interval_s)
        from replicator.web.gauges import StatusGauges  # noqa: PLC0415 - see above
        from replicator.web.server import StatusAnswers  # noqa: PLC0415 - see above

        gauges = StatusGauges(
            source=self._settings.watched.name,
            poller=poller,
            clock=self._clock,
            datasources_max=web.datasources_max,
        )
        registry = self._counters().registry
        registry.register(gauges)
        answers = StatusAnswers(registry=registry, poller=poller, clock=self._clock)
        return Monitor(poller=poller, registry=registry, answers=answers)

    def server(self, monitor: Monitor) -> WebServer | None:
        """Return the port without a login; None when it is not configured."""
        web = self._settings.web
        if web is None or web.listen is None:
            return None
        from replicator.web.server import WebServer  # noqa: PLC0415 - see above

        return WebServer(
            listen=web.listen, allowed_hosts=web.allowed_hosts, answers=monitor.answers
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """The poller of log and targets, and the HTTP answers from what it saw last."""

    poller: Poller
    registry: CollectorRegistry
    """Metrics of this process; who counts further things registers them here."""
    answers: StatusAnswers


def promises(settings: TargetSettings) -> Promises:
    """Return the promises that are configured for a target."""
    return Promises(
        rpo=settings.rpo + settings.delay,
        silence=settings.rpo,
        kill_margin_min=settings.kill_margin_min,
        log_margin_min=settings.log_margin_min,
        drill=settings.drill.promise,
    )
