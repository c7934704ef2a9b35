"""A drill's evidence, as the drilled target's store keeps it, and when the next drill is due."""

from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import Field

from replicator.errors import GapError
from replicator.model.document import HEXADECIMAL, NATURAL, Natural, NotNegative, Shape, Time
from replicator.model.event import CutNumber, Offset
from replicator.model.fingerprint import Digest, hex_digest
from replicator.model.plans.restore_point import BeforeEvent, Latest, RestorePoint, ToOffset, ToTime

FORMAT = 1
FINDINGS_MAX = 100
"""Number of findings that a bad drill's evidence keeps; their count is complete."""
PLAN, COPY, ROWS, VERIFY = "plan", "copy", "rows", "verify"
LOAD, QUERY = "load", "query"
RECOVERY = frozenset({PLAN, COPY, ROWS})
"""Steps that a real recovery has to wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyCut:
    """Any restorable cut, drawn at random."""


DrillPoint: TypeAlias = RestorePoint | AnyCut


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillStep:
    """One step of a drill."""

    name: Annotated[str, Field(alias="step")]
    """`plan`, `copy`, `rows`, `verify`, and with a Druid `load`, `query`."""
    seconds: NotNegative
    size_bytes: Annotated[Natural | None, Field(alias="bytes")] = None
    """Bytes of segments that the step moved or read; None: it reads history and rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """The restored cut, and its size."""

    cut: Annotated[CutNumber, NATURAL]
    offset: Annotated[Offset, NATURAL]
    source_time: Time
    digest: Annotated[Digest, HEXADECIMAL]
    """Digest of the source's inventory at the cut; the restored rows must have the same."""
    rows: Natural
    segments: Natural
    objects: Natural = 0
    """Number of locations whose bytes were read and checksummed after the restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A Druid's results with the restored rows and bytes."""

    release: str
    """Release of the Druid that loaded the segments, like `33.0.0`."""
    segments: Natural
    """Number of segments that the Druid served."""
    rows: Natural
    """Number of rows that were counted while every column was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The result of one drill; it never changes afterwards."""

    target: str
    """Name of the target whose store was restored."""
    source: str
    log_id: str
    point: str
    """Requested restore point: `latest`, `any`, `offset 4711`, …"""
    program: str
    """Version of the replicator."""
    started_at: Time
    ended_at: Time
    rehearsed: Annotated[Rehearsed | None, Field(alias="restored")]
    """Restore that was rehearsed; None: the drill failed before there was a plan."""
    trial: Annotated[Trial | None, Field(alias="druid")] = None
    """Result of the scratch Druid; None: no Druid was started."""
    steps: tuple[DrillStep, ...]
    findings: tuple[str, ...]
    """Differences that the verification found, at most `FINDINGS_MAX`."""
    findings_count: Natural
    failure: str | None
    """Reason why the drill did not finish; None: it did."""
    not_proved: str | None = None
    """What the drill does not prove because the witness was not consulted; None: all was proved."""

    @property
    def is_good(self) -> bool:
        """Whether the whole cut came back, and was proved."""
        return self.failure is None and self.findings_count == 0

    @property
    def recovery_s(self) -> float:
        """Duration of a recovery in seconds: everything but the proof."""
        return sum(step.seconds for step in self.steps if step.name in RECOVERY)


def drawn(windows: list[tuple[Offset, Offset]], rng: Random) -> RestorePoint:
    """Return a point within the windows, each given by its first and its last cut.

    Raises:
        GapError: there are none.
    """
    if not windows:
        raise GapError("there is no cut to draw from: the store keeps no history that is whole")
    widths = [last - first + 1 for first, last in windows]
    first, last = rng.choices(windows, widths)[0]
    return ToOffset(offset=Offset(rng.randint(first, last)))


def point_text(point: DrillPoint) -> str:
    """Return the request in words."""
    match point:
        case AnyCut():
            return "any"
        case Latest():
            return "latest"
        case ToOffset(offset=offset):
            return f"offset {offset}"
        case BeforeEvent(offset=offset):
            return f"before offset {offset}"
        case ToTime(time=time):
            return f"time {time.isoformat()}"


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """Return the document that is kept, and that `drill --json` prints; fields are only added."""
    return {
        "format": FORMAT,
        "target": evidence.target,
        "source": evidence.source,
        "log_id": evidence.log_id,
        "point": evidence.point,
        "program": evidence.program,
        "started_at": evidence.started_at,
        "ended_at": evidence.ended_at,
        "good": evidence.is_good,
        "restored": None if evidence.rehearsed is None else _rehearsed_json(evidence.rehearsed),
        "druid": None if evidence.trial is None else _trial_json(evidence.trial),
        "recovery_seconds": round(evidence.recovery_s, 3),
        "steps": [
            {"step": step.name, "seconds": round(step.seconds, 3), "bytes": step.size_bytes}
            for step in evidence.steps
        ],
        "findings_count": evidence.findings_count,
        "findings": list(evidence.findings),
        "failure": evidence.failure,
        "not_proved": evidence.not_proved,
    }


def _rehearsed_json(found: Rehearsed) -> dict[str, Any]:
    return {
        "cut": found.cut,
        "offset": found.offset,
        "source_time": found.source_time,
        "digest": hex_digest(found.digest),
        "rows": found.rows,
        "segments": found.segments,
        "objects": found.objects,
    }


def _trial_json(found: Trial) -> dict[str, Any]:
    return {"release": found.release, "segments": found.segments, "rows": found.rows}


def evidence_bytes(evidence: Evidence) -> bytes:
    """Return the file."""
    return orjson.dumps(evidence_json(evidence), option=orjson.OPT_INDENT_2) + b"\n"


_EVIDENCE = Shape(Evidence, "remove that file: it is evidence of one drill, no restore needs it")


def evidence_of(name: str, data: bytes) -> Evidence:
    """Return the evidence that a file holds.

    Raises:
        CorruptionError: it cannot be read; the message names it.
    """
    return _EVIDENCE.read(name, data)
