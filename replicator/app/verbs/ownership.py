"""Looks for files that a verb of another user has left, and that the service could not use."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from replicator.adapters.machine.ownership import Foreign, below, foreign
from replicator.app.control_folder import control_folder
from replicator.config import LocalStorageSettings, Settings, SqliteLogSettings
from replicator.errors import ConfigError
from replicator.ports import AREAS


def of_others(settings: Settings, targets: Iterable[str]) -> list[Foreign]:
    """Return what is useless to this user, or to the user of the folders where root looks.

    It looks at the log and the files beside it, at our own folders in stores, at the folders of
    datasources there, at what the control API keeps, and at the journal of notifications.
    """
    places = [
        *_log(settings),
        *_stores(settings, targets),
        *_control(settings),
        *_journal(settings),
    ]
    found = (foreign(folder, files) for folder, files in places)
    return [one for one in found if one is not None]


def _log(settings: Settings) -> Iterator[tuple[Path, Iterable[Path]]]:
    match settings.log:
        case SqliteLogSettings(path=path):
            yield _with_companions(path)
        case _:
            return


def _stores(settings: Settings, targets: Iterable[str]) -> Iterator[tuple[Path, Iterable[Path]]]:
    storages = [settings.targets[name].deep_storage for name in targets]
    for root in (one.root for one in storages if isinstance(one, LocalStorageSettings)):
        ours = [root / area for area in sorted(AREAS)]
        folder = next((one for one in ours if one.is_dir()), root)
        yield folder, chain([root], _of_root(root), *(below(one) for one in ours))


def _control(settings: Settings) -> Iterator[tuple[Path, Iterable[Path]]]:
    try:
        folder = control_folder(settings)
    except ConfigError:  # none is configured
        return
    yield folder.parent, below(folder)


def _journal(settings: Settings) -> Iterator[tuple[Path, Iterable[Path]]]:
    if settings.notifications is not None and settings.source is not None:
        yield _with_companions(settings.notifications.journal(settings.source.name))


def _with_companions(path: Path) -> tuple[Path, Iterable[Path]]:
    return path.parent, chain([path.parent], path.parent.glob(f"{path.name}*"))


def _of_root(root: Path) -> list[Path]:
    """Return root's own folders of datasources; those of a Druid are as they should be."""
    try:
        return [one for one in sorted(root.iterdir()) if one.is_dir() and one.lstat().st_uid == 0]
    except OSError:
        return []
