"""What a target is told before anything is applied to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from replicator.errors import NotFoundError, RefusedError
from replicator.model.druid.druid_tables import TableRelease
from replicator.model.druid.load_rules import LoadRules
from replicator.model.druid.promotion import SupervisorState
from replicator.model.druid.standby import REQUIREMENTS, Verdict, judge
from replicator.ports import Obstacle
from replicator.services.standby.creation import Created, create
from replicator.services.standby.skew import Skew
from tests.builders import config_entry, json_bytes, rules
from tests.unit.pipeline import Pipeline

HOT = {"type": "loadForever", "tieredReplicants": {"hot": 1, "_default_tier": 1}}
ICE = {"type": "loadForever", "tieredReplicants": {"ice": 1}}


@dataclass
class Place:
    """A metadata store and a deep storage before anything is there."""

    has_tables: bool = False
    releases: list[str | None] = field(default_factory=list)
    folders: int = 0

    async def create(self, release: str | None = None, *, centralized: bool = False) -> bool:
        self.releases.append(release)
        if not self.has_tables and release is None:
            raise NotFoundError("there are no tables of a Druid")
        return not self.has_tables

    async def obstacles(self) -> Sequence[Obstacle]:
        return [] if self.has_tables else [Obstacle(what="no key", remedy="make one")]


class Folder:
    def __init__(self) -> None:
        self.made = 0

    async def create(self) -> None:
        self.made += 1


@dataclass
class Druid:
    said: Mapping[str, str]
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)

    async def release(self) -> str:
        return "33.0.0"

    async def properties(self) -> Mapping[str, str]:
        return self.said

    async def tier_aliases(self) -> Mapping[str, Sequence[str]]:
        return self.aliases

    async def tiers(self) -> frozenset[str]:
        return frozenset({"_default_tier"})

    async def supervisor(self, id_: str) -> SupervisorState | None:
        return None

    async def supervise(self, spec: bytes) -> None:
        raise AssertionError


async def unknown_releases() -> Skew:
    return Skew(source=None, target=None)


async def nothing_found() -> TableRelease | None:
    return None


async def created(
    place: Place,
    druid: Druid | None,
    *,
    release: str | None = None,
    load_rules: LoadRules,
    found_out: Callable[[], Awaitable[TableRelease | None]] = nothing_found,
) -> Created:
    pipeline = Pipeline()
    pipeline.publish(rules("wiki", payload=json_bytes([HOT])))
    pipeline.publish(rules("orders", payload=json_bytes([ICE])))
    dynamic = {"historicalTierAliases": {"ice": ["ice_1", "ice_2"], "warm": ["warm_1"]}}
    pipeline.publish(config_entry("coordinator.config", payload=json_bytes(dynamic)))
    return await create(
        metadata=place,
        storage=Folder(),
        druid=druid,
        source=pipeline.source,
        skew=unknown_releases,
        load_rules=load_rules,
        release=release,
        found_out=found_out,
        centralized=False,
    )


async def test_tables_are_made_for_the_release_that_was_said():
    place = Place()
    with pytest.raises(RefusedError, match="no rows yet that tell its release") as caught:
        await created(place, None, load_rules=LoadRules())
    assert "--druid-release" in caught.value.hint
    done = await created(place, None, release="33.0.0", load_rules=LoadRules())
    assert (done.tables_made, done.judged, done.tiers_missing) == (True, None, ())
    assert done.obstacles == (Obstacle(what="no key", remedy="make one"),)


async def test_tables_that_nobody_named_are_those_that_are_needed():
    """They are asked for only where there are none, and what was said comes first."""
    needed = TableRelease(release="33", centralized=True, because="the source has them")
    asked: list[int] = []

    async def found_out() -> TableRelease | None:
        asked.append(1)
        return needed

    place = Place()
    done = await created(place, None, load_rules=LoadRules(), found_out=found_out)
    assert (done.tables_made, done.tables, place.releases) == (True, needed, [None, "33"])
    said = await created(
        Place(), None, release="37.0.0", load_rules=LoadRules(), found_out=found_out
    )
    there = await created(Place(has_tables=True), None, load_rules=LoadRules(), found_out=found_out)
    assert (said.tables, there.tables, len(asked)) == (None, None, 1)


async def test_tiers_that_the_target_does_not_have_are_named_by_their_new_names():
    place, druid = Place(has_tables=True), Druid({})
    done = await created(place, druid, load_rules=LoadRules())
    assert done.tiers_missing == ("hot", "ice")
    mapped = LoadRules(tiers={"hot": "_default_tier", "ice": "cold"})
    assert (await created(place, druid, load_rules=mapped)).tiers_missing == ("cold",)


async def test_an_alias_is_a_tier_where_the_target_knows_one_of_its_own():
    """A Druid 38 loads into each tier of an alias, and of one that it does not know into none."""
    place = Place(has_tables=True)
    for aliases, missing in (
        ({}, ("hot", "ice")),
        ({"ice": ["_default_tier", "gone"]}, ("hot",)),
        ({"ice": ["gone"], "hot": ["_default_tier"]}, ("ice",)),
    ):
        done = await created(place, Druid({}, aliases), load_rules=LoadRules())
        assert done.tiers_missing == missing
        assert done.aliases_missing == ({"ice": ["ice_1", "ice_2"]} if "ice" in missing else {})


def test_a_setting_that_nobody_made_counts_as_druids_default():
    judged = {one.requirement.name: one for one in judge({})}
    wrong = {name for name, one in judged.items() if one.verdict is Verdict.WRONG}
    assert wrong == {one.name for one in REQUIREMENTS if one.default != one.wanted}
    assert judged["druid.coordinator.kill.rule.on"].found == "(true)"


def test_all_settings_made_are_good():
    said = {one.name: one.wanted.upper() for one in REQUIREMENTS}
    assert {one.verdict for one in judge(said)} == {Verdict.GOOD}
