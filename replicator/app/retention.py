"""What keeps and what expires in one target's store: the services, made from a configuration."""

from replicator.app.pipeline import Pipeline, Tools
from replicator.app.storages import layout
from replicator.app.stores import OpenStore
from replicator.app.target import intents
from replicator.config import S3StorageSettings
from replicator.errors import ConfigError
from replicator.model.event import Offset
from replicator.model.holds import Hold
from replicator.model.places import Placing
from replicator.model.restore_point import ToOffset
from replicator.services.history.reader import RECORDS_PER_READ_MAX
from replicator.services.retention.expirer import Expirer
from replicator.services.retention.holds import Holds
from replicator.services.retention.object_locks import Locker
from replicator.services.retention.planner import ExpiryLimits, ExpiryPlanner
from replicator.services.retention.references import StorePlaces
from replicator.services.retention.retained import Sparing
from replicator.services.store.points import KeptPoints


class Keeping:
    """Makes the services of one store; all that they need to know stands in it."""

    def __init__(self, store: OpenStore, tools: Tools) -> None:
        """Take the parts; nothing is asked yet."""
        self._store, self._tools, self._target = store, tools, store.target
        self._pipeline = Pipeline(store.origin, store.target, tools, store=store.store)
        self._area = store.target.storage.area()
        self._points = KeptPoints(store.store, clock=tools.clock)
        self._observer = tools.observer(store.target.name)

    def holds(self) -> Holds:
        """Return what keeps cuts from expiring."""
        return Holds(
            target=self._target.name,
            area=self._area,
            points=self._points,
            archive=self._store.archive,
            history=self._store.history,
            archivist=self._pipeline.archivist(),
            clock=self._tools.clock,
        )

    async def keep_for(self, into: str, offset: Offset) -> Hold:
        """Hold a cut for a target whose rows point into this store from now on."""
        return await self.holds().create(
            f"bytes-of-{into}-{offset}",
            ToOffset(offset=offset),
            reason=f"the rows of target {into} point into this store",
            until=None,
        )

    async def planner(self) -> ExpiryPlanner:
        """Return what says what would expire."""
        return ExpiryPlanner(
            target=self._target.name,
            sparing=await self._sparing(),
            store=self._store.store,
            points=self._points,
            places=self._places(),
            remover=self._target.storage,
            clock=self._tools.clock,
            limits=self._limits(),
            observer=self._observer,
        )

    async def expirer(self) -> Expirer:
        """Return what deletes it."""
        return Expirer(
            planner=await self.planner(),
            sparing=await self._sparing(),
            intents=intents(self._target, self._tools.clock),
            points=self._points,
            places=self._places(),
            store=self._store.store,
            remover=self._target.storage,
            archivist=self._pipeline.archivist(),
            history=self._store.history,
            clock=self._tools.clock,
            limits=self._limits(),
            retry=self._target.settings.retry.policy,
            rng=self._tools.rng,
            observer=self._observer,
        )

    async def locker(self) -> Locker:
        """Return what locks what is kept.

        Raises:
            ConfigError: the target's storage has no locks.
        """
        name, storage = self._target.name, self._target.settings.deep_storage
        if not isinstance(storage, S3StorageSettings) or storage.object_lock is None:
            raise ConfigError(
                f"nothing on target {name!r} can be locked: its storage has no `object_lock`",
                hint=f"set targets.{name}.deep_storage.object_lock, on a bucket that has it",
            )
        return Locker(
            planner=await self.planner(),
            sparing=await self._sparing(),
            places=self._places(),
            area=self._area,
            remover=self._target.storage,
            clock=self._tools.clock,
            in_flight_max=self._target.settings.copies_in_flight_max,
            retry=self._target.settings.retry.policy,
            rng=self._tools.rng,
            observer=self._observer,
        )

    async def _sparing(self) -> Sparing:
        return Sparing(
            source=self._store.about.source,
            target=self._target.name,
            metadata=self._target.metadata,
            reconciler=self._pipeline.reconciler(await self._pipeline.carriage()),
            store=self._store.store,
            points=self._points,
            places=self._places(),
            layout=layout(self._target.settings.deep_storage),
        )

    def _places(self) -> StorePlaces:
        kept = layout(self._target.settings.deep_storage)
        return StorePlaces(
            store=self._store.store,
            placing=Placing(source=self._store.about.origin, target=kept),
            workers=self._tools.workers,
            records_max=RECORDS_PER_READ_MAX,
            observer=self._observer,
        )

    def _limits(self) -> ExpiryLimits:
        settings = self._target.settings
        return ExpiryLimits(
            lease=settings.expiry.lease,
            margin=settings.expiry.margin,
            clock_skew_max=settings.expiry.clock_skew_max,
            orphan_age_min=settings.expiry.orphan_age_min,
            removals_in_flight_max=settings.copies_in_flight_max,
        )
