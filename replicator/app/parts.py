"""What one target is made of."""

from dataclasses import dataclass

from replicator.adapters.metadata_postgresql_writer import PostgresqlMetadataWriter
from replicator.app.storages import TargetStorage
from replicator.config import TargetSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target's parts."""

    name: str
    settings: TargetSettings
    metadata: PostgresqlMetadataWriter
    storage: TargetStorage
