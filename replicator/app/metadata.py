"""Metadata stores, made from the settings of a source or a target."""

from collections.abc import Mapping

from replicator.adapters.archive_metadata import ArchiveMetadata
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.session import Options
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.app.storages import RealStorage
from replicator.app.target import RealMetadata
from replicator.config import MetadataSettings
from replicator.ports import Clock


def metadata_reader(
    settings: MetadataSettings, environ: Mapping[str, str]
) -> PostgresqlMetadataReader:
    """Return a source's metadata store, read only."""
    return PostgresqlMetadataReader(settings.url, **_options(settings, environ))


def target_metadata(
    settings: MetadataSettings | None,
    storage: RealStorage,
    clock: Clock,
    environ: Mapping[str, str],
) -> RealMetadata:
    """Return a target's metadata store; an archive's checkpoint is in its storage."""
    if settings is None:
        return ArchiveMetadata(storage.area(), clock)
    return PostgresqlMetadataWriter(settings.url, **_options(settings, environ))


def _options(settings: MetadataSettings, environ: Mapping[str, str]) -> Options:
    return Options(
        password=settings.password(environ),
        table_prefix=settings.table_prefix,
        schema=settings.schema_,
        connect_timeout_s=settings.connect_timeout_s,
        statement_timeout_s=settings.statement_timeout_s,
    )
