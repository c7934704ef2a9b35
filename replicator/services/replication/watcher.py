"""Turns the source cluster's metadata into events on the log, one consistent cut a poll.

A poll opens one snapshot. The scout compares it with the ledger, which is the log folded up to its
end; rows that differ are fetched and appended as events, a bounded number at a time. The closing
record with the digest of all rows makes them a cut: readers skip events that have none.

The watcher believes nothing but the log. It appends under an epoch, and when it does not know how
an append ended it gives the epoch up, takes a new one and reads the log's end again. So no event is
appended twice under one epoch, and of two watchers only the newer one can close a cut.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
from replicator.model.ledger import Folding, empty
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
from replicator.ports import EventLogWriter, MetadataReader, Snapshot
from replicator.services.history.cuts import CutReader
from replicator.services.history.reader import History
from replicator.services.replication.scout import Findings, Scout, VersionOptions
from replicator.services.running.loop import repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLimits:
    """How often the source is asked, and how much at a time."""

    poll_interval_s: float
    jitter: float
    idle_cut_interval_s: float
    fetch_rows_max: int
    append_bytes_max: int
    versions: VersionOptions


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
        self._known = Folding(empty())
        self._scout = Scout(limits.versions, observer)
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
            findings = await self._scout.look(snapshot, self._known)
            idle = findings.is_empty and started_s - self._closed_at_s < self._idle_s
            published = None if idle else await self._publish(snapshot, findings)
        if idle:
            self._scout.expect(self._known.digest)
        self._scout.settle(self._known.digest)
        poll_s = asyncio.get_running_loop().time() - started_s
        self._observer(
            Polled(
                scanned_rows=findings.scanned,
                fingerprinted_rows=findings.fingerprinted,
                full=findings.full,
                poll_s=poll_s,
            )
        )
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
        await self._reader.fold(self._known, Recorded(), until=Offset(span.end - 1))
        if self._known.ledger().digest != self._reader.digest:
            raise CorruptionError("the log's events do not add up to the digest of its last cut")
        self._scout.heed(distrusted=self._reader.distrusts_versions)
        self._epoch = epoch
        self._observer(EpochAcquired(epoch=epoch))
        if span.end == 0:
            self._observer(LogBegun(log_id=span.log_id))

    async def _publish(
        self, snapshot: Snapshot, findings: Findings
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
        attempt = _Attempt(self._log, envelope, self._known, self._limits.append_bytes_max)
        try:
            for kind in [*findings.handles]:
                await self._publish_changed(snapshot, kind, findings, attempt)
            async for entries in self._history.pick(findings.unseen):
                await attempt.add([_removed(entry) for entry in entries])
            self._scout.expect(attempt.digest)
            cut = await attempt.close(distrusts_versions=self._scout.distrusts)
        finally:
            self._known.discard()  # what was appended of an attempt that is given up
        closed = cut.closed
        self._reader.skip_to(cut.offset, closed.cut, closed.digest, closed.source_time)
        self._epoch = epoch
        return cut, attempt.types

    async def _publish_changed(
        self, snapshot: Snapshot, kind: Kind, findings: Findings, attempt: "_Attempt"
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
        known = self._known.find(key_hash(key_of(row)))
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
        self, log: EventLogWriter, envelope: Envelope, known: Folding, bytes_max: int
    ) -> None:
        self._log = log
        self._envelope = envelope
        self._bytes_max = bytes_max
        self._known = known
        self._sum = int(known.digest)
        self._count = 0
        self.types: Counter[str] = Counter()
        self._unsent: list[Document] = []
        self._unsent_bytes = 0
        self._unsent_marks: list[tuple[bytes, bytes | None]] = []

    async def add(self, events: Sequence[RowEvent]) -> None:
        """Take events, and append what was taken when it becomes too much."""
        for event in events:
            mark = event.fingerprint if isinstance(event, RowChanged) else None
            self._sum += int.from_bytes(mark or b"") - int.from_bytes(event.previous or b"")
            self._unsent_marks.append((key_hash(key_of_event(event)), mark))
            document = encode(event, self._envelope)
            self._unsent.append(document)
            self._unsent_bytes += len(document.data)
            self.types[document.type] += 1
        self._count += len(events)
        if self._unsent_bytes > self._bytes_max:
            await self._append()

    @property
    def digest(self) -> Digest:
        """Of the inventory after all events that were taken."""
        return Digest(self._sum % DIGEST_MODULUS)

    async def close(self, *, distrusts_versions: bool) -> ClosedCut:
        """Append the rest and the closing record together; from then on all of it is known."""
        closed = CutClosed(
            cut=self._envelope.cut,
            source_time=self._envelope.time,
            count=self._count,
            digest=self.digest,
            epoch=self._envelope.epoch,
            distrusts_versions=distrusts_versions,
        )
        rest = len(self._unsent)
        self._unsent.append(encode(closed, self._envelope))
        self.types[CUT_CLOSED] += 1
        offset = await self._append()
        self._known.close()
        if self._known.digest != closed.digest:
            raise CorruptionError("the cut that was just published does not add up to its digest")
        return ClosedCut(offset=Offset(offset + rest), closed=closed)

    async def _append(self) -> Offset:
        offset = await self._log.append(self._unsent)
        for place, (key, mark) in enumerate(self._unsent_marks):
            self._known.add(key, mark, offset + place)
        self._unsent, self._unsent_marks, self._unsent_bytes = [], [], 0
        return offset


def _removed(entry: Entry) -> RowRemoved:
    event = entry.event
    if not isinstance(event, RowChanged):
        raise CorruptionError(f"the event at offset {entry.offset} is not the row it should be")
    return RowRemoved(key=key_of(event.row), previous=event.fingerprint)
