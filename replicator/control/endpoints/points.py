"""Routes of restorable and held cuts, as last seen: they make no job."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from replicator.control.access.naming import refuse_unknown
from replicator.control.access.permits import require
from replicator.control.endpoints.views import View
from replicator.control.problems import Problem, problem_of
from replicator.control.routes import ApiCall, Reply, Route
from replicator.errors import ReplicatorError, TransientError
from replicator.model.event import Offset
from replicator.model.operations.access import Role
from replicator.services.inspection.chronicle import Chronicle, CutColumns, time_of
from replicator.services.inspection.points_report import (
    CutPoint,
    GapCounts,
    HoldsReport,
    ListedCut,
    NotSeen,
    PointsReport,
    TargetPoints,
    gaps_at,
    listed,
    listed_hold,
    not_seen,
    target_points,
)
from replicator.services.monitoring.status import NAMED_MAX
from replicator.web.document import SCHEMA
from replicator.web.notes import StoreNotes
from replicator.web.panorama import Panorama

CUTS_MAX: Final = 1_000
"""Number of cuts in one answer."""
OFFSET_MAX: Final = 10**18 - 1


class PointsQuery(BaseModel):
    """Selects the listed cuts: the newest, or those before an offset."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(default=20, ge=1, le=CUTS_MAX)
    all: bool = Field(default=False, description="Include cuts without a change.")
    before: int | None = Field(
        default=None, ge=0, le=OFFSET_MAX, description="`earlier` of the previous answer."
    )


class HoldsQuery(BaseModel):
    """Selects the targets whose holds are listed."""

    model_config = ConfigDict(extra="forbid")
    target: str | None = Field(default=None, max_length=63, description="Default: all.")


class SeenView(View):
    """A verb's document, as last seen."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    generated_at: datetime
    looked_at: dict[str, datetime]
    """Time of the last reading of each target's store."""


class PointsView(SeenView):
    """The document of `points --json`."""

    command: str = "points"
    result: PointsReport
    earlier: int | None
    """Value of `before` for the next page: there are more cuts before the first of `points`."""


class HoldsView(SeenView):
    """The document of `hold list --json`."""

    command: str = "hold list"
    result: HoldsReport


class PointRoutes:
    """Handlers for restorable cuts and holds.

    Args:
        panorama: What was last seen of the log and the targets' stores.
    """

    def __init__(self, panorama: Panorama) -> None:
        self._panorama, self._clock = panorama, panorama.clock

    def routes(self) -> Iterator[Route]:
        """Yield the routes."""
        yield Route(
            method="GET",
            path="/v1/points",
            operation="list_points",
            summary="The restorable cuts, their gaps, and the named points.",
            handler=self._points,
            role=Role.VIEWER,
            query=PointsQuery,
            answers={HTTPStatus.OK: PointsView},
            tag="status",
        )
        yield Route(
            method="GET",
            path="/v1/holds",
            operation="list_holds",
            summary="The held cuts, which do not expire.",
            handler=self._holds,
            role=Role.VIEWER,
            query=HoldsQuery,
            answers={HTTPStatus.OK: HoldsView},
            tag="status",
        )

    async def _points(self, call: ApiCall) -> Reply:
        query = call.queried(PointsQuery)
        await self._panorama.settled()
        chronicle = self._read_log()
        notes, failures = self._notes(
            [name for name in self._panorama.targets if call.by.may_touch([name])]
        )
        gaps = {name: one.gap_counts for name, one in notes.items()}
        cuts, first = chronicle.cuts, self._first_place(chronicle)
        if call.by.targets is not None:
            cuts = cuts.uncounted
        before = len(cuts) if query.before is None else _place(cuts, query.before)
        fits = first + np.flatnonzero((cuts.events[first:before] > 0) | query.all)
        words = self._words(chronicle) if call.by.targets is None else {}
        points = [_listed(cuts, int(index), gaps, words) for index in fits[-query.limit :]]
        report = PointsReport(
            cuts=len(cuts) - first,
            first=_point(cuts, first, gaps) if first < len(cuts) else None,
            last=_point(cuts, len(cuts) - 1, gaps) if first < len(cuts) else None,
            points=points,
            targets=[self._target(name, one) for name, one in notes.items()],
            failures=failures,
        )
        return Reply(
            content=PointsView(
                generated_at=self._clock.now(),
                looked_at={name: one.looked_at for name, one in notes.items()},
                result=report,
                earlier=points[0].offset if len(fits) > len(points) else None,
            )
        )

    async def _holds(self, call: ApiCall) -> Reply:
        target = call.queried(HoldsQuery).target
        if target is not None:
            require(call.by, [target])
            refuse_unknown([target], self._panorama.targets)
        await self._panorama.settled()
        names = [name for name in self._panorama.targets if call.by.may_touch([name])]
        notes, failures = self._notes(names if target is None else [target])
        if target is not None and failures:
            raise _away(target, self._failure(target))
        now = self._clock.now()
        report = HoldsReport(
            holds=[
                listed_hold(hold, name, now) for name, one in notes.items() for hold in one.holds
            ],
            faults=[
                f"{name}: {fault}" for name, one in notes.items() for fault in one.altered_holds
            ],
            failures=failures,
        )
        looked_at = {name: one.looked_at for name, one in notes.items()}
        return Reply(content=HoldsView(generated_at=now, looked_at=looked_at, result=report))

    def _read_log(self) -> Chronicle:
        """Return the log's chronicle, once the log was read to its end.

        Raises:
            Problem, TransientError: the log is unreachable, or was not read to its end yet.
        """
        panorama = self._panorama
        if panorama.log_failure is not None:
            raise problem_of(panorama.log_failure)
        if not panorama.is_read:
            raise TransientError(
                f"the log is being read, so far to offset {panorama.chronicle.read_until}",
                hint="ask again in a moment",
            )
        return panorama.chronicle

    def _first_place(self, chronicle: Chronicle) -> int:
        """Return the index of the first cut that the log still has."""
        log = self._panorama.poller.log
        return 0 if log is None else _place(chronicle.cuts, log.first)

    def _notes(self, targets: Sequence[str]) -> tuple[dict[str, StoreNotes], list[NotSeen]]:
        """Return the notes of each target's store, and the stores that cannot be read.

        Raises:
            Problem: a store was not read yet (503).
        """
        found, failures = dict[str, StoreNotes](), list[NotSeen]()
        for name in targets:
            notes, failure = self._panorama.notes(name), self._failure(name)
            if failure is not None:
                failures.append(not_seen(name, failure))
            elif notes is not None:
                found[name] = notes
            else:
                raise _away(name, None)
        return found, failures

    def _failure(self, target: str) -> ReplicatorError | None:
        """Return why a target's store cannot be read; None: it can, or was not tried yet."""
        panorama = self._panorama
        if (failure := panorama.notes_failure(target)) is not None:
            return failure
        return panorama.log_failure if panorama.notes(target) is None else None

    def _words(self, chronicle: Chronicle) -> Mapping[int, str]:
        return {one.cut.offset: one.words for one in chronicle.happenings}

    def _target(self, name: str, notes: StoreNotes) -> TargetPoints:
        seen, log_id = self._panorama.poller.seen.get(name), notes.windows.log_id
        checkpoint = None if seen is None else seen.status.checkpoint
        is_here = checkpoint is not None and checkpoint.log_id == log_id
        return target_points(
            name,
            until=checkpoint.offset if checkpoint is not None and is_here else None,
            gaps=notes.gaps,
            found=notes.windows if notes.windows.windows else None,
            named=notes.named,
            faults=(*notes.windows.faults, *notes.altered_points),
            other_logs=notes.other_logs,
            gaps_max=NAMED_MAX,
        )


def _away(target: str, failure: ReplicatorError | None) -> Problem:
    why = "it was not read yet" if failure is None else str(failure)
    found = Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the store of target {target!r} cannot be read at the moment: {why}",
        hint="ask again in a moment" if failure is None else failure.hint,
    )
    found.type = TransientError.__name__
    return found


def _place(cuts: CutColumns, offset: int) -> int:
    """Return the index of the first cut at or after an offset."""
    return int(np.searchsorted(cuts.offsets, offset))


def _point(cuts: CutColumns, place: int, gaps: Mapping[str, GapCounts]) -> CutPoint:
    offset = Offset(int(cuts.offsets[place]))
    return CutPoint(
        cut=int(cuts.numbers[place]),
        offset=offset,
        source_time=time_of(int(cuts.times_us[place])),
        events=int(cuts.events[place]),
        gaps=gaps_at(offset, gaps),
    )


def _listed(
    cuts: CutColumns, place: int, gaps: Mapping[str, GapCounts], words: Mapping[int, str]
) -> ListedCut:
    point = _point(cuts, place, gaps)
    return listed(point, words.get(point.offset, ""))
