"""Holds: keep single cuts of one target's store from expiring."""

from datetime import datetime

from replicator.errors import (
    ConfigError,
    CorruptionError,
    GapError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.event import ClosedCut, Offset
from replicator.model.operations.words import whole_time
from replicator.model.plans.restore_point import RestorePoint
from replicator.model.store.archive import BASES, HISTORY, manifest_name
from replicator.model.store.holds import (
    HOLDS,
    Hold,
    checked_name,
    file_name,
    hold_json,
    point_at,
)
from replicator.ports import Area, Clock
from replicator.services.history.reader import History
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.archivist import Archivist
from replicator.services.store.points import StorePoints


class Holds:
    """The holds in one target's store.

    Args:
        target: Name of the target.
        area: The target's area, where holds are files.
        points: Holds and points of the store.
        archive: The store's own history.
        history: The same history, decoded: a hold needs a cut that the store itself can restore.
        archivist: Writes the base of a held cut.
        clock: Clock that dates a hold.
    """

    def __init__(
        self,
        *,
        target: str,
        area: Area,
        points: StorePoints,
        archive: ArchivedLog,
        history: History,
        archivist: Archivist,
        clock: Clock,
    ) -> None:
        self._target, self._area, self._points = target, area, points
        self._archive, self._history = archive, history
        self._archivist, self._clock = archivist, clock

    async def create(
        self, name: str, point: RestorePoint, *, reason: str, until: datetime | None
    ) -> Hold:
        """Keep a cut, with a base of its own, so that it needs no file that expires.

        Raises:
            RefusedError: there is a different hold of that name.
            GapError: the store cannot restore this cut, or the cut has expired.
            ConfigError: the hold would already be over.
            TransientError: something is unreachable; the same call finishes what was started.
        """
        if until is not None and until <= self._clock.now():
            raise ConfigError(f"a hold until {whole_time(until)} would already be over")
        # Files that vanish between this listing and the next were deleted by an expiry; without it,
        # their loss would look like damage.
        listed = await self._listed()
        try:
            return await self._made(name, point, reason, until)
        except CorruptionError as exc:
            if listed <= await self._listed():
                raise
            raise TransientError(  # the expiry deleted files that were just listed
                f"an expiry is running in the store of target {self._target!r}: {exc}",
                hint="run it again when the expiry is over",
            ) from exc

    async def _listed(self) -> set[str]:
        log_id = self._archive.log_id
        folders = (f"{HISTORY}/{log_id}/", f"{BASES}/{log_id}/")
        return {name for folder in folders for name in await self._area.names(folder)}

    async def _made(
        self, name: str, point: RestorePoint, reason: str, until: datetime | None
    ) -> Hold:
        cut = await self._history.find(point)
        named = point_at(cut, name=name, log_id=self._archive.log_id, now=self._clock.now())
        hold = Hold(point=named, reason=reason, until=until)
        had_base = cut.offset in await self._archive.offsets()
        await self._write(hold, cut)
        # After the hold is written: an expiry whose second look was before that has missed it, and
        # its announcement can be seen now.
        await self._require_unexpired(hold, had_base=had_base)
        return hold

    async def _write(self, hold: Hold, cut: ClosedCut) -> None:
        await self._refuse_taken(hold)
        await self._points.refuse_expired(hold.point.log_id, cut.offset)
        await self._require_run(cut)
        # The base comes before the hold: an expiry that sees the hold must find what it keeps.
        await self._archivist.write_base(cut)
        if not await self._area.create(file_name(HOLDS, hold.point.name), hold_json(hold)):
            await self._refuse_taken(hold)

    async def words(self, name: str) -> str:
        """Say what a hold keeps, also of one that cannot be read.

        Raises:
            NotFoundError: there is no such hold.
        """
        try:
            hold = await self._points.hold(checked_name(name))
        except CorruptionError as exc:
            return f"is altered, so the cut that it keeps is unknown: {exc}"
        if hold is None:
            raise await self._missing(name)
        point = hold.point
        over = "" if hold.holds_at(self._clock.now()) else ", and has ended"
        return (
            f"keeps the cut at offset {point.offset}, {whole_time(point.source_time)}:"
            f" {hold.reason}{over}"
        )

    async def remove(self, name: str) -> None:
        """Remove a hold, so that its cut expires like any other.

        Raises:
            NotFoundError: there is no such hold.
        """
        file = file_name(HOLDS, checked_name(name))
        if file not in await self._area.names(file):
            raise await self._missing(name)
        await self._area.delete(file)

    async def _missing(self, name: str) -> NotFoundError:
        return NotFoundError(
            f"there is no hold {name!r} on target {self._target!r}",
            hint=await self._points.nearest(name),
        )

    async def _require_unexpired(self, hold: Hold, *, had_base: bool) -> None:
        """Check for expiries that were announced meanwhile; a later expiry sees the hold.

        An expiry announced before may have missed the hold, unless another hold keeps the same cut:
        the hold is taken back, whatever became of that expiry.
        """
        offset, log_id = hold.point.offset, hold.point.log_id
        if offset >= await self._points.horizon(log_id):
            return
        others = await self._points.holds_in_force(log_id)
        if any(o.point.offset == offset and o.point.name != hold.point.name for o in others):
            return
        await self._area.delete(file_name(HOLDS, hold.point.name))
        if not had_base:  # the expiry may delete the base's files: it did not see the manifest
            await self._area.delete(manifest_name(log_id, offset))
        await self._points.refuse_expired(log_id, offset)
        # Found by a seed of the simulation: the expiry gave up between the two looks, nothing was
        # left to refuse, and an operator was told that the cut is held.
        raise TransientError(  # it gave up: the cut is there, and the hold is not
            f"an expiry was about to delete the cut at offset {offset} from the store of target"
            f" {self._target!r}, so the hold was taken back; meanwhile that expiry has given up",
            hint="run it again",
        )

    async def _require_run(self, cut: ClosedCut) -> None:
        windows, _ = await self._archive.windows()
        within = any(window.base.offset <= cut.offset < window.end for window in windows)
        if not within and cut.offset not in await self._archive.offsets():
            offsets = ", ".join(
                f"{window.base.offset} to {Offset(window.end - 1)}" for window in windows
            )
            raise GapError(
                f"the store of target {self._target!r} cannot give back the cut at offset"
                f" {cut.offset}; it can from offset {offsets or 'none yet'}"
            )

    async def _refuse_taken(self, hold: Hold) -> None:
        known = await self._points.hold(hold.point.name)
        if known is None:
            return
        if known.point.offset != hold.point.offset or known.reason != hold.reason:
            raise RefusedError(
                f"the hold {hold.point.name!r} exists on target {self._target!r}: offset"
                f" {known.point.offset}, {known.reason}",
                hint="choose another name, or first"
                f" `replicator hold remove {hold.point.name} --on {self._target}`",
            )
