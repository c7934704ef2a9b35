"""Packs a segment's folder into one zip during the copy, for storages from which Druid reads zips.

Druid itself packs segments the same way (CompressionUtils.zip) and unpacks them with Java's
ZipInputStream, which reads deflated entries followed by their sizes, and no stored ones.
"""

from collections.abc import AsyncIterator
from functools import partial
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from replicator.adapters.machine.threads import finished
from replicator.adapters.transfer.hashing import Sha256
from replicator.errors import CorruptionError
from replicator.ports import Checked, CopySource, StoredObject

LEVEL = 1
"""Compression level: columns are compressed already, and more effort gains next to nothing."""
OLDEST = (1980, 1, 1, 0, 0, 0)
"""A zip's earliest possible time, used for all files so that equal files give equal bytes."""


class Packing:
    """One source's files as the bytes of a zip; `files` is complete after the last piece."""

    def __init__(self, copy_source: CopySource) -> None:
        self._copy_source = copy_source
        self.files: list[Checked] = []

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the zip.

        Raises:
            CorruptionError: a file's size differs from its listing.
        """
        sink = _Sink()
        zipped = ZipFile(sink, "w", ZIP_DEFLATED, compresslevel=LEVEL)
        for stored in self._copy_source.objects:
            async for piece in self._file(zipped, sink, stored):
                yield piece
        zipped.close()
        yield sink.taken()

    async def _file(
        self, zipped: ZipFile, sink: "_Sink", stored: StoredObject
    ) -> AsyncIterator[bytes]:
        checksum = Sha256()
        info = ZipInfo(stored.name, OLDEST)
        info.compress_type, info.file_size = ZIP_DEFLATED, stored.size_bytes
        with zipped.open(info, "w") as entry:
            async for piece in self._copy_source.read(stored):
                await checksum.add(piece)
                await finished(partial(entry.write, piece))
                yield sink.taken()
        if checksum.size_bytes != stored.size_bytes:
            raise CorruptionError(
                f"{self._copy_source.location}{stored.name}: {checksum.size_bytes} bytes arrived,"
                f" the listing promised {stored.size_bytes}; nothing was stored"
            )
        self.files.append(
            Checked(name=stored.name, size_bytes=stored.size_bytes, sha256=checksum.hexdigest())
        )


class _Sink:
    """ZipFile's output; it does not support seeking, so sizes follow their entries."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no further buffer."""

    def close(self) -> None:
        """Do nothing: all output was taken."""

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
