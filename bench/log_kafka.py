"""What the Kafka event log carries, next to raw aiokafka doing the same on the same broker.

Also how soon a consumer has an event whose append has begun. Needs a JDK 17 and Maven.
"""

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import perf_counter
from uuid import uuid4

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from replicator.adapters.kafka import topic as kafka_topic
from replicator.adapters.kafka.log import KafkaEventLog, KafkaLimits
from replicator.adapters.kafka.log_place import CLOUD_EVENT, CONTENT_TYPE, EPOCH, TYPE
from replicator.adapters.kafka.session import BATCH_BYTES, KafkaSession
from replicator.adapters.kafka.topic import TopicSettings
from replicator.adapters.machine.clock import SystemClock
from replicator.model.event import Document, Offset
from tests.servers.kafka import Kafka

WRITE_MIN, READ_MIN = 0.9, 0.8
LAG_MAX_S = 0.05
RECORDS_MAX = 2_000
TIME_MS = 1_700_000_000_000
HEADERS = [(CONTENT_TYPE, CLOUD_EVENT), (TYPE, b"segment.published"), (EPOCH, b"1")]


def topic() -> TopicSettings:
    """Return a topic of its own."""
    return TopicSettings(
        name=f"bench.{uuid4().hex}.changes",
        replication_factor=1,
        min_insync_replicas=1,
        record_bytes_max=8 << 20,
    )


def documents(count: int, size_bytes: int) -> list[Document]:
    """Return events that compress as segments do: much in common, something of their own."""
    rng = Random(1)
    common = b'{"type":"segment.published","row":{"dimensions":"page,user,country","metrics":"'
    rest = common + b"count," * (size_bytes // 6)
    return [
        Document(
            type="segment.published",
            subject=f"wiki_{n}",
            data=rng.randbytes(24).hex().encode() + rest[: size_bytes - 48],
        )
        for n in range(count)
    ]


async def in_batches(
    producer: AIOKafkaProducer, topic_name: str, made: Sequence[Document]
) -> list[asyncio.Future[RecordMetadata]]:
    """Hand records to a producer in full batches; return what waits for their answers."""
    sent, batch = [], producer.create_batch()
    for one in made:
        line = {"key": one.subject.encode(), "value": one.data, "timestamp": TIME_MS}
        if batch.append(**line, headers=HEADERS) is None:
            sent.append(await producer.send_batch(batch, topic_name, partition=0))
            batch = producer.create_batch()
            batch.append(**line, headers=HEADERS)
    sent.append(await producer.send_batch(batch, topic_name, partition=0))
    return sent


async def raw_append(session: KafkaSession, made: Sequence[Document]) -> float:
    """Send the same records in batches, idempotent, no transaction; return the seconds."""
    name = topic()
    await kafka_topic.make(session, name)
    producer = AIOKafkaProducer(
        **session.options(),
        enable_idempotence=True,
        acks="all",
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
        max_request_size=8 << 20,
    )
    await producer.start()
    await producer.send_and_wait(name.name, b"first", partition=0)
    begin = perf_counter()
    sent = await in_batches(producer, name.name, made)
    await asyncio.wait(sent)
    seconds = perf_counter() - begin
    await producer.stop()
    return seconds


async def raw_transactions(session: KafkaSession, made: Sequence[Document], chunk: int) -> float:
    """Send the same records in transactions of so many, and nothing else; return the seconds."""
    name = topic()
    await kafka_topic.make(session, name)
    producer = AIOKafkaProducer(
        **session.options(),
        transactional_id=name.name,
        acks="all",
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
        max_request_size=8 << 20,
    )
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(name.name, b"first", partition=0)
    begin = perf_counter()
    for at in range(0, len(made), chunk):
        async with producer.transaction():
            sent = await in_batches(producer, name.name, made[at : at + chunk])
            await asyncio.wait(sent)
    seconds = perf_counter() - begin
    await producer.stop()
    return seconds


async def append(log: KafkaEventLog, made: Sequence[Document], chunk: int) -> float:
    """Append through the log, one transaction a chunk; return the seconds."""
    await log.acquire()
    await log.append(made[:1])
    begin = perf_counter()
    for at in range(0, len(made), chunk):
        await log.append(made[at : at + chunk])
    return perf_counter() - begin


async def raw_read(session: KafkaSession, name: str, count: int) -> float:
    """Read the records with getmany; return the seconds."""
    consumer = AIOKafkaConsumer(
        **session.options(),
        isolation_level="read_committed",
        max_partition_fetch_bytes=8 << 20,
        fetch_max_bytes=8 << 20,
    )
    await consumer.start()
    place = TopicPartition(name, 0)
    consumer.assign([place])
    consumer.seek(place, 0)
    await consumer.getmany(place, timeout_ms=1000, max_records=1)
    seen, begin = 1, perf_counter()
    while seen < count:
        for found in (
            await consumer.getmany(place, timeout_ms=100, max_records=RECORDS_MAX)
        ).values():
            seen += len(found)
    seconds = perf_counter() - begin
    await consumer.stop()
    return seconds


async def read(log: KafkaEventLog) -> float:
    """Read the whole log; return the seconds."""
    start = Offset((await log.read(Offset(0), records_max=1))[0].offset + 1)
    begin = perf_counter()
    while records := await log.read(start, records_max=RECORDS_MAX):
        start = Offset(records[-1].offset + 1)
    return perf_counter() - begin


async def lags(log: KafkaEventLog, session: KafkaSession, name: str, rounds: int) -> list[float]:
    """Return how long after the begin of an append a waiting consumer has its event."""
    consumer = AIOKafkaConsumer(
        name, **session.options(), isolation_level="read_committed", auto_offset_reset="latest"
    )
    await consumer.start()
    await consumer.seek_to_end()
    [place] = consumer.assignment()
    await consumer.position(place)
    found: list[float] = []
    for _ in range(rounds):
        begin = perf_counter()
        task = asyncio.create_task(log.append(documents(20, 500)))
        seen = 0
        while seen < 20:
            seen += sum(map(len, (await consumer.getmany(timeout_ms=1000)).values()))
        found.append(perf_counter() - begin)
        await task
    await consumer.stop()
    return found


def show(what: str, count: int, seconds: float, raw_s: float | None = None) -> float:
    """Print one line of the table; return the ratio."""
    ratio = 1.0 if raw_s is None else raw_s / seconds
    print(f"{what:<44}{count:>9}{seconds:>9.3f}{count / seconds:>12,.0f}{ratio:>8.2f}")
    return ratio


async def run(args: argparse.Namespace, bootstrap: str) -> bool:
    """Measure and print; return whether the goals are met."""
    session = KafkaSession(bootstrap_servers=(bootstrap,))
    made = documents(args.events, args.document_bytes)
    print(f"{len(made)} events of {args.document_bytes} bytes, medians of {args.rounds} rounds\n")
    print(f"{'what':<44}{'events':>9}{'seconds':>9}{'events/s':>12}{'ratio':>8}")
    raw_s = statistics.median([await raw_append(session, made) for _ in range(args.rounds)])
    show("aiokafka send_batch, idempotent", len(made), raw_s)
    ratios, name, log = [], topic(), None
    for chunk in args.chunk:
        times, bare = [], []
        for _ in range(args.rounds):
            bare.append(await raw_transactions(session, made, chunk))
            name = topic()
            log = KafkaEventLog(session, name, SystemClock(), KafkaLimits())
            times.append(await append(log, made, chunk))
            await log.close()
        show(f"aiokafka, {chunk} a transaction", len(made), statistics.median(bare), raw_s)
        what = f"append, {chunk} a transaction"
        show(what, len(made), statistics.median(times), raw_s)
        ratios.append(statistics.median(bare) / statistics.median(times))
    log, count = KafkaEventLog(session, name, SystemClock(), KafkaLimits()), len(made)
    del made
    gc.collect()  # a reader has no million objects of a writer for its collector to look at
    raw, own = [], []
    for _ in range(7):
        raw.append(await raw_read(session, name.name, count))
        own.append(await read(log))
    raw_s = statistics.median(raw)
    show("aiokafka getmany", count, raw_s)
    read_ratio = show("read", count, statistics.median(own), raw_s)
    await log.acquire()
    seen = sorted(await lags(log, session, name.name, 50))
    print(
        f"\nan event is read {seen[25] * 1000:.1f} ms after its append began (median of 50),",
        end="",
    )
    print(f" {seen[47] * 1000:.1f} ms at the 95th percentile")
    await log.close()
    return min(ratios) >= WRITE_MIN and read_ratio >= READ_MIN and seen[25] <= LAG_MAX_S


def main() -> None:
    """Read the command line, start a broker, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--document-bytes", type=int, default=500)
    parser.add_argument("--chunk", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        broker = Kafka(Path(folder) / "kafka")
        broker.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                good = runner.run(run(args, broker.bootstrap))
        finally:
            broker.kill()
    print("goals met" if good else "A GOAL IS MISSED")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
