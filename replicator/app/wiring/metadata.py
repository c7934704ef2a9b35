"""Metadata stores, made from the settings of a source or a target."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from replicator.adapters.postgresql.kept import KeptConnection
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.session import Options as PostgresqlOptions
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.app.wiring.target import RealMetadata
from replicator.config import (
    MetadataSettings,
    MysqlSettings,
    PostgresqlSettings,
    SourcePostgresqlSettings,
)
from replicator.ports import Area, Clock

if TYPE_CHECKING:
    from replicator.adapters.mysql.reader import MysqlMetadataReader
    from replicator.adapters.mysql.session import Options as MysqlOptions
    from replicator.adapters.mysql.writer import MysqlMetadataWriter
    from replicator.adapters.postgresql.stream.change_stream import PostgresqlChangeStream
    from replicator.adapters.postgresql.stream.slot import StreamOptions

RealSource: TypeAlias = "PostgresqlMetadataReader | MysqlMetadataReader"
"""A source's metadata store."""
Closing: TypeAlias = Callable[[Callable[[], Awaitable[None]]], object]
"""Takes what is to be called at the end."""

# MySQL's client brings a library of ciphers, a change stream its protocol and an archive its notes;
# each is imported only where it is used.


def metadata_reader(
    settings: MetadataSettings,
    environ: Mapping[str, str],
    *,
    audit: bool = False,
    closing: Closing | None = None,
) -> RealSource:
    """Return a source's metadata store, read only, with its audit rows where they are kept.

    With `closing` its connection is kept for the next question, until that closes it.
    """
    match settings:
        case PostgresqlSettings():
            return PostgresqlMetadataReader(
                settings.url,
                stream=_stream(settings),
                **_postgresql(settings, environ, closing) | {"audit": audit},
            )
        case MysqlSettings():
            from replicator.adapters.mysql.reader import (  # noqa: PLC0415 - see above
                MysqlMetadataReader,
            )

            return MysqlMetadataReader(settings.url, **_mysql(settings, environ) | {"audit": audit})


def change_stream(
    settings: MetadataSettings, environ: Mapping[str, str], *, audit: bool = False
) -> "PostgresqlChangeStream | None":
    """Return a source's change stream; None if none is configured."""
    if not isinstance(settings, PostgresqlSettings) or (names := _stream(settings)) is None:
        return None
    from replicator.adapters.postgresql.stream.change_stream import (  # noqa: PLC0415 - see above
        PostgresqlChangeStream,
    )

    options = _postgresql(settings, environ) | {"audit": audit}
    return PostgresqlChangeStream(settings.url, names, **options)


def target_metadata(
    settings: MetadataSettings | None,
    area: Area,
    clock: Clock,
    environ: Mapping[str, str],
    closing: Closing,
) -> RealMetadata:
    """Return a target's metadata store; an archive's checkpoint is in its storage."""
    if settings is not None:
        return metadata_writer(settings, environ, closing)
    from replicator.adapters.archive_metadata import ArchiveMetadata  # noqa: PLC0415 - see above

    return ArchiveMetadata(area, clock)


def metadata_writer(
    settings: MetadataSettings, environ: Mapping[str, str], closing: Closing | None = None
) -> "PostgresqlMetadataWriter | MysqlMetadataWriter":
    """Return a cluster's metadata store, to be written; `closing` as for `metadata_reader`."""
    match settings:
        case PostgresqlSettings():
            return PostgresqlMetadataWriter(settings.url, **_postgresql(settings, environ, closing))
        case MysqlSettings():
            from replicator.adapters.mysql.writer import (  # noqa: PLC0415 - see above
                MysqlMetadataWriter,
            )

            return MysqlMetadataWriter(settings.url, **_mysql(settings, environ))


def _stream(settings: PostgresqlSettings) -> "StreamOptions | None":
    if not isinstance(settings, SourcePostgresqlSettings) or settings.change_stream is None:
        return None
    from replicator.adapters.postgresql.stream.slot import StreamOptions  # noqa: PLC0415 - see above

    stream = settings.change_stream
    return StreamOptions(slot=stream.slot, publication=stream.publication)


def _postgresql(
    settings: PostgresqlSettings, environ: Mapping[str, str], closing: Closing | None = None
) -> PostgresqlOptions:
    options = PostgresqlOptions(
        password=partial(settings.password, environ),
        table_prefix=settings.table_prefix,
        schema=settings.schema_,
        connect_timeout_s=settings.connect_timeout_s,
        statement_timeout_s=settings.statement_timeout_s,
        lock_timeout_s=settings.lock_timeout_s,
    )
    if closing is not None:
        options["kept"] = kept = KeptConnection()
        closing(kept.close)
    return options


def _mysql(settings: MysqlSettings, environ: Mapping[str, str]) -> "MysqlOptions":
    from replicator.adapters.mysql.session import (  # noqa: PLC0415 - see above
        Options as MysqlOptions,
    )

    return MysqlOptions(
        password=partial(settings.password, environ),
        table_prefix=settings.table_prefix,
        connect_timeout_s=settings.connect_timeout_s,
        statement_timeout_s=settings.statement_timeout_s,
        lock_timeout_s=settings.lock_timeout_s,
    )
