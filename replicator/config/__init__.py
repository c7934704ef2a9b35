"""Settings: what can be set and why it defaults as it does, and where each value came from."""

from replicator.config.loading import (
    ENVIRONMENT_PREFIX,
    Explained,
    Origin,
    explain,
    load,
)
from replicator.config.settings import (
    DeepStorageSettings,
    DruidSettings,
    KafkaLogSettings,
    KafkaSaslSettings,
    KafkaTlsSettings,
    LoadRulesSettings,
    LocalStorageSettings,
    LogSettings,
    MetadataSettings,
    PostgresqlSettings,
    RetrySettings,
    Settings,
    SourceSettings,
    SqliteLogSettings,
    TargetSettings,
    WatchSettings,
)
from replicator.config.yaml_file import scalar

__all__ = [
    "ENVIRONMENT_PREFIX",
    "DeepStorageSettings",
    "DruidSettings",
    "Explained",
    "KafkaLogSettings",
    "KafkaSaslSettings",
    "KafkaTlsSettings",
    "LoadRulesSettings",
    "LocalStorageSettings",
    "LogSettings",
    "MetadataSettings",
    "Origin",
    "PostgresqlSettings",
    "RetrySettings",
    "Settings",
    "SourceSettings",
    "SqliteLogSettings",
    "TargetSettings",
    "WatchSettings",
    "explain",
    "load",
    "scalar",
]
