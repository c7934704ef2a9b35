"""Services with their adapters, created from one configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import cached_property
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Self

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.process import host, is_alive
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.signing.area import SignedArea
from replicator.app.hearts import Hearts
from replicator.app.logs import event_log, is_same_log, log_heir
from replicator.app.monitoring import Monitoring, promises
from replicator.app.signing import sealed, signatures, witness
from replicator.app.wiring.histories import HistorySource, Tools, history_of
from replicator.app.wiring.metadata import change_stream, metadata_reader, target_metadata
from replicator.app.wiring.storages import (
    RealStorage,
    Storages,
    layout,
    require_apart,
    source_layout,
)
from replicator.app.wiring.target import RealTarget, store_of, store_points, written_for
from replicator.config import (
    AzureStorageSettings,
    GoogleStorageSettings,
    HdfsStorageSettings,
    LocalStorageSettings,
    S3StorageSettings,
    SourcePostgresqlSettings,
)
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.druid.release import release_of
from replicator.services.monitoring.life import Ear, at_work, refuse_beside
from replicator.services.store.spliced_log import SplicedLog
from replicator.services.store.windows import windows

if TYPE_CHECKING:
    from pathlib import Path

    from replicator.adapters.postgresql.stream.change_stream import PostgresqlChangeStream
    from replicator.adapters.transfer.source_storages import SourceStorages
    from replicator.app.logs import Log
    from replicator.app.monitoring import Monitor
    from replicator.app.notifications import Notifying
    from replicator.app.wiring.metadata import RealSource
    from replicator.app.wiring.pipeline import Allowed, Following, Pipeline
    from replicator.app.wiring.retention import Retention
    from replicator.app.wiring.stores import OpenStore
    from replicator.app.wiring.target import ConfiguredTarget
    from replicator.config import PromotionSettings, Settings
    from replicator.model.checkpoint import Checkpoint
    from replicator.model.druid.cluster_config import ConfigParts
    from replicator.model.druid.release import Release
    from replicator.model.load_spec import Layout
    from replicator.model.observation import Observer
    from replicator.model.operations.pulse import Pulse
    from replicator.model.store.rates import Rates
    from replicator.ports import Area, Clock
    from replicator.ports.druid import DruidCluster, TellsRelease
    from replicator.services.checkup.checkup import Checkup
    from replicator.services.checkup.copy_trial import CopyTrial
    from replicator.services.history.reader import History
    from replicator.services.inspection.blame import Blamer
    from replicator.services.inspection.undeletion import Undeletion
    from replicator.services.monitoring.canary import Canary
    from replicator.services.monitoring.life import LifeSigns
    from replicator.services.monitoring.status import LogStatus, StatusReader, TargetStatus
    from replicator.services.notifications.watch import PromiseWatch
    from replicator.services.replication.applier import Applier
    from replicator.services.replication.companions import BaseWriter, HistoryMerger
    from replicator.services.replication.log_mover import LogMover
    from replicator.services.replication.readers import LogReader
    from replicator.services.replication.watcher import Watcher
    from replicator.services.retention.holds import Holds
    from replicator.services.retention.named_points import Naming
    from replicator.services.retention.point_rotation import PointRotation
    from replicator.services.running.heart import Heart
    from replicator.services.running.processes import RunningProcesses
    from replicator.services.running.supervisor import Service
    from replicator.services.running.turn import Turn
    from replicator.services.standby.drain import Drain
    from replicator.services.standby.promoter import Promoter
    from replicator.services.standby.skew import FolderNote, Skew
    from replicator.services.store.points import StorePoints
    from replicator.services.store.windows import Windows
    from replicator.services.target.copier import Backup
    from replicator.services.target.gap_healer import GapHealer
    from replicator.services.verification.query_verifier import QueryVerifier
    from replicator.services.verification.repairer import Repairer
    from replicator.services.verification.verifier import Verifier

# A verb imports only what it needs: `status` takes half a second of one core less so.

FOLDED = S3StorageSettings | GoogleStorageSettings | AzureStorageSettings
"""Storages in which a target can keep segments as folders."""


class Application:
    """Everything built from one configuration; closes what it opened."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        observer: Observer,
        observers: Callable[[str], Observer] | None = None,
        *,
        unlogged: Callable[[], str] = lambda: "",
    ) -> None:
        self.settings = settings
        self.clock: Clock = SystemClock()
        self._environ = environ
        require_apart(settings)
        self.monitoring = Monitoring(settings, self.clock, observer, observers)
        self.hearts = Hearts(self.monitoring, self.clock, unlogged=unlogged)
        self.tools = Tools(
            workers=ProcessWorkers(settings.log_workers),
            clock=self.clock,
            rng=Random(),  # noqa: S311 - jitter and samples, not cryptography
            observer=self.hearts.observer,
        )
        self._stack = AsyncExitStack()
        self._targets: dict[str, RealTarget] = {}
        self._plain_storages: dict[str, RealStorage] = {}
        self._storages = Storages(
            settings.transfer, environ, self.clock, self._stack.push_async_callback
        )
        self._source_storage: SourceStorages | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def source_name(self) -> str:
        """Name of the source in every event.

        Raises:
            ConfigError: the configuration has no source.
        """
        return self.settings.watched.name

    @cached_property
    def history(self) -> History:
        """History of the log, with the targets' archives where the log was trimmed.

        Raises:
            ConfigError: the configuration has no log.
        """
        return self._history_with(self.target_names)

    @cached_property
    def watched_history(self) -> History:
        """The same for who looks at it again and again: a store that is away hides no other."""
        return self._history_with(self.target_names, preferred=False)

    @cached_property
    def _log(self) -> Log:
        settings = self.settings
        log = event_log(settings.recorded, self.source_name, self.clock, self._environ)
        self._stack.push_async_callback(log.close)
        return log

    @property
    def target_names(self) -> list[str]:
        """The configured targets, sorted."""
        return sorted(self.settings.targets)

    def watcher(self, *, trust_versions: bool = False, accept_vanished: bool = False) -> Watcher:
        """Return the watcher of the source; the arguments are those of `pipeline.watcher`."""
        from replicator.app.wiring.pipeline import watcher

        return watcher(
            self.settings.watch,
            source=self.source_name,
            metadata=self.source_metadata(),
            log=self._log,
            history=self._history_with(self.target_names, preferred=False),
            tools=self.tools,
            observer=self.hearts.watching(),
            trust_versions=trust_versions,
            accept_vanished=accept_vanished,
            following=self._following(),
            readers=self._readers(),
        )

    def _readers(self) -> Mapping[str, LogReader]:
        """Return the targets; one that cannot be made is asked nothing."""
        from replicator.services.replication.readers import LogReader

        found: dict[str, LogReader] = {}
        for name in self.target_names:
            with suppress(ConfigError):  # a watcher alone needs no secret of a target
                target = self.target(name)
                found[name] = LogReader(target.metadata, target.area())
        return found

    def change_stream(self) -> PostgresqlChangeStream | None:
        """Return the source's change stream; None if none is configured."""
        settings = self.settings
        return change_stream(
            settings.watched.metadata, self._environ, audit=settings.watch.audit_rows
        )

    def _following(self) -> Following | None:
        from replicator.app.wiring.pipeline import Following

        metadata, stream = self.settings.watched.metadata, self.change_stream()
        if not isinstance(metadata, SourcePostgresqlSettings):
            return None
        if stream is None or (settings := metadata.change_stream) is None:
            return None
        return Following(
            stream=stream,
            read_interval_s=settings.read_interval_s,
            retained_bytes_max=settings.retained_bytes_max,
        )

    def heart(self, who: str, verb: str) -> Heart:
        """Return the heart of the watcher or an applier, `who` by `model/operations/pulse.py`.

        From then on the work of that service shows in its heartbeats.
        """
        return self.hearts.heart(self._log, who, verb)

    def turn(self, who: Sequence[str], waits_for: Callable[[str], None]) -> Turn:
        """Return the turn: it waits until no other process does this work, named as for `heart`."""
        from replicator.services.running.turn import Turn

        return Turn(self._log, who, waits_for=waits_for)

    async def applier(self, name: str, allowed: Allowed) -> Applier:
        """Return the applier of one target."""
        await self.ask_release(name)
        return (await self.pipeline(name)).applier(self.source_storage(), allowed)

    def services(self, name: str, allowed: Allowed) -> Mapping[str, Service]:
        """Return what keeps one target up to date; each is made when it runs."""
        from replicator.app.wiring.pipeline import interval
        from replicator.services.running.opened import Opened

        def opened(what: str, opening: Callable[[], Awaitable[Service]]) -> Service:
            return Opened(
                opening,
                what=f"{what} {name}",
                interval=interval(self.target(name).settings, self.tools, 0.0, alone=allowed.alone),
                observer=self.tools.observer(name),
            )

        return {
            f"apply {name}": opened("apply to", lambda: self.applier(name, allowed)),
            f"bases {name}": opened("write a base of", lambda: self.base_writer(name)),
            f"merging {name}": opened("merge the history of", lambda: self.history_merger(name)),
        }

    def log_mover(self, wanted: Settings) -> LogMover:
        """Return the service that moves the log to the place that other settings name.

        Raises:
            ConfigError: they are of another source, or name this log itself.
        """
        from replicator.services.replication.log_mover import LogMover

        if wanted.watched.name != self.source_name:
            raise ConfigError(
                f"that configuration is of source {wanted.watched.name!r}, and this one of"
                f" {self.source_name!r}: a log keeps its source"
            )
        if is_same_log(wanted.recorded, self.settings.recorded):
            raise ConfigError(
                "both configurations name the same log",
                hint="change `log` in a copy of the configuration, and name that one",
            )
        heir = log_heir(wanted.recorded, self.source_name, self._environ)
        self._stack.push_async_callback(heir.close)
        return LogMover(self._log, heir, self.monitoring.observer())

    async def rates(self, name: str) -> Rates:
        """Return the throughput of copies to a target so far."""
        from replicator.services.target.rates import RateBook

        return await RateBook(self.target(name).area(), self.monitoring.observer()).rates()

    async def store(
        self, name: str, *, log_id: str | None = None, without_witness: bool = False
    ) -> OpenStore:
        """Open the history in a target's store; source and log are not read."""
        from replicator.app.wiring.stores import open_store

        observer = self.monitoring.observer()
        return await open_store(
            self.target(name),
            log_id,
            without_witness=without_witness,
            workers=self.tools.workers,
            clock=self.clock,
            observer=observer,
        )

    async def holds(self, name: str) -> Holds:
        """Return the holds of a target's store; source, log and the target's rows are not read."""
        from replicator.app.wiring.retention import holds

        store = await self.store(name)
        return holds(store.archive, store.history_source, store.target, self.tools)

    async def retention(self, name: str) -> Retention:
        """Return the retention services of a target's store; source and log are not read."""
        from replicator.app.wiring.retention import Retention

        store = await self.store(name)
        pipeline = await self.pipeline_from(store, store.target)
        return Retention(store.archive, pipeline, store.target, self.tools)

    def points(self, name: str) -> StorePoints:
        """Return the points and holds in a target's store."""
        return store_points(self.target(name), self.clock)

    def naming(self, names: Sequence[str]) -> Naming:
        """Return the service that names cuts of the log, in the stores of some targets."""
        from replicator.services.retention.named_points import Naming

        return Naming(
            areas={name: self.target(name).area() for name in names},
            points={name: self.points(name) for name in names},
            history=self.history,
            clock=self.clock,
        )

    async def point_rotation(self, name: str) -> PointRotation:
        """Return the service that rotates the named points in a target's store."""
        from replicator.services.retention.point_rotation import PointRotation

        return PointRotation(
            self.naming([name]), await self.holds(name), self.points(name), clock=self.clock
        )

    async def verifier_from(self, store: OpenStore, name: str) -> Verifier:
        """Return the verifier of a target restored from a store, or of the store itself."""
        return (await self.pipeline_from(store, self.target(name))).verifier()

    async def base_writer(self, name: str) -> BaseWriter:
        """Return the service that writes a target's bases when they are due."""
        return (await self.pipeline(name)).base_writer()

    async def history_merger(self, name: str) -> HistoryMerger:
        """Return the service that merges small files of a target's history."""
        return (await self.pipeline(name)).history_merger()

    async def verifier(self, name: str) -> Verifier:
        """Return the verifier of a target."""
        return (await self.pipeline(name)).verifier()

    async def pipeline(self, name: str) -> Pipeline:
        """Return the services of one target, fed from the log."""
        from replicator.app.wiring.pipeline import Pipeline, mapping

        log, target = self._spliced([name]), self.target(name)
        history_source = HistorySource(
            source=self.source_name,
            layout=source_layout(self.settings.watched),
            log=log,
            bases=log,
        )
        return Pipeline(
            history_source, target, self.tools, mapping=await mapping(history_source, target)
        )

    async def pipeline_from(
        self, store: OpenStore, target: ConfiguredTarget, *, elsewhere: Layout | None = None
    ) -> Pipeline:
        """Return the services of a target, fed from a store; `elsewhere` as for `mapping`."""
        from replicator.app.wiring.pipeline import Pipeline, mapping

        rule = await mapping(store.history_source, target, elsewhere=elsewhere)
        own = store.store if target is store.target else None
        return Pipeline(store.history_source, target, self.tools, mapping=rule, store=own)

    async def repairer(self, name: str, *, from_target: str | None) -> tuple[Repairer, GapHealer]:
        """Return what repairs a target, and tries its gaps again, by the source or another target.

        Raises:
            ConfigError: `from_target` is the target itself.
        """
        if from_target == name:
            raise ConfigError(f"--from {from_target}: a target cannot be repaired from itself")
        pipeline = await self.pipeline(name)
        bytes_from = (
            self.source_storage()
            if from_target is None
            else await self.backup(self.target(from_target))
        )
        return pipeline.repairer(bytes_from), pipeline.gap_healer(bytes_from)

    def query_verifier(self, name: str) -> QueryVerifier:
        """Return the service that compares a target's answers with the source's.

        Raises:
            ConfigError: the configuration lacks the address of one of the two Brokers.
        """
        from replicator.app.druids import query_verifier

        self.target(name)
        return query_verifier(
            self.settings, name, self._environ, self.tools.rng, self.monitoring.observer()
        )

    def blamer(self) -> Blamer:
        """Return the service that finds the events that changed something."""
        from replicator.services.inspection.blame import Blamer

        return Blamer(
            history=self.history, trail=self.source_metadata(), observer=self.monitoring.observer()
        )

    def undeletion(self, history: History | None = None) -> Undeletion:
        """Return the service that finds out how a datasource was dropped.

        Args:
            history: What is read: the history in a target's store; None: the log.
        """
        from replicator.services.inspection.undeletion import Undeletion

        observer = self.monitoring.observer()
        return Undeletion(history=history or self.history, observer=observer)

    async def promoter(self, name: str) -> Promoter:
        """Return what makes a target a primary.

        Raises:
            ConfigError: the target is an archive, which no Druid serves.
        """
        from replicator.app.wiring.pipeline import load_rules
        from replicator.config.clusters.druid import RESUME_TIMEOUT_S
        from replicator.model.druid.older_druid import OlderDruid
        from replicator.services.standby.promoter import Promoter, Takeover

        target = self.target(name)
        if target.settings.metadata is None:
            raise ConfigError(
                f"target {name!r} is an archive: no Druid serves it, so it cannot be promoted",
                hint=f"restore from it into an empty cluster: `replicator restore --from {name}`",
            )
        configured = target.settings.druid
        return Promoter(
            source=self.source_name,
            target=name,
            history=self.history,
            metadata=target.metadata,
            druid=self.druid(name),
            takeover=Takeover(
                load_rules=replace(load_rules(target.settings), with_drops=True),
                druid=OlderDruid(release=await self.ask_release(name)),
                parts=_config_parts(target.settings.promotion),
            ),
            resume_timeout_s=configured.resume_timeout_s if configured else RESUME_TIMEOUT_S,
            observer=self.monitoring.observer(target.name),
        )

    def source_status(self) -> TellsRelease | None:
        """Return the client that reports the source's release; None: its Druid has no address."""
        from replicator.app.druids import source_status

        return source_status(self.settings, self._environ)

    def druid(self, name: str) -> DruidCluster | None:
        """Return a target's own Druid; None if the configuration has no address of it."""
        from replicator.app.druids import druid_cluster

        settings = self.target(name).settings.druid
        if settings is None:
            return None
        return druid_cluster(settings, self._environ)

    async def ask_release(self, name: str) -> Release | None:
        """Ask a target's Druid which release it runs, and keep the answer for all who write rows.

        A standby's Druid need not run: then its last known release counts, or none.

        Raises:
            ConfigError: it is older than the configured one.
        """
        from replicator.model.observed.faults import Waiting
        from replicator.services.records.druid_release import remember

        target, druid = self.target(name), self.druid(name)
        if druid is None:
            return await written_for(target)
        try:
            running = release_of(await druid.release())
        except (TransientError, ConfigError) as exc:
            what = f"ask the Druid of {name} for its release"
            self.monitoring.observer(name)(Waiting(what=what, reason=str(exc), delay_s=0))
            return await written_for(target)
        configured = target.settings.druid_release
        if (
            running is not None
            and configured is not None
            and running < (release_of(configured) or running)
        ):
            raise ConfigError(
                f"targets.{name}.druid_release is {configured}, and its Druid runs {running.text}",
                hint="correct it, or leave it out: then its Druid is asked",
            )
        if running is not None and configured is None:
            await remember(target.area(), running)
        return await written_for(target)

    async def druid_away(self, name: str) -> TransientError | ConfigError | None:
        """Return why a target's Druid does not answer; None: it does, or no address is known."""
        if (druid := self.druid(name)) is None:
            return None
        try:
            await druid.release()
        except (TransientError, ConfigError) as exc:
            return exc
        return None

    async def skew(self, name: str) -> Skew:
        """Hold the source against the release of a target's Druid."""
        from replicator.services.standby.skew import skew_of

        release = await self.ask_release(name)
        return await skew_of(self.source_metadata(), release, source_druid=self.source_status())

    def folders(self, name: str, skew: Skew) -> Sequence[FolderNote]:
        """Return what a target's release and its setting `unpacked` mean for folders."""
        from replicator.services.standby.skew import folder_notes, lz4_notes

        storage = self.target(name).settings.deep_storage
        if isinstance(storage, HdfsStorageSettings):
            return lz4_notes(lz4=storage.lz4, release=skew.target)
        return folder_notes(
            storage.type,
            unpacked=isinstance(storage, FOLDED) and storage.unpacked,
            release=skew.target,
            has_folders=skew.has_folders,
        )

    async def drain(self, name: str) -> Drain:
        """Return what brings a target to the source's last commit, with nothing left behind."""
        from replicator.app.wiring.pipeline import Allowed
        from replicator.services.standby.drain import Drain, OwnServices

        async def watcher() -> Watcher:
            return self.watcher()

        return Drain(
            (await self.pipeline(name)).target,
            running=self.running,
            own=OwnServices(watcher=watcher, applier=lambda: self.applier(name, Allowed())),
        )

    async def checkpoint(self, name: str) -> Checkpoint | None:
        """Return the cut that a target is at; None if nothing was applied to it yet."""
        return (await self.target(name).metadata.state(self.source_name)).checkpoint

    def checkup(self) -> Checkup:
        """Return the service that tries everything before anything else is done."""
        from replicator.services.checkup.checkup import Checkup

        source = self.settings.watched
        return Checkup(
            metadata=self.source_metadata(),
            storage=self.source_storage(),
            layout=source_layout(source),
            log=self._log,
            history=self.history,
            clock=self.clock,
            stream=self.change_stream(),
            vanished_share_max=self.settings.watch.vanished_share_max,
        )

    def copy_trial(self, name: str) -> CopyTrial:
        """Return what copies an object to a target as a segment, and removes it again."""
        from replicator.services.checkup.copy_trial import LOCKED_FOR, CopyTrial

        settings = self.target(name).settings
        retention = None if settings.retention is None else LOCKED_FOR
        storage = settings.deep_storage
        return CopyTrial(
            name,
            self._storages.target(storage, retention),
            locks=isinstance(storage, S3StorageSettings) and storage.object_lock is not None,
            part_bytes=self.settings.transfer.part_bytes,
            rng=self.tools.rng,
        )

    def status_reader(self, *, stores: bool = True) -> StatusReader:
        """Return the reader of log and targets; `stores`: read trimmed history from archives."""
        names = self.target_names if stores else []
        return self.monitoring.status_reader(self._history_with(names, preferred=False))

    async def life(self, log: LogStatus | None) -> LifeSigns:
        """Return which processes are running."""
        return await self._ear.life_signs(self.target_names, log)

    @cached_property
    def _ear(self) -> Ear:
        return Ear(self._log, self.clock, own=self.hearts.pulse, is_gone=_is_gone)

    @property
    def running(self) -> RunningProcesses:
        """Processes whose work is waited for rather than taken over."""
        from replicator.services.running.processes import RunningProcesses

        return RunningProcesses(self._log, self.clock, is_gone=_is_gone)

    async def others(self, who: Sequence[str]) -> list[Pulse]:
        """Return the processes that do this work now, named as for `heart`."""
        life = await self._ear.life_signs(self.target_names, None, is_patient=True)
        return at_work(life, who, host=host(), is_alive=is_alive)

    async def refuse_beside_others(self, doing: str) -> None:
        """Refuse what must not be done while watcher or appliers run.

        Raises:
            RefusedError: one of them does.
        """
        life = await self._ear.life_signs(self.target_names, None, is_patient=True)
        refuse_beside(life, doing)

    async def windows(self, name: str, log_id: str) -> Windows:
        """Return what a target's store alone can restore of a log."""
        return await windows(store_of(self.target(name)), log_id, self.points(name))

    async def target_status(
        self, status_reader: StatusReader, name: str, log: LogStatus
    ) -> TargetStatus:
        """Return where a target is, and which of its promises are kept."""
        target = self.target(name)
        return await status_reader.target(
            name,
            metadata=target.metadata,
            area=target.area(),
            log=log,
            promises=promises(target.settings),
            witness=target.witness,
        )

    def canary(self, names: Iterable[str]) -> Canary | None:
        """Return what follows the canary to these targets; None: none is configured.

        Raises:
            ConfigError: the configuration lacks the address of a Broker.
        """
        from replicator.app.druids import canary

        return canary(
            self.settings,
            {name: self.target(name).area() for name in names},
            self._environ,
            clock=self.clock,
            observer=self.monitoring.observer(),
        )

    def notifying(self) -> Notifying:
        """Return what makes the notifications.

        Raises:
            ConfigError: the configuration has none.
        """
        from replicator.app.notifications import Notifying

        if self.settings.notifications is None:
            raise ConfigError(
                "the configuration has no `notifications`",
                hint="docs/alerting.md has an example",
            )
        return Notifying(
            source=self.source_name,
            settings=self.settings.notifications,
            environ=self._environ,
            clock=self.clock,
            rng=self.tools.rng,
            observer=self.monitoring.observer(),
        )

    def promise_watch(self) -> PromiseWatch:
        """Return the service that records notifications for all targets.

        Raises:
            ConfigError: as for `notifying`.
        """
        notifying = self.notifying()
        poller = self.monitoring.poller(
            self.watched_history,
            map(self.target, self.target_names),
            interval_s=notifying.settings.look_interval_s,
            life=self.life,
        )
        return notifying.watch(poller)

    async def monitor(self, names: Iterable[str]) -> Monitor | None:
        """Return the monitor of these targets for HTTP clients; None without `web`.

        Where a port without a login is configured, it is open from now on.

        Raises:
            ConfigError: the port cannot be opened.
        """
        found = self.monitoring.monitor(self.watched_history, map(self.target, names))
        if found is not None and (server := self.monitoring.server(found)) is not None:
            self._stack.push_async_callback(server.close)
            await server.start()
        return found

    def target(self, name: str) -> RealTarget:
        """Return a target of the configuration.

        Raises:
            NotFoundError: the configuration has no such target.
        """
        if name not in self.settings.targets:
            known = ", ".join(self.target_names) or "none"
            raise NotFoundError(f"there is no target {name!r} in the configuration; it has {known}")
        if name not in self._targets:
            settings, storage = self.settings.targets[name], self._plain_storage(name)
            observer, rule = self.monitoring.observer(name), None
            try:
                rule = signatures(name, settings.signing, self._environ, observer)
            except ConfigError as exc:  # without its keys nothing in the store is trusted
                storage = self._storages.out_of_reach(exc)
            area = SignedArea(storage.area(), rule)
            self._targets[name] = RealTarget(
                name=name,
                settings=settings,
                metadata=target_metadata(settings.metadata, area, self.clock, self._environ),
                storage=sealed(storage, rule),
                plain_storage=storage,
                signatures=rule,
                witness=witness(name, settings.signing, rule, self._witness_area),
            )
        return self._targets[name]

    def _plain_storage(self, name: str) -> RealStorage:
        if name not in self._plain_storages:
            settings = self.settings.targets[name]
            storage = self._storages.target(
                settings.deep_storage, settings.retention, self.tools.observer(name)
            )
            self._plain_storages[name] = storage
        return self._plain_storages[name]

    def _witness_area(self, place: str | Path) -> Area:
        """Return the plain files of another target, or of a folder."""
        if isinstance(place, str):
            return self._plain_storage(place).area()
        return self._storages.target(LocalStorageSettings(type="local", root=place), None).area()

    def source_metadata(self) -> RealSource:
        """Return the source's metadata store, read only."""
        return metadata_reader(
            self.settings.watched.metadata,
            self._environ,
            audit=self.settings.watch.audit_rows,
        )

    def refuse_unusable(self, names: Iterable[str]) -> None:
        """Refuse settings of the source and some targets that are wrong without asking a server.

        What a target's servers answer is that target's own trouble and may have come overnight; a
        secret that is not set was never right, and the operator who starts the process must know at
        once.

        Raises:
            ConfigError: a secret is not set, or a file that is named cannot be read.
        """
        targets = [self.target(name) for name in names]
        databases = [target.settings.metadata for target in targets]
        for one in (self.settings.watched.metadata, *databases):
            if one is not None:
                one.password(self._environ)
        storages = [target.plain_storage for target in targets]
        self._storages.refuse_unusable([*self.source_storage().all, *storages])

    def source_storage(self) -> SourceStorages:
        """Return the source's deep storage, read only."""
        if self._source_storage is None:
            self._source_storage = self._storages.source(self.settings.watched)
        return self._source_storage

    def _history_with(self, names: Sequence[str], *, preferred: bool = True) -> History:
        """Return the log's history, with the archives of some targets for what the log lacks."""
        log = self._spliced(names, preferred=preferred)
        layout = source_layout(self.settings.watched)
        history_source = HistorySource(source=self.source_name, layout=layout, log=log, bases=log)
        return history_of(history_source, self.tools, self.monitoring.observer())

    def _spliced(self, names: Sequence[str], *, preferred: bool = True) -> SplicedLog:
        return SplicedLog(
            self._log,
            lambda: [store_of(self.target(name)) for name in names],
            preferred=preferred,
        )

    async def backup(self, target: ConfiguredTarget) -> Backup:
        """Return another target as the source of bytes; its metadata store may be gone."""
        from replicator.services.store.archived_log import archived_gaps
        from replicator.services.target.copier import Backup

        log_id = (await self._log.span()).log_id
        return Backup(
            layout=layout(target.settings.deep_storage),
            storage=target.storage,
            gaps=await archived_gaps(target.area(), log_id),
        )


def _is_gone(pulse: Pulse) -> bool:
    """Return whether a process of this machine has ended; unknown for one of another machine."""
    return pulse.host == host() and not is_alive(pulse.pid)


def _config_parts(settings: PromotionSettings) -> ConfigParts:
    from replicator.model.druid.cluster_config import ConfigParts

    return ConfigParts(
        compaction=settings.compaction,
        coordinator=settings.coordinator,
        workers=settings.workers,
        brokers=settings.brokers,
        security=settings.security,
        keep=settings.keep_users,
    )
