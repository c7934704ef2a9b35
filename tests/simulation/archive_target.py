"""A second target, an archive: it has no rows, and its checkpoint and gaps lie beside its bytes."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from replicator.adapters.archive_metadata import ArchiveMetadata
from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.app.wiring.pipeline import Allowed, Pipeline
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import LocalStorageSettings
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.services.replication.applier import Applier
from replicator.services.replication.companions import BaseWriter, HistoryMerger
from tests.simulation.faults import FlakyArea, FlakyTargetStorage
from tests.wiring import history_settings

if TYPE_CHECKING:
    from tests.simulation.world import World

ARCHIVE_ROOT = "/archive/segments"
MERGED_STAY_S = 15.0
"""Longer than a listing takes, however bad the weather."""


class ArchiveTarget:
    """Its files, and the services that fill them."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.area = MemoryArea(yields=False)
        self.storage = MemoryDeepStorage(world.clock)
        self._settings = world.settings.model_copy(
            update={
                "metadata": None,
                "deep_storage": LocalStorageSettings(type="local", root=Path(ARCHIVE_ROOT)),
                "delay": timedelta(0),
                "history": history_settings(
                    file_bytes_max=4_000, base_interval=timedelta(seconds=120), merge_files=3
                ),
            }
        )

    async def checkpoint(self) -> Checkpoint | None:
        return (await self._truth().state(self._source)).checkpoint

    async def gaps(self, log_id: str) -> list[Gap]:
        return list(await self._truth().gaps(self._source, log_id))

    def applier(self) -> Applier:
        return self._pipeline().applier(
            self._world.bytes_from(), Allowed(resume=True, new_log=True)
        )

    def base_writer(self) -> BaseWriter:
        return self._pipeline().base_writer(interval_s=20.0)

    def history_merger(self) -> HistoryMerger:
        return self._pipeline().history_merger(interval_s=10.0, stay_s=MERGED_STAY_S)

    def _pipeline(self) -> Pipeline:
        world = self._world
        target = ConfiguredTarget(
            name="archive",
            settings=self._settings,
            metadata=ArchiveMetadata(FlakyArea(self.area, world.weather), world.clock),
            storage=FlakyTargetStorage(self.storage, self.area, world.weather),
        )
        return Pipeline(
            world.history_source([self.area]),
            target,
            world.tools(),
            mapping=world.mapping(ARCHIVE_ROOT),
        )

    @property
    def _source(self) -> str:
        return self._world.history_source().source

    def _truth(self) -> ArchiveMetadata:
        return ArchiveMetadata(self.area, self._world.clock)
