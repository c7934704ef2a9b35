"""Settings: their meaning, the reasons for their defaults, and the origin of each value."""

from replicator.config.checks import RESTORE_VERBS, undecided
from replicator.config.clusters.clusters import (
    ChangeStreamSettings,
    HistorySettings,
    LoadRulesSettings,
    MetadataSettings,
    MysqlSettings,
    PostgresqlSettings,
    PromotionSettings,
    SourcePostgresqlSettings,
    SourceSettings,
    TargetSettings,
)
from replicator.config.clusters.drills import (
    DrillSettings,
    ScratchDruidSettings,
    TargetDrillSettings,
)
from replicator.config.clusters.druid import DruidLoginSettings, DruidSettings, SourceDruidSettings
from replicator.config.clusters.signing import SigningSettings
from replicator.config.clusters.storages import (
    AzureStorageSettings,
    DeepStorageSettings,
    GoogleStorageSettings,
    HdfsStorageSettings,
    LocalStorageSettings,
    ObjectLockSettings,
    RemoteStorage,
    S3StorageSettings,
    TransferSettings,
    overlap,
)
from replicator.config.file.loading import (
    ENVIRONMENT_PREFIX,
    Explained,
    Origin,
    explain,
    load,
)
from replicator.config.file.yaml_file import scalar
from replicator.config.logs import (
    KafkaLogSettings,
    KafkaSaslSettings,
    KafkaTlsSettings,
    LogSettings,
    SqliteLogSettings,
)
from replicator.config.operations.notifications import (
    AddressSettings,
    DeadMansSwitchSettings,
    NotificationsSettings,
    WebhookSettings,
)
from replicator.config.operations.prices import PricesSettings
from replicator.config.operations.web import WebSettings
from replicator.config.retries import RetrySettings
from replicator.config.settings import QueriesSettings, Settings, WatchSettings
from replicator.config.values import size

__all__ = [
    "ENVIRONMENT_PREFIX",
    "RESTORE_VERBS",
    "AddressSettings",
    "AzureStorageSettings",
    "ChangeStreamSettings",
    "DeadMansSwitchSettings",
    "DeepStorageSettings",
    "DrillSettings",
    "DruidLoginSettings",
    "DruidSettings",
    "Explained",
    "GoogleStorageSettings",
    "HdfsStorageSettings",
    "HistorySettings",
    "KafkaLogSettings",
    "KafkaSaslSettings",
    "KafkaTlsSettings",
    "LoadRulesSettings",
    "LocalStorageSettings",
    "LogSettings",
    "MetadataSettings",
    "MysqlSettings",
    "NotificationsSettings",
    "ObjectLockSettings",
    "Origin",
    "PostgresqlSettings",
    "PricesSettings",
    "PromotionSettings",
    "QueriesSettings",
    "RemoteStorage",
    "RetrySettings",
    "S3StorageSettings",
    "ScratchDruidSettings",
    "Settings",
    "SigningSettings",
    "SourceDruidSettings",
    "SourcePostgresqlSettings",
    "SourceSettings",
    "SqliteLogSettings",
    "TargetDrillSettings",
    "TargetSettings",
    "TransferSettings",
    "WatchSettings",
    "WebSettings",
    "WebhookSettings",
    "explain",
    "load",
    "overlap",
    "scalar",
    "size",
    "undecided",
]
