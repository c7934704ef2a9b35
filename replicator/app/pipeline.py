"""The services of one target, fed from one history: the live log's, or that of a store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from replicator.app.storages import layout
from replicator.app.target import Target, intents, kept_points, store_of, written_for
from replicator.config import TargetSettings
from replicator.errors import ConfigError
from replicator.model.cost import Way
from replicator.model.load_rules import LoadRules
from replicator.model.load_spec import Layout, SourceLayout
from replicator.model.observation import Observer
from replicator.model.older_druid import OlderDruid
from replicator.model.places import Placing
from replicator.model.release import Release
from replicator.model.row_mapping import Carriage
from replicator.ports import Bases, Clock, DeepStorageReader, EventLog, Workers
from replicator.services.history.reader import RECORDS_PER_READ_MAX, History
from replicator.services.replication.applier import Applier, ApplyLimits, Leave
from replicator.services.restore.estimator import Appraiser
from replicator.services.restore.renamer import Renamer
from replicator.services.restore.restorer import Restorer
from replicator.services.store.applier_record import Helm
from replicator.services.store.archivist import ArchiveLimits, Archivist, BaseWriter
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.missing_wait import MissingWait
from replicator.services.store.restore_lease import Keep, LeaseLimits, RestoreLeases
from replicator.services.store.store import Store
from replicator.services.target.copier import Backup, CopyLimits
from replicator.services.target.executor import Executor
from replicator.services.target.rates import RateBook
from replicator.services.target.reconciler import Reconciler
from replicator.services.verification.repairer import CheckedOrigin, Repairer
from replicator.services.verification.verifier import Verifier

RENEWALS_PER_LEASE = 5
"""A restore's lease survives some lost renewals."""
BASE_LOOK_S = 60.0
"""Time between two looks whether a target's next base is due, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a target's rows come from."""

    source: str
    """The source's name in every event."""
    layout: SourceLayout
    log: EventLog
    bases: Bases


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all services of one process share."""

    workers: Workers
    clock: Clock
    rng: Random
    observer: Callable[[str], Observer]
    """Of a target's services."""


class Pipeline:
    """Makes the services of one target."""

    def __init__(
        self,
        origin: Origin,
        target: Target,
        tools: Tools,
        *,
        elsewhere: Layout | None = None,
        store: Store | None = None,
    ) -> None:
        """Take the parts.

        Args:
            origin: Where the rows come from.
            target: Where they go.
            tools: What is shared.
            elsewhere: How the storage writes load specs that has the bytes, when it is not the
                target's own.
            store: The target's store, where somebody has read in it before; None: nobody has.
        """
        self._store = store_of(target) if store is None else store
        self._origin, self._target, self._tools = origin, target, tools
        self._layout = elsewhere or layout(target.settings.deep_storage)
        self._observer = tools.observer(target.name)
        self._rates = RateBook(target.storage.area(), self._observer)
        self._release: Release | None = None

    def history(self, *, records_max: int = RECORDS_PER_READ_MAX) -> History:
        """Return the history that the services read."""
        return History(
            self._origin.log,
            source=self._origin.source,
            workers=self._tools.workers,
            bases=self._origin.bases,
            records_per_read_max=records_max,
            observer=self._observer,
        )

    async def carriage(self) -> Carriage:
        """Return the rule by which the source's rows become the target's."""
        return Carriage(
            source=self._origin.layout,
            target=self._layout,
            config_names=self._target.settings.config_names,
            columns=await self._target.metadata.columns(),
            load_rules=load_rules(self._target.settings),
            druid=OlderDruid(release=await self.release()),
        )

    async def release(self) -> Release | None:
        """Return which release the target's rows are written for, None when nobody knows."""
        if self._release is None:
            self._release = await written_for(self._target)
        return self._release

    async def applier(self, source_storage: DeepStorageReader, leave: Leave) -> Applier:
        """Return what follows the log."""
        settings, carriage = self._target.settings, await self.carriage()
        return Applier(
            source=self._origin.source,
            target=self._target.name,
            history=self.history(),
            metadata=self._target.metadata,
            reconciler=self.reconciler(carriage),
            executor=self._executor(carriage, source_storage),
            archivist=self.archivist(),
            guard=self.guard(self._target),
            missing=MissingWait(
                self._target.storage.area(),
                self._tools.clock,
                timedelta(seconds=settings.kill_wait_s),
            ),
            helm=Helm(self._target.storage.area(), self._tools.clock),
            limits=ApplyLimits(
                interval_s=settings.apply_interval_s,
                objects_missing_max=settings.objects_missing_max,
                retry=settings.retry.policy,
                delay=settings.delay,
            ),
            leave=leave,
            clock=self._tools.clock,
            rng=self._tools.rng,
            observer=self._observer,
        )

    async def restorer(
        self,
        bytes_from: DeepStorageReader,
        *,
        backup: Backup | None = None,
        kept: Target | None = None,
    ) -> Restorer:
        """Return what brings the target to a cut.

        Args:
            bytes_from: The storage that bytes are copied from.
            backup: That storage as a target's, when it is not the source's.
            kept: The target that it is of.
        """
        carriage = await self.carriage()
        return Restorer(
            source=self._origin.source,
            target=self._target.name,
            history=self.history(),
            metadata=self._target.metadata,
            reconciler=self.reconciler(carriage),
            executor=self._executor(carriage, bytes_from, backup=backup),
            archivist=self.archivist(),
            guard=self.guard(self._target),
            leases=self._leases(kept or self._target),
            observer=self._observer,
            rates=self._rates,
        )

    async def appraiser(
        self, bytes_from: DeepStorageReader, way: Way, *, backup: Backup | None, stays: bool = False
    ) -> Appraiser:
        """Return what finds out what a restore costs, with bytes as for `restorer`.

        `stays` says that the bytes are served where they are.
        """
        settings, carriage = self._target.settings, await self.carriage()
        storage = backup.storage if backup is not None and stays else self._target.storage
        return Appraiser(
            history=self.history(),
            carriage=carriage,
            storage=storage,
            origin=bytes_from,
            backup=backup,
            way=way,
            rates=self._rates,
            looks_in_flight_max=settings.looks_in_flight_max,
            observer=self._observer,
        )

    async def restorer_by_reference(self, backup: Backup, *, kept: Target, keep: Keep) -> Restorer:
        """Return what brings the target's rows to a cut whose bytes stay in the backup.

        Args:
            backup: Where they stay.
            kept: The target that it is of.
            keep: Keeps them there from then on.
        """
        carriage = await self.carriage()
        return Restorer(
            source=self._origin.source,
            target=self._target.name,
            history=self.history(),
            metadata=self._target.metadata,
            reconciler=self.reconciler(carriage),
            executor=self._executor(carriage, backup.storage, backup=backup, storage=backup),
            archivist=None,
            guard=self.guard(kept),
            leases=self._leases(kept, keep=keep),
            observer=self._observer,
            by_reference=True,
        )

    async def restorer_in_place(self, backup: Backup) -> Restorer:
        """Return what brings the target to a cut that its own store keeps, of whichever log.

        Every byte is in its place already; what has a receipt counts, and nothing is copied.
        """
        carriage = await self.carriage()
        return Restorer(
            source=self._origin.source,
            target=self._target.name,
            history=self.history(),
            metadata=self._target.metadata,
            reconciler=self.reconciler(carriage),
            executor=self._executor(carriage, backup.storage, backup=backup),
            archivist=self.archivist(),
            guard=self.guard(self._target),
            leases=self._leases(self._target),
            observer=self._observer,
            by_reference=True,
        )

    async def renamer(
        self,
        bytes_from: DeepStorageReader,
        *,
        backup: Backup | None = None,
        kept: Target | None = None,
    ) -> Renamer:
        """Return what restores a datasource under another name, with bytes as for `restorer`.

        Raises:
            ConfigError: the target is an archive, which has no rows.
        """
        if self._target.settings.metadata is None:
            raise ConfigError(f"target {self._target.name!r} is an archive: it has no rows")
        carriage = await self.carriage()
        return Renamer(
            source=self._origin.source,
            target=self._target.name,
            history=self.history(),
            metadata=self._target.metadata,
            reconciler=self.reconciler(carriage),
            executor=self._executor(carriage, bytes_from, backup=backup),
            carriage=carriage,
            guard=self.guard(self._target),
            leases=self._leases(kept or self._target),
        )

    async def verifier(self) -> Verifier:
        """Return what proves the target."""
        carriage = await self.carriage()
        return Verifier(
            source=self._origin.source,
            target=self._target.name,
            history=self.history(),
            metadata=self._target.metadata,
            storage=self._target.storage,
            area=self._target.storage.area(),
            has_rows=self._target.settings.metadata is not None,
            reconciler=self.reconciler(carriage),
            carriage=carriage,
            rng=self._tools.rng,
            observer=self._observer,
        )

    async def repairer(
        self, bytes_from: DeepStorageReader, *, backup: Backup | None = None
    ) -> Repairer:
        """Return what puts the target right, with bytes as for `restorer`."""
        carriage = await self.carriage()
        return Repairer(
            source=self._origin.source,
            target=self._target.name,
            metadata=self._target.metadata,
            storage=self._target.storage,
            mender=self._target.storage,
            origin=CheckedOrigin(bytes_from, backup),
            verifier=await self.verifier(),
            reconciler=self.reconciler(carriage),
            executor=self._executor(carriage, bytes_from, backup=backup),
            leases=self._leases(self._target),
            limits=self._limits(),
            rng=self._tools.rng,
            observer=self._observer,
        )

    def archivist(self) -> Archivist:
        """Return what keeps the target's own history."""
        settings = self._target.settings.history
        return Archivist(
            source=self._origin.source,
            store=self._store,
            origin=self._origin.layout,
            kept=self._layout,
            history=self.history(),
            limits=ArchiveLimits(
                file_bytes_max=settings.file_bytes_max, base_interval=settings.base_interval
            ),
            observer=self._observer,
        )

    def guard(self, kept: Target) -> ExpiryGuard:
        """Return what knows of expiries in the store that the target's bytes are in."""
        return ExpiryGuard(
            intents=intents(kept, self._tools.clock),
            history=self.history(),
            placing=Placing(source=self._origin.layout, target=self._layout),
        )

    def _leases(self, kept: Target, *, keep: Keep | None = None) -> RestoreLeases:
        """Return what keeps expiries away from a restore; `kept` is whose bytes are used."""
        stores, settings = {kept.name: kept, self._target.name: self._target}, kept.settings
        lease = settings.expiry.restore_lease
        return RestoreLeases(
            areas={name: store.storage.area() for name, store in stores.items()},
            points=kept_points(kept, self._tools.clock),
            clock=self._tools.clock,
            limits=LeaseLimits(lease=lease, renewal=lease / RENEWALS_PER_LEASE),
            rng=self._tools.rng,
            keep=keep,
        )

    def base_writer(self) -> BaseWriter:
        """Return what writes the target's bases when they are due."""
        return BaseWriter(
            source=self._origin.source,
            target=self._target.name,
            metadata=self._target.metadata,
            history=self.history(),
            archivist=self.archivist(),
            interval_s=BASE_LOOK_S,
            retry=self._target.settings.retry.policy,
            rng=self._tools.rng,
            observer=self._observer,
        )

    def reconciler(self, carriage: Carriage) -> Reconciler:
        """Return what compares the target with cuts."""
        return Reconciler(
            source=self._origin.source,
            history=self.history(),
            metadata=self._target.metadata,
            carriage=carriage,
            observer=self._observer,
        )

    def _executor(
        self,
        carriage: Carriage,
        bytes_from: DeepStorageReader,
        *,
        backup: Backup | None = None,
        storage: Backup | None = None,
    ) -> Executor:
        settings = self._target.settings
        return Executor(
            source=self._origin.source,
            history=self.history(records_max=settings.rows_per_batch_max),
            source_storage=bytes_from,
            target_storage=self._target.storage if storage is None else storage.storage,
            metadata=self._target.metadata,
            carriage=carriage,
            limits=self._limits(),
            backup=backup,
            rng=self._tools.rng,
            observer=self._observer,
            rates=self._rates,
        )

    def _limits(self) -> CopyLimits:
        settings = self._target.settings
        return CopyLimits(in_flight_max=settings.copies_in_flight_max, retry=settings.retry.policy)


def load_rules(settings: TargetSettings) -> LoadRules:
    """Return how the source's load rules become a target's."""
    return LoadRules(with_drops=settings.load_rules.with_drops, tiers=settings.load_rules.tiers)
