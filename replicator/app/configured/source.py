"""The source of one configuration: its rows, its bytes and its Druid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from replicator.app.wiring.metadata import change_stream, metadata_reader
from replicator.app.wiring.storages import source_layout
from replicator.config import SourcePostgresqlSettings

if TYPE_CHECKING:
    from replicator.adapters.postgresql.stream.change_stream import PostgresqlChangeStream
    from replicator.adapters.transfer.source_storages import SourceStorages
    from replicator.app.wiring.metadata import Closing, RealSource
    from replicator.app.wiring.pipeline import Following
    from replicator.app.wiring.storages import Storages
    from replicator.config import Settings
    from replicator.model.load_spec import SourceLayout
    from replicator.ports.druid import TellsRelease


class ConfiguredSource:
    """The source, read only; without one in the configuration everything raises a ConfigError.

    Args:
        settings: What is configured.
        environ: Environment of the process, which has the secrets.
        storages: Makes the storages.
        closing: Takes what closes the connection to the metadata store.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        storages: Storages,
        *,
        closing: Closing,
    ) -> None:
        self._settings, self._environ, self._storages = settings, environ, storages
        self._closing = closing
        self._storage: SourceStorages | None = None
        self._metadata: RealSource | None = None

    @property
    def name(self) -> str:
        """Name of the source in every event."""
        return self._settings.watched.name

    @property
    def layout(self) -> SourceLayout:
        """How the source's storages write their load specs."""
        return source_layout(self._settings.watched)

    def metadata(self) -> RealSource:
        """Return the source's metadata store."""
        if self._metadata is None:
            settings = self._settings
            self._metadata = metadata_reader(
                settings.watched.metadata,
                self._environ,
                audit=settings.watch.audit_rows,
                closing=self._closing,
            )
        return self._metadata

    def storage(self) -> SourceStorages:
        """Return the source's deep storage."""
        if self._storage is None:
            self._storage = self._storages.source(self._settings.watched)
        return self._storage

    def change_stream(self) -> PostgresqlChangeStream | None:
        """Return the source's change stream; None if none is configured."""
        settings = self._settings
        audit = settings.watch.audit_rows
        return change_stream(settings.watched.metadata, self._environ, audit=audit)

    def following(self) -> Following | None:
        """Return the change stream and how it is followed; None if none is configured."""
        from replicator.app.wiring.pipeline import Following  # noqa: PLC0415 - only to watch

        metadata, stream = self._settings.watched.metadata, self.change_stream()
        if not isinstance(metadata, SourcePostgresqlSettings):
            return None
        if stream is None or (settings := metadata.change_stream) is None:
            return None
        return Following(
            stream=stream,
            read_interval_s=settings.read_interval_s,
            retained_bytes_max=settings.retained_bytes_max,
        )

    def druid(self) -> TellsRelease | None:
        """Return the client that reports the source's release; None: its Druid has no address."""
        from replicator.app.druids import source_status  # noqa: PLC0415 - imports an HTTP client

        return source_status(self._settings, self._environ)
