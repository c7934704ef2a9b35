"""The log is trimmed while everybody reads it, and in the end nothing but the stores is left."""

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.app.wiring.pipeline import Pipeline
from replicator.app.wiring.retention import keep_for
from replicator.app.wiring.stores import open_store
from replicator.app.wiring.target import ConfiguredTarget
from replicator.errors import GapError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import ClosedCut, Offset
from replicator.model.load_spec import LocalLayout
from replicator.model.log.row_mapping import locate
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import Segment
from replicator.services.history.reader import History
from replicator.services.restore.restorer import Restorer
from replicator.services.store.archived_log import ArchivedLog, archived_gaps
from replicator.services.store.store import Store
from tests.simulation.archive_target import ARCHIVE_ROOT
from tests.simulation.world import EXPIRY, RETRIES, SOURCE, TARGET_ROOT, World
from tests.wiring import target_settings

FRESH_ROOT = "/fresh/segments"


# ------------------------------------------------------------------------------- the log is trimmed


async def trim(world: World) -> None:
    """Drop records that all stores have, as the retention of a topic would."""
    reached = await covered(world, world.area, world.checkpoint())
    if (archive := world.archive) is not None:
        reached = min(reached, await covered(world, archive.area, await archive.checkpoint()))
    if reached > (first := world.first_record()):
        world.log.trim(Offset(world.rng.randint(first, reached)))
        world.marks.add("the log was trimmed")


async def covered(world: World, area: MemoryArea, checkpoint: Checkpoint | None) -> int:
    """Return up to where a target has what it needs to go on from its checkpoint."""
    if checkpoint is None or checkpoint.log_id != world.log_id:
        return 0
    if checkpoint.paused:  # it goes on from the newest base
        return world.kept_until(area, world.log_id)
    return await ArchivedLog(Store(area), world.log_id).whole_until(checkpoint.offset)


async def trim_too_far(world: World) -> None:
    """Drop records that no store has: who needs them halts and says so, and nothing is applied.

    What the stores have can be restored as before.
    """
    world.weather.fault_probability = 0.0
    reached = max(world.kept_until(area, world.log_id) for area in world.areas())
    await publish_beyond(world, reached)
    end = (await world.log.span()).end
    world.log.trim(Offset(world.rng.randint(reached + 1, end)))
    before = world.checkpoint()
    world.lacks_records = True
    parts = world.start(asyncio.Event(), doubles=False)
    await asyncio.sleep(300.0)
    for part in parts:
        if part.name == "watch":
            assert part.task.done(), "it goes on without the records that it needs"
            assert isinstance(part.task.exception(), GapError)
        part.task.cancel()
    following = sum(part.name in {"apply", "archive"} for part in parts)
    assert sum(what.startswith("apply to ") for what in world.halted) == following
    await asyncio.wait([part.task for part in parts])
    world.check()
    assert world.checkpoint() == before, "something was applied behind a hole"
    world.marks.add("the log was trimmed too far")


async def publish_beyond(world: World, reached: int) -> None:
    """Let the source change and the watcher publish while no target follows."""
    stop = asyncio.Event()
    task = asyncio.create_task(world.watcher().run(stop))
    while (await world.log.reopen().span()).end <= reached + 1:
        world.druid.act()
        await asyncio.sleep(30.0)
        assert not task.done()
    stop.set()
    await task


# ------------------------------------------------------------------- nothing but the stores is left


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is left of a target, and the offsets of the rows that it could not get."""

    log_id: str
    area: MemoryArea
    storage: MemoryDeepStorage
    root: str
    excused: frozenset[int]
    """As the target told them, and the store: it is told first, and a crash may come between."""


async def lose_everything(world: World) -> None:
    """Log and source are gone: a random cut of every run comes back from the store alone."""
    logs = (*world.lost, world.log_id)
    lefts = [left for log_id in logs for left in await lefts_of(world, log_id)]
    world.source_storage.stored.clear()
    world.log.trim((await world.log.span()).end)
    for left in lefts:
        await restore_alone(world, left)


async def lefts_of(world: World, log_id: str) -> list[Left]:
    """Return what the stores have of one log."""
    told = await archived_gaps(world.area, log_id)
    seen = world.lost.get(log_id, frozenset())
    if world.follows() and log_id == world.log_id:
        seen |= {gap.opened for gap in world.gaps()}
    lefts = [
        Left(
            log_id=log_id,
            area=world.area,
            storage=world.target_storage,
            root=TARGET_ROOT,
            excused=seen | {gap.opened for gap in told},
        )
    ]
    if (archive := world.archive) is not None:
        told = await archived_gaps(archive.area, log_id)
        gaps = [*await archive.gaps(log_id), *told]
        lefts.append(
            Left(
                log_id=log_id,
                area=archive.area,
                storage=archive.storage,
                root=ARCHIVE_ROOT,
                excused=frozenset(gap.opened for gap in gaps),
            )
        )
    return lefts


async def restore_alone(world: World, left: Left) -> None:
    archive = ArchivedLog(Store(left.area), left.log_id)
    history = History(archive, source=SOURCE, workers=InPlaceWorkers(), bases=archive)
    runs, faults = await archive.windows()
    assert not faults
    fresh = Fresh(world, left)
    for run in runs:
        cuts = await history.cuts(run.base.offset, run.end)
        await fresh.restore(world.rng.choice(cuts))
        if world.rng.random() < 0.5:
            fresh = Fresh(world, left)
    world.marks.add(f"restored from the store alone: {left.root}")


class Fresh:
    """A cluster that was empty, and knows nothing but one store."""

    def __init__(self, world: World, left: Left) -> None:
        self._world, self._left = world, left
        self.metadata = MemoryMetadata(world.clock)
        self.storage = MemoryDeepStorage()
        self._by_reference = world.rng.random() < 0.3
        self._root = left.root if self._by_reference else FRESH_ROOT
        self._tools = replace(world.tools(), records_per_read_max=world.rng.choice([3, 50]))

    async def restore(self, cut: ClosedCut) -> None:
        """Restore a cut as a user would, and hold it against what the source had then."""
        restorer = await self._restorer()
        plan = await restorer.plan(ToOffset(offset=cut.offset), datasource=None, adopt=False)
        uncopied = await restorer.execute(plan, accept_gaps=True)
        assert {row.offset for row in uncopied} <= self._left.excused, "bytes were lost"
        seen = self._world.source.seen[cut.closed.digest]
        wanted = self._world.wanted(seen, self._world.mapping(self._root))
        for row in uncopied:
            del wanted[row.key]
        rows = self.metadata.rows
        assert {key: self._world.compared(row) for key, row in rows.items()} == wanted
        for found in rows.values():
            if isinstance(found, Segment):
                self._check_bytes(found)
        if self._by_reference:
            assert any(f"bytes-of-fresh-{cut.offset}" in name for name in self._left.area.files)
            assert not self.storage.stored, "bytes were copied"
            self._world.marks.add("restored by reference")

    def _check_bytes(self, row: Segment) -> None:
        """The bytes are those that the source had for the row, or wrote to its place later."""
        location = locate(row, LocalLayout(root=self._root))
        if location is not None:
            storage = self._left.storage if self._by_reference else self.storage
            had = self._world.druid.bytes_since(location, row.created_date)
            assert storage.stored[location] in had, f"{row.id}: not its bytes"

    async def _restorer(self) -> Restorer:
        left, clock = self._left, self._world.clock
        left.storage.own = left.area
        store = await open_store(
            ConfiguredTarget(
                name="left",
                settings=target_settings(left.root, expiry=EXPIRY),
                metadata=MemoryMetadata(clock),  # it is gone
                storage=left.storage,
            ),
            left.log_id,
            workers=InPlaceWorkers(),
            clock=clock,
            observer=self._world.observe,
        )
        pipeline = Pipeline(
            store.history_source,
            ConfiguredTarget(
                name="fresh",
                settings=target_settings(
                    FRESH_ROOT, expiry=EXPIRY, retry=RETRIES, copies_in_flight_max=3
                ),
                metadata=self.metadata,
                storage=self.storage,
            ),
            self._tools,
            mapping=self._world.mapping(self._root),
        )
        if not self._by_reference:
            return pipeline.restorer(store.backup(), of=store.target)
        keep = partial(keep_for, store, self._tools, "fresh")
        return pipeline.restorer_by_reference(store.backup(), of=store.target, keep=keep)
