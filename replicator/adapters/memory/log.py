"""An event log in memory, for tests and simulations: it promises the same, but is not durable."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import uuid4

from replicator.errors import FencedError, GapError, NotFoundError
from replicator.model.event import Document, Epoch, Offset, Record
from replicator.ports import Clock, Keeping, Obstacle, Span

_OFFSET, _APPENDED_AT = attrgetter("offset"), attrgetter("appended_at")


@dataclass(slots=True)
class _Stored:
    """State that all openings of one log share."""

    source: str
    log_id: str
    epoch: Epoch
    """Epoch of the log's writer; 0: no process has acquired the log, so there is none."""
    end: Offset
    last_appended_at: datetime | None = None
    """Time of the last append, so that times do not go back after all records were trimmed."""
    records: list[Record] = field(default_factory=list)
    retention: timedelta | None = None
    threat: Obstacle | None = None
    """Retention that the log reports; nothing is trimmed by itself."""
    pulses: dict[str, bytes] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    """Ids of the readers' stores."""


class MemoryEventLog:
    """An `EventLog` and `EventLogWriter` in a list.

    `reopen` gives another writer and reader of the same log, as another process would have it.
    """

    def __init__(
        self,
        clock: Clock,
        source: str,
        *,
        log_id: str | None = None,
        retention: timedelta | None = None,
    ) -> None:
        """Describe a log that is created by the first `acquire`.

        Args:
            clock: Dates the records.
            source: Name of the source cluster.
            log_id: Id of the log; by default a new one.
            retention: Retention that the log reports.
        """
        self._clock = clock
        self._stored = _Stored(
            source, log_id or uuid4().hex, Epoch(0), Offset(0), retention=retention
        )
        self._epoch = Epoch(0)

    def reopen(self) -> "MemoryEventLog":
        """Return another opening of this log, which has not acquired it."""
        other = MemoryEventLog(self._clock, self._stored.source)
        other._stored = self._stored
        return other

    def trim(self, before: Offset) -> None:
        """Drop the records with offsets smaller than `before`."""
        records = self._stored.records
        del records[: bisect_left(records, before, key=_OFFSET)]

    async def span(self) -> Span:
        await asyncio.sleep(0)
        return self._span()

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        await asyncio.sleep(0)
        first = self._span().first
        if start < first:
            raise GapError(
                f"the log was trimmed, it begins at offset {first} and {start} was requested"
            )
        records = self._stored.records
        at = bisect_left(records, start, key=_OFFSET)
        return records[at : at + records_max]

    async def offset_at(self, time: datetime) -> Offset | None:
        await asyncio.sleep(0)
        self._span()
        records = self._stored.records
        at = bisect_left(records, time, key=_APPENDED_AT)
        return records[at].offset if at < len(records) else None

    async def keeping(self) -> Keeping:
        await asyncio.sleep(0)
        self._span()
        return Keeping(self._stored.retention, self._stored.threat)

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        del offset
        self._stored.reports[reader] = store

    async def reported(self, reader: str) -> str | None:
        return self._stored.reports.get(reader)

    async def beat(self, who: str, data: bytes) -> None:
        self._span()
        self._stored.pulses[who] = data

    async def heard(self, who: str) -> bytes | None:
        return self._stored.pulses.get(who)

    async def acquire(self) -> Epoch:
        await asyncio.sleep(0)
        self._stored.epoch = self._epoch = Epoch(self._stored.epoch + 1)
        return self._epoch

    async def append(self, documents: Sequence[Document]) -> Offset:
        epoch = self._epoch
        await asyncio.sleep(0)  # cancelled here, nothing is stored; at the next await, all is
        first = self._store(documents, epoch)
        await asyncio.sleep(0)
        return first

    def _store(self, documents: Sequence[Document], epoch: Epoch) -> Offset:
        stored = self._stored
        if epoch == 0 or epoch != stored.epoch:
            raise FencedError("another writer has acquired the log")
        now = self._clock.now()
        stored.last_appended_at = now = max(now, stored.last_appended_at or now)
        first = stored.end
        stored.records.extend(
            Record(offset=Offset(offset), appended_at=now, type=document.type, data=document.data)
            for offset, document in enumerate(documents, first)
        )
        stored.end = Offset(first + len(documents))
        return first

    def _span(self) -> Span:
        stored = self._stored
        if stored.epoch == 0:
            raise NotFoundError(f"the log of source {stored.source!r} does not exist yet")
        first = stored.records[0].offset if stored.records else stored.end
        return Span(log_id=stored.log_id, first=first, end=stored.end)
