"""Reads one partition from any offset: committed records only, and a certain answer at the end.

A consumer fetches ahead, which is fast while reads follow each other and wasted when they jump. So
there are a few consumers, and each read takes the one that is already at its start.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from replicator.adapters.kafka.session import KafkaSession, stopped, translated
from replicator.errors import GapError

EMPTY_POLL_S = 0.02
"""Aborted records and transaction markers are passed over without being returned."""


@dataclass(slots=True, eq=False)
class _Cursor:
    """A consumer and its position."""

    consumer: AIOKafkaConsumer
    at: int = -1
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


class PartitionReader:
    """Reads committed records of one partition of one topic.

    Args:
        session: How the brokers are reached.
        topic: The topic, which must be there.
        cursors_max: Number of consumers kept open, and of reads that can progress undisturbed.
        fetch_bytes_max: Number of bytes that each of them fetches ahead.
    """

    def __init__(
        self, session: KafkaSession, topic: str, *, cursors_max: int, fetch_bytes_max: int
    ) -> None:
        self._session = session
        self._partition = TopicPartition(topic, 0)
        self._cursors_max = cursors_max
        self._fetch_bytes_max = fetch_bytes_max
        self._stack = AsyncExitStack()
        self._cursors: list[_Cursor] = []
        self._opening = asyncio.Lock()
        self._lookups: AIOKafkaConsumer | None = None
        self._known_end = -1

    @property
    def known_end(self) -> int:
        """The last stable offset when it was last requested; -1 before that."""
        return self._known_end

    async def close(self) -> None:
        """Close all consumers."""
        await self._stack.aclose()
        self._cursors, self._lookups = [], None

    async def first(self) -> int:
        """Return the offset of the oldest record that is kept."""
        with self._translated("ask for the first offset"):
            consumer = await self._for_lookups()
            found: int = (await consumer.beginning_offsets([self._partition]))[self._partition]
            return found

    async def end(self) -> int:
        """Return the offset before which each transaction has ended: Kafka's last stable offset."""
        with self._translated("ask for the last stable offset"):
            consumer = await self._for_lookups()
            found: int = (await consumer.end_offsets([self._partition]))[self._partition]
            self._known_end = found
            return found

    async def offset_at(self, time_ms: int) -> int | None:
        """Return the offset of the first record at or after a time, in Unix milliseconds.

        Records' times must not decrease. The search begins with the broker's own look-up, which
        also finds transaction markers, with the broker's time, and finds nothing when the record
        that it would find was trimmed (Kafka 4.4).
        """
        low = await self._hint(time_ms)
        if await self._is_late(low, time_ms):
            return await self._next_record(low)
        end, step = await self.end(), 1
        while not await self._is_late(high := min(low + step, end), time_ms):
            low, step = high, step * 2
        while high - low > 1:
            middle = (low + high) // 2
            if await self._is_late(middle, time_ms):
                high = middle
            else:
                low = middle
        return await self._next_record(high)

    async def _hint(self, time_ms: int) -> int:
        with self._translated("look up a time"):
            consumer = await self._for_lookups()
            found = (await consumer.offsets_for_times({self._partition: time_ms}))[self._partition]
        return await self.first() if found is None else found.offset

    async def _is_late(self, offset: int, time_ms: int) -> bool:
        """Whether no record from this offset on is older than a time."""
        records = await self.read(offset, records_max=1)
        return not records or records[0].timestamp >= time_ms

    async def _next_record(self, offset: int) -> int | None:
        records = await self.read(offset, records_max=1)
        return records[0].offset if records else None

    async def read(self, start: int, *, records_max: int) -> Sequence[ConsumerRecord]:
        """Return committed records from `start` on, at least one unless there is none.

        Raises:
            GapError: `start` is older than what is kept.
        """
        # A consumer at the end would wait for the next record; the last stable offset answers at
        # once.
        if start >= self._known_end and start >= await self.end():
            return []
        async with self._at(start) as cursor:
            with self._translated(f"read from offset {start}"):
                try:
                    return await self._poll(cursor, records_max)
                # Trimmed, or a topic that was made again and is shorter: what is known of its end
                # is worth nothing.
                except OffsetOutOfRangeError:
                    self._known_end = -1
                    await self._refuse_trimmed(start)
                    return []

    async def _poll(self, cursor: _Cursor, records_max: int) -> Sequence[ConsumerRecord]:
        async with asyncio.timeout(self._session.request_timeout_s):
            while cursor.at < self._known_end:
                found = await cursor.consumer.getmany(
                    self._partition,
                    timeout_ms=int(EMPTY_POLL_S * 1000),
                    max_records=records_max,
                )
                cursor.at = await cursor.consumer.position(self._partition)
                records: Sequence[ConsumerRecord] = found.get(self._partition, ())
                if records:
                    return records
        return []

    async def _refuse_trimmed(self, start: int) -> None:
        first = await self.first()
        if start < first:
            raise GapError(
                f"topic {self._partition.topic} was trimmed: it begins at offset {first} and"
                f" {start} was requested"
            )

    @asynccontextmanager
    async def _at(self, start: int) -> AsyncIterator[_Cursor]:
        """Lend the consumer that is at an offset, or the least used one after moving it there."""
        cursor = await self._free(start)
        async with cursor.busy:
            self._cursors.remove(cursor)
            self._cursors.append(cursor)
            if cursor.at != start:
                cursor.consumer.seek(self._partition, start)
                cursor.at = start
            try:
                yield cursor
            except BaseException:
                cursor.at = -1  # the call's records are lost with it
                raise

    async def _free(self, start: int) -> _Cursor:
        async with self._opening:
            idle = [cursor for cursor in self._cursors if not cursor.busy.locked()]
            for cursor in idle:
                if cursor.at == start:
                    return cursor
            if len(self._cursors) < self._cursors_max:
                consumer = await self._opened()
                consumer.assign([self._partition])
                consumer.seek(self._partition, start)
                self._cursors.insert(0, _Cursor(consumer, start))
                return self._cursors[0]
            # The least recently used one: cursors that were used move to the list's end.
            return (idle or self._cursors)[0]

    async def _for_lookups(self) -> AIOKafkaConsumer:
        async with self._opening:
            if self._lookups is None:
                self._lookups = await self._opened()
            return self._lookups

    async def _opened(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._session.options(),
            isolation_level="read_committed",
            enable_auto_commit=False,
            # Otherwise a read of a trimmed offset would begin elsewhere without a word.
            auto_offset_reset="none",
            max_partition_fetch_bytes=self._fetch_bytes_max,
            fetch_max_bytes=self._fetch_bytes_max,
            fetch_max_wait_ms=100,
        )
        with self._translated("connect"):
            try:
                await consumer.start()
            except BaseException:
                await stopped(consumer)
                raise
        self._stack.push_async_callback(stopped, consumer)
        return consumer

    def _translated(self, doing: str) -> AbstractContextManager[None]:
        return translated(f"{doing} of topic {self._partition.topic} at {self._session.servers}")
