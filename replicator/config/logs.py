"""Settings of the event log."""

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
    """File of the log, on a local disk: SQLite's locks do not work on NFS."""


class KafkaTlsSettings(Section):
    """Certificates of Kafka's brokers, and of this program if the brokers require one."""

    ca_file: AbsolutePath | None = None
    """Certificates of the authority that signed the brokers'; default: the system's authorities."""
    certificate_file: AbsolutePath | None = None
    """Certificate of this program (PEM), if the brokers require one."""
    key_file: AbsolutePath | None = None
    """Key of that certificate; default: `certificate_file` contains it."""


class KafkaSaslSettings(Password):
    """Login of this program at Kafka's brokers."""

    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """SASL mechanism; PLAIN sends the password itself, so it requires `tls`."""
    username: Annotated[str, Field(min_length=1)]
    """Kafka principal, without `User:`."""


class KafkaLogSettings(Section):
    """The event log in an Apache Kafka topic of one partition."""

    type: Literal["kafka"]
    """The kind of log."""
    bootstrap_servers: Addresses
    """Some of the brokers, as `host:port`; they name the others."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=120)] = "replicator"
    """First part of the topic's name, `<topic_prefix>.<source.name>.changes`."""
    replication_factor: Annotated[int, Field(ge=1, le=32_767)] = 3
    """Number of replicas of the topic when it is created."""
    min_insync_replicas: Annotated[int, Field(ge=1, le=32_767)] = 2
    """Number of replicas that must have an event before it counts as logged."""
    retention: Duration | None = None
    """How long events are kept; default: for ever. Older points cannot be restored from the log."""
    record_bytes_max: Size = 8 << 20
    """Largest event; a segment with ten thousand columns takes about 1 MiB."""
    request_timeout_s: Positive = 30.0
    """Longest wait for a broker's answer, in seconds; long enough to replace a lost leader."""
    transaction_timeout_s: Positive = 60.0
    """Time after which the brokers abort a transaction whose writer is silent, in seconds."""
    cursors_max: Annotated[int, Field(ge=1, le=64)] = 4
    """Number of positions from which one process reads the topic at once; about one a target."""
    fetch_bytes_max: Size = 8 << 20
    """Bytes fetched ahead at each of these positions."""
    tls: KafkaTlsSettings | None = None
    """Encryption; without it everything is sent in clear text."""
    sasl: KafkaSaslSettings | None = None
    """Login; default: none."""

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
