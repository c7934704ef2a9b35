"""Reading a log as what it means: events, rows, closed cuts and restore points."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

import numpy as np

from replicator.errors import CorruptionError, GapError, RefusedError
from replicator.model.archive import Base
from replicator.model.backlog import SegmentWord
from replicator.model.event import ClosedCut, CutClosed, Entry, Offset, Record, RowChanged
from replicator.model.glance import segment_word
from replicator.model.ledger import Offsets
from replicator.model.observation import ArchiveDamaged, Observer
from replicator.model.reading import Reading, Recorded, Rule, Tally, entry_of, read, tally
from replicator.model.restore_point import BeforeEvent, Latest, RestorePoint, ToOffset, ToTime
from replicator.model.row import Kind, Row
from replicator.model.wire import CHANGED_TYPE, CUT_CLOSED, decode
from replicator.ports import Bases, EventLog, Span, Workers

RECORDS_PER_READ_MAX = 2_000
CLOCK_SKEW_MAX = timedelta(hours=1)
"""How far the log's clock may be behind the source database's for a time to be found."""


class History:
    """A log of one source, its events decoded and checked."""

    def __init__(
        self,
        log: EventLog,
        *,
        source: str,
        workers: Workers,
        bases: Bases | None = None,
        records_per_read_max: int = RECORDS_PER_READ_MAX,
        observer: Observer | None = None,
    ) -> None:
        """Take the settings; nothing is read yet.

        Args:
            log: What to read.
            source: The cluster that all events must be of.
            workers: Where events are decoded and checked.
            bases: Inventories to begin from; without them everything is folded from the start.
            records_per_read_max: How many records are in memory at once.
            observer: Is told of bases that are passed over because they are altered.
        """
        self._log = log
        self._workers = workers
        self._source = source
        self._bases = bases
        self._records_max = records_per_read_max
        self._observer = observer
        self._known: Sequence[Offset] = ()

    async def span(self) -> Span:
        """Return which offsets can be read now."""
        return await self._log.span()

    async def report(self, reader: str, offset: Offset) -> None:
        """Show how far a reader is to those who run the log."""
        await self._log.report(reader, offset)

    async def entries(self, start: Offset) -> list[Entry]:
        """Return the next events from `start` on, decoded; none at the log's end.

        Raises:
            CorruptionError: an event cannot be decoded.
            ConfigError: an event is of another source.
        """
        records = await self._log.read(start, records_max=self._records_max)
        return [entry_of(record, self._source) for record in records]

    async def raw(self, start: Offset) -> Sequence[Record]:
        """Return the next records from `start` on as they are; none at the log's end."""
        return await self._log.read(start, records_max=self._records_max)

    def entry(self, record: Record) -> Entry:
        """Return the event that a record holds, as `entries` does."""
        return entry_of(record, self._source)

    async def reading(self, start: Offset) -> Reading | None:
        """Return what the next events from `start` on say, checked; None at the log's end.

        Raises:
            CorruptionError, ConfigError: as for `entries`.
        """
        records = await self.raw(start)
        return read(records, source=self._source, rule=Recorded()) if records else None

    def readings(
        self, start: Offset, until: Offset, rule: Rule
    ) -> AbstractAsyncContextManager[AsyncIterator[Reading]]:
        """Give what the events from `start` to `until` say, checked, within the block.

        Raises:
            CorruptionError, ConfigError: as for `entries`.
        """
        work = partial(read, source=self._source, rule=rule)
        return self._workers.each(work, self._records(start, until))

    async def _records(self, start: Offset, until: Offset) -> AsyncIterator[list[Record]]:
        while start <= until:
            records = await self._log.read(start, records_max=self._records_max)
            found = [record for record in records if record.offset <= until]
            if not found:
                break
            yield found
            start = Offset(found[-1].offset + 1)

    async def rows(self, kind: Kind, until: Offset) -> AsyncIterator[Row]:
        """Yield all contents that rows of one table had up to an offset, in the log's order.

        Other events are passed over unread.
        """
        base = await self.base_before(until)
        if base is not None:
            async for records in self._base_records(base):
                for row in self._rows(records, kind):
                    yield row
        async for records in self._records(Offset(base.offset + 1 if base else 0), until):
            for row in self._rows(records, kind):
                yield row

    def _rows(self, records: Sequence[Record], kind: Kind) -> Iterator[Row]:
        for record in records:
            if record.type == CHANGED_TYPE[kind]:
                event = entry_of(record, self._source).event
                if isinstance(event, RowChanged):
                    yield event.row

    async def pick(self, offsets: Offsets) -> AsyncIterator[list[Entry]]:
        """Yield the events at the given ascending offsets, in bounded lists.

        Raises:
            CorruptionError: one of the offsets holds no record.
        """
        async for records in self.records(offsets):
            yield [entry_of(record, self._source) for record in records]

    async def tallies(self, offsets: Offsets) -> AsyncIterator[Tally]:
        """Yield what the rows at the given ascending offsets amount to."""
        async with self._workers.each(tally, self.records(offsets)) as tallies:
            async for found in tallies:
                yield found

    async def segment_words(
        self, start: Offset, until: Offset
    ) -> tuple[Sequence[tuple[Offset, SegmentWord]], Offset]:
        """Return what the next records say of segments, and the offset after the last one read.

        A bounded number of records is read, and none after `until`.

        Raises:
            GapError: the log was trimmed beyond `start`.
        """
        records = await self._log.read(start, records_max=self._records_max)
        wanted = [record for record in records if record.offset <= until]
        said = [(one.offset, word) for one in wanted if (word := segment_word(one)) is not None]
        at = wanted[-1].offset if wanted and len(wanted) == len(records) else until
        return said, Offset(at + 1)

    async def appended_at(self, start: Offset, until: Offset) -> datetime | None:
        """Return when the first record from `start` to `until` was appended, None: there is none.

        Raises:
            GapError: the log was trimmed beyond `start`.
        """
        records = await self._log.read(start, records_max=1)
        return records[0].appended_at if records and records[0].offset <= until else None

    async def kept_for(self) -> timedelta | None:
        """Return how long the log keeps a record, None: for ever."""
        return await self._log.kept_for()

    async def records(self, offsets: Offsets) -> AsyncIterator[list[Record]]:
        """Yield the records at the given ascending offsets, as they are.

        Rows of long ago are read from the newest base among them: there they stand close together,
        in the log there is all between them that does not count any more.

        Raises:
            CorruptionError: one of the offsets holds no record.
        """
        at, base = 0, await self._base_among(offsets)
        while at < len(offsets):
            found = list[Record]()
            if base is not None:
                found = await self._records_of_base(base, offsets[at:])
            if not found:
                base, found = None, await self._records_of_log(offsets[at:])
            yield found
            at += len(found)

    async def _base_among(self, offsets: Offsets) -> Offset | None:
        """Return the newest base not after these offsets, when they are far apart."""
        if len(offsets) == 0 or offsets[-1] - offsets[0] < self._records_max:
            return None
        found = [base for base in await self._base_offsets() if base <= offsets[-1]]
        return found[-1] if found else None

    async def _records_of_base(self, base: Offset, offsets: Offsets) -> list[Record]:
        """Return the first of these records from a base, none when it does not have them all."""
        assert self._bases is not None  # noqa: S101 - for the type checker
        start = Offset(int(offsets[0]))
        try:
            records = await self._bases.read_base(base, start, records_max=self._records_max)
        except CorruptionError as exc:
            self.pass_over(exc)
            return []
        last = records[-1].offset if records else start - 1
        wanted = set(offsets[: np.searchsorted(offsets, last, side="right")].tolist())
        found = [record for record in records if record.offset in wanted]
        return found if len(found) == len(wanted) else []

    async def _records_of_log(self, offsets: Offsets) -> list[Record]:
        start = int(offsets[0])
        until = int(np.searchsorted(offsets, start + self._records_max))
        wanted = set(offsets[:until].tolist())
        records = await self._read(Offset(start), int(offsets[until - 1]) - start + 1)
        found = [record for record in records if record.offset in wanted]
        if not found or found[0].offset != start:
            raise CorruptionError(f"the log has no record at offset {start} any more")
        return found

    async def _read(self, start: Offset, records_max: int) -> Sequence[Record]:
        """Read from the log, or where that was trimmed from a base.

        The first base after a record has it, unless its cut did without it.

        Raises:
            GapError: nobody has the record at `start`.
        """
        try:
            return await self._log.read(start, records_max=records_max)
        except GapError as gap:
            known = self._known
            if not known or known[-1] < start:
                known = await self._base_offsets()
            for offset in known:
                if self._bases is not None and offset >= start:
                    try:
                        found = await self._bases.read_base(offset, start, records_max=records_max)
                    except CorruptionError as exc:
                        self.pass_over(exc)
                    else:
                        if found and found[0].offset == start:
                            return found
            raise gap from None

    async def base_before(self, until: Offset) -> Base | None:
        """Return the newest base at or before an offset whose manifest is whole."""
        for offset in reversed(await self._base_offsets()):
            if self._bases is not None and offset <= until:
                try:
                    return await self._bases.base(offset)
                except CorruptionError as exc:
                    self.pass_over(exc)
        return None

    def base_readings(
        self, base: Base, rule: Rule
    ) -> AbstractAsyncContextManager[AsyncIterator[Reading]]:
        """Give what the rows of a base say, as `readings` does."""
        work = partial(read, source=self._source, rule=rule)
        return self._workers.each(work, self._base_records(base))

    async def _base_records(self, base: Base) -> AsyncIterator[Sequence[Record]]:
        start = Offset(0)
        while self._bases is not None and (
            records := await self._bases.read_base(
                base.offset, start, records_max=self._records_max
            )
        ):
            yield records
            start = Offset(records[-1].offset + 1)

    async def _base_offsets(self) -> Sequence[Offset]:
        self._known = () if self._bases is None else await self._bases.offsets()
        return self._known

    def pass_over(self, damage: CorruptionError) -> None:
        """Tell the observer of a base that is altered: another one may do.

        Raises:
            CorruptionError: nobody observes, so it must not pass.
        """
        if self._observer is None:
            raise damage
        self._observer(ArchiveDamaged(reason=str(damage)))

    async def find(self, point: RestorePoint) -> ClosedCut:
        """Return the cut that a restore point means.

        Raises:
            GapError: the log has no such cut; the message names the nearest ones.
            RefusedError: the point is one of another log.
        """
        span = await self._log.span()
        _require_log(point, span)
        match point:
            case Latest():
                found = await self._last_cut(span, span.end)
            case ToOffset(offset=offset):
                if offset >= span.end:
                    raise await self._outside(span, f"offset {offset} is beyond the log's end")
                found = await self._last_cut(span, Offset(offset + 1))
            case BeforeEvent(offset=offset):
                if offset >= span.end:
                    raise await self._outside(span, f"offset {offset} is beyond the log's end")
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
        """Never round to a cut when nobody knows whether it was the last one before the point."""
        if self._bases is None or _is_exactly(point, cut):
            return
        end = await self._bases.whole_until(cut.offset)
        after = await self._bases.resume(end)
        if after is None or await self.cuts(Offset(cut.offset + 1), end):
            return
        later = await self.cuts(end, Offset(after + self._records_max))
        places = " and ".join(_place(one) for one in [cut, *later[:1]])
        raise GapError(
            f"what was {_words(point)} is in a hole of the archive; the nearest cuts are {places}"
        )

    async def has_cuts(self, span: Span) -> bool:
        """Return whether the log holds a closed cut at all."""
        return await self._last_cut(span, span.end) is not None

    async def cuts(self, start: Offset, end: Offset) -> list[ClosedCut]:
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
                    self.pass_over(exc)

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
            for cut in reversed(await self.cuts(start, end)):
                if until is None or cut.closed.source_time <= until:
                    return cut
            end, step = start, step * 4
        return None

    async def _last_cut_at(self, span: Span, time: datetime) -> ClosedCut | None:
        last = await self._last_cut(span, span.end)
        if last is not None and time > last.closed.source_time:
            raise await self._outside(
                span,
                f"{time.isoformat()} is later than the last cut: what came after it is unknown",
            )
        end = await self._log.offset_at(time + CLOCK_SKEW_MAX)
        return await self._last_cut(span, span.end if end is None else end, until=time)

    async def _outside(self, span: Span, what: str) -> GapError:
        last = await self._last_cut(span, span.end)
        if last is None:
            return GapError(
                f"{what}: the log holds no closed cut yet", hint="run `replicator watch`"
            )
        first = await self._first_cut(span)
        return GapError(f"{what}; the log can restore from {_place(first)} to {_place(last)}")

    async def _first_cut(self, span: Span) -> ClosedCut:
        start = span.first
        while not (found := await self.cuts(start, Offset(start + self._records_max))):
            start = Offset(start + self._records_max)
        return found[0]


def closed_cut(record: Record) -> ClosedCut:
    """Return the cut that a closing record closes.

    Raises:
        CorruptionError: it cannot be decoded, or is no closing record.
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
    """Whether the point names this cut itself, and not a moment after which it is the last."""
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
            return f"at or before {time.isoformat()}"


def _place(cut: ClosedCut) -> str:
    return f"offset {cut.offset} ({cut.closed.source_time.isoformat()})"
