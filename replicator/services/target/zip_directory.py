"""Checks a packed segment by the zip's directory alone, without unpacking the zip.

Druid packs every segment with `version.bin` and, up to format 9, `meta.smoosh`
(IndexIO, SmooshedFileMapper); a segment of format 10 is one file, `druid.segment`.
"""

import io
import zipfile
from collections.abc import Sequence

from replicator.errors import NewerReleaseError
from replicator.model.druid.known_since import SINGLE_FILE
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.load_spec import Location
from replicator.ports import DeepStorageReader, StoredObject

TAIL_BYTES = 256 << 10
"""Number of bytes read from a zip's end; a directory of a thousand columns takes 100 KB."""
LOCAL_HEADER_BYTES = 30
"""Length of the header before each file's bytes, without the file's name."""
NEEDED = frozenset({"version.bin", "meta.smoosh"})


async def fault_in_zip(
    storage: DeepStorageReader, location: Location, stored: StoredObject, druid: OlderDruid
) -> str | None:
    """Return what is wrong with a packed segment; None if it is complete and Druid can load it.

    Costs one short read.
    """
    try:
        names = {entry.filename for entry in await entries_of_zip(storage, location, stored)}
    except (zipfile.BadZipFile, ValueError) as exc:
        return f"its directory of contents cannot be read: {exc}"
    try:
        druid.files(names)
    except NewerReleaseError as exc:
        return str(exc)
    if SINGLE_FILE in names or names >= NEEDED:
        return None
    return f"it has no {' and no '.join(sorted(NEEDED - names))}"


async def entries_of_zip(
    storage: DeepStorageReader,
    location: Location,
    stored: StoredObject,
    *,
    tail_bytes: int = TAIL_BYTES,
) -> list[zipfile.ZipInfo]:
    """Return the directory of a packed segment, from the zip's last bytes alone.

    Raises:
        zipfile.BadZipFile, ValueError: the directory cannot be read, or exceeds `tail_bytes`.
    """
    start = max(0, stored.size_bytes - tail_bytes)
    pieces = [piece async for piece in storage.read(location, stored, start=start)]
    return _entries(b"".join(pieces), start)


def fault_in_tail(tail: bytes, start: int) -> str | None:
    """Return what is wrong with a zip, judged by its last bytes, which begin at `start`.

    A directory longer than these bytes is not checked.
    """
    try:
        return None if _entries(tail, start) else "it holds no file"
    except _LongDirectoryError:
        return None
    except (zipfile.BadZipFile, ValueError) as exc:
        return f"its directory of contents cannot be read: {exc}"


def _entries(tail: bytes, start: int) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(_ZipTail(tail, start)) as packed:
            found = packed.infolist()
            _require_apart(found, packed.start_dir)
            return found
    except NotImplementedError as exc:  # a file that says which later version of zip it needs
        raise zipfile.BadZipFile(str(exc)) from exc


class _LongDirectoryError(ValueError):
    """A zip's directory begins before the bytes that were read."""


def _require_apart(entries: Sequence[zipfile.ZipInfo], end: int) -> None:
    """Refuse files that share bytes: a small zip could unpack to more than any disk holds."""
    reached = 0
    for entry in sorted(entries, key=lambda one: one.header_offset):
        if entry.header_offset < reached:
            raise zipfile.BadZipFile(f"{entry.filename!r} shares its bytes with another file")
        reached = entry.header_offset + LOCAL_HEADER_BYTES + entry.compress_size
    if reached > end:
        raise zipfile.BadZipFile("its files reach into its directory")
    names = {entry.filename for entry in entries}
    if len(names) < len(entries):
        raise zipfile.BadZipFile("two files have the same name")


class _ZipTail(io.BytesIO):
    """The end of a file at its own offset; everything before it reads as zeros."""

    def __init__(self, data: bytes, start: int) -> None:
        super().__init__(data)
        self._start = start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            if offset < self._start:
                raise _LongDirectoryError("its directory starts before the bytes that were read")
            offset -= self._start
        return super().seek(offset, whence) + self._start

    def tell(self) -> int:
        return super().tell() + self._start
