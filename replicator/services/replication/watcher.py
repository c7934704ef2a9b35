"""Turns the source cluster's metadata into events on the log, one consistent cut a poll."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from replicator.errors import CorruptionError, FencedError
from replicator.model.event import (
    ClosedCut,
    CutClosed,
    CutNumber,
    Document,
    Entry,
    Envelope,
    Epoch,
    Offset,
    RowChanged,
    RowEvent,
    RowRemoved,
    key_of_event,
)
from replicator.model.fingerprint import DIGEST_MODULUS, Digest, fingerprint, key_hash
from replicator.model.ledger import Comparison, Folding, Ledger, Offsets, empty, total
from replicator.model.observation import (
    CutPublished,
    EpochAcquired,
    LogBegun,
    Observer,
    Polled,
    Progress,
)
from replicator.model.reading import Recorded
from replicator.model.retry import RetryPolicy
from replicator.model.row import Kind, Row, key_of
from replicator.model.wire import CUT_CLOSED, encode
from replicator.ports import Chunk, EventLogWriter, MetadataReader, Snapshot
from replicator.services.history.cuts import CutReader
from replicator.services.history.reader import History
from replicator.services.running.loop import repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLimits:
    """How often the source is asked, and how much at a time."""

    poll_interval_s: float
    jitter: float
    idle_cut_interval_s: float
    fetch_rows_max: int
    append_bytes_max: int


@dataclass(slots=True)
class _Findings:
    """What one poll found; grows with the changes, not with the inventory."""

    scanned: int = 0
    handles: dict[Kind, list[np.ndarray]] = field(default_factory=dict)
    sums: dict[Kind, int] = field(default_factory=dict)
    unseen: Offsets = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def is_empty(self) -> bool:
        return not self.handles and not len(self.unseen)


class Watcher:
    """Publishes the difference between what the log says and what the source holds.

    The log is the watcher's only memory: at the start and after any doubt it acquires the log
    anew, which shuts out every other watcher, and folds what it has not read yet.
    """

    def __init__(
        self,
        *,
        source: str,
        metadata: MetadataReader,
        log: EventLogWriter,
        history: History,
        limits: WatchLimits,
        retry: RetryPolicy,
        rng: Random,
        observer: Observer,
    ) -> None:
        self._source = source
        self._metadata = metadata
        self._log = log
        self._limits = limits
        self._retry = retry
        self._rng = rng
        self._observer = observer
        self._history = history
        self._reader = CutReader(self._history)
        self._ledger: Ledger = empty()
        self._folding = Folding(self._ledger)
        self._epoch: Epoch | None = None
        self._closed_at_s = -float("inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set; a running poll always finishes."""
        await repeat(
            self._step,
            stop,
            what="poll the source",
            retry=self._retry,
            rng=self._rng,
            observer=self._observer,
        )

    async def _step(self) -> float:
        await self.poll()
        spread = self._rng.uniform(-self._limits.jitter, self._limits.jitter)
        return self._limits.poll_interval_s * (1 + spread)

    async def poll(self) -> bool:
        """Publish what changed as one closed cut; False when nothing did and none is due.

        Raises:
            TransientError: the source or the log is away; the next poll starts where this one did.
            FencedError: another watcher has taken over.
        """
        if self._epoch is None:
            await self._lead()
        started_s = asyncio.get_running_loop().time()
        async with self._metadata.snapshot() as snapshot:
            findings = await self._compare(snapshot)
            idle = findings.is_empty and started_s - self._closed_at_s < self._idle_s
            published = None if idle else await self._publish(snapshot, findings)
        poll_s = asyncio.get_running_loop().time() - started_s
        self._observer(Polled(scanned_rows=findings.scanned, poll_s=poll_s))
        if published is None:
            return False
        cut, types = published
        self._closed_at_s = started_s
        self._observer(
            CutPublished(
                cut=cut.closed.cut,
                offset=cut.offset,
                events=cut.closed.count,
                types=types,
                scanned_rows=findings.scanned,
                poll_s=poll_s,
            )
        )
        return True

    async def _lead(self) -> None:
        """Become the only watcher and bring the ledger up to the log's end."""
        epoch = await self._log.acquire()
        span = await self._log.span()
        await self._reader.fold(self._folding, Recorded(), until=Offset(span.end - 1))
        self._ledger = self._folding.ledger()
        if self._ledger.digest != self._reader.digest:
            raise CorruptionError("the log's events do not add up to the digest of its last cut")
        self._epoch = epoch
        self._observer(EpochAcquired(epoch=epoch))
        if span.end == 0:
            self._observer(LogBegun(log_id=span.log_id))

    async def _compare(self, snapshot: Snapshot) -> _Findings:
        comparison, findings = Comparison(self._ledger), _Findings()
        for kind in sorted(snapshot.kinds, key=lambda kind: kind.value):

            def visit(chunk: Chunk, kind: Kind = kind) -> None:
                unknown, stale = comparison.see(chunk.keys, chunk.marks)
                differing = unknown | stale
                findings.scanned += len(chunk.keys)
                if differing.any():
                    findings.handles.setdefault(kind, []).append(chunk.handles[differing])
                    found = total(chunk.marks[differing])
                    findings.sums[kind] = findings.sums.get(kind, 0) + found

            await snapshot.scan(kind, visit)
        findings.unseen = comparison.unseen()
        return findings

    async def _publish(
        self, snapshot: Snapshot, findings: _Findings
    ) -> tuple[ClosedCut, Counter[str]]:
        """Append the cut's events in chunks; its closing record goes with the last of them."""
        epoch, self._epoch = self._lead_epoch(), None  # in doubt until the cut is closed
        envelope = Envelope(
            source=self._source,
            cut=CutNumber(self._reader.last + 1),
            epoch=epoch,
            # a replica that lost its primary shows what it showed, and cannot say so any more
            time=max(snapshot.taken_at, self._reader.source_time or snapshot.taken_at),
        )
        attempt = _Attempt(self._log, envelope, self._ledger, self._limits.append_bytes_max)
        for kind in [*findings.handles]:
            await self._publish_changed(snapshot, kind, findings, attempt)
        async for entries in self._history.pick(findings.unseen):
            await attempt.add([_removed(entry) for entry in entries])
        cut, ledger = await attempt.close()
        closed = cut.closed
        self._reader.skip_to(cut.offset, closed.cut, closed.digest, closed.source_time)
        self._ledger, self._folding, self._epoch = ledger, Folding(ledger), epoch
        return cut, attempt.types

    async def _publish_changed(
        self, snapshot: Snapshot, kind: Kind, findings: _Findings, attempt: "_Attempt"
    ) -> None:
        handles, found = np.concatenate(findings.handles.pop(kind)), 0
        for start in range(0, len(handles), self._limits.fetch_rows_max):
            rows = await snapshot.fetch(kind, handles[start : start + self._limits.fetch_rows_max])
            events = [self._changed(row) for row in sorted(rows, key=key_of)]
            found += sum(int.from_bytes(event.fingerprint) for event in events)
            await attempt.add(events)
            self._observer(
                Progress(
                    what=f"publish {kind.value} rows",
                    done=start + len(rows),
                    total=len(handles),
                    unit="rows",
                )
            )
        if found != findings.sums[kind]:
            raise CorruptionError(
                f"the source's database computes other fingerprints for {kind.value} rows than this"
                " program does",
                hint="report this with the versions of PostgreSQL and Druid; nothing was published",
            )

    def _changed(self, row: Row) -> RowChanged:
        known = self._ledger.find(key_hash(key_of(row)))
        return RowChanged(
            row=row, fingerprint=fingerprint(row), previous=known.fingerprint if known else None
        )

    def _lead_epoch(self) -> Epoch:
        if self._epoch is None:
            raise FencedError("this watcher does not hold the log")
        return self._epoch

    @property
    def _idle_s(self) -> float:
        return self._limits.idle_cut_interval_s


class _Attempt:
    """The events of one cut on their way to the log."""

    def __init__(
        self, log: EventLogWriter, envelope: Envelope, ledger: Ledger, bytes_max: int
    ) -> None:
        self._log = log
        self._envelope = envelope
        self._bytes_max = bytes_max
        self._folding = Folding(ledger)
        self._digest = int(ledger.digest)
        self._count = 0
        self.types: Counter[str] = Counter()
        self._unsent: list[Document] = []
        self._unsent_bytes = 0
        self._unsent_marks: list[tuple[bytes, bytes | None]] = []

    async def add(self, events: Sequence[RowEvent]) -> None:
        """Take events, and append what was taken when it becomes too much."""
        for event in events:
            mark = event.fingerprint if isinstance(event, RowChanged) else None
            self._digest += int.from_bytes(mark or b"") - int.from_bytes(event.previous or b"")
            self._unsent_marks.append((key_hash(key_of_event(event)), mark))
            document = encode(event, self._envelope)
            self._unsent.append(document)
            self._unsent_bytes += len(document.data)
            self.types[document.type] += 1
        self._count += len(events)
        if self._unsent_bytes > self._bytes_max:
            await self._append()

    async def close(self) -> tuple[ClosedCut, Ledger]:
        """Append the rest and the closing record together, and return the inventory after it."""
        closed = CutClosed(
            cut=self._envelope.cut,
            source_time=self._envelope.time,
            count=self._count,
            digest=Digest(self._digest % DIGEST_MODULUS),
            epoch=self._envelope.epoch,
        )
        rest = len(self._unsent)
        self._unsent.append(encode(closed, self._envelope))
        self.types[CUT_CLOSED] += 1
        offset = await self._append()
        self._folding.close()
        ledger = self._folding.ledger()
        if ledger.digest != closed.digest:
            raise CorruptionError("the cut that was just published does not add up to its digest")
        return ClosedCut(offset=Offset(offset + rest), closed=closed), ledger

    async def _append(self) -> Offset:
        offset = await self._log.append(self._unsent)
        for place, (key, mark) in enumerate(self._unsent_marks):
            self._folding.add(key, mark, offset + place)
        self._unsent, self._unsent_marks, self._unsent_bytes = [], [], 0
        return offset


def _removed(entry: Entry) -> RowRemoved:
    event = entry.event
    if not isinstance(event, RowChanged):
        raise CorruptionError(f"the event at offset {entry.offset} is not the row it should be")
    return RowRemoved(key=key_of(event.row), previous=event.fingerprint)
