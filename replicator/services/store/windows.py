"""What can be restored from a store alone: windows, and the gaps in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from replicator.model.checkpoint import Gap
from replicator.model.event import ClosedCut, Offset
from replicator.model.store.holds import Hold
from replicator.services.store.archived_log import ArchivedLog, about_fault, archived_gaps
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class CutWindow:
    """First and last cut of a window: each cut between them can be restored, gaps apart."""

    first: ClosedCut
    last: ClosedCut


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """All history of one log in one store."""

    log_id: str
    horizon: Offset
    """Offset before which cuts have expired, unless a hold keeps them."""
    holds: tuple[Hold, ...]
    """Holds on cuts before the horizon; these cuts can still be restored."""
    windows: tuple[CutWindow, ...]
    """Windows, oldest first; between two of them are cuts that the store cannot restore."""
    gaps: tuple[Gap, ...]
    faults: tuple[str, ...]
    """Messages for missing or altered files that the search has met."""

    def has_expired(self, log_id: str, offset: Offset) -> bool:
        """Return whether a cut of a log has expired, and no hold keeps it."""
        if log_id != self.log_id or offset >= self.horizon:
            return False
        return all(hold.point.offset != offset for hold in self.holds)


async def windows(store: Store, log_id: str, points: StorePoints) -> Windows:
    """Return what can be restored from a store, by the names of its files and their ends."""
    archive = ArchivedLog(store, log_id)
    ends = await archive.pass_over_altered_end()
    horizon = await points.horizon(log_id)
    runs, faults = await archive.windows_from(horizon)
    about = await about_fault(store.area, log_id) if archive.listed_end is not None else None
    holds, altered = await points.readable_holds()
    found = [CutWindow(first=run.base.cut, last=await archive.last_cut(run)) for run in runs]
    return Windows(
        log_id=log_id,
        horizon=horizon,
        holds=tuple(
            hold
            for hold in holds
            if hold.point.log_id == log_id
            and hold.point.offset < horizon
            and hold.holds_at(points.now())
        ),
        windows=_joined(found),
        gaps=tuple(await archived_gaps(store.area, log_id)),
        faults=(*ends, *faults, *altered, *([about] if about else [])),
    )


def _joined(found: Sequence[CutWindow]) -> tuple[CutWindow, ...]:
    """Join windows with no cut between them: a base of the next cut is no hole."""
    joined = list[CutWindow]()
    for one in found:
        if joined and joined[-1].last.closed.cut + 1 == one.first.closed.cut:
            joined[-1] = CutWindow(first=joined[-1].first, last=one.last)
        else:
            joined.append(one)
    return tuple(joined)


def newest(found: Sequence[Windows]) -> Windows | None:
    """Return the history that reaches furthest; None if none has a cut."""
    with_cuts = [one for one in found if one.windows]
    return max(with_cuts, key=lambda one: one.windows[-1].last.closed.source_time, default=None)
