"""What `points` and `hold list` say, as plain values: of a look just now, or of the last one.

The fields are those of `--json`; fields are only added.
"""

import sys
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from replicator.errors import ReplicatorError
from replicator.model.checkpoint import Gap, newest
from replicator.model.event import ClosedCut, Offset
from replicator.model.store.holds import Hold, NamedPoint
from replicator.model.store.testimony import Testimony
from replicator.services.store.windows import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPlace:
    """A cut and where it is in the log."""

    cut: int
    offset: int
    source_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPoint(CutPlace):
    """A cut that a target can be brought to."""

    events: int
    gaps: dict[str, int]
    """Number of rows that each target would lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCut(CutPoint):
    """The same in a list."""

    what: str
    """What happened in it, in words; empty: nothing, or it is not known any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpan:
    """A store restores each cut between these two by itself."""

    first: CutPlace
    last: CutPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCut:
    """A cut before the horizon that a hold keeps."""

    name: str
    offset: int
    reason: str
    source_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPoint:
    """A named point of a store."""

    name: str
    offset: int
    cut: int
    source_time: datetime
    created_at: datetime
    expired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownGap:
    """A row that a target lacks from one offset to another."""

    kind: str
    """What kind of row it is; the key alone can be that of several."""
    row: str
    datasource: str
    reason: str
    detail: str
    from_offset: int
    to_offset: int | None
    """Null: it still lacks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSays:
    """Whether a store has its newest cuts, by its witness."""

    witness: str
    verdict: str
    """`newest`, `lost`, `unknown` or `not asked`."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPoints:
    """What one target can be restored to."""

    target: str
    checkpoint_offset: int | None
    log_id: str | None
    """Null: its store keeps no history of this log."""
    other_logs: list[str]
    """Ids of further logs whose histories its store keeps."""
    windows: list[WindowSpan]
    held: list[HeldCut]
    expired_before: int
    named: list[KnownPoint]
    faults: list[str]
    """Damage in its store."""
    gaps: list[KnownGap]
    """The API lists the newest, the verb all."""
    gap_count: int
    """Number of all gaps, those that are closed as well."""
    witness: WitnessSays | None = None
    """What its witness says; null: it has none, or its store alone was not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSeen:
    """A target that could not be looked at, or not at all of it."""

    target: str
    type: str
    """Class of the error, which decides the exit code."""
    message: str
    hint: str | None


def not_seen(target: str, error: ReplicatorError) -> NotSeen:
    """Return why a target could not be looked at."""
    return NotSeen(target=target, type=type(error).__name__, message=str(error), hint=error.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsReport:
    """The cuts of a log, and what can be restored to them."""

    cuts: int
    """Number of all cuts."""
    first: CutPoint | None
    last: CutPoint | None
    points: list[ListedCut]
    """Some of them, the newest last."""
    targets: list[TargetPoints]
    failures: list[NotSeen] = field(default_factory=list)
    """What could not be seen of the targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedHold:
    """A hold of one target."""

    name: str
    log_id: str
    offset: int
    cut: int
    source_time: datetime
    created_at: datetime
    target: str
    reason: str
    until: datetime | None
    """When the hold ends by itself; null: it has no end."""
    in_force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldsReport:
    """The holds of some targets, those that have ended as well."""

    holds: list[ListedHold]
    faults: list[str]
    """Holds that cannot be read."""
    failures: list[NotSeen] = field(default_factory=list)
    """Targets whose stores could not be read."""


def target_points(
    target: str,
    *,
    until: Offset | None,
    gaps: Sequence[Gap],
    found: Windows | None,
    named: Iterable[NamedPoint],
    faults: Iterable[str],
    other_logs: Iterable[str],
    testimony: Testimony | None = None,
    gaps_max: int | None = None,
) -> TargetPoints:
    """Return what a target can be restored to.

    Args:
        target: Its name.
        until: The cut that it is at.
        gaps: Its gaps, those that are closed as well.
        found: Windows of its own store; None: it keeps no history of this log.
        named: The named points of its store.
        faults: Damage that was found in the store.
        other_logs: Ids of further logs whose histories the store keeps.
        testimony: What its witness says of the store; None: no witness was queried.
        gaps_max: Number of its newest gaps that are listed; None: all.
    """
    return TargetPoints(
        target=target,
        checkpoint_offset=until,
        log_id=found.log_id if found else None,
        other_logs=list(other_logs),
        windows=[
            WindowSpan(first=_place(one.first), last=_place(one.last))
            for one in (found.windows if found else ())
        ],
        held=[_held(hold) for hold in (found.holds if found else ())],
        expired_before=found.horizon if found else 0,
        named=[_known(point, found) for point in named],
        faults=list(faults),
        gaps=[_gap(gap) for gap in (gaps if gaps_max is None else newest(gaps, gaps_max))],
        gap_count=len(gaps),
        witness=None
        if testimony is None
        else WitnessSays(
            witness=testimony.witness, verdict=testimony.verdict.value, detail=testimony.text
        ),
    )


class GapCounts:
    """How many gaps each cut has, counted in a time that grows little with their number."""

    def __init__(self, gaps: Iterable[Gap]) -> None:
        last = sys.maxsize  # an open gap closes after all cuts
        spans = [(one.opened, last if one.closed is None else one.closed) for one in gaps]
        # One that was closed where it opened was healed: no cut lacks the row.
        held = [(opened, closed) for opened, closed in spans if opened < closed]
        self._opened = sorted(opened for opened, _ in held)
        self._closed = sorted(closed for _, closed in held)

    def at(self, offset: int) -> int:
        """Return how many gaps the cut closed at `offset` has."""
        return bisect_right(self._opened, offset) - bisect_right(self._closed, offset)


def gap_counts(gaps: Mapping[str, Iterable[Gap]]) -> dict[str, GapCounts]:
    """Return the counts of each target."""
    return {target: GapCounts(found) for target, found in gaps.items()}


def cut_point(cut: ClosedCut, gaps: Mapping[str, GapCounts]) -> CutPoint:
    """Return a cut with how many rows each target would lack in it."""
    return CutPoint(
        cut=cut.closed.cut,
        offset=cut.offset,
        source_time=cut.closed.source_time,
        events=cut.closed.count,
        gaps=gaps_at(cut.offset, gaps),
    )


def listed(point: CutPoint, what: str) -> ListedCut:
    """Return a cut as lists have it."""
    return ListedCut(
        cut=point.cut,
        offset=point.offset,
        source_time=point.source_time,
        events=point.events,
        gaps=point.gaps,
        what=what,
    )


def gaps_at(offset: int, gaps: Mapping[str, GapCounts]) -> dict[str, int]:
    """Return how many rows each target would lack in a cut."""
    return {target: found.at(offset) for target, found in gaps.items()}


def listed_hold(hold: Hold, target: str, now: datetime) -> ListedHold:
    """Return a hold as lists have it."""
    point = hold.point
    return ListedHold(
        name=point.name,
        log_id=point.log_id,
        offset=point.offset,
        cut=point.cut,
        source_time=point.source_time,
        created_at=point.created_at,
        target=target,
        reason=hold.reason,
        until=hold.until,
        in_force=hold.holds_at(now),
    )


def _place(cut: ClosedCut) -> CutPlace:
    closed = cut.closed
    return CutPlace(cut=closed.cut, offset=cut.offset, source_time=closed.source_time)


def _held(hold: Hold) -> HeldCut:
    point = hold.point
    return HeldCut(
        name=point.name, offset=point.offset, reason=hold.reason, source_time=point.source_time
    )


def _known(point: NamedPoint, found: Windows | None) -> KnownPoint:
    return KnownPoint(
        name=point.name,
        offset=point.offset,
        cut=point.cut,
        source_time=point.source_time,
        created_at=point.created_at,
        expired=found is not None and found.has_expired(point.log_id, point.offset),
    )


def _gap(gap: Gap) -> KnownGap:
    return KnownGap(
        kind=gap.kind.value,
        row=gap.key,
        datasource=gap.datasource,
        reason=gap.reason,
        detail=gap.detail,
        from_offset=gap.opened,
        to_offset=gap.closed,
    )
