"""Settings: what can be set and why it defaults as it does, and where each value came from."""

from replicator.config.loading import (
    ENVIRONMENT_PREFIX,
    Explained,
    Origin,
    explain,
    load,
)
from replicator.config.settings import (
    DruidSettings,
    KafkaLogSettings,
    KafkaSaslSettings,
    KafkaTlsSettings,
    LoadRulesSettings,
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
from replicator.config.storages import (
    AzureStorageSettings,
    DeepStorageSettings,
    GoogleStorageSettings,
    HdfsStorageSettings,
    LocalStorageSettings,
    RemoteStorage,
    S3StorageSettings,
    TransferSettings,
)
from replicator.config.values import size
from replicator.config.web import WebSettings
from replicator.config.yaml_file import scalar

__all__ = [
    "ENVIRONMENT_PREFIX",
    "AzureStorageSettings",
    "DeepStorageSettings",
    "DruidSettings",
    "Explained",
    "GoogleStorageSettings",
    "HdfsStorageSettings",
    "KafkaLogSettings",
    "KafkaSaslSettings",
    "KafkaTlsSettings",
    "LoadRulesSettings",
    "LocalStorageSettings",
    "LogSettings",
    "MetadataSettings",
    "Origin",
    "PostgresqlSettings",
    "RemoteStorage",
    "RetrySettings",
    "S3StorageSettings",
    "Settings",
    "SourceSettings",
    "SqliteLogSettings",
    "TargetSettings",
    "TransferSettings",
    "WatchSettings",
    "WebSettings",
    "explain",
    "load",
    "scalar",
    "size",
]
