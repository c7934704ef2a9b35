"""A target that is a store alone, beside the standby: it dies like anything else in the world."""

from datetime import timedelta
from typing import TYPE_CHECKING

from replicator.adapters.archive_metadata import ArchiveMetadata
from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.load_spec import LocalLayout, SourceLayout
from replicator.model.places import Placing
from replicator.model.row_mapping import Carriage
from replicator.services.replication.applier import Applier, ApplyLimits, Leave
from replicator.services.store.applier_record import Helm
from replicator.services.store.archivist import ArchiveLimits, Archivist, BaseWriter
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.intents import Intents
from replicator.services.store.missing_wait import MissingWait
from replicator.services.store.store import Store
from replicator.services.target.copier import CopyLimits
from replicator.services.target.executor import Executor
from replicator.services.target.reconciler import Reconciler
from tests.simulation.faults import FlakyArea, FlakyStorage

if TYPE_CHECKING:
    from tests.simulation.world import World

ARCHIVE_ROOT = "/archive/segments"


class ArchiveTarget:
    """Its files, and the services that fill them."""

    def __init__(self, world: "World", source: str, origin: SourceLayout) -> None:
        self._world, self._source, self._origin = world, source, origin
        self.area = MemoryArea(yields=False)
        self.storage = MemoryDeepStorage(world.clock)

    async def checkpoint(self) -> Checkpoint | None:
        return (await self._truth().held(self._source)).checkpoint

    async def gaps(self, log_id: str) -> list[Gap]:
        return list(await self._truth().gaps(self._source, log_id))

    def applier(self) -> Applier:
        world = self._world
        return Applier(
            source=self._source,
            target="archive",
            history=world.history([self.area]),
            metadata=self._metadata(),
            reconciler=self._reconciler(),
            executor=self._executor(),
            archivist=self._archivist(),
            guard=ExpiryGuard(
                intents=Intents(
                    FlakyArea(self.area, world.weather),
                    clock=world.clock,
                    clock_skew_max=timedelta(seconds=1),
                ),
                history=world.history([self.area]),
                placing=Placing(source=self._origin, target=LocalLayout(root=ARCHIVE_ROOT)),
            ),
            missing=MissingWait(
                FlakyArea(self.area, world.weather),
                world.clock,
                timedelta(seconds=world.kill_wait_s),
            ),
            helm=Helm(FlakyArea(self.area, world.weather), world.clock),
            limits=ApplyLimits(
                interval_s=3.0,
                objects_missing_max=1000,
                retry=world.retry,
                delay=timedelta(),
            ),
            leave=Leave(resume=True, new_log=True),
            clock=world.clock,
            rng=world.rng,
            observer=world.observe,
        )

    def base_writer(self) -> BaseWriter:
        return BaseWriter(
            source=self._source,
            target="archive",
            metadata=self._metadata(),
            history=self._world.history([self.area]),
            archivist=self._archivist(),
            interval_s=20.0,
            retry=self._world.retry,
            rng=self._world.rng,
            observer=self._world.observe,
        )

    def _archivist(self) -> Archivist:
        return Archivist(
            source=self._source,
            store=Store(FlakyArea(self.area, self._world.weather)),
            origin=self._origin,
            kept=LocalLayout(root=ARCHIVE_ROOT),
            history=self._world.history([self.area]),
            limits=ArchiveLimits(file_bytes_max=4_000, base_interval=timedelta(seconds=120)),
            observer=self._world.observe,
        )

    def _reconciler(self) -> Reconciler:
        return Reconciler(
            source=self._source,
            history=self._world.history([self.area]),
            metadata=self._metadata(),
            carriage=self._carriage(),
            observer=self._world.observe,
        )

    def _executor(self) -> Executor:
        world = self._world
        return Executor(
            source=self._source,
            history=world.history([self.area]),
            source_storage=FlakyStorage(world.source_storage, world.weather),
            target_storage=FlakyStorage(self.storage, world.weather),
            metadata=self._metadata(),
            carriage=self._carriage(),
            limits=CopyLimits(in_flight_max=3, retry=world.retry),
            rng=world.rng,
            observer=world.observe,
        )

    def _carriage(self) -> Carriage:
        return Carriage(
            source=self._origin.main,
            target=LocalLayout(root=ARCHIVE_ROOT),
            config_names=frozenset({"lookupsConfig"}),
            columns=self._world.carriage().columns,
        )

    def _metadata(self) -> ArchiveMetadata:
        return ArchiveMetadata(FlakyArea(self.area, self._world.weather), self._world.clock)

    def _truth(self) -> ArchiveMetadata:
        return ArchiveMetadata(self.area, self._world.clock)
