"""Composition of the event log."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.config import KafkaLogSettings, LogSettings, SqliteLogSettings
from replicator.ports import Clock

if TYPE_CHECKING:
    from replicator.adapters.kafka.heir import KafkaHeir
    from replicator.adapters.kafka.log import KafkaEventLog
    from replicator.adapters.sqlite.heir import SqliteHeir

Log: TypeAlias = "SqliteEventLog | KafkaEventLog"
Heir: TypeAlias = "SqliteHeir | KafkaHeir"


def event_log(settings: LogSettings, source: str, clock: Clock, environ: Mapping[str, str]) -> Log:
    """Return the log of a source; the caller closes it."""
    match settings:
        case SqliteLogSettings(path=path):
            return SqliteEventLog(path, clock, source)
        case KafkaLogSettings():
            # Kafka's client takes a while to import, so it is imported only where Kafka is
            # configured.
            from replicator.app.kafka_logs import kafka_event_log  # noqa: PLC0415 - see above

            return kafka_event_log(settings, source, clock, environ)


def is_same_log(one: LogSettings, other: LogSettings) -> bool:
    """Return whether both are one file, or one topic: of a list of brokers one is enough."""
    match one, other:
        case SqliteLogSettings(), SqliteLogSettings():
            return one.path.resolve() == other.path.resolve()
        case KafkaLogSettings(), KafkaLogSettings():
            shared = not set(one.bootstrap_servers).isdisjoint(other.bootstrap_servers)
            return shared and one.topic_prefix == other.topic_prefix
        case _:
            return False


def log_heir(settings: LogSettings, source: str, environ: Mapping[str, str]) -> Heir:
    """Return the log that another one is moved into; the caller closes it."""
    match settings:
        case SqliteLogSettings(path=path):
            from replicator.adapters.sqlite.heir import SqliteHeir  # noqa: PLC0415 - rarely moved

            return SqliteHeir(path, source)
        case KafkaLogSettings():
            from replicator.app.kafka_logs import kafka_heir  # noqa: PLC0415 - see above

            return kafka_heir(settings, source, environ)
