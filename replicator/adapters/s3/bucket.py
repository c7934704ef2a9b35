"""One bucket of S3, through obstore, and through the SDK for keys that obstore cannot express.

To S3 a key is any text. To obstore a key is a path: it drops a leading slash and rejects an empty
name or `..`, and one such key makes every listing of a folder above it fail.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError

from replicator.adapters.bucket.bucket import PAGE_OBJECTS_MAX, Begun, Listed, Stat
from replicator.adapters.bucket.obstore import ObstoreBucket, UnsayableKeyError, is_sayable
from replicator.adapters.s3.session import EXISTS, ODD, error_code
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import ConfigError, MissingObjectError, ReplicatorError, RewrittenObjectError
from replicator.ports import Piece

if TYPE_CHECKING:
    from obstore.store import S3Store
    from types_aiobotocore_s3 import S3Client


ELSEWHERE = ("status code: 301", "status code: 400", "redirect without LOCATION")
"""The library's words for S3's answers to a request that is signed for another region."""


class Sdk(Protocol):
    """The SDK's client for one bucket: for the requests that obstore cannot make."""

    async def client(self) -> "S3Client":
        """Return the client."""
        ...

    @property
    def region(self) -> str:
        """Return the region that requests are signed for."""
        ...

    async def pace(self) -> None:
        """Wait for this storage's turn."""
        ...

    def translated(self, doing: str) -> AbstractContextManager[None]:
        """Translate the SDK's errors into the replicator's."""
        ...


class S3Bucket(ObstoreBucket):
    """A `Bucket` in which every key can be read, listed and removed; odd ones are not written.

    Args:
        store: obstore's client of the bucket.
        bucket: Name of the bucket.
        sdk: The SDK's client of the bucket.
        pace: Limits of the request rate.
        storage_class: Storage class of each stored object; None: the bucket's default.
    """

    def __init__(
        self,
        store: "S3Store",
        bucket: str,
        *,
        sdk: Sdk,
        pace: Pace,
        storage_class: str | None = None,
    ) -> None:
        attributes = {} if storage_class is None else {"Storage-Class": storage_class}
        super().__init__(store, f"s3://{bucket}", pace=pace, attributes=attributes)
        self._bucket, self._sdk = bucket, sdk

    async def stat(self, key: str) -> Stat | None:
        if is_sayable(key):
            try:
                return await super().stat(key)
            except ReplicatorError as exc:
                if any(words in str(exc.__cause__) for words in ELSEWHERE):
                    await self._require_region(exc)
                raise
        client = await self._sdk.client()
        await self._sdk.pace()
        try:
            with self._sdk.translated(f"cannot look at {key}"):
                found = await client.head_object(Bucket=self._bucket, Key=key)
                return Stat(
                    key=key,
                    size_bytes=found["ContentLength"],
                    tag=found["ETag"].strip('"'),
                    stored_at=found["LastModified"],
                    metadata={name.lower(): text for name, text in found["Metadata"].items()},
                )
        except MissingObjectError:
            return None

    async def _require_region(self, exc: ReplicatorError) -> None:
        """Name the bucket's region if a wrong one was the reason: a HEAD's answer has no text."""
        client, ours = await self._sdk.client(), self._sdk.region
        try:
            found = await client.head_bucket(Bucket=self._bucket)
            headers = found["ResponseMetadata"]["HTTPHeaders"]
        except ClientError as refused:
            headers = refused.response["ResponseMetadata"]["HTTPHeaders"]
        except (BotoCoreError, HttpError, TimeoutError, *ODD):
            return
        region = headers.get("x-amz-bucket-region")
        if region and region != ours:
            raise ConfigError(
                f"{self.name} is in region {region}, and requests are signed for {ours}",
                hint=f"set region: {region}",
            ) from exc

    async def begin(self, key: str) -> Begun | None:
        if is_sayable(key):
            return await super().begin(key)
        stat = await self.stat(key)
        return None if stat is None else Begun(stat, None)

    async def pages(
        self, prefix: str, *, page_objects_max: int = PAGE_OBJECTS_MAX
    ) -> AsyncIterator[Sequence[Listed]]:
        """Yield the objects below a folder, by the SDK from the first odd key on."""
        after, seen = "", set[str]()
        if is_sayable(prefix.rstrip("/")) or not prefix:
            try:
                async for page in super().pages(prefix, page_objects_max=page_objects_max):
                    yield page
                    # obstore drops the slash of a marker, so one with bytes is surely a key
                    known = next((one.key for one in page if one.size_bytes), None)
                    after, seen = (known, set()) if known is not None else (after, seen)
                    seen.update(one.key for one in page)
            except UnsayableKeyError:
                pass
            else:
                return
        async for page in self._pages(prefix, after, page_objects_max):
            yield [one for one in page if one.key.removesuffix("/") not in seen]

    async def read(
        self, key: str, *, tag: str, start: int, end: int, piece_bytes: int
    ) -> AsyncIterator[Piece]:
        if is_sayable(key):
            pieces = super().read(key, tag=tag, start=start, end=end, piece_bytes=piece_bytes)
        else:
            pieces = self._read(key, tag, start, end, piece_bytes)
        async for piece in pieces:
            yield piece

    async def clear(self, key: str) -> None:
        if is_sayable(key):
            await super().clear(key)
            return
        client = await self._sdk.client()
        await self._sdk.pace()
        with self._sdk.translated(f"cannot remove {key}"):
            await client.delete_object(Bucket=self._bucket, Key=key)

    async def _pages(
        self, prefix: str, after: str, page_objects_max: int
    ) -> AsyncIterator[Sequence[Listed]]:
        client, doing = await self._sdk.client(), f"cannot list {prefix or 'it'}"
        below = f"{prefix.rstrip('/')}/" if prefix else ""
        listing = client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket,
            Prefix=below,
            StartAfter=after,
            PaginationConfig={"PageSize": page_objects_max},
        )
        pages = aiter(listing)
        while True:
            await self._sdk.pace()
            with self._sdk.translated(doing):
                page = await anext(pages, None)
                if page is None:
                    return
                found = [
                    Listed(
                        key=one["Key"],
                        size_bytes=one["Size"],
                        tag=one["ETag"].strip('"'),
                        stored_at=one["LastModified"],
                    )
                    for one in page.get("Contents", [])
                ]
            yield found

    async def _read(
        self, key: str, tag: str, start: int, end: int, piece_bytes: int
    ) -> AsyncIterator[Piece]:
        if start >= end:
            return
        client, doing = await self._sdk.client(), f"cannot read {key}"
        await self._sdk.pace()
        with self._sdk.translated(doing):
            try:
                found = await client.get_object(
                    Bucket=self._bucket,
                    Key=key,
                    Range=f"bytes={start}-{end - 1}",
                    # A range of another version of the object must not be joined to those that were
                    # read.
                    IfMatch=f'"{tag}"' if tag else "*",
                )
            except ClientError as exc:
                if error_code(exc) in EXISTS:
                    raise RewrittenObjectError(
                        f"{key} of {self.name} was written while it was read",
                        hint="it is listed and read again",
                    ) from exc
                raise
        body = found["Body"]
        try:
            pieces = aiter(body.iter_chunks(piece_bytes))
            while True:
                with self._sdk.translated(doing):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                await self._pace.transfer(len(piece))
                yield piece
        finally:
            body.close()
