"""Decides what a target's store need not keep any more, without changing anything."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from replicator.errors import CorruptionError, NotFoundError, RefusedError
from replicator.model.archive import Base, base_folder
from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.keeping import Hold
from replicator.model.observation import ArchiveDamaged, Observer
from replicator.model.placing import Places, less
from replicator.ports import Area, Clock, SegmentRemover
from replicator.services.archive import ArchivedLog, Run
from replicator.services.kept_points import KeptPoints
from replicator.services.sparing import Spared, Sparing
from replicator.services.storage_look import StorageFindings, look_at_storage
from replicator.services.store_places import (
    StorePlaces,
    Wanted,
    beginning_until,
    chained,
    ending_after,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryLimits:
    """How long an expiry may delete without a word, and what it leaves alone."""

    lease: timedelta
    margin: timedelta
    """Nothing is deleted in this last part of a lease; longer than any one request takes."""
    clock_skew_max: timedelta
    orphan_age_min: timedelta
    """Younger bytes may be those of a cut that is on its way."""
    removals_in_flight_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """Files that no point needs any more."""

    history: tuple[str, ...]
    """Those that hold nothing behind the horizon."""
    bases: tuple[Offset, ...]
    base_files: tuple[str, ...]
    """Of these, and of bases that were never finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryPlan:
    """What an expiry would do, as it looks before anybody agreed to it."""

    log_id: str
    horizon: Offset
    """The first cut that is kept without a hold; 0: all are."""
    before: Offset
    """What the horizon was until now."""
    oldest_before: ClosedCut
    oldest_after: ClosedCut
    spared: Spared
    condemned: Places
    going: Going
    holds: tuple[Hold, ...]
    """Those that keep something that would expire."""
    storage: StorageFindings | None
    """None: nobody looked."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing expires; there may be orphans."""
        return not (len(self.condemned) or self.going.history or self.going.base_files)


class ExpiryPlanner:
    """Reads what is kept and what goes, and holds the one against the other."""

    def __init__(
        self,
        *,
        target: str,
        sparing: Sparing,
        area: Area,
        points: KeptPoints,
        places: StorePlaces,
        remover: SegmentRemover,
        clock: Clock,
        limits: ExpiryLimits,
        observer: Observer,
    ) -> None:
        """Take the settings; nothing is read yet.

        Args:
            target: Name of the target.
            sparing: Reads what must stay.
            area: Where the target keeps our files.
            points: Holds, leases and the horizon.
            places: Reads the history as places.
            remover: Lists what stands in its storage.
            clock: By which the window is measured, unless the source's last cut is older.
            limits: What is left alone.
            observer: Is told of progress and of damage.
        """
        self._target, self._sparing, self._area = target, sparing, area
        self._points, self._places, self._remover = points, places, remover
        self._clock, self._limits, self._observer = clock, limits, observer

    async def plan(
        self, retention: timedelta, *, storage: bool, orphans: bool = False
    ) -> ExpiryPlan:
        """Return what would be done; nothing is changed.

        Args:
            retention: Any point of so long is kept.
            storage: Whether to list the storage, for sizes and orphans.
            orphans: Whether orphans are to go: then the target's rows are asked as well.

        Raises:
            RefusedError: the target was promoted or holds rows that are not ours, or a restore
                reads what nobody can tell.
            NotFoundError: there is no history in the store.
            CorruptionError: what must be kept cannot be read, so nobody knows what it needs.
            TransientError: something is away.
        """
        log_id = await self._log_id()
        archive, spared = ArchivedLog(self._area, log_id), Spared(with_rows=orphans)
        runs = await self._runs(archive)
        before = await self._points.horizon(log_id)
        horizon = await self._horizon(archive, runs, retention, before, spared)
        await self._sparing.spare(log_id, horizon, spared)
        going = await self.going(log_id, horizon)
        kept, holds = spared.wanted.places(), await self._points.holds_in_force(log_id)
        condemned = less(await self._asked_for(archive, going, horizon), kept)
        return ExpiryPlan(
            log_id=log_id,
            horizon=horizon,
            before=before,
            oldest_before=await self._oldest(archive, before),
            oldest_after=await self._oldest(archive, horizon),
            spared=spared,
            condemned=condemned,
            going=going,
            holds=tuple(hold for hold in holds if hold.point.offset < horizon),
            storage=await self._look(kept, condemned) if storage else None,
        )

    async def going(self, log_id: str, horizon: Offset) -> Going:
        """Return the files that hold nothing but what is before the horizon and not held."""
        kept = {hold.point.offset for hold in await self._points.holds_in_force(log_id)}
        if (standing := await self._sparing.standing()) is not None:
            kept.add(standing)
        folders = tuple(base_folder(log_id, offset) for offset in kept)
        end = base_folder(log_id, horizon)
        names = await self._places.base_names(log_id)
        history = beginning_until(await self._places.history_names(log_id), horizon)
        behind = set(ending_after(history, horizon))
        offsets = await ArchivedLog(self._area, log_id).offsets()
        return Going(
            history=tuple(name for name in history if horizon and name not in behind),
            bases=tuple(offset for offset in offsets if offset < horizon and offset not in kept),
            base_files=tuple(n for n in names if n < end and not n.startswith(folders)),
        )

    async def going_batches(
        self, archive: ArchivedLog, going: Going, horizon: Offset
    ) -> list[AsyncIterator[Sequence[Record]]]:
        """Return the records that no point needs any more; what is altered is passed over."""
        names = beginning_until(await self._places.history_names(archive.log_id), horizon)
        parts = [self._places.base_if_whole(archive, offset) for offset in going.bases]
        if horizon:
            parts.append(
                self._places.history(names, after=Offset(-1), until=horizon, tolerant=True)
            )
        return parts

    async def restores(self, log_id: str) -> list[Offset]:
        """Return the cuts that running restores read and nothing holds.

        Raises:
            RefusedError: one of them is in no stretch of this history: its needs are not known.
        """
        limit = self._clock.now() - self._limits.clock_skew_max
        held = {hold.point.offset for hold in await self._points.holds_in_force(log_id)}
        found = [
            lease.offset
            for _, lease in await self._points.leases()
            if lease.log_id == log_id and lease.valid_until > limit and lease.offset not in held
        ]
        if found:
            runs = await self._runs(ArchivedLog(self._area, log_id))
            for offset in found:
                if not any(run.base.offset <= offset < run.end for run in runs):
                    raise RefusedError(
                        f"a restore of offset {offset} is running on target {self._target!r}, and"
                        " its history does not say what that needs",
                        hint="run it again when the restore is over",
                    )
        return found

    async def _log_id(self) -> str:
        checkpoint = await self._sparing.checkpoint()
        if checkpoint is not None:
            return checkpoint.log_id
        if len(logs := await self._places.logs()) != 1:
            raise NotFoundError(
                f"the store of target {self._target!r} has histories of {len(logs)} logs, and the"
                " target has no checkpoint that says which one it follows"
            )
        return logs[0]

    async def _runs(self, archive: ArchivedLog) -> Sequence[Run]:
        runs, faults = await archive.runs()
        for fault in faults:
            self._observer(ArchiveDamaged(reason=fault))
        if not runs:
            raise NotFoundError(f"the store of target {self._target!r} has no history with a base")
        return runs

    async def _horizon(
        self,
        archive: ArchivedLog,
        runs: Sequence[Run],
        retention: timedelta,
        before: Offset,
        spared: Spared,
    ) -> Offset:
        """Return the newest base that the window can begin with, and read it."""
        newest = await archive.last_cut(runs[-1])
        # A source that stands still, or a clock that is ahead, must not use up the window.
        now = min(self._clock.now(), newest.closed.source_time)
        restores = await self.restores(archive.log_id)
        found = await self._candidates(archive, now - retention, min(restores, default=None))
        for base in reversed([base for base in found if base.offset > before]):
            wanted, batches = Wanted(), self._places.base(archive, base)
            try:
                await self._places.gather(batches, wanted, what="read what is kept")
            except CorruptionError as exc:
                self._observer(ArchiveDamaged(reason=str(exc)))
            else:
                spared.wanted = wanted
                spared.bases.add((archive.log_id, base.offset))
                return base.offset
        return before

    async def _candidates(
        self, archive: ArchivedLog, until: datetime, limit: Offset | None
    ) -> list[Base]:
        """Return the bases from which everything after a time can be restored, oldest first."""
        found: list[Base] = []
        for offset in await archive.offsets():
            try:
                base = await archive.base(offset)
            except CorruptionError as exc:
                self._observer(ArchiveDamaged(reason=str(exc)))
                continue
            if base.cut.closed.source_time > until or (limit is not None and offset > limit):
                break
            found.append(base)
        return found

    async def _asked_for(self, archive: ArchivedLog, going: Going, horizon: Offset) -> Places:
        wanted = Wanted()
        parts = await self.going_batches(archive, going, horizon)
        await self._places.gather(chained(parts), wanted, what="read what goes")
        return wanted.places()

    async def _look(self, kept: Places, condemned: Places) -> StorageFindings:
        return await look_at_storage(
            self._remover,
            kept=kept,
            condemned=condemned,
            stored_before=await self._settled_before(),
            observer=self._observer,
        )

    async def _settled_before(self) -> datetime:
        """Return when what is on its way began to be stored, at the earliest.

        A cut is copied after the source's time of it, however late it is applied; a restore may
        bring bytes of any cut.
        """
        reached = await self._sparing.reached()
        limit = self._clock.now() - self._limits.clock_skew_max
        if reached is None or any(
            lease.valid_until > limit for _, lease in await self._points.leases()
        ):
            return datetime.min.replace(tzinfo=UTC)
        return min(self._clock.now(), reached) - self._limits.orphan_age_min

    async def _oldest(self, archive: ArchivedLog, horizon: Offset) -> ClosedCut:
        for offset in await archive.offsets():
            if offset >= horizon:
                with suppress(CorruptionError):  # told of before
                    return (await archive.base(offset)).cut
        raise NotFoundError(f"the store of target {self._target!r} has no base at {horizon}")
