"""Looks whether other users of the machine can read what holds passwords or a signing key."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from replicator.adapters.machine.privacy import exposed
from replicator.app.control_folder import control_folder
from replicator.config import LocalStorageSettings, Settings, SqliteLogSettings
from replicator.errors import ConfigError
from replicator.ports import AREAS

COMPANIONS = ("", "-wal", "-shm")
"""Files in which SQLite keeps a log or a journal."""


def open_to_others(settings: Settings, targets: Iterable[str]) -> Sequence[Path]:
    """Return which of these are open to other users.

    They are the log, our folders in stores, signing keys, the journal of notifications, and what
    the control API keeps: tokens, jobs, plans, the audit log and the key of its TLS.

    This release makes them closed; an earlier one, a copy or a restored backup may have not.
    """
    names = list(targets)
    return exposed(
        [
            *_log_files(settings),
            *_journal(settings),
            *_folders(settings, names),
            *_keys(settings, names),
            *_control(settings),
        ]
    )


def _log_files(settings: Settings) -> list[Path]:
    match settings.log:
        case SqliteLogSettings(path=path):
            return _with_companions(path)
        case _:
            return []


def _journal(settings: Settings) -> list[Path]:
    if settings.notifications is None or settings.source is None:
        return []
    return _with_companions(settings.notifications.journal(settings.source.name))


def _with_companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in COMPANIONS]


def _folders(settings: Settings, targets: Iterable[str]) -> list[Path]:
    storages = [settings.targets[name].deep_storage for name in targets]
    roots = [one.root for one in storages if isinstance(one, LocalStorageSettings)]
    return [root / area for root in roots for area in sorted(AREAS)]


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
    except (ConfigError, OSError):  # none is configured, or there is none yet
        return key
