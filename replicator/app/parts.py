"""What one target is made of."""

from dataclasses import dataclass
from typing import TypeAlias

from replicator.adapters.metadata_archive import ArchiveMetadata
from replicator.adapters.metadata_postgresql_writer import PostgresqlMetadataWriter
from replicator.app.storages import TargetStorage
from replicator.config import TargetSettings

TargetMetadata: TypeAlias = PostgresqlMetadataWriter | ArchiveMetadata
"""A cluster's metadata store, or what an archive has instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target's parts."""

    name: str
    settings: TargetSettings
    metadata: TargetMetadata
    storage: TargetStorage
