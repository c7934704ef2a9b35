"""A source, a log and a target in memory, and the services over them; small enough to read."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.memory.metadata import ALL_COLUMNS, MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.model.load_spec import LocalLayout, Location, SourceLayout
from replicator.model.observation import CutApplied, GapOpened, Observation
from replicator.model.places import Placing
from replicator.model.retry import RetryPolicy
from replicator.model.row import TABLES, Row, Segment, key_of
from replicator.model.row_mapping import Carriage, locate
from replicator.ports import MetadataWriter
from replicator.services.history.reader import History
from replicator.services.replication.applier import Applier, ApplyLimits, Leave
from replicator.services.replication.watcher import Watcher, WatchLimits
from replicator.services.restore.restorer import Restorer
from replicator.services.retention.expirer import Expirer
from replicator.services.retention.holds import Holds
from replicator.services.retention.object_locks import Locker
from replicator.services.retention.planner import ExpiryLimits, ExpiryPlanner
from replicator.services.retention.references import StorePlaces
from replicator.services.retention.retained import Sparing
from replicator.services.store.applier_record import Helm
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.archivist import ArchiveLimits, Archivist, BaseWriter
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.intents import Intents
from replicator.services.store.missing_wait import MissingWait
from replicator.services.store.points import KeptPoints
from replicator.services.store.restore_lease import LeaseLimits, RestoreLeases
from replicator.services.store.spliced_log import SplicedLog
from replicator.services.store.store import Store
from replicator.services.target.copier import Backup, CopyLimits
from replicator.services.target.executor import Executor
from replicator.services.target.reconciler import Reconciler
from replicator.services.verification.verifier import Verifier
from tests.builders import ROOT

SOURCE = "prod"
TARGET_ROOT = "/standby/segments"
ORIGIN = SourceLayout(main=LocalLayout(root=ROOT), others={})
RETRY = RetryPolicy(attempts_max=2, delay_initial_s=0.001, delay_max_s=0.001)
SIZE_BYTES = 1967
EXPIRY = ExpiryLimits(
    lease=timedelta(minutes=30),
    margin=timedelta(minutes=10),
    clock_skew_max=timedelta(minutes=1),
    orphan_age_min=timedelta(days=1),
    removals_in_flight_max=2,
)


@dataclass
class HandClock:
    """A `Clock` that stands still until it is moved."""

    time: datetime = datetime(2024, 6, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


@dataclass
class Pipeline:
    clock: HandClock = field(default_factory=HandClock)
    seen: list[Observation] = field(default_factory=list)
    kill_wait_s: float = 0.0
    objects_missing_max: int = 100
    records_max: int = 5
    delay: timedelta = timedelta(0)
    file_bytes_max: int = 5_000
    backup: Backup | None = None

    def __post_init__(self) -> None:
        self.source = MemoryMetadata(self.clock, target=False)
        self.source_storage = MemoryDeepStorage()
        self.target = MemoryMetadata(self.clock)
        self.target_storage = MemoryDeepStorage(self.clock)
        self.area = MemoryArea()
        self.log = MemoryEventLog(self.clock, SOURCE, log_id="log")
        self.watcher = self.new_watcher()
        self.applier = self.new_applier()

    def new_watcher(self) -> Watcher:
        return Watcher(
            source=SOURCE,
            metadata=self.source,
            log=self.log.reopen(),
            history=self.history(preferred=False),
            limits=WatchLimits(
                poll_interval_s=1.0,
                jitter=0.0,
                idle_cut_interval_s=3600.0,
                fetch_rows_max=2,
                append_bytes_max=1,
            ),
            retry=RETRY,
            rng=Random(1),
            observer=self.seen.append,
        )

    def new_applier(
        self,
        *,
        resume: bool = False,
        adopt: bool = False,
        new_log: bool = False,
        into: MetadataWriter | None = None,
    ) -> Applier:
        metadata = into or self.target
        return Applier(
            source=SOURCE,
            target="standby",
            history=self.history(),
            metadata=metadata,
            reconciler=self.reconciler(metadata),
            executor=self.executor(metadata, self.target_storage),
            archivist=self.archivist(),
            guard=self.guard(),
            missing=MissingWait(self.area, self.clock, timedelta(seconds=self.kill_wait_s)),
            helm=Helm(self.area, self.clock),
            limits=ApplyLimits(
                interval_s=0.001,
                objects_missing_max=self.objects_missing_max,
                retry=RETRY,
                delay=self.delay,
            ),
            leave=Leave(resume=resume, adopt=adopt, new_log=new_log),
            clock=self.clock,
            rng=Random(1),
            observer=self.seen.append,
        )

    def restorer(self) -> Restorer:
        return Restorer(
            source=SOURCE,
            target="standby",
            history=self.history(),
            metadata=self.target,
            reconciler=self.reconciler(self.target),
            executor=self.executor(self.target, self.target_storage),
            archivist=self.archivist(),
            guard=self.guard(),
            leases=self.leases(),
            observer=self.seen.append,
        )

    def verifier(self) -> Verifier:
        return Verifier(
            source=SOURCE,
            target="standby",
            history=self.history(),
            metadata=self.target,
            storage=self.target_storage,
            area=self.area,
            has_rows=True,
            reconciler=self.reconciler(self.target),
            carriage=self.carriage(),
            rng=Random(1),
            observer=self.seen.append,
        )

    def history(self, *, preferred: bool = True) -> History:
        log = SplicedLog(self.log.reopen(), lambda: [Store(self.area)], preferred=preferred)
        return History(
            log,
            source=SOURCE,
            workers=InPlaceWorkers(),
            bases=log,
            records_per_read_max=self.records_max,
            observer=self.seen.append,
        )

    def archivist(self, store: Store | None = None) -> Archivist:
        return Archivist(
            source=SOURCE,
            store=store or Store(self.area),
            origin=ORIGIN,
            kept=LocalLayout(root=TARGET_ROOT),
            history=self.history(),
            limits=ArchiveLimits(
                file_bytes_max=self.file_bytes_max, base_interval=timedelta(days=1)
            ),
            observer=self.seen.append,
        )

    def base_writer(self) -> BaseWriter:
        return BaseWriter(
            source=SOURCE,
            target="standby",
            metadata=self.target,
            history=self.history(),
            archivist=self.archivist(),
            interval_s=1.0,
            retry=RETRY,
            rng=Random(1),
            observer=self.seen.append,
        )

    def intents(self) -> Intents:
        return Intents(self.area, clock=self.clock, clock_skew_max=EXPIRY.clock_skew_max)

    def points(self, store: Store | None = None) -> KeptPoints:
        return KeptPoints(store or Store(self.area), clock=self.clock)

    def placing(self) -> Placing:
        carriage = self.carriage()
        return Placing(source=carriage.source, target=carriage.target)

    def guard(self) -> ExpiryGuard:
        return ExpiryGuard(intents=self.intents(), history=self.history(), placing=self.placing())

    def holds(self) -> Holds:
        store = Store(self.area)
        archive = ArchivedLog(store, "log")
        return Holds(
            target="standby",
            area=self.area,
            points=self.points(),
            archive=archive,
            history=History(archive, source=SOURCE, workers=InPlaceWorkers(), bases=archive),
            archivist=self.archivist(store),
            clock=self.clock,
        )

    def leases(self) -> RestoreLeases:
        return RestoreLeases(
            areas={"standby": self.area},
            points=self.points(),
            clock=self.clock,
            limits=LeaseLimits(lease=timedelta(minutes=10), renewal=timedelta(minutes=1)),
            rng=Random(2),
        )

    def places(self, store: Store) -> StorePlaces:
        return StorePlaces(
            store=store,
            placing=self.placing(),
            workers=InPlaceWorkers(),
            records_max=self.records_max,
            observer=self.seen.append,
        )

    def sparing(self, store: Store | None = None) -> Sparing:
        store = store or Store(self.area)
        return Sparing(
            source=SOURCE,
            target="standby",
            metadata=self.target,
            reconciler=self.reconciler(self.target),
            store=store,
            points=self.points(store),
            places=self.places(store),
            layout=self.carriage().target,
        )

    def planner(self, store: Store | None = None) -> ExpiryPlanner:
        store = store or Store(self.area)
        return ExpiryPlanner(
            target="standby",
            sparing=self.sparing(store),
            store=store,
            points=self.points(store),
            places=self.places(store),
            remover=self.target_storage,
            clock=self.clock,
            limits=EXPIRY,
            observer=self.seen.append,
        )

    def expirer(self, store: Store | None = None) -> Expirer:
        store = store or Store(self.area)
        return Expirer(
            planner=self.planner(store),
            sparing=self.sparing(store),
            intents=self.intents(),
            points=self.points(store),
            places=self.places(store),
            store=store,
            remover=self.target_storage,
            archivist=self.archivist(store),
            history=self.history(),
            clock=self.clock,
            limits=EXPIRY,
            retry=RETRY,
            rng=Random(1),
            observer=self.seen.append,
        )

    def locker(self) -> Locker:
        store = Store(self.area)
        return Locker(
            planner=self.planner(store),
            sparing=self.sparing(store),
            places=self.places(store),
            area=self.area,
            remover=self.target_storage,
            clock=self.clock,
            in_flight_max=4,
            retry=RETRY,
            rng=Random(1),
            observer=self.seen.append,
        )

    def carriage(self) -> Carriage:
        return Carriage(
            source=LocalLayout(root=ROOT),
            target=LocalLayout(root=TARGET_ROOT),
            config_names=frozenset({"lookupsConfig"}),
            columns={
                kind: names - TABLES[kind].local - TABLES[kind].target_owned
                for kind, names in ALL_COLUMNS.items()
            },
        )

    def reconciler(self, metadata: MetadataWriter) -> Reconciler:
        return Reconciler(
            source=SOURCE,
            history=self.history(),
            metadata=metadata,
            carriage=self.carriage(),
            observer=self.seen.append,
        )

    def executor(self, metadata: MetadataWriter, storage: MemoryDeepStorage) -> Executor:
        return Executor(
            source=SOURCE,
            history=self.history(),
            source_storage=self.source_storage,
            target_storage=storage,
            metadata=metadata,
            carriage=self.carriage(),
            limits=CopyLimits(in_flight_max=2, retry=RETRY),
            backup=self.backup,
            rng=Random(1),
            observer=self.seen.append,
        )

    # --------------------------------------------------------------------------- what Druid does

    def publish(self, *rows: Row) -> None:
        """Bytes before rows."""
        for row in rows:
            if isinstance(row, Segment):
                location = locate(row, LocalLayout(root=ROOT))
                if location is not None:
                    self.source_storage.stored[location] = {"00000.smoosh": b"x" * SIZE_BYTES}
            self.source.rows[key_of(row)] = row

    def kill(self, *rows: Segment) -> None:
        """Rows before bytes."""
        for row in rows:
            del self.source.rows[key_of(row)]
            location = locate(row, LocalLayout(root=ROOT))
            if location is not None:
                self.source_storage.stored.pop(location, None)

    async def cut(self, *, move_s: float = 10.0) -> None:
        """One poll that finds something."""
        self.clock.move(move_s)
        assert await self.watcher.poll()

    async def follow(self) -> None:
        """Apply all there is."""
        while await self.applier.apply_next():
            pass

    # --------------------------------------------------------------------------------- what is so

    def target_ids(self) -> set[str]:
        return {row.id for row in self.target.rows.values() if isinstance(row, Segment)}

    def gaps(self) -> list[tuple[str, str, bool]]:
        """Key, reason and whether it is open, oldest first."""
        kept = self.target.sources.get(SOURCE)
        found = kept.gaps.values() if kept else []
        return [(gap.key, gap.reason, gap.closed is None) for gap in found]

    def applied_cuts(self) -> list[int]:
        return [seen.cut for seen in self.seen if isinstance(seen, CutApplied)]

    def gaps_told(self) -> list[str]:
        return [seen.gap.reason for seen in self.seen if isinstance(seen, GapOpened)]


def place_of(row: Segment) -> Location:
    """Return where a segment that is no tombstone has its bytes."""
    location = locate(row, LocalLayout(root=ROOT))
    assert location is not None
    return location


async def soon(seconds: float = 0.01) -> None:
    """Let real time pass where a service measures it."""
    await asyncio.sleep(seconds)
