"""How Kafka is reached, and what its errors mean to us: for every client of `log_kafka`."""

import logging
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aiokafka import errors as kafka

from replicator.adapters.boundary import ErrorMap, translate
from replicator.errors import ConfigError, FencedError, NotFoundError, TransientError


def _not_of_kafka(record: logging.LogRecord) -> bool:
    """Drop asyncio's word on futures that aiokafka 0.14 leaves behind when it is fenced."""
    return not (record.exc_info and isinstance(record.exc_info[1], kafka.KafkaError))


# What aiokafka warns of reaches our callers as errors; a library writes to nobody's terminal.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())
logging.getLogger("asyncio").addFilter(_not_of_kafka)

Options: TypeAlias = dict[str, Any]
"""Keyword arguments that all of aiokafka's clients share."""

_ACL_HINT = (
    "the principal needs Describe, Read, Write, Create and DescribeConfigs on the topic, Write and"
    " Describe on the transactional id of the same name, and Read on the targets' groups"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the broker proves who it is, and perhaps how we do."""

    ca_file: Path | None
    """Who signed the broker's certificate; None: the system's authorities."""
    certificate_file: Path | None
    """Our own certificate, when the broker asks for one."""
    key_file: Path | None

    def context(self) -> ssl.SSLContext:
        """Return what a connection is wrapped in; host names are checked.

        Raises:
            ConfigError: a file cannot be read or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(f"the files named in log.tls cannot be used: {exc}") from exc
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Sasl:
    """Who we say we are."""

    mechanism: str
    """`SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`."""
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Where the brokers are and how they are spoken to."""

    bootstrap_servers: tuple[str, ...]
    """`host:port` of some brokers; the others are learned from them."""
    client_id: str = "druid-replicator"
    tls: Tls | None = None
    sasl: Sasl | None = None
    request_timeout_s: float = 30.0
    """Longest wait for one answer; a lost leader is replaced within it."""

    @property
    def servers(self) -> str:
        """The brokers, for messages."""
        return ", ".join(self.bootstrap_servers)

    def options(self) -> Options:
        """Return what every aiokafka client is constructed with."""
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
    return ConfigError(message, hint=_ACL_HINT)


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
    kafka.InvalidReplicationFactorError,
    kafka.InvalidTopicError,
    kafka.InvalidConfigurationError,
    kafka.InvalidTransactionTimeout,
)
_ERRORS: ErrorMap = {
    **dict.fromkeys(_FENCED, FencedError),
    **dict.fromkeys(_DENIED, _denied),
    **dict.fromkeys(_SETTINGS, ConfigError),
    kafka.UnknownTopicOrPartitionError: NotFoundError,
    kafka.MessageSizeTooLargeError: ConfigError,
    kafka.KafkaError: TransientError,
    OSError: TransientError,
    TimeoutError: TransientError,
}


@contextmanager
def translated(doing: str) -> Generator[None]:
    """Raise our errors for aiokafka's; `doing` says what was tried, with the brokers' names."""
    with translate(_ERRORS, doing):
        yield
