"""The log is trimmed while everybody reads it, and in the end nothing but the stores is left."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.errors import GapError
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import ClosedCut, Offset
from replicator.model.load_spec import LocalLayout
from replicator.model.places import Placing
from replicator.model.restore_point import ToOffset
from replicator.model.row import Segment
from replicator.model.row_mapping import Carriage, locate
from replicator.services.history.reader import History
from replicator.services.restore.restorer import Restorer
from replicator.services.store.archived_log import ArchivedLog, kept_gaps
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.intents import Intents
from replicator.services.store.points import KeptPoints
from replicator.services.store.restore_lease import LeaseLimits, RestoreLeases
from replicator.services.store.store import Store
from replicator.services.target.copier import Backup, CopyLimits
from replicator.services.target.executor import Executor
from replicator.services.target.reconciler import Reconciler
from tests.simulation.archive_target import ARCHIVE_ROOT
from tests.simulation.world import ORIGIN, RETRY, SOURCE, TARGET_ROOT, World

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
    if checkpoint.standing:  # it goes on from the newest base
        return world.kept_until(area, world.log_id)
    return await ArchivedLog(Store(area), world.log_id).whole_until(checkpoint.offset)


async def trim_too_far(world: World) -> None:
    """Drop records that no store has: who needs them stops and says so, and nothing is applied.

    What the stores have can be restored as before.
    """
    world.weather.fault_probability = 0.0
    reached = max(world.kept_until(area, world.log_id) for area in world.areas())
    await publish_beyond(world, reached)
    end = (await world.log.span()).end
    world.log.trim(Offset(world.rng.randint(reached + 1, end)))
    before = world.checkpoint()
    parts = world.start(asyncio.Event(), doubles=False)
    await asyncio.sleep(300.0)
    for part in parts:
        if part.name in {"watch", "apply", "archive"}:  # the others have no need of the log
            assert part.task.done(), f"{part.name} goes on without the records that it needs"
            assert isinstance(part.task.exception(), GapError), part.name
        part.task.cancel()
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
    gaps: Sequence[Gap]
    """As the store itself tells them."""
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
    told = await kept_gaps(world.area, log_id)
    seen = world.lost.get(log_id, frozenset())
    if world.follows() and log_id == world.log_id:
        seen |= {gap.opened for gap in world.gaps()}
    lefts = [
        Left(
            log_id=log_id,
            area=world.area,
            storage=world.target_storage,
            root=TARGET_ROOT,
            gaps=told,
            excused=seen | {gap.opened for gap in told},
        )
    ]
    if (archive := world.archive) is not None:
        told = await kept_gaps(archive.area, log_id)
        gaps = [*await archive.gaps(log_id), *told]
        lefts.append(
            Left(
                log_id=log_id,
                area=archive.area,
                storage=archive.storage,
                root=ARCHIVE_ROOT,
                gaps=told,
                excused=frozenset(gap.opened for gap in gaps),
            )
        )
    return lefts


async def restore_alone(world: World, left: Left) -> None:
    archive = ArchivedLog(Store(left.area), left.log_id)
    history = History(
        archive,
        source=SOURCE,
        workers=InPlaceWorkers(),
        bases=archive,
        records_per_read_max=world.rng.choice([3, 50]),
    )
    runs, faults = await archive.runs()
    assert not faults
    fresh = Fresh(world, left, history)
    for run in runs:
        cuts = await history.cuts(run.base.offset, run.end)
        await fresh.restore(world.rng.choice(cuts))
        if world.rng.random() < 0.5:
            fresh = Fresh(world, left, history)
    world.marks.add(f"restored from the store alone: {left.root}")


class Fresh:
    """A cluster that was empty, and knows nothing but one store."""

    def __init__(self, world: World, left: Left, history: History) -> None:
        self._world, self._left, self._history = world, left, history
        self.metadata = MemoryMetadata(world.clock)
        self.storage = MemoryDeepStorage()

    async def restore(self, cut: ClosedCut) -> None:
        """Restore a cut as a user would, and hold it against what the source had then."""
        restorer = self._restorer()
        plan = await restorer.plan(ToOffset(offset=cut.offset), datasource=None, adopt=False)
        uncopied = await restorer.execute(plan, accept_gaps=True)
        assert {row.offset for row in uncopied} <= self._left.excused, "bytes were lost"
        wanted = self._world.wanted(self._world.source.seen[cut.closed.digest], self._carriage())
        for row in uncopied:
            del wanted[row.key]
        rows = self.metadata.rows
        assert {key: self._world.compared(row) for key, row in rows.items()} == wanted
        for found in rows.values():
            if isinstance(found, Segment):
                self._check_bytes(found)

    def _check_bytes(self, row: Segment) -> None:
        """The bytes are those that the source had for the row, or wrote to its place later."""
        location = locate(row, LocalLayout(root=FRESH_ROOT))
        if location is not None:
            had = self._world.druid.bytes_since(location, row.created_date)
            assert self.storage.stored[location] in had, f"{row.id}: not its bytes"

    def _restorer(self) -> Restorer:
        clock = self._world.clock
        return Restorer(
            source=SOURCE,
            target="fresh",
            history=self._history,
            metadata=self.metadata,
            reconciler=Reconciler(
                source=SOURCE,
                history=self._history,
                metadata=self.metadata,
                carriage=self._carriage(),
                observer=self._world.observe,
            ),
            executor=self._executor(),
            archivist=None,
            guard=ExpiryGuard(
                intents=Intents(
                    self.storage.area(), clock=clock, clock_skew_max=timedelta(seconds=1)
                ),
                history=self._history,
                placing=Placing(source=ORIGIN, target=LocalLayout(root=FRESH_ROOT)),
            ),
            leases=RestoreLeases(
                areas={"left": self._left.area},
                points=KeptPoints(Store(self._left.area), clock=clock),
                clock=clock,
                limits=LeaseLimits(lease=timedelta(seconds=60), renewal=timedelta(seconds=10)),
                rng=self._world.rng,
            ),
            observer=self._world.observe,
        )

    def _executor(self) -> Executor:
        kept = self._left.storage
        return Executor(
            source=SOURCE,
            history=self._history,
            source_storage=kept,
            target_storage=self.storage,
            metadata=self.metadata,
            carriage=self._carriage(),
            limits=CopyLimits(in_flight_max=3, retry=RETRY),
            backup=Backup(
                layout=LocalLayout(root=self._left.root), storage=kept, gaps=self._left.gaps
            ),
            rng=self._world.rng,
            observer=self._world.observe,
        )

    def _carriage(self) -> Carriage:
        return Carriage(
            source=ORIGIN.main,
            target=LocalLayout(root=FRESH_ROOT),
            config_names=frozenset({"lookupsConfig"}),
            columns=self._world.carriage().columns,
        )
