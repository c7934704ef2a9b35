"""What one target is made of."""

from dataclasses import dataclass
from typing import TypeAlias

from replicator.adapters.archive_metadata import ArchiveMetadata
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.app.storages import TargetStorage
from replicator.config import TargetSettings
from replicator.model.release import Release, release_of
from replicator.ports import Clock
from replicator.services.store.druid_release import remembered
from replicator.services.store.intents import Intents
from replicator.services.store.points import KeptPoints
from replicator.services.store.store import Store

TargetMetadata: TypeAlias = PostgresqlMetadataWriter | ArchiveMetadata
"""A cluster's metadata store, or what an archive has instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target's parts."""

    name: str
    settings: TargetSettings
    metadata: TargetMetadata
    storage: TargetStorage


def intents(target: Target, clock: Clock) -> Intents:
    """Return what expiries have announced in a target's store."""
    skew = target.settings.expiry.clock_skew_max
    return Intents(target.storage.area(), clock=clock, clock_skew_max=skew)


def store_of(target: Target) -> Store:
    """Return a target's store for one operation: nothing of it was read yet."""
    return Store(target.storage.area(), cache_bytes_max=target.settings.history.cache_bytes_max)


def kept_points(target: Target, clock: Clock) -> KeptPoints:
    """Return the points and holds in a target's store."""
    return KeptPoints(store_of(target), clock=clock)


async def written_for(target: Target) -> Release | None:
    """Return which release of Druid a target's rows are written for, None when nobody knows.

    It is what the configuration says, or what its Druid said when it was last asked: that need not
    run now, and everything that writes or compares rows must take the same.
    """
    if (said := target.settings.druid_release) is not None:
        return release_of(said)
    if target.settings.druid is None:
        return None
    return await remembered(target.storage.area())
