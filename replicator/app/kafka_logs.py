"""Composition of an event log on Kafka."""

from collections.abc import Mapping
from datetime import timedelta

from replicator.adapters.kafka.describing import survey
from replicator.adapters.kafka.heir import KafkaHeir
from replicator.adapters.kafka.log import KafkaEventLog, KafkaLimits
from replicator.adapters.kafka.session import KafkaSession, Sasl, Tls
from replicator.adapters.kafka.topic import UNLIMITED, TopicSettings
from replicator.config import KafkaLogSettings
from replicator.ports import Clock


def kafka_event_log(
    settings: KafkaLogSettings, source: str, clock: Clock, environ: Mapping[str, str]
) -> KafkaEventLog:
    """Return the log of a source; the caller closes it."""
    return KafkaEventLog(
        _session(settings, environ),
        _topic(settings, source),
        clock,
        KafkaLimits(
            transaction_timeout_s=settings.transaction_timeout_s,
            cursors_max=settings.cursors_max,
            fetch_bytes_max=settings.fetch_bytes_max,
        ),
    )


def kafka_heir(settings: KafkaLogSettings, source: str, environ: Mapping[str, str]) -> KafkaHeir:
    """Return the topic that a log is moved into; the caller closes it."""
    return KafkaHeir(
        _session(settings, environ),
        _topic(settings, source),
        transaction_timeout_s=settings.transaction_timeout_s,
    )


async def brokers_of(settings: KafkaLogSettings, source: str, environ: Mapping[str, str]) -> int:
    """Return how many brokers are alive.

    Raises:
        TransientError: none answers.
        ConfigError: the login fails.
    """
    return (await survey(_session(settings, environ), _topic(settings, source).name)).brokers


def _session(settings: KafkaLogSettings, environ: Mapping[str, str]) -> KafkaSession:
    tls, sasl = settings.tls, settings.sasl
    return KafkaSession(
        bootstrap_servers=settings.bootstrap_servers,
        request_timeout_s=settings.request_timeout_s,
        tls=None
        if tls is None
        else Tls(ca_file=tls.ca_file, certificate_file=tls.certificate_file, key_file=tls.key_file),
        sasl=None
        if sasl is None
        else Sasl(
            mechanism=sasl.mechanism,
            username=sasl.username,
            password=sasl.password(environ) or "",
        ),
    )


def _topic(settings: KafkaLogSettings, source: str) -> TopicSettings:
    retention = settings.retention
    return TopicSettings(
        name=f"{settings.topic_prefix}.{source}.changes",
        replication_factor=settings.replication_factor,
        min_insync_replicas=settings.min_insync_replicas,
        retention_ms=UNLIMITED if retention is None else retention // timedelta(milliseconds=1),
        record_bytes_max=settings.record_bytes_max,
    )
