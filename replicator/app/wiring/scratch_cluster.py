"""An empty cluster for one drill: a scratch PostgreSQL and a scratch folder."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.adapters.scratch import postgresql as embedded_postgresql
from replicator.adapters.scratch.folder import free_bytes, scratch
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import (
    DrillSettings,
    LocalStorageSettings,
    PostgresqlSettings,
    TargetSettings,
)

SEGMENTS = "segments"
"""Name of the deep storage in a scratch folder, beside the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchCluster:
    """An empty target like the drilled one, in a folder that is removed after the drill."""

    target: ConfiguredTarget
    folder: Path
    dsn: str
    """DSN of the database; for a Druid on loopback, with the password."""
    deep_storage: Path
    free_bytes: int
    """Number of free bytes on the disk of the folder."""


@asynccontextmanager
async def scratch_cluster(
    drilled: ConfiguredTarget, settings: DrillSettings
) -> AsyncGenerator[ScratchCluster]:
    """Make a cluster's empty metadata and deep storage for the length of the block.

    Its PostgreSQL listens on loopback only for a Druid: Java knows no Unix sockets.
    """
    with_druid = settings.druid is not None
    async with (
        scratch(settings.folder, embedded_postgresql.stop_in) as folder,
        embedded_postgresql.running(
            folder / embedded_postgresql.DATABASE,
            loopback=embedded_postgresql.Loopback() if with_druid else None,
            start_timeout_s=settings.start_timeout_s,
        ) as server,
    ):
        dsn = server.loopback_dsn() if with_druid else server.dsn()
        metadata = PostgresqlMetadataWriter(dsn)
        await metadata.create(settings.druid_release, centralized=settings.centralized_schema)
        deep_storage = folder / SEGMENTS
        deep_storage.mkdir(mode=0o700)  # a Druid of the drill runs as the same user
        storage = LocalDeepStorage(deep_storage)
        await storage.create()
        yield ScratchCluster(
            target=ConfiguredTarget(
                name=f"the drill of {drilled.name}",
                settings=_scratch_settings(drilled.settings, dsn, deep_storage),
                metadata=metadata,
                storage=storage,
            ),
            folder=folder,
            dsn=dsn,
            deep_storage=deep_storage,
            free_bytes=free_bytes(folder),
        )


def _scratch_settings(drilled: TargetSettings, dsn: str, root: Path) -> TargetSettings:
    url = urlsplit(dsn)
    login = (url.username or "", url.netloc.rpartition("@")[2])
    without_password = url._replace(netloc="@".join(login)).geturl()
    return drilled.model_copy(
        update={
            "metadata": PostgresqlSettings(type="postgresql", url=without_password),
            "deep_storage": LocalStorageSettings(type="local", root=root),
            "druid": None,
            "retention": None,
        }
    )
