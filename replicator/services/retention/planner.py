"""Decides what a target's store no longer needs, without changing anything."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from replicator.errors import CorruptionError, NotFoundError, RefusedError
from replicator.model.event import ClosedCut, Offset
from replicator.model.load_spec import Location
from replicator.model.log.locations import LocationHashes, less, union
from replicator.model.observed.faults import ArchiveDamaged
from replicator.model.operations.command_line import typed
from replicator.model.store.archive import Base
from replicator.model.store.holds import Hold, RestoreLease
from replicator.ports import SegmentRemover
from replicator.services.retention.look import ExpiredFiles, Look, Over
from replicator.services.retention.orphans import StorageFindings, find_orphans
from replicator.services.retention.references import Records, ReferencedLocations, References
from replicator.services.retention.retained import Marked, Retained
from replicator.services.store.archived_log import ArchivedLog, Window
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Store
from replicator.services.target.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryLimits:
    """How long an expiry may delete between two announcements, and what it leaves alone."""

    lease: timedelta
    margin: timedelta
    """Last part of a lease, in which nothing is deleted; longer than one request takes."""
    clock_skew_max: timedelta
    orphan_age_min: timedelta
    """Age below which an unreferenced object may belong to a cut that is not written yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryPlan:
    """What an expiry would do, before the operator agrees."""

    log_id: str
    horizon: Offset
    """Offset of the first cut that is retained without a hold; 0 if all cuts are."""
    before: Offset
    """Horizon before this expiry."""
    oldest_before: ClosedCut
    oldest_after: ClosedCut
    marked: Marked
    unreferenced: LocationHashes
    datasources: Mapping[str, int]
    """Number of segments to delete, by datasource."""
    expired_files: ExpiredFiles
    holds: tuple[Hold, ...]
    """Holds that keep something which would otherwise expire."""
    storage: StorageFindings | None
    """Result of listing the storage; None if it was not listed."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing expires; there may still be orphans."""
        return not (
            len(self.unreferenced) or self.expired_files.history or self.expired_files.base_files
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StillExpired:
    """The part of a plan that still expires, by a look that began after its intent was visible."""

    retained: LocationHashes
    """Locations that stay, including those that were added since the plan was made."""
    files: ExpiredFiles
    over: Over
    locations: AbstractAsyncContextManager[AsyncIterator[list[Location]]]
    """Yields within its block the locations that the expired records reference."""


class ExpiryPlanner:
    """Reads what is retained and what has expired, and subtracts the one from the other.

    Args:
        target: Target whose storage is examined. Its clock measures the window, unless the source's
            last cut is older.
        store: The target's files: history, bases, holds, leases and the horizon.
        retained: Reads what must stay.
        references: Reads which locations the history references.
        remover: Lists the target's storage.
        limits: Limits of an expiry.
    """

    def __init__(
        self,
        target: Target,
        store: Store,
        *,
        retained: Retained,
        references: References,
        remover: SegmentRemover,
        limits: ExpiryLimits,
    ) -> None:
        self._target, self._store, self._clock = target, store, target.clock
        self._points = StorePoints(store, clock=target.clock)
        self._retained, self._references, self._remover = retained, references, remover
        self.limits, self._observer = limits, target.observer

    async def plan(
        self, retention: timedelta, *, storage: bool, orphans: bool = False
    ) -> ExpiryPlan:
        """Return what an expiry would do; nothing is changed.

        Args:
            retention: Length of the window in which any point stays restorable.
            storage: Whether to list the storage, for sizes and orphans.
            orphans: Whether orphans are deleted: the target's rows are then read as well.

        Raises:
            RefusedError: the target was promoted or holds foreign rows, a restore is running whose
                needs are unknown, or `orphans` are to go and parts of the history are lost.
            NotFoundError: there is no history in the store.
            CorruptionError: something retained cannot be read, so its references are unknown.
            TransientError: something is unreachable.
        """
        look = await self._retained.look()
        marked = Marked(with_rows=orphans)
        before = await self._points.horizon(look.log_id)
        windows = await self._windows(look.archive, before)
        if orphans:
            await self._refuse_unnamed(look.archive)
        horizon = await self._horizon(look, windows, retention, before, marked)
        await self._retained.mark(look, horizon, marked)
        expired_files = look.expired_files(horizon)
        retained = marked.locations.hashes()
        expired_references = await self._references.by_datasource(
            *self._expired_records(look, expired_files), what="read what goes"
        )
        goes = {name: less(some, retained) for name, some in expired_references.items()}
        unreferenced = union(goes.values())
        return ExpiryPlan(
            log_id=look.log_id,
            horizon=horizon,
            before=before,
            oldest_before=await self._oldest(look, before),
            oldest_after=await self._oldest(look, horizon),
            marked=marked,
            unreferenced=unreferenced,
            datasources={name: len(some) for name, some in sorted(goes.items()) if len(some)},
            expired_files=expired_files,
            holds=tuple(hold for hold in look.holds if hold.point.offset < horizon),
            storage=await self._look(look, retained, unreferenced) if storage else None,
        )

    async def look_again(self, plan: ExpiryPlan) -> StillExpired:
        """Read again what must stay, now that the intent of the plan can be seen.

        Raises:
            RefusedError: a restore has started that needs what would expire; or as for `plan`.
            CorruptionError, TransientError: as for `plan`.
        """
        look = await self._retained.look(plan.log_id)
        leases = await self._points.leases()
        reading = min(await self._restores(look, leases), default=None)
        if reading is not None and reading < plan.horizon:
            raise RefusedError(
                f"a restore of offset {reading} started, which would expire; nothing was deleted",
                hint="run it again when the restore is over",
            )
        if plan.marked.with_rows:
            await self._refuse_unnamed(look.archive)
        await self._retained.mark(look, plan.horizon, plan.marked)
        files = look.expired_files(plan.horizon)
        return StillExpired(
            retained=plan.marked.locations.hashes(),
            files=files,
            over=Over(holds=look.ended_holds, leases=self._ended(leases)),
            locations=self._references.named(*self._expired_records(look, files)),
        )

    def _expired_records(self, look: Look, expired_files: ExpiredFiles) -> list[Records]:
        """Return the records that no point needs any more; altered files are skipped."""
        bases = expired_files.bases
        parts = [self._references.base_if_whole(look.archive, offset) for offset in bases]
        if expired_files.begun:
            parts.append(
                self._references.history(
                    expired_files.begun, after=Offset(-1), until=expired_files.until, tolerant=True
                )
            )
        return parts

    def _ended(self, leases: Sequence[tuple[str, RestoreLease]]) -> tuple[str, ...]:
        limit = self._clock.now() - self.limits.clock_skew_max
        return tuple(name for name, lease in leases if lease.valid_until <= limit)

    async def _restores(
        self, look: Look, leases: Sequence[tuple[str, RestoreLease]]
    ) -> list[Offset]:
        """Return the cuts that running restores read and no hold keeps.

        Raises:
            RefusedError: one of them is in no window of this history, so its needs are unknown.
        """
        limit = self._clock.now() - self.limits.clock_skew_max
        found = [
            lease.offset
            for _, lease in leases
            if lease.log_id == look.log_id
            and lease.valid_until > limit
            and lease.offset not in look.held_offsets
        ]
        if found:
            bar = await self._points.horizon(look.log_id)
            windows = await self._windows(look.archive, bar)
            for offset in found:
                if not any(window.base.offset <= offset < window.end for window in windows):
                    raise RefusedError(
                        f"a restore of offset {offset} is running on target {self._target.name!r},"
                        " and this history does not contain what it needs",
                        hint="run it again when the restore is over",
                    )
        return found

    async def _windows(self, archive: ArchivedLog, bar: Offset) -> Sequence[Window]:
        windows, faults = await archive.windows_from(bar)
        for fault in faults:
            self._observer(ArchiveDamaged(reason=fault))
        if not windows:
            raise NotFoundError(
                f"the store of target {self._target.name!r} has no history with a base"
            )
        return windows

    async def _refuse_unnamed(self, archive: ArchivedLog) -> None:
        """Require that no record is lost: orphans are the bytes that none of the records names.

        Bytes that only a lost file names look like orphans, and `repair` may bring that file back.
        """
        if lost := await archive.unnamed():
            raise RefusedError(
                f"parts of the history of target {self._target.name!r} are lost, so it is unknown"
                f" which bytes are orphans: {lost[0]}; nothing was deleted",
                hint=f"`replicator {typed('repair', self._target.name)}` writes again what the log"
                " still has; until then expire without --orphans",
            )

    async def _horizon(
        self,
        look: Look,
        windows: Sequence[Window],
        retention: timedelta,
        before: Offset,
        marked: Marked,
    ) -> Offset:
        """Return the newest base that the window can start with; its references are read."""
        archive = look.archive
        newest = await archive.last_cut(windows[-1])
        # A paused source, or a clock that is ahead, must not use up the window.
        now = min(self._clock.now(), newest.closed.source_time)
        restores = await self._restores(look, await self._points.leases())
        found = await self._candidates(look, now - retention, min(restores, default=None))
        for base in reversed([base for base in found if base.offset > before]):
            wanted, records = ReferencedLocations(), self._references.base(archive, base)
            try:
                await self._references.gather(records, into=wanted, what="read what is kept")
            except CorruptionError as exc:
                self._observer(ArchiveDamaged(reason=str(exc)))
            else:
                marked.locations = wanted
                marked.bases.add((archive.log_id, base.offset))
                return base.offset
        return before

    async def _candidates(self, look: Look, until: datetime, limit: Offset | None) -> list[Base]:
        """Return the bases from which everything after a time can be restored, oldest first."""
        found = list[Base]()
        for offset in look.listing.offsets(look.log_id):
            try:
                base = await look.archive.base(offset)
            except CorruptionError as exc:
                self._observer(ArchiveDamaged(reason=str(exc)))
                continue
            if base.cut.closed.source_time > until or (limit is not None and offset > limit):
                break
            found.append(base)
        return found

    async def _look(
        self, look: Look, retained: LocationHashes, unreferenced: LocationHashes
    ) -> StorageFindings:
        return await find_orphans(
            self._remover,
            retained=retained,
            unreferenced=unreferenced,
            stored_before=await self._settled_before(look),
            observer=self._observer,
        )

    async def _settled_before(self, look: Look) -> datetime:
        """Return when the oldest bytes that may not be referenced yet were stored, at the earliest.

        Bytes of a cut are copied after the cut's source time, however late it is applied; a restore
        may copy bytes of any cut.
        """
        reached = None if look.checkpoint is None else look.checkpoint.source_time
        limit = self._clock.now() - self.limits.clock_skew_max
        if reached is None or any(
            lease.valid_until > limit for _, lease in await self._points.leases()
        ):
            return datetime.min.replace(tzinfo=UTC)
        return min(self._clock.now(), reached) - self.limits.orphan_age_min

    async def _oldest(self, look: Look, horizon: Offset) -> ClosedCut:
        for offset in look.listing.offsets(look.log_id):
            if offset >= horizon:
                with suppress(CorruptionError):  # reported before
                    return (await look.archive.base(offset)).cut
        raise NotFoundError(f"the store of target {self._target.name!r} has no base at {horizon}")
