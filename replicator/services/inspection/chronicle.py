"""Follows a log and keeps what an overview needs: its cuts, their changes, the present segments.

Each record is read once. Memory holds 48 bytes for each cut, 29 for each segment, and summaries of
the newest cuts with a change.
"""

from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from replicator.errors import GapError
from replicator.model.document import natural
from replicator.model.event import ClosedCut, Offset
from replicator.model.log.peek import subject_of
from replicator.ports import Span
from replicator.services.history.reader import History
from replicator.services.history.search import Search, begin_from_base
from replicator.services.inspection.happenings import CutSummaries, Happening
from replicator.services.inspection.segment_book import DatasourceTotals

CUTS_MAX = 1_000_000
"""Number of cuts that are kept; beyond it, the oldest tenth is forgotten."""
HAPPENINGS_MAX = 1_000
"""Number of newest cuts with a change whose summaries are kept, and of those that did harm."""
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
Column = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutColumns:
    """Cuts as parallel columns, ascending by offset."""

    offsets: Column
    numbers: Column
    times_us: Column
    """The source's time, in microseconds since 1970."""
    events: Column
    new_bytes: Column
    """Unpacked size of the segments that are new in the cut."""
    lost: Column
    """Number of used segments that the cut marked unused or removed."""

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def uncounted(self) -> "CutColumns":
        """The same for who may see some targets: whether a cut changed anything, not how much."""
        none = np.zeros_like(self.events)
        return replace(self, events=np.minimum(self.events, 1), new_bytes=none, lost=none)


class Chronicle:
    """The contents of a log, up to where it was read."""

    def __init__(self, history: History, *, cuts_max: int = CUTS_MAX) -> None:
        self._history = history
        self._cuts_max = cuts_max
        self._begin("")

    def _begin(self, log_id: str) -> None:
        """Start again, with a log of this id."""
        self.log_id = log_id
        self.is_whole = True
        """Whether everything since the log's start was seen, or a base in place of its start."""
        self._columns = [array("q") for _ in range(6)]
        self._cuts: CutColumns | None = None
        self._happenings = deque[Happening](maxlen=HAPPENINGS_MAX)
        self._harm = deque[Happening](maxlen=HAPPENINGS_MAX)
        self._summaries = CutSummaries(self._closed)
        self._search: Search | None = None

    @property
    def read_until(self) -> Offset:
        """Offset of the next record to read."""
        return self._search.at if self._search else Offset(0)

    @property
    def last(self) -> ClosedCut | None:
        """The last cut that was read."""
        return self._summaries.last

    @property
    def datasources(self) -> Mapping[str, DatasourceTotals]:
        """Totals of each datasource in the last cut."""
        return self._summaries.book.totals

    @property
    def happenings(self) -> Sequence[Happening]:
        """What happened in the newest cuts with a change, the oldest first."""
        return self._happenings

    @property
    def harm(self) -> Sequence[Happening]:
        """The newest cuts that marked segments unused or removed them, the oldest first."""
        return self._harm

    @property
    def cuts(self) -> CutColumns:
        """All cuts that are kept."""
        if self._cuts is None:
            offsets, numbers, times, events, new_bytes, lost = map(np.array, self._columns)
            self._cuts = CutColumns(
                offsets=offsets,
                numbers=numbers,
                times_us=times,
                events=events,
                new_bytes=new_bytes,
                lost=lost,
            )
        return self._cuts

    async def read_on(self, *, records_max: int) -> bool:
        """Read on to the log's end; return False if that takes more than `records_max` records.

        Raises:
            TransientError: the log cannot be reached; the next call continues.
            NotFoundError: there is no log.
            CorruptionError: a record does not match its type.
        """
        span = await self._history.span()
        if span.log_id != self.log_id:
            self._begin(span.log_id)
        if self._search is None:
            self._search = await self._started(span)
        try:
            return await self._search.advance(span.end, records_max=records_max)
        except GapError:
            return await self._go_on_after_hole(self._search)

    async def _started(self, span: Span) -> Search:
        found = Search(self._history, subject_of, self._summaries, start=span.first)
        if span.first > 0:
            await self._begin_from_base(found, span.first)
        return found

    async def _go_on_after_hole(self, search: Search) -> bool:
        """Jump to where the log, or an archive of it, continues."""
        found = await self._history.resume(search.at)
        if found is None:
            return True
        await self._begin_from_base(search, found)
        return False

    async def _begin_from_base(self, search: Search, offset: Offset) -> None:
        """Start from the base at an offset instead of what is not in the log any more."""
        base = await self._history.base_at(offset)
        self.is_whole = base is not None
        if base is None:
            search.jump(offset)
            return
        await begin_from_base(
            search, self._history, base, wanted=subject_of, visitor=self._summaries
        )

    def _closed(self, cut: ClosedCut, happening: Happening | None) -> None:
        closed = cut.closed
        row = (
            cut.offset,
            closed.cut,
            (closed.source_time - _EPOCH_START) // _MICROSECOND,
            closed.count,
            natural(happening.new_bytes) if happening else 0,
            happening.lost_segments if happening else 0,
        )
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)
            if len(column) > self._cuts_max:
                # A tenth at once: to delete at an array's start moves all the rest.
                del column[: self._cuts_max // 10]
        self._cuts = None
        if happening is not None:
            self._happenings.append(happening)
            if happening.does_harm:
                self._harm.append(happening)


def time_of(microseconds: int) -> datetime:
    """Return a time of `CutColumns.times_us`."""
    return _EPOCH_START + int(microseconds) * _MICROSECOND


def microseconds_of(time: datetime) -> int:
    """Return a time as `CutColumns.times_us` has it."""
    return (time - _EPOCH_START) // _MICROSECOND
