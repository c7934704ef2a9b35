"""Uploads of large objects to S3 in parts; parts that a dead process sent are not sent again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import md5
from typing import TYPE_CHECKING, Any, NamedTuple

from awscrt.checksums import crc64nvme

from replicator.adapters.bucket.upload import Contents
from replicator.adapters.machine.threads import finished
from replicator.adapters.s3.client import S3Sdk
from replicator.adapters.s3.lock import S3Lock
from replicator.adapters.s3.service import S3Service
from replicator.adapters.s3.session import crc_text, ending, translated
from replicator.adapters.transfer.hashing import Sha256
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import CorruptionError, MissingObjectError
from replicator.ports import Clock, Piece
from replicator.task_group import TaskGroup

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

UPLOADS_ABANDONED_AFTER = timedelta(days=2)
"""Age above which an upload counts as abandoned; one object is copied within minutes."""


class _Range(NamedTuple):
    """One part of an object that is read in ranges; checksums take the parts in order."""

    number: int
    start: int
    end: int
    mine: asyncio.Event
    after: asyncio.Event


class S3Uploads:
    """Multipart uploads that continue where an earlier process stopped.

    A part that is there already is not sent again: it is read from the source once more, and its
    MD5 compared with the part's ETag, so that the completed object is what the source has now.
    """

    def __init__(
        self,
        service: S3Service,
        *,
        pace: Pace,
        in_flight: InFlight,
        sizes: Sizes,
        clock: Clock,
        lock: S3Lock | None = None,
    ) -> None:
        self._service, self._pace, self._sizes = service, pace, sizes
        self._in_flight, self._clock, self._retention = in_flight, clock, lock
        self._sdk = S3Sdk(service, pace)
        self._begun: dict[str, str] | None = None
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections."""
        await self._sdk.close()

    async def client(self) -> "S3Client":
        """Return the one client, opened at its first use."""
        return await self._sdk.client()

    async def run(self, key: str, contents: Contents) -> str:
        client = await self.client()
        upload = await self._begin(client, key)
        try:
            sending = _Sending(client, self._service.bucket, key, upload, self._pace)
            checksum = await self._send(sending, contents)
            await self._complete(client, sending, key)
        except (CorruptionError, MissingObjectError, FileExistsError):
            await self._give_up(client, key, upload)
            raise
        (await self._unfinished(client)).pop(key, None)
        return checksum

    async def _complete(self, client: "S3Client", sending: "_Sending", key: str) -> None:
        """Make an object visible, unless one is there.

        Some servers (versitygw 1.8.0) treat a delete marker as an object: an object removed from a
        bucket with versions could never be stored again. If none is visible, it is overwritten.
        """
        doing = f"cannot complete the upload of {key}"
        try:
            with self.translated(doing):
                await sending.complete()
        except FileExistsError:
            try:
                with self.translated(f"cannot look at {key}"):
                    await client.head_object(Bucket=self._service.bucket, Key=key)
            except MissingObjectError:
                with self.translated(doing):
                    await sending.complete(over=True)
                return
            raise

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self._service.region.value

    async def probe(self, key: str) -> None:
        """Begin a multipart upload, list its parts and abort it: large objects need all three.

        Raises:
            ConfigError: a request is denied, or the server does not support it.
        """
        client = await self.client()
        upload = await self._begin(client, key)
        try:
            await self._parts(client, key, upload.id_)
        finally:
            await self._give_up(client, key, upload)

    async def pace(self) -> None:
        """Wait for this storage's turn."""
        await self._sdk.pace()

    def translated(self, doing: str) -> AbstractContextManager[None]:
        """Translate the SDK's errors into the replicator's."""
        return self._sdk.translated(doing)

    def locking(self) -> dict[str, Any]:
        """Return the lock's arguments of a request that stores an object; empty: no object lock."""
        return {} if self._retention is None else self._retention.arguments()

    async def _begin(self, client: "S3Client", key: str) -> "_MultipartUpload":
        begun = await self._unfinished(client)
        if (id_ := begun.get(key)) is not None:
            try:
                return _MultipartUpload(id_, await self._parts(client, key, id_))
            except MissingObjectError:
                del begun[key]  # it was aborted
        await self._pace.request()
        with self.translated(f"cannot begin the upload of {key}"):
            made = await client.create_multipart_upload(
                Bucket=self._service.bucket,
                Key=key,
                ChecksumAlgorithm="CRC64NVME",
                ChecksumType="FULL_OBJECT",
                **self.locking(),
            )
            begun[key] = made["UploadId"]
        return _MultipartUpload(begun[key], {})

    async def _unfinished(self, client: "S3Client") -> dict[str, str]:
        """Return unfinished uploads that may continue; aborts old ones once per process.

        Only uploads below the storage's own prefix are considered.
        """
        async with self._lock:
            if self._begun is None:
                self._begun = await self._found(client)
            return self._begun

    async def _found(self, client: "S3Client") -> dict[str, str]:
        found: dict[str, str] = {}
        prefix = self._service.address.prefix.strip("/")
        oldest = self._clock.now() - UPLOADS_ABANDONED_AFTER
        with self.translated("cannot list its unfinished uploads"):
            pages = client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._service.bucket, Prefix=f"{prefix}/" if prefix else ""
            )
            async for page in ending(pages, f"unfinished uploads in {self._service.bucket}"):
                for one in page.get("Uploads", []):
                    key, id_ = one["Key"], one["UploadId"]
                    # Parts of an upload that nobody ends cost storage for ever, and no listing of
                    # objects shows them.
                    if one["Initiated"] < oldest or key in found:
                        await client.abort_multipart_upload(
                            Bucket=self._service.bucket, Key=key, UploadId=id_
                        )
                    else:
                        found[key] = id_
        return found

    async def _parts(self, client: "S3Client", key: str, id_: str) -> "dict[int, _UploadPart]":
        found: dict[int, _UploadPart] = {}
        with self.translated(f"cannot list the parts of {key}"):
            pages = client.get_paginator("list_parts").paginate(
                Bucket=self._service.bucket, Key=key, UploadId=id_
            )
            async for page in ending(pages, f"the parts of {key}"):
                for part in page.get("Parts", []):
                    found[part["PartNumber"]] = _UploadPart(part["ETag"], part["Size"])
        return found

    async def _give_up(self, client: "S3Client", key: str, upload: "_MultipartUpload") -> None:
        (await self._unfinished(client)).pop(key, None)
        doing = f"cannot abort the upload of {key}"
        gone = client.exceptions.NoSuchUpload
        with self.translated(doing), suppress(gone):
            await client.abort_multipart_upload(
                Bucket=self._service.bucket, Key=key, UploadId=upload.id_
            )

    async def _send(self, sending: "_Sending", contents: Contents) -> str:
        part_bytes = self._sizes.part_of(contents.about_bytes)
        try:
            async with TaskGroup() as group:
                if contents.stored is None:
                    await self._send_stream(group, sending, contents, part_bytes)
                else:
                    await self._send_ranges(group, sending, contents, part_bytes)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        contents.require_size(sending.sha256.size_bytes)
        checksum = sending.sha256.hexdigest()
        contents.require_expected(checksum)  # ranges are not verified one by one
        return checksum

    async def _send_ranges(
        self, group: TaskGroup, sending: "_Sending", contents: Contents, part_bytes: int
    ) -> None:
        """Read and send several parts at once; only the checksums are computed in order."""
        slots = asyncio.Semaphore(self._sizes.parts_in_flight_max)
        turn = asyncio.Event()
        turn.set()
        for number, start in enumerate(range(0, contents.about_bytes, part_bytes), 1):
            end = min(start + part_bytes, contents.about_bytes)
            await slots.acquire()
            held = await self._in_flight.acquire(end - start)
            mine, turn = turn, asyncio.Event()

            async def one(part: _Range, held: int) -> None:
                try:
                    await _send_range(sending, contents, part)
                finally:
                    self._in_flight.release(held)
                    slots.release()

            group.create_task(one(_Range(number, start, end, mine, turn), held))

    async def _send_stream(
        self, group: TaskGroup, sending: "_Sending", contents: Contents, part_bytes: int
    ) -> None:
        slots = asyncio.Semaphore(self._sizes.parts_in_flight_max)
        number = 0
        async for data in _cut(contents.pieces(), part_bytes):
            number += 1
            await sending.add(data)
            await slots.acquire()
            held = await self._in_flight.acquire(len(data))

            async def one(number: int, data: bytes, held: int) -> None:
                try:
                    await sending.part(number, data)
                finally:
                    self._in_flight.release(held)
                    slots.release()

            group.create_task(one(number, data, held))


@dataclass(frozen=True, slots=True)
class _UploadPart:
    etag: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _MultipartUpload:
    id_: str
    done: Mapping[int, _UploadPart]


class _Sending:
    """One upload's parts and checksums."""

    def __init__(
        self, client: "S3Client", bucket: str, key: str, upload: _MultipartUpload, pace: Pace
    ) -> None:
        self._client, self._bucket, self._key = client, bucket, key
        self._upload, self._pace = upload, pace
        self._parts: dict[int, CompletedPartTypeDef] = {}
        self._crc = 0
        self.sha256 = Sha256()

    async def add(self, data: bytes) -> None:
        """Add the next bytes, in order, to the checksums."""
        self._crc = crc64nvme(data, self._crc)
        await self.sha256.add(data)

    async def part(self, number: int, data: bytes) -> None:
        """Send a part, in any order, unless it is there already."""
        crc = crc_text(crc64nvme(data))
        done = self._upload.done.get(number)
        if done is not None and done.size_bytes == len(data):
            own = await finished(lambda: md5(data, usedforsecurity=False).hexdigest())
            if done.etag.strip('"') == own:
                self._done(number, done.etag, crc)
                return
        await self._pace.request()
        await self._pace.transfer(len(data))
        with translated(self._bucket, f"cannot send part {number} of {self._key}", self._pace):
            sent = await self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload.id_,
                PartNumber=number,
                Body=data,
                ChecksumCRC64NVME=crc,
            )
            self._done(number, sent["ETag"], crc)

    async def complete(self, *, over: bool = False) -> None:
        """Make the object visible if all bytes arrived and, without `over`, none is there."""
        condition: dict[str, Any] = {} if over else {"IfNoneMatch": "*"}
        await self._pace.request()
        await self._client.complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload.id_,
            MultipartUpload={"Parts": [self._parts[n] for n in sorted(self._parts)]},
            ChecksumCRC64NVME=crc_text(self._crc),
            ChecksumType="FULL_OBJECT",
            **condition,
        )

    def _done(self, number: int, etag: str, crc: str) -> None:
        self._parts[number] = {"PartNumber": number, "ETag": etag, "ChecksumCRC64NVME": crc}


async def _send_range(sending: _Sending, contents: Contents, part: _Range) -> None:
    data = b"".join([piece async for piece in contents.range(part.start, part.end)])
    await part.mine.wait()
    await sending.add(data)
    part.after.set()
    await sending.part(part.number, data)


async def _cut(pieces: AsyncIterator[Piece], part_bytes: int) -> AsyncIterator[bytes]:
    """Yield the same bytes in parts of equal size, the last one smaller."""
    rest = bytearray()
    async for piece in pieces:
        rest += piece
        while len(rest) >= part_bytes:
            yield bytes(rest[:part_bytes])
            del rest[:part_bytes]
    if rest:
        yield bytes(rest)
