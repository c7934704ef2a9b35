"""A source that changes for years, chunk by chunk: what its events say, and nothing kept of them.

Segment `slot` is one of so many that are always there; when it is killed the next generation of it
is published in the same cut. What is remembered of each is its generation, whether it is used, and
its fingerprint: 40 bytes. Payloads are like Druid's: the names of a datasource's dimensions, of
which every segment lacks some, a place in deep storage with a random part, sizes, a shard.
"""

import json
from collections.abc import Iterator
from hashlib import blake2b, sha1
from random import Random
from typing import TypeAlias

from bench.stage import DATASOURCES, PARTITIONS, SOURCE_ROOT, WORDS
from replicator.model.event import RowChanged, RowRemoved
from replicator.model.fingerprint import (
    EMPTY_DIGEST,
    FINGERPRINT_BYTES,
    Digest,
    Fingerprint,
    changed,
    fingerprint,
)
from replicator.model.row import CommitMetadata, Segment, key_of

SCHEMAS = 64
"""So many different lists of dimensions has a datasource."""
HOURS = [f"{day:02}T{hour:02}" for day in range(1, 29) for hour in range(24)]
LISTS_BYTES = 1_500
CUT_EVENTS_MAX = 2_000
"""Cuts have from one event to so many; small ones are the most, as with streams."""
KILLED, OFFSETS = 0.3, 0.1
"""How many segments of a cut are killed and published anew, others change their used flag; and how
many offsets of streams there are for one segment."""

Change: TypeAlias = RowChanged | RowRemoved


class ChangingSource:
    """Gives the first cut, then one cut of changes after the other, with the digest after it."""

    def __init__(self, segments: int, rng: Random) -> None:
        self._segments, self._rng = segments, rng
        self._generations = bytearray(segments)
        self._used = bytearray(b"\1" * segments)
        self._marks = bytearray(FINGERPRINT_BYTES * segments)
        self._lists = [_lists(rng) for _ in range(DATASOURCES)]
        self._offsets: dict[str, Fingerprint] = {}
        self._published = 0
        self.digest: Digest = EMPTY_DIGEST

    def first(self, chunk: int) -> Iterator[list[Change]]:
        """Yield the first cut in chunks: all segments are new."""
        for start in range(0, self._segments, chunk):
            slots = range(start, min(self._segments, start + chunk))
            yield self._counted([self._segment(slot, None) for slot in slots])

    def cut(self) -> list[Change]:
        """Return the events of the next cut, each row once."""
        return self._cut_of(round(CUT_EVENTS_MAX ** self._rng.random()))

    def small_cut(self, events_max: int) -> list[Change]:
        """Return the events of a cut of a few rows, as a commit of a stream's task has them."""
        size = self._rng.randint(1, (events_max - 1) // 2)  # a row that is published again has two
        events: list[Change] = []
        for slot in sorted({self._rng.randrange(self._segments) for _ in range(size)}):
            events += self._change(slot)
        events.append(self._committed(f"datasource_{self._rng.randrange(DATASOURCES)}"))
        return self._counted(events)

    def _cut_of(self, size: int) -> list[Change]:
        events: list[Change] = []
        for slot in sorted({self._rng.randrange(self._segments) for _ in range(size)}):
            events += self._change(slot)
        for datasource in range(DATASOURCES):
            if self._rng.random() < min(1.0, OFFSETS * size / DATASOURCES):
                events.append(self._committed(f"datasource_{datasource}"))
        return self._counted(events)

    def _change(self, slot: int) -> list[Change]:
        if self._rng.random() < KILLED:
            gone = RowRemoved(key=key_of(self._row(slot)), previous=self._mark(slot))
            self._generations[slot] = (self._generations[slot] + 1) % 256
            self._used[slot] = 1
            return [gone, self._segment(slot, None)]
        self._used[slot] ^= 1
        return [self._segment(slot, self._mark(slot))]

    def _segment(self, slot: int, previous: Fingerprint | None) -> RowChanged:
        row = self._row(slot)
        mark = fingerprint(row)
        self._marks[FINGERPRINT_BYTES * slot : FINGERPRINT_BYTES * (slot + 1)] = mark
        return RowChanged(row=row, fingerprint=mark, previous=previous)

    def _mark(self, slot: int) -> Fingerprint:
        at = FINGERPRINT_BYTES * slot
        return Fingerprint(bytes(self._marks[at : at + FINGERPRINT_BYTES]))

    def _committed(self, datasource: str) -> RowChanged:
        self._published += 1
        ends = {str(n): 1_000_000_000 + n + self._published for n in range(16)}
        payload = json.dumps({"type": "kafka", "partitions": ends}).encode()
        row = CommitMetadata(
            datasource=datasource,
            created_date="2015-01-01T00:00:00.000Z",
            commit_metadata_sha1=sha1(payload).hexdigest(),  # noqa: S324 - Druid's choice
            commit_metadata_payload=payload,
        )
        previous, mark = self._offsets.get(datasource), fingerprint(row)
        self._offsets[datasource] = mark
        return RowChanged(row=row, fingerprint=mark, previous=previous)

    def _counted(self, events: list[Change]) -> list[Change]:
        gone = [event.previous for event in events if event.previous is not None]
        come = [event.fingerprint for event in events if isinstance(event, RowChanged)]
        self.digest = changed(self.digest, gone=gone, come=come)
        return events

    def _row(self, slot: int) -> Segment:
        number, generation, used = slot // DATASOURCES, self._generations[slot], self._used[slot]
        datasource, partition = f"datasource_{slot % DATASOURCES}", number % PARTITIONS
        hour = number // PARTITIONS
        month = f"{2015 + hour // len(HOURS) // 12}-{hour // len(HOURS) % 12 + 1:02}"
        start = f"{month}-{HOURS[hour % len(HOURS)]}:00:00.000Z"
        end = f"{month}-{HOURS[hour % len(HOURS)]}:59:59.000Z"
        version = f"{month}-28T03:{generation % 60:02}:{hour % 60:02}.{generation:03}Z"
        id_ = f"{datasource}_{start}_{end}_{version}" + (f"_{partition}" if partition else "")
        random = blake2b(id_.encode(), digest_size=16).hexdigest()
        lists = self._lists[slot % DATASOURCES][int(random[:4], 16) % SCHEMAS]
        place = f"{SOURCE_ROOT}/{datasource}/{start}_{end}/{version}/{partition}/{random}/index/"
        payload = (
            f'{{"dataSource":"{datasource}","interval":"{start}/{end}","version":"{version}",'
            f'"loadSpec":{{"type":"local","path":"{place}"}},{lists},'
            f'"shardSpec":{{"type":"numbered","partitionNum":{partition},"partitions":5}},'
            f'"binaryVersion":9,"size":{400_000_000 + int(random[4:10], 16)},"identifier":"{id_}"}}'
        )
        changed_at = version if used else f"{month}-28T04:{random[:2]}"
        return Segment(
            id=id_,
            datasource=datasource,
            created_date=version,
            start=start,
            end=end,
            partitioned=True,
            version=version,
            used=bool(used),
            used_status_last_updated=changed_at,
            payload=payload.encode(),
        )


def _lists(rng: Random) -> list[str]:
    """Return a datasource's dimensions and metrics as they stand in payloads, with some lacking."""
    words = WORDS.split()
    names = [f"{rng.choice(words)}_{rng.choice(words)}" for _ in range(LISTS_BYTES // 13)]
    metrics = '"metrics":"count,added,deleted"'
    found = []
    for _ in range(SCHEMAS):
        lacking = set(rng.sample(range(len(names)), 4))
        kept = ",".join(name for n, name in enumerate(names) if n not in lacking)
        found.append(f'"dimensions":"{kept}",{metrics}')
    return found
