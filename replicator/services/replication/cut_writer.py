"""Writes cuts to the log, and knows the inventory that the log has.

The writer trusts nothing but the log. It appends under an epoch, and when it does not know how an
append ended it gives the epoch up, takes a new one and reads the log's end again. So no event is
appended twice under one epoch, and of two watchers only the newer one can close a cut.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from replicator.errors import ConfigError, CorruptionError, FencedError, TransientError
from replicator.model.event import (
    ClosedCut,
    CutClosed,
    CutNumber,
    Document,
    Envelope,
    Epoch,
    Offset,
    RowChanged,
    RowEvent,
    key_of_event,
)
from replicator.model.fingerprint import DIGEST_MODULUS, Digest, Fingerprint, key_hash
from replicator.model.inventory.ledger import Folding, empty
from replicator.model.log.reading import Recorded
from replicator.model.log.wire import CUT_CLOSED, encode
from replicator.model.observation import EpochAcquired, LogBegun, Observer, Progress
from replicator.model.operations.words import whole_time
from replicator.model.plans.restore_point import Latest
from replicator.model.row import Row
from replicator.model.stream import StreamPosition
from replicator.ports import Clock, EventLogWriter, Span
from replicator.services.history.cuts import CutReader
from replicator.services.history.reader import History
from replicator.services.replication.readers import Readers


class PublishedCut(NamedTuple):
    """A cut that is in the log, with the number of its events of each type."""

    cut: ClosedCut
    types: "Counter[str]"


class PresentRow(NamedTuple):
    """A present row, from the log or from what is about to be appended to it."""

    fingerprint: Fingerprint
    row: Row | None
    """None: it is in the log, at `offset`."""
    offset: Offset | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CutLimits:
    """Limits of what is written."""

    append_bytes_max: int
    """Size of the events that are appended together."""
    row_bytes_max: int
    """Size of a row's event; a larger one is refused."""
    clock_ahead_max: timedelta
    """How far the source's clock may be ahead of this machine's."""


class CutWriter:
    """The one writer of a source's log.

    The log is its only memory: at the start and after any doubt it acquires the log anew, which
    shuts out every other watcher, and folds what it has not read yet.

    Args:
        source: Name of the source cluster in every event.
        log: Log that is written to.
        history: Reads the same log.
        limits: Sizes, and how far the source's clock may be ahead.
        clock: This machine's clock.
        observer: Receives each epoch.
        readers: Targets of the source, which may know more of the log than it has.
    """

    def __init__(
        self,
        *,
        source: str,
        log: EventLogWriter,
        history: History,
        limits: CutLimits,
        clock: Clock,
        observer: Observer,
        readers: Readers,
    ) -> None:
        self.known = Folding(empty())
        """The inventory after the last closed cut."""
        self._source, self._log = source, log
        self._limits, self._clock, self._observer = limits, clock, observer
        self._readers, self._history = readers, history
        self._reader = CutReader(history)
        self._epoch: Epoch | None = None
        self._log_id: str | None = None
        self._closed_at_s = -float("inf")

    @property
    def source(self) -> str:
        """Name of the source cluster in every event."""
        return self._source

    @property
    def quiet_s(self) -> float:
        """Seconds since this process began to write its last cut."""
        return asyncio.get_running_loop().time() - self._closed_at_s

    @property
    def distrusts_versions(self) -> bool:
        """Whether the log's last cut distrusts the source's row versions."""
        return self._reader.distrusts_versions

    @property
    def stream(self) -> StreamPosition | None:
        """Position from which the change stream continues the log's last cut; None: nowhere."""
        return self._reader.stream

    @property
    def last(self) -> CutNumber:
        """Number of the log's last cut; 0 before the first one."""
        return self._reader.last

    @property
    def source_time(self) -> datetime | None:
        """When the source had the last cut; None before the first cut."""
        return self._reader.source_time

    @property
    def left_open(self) -> bool:
        """Whether the log ends with events of a cut that was given up."""
        return self._reader.left_open

    @property
    def is_leading(self) -> bool:
        """Whether this process is the log's writer, and knows all of it."""
        return self._epoch is not None

    async def lead(self) -> None:
        """Become the only writer and bring the ledger up to the log's end.

        Raises:
            TransientError: the log is unreachable.
            CorruptionError: its events do not add up, or it is not the log that this process led.
            LogCutShortError: it ends before the cut of one of its targets.
        """
        # Before the epoch is taken: a machine with an older copy of the log must not shut out the
        # watcher that has the right one.
        await self._readers.refuse_cut_short(self._history)
        epoch = await self._log.acquire()
        span = await self._log.span()
        self._require_same(span)
        begin, end = self._reader.at, max(span.end, self._reader.at)

        def seen(_: int) -> None:
            done = self._reader.at - begin
            progress = Progress(what="read the log", done=done, total=end - begin, unit="records")
            self._observer(progress)

        await self._reader.fold(self.known, Recorded(), until=Offset(span.end - 1), seen=seen)
        # Lost, repeated and foreign events all show here. A cut on top of such a ledger would make
        # the damage part of the source's history.
        if self.known.ledger().digest != self._reader.digest:
            raise CorruptionError("the log's events do not add up to the digest of its last cut")
        self._epoch = epoch
        self._observer(EpochAcquired(epoch=epoch))
        if span.end == 0:
            self._observer(LogBegun(log_id=span.log_id))

    async def heed_others(self) -> None:
        """Read the log anew, at the next poll, if another writer has closed a cut in it meanwhile.

        A writer that publishes nothing is never shut out, and would not see what others published.
        """
        if (await self._history.find(Latest())).closed.cut > self._reader.last:
            self._epoch = None

    def _require_same(self, span: Span) -> None:
        """Refuse a log that lacks what this process knows of it: its changes would follow nothing.

        The next start knows nothing, and records all rows.
        """
        if self._log_id not in {None, span.log_id}:
            raise CorruptionError(
                f"the log was {self._log_id} and is {span.log_id}: it was replaced while this"
                " process wrote to it; nothing was written to the other one",
                hint="put the former log back, or let the targets go over to the new one:"
                " `replicator run --new-log`",
            )
        if span.end < self._reader.at:
            raise CorruptionError(
                f"the log ends at offset {span.end}, and this process has read it up to"
                f" {self._reader.at}: it has lost records",
                hint="restore the newest copy of the log; if there is none, move it away and"
                " begin a new one: `replicator run --new-log`",
            )
        self._log_id = span.log_id

    @asynccontextmanager
    async def cuts(self, *, rows_recur: bool = False) -> "AsyncGenerator[OpenCuts]":
        """Write cuts within the block; cuts not closed and flushed at its end never count.

        `rows_recur`: a row may occur in several events that are not in closed cuts yet; then some
        250 bytes are kept of each.

        Raises:
            FencedError: this process does not hold the log.
        """
        epoch, self._epoch = self._held_epoch(), None  # in doubt until the block ends well
        started_s = asyncio.get_running_loop().time()
        opened = OpenCuts(
            log=self._log,
            known=self.known,
            reader=self._reader,
            source=self._source,
            epoch=epoch,
            limits=self._limits,
            clock=self._clock,
            rows_recur=rows_recur,
        )
        try:
            yield opened
        except BaseException:
            # Nothing was sent, so nothing is in doubt: an unreachable source costs no new epoch.
            if not opened.has_appended:
                self._epoch = epoch
            raise
        finally:
            self.known.discard()  # appended events of a cut that is given up
        self._epoch = epoch
        if opened.written:
            self._closed_at_s = started_s

    def _held_epoch(self) -> Epoch:
        if self._epoch is None:
            raise FencedError("this watcher does not hold the log")
        return self._epoch


@dataclass(slots=True)
class _OpenCut:
    """A cut whose events are taken."""

    envelope: Envelope
    count: int = 0
    types: "Counter[str]" = field(default_factory=Counter)


class _Mark(NamedTuple):
    """Effect on the inventory of an event that is not appended yet."""

    key: bytes
    fingerprint: bytes | None


class _Closing(NamedTuple):
    """A closing record that is not appended yet."""

    closed: CutClosed
    types: "Counter[str]"


class OpenCuts:
    """Cuts on their way to the log, several small ones in one append."""

    def __init__(
        self,
        *,
        log: EventLogWriter,
        known: Folding,
        reader: CutReader,
        source: str,
        epoch: Epoch,
        limits: CutLimits,
        clock: Clock,
        rows_recur: bool,
    ) -> None:
        self.written: list[PublishedCut] = []
        """The cuts that are in the log."""
        self.has_appended = False
        self._log, self._known, self._reader = log, known, reader
        self._source, self._epoch = source, epoch
        self._rows_recur, self._limits, self._clock = rows_recur, limits, clock
        self._cut: _OpenCut | None = None
        self._last, self._time = reader.last, reader.source_time
        self._sum = int(known.digest)
        self._unsent: list[Document] = []
        self._unsent_bytes, self._unsent_since_s = 0, 0.0
        self._unsent_marks: list[_Mark | _Closing] = []
        self._latest: dict[bytes, PresentRow | None] = {}

    def begin(self, time: datetime) -> None:
        """Open the next cut; it is never older than the one before it.

        Raises:
            TransientError: the source's clock is far ahead; all later cuts would keep its time.
        """
        # A time that the log has already changes none: an earlier build took it from that clock.
        is_new = self._time is None or time > self._time
        if is_new and time - self._clock.now() > self._limits.clock_ahead_max:
            raise TransientError(
                f"the source says that it is {whole_time(time)}, and this machine's clock says"
                f" {whole_time(self._clock.now())}; nothing was published under that time, as the"
                " times of cuts never go back",
                hint="set the clock that is wrong; if none is, raise watch.clock_ahead_max",
            )
        self._last = CutNumber(self._last + 1)
        # a replica that lost its primary still shows the same, and cannot date it any more
        self._time = time if self._time is None else max(time, self._time)
        self._cut = _OpenCut(
            Envelope(source=self._source, cut=self._last, epoch=self._epoch, time=self._time)
        )

    def latest(self, key: bytes) -> PresentRow | None:
        """Return what is known of the row with this key hash after all events that were taken."""
        if key in self._latest:
            return self._latest[key]
        row = self._known.find(key)
        return None if row is None else PresentRow(row.fingerprint, None, row.offset)

    def check(self, events: Sequence[RowEvent]) -> None:
        """Require that the open cut could take some events, and take none.

        Raises:
            ConfigError: one of them is none that a log takes; the message names its row.
        """
        for event in events:
            self._document(event, self._opened())

    def _document(self, event: RowEvent, cut: _OpenCut) -> Document:
        document = encode(event, cut.envelope)
        most = self._limits.row_bytes_max
        if len(document.data) > most:
            kind, key = key_of_event(event)
            raise ConfigError(
                f"the event of {kind.value} {key!r:.200} of the source has {len(document.data)}"
                f" bytes, more than watch.row_bytes_max allows ({most}); it was not published",
                hint="Druid writes no row that is as large: see what is in it, or raise"
                " watch.row_bytes_max",
            )
        return document

    async def add(self, events: Sequence[RowEvent]) -> None:
        """Take events of the open cut, and append them when they become too many."""
        cut = self._opened()
        for event in events:
            mark = event.fingerprint if isinstance(event, RowChanged) else None
            key = key_hash(key_of_event(event))
            self._sum += int.from_bytes(mark or b"") - int.from_bytes(event.previous or b"")
            self._unsent_marks.append(_Mark(key, mark))
            if self._rows_recur:
                self._latest[key] = (
                    PresentRow(event.fingerprint, event.row, None)
                    if isinstance(event, RowChanged)
                    else None
                )
            document = self._document(event, cut)
            self._take(document)
            cut.types[document.type] += 1
        cut.count += len(events)
        if self._unsent_bytes > self._limits.append_bytes_max:
            await self.flush()

    @property
    def digest(self) -> Digest:
        """Digest of the inventory after all events that were taken."""
        return Digest(self._sum % DIGEST_MODULUS)

    @property
    def unsent_s(self) -> float:
        """Seconds since the oldest event that was taken and is not appended; 0 without one."""
        return asyncio.get_running_loop().time() - self._unsent_since_s if self._unsent else 0.0

    @property
    def count(self) -> int:
        """Number of the open cut's events; 0 if none is open."""
        return 0 if self._cut is None else self._cut.count

    async def close(self, *, distrusts_versions: bool, stream: StreamPosition | None) -> None:
        """Close the open cut; it counts once it is flushed."""
        cut, self._cut = self._opened(), None
        closed = CutClosed(
            cut=cut.envelope.cut,
            source_time=cut.envelope.time,
            count=cut.count,
            digest=self.digest,
            epoch=self._epoch,
            distrusts_versions=distrusts_versions,
            stream=stream,
        )
        self._take(encode(closed, cut.envelope))
        cut.types[CUT_CLOSED] += 1
        self._unsent_marks.append(_Closing(closed, cut.types))
        if self._unsent_bytes > self._limits.append_bytes_max:
            await self.flush()

    async def flush(self) -> None:
        """Append all events that were taken; from then on they are known.

        Raises:
            TransientError: the outcome is unknown.
            FencedError: another watcher has taken over.
        """
        if not self._unsent:
            return
        # Before the append: when its answer is lost, the records may be in the log all the same.
        self.has_appended = True
        offset = await self._log.append(self._unsent)
        for place, mark in enumerate(self._unsent_marks):
            self._appended(mark, Offset(offset + place))
        self._unsent, self._unsent_marks, self._unsent_bytes = [], [], 0
        if self._cut is None:
            self._latest.clear()

    def _appended(self, mark: _Mark | _Closing, offset: Offset) -> None:
        match mark:
            case _Mark(key=key, fingerprint=fingerprint):
                self._known.add(key, fingerprint, offset)
                if self._rows_recur and fingerprint is not None:
                    self._latest[key] = PresentRow(Fingerprint(fingerprint), None, offset)
            case _Closing(closed=closed, types=types):
                self._known.close()
                # The closing digest was summed as events were taken, this one as they were
                # appended. Both must agree before any target may trust the cut.
                if self._known.digest != closed.digest:
                    raise CorruptionError(
                        "the cut that was just published does not add up to its digest"
                    )
                self._reader.take(ClosedCut(offset=offset, closed=closed))
                self.written.append(PublishedCut(ClosedCut(offset=offset, closed=closed), types))

    def _take(self, document: Document) -> None:
        if not self._unsent:
            self._unsent_since_s = asyncio.get_running_loop().time()
        self._unsent.append(document)
        self._unsent_bytes += len(document.data)

    def _opened(self) -> _OpenCut:
        if self._cut is None:
            raise FencedError("no cut is open")
        return self._cut
