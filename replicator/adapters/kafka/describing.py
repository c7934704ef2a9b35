"""A topic as the brokers describe it, with the id that tells it from an earlier one of its name.

aiokafka's own request stops at version 5, which has no topic ids and creates missing topics.
"""

from dataclasses import dataclass
from io import BytesIO
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import UnknownTopicOrPartitionError, for_code
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

from replicator.adapters.boundary import understood
from replicator.adapters.kafka.session import NO_TOPIC_HINT, KafkaSession, translated
from replicator.errors import NotFoundError, TransientError

_UUID_BYTES = 16
ODD_HINT = "see that brokers answer at log.bootstrap_servers, and of which release they are"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A topic, from the cluster's metadata."""

    id: str
    """Id that is new each time a topic is created, also under an old name (KIP-516)."""
    partitions: int
    replicas: int
    in_sync: int
    """Replicas that are in sync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The brokers of a cluster, and its topic of one name."""

    brokers: int
    """Number of brokers that are alive."""
    topic: Described | None


async def find(session: KafkaSession, name: str) -> Described:
    """Return the topic of this name.

    Raises:
        NotFoundError: there is none; asking never creates it, whatever the broker's settings say.
        TransientError: no broker answers.
    """
    if (found := (await survey(session, name)).topic) is None:
        raise NotFoundError(f"there is no topic {name}", hint=NO_TOPIC_HINT)
    return found


async def survey(session: KafkaSession, name: str) -> Survey:
    """Return how many brokers are alive, and the topic of this name.

    Raises:
        TransientError: no broker answers, or the topic has no leader at the moment.
    """
    with translated(f"ask Kafka at {session.servers} for topic {name}"):
        client = AIOKafkaClient(**session.options())
        try:
            await client.bootstrap()
            answer = await client.send(client.get_random_node(), _DescribeTopic(name))
        finally:
            await client.close()
        with understood(f"the answer of Kafka at {session.servers} about topic {name}", ODD_HINT):
            return Survey(brokers=len(answer.brokers), topic=_described(answer, name))


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
    """Asks for one topic by its name, and creates none."""

    API_KEY = 3

    def __init__(self, name: str) -> None:
        self._name = name

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        return request_struct_class([(UUID(int=0), self._name, {})], False, False, {})  # noqa: FBT003


def _described(answer: Response, name: str) -> Described | None:
    [(code, _, topic_id, _, partitions, *_)] = answer.topics
    error = for_code(code)
    if error is UnknownTopicOrPartitionError:
        return None
    if code:
        raise error(name)
    # Brokers name -1 as the leader of a partition that has none.
    if not partitions or any(partition[2] < 0 for partition in partitions):
        raise TransientError(f"topic {name} has no leader at the moment")
    replicas, in_sync = partitions[0][4], partitions[0][5]
    return Described(
        id=str(topic_id), partitions=len(partitions), replicas=len(replicas), in_sync=len(in_sync)
    )
