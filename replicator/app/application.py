"""Services with their adapters, created from one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import cached_property
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Self

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.app.configured.processes import Processes
from replicator.app.configured.recorded_log import RecordedLog
from replicator.app.configured.source import ConfiguredSource
from replicator.app.configured.targets import ConfiguredTargets
from replicator.app.hearts import Hearts
from replicator.app.monitoring import Monitoring, promises
from replicator.app.wiring.histories import Tools
from replicator.app.wiring.storages import Storages, layout, require_apart
from replicator.app.wiring.target import RealTarget, store_of, store_points
from replicator.config import S3StorageSettings
from replicator.errors import ConfigError
from replicator.services.store.windows import windows

if TYPE_CHECKING:
    from replicator.app.configured.replication import Replication
    from replicator.app.configured.standbys import Standbys
    from replicator.app.monitoring import Monitor
    from replicator.app.notifications import Notifying
    from replicator.app.wiring.pipeline import Pipeline
    from replicator.app.wiring.retention import Retention
    from replicator.app.wiring.stores import OpenStore
    from replicator.app.wiring.target import ConfiguredTarget
    from replicator.config import Settings
    from replicator.model.checkpoint import Checkpoint
    from replicator.model.load_spec import Layout
    from replicator.model.observation import Observer
    from replicator.model.store.rates import Rates
    from replicator.ports import Clock
    from replicator.services.checkup.checkup import Checkup
    from replicator.services.checkup.copy_trial import CopyTrial
    from replicator.services.history.reader import History
    from replicator.services.inspection.blame import Blamer
    from replicator.services.inspection.undeletion import Undeletion
    from replicator.services.monitoring.canary import Canary
    from replicator.services.monitoring.status import LogStatus, StatusReader, TargetStatus
    from replicator.services.notifications.watch import PromiseWatch
    from replicator.services.retention.holds import Holds
    from replicator.services.retention.named_points import Naming
    from replicator.services.retention.point_rotation import PointRotation
    from replicator.services.store.points import StorePoints
    from replicator.services.store.windows import Windows
    from replicator.services.target.copier import Backup
    from replicator.services.target.gap_healer import GapHealer
    from replicator.services.verification.query_verifier import QueryVerifier
    from replicator.services.verification.repairer import Repairer
    from replicator.services.verification.verifier import Verifier

# A verb imports only what it needs: `status` takes half a second of one core less so.


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
        closing = self._stack.push_async_callback
        self._storages = Storages(settings.transfer, environ, self.clock, closing)
        self.source = ConfiguredSource(settings, environ, self._storages, closing=closing)
        self._targets = ConfiguredTargets(
            settings,
            environ,
            self.clock,
            storages=self._storages,
            monitoring=self.monitoring,
            copying=self.tools.observer,
            closing=closing,
        )
        self.recorded = RecordedLog(
            settings,
            environ,
            self._stack,
            source=self.source,
            targets=self._targets,
            tools=self.tools,
            monitoring=self.monitoring,
        )
        self.processes = Processes(self.recorded, self._targets, self.hearts, self.clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @cached_property
    def standbys(self) -> Standbys:
        """The targets' Druids, and their promotion."""
        from replicator.app.configured.standbys import Standbys

        return Standbys(
            self._environ,
            source=self.source,
            targets=self._targets,
            recorded=self.recorded,
            monitoring=self.monitoring,
        )

    @cached_property
    def replication(self) -> Replication:
        """The watcher, and what keeps the targets up to date."""
        from replicator.app.configured.replication import Replication

        return Replication(
            self.settings.watch,
            source=self.source,
            targets=self._targets,
            recorded=self.recorded,
            standbys=self.standbys,
            processes=self.processes,
            tools=self.tools,
            watching=self.hearts.watching,
        )

    @property
    def history(self) -> History:
        """History of the log, with the targets' archives where the log was trimmed.

        Raises:
            ConfigError: the configuration has no log.
        """
        return self.recorded.whole

    @property
    def target_names(self) -> list[str]:
        """The configured targets, sorted."""
        return self._targets.names

    def target(self, name: str) -> RealTarget:
        """Return a target of the configuration.

        Raises:
            NotFoundError: the configuration has no such target.
        """
        return self._targets.target(name)

    async def pipeline(self, name: str) -> Pipeline:
        """Return the services of one target, fed from the log."""
        return await self.recorded.pipeline(name)

    async def pipeline_from(
        self, store: OpenStore, target: ConfiguredTarget, *, elsewhere: Layout | None = None
    ) -> Pipeline:
        """Return the services of a target, fed from a store; `elsewhere` as for `mapping`."""
        from replicator.app.wiring.pipeline import open_pipeline

        own = store.store if target is store.target else None
        return await open_pipeline(
            store.history_source, target, self.tools, elsewhere=elsewhere, store=own
        )

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

    async def verifier(self, name: str) -> Verifier:
        """Return the verifier of a target."""
        return (await self.pipeline(name)).verifier()

    async def repairer(self, name: str, *, from_target: str | None) -> tuple[Repairer, GapHealer]:
        """Return what repairs a target, and tries its gaps again, by the source or another target.

        Raises:
            ConfigError: `from_target` is the target itself.
        """
        if from_target == name:
            raise ConfigError(f"--from {from_target}: a target cannot be repaired from itself")
        pipeline = await self.pipeline(name)
        bytes_from = (
            self.source.storage()
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
            history=self.history, trail=self.source.metadata(), observer=self.monitoring.observer()
        )

    def undeletion(self, history: History | None = None) -> Undeletion:
        """Return the service that finds out how a datasource was dropped.

        Args:
            history: What is read: the history in a target's store; None: the log.
        """
        from replicator.services.inspection.undeletion import Undeletion

        observer = self.monitoring.observer()
        return Undeletion(history=history or self.history, observer=observer)

    async def checkpoint(self, name: str) -> Checkpoint | None:
        """Return the cut that a target is at; None if nothing was applied to it yet."""
        return (await self.target(name).metadata.state(self.source.name)).checkpoint

    def checkup(self) -> Checkup:
        """Return the service that tries everything before anything else is done."""
        from replicator.services.checkup.checkup import Checkup

        return Checkup(
            metadata=self.source.metadata(),
            storage=self.source.storage(),
            layout=self.source.layout,
            log=self.recorded.log,
            history=self.history,
            clock=self.clock,
            stream=self.source.change_stream(),
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
        return self.monitoring.status_reader(self.recorded.history(names, preferred=False))

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
            source=self.source.name,
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
            self.recorded.polled,
            map(self.target, self.target_names),
            interval_s=notifying.settings.look_interval_s,
            life=self.processes.life,
        )
        return notifying.watch(poller)

    async def monitor(self, names: Iterable[str]) -> Monitor | None:
        """Return the monitor of these targets for HTTP clients; None without `web`.

        Where a port without a login is configured, it is open from now on.

        Raises:
            ConfigError: the port cannot be opened.
        """
        found = self.monitoring.monitor(self.recorded.polled, map(self.target, names))
        if found is not None and (server := self.monitoring.server(found)) is not None:
            self._stack.push_async_callback(server.close)
            await server.start()
        return found

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
        self._storages.refuse_unusable([*self.source.storage().all, *storages])

    async def backup(self, target: ConfiguredTarget) -> Backup:
        """Return another target as the source of bytes; its metadata store may be gone."""
        from replicator.services.store.archived_log import archived_gaps
        from replicator.services.target.copier import Backup

        log_id = (await self.recorded.log.span()).log_id
        return Backup(
            layout=layout(target.settings.deep_storage),
            storage=target.storage,
            gaps=await archived_gaps(target.area(), log_id),
        )
