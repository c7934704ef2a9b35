"""Finds files with passwords or signing keys that other users of the machine can read."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from replicator.adapters.machine.privacy import exposed
from replicator.adapters.machine.threads import answers
from replicator.app.control_folder import control_folder
from replicator.app.verbs.sqlite_files import sqlite_files
from replicator.config import LocalStorageSettings, Settings
from replicator.errors import ConfigError
from replicator.ports import AREAS

LOOK_WITHIN_S: Final = 5.0
"""How long a place may take; what needs a mount that hangs says so itself."""


async def open_to_others(settings: Settings, targets: Iterable[str]) -> Sequence[Path]:
    """Return the replicator's files that are open to other users.

    Checked are the log, the journal of notifications, the replicator's folders in stores, signing
    keys, and the control API's files: tokens, jobs, plans, the audit log and the key of its TLS.

    This release creates them closed; earlier ones, copies and restored backups may be open.
    """
    names = list(targets)
    calls: dict[str, Callable[[], Sequence[Path]]] = {
        "log": lambda: exposed(chain.from_iterable(sqlite_files(settings))),
        **{str(root): partial(exposed, _folders(root)) for root in _roots(settings, names)},
        "keys": lambda: exposed(_keys(settings, names)),
        "control": lambda: exposed(_control(settings)),
    }
    found = await answers(calls, within_s=LOOK_WITHIN_S)
    return [path for place in calls for path in found.get(place, ())]


def _roots(settings: Settings, targets: Iterable[str]) -> list[Path]:
    storages = [settings.targets[name].deep_storage for name in targets]
    return [one.root for one in storages if isinstance(one, LocalStorageSettings)]


def _folders(root: Path) -> list[Path]:
    return [root / area for area in sorted(AREAS)]


def _keys(settings: Settings, targets: Iterable[str]) -> list[Path]:
    signing = [settings.targets[name].signing for name in targets]
    return [one.key_file for one in signing if one is not None and one.key_file is not None]


def _control(settings: Settings) -> list[Path]:
    if settings.web is None or settings.web.control is None:
        return []
    tls = settings.web.control.tls
    key = [] if tls is None else [tls.key_file]
    try:
        folder = control_folder(settings)
        return [*key, folder, *sorted(folder.iterdir())]
    except (ConfigError, OSError):  # not configured, or not created yet
        return key
