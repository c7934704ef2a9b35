"""Tries single answers of a first configuration, before there is a whole one."""

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from replicator.adapters.machine.clock import SystemClock
from replicator.app.logs import event_log
from replicator.app.wiring.metadata import metadata_reader, metadata_writer
from replicator.app.wiring.storages import Storages, source_layout
from replicator.config import KafkaLogSettings, LocalStorageSettings, Settings, TargetSettings
from replicator.ports import Clock
from replicator.services.checkup.finding import Finding
from replicator.services.checkup.trials import (
    try_log,
    try_new_metadata,
    try_source_metadata,
    try_source_storage,
    try_target_storage,
)


class Trying:
    """Trials of the parts of some settings; closes what it opened."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._clock: Clock = SystemClock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def source_metadata(self, settings: Settings) -> list[Finding]:
        """Read the source's tables, without scanning them."""
        metadata = metadata_reader(settings.watched.metadata, self._environ)
        return await try_source_metadata(metadata, self._clock)

    async def source_storage(self, settings: Settings) -> list[Finding]:
        """Read one object of each kind that the source's rows name."""
        source = settings.watched
        return await try_source_storage(
            metadata_reader(source.metadata, self._environ),
            self._storages(settings).source(source),
            source_layout(source),
            lambda _: None,
        )

    async def log(self, settings: Settings) -> list[Finding]:
        """Look at what a writer of the log needs."""
        log = event_log(settings.recorded, settings.watched.name, self._clock, self._environ)
        self._stack.push_async_callback(log.close)
        found = await try_log(log)
        return found or [Finding(what="log", good=True, detail="the watcher can make or write it")]

    async def brokers(self, settings: KafkaLogSettings, source: str) -> int:
        """Return how many of Kafka's brokers are alive.

        Raises:
            TransientError, ConfigError: no broker can be reached.
        """
        from replicator.app.kafka_logs import brokers_of  # noqa: PLC0415 - see app/logs.py

        return await brokers_of(settings, source, self._environ)

    async def target_metadata(self, settings: Settings) -> list[Finding]:
        """Log in to the target's metadata store."""
        metadata_settings = _only(settings).metadata
        assert metadata_settings is not None  # noqa: S101 - an archive is not asked for one
        metadata = metadata_writer(metadata_settings, self._environ)
        return await try_new_metadata("target metadata", metadata)

    async def target_storage(self, settings: Settings) -> list[Finding]:
        """Write, read and remove a probe; a folder that is not there yet must be possible."""
        target, what = _only(settings), "target deep storage"
        if isinstance(target.deep_storage, LocalStorageSettings):
            root = target.deep_storage.root
            if not root.exists():
                return [_new_folder(what, root)]
        storage = self._storages(settings).target(target.deep_storage, None)
        return await try_target_storage(what, storage)

    def _storages(self, settings: Settings) -> Storages:
        return Storages(
            settings.transfer, self._environ, self._clock, self._stack.push_async_callback
        )


def _only(settings: Settings) -> TargetSettings:
    (target,) = settings.targets.values()
    return target


def _new_folder(what: str, root: Path) -> Finding:
    above = next(one for one in root.parents if one.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        detail = f"{root} is not there yet; `replicator target create TARGET` makes it"
        return Finding(what=what, good=True, detail=detail)
    return Finding(
        what=what,
        good=False,
        detail=f"{root} is not there, and this user may not make it in {above}",
        hint=f'sudo install -d -o "$USER" {root}',
    )
