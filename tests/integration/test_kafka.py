"""The event log on a real Kafka on its bad days, beyond what every log promises."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest

from replicator.adapters.kafka.log import KafkaEventLog, KafkaLimits
from replicator.adapters.kafka.session import KafkaSession, Sasl, Tls
from replicator.adapters.kafka.topic import TopicSettings, make
from replicator.adapters.machine.clock import SystemClock
from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    NotFoundError,
    TransientError,
)
from replicator.model.event import Document, Offset
from replicator.ports import EventLog, Keeping
from tests.rings import times
from tests.servers.kafka import PASSWORD, SECURED, USER, Kafka, KafkaCluster, Security
from tests.servers.tied import tied

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("jvms")]
BEGIN = Offset(0)
LEADER_KILLS = times(1, 6)


def session(bootstrap: str, *, request_timeout_s: float = 5) -> KafkaSession:
    return KafkaSession(
        bootstrap_servers=tuple(bootstrap.split(",")), request_timeout_s=request_timeout_s
    )


def topic(**changes: object) -> TopicSettings:
    values: dict[str, object] = {
        "name": f"replicator.{uuid4().hex}.changes",
        "replication_factor": 1,
        "min_insync_replicas": 1,
        "record_bytes_max": 1 << 20,
    }
    return TopicSettings(**(values | changes))  # type: ignore[arg-type]


def documents(*names: str) -> Sequence[Document]:
    return [Document(type="segment.published", subject=n, data=n.encode()) for n in names]


async def contents(log: EventLog) -> list[str]:
    found: list[str] = []
    start = BEGIN
    while records := await log.read(start, records_max=500):
        found += [record.data.decode() for record in records]
        start = Offset(records[-1].offset + 1)
    return found


class Logs:
    """Opens logs and closes them at the end."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    def __call__(
        self, session: KafkaSession, topic: TopicSettings, limits: KafkaLimits | None = None
    ) -> KafkaEventLog:
        log = KafkaEventLog(session, topic, SystemClock(), limits or KafkaLimits())
        self._stack.push_async_callback(log.close)
        return log


@pytest.fixture(autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    """Let a connection that nobody closed be found in the test that made it."""
    yield
    gc.collect()


@pytest.fixture
async def logs() -> AsyncIterator[Logs]:
    async with AsyncExitStack() as stack:
        yield Logs(stack)


# --------------------------------------------------------------------------------------- the topic


@pytest.mark.parametrize(
    ("partitions", "settings", "complaint"),
    [
        (2, {}, "2 partitions and must have 1"),
        (1, {"cleanup.policy": "compact"}, "cleanup.policy is compact and must be delete"),
        (1, {"retention.ms": "604800000"}, "retention.ms is 604800000, `log` says -1"),
        (1, {"retention.bytes": "1000000"}, "retention.bytes is 1000000 and must be -1"),
        (1, {"message.timestamp.type": "LogAppendTime"}, "timestamp.type is LogAppendTime"),
        (1, {"max.message.bytes": "1000"}, "max.message.bytes is 1000, `log` says 1048576"),
    ],
)
async def test_a_topic_that_would_lose_history_is_refused_with_the_remedy(
    kafka_broker: Kafka,
    logs: Logs,
    partitions: int,
    settings: dict[str, str],
    complaint: str,
):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    admin = AIOKafkaAdminClient(**server.options())
    await admin.start()
    right = {**wanted.configs, **settings}
    await admin.create_topics([NewTopic(wanted.name, partitions, 1, topic_configs=right)])
    await admin.close()
    with pytest.raises(ConfigError, match=complaint) as caught:
        await logs(server, wanted).acquire()
    command = f"{kafka_broker.bootstrap} --alter --topic {wanted.name} --add-config "
    assert (command if partitions == 1 else "log.topic_prefix") in caught.value.hint


async def test_a_longer_retention_than_configured_is_no_problem(kafka_broker: Kafka, logs: Logs):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    await make(server, wanted)
    shorter = topic(name=wanted.name, retention_ms=86_400_000)
    assert await logs(server, shorter).acquire() == 1


async def test_the_topic_itself_says_how_long_it_keeps_a_record(kafka_broker: Kafka, logs: Logs):
    """Whoever runs the brokers may have changed it; `log` says only what it was made with."""
    wanted, server = topic(retention_ms=7 * 86_400_000), session(kafka_broker.bootstrap)
    await make(server, wanted)
    assert await logs(server, wanted).keeping() == Keeping(timedelta(days=7))
    admin = AIOKafkaAdminClient(**server.options())
    await admin.start()
    changed = {"retention.ms": "3600000"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, wanted.name, changed)])
    await admin.close()
    keeping = await logs(server, wanted).keeping()
    assert keeping.retention == timedelta(hours=1)
    assert keeping.threat is not None
    assert "retention.ms is 3600000" in keeping.threat.what
    assert "--add-config retention.ms=604800000" in keeping.threat.remedy


async def test_asking_for_a_topic_does_not_make_it(kafka_broker: Kafka, logs: Logs):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    with pytest.raises(NotFoundError):
        await logs(server, wanted).span()
    admin = AIOKafkaAdminClient(**server.options())
    await admin.start()
    assert wanted.name not in await admin.list_topics()
    await admin.close()


async def test_a_topic_that_a_broker_does_not_know_yet_is_waited_for(
    kafka_broker: Kafka, logs: Logs, monkeypatch: pytest.MonkeyPatch
):
    """Of several brokers one may hear of a new topic later than the one that was asked first."""

    async def unheard_of(*_: object) -> None:
        raise NotFoundError("there is no topic yet")

    log = logs(session(kafka_broker.bootstrap), topic())
    with monkeypatch.context() as patched:
        patched.setattr("replicator.adapters.kafka.topic._checked", unheard_of)
        with pytest.raises(TransientError, match="know it yet"):
            await log.acquire()
    assert await log.acquire() == 1


async def test_a_topic_made_anew_under_the_old_name_is_another_log(kafka_broker: Kafka, logs: Logs):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    log = logs(server, wanted)
    await log.acquire()
    await log.append(documents("a"))
    before = await log.span()
    admin = AIOKafkaAdminClient(**server.options())
    await admin.start()
    await admin.delete_topics([wanted.name])
    await admin.close()
    async with asyncio.timeout(20):
        while True:
            try:
                await logs(server, wanted).acquire()
                break
            except (ConfigError, NotFoundError, TransientError):
                await asyncio.sleep(0.2)  # the brokers delete at their leisure
    assert (await log.span()).log_id != before.log_id


async def made_again(server: KafkaSession, wanted: TopicSettings) -> None:
    """Delete a topic and make it again, as somebody does who thinks that it is in the way."""
    admin = AIOKafkaAdminClient(**server.options())
    await admin.start()
    await admin.delete_topics([wanted.name])
    async with asyncio.timeout(20):
        while (await admin.create_topics([NewTopic(wanted.name, 1, 1)])).topic_errors[0][1]:
            await asyncio.sleep(0.1)  # the brokers delete at their leisure
    await admin.close()


async def test_nothing_is_written_to_a_topic_that_was_made_again_under_a_writer(
    kafka_broker: Kafka, logs: Logs
):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    log = logs(server, wanted)
    await log.acquire()
    last = await log.append(documents("a", "b"))
    assert await log.read(Offset(last + 2), records_max=5) == []
    await made_again(server, wanted)
    async with asyncio.timeout(60):
        while True:
            try:
                await log.append(documents("c"))
            except CorruptionError as exc:
                assert "was deleted while this process wrote to it" in str(exc)  # noqa: PT017
                assert "run --new-log" in exc.hint  # noqa: PT017
                break
            except (NotFoundError, TransientError, FencedError):
                await asyncio.sleep(0.2)  # until the client has heard of it
    with pytest.raises(CorruptionError, match="was deleted while"):
        await log.acquire()
    assert await contents(logs(server, wanted)) == []
    with pytest.raises(CorruptionError, match="was deleted while this process followed it"):
        await log.read(Offset(last + 2), records_max=5)


async def test_a_record_of_somebody_else_is_named(kafka_broker: Kafka, logs: Logs):
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415 - only here

    wanted, server = topic(), session(kafka_broker.bootstrap)
    log = logs(server, wanted)
    await log.acquire()
    producer = AIOKafkaProducer(**server.options())
    await producer.start()
    await producer.send_and_wait(wanted.name, b"hello", partition=0)
    await producer.stop()
    with pytest.raises(CorruptionError, match="another program wrote it"):
        await log.read(BEGIN, records_max=10)


async def test_an_event_that_is_too_large_is_named_and_nothing_is_written(
    kafka_broker: Kafka, logs: Logs
):
    log = logs(session(kafka_broker.bootstrap), topic(record_bytes_max=100_000))
    await log.acquire()
    large = Document(type="segment.published", subject="wiki_1", data=os.urandom(100_001))
    with pytest.raises(ConfigError, match="the event of wiki_1 has 100001 bytes"):
        await log.append([*documents("a"), large])
    await log.acquire()
    await log.append(documents("b"))
    assert await contents(log) == ["b"]


# ------------------------------------------------------------------------------------ many records


async def test_an_append_larger_than_a_batch_is_one_transaction(kafka_broker: Kafka, logs: Logs):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    log, reader = logs(server, wanted), logs(server, wanted)
    await log.acquire()
    made = [
        Document(type="segment.published", subject=f"{n}", data=os.urandom(2_000))
        for n in range(3_000)
    ]
    first = await log.append(made)
    found = list(await reader.read(first, records_max=10_000))
    while len(found) < len(made):
        found += await reader.read(Offset(found[-1].offset + 1), records_max=10_000)
    assert [record.data for record in found] == [document.data for document in made]
    assert [record.offset for record in found] == list(range(first, first + len(made)))


async def test_what_was_appended_can_be_read_at_once_each_time(kafka_broker: Kafka, logs: Logs):
    """A commit returns before its marker stands in the partition, which readers wait for."""
    wanted, server = topic(), session(kafka_broker.bootstrap)
    log, reader = logs(server, wanted), logs(server, wanted)
    await log.acquire()
    for number in range(times(40, 200)):
        offset = await log.append(documents(f"{number}"))
        found = await reader.read(offset, records_max=1)
        assert [record.offset for record in found] == [offset]


async def test_readers_at_many_places_do_not_disturb_each_other(kafka_broker: Kafka, logs: Logs):
    log = logs(session(kafka_broker.bootstrap), topic(), KafkaLimits(cursors_max=2))
    await log.acquire()
    for begin in range(0, 500, 50):
        await log.append(documents(*map(str, range(begin, begin + 50))))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(contents(log)) for _ in range(6)]
    assert [task.result() for task in tasks] == [[str(n) for n in range(500)]] * 6


async def test_any_kafka_client_can_read_the_topic(kafka_broker: Kafka, logs: Logs):
    """What docs/kafka.md tells its readers about keys, values and headers."""
    wanted, server = topic(), session(kafka_broker.bootstrap)
    log = logs(server, wanted)
    epoch = await log.acquire()
    await log.append(documents("wiki_1"))
    consumer = AIOKafkaConsumer(
        wanted.name,
        bootstrap_servers=kafka_broker.bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    own, record = await consumer.getone(), await consumer.getone()
    await consumer.stop()
    assert dict(own.headers)["ce_type"] == b"log.acquired"
    assert (record.key, record.value) == (b"wiki_1", b"wiki_1")
    assert dict(record.headers) == {
        "content-type": b"application/cloudevents+json; charset=UTF-8",
        "ce_type": b"segment.published",
        "epoch": str(epoch).encode(),
    }


async def test_the_consumer_in_the_documentation_runs(kafka_broker: Kafka, logs: Logs):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    log = logs(server, wanted)
    await log.acquire()
    event = b'{"type":"segment.published","subject":"wiki_1"}'
    offset = await log.append([Document(type="segment.published", subject="wiki_1", data=event)])
    page = (Path(__file__).parents[2] / "docs" / "kafka.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    code = code.replace("replicator.prod.changes", wanted.name)
    code = code.replace("localhost:9092", kafka_broker.bootstrap)
    process = await asyncio.create_subprocess_exec(
        *tied(sys.executable, "-u", "-c", code),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
    finally:
        process.kill()
        await process.wait()
    assert line.decode().split() == [str(offset), "segment.published", "wiki_1"]


async def test_a_target_shows_its_place_as_a_consumer_group(kafka_broker: Kafka, logs: Logs):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    log = logs(server, wanted)
    await log.acquire()
    for name in ("a", "b", "c"):
        await log.report("standby", await log.append(documents(name)), "a-store")
    admin = AIOKafkaAdminClient(**server.options())
    await admin.start()
    offsets = await admin.list_consumer_group_offsets(f"{wanted.name}.standby")
    await admin.close()
    [(place, found)] = offsets.items()
    end = (await log.span()).end
    assert (place, found.offset) == (TopicPartition(wanted.name, 0), end)  # its lag is none
    other = logs(session(f"127.0.0.1:1,{kafka_broker.bootstrap}"), wanted)  # one broker is gone
    assert (await other.span()).end == end
    member = AIOKafkaConsumer(
        wanted.name, **server.options(), group_id=f"{wanted.name}.standby", enable_auto_commit=False
    )
    await member.start()
    try:
        with pytest.raises(TransientError, match=r"commit the offset of group .*standby") as caught:
            await log.report("standby", Offset(2), "a-store")
        assert "consumer" in caught.value.hint
    finally:
        await member.stop()


# ---------------------------------------------------------------------------------- who may write


async def test_a_writer_killed_in_the_middle_of_an_append_leaves_nothing(
    kafka_broker: Kafka, logs: Logs, tmp_path: Path
):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    process = await asyncio.create_subprocess_exec(
        *tied(sys.executable, "-c", HALF_AN_APPEND, kafka_broker.bootstrap, wanted.name),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    log = logs(server, wanted)
    assert await contents(log) == ["whole"]
    await log.acquire()
    await log.append(documents("next"))
    assert await contents(log) == ["whole", "next"]


HALF_AN_APPEND = """
import asyncio, sys
from replicator.adapters.kafka.session import KafkaSession
from replicator.adapters.kafka.topic import TopicSettings
from replicator.adapters.kafka.log import KafkaEventLog, KafkaLimits
from replicator.adapters.machine.clock import SystemClock
from replicator.model.event import Document

class Stuck(KafkaEventLog):
    async def _send(self, documents, writing):
        found = await super()._send(documents, writing)
        if documents[0].data == b"half":
            print("half", flush=True)
            await asyncio.sleep(1000)
        return found

async def main():
    topic = TopicSettings(
        name=sys.argv[2], replication_factor=1, min_insync_replicas=1, record_bytes_max=1 << 20
    )
    log = Stuck(KafkaSession(bootstrap_servers=(sys.argv[1],)), topic, SystemClock(), KafkaLimits())
    await log.acquire()
    await log.append([Document(type="segment.published", subject="a", data=b"whole")])
    await log.append([Document(type="segment.published", subject="b", data=b"half")])

asyncio.run(main())
"""


async def test_a_writer_that_slept_too_long_is_told_so_and_not_that_it_was_replaced(
    kafka_broker: Kafka, logs: Logs, monkeypatch: pytest.MonkeyPatch
):
    wanted, server = topic(), session(kafka_broker.bootstrap, request_timeout_s=20)
    log = logs(server, wanted, KafkaLimits(transaction_timeout_s=1))
    await log.acquire()
    send = log._send

    async def slowly(*args: object) -> tuple[int, int]:
        found = await send(*args)  # type: ignore[arg-type]
        await longer_by(1, server, wanted.name)  # the mark of the transaction that was aborted
        return found

    with monkeypatch.context() as patch:
        patch.setattr(log, "_send", slowly)
        with pytest.raises(TransientError, match="silent for longer than 1 s"):
            await log.append(documents("a"))
    await log.acquire()
    await log.append(documents("b"))
    assert await contents(log) == ["b"]


async def longer_by(records: int, server: KafkaSession, name: str) -> None:
    """Wait until the partition has grown, records that no reader sees counted."""
    place = TopicPartition(name, 0)
    consumer = AIOKafkaConsumer(**server.options())
    await consumer.start()
    before = (await consumer.end_offsets([place]))[place]
    async with asyncio.timeout(60):
        while (await consumer.end_offsets([place]))[place] < before + records:
            await asyncio.sleep(0.1)
    await consumer.stop()


async def test_a_fenced_writer_says_who_fenced_it(kafka_broker: Kafka, logs: Logs):
    wanted, server = topic(), session(kafka_broker.bootstrap)
    old, new = logs(server, wanted), logs(server, wanted)
    await old.acquire()
    await new.acquire()
    with pytest.raises(FencedError, match="another writer has acquired topic"):
        await old.append(documents("a"))


# ------------------------------------------------------------------------------------ brokers gone


@pytest.mark.long
async def test_a_broker_that_is_gone_for_a_while(own_kafka: Kafka, logs: Logs):
    wanted, server = topic(), session(own_kafka.bootstrap, request_timeout_s=2)
    log = logs(server, wanted)
    await log.acquire()
    await log.append(documents("before"))
    own_kafka.kill()
    await all_is_refused(log, own_kafka.bootstrap)
    await asyncio.to_thread(own_kafka.start)
    async with asyncio.timeout(60):
        while True:
            try:
                await log.acquire()
                break
            except TransientError:
                await asyncio.sleep(0.5)
    await log.append(documents("after"))
    assert await contents(log) == ["before", "after"]


async def all_is_refused(log: KafkaEventLog, bootstrap: str) -> None:
    """Whatever is asked says in time that nobody answers there, and may be asked again."""
    async with asyncio.timeout(30):
        with pytest.raises(TransientError, match=bootstrap):
            await log.append(documents("lost"))
        with pytest.raises(TransientError, match=bootstrap):
            await log.acquire()
        with pytest.raises(TransientError, match=bootstrap):
            await log.span()


async def test_the_leader_is_killed_again_and_again_and_nothing_is_lost_or_doubled(
    kafka_cluster: KafkaCluster, logs: Logs
):
    server = session(kafka_cluster.bootstrap, request_timeout_s=20)
    wanted = topic(replication_factor=3, min_insync_replicas=2)
    log, reader = logs(server, wanted), logs(server, wanted)
    stop = asyncio.Event()
    written: list[str] = []

    async def write() -> None:
        await acquired(log)
        while not stop.is_set():
            names = [f"{len(written)}-{part}" for part in "abc"]
            try:
                await log.append(documents(*names))
            except TransientError:
                await acquired(log)
                if names[0] not in await contents(log):
                    continue  # as the watcher does: the log's end says whether it was stored
            written.extend(names)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(write())
        for left in reversed(range(LEADER_KILLS)):
            await grown(written, 30)
            leader = kafka_cluster.brokers[await leader_of(server, wanted.name) - 1]
            leader.kill()
            await grown(written, 30)
            if left:  # the last one stays away
                await asyncio.to_thread(leader.start)
        stop.set()
        await task
    assert await contents(reader) == written
    assert len(set(written)) == len(written)

    impatient = logs(session(kafka_cluster.bootstrap, request_timeout_s=2), wanted)
    await impatient.acquire()
    await impatient.append(documents("before"))
    kafka_cluster.stop()
    await all_is_refused(impatient, kafka_cluster.brokers[0].bootstrap)


async def leader_of(server: KafkaSession, name: str) -> int:
    """Return the id of the broker that leads the topic's partition."""
    admin = AIOKafkaAdminClient(**server.options())
    await admin.start()
    (found,) = await admin.describe_topics([name])
    await admin.close()
    (partition,) = found["partitions"]
    return int(partition["leader"])


async def acquired(log: KafkaEventLog) -> None:
    async with asyncio.timeout(100):
        while True:
            try:
                await log.acquire()
            except (TransientError, FencedError):
                await asyncio.sleep(0.5)
            else:
                return


async def grown(written: list[str], by: int) -> None:
    end = len(written) + by
    async with asyncio.timeout(100):
        while len(written) < end:
            await asyncio.sleep(0.05)


# --------------------------------------------------------------------------------- TLS and SASL


@pytest.mark.parametrize("security", SECURED, ids=[one.protocol for one in SECURED])
async def test_a_secured_broker(logs: Logs, kafka_broker: Kafka, security: Security):
    tls = Tls(ca_file=kafka_broker.ca_file, certificate_file=None, key_file=None)
    right = KafkaSession(
        bootstrap_servers=(kafka_broker.bootstrap_by(security),),
        request_timeout_s=10,
        tls=tls if security.has_tls else None,
        sasl=scram(PASSWORD) if security.has_sasl else None,
    )
    log = logs(right, topic())
    await log.acquire()
    await log.append(documents("a"))
    assert await contents(log) == ["a"]
    await log.report("standby", BEGIN, "a-store")
    if security.has_sasl:
        stranger = replace(right, sasl=scram("wrong"))
        with pytest.raises(ConfigError, match="invalid credentials") as caught:
            await logs(stranger, topic()).acquire()
        assert "wrong" not in str(caught.value)
    if security.has_tls:
        nobody = Tls(ca_file=None, certificate_file=None, key_file=None)
        with pytest.raises(ConfigError, match="certificate"):
            await logs(replace(right, tls=nobody), topic()).acquire()


def scram(password: str, user: str = USER) -> Sasl:
    return Sasl(mechanism="SCRAM-SHA-512", username=user, password=password)


# ------------------------------------------------------------------------------------------- ACLs

DOCS = Path(__file__).parents[2] / "docs" / "kafka.md"
RESOURCES = {"--topic": 2, "--group": 3, "--transactional-id": 5}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
LITERAL, PREFIXED, ALLOW = 3, 4, 3
"""The numbers that Kafka's protocol gives them (org.apache.kafka.common.acl and .resource)."""


def documented(principal: str, topic: str) -> list[tuple[int, str, int, int]]:
    """Return the ACLs of the docs for one of their principals, as the protocol has them."""
    after = DOCS.read_text().partition(f"--allow-principal User:{principal} ")[2]
    found: list[tuple[int, str, int, int]] = []
    for line in after.partition("```")[0].splitlines():
        if not line.startswith("acls "):
            continue
        words = line.replace("$topic", topic).split()[1:]
        options = list(zip(words[::2], words[1::2], strict=True))
        pattern = PREFIXED if ("--resource-pattern-type", "prefixed") in options else LITERAL
        ((kind, name),) = [(RESOURCES[key], name) for key, name in options if key in RESOURCES]
        found += [
            (kind, name, pattern, OPERATIONS[value])
            for key, value in options
            if key == "--operation"
        ]
    return found


async def allow(broker: Kafka, topic: str, *, principal: str, user: str) -> None:
    """Give a user the ACLs of the docs, whoever they name."""
    client = AIOKafkaClient(**session(broker.bootstrap).options())
    await client.bootstrap()
    acls = documented(principal, topic)
    assert acls
    for kind, name, pattern, operation in acls:
        asked = CreateAclsRequest(kind, name, pattern, f"User:{user}", "*", operation, ALLOW)
        answer = await client.send(client.get_random_node(), asked)
        assert [code for code, _ in answer.creation_responses] == [0]
    await client.close()


async def test_the_acls_of_the_docs_are_enough(logs: Logs, kafka_broker: Kafka):
    security = Security("SASL_PLAINTEXT")
    wanted = topic()
    watcher, applier = (
        KafkaSession(
            bootstrap_servers=(kafka_broker.bootstrap_by(security),),
            request_timeout_s=10,
            sasl=scram(PASSWORD, user),
        )
        for user in ("watching", "applying")
    )
    with pytest.raises(ConfigError, match="uthorization") as caught:
        await logs(watcher, topic()).acquire()
    assert "Write and Describe on the transactional id" in caught.value.hint
    await allow(kafka_broker, wanted.name, principal="replicator", user="watching")
    await allow(kafka_broker, wanted.name, principal="applier", user="applying")
    log = logs(watcher, wanted)
    await log.acquire()
    await log.append(documents("a"))
    await log.report("standby", BEGIN, "a-store")
    again = logs(watcher, wanted)
    await again.acquire()
    with pytest.raises(FencedError):
        await log.append(documents("b"))
    reading = logs(applier, wanted)
    assert await contents(reading) == ["a"]
    assert (await reading.span()).first == BEGIN
    assert await reading.keeping() == Keeping()
    await reading.report("standby", Offset(1), "a-store")
    with pytest.raises(ConfigError, match="uthorization"):
        await reading.acquire()
