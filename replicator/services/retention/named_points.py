"""Named points: give cuts names."""

from collections.abc import Mapping

from replicator.errors import NotFoundError, RefusedError
from replicator.model.event import ClosedCut
from replicator.model.operations.words import whole_time
from replicator.model.plans.restore_point import RestorePoint
from replicator.model.store.holds import (
    POINTS,
    NamedPoint,
    checked_name,
    file_name,
    point_at,
    point_json,
)
from replicator.ports import Area, Clock
from replicator.services.history.reader import History
from replicator.services.store.points import StorePoints


class Naming:
    """The named points in the stores of several targets.

    Args:
        areas: Areas of the targets, by the targets' names.
        points: Holds and points of their stores, by the same names.
        history: History in which the cuts are found.
        clock: Clock that dates a point.
    """

    def __init__(
        self,
        *,
        areas: Mapping[str, Area],
        points: Mapping[str, StorePoints],
        history: History,
        clock: Clock,
    ) -> None:
        self._areas, self._points = areas, points
        self._history, self._clock = history, clock

    async def create(self, name: str, point: RestorePoint) -> NamedPoint:
        """Give a cut a name in every store.

        Raises:
            RefusedError: a store has another point of that name; nothing was changed.
            GapError: there is no such cut, or it has expired in a store.
            TransientError: a store is unreachable; the same call finishes what was started.
        """
        cut, log_id = await self.cut(point)
        named = point_at(cut, name=name, log_id=log_id, now=self._clock.now())
        for target, points in self._points.items():
            await points.refuse_expired(log_id, cut.offset)
            await self._refuse_taken(target, points, named)
        for target, area in self._areas.items():
            if not await area.create(file_name(POINTS, name), point_json(named)):
                await self._refuse_taken(target, self._points[target], named)
        return named

    async def cut(self, point: RestorePoint) -> tuple[ClosedCut, str]:
        """Return the cut of a restore point, and the log that it is in."""
        return await self._history.find(point), (await self._history.span()).log_id

    async def remove(self, name: str) -> None:
        """Remove a name from every store.

        Raises:
            NotFoundError: no store has that name.
        """
        file, found = file_name(POINTS, checked_name(name)), False
        for area in self._areas.values():
            if file in await area.names(file):
                await area.delete(file)
                found = True
        if not found:
            meant = [await points.nearest(name) for points in self._points.values()]
            hint = max(meant, key=len, default="")  # one that suggests a name says more
            raise NotFoundError(f"there is no point {name!r}", hint=hint)

    async def _refuse_taken(self, target: str, points: StorePoints, named: NamedPoint) -> None:
        known = await points.named(named.name)
        if known is None:
            return
        if (known.log_id, known.offset) != (named.log_id, named.offset):
            raise RefusedError(
                f"the point {named.name!r} exists on target {target!r}: offset {known.offset},"
                f" {whole_time(known.source_time)}",
                hint=f"choose another name, or first `replicator points remove {named.name}"
                f" --target {target}`",
            )
