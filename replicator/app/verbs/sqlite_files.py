"""The SQLite files of a configuration, with the files beside each of them."""

from collections.abc import Iterator
from glob import escape
from pathlib import Path

from replicator.config import Settings, SqliteLogSettings


def sqlite_files(settings: Settings) -> Iterator[list[Path]]:
    """Yield the log, then the journal of notifications, each followed by the files beside it.

    These are SQLite's own and the heartbeats of the log's processes: all begin with the file's
    name and a hyphen.
    """
    if isinstance(settings.log, SqliteLogSettings):
        yield _with_companions(settings.log.path)
    if settings.notifications is not None and settings.source is not None:
        yield _with_companions(settings.notifications.journal(settings.source.name))


def _with_companions(path: Path) -> list[Path]:
    return [path, *sorted(path.parent.glob(f"{escape(path.name)}-*"))]
