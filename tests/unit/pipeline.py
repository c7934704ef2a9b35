"""A source, a log and a target in memory, and the services over them; small enough to read."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.memory.metadata import ALL_COLUMNS, MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.app.wiring import pipeline as wiring
from replicator.app.wiring.histories import HistorySource, Tools, history_of
from replicator.app.wiring.pipeline import Allowed
from replicator.app.wiring.retention import Retention, holds
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import RetrySettings
from replicator.config.clusters.clusters import ExpirySettings
from replicator.model.load_spec import LocalLayout, Location, SourceLayout
from replicator.model.log.locations import TargetLocator
from replicator.model.log.row_mapping import RowMapping, locate
from replicator.model.observation import CutApplied, GapOpened, Observation
from replicator.model.row import TABLES, Row, Segment, key_of
from replicator.ports import Area, MetadataWriter
from replicator.services.history.reader import History
from replicator.services.replication.applier import Applier
from replicator.services.replication.companions import BaseWriter
from replicator.services.replication.readers import LogReader
from replicator.services.replication.watcher import Watcher
from replicator.services.restore.restorer import Restorer
from replicator.services.retention.expirer import Expirer
from replicator.services.retention.holds import Holds
from replicator.services.retention.object_locks import ObjectLocker
from replicator.services.retention.planner import ExpiryPlanner
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.archivist import Archivist
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.intents import Intents
from replicator.services.store.points import StorePoints
from replicator.services.store.spliced_log import SplicedLog
from replicator.services.store.store import Store
from replicator.services.store.witness import Witness
from replicator.services.target.copier import Backup, BytesFrom
from replicator.services.target.reconciler import Reconciler
from replicator.services.verification.verifier import Verifier
from tests.builders import ROOT
from tests.wiring import history_settings, target_settings, watch_settings

SOURCE = "prod"
TARGET_ROOT = "/standby/segments"
ORIGIN = SourceLayout(main=LocalLayout(root=ROOT), others={})
RETRIES = RetrySettings(attempts_max=2, delay_initial_s=0.001, delay_max_s=0.001)
RETRY = RETRIES.policy
SIZE_BYTES = 1967
EXPIRY = ExpirySettings()


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
    rows_lost_max: int = 0
    rows_unfit_max: int = 100
    records_max: int = 5
    delay: timedelta = timedelta(0)
    gap_retry_interval: timedelta = timedelta(hours=1)
    file_bytes_max: int = 5_000
    row_versions: bool = True
    backup: Backup | None = None
    witness: Witness | None = None
    target_root: str = TARGET_ROOT
    config_names: frozenset[str] = frozenset({"lookupsConfig"})

    def __post_init__(self) -> None:
        self.source = MemoryMetadata(self.clock, target=False)
        self.source_storage = MemoryDeepStorage()
        self.target = MemoryMetadata(self.clock)
        self.target_storage = MemoryDeepStorage(self.clock)
        self.area = self.target_storage.area()
        self.stores: Sequence[Area] | None = None
        """Stores with the log's history, if not the target's own alone."""
        self.log = MemoryEventLog(self.clock, SOURCE, log_id="log")
        self.watcher = self.new_watcher()
        self.applier = self.new_applier()

    # ----------------------------------------------------------- what the product's wiring is given

    def tools(self) -> Tools:
        return Tools(
            workers=InPlaceWorkers(),
            clock=self.clock,
            rng=Random(1),
            observer=lambda _: self.seen.append,
            records_per_read_max=self.records_max,
        )

    def history_source(self, *, preferred: bool = True) -> HistorySource:
        areas = self.stores or [self.area]
        log = SplicedLog(self.log.reopen(), lambda: [*map(Store, areas)], preferred=preferred)
        return HistorySource(source=SOURCE, layout=ORIGIN, log=log, bases=log)

    def configured(self, metadata: MetadataWriter | None = None) -> ConfiguredTarget:
        self.target_storage.own = self.area
        return ConfiguredTarget(
            name="standby",
            settings=target_settings(
                self.target_root,
                copies_in_flight_max=2,
                rows_per_batch_max=self.records_max,
                objects_missing_max=self.objects_missing_max,
                rows_lost_max=self.rows_lost_max,
                rows_unfit_max=self.rows_unfit_max,
                kill_wait_s=self.kill_wait_s,
                apply_interval_s=0.001,
                halted_retry_s=0.001,
                delay=self.delay,
                gap_retry_interval=self.gap_retry_interval,
                history=history_settings(file_bytes_max=self.file_bytes_max),
                expiry=EXPIRY,
                retry=RETRIES,
            ),
            metadata=metadata or self.target,
            storage=self.target_storage,
            witness=self.witness,
        )

    def mapping(self) -> RowMapping:
        return RowMapping(
            source=ORIGIN,
            target=LocalLayout(root=self.target_root),
            config_names=self.config_names,
            columns={
                kind: names - TABLES[kind].local - TABLES[kind].target_owned
                for kind, names in ALL_COLUMNS.items()
            },
        )

    def wired(
        self, metadata: MetadataWriter | None = None, *, store: Store | None = None
    ) -> wiring.Pipeline:
        return wiring.Pipeline(
            self.history_source(),
            self.configured(metadata),
            self.tools(),
            mapping=self.mapping(),
            store=store,
        )

    @property
    def bytes_from(self) -> BytesFrom:
        return self.backup or self.source_storage

    # -------------------------------------------------------------------------------- what it makes

    def new_watcher(
        self,
        *,
        trust_versions: bool = False,
        accept_vanished: bool = False,
        readers: Mapping[str, LogReader] | None = None,
    ) -> Watcher:
        return wiring.watcher(
            watch_settings(
                poll_interval_s=1.0,
                jitter=0.0,
                idle_cut_interval_s=3600.0,
                fetch_rows_max=2,
                append_bytes_max=1,
                row_bytes_max=1 << 20,
                row_versions=self.row_versions,
                retry=RETRIES,
            ),
            source=SOURCE,
            metadata=self.source,
            log=self.log.reopen(),
            history=self.history(preferred=False),
            tools=self.tools(),
            observer=self.seen.append,
            readers={"standby": LogReader(self.target, self.area)} if readers is None else readers,
            trust_versions=trust_versions,
            accept_vanished=accept_vanished,
        )

    def new_applier(
        self,
        *,
        resume: bool = False,
        adopt: bool = False,
        new_log: bool = False,
        into: MetadataWriter | None = None,
    ) -> Applier:
        allowed = Allowed(resume=resume, adopt=adopt, new_log=new_log)
        assert self.backup is None, "an applier has its bytes from the source"
        return self.wired(into).applier(self.source_storage, allowed)

    def restorer(self) -> Restorer:
        return self.wired().restorer(self.bytes_from)

    def verifier(self) -> Verifier:
        return self.wired().verifier()

    def history(self, *, preferred: bool = True) -> History:
        return history_of(self.history_source(preferred=preferred), self.tools(), self.seen.append)

    def archivist(self, store: Store | None = None) -> Archivist:
        return self.wired(store=store).archivist()

    def base_writer(self) -> BaseWriter:
        return self.wired().base_writer(interval_s=1.0)

    def intents(self) -> Intents:
        return Intents(self.area, clock=self.clock, clock_skew_max=EXPIRY.clock_skew_max)

    def points(self, store: Store | None = None) -> StorePoints:
        return StorePoints(store or Store(self.area), clock=self.clock)

    def locator(self) -> TargetLocator:
        return self.wired().locator()

    def guard(self) -> ExpiryGuard:
        return self.wired().guard(self.configured())

    def holds(self) -> Holds:
        archive = ArchivedLog(Store(self.area), "log")
        history_source = HistorySource(source=SOURCE, layout=ORIGIN, log=archive, bases=archive)
        return holds(archive, history_source, self.configured(), self.tools())

    def retention(self, store: Store | None = None) -> Retention:
        store = store or Store(self.area)
        archive = ArchivedLog(store, "log")
        return Retention(archive, self.wired(store=store), self.configured(), self.tools())

    def planner(self, store: Store | None = None) -> ExpiryPlanner:
        return self.retention(store).planner()

    def expirer(self, store: Store | None = None) -> Expirer:
        return self.retention(store).expirer()

    def object_locker(self) -> ObjectLocker:
        return self.retention().locks()

    def reconciler(self) -> Reconciler:
        return self.wired().reconciler()

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
