"""One bucket of Google Cloud Storage through its JSON API.

Uses aiohttp and google-auth instead of obstore, because no server that can run in tests implements
the API that obstore uses with Google (docs/decisions/0008-object-stores.md).
https://cloud.google.com/storage/docs/json_api/v1
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from io import BytesIO
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import orjson
from aiohttp import ClientResponse, MultipartWriter
from awscrt.checksums import crc32c

from replicator.adapters.bucket.bucket import (
    PAGE_OBJECTS_MAX,
    Begun,
    DeniedKeyError,
    Listed,
    RejectedKeyError,
    Stat,
)
from replicator.adapters.google.token import GoogleToken
from replicator.adapters.transfer.answers import AnswerShape, OddAnswerError, answered
from replicator.adapters.transfer.http_session import (
    BUSY,
    HttpSession,
    complaint,
    in_pieces,
    reached,
    refuse_redirect,
    retry_after_s,
    whole,
)
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import (
    CorruptionError,
    MissingObjectError,
    ReplicatorError,
    RewrittenObjectError,
    TransientError,
    UnreadableObjectError,
)
from replicator.model.document import Natural, Time
from replicator.ports import Effective, Piece

_T = TypeVar("_T")
CHUNK_UNIT = 256 << 10
"""Chunks of a resumable upload are multiples of this, except the last one."""
DENIED = frozenset({401, 403})
RATE_LIMITED = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """An object as the API describes it."""

    size: Natural
    generation: str
    updated: Time
    name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    crc32c: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    items: Sequence[_Object] = ()
    nextPageToken: str | None = None  # noqa: N815 - as the API names it


@dataclass(frozen=True, slots=True, kw_only=True)
class _WriteAnswer:
    """What is used of the answer to a write."""

    crc32c: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rewritten:
    done: bool = False
    rewriteToken: str = ""  # noqa: N815
    totalBytesRewritten: str = ""  # noqa: N815
    resource: _WriteAnswer = field(default_factory=_WriteAnswer)


_OBJECT = AnswerShape[_Object](_Object)
_PAGE = AnswerShape[_Page](_Page)
_WRITTEN = AnswerShape[_WriteAnswer](_WriteAnswer)
_REWRITTEN = AnswerShape[_Rewritten](_Rewritten)
_ANYTHING = AnswerShape[object](object)  # a removal says nothing: no body, or `null`


DIGITS_MAX: Final = 20
"""Digits of a number of bytes."""


class GoogleBucket:
    """A `Bucket`; the tag of an object is its generation."""

    def __init__(
        self, bucket: str, *, url: str, token: GoogleToken, http: HttpSession, pace: Pace
    ) -> None:
        self.name = f"gs://{bucket}"
        self.keeps_metadata = True
        self._bucket, self._url = quote(bucket, safe=""), url.rstrip("/")
        self._token, self._http, self._pace = token, http, pace

    async def stat(self, key: str) -> Stat | None:
        """Return an object's size, tag and metadata, None if there is no object: one request."""
        doing = f"cannot look at {key}"
        _, found = await self._request("GET", self._object(key), doing, shape=_OBJECT)
        if found is None:
            await self._require_bucket()
            return None
        return Stat(
            key=key,
            size_bytes=found.size,
            tag=found.generation,
            stored_at=found.updated,
            metadata={name.lower(): text for name, text in found.metadata.items()},
        )

    async def begin(self, key: str) -> Begun | None:
        """Return an object without its bytes, which take a request of their own."""
        stat = await self.stat(key)
        return None if stat is None else Begun(stat, None)

    async def pages(
        self, prefix: str, *, page_objects_max: int = PAGE_OBJECTS_MAX
    ) -> AsyncIterator[Sequence[Listed]]:
        """Yield the objects below a folder, one request per page.

        Raises:
            TransientError: the bucket does not exist, or a page leads back to an earlier one.
        """
        page: dict[str, str] = {"prefix": f"{prefix.rstrip('/')}/" if prefix else ""}
        page["maxResults"] = str(page_objects_max)
        seen_pages = set[str]()
        while True:
            url, doing = f"{self._url}/storage/v1/b/{self._bucket}/o", f"cannot list {prefix}"
            _, answer = await self._request("GET", url, doing, params=page, shape=_PAGE)
            if answer is None:
                raise self._no_bucket()
            yield [_listed(one) for one in answer.items]
            next_page = answer.nextPageToken
            if next_page is None:
                return
            if next_page in seen_pages:
                raise TransientError(f"{self.name}: {doing}: the listing does not go on")
            seen_pages.add(next_page)
            page["pageToken"] = next_page

    async def read(
        self, key: str, *, tag: str, start: int, end: int, piece_bytes: int
    ) -> AsyncIterator[bytes]:
        """Yield a range of an object that still has this generation."""
        if start >= end:
            return
        await self._pace.request()
        doing = f"cannot read {key}"
        params = {"alt": "media", "generation": tag}
        with reached(self.name, doing):
            async with self._http.request(
                "GET",
                self._object(key),
                params=params,
                headers={"Range": f"bytes={start}-{end - 1}", **await self._token.headers()},
            ) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    raise await self._gone(key)
                await self._require(response, doing)
                pieces = in_pieces(
                    response,
                    size_bytes=end - start,
                    piece_bytes=piece_bytes,
                    request_timeout_s=self._http.request_timeout_s,
                )
                async for piece in pieces:
                    await self._pace.transfer(len(piece))
                    yield piece

    async def create(
        self,
        key: str,
        data: Piece,
        metadata: Mapping[str, str] | None = None,
        *,
        retained: bool = True,
    ) -> bool:
        """Store an object; the server verifies its CRC32C. Return False if there is one already."""
        del retained
        return await self._insert(key, data, metadata, {"ifGenerationMatch": "0"})

    async def replace(self, key: str, data: Piece, *, retained: bool = False) -> None:
        """Store one of the replicator's own objects, whatever was there."""
        del retained
        await self._insert(key, data, None, {})

    async def writer(self, key: str, *, part_bytes: int) -> "GoogleWriter":
        """Begin a resumable upload, which the server forgets after a week.

        Raises:
            FileExistsError: there is an object already.
            OddAnswerError: the answer names no place for the upload, or another server.
        """
        doing = f"cannot begin the upload of {key}"
        await self._pace.request()
        with reached(self.name, doing):
            async with self._http.request(
                "POST",
                f"{self._url}/upload/storage/v1/b/{self._bucket}/o",
                params={"uploadType": "resumable", "name": key, "ifGenerationMatch": "0"},
                data=orjson.dumps({"name": key}),
                headers={"Content-Type": "application/json", **await self._token.headers()},
            ) as response:
                if response.status == HTTPStatus.PRECONDITION_FAILED:
                    raise FileExistsError(key)
                await self._require(response, doing)
                if (session := response.headers.get("Location")) is None:
                    raise OddAnswerError("it names no place for the upload")
                if urlsplit(session)[:2] != urlsplit(self._url)[:2]:  # token and bytes go there
                    raise OddAnswerError("it names another server for the upload")
        return GoogleWriter(self, session, key, chunk_bytes=_chunk(part_bytes))

    async def identity(self) -> Effective:
        """Return the login's identity."""
        return await self._token.identity()

    @property
    def service(self) -> str:
        """Identity of the service: it copies between two buckets if theirs are equal."""
        return self._url

    async def copy_from(
        self, source_bucket: "GoogleBucket", name: str, generation: str, key: str
    ) -> None:
        """Let the service copy an object of this generation, in as many steps as it needs.

        Raises:
            FileExistsError: there is an object at `key` already.
            MissingObjectError: the original is gone.
            RewrittenObjectError: the original was overwritten since it was listed.
            CorruptionError: the copy has another CRC32C and was removed.
            TransientError: a step has copied nothing more.
        """
        doing = f"cannot copy {source_bucket.name}/{name} to {key}"
        params = {"ifGenerationMatch": "0", "sourceGeneration": generation}
        looked_at = source_bucket._object(name)
        _, source = await source_bucket._request("GET", looked_at, doing, shape=_OBJECT)
        url = f"{looked_at}/rewriteTo/b/{self._bucket}/o/{quote(key, safe='')}"
        done, before = _Rewritten(), -1
        while not done.done:
            status, found = await self._request("POST", url, doing, params=params, shape=_REWRITTEN)
            if found is None:
                gone = status == HTTPStatus.NOT_FOUND
                raise await source_bucket._gone(name) if gone else FileExistsError(key)
            done, params["rewriteToken"] = found, found.rewriteToken
            total = found.totalBytesRewritten
            rewritten = int(total) if total.isdecimal() and len(total) < DIGITS_MAX else 0
            if not done.done and rewritten <= before:
                raise TransientError(
                    f"{self._context(doing)}: its copy does not go on at {total!r}"
                )
            before = rewritten
        if source is None or done.resource.crc32c != source.crc32c:
            await self.delete(key)
            raise CorruptionError(f"{key} of {self.name} was copied with another CRC32C")

    async def clear(self, key: str) -> None:
        """Make sure that no object is at a key."""
        await self.delete(key)

    async def delete(self, key: str) -> None:
        """Remove an object, which may be gone."""
        await self._request("DELETE", self._object(key), f"cannot remove {key}", shape=_ANYTHING)

    async def extend(self, key: str, until: datetime) -> bool:
        """Do nothing: retention policies belong to the bucket's owner."""
        del key, until
        return True

    async def send(
        self, session: str, key: str, data: Piece, headers: Mapping[str, str]
    ) -> str | None:
        """Send a chunk of a resumable upload; return the object's CRC32C after the last one.

        Raises:
            FileExistsError: another process has stored the object meanwhile.
        """
        doing = f"cannot write {key}"
        await self._pace.request()
        await self._pace.transfer(len(data))
        with reached(self.name, doing):
            async with self._http.request(
                "PUT",
                session,
                data=BytesIO(data),
                headers={**headers, **await self._token.headers()},
            ) as response:
                if response.status == HTTPStatus.PERMANENT_REDIRECT:
                    return None
                if response.status == HTTPStatus.PRECONDITION_FAILED:
                    raise FileExistsError(key)
                await self._require(response, doing)
                return _read(_WRITTEN, await self._body(response, doing)).crc32c

    async def cancel(self, session: str, key: str) -> None:
        """End a resumable upload; the server answers 499, or 404 if it has forgotten the upload."""
        await self._pace.request()
        with reached(self.name, f"cannot cancel the upload of {key}"):
            async with self._http.request(
                "DELETE", session, headers=await self._token.headers()
            ) as response:
                await complaint(response, within_s=self._http.request_timeout_s)

    async def _insert(
        self, key: str, data: Piece, metadata: Mapping[str, str] | None, params: Mapping[str, str]
    ) -> bool:
        doing = f"cannot write {key}"
        await self._pace.request()
        await self._pace.transfer(len(data))
        resource = {"name": key, "crc32c": crc32c_text(crc32c(data)), "metadata": metadata or {}}
        with MultipartWriter("related") as body:
            body.append(orjson.dumps(resource), {"Content-Type": "application/json"})
            body.append(BytesIO(data), {"Content-Type": "application/octet-stream"})
        with reached(self.name, doing):
            async with self._http.request(
                "POST",
                f"{self._url}/upload/storage/v1/b/{self._bucket}/o",
                params={"uploadType": "multipart", **params},
                data=body,
                headers=await self._token.headers(),
            ) as response:
                if response.status == HTTPStatus.PRECONDITION_FAILED:
                    return False
                if response.status == HTTPStatus.NOT_FOUND:
                    raise self._no_bucket()
                await self._require(response, doing)
                stored = _read(_WRITTEN, await self._body(response, doing))
        if stored.crc32c not in {None, resource["crc32c"]}:
            await self.delete(key)
            raise CorruptionError(f"{key} of {self.name} was stored with other bytes than sent")
        return True

    async def _request(
        self,
        method: str,
        url: str,
        doing: str,
        *,
        params: Mapping[str, str] | None = None,
        shape: AnswerShape[_T],
    ) -> tuple[int, _T | None]:
        """Return a status and its answer, which 404 and 412 do not have."""
        await self._pace.request()
        with reached(self.name, doing):
            async with self._http.request(
                method, url, params=params, headers=await self._token.headers()
            ) as response:
                if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED}:
                    return response.status, None
                await self._require(response, doing)
                return response.status, _read(shape, await self._body(response, doing))

    async def _body(self, response: ClientResponse, doing: str) -> bytes:
        return await whole(
            response,
            self._context(doing),
            too_large=UnreadableObjectError,
            within_s=self._http.request_timeout_s,
        )

    def _context(self, doing: str) -> str:
        return f"{self.name}: {doing}"

    async def _require(self, response: ClientResponse, doing: str) -> None:
        refuse_redirect(response, self._context(doing))
        if response.ok:
            return
        text = await complaint(response, within_s=self._http.request_timeout_s)
        message = f"{self._context(doing)}: {answered(response.status, text)}"
        limited = any(word in text for word in RATE_LIMITED)
        # Google answers 403 for a rate that is too high as well as for a missing right: the text
        # tells.
        if limited or response.status in BUSY:
            self._pace.refused(retry_after_s(response.headers))
        denied = response.status in DENIED and not limited
        error: type[ReplicatorError] = DeniedKeyError if denied else TransientError
        if response.status == HTTPStatus.BAD_REQUEST:
            error = RejectedKeyError  # also for an object encrypted with its writer's own key
        hint = "check the credentials and what they may do there" if denied else ""
        raise error(message, hint=hint)

    async def _gone(self, key: str) -> ReplicatorError:
        """Return the error for an object that is gone, or that has another generation by now."""
        if await self.stat(key) is None:
            return MissingObjectError(f"{key} is not in {self.name}")
        return RewrittenObjectError(
            f"{key} of {self.name} was written while it was read",
            hint="it is listed and read again",
        )

    async def _require_bucket(self) -> None:
        """Raise an error if the bucket is missing: that answers 404 as well as a missing object."""
        url = f"{self._url}/storage/v1/b/{self._bucket}/o"
        params, doing = {"maxResults": "1"}, "cannot list it"
        _, found = await self._request("GET", url, doing, params=params, shape=_PAGE)
        if found is None:
            raise self._no_bucket()

    def _no_bucket(self) -> TransientError:
        return TransientError(f"{self.name} does not exist", hint="make it, or correct its name")

    def _object(self, key: str) -> str:
        return f"{self._url}/storage/v1/b/{self._bucket}/o/{quote(key, safe='')}"


class GoogleWriter:
    """A resumable upload: the object appears after its last chunk."""

    def __init__(self, bucket: GoogleBucket, session: str, key: str, *, chunk_bytes: int) -> None:
        self._bucket, self._session, self._key = bucket, session, key
        self._chunk_bytes = chunk_bytes
        self._rest = bytearray()
        self._sent = self._crc = 0

    async def write(self, data: Piece) -> None:
        """Add bytes; whole chunks are sent, except the last one, which `complete` sends."""
        self._crc = crc32c(data, self._crc)
        self._rest += data
        # Longer, and not as long: the last chunk must not be empty, as it ends the upload.
        while len(self._rest) > self._chunk_bytes:
            chunk = bytes(self._rest[: self._chunk_bytes])
            last = self._sent + len(chunk) - 1
            headers = {"Content-Range": f"bytes {self._sent}-{last}/*"}
            await self._bucket.send(self._session, self._key, chunk, headers)
            del self._rest[: self._chunk_bytes]
            self._sent += len(chunk)

    async def abort(self) -> None:
        """Cancel the upload."""
        await self._bucket.cancel(self._session, self._key)

    async def complete(self) -> None:
        """Send the last chunk and compare the CRC32C of the whole object.

        Raises:
            CorruptionError: it differs, and the object was removed.
        """
        size_bytes = self._sent + len(self._rest)
        headers = {"Content-Range": f"bytes {self._sent}-{size_bytes - 1}/{size_bytes}"}
        found = await self._bucket.send(self._session, self._key, bytes(self._rest), headers)
        if found not in {None, crc32c_text(self._crc)}:
            await self._bucket.delete(self._key)
            raise CorruptionError(
                f"{self._key} of {self._bucket.name} was stored with other bytes than sent"
            )


def crc32c_text(crc: int) -> str:
    """Return a checksum in Google's notation."""
    return b64encode(crc.to_bytes(4, "big")).decode()


def _listed(found: _Object) -> Listed:
    return Listed(
        key=found.name,
        size_bytes=found.size,
        tag=found.generation,
        stored_at=found.updated,
    )


def _chunk(part_bytes: int) -> int:
    return -(-part_bytes // CHUNK_UNIT) * CHUNK_UNIT


def _read(shape: AnswerShape[_T], text: bytes) -> _T:
    """Return an answer; a body that is left out is that of an object without members."""
    return shape.read(text or b"{}")
