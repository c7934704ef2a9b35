"""Named points of one store over weeks: made, forgotten, and held before they would expire."""

from datetime import timedelta

import pytest

from replicator.model.operations.rotation import Period, Tier
from replicator.model.plans.restore_point import ToOffset
from replicator.services.retention.named_points import Naming
from replicator.services.retention.point_rotation import (
    REASON,
    PointRotation,
    Rotated,
    RotationRules,
)
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Store
from tests.builders import segment
from tests.unit.pipeline import Pipeline

DAY_S = 86_400
RULES = RotationRules(
    prefix="auto",
    tiers=[
        Tier(each=Period.ALL, keep=timedelta(days=3)),
        Tier(each=Period.WEEK, keep=timedelta(days=60)),
    ],
    retention=timedelta(days=20),
)


class Weeks:
    """A store that is filled and rotated once a day."""

    def __init__(self) -> None:
        self.pipeline, self.day = Pipeline(), 0

    @property
    def points(self) -> StorePoints:
        return StorePoints(Store(self.pipeline.area), clock=self.pipeline.clock)

    def naming(self) -> Naming:
        return Naming(
            areas={"standby": self.pipeline.area},
            points={"standby": self.points},
            history=self.pipeline.history(),
            clock=self.pipeline.clock,
        )

    async def rotates(self, rules: RotationRules = RULES) -> Rotated:
        rotation = PointRotation(
            self.naming(), self.pipeline.holds(), self.points, clock=self.pipeline.clock
        )
        return await rotation.rotate(rules)

    async def passes(self, days: int, rules: RotationRules = RULES) -> Rotated:
        rotated = None
        for _ in range(days):
            self.day += 1
            self.pipeline.publish(segment(f"d{self.day}"))
            await self.pipeline.cut(move_s=DAY_S)
            await self.pipeline.follow()
            rotated = await self.rotates(rules)
        assert rotated is not None
        return rotated

    async def named(self) -> set[str]:
        return {point.name for point in (await self.points.points())[0]}

    async def held(self) -> set[str]:
        return {hold.point.name for hold in await self.points.holds()}


async def test_points_are_named_forgotten_and_held_before_they_expire():
    weeks = Weeks()
    rotated = await weeks.passes(28)
    names = await weeks.named()
    assert rotated.made is not None
    assert rotated.made.name in names
    assert set(rotated.kept) == names
    assert len(names) == 4 + 5  # three days and today, four Mondays, and the day it began
    now = weeks.pipeline.clock.now()
    old = {
        point.name
        for point in (await weeks.points.points())[0]
        if now - point.source_time > timedelta(days=10)
    }
    assert await weeks.held() == old
    assert len(old) >= 2
    assert rotated.lost == []


async def test_a_cut_that_has_a_name_gets_no_other_and_nothing_else_changes():
    weeks = Weeks()
    first = await weeks.passes(5)
    again = await weeks.rotates()
    assert again.made is None
    assert (again.removed, again.held) == ([], [])
    assert set(again.kept) == set(first.kept)


async def test_what_others_named_or_held_is_left_alone():
    weeks = Weeks()
    await weeks.passes(1)
    naming = weeks.naming()
    cut, _ = await naming.cut(ToOffset(offset=(await weeks.points.points())[0][0].offset))
    await naming.create("release-7", ToOffset(offset=cut.offset))
    holds = weeks.pipeline.holds()
    await holds.create("auto-audit", ToOffset(offset=cut.offset), reason="the auditors", until=None)
    await weeks.passes(40, RotationRules(prefix="auto", tiers=[RULES.tiers[0]], retention=None))
    assert {"release-7"} <= await weeks.named()
    assert await weeks.held() == {"auto-audit"}


async def test_a_point_that_no_tier_keeps_any_more_loses_its_hold_and_its_name():
    weeks = Weeks()
    await weeks.passes(28)
    held = await weeks.held()
    assert held
    await weeks.rotates(RotationRules(prefix="auto", tiers=[], retention=timedelta(days=20)))
    assert await weeks.held() == set()
    assert len(await weeks.named()) == 1


@pytest.mark.parametrize("prefix", ["auto", "other"])
async def test_each_prefix_is_a_rotation_of_its_own(prefix: str):
    weeks = Weeks()
    await weeks.passes(2)
    await weeks.rotates(RotationRules(prefix="other", tiers=[], retention=None))
    names = await weeks.named()
    assert len({name for name in names if name.startswith(f"{prefix}-")}) == (
        2 if prefix == "auto" else 1
    )
    assert all(hold.reason == REASON for hold in await weeks.points.holds())
