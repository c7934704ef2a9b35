"""A source, a log and a target with a seeded will to fail, and what must hold at every instant."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import numpy as np

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.memory.metadata import ALL_COLUMNS, MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.memory.stream import MemoryChangeStream
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.app.wiring.histories import HistorySource, Tools, history_of
from replicator.app.wiring.pipeline import Allowed, Following, Pipeline, watcher
from replicator.app.wiring.retention import Retention, holds
from replicator.app.wiring.stores import OpenStore, open_store
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import RetrySettings
from replicator.config.clusters.clusters import ExpirySettings
from replicator.errors import (
    CorruptionError,
    FencedError,
    GapError,
    MalformedRowError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import ClosedCut, RowChanged
from replicator.model.fingerprint import EMPTY_DIGEST, Digest, changed, fingerprint
from replicator.model.load_spec import LocalLayout, Location, SourceLayout
from replicator.model.log.reading import Recorded
from replicator.model.log.row_mapping import RowMapping, locate
from replicator.model.observation import (
    CutApplied,
    GapOpened,
    Observation,
    Polled,
    ScanBegun,
    VersionsMissed,
)
from replicator.model.observed.faults import Halted, Waiting
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import TABLES, Row, RowKey, Segment, key_of
from replicator.model.store.archive import BASES, HISTORY, base_offset, history_span
from replicator.model.store.holds import HOLDS, file_name
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.services.replication.applier import Applier
from replicator.services.replication.companions import BaseWriter, HistoryMerger
from replicator.services.replication.readers import LogReader
from replicator.services.replication.watcher import Watcher
from replicator.services.retention.holds import Holds
from replicator.services.store.archived_log import ArchivedLog, archived_gaps
from replicator.services.store.intents import horizon
from replicator.services.store.spliced_log import SplicedLog
from replicator.services.store.store import Store
from tests.simulation.archive_target import MERGED_STAY_S, ArchiveTarget
from tests.simulation.druid import ROOT, Druid
from tests.simulation.faults import (
    FlakyArea,
    FlakyLog,
    FlakyReader,
    FlakySource,
    FlakyStream,
    FlakyTargetStorage,
    FlakyWriter,
    Mount,
    Weather,
)
from tests.simulation.virtual_time import LoopClock
from tests.wiring import history_settings, target_settings, watch_settings

SOURCE = "simulated"
TARGET_ROOT = "/standby/segments"
ORIGIN = SourceLayout(main=LocalLayout(root=ROOT), others={})
RETRIES = RetrySettings(attempts_max=4, delay_initial_s=0.1, delay_max_s=2.0)
RECORDS_MAX = 7

EXPIRY = ExpirySettings().model_copy(
    update={
        "lease": timedelta(seconds=60),
        "margin": timedelta(seconds=20),
        "clock_skew_max": timedelta(seconds=1),
        "orphan_age_min": timedelta(seconds=2),
        "restore_lease": timedelta(seconds=60),
    }
)

WATCH = watch_settings(
    poll_interval_s=5.0,
    jitter=0.2,
    idle_cut_interval_s=60.0,
    vanished_share_max=1.0,  # its few rows are killed faster than a poll comes, and nobody answers
    fetch_rows_max=3,
    append_bytes_max=2_000,
    retry=RETRIES,
)
ALLOWED = Allowed(resume=True, new_log=True)

COMPARED = {
    kind: names - TABLES[kind].local - TABLES[kind].target_owned
    for kind, names in ALL_COLUMNS.items()
}

Rows = Mapping[RowKey, Row]


class WatchedSource(MemoryMetadata):
    """The source's metadata store; it remembers what every snapshot saw, by its digest."""

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(clock, target=False)
        self.seen: dict[Digest, Rows] = {EMPTY_DIGEST: {}}
        self._marks: dict[int, tuple[Row, bytes]] = {}

    @asynccontextmanager
    async def snapshot(self):
        self.remember()
        async with super().snapshot() as snapshot:
            yield snapshot

    def remember(self) -> None:
        """Take the rows as they are for a state that a cut may have."""
        rows = dict(self.rows)
        digest = changed(EMPTY_DIGEST, gone=(), come=map(self._mark, rows.values()))
        self.seen[digest] = rows

    def _mark(self, row: Row) -> bytes:
        known = self._marks.get(id(row))
        if known is None:
            known = self._marks[id(row)] = (row, fingerprint(row))
        return known[1]


class WatchedStream(MemoryChangeStream):
    """The source's change stream; each of its commits is a state that a cut may have."""

    metadata: WatchedSource

    def look(self) -> None:
        super().look()
        self.metadata.remember()


@dataclass(slots=True)
class Part:
    """One running process: the task, and what it is."""

    name: str
    task: asyncio.Task[None]


RETAINED_BYTES_MAX = 60_000
"""Of sixty commits, so that now and then a stream is dropped."""


class World:
    def __init__(self, seed: int, *, streams: bool = False) -> None:
        """Make the world of a seed; `streams` says that its source tells each of its commits."""
        self.rng = rng = Random(seed)
        self.clock = clock = LoopClock()
        self.weather = Weather(
            rng,
            fault_probability=rng.choice([0.0, 0.0, 0.05, 0.3]),
            delay_mean_s=rng.choice([0.0, 0.1, 1.0]),
        )
        self.marks = self.weather.marks
        self.mount = Mount(Random(f"mount {seed}"))
        self.source = WatchedSource(clock)
        if streams:
            self.source.change_stream = WatchedStream(self.source)
        self.source_storage = MemoryDeepStorage()
        self.target = MemoryMetadata(clock)
        self.target_storage = MemoryDeepStorage(clock)
        self.clock = clock
        self.retention = timedelta(seconds=rng.choice([20.0, 60.0, 300.0]))
        self.lacks_records = False
        """Whether the log has lost records that no store has: nothing goes on then."""
        self.halted = set[str]()
        """What has halted since."""
        self.held: dict[str, tuple[str, ClosedCut]] = {}
        """What is held, and in which log."""
        self.holds_made = 0
        self.reached = dict[str, int]()
        """By log the newest cut that the target ever was at: what is beyond is on its way."""
        self.lost: dict[str, frozenset[int]] = {}
        """The logs that were lost, and the events of each whose rows the target has a gap for."""
        self.area = MemoryArea(yields=False)  # its weather does
        self.truth = Store(self.area)
        """The standby's files as the world itself looks at them, without weather."""
        self._carried: dict[int, tuple[Row, object | None]] = {}
        self._compared: dict[int, tuple[Row, object]] = {}
        self._located: dict[int, tuple[Segment, Location | None]] = {}
        self.druid = Druid(rng, self.source, self.source_storage)
        self.log = MemoryEventLog(clock, SOURCE, log_id="log")
        self.kill_wait_s = rng.choice([5.0, 60.0])
        self.delay = timedelta(seconds=rng.choice([0.0, 0.0, 90.0]))
        self.settings = target_settings(
            TARGET_ROOT,
            copies_in_flight_max=3,
            rows_per_batch_max=RECORDS_MAX,
            kill_wait_s=self.kill_wait_s,
            apply_interval_s=3.0,
            delay=self.delay,
            history=history_settings(
                file_bytes_max=4_000, base_interval=timedelta(seconds=60), merge_files=3
            ),
            expiry=EXPIRY,
            retry=RETRIES,
        )
        self.archive = ArchiveTarget(self) if rng.random() < 0.3 else None
        self.trims = rng.random() < 0.5
        self.full_scan_interval = timedelta(seconds=rng.choice([60.0, 86_400.0]))

    # ------------------------------------------------------ what the product's wiring is given

    def tools(self) -> Tools:
        return Tools(
            workers=InPlaceWorkers(),
            clock=self.clock,
            rng=self.rng,
            observer=lambda _: self.observe,
            records_per_read_max=RECORDS_MAX,
        )

    def configured(self) -> ConfiguredTarget:
        return ConfiguredTarget(
            name="standby",
            settings=self.settings,
            metadata=self.writer(),
            storage=FlakyTargetStorage(self.target_storage, self.area, self.weather),
        )

    def history_source(
        self, areas: Sequence[MemoryArea] | None = None, *, preferred: bool = True
    ) -> HistorySource:
        """Return the log, and what was trimmed of it from these places; else the standby's own."""
        log = SplicedLog(
            FlakyLog(self.log.reopen(), self.weather),
            lambda: [Store(FlakyArea(area, self.weather)) for area in areas or [self.area]],
            preferred=preferred,
        )
        return HistorySource(source=SOURCE, layout=ORIGIN, log=log, bases=log)

    def mapping(self, root: str = TARGET_ROOT) -> RowMapping:
        return RowMapping(
            source=ORIGIN,
            target=LocalLayout(root=root),
            config_names=frozenset({"lookupsConfig"}),
            columns=COMPARED,
        )

    def writer(self) -> FlakyWriter:
        return FlakyWriter(self.target, self.weather, self.check)

    def bytes_from(self) -> FlakySource:
        return FlakySource(self.source_storage, self.weather, self.mount)

    # ------------------------------------------------------------------------------ the processes

    def pipeline(self, store: Store | None = None) -> Pipeline:
        return Pipeline(
            self.history_source(),
            self.configured(),
            self.tools(),
            mapping=self.mapping(),
            store=store,
        )

    def watcher(self) -> Watcher:
        return watcher(
            WATCH.model_copy(update={"full_scan_interval": self.full_scan_interval}),
            source=SOURCE,
            metadata=FlakyReader(self.source, self.weather),
            log=FlakyLog(self.log.reopen(), self.weather),
            history=history_of(
                self.history_source(self.areas(), preferred=False), self.tools(), self.observe
            ),
            tools=self.tools(),
            observer=self.observe,
            following=self.following(),
            readers={"standby": LogReader(self.target, self.area)},
        )

    def following(self) -> Following | None:
        """Return the source's change stream, in worlds that have one."""
        if (stream := self.source.change_stream) is None:
            return None
        return Following(
            stream=FlakyStream(stream, self.weather),
            read_interval_s=WATCH.poll_interval_s,
            retained_bytes_max=RETAINED_BYTES_MAX,
        )

    def applier(self, pipeline: Pipeline | None = None) -> Applier:
        return (pipeline or self.pipeline()).applier(self.bytes_from(), ALLOWED)

    async def open_store(self) -> OpenStore:
        return await open_store(
            self.configured(),
            self.log_id,
            workers=InPlaceWorkers(),
            clock=self.clock,
            observer=self.observe,
        )

    async def retention_services(self) -> Retention:
        store, tools = await self.open_store(), self.tools()
        pipeline = Pipeline(
            store.history_source, store.target, tools, mapping=self.mapping(), store=store.store
        )
        return Retention(store.archive, pipeline, store.target, tools)

    async def holds(self) -> Holds:
        store = await self.open_store()
        return holds(store.archive, store.history_source, store.target, self.tools())

    def areas(self) -> list[MemoryArea]:
        """Return the places of all targets' histories."""
        return [self.area, *([self.archive.area] if self.archive else [])]

    def start(self, stop: asyncio.Event, *, doubles: bool = True) -> list[Part]:
        """Start the pipeline, now and then with a second one of each that nobody wanted."""
        pipeline = self.pipeline()  # one process applies and writes bases
        parts = [Part("watch", self._run(self.watcher(), stop))]
        parts.append(Part("apply", self._run(self.applier(pipeline), stop)))
        parts.append(Part("bases", self._run(pipeline.base_writer(interval_s=20.0), stop)))
        merger = pipeline.history_merger(interval_s=10.0, stay_s=MERGED_STAY_S)
        parts.append(Part("merge", self._run(merger, stop)))
        parts.append(Part("expire", asyncio.create_task(self.expire_now_and_then(stop))))
        if doubles and self.rng.random() < 0.2:
            parts.append(Part("expire 2", asyncio.create_task(self.expire_now_and_then(stop))))
        parts.append(Part("hold", asyncio.create_task(self.hold_now_and_then(stop))))
        if doubles and self.rng.random() < 0.1:
            parts.append(Part("watch 2", self._run(self.watcher(), stop)))
        if doubles and self.rng.random() < 0.1:
            parts.append(Part("apply 2", self._run(self.applier(), stop)))
        if self.archive is not None:
            parts.append(Part("archive", self._run(self.archive.applier(), stop)))
            parts.append(Part("archive bases", self._run(self.archive.base_writer(), stop)))
            parts.append(Part("archive merge", self._run(self.archive.history_merger(), stop)))
        return parts

    def _run(
        self, service: Watcher | Applier | BaseWriter | HistoryMerger, stop: asyncio.Event
    ) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await service.run(stop)
            except FencedError:
                self.marks.add(f"{type(service).__name__} was fenced")

        return asyncio.create_task(run())

    # -------------------------------------------------------------------------------- what happens

    async def restore(self) -> None:
        """Bring the target to a random cut and look whether it is there, byte for byte."""
        history = History(
            self.log.reopen(), source=SOURCE, workers=InPlaceWorkers(), records_per_read_max=100
        )
        try:
            span = await history.span()
        except NotFoundError:
            return  # nobody has made it yet
        cuts = await history.cuts(span.first, span.end)
        if not cuts:
            return
        cut = self.rng.choice(cuts)
        restorer = self.pipeline().restorer(self.bytes_from())
        before = self.checkpoint()
        try:
            plan = await restorer.plan(
                ToOffset(offset=cut.offset), datasource=None, adopt=False, pause=True
            )
            await restorer.execute(plan, accept_gaps=True)
        except GapError:
            assert self.checkpoint() == before
            if cut.offset < await horizon(self.area, self.log_id):
                self.marks.add("what has expired was not restored")
            else:
                assert not await self.is_reachable(cut)
                self.marks.add("what lies in a hole was not restored")
            return
        held = await self.target.state(SOURCE)
        assert held.checkpoint is not None
        assert (held.checkpoint.offset, held.checkpoint.paused) == (cut.offset, True)
        self.marks.add("restored")
        self.check()

    async def expire_now_and_then(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(self.rng.expovariate(1 / 40.0))
            if not stop.is_set():
                await self.expire()

    async def expire(self) -> None:
        """Like anything else it may fail in bad weather, be refused, or come second."""
        orphans = self.rng.random() < 0.5
        try:
            services = await self.retention_services()
            plan = await services.planner().plan(self.retention, storage=True, orphans=orphans)
            await asyncio.sleep(self.rng.choice([0.0, 10.0]))  # somebody reads it and agrees
            expired = await services.expirer().carry_out(plan, orphans=orphans)
        except (TransientError, RefusedError, FencedError, NotFoundError) as exc:
            self.marks.add(f"expiry: {type(exc).__name__}")
            return
        except CorruptionError:
            self.remove_half_made_holds()
            return
        self.check()
        if expired.number:
            self.marks.add("expired")
        if expired.locations:
            self.marks.add("bytes expired")
        if expired.orphans:
            self.marks.add("orphans were removed")
        if expired.needed_again:
            self.marks.add("what was asked for again was spared")

    def remove_half_made_holds(self) -> None:
        """Do what the hint says: a hold that was killed while an expiry overtook it keeps nothing.

        Nobody was ever told that it holds.
        """
        names = {name for name in self.area.files if name.startswith(HOLDS)}
        half = names - {file_name(HOLDS, name) for name in self.held}
        assert half, "what must be kept cannot be read"
        for name in half:
            del self.area.files[name]
        self.marks.add("a hold was killed while an expiry overtook it")

    async def hold_now_and_then(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(self.rng.expovariate(1 / 30.0))
            try:
                if self.held and self.rng.random() < 0.3:
                    name = self.rng.choice(sorted(self.held))
                    del self.held[name]
                    await (await self.holds()).remove(name)
                else:
                    await self.hold()
            except (TransientError, NotFoundError, GapError) as exc:
                self.marks.add(f"hold: {type(exc).__name__}")

    async def hold(self) -> None:
        archive = ArchivedLog(self.truth, self.log_id)
        history = History(archive, source=SOURCE, workers=InPlaceWorkers(), bases=archive)
        runs, _ = await archive.windows()
        if not runs:
            return
        try:
            cut = self.rng.choice(await history.cuts(runs[0].base.offset, runs[-1].end))
        except (CorruptionError, GapError, IndexError):
            return  # an expiry was faster
        self.holds_made += 1
        name = f"hold-{self.holds_made}"
        await (await self.holds()).create(name, ToOffset(offset=cut.offset), reason="r", until=None)
        self.held[name] = self.log_id, cut

    async def is_reachable(self, cut: ClosedCut) -> bool:
        """Return whether a base and all records after it are in the store or the log."""
        first, archive = self.first_record(), ArchivedLog(self.truth, self.log_id)
        bases = [base for base in await archive.offsets() if base <= cut.offset]
        if not bases or first == 0:
            return first == 0
        until = await archive.whole_until(bases[-1])
        return until > cut.offset or until >= first

    def observe(self, observation: Observation) -> None:
        match observation:
            case GapOpened(gap=gap):
                self.marks.add(f"gap: {gap.reason}")
            case CutApplied(rows=0):
                self.marks.add("an empty cut was applied")
            case ScanBegun(why=why):
                self.marks.add(f"every row was read: {why}")
            case Polled(full=False) if observation.fingerprinted_rows:
                self.marks.add("changes were found by versions")
            case Polled(full=False, scanned_rows=0):
                self.marks.add("no row was read")
            case Waiting(reason=reason) if "seems not to be mounted" in reason:
                self.marks.add("a storage that was away was waited for")
            case Halted() | VersionsMissed():
                self._refuse_trouble(observation)
            case _:
                pass

    def _refuse_trouble(self, observation: Halted | VersionsMissed) -> None:
        assert not isinstance(observation, VersionsMissed), "row versions missed a change"
        said = f"{observation.what} has halted: {observation.reason}"
        assert self.lacks_records, said
        assert observation.exit_code == GapError.exit_code, said
        self.halted.add(observation.what)

    # ----------------------------------------------------------------------------- what must hold

    def check(self) -> None:
        """The target is exactly one cut, gaps apart, and no row of it points at nothing."""
        checkpoint = self.checkpoint()
        if checkpoint is None:
            assert not self.target.rows
            return
        log_id = checkpoint.log_id
        self.reached[log_id] = max(self.reached.get(log_id, -1), checkpoint.offset)
        self.check_rows(checkpoint)
        self.check_bytes()
        assert self.kept_until(self.area, log_id) > checkpoint.offset, (
            "the store lacks history of the checkpoint"
        )

    def check_rows(self, checkpoint: Checkpoint) -> None:
        assert checkpoint.digest in self.source.seen, "the digest is of no state that ever was"
        seen = self.source.seen[checkpoint.digest]
        wanted = {key: row for key, row in self.mapped(seen) if row is not None}
        gaps = {RowKey(gap.kind, gap.key) for gap in self.gaps() if gap.at(checkpoint.offset)}
        for key in gaps:
            wanted.pop(key, None)
        present = {key: self.compared(row) for key, row in self.target.rows.items()}
        assert present == wanted

    def wanted(self, rows: Rows, mapping: RowMapping | None = None) -> dict[RowKey, object]:
        mapping = mapping or self.mapping()
        found: dict[RowKey, object] = {}
        for key, row in rows.items():
            try:
                mapped = mapping.mapped(row)
            except MalformedRowError:
                continue
            if mapped is not None:
                found[key] = self.compared(mapped)
        return found

    def mapped(self, rows: Rows) -> Iterator[tuple[RowKey, object | None]]:
        """Give what `wanted` does, row by row; rows are frozen, so each is carried once."""
        for key, row in rows.items():
            if (known := self._carried.get(id(row))) is None:
                known = self._carried[id(row)] = (row, self.wanted({key: row}).get(key))
            yield key, known[1]

    def compared(self, row: Row) -> object:
        """Return what must be equal; rows are frozen, so it is computed once."""
        if (known := self._compared.get(id(row))) is None:
            value = fingerprint(row, columns=COMPARED[key_of(row).kind])
            known = self._compared[id(row)] = (row, value)
        return known[1]

    def located(self, row: Segment) -> Location | None:
        """Return where a row of the target has its bytes."""
        if (known := self._located.get(id(row))) is None:
            found = locate(row, LocalLayout(root=TARGET_ROOT))
            known = self._located[id(row)] = (row, found)
        return known[1]

    def check_bytes(self) -> None:
        """No row points at nothing, and none at other bytes than the source's same row has."""
        origin = self.source_storage.stored
        for key, row in self.target.rows.items():
            if not isinstance(row, Segment) or (location := self.located(row)) is None:
                continue
            assert location in self.target_storage.stored, f"{row.id} has no bytes"
            living = self.source.rows.get(key)
            if isinstance(living, Segment) and living.created_date == row.created_date:
                there = origin.get(location)
                if there is not None:
                    assert there == self.target_storage.stored[location], f"{row.id}: not its bytes"

    def first_record(self) -> int:
        """From which offset on the log has records."""
        stored = self.log._stored
        return stored.records[0].offset if stored.records else stored.end

    def kept_until(self, area: MemoryArea, log_id: str) -> int:
        """Up to which offset a store has history of a log, by the names of its files."""
        files = [name for name in area.files if f"/{log_id}/" in name]
        spans = (history_span(name) for name in files if name.startswith(HISTORY))
        bases = (base_offset(name) for name in files if name.startswith(BASES))
        ends = [span[1] for span in spans if span is not None]
        return max([*ends, *[base + 1 for base in bases if base is not None]], default=0)

    async def has_followed(self) -> bool:
        """Whether every target is at what the source has now."""
        checkpoints = [self.checkpoint()]
        if self.archive is not None:
            checkpoints.append(await self.archive.checkpoint())
        return all(
            checkpoint is not None
            and not checkpoint.paused
            and checkpoint.log_id == self.log_id
            and self.source.seen[checkpoint.digest] == self.source.rows
            for checkpoint in checkpoints
        )

    async def restore_from_the_store(self) -> None:
        """Every cut of the store's history is whole in it, rows and bytes, without log or source.

        What has a gap there is excused.
        """
        for log_id in (*self.lost, self.log_id):
            await self._restore_from(log_id)

    async def _restore_from(self, log_id: str) -> None:
        archive = ArchivedLog(self.truth, log_id)
        history = History(
            archive,
            source=SOURCE,
            workers=InPlaceWorkers(),
            bases=archive,
            observer=self.observe,  # of a hold that was killed while an expiry took its base
        )
        runs, faults = await archive.windows()
        assert not faults
        assert not await archive.damages()
        for run in runs:
            cuts = await history.cuts(run.base.offset, run.end)
            assert cuts[0].offset == run.base.offset
            cuts = [cut for cut in cuts if cut.offset <= self.reached.get(log_id, -1)]
            for cut in self.rng.sample(cuts, min(3, len(cuts))):
                await self.look_at(history, log_id, cut)
        for its_log, cut in self.held.values():
            if its_log != log_id or cut.offset > self.reached.get(log_id, -1):
                continue
            await self.look_at(history, log_id, cut)
            if cut.offset < await horizon(self.area, log_id):
                self.marks.add("a hold kept what would have expired")
        self.marks.add(f"{min(len(runs), 2)} runs")

    async def look_at(self, history: History, log_id: str, cut: ClosedCut) -> None:
        found = await history.find(ToOffset(offset=cut.offset))
        ledger = await fold(history, found.offset, Recorded())
        assert ledger.digest == cut.closed.digest
        rows = {}
        async for entries in history.pick(np.sort(ledger.offsets)):
            for entry in entries:
                assert isinstance(entry.event, RowChanged)
                rows[key_of(entry.event.row)] = (entry.offset, entry.event.row)
        assert {key: row for key, (_, row) in rows.items()} == self.source.seen[cut.closed.digest]
        gaps = await archived_gaps(self.area, log_id)
        excused = {gap.opened for gap in gaps if gap.at(cut.offset)}
        for offset, row in rows.values():
            if isinstance(row, Segment) and offset not in excused:
                location = locate(row, LocalLayout(root=ROOT))
                assert location is None or location in self.target_storage.stored, row.id

    def checkpoint(self) -> Checkpoint | None:
        kept = self.target.sources.get(SOURCE)
        return kept.checkpoint if kept else None

    @property
    def log_id(self) -> str:
        """The log that is configured."""
        return self.log._stored.log_id

    @property
    def log_is_made(self) -> bool:
        """Whether a watcher has ever acquired it."""
        return self.log._stored.epoch > 0

    def lose_log(self) -> None:
        """Put an empty log in its place, as somebody would who has lost it."""
        excused = frozenset(gap.opened for gap in self.gaps() if self.follows())
        self.lost[self.log_id] = excused | self.lost.get(self.log_id, frozenset())
        self.log = MemoryEventLog(self.clock, SOURCE, log_id=f"log-{len(self.lost) + 1}")
        self.marks.add("the log was lost")

    def follows(self) -> bool:
        """Whether the target is at a cut of the configured log."""
        checkpoint = self.checkpoint()
        return checkpoint is not None and checkpoint.log_id == self.log_id

    def gaps(self) -> list[Gap]:
        kept = self.target.sources.get(SOURCE)
        return list(kept.gaps.values()) if kept else []

    def open_gaps(self) -> list[str]:
        return [gap.reason for gap in self.gaps() if gap.closed is None]
