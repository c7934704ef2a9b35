"""What brings a target back: the services of a restore, from wherever its bytes come."""

from dataclasses import dataclass
from functools import partial

from replicator.app.application import Application
from replicator.app.pipeline import Pipeline
from replicator.app.retention import Keeping
from replicator.app.routes import digests, source_storages, way
from replicator.app.storages import layout
from replicator.app.stores import OpenStore
from replicator.app.target import Target
from replicator.config import DeepStorageSettings
from replicator.errors import ConfigError
from replicator.model.cost import Way
from replicator.model.load_spec import Layout
from replicator.services.restore.estimator import Appraiser
from replicator.services.restore.renamer import Renamer
from replicator.services.restore.restorer import Restorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose bytes are used, and what is changed."""

    target: str
    into: str
    from_store: bool = False
    """Whether nothing but the target's store is asked."""
    log_id: str | None = None
    by_reference: bool = False

    async def restorer(self, application: Application) -> Restorer:
        """Return what carries a restore out.

        Raises:
            ConfigError: an archive is to be restored in place.
        """
        if self.from_store:
            store = await application.store(self.target, log_id=self.log_id)
            return await self._restorer_from(application, store)
        pipeline = application.pipeline(self.into)
        if self.into != self.target:
            kept = application.target(self.target)
            backup = await application.backup(kept)
            return await pipeline.restorer(kept.storage, backup=backup, kept=kept)
        _refuse_archive(application.target(self.target))
        return await pipeline.restorer(application.source_storage())

    async def appraiser(self, application: Application) -> Appraiser:
        """Return what finds out what a restore costs."""
        if self.from_store:
            store = await application.store(self.target, log_id=self.log_id)
            return await self._appraiser_from(application, store)
        pipeline = application.pipeline(self.into)
        if self.into == self.target:
            way = self._way(application, application.settings.watched.deep_storage)
            return await pipeline.appraiser(application.source_storage(), way, backup=None)
        kept = application.target(self.target)
        way = self._way(application, kept.settings.deep_storage)
        backup = await application.backup(kept)
        return await pipeline.appraiser(kept.storage, way, backup=backup)

    async def renamer(self, application: Application) -> Renamer:
        """Return what restores a datasource under another name.

        Raises:
            ConfigError: bytes in a store of another target are not shared; or the target that is
                written to is an archive.
        """
        if self.from_store:
            store = await application.store(self.target, log_id=self.log_id)
            return await self._renamer_from(application, store)
        pipeline = application.pipeline(self.into)
        if self.into == self.target:
            return await pipeline.renamer(application.source_storage())
        kept = application.target(self.target)
        backup = await application.backup(kept)
        return await pipeline.renamer(kept.storage, backup=backup, kept=kept)

    @property
    def _is_in_place(self) -> bool:
        """Whether the bytes are where they are needed."""
        return self.into == self.target

    def storage_digests(self, application: Application) -> dict[str, str]:
        """Return a digest of the settings of each storage that a restore reads or writes."""
        names = {
            f"targets.{one}": application.target(one).settings.deep_storage
            for one in {self.target, self.into}
        }
        source = application.settings.source
        return digests({**names, **(source_storages(source) if source is not None else {})})

    async def _restorer_from(self, application: Application, store: OpenStore) -> Restorer:
        """Return what needs nothing but the store."""
        kept, pipeline = store.target, self._pipeline(application, store)
        backup = store.backup(self._elsewhere(store))
        if self._is_in_place:
            _refuse_archive(kept)
            return await pipeline.restorer_in_place(backup)
        if not self.by_reference:
            return await pipeline.restorer(kept.storage, backup=backup, kept=kept)
        keep = partial(Keeping(store, application.tools).keep_for, self.into)
        return await pipeline.restorer_by_reference(backup, kept=kept, keep=keep)

    async def _appraiser_from(self, application: Application, store: OpenStore) -> Appraiser:
        kept = store.target
        return await self._pipeline(application, store).appraiser(
            kept.storage,
            self._way(application, kept.settings.deep_storage),
            backup=store.backup(self._elsewhere(store)),
            stays=self.by_reference or self._is_in_place,
        )

    async def _renamer_from(self, application: Application, store: OpenStore) -> Renamer:
        if self.by_reference:
            raise ConfigError("--rename copies what is in another store: leave out --by-reference")
        pipeline, kept = self._pipeline(application, store), store.target
        if application.target(self.into) is kept:
            return await pipeline.renamer(kept.storage)
        return await pipeline.renamer(kept.storage, backup=store.backup(), kept=kept)

    def _pipeline(self, application: Application, store: OpenStore) -> Pipeline:
        target, elsewhere = application.target(self.into), self._elsewhere(store)
        return Pipeline(store.origin, target, application.tools, elsewhere=elsewhere)

    def _elsewhere(self, store: OpenStore) -> Layout | None:
        """Return where bytes stay that are not copied."""
        return layout(store.target.settings.deep_storage) if self.by_reference else None

    def _way(self, application: Application, origin: DeepStorageSettings) -> Way:
        """Return the way of the bytes."""
        target = application.target(self.into).settings.deep_storage
        return way(origin, target, part_bytes=application.settings.transfer.part_bytes)


def _refuse_archive(target: Target) -> None:
    if target.settings.metadata is None:
        raise ConfigError(
            f"target {target.name!r} is an archive: there is nothing in it to bring back",
            hint="say --into, and the target that is to have what the archive keeps",
        )
