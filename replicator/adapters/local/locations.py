"""Everything in a local deep storage, location by location; all calls block."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from replicator.adapters.local.files import is_text
from replicator.adapters.local.workspace import Workspace
from replicator.model.load_spec import Location
from replicator.ports import AREAS, Known, StoredLocation


def local_locations(root: Path, area: Workspace, known: Known) -> Iterator[StoredLocation]:
    """Yield each location that is not known, and nothing below a folder that is."""
    return _below(root, "", area, known)


def _below(folder: Path, prefix: str, area: Workspace, known: Known) -> Iterator[StoredLocation]:
    for entry in _entries(folder):
        if prefix == "" and entry.name in AREAS:
            continue
        is_folder = entry.is_dir(follow_symlinks=False)
        location = Location(f"{prefix}{entry.name}{'/' if is_folder else ''}")
        if known(location):
            continue
        if not is_folder:
            yield _stored(location, [entry], has_receipt=area.has(location))
        elif area.has(location):
            yield _stored(location, _files(entry), has_receipt=True)
        else:
            yield from _below(Path(entry.path), location, area, known)


def _stored(
    location: Location,
    files: "Iterator[os.DirEntry[str]] | list[os.DirEntry[str]]",
    *,
    has_receipt: bool,
) -> StoredLocation:
    size_bytes, newest = 0, 0.0
    for file in files:
        try:
            stat = file.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # removed meanwhile
        size_bytes, newest = size_bytes + stat.st_size, max(newest, stat.st_mtime)
    return StoredLocation(
        location=location,
        size_bytes=size_bytes,
        has_receipt=has_receipt,
        stored_at=datetime.fromtimestamp(newest, UTC),
    )


def _files(folder: "os.DirEntry[str]") -> "Iterator[os.DirEntry[str]]":
    for entry in _entries(Path(folder.path)):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry)
        else:
            yield entry


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    """Return what is in a folder: read to its end at once, so that none stays open.

    What has a name that is no text is nobody's location.
    """
    try:
        with os.scandir(folder) as entries:
            texts = (entry for entry in entries if is_text(entry.name))
            return sorted(texts, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []  # removed meanwhile
