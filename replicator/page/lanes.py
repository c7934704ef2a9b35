"""One target's lane in the timeline: windows, gaps, and marks in time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from replicator.model.checkpoint import Gap
from replicator.model.store.drill import Evidence
from replicator.model.store.holds import Hold, NamedPoint
from replicator.page.timeline import COLUMNS_MAX
from replicator.services.inspection.chronicle import Column, CutColumns, microseconds_of, time_of
from replicator.web.notes import StoreNotes

MARKS_MAX: Final = 500
"""Points, and as many holds, that one answer has: the newest."""
WINDOWS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpan:
    """A period of time."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GapSpan(TimeSpan):
    """Cuts without some rows."""

    rows: int
    """Number of rows with a gap that begins in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised(TimeSpan):
    """Time span that a store should be able to restore, at the time of its notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMark:
    """A cut that has a name, or is held."""

    point: NamedPoint
    hold: Hold | None
    """None: it has a name, which keeps nothing."""
    expired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One target's part of the timeline."""

    windows: tuple[TimeSpan, ...]
    missed: tuple[TimeSpan, ...]
    """Promised time spans that no window covers."""
    gaps: tuple[GapSpan, ...]
    marks: tuple[PointMark, ...]
    drills: tuple[Evidence, ...]
    held_back: int
    """Number of windows and marks that are not shown, beyond the limits."""


def lane(
    notes: StoreNotes,
    cuts: CutColumns,
    *,
    promised: Promised | None,
    until: datetime,
    columns_max: int,
) -> Lane:
    """Return a target's lane; a gap that is open reaches to `until`."""
    windows = [
        TimeSpan(begins=one.first.closed.source_time, ends=one.last.closed.source_time)
        for one in notes.windows.windows
    ]
    marks = _marks(notes)
    return Lane(
        windows=tuple(windows[-WINDOWS_MAX:]),
        missed=() if promised is None else tuple(missed(windows, promised)[-WINDOWS_MAX:]),
        gaps=tuple(gap_spans(notes.gaps, cuts, until=until, columns_max=columns_max)),
        marks=tuple(marks[-MARKS_MAX:]),
        drills=tuple(notes.drills),
        held_back=max(0, len(windows) - WINDOWS_MAX) + max(0, len(marks) - MARKS_MAX),
    )


def missed(windows: Sequence[TimeSpan], promised: Promised) -> list[TimeSpan]:
    """Return the promised time spans that no window covers; `windows` ascend."""
    found, at = list[TimeSpan](), promised.begins
    for one in windows:
        if at < min(one.begins, promised.ends):
            found.append(TimeSpan(begins=at, ends=min(one.begins, promised.ends)))
        at = max(at, one.ends)
    if at < promised.ends:
        found.append(TimeSpan(begins=at, ends=promised.ends))
    return found


def gap_spans(
    gaps: Sequence[Gap], cuts: CutColumns, *, until: datetime, columns_max: int
) -> list[GapSpan]:
    """Return the gaps; neighbours that look like one on a screen are merged."""
    if not len(cuts) or not gaps:
        return []
    ends_us = microseconds_of(until)
    opened = _times_us(cuts, np.array([gap.opened for gap in gaps], np.int64))
    closed = _times_us(
        cuts, np.array([gap.closed if gap.closed is not None else -1 for gap in gaps], np.int64)
    )
    closed[[gap.closed is None for gap in gaps]] = ends_us
    step = max(1, (ends_us - int(opened.min())) // max(1, min(columns_max, COLUMNS_MAX)))
    order = np.argsort(opened, kind="stable")
    begins, ends = opened[order], closed[order]
    reached = np.maximum.accumulate(ends)  # by all gaps so far
    starts = np.flatnonzero(np.append(True, begins[1:] > reached[:-1] + step))
    rows = np.diff(np.append(starts, len(order)))
    return [
        GapSpan(begins=time_of(int(begin)), ends=time_of(int(end)), rows=int(count))
        for begin, end, count in zip(
            begins[starts], np.maximum.reduceat(ends, starts), rows, strict=True
        )
    ]


def restores(notes: StoreNotes, offset: int) -> bool:
    """Return whether a store alone restores the cut at an offset."""
    found = notes.windows
    if any(one.first.offset <= offset <= one.last.offset for one in found.windows):
        return True
    return any(hold.point.offset == offset for hold in found.holds)


def _times_us(cuts: CutColumns, offsets: Column) -> Column:
    places = np.searchsorted(cuts.offsets, offsets)
    return cuts.times_us[np.minimum(places, len(cuts) - 1)].copy()


def _marks(notes: StoreNotes) -> list[PointMark]:
    log_id = notes.windows.log_id
    named = [
        PointMark(point=point, hold=None, expired=notes.windows.has_expired(log_id, point.offset))
        for point in notes.named
        if point.log_id == log_id
    ]
    held = [
        PointMark(point=hold.point, hold=hold, expired=not hold.holds_at(notes.looked_at))
        for hold in notes.holds
        if hold.point.log_id == log_id
    ]
    return sorted([*named, *held], key=lambda one: one.point.offset)
