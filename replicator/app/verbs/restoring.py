"""Creates the services of a restore, wherever its bytes come from."""

from dataclasses import dataclass
from functools import partial
from secrets import token_hex

from replicator.adapters.machine.process import operator
from replicator.app.application import Application
from replicator.app.verbs.routes import digests, route, source_storages
from replicator.app.wiring.pipeline import Pipeline
from replicator.app.wiring.retention import keep_for
from replicator.app.wiring.storages import layout
from replicator.app.wiring.stores import OpenStore
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import DeepStorageSettings
from replicator.errors import ConfigError
from replicator.model.store.testimony import WITHOUT_WITNESS, Attested, Testimony
from replicator.services.records.deed_record import Deed, keep_deed
from replicator.services.restore.estimator import Estimator
from replicator.services.restore.renamer import Renamer
from replicator.services.restore.restorer import Restorer
from replicator.services.target.copier import Backup, BytesFrom


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """History, bytes and services that a restore uses; a store is opened once for all of them."""

    application: Application
    place: "Place"
    pipeline: Pipeline
    bytes_from: BytesFrom
    settings: DeepStorageSettings
    """Settings of the storage that has the bytes."""
    of: ConfiguredTarget | None
    """Target that the storage belongs to; None for the source."""
    store: OpenStore | None
    """Store whose history is restored; None if the log's history is."""

    @property
    def testimony(self) -> Testimony | None:
        """The witness's testimony about the store; None: no witness, or the log is read."""
        return None if self.store is None else self.store.testimony

    def restorer(self) -> Restorer:
        """Return the restorer."""
        place = self.place
        if (store := self.store) is not None and self.of is not None:
            backup = place.backup(store)
            if place.is_in_place:
                return self.pipeline.restorer_in_place(backup)
            if place.by_reference:
                keep = partial(keep_for, store, self.application.tools, place.into)
                return self.pipeline.restorer_by_reference(backup, of=self.of, keep=keep)
        return self.pipeline.restorer(self.bytes_from, of=self.of)

    def estimator(self) -> Estimator:
        """Return the estimator of the restore's cost."""
        place, application = self.place, self.application
        return self.pipeline.estimator(
            self.bytes_from,
            route(
                self.settings,
                application.target(place.into).settings.deep_storage,
                part_bytes=application.settings.transfer.part_bytes,
            ),
            stays=self.store is not None and (place.by_reference or place.is_in_place),
        )

    def renamer(self) -> Renamer:
        """Return the service that restores a datasource under another name.

        Raises:
            ConfigError: bytes in another target's store are to be shared, or the changed target is
                an archive.
        """
        if self.place.by_reference:
            raise ConfigError("--rename copies what is in another store: leave out --by-reference")
        bytes_from = self.bytes_from
        if self.place.is_in_place and isinstance(bytes_from, Backup):
            bytes_from = bytes_from.storage  # its own places: what is there is there
        return self.pipeline.renamer(bytes_from, of=self.of)

    async def put_on_record(self) -> None:
        """Keep in the changed target's store that its witness was left out, and by whom.

        Raises:
            TransientError, ConfigError: the store cannot be written.
        """
        testimony = self.testimony
        if testimony is None or testimony.verdict is not Attested.NOT_ASKED:
            return
        into = self.application.target(self.place.into)
        deed = Deed(
            id=token_hex(8),
            at=self.application.clock.now(),
            who=operator(),
            role="",
            address="",
            operation=f"restore {WITHOUT_WITNESS}",
            method="",
            path="",
            status=None,
            targets=(into.name, testimony.target),
            job_id=None,
            request={"from_store": testimony.target, "into": into.name, "without_witness": True},
            why=testimony.text,
        )
        await keep_deed(into.area(), deed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which bytes a restore uses, and which target it changes."""

    target: str
    into: str
    from_store: bool = False
    """Whether only the target's store is read, and not the log."""
    log_id: str | None = None
    by_reference: bool = False
    without_witness: bool = False
    """Whether the store's witness is left out, so that nothing proves its newest cuts."""

    async def decide(self, application: Application) -> Decided:
        """Decide which history and bytes are used: a store's, another target's, or the live ones.

        With `from_store` a store alone is enough. Otherwise the log has the history, and the bytes
        come from the source, or from the target that replaces it.

        Raises:
            ConfigError: the target is an archive and is to be restored in place.
            ReplicatorError: as for `OpenStore.require_newest`.
        """
        if self.is_in_place:
            _refuse_archive(application.target(self.target))
        into = application.target(self.into)
        if self.from_store:
            store = await self.open(application)
            store.require_newest()
            elsewhere = layout(store.target.settings.deep_storage) if self.by_reference else None
            return Decided(
                application=application,
                place=self,
                pipeline=await application.pipeline_from(store, into, elsewhere=elsewhere),
                bytes_from=self.backup(store),
                settings=store.target.settings.deep_storage,
                of=store.target,
                store=store,
            )
        pipeline = await application.pipeline(self.into)
        if self.is_in_place:
            return Decided(
                application=application,
                place=self,
                pipeline=pipeline,
                bytes_from=application.source.storage(),
                settings=application.settings.watched.deep_storage,
                of=None,
                store=None,
            )
        of = application.target(self.target)
        return Decided(
            application=application,
            place=self,
            pipeline=pipeline,
            bytes_from=await application.backup(of),
            settings=of.settings.deep_storage,
            of=of,
            store=None,
        )

    async def open(self, application: Application) -> OpenStore:
        """Open the target's store, without asking its witness if that is left out."""
        return await application.store(
            self.target, log_id=self.log_id, without_witness=self.without_witness
        )

    def backup(self, store: OpenStore) -> Backup:
        """Return the store's bytes, by the configured layout if they stay there."""
        return store.backup(
            layout(store.target.settings.deep_storage) if self.by_reference else None
        )

    @property
    def is_in_place(self) -> bool:
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
            hint="use --into, and the target that is to have what the archive keeps",
        )
