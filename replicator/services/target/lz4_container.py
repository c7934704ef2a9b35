"""Reads a segment that Druid 37 packed by lz4 as the folder that it was.

HdfsDataSegmentPusher writes `index.lz4` with `druid.storage.compressionFormat=lz4` (#18982), and no
other deep storage reads it: on its way to one a segment becomes a zip. The container is what
CompressionUtils.lz4CompressDirectory writes: a stream of blocks by lz4-java (LZ4BlockOutputStream),
and in it the number of files and each file's name, size and bytes, numbers in Java's order.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import cramjam

from replicator.errors import RewrittenObjectError, UnreadableObjectError
from replicator.model.load_spec import NAME_BYTES_MAX, Location
from replicator.ports import Checked, DeepStorageReader, Piece, StoredObject

BLOCK: Final = struct.Struct("<8sBIII")
"""Magic, method and level, packed size, size, checksum."""
MAGIC: Final = b"LZ4Block"
RAW, PACKED = 0x10, 0x20
LEVEL_BASE: Final = 10
"""A block of level n has at most 2^(10 + n) bytes."""
SEED: Final = 0x9747B28C
CHECKSUM_BITS: Final = 0x0FFFFFFF
"""LZ4BlockOutputStream keeps 28 bits of XXH32."""
COUNT, NAME_BYTES, SIZE = struct.Struct(">i"), struct.Struct(">i"), struct.Struct(">q")
FILES_MAX: Final = 100_000
LZ4_RATIO_MAX: Final = 255
"""Largest ratio by which lz4 can compress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """Where a file is among the unpacked bytes."""

    start: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Container:
    """Index of one container, made by reading it once: 16 bytes for each block."""

    stored: StoredObject
    files: dict[str, _File]
    unpacked_at: "array[int]"
    """Beginning of each block among the unpacked bytes."""
    packed_at: "array[int]"
    """Beginning of each block in the container."""


class Lz4Container:
    """A `DeepStorageReader` of the files inside the lz4 containers of another reader.

    Args:
        storage: Reader of the containers.
        bytes_max: Limit for the unpacked bytes of one container; None: what its size allows.
    """

    def __init__(self, storage: DeepStorageReader, *, bytes_max: int | None = None) -> None:
        self._storage, self._bytes_max = storage, bytes_max
        self._known: dict[Location, _Container] = {}

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        """Return the files in the container at a location from `unpacked`, sorted by name.

        Raises:
            UnreadableObjectError: the object is no such container, or is damaged.
        """
        del ahead
        found = await self._opened(location)
        return [
            StoredObject(name=name, size_bytes=file.size_bytes, tag=found.stored.tag)
            for name, file in sorted(found.files.items())
        ]

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield a file's bytes; only the blocks that hold them are read.

        Raises:
            UnreadableObjectError: as for `objects`.
            RewrittenObjectError: the file is not in the container any more.
        """
        found = await self._opened(location)
        if (file := found.files.get(stored.name)) is None:
            raise RewrittenObjectError(
                f"{_packed(location)} was written since it was listed, and has no {stored.name}",
                hint="it is listed and read again",
            )
        first = file.start + start
        last = file.start + (file.size_bytes if end is None else min(end, file.size_bytes))
        if first >= last:
            return
        block = bisect_right(found.unpacked_at, first) - 1
        at = found.unpacked_at[block]
        blocks = _Blocks(self._storage, _packed(location), found.stored, found.packed_at[block])
        async for _, data in blocks.read():
            if (wanted := data[max(0, first - at) : last - at]) != b"":
                yield wanted
            at += len(data)
            if at >= last:
                return

    async def check(self, location: Location) -> tuple[Checked, ...]:
        """Read all files in the container and return their checksums, sorted by name."""
        return tuple([await self._check(location, one) for one in await self.objects(location)])

    async def _check(self, location: Location, stored: StoredObject) -> Checked:
        checksum = sha256()
        async for piece in self.read(location, stored):
            checksum.update(piece)
        return Checked(name=stored.name, size_bytes=stored.size_bytes, sha256=checksum.hexdigest())

    async def _opened(self, location: Location) -> _Container:
        packed = _packed(location)
        (stored,) = await self._storage.objects(packed)
        known = self._known.get(packed)
        if known is None or known.stored != stored:
            known = await self._contents(packed, stored)
            self._known = {packed: known}
        return known

    async def _contents(self, packed: Location, stored: StoredObject) -> _Container:
        allowed = LZ4_RATIO_MAX * stored.size_bytes
        allowed = allowed if self._bytes_max is None else min(allowed, self._bytes_max)
        headers = _FileHeaders(packed)
        unpacked_at, packed_at, at = array("q"), array("q"), 0
        async for place, data in _Blocks(self._storage, packed, stored, 0).read():
            unpacked_at.append(at)
            packed_at.append(place)
            at += len(data)
            if at > allowed:
                raise _unreadable(packed, f"it unpacks to more than {allowed} bytes")
            headers.see(data)
        return _Container(
            stored=stored,
            files=headers.closed(),
            unpacked_at=unpacked_at,
            packed_at=packed_at,
        )


class _Blocks:
    """The blocks of one container, from one of them on."""

    def __init__(
        self, storage: DeepStorageReader, packed: Location, stored: StoredObject, start: int
    ) -> None:
        self._pieces = storage.read(packed, stored, start=start)
        self._packed, self._stored, self._at = packed, stored, start
        self._pending = bytearray()

    async def read(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield where each block begins, and its bytes unpacked, up to the empty one at the end."""
        while True:
            place = self._at
            magic, token, packed_bytes, size_bytes, checksum = BLOCK.unpack(
                await self._take(BLOCK.size)
            )
            method, level = token & 0xF0, LEVEL_BASE + (token & 0x0F)
            if magic != MAGIC or method not in {RAW, PACKED}:
                raise _unreadable(self._packed, f"there is no block at byte {place}")
            if not max(packed_bytes, size_bytes):
                if self._at != self._stored.size_bytes:
                    raise _unreadable(self._packed, f"it goes on after its end at byte {place}")
                return
            if size_bytes > 1 << level or packed_bytes > size_bytes:
                raise _unreadable(self._packed, f"the block at byte {place} is too large")
            data = self._unpacked(method, await self._take(packed_bytes), size_bytes)
            if _checksum(data) != checksum:
                raise _unreadable(self._packed, f"the block at byte {place} is damaged")
            yield place, data

    def _unpacked(self, method: int, packed: bytes, size_bytes: int) -> bytes:
        try:
            data = (
                packed
                if method == RAW
                else bytes(cramjam.lz4.decompress_block(packed, output_len=size_bytes))
            )
        except cramjam.DecompressionError as exc:
            raise _unreadable(self._packed, f"a block cannot be unpacked: {exc}") from exc
        if len(data) != size_bytes:
            raise _unreadable(self._packed, "a block has another size than it says")
        return data

    async def _take(self, size_bytes: int) -> bytes:
        while len(self._pending) < size_bytes:
            piece = await anext(self._pieces, None)
            if piece is None:
                raise _unreadable(self._packed, "it ends in the middle")
            self._pending += piece
        taken = bytes(self._pending[:size_bytes])
        del self._pending[:size_bytes]
        self._at += size_bytes
        return taken


class _FileHeaders:
    """Finds the files among the unpacked bytes, whatever blocks they are in."""

    def __init__(self, packed: Location) -> None:
        self._packed = packed
        self._head = bytearray()
        """Bytes that may belong to a number or a name."""
        self._count: int | None = None
        self._sizes: dict[str, int] = {}
        self._skip = 0
        """Bytes of the last file that are still to come."""

    def see(self, data: bytes) -> None:
        """Take the next unpacked bytes."""
        view = memoryview(data)
        while view:
            if self._skip:
                passed = min(self._skip, len(view))
                self._skip -= passed
            else:
                passed = self._look(view)
            view = view[passed:]

    def closed(self) -> dict[str, _File]:
        """Return the files; there must be as many as announced, and nothing after them."""
        if self._head or self._skip or self._count != len(self._sizes):
            raise _unreadable(self._packed, "its files end in the middle")
        files: dict[str, _File] = {}
        at = COUNT.size
        for name, size_bytes in self._sizes.items():
            at += NAME_BYTES.size + len(name.encode()) + SIZE.size
            files[name] = _File(start=at, size_bytes=size_bytes)
            at += size_bytes
        return files

    def _look(self, view: memoryview) -> int:
        """Take as many bytes as the next header needs; return how many these were."""
        wanted = self._wanted() - len(self._head)
        taken = view[:wanted]
        self._head += taken
        if len(taken) == wanted:
            self._understand()
        return len(taken)

    def _wanted(self) -> int:
        """Return the length of the next header, as far as it is known."""
        if self._count is None:
            return COUNT.size
        if len(self._sizes) >= self._count:
            raise _unreadable(self._packed, "there are bytes after its last file")
        if len(self._head) < NAME_BYTES.size:
            return NAME_BYTES.size
        (name_bytes,) = NAME_BYTES.unpack_from(self._head)
        if not 0 < name_bytes <= NAME_BYTES_MAX:
            raise _unreadable(self._packed, f"a file's name has {name_bytes} bytes")
        return int(NAME_BYTES.size + name_bytes + SIZE.size)

    def _understand(self) -> None:
        if self._count is None:
            (self._count,) = COUNT.unpack(self._head)
            if not 0 < self._count <= FILES_MAX:
                raise _unreadable(self._packed, f"it has {self._count} files")
            self._head.clear()
        elif len(self._head) > NAME_BYTES.size:
            self._add(bytes(self._head[NAME_BYTES.size : -SIZE.size]))
            self._head.clear()

    def _add(self, name: bytes) -> None:
        (size_bytes,) = SIZE.unpack_from(self._head, len(self._head) - SIZE.size)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            text = ""
        if text in {"", ".", ".."} or "/" in text or not text.isprintable() or size_bytes < 0:
            raise _unreadable(self._packed, f"it has a file {name!r} of {size_bytes} bytes")
        if text in self._sizes:
            raise _unreadable(self._packed, f"it has two files {text}")
        self._sizes[text] = self._skip = size_bytes


def _checksum(data: bytes) -> int:
    import xxhash  # noqa: PLC0415 - HDFS sources with lz4 alone need it

    return xxhash.xxh32_intdigest(data, SEED) & CHECKSUM_BITS


def _packed(location: Location) -> Location:
    return Location(location.removesuffix("/"))


def _unreadable(packed: Location, why: str) -> UnreadableObjectError:
    return UnreadableObjectError(
        f"{packed} is no lz4 container of a segment that can be read: {why}"
    )
