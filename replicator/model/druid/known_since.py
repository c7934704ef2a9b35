"""The features that each Druid release can read: one table for all checks of a target's release.

A source that is newer than a target writes rows that the target cannot read. Druid hardly reports
this: one rule of an unknown type ends every poll of a Coordinator for rules ("Exception while
polling for rules", SQLMetadataRuleManager), an unreadable segment is a line of the log ("Failed to
read segment from db", SqlSegmentsMetadataManager), and an unknown member is ignored
(DefaultObjectMapper). Each entry names its source; features that were not examined are not listed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from replicator.errors import MalformedRowError
from replicator.model.druid.load_rules import parse as rules_of
from replicator.model.druid.payload import parse
from replicator.model.druid.release import Release
from replicator.model.row import ConfigEntry, Row, Rules, Segment, Supervisor


class Sort(StrEnum):
    """Kind of a feature that a release can introduce."""

    RULE = "rule"
    SHARD_SPEC = "shard spec"
    LOAD_SPEC = "load spec"
    BINARY_VERSION = "segments of version"
    SUPERVISOR = "supervisor"
    CONFIG = "member of coordinator.config"


class Trait(NamedTuple):
    """A feature of a row that a Druid must know."""

    sort: Sort
    name: str

    @property
    def text(self) -> str:
        """The trait as text."""
        return f"{self.sort} {self.name}"


class Fate(StrEnum):
    """Treatment of a row with a trait for which the target's release is too old."""

    TRANSLATED = "translated"
    """Written in a form that the older release knows; answers have the same data."""
    UNCHANGED = "unchanged"
    """Written unchanged; an older release ignores the trait."""
    REFUSED = "refused"
    """Not written: the row becomes a gap (`newer_release`), and replication continues."""
    ASLEEP = "asleep"
    """Written suspended, like every supervisor; a promotion cannot start it."""
    NAMED = "named"
    """Never replicated: the operator sets the entry on the target, or does without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The release that introduced a trait, and the effect on an older release."""

    trait: Trait
    since: Release
    fate: Fate
    effect: str
    """What an older target would do with the row, or would lack without it."""
    source: str
    """File or experiment that shows it."""


TRANSLATED_RULES: Mapping[str, str] = {
    "loadPartialForever": "loadForever",
    "loadPartialByPeriod": "loadByPeriod",
    "loadPartialByInterval": "loadByInterval",
}
FALLS_THROUGH = "fallThrough"
"""CannotMatchBehavior with which a rule never applies to a whole segment; the only such one."""
DIM_VALUE_SET, NUMBERED = "dim_value_set", "numbered"
NEW_IN_SEGMENTS = (f'"{DIM_VALUE_SET}"', '"rangeable":true', '"binaryVersion":10')
"""Texts of segment features that not every release reads; samples are drawn for each text."""
SINGLE_FILE = "druid.segment"
"""The single file of a segment of version 10 (#18880)."""
FALLING = " with onCannotMatch fallThrough"
BOUNDED = "with boundedStreamConfig"
RANGEABLE = Trait(Sort.LOAD_SPEC, "with rangeable")

KNOWN: tuple[Known, ...] = (
    *(
        Known(
            trait=Trait(Sort.RULE, name),
            since=Release(38),
            fate=Fate.TRANSLATED,
            effect=f"written as {older}: whole segments are loaded, where parts would do",
            source=f"38.0.0's release notes, #19374; {older} extends the same LoadRule",
        )
        for name, older in TRANSLATED_RULES.items()
    ),
    *(
        Known(
            trait=Trait(Sort.RULE, name + FALLING),
            since=Release(38),
            fate=Fate.REFUSED,
            effect="no older rule says the same, and one that is not known stops all rules of a"
            " Coordinator; the datasource has the rules that it had, or the default ones",
            source="PartialLoadRule.appliesTo; `Exception while polling for rules` in 33.0.0's jar",
        )
        for name in TRANSLATED_RULES
    ),
    Known(
        trait=Trait(Sort.SHARD_SPEC, DIM_VALUE_SET),
        since=Release(38),
        fate=Fate.TRANSLATED,
        effect="written as `numbered`, which it extends: Brokers ask segments that they could skip",
        source="38.0.0's release notes, #19571; DimensionValueSetShardSpec",
    ),
    Known(
        trait=Trait(Sort.BINARY_VERSION, "10"),
        since=Release(36),
        fate=Fate.REFUSED,
        effect="no Historical could load it (`Unknown index version`), and what it replaces would"
        " be hidden by it",
        source="#18880; IndexIO in 33.0.0's jar",
    ),
    Known(
        trait=RANGEABLE,
        since=Release(38),
        fate=Fate.UNCHANGED,
        effect="passed over: the segment is loaded whole",
        source="S3LoadSpec, #19620; unknown properties are none of 33.0.0's (DefaultObjectMapper)",
    ),
    Known(
        trait=Trait(Sort.SUPERVISOR, BOUNDED),
        since=Release(38),
        fate=Fate.ASLEEP,
        effect="an older Overlord would pass over the bounds and read on for ever",
        source="38.0.0's release notes, #19372",
    ),
    Known(
        trait=Trait(Sort.SUPERVISOR, "autocompact"),
        since=Release(33),
        fate=Fate.ASLEEP,
        effect="an Overlord that does not know it runs all others",
        source="CompactionSupervisorSpec in 33.0.0's jar; earlier ones were not looked at",
    ),
    Known(
        trait=Trait(Sort.SUPERVISOR, "scheduled_batch"),
        since=Release(33),
        fate=Fate.ASLEEP,
        effect="an Overlord that does not know it runs all others",
        source="ScheduledBatchSupervisorSpec in 33.0.0's jar; earlier ones were not looked at",
    ),
    Known(
        trait=Trait(Sort.CONFIG, "historicalTierAliases"),
        since=Release(38),
        fate=Fate.NAMED,
        effect="rules that load into an alias would load nowhere: say in load_rules.tiers which"
        " tier of the target each alias is",
        source="38.0.0's release notes, #19204",
    ),
)
_BY_TRAIT = {one.trait: one for one in KNOWN}
FOLDERS_SINCE: Mapping[str, Release | None] = {
    "s3": Release(35),
    "azure": None,
    "google": None,
}
"""First release that reads folders from a deep storage of a type; None: no release yet.

S3: #18544 in 35.0.0; Azure: #20327, merged after 38.0.0 was cut; Google: #20382, open.
"""
LZ4_SINCE = Release(37)
"""HdfsDataSegmentPusher writes `index.lz4` with druid.storage.compressionFormat, #18982."""


def unknown_to(trait: Trait, release: Release) -> Known | None:
    """Return the entry of a trait that a release does not know; None: the release knows it."""
    found = _BY_TRAIT.get(trait)
    return found if found is not None and release < found.since else None


def traits(row: Row) -> frozenset[Trait]:
    """Return the traits of a row; none for a row that cannot be read at all."""
    try:
        return frozenset(_traits(row))
    except MalformedRowError:
        return frozenset()  # such a row is a gap for another reason


def _traits(row: Row) -> Iterator[Trait]:
    match row:
        case Segment(payload=payload):
            yield from _of_segment(parse(payload))
        case Rules(payload=payload):
            yield from map(of_rule, rules_of(payload))
        case Supervisor(payload=payload):
            yield from _of_supervisor(parse(payload))
        case ConfigEntry(name="coordinator.config", payload=payload):
            yield from (Trait(Sort.CONFIG, name) for name, value in parse(payload).items() if value)
        case _:
            return


def of_rule(rule: Mapping[str, Any]) -> Trait:
    """Return the trait that a Coordinator must know to read a rule."""
    name = str(rule.get("type"))
    falls = name in TRANSLATED_RULES and rule.get("onCannotMatch") == FALLS_THROUGH
    return Trait(Sort.RULE, name + FALLING if falls else name)


def _of_segment(payload: Mapping[str, Any]) -> Iterator[Trait]:
    shard_spec, load_spec = payload.get("shardSpec"), payload.get("loadSpec")
    if isinstance(shard_spec, dict):
        yield Trait(Sort.SHARD_SPEC, str(shard_spec.get("type")))
    if isinstance(load_spec, dict):
        type_ = str(load_spec.get("type"))
        yield Trait(Sort.LOAD_SPEC, type_)
        if load_spec.get("rangeable"):
            yield RANGEABLE
    if (version := payload.get("binaryVersion")) is not None:
        yield Trait(Sort.BINARY_VERSION, str(version))


def _of_supervisor(payload: Mapping[str, Any]) -> Iterator[Trait]:
    yield Trait(Sort.SUPERVISOR, str(payload.get("type")))
    spec = payload.get("spec")
    io = spec.get("ioConfig") if isinstance(spec, dict) else None
    if isinstance(io, dict) and io.get("boundedStreamConfig"):
        yield Trait(Sort.SUPERVISOR, BOUNDED)
