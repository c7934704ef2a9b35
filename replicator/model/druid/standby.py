"""Runtime properties that a Druid needs before it can be a standby, and the reasons.

The defaults are those of Druid 33 and 37: `CoordinatorKillConfigs`, `MetadataCleanupConfig`,
`SegmentsMetadata…`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

_HISTORY = "it deletes rows that a restore to an earlier point needs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A required value of a runtime property of the Coordinator or Overlord."""

    name: str
    wanted: str
    default: str
    """Druid's default value of the setting."""
    reason: str


REQUIREMENTS = (
    Requirement(
        name="druid.coordinator.kill.on",
        wanted="false",
        default="false",
        reason="a kill task deletes bytes of segments that a restore needs",
    ),
    Requirement(
        name="druid.coordinator.kill.datasource.on",
        wanted="false",
        default="true",
        reason="it deletes stream offsets by their created_date, so those of old streams at once",
    ),
    Requirement(
        name="druid.coordinator.kill.supervisor.on",
        wanted="false",
        default="true",
        reason=_HISTORY,
    ),
    Requirement(
        name="druid.coordinator.kill.rule.on", wanted="false", default="true", reason=_HISTORY
    ),
    Requirement(
        name="druid.coordinator.kill.compaction.on",
        wanted="false",
        default="true",
        reason="it deletes compaction settings of datasources whose segments come a moment later",
    ),
    Requirement(
        name="druid.coordinator.kill.segmentSchema.on",
        wanted="false",
        default="true",
        reason="it deletes schemas of segments whose rows come, or come back, a moment later",
    ),
    Requirement(
        name="druid.manager.segments.killUnused.enabled",
        wanted="false",
        default="false",
        reason="the Overlord deletes bytes of segments that a restore needs",
    ),
)


class Verdict(Enum):
    """Whether a Coordinator's properties meet a requirement."""

    GOOD = "good"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A requirement, and the cluster's value for it."""

    requirement: Requirement
    verdict: Verdict
    found: str
    """The property's value, or its default in brackets."""


def judge(properties: Mapping[str, str]) -> tuple[Judged, ...]:
    """Compare a Coordinator's properties with the requirements of a standby."""
    judged = []
    for one in REQUIREMENTS:
        stated = properties.get(one.name)
        value = one.default if stated is None else stated.strip().lower()
        judged.append(
            Judged(
                requirement=one,
                verdict=Verdict.GOOD if value == one.wanted else Verdict.WRONG,
                found=f"({one.default})" if stated is None else stated,
            )
        )
    return tuple(judged)
