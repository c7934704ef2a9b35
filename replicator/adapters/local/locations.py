"""All contents of a local deep storage, location by location; all calls block.

Each folder is opened from the root, listed and closed again: none is open between two pages.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from replicator.adapters.local.files import is_text
from replicator.adapters.local.folder import LinkError, opened, walk
from replicator.adapters.local.workspace import Workspace
from replicator.model.load_spec import Location
from replicator.model.timestamps import at_seconds
from replicator.ports import AREAS, Known, StoredLocation

LOCATIONS_MAX = 10_000_000
"""Names of one folder that are read: a datasource may have a folder for each minute of years."""
PATH_BYTES_MAX = 4096
"""Longest path that Linux accepts: no location is deeper."""


class _Unknown(NamedTuple):
    location: Location
    stat: os.stat_result | None
    """Status of the file; None: it is a folder."""


def local_locations(root: Path, area: Workspace, known: Known) -> Iterator[StoredLocation]:
    """Yield each unknown location, and nothing below a known folder."""
    ahead = _entries(root, "", known)
    while ahead:
        location, stat = ahead.pop()
        if stat is not None:
            yield _stored(location, [stat], has_receipt=area.has(location))
        elif area.has(location):
            yield _stored(location, _files(root, location), has_receipt=True)
        elif len(location.encode()) < PATH_BYTES_MAX:
            ahead += _entries(root, location, known)


def _stored(
    location: Location, files: Iterable[os.stat_result], *, has_receipt: bool
) -> StoredLocation:
    size_bytes, newest = 0, 0.0
    for stat in files:
        size_bytes, newest = size_bytes + stat.st_size, max(newest, stat.st_mtime)
    return StoredLocation(
        location=location,
        size_bytes=size_bytes,
        has_receipt=has_receipt,
        stored_at=at_seconds(newest),
    )


def _entries(root: Path, prefix: str, known: Known) -> list[_Unknown]:
    """Return the unknown entries of a folder in reverse order.

    A name that is not printable text belongs to no location.
    """
    found = []
    with (
        suppress(FileNotFoundError, LinkError),
        opened(root, _names(prefix)) as folder,
        folder.entries(LOCATIONS_MAX) as entries,
    ):
        for entry in sorted(entries, key=lambda entry: entry.name, reverse=True):
            if not is_text(entry.name) or (prefix == "" and entry.name in AREAS):
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            location = Location(f"{prefix}{entry.name}{'/' if is_folder else ''}")
            if known(location):
                continue
            with suppress(FileNotFoundError):  # removed meanwhile
                stat = None if is_folder else entry.stat(follow_symlinks=False)
                found.append(_Unknown(location, stat))
    return found


def _files(root: Path, location: Location) -> list[os.stat_result]:
    with suppress(FileNotFoundError, LinkError), opened(root, _names(location)) as folder:
        stats = (one.folder.stat(name) for one in walk(folder) for name in one.others)
        return [stat for stat in stats if stat is not None]
    return []


def _names(location: str) -> list[str]:
    return location.split("/")[:-1]
