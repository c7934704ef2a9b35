"""Reading a log as what it means: whole cuts, restore points, and ledgers folded from them."""

from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

import numpy as np

from replicator.errors import ConfigError, CorruptionError, GapError
from replicator.model.backlog import SegmentWord
from replicator.model.event import (
    CutClosed,
    CutNumber,
    Entry,
    Offset,
    Record,
    RowChanged,
    RowEvent,
    key_of_event,
)
from replicator.model.fingerprint import (
    DIGEST_MODULUS,
    EMPTY_DIGEST,
    Digest,
    fingerprint,
    hex_digest,
    key_hash,
)
from replicator.model.ledger import KEY, Folding, Keys, Ledger, Offsets, empty
from replicator.model.restore_point import BeforeEvent, Latest, RestorePoint, ToOffset, ToTime
from replicator.model.wire import CUT_CLOSED, Glance, decode, glance, segment_word
from replicator.ports import EventLog, Span

RECORDS_PER_READ_MAX = 2_000
CLOCK_SKEW_MAX = timedelta(hours=1)
"""How far the log's clock may be behind the source database's for a time to be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedCut:
    """A cut by its closing record."""

    offset: Offset
    closed: CutClosed


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSpan:
    """A whole cut: where its events are, and the keys of the rows they speak of."""

    at: ClosedCut
    offsets: Offsets
    keys: Keys


class History:
    """A log of one source, its events decoded and checked."""

    def __init__(
        self, log: EventLog, *, source: str, records_per_read_max: int = RECORDS_PER_READ_MAX
    ) -> None:
        self._log = log
        self._source = source
        self._records_max = records_per_read_max

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
        return [self._entry(record) for record in records]

    def _entry(self, record: Record) -> Entry:
        entry = decode(record)
        if entry.envelope.source != self._source:
            raise ConfigError(
                f"the log holds events of source {entry.envelope.source!r} at offset"
                f" {entry.offset}, the configuration says {self._source!r}",
                hint="point `log` at the log of this source, or correct `source.name`",
            )
        return entry

    async def pick(self, offsets: Offsets) -> AsyncIterator[list[Entry]]:
        """Yield the events at the given ascending offsets, in bounded lists.

        Raises:
            CorruptionError: one of the offsets holds no record.
        """
        async for records in self._picked(offsets):
            yield [self._entry(record) for record in records]

    async def glance(self, offsets: Offsets) -> AsyncIterator[list[Glance]]:
        """Yield what a summary needs of the events at the given ascending offsets, undecoded."""
        async for records in self._picked(offsets):
            yield [glance(record) for record in records]

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

    async def _picked(self, offsets: Offsets) -> AsyncIterator[list[Record]]:
        at = 0
        while at < len(offsets):
            start = int(offsets[at])
            until = int(np.searchsorted(offsets, start + self._records_max))
            wanted = set(offsets[at:until].tolist())
            records = await self._log.read(
                Offset(start), records_max=int(offsets[until - 1]) - start + 1
            )
            found = [record for record in records if record.offset in wanted]
            if not found or found[0].offset != start:
                raise CorruptionError(f"the log has no record at offset {start} any more")
            yield found
            at += len(found)

    async def fold(self, until: Offset, read: Callable[[Entry, RowEvent], bytes | None]) -> Ledger:
        """Return the ledger of all cuts closed at or before `until`.

        `read` says what an event's row counts as: a fingerprint, or None for not there. The
        events' own chain of digests is checked on the way.

        Raises:
            GapError: the log was trimmed, so the inventory cannot be rebuilt from it.
        """
        folding = Folding(empty())
        await CutReader(self).fold(folding, read, until=until)
        return folding.ledger()

    async def find(self, point: RestorePoint) -> ClosedCut:
        """Return the cut that a restore point means.

        Raises:
            GapError: the log has no such cut; the message names the nearest ones.
        """
        span = await self._log.span()
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
        return found

    async def has_cuts(self, span: Span) -> bool:
        """Return whether the log holds a closed cut at all."""
        return await self._last_cut(span, span.end) is not None

    async def cuts(self, start: Offset, end: Offset) -> list[ClosedCut]:
        """Return the cuts closed in this range of offsets, ascending."""
        found: list[ClosedCut] = []
        while start < end:
            records = await self._log.read(start, records_max=self._records_max)
            if not records:
                break
            closing = (r for r in records if r.type == CUT_CLOSED and r.offset < end)
            found.extend(_closed(decode(record)) for record in closing)
            start = Offset(records[-1].offset + 1)
        return found

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


class CutReader:
    """Follows a log cut by cut, remembering where it is, and checks the chain of digests."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.at, self.last, self.digest = Offset(0), CutNumber(0), EMPTY_DIGEST
        self._entries: list[Entry] = []
        self._attempt: tuple[int, int] | None = None
        self._sum = 0
        self._count = 0
        self._keys = bytearray()
        self._offsets = array("q")

    async def next(self) -> CutSpan | None:
        """Return the next whole cut, None when the log has no further one yet."""
        while (entry := await self._next_entry()) is not None:
            event = entry.event
            if isinstance(event, CutClosed):
                closed = self._close(entry, event)
                span = CutSpan(
                    at=closed,
                    offsets=np.array(self._offsets, np.int64),
                    keys=np.frombuffer(bytes(self._keys), KEY),
                )
                self._forget()
                return span
            self._take(entry, event)
            self._keys += key_hash(key_of_event(event))
            self._offsets.append(entry.offset)
        return None

    async def fold(
        self,
        folding: Folding,
        read: Callable[[Entry, RowEvent], bytes | None],
        *,
        until: Offset,
    ) -> None:
        """Fold all further cuts that are closed at or before `until`.

        After a TransientError the same call with the same `folding` goes on where it stopped.
        """
        while (entry := await self._next_entry(until)) is not None:
            event = entry.event
            if isinstance(event, CutClosed):
                if not self._is_of_attempt(event):
                    folding.discard()
                self._close(entry, event)
                folding.close()
                self._forget()
                continue
            if self._take(entry, event):
                folding.discard()
            folding.add(key_hash(key_of_event(event)), read(entry, event), entry.offset)
        folding.discard()
        self._forget()

    def skip_to(self, offset: Offset, cut: CutNumber, digest: Digest) -> None:
        """Go on after the record at `offset`, which closed a cut that the caller knows already."""
        self.at, self.last, self.digest = Offset(offset + 1), cut, digest
        self._entries = []
        self._forget()

    async def _next_entry(self, until: Offset | None = None) -> Entry | None:
        if not self._entries:
            self._entries = (await self._history.entries(self.at))[::-1]
        if not self._entries or (until is not None and self._entries[-1].offset > until):
            return None
        entry = self._entries.pop()
        self.at = Offset(entry.offset + 1)
        return entry

    def _take(self, entry: Entry, event: RowEvent) -> bool:
        """Count an event in; return whether it begins a new attempt."""
        attempt = (entry.envelope.epoch, entry.envelope.cut)
        begins = attempt != self._attempt
        if begins:
            self._forget()
            self._attempt = attempt
        self._count += 1
        if isinstance(event, RowChanged):
            if fingerprint(event.row) != event.fingerprint:
                raise CorruptionError(
                    f"the event at offset {entry.offset} does not match its own fingerprint"
                )
            self._sum += int.from_bytes(event.fingerprint)
        if event.previous is not None:
            self._sum -= int.from_bytes(event.previous)
        return begins

    def _close(self, entry: Entry, event: CutClosed) -> ClosedCut:
        if not self._is_of_attempt(event):
            self._forget()  # an attempt that was given up, then a cut without events
        digest = Digest((self.digest + self._sum) % DIGEST_MODULUS)
        expected = (self.last + 1, event.count, event.digest)
        if (event.cut, self._count, digest) != expected:
            raise CorruptionError(
                f"cut {event.cut}, closed at offset {entry.offset}, does not add up: it follows cut"
                f" {self.last}, says {event.count} events with digest {hex_digest(event.digest)},"
                f" and the log has {self._count} events with digest {hex_digest(digest)}"
            )
        self.last, self.digest = event.cut, digest
        return ClosedCut(offset=entry.offset, closed=event)

    def _is_of_attempt(self, event: CutClosed) -> bool:
        return self._attempt in {None, (event.epoch, event.cut)}

    def _forget(self) -> None:
        self._attempt, self._sum, self._count = None, 0, 0
        del self._keys[:], self._offsets[:]


def _closed(entry: Entry) -> ClosedCut:
    if not isinstance(entry.event, CutClosed):
        raise CorruptionError(f"the record at offset {entry.offset} is not what its type says")
    return ClosedCut(offset=entry.offset, closed=entry.event)


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
