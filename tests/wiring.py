"""Settings of targets in memory: for the services that the product's own wiring makes of them."""

from pathlib import Path
from typing import Final

from replicator.config import (
    HistorySettings,
    LocalStorageSettings,
    PostgresqlSettings,
    TargetSettings,
    WatchSettings,
)

CLUSTER: Final = PostgresqlSettings(type="postgresql", url="postgresql://nobody@nowhere/druid")
"""Says that a target has rows; nobody connects to it."""


def target_settings(root: str, *, has_rows: bool = True, **changes: object) -> TargetSettings:
    """Return a target's settings, also such as no user may have: files and waits that are tiny."""
    settings = TargetSettings(
        metadata=CLUSTER if has_rows else None,
        deep_storage=LocalStorageSettings(type="local", root=Path(root)),
    )
    return settings.model_copy(update=changes)


def history_settings(**changes: object) -> HistorySettings:
    """Return the settings of a target's history, as `target_settings` does."""
    return HistorySettings().model_copy(update=changes)


def watch_settings(**changes: object) -> WatchSettings:
    """Return the settings of a watcher, as `target_settings` does."""
    return WatchSettings().model_copy(update=changes)
