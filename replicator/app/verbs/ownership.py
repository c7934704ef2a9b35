"""Finds files that another user's verb has left and that the service cannot use."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from replicator.adapters.machine.ownership import Foreign, below, foreign
from replicator.app.control_folder import control_folder
from replicator.app.verbs.sqlite_files import sqlite_files
from replicator.config import LocalStorageSettings, Settings
from replicator.errors import ConfigError
from replicator.ports import AREAS


def of_others(settings: Settings, targets: Iterable[str]) -> list[Foreign]:
    """Return files that this user, or for root the folders' own user, cannot use.

    Checked are the log, the journal of notifications, the replicator's folders in stores, root's
    folders of datasources there, and the control API's files.
    """
    places = [
        *((files[0].parent, [files[0].parent, *files]) for files in sqlite_files(settings)),
        *_stores(settings, targets),
        *_control(settings),
    ]
    found = (foreign(folder, files) for folder, files in places)
    return [one for one in found if one is not None]


def _stores(settings: Settings, targets: Iterable[str]) -> Iterator[tuple[Path, Iterable[Path]]]:
    storages = [settings.targets[name].deep_storage for name in targets]
    for root in (one.root for one in storages if isinstance(one, LocalStorageSettings)):
        ours = [root / area for area in sorted(AREAS)]
        folder = next((one for one in ours if one.is_dir()), root)
        yield folder, chain([root], _of_root(root), *(below(one) for one in ours))


def _control(settings: Settings) -> Iterator[tuple[Path, Iterable[Path]]]:
    try:
        folder = control_folder(settings)
    except ConfigError:  # not configured
        return
    yield folder.parent, below(folder)


def _of_root(root: Path) -> list[Path]:
    """Return the folders of datasources that root owns; those of a Druid user are in order."""
    try:
        return [one for one in sorted(root.iterdir()) if one.is_dir() and one.lstat().st_uid == 0]
    except OSError:
        return []
