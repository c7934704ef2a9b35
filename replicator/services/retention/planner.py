"""Decides what a target's store no longer needs, without changing anything."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from replicator.errors import CorruptionError, NotFoundError, RefusedError
from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.log.locations import LocationHashes, less
from replicator.model.observation import ArchiveDamaged
from replicator.model.store.archive import Base, base_folder
from replicator.model.store.holds import Hold
from replicator.ports import SegmentRemover
from replicator.services.retention.orphans import StorageFindings, find_orphans
from replicator.services.retention.references import (
    ReferencedLocations,
    References,
    beginning_until,
    chained,
    ending_after,
)
from replicator.services.retention.retained import Look, Retained, Spared
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
class ExpiredFiles:
    """Files that no point needs any more."""

    history: tuple[str, ...]
    """Files with no record after the horizon."""
    begun: tuple[str, ...]
    """Files with a record at or before the horizon."""
    until: Offset
    """The horizon: references of records up to here may be deleted."""
    bases: tuple[Offset, ...]
    base_files: tuple[str, ...]
    """Files of the expired bases, and of bases that were never finished."""


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
    spared: Spared
    unreferenced: LocationHashes
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
            RefusedError: the target was promoted or holds foreign rows, or a restore is running
                whose needs are unknown.
            NotFoundError: there is no history in the store.
            CorruptionError: something retained cannot be read, so its references are unknown.
            TransientError: something is unreachable.
        """
        look = await self._retained.look()
        log_id = look.log_id
        archive, spared = self.archive(look), Spared(with_rows=orphans)
        before = await self._points.horizon(log_id)
        windows = await self._windows(archive, before)
        horizon = await self._horizon(look, windows, retention, before, spared)
        await self._retained.spare(look, horizon, spared)
        expired_files = self.expired_files(look, horizon)
        retained = spared.wanted.hashes()
        unreferenced = less(await self._asked_for(archive, expired_files), retained)
        return ExpiryPlan(
            log_id=log_id,
            horizon=horizon,
            before=before,
            oldest_before=await self._oldest(look, before),
            oldest_after=await self._oldest(look, horizon),
            spared=spared,
            unreferenced=unreferenced,
            expired_files=expired_files,
            holds=tuple(hold for hold in look.holds if hold.point.offset < horizon),
            storage=await self._look(look, retained, unreferenced) if storage else None,
        )

    def archive(self, look: Look) -> ArchivedLog:
        """Return the history as it was listed by a look."""
        archive = ArchivedLog(self._store, look.log_id)
        archive.take(look.listing)
        return archive

    def expired_files(self, look: Look, horizon: Offset) -> ExpiredFiles:
        """Return the files that contain only what is before the horizon and not held."""
        log_id, retained = look.log_id, look.held_offsets
        if look.checkpoint_offset is not None:
            retained.add(look.checkpoint_offset)
        folders = tuple(base_folder(log_id, offset) for offset in retained)
        end = base_folder(log_id, horizon)
        begun = beginning_until(look.listing.history_of(log_id), horizon) if horizon else []
        behind = set(ending_after(begun, horizon))
        offsets = look.listing.offsets(log_id)
        names = look.listing.bases_of(log_id)
        return ExpiredFiles(
            history=tuple(name for name in begun if name not in behind),
            begun=tuple(begun),
            until=horizon,
            bases=tuple(
                offset for offset in offsets if offset < horizon and offset not in retained
            ),
            base_files=tuple(n for n in names if n < end and not n.startswith(folders)),
        )

    def expired_records(
        self, archive: ArchivedLog, expired_files: ExpiredFiles
    ) -> list[AsyncIterator[Sequence[Record]]]:
        """Yield the records that no point needs any more; altered files are skipped."""
        parts = [self._references.base_if_whole(archive, offset) for offset in expired_files.bases]
        if expired_files.begun:
            parts.append(
                self._references.history(
                    expired_files.begun, after=Offset(-1), until=expired_files.until, tolerant=True
                )
            )
        return parts

    async def restores(self, look: Look) -> list[Offset]:
        """Return the cuts that running restores read and no hold keeps.

        Raises:
            RefusedError: one of them is in no window of this history, so its needs are unknown.
        """
        limit = self._clock.now() - self.limits.clock_skew_max
        found = [
            lease.offset
            for _, lease in await self._points.leases()
            if lease.log_id == look.log_id
            and lease.valid_until > limit
            and lease.offset not in look.held_offsets
        ]
        if found:
            bar = await self._points.horizon(look.log_id)
            windows = await self._windows(self.archive(look), bar)
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

    async def _horizon(
        self,
        look: Look,
        windows: Sequence[Window],
        retention: timedelta,
        before: Offset,
        spared: Spared,
    ) -> Offset:
        """Return the newest base that the window can start with; its references are read."""
        archive = self.archive(look)
        newest = await archive.last_cut(windows[-1])
        # A paused source, or a clock that is ahead, must not use up the window.
        now = min(self._clock.now(), newest.closed.source_time)
        restores = await self.restores(look)
        found = await self._candidates(look, now - retention, min(restores, default=None))
        for base in reversed([base for base in found if base.offset > before]):
            wanted, batches = ReferencedLocations(), self._references.base(archive, base)
            try:
                await self._references.gather(batches, wanted, what="read what is kept")
            except CorruptionError as exc:
                self._observer(ArchiveDamaged(reason=str(exc)))
            else:
                spared.wanted = wanted
                spared.bases.add((archive.log_id, base.offset))
                return base.offset
        return before

    async def _candidates(self, look: Look, until: datetime, limit: Offset | None) -> list[Base]:
        """Return the bases from which everything after a time can be restored, oldest first."""
        archive, found = self.archive(look), list[Base]()
        for offset in look.listing.offsets(look.log_id):
            try:
                base = await archive.base(offset)
            except CorruptionError as exc:
                self._observer(ArchiveDamaged(reason=str(exc)))
                continue
            if base.cut.closed.source_time > until or (limit is not None and offset > limit):
                break
            found.append(base)
        return found

    async def _asked_for(self, archive: ArchivedLog, expired_files: ExpiredFiles) -> LocationHashes:
        wanted = ReferencedLocations()
        parts = self.expired_records(archive, expired_files)
        await self._references.gather(chained(parts), wanted, what="read what goes")
        return wanted.hashes()

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
        archive = self.archive(look)
        for offset in look.listing.offsets(look.log_id):
            if offset >= horizon:
                with suppress(CorruptionError):  # reported before
                    return (await archive.base(offset)).cut
        raise NotFoundError(f"the store of target {self._target.name!r} has no base at {horizon}")
