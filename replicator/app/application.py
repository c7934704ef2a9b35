"""Services with their adapters, made from one configuration."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random
from types import TracebackType
from typing import Self

from replicator.adapters.metadata_postgresql import PostgresqlMetadataReader
from replicator.adapters.metadata_postgresql_writer import PostgresqlMetadataWriter
from replicator.adapters.process_workers import ProcessWorkers
from replicator.adapters.source_storages import SourceStorages
from replicator.adapters.system_clock import SystemClock
from replicator.app.druids import druid_cluster, query_verifier
from replicator.app.logs import event_log
from replicator.app.monitoring import Monitoring
from replicator.app.parts import Target
from replicator.app.storages import Storages, layout, source_layout
from replicator.config import (
    MetadataSettings,
    Settings,
    TargetSettings,
)
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.carriage import Carriage
from replicator.model.checkpoint import Checkpoint
from replicator.model.load_rules import LoadRules
from replicator.model.observation import Observer
from replicator.model.restore_point import Latest
from replicator.ports import (
    Clock,
    DeepStorageReader,
    DruidCluster,
    EventLogWriter,
    SourceReader,
)
from replicator.services.applier import Applier, ApplyLimits, Leave
from replicator.services.archivist import ArchiveLimits, Archivist, BaseWriter
from replicator.services.blame import Blamer
from replicator.services.checkup import Checkup
from replicator.services.creation import Created, create
from replicator.services.executor import Backup, CopyLimits, Executor
from replicator.services.history import RECORDS_PER_READ_MAX, History
from replicator.services.promoter import Promoter
from replicator.services.query_verifier import QueryVerifier
from replicator.services.reconciler import Reconciler
from replicator.services.restorer import Restorer
from replicator.services.spliced_log import SplicedLog
from replicator.services.status import Survey
from replicator.services.undeletion import Undeletion
from replicator.services.verifier import Verifier
from replicator.services.watcher import Watcher, WatchLimits
from replicator.web.server import WebServer

BASE_LOOK_S = 60.0
"""Time between two looks whether a target's next base is due, in seconds."""


class Application:
    """Everything built from one configuration; closes what it opened."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], observer: Observer) -> None:
        self.settings = settings
        self.clock: Clock = SystemClock()
        self._environ = environ
        self._monitoring = Monitoring(settings, self.clock, observer)
        self._rng = Random()  # noqa: S311 - jitter and samples, not cryptography
        self._workers = ProcessWorkers(settings.log_workers)
        self._stack = AsyncExitStack()
        self._targets: dict[str, Target] = {}
        self._storages = Storages(
            settings.transfer, environ, self.clock, self._stack.push_async_callback
        )
        self._source_storage: SourceStorages | None = None

    async def __aenter__(self) -> Self:
        source = self.settings.source
        log = event_log(self.settings.log, source.name, self.clock, self._environ)
        self._stack.push_async_callback(log.close)
        self._log: EventLogWriter = log
        self.history = self._history_with(self.target_names)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def target_names(self) -> list[str]:
        """The configured targets, sorted."""
        return sorted(self.settings.targets)

    def watcher(self) -> Watcher:
        """Return the watcher of the source."""
        watch, source = self.settings.watch, self.settings.source
        return Watcher(
            source=source.name,
            metadata=self.source_metadata(),
            log=self._log,
            history=self._history_with(self.target_names, preferred=False),
            limits=WatchLimits(
                poll_interval_s=watch.poll_interval_s,
                jitter=watch.jitter,
                idle_cut_interval_s=watch.idle_cut_interval_s,
                fetch_rows_max=watch.fetch_rows_max,
                append_bytes_max=watch.append_bytes_max,
            ),
            retry=watch.retry.policy,
            rng=self._rng,
            observer=self._monitoring.observer(),
        )

    async def applier(self, name: str, leave: Leave) -> Applier:
        """Return the applier of one target."""
        target = self.target(name)
        carriage = await self.carriage(target)
        return Applier(
            source=self.settings.source.name,
            target=name,
            history=self._history_with([name]),
            metadata=target.metadata,
            reconciler=self._reconciler(target, carriage),
            executor=self._executor(target, carriage, self.source_storage()),
            archivist=self._archivist(target),
            limits=ApplyLimits(
                interval_s=target.settings.apply_interval_s,
                kill_wait_s=target.settings.kill_wait_s,
                objects_missing_max=target.settings.objects_missing_max,
                retry=target.settings.retry.policy,
            ),
            leave=leave,
            rng=self._rng,
            observer=self._monitoring.observer(name),
        )

    async def restorer(self, name: str, *, into: str | None) -> Restorer:
        """Return what restores a target, or another one from its bytes."""
        backup, target = self.target(name), self.target(into or name)
        carriage = await self.carriage(target)
        from_backup = backup is not target
        executor = self._executor(
            target,
            carriage,
            backup.storage if from_backup else self.source_storage(),
            backup=_backup(backup) if from_backup else None,
        )
        return Restorer(
            source=self.settings.source.name,
            target=target.name,
            history=self.history,
            metadata=target.metadata,
            reconciler=self._reconciler(target, carriage),
            executor=executor,
            archivist=self._archivist(target),
            observer=self._monitoring.observer(target.name),
        )

    def base_writer(self, name: str) -> BaseWriter:
        """Return what writes a target's bases when they are due."""
        target = self.target(name)
        return BaseWriter(
            source=self.settings.source.name,
            target=name,
            metadata=target.metadata,
            history=self._history_with([name]),
            archivist=self._archivist(target),
            interval_s=BASE_LOOK_S,
            retry=target.settings.retry.policy,
            rng=self._rng,
            observer=self._monitoring.observer(name),
        )

    async def verifier(self, name: str) -> Verifier:
        """Return what proves a target."""
        target = self.target(name)
        carriage = await self.carriage(target)
        return Verifier(
            source=self.settings.source.name,
            target=name,
            history=self.history,
            metadata=target.metadata,
            storage=target.storage,
            reconciler=self._reconciler(target, carriage),
            carriage=carriage,
            rng=self._rng,
            observer=self._monitoring.observer(target.name),
        )

    def query_verifier(self, name: str) -> QueryVerifier:
        """Return what compares a target's answers with the source's.

        Raises:
            ConfigError: the configuration does not say where one of the two Brokers is.
        """
        self.target(name)
        return query_verifier(
            self.settings, name, self._environ, self._rng, self._monitoring.observer(name)
        )

    def blamer(self) -> Blamer:
        """Return what looks for the events that changed something."""
        return Blamer(
            history=self.history, trail=self._source_reader(), observer=self._monitoring.observer()
        )

    def undeletion(self) -> Undeletion:
        """Return what finds out how a datasource was dropped."""
        return Undeletion(history=self.history, observer=self._monitoring.observer())

    def promoter(self, name: str) -> Promoter:
        """Return what makes a target a primary.

        Raises:
            ConfigError: the configuration does not say where the target's Druid is.
        """
        target = self.target(name)
        if (druid := self.druid(name)) is None or target.settings.druid is None:
            raise ConfigError(
                f"targets.{name}.druid is not configured: a supervisor is started by its Overlord",
                hint=f"say targets.{name}.druid.coordinator_url: http://host:8081",
            )
        return Promoter(
            source=self.settings.source.name,
            target=name,
            history=self.history,
            metadata=target.metadata,
            druid=druid,
            resume_timeout_s=target.settings.druid.resume_timeout_s,
            observer=self._monitoring.observer(target.name),
        )

    async def create(self, name: str, *, release: str | None, centralized: bool) -> Created:
        """Prepare a target."""
        target = self.target(name)
        return await create(
            metadata=target.metadata,
            storage=target.storage,
            druid=self.druid(name),
            source=self.source_metadata(),
            load_rules=_load_rules(target.settings),
            release=release,
            centralized=centralized,
        )

    def druid(self, name: str) -> DruidCluster | None:
        """Return a target's own Druid, None when the configuration does not say where it is."""
        settings = self.target(name).settings.druid
        return None if settings is None else druid_cluster(settings, self._environ)

    async def drain(self, name: str, *, timeout_s: float) -> None:
        """Bring a target to the source's last commit, with nothing left behind.

        Raises:
            TransientError: it takes longer than `timeout_s`.
        """
        watcher, applier = self.watcher(), await self.applier(name, Leave())
        try:
            async with asyncio.timeout(timeout_s):
                while await watcher.poll() or not await self._is_at_end(name):
                    while await applier.apply_next():
                        pass
        except TimeoutError as exc:
            raise TransientError(
                f"target {name!r} did not reach the source's last commit within {timeout_s:g} s"
            ) from exc

    async def checkpoint(self, name: str) -> Checkpoint | None:
        """Return the cut that a target is at, None when nothing was applied to it yet."""
        return (await self.target(name).metadata.held(self.settings.source.name)).checkpoint

    async def _is_at_end(self, name: str) -> bool:
        checkpoint = await self.checkpoint(name)
        last = await self.history.find(Latest())
        return checkpoint is not None and checkpoint.offset == last.offset

    def checkup(self) -> Checkup:
        """Return what looks at everything before anything else is done."""
        source = self.settings.source
        return Checkup(
            source=source.name,
            metadata=self.source_metadata(),
            storage=self.source_storage(),
            layout=source_layout(source),
            history=self.history,
            clock=self.clock,
        )

    def survey(self) -> Survey:
        """Return what looks at log and targets."""
        return self._monitoring.survey(self._log_alone(), map(self.target, self.target_names))

    async def web(self, names: Iterable[str]) -> WebServer | None:
        """Open the configured port and return what tells of these targets there; None: no port.

        Raises:
            ConfigError: the port cannot be opened.
        """
        server = self._monitoring.server(self._log_alone(), map(self.target, names))
        if server is not None:
            self._stack.push_async_callback(server.close)
            await server.start()
        return server

    def _log_alone(self) -> History:
        return History(self._log, source=self.settings.source.name, workers=self._workers)

    def target(self, name: str) -> Target:
        """Return one target's parts.

        Raises:
            NotFoundError: the configuration has no such target.
        """
        if name not in self.settings.targets:
            known = ", ".join(self.target_names) or "none"
            raise NotFoundError(f"there is no target {name!r} in the configuration; it has {known}")
        if name not in self._targets:
            settings = self.settings.targets[name]
            self._targets[name] = Target(
                name=name,
                settings=settings,
                metadata=self._writer(settings.metadata),
                storage=self._storages.target(settings.deep_storage, settings.retention),
            )
        return self._targets[name]

    async def carriage(self, target: Target) -> Carriage:
        """Return the rule by which the source's rows become this target's."""
        return Carriage(
            source=source_layout(self.settings.source),
            target=layout(target.settings.deep_storage),
            config_names=target.settings.config_names,
            columns=await target.metadata.columns(),
            load_rules=_load_rules(target.settings),
        )

    def source_metadata(self) -> SourceReader:
        """Return the source's metadata store, read only."""
        return self._source_reader()

    def _source_reader(self) -> PostgresqlMetadataReader:
        settings = self.settings.source.metadata
        return PostgresqlMetadataReader(
            settings.url,
            password=settings.password(self._environ),
            table_prefix=settings.table_prefix,
            schema=settings.schema_,
            connect_timeout_s=settings.connect_timeout_s,
            statement_timeout_s=settings.statement_timeout_s,
        )

    def source_storage(self) -> DeepStorageReader:
        """Return the source's deep storage, read only."""
        if self._source_storage is None:
            self._source_storage = self._storages.source(self.settings.source)
        return self._source_storage

    def _history_with(
        self, names: Sequence[str], *, preferred: bool = True, records_max: int | None = None
    ) -> History:
        """Return the log's history, with the archives of some targets for what it lacks."""
        log = SplicedLog(
            self._log,
            lambda: [self.target(name).storage.area() for name in names],
            preferred=preferred,
        )
        return History(
            log,
            source=self.settings.source.name,
            workers=self._workers,
            bases=log,
            records_per_read_max=records_max or RECORDS_PER_READ_MAX,
            observer=self._monitoring.observer(),
        )

    def _archivist(self, target: Target) -> Archivist:
        settings = target.settings.history
        return Archivist(
            source=self.settings.source.name,
            area=target.storage.area(),
            history=self._history_with([target.name]),
            limits=ArchiveLimits(
                file_bytes_max=settings.file_bytes_max, base_interval=settings.base_interval
            ),
            observer=self._monitoring.observer(target.name),
        )

    def _writer(self, settings: MetadataSettings) -> PostgresqlMetadataWriter:
        return PostgresqlMetadataWriter(
            settings.url,
            password=settings.password(self._environ),
            table_prefix=settings.table_prefix,
            schema=settings.schema_,
            connect_timeout_s=settings.connect_timeout_s,
            statement_timeout_s=settings.statement_timeout_s,
        )

    def _reconciler(self, target: Target, carriage: Carriage) -> Reconciler:
        return Reconciler(
            source=self.settings.source.name,
            history=self.history,
            metadata=target.metadata,
            carriage=carriage,
            observer=self._monitoring.observer(target.name),
        )

    def _executor(
        self,
        target: Target,
        carriage: Carriage,
        source_storage: DeepStorageReader,
        *,
        backup: Backup | None = None,
    ) -> Executor:
        settings = target.settings
        source = self.settings.source.name
        return Executor(
            source=source,
            history=self._history_with([target.name], records_max=settings.rows_per_batch_max),
            source_storage=source_storage,
            target_storage=target.storage,
            metadata=target.metadata,
            carriage=carriage,
            limits=CopyLimits(
                in_flight_max=settings.copies_in_flight_max, retry=settings.retry.policy
            ),
            backup=backup,
            rng=self._rng,
            observer=self._monitoring.observer(target.name),
        )


def _backup(target: Target) -> Backup:
    return Backup(layout=layout(target.settings.deep_storage), storage=target.storage)


def _load_rules(settings: TargetSettings) -> LoadRules:
    return LoadRules(with_drops=settings.load_rules.with_drops, tiers=settings.load_rules.tiers)
