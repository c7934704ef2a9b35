"""Finds files that another user's verb has left and that the service cannot use."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from replicator.adapters.machine.ownership import Foreign, below, foreign
from replicator.adapters.machine.threads import answers
from replicator.app.control_folder import control_folder
from replicator.app.verbs.sqlite_files import sqlite_files
from replicator.config import LocalStorageSettings, Settings
from replicator.errors import ConfigError
from replicator.ports import AREAS

LOOK_WITHIN_S: Final = 60.0
"""How long a place with a hundred thousand files may take."""
_Look: TypeAlias = Callable[[], Foreign | None]


async def of_others(
    settings: Settings, targets: Iterable[str]
) -> tuple[Sequence[Foreign], Sequence[str]]:
    """Return files that this user, or for root the folders' own user, cannot use.

    Also returns the places that did not answer, such as a mount that is gone.

    Checked are the log, the journal of notifications, the replicator's folders in stores, root's
    folders of datasources there, and the control API's files.
    """
    looks: dict[str, _Look] = {
        **{
            str(files[0]): partial(foreign, files[0].parent, [files[0].parent, *files])
            for files in sqlite_files(settings)
        },
        **_stores(settings, targets),
        **_control(settings),
    }
    found = await answers(looks, within_s=LOOK_WITHIN_S)
    seen = [one for place in looks if (one := found.get(place)) is not None]
    return seen, [place for place in looks if place not in found]


def _stores(settings: Settings, targets: Iterable[str]) -> dict[str, _Look]:
    storages = [settings.targets[name].deep_storage for name in targets]
    roots = [one.root for one in storages if isinstance(one, LocalStorageSettings)]
    return {str(root): partial(_store, root) for root in roots}


def _store(root: Path) -> Foreign | None:
    ours = [root / area for area in sorted(AREAS)]
    folder = next((one for one in ours if one.is_dir()), root)
    return foreign(folder, chain([root], _of_root(root), *(below(one) for one in ours)))


def _control(settings: Settings) -> dict[str, _Look]:
    try:
        folder = control_folder(settings)
    except ConfigError:  # not configured
        return {}
    return {str(folder): lambda: foreign(folder.parent, below(folder))}


def _of_root(root: Path) -> list[Path]:
    """Return the folders of datasources that root owns; those of a Druid user are in order."""
    try:
        return [one for one in sorted(root.iterdir()) if one.is_dir() and one.lstat().st_uid == 0]
    except OSError:
        return []
