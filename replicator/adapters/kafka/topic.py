"""The one topic that holds a source's events: created with the right settings, or refused.

It has one partition, because its offsets are the log's only order. It is not compacted, because an
older event of the same key is history and not waste. Its retention is unlimited unless configured,
because trimmed records cannot be restored from the log.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    InvalidReplicationFactorError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.structs import OffsetAndMetadata

from replicator.adapters.boundary import understood
from replicator.adapters.kafka.describing import ODD_HINT, Described, Survey, find, survey
from replicator.adapters.kafka.session import ACL_HINT, KafkaSession, translated
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.ports import Keeping, Obstacle

UNLIMITED = -1
FOREVER = timedelta(days=300_000)
"""Retention from which nothing is ever deleted; added to a record's time it is still a time."""
APPEARS_POLL_S = 0.05
_FIXED = ("cleanup.policy", "message.timestamp.type", "retention.bytes")
"""Settings of the topic that the configuration cannot change."""
_NUMBERS = ("retention.ms", "min.insync.replicas", "max.message.bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSettings:
    """The settings with which the topic is created, and which an existing one must have."""

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
            # A leader that lacked acknowledged records would take them out of the log for good.
            "unclean.leader.election.enable": "false",
        }


async def make(session: KafkaSession, wanted: TopicSettings) -> Described:
    """Return the topic, with its settings checked; create it if there is none.

    Raises:
        ConfigError: a setting of the topic would lose history; the hint says what to do.
        TransientError: no broker answers, or a broker has not heard of the new topic yet.
    """
    async with _admin(session) as admin:
        with suppress(NotFoundError):
            return await _checked(session, admin, wanted)
        await _create(session, admin, wanted)
        await _appeared(session, wanted.name)
        try:
            return await _checked(session, admin, wanted)
        except NotFoundError as exc:  # another broker, which has not heard of the topic yet
            raise TransientError(
                f"topic {wanted.name} was made, and not all of {session.servers} know it yet"
            ) from exc


async def obstacles(session: KafkaSession, wanted: TopicSettings) -> Sequence[Obstacle]:
    """Return what would keep a writer from using the topic; nothing is created.

    If the topic is missing, the brokers say whether they would create it (`validateOnly` of
    CreateTopics), which covers the privilege, the number of brokers and the brokers' policies.

    Raises:
        TransientError: no broker answers.
    """
    found = await survey(session, wanted.name)
    if found.topic is None:
        return [*_too_few(found, wanted), *await _refused(session, wanted, found.brokers)]
    try:
        async with _admin(session) as admin:
            await _checked(session, admin, wanted)
    except ConfigError as exc:
        return [Obstacle(what=str(exc), remedy=exc.hint)]
    return [*_out_of_sync(found.topic, wanted)]


def _too_few(found: Survey, wanted: TopicSettings) -> Iterator[Obstacle]:
    if found.brokers < wanted.replication_factor:
        least = min(found.brokers, wanted.min_insync_replicas)
        yield Obstacle(
            what=f"log.replication_factor is {wanted.replication_factor}, and"
            f" {_brokers(found.brokers)} alive: topic {wanted.name} could not be made",
            remedy=f"start the others, or set log.replication_factor: {found.brokers} and"
            f" log.min_insync_replicas: {least}; an event then has so many copies only",
        )


def _brokers(number: int) -> str:
    return "1 broker is" if number == 1 else f"{number} brokers are"


async def _refused(
    session: KafkaSession, wanted: TopicSettings, brokers: int
) -> Sequence[Obstacle]:
    """Ask the brokers why they would not create the topic."""
    # Too few brokers are named by `_too_few`: here they are asked for everything else.
    factor = min(brokers, wanted.replication_factor)
    topic = NewTopic(wanted.name, 1, factor, topic_configs=dict(wanted.configs))
    async with _admin(session) as admin:
        with translated(f"ask whether topic {wanted.name} could be made at {session.servers}"):
            answer = await admin.create_topics([topic], validate_only=True)
    return [
        Obstacle(
            what=f"topic {wanted.name} could not be made: {for_code(code).description}"
            f" {''.join(message)}".rstrip(),
            remedy=_remedy(for_code(code)),
        )
        for _, code, *message in answer.topic_errors
        if code and for_code(code) is not TopicAlreadyExistsError
    ]


def _remedy(error: type[Exception]) -> str:
    if error in {TopicAuthorizationFailedError, ClusterAuthorizationFailedError}:
        return f"{ACL_HINT}; or make the topic by hand as docs/kafka.md says"
    if error is InvalidReplicationFactorError:
        return "correct log.replication_factor"
    return "correct `log`, or the brokers' policy that refuses it"


def _out_of_sync(found: Described, wanted: TopicSettings) -> Iterator[Obstacle]:
    if found.in_sync < wanted.min_insync_replicas:
        yield Obstacle(
            what=f"{found.in_sync} of {found.replicas} copies of topic {wanted.name} are in sync,"
            f" and min.insync.replicas is {wanted.min_insync_replicas}: nothing can be written",
            remedy="start the brokers that have the other copies",
        )


async def keeping(session: KafkaSession, wanted: TopicSettings) -> Keeping:
    """Return how long the topic keeps a record, and which of its settings would lose one sooner.

    If the brokers deny the question, return what the settings say: a watcher does not start on a
    topic that keeps records for less.

    Raises:
        NotFoundError: there is no such topic.
        TransientError: no broker answers.
    """
    try:
        async with _admin(session) as admin:
            found = await find(session, wanted.name)
            values = await _values(session, admin, wanted.name)
    except ConfigError:
        return Keeping(duration_of(wanted.retention_ms))
    threat = _threat(session, found, values, wanted)
    return Keeping(duration_of(int(values["retention.ms"])), threat)


def duration_of(retention_ms: int) -> timedelta | None:
    """Return how long a topic with this setting keeps a record; None: for ever.

    Many set the largest number that there is, which is more than any time can have added to it.
    """
    is_ever = retention_ms == UNLIMITED or retention_ms >= FOREVER // timedelta(milliseconds=1)
    return None if is_ever else timedelta(milliseconds=retention_ms)


async def note(session: KafkaSession, name: str, group: str) -> bytes | None:
    """Return the metadata that a group has committed with its offset; None: there is none.

    Raises:
        ConfigError: the brokers deny the question.
        TransientError: no broker answers.
    """
    async with _admin(session) as admin:
        with translated(f"ask Kafka at {session.servers} for group {group}"):
            found = await _offsets(session, admin, name, group)
    notes = [one.metadata for one in found.values() if one.offset >= 0]
    return notes[0].encode() if notes and notes[0] else None


async def _offsets(
    session: KafkaSession, admin: AIOKafkaAdminClient, name: str, group: str
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """Ask for a group's offsets; if no client has ever asked for any, Kafka first makes a topic."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + session.request_timeout_s
    while True:
        try:
            found: Mapping[TopicPartition, OffsetAndMetadata]
            found = await admin.list_consumer_group_offsets(
                group, partitions=[TopicPartition(name, 0)]
            )
        except GroupCoordinatorNotAvailableError:
            if loop.time() > until_s:
                raise
            await asyncio.sleep(APPEARS_POLL_S)
        else:
            return found


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
            # Another watcher may have been quicker; its topic is checked like any other.
            if code and error is not TopicAlreadyExistsError:
                raise error(*message)


async def _appeared(session: KafkaSession, name: str) -> None:
    """Wait until all brokers have heard of a new topic."""
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
    if (threat := _threat(session, found, values, wanted)) is not None:
        raise ConfigError(threat.what, hint=threat.remedy)
    return found


def _threat(
    session: KafkaSession, found: Described, values: Mapping[str, str], wanted: TopicSettings
) -> Obstacle | None:
    """Return what would lose history; None: nothing would."""
    if not (problems := [*_problems(found, values, wanted)]):
        return None
    return Obstacle(
        what=f"topic {wanted.name} would lose history: " + "; ".join(problems),
        remedy=_mended_by(session, found, values, wanted),
    )


async def _values(
    session: KafkaSession, admin: AIOKafkaAdminClient, name: str
) -> Mapping[str, str]:
    with translated(f"read the settings of topic {name} at {session.servers}"):
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        what = f"what Kafka at {session.servers} says of the settings of topic {name}"
        with understood(what, ODD_HINT):
            [(code, message, _, _, entries)] = answers[0].resources
            found = {name: value for name, value, *_ in entries}
            if not code:
                return {**found, **{name: str(int(found.get(name, 0))) for name in _NUMBERS}}
        raise for_code(code)(message)


def _mended_by(
    session: KafkaSession, found: Described, values: Mapping[str, str], wanted: TopicSettings
) -> str:
    """Return the hint for a wrong topic: a setting, its replicas, or another topic."""
    if found.partitions != 1:
        return "partitions cannot be taken away: set log.topic_prefix, so that another is made"
    login = " --command-config FILE" if session.tls or session.sasl else ""
    at = f"--bootstrap-server {session.bootstrap_servers[0]}{login}"
    ways = []
    if wrong := _wrong_settings(values, wanted):
        pairs = ",".join(f"{name}={wanted.configs[name]}" for name in wrong)
        ways.append(f"kafka-configs.sh {at} --alter --topic {wanted.name} --add-config {pairs}")
    if found.replicas < wanted.min_insync_replicas:
        ways.append(f"kafka-reassign-partitions.sh {at} adds replicas")
    return f"{'; '.join(ways)}; or correct `log`"


def _wrong_settings(values: Mapping[str, str], wanted: TopicSettings) -> list[str]:
    """Return the names of the settings that would lose history."""
    least = ("min.insync.replicas", "max.message.bytes")
    kept = _keeps(int(values.get("retention.ms", 0)), wanted.retention_ms)
    return [
        *(name for name in _FIXED if values.get(name) != wanted.configs[name]),
        *(name for name in least if int(values.get(name, 0)) < int(wanted.configs[name])),
        *([] if kept else ["retention.ms"]),
    ]


def _problems(found: Described, values: Mapping[str, str], wanted: TopicSettings) -> Iterator[str]:
    if found.partitions != 1:
        yield f"it has {found.partitions} partitions and must have 1"
    if found.replicas < wanted.min_insync_replicas:
        yield f"it has {found.replicas} replicas, fewer than min_insync_replicas"
    for name in _wrong_settings(values, wanted):
        says = " and must be" if name in _FIXED else ", `log` says"
        yield f"{name} is {values.get(name)}{says} {wanted.configs[name]}"


def _keeps(found_ms: int, wanted_ms: int) -> bool:
    return found_ms == UNLIMITED or (wanted_ms != UNLIMITED and found_ms >= wanted_ms)
