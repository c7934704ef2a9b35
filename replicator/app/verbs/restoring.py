"""Creates the services of a restore, wherever its bytes come from."""

from dataclasses import dataclass
from functools import partial

from replicator.app.application import Application
from replicator.app.verbs.routes import digests, route, source_storages
from replicator.app.wiring.pipeline import Pipeline
from replicator.app.wiring.retention import keep_for
from replicator.app.wiring.storages import layout
from replicator.app.wiring.stores import OpenStore
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import DeepStorageSettings
from replicator.errors import ConfigError
from replicator.services.restore.estimator import Estimator
from replicator.services.restore.renamer import Renamer
from replicator.services.restore.restorer import Restorer
from replicator.services.target.copier import Backup, BytesFrom


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """History, bytes and services that a restore uses."""

    pipeline: Pipeline
    bytes_from: BytesFrom
    settings: DeepStorageSettings
    """Settings of the storage that has the bytes."""
    of: ConfiguredTarget | None
    """Target that the storage belongs to; None for the source."""
    store: OpenStore | None
    """Store whose history is restored; None if the log's history is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which bytes a restore uses, and which target it changes."""

    target: str
    into: str
    from_store: bool = False
    """Whether only the target's store is read, and not the log."""
    log_id: str | None = None
    by_reference: bool = False

    async def restorer(self, application: Application) -> Restorer:
        """Return the restorer.

        Raises:
            ConfigError: the target is an archive and is to be restored in place.
        """
        if self._is_in_place:
            _refuse_archive(application.target(self.target))
        decided = await self._decide(application)
        if (store := decided.store) is not None and decided.of is not None:
            backup = self._backup(store)
            if self._is_in_place:
                return decided.pipeline.restorer_in_place(backup)
            if self.by_reference:
                keep = partial(keep_for, store, application.tools, self.into)
                return decided.pipeline.restorer_by_reference(backup, of=decided.of, keep=keep)
        return decided.pipeline.restorer(decided.bytes_from, of=decided.of)

    async def estimator(self, application: Application) -> Estimator:
        """Return the estimator of the restore's cost."""
        decided = await self._decide(application)
        return decided.pipeline.estimator(
            decided.bytes_from,
            route(
                decided.settings,
                application.target(self.into).settings.deep_storage,
                part_bytes=application.settings.transfer.part_bytes,
            ),
            stays=decided.store is not None and (self.by_reference or self._is_in_place),
        )

    async def renamer(self, application: Application) -> Renamer:
        """Return the service that restores a datasource under another name.

        Raises:
            ConfigError: bytes in another target's store are to be shared, or the changed target is
                an archive.
        """
        if self.by_reference:
            raise ConfigError("--rename copies what is in another store: leave out --by-reference")
        decided = await self._decide(application)
        bytes_from = decided.bytes_from
        if self._is_in_place and isinstance(bytes_from, Backup):
            bytes_from = bytes_from.storage  # its own places: what is there is there
        return decided.pipeline.renamer(bytes_from, of=decided.of)

    async def _decide(self, application: Application) -> _Decided:
        """Decide which history and bytes are used: a store's, another target's, or the live ones.

        With `from_store` a store alone is enough. Otherwise the log has the history, and the bytes
        are those of the source, or of the target that stands in for it.
        """
        into = application.target(self.into)
        if self.from_store:
            store = await application.store(self.target, log_id=self.log_id)
            store.require_newest()
            elsewhere = layout(store.target.settings.deep_storage) if self.by_reference else None
            return _Decided(
                pipeline=await application.pipeline_from(store, into, elsewhere=elsewhere),
                bytes_from=self._backup(store),
                settings=store.target.settings.deep_storage,
                of=store.target,
                store=store,
            )
        pipeline = await application.pipeline(self.into)
        if self._is_in_place:
            return _Decided(
                pipeline=pipeline,
                bytes_from=application.source_storage(),
                settings=application.settings.watched.deep_storage,
                of=None,
                store=None,
            )
        of = application.target(self.target)
        return _Decided(
            pipeline=pipeline,
            bytes_from=await application.backup(of),
            settings=of.settings.deep_storage,
            of=of,
            store=None,
        )

    def _backup(self, store: OpenStore) -> Backup:
        """Return the store's bytes, by the configured layout if they stay there."""
        return store.backup(
            layout(store.target.settings.deep_storage) if self.by_reference else None
        )

    @property
    def _is_in_place(self) -> bool:
        """Whether the bytes are already where they are needed."""
        return self.into == self.target

    def storage_digests(self, application: Application) -> dict[str, str]:
        """Return a digest of the settings of each storage that a restore reads or writes."""
        names = {
            f"targets.{one}": application.target(one).settings.deep_storage
            for one in {self.target, self.into}
        }
        source = application.settings.source
        return digests({**names, **(source_storages(source) if source is not None else {})})


def _refuse_archive(target: ConfiguredTarget) -> None:
    if target.settings.metadata is None:
        raise ConfigError(
            f"target {target.name!r} is an archive: there is nothing in it to bring back",
            hint="say --into, and the target that is to have what the archive keeps",
        )
