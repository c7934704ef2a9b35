"""Finds the closed cuts of a log, and the one that a restore point means."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import assert_never

from replicator.errors import CorruptionError, GapError, RefusedError
from replicator.model.event import ClosedCut, CutClosed, Offset, Record
from replicator.model.log.wire import CUT_CLOSED, decode
from replicator.model.operations.clocks import LOG_CLOCK_SKEW_MAX
from replicator.model.operations.words import whole_time
from replicator.model.plans.restore_point import BeforeEvent, Latest, RestorePoint, ToOffset, ToTime
from replicator.ports import Bases, EventLog, Span

NEWEST = "--latest is the newest cut; `replicator points` lists the others"


class ClosedCuts:
    """Finds cuts in a log, and in its bases where the log was trimmed.

    Args:
        log: Log to read.
        bases: Bases of cuts; each of them stands for its cut.
        records_per_read_max: Number of records in memory at once.
        pass_over: Called for each altered base that is skipped.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        bases: Bases | None,
        records_per_read_max: int,
        pass_over: Callable[[CorruptionError], None],
    ) -> None:
        self._log, self._bases = log, bases
        self._records_max, self._pass_over = records_per_read_max, pass_over

    async def find(self, point: RestorePoint) -> ClosedCut:
        """Return the cut that a restore point means.

        Raises:
            GapError: the log has no such cut; the message names the nearest ones.
            RefusedError: the point belongs to another log.
        """
        span = await self._log.span()
        _require_log(point, span)
        match point:
            case Latest():
                found = await self._last_cut(span, span.end)
            case ToOffset(offset=offset):
                if offset >= span.end:
                    raise await self._outside(
                        span, f"offset {offset} is beyond the log's end", NEWEST
                    )
                found = await self._last_cut(span, Offset(offset + 1))
            case BeforeEvent(offset=offset):
                if offset >= span.end:
                    raise await self._outside(
                        span, f"offset {offset} is beyond the log's end", NEWEST
                    )
                found = await self._last_cut(span, offset)
            case ToTime(time=time):
                found = await self._last_cut_at(span, time)
            case _:
                assert_never(point)
        if found is None:
            raise await self._outside(span, f"no cut was closed {_words(point)}")
        await self._refuse_hole(found, point)
        return found

    async def _refuse_hole(self, cut: ClosedCut, point: RestorePoint) -> None:
        """Refuse a cut that may not have been the last one before the point: history is missing."""
        if self._bases is None or _is_exactly(point, cut):
            return
        end = await self._bases.whole_until(cut.offset)
        after = await self._bases.resume(end)
        if after is None or await self.between(Offset(cut.offset + 1), end):
            return
        later = await self.between(end, Offset(after + self._records_max))
        cuts = " and ".join(_cut_text(one) for one in [cut, *later[:1]])
        raise GapError(
            f"what was {_words(point)} is in a hole of the archive; the nearest cuts are {cuts}"
        )

    async def any(self, span: Span) -> bool:
        """Return whether the log holds a closed cut at all."""
        return await self._last_cut(span, span.end) is not None

    async def between(self, start: Offset, end: Offset) -> list[ClosedCut]:
        """Return the cuts closed in this range of offsets, ascending."""
        found = {cut.offset: cut async for cut in self._base_cuts(start, end)}
        while start < end:
            try:
                records = await self._log.read(start, records_max=self._records_max)
            except GapError:
                start = await self._after_hole(start, end)
                continue
            if not records:
                break
            closing = (r for r in records if r.type == CUT_CLOSED and r.offset < end)
            found.update((record.offset, closed_cut(record)) for record in closing)
            start = Offset(records[-1].offset + 1)
        return [found[offset] for offset in sorted(found)]

    async def _base_cuts(self, start: Offset, end: Offset) -> AsyncIterator[ClosedCut]:
        for offset in await self._base_offsets():
            if self._bases is not None and start <= offset < end:
                try:
                    yield (await self._bases.base(offset)).cut
                except CorruptionError as exc:
                    self._pass_over(exc)

    async def _after_hole(self, start: Offset, end: Offset) -> Offset:
        if self._bases is None:
            raise GapError(f"the log has no records at offset {start} any more")
        found = await self._bases.resume(start)
        return end if found is None else Offset(max(start + 1, found))

    async def _last_cut(
        self, span: Span, end: Offset, *, until: datetime | None = None
    ) -> ClosedCut | None:
        """Return the last cut closed before `end`, looking back in growing steps."""
        step = self._records_max
        while end > span.first:
            start = Offset(max(span.first, end - step))
            for cut in reversed(await self.between(start, end)):
                if until is None or cut.closed.source_time <= until:
                    return cut
            end, step = start, step * 4
        return None

    async def _last_cut_at(self, span: Span, time: datetime) -> ClosedCut | None:
        last = await self._last_cut(span, span.end)
        if last is not None and time > last.closed.source_time:
            raise await self._outside(
                span,
                f"{whole_time(time)} is later than the last cut: what came after it is unknown",
                NEWEST,
            )
        # The log dates its records by its own clock and a cut is dated by the source's: the search
        # begins late enough for both, and the cuts' own times decide.
        end = await self._log.offset_at(time + LOG_CLOCK_SKEW_MAX)
        return await self._last_cut(span, span.end if end is None else end, until=time)

    async def _outside(self, span: Span, what: str, hint: str = "") -> GapError:
        last = await self._last_cut(span, span.end)
        if last is None and span.first > 0:
            return GapError(
                f"{what}: the log was trimmed, it begins at offset {span.first} and has no closed"
                " cut since; no target's store has what was there",
                hint=GapError.beyond_hole,
            )
        if last is None:
            return GapError(
                f"{what}: the log holds no closed cut yet", hint="run `replicator watch`"
            )
        first = await self._first_cut(span)
        return GapError(
            f"{what}; the log can restore from {_cut_text(first)} to {_cut_text(last)}", hint=hint
        )

    async def _first_cut(self, span: Span) -> ClosedCut:
        """Return the first cut, looking ahead in growing steps: an archive may have a wide hole."""
        start, step = span.first, self._records_max
        while not (found := await self.between(start, Offset(start + step))):
            start, step = Offset(start + step), step * 4
        return found[0]

    async def _base_offsets(self) -> Sequence[Offset]:
        return () if self._bases is None else await self._bases.offsets()


def closed_cut(record: Record) -> ClosedCut:
    """Return the cut that a closing record closes.

    Raises:
        CorruptionError: the record cannot be decoded, or is not a closing record.
    """
    entry = decode(record)
    if not isinstance(entry.event, CutClosed):
        raise CorruptionError(f"the record at offset {entry.offset} is not what its type says")
    return ClosedCut(offset=entry.offset, closed=entry.event)


def _require_log(point: RestorePoint, span: Span) -> None:
    if isinstance(point, ToOffset) and point.log_id not in {None, span.log_id}:
        raise RefusedError(
            f"that point is offset {point.offset} of log {point.log_id}, and this is log"
            f" {span.log_id}, whose offsets are others",
            hint="bring it back from the store alone: --from STORE --log ID --into TARGET",
        )


def _is_exactly(point: RestorePoint, cut: ClosedCut) -> bool:
    """Return whether the point names this cut itself rather than a moment after it."""
    match point:
        case Latest():
            return True
        case ToOffset(offset=offset):
            return offset == cut.offset
        case ToTime(time=time):
            return time == cut.closed.source_time
        case BeforeEvent():
            return False


def _words(point: RestorePoint) -> str:
    match point:
        case Latest():
            return "yet"
        case ToOffset(offset=offset):
            return f"at or before offset {offset}"
        case BeforeEvent(offset=offset):
            return f"before offset {offset}"
        case ToTime(time=time):
            return f"at or before {whole_time(time)}"


def _cut_text(cut: ClosedCut) -> str:
    return f"offset {cut.offset} ({whole_time(cut.closed.source_time)})"
