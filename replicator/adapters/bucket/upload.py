"""One object on its way into a bucket: its contents, its parts, and what stores it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Protocol

from replicator.adapters.bucket.bucket import Bucket, Writer
from replicator.adapters.transfer.hashing import Sha256
from replicator.adapters.transfer.pacing import InFlight
from replicator.adapters.transfer.packing import Packing
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import CorruptionError, ReplicatorError
from replicator.model.load_spec import Location
from replicator.ports import Checked, CopySource, DeepStorageReader, Piece, StoredObject


class Contents:
    """The contents of one object: an object of the source as it is, or all objects packed."""

    def __init__(self, copy_source: CopySource, stored: StoredObject | None) -> None:
        """Take one object of a source, or None to pack all of them."""
        self.copy_source, self.stored = copy_source, stored
        self._whole = copy_source.objects[0] if stored is None else stored
        self._packing = Packing(copy_source) if stored is None else None

    @property
    def about_bytes(self) -> int:
        """The size; of a packed segment an estimate."""
        return self.copy_source.size_bytes if self.stored is None else self.stored.size_bytes

    def range(self, start: int, end: int) -> AsyncIterator[Piece]:
        """Yield a range of contents that are not packed."""
        return self.copy_source.read(self._whole, start=start, end=end)

    @property
    def files(self) -> tuple[Checked, ...]:
        """The files that were packed, known after the last piece."""
        return () if self._packing is None else tuple(self._packing.files)

    def pieces(self) -> AsyncIterator[Piece]:
        """Yield all bytes."""
        if self._packing is not None:
            return self._packing.pieces()
        return self.copy_source.read(self._whole)

    async def whole(self) -> Piece:
        """Return all bytes at once; a single piece is not copied."""
        pieces = [piece async for piece in self.pieces()]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def require_size(self, size_bytes: int) -> None:
        """Raise a CorruptionError if another number of bytes arrived than was announced."""
        if self.stored is not None and size_bytes != self.stored.size_bytes:
            raise CorruptionError(
                f"{self.copy_source.location}{self.stored.name}: {size_bytes} bytes arrived, the"
                f" listing promised {self.stored.size_bytes}; nothing was stored"
            )

    def require_expected(self, sha256: str) -> None:
        """Raise a CorruptionError if an object that is not packed has other bytes than expected."""
        if self.stored is not None:
            size_bytes, name = self.stored.size_bytes, self.stored.name
            self.copy_source.require(Checked(name=name, size_bytes=size_bytes, sha256=sha256))


class Upload(Protocol):
    """Stores one large object, part by part."""

    async def run(self, key: str, contents: Contents) -> str:
        """Store the contents, visible only at the end, and return their SHA-256.

        Raises:
            FileExistsError: there is an object already; nothing was changed.
        """
        ...


class ServerCopy(Protocol):
    """Copies within the storage service, without the bytes coming here."""

    def reaches(self, reader: DeepStorageReader, location: Location) -> bool:
        """Return whether a location is in the same service, and no copy of it was denied so far."""
        ...

    async def run(
        self, key: str, contents: Contents, metadata: Mapping[str, str]
    ) -> Checked | None:
        """Copy the contents, which are one object; return None if the service cannot.

        If the result has a SHA-256, the copy has this metadata, and `sha256` returns the same; if
        that is '', the copy has none of the metadata.

        Raises:
            MissingObjectError: it is gone.
            CorruptionError: the copy has another checksum than the original.
        """
        ...

    async def is_refused(self, key: str) -> bool:
        """Return whether the service refuses to copy over an existing object, as it is asked to."""
        ...

    async def sha256(self, key: str) -> str | None:
        """Return the SHA-256 that the service keeps of an object, None when it keeps none."""
        ...


class WriterUpload:
    """An `Upload` through a bucket's writer: nothing is visible without `complete`."""

    def __init__(self, bucket: Bucket, in_flight: InFlight, sizes: Sizes) -> None:
        self._bucket, self._in_flight, self._sizes = bucket, in_flight, sizes

    async def run(self, key: str, contents: Contents) -> str:
        # Found out now, and not by the last request, when all bytes have been sent.
        if await self._bucket.stat(key) is not None:
            raise FileExistsError(key)
        part_bytes = self._sizes.part_of(contents.about_bytes)
        # One part is sent while the next one fills.
        async with self._in_flight.hold(2 * part_bytes):
            writer = await self._bucket.writer(key, part_bytes=part_bytes)
            try:
                return await _written(writer, contents)
            except ReplicatorError:
                with suppress(ReplicatorError):  # the failure itself is reported already
                    await writer.abort()
                raise


async def _written(writer: Writer, contents: Contents) -> str:
    checksum = Sha256()
    async for piece in contents.pieces():
        await checksum.add(piece)
        await writer.write(piece)
    contents.require_size(checksum.size_bytes)
    await writer.complete()
    return checksum.hexdigest()
