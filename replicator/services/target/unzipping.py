"""Reads a segment that was packed for a store as the folder that it was.

A store from which Druid reads no folders keeps one zip instead. When its bytes go back to a storage
with folders, rows and receipts must be those of the folder: the same load spec, the same checksums.
"""

import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipInfo

from replicator.errors import CorruptionError, RewrittenObjectError
from replicator.model.load_spec import Location
from replicator.ports import Checked, DeepStorageReader, Piece, StoredObject
from replicator.services.target.zip_directory import entries_of_zip

DIRECTORY_BYTES_MAX = 16 << 20
"""Number of bytes read for a zip's directory; enough for a hundred thousand files."""
DEFLATE_RATIO_MAX = 1032
"""Largest ratio by which deflate can compress."""
STORED_TIMES_MAX, STORED_MORE_BYTES = 2, 1 << 20
"""Limit for a file's bytes in a zip, in multiples of what they unpack to and bytes."""
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
PIECE_BYTES = 1 << 20


UNPACKED_TIMES_MAX, UNPACKED_MORE_BYTES = 2, 64 << 20
"""Limit for unpacking a zip, in multiples of Druid's `size` (which its writer sets) and bytes."""


def unpacked_max(size_bytes: int) -> int | None:
    """Return the number of bytes that a zip of rows of this size may unpack to; None: no size."""
    return UNPACKED_TIMES_MAX * size_bytes + UNPACKED_MORE_BYTES if size_bytes else None


def unpacked(packed: Location) -> Location:
    """Return the location by which the contents of a packed segment are read."""
    return Location(f"{packed}/")


def _packed(location: Location) -> Location:
    """Return the zip behind a location that `unpacked` gave."""
    return Location(location.removesuffix("/"))


class Unpacking:
    """A `DeepStorageReader` of the files inside the zips of another reader.

    Args:
        storage: Reader of the zips.
        bytes_max: Number of bytes that one zip may unpack to; None for what its size allows.
    """

    def __init__(self, storage: DeepStorageReader, *, bytes_max: int | None = None) -> None:
        self._storage, self._bytes_max = storage, bytes_max
        self._zips: dict[Location, tuple[StoredObject, dict[str, ZipInfo]]] = {}

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        """Return the files in the zip at a location that `unpacked` gave, sorted by name."""
        del ahead
        packed, entries = await self._opened(location)
        return [
            StoredObject(name=name, size_bytes=entry.file_size, tag=packed.tag)
            for name, entry in sorted(entries.items())
        ]

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield a file's bytes; it is inflated from its beginning, whatever `start` is.

        Raises:
            CorruptionError: the bytes do not match the zip's directory.
        """
        end = stored.size_bytes if end is None else end
        at, checksum = 0, 0
        size_bytes = (await self._entry(location, stored.name)).file_size
        async for piece in self._inflated(location, stored.name):
            checksum = zlib.crc32(piece, checksum)
            if (wanted := piece[max(0, start - at) : max(0, end - at)]) != b"":
                yield wanted
            at += len(piece)
            # A directory can claim less than is in the zip: nothing beyond it is inflated.
            if at > size_bytes:
                break
            if at >= end < stored.size_bytes:
                return
        entry = await self._entry(location, stored.name)
        if (at, checksum) != (entry.file_size, entry.CRC):
            raise CorruptionError(
                f"{location}{stored.name} does not match the directory of its zip"
            )

    async def check(self, location: Location) -> tuple[Checked, ...]:
        """Read all files in the zip and return their checksums, sorted by name."""
        return tuple([await self._check(location, one) for one in await self.objects(location)])

    async def _check(self, location: Location, stored: StoredObject) -> Checked:
        checksum, size_bytes = sha256(), 0
        async for piece in self.read(location, stored):
            checksum.update(piece)
            size_bytes += len(piece)
        return Checked(name=stored.name, size_bytes=size_bytes, sha256=checksum.hexdigest())

    async def _entry(self, location: Location, name: str) -> ZipInfo:
        """Return what a zip's directory says of a file that was listed.

        Raises:
            RewrittenObjectError: the zip is another one by now.
        """
        _, entries = await self._opened(location)
        if (entry := entries.get(name)) is None:
            raise RewrittenObjectError(
                f"{_packed(location)} was written since it was listed, and has no {name}",
                hint="it is listed and read again",
            )
        return entry

    async def _opened(self, location: Location) -> tuple[StoredObject, dict[str, ZipInfo]]:
        packed = _packed(location)
        (stored,) = await self._storage.objects(packed)
        known = self._zips.get(packed)
        if known is None or known[0] != stored:
            found = await self._directory(packed, stored)
            self._require_size(packed, stored, found)
            self._zips = {packed: (stored, {entry.filename: entry for entry in found})}
        return self._zips[packed]

    def _require_size(
        self, packed: Location, stored: StoredObject, found: Sequence[ZipInfo]
    ) -> None:
        for entry in found:
            if entry.compress_size > STORED_TIMES_MAX * entry.file_size + STORED_MORE_BYTES:
                raise CorruptionError(
                    f"{packed} says that {entry.filename} takes {entry.compress_size} bytes in it"
                    f" and unpacks to {entry.file_size}: no zip of a segment is like that"
                )
        total = sum(entry.file_size for entry in found)
        allowed = DEFLATE_RATIO_MAX * stored.size_bytes
        allowed = allowed if self._bytes_max is None else min(allowed, self._bytes_max)
        if total > allowed:
            raise CorruptionError(
                f"{packed} claims to unpack to {total} bytes, more than {allowed}: its row, or any"
                " zip of its size, allows no more",
            )

    async def _directory(self, packed: Location, stored: StoredObject) -> list[ZipInfo]:
        """Read the end of a zip, and more of it only for an unusually long directory."""
        try:
            return await entries_of_zip(self._storage, packed, stored)
        except (BadZipFile, ValueError):
            pass
        try:
            return await entries_of_zip(
                self._storage, packed, stored, tail_bytes=DIRECTORY_BYTES_MAX
            )
        except (BadZipFile, ValueError) as exc:
            raise CorruptionError(f"{packed} is not a readable zip: {exc}") from exc

    async def _inflated(self, location: Location, name: str) -> AsyncIterator[Piece]:
        entry, packed_location = await self._entry(location, name), _packed(location)
        packed, _ = await self._opened(location)
        if entry.compress_type not in {ZIP_DEFLATED, ZIP_STORED}:
            raise CorruptionError(
                f"{packed_location}: {name} is compressed by method {entry.compress_type}"
            )
        start = await self._start_of(packed_location, packed, entry)
        pieces = self._storage.read(
            packed_location, packed, start=start, end=start + entry.compress_size
        )
        if entry.compress_type == ZIP_STORED:
            async for piece in pieces:
                yield piece
            return
        inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            async for piece in pieces:
                while piece:
                    yield inflating.decompress(piece, PIECE_BYTES)
                    piece = inflating.unconsumed_tail  # noqa: PLW2901 - the rest of it
                if inflating.unused_data:  # it would keep all that follows, and copy it each time
                    raise CorruptionError(f"{packed_location}: {name} goes on after its end")
            yield inflating.flush()
        except zlib.error as exc:
            raise CorruptionError(f"{packed_location}: {name} cannot be inflated: {exc}") from exc

    async def _start_of(
        self, packed_location: Location, packed: StoredObject, entry: ZipInfo
    ) -> int:
        """Return where a file's bytes begin: after its local header, which has its own length."""
        at = entry.header_offset
        end = at + LOCAL_HEADER.size
        header = b"".join(
            [
                piece
                async for piece in self._storage.read(packed_location, packed, start=at, end=end)
            ]
        )
        if len(header) != LOCAL_HEADER.size:
            raise CorruptionError(
                f"{packed_location}: {entry.filename} is not where its zip's directory places it"
            )
        # Its lengths may differ from those in the directory, so that the directory alone does not
        # say where the bytes begin.
        *_, name_bytes, extra_bytes = LOCAL_HEADER.unpack(header)
        return int(end + name_bytes + extra_bytes)
