"""Replaces bytes in a bucket so that a crash in between loses no receipt."""

from collections.abc import Awaitable, Callable

from replicator.adapters.bucket.bucket import Bucket, segment_files
from replicator.adapters.bucket.receipts import Receipts
from replicator.adapters.bucket.upload import Contents, Upload
from replicator.adapters.transfer.hashing import sha256_of
from replicator.adapters.transfer.pacing import InFlight
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import CorruptionError
from replicator.model.load_spec import Location
from replicator.ports import Checked, CopySource, Receipt, StoredObject

Put = Callable[[Location, CopySource], Awaitable[Receipt]]


class Mending:
    """Replaces the bytes of one location.

    What one request stores is overwritten in one step. Larger objects are removed first; their
    receipt stays and still says what they must be, but does not count without them.
    """

    def __init__(
        self,
        bucket: Bucket,
        receipts: Receipts,
        *,
        upload: Upload,
        in_flight: InFlight,
        sizes: Sizes,
        put: Put,
    ) -> None:
        self._bucket, self._receipts, self._upload = bucket, receipts, upload
        self._in_flight, self._sizes, self._put = in_flight, sizes, put

    async def replace(
        self, key: str, location: Location, copy_source: CopySource, truth: Receipt | None
    ) -> Receipt:
        """Replace the bytes, as `SegmentReplacer.replace` promises."""
        # Before the bytes change: without a receipt that says what they must be, a crash in between
        # leaves bytes that nothing vouches for, and no longer a receipt that lies.
        if truth is None:
            await self._bucket.clear(self._receipts.key(location))
        else:
            await self._receipts.keep(location, truth)
        if location.endswith("/"):
            stored = await self._folder(key, copy_source)
        else:
            packed = copy_source.location.endswith("/")
            stored = await self._object(key, location, copy_source, truth, packed=packed)
        receipt = stored.confirmed(truth)
        if receipt is None:
            await self._clear(key)
            if truth is not None:
                await self._receipts.keep(location, truth)
            raise _other(location)
        await self._receipts.keep(location, receipt)
        return receipt

    async def _object(
        self,
        key: str,
        location: Location,
        copy_source: CopySource,
        truth: Receipt | None,
        *,
        packed: bool,
    ) -> Receipt:
        contents = Contents(copy_source, None if packed else copy_source.objects[0])
        if contents.about_bytes > self._sizes.part_bytes:
            await self._bucket.clear(key)
            return await self._put(location, copy_source)
        async with self._in_flight.hold(contents.about_bytes):
            data = await contents.whole()
            contents.require_size(len(data))
            whole = Checked(name="", size_bytes=len(data), sha256=await sha256_of(data))
            copied_from, files = copy_source.objects, contents.files
            receipt = Receipt(objects=(whole,), copied_from=copied_from, packed=files)
            if receipt.confirmed(truth) is None:
                raise _other(location)
            await self._bucket.replace(key, data, retained=True)
        return receipt

    async def _folder(self, key: str, copy_source: CopySource) -> Receipt:
        names = {stored.name for stored in copy_source.objects}
        for one in await segment_files(self._bucket, key):
            if one.key[len(key) :] not in names:
                await self._bucket.clear(one.key)
        files = [await self._file(key + one.name, copy_source, one) for one in copy_source.objects]
        return Receipt(objects=tuple(files), copied_from=copy_source.objects)

    async def _file(self, key: str, copy_source: CopySource, stored: StoredObject) -> Checked:
        contents = Contents(copy_source, stored)
        if stored.size_bytes > self._sizes.part_bytes:
            await self._bucket.clear(key)
            checksum = await self._upload.run(key, contents)
        else:
            async with self._in_flight.hold(stored.size_bytes):
                data = await contents.whole()
                contents.require_size(len(data))
                checksum = await sha256_of(data)
                await self._bucket.replace(key, data, retained=True)
        return Checked(name=stored.name, size_bytes=stored.size_bytes, sha256=checksum)

    async def _clear(self, key: str) -> None:
        if not key.endswith("/"):
            await self._bucket.clear(key)
            return
        for one in await segment_files(self._bucket, key):
            await self._bucket.clear(one.key)


def _other(location: Location) -> CorruptionError:
    return CorruptionError(f"{location}: other bytes arrived than its receipt says")
