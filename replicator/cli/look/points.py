"""`points`: lists the cuts that can be restored, and their gaps."""

from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Annotated

import typer

from replicator.app import Application
from replicator.app.wiring.stores import OpenStore
from replicator.app.wiring.target import store_of
from replicator.cli.command import Changes, OpenCall, Outcome
from replicator.cli.each_target import of_each
from replicator.cli.points_text import points_outcome
from replicator.cli.terminal.screen import Screen
from replicator.cli.terminal.typed import LIST_MAX
from replicator.cli.verb import FromStore, LogId, verb
from replicator.errors import GapError, ReplicatorError, TransientError
from replicator.model.checkpoint import Gap
from replicator.model.event import Offset
from replicator.model.store.holds import NamedPoint
from replicator.services.history.reader import History
from replicator.services.inspection.happenings import happenings
from replicator.services.inspection.points_report import (
    NotSeen,
    PointsReport,
    TargetPoints,
    cut_point,
    gap_counts,
    listed,
    not_seen,
    target_points,
)
from replicator.services.records.store_id import require_own_store, store_id_fault
from replicator.services.store.archived_log import other_logs
from replicator.services.store.windows import windows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The cuts that one target's store can restore, and the gaps in them."""

    gaps: tuple[Gap, ...]
    points: TargetPoints


@verb("points", changes=Changes.NEVER)
async def points(
    call: OpenCall,
    from_: FromStore = None,
    log_id: LogId = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=LIST_MAX, help="Show at most N cuts, newest last.")
    ] = 20,
    all_: Annotated[bool, typer.Option("--all", help="Also list cuts without a change.")] = False,
) -> Outcome:
    """List the cuts that can be restored, the gaps in them, and the named points."""
    application = call.application
    if from_ is None:
        history = application.history
        await _require_log(application)
        failures: list[NotSeen] = []
        seen, away = await of_each(
            application.target_names, partial(_kept, application, failures=failures)
        )
        kept, failures = list(seen.values()), sorted([*failures, *away], key=attrgetter("target"))
    else:
        store = await application.store(from_, log_id=log_id)
        named = await application.points(from_).points()
        history, kept, failures = store.history, [await _kept_alone(store, *named)], []
    span = await history.span()
    cuts = await history.cuts(span.first, span.end)
    shown = [cut for cut in cuts if all_ or cut.closed.count][-limit:]
    happened = await _happened(history, limit, call.screen)
    gaps = gap_counts({one.points.target: one.gaps for one in kept})
    return points_outcome(
        PointsReport(
            cuts=len(cuts),
            first=cut_point(cuts[0], gaps) if cuts else None,
            last=cut_point(cuts[-1], gaps) if cuts else None,
            points=[listed(cut_point(cut, gaps), happened.get(cut.offset, "")) for cut in shown],
            targets=[one.points for one in kept],
            failures=failures,
        ),
        store=from_,
    )


async def _require_log(application: Application) -> None:
    """Suggest targets' stores, which have the history as well, if the log cannot be read."""
    try:
        await application.history.span()
    except TransientError as exc:
        stores = ", ".join(f"`replicator points --from {one}`" for one in application.target_names)
        raise TransientError(
            f"the log cannot be read: {exc}", hint=f"without the log, ask a store: {stores}"
        ) from exc


async def _happened(history: History, limit: int, screen: Screen) -> dict[Offset, str]:
    """Return what happened in the newest cuts; nothing if some of their events are gone."""
    try:
        found = await happenings(history, limit=limit, observer=screen.observe)
    except GapError:
        return {}
    return {one.cut.offset: one.words for one in found}


async def _kept(application: Application, name: str, *, failures: list[NotSeen]) -> _Kept:
    """Return what a target's store keeps, without gaps if the target's database is away."""
    target, source = application.target(name), application.source.name
    log_id = (await application.history.span()).log_id
    until, gaps = None, tuple[Gap, ...]()
    try:
        state = await target.metadata.state(source)
        until = state.reached_in(log_id)
        gaps = tuple(await target.metadata.gaps(source, log_id))
    except ReplicatorError as exc:
        failures.append(not_seen(name, exc))
    else:
        await require_own_store(name, state, target.area(), application.history)
    found = await windows(store_of(target), log_id, application.points(name))
    named, faults = await application.points(name).points()
    if found.windows and (fault := await store_id_fault(target.area())) is not None:
        faults.append(fault)
    known = target_points(
        name,
        until=until,
        gaps=gaps,
        found=found if found.windows else None,
        named=named,
        faults=(*found.faults, *faults),
        other_logs=await other_logs(target.area(), log_id),
    )
    return _Kept(gaps=gaps, points=known)


async def _kept_alone(store: OpenStore, named: list[NamedPoint], faults: list[str]) -> _Kept:
    found = store.windows
    known = target_points(
        store.target.name,
        until=found.windows[-1].last.offset,
        gaps=found.gaps,
        found=found,
        named=(point for point in named if point.log_id == found.log_id),
        faults=(*found.faults, *faults),
        other_logs=await other_logs(store.target.area(), found.log_id),
        testimony=store.testimony,
    )
    return _Kept(gaps=found.gaps, points=known)
