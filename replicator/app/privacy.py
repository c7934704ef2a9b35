"""Looks whether other users of the machine can read what holds the source's passwords."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from replicator.adapters.local.privacy import exposed
from replicator.config import LocalStorageSettings, Settings, SqliteLogSettings
from replicator.ports import AREAS

COMPANIONS = ("", "-wal", "-shm")
"""Files of SQLite that hold parts of a log."""


def open_to_others(settings: Settings, targets: Iterable[str]) -> Sequence[Path]:
    """Return the log's files and the targets' folders of ours that are open to other users.

    This release makes them closed; an earlier one, a copy or a restored backup may have not.
    """
    return exposed([*_log_files(settings), *_folders(settings, targets)])


def _log_files(settings: Settings) -> list[Path]:
    match settings.log:
        case SqliteLogSettings(path=path):
            return [path.with_name(path.name + end) for end in COMPANIONS]
        case _:
            return []


def _folders(settings: Settings, targets: Iterable[str]) -> list[Path]:
    storages = [settings.targets[name].deep_storage for name in targets]
    roots = [one.root for one in storages if isinstance(one, LocalStorageSettings)]
    return [root / area for root in roots for area in sorted(AREAS)]
