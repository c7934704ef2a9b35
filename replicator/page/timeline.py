"""Any number of cuts for a screen: columns of equal width in time, and single cuts.

Pure: the answer's size depends on the number of columns alone.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

import numpy as np

from replicator.model.document import natural
from replicator.services.inspection.chronicle import CutColumns, microseconds_of, time_of

COLUMNS_MAX: Final = 1_000
"""Columns of one answer: more than a screen has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMark:
    """One cut as the timeline shows it."""

    cut: int
    offset: int
    source_time: datetime
    events: int
    new_bytes: int
    lost: int
    """Number of used segments that it marked unused or removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineColumn:
    """The cuts of one stretch of time."""

    begins: datetime
    cuts: int
    events: int
    new_bytes: int
    lost: int
    last_offset: int
    """Offset of the last of the cuts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutTimeline:
    """Cuts between two times."""

    begins: datetime
    ends: datetime
    cuts: int
    """Number of all of them."""
    columns: tuple[TimelineColumn, ...]
    """Columns with at least one cut, ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """A cut and its neighbours, for steps from one cut to the next."""

    at: CutMark
    before: CutMark | None
    after: CutMark | None
    changed_before: CutMark | None
    """The last cut before it that changed something."""
    changed_after: CutMark | None

    @property
    def uncounted(self) -> "Neighbours":
        """The same for who may see some targets only."""
        near = (self.before, self.after, self.changed_before, self.changed_after)
        before, after, *changed = (None if one is None else uncounted(one) for one in near)
        return Neighbours(
            at=uncounted(self.at),
            before=before,
            after=after,
            changed_before=changed[0],
            changed_after=changed[1],
        )


_Counted = TypeVar("_Counted", CutMark, TimelineColumn)


def uncounted(one: _Counted) -> _Counted:
    """Return a cut, or a column of cuts, without how much it changed: only whether it did.

    Who may see some targets only chooses moments by it, and learns nothing of the rest.
    """
    return replace(one, events=min(1, one.events), new_bytes=0, lost=0)


def timeline(
    cuts: CutColumns, *, begins: datetime, ends: datetime, columns_max: int
) -> CutTimeline:
    """Return the cuts from `begins` to `ends` (both included) in at most `columns_max` columns."""
    count = max(1, min(columns_max, COLUMNS_MAX))
    since, until = microseconds_of(begins), microseconds_of(ends)
    times = cuts.times_us
    first, last = np.searchsorted(times, since), np.searchsorted(times, until, side="right")
    width = max(1, -(-(until - since + 1) // count))
    places = (times[first:last] - since) // width
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    if not len(starts):
        return CutTimeline(begins=begins, ends=ends, cuts=0, columns=())
    stops = np.append(starts[1:], last - first)
    sums = [
        np.add.reduceat(column[first:last], starts, dtype=np.float64)
        for column in (cuts.events, cuts.new_bytes, cuts.lost)
    ]
    columns = tuple(
        TimelineColumn(
            begins=time_of(since + int(places[start]) * width),
            cuts=int(stop - start),
            events=natural(events),
            new_bytes=natural(new_bytes),
            lost=natural(lost),
            last_offset=int(cuts.offsets[first + stop - 1]),
        )
        for start, stop, events, new_bytes, lost in zip(starts, stops, *sums, strict=True)
    )
    return CutTimeline(begins=begins, ends=ends, cuts=int(last - first), columns=columns)


def at_time(cuts: CutColumns, time: datetime) -> Neighbours | None:
    """Return the last cut at or before a time; None if there is none."""
    found = int(np.searchsorted(cuts.times_us, microseconds_of(time), side="right")) - 1
    return _neighbours(cuts, found)


def at_offset(cuts: CutColumns, offset: int) -> Neighbours | None:
    """Return the last cut closed at or before an offset; None if there is none."""
    return _neighbours(cuts, int(np.searchsorted(cuts.offsets, offset, side="right")) - 1)


def mark(cuts: CutColumns, index: int) -> CutMark | None:
    """Return one cut; None if there is none at this place."""
    if not 0 <= index < len(cuts):
        return None
    return CutMark(
        cut=int(cuts.numbers[index]),
        offset=int(cuts.offsets[index]),
        source_time=time_of(int(cuts.times_us[index])),
        events=int(cuts.events[index]),
        new_bytes=int(cuts.new_bytes[index]),
        lost=int(cuts.lost[index]),
    )


def _neighbours(cuts: CutColumns, index: int) -> Neighbours | None:
    if (at := mark(cuts, index)) is None:
        return None
    before = np.flatnonzero(cuts.events[:index])[-1:]
    after = np.flatnonzero(cuts.events[index + 1 :])[:1] + index + 1
    return Neighbours(
        at=at,
        before=mark(cuts, index - 1),
        after=mark(cuts, index + 1),
        changed_before=mark(cuts, int(before[0])) if len(before) else None,
        changed_after=mark(cuts, int(after[0])) if len(after) else None,
    )
