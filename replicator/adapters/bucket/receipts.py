"""Receipts in a bucket: metadata of the object, or `_replicator/receipts/…` after the bytes.

An object that the service copies gets its metadata before its checksum is known. If the service
keeps and reports the checksum, the metadata leaves it out.
"""

import asyncio
import re
from array import array
from bisect import bisect_left
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from replicator.adapters.bucket.bucket import Bucket, Stat
from replicator.adapters.transfer.receipt_json import (
    FORMAT,
    RECEIPT,
    WITHOUT_CHECKSUM,
    receipt_json,
)
from replicator.errors import CorruptionError
from replicator.model.document import parsed, written
from replicator.model.load_spec import Location
from replicator.ports import DOCUMENT_BYTES_MAX, Receipt, too_large

METADATA = "replicatorreceipt"
"""Name of the metadata entry, in letters that no store and no proxy changes."""
METADATA_BYTES_MAX = 1800
"""Limit for metadata; S3 takes 2 KB, names included."""
RECEIPT_BYTES_MAX = 64 << 20
"""Limit for a receipt's bytes; one of a hundred thousand files takes 20 MB."""
NOTED_BYTES = 16
"""Length of the hash of a receipt's name: two of ten million collide once in 10^24 storages."""

_NAME = re.compile(r"/([0-9a-f]{64})\.json$")


class Receipts:
    """The receipts of one storage that are objects of their own."""

    def __init__(self, bucket: Bucket, area: str) -> None:
        """Take the bucket, and the key of the replicator's own folder in it."""
        self._bucket, self._folder = bucket, f"{area}/receipts"
        self._large = asyncio.Lock()
        """Held while a large receipt is read, which takes many times its size of memory."""

    async def keep(self, location: Location, receipt: Receipt) -> None:
        """Store a receipt, whatever was there."""
        text = document(location, receipt)
        await self._bucket.replace(self.key(location), text, retained=True)

    async def written_receipt(self, location: Location) -> Receipt | None:
        """Return a receipt, whether its bytes are still there or not.

        Raises:
            CorruptionError: the receipt cannot be read.
        """
        key = self.key(location)
        if (stat := await self._bucket.stat(key)) is None:
            return None
        if stat.size_bytes > RECEIPT_BYTES_MAX:
            raise too_large(f"the receipt of {location}", stat.size_bytes, RECEIPT_BYTES_MAX)
        if stat.size_bytes <= DOCUMENT_BYTES_MAX:
            return await self._receipt(location, stat)
        async with self._large:
            return await self._receipt(location, stat)

    async def _receipt(self, location: Location, stat: Stat) -> Receipt | None:
        key, size = self.key(location), stat.size_bytes
        read = self._bucket.read(key, tag=stat.tag, start=0, end=size, piece_bytes=size)
        return _read(b"".join([piece async for piece in read]), location)

    async def has(self, location: Location) -> bool:
        """Return whether there is a receipt, readable or not."""
        return await self._bucket.stat(self.key(location)) is not None

    async def drop(self, location: Location) -> None:
        """Remove a receipt; it may be gone."""
        await self._bucket.delete(self.key(location))

    async def clear(self, location: Location) -> None:
        """Invalidate a receipt, if there is one; where older versions are kept, they stay."""
        if await self.has(location):
            await self._bucket.clear(self.key(location))

    async def noted(self) -> "Noted":
        """Return which locations have a receipt now, in 24 bytes each."""
        found = bytearray()
        async for page in self._bucket.pages(self._folder):
            for one in page:
                if (name := _NAME.search(one.key)) is not None:  # not a folder or a stray
                    found += bytes.fromhex(name[1])[:NOTED_BYTES]
        return Noted(np.frombuffer(found, dtype=f"S{NOTED_BYTES}"))

    def key(self, location: Location) -> str:
        """Return the key of a location's receipt."""
        name = sha256(location.encode()).hexdigest()
        return f"{self._folder}/{name[:2]}/{name}.json"


class Noted:
    """The locations whose receipt is an object of its own."""

    def __init__(self, names: NDArray[np.bytes_]) -> None:
        names = np.sort(names)
        self._names = memoryview(names.tobytes())
        # searching 8 bytes as a number is ten times as fast as numpy's search for one name
        self._heads = array("Q", names.view(">u8")[::2].astype("u8").tobytes())

    def __contains__(self, location: Location) -> bool:
        wanted = sha256(location.encode()).digest()[:NOTED_BYTES]
        head = int.from_bytes(wanted[:8])
        at = bisect_left(self._heads, head)
        while at < len(self._heads) and self._heads[at] == head:
            if self._names[at * NOTED_BYTES : (at + 1) * NOTED_BYTES] == wanted:
                return True
            at += 1
        return False


def metadata_of(location: Location, receipt: Receipt) -> dict[str, str] | None:
    """Return a receipt as an object's metadata, None when it does not fit."""
    text = document(location, receipt)
    fits = len(text) <= METADATA_BYTES_MAX and text.isascii()
    return {METADATA: text.decode()} if fits else None


def mapped(location: Location, stat: Stat) -> Receipt | None:
    """Return the receipt in an object's metadata; its checksum is '' if the service keeps that.

    A receipt for another location does not count: it came along when the object was copied.

    Raises:
        CorruptionError: the receipt cannot be read.
    """
    text = stat.metadata.get(METADATA)
    return None if text is None else _read(text.encode(), location, may_be_foreign=True)


def carries(location: Location, stat: Stat) -> bool:
    """Whether an object carries a readable receipt for its own location."""
    try:
        return mapped(location, stat) is not None
    except CorruptionError:
        return False


def document(location: Location, receipt: Receipt) -> bytes:
    """Return a receipt as it is stored."""
    whole = all(stored.sha256 for stored in receipt.objects)
    format_ = FORMAT if whole else WITHOUT_CHECKSUM
    return written({"location": location, **receipt_json(receipt)}, format_)


def _read(text: bytes, location: Location, *, may_be_foreign: bool = False) -> Receipt | None:
    name = f"the receipt of {location}"
    try:
        found = parsed(text, None)
    except ValueError as exc:
        raise RECEIPT.unreadable(name, exc) from exc
    if may_be_foreign and found.get("location") != location:
        return None
    kept = RECEIPT.read(name, text)
    if kept.location != location:
        raise RECEIPT.unreadable(name, f"it is that of {kept.location!r}")
    return kept.receipt()
