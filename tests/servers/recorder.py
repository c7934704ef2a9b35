"""A proxy that plays every cloud's storage in memory, and remembers who was asked for what.

It answers for any host: a request that goes elsewhere than it should is answered too, and stands in
the record. Just as much of each protocol is played as this project's own adapters use.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
from aiohttp import web
from multidict import CIMultiDict

AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """One request as the proxy saw it."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: CIMultiDict[str]
    body: bytes = b""


@dataclass(frozen=True)
class Kept:
    """One object, whichever protocol brought it."""

    data: bytes
    metadata: dict[str, str]
    version: str


@dataclass
class Recorder:
    """The record, and the objects that were stored in its course, by host and key."""

    seen: list[Asked] = field(default_factory=list)
    kept: dict[str, Kept] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    url: str = ""
    ignores_if_none_match: bool = False
    refuse: Callable[[Asked], web.Response | None] = lambda _: None
    """What to answer instead."""

    @property
    def hosts(self) -> set[str]:
        return {asked.host for asked in self.seen}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if "Expect" in request.headers and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts = urlsplit(request.raw_path)
        asked = Asked(
            method=request.method,
            host=parts.netloc or request.headers.get("Host", ""),
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers=CIMultiDict(request.headers),
            body=await request.content.read(),  # of any size
        )
        self.seen.append(asked)
        if (refused := self.refuse(asked)) is not None:
            return refused
        if asked.path.startswith("/webhdfs/"):
            return self.hdfs(asked)
        if asked.path == "/token":
            return web.json_response({"access_token": "google-token", "expires_in": 3600})
        if asked.path.startswith(("/storage/v1/", "/upload/storage/v1/")):
            return self.google(asked)
        if "x-ms-version" in asked.headers:
            return self.azure(asked)
        return self.s3(asked)

    # -------------------------------------------------------------------------------- objects

    def keep(self, name: str, data: bytes, metadata: dict[str, str] | None = None) -> Kept:
        self.kept[name] = kept = Kept(data, metadata or {}, str(next(self.numbers)))
        return kept

    def below(self, name: str) -> list[tuple[str, Kept]]:
        return sorted((key, kept) for key, kept in self.kept.items() if key.startswith(name))

    def _exists(self, asked: Asked, name: str) -> bool:
        return (
            not self.ignores_if_none_match
            and asked.headers.get("If-None-Match") == "*"
            and name in self.kept
        )

    # ------------------------------------------------------------------------------------- S3

    def s3(self, asked: Asked) -> web.Response:  # noqa: PLR0911 - one for each request
        name, query = f"{asked.host}{asked.path}", asked.query
        if "object-lock" in query:
            return _xml("<ObjectLockEnabled>Enabled</ObjectLockEnabled>", "ObjectLockConfiguration")
        if "retention" in query:
            return web.Response()
        if "versions" in query or "uploads" in query or "list-type" in query:
            return self._s3_listing(asked, name)
        if "uploadId" in query:
            return self._s3_part(asked, name)
        match asked.method:
            case "PUT":
                return self._s3_put(asked, name)
            case "DELETE":
                self.kept.pop(name, None)
                return web.Response(status=204)
            case _ if asked.path.count("/") < 2 and name.rstrip("/") not in self.kept:
                return web.Response()  # the bucket
            case _:
                return _object(asked, self.kept.get(name), _s3_headers)

    def _s3_put(self, asked: Asked, name: str) -> web.Response:
        copied = asked.headers.get("x-amz-copy-source")
        if self._exists(asked, name):
            return refusal(412, "PreconditionFailed")
        data = asked.body
        if copied is not None:
            bucket = unquote(copied).lstrip("/")
            sources = [k for k in self.kept if k.replace(".", "/", 1).endswith(_key(bucket))]
            data = self.kept[sources[0]].data
        metadata = {k[11:]: v for k, v in asked.headers.items() if k.startswith("x-amz-meta-")}
        kept = self.keep(name, data, metadata)
        if copied is None:
            return web.Response(headers=_s3_headers(kept))
        sha = b64encode(hashlib.sha256(data).digest()).decode()
        etag = _s3_headers(kept)["ETag"]
        return _xml(
            f"<ETag>{etag}</ETag><ChecksumSHA256>{sha}</ChecksumSHA256>", "CopyObjectResult"
        )

    def _s3_listing(self, asked: Asked, name: str) -> web.Response:
        if "uploads" in asked.query:
            if asked.method == "GET":
                return _xml("", "ListMultipartUploadsResult")
            self.parts[name] = {}
            return _xml("<UploadId>u</UploadId>", "InitiateMultipartUploadResult")
        root = name.rstrip("/") + "/"
        of = "Version" if "versions" in asked.query else "Contents"
        found = "".join(
            f"<{of}><Key>{key.removeprefix(root)}</Key><Size>{len(kept.data)}</Size>"
            f"<VersionId>{kept.version}</VersionId><IsLatest>true</IsLatest>"
            f"<LastModified>{AT:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{_s3_headers(kept)['ETag']}</ETag></{of}>"
            for key, kept in self.below(root + asked.query.get("prefix", ""))
        )
        return _xml(f"<IsTruncated>false</IsTruncated>{found}", "ListBucketResult")

    def _s3_part(self, asked: Asked, name: str) -> web.Response:
        match asked.method:
            case "PUT":
                self.parts[name][int(asked.query["partNumber"])] = asked.body
                return web.Response(headers={"ETag": f'"{hashlib.md5(asked.body).hexdigest()}"'})  # noqa: S324
            case "POST":
                if self._exists(asked, name):
                    return refusal(412, "PreconditionFailed")
                parts = self.parts.pop(name)
                self.keep(name, b"".join(parts[n] for n in sorted(parts)))
                return _xml("<ETag>e-1</ETag>", "CompleteMultipartUploadResult")
            case _:
                self.parts.pop(name, None)
                return web.Response(status=204)

    # ---------------------------------------------------------------------------------- Azure

    def azure(self, asked: Asked) -> web.Response:  # noqa: PLR0911 - one for each request
        name, query = f"{asked.host}{asked.path}", asked.query
        if query.get("comp") == "list":
            root = name.rstrip("/") + "/"
            blobs = "".join(
                f"<Blob><Name>{key.removeprefix(root)}</Name><Properties>"
                f"<Last-Modified>{format_datetime(AT, usegmt=True)}</Last-Modified>"
                f"<Content-Length>{len(kept.data)}</Content-Length>"
                f"<Content-Type>x/y</Content-Type><Etag>{kept.version}</Etag>"
                "</Properties></Blob>"
                for key, kept in self.below(root + query.get("prefix", ""))
            )
            return _xml(f"<Blobs>{blobs}</Blobs><NextMarker/>", "EnumerationResults")
        if query.get("comp") == "batch":
            return self._azure_batch(asked)
        if query.get("comp") == "block":
            self.parts.setdefault(name, {})[len(self.parts[name]) if name in self.parts else 0] = (
                asked.body
            )
            return web.Response(status=201)
        match asked.method:
            case "PUT":
                if self._exists(asked, name):
                    return refusal(409, "BlobAlreadyExists")
                data = asked.body
                if query.get("comp") == "blocklist":
                    parts = self.parts.pop(name)
                    data = b"".join(parts[n] for n in sorted(parts))
                metadata = {
                    k[10:]: v for k, v in asked.headers.items() if k.startswith("x-ms-meta-")
                }
                return web.Response(
                    status=201, headers=_azure_headers(self.keep(name, data, metadata))
                )
            case "DELETE":
                found = self.kept.pop(name, None)
                return web.Response(status=404 if found is None else 202)
            case _:
                return _object(asked, self.kept.get(name), _azure_headers)

    def _azure_batch(self, asked: Asked) -> web.Response:
        answers = ""
        for number, one in enumerate(re.findall(rb"DELETE (\S+) HTTP", asked.body)):
            name = f"{asked.host}{unquote(urlsplit(one.decode()).path)}"
            status = "404 Not Found" if self.kept.pop(name, None) is None else "202 Accepted"
            answers += (
                f"--b\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
                f"HTTP/1.1 {status}\r\nx-ms-version: 2021\r\n\r\n"
            )
        return web.Response(
            status=202, body=f"{answers}--b--\r\n".encode(),
            headers={"Content-Type": "multipart/mixed; boundary=b"},
        )  # fmt: skip

    # --------------------------------------------------------------------------------- Google

    def google(self, asked: Asked) -> web.Response:  # noqa: PLR0911 - one for each request
        before, _, key = asked.path.partition("/o/")
        root = f"{asked.host}{before.removeprefix('/upload').removesuffix('/o')}/"
        if asked.path.startswith("/upload"):
            return self._google_upload(asked, root)
        if not key:
            found = self.below(root + asked.query.get("prefix", ""))
            items = [_resource(name.removeprefix(root), kept) for name, kept in found]
            return web.json_response({"items": items})
        if "/rewriteTo/" in key:
            source, _, into = key.partition("/rewriteTo/b/")
            bucket, _, target = into.partition("/o/")
            name = f"{asked.host}/storage/v1/b/{bucket}/{target}"
            kept = self.keep(name, self.kept[root + source].data)
            return web.json_response({"done": True, "resource": _resource(target, kept)})
        kept_ = self.kept.get(root + key)
        if asked.method == "DELETE":
            self.kept.pop(root + key, None)
            return web.Response(status=204)
        if kept_ is None:
            return web.json_response({}, status=404)
        if asked.query.get("alt") == "media":
            return _object(asked, kept_, lambda _: {})
        return web.json_response(_resource(key, kept_))

    def _google_upload(self, asked: Asked, root: str) -> web.Response:
        if asked.query.get("uploadType") == "resumable" and asked.method == "POST":
            url = f"http://{asked.host}{asked.path}?session={asked.query['name']}"
            return web.Response(headers={"Location": url})
        if (session := asked.query.get("session")) is not None:
            held = self.parts.setdefault(session, {})
            held[len(held)] = asked.body
            if asked.headers["Content-Range"].endswith("*"):
                return web.Response(status=308)
            data = b"".join(held[n] for n in sorted(self.parts.pop(session)))
            return web.json_response(_resource(session, self.keep(root + session, data)))
        boundary = asked.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
        _, first, second, _ = asked.body.split(b"--" + boundary)
        told = orjson.loads(first.partition(b"\r\n\r\n")[2])
        name = told["name"]
        if asked.query.get("ifGenerationMatch") == "0" and root + name in self.kept:
            return web.json_response({}, status=412)
        data = second.partition(b"\r\n\r\n")[2][:-2]
        kept = self.keep(root + name, data, told.get("metadata"))
        return web.json_response(_resource(name, kept))

    # ----------------------------------------------------------------------------------- HDFS

    def hdfs(self, asked: Asked) -> web.Response:  # noqa: C901, PLR0911 - one for each request
        name, op = asked.path.removeprefix("/webhdfs/v1"), asked.query["op"]
        kept = self.kept.get(name)
        if asked.host.startswith("datanode"):
            if op == "OPEN":
                assert kept is not None
                start, length = int(asked.query["offset"]), int(asked.query["length"])
                return web.Response(body=kept.data[start : start + length])
            self.keep(name, (kept.data if kept and op == "APPEND" else b"") + asked.body)
            return web.Response(status=201)
        match op:
            case "OPEN" | "CREATE" | "APPEND":
                query = "&".join(f"{k}={v}" for k, v in asked.query.items())
                url = f"http://datanode.{asked.host}{asked.path}?{query}"
                return web.json_response({"Location": url})
            case "RENAME":
                into = asked.query["destination"]
                moved = into not in self.kept
                if moved:
                    self.kept[into] = self.kept.pop(name)
                return web.json_response({"boolean": moved})
            case "MKDIRS":
                return web.json_response({"boolean": True})
            case "DELETE":
                return web.json_response({"boolean": self.kept.pop(name, None) is not None})
            case "GETFILESTATUS":
                if kept is None:
                    return web.json_response({}, status=404)
                return web.json_response({"FileStatus": _status("", kept)})
            case _:
                return self._hdfs_folder(name)

    def _hdfs_folder(self, name: str) -> web.Response:
        names = {
            key.removeprefix(f"{name}/").partition("/")[0] for key, _ in self.below(f"{name}/")
        }
        statuses = []
        for one in sorted(names):
            kept = self.kept.get(f"{name}/{one}")
            folder = {"type": "DIRECTORY", "pathSuffix": one, "length": 0, "modificationTime": 0}
            statuses.append(folder if kept is None else _status(one, kept))
        return web.json_response({"FileStatuses": {"FileStatus": statuses}})


def _key(copied: str) -> str:
    return copied.partition("/")[2]


def _status(name: str, kept: Kept) -> dict[str, object]:
    return {
        "type": "FILE", "pathSuffix": name, "length": len(kept.data),
        "modificationTime": int(kept.version),
    }  # fmt: skip


def _resource(name: str, kept: Kept) -> dict[str, object]:
    return {
        "name": name, "size": str(len(kept.data)), "generation": kept.version,
        "updated": AT.isoformat(), "metadata": kept.metadata,
    }  # fmt: skip


def _s3_headers(kept: Kept) -> dict[str, str]:
    return {
        "ETag": f'"{hashlib.md5(kept.data).hexdigest()}"',  # noqa: S324
        "x-amz-checksum-sha256": b64encode(hashlib.sha256(kept.data).digest()).decode(),
        "x-amz-version-id": kept.version,
        "Last-Modified": format_datetime(AT, usegmt=True),
        **{f"x-amz-meta-{name}": value for name, value in kept.metadata.items()},
    }


def _azure_headers(kept: Kept) -> dict[str, str]:
    return {
        "ETag": f'"{kept.version}"',
        "Last-Modified": format_datetime(AT, usegmt=True),
        "x-ms-creation-time": format_datetime(AT, usegmt=True),
        **{f"x-ms-meta-{name}": value for name, value in kept.metadata.items()},
    }


def _object(
    asked: Asked, kept: Kept | None, headers: Callable[[Kept], dict[str, str]]
) -> web.Response:
    if kept is None:
        return refusal(404, "NoSuchKey")
    told, data = headers(kept), kept.data
    if asked.method == "HEAD":
        return web.Response(headers={**told, "Content-Length": str(len(data))})
    bounds = asked.headers.get("Range") or asked.headers.get("x-ms-range")
    if bounds is None:
        return web.Response(body=data, headers=told)
    start, _, end = bounds.removeprefix("bytes=").partition("-")
    told["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return web.Response(status=206, body=data[int(start) : int(end) + 1], headers=told)


def refusal(status: int, code: str) -> web.Response:
    answer = _xml(f"<Code>{code}</Code><Message>{code}</Message>", "Error")
    answer.set_status(status)
    return answer


def _xml(inside: str, root: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{inside}</{root}>'
    return web.Response(text=text, content_type="application/xml")


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    """Listen for as long as the block runs."""
    found = Recorder()
    server = web.Server(found.answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()
