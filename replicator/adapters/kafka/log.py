"""An event log in a Kafka topic of one partition: an offset is a total order and a restore point.

Every append is one transaction. Its transactional id is the topic's name, so the broker itself
shuts out the old writer when a new one comes. Epochs are the replicator's and not the broker's,
because the broker forgets a producer id after a week of silence: a writer's first transaction holds
a record of type `log.acquired`, whose epoch is one larger than the last record's. Readers skip it.

Offsets are not dense: transactions leave markers between them. `appended_at` is Kafka's CreateTime,
in milliseconds, and never decreases along the offsets: the larger of the last one and the clock.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from math import ceil

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import OffsetAndMetadata, RecordMetadata

from replicator.adapters.kafka import topic as kafka_topic
from replicator.adapters.kafka.describing import find, survey
from replicator.adapters.kafka.log_place import (
    ACQUIRED,
    CONTINUES,
    MOVED,
    LogPlace,
    headers,
    moved_to,
    ms_at,
    records_of,
    refuse_unreadable,
    tail_of,
)
from replicator.adapters.kafka.reader import PartitionReader
from replicator.adapters.kafka.session import KafkaSession, started, stopped, translated
from replicator.adapters.kafka.topic import TopicSettings
from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    GapError,
    ReplicatorError,
    TransientError,
)
from replicator.model.event import Document, Epoch, Offset, Record
from replicator.ports import Clock, Keeping, LogState, Obstacle, Span

STABLE_POLL_S = 0.002
NEWER_WRITER_SHOWS_S = 5.0
NEWER_WRITER_POLL_S = 0.1
MARKERS = 1
"""Records that the broker adds after the last one of a transaction; each cut ends one."""
KEEPING_READ_EVERY_S = 60.0
"""Time between two questions for the topic's settings: it takes connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaLimits:
    """Limits for reading ahead and for waiting."""

    transaction_timeout_s: float = 60.0
    """Time after which the broker aborts the transaction of a silent writer, in seconds."""
    cursors_max: int = 4
    fetch_bytes_max: int = 8 << 20


@dataclass(slots=True)
class _Producing:
    """State of the one writer of a log."""

    producer: AIOKafkaProducer
    epoch: Epoch
    appended_at_ms: int
    place: LogPlace | None = None
    end: int = 0
    """End of the topic, as far as this writer knows: its appends get larger offsets."""

    @property
    def shift(self) -> int:
        """Difference between offsets of the log and of the topic."""
        return 0 if self.place is None else self.place.shift


@dataclass(frozen=True, slots=True)
class _TopicLog:
    """The log in the topic with one id."""

    topic_id: str
    place: LogPlace | None


@dataclass(frozen=True, slots=True)
class _TopicKeeping:
    """How the topic kept its records when it was last read."""

    read_at_s: float
    keeping: Keeping


class KafkaEventLog:
    """An `EventLog` and `EventLogWriter` in the topic that `topic` names.

    No call before `acquire` creates the topic or writes anything.
    """

    def __init__(
        self, session: KafkaSession, topic: TopicSettings, clock: Clock, limits: KafkaLimits
    ) -> None:
        self._session = session
        self._topic = topic
        self._clock = clock
        self._limits = limits
        self._reader = PartitionReader(
            session,
            topic.name,
            cursors_max=limits.cursors_max,
            fetch_bytes_max=limits.fetch_bytes_max,
        )
        self._known: _TopicLog | None = None
        self._is_moved_away = False
        self._writing: _Producing | None = None
        self._began_with: str | None = None
        """Id of the topic to which this process has written first, and so writes."""
        self._lock = asyncio.Lock()
        self._appends: set[asyncio.Task[Offset]] = set()
        self._groups: dict[str, AIOKafkaConsumer] = {}
        self._kept: _TopicKeeping | None = None

    async def close(self) -> None:
        """Finish the appends under way and close all connections."""
        if self._appends:
            await asyncio.wait(self._appends)
        await self._resign()
        for consumer in self._groups.values():
            await stopped(consumer)
        await self._reader.close()

    # ------------------------------------------------------------------------------------- reading

    async def span(self) -> Span:
        found = await find(self._session, self._topic.name)
        shift = await self._shift(found.id)
        first, end = await self._reader.first(), await self._reader.end()
        return Span(
            log_id=self._log_id(found.id),
            first=Offset(max(0, first + shift)),
            end=Offset(max(0, end + shift)),
        )

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        shift = await self._shift()
        at = int(start) - shift
        if at < 0:
            raise GapError(f"topic {self._topic.name} begins after offset {start} of its log")
        while found := await self._reader.read(at, records_max=records_max):
            if (into := moved_to(found)) is not None and not self._is_moved_away:
                raise _moved(self._topic.name, into)
            if records := records_of(found, shift):
                return records
            at = found[-1].offset + 1
        # Only beyond the known end: the question takes a connection of its own, and each reader at
        # the end asks.
        if at > self._reader.known_end:
            await self._require_followed()
        return []

    async def _require_followed(self) -> None:
        """Refuse a topic that ends before an offset that is asked for, if the topic is another one.

        Raises:
            CorruptionError: the topic was deleted and created again.
        """
        known, found = self._known, await find(self._session, self._topic.name)
        if known is not None and known.topic_id != found.id:
            raise _made_again(self._topic.name, "followed")

    async def offset_at(self, time: datetime) -> Offset | None:
        shift = await self._shift()
        async with self._prober() as reader:
            at = await reader.offset_at(ceil(ms_at(time)))
        if at is None:
            return None
        # The search sees every record, also a writer's first one and fillers, which are no events.
        records = await self.read(Offset(at + shift), records_max=1)
        return records[0].offset if records else None

    async def keeping(self) -> Keeping:
        now_s = asyncio.get_running_loop().time()
        if self._kept is None or now_s - self._kept.read_at_s > KEEPING_READ_EVERY_S:
            keeping = await kafka_topic.keeping(self._session, self._topic)
            self._kept = _TopicKeeping(now_s, keeping)
        return self._kept.keeping

    async def obstacles(self) -> Sequence[Obstacle]:
        return await kafka_topic.obstacles(self._session, self._topic)

    async def state(self) -> LogState:
        self._is_moved_away = True  # the one who moves it must read it to the end
        span = await self.span()
        tail = await tail_of(self._reader)
        return LogState(
            span=span,
            epoch=Epoch(0) if tail is None else tail.epoch,
            moved_into=None if tail is None else tail.moved_into,
        )

    async def seal(self, into: str) -> None:
        data = orjson.dumps({"into": into})
        await self.append([Document(type=MOVED, subject="", data=data)])

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        name = self._group(reader)
        with translated(f"commit the offset of group {name} at {self._session.servers}"):
            if name not in self._groups:
                self._groups[name] = await self._member(name)
            at = await self._next_of(offset)
            position = {TopicPartition(self._topic.name, 0): OffsetAndMetadata(at, store)}
            async with asyncio.timeout(self._session.request_timeout_s):
                await self._groups[name].commit(position)

    async def reported(self, reader: str) -> str | None:
        note = await kafka_topic.note(self._session, self._topic.name, self._group(reader))
        return None if note is None else note.decode()

    def _group(self, reader: str) -> str:
        return f"{self._topic.name}.{reader}"

    async def beat(self, who: str, data: bytes) -> None:
        """Keep a heartbeat as metadata of a group's offset at the log's end: it has no lag."""
        name = self._running(who)
        with translated(f"commit the offset of group {name} at {self._session.servers}"):
            if name not in self._groups:
                self._groups[name] = await self._member(name)
            await self._shift()
            end = await self._reader.end()
            place = {TopicPartition(self._topic.name, 0): OffsetAndMetadata(end, data.decode())}
            async with asyncio.timeout(self._session.request_timeout_s):
                await self._groups[name].commit(place)

    async def heard(self, who: str) -> bytes | None:
        return await kafka_topic.note(self._session, self._topic.name, self._running(who))

    def _running(self, who: str) -> str:
        return f"{self._topic.name}.running.{who}"

    async def _next_of(self, offset: Offset) -> int:
        """Return where a reader continues: at the log's end, after the transaction's marker."""
        at = offset - await self._shift()
        end = await self._reader.end()
        # Otherwise tools that compute a group's lag would show one record for ever.
        return end if at + 1 + MARKERS == end else at + 1

    async def _member(self, group: str) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._session.options(), group_id=group, enable_auto_commit=False
        )
        await consumer.start()
        consumer.assign([TopicPartition(self._topic.name, 0)])
        # It commits offsets and reads nothing: an assigned consumer would fetch ahead all the same.
        consumer.pause(TopicPartition(self._topic.name, 0))
        return consumer

    async def _shift(self, topic_id: str | None = None) -> int:
        """Return by how much offsets of the log are larger than those of the topic.

        `topic_id` is the topic's id, if the caller has just read it.

        Raises:
            NotFoundError: there is no topic.
            RefusedError, ConfigError: the log in it is not all there yet, or was moved away.
        """
        known = self._known
        if known is None or topic_id not in {None, known.topic_id}:
            id_ = topic_id or (await find(self._session, self._topic.name)).id
            tail = await tail_of(self._reader)
            if tail is not None and not self._is_moved_away:
                refuse_unreadable(tail, self._topic.name)
            known = _TopicLog(id_, None if tail is None else tail.place)
            self._known = None if tail is None else known  # a log may be moved into an empty topic
        return 0 if known.place is None else known.place.shift

    def _log_id(self, topic_id: str) -> str:
        place = None if self._known is None else self._known.place
        return topic_id if place is None else place.log_id

    @asynccontextmanager
    async def _prober(self) -> AsyncIterator[PartitionReader]:
        """Lend a reader of single records, which fetches nothing ahead."""
        reader = PartitionReader(self._session, self._topic.name, cursors_max=1, fetch_bytes_max=1)
        try:
            yield reader
        finally:
            await reader.close()

    # ------------------------------------------------------------------------------------- writing

    async def acquire(self) -> Epoch:
        async with self._lock:
            await self._resign()
            # Before `make`, which would create the missing topic again under the same name.
            if self._began_with is not None:
                await self._require_same(self._began_with)
            self._began_with = (await kafka_topic.make(self._session, self._topic)).id
            producer = await self._producer()
            self._writing = writing = _Producing(producer, Epoch(0), 0)
            try:
                # From here on older writers are fenced, so the last record stays the last one.
                await self._take_over(writing)
                await self._commit([acquired(writing.epoch)], writing)
            except BaseException:
                await self._resign()
                raise
            return writing.epoch

    async def _require_same(self, topic_id: str) -> None:
        """Refuse to continue in another topic than the one that this process has written to.

        The process knows what that topic held; its appends mean nothing in another one.
        """
        found = (await survey(self._session, self._topic.name)).topic
        if found is None or found.id != topic_id:
            raise _made_again(self._topic.name, "wrote to")

    async def _take_over(self, writing: _Producing) -> None:
        """Continue from the last record: its epoch, its time, and the shift of a log moved here."""
        self._known = None
        await self._shift()
        tail = await tail_of(self._reader)
        writing.end = await self._reader.end()
        if tail is None:  # every epoch took an offset, so no epoch was larger than this
            writing.epoch = Epoch(writing.end + 1)
            return
        writing.epoch, writing.appended_at_ms = Epoch(tail.epoch + 1), tail.appended_at_ms
        writing.place = tail.place

    async def append(self, documents: Sequence[Document]) -> Offset:
        if (writing := self._writing) is None:
            raise FencedError(f"this process has not acquired topic {self._topic.name}")
        # Shielded: a caller that is cancelled must not leave half a transaction behind.
        task = asyncio.create_task(self._append(documents, writing))
        self._appends.add(task)
        task.add_done_callback(self._appends.discard)
        return await asyncio.shield(task)

    async def _append(self, documents: Sequence[Document], writing: _Producing) -> Offset:
        async with self._lock:
            if writing is not self._writing:
                raise FencedError(f"topic {self._topic.name} was acquired again in the meantime")
            if not documents:
                return Offset(await self._reader.end() + writing.shift)
            try:
                return await self._commit(documents, writing)
            except FencedError:
                await self._resign()
                raise await self._why_fenced(writing.epoch) from None
            except BaseException:
                await self._resign()
                raise

    async def _commit(self, documents: Sequence[Document], writing: _Producing) -> Offset:
        """Append in one transaction, and return once every reader sees it."""
        now_ms = int(ms_at(self._clock.now()))
        # Searches by time need times that never decrease, whatever the clocks of two writers say.
        writing.appended_at_ms = max(writing.appended_at_ms, now_ms)
        with translated(f"append to topic {self._topic.name} at {self._session.servers}"):
            async with asyncio.timeout(2 * self._session.request_timeout_s):
                await writing.producer.begin_transaction()
                first, last = await self._send(documents, writing)
                # A topic's offsets only grow. The client follows a topic that was deleted and made
                # again by its name, so only the offset shows that the log's records are gone; the
                # abort comes before any reader sees this first record of a false log.
                if first < writing.end:
                    await writing.producer.abort_transaction()
                    raise _made_again(self._topic.name, "wrote to")
                await writing.producer.commit_transaction()
                # A commit returns before its marker is in the partition: until then readers at
                # read_committed see nothing of it.
                await self._stable(last + 1)
                writing.end = last + 1
        return Offset(first + writing.shift)

    async def _send(self, documents: Sequence[Document], writing: _Producing) -> tuple[int, int]:
        """Hand all documents to the producer; return the offsets of the first and the last."""
        sent: list[asyncio.Future[RecordMetadata]] = []
        try:
            for batch in self._batches(documents, writing):
                future = await writing.producer.send_batch(batch, self._topic.name, partition=0)
                sent.append(future)
        finally:
            # Also after a failure every batch is awaited: none may be on its way while the producer
            # ends the transaction, and each failure must be retrieved.
            for future in sent:
                await asyncio.wait([future])
                future.exception()  # retrieved; the first of them is raised below
        offsets: list[int] = [future.result().offset for future in sent]
        return offsets[0], offsets[0] + len(documents) - 1

    def _batches(
        self, documents: Sequence[Document], writing: _Producing
    ) -> Iterator[BatchBuilder]:
        headers = _Headers(writing)
        batch = writing.producer.create_batch()
        for document in documents:
            self._refuse_large(document)
            line = {
                "key": document.subject.encode(),
                "value": document.data,
                "timestamp": writing.appended_at_ms,
                "headers": headers[document.type],
            }
            if batch.append(**line) is None:
                yield batch
                batch = writing.producer.create_batch()
                batch.append(**line)
        yield batch

    def _refuse_large(self, document: Document) -> None:
        if len(document.data) > self._topic.record_bytes_max:
            raise ConfigError(
                f"the event of {document.subject} has {len(document.data)} bytes, more than"
                f" log.record_bytes_max allows ({self._topic.record_bytes_max})",
                hint="raise log.record_bytes_max, and max.message.bytes of the topic with it",
            )

    async def _stable(self, end: int) -> None:
        """Wait for the marker of a committed transaction, which the broker writes afterwards."""
        while await self._reader.end() < end:  # noqa: ASYNC110 - the broker does not notify
            await asyncio.sleep(STABLE_POLL_S)

    async def _why_fenced(self, epoch: Epoch) -> ReplicatorError:
        """Tell another writer from a transaction that the broker aborted because this one was slow.

        Another writer shuts this one out a moment before its own first record is in the log.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(NEWER_WRITER_SHOWS_S):
                while (tail := await tail_of(self._reader)) is None or tail.epoch <= epoch:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(NEWER_WRITER_POLL_S)
                return FencedError(f"another writer has acquired topic {self._topic.name}")
        return TransientError(
            f"the broker ended a transaction on topic {self._topic.name}: this process was silent"
            f" for longer than {self._limits.transaction_timeout_s:g} s"
        )

    async def _producer(self) -> AIOKafkaProducer:
        with translated(
            f"become the writer of topic {self._topic.name} at {self._session.servers}"
        ):
            return await started(
                self._session,
                record_bytes_max=self._topic.record_bytes_max,
                transactional_id=self._topic.name,
                transaction_timeout_ms=int(self._limits.transaction_timeout_s * 1000),
            )

    async def _resign(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await stopped(writing.producer)


class _Headers(dict[str, list[tuple[str, bytes]]]):
    """The headers of each type of event, made once per transaction."""

    def __init__(self, writing: _Producing) -> None:
        super().__init__()
        self._epoch, place = writing.epoch, writing.place
        self._more = [] if place is None else [(CONTINUES, place.header)]

    def __missing__(self, type_: str) -> list[tuple[str, bytes]]:
        self[type_] = found = headers(type_, self._epoch, *self._more)
        return found


def acquired(epoch: Epoch) -> Document:
    """Return the first record of a writer."""
    return Document(type=ACQUIRED, subject="", data=orjson.dumps({"epoch": epoch}))


def _made_again(topic: str, did: str) -> CorruptionError:
    return CorruptionError(
        f"topic {topic} was deleted while this process {did} it: the log that it held is gone, and"
        " nothing was written to another topic of that name",
        hint="`replicator run --new-log` begins a new log with all rows, and lets the targets go"
        " over to it; what they hold stays restorable from their own stores",
    )


def _moved(topic: str, into: str) -> ConfigError:
    return ConfigError(f"the log in topic {topic} was moved to {into}", hint="correct `log`")
