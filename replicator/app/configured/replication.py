"""What follows the source: the watcher, and the appliers and other services of the targets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from replicator.app.wiring.pipeline import Allowed, interval, watcher
from replicator.errors import ConfigError
from replicator.services.replication.readers import LogReader
from replicator.services.running.opened import Opened
from replicator.services.standby.drain import Drain, OwnServices

if TYPE_CHECKING:
    from replicator.app.configured.processes import Processes
    from replicator.app.configured.recorded_log import RecordedLog
    from replicator.app.configured.source import ConfiguredSource
    from replicator.app.configured.standbys import Standbys
    from replicator.app.configured.targets import ConfiguredTargets
    from replicator.app.wiring.histories import Tools
    from replicator.config import WatchSettings
    from replicator.model.observation import Observer
    from replicator.services.replication.applier import Applier
    from replicator.services.replication.companions import BaseWriter, HistoryMerger
    from replicator.services.replication.watcher import Watcher
    from replicator.services.running.supervisor import Service


class Replication:
    """Creates the services that keep the log and the targets up to date.

    Args:
        settings: Settings of the watcher.
        source: The source that is watched.
        targets: The targets that follow it.
        recorded: Log between the two.
        standbys: Druids of the targets, whose releases decide how rows are written.
        processes: Processes that do the same work already.
        tools: Everything that the services of one process share.
        watching: Returns the observer of the watcher.
    """

    def __init__(
        self,
        settings: WatchSettings,
        *,
        source: ConfiguredSource,
        targets: ConfiguredTargets,
        recorded: RecordedLog,
        standbys: Standbys,
        processes: Processes,
        tools: Tools,
        watching: Callable[[], Observer],
    ) -> None:
        self._settings, self._source, self._targets = settings, source, targets
        self._recorded, self._standbys, self._processes = recorded, standbys, processes
        self._tools, self._watching = tools, watching

    def watcher(self, *, trust_versions: bool = False, accept_vanished: bool = False) -> Watcher:
        """Return the watcher of the source; the arguments are those of `pipeline.watcher`."""
        return watcher(
            self._settings,
            source=self._source.name,
            metadata=self._source.metadata(),
            log=self._recorded.log,
            history=self._recorded.history(self._targets.names, preferred=False),
            tools=self._tools,
            observer=self._watching(),
            trust_versions=trust_versions,
            accept_vanished=accept_vanished,
            following=self._source.following(),
            readers=self._readers(),
        )

    async def applier(self, name: str, allowed: Allowed) -> Applier:
        """Return the applier of one target."""
        await self._standbys.ask_release(name)
        return (await self._recorded.pipeline(name)).applier(self._source.storage(), allowed)

    async def base_writer(self, name: str) -> BaseWriter:
        """Return the service that writes a target's bases when they are due."""
        return (await self._recorded.pipeline(name)).base_writer()

    async def history_merger(self, name: str) -> HistoryMerger:
        """Return the service that merges small files of a target's history."""
        return (await self._recorded.pipeline(name)).history_merger()

    def services(self, name: str, allowed: Allowed) -> Mapping[str, Service]:
        """Return what keeps one target up to date; each is made when it runs."""

        def opened(what: str, opening: Callable[[], Awaitable[Service]]) -> Service:
            settings = self._targets.target(name).settings
            return Opened(
                opening,
                what=f"{what} {name}",
                interval=interval(settings, self._tools, 0.0, alone=allowed.alone),
                observer=self._tools.observer(name),
            )

        merger = partial(self.history_merger, name)
        return {
            f"apply {name}": opened("apply to", partial(self.applier, name, allowed)),
            f"bases {name}": opened("write a base of", partial(self.base_writer, name)),
            f"merging {name}": opened("merge the history of", merger),
        }

    async def drain(self, name: str) -> Drain:
        """Return what brings a target to the source's last commit, with nothing left behind."""
        own = OwnServices(watcher=self._own_watcher, applier=partial(self.applier, name, Allowed()))
        target = (await self._recorded.pipeline(name)).target
        return Drain(target, running=self._processes.running, own=own)

    async def _own_watcher(self) -> Watcher:
        return self.watcher()

    def _readers(self) -> Mapping[str, LogReader]:
        """Return the targets; one that cannot be made is asked nothing."""
        found: dict[str, LogReader] = {}
        for name in self._targets.names:
            with suppress(ConfigError):  # a watcher alone needs no secret of a target
                target = self._targets.target(name)
                found[name] = LogReader(target.metadata, target.area())
        return found
