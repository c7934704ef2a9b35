"""The one topic that holds a source's events: made with the right settings, or refused.

One partition, because its offsets are the log's only order. Nothing is compacted, because an older
event of the same key is history and not waste. Retention is unlimited unless it was configured,
because a trimmed log cannot be restored from.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from replicator.adapters.kafka.session import KafkaSession, translated
from replicator.errors import ConfigError, NotFoundError, TransientError

UNLIMITED = -1
APPEARS_POLL_S = 0.05
_UUID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSettings:
    """What the topic is made with, and what an existing one must have."""

    name: str
    replication_factor: int
    min_insync_replicas: int
    retention_ms: int = UNLIMITED
    record_bytes_max: int

    @property
    def configs(self) -> Mapping[str, str]:
        """The topic's settings as Kafka names them."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": str(UNLIMITED),
            "min.insync.replicas": str(self.min_insync_replicas),
            "max.message.bytes": str(self.record_bytes_max),
            "message.timestamp.type": "CreateTime",
            "unclean.leader.election.enable": "false",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A topic as the cluster's metadata shows it."""

    id: str
    """Given anew each time a topic is made, also under an old name (KIP-516)."""
    partitions: int
    replicas: int


async def find(session: KafkaSession, name: str) -> Described:
    """Return what there is under this name.

    Raises:
        NotFoundError: nothing is; asking does not make it, whatever the broker's settings say.
        TransientError: no broker answers.
    """
    with translated(f"ask Kafka at {session.servers} for topic {name}"):
        client = AIOKafkaClient(**session.options())
        try:
            await client.bootstrap()
            answer = await client.send(client.get_random_node(), _DescribeTopic(name))
        finally:
            await client.close()
        return _described(answer, name)


async def make(session: KafkaSession, wanted: TopicSettings) -> Described:
    """Return the topic, made when there was none, with its settings checked.

    Raises:
        ConfigError: it has a setting with which history would be lost; the hint says what to do.
        TransientError: no broker answers, or one does not know yet that it was made.
    """
    async with _admin(session) as admin:
        with suppress(NotFoundError):
            return await _checked(session, admin, wanted)
        await _create(session, admin, wanted)
        await _appeared(session, wanted.name)
        try:
            return await _checked(session, admin, wanted)
        except NotFoundError as exc:  # another broker was asked, which has not heard of it yet
            raise TransientError(
                f"topic {wanted.name} was made, and not all of {session.servers} know it yet"
            ) from exc


async def retention(session: KafkaSession, wanted: TopicSettings) -> timedelta | None:
    """Return how long the topic keeps a record, None: for ever.

    Where the brokers do not let us ask, it is what the settings say: a watcher does not start on a
    topic that keeps less.

    Raises:
        NotFoundError: there is no such topic.
        TransientError: no broker answers.
    """
    try:
        async with _admin(session) as admin:
            values = await _values(session, admin, wanted.name)
    except ConfigError:
        retention_ms = wanted.retention_ms
    else:
        retention_ms = int(values["retention.ms"])
    return None if retention_ms == UNLIMITED else timedelta(milliseconds=retention_ms)


async def note(session: KafkaSession, name: str, group: str) -> bytes | None:
    """Return what a group has said with the offset that it committed, None: nothing.

    Raises:
        ConfigError: the brokers do not let us ask.
        TransientError: no broker answers.
    """
    async with _admin(session) as admin:
        with translated(f"ask Kafka at {session.servers} for group {group}"):
            found = await admin.list_consumer_group_offsets(
                group, partitions=[TopicPartition(name, 0)]
            )
    said = [one.metadata for one in found.values() if one.offset >= 0]
    return said[0].encode() if said and said[0] else None


@asynccontextmanager
async def _admin(session: KafkaSession) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**session.options())
    try:
        with translated(f"connect to Kafka at {session.servers}"):
            await admin.start()
        yield admin
    finally:
        await admin.close()


async def _create(session: KafkaSession, admin: AIOKafkaAdminClient, wanted: TopicSettings) -> None:
    topic = NewTopic(wanted.name, 1, wanted.replication_factor, topic_configs=dict(wanted.configs))
    with translated(f"create topic {wanted.name} at {session.servers}"):
        answer = await admin.create_topics([topic])
        for _, code, *message in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(*message)


async def _appeared(session: KafkaSession, name: str) -> None:
    """Wait until the brokers have told each other of a new topic."""
    with translated(f"wait for topic {name} to appear at {session.servers}"):
        async with asyncio.timeout(session.request_timeout_s):
            while True:
                with suppress(NotFoundError, TransientError):
                    await find(session, name)
                    return
                await asyncio.sleep(APPEARS_POLL_S)


async def _checked(
    session: KafkaSession, admin: AIOKafkaAdminClient, wanted: TopicSettings
) -> Described:
    found = await find(session, wanted.name)
    values = await _values(session, admin, wanted.name)
    if problems := [*_problems(found, values, wanted)]:
        raise ConfigError(
            f"topic {wanted.name} would lose history: " + "; ".join(problems),
            hint=f"change it with kafka-configs.sh --alter --topic {wanted.name}, or correct `log`",
        )
    return found


async def _values(
    session: KafkaSession, admin: AIOKafkaAdminClient, name: str
) -> Mapping[str, str]:
    with translated(f"read the settings of topic {name} at {session.servers}"):
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        [(code, message, _, _, entries)] = answer.resources
        if code:
            raise for_code(code)(message)
    return {name: value for name, value, *_ in entries}


def _problems(found: Described, values: Mapping[str, str], wanted: TopicSettings) -> Iterator[str]:
    if found.partitions != 1:
        yield f"it has {found.partitions} partitions and must have 1"
    if found.replicas < wanted.min_insync_replicas:
        yield f"it has {found.replicas} replicas, fewer than min_insync_replicas"
    for name in ("cleanup.policy", "message.timestamp.type", "retention.bytes"):
        if values.get(name) != wanted.configs[name]:
            yield f"{name} is {values.get(name)} and must be {wanted.configs[name]}"
    for name in ("min.insync.replicas", "max.message.bytes"):
        if int(values.get(name, 0)) < int(wanted.configs[name]):
            yield f"{name} is {values.get(name)}, `log` says {wanted.configs[name]}"
    if not _keeps(int(values.get("retention.ms", 0)), wanted.retention_ms):
        yield f"retention.ms is {values.get('retention.ms')}, `log` says {wanted.retention_ms}"


def _keeps(found_ms: int, wanted_ms: int) -> bool:
    return found_ms == UNLIMITED or (wanted_ms != UNLIMITED and found_ms >= wanted_ms)


# ---------------------------------------------------------------------- the id of a topic, KIP-516


class _Uuid(AbstractType[UUID]):
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(_UUID_BYTES))


class _MetadataResponse(Response):
    """https://kafka.apache.org/protocol#The_Messages_Metadata, version 12 (Kafka 3.1)."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest(RequestStruct):
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _DescribeTopic(Request[_MetadataRequest]):
    """aiokafka itself stops at version 5, which has no topic ids and creates what it asks for."""

    API_KEY = 3

    def __init__(self, name: str) -> None:
        self._name = name

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        return request_struct_class([(UUID(int=0), self._name, {})], False, False, {})  # noqa: FBT003


def _described(answer: Response, name: str) -> Described:
    [(code, _, topic_id, _, partitions, *_)] = answer.topics
    error = for_code(code)
    if error is UnknownTopicOrPartitionError:
        raise NotFoundError(
            f"there is no topic {name} yet", hint="`replicator watch` makes it when it starts"
        )
    if code:
        raise error(name)
    if not partitions or any(partition[2] < 0 for partition in partitions):
        raise TransientError(f"topic {name} has no leader at the moment")
    return Described(id=str(topic_id), partitions=len(partitions), replicas=len(partitions[0][4]))
