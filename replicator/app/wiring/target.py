"""A target with its settings, and what can be made of the two alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.adapters.signing.area import Signatures, SignedArea
from replicator.app.wiring.storages import RealStorage
from replicator.config import TargetSettings
from replicator.errors import ConfigError
from replicator.model.druid.release import Release, release_of
from replicator.model.store.archive import UNPACKED_BYTES_MAX
from replicator.ports import Clock, MetadataWriter, TargetStorage
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Store

if TYPE_CHECKING:
    from replicator.adapters.archive_metadata import ArchiveMetadata
    from replicator.adapters.mysql.writer import MysqlMetadataWriter
    from replicator.adapters.signing.storage import SealedStorage
    from replicator.services.store.witness import Witness

RealMetadata: TypeAlias = "PostgresqlMetadataWriter | MysqlMetadataWriter | ArchiveMetadata"
"""A cluster's metadata store, or what an archive has instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredTarget:
    """A target's settings and adapters, including those of drills and tests."""

    name: str
    settings: TargetSettings
    metadata: MetadataWriter
    storage: TargetStorage
    """Storage of the bytes; with keys, their seals are verified."""
    signatures: Signatures | None = None
    """Signatures of the store's files; None: they are not signed."""
    witness: Witness | None = None
    """Witness of how far its store reached; None: there is none."""

    def area(self) -> SignedArea:
        """Return the target's own files, signed if it has keys."""
        return SignedArea(self.storage.area(), self.signatures)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTarget(ConfiguredTarget):
    """A target of the configuration: it can also be created and checked."""

    metadata: RealMetadata
    plain_storage: RealStorage
    """The storage itself, which knows of no seals."""

    def sealable(self) -> SealedStorage:
        """Return the storage whose locations can be sealed.

        Raises:
            ConfigError: the target has no keys.
        """
        if self.signatures is None:
            raise ConfigError(
                "the target has no keys", hint="set `signing` for it: docs/archive.md"
            )
        from replicator.adapters.signing.storage import (  # noqa: PLC0415 - only with keys
            SealedStorage,
        )

        return SealedStorage(self.plain_storage, self.signatures)


def store_of(target: ConfiguredTarget) -> Store:
    """Return a target's store for one operation: nothing of it was read yet."""
    history = target.settings.history
    return Store(
        target.area(),
        target=target.name,
        cache_bytes_max=history.cache_bytes_max,
        # A file ends with the record that passes `file_bytes_max`, and is larger by it.
        unpacked_bytes_max=max(UNPACKED_BYTES_MAX, 2 * history.file_bytes_max),
    )


def store_points(target: ConfiguredTarget, clock: Clock) -> StorePoints:
    """Return the points and holds in a target's store."""
    return StorePoints(store_of(target), clock=clock)


async def written_for(target: ConfiguredTarget) -> Release | None:
    """Return the Druid release that a target's rows are written for, None if unknown.

    It is the configured release, or the last one that its Druid reported: the Druid need not run
    now, and everything that writes or compares rows must use the same release.
    """
    if (configured := target.settings.druid_release) is not None:
        return release_of(configured)
    if target.settings.druid is None:
        return None
    from replicator.services.records.druid_release import remembered  # noqa: PLC0415 - few

    return await remembered(target.area())
