"""The services of a target as the application makes them, over what a benchmark gives."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.stage import TARGET_ROOT
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.app.wiring.histories import HistorySource, Tools
from replicator.app.wiring.pipeline import Pipeline, mapping
from replicator.app.wiring.retention import Retention
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import LocalStorageSettings, PostgresqlSettings, TargetSettings
from replicator.model.load_spec import LocalLayout, SourceLayout
from replicator.ports import Bases, EventLog, MetadataWriter, TargetStorage, Workers
from replicator.services.store.archived_log import ArchivedLog

SOURCE = "bench"
SETTINGS = TargetSettings(
    metadata=PostgresqlSettings(type="postgresql", url="postgresql://druid@target/druid"),
    deep_storage=LocalStorageSettings(type="local", root=Path(TARGET_ROOT)),
    config_names=frozenset(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the services of a benchmark are made of."""

    log: EventLog
    bases: Bases
    workers: Workers
    metadata: MetadataWriter
    root: str = "/druid"
    """Of the source's deep storage."""
    storage: TargetStorage | None = None
    """Of the target; None: an empty one in memory."""

    def tools(self) -> Tools:
        """Return what is shared."""
        return Tools(
            workers=self.workers,
            clock=SystemClock(),
            rng=Random(1),
            observer=lambda _: lambda _: None,
        )

    def target(self) -> ConfiguredTarget:
        """Return the target."""
        return ConfiguredTarget(
            name="target",
            settings=SETTINGS,
            metadata=self.metadata,
            storage=self.storage or MemoryDeepStorage(),
        )

    async def pipeline(self) -> Pipeline:
        """Return the target's services."""
        layout = SourceLayout(main=LocalLayout(root=self.root), others={})
        history_source = HistorySource(source=SOURCE, layout=layout, log=self.log, bases=self.bases)
        target = self.target()
        return Pipeline(
            history_source, target, self.tools(), mapping=await mapping(history_source, target)
        )

    async def retention(self, archive: ArchivedLog) -> Retention:
        """Return what expires in the target's store."""
        return Retention(archive, await self.pipeline(), self.target(), self.tools())
