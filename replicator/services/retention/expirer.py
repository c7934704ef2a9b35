"""Carries out an expiry: announces it, checks again, deletes bytes, then deletes history."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import numpy as np

from replicator.errors import (
    CorruptionError,
    FencedError,
    GapError,
    LockedError,
    NotFoundError,
    RefusedError,
    ReplicatorError,
    TransientError,
    worst_alone,
)
from replicator.model.load_spec import Location
from replicator.model.log.locations import LocationHashes, RemainingLocations, less, no_hashes
from replicator.model.observation import Progress
from replicator.model.observed.faults import Waiting
from replicator.model.operations.clocks import CLOCK_SKEW_MAX
from replicator.model.operations.words import moment
from replicator.model.plans.restore_point import ToOffset
from replicator.model.store.archive import manifest_name
from replicator.model.store.holds import HOLDS, file_name, lasting_s
from replicator.model.store.intent import (
    Intent,
    IntentDone,
    IntentFiles,
    LaterEnd,
    done_json,
    intent_json,
    intent_name,
    lease_name,
    next_number,
    until_json,
)
from replicator.ports import PLACES_BYTES_MAX, Area, Clock, SegmentRemover, require_readable
from replicator.services.retention.look import ExpiredFiles, Over
from replicator.services.retention.planner import (
    ExpiryLimits,
    ExpiryPlan,
    ExpiryPlanner,
    StillExpired,
)
from replicator.services.retention.retained import Retained
from replicator.services.running.retry import Retry
from replicator.services.store.archivist import Archivist
from replicator.services.store.intents import Intents, horizon
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Store
from replicator.services.target.target import Target
from replicator.task_group import TaskGroup

REMOVALS_PER_BATCH = 256


@dataclass(slots=True)
class Expired:
    """Result of an expiry."""

    number: int | None = None
    """Number of the expiry's intent; None if there was nothing to do."""
    locations: int = 0
    orphans: int = 0
    files: int = 0
    """Number of deleted files of history and bases."""
    needed_again: int = 0
    """Number of locations that a cut referenced again after the plan was made."""
    locked: list[str] = field(default_factory=list)
    """Messages for objects that the storage still locks; the history of all stays as well."""


class _Lease:
    """The time within which one expiry may delete.

    It ends by the wall clock and by a monotonic one, whichever is first: others believe that
    it is over by either.
    """

    def __init__(
        self,
        area: Area,
        clock: Clock,
        limits: ExpiryLimits,
        intent: Intent,
        *,
        announced_at_s: float,
    ) -> None:
        """Begin with an intent; `announced_at_s` is when its write began, by the loop's clock.

        The time before the write counts: no process can have seen the intent earlier.
        """
        self._area, self._clock, self._limits = area, clock, limits
        self._number, self._until, self._count = intent.number, intent.valid_until, 0
        self._announced_at_s = announced_at_s

    def require(self) -> None:
        """Require that there is time left for one more request.

        Raises:
            FencedError: the lease is over, and processes that waited for this expiry continue.
        """
        if self._left() <= self._limits.margin:
            raise FencedError(
                f"expiry {self._number} took longer than announced and stopped",
                hint="run it again: it continues from here",
            )

    async def extend(self) -> None:
        """Announce a later end once half of the time is over."""
        self.require()
        half = (self._limits.lease - self._limits.margin) / 2
        if self._left() > self._limits.margin + half:
            return
        announced_at_s = asyncio.get_running_loop().time()
        until = self._clock.now() + self._limits.lease
        self._count += 1
        end = LaterEnd(valid_until=until, lasts_s=lasting_s(self._limits.lease))
        await self._area.create(lease_name(self._number, self._count), until_json(end))
        self.require()  # if the write came late, another process may have considered the lease over
        self._until, self._announced_at_s = until, announced_at_s

    def _left(self) -> timedelta:
        """Return the time until others may believe that it is over."""
        since_s = asyncio.get_running_loop().time() - self._announced_at_s
        by_wall_clock = self._until - self._clock.now()
        return min(by_wall_clock, self._limits.lease - timedelta(seconds=since_s))


class Expirer:
    """Carries out expiry plans of one target; besides repair, the only service that deletes bytes.

    Args:
        target: Target whose bytes and history expire; its clock limits the lease.
        store: The target's files.
        planner: Planner that made the plan.
        retained: Reads the target's checkpoint as one that may expire.
        remover: Deletes objects in the target's storage.
        archivist: Writes a base of the cut that the target is at.
        retry: Number of attempts for one removal, and of removals at once.
    """

    def __init__(
        self,
        target: Target,
        store: Store,
        *,
        planner: ExpiryPlanner,
        retained: Retained,
        remover: SegmentRemover,
        archivist: Archivist,
        retry: Retry,
    ) -> None:
        self._planner, self._retained, self._limits = planner, retained, planner.limits
        self._intents = Intents(
            store.area, clock=target.clock, clock_skew_max=planner.limits.clock_skew_max
        )
        self._points = StorePoints(store, clock=target.clock)
        self._remover, self._archivist = remover, archivist
        self._store, self._area = store, store.area
        self._history, self._clock, self._observer = target.history, target.clock, target.observer
        self._retry = retry

    async def carry_out(self, plan: ExpiryPlan, *, orphans: bool) -> Expired:
        """Delete what the plan found unreferenced and no point needs by now.

        An expiry can be interrupted at any point, also by a loss of power: the next plan and its
        expiry finish the deletion.

        Raises:
            FencedError: another expiry is running, or this one took longer than announced.
            RefusedError: a restore has started that needs what would be deleted; nothing was
                deleted.
            TransientError: something is unreachable.
        """
        stray = plan.storage.orphan_hashes if orphans and plan.storage is not None else no_hashes()
        unreferenced = np.union1d(plan.unreferenced, stray) if len(stray) else plan.unreferenced
        if plan.is_empty and not len(unreferenced):
            return Expired()
        # The order is what makes an expiry safe beside appliers, restores and holds.
        # 1. Intent: a process that starts to need something after this point sees the intent, and
        #    copies the bytes again or gives way.
        # 2. Spare: needs from before the intent are in this second look. A look before the intent
        #    would miss a hold or a cut written between the two, and delete its bytes.
        await self._keep_checkpoint(plan)
        listed = await self._turn()
        announced_at_s = asyncio.get_running_loop().time()
        intent = await self._announce(plan, unreferenced, listed)
        lease = _Lease(self._area, self._clock, self._limits, intent, announced_at_s=announced_at_s)
        still = await self._look_again(plan, intent)
        left = less(unreferenced, still.retained)
        expired = Expired(number=intent.number, needed_again=len(unreferenced) - len(left))
        # 3. Bytes before files: only the expired files name the locations to delete, so an
        #    interrupted expiry must still find them. Locked objects keep the files for that reason.
        await self._remove_expired(still, left, lease, expired)
        if len(stray) and plan.storage is not None:
            strays = [one.location for one in plan.storage.orphans]
            expired.orphans = await self._remove(
                RemainingLocations(left).take(strays), lease, expired
            )
        if not expired.locked:
            await self._remove_files(plan, still.files, lease, expired)
        await self._finish(intent, carried_out=True)
        await self._tidy(plan.log_id, still.over, listed)
        return expired

    async def _keep_checkpoint(self, plan: ExpiryPlan) -> None:
        """Write a base of the target's own cut if that expires: `verify` needs it."""
        checkpoint = await self._retained.checkpoint()
        # A target that was restored for one datasource is at no cut as a whole, so that no base
        # fits it.
        if checkpoint is None or checkpoint.offset >= plan.horizon or checkpoint.datasource:
            return
        try:
            cut = await self._history.find(ToOffset(offset=checkpoint.offset))
            await self._archivist.write_base(cut)
        except (GapError, CorruptionError) as exc:  # the bytes of the target's rows stay anyway
            self._observer(Waiting(what="write a base", reason=str(exc), delay_s=0.0))

    async def _turn(self) -> Sequence[IntentFiles]:
        """Return the intents that there are, once no other expiry deletes.

        Raises:
            FencedError: another one does, or may.
        """
        has_waited = False
        while True:
            listed = await self._intents.listed()
            running = [files for files in listed if not await self._intents.is_over(files)]
            if not running:
                return listed
            try:
                left_s = None if has_waited else await self._silence_of(running[0])
                # A killed expiry whose clock was a day ahead would block every other one for that
                # day. It says how long it lasts unrenewed, so that watching it for that long by a
                # monotonic clock decides.
                if left_s is None:
                    raise await self._busy(running[0])
            except NotFoundError:  # it was over, and was tidied up since the listing
                continue
            has_waited = True
            await asyncio.sleep(left_s)

    async def _silence_of(self, files: IntentFiles) -> float | None:
        """Return how long to watch an expiry whose clock was ahead; None: its time is not far."""
        until = await self._intents.valid_until(files) + self._limits.clock_skew_max
        left_s = await self._intents.silent_in_s(files)
        # An honest clock says the same, but for its skew and for the time of these two readings.
        skew = self._limits.clock_skew_max + CLOCK_SKEW_MAX
        if left_s is None or (until - self._clock.now() - skew).total_seconds() <= left_s:
            return None
        reason = f"it says that it lasts until {moment(until)}: its clock was ahead"
        what = f"see whether expiry {files.number} still runs"
        self._observer(Waiting(what=what, reason=reason, delay_s=left_s))
        return left_s

    async def _announce(
        self, plan: ExpiryPlan, unreferenced: LocationHashes, listed: Sequence[IntentFiles]
    ) -> Intent:
        """Write the intent; every process that needs something from now on sees it first.

        Another expiry that starts meanwhile has taken the number that follows those listed.
        """
        number, places = next_number(listed), unreferenced.tobytes()
        require_readable(
            intent_name(number, "places"),
            places,
            PLACES_BYTES_MAX,
            hint="let less expire at a time: set a longer retention, and shorten it step by step",
        )
        intent = Intent(
            number=number,
            log_id=plan.log_id,
            horizon=plan.horizon,
            before=await horizon(self._area, plan.log_id, listed),
            valid_until=self._clock.now() + self._limits.lease,
            places=len(unreferenced),
            lasts_s=lasting_s(self._limits.lease),
        )
        # Two expiries that listed at the same time chose the same number; the conditional create
        # lets one of them win. The list of locations comes second: an intent without its list
        # counts as one of every location.
        if intent.before > plan.horizon or not await self._area.create(
            intent_name(number), intent_json(intent)
        ):
            raise FencedError(
                f"another expiry, number {number}, started at the same time as this one",
                hint="run it again when the other one is over",
            )
        await self._area.replace(intent_name(number, "places"), places)
        return intent

    async def _busy(self, files: IntentFiles) -> FencedError:
        until = await self._intents.valid_until(files) + self._limits.clock_skew_max
        return FencedError(
            f"expiry {files.number} of this store is running, or died: it may delete until"
            f" {moment(until)}",
            hint="run it again when that time is over",
        )

    async def _look_again(self, plan: ExpiryPlan, intent: Intent) -> StillExpired:
        """Look again; if anything speaks against the plan by now, withdraw the intent."""
        try:
            return await self._planner.look_again(plan)
        except ReplicatorError:
            with suppress(TransientError):  # without this file the intent ends with its lease
                await self._finish(intent, carried_out=False)
            raise

    async def _remove_expired(
        self,
        still: StillExpired,
        left: LocationHashes,
        lease: _Lease,
        expired: Expired,
    ) -> None:
        pending = RemainingLocations(left)
        async with still.locations as batches:
            async for named in batches:
                expired.locations += await self._remove(pending.take(named), lease, expired)
                self._observer(
                    Progress(
                        what="delete", done=expired.locations, total=len(left), unit="locations"
                    )
                )

    async def _remove(self, locations: Sequence[Location], lease: _Lease, expired: Expired) -> int:
        """Delete the objects of some locations; return how many locations are gone."""
        locked = len(expired.locked)
        for at in range(0, len(locations), REMOVALS_PER_BATCH):
            await lease.extend()
            with worst_alone():
                async with TaskGroup() as group:
                    for location in locations[at : at + REMOVALS_PER_BATCH]:
                        group.create_task(self._remove_one(location, lease, expired))
        return len(locations) - (len(expired.locked) - locked)

    async def _remove_one(self, location: Location, lease: _Lease, expired: Expired) -> None:
        async with self._retry.slots:
            try:
                await self._tried(lambda: self._remover.remove(location), lease, str(location))
            except LockedError as exc:
                expired.locked.append(str(exc))
            except RefusedError:
                # Nothing was stored at such a location: a row of the source named it, and its
                # bytes were a gap. History that waited for it would never be deleted again.
                return

    async def _remove_files(
        self, plan: ExpiryPlan, expired_files: ExpiredFiles, lease: _Lease, expired: Expired
    ) -> None:
        """Delete the files; manifests first, because a base without its manifest is ignored."""
        # A crash in the middle must leave no base that looks whole and lacks its rows.
        manifests = [manifest_name(plan.log_id, offset) for offset in expired_files.bases]
        for name in dict.fromkeys([*manifests, *expired_files.base_files, *expired_files.history]):
            await lease.extend()
            try:
                await self._tried(partial(self._store.delete, name), lease, name)
            except RefusedError as exc:
                expired.locked.append(str(exc))
            else:
                expired.files += 1

    async def _tried(self, remove: Callable[[], Awaitable[None]], lease: _Lease, what: str) -> None:
        """Delete something; repeat after transient errors, but never without time left."""

        async def attempt() -> None:
            lease.require()
            await remove()

        await self._retry.call(f"remove {what}", attempt)

    async def _finish(self, intent: Intent, *, carried_out: bool) -> None:
        done = done_json(IntentDone(carried_out=carried_out))
        await self._area.create(intent_name(intent.number, "done.json"), done)

    async def _tidy(self, log_id: str, over: Over, listed: Sequence[IntentFiles]) -> None:
        """Delete what is over: older intents of this log, ended holds, leases of dead restores.

        Holds and leases are those that the second look has found over, each read once more: a hold
        can be made again under its name.
        """
        now = self._clock.now()
        for name in over.holds:
            # The operator may have made it again, under the same name, since the second look.
            hold = await self._points.hold(name)
            if hold is not None and not hold.holds_at(now):
                await self._area.delete(file_name(HOLDS, name))
        for name in over.leases:
            lease = await self._points.lease(name)
            if lease is not None and lease.valid_until + self._limits.clock_skew_max <= now:
                await self._area.delete(name)
        for files in listed:
            if await self._is_of(log_id, files):
                await self._forget(files)

    async def _is_of(self, log_id: str, files: IntentFiles) -> bool:
        return not files.is_announced or (
            (await self._intents.intent(files.number)).log_id == log_id
        )

    async def _forget(self, files: IntentFiles) -> None:
        """Delete an older intent; the file that ends it goes last."""
        # An intent counts as running until it is seen to be over: if `done.json` went first, a
        # crash here would leave one that blocks restores until its lease ends.
        leases = [f"lease-{number}.json" for number in sorted(files.leases)]
        for what in ("places", "json", *leases, "done.json"):
            await self._area.delete(intent_name(files.number, what))
