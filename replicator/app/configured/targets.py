"""The targets of one configuration, each made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from replicator.adapters.signing.area import SignedArea
from replicator.app.signing import sealed, signatures, witness
from replicator.app.wiring.metadata import target_metadata
from replicator.app.wiring.target import RealTarget, store_of
from replicator.config import LocalStorageSettings
from replicator.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from replicator.adapters.signing.area import Signatures
    from replicator.app.monitoring import Monitoring
    from replicator.app.wiring.metadata import Closing
    from replicator.app.wiring.storages import RealStorage, Storages
    from replicator.config import Settings
    from replicator.model.observation import Observer
    from replicator.ports import Area, Clock
    from replicator.services.store.store import Store
    from replicator.services.store.witness import Witness


class ConfiguredTargets:
    """The configured targets with their storages; nothing is asked of a server.

    Args:
        settings: What is configured.
        environ: Environment of the process, which has the secrets.
        clock: Clock of the process.
        storages: Makes the storages.
        monitoring: Makes the observers of what is wrong with a target's keys.
        copying: Returns the observer of what is copied to a target, by the target's name.
        closing: Takes what closes the connections to metadata stores.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Clock,
        *,
        storages: Storages,
        monitoring: Monitoring,
        copying: Callable[[str], Observer],
        closing: Closing,
    ) -> None:
        self._settings, self._environ, self._clock = settings, environ, clock
        self._storages, self._monitoring, self._copying = storages, monitoring, copying
        self._closing = closing
        self._targets: dict[str, RealTarget] = {}
        self._plain_storages: dict[str, RealStorage] = {}

    @property
    def names(self) -> list[str]:
        """Names of the configured targets, sorted."""
        return sorted(self._settings.targets)

    def target(self, name: str) -> RealTarget:
        """Return a target of the configuration.

        Raises:
            NotFoundError: the configuration has no such target.
        """
        if name not in self._settings.targets:
            known = ", ".join(self.names) or "none"
            raise NotFoundError(f"there is no target {name!r} in the configuration; it has {known}")
        if name not in self._targets:
            self._targets[name] = self._made(name)
        return self._targets[name]

    def stores(self, names: Iterable[str]) -> Sequence[Store]:
        """Return the stores of some targets, of which nothing was read yet."""
        return [store_of(self.target(name)) for name in names]

    def _made(self, name: str) -> RealTarget:
        settings, storage = self._settings.targets[name], self._plain_storage(name)
        observer, rule = self._monitoring.observer(name), None
        try:
            rule = signatures(name, settings.signing, self._environ, observer)
        except ConfigError as exc:  # without its keys nothing in the store is trusted
            storage = self._storages.out_of_reach(exc)
        area = SignedArea(storage.area(), rule)
        return RealTarget(
            name=name,
            settings=settings,
            metadata=target_metadata(
                settings.metadata, area, self._clock, self._environ, self._closing
            ),
            storage=sealed(storage, rule),
            plain_storage=storage,
            signatures=rule,
            witness=self._witness(name, rule),
        )

    def _plain_storage(self, name: str) -> RealStorage:
        if name not in self._plain_storages:
            settings = self._settings.targets[name]
            storage = self._storages.target(
                settings.deep_storage, settings.retention, self._copying(name)
            )
            self._plain_storages[name] = storage
        return self._plain_storages[name]

    def _witness(self, name: str, rule: Signatures | None) -> Witness | None:
        """Return the witness of a target's store; None: there is none."""
        signing = self._settings.targets[name].signing
        place = None if signing is None else signing.witness or signing.witness_folder
        return None if place is None else witness(name, place, self._area_at(place), rule)

    def _area_at(self, place: str | Path) -> Area:
        """Return the plain files of another target, or of a folder."""
        if isinstance(place, str):
            return self._plain_storage(place).area()
        return self._storages.target(LocalStorageSettings(type="local", root=place), None).area()
