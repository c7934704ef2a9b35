"""How Kafka is reached, and what its errors mean, for every client of this package."""

import asyncio
import logging
import ssl
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import errors as kafka

from replicator.adapters.boundary import ErrorMap, translate
from replicator.adapters.tls import distrust_hint, trusting
from replicator.errors import ConfigError, FencedError, NotFoundError, TransientError

_heard: ContextVar[list[Exception]] = ContextVar("_heard")
"""Reasons of failed connections: aiokafka 0.14 logs them and raises something vaguer."""


class _Listener(logging.Handler):
    """Keeps the reasons for failed connections, and writes nothing to the terminal.

    All else that aiokafka warns of reaches callers as errors.
    """

    def emit(self, record: logging.LogRecord) -> None:
        reasons = [arg for arg in record.args or () if isinstance(arg, Exception)]
        _heard.get([]).extend(reasons)


def _not_of_kafka(record: logging.LogRecord) -> bool:
    """Drop asyncio's warning about futures that aiokafka 0.14 leaves behind when it is fenced."""
    return not (record.exc_info and isinstance(record.exc_info[1], kafka.KafkaError))


logging.getLogger("aiokafka").addHandler(_Listener())
logging.getLogger("asyncio").addFilter(_not_of_kafka)

Options: TypeAlias = dict[str, Any]
"""Keyword arguments that all of aiokafka's clients share."""

BATCH_BYTES = 1 << 20
"""Number of bytes that a producer sends to a partition at once."""
STOP_S = 5.0
_LOGIN_HINT = "correct log.tls, log.sasl or the setting that is named; the brokers' log says more"
NO_TOPIC_HINT = (
    "if there was one, correct log.bootstrap_servers or log.topic_prefix; if there never was one,"
    " `replicator watch` makes it"
)
_REFUSAL_HINT = "the brokers answered so: their log says more; it may pass"
ACL_HINT = (
    "the principal needs Describe, Read, Write, Create and DescribeConfigs on the topic, Write and"
    " Describe on the transactional id of the same name, and Read on the targets' groups"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the broker proves its identity, and perhaps how this client does."""

    ca_file: Path | None
    """Authorities that sign the broker's certificate; None: the system's."""
    certificate_file: Path | None
    """This client's certificate, if the broker asks for one."""
    key_file: Path | None

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of a connection; host names are checked.

        Raises:
            ConfigError: a file cannot be read or is not what it should be.
        """
        try:
            context = trusting(self.ca_file)
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(f"the files named in log.tls cannot be used: {exc}") from exc
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Sasl:
    """The login."""

    mechanism: str
    """`SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`."""
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSession:
    """The addresses of the brokers, and how they are reached."""

    bootstrap_servers: tuple[str, ...]
    """`host:port` of some brokers, which name the others."""
    client_id: str = "druid-replicator"
    tls: Tls | None = None
    sasl: Sasl | None = None
    request_timeout_s: float = 30.0
    """Longest wait for one answer; a lost leader is replaced within this time."""

    @property
    def servers(self) -> str:
        """The brokers in messages."""
        return ", ".join(self.bootstrap_servers)

    def options(self) -> Options:
        """Return the arguments of every aiokafka client."""
        found: Options = {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": self.client_id,
            "request_timeout_ms": int(self.request_timeout_s * 1000),
            "security_protocol": ("SASL_" if self.sasl else "") + ("SSL" if self.tls else ""),
        }
        if not self.tls:
            found["security_protocol"] += "PLAINTEXT"
        if self.tls is not None:
            found["ssl_context"] = self.tls.context()
        if self.sasl is not None:
            found |= {
                "sasl_mechanism": self.sasl.mechanism,
                "sasl_plain_username": self.sasl.username,
                "sasl_plain_password": self.sasl.password,
            }
        return found


def _denied(message: str) -> ConfigError:
    return ConfigError(message, hint=ACL_HINT)


def _ahead(message: str) -> TransientError:
    """Translate the refusal of a time that is more than `message.timestamp.after.max.ms` ahead."""
    return TransientError(
        f"{message}: the broker takes this machine's clock for wrong",
        hint="set this machine's clock and the brokers' right (NTP): the topic's"
        " message.timestamp.after.max.ms says how far ahead a writer may be, an hour by default",
    )


def _unfit(message: str) -> ConfigError:
    return ConfigError(message, hint=_LOGIN_HINT)


def _too_many_copies(message: str) -> ConfigError:
    return ConfigError(
        message,
        hint="start as many brokers as log.replication_factor says, or lower it and"
        " log.min_insync_replicas",
    )


def _no_topic(message: str) -> NotFoundError:
    return NotFoundError(message, hint=NO_TOPIC_HINT)


def _too_large(message: str) -> ConfigError:
    return ConfigError(
        message,
        hint="raise log.record_bytes_max and the topic's max.message.bytes: one row is larger",
    )


def _joined(message: str) -> TransientError:
    return TransientError(
        message,
        hint="a consumer is a member of this target's group: give that consumer another group",
    )


def _refusal(message: str) -> TransientError:
    return TransientError(message, hint=_REFUSAL_HINT)


def _unreadable(message: str) -> TransientError:
    return TransientError(
        f"{message}: the brokers' answer cannot be used",
        hint="a broker that starts may name none yet; otherwise look at the brokers' log",
    )


_FENCED: tuple[type[Exception], ...] = (
    kafka.ProducerFenced,
    kafka.InvalidProducerEpoch,
)
_DENIED: tuple[type[Exception], ...] = (
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
)
_SETTINGS: tuple[type[Exception], ...] = (
    kafka.AuthenticationFailedError,
    kafka.SaslAuthenticationFailed,
    kafka.AuthenticationMethodNotSupported,
    kafka.UnsupportedSaslMechanismError,
    kafka.IncompatibleBrokerVersion,
    kafka.PolicyViolationError,
    kafka.InvalidTopicError,
    kafka.InvalidConfigurationError,
    kafka.InvalidTransactionTimeout,
)
_LASTING = (*_SETTINGS, kafka.InvalidReplicationFactorError, ssl.SSLCertVerificationError)
ERRORS: ErrorMap = {
    **dict.fromkeys(_FENCED, FencedError),
    **dict.fromkeys(_DENIED, _denied),
    **dict.fromkeys(_SETTINGS, _unfit),
    kafka.InvalidReplicationFactorError: _too_many_copies,
    kafka.UnknownTopicOrPartitionError: _no_topic,
    kafka.MessageSizeTooLargeError: _too_large,
    kafka.InvalidTimestampError: _ahead,
    kafka.CommitFailedError: _joined,
    kafka.BrokerResponseError: _refusal,
    kafka.KafkaError: TransientError,
    kafka.ConsumerStoppedError: TransientError,
    kafka.IllegalOperation: _refusal,
    AssertionError: _unreadable,  # aiokafka 0.14 expects that each answer names a broker
    OSError: TransientError,
    TimeoutError: TransientError,
}


@contextmanager
def translated(doing: str) -> Generator[None]:
    """Translate aiokafka's errors; `doing` says what was tried, with the brokers' names.

    Raises:
        ConfigError: no connection was made, and a certificate or a login is the lasting reason.
    """
    reasons: list[Exception] = []
    token = _heard.set(reasons)
    try:
        with translate(ERRORS, doing):
            yield
    except TransientError as exc:
        # A wrong certificate or login never passes; aiokafka raises only that it has no connection.
        if lasting := [reason for reason in reasons if isinstance(reason, _LASTING)]:
            why = str(lasting[-1])
            raise ConfigError(f"{doing}: {why}", hint=distrust_hint(why, _LOGIN_HINT)) from exc
        raise
    finally:
        _heard.reset(token)


async def started(
    session: KafkaSession, *, record_bytes_max: int, **more: str | int
) -> AIOKafkaProducer:
    """Start a producer, whose records count once all replicas in sync have them.

    The further arguments are aiokafka's own.
    """
    producer = AIOKafkaProducer(
        **session.options(),
        acks="all",
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
        max_request_size=record_bytes_max,
        **more,
    )
    try:
        async with asyncio.timeout(session.request_timeout_s):
            await producer.start()
    except BaseException:
        await stopped(producer)
        raise
    return producer


async def stopped(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Close a client in any state, also one whose brokers are gone.

    The call that failed before has reported the error already, and aiokafka's consumers raise the
    cancellation of their own tasks.
    """
    if not await _ends(client.stop()):
        await _abandon(client)


async def _abandon(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Close the connections of a client that would wait for its brokers for ever.

    aiokafka 0.14 offers no other way: a producer flushes before it closes.
    """
    if isinstance(client, AIOKafkaProducer):
        if (sending := client._sender.sender_task) is not None:
            sending.cancel()
        connections = client.client
    else:
        connections = client._client
    await _ends(connections.close())  # this also cancels a connection that is being made


async def _ends(closing: Coroutine[Any, Any, None]) -> bool:
    """Wait for a close, and return whether it ended in time; its errors are ignored.

    So is its cancellation: aiokafka's own tasks raise it in the task that waits for them.
    """
    task = asyncio.create_task(closing)
    done, _ = await asyncio.wait([task], timeout=STOP_S)
    if not done:
        task.cancel()
        return False
    task.cancelled() or task.exception()
    return True
