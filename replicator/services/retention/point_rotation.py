"""Names the newest cut of a store, and keeps older named points grandfather-father-son."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from replicator.errors import GapError
from replicator.model.operations.rotation import Rotating, RotationPlan, Tier, rotation
from replicator.model.plans.restore_point import Latest, ToOffset
from replicator.model.store.holds import Hold, NamedPoint
from replicator.ports import Clock
from replicator.services.retention.holds import Holds
from replicator.services.retention.named_points import Naming
from replicator.services.store.points import StorePoints

STAMP = "%Y%m%dT%H%M%SZ"
REASON = "kept by `replicator points rotate`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """Result of one rotation."""

    made: NamedPoint | None
    """Name of the new point; None: the newest cut had a name already."""
    removed: Sequence[str]
    held: Sequence[str]
    kept: Sequence[str]
    lost: Sequence[str]
    """Points whose cuts had expired before they could be held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationRules:
    """Rules for the points that a rotation makes and keeps."""

    prefix: str
    """Beginning of the points' names; other points are left alone."""
    tiers: Sequence[Tier]
    retention: timedelta | None
    """Time after which cuts without a hold expire."""
    time_zone: str = "UTC"


class PointRotation:
    """Rotates the points in one target's store.

    A point is only a name while the retention keeps its cut anyway, and a hold after that: a hold
    has an inventory of its own in the store, a name has none.

    Args:
        naming: Names cuts in that store.
        holds: Keeps cuts from expiring.
        points: Reads names and holds.
        clock: Clock by which points age.
    """

    def __init__(self, naming: Naming, holds: Holds, points: StorePoints, *, clock: Clock) -> None:
        self._naming, self._holds, self._points = naming, holds, points
        self._clock = clock

    async def rotate(self, rules: RotationRules) -> Rotated:
        """Name the newest cut, then keep what a tier keeps; a repeated call finishes.

        Raises:
            CorruptionError: a hold cannot be read; nothing was changed.
            GapError: there is no cut yet.
            TransientError: the store is unreachable.
        """
        held = {hold.point.name: hold for hold in await self._points.holds()}
        made = await self._made(rules, held)
        named, _ = await self._points.points()
        plan = rotation(
            _rotating(rules.prefix, named, list(held.values())),
            rules.tiers,
            now=self._clock.now(),
            retention=rules.retention,
            time_zone=rules.time_zone,
        )
        names = {point.name for point in named}
        lost = await self._carry_out(plan, {point.name: point for point in named}, names)
        return Rotated(
            made=made,
            removed=[point.name for point in plan.remove],
            held=[point.name for point in plan.hold if point.name not in lost],
            kept=[point.name for point in plan.keep if point.name not in lost],
            lost=lost,
        )

    async def _made(self, rules: RotationRules, held: dict[str, Hold]) -> NamedPoint | None:
        cut, _ = await self._naming.cut(Latest())
        name = f"{rules.prefix}-{cut.closed.source_time.strftime(STAMP)}"
        if name in held or await self._points.named(name) is not None:
            return None
        return await self._naming.create(name, ToOffset(offset=cut.offset))

    async def _carry_out(
        self, plan: RotationPlan, named: dict[str, NamedPoint], names: set[str]
    ) -> list[str]:
        """Hold first, then forget names: in between a cut is kept twice rather than not at all."""
        lost = []
        for point in plan.hold:
            try:
                await self._holds.create(
                    point.name,
                    ToOffset(offset=named[point.name].offset),
                    reason=REASON,
                    until=None,
                )
            # The operator had let more time pass between two rotations than the retention keeps.
            except GapError:
                lost.append(point.name)
        for point in plan.remove:
            if point.is_held:
                await self._holds.remove(point.name)
            if point.name in names:
                await self._naming.remove(point.name)
        for name in (name for name in lost if name in names):
            await self._naming.remove(name)
        return lost


def _rotating(prefix: str, named: Sequence[NamedPoint], held: Sequence[Hold]) -> list[Rotating]:
    """Return the points that rotations have made, by their names and reasons."""
    ours = {h.point.name: h.point for h in held if h.reason == REASON}
    found = {p.name: p for p in named if p.name.startswith(f"{prefix}-")} | {
        name: point for name, point in ours.items() if name.startswith(f"{prefix}-")
    }
    return [
        Rotating(name=name, time=point.source_time, is_held=name in ours)
        for name, point in found.items()
    ]
