"""A topic that a log is moved into: the same records at the same distance from each other.

Each append of a writer is a transaction, and each transaction takes an offset of the topic. So the
moved records are sent outside transactions, by an idempotent producer, which keeps their order.
Offsets that hold nothing in the former log (markers of its own transactions) get a filler. The move
ends with the first record of a writer, in a transaction; until then no process reads the topic.

A writer of the topic is shut out by the broker, as by any other writer: the transactional id is the
topic's name. Records that a killed move still had on their way show in the next record's offset.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from replicator.adapters.kafka import topic as kafka_topic
from replicator.adapters.kafka.log_place import (
    ACQUIRED,
    CONTINUES,
    FILLER,
    MOVING,
    LogPlace,
    headers,
    ms_at,
    records_of,
    tail_of,
)
from replicator.adapters.kafka.reader import PartitionReader
from replicator.adapters.kafka.session import (
    BATCH_BYTES,
    KafkaSession,
    started,
    stopped,
    translated,
)
from replicator.adapters.kafka.topic import TopicSettings
from replicator.errors import RefusedError, TransientError
from replicator.model.event import Epoch, Offset, Record
from replicator.model.log.wire import document_of
from replicator.ports import LogState

SETTLED_S = 1.0
"""Time after which no record of a killed move is on its way; a later one shows in the offsets."""


class _BatchLine(TypedDict):
    """One record as a batch takes it."""

    key: bytes
    value: bytes
    timestamp: int
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch on its way, and the offset that its first record must get."""

    first: int
    done: "asyncio.Future[RecordMetadata]"


class KafkaHeir:
    """A `LogHeir` in the topic that `topic` names."""

    def __init__(
        self, session: KafkaSession, topic: TopicSettings, *, transaction_timeout_s: float
    ) -> None:
        self._session, self._topic = session, topic
        self._timeout_ms = int(transaction_timeout_s * 1000)
        self._reader = PartitionReader(
            session, topic.name, cursors_max=2, fetch_bytes_max=8 * BATCH_BYTES
        )
        self._sender: AIOKafkaProducer | None = None
        self._fence: AIOKafkaProducer | None = None
        self._place = LogPlace("", 0)
        self._epoch, self._next = Epoch(0), 0
        self._latest_ms = 0

    @property
    def name(self) -> str:
        return f"Kafka's topic {self._topic.name}"

    async def begin(self, state: LogState) -> Offset | None:
        await kafka_topic.make(self._session, self._topic)
        if await self._is_done(state):
            return None
        with translated(f"become the writer of topic {self._topic.name}"):
            self._fence = await started(
                self._session,
                record_bytes_max=self._topic.record_bytes_max,
                enable_idempotence=True,
                transactional_id=self._topic.name,
                transaction_timeout_ms=self._timeout_ms,
            )
            self._sender = await started(
                self._session,
                record_bytes_max=self._topic.record_bytes_max,
                enable_idempotence=True,
            )
        # Transactions of a former writer are shut out by the broker; the plain records of a killed
        # move are not, and may still arrive.
        await asyncio.sleep(SETTLED_S)
        self._epoch, end = state.epoch, await self._reader.end()
        tail = await tail_of(self._reader)
        if tail is None:
            # A topic that was used before does not begin at 0: its offsets go on, whatever was
            # deleted.
            self._place = LogPlace(state.span.log_id, state.span.first - end)
            self._next = end
        else:
            assert tail.place is not None  # noqa: S101 - `_is_done` has seen that it is ours
            self._place, self._next = tail.place, tail.offset + 1
            self._latest_ms = tail.appended_at_ms
        return Offset(self._next + self._place.shift)

    async def receive(self, records: Sequence[Record]) -> None:
        sender, sent = self._sender, list[_Sent]()
        assert sender is not None  # noqa: S101 - for the type checker
        with translated(f"write topic {self._topic.name} at {self._session.servers}"):
            async with asyncio.timeout(2 * self._session.request_timeout_s):
                for first, batch in self._batches(sender, records):
                    done = await sender.send_batch(batch, self._topic.name, partition=0)
                    sent.append(_Sent(first, done))
                for one in sent:
                    await asyncio.wait([one.done])
                for one in sent:
                    if (found := one.done.result().offset) != one.first:
                        raise TransientError(
                            f"topic {self._topic.name}: a record went to offset {found} and not to"
                            f" {one.first}: another program wrote there",
                            hint="see that no other move is running, and run the command again",
                        )

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        shift = self._place.shift
        at = start - shift
        while found := await self._reader.read(at, records_max=records_max):
            if events := records_of(found, shift):
                return events
            at = found[-1].offset + 1
        return []

    async def forget(self) -> None:
        """Delete all records; the topic stays, and its offsets go on from its end."""
        place, end = TopicPartition(self._topic.name, 0), await self._reader.end()
        admin = AIOKafkaAdminClient(**self._session.options())
        try:
            with translated(f"delete the records of topic {self._topic.name}"):
                await admin.start()
                await admin.delete_records({place: RecordsToDelete(end)})
        finally:
            await admin.close()

    async def finish(self, state: LogState) -> None:
        """Write the first record of a writer, in a transaction: from then on the log is in use."""
        fence, epoch = self._fence, Epoch(state.epoch + 1)
        assert fence is not None  # noqa: S101 - for the type checker
        with translated(f"end the move into topic {self._topic.name}"):
            async with asyncio.timeout(2 * self._session.request_timeout_s):
                await fence.begin_transaction()
                # In a transaction under the topic's name: a writer that came meanwhile makes this
                # commit fail.
                batch = fence.create_batch()
                batch.append(
                    key=b"",
                    value=orjson.dumps({"epoch": epoch}),
                    timestamp=self._latest_ms,
                    headers=headers(ACQUIRED, epoch, (CONTINUES, self._place.header)),
                )
                done = await fence.send_batch(batch, self._topic.name, partition=0)
                await done
                await fence.commit_transaction()

    async def close(self) -> None:
        for producer in (self._sender, self._fence):
            if producer is not None:
                await stopped(producer)
        await self._reader.close()

    async def _is_done(self, state: LogState) -> bool:
        """Return whether the log is here already.

        Raises:
            RefusedError: the topic holds another log.
        """
        tail, log_id = await tail_of(self._reader), state.span.log_id
        if tail is None:
            return False
        if tail.place is None or tail.place.log_id != log_id:
            raise RefusedError(
                f"topic {self._topic.name} holds another log; nothing was changed",
                hint="choose another log.topic_prefix, or delete that topic if nothing needs it",
            )
        return not tail.is_moving

    def _batches(
        self, sender: AIOKafkaProducer, records: Sequence[Record]
    ) -> Iterator[tuple[int, BatchBuilder]]:
        """Yield batches, each with the offset in the topic that its first record must get."""
        first, batch = self._next, sender.create_batch()
        for line in self._lines(records):
            if batch.append(**line) is None:
                yield first, batch
                first, batch = self._next, sender.create_batch()
                batch.append(**line)
            self._next += 1
        if self._next > first:
            yield first, batch

    def _lines(self, records: Sequence[Record]) -> Iterator[_BatchLine]:
        """Yield the records, with fillers for the offsets between them that hold nothing."""
        header = (MOVING, self._place.header)
        filling = headers(FILLER, self._epoch, header)
        for record in records:
            self._latest_ms = int(ms_at(record.appended_at))
            for _ in range(record.offset - self._place.shift - self._next):
                yield _BatchLine(key=b"", value=b"{}", timestamp=self._latest_ms, headers=filling)
            document = document_of(record)
            yield _BatchLine(
                key=document.subject.encode(),
                value=document.data,
                timestamp=self._latest_ms,
                headers=headers(document.type, self._epoch, header),
            )
