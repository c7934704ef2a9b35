"""An S3 in memory that takes every key as the text it is, and can be as odd as some real ones."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape, unescape

from aiohttp import web
from aiohttp.test_utils import TestServer

WRITTEN_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Refusal:
    """What a GET of an object is answered, and a HEAD when that is refused too."""

    status: int
    code: str
    head: bool = False


@dataclass
class OddS3:
    """One bucket, `druid`, addressed by path."""

    objects: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    """By keys; '' for all of them."""
    asked: list[str] = field(default_factory=list)
    """Method and key of each request for an object."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.rel_url.raw_path)
        key = path.removeprefix("/druid").removeprefix("/")
        if not key:
            deletes = request.method == "POST"
            return await self._deleted(request) if deletes else self._listing(request)
        self.asked.append(f"{request.method} {key}")
        refusal = self.refused.get(key) or self.refused.get("")
        if refusal and (request.method != "HEAD" or refusal.head):
            return _error(refusal.status, refusal.code, with_body=request.method != "HEAD")
        match request.method:
            case "PUT":
                return await self._put(request, key)
            case "DELETE":
                self.objects.pop(key, None)
                return web.Response(status=204)
            case _:
                return self._get(request, key)

    async def _deleted(self, request: web.Request) -> web.Response:
        keys = re.findall(r"<Key>(.*?)</Key>", await request.text())
        for key in map(unescape, keys):
            self.objects.pop(key, None)
        found = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        text = f"<DeleteResult>{found}</DeleteResult>"
        return web.Response(text=text, content_type="application/xml")

    async def _put(self, request: web.Request, key: str) -> web.Response:
        if key in self.objects and request.headers.get("If-None-Match") == "*":
            return _error(412, "PreconditionFailed")
        self.objects[key] = await request.read()
        self.metadata[key] = {
            name.lower(): text
            for name, text in request.headers.items()
            if name.lower().startswith("x-amz-meta-")
        }
        return web.Response(headers={"ETag": _etag(self.objects[key])})

    def _get(self, request: web.Request, key: str) -> web.Response:
        if (data := self.objects.get(key)) is None:
            return _error(404, "NoSuchKey", with_body=request.method != "HEAD")
        headers = {
            "ETag": _etag(data),
            "Last-Modified": format_datetime(WRITTEN_AT, usegmt=True),
            **self.metadata.get(key, {}),
        }
        if request.headers.get("If-Match", _etag(data)) not in {_etag(data), "*"}:
            return _error(412, "PreconditionFailed")
        if "Range" not in request.headers:
            return web.Response(body=data, headers=headers)
        first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        return web.Response(status=206, body=part, headers=headers)

    def _listing(self, request: web.Request) -> web.Response:
        query = request.query
        after = max(query.get("start-after", ""), query.get("continuation-token", ""))
        limit = int(query.get("max-keys", "1000"))
        keys = [key for key in sorted(self.objects) if key.startswith(query.get("prefix", ""))]
        rest = [key for key in keys if key > after]
        page, more = rest[:limit], len(rest) > limit
        encoded = query.get("encoding-type") == "url"
        contents = "".join(
            f"<Contents><Key>{quote(key) if encoded else escape(key)}</Key>"
            f"<LastModified>{WRITTEN_AT:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{escape(_etag(self.objects[key]))}</ETag>"
            f"<Size>{len(self.objects[key])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>'
            f"<Name>druid</Name><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{'<EncodingType>url</EncodingType>' if encoded else ''}"
            f"<KeyCount>{len(page)}</KeyCount>{token}{contents}</ListBucketResult>"
        )
        return web.Response(text=text, content_type="application/xml")


@asynccontextmanager
async def serving_s3(odd: OddS3) -> AsyncIterator[str]:
    """Run it, and give its URL."""
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", odd.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def _etag(data: bytes) -> str:
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'


def _error(status: int, code: str, *, with_body: bool = True) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>" if with_body else ""
    return web.Response(status=status, text=text, content_type="application/xml")
