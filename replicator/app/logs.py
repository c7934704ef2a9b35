"""Composition of the event log."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.config import KafkaLogSettings, LogSettings, SqliteLogSettings
from replicator.ports import Clock

if TYPE_CHECKING:
    from replicator.adapters.kafka.log import KafkaEventLog

Log: TypeAlias = "SqliteEventLog | KafkaEventLog"


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
