"""What can be set about the event log."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from replicator.config.values import (
    AbsolutePath,
    Addresses,
    Duration,
    Password,
    Positive,
    Section,
    Size,
)


class SqliteLogSettings(Section):
    """The event log in one SQLite file, for one machine."""

    type: Literal["sqlite"]
    """The kind of log."""
    path: AbsolutePath
    """The log's file, on a local disk: SQLite's locks do not hold on NFS."""


class KafkaTlsSettings(Section):
    """How Kafka's brokers prove who they are, and perhaps how this program does."""

    ca_file: AbsolutePath | None = None
    """Certificates of the brokers' signer; default: the system's authorities."""
    certificate_file: AbsolutePath | None = None
    """Certificate of this program, when the brokers ask for one (PEM)."""
    key_file: AbsolutePath | None = None
    """Key of that certificate; default: it stands in `certificate_file` too."""


class KafkaSaslSettings(Password):
    """Who this program is to Kafka's brokers."""

    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """How the password is sent; PLAIN shows it to the broker, so it needs `tls`."""
    username: Annotated[str, Field(min_length=1)]
    """The principal, without `User:`."""


class KafkaLogSettings(Section):
    """The event log in an Apache Kafka topic of one partition."""

    type: Literal["kafka"]
    """The kind of log."""
    bootstrap_servers: Addresses
    """Some of the brokers, `host:port`; the others are learned from them."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=120)] = "replicator"
    """The topic is `<topic_prefix>.<source.name>.changes`."""
    replication_factor: Annotated[int, Field(ge=1, le=32_767)] = 3
    """Copies of the topic when it is made."""
    min_insync_replicas: Annotated[int, Field(ge=1, le=32_767)] = 2
    """Copies that must have an event before it counts as logged."""
    retention: Duration | None = None
    """How long events are kept; default: for ever. A shorter history restores no older point."""
    record_bytes_max: Size = 8 << 20
    """Largest event; a segment of ten thousand columns has about 1 MiB."""
    request_timeout_s: Positive = 30.0
    """Longest wait for a broker's answer, in seconds; a lost leader is replaced within it."""
    transaction_timeout_s: Positive = 60.0
    """When the brokers give up a transaction whose writer went silent, in seconds."""
    cursors_max: Annotated[int, Field(ge=1, le=64)] = 4
    """Places from which the topic is read at once; more targets in one process want more."""
    fetch_bytes_max: Size = 8 << 20
    """Bytes fetched ahead at each of those places."""
    tls: KafkaTlsSettings | None = None
    """Encrypt; without it everything is sent in the open."""
    sasl: KafkaSaslSettings | None = None
    """Log in."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError("min_insync_replicas is larger than replication_factor")
        if self.sasl is not None and self.sasl.mechanism == "PLAIN" and self.tls is None:
            raise ValueError("sasl.mechanism PLAIN without tls would send the password in the open")
        return self


LogSettings: TypeAlias = Annotated[
    SqliteLogSettings | KafkaLogSettings, Field(discriminator="type")
]
