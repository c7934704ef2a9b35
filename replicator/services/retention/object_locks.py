"""Extends object locks, so that they cover the retention window."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from replicator.errors import MissingObjectError, NotFoundError, worst_alone
from replicator.model.load_spec import Location
from replicator.model.log.locations import RemainingLocations
from replicator.model.observation import Progress
from replicator.ports import SegmentRemover
from replicator.services.retention.look import Look
from replicator.services.retention.planner import ExpiryPlan, ExpiryPlanner
from replicator.services.retention.references import References
from replicator.services.retention.retained import Marked, Retained
from replicator.services.running.retry import Retry
from replicator.services.target.target import Target
from replicator.task_group import TaskGroup

FILES_PER_BATCH = 256


@dataclass(slots=True)
class Locked:
    """Result of extending locks."""

    until: datetime
    locations: int = 0
    files: int = 0
    """Number of locked files of history and bases."""
    missing: list[str] = field(default_factory=list)
    """Messages for objects that could not be locked because they are missing."""


class ObjectLocker:
    """Locks everything that the window, holds and the target's rows need, for the window's length.

    An object is locked for the retention when it is stored. An object that is needed for longer, as
    most segments are, would afterwards be protected by nothing but credentials.

    Args:
        target: Target whose bytes and files are locked; its clock dates the locks.
        planner: Decides what is retained.
        retained: Reads what is retained.
        references: Yields the locations that retained records reference.
        remover: The target's storage, which has the locks.
        retry: Number of attempts for one lock, and of locks at once.
    """

    def __init__(
        self,
        target: Target,
        *,
        planner: ExpiryPlanner,
        retained: Retained,
        references: References,
        remover: SegmentRemover,
        retry: Retry,
    ) -> None:
        self._planner, self._retained, self._references = planner, retained, references
        self._area, self._remover, self._clock = target.area, remover, target.clock
        self._observer, self._retry = target.observer, retry

    async def lock(self, retention: timedelta) -> Locked:
        """Lock what is retained until `retention` from now; longer locks stay as they are.

        The call can be interrupted at any point and repeated.

        Raises:
            RefusedError, NotFoundError, CorruptionError, TransientError: as for
                `ExpiryPlanner.plan`.
        """
        # By the same decision as an expiry: what it would keep is what must not lose its lock.
        plan = await self._planner.plan(retention, storage=False)
        locked = Locked(until=self._clock.now() + retention)
        look = await self._retained.look(plan.log_id)
        await self._lock_files(plan, look, locked)
        pending = RemainingLocations(plan.marked.locations.hashes())
        retained = await self._retained.records(look, plan.horizon, Marked())
        async with self._references.named(*retained) as batches:
            async for named in batches:
                await self._lock_locations(pending.take(named), locked)
                self._observer(
                    Progress(what="lock", done=locked.locations, total=None, unit="locations")
                )
        return locked

    async def _lock_files(self, plan: ExpiryPlan, look: Look, locked: Locked) -> None:
        """Lock history and bases first: without them the segments' bytes cannot be restored."""
        expired_files = {*plan.expired_files.history, *plan.expired_files.base_files}
        names = (*look.listing.history, *look.listing.bases)
        retained = [name for name in names if name not in expired_files]
        for at in range(0, len(retained), FILES_PER_BATCH):
            batch = retained[at : at + FILES_PER_BATCH]
            locks = [partial(self._area.extend, name, locked.until) for name in batch]
            locked.files += await self._all(batch, locks, locked)

    async def _lock_locations(self, locations: Sequence[Location], locked: Locked) -> None:
        locks = [partial(self._remover.extend, location, locked.until) for location in locations]
        locked.locations += await self._all(locations, locks, locked)

    async def _all(
        self, names: Sequence[str], locks: Sequence[Callable[[], Awaitable[None]]], locked: Locked
    ) -> int:
        missing = len(locked.missing)
        with worst_alone():
            async with TaskGroup() as group:
                for name, lock in zip(names, locks, strict=True):
                    group.create_task(self._one(name, lock, locked))
        return len(names) - (len(locked.missing) - missing)

    async def _one(self, name: str, lock: Callable[[], Awaitable[None]], locked: Locked) -> None:
        async with self._retry.slots:
            try:
                await self._retry.call(f"lock {name}", lock)
            except (MissingObjectError, NotFoundError) as exc:
                locked.missing.append(str(exc))
