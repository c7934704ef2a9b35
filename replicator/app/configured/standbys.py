"""Targets as standbys: the Druid of each, its release, and how it becomes a primary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from replicator.app.druids import druid_cluster
from replicator.app.wiring.pipeline import load_rules
from replicator.app.wiring.target import written_for
from replicator.config import (
    AzureStorageSettings,
    GoogleStorageSettings,
    HdfsStorageSettings,
    S3StorageSettings,
)
from replicator.config.clusters.druid import RESUME_TIMEOUT_S
from replicator.errors import ConfigError, TransientError
from replicator.model.druid.cluster_config import ConfigParts
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.release import release_of
from replicator.model.observed.faults import Waiting
from replicator.services.records.druid_release import remember
from replicator.services.standby.promoter import Promoter, Takeover
from replicator.services.standby.skew import folder_notes, lz4_notes, skew_of

if TYPE_CHECKING:
    from replicator.app.configured.recorded_log import RecordedLog
    from replicator.app.configured.source import ConfiguredSource
    from replicator.app.configured.targets import ConfiguredTargets
    from replicator.app.monitoring import Monitoring
    from replicator.config import PromotionSettings
    from replicator.model.druid.release import Release
    from replicator.ports.druid import DruidCluster
    from replicator.services.standby.skew import FolderNote, Skew

FOLDED = S3StorageSettings | GoogleStorageSettings | AzureStorageSettings
"""Storages in which a target can keep segments as folders."""


class Standbys:
    """The Druids over the configured targets.

    Args:
        environ: Environment of the process, which has the secrets.
        source: The source that they stand by for.
        targets: The targets.
        recorded: Log that a promotion reads.
        monitoring: Makes the observers of promotions and of a Druid that does not answer.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        source: ConfiguredSource,
        targets: ConfiguredTargets,
        recorded: RecordedLog,
        monitoring: Monitoring,
    ) -> None:
        self._environ, self._source, self._targets = environ, source, targets
        self._recorded, self._monitoring = recorded, monitoring

    def druid(self, name: str) -> DruidCluster | None:
        """Return a target's own Druid; None if the configuration has no address of it."""
        settings = self._targets.target(name).settings.druid
        if settings is None:
            return None
        return druid_cluster(settings, self._environ)

    async def ask_release(self, name: str) -> Release | None:
        """Ask a target's Druid which release it runs, and keep the answer for all who write rows.

        A standby's Druid need not run: then its last known release counts, or none.

        Raises:
            ConfigError: it is older than the configured one.
        """
        target, druid = self._targets.target(name), self.druid(name)
        if druid is None:
            return await written_for(target)
        try:
            running = release_of(await druid.release())
        except (TransientError, ConfigError) as exc:
            what = f"ask the Druid of {name} for its release"
            self._monitoring.observer(name)(Waiting(what=what, reason=str(exc), delay_s=0))
            return await written_for(target)
        configured = target.settings.druid_release
        if (
            running is not None
            and configured is not None
            and running < (release_of(configured) or running)
        ):
            raise ConfigError(
                f"targets.{name}.druid_release is {configured}, and its Druid runs {running.text}",
                hint="correct it, or leave it out: then its Druid is asked",
            )
        if running is not None and configured is None:
            await remember(target.area(), running)
        return await written_for(target)

    async def druid_away(self, name: str) -> TransientError | ConfigError | None:
        """Return why a target's Druid does not answer; None: it does, or no address is known."""
        if (druid := self.druid(name)) is None:
            return None
        try:
            await druid.release()
        except (TransientError, ConfigError) as exc:
            return exc
        return None

    async def skew(self, name: str) -> Skew:
        """Hold the source against the release of a target's Druid."""
        release = await self.ask_release(name)
        return await skew_of(self._source.metadata(), release, source_druid=self._source.druid())

    def folders(self, name: str, skew: Skew) -> Sequence[FolderNote]:
        """Return what a target's release and its setting `unpacked` mean for folders."""
        storage = self._targets.target(name).settings.deep_storage
        if isinstance(storage, HdfsStorageSettings):
            return lz4_notes(lz4=storage.lz4, release=skew.target)
        return folder_notes(
            storage.type,
            unpacked=isinstance(storage, FOLDED) and storage.unpacked,
            release=skew.target,
            has_folders=skew.has_folders,
        )

    async def promoter(self, name: str) -> Promoter:
        """Return what makes a target a primary.

        Raises:
            ConfigError: the target is an archive, which no Druid serves.
        """
        target = self._targets.target(name)
        if target.settings.metadata is None:
            raise ConfigError(
                f"target {name!r} is an archive: no Druid serves it, so it cannot be promoted",
                hint=f"restore from it into an empty cluster: `replicator restore --from {name}`",
            )
        configured = target.settings.druid
        return Promoter(
            source=self._source.name,
            target=name,
            history=self._recorded.whole,
            metadata=target.metadata,
            druid=self.druid(name),
            takeover=Takeover(
                load_rules=replace(load_rules(target.settings), with_drops=True),
                druid=OlderDruid(release=await self.ask_release(name)),
                parts=_config_parts(target.settings.promotion),
            ),
            resume_timeout_s=configured.resume_timeout_s if configured else RESUME_TIMEOUT_S,
            observer=self._monitoring.observer(target.name),
        )


def _config_parts(settings: PromotionSettings) -> ConfigParts:
    return ConfigParts(
        compaction=settings.compaction,
        coordinator=settings.coordinator,
        workers=settings.workers,
        brokers=settings.brokers,
        security=settings.security,
        keep=settings.keep_users,
    )
