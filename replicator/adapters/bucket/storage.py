"""A deep storage in a bucket of any service: objects with a receipt, and none half written.

An object that one request stores carries its receipt as metadata. What is stored in parts or in
several objects has its receipt in an object of its own, `_replicator/receipts/…` below the prefix,
which is written last: without a receipt nothing counts as stored, and no row points to it.
"""

from asyncio import Lock
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from secrets import token_bytes, token_hex
from time import monotonic
from types import TracebackType
from typing import Self

from replicator.adapters.bucket.area import ObjectArea
from replicator.adapters.bucket.bucket import Bucket, Listed, Stat, listed, segment_files
from replicator.adapters.bucket.locations import ObjectLocations
from replicator.adapters.bucket.reader import ObjectStorageReader, stored_object
from replicator.adapters.bucket.receipts import Receipts, carries, mapped, metadata_of
from replicator.adapters.bucket.replacing import Mending
from replicator.adapters.bucket.upload import Contents, ServerCopy, Upload
from replicator.adapters.transfer.hashing import Sha256, sha256_of
from replicator.adapters.transfer.pacing import InFlight
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import (
    ConfigError,
    CorruptionError,
    MissingObjectError,
    RefusedError,
    ReplicatorError,
)
from replicator.model.load_spec import Location, is_plain
from replicator.model.plans.cost import SERVER_SIDE_MIN_BYTES
from replicator.ports import (
    OWN_AREA,
    Checked,
    CopySource,
    DeepStorageReader,
    Effective,
    Known,
    Receipt,
    StoredLocation,
    StoredObject,
)

PROBE_BYTES = 4096
ABSENT_MAX = 10_000
COPIES_OVER = (
    "this service copies over what is there (If-None-Match has no effect on CopyObject), so a place"
    " is looked at within the second before a copy within it"
)
LOOKED_AT_MAX_S = 1.0
"""Seconds for which a check of the location still holds before a service copies over it."""


class ObjectStorage(ObjectStorageReader):
    """A `DeepStorage`, `SegmentRemover` and `SegmentReplacer` in a bucket below a prefix.

    Args:
        bucket: The bucket.
        prefix: Beginning of all keys of this cluster, '' for the whole bucket.
        upload: Stores large objects.
        in_flight: The memory that all copies share.
        sizes: Sizes of the parts.
        server_copy: Copies within the service; None: it does not.
        close: Closes the connections.
        effective: Returns the settings in force, and where each comes from.
    """

    def __init__(
        self,
        bucket: Bucket,
        prefix: str,
        *,
        upload: Upload,
        in_flight: InFlight,
        sizes: Sizes,
        server_copy: ServerCopy | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
        effective: Callable[[], Awaitable[Sequence[Effective]]] | None = None,
    ) -> None:
        super().__init__(
            bucket, prefix, piece_bytes=sizes.part_bytes, close=close, effective=effective
        )
        self._upload, self._in_flight, self._sizes = upload, in_flight, sizes
        self._server_copy = server_copy
        self._receipts = receipts = Receipts(bucket, self._below(OWN_AREA))
        self._mending = Mending(
            bucket, receipts, upload=upload, in_flight=in_flight, sizes=sizes, put=self.put
        )
        self._absent: dict[str, float] = {}
        """Times of looks that found no object, by key: the storage is not asked again at once."""
        self._copies_are_refused = True
        """Whether the service honours that a copy must replace nothing."""
        self._proved, self._proving = False, Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def key(self, location: Location) -> str:
        """Return the key of a location's object.

        Raises:
            RefusedError: the location is not plain, and would lead elsewhere.
        """
        if not is_plain(location):
            raise RefusedError(f"{location!r} is not a place in {self._bucket.name}/{self._prefix}")
        return super().key(location)

    def area(self) -> ObjectArea:
        """Return the area of the replicator's own files."""
        return ObjectArea(self._bucket, self._below(OWN_AREA), prove=self._require_proved)

    async def create(self) -> None:
        """Do nothing: a prefix need not be made, and making a bucket is up to its owner."""

    async def receipt(self, location: Location) -> Receipt | None:
        key = self.key(location)
        if location.endswith("/"):
            return await self._folder_receipt(location, key)
        if (stat := await self._bucket.stat(key)) is not None:
            return await self._object_receipt(location, stat)
        if len(self._absent) >= ABSENT_MAX:
            self._absent.clear()
        self._absent[key] = monotonic()
        return None

    def copies_from(self, reader: DeepStorageReader, location: Location) -> bool:
        return self._server_copy is not None and self._server_copy.reaches(reader, location)

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        if not location.endswith("/"):
            packed = copy_source.location.endswith("/")
            stored = None if packed else _only(location, copy_source)
            return await self._put_object(location, copy_source, stored)
        _require_folder(location, copy_source)
        return await self._put_folder(location, copy_source)

    async def probe(self) -> Sequence[str]:
        folder = self._below(f"{OWN_AREA}/probe-{token_hex(8)}")
        key, data = f"{folder}/one", token_bytes(PROBE_BYTES)
        if not await self._bucket.create(key, data, retained=False):
            raise CorruptionError(f"{self._bucket.name}: {key} is there already")
        try:
            stat = await self._bucket.stat(key)
            if stat is None:
                raise CorruptionError(f"{self._bucket.name}: {key} was written and is not there")
            read = self._bucket.read(
                key, tag=stat.tag, start=0, end=PROBE_BYTES, piece_bytes=PROBE_BYTES
            )
            if b"".join([piece async for piece in read]) != data:
                raise CorruptionError(f"{self._bucket.name}: other bytes are read than written")
            if await self._bucket.create(key, b"other", retained=False):
                raise ConfigError(
                    f"{self._bucket.name} lets an object be overwritten, which must be refused"
                    " (If-None-Match has no effect)",
                    hint="use a server that knows conditional writes",
                )
            await self._require_absent(f"{folder}/none")
            if [one.key for one in await listed(self._bucket, folder)] != [key]:
                raise CorruptionError(f"{self._bucket.name}: {key} was written and is not listed")
            lacks = () if await self._copies_obey(key) else (COPIES_OVER,)
        finally:
            await self._bucket.delete(key)
        self._proved = True
        return lacks

    async def remove(self, location: Location) -> None:
        key = self.key(location)
        self.forget(location)
        if (names := await self._removable(location, key)) is None:
            return
        # The receipt is removed last: it alone says which objects are this location's.
        for name in names:
            await self._bucket.delete(key + name)
        await self._receipts.drop(location)

    async def _removable(self, location: Location, key: str) -> Sequence[str] | None:
        """Return the names of a location's own objects, None without its receipt.

        A row of the source can name any location, and its bytes may never have arrived here.
        """
        if not location.endswith("/"):
            stat = await self._bucket.stat(key)
            if stat is None or carries(location, stat) or await self._receipts.has(location):
                return [""]
            return None
        try:
            written_receipt = await self._receipts.written_receipt(location)
        except CorruptionError as exc:
            raise RefusedError(
                f"the objects of {location} are unknown: {exc}",
                hint="look at what is there, and remove it by hand if nothing needs it",
            ) from exc
        if written_receipt is None:
            return None
        # Earlier versions also counted objects in deeper folders, which are at other locations.
        return [one.name for one in written_receipt.objects if "/" not in one.name]

    async def written_receipt(self, location: Location) -> Receipt | None:
        key = self.key(location)
        if not location.endswith("/") and (stat := await self._bucket.stat(key)) is not None:
            return await self._written_receipt(location, stat)
        return await self._receipts.written_receipt(location)

    async def write_receipt(self, location: Location, receipt: Receipt) -> None:
        there = {one.name: one.size_bytes for one in await self.objects(location)}
        if there != {one.name: one.size_bytes for one in receipt.objects}:
            raise MissingObjectError(
                f"{self.key(location)} does not match the receipt to be written"
            )
        await self._receipts.keep(location, receipt)

    async def replace(
        self, location: Location, copy_source: CopySource, truth: Receipt | None
    ) -> Receipt:
        key = self.key(location)
        if location.endswith("/"):
            _require_folder(location, copy_source)
            there = await segment_files(self._bucket, key)
            await self._require_no_others(location, [one.key[len(key) :] for one in there])
        else:
            await self._require_in_no_folder(location)
        if not location.endswith("/") and not copy_source.location.endswith("/"):
            _only(location, copy_source)
        self._ahead.pop(location, None)
        await self._require_proved()
        return await self._mending.replace(key, location, copy_source, truth)

    async def extend(self, location: Location, until: datetime) -> None:
        del until
        self.key(location)

    async def stored_locations(self, known: Known) -> AsyncIterator[Sequence[StoredLocation]]:
        noted = await self._receipts.noted()
        async for page in ObjectLocations(self._bucket, self._prefix, noted, known).pages():
            yield page

    # ----------------------------------------------------------------------------- one object

    async def _put_object(
        self, location: Location, copy_source: CopySource, stored: StoredObject | None
    ) -> Receipt:
        contents = Contents(copy_source, stored)
        if (copied := await self._copied(location, contents)) is not None:
            return copied
        if contents.about_bytes <= self._sizes.part_bytes:
            return await self._put_small(location, contents)
        await self._forget_former(location)
        try:
            checksum = await self._upload.run(self.key(location), contents)
        except FileExistsError:
            return await self._adopt(location, contents)
        return await self._finish(location, contents, checksum)

    async def _copied(self, location: Location, contents: Contents) -> Receipt | None:
        """Let the service copy, if it can and nothing is in the way."""
        key = self.key(location)
        if (
            self._server_copy is None
            or contents.stored is None
            or contents.stored.size_bytes < SERVER_SIDE_MIN_BYTES
            or not self._server_copy.reaches(
                contents.copy_source.reader, contents.copy_source.location
            )
        ):
            return None
        if not await self._is_absent(key):
            return None
        unread = Checked(name="", size_bytes=contents.stored.size_bytes, sha256="")
        receipt = Receipt(objects=(unread,), copied_from=contents.copy_source.objects)
        metadata = metadata_of(location, receipt)
        await self._receipts.clear(location)
        try:
            copied = await self._server_copy.run(key, contents, metadata or {})
        except FileExistsError:
            return None
        if copied is None:
            return None
        checked = (copied,) if copied.sha256 else await self.check(location)
        await self._require_expected(key, contents, checked)
        receipt = replace(receipt, objects=checked)
        if copied.sha256 and metadata is not None:
            return receipt
        await self._receipts.keep(location, receipt)
        return receipt

    async def _require_expected(
        self, key: str, contents: Contents, checked: Sequence[Checked]
    ) -> None:
        """Remove a copy that is not as expected: its bytes were never read here."""
        try:
            for one in checked:
                contents.copy_source.require(one)
        except CorruptionError:
            await self._bucket.delete(key)
            raise

    async def _is_absent(self, key: str) -> bool:
        """Return whether nothing is there; a service that checks this itself is trusted."""
        await self._require_proved()
        looked_at_s = self._absent.pop(key, None)
        if looked_at_s is not None and (
            self._copies_are_refused or monotonic() - looked_at_s < LOOKED_AT_MAX_S
        ):
            return True
        return await self._bucket.stat(key) is None

    async def _require_proved(self) -> None:
        """Try a kind of write before its first use, once in a process."""
        async with self._proving:
            if not self._proved:
                await self.probe()

    async def _copies_obey(self, key: str) -> bool:
        """Copy within the service onto an existing object of the replicator: it must refuse."""
        if self._server_copy is not None:
            self._copies_are_refused = await self._server_copy.is_refused(key)
        return self._copies_are_refused

    async def _put_small(self, location: Location, contents: Contents) -> Receipt:
        async with self._in_flight.hold(contents.about_bytes):
            data = await contents.whole()
            contents.require_size(len(data))
            checksum = await sha256_of(data)
            receipt = _receipt(contents, Checked(name="", size_bytes=len(data), sha256=checksum))
            metadata = metadata_of(location, receipt) if self._bucket.keeps_metadata else None
            key = self.key(location)
            if metadata is None:
                await self._forget_former(location)
            if not await self._bucket.create(key, data, metadata):
                if (there := await self._bucket.stat(key)) is not None:
                    return await self._confirm(location, receipt, [stored_object(there, key)])
                # a server that takes a delete marker for an object (versitygw 1.8.0)
                await self._receipts.clear(location)
                await self._bucket.replace(key, data, retained=True)
                metadata = None
        if metadata is None:
            await self._receipts.keep(location, receipt)
        return receipt

    async def _finish(self, location: Location, contents: Contents, checksum: str) -> Receipt:
        stat = await self._bucket.stat(self.key(location))
        if stat is None:
            raise CorruptionError(f"{self.key(location)} was written and is not there")
        contents.require_size(stat.size_bytes)
        whole = Checked(name="", size_bytes=stat.size_bytes, sha256=checksum)
        receipt = _receipt(contents, whole)
        await self._receipts.keep(location, receipt)
        return receipt

    async def _adopt(self, location: Location, contents: Contents) -> Receipt:
        """Keep a large object that was there, if it has the bytes that should be there."""
        checksum = Sha256()
        again = Contents(contents.copy_source, contents.stored)
        async for piece in again.pieces():
            await checksum.add(piece)
        again.require_size(checksum.size_bytes)
        whole = Checked(name="", size_bytes=checksum.size_bytes, sha256=checksum.hexdigest())
        there = await self.objects(location)
        return await self._confirm(location, _receipt(again, whole), there)

    async def _confirm(
        self, location: Location, receipt: Receipt, there: Sequence[StoredObject]
    ) -> Receipt:
        """Adopt equal bytes that a dead process or another writer has written."""
        await self._require_in_no_folder(location)
        if tuple([await self._check(location, one) for one in there]) != receipt.objects:
            raise RefusedError(
                f"{self._bucket.name}/{self.key(location)} holds other bytes already, which are not"
                " replaced",
                hint="compare the two; to have it copied again remove what is there",
            )
        await self._receipts.keep(location, receipt)
        return receipt

    async def _object_receipt(self, location: Location, stat: Stat) -> Receipt | None:
        written_receipt = await self._written_receipt(location, stat)
        if written_receipt is None or [one.size_bytes for one in written_receipt.objects] != [
            stat.size_bytes
        ]:
            return None
        return replace(written_receipt, stored_at=stat.stored_at)

    async def _written_receipt(self, location: Location, stat: Stat) -> Receipt | None:
        return await self._carried(location, stat) or await self._receipts.written_receipt(location)

    async def _carried(self, location: Location, stat: Stat) -> Receipt | None:
        """Return the receipt that an object carries, with the checksum that the service keeps."""
        if (receipt := mapped(location, stat)) is None or receipt.objects[0].sha256:
            return receipt
        sha256 = None if self._server_copy is None else await self._server_copy.sha256(stat.key)
        if sha256 is None:
            return None
        return replace(receipt, objects=(replace(receipt.objects[0], sha256=sha256),))

    # ------------------------------------------------------------------------------- a folder

    async def _put_folder(self, location: Location, copy_source: CopySource) -> Receipt:
        key, made, checked = self.key(location), list[str](), list[Checked]()
        wanted = {stored.name for stored in copy_source.objects}
        there = await segment_files(self._bucket, key)
        sizes = {one.key[len(key) :]: one.size_bytes for one in there}
        if foreign := [name for name in sizes if name not in wanted]:
            raise RefusedError(
                f"{self._bucket.name}/{key}{foreign[0]} was not written by this tool",
                hint="move it away if nothing needs it, then run the command again",
            )
        former = await self._receipts.written_receipt(location)
        if former is None or sizes != {one.name: one.size_bytes for one in former.objects}:
            await self._require_no_others(location, list(sizes))
        if former is not None and sizes != {one.name: one.size_bytes for one in former.objects}:
            await self._receipts.clear(location)
        try:
            for stored in copy_source.objects:
                checked.append(await self._put_file(key + stored.name, copy_source, stored, made))
        except ReplicatorError:
            for one in made:
                with suppress(RefusedError):  # locked: the next attempt takes it over
                    await self._bucket.delete(one)
            raise
        receipt = Receipt(objects=tuple(checked), copied_from=copy_source.objects)
        await self._receipts.keep(location, receipt)
        return receipt

    async def _forget_former(self, location: Location) -> None:
        """Drop the receipt of a missing object: with it, another object might look whole.

        An interrupted removal leaves one, and so does another program that removes the object.
        """
        if await self._receipts.has(location) and await self._is_gone(location):
            await self._receipts.clear(location)

    async def _is_gone(self, location: Location) -> bool:
        return await self._bucket.stat(self.key(location)) is None

    async def _require_no_others(self, location: Location, names: Sequence[str]) -> None:
        """Refuse a folder's file that is another location's object: it is removed with that."""
        for name in names:
            other = Location(location + name)
            if is_plain(other) and await self.written_receipt(other) is not None:
                raise RefusedError(
                    f"{self._bucket.name}/{self.key(other)} is stored for a row that names it,"
                    f" and {location!r} would take it for a file of its own",
                    hint="correct the load spec of the row whose segment is not there",
                )

    async def _require_in_no_folder(self, location: Location) -> None:
        """Refuse an object that is a file of another location's folder: it is removed with that."""
        folder, slash, name = location.rpartition("/")
        above = Location(folder + slash)
        if not folder or (found := await self._receipts.written_receipt(above)) is None:
            return
        if name in {one.name for one in found.objects}:
            raise RefusedError(
                f"{self._bucket.name}/{self.key(location)} is a file of the segment at {above!r},"
                " which another row names",
                hint="correct the load spec of the row whose segment is not there",
            )

    async def _put_file(
        self, key: str, copy_source: CopySource, stored: StoredObject, made: list[str]
    ) -> Checked:
        contents = Contents(copy_source, stored)
        if stored.size_bytes > self._sizes.part_bytes:
            try:
                checksum = await self._upload.run(key, contents)
                made.append(key)
            except FileExistsError:
                checksum = await self._digest(Contents(copy_source, stored))
                await self._require_equal(key, stored, checksum)
            return Checked(name=stored.name, size_bytes=stored.size_bytes, sha256=checksum)
        async with self._in_flight.hold(stored.size_bytes):
            data = await contents.whole()
            contents.require_size(len(data))
            checksum = await sha256_of(data)
            if await self._bucket.create(key, data):
                made.append(key)
            else:
                await self._require_equal(key, stored, checksum)
        return Checked(name=stored.name, size_bytes=len(data), sha256=checksum)

    async def _digest(self, contents: Contents) -> str:
        checksum = Sha256()
        async for piece in contents.pieces():
            await checksum.add(piece)
        return checksum.hexdigest()

    async def _require_equal(self, key: str, stored: StoredObject, checksum: str) -> None:
        stat, there = await self._bucket.stat(key), Sha256()
        if stat is not None and stat.size_bytes == stored.size_bytes:
            read = self._bucket.read(
                key, tag=stat.tag, start=0, end=stat.size_bytes, piece_bytes=self._piece_bytes
            )
            async for piece in read:
                await there.add(piece)
            if there.hexdigest() == checksum:
                return
        raise RefusedError(
            f"{self._bucket.name}/{key} holds other bytes already, which are not replaced",
            hint="compare the two; to have it copied again remove what is there",
        )

    async def _found(self, location: Location, key: str, *, ahead: bool) -> Sequence[Listed]:
        """Find the objects that a folder's receipt names: all others belong to other locations.

        A row of the source can name an object in the folder of any other row.
        """
        found = await super()._found(location, key, ahead=ahead)
        if not location.endswith("/"):
            return found
        try:
            receipt = await self._receipts.written_receipt(location)
        except CorruptionError:  # it names nothing; the reader of the receipt gets the error
            receipt = None
        return found if receipt is None else _own(found, key, receipt)

    async def _folder_receipt(self, location: Location, key: str) -> Receipt | None:
        if (written_receipt := await self._receipts.written_receipt(location)) is None:
            return None
        there = _own(await segment_files(self._bucket, key), key, written_receipt)
        sizes = {one.key[len(key) :]: one.size_bytes for one in there}
        if sizes != {one.name: one.size_bytes for one in written_receipt.objects}:
            return None
        return replace(
            written_receipt, stored_at=max((one.stored_at for one in there), default=None)
        )


def _own(there: Sequence[Listed], key: str, receipt: Receipt) -> list[Listed]:
    """Return those files of a folder that its receipt names."""
    names = {one.name for one in receipt.objects}
    return [one for one in there if one.key[len(key) :] in names]


def _require_folder(location: Location, copy_source: CopySource) -> None:
    if not copy_source.location.endswith("/"):
        raise RefusedError(f"{copy_source.location} is one object and {location} a folder")
    if deep := [stored.name for stored in copy_source.objects if "/" in stored.name]:
        raise RefusedError(f"{copy_source.location}{deep[0]} is in a folder below the segment's")


def _only(location: Location, copy_source: CopySource) -> StoredObject:
    if [stored.name for stored in copy_source.objects] != [""]:
        raise RefusedError(f"{location}: {copy_source.location} is not one object")
    return copy_source.objects[0]


def _receipt(contents: Contents, whole: Checked) -> Receipt:
    return Receipt(
        objects=(whole,), copied_from=contents.copy_source.objects, packed=contents.files
    )
