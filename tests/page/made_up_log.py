"""A log that nobody has, of as many cuts as are wanted: it makes its records as they are read."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from replicator.model.event import ClosedCut, CutClosed, CutNumber, Envelope, Epoch, Offset, Record
from replicator.model.fingerprint import Digest, Fingerprint
from replicator.model.log.wire import encode
from replicator.model.row import Segment
from replicator.ports import Keeping, Span
from tests.builders import changed, json_bytes, segment, segment_payload

SOURCE, LOG_ID = "prod", "made-up"
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
STEP = timedelta(seconds=30)
WIDTH = 8
"""Offsets of one cut; the last is that of its closing record."""
LOST_EACH, LOST = 7_919, 5
"""Every so many cuts, so many segments are marked unused."""
QUIET_HOURS = range(6)
"""Hours of a day in which little is published."""
HOSTILE = 'x<img src=q onerror="document.title=1">\u202egnp.exe\x1b[31m'
"""A datasource by a name that would be markup, turn the text and colour a terminal."""


class MadeUpLog:
    """A log that makes its records as they are read."""

    def __init__(self, *, cuts: int, datasources: int) -> None:
        self.cuts = cuts
        self.records_read = 0
        self.names = [*(f"datasource_{number:03}" for number in range(datasources - 1)), HOSTILE]

    def time(self, cut: int) -> datetime:
        return NOW - (self.cuts - cut) * STEP - timedelta(seconds=4)

    def closed(self, cut: int) -> ClosedCut:
        closing = CutClosed(
            cut=CutNumber(cut),
            source_time=self.time(cut),
            count=len(self.rows(cut)),
            digest=Digest(cut),
            epoch=Epoch(1),
        )
        return ClosedCut(offset=Offset(WIDTH * cut - 1), closed=closing)

    def rows(self, cut: int) -> list[tuple[Segment, bool]]:
        """Return the segments that a cut changes, and whether each of them is new."""
        found = [(self.segment(cut), True)] if self.publishes(cut) else []
        if cut % LOST_EACH == 0:
            former = [cut - step * len(self.names) for step in range(1, LOST + 1)]
            found += [
                (replace(self.segment(one), used=False), False)
                for one in former
                if one > 0 and self.publishes(one)
            ]
        return found

    def publishes(self, cut: int) -> bool:
        """Return whether a cut has a new segment: fewer at night and at weekends."""
        time = self.time(cut)
        share = 2 if time.hour in QUIET_HOURS else 5 + abs(12 - time.hour) % 5
        share = share // 2 if time.isoweekday() > 5 else share
        return cut * 7919 % 13 < share

    def segment(self, cut: int) -> Segment:
        name, partition = self.names[cut % len(self.names)], cut // len(self.names)
        size = 1_000_000 + 1_000 * (cut % len(self.names)) ** 2
        payload = segment_payload(datasource=name, partition=partition, size=size)
        return segment(name, partition, payload=json_bytes(payload))

    async def span(self) -> Span:
        return Span(log_id=LOG_ID, first=Offset(0), end=Offset(WIDTH * self.cuts))

    async def read(self, start: Offset, *, records_max: int) -> list[Record]:
        found = list[Record]()
        cut = start // WIDTH + 1
        while cut <= self.cuts and len(found) < records_max:
            found += [record for record in self.records(cut) if record.offset >= start]
            cut += 1
        found = found[:records_max]
        self.records_read += len(found)
        return found

    def records(self, cut: int) -> Iterator[Record]:
        time = self.time(cut)
        within = Envelope(source=SOURCE, cut=CutNumber(cut), epoch=Epoch(1), time=time)
        for place, (row, is_new) in enumerate(self.rows(cut)):
            event = changed(row, previous=None if is_new else Fingerprint(bytes(32)))
            document = encode(event, within)
            offset = Offset(WIDTH * (cut - 1) + place)
            yield Record(offset, time, document.type, document.data)
        closed = self.closed(cut)
        document = encode(closed.closed, within)
        yield Record(closed.offset, time, document.type, document.data)

    async def offset_at(self, time: datetime) -> Offset | None:
        return None

    async def keeping(self) -> Keeping:
        return Keeping()

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        return None

    async def reported(self, reader: str) -> str | None:
        return None
