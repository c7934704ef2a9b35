"""An HTTP proxy that lets things go wrong: resets, refusals, bytes that change on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Request:
    method: str
    path: str

    @property
    def kind(self) -> str:
        """What S3 would call it, as far as the tests tell requests apart."""
        query = self.path.partition("?")[2]
        if "partNumber=" in query:
            return "UploadPart" if self.method == "PUT" else "GetPart"
        if "uploads" in query:
            return "CreateMultipartUpload" if self.method == "POST" else "ListMultipartUploads"
        if "uploadId=" in query:
            names = {"POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
            return names.get(self.method, "ListParts")
        if "list-type=2" in query:
            return "List"
        if "_replicator/receipts" in self.path:
            return f"{self.method} receipt"
        return self.method


@dataclass(frozen=True)
class Refuse:
    """Answer without asking the server."""

    status: int
    code: str = "SlowDown"
    retry_after: str = ""


@dataclass(frozen=True)
class Reset:
    """Cut the connection: before the request is sent on, in its body, or in the answer's body."""

    where: str


@dataclass(frozen=True)
class Stall:
    """Take the request and never answer."""


@dataclass(frozen=True)
class Flip:
    """Change one bit of the body that is sent: at its beginning, or where `what` is."""

    what: bytes = b""


Fate = Refuse | Reset | Stall | Flip | None
Decide = Callable[[Request], Fate]


@dataclass
class Proxy:
    """Listens in front of a server; `decide` says what becomes of each request."""

    upstream_port: int
    port: int = 0
    decide: Decide = lambda _: None
    seen: list[Request] = field(default_factory=list)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kinds(self) -> list[str]:
        return [request.kind for request in self.seen]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            await self._one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.serving.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(HEAD_END)
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        lower = {name.lower(): value for name, value in headers.items()}
        request = Request(method, path)
        self.seen.append(request)
        fate = self.decide(request)
        if fate == Reset("before"):
            return
        if fate == Stall():
            await asyncio.Event().wait()
        if lower.get("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(lower.get("content-length", "0"))
        if fate == Reset("request"):
            await reader.readexactly(length // 2)
            return
        body = await reader.readexactly(length)
        if isinstance(fate, Refuse):
            writer.write(_refusal(fate, with_body=method != "HEAD"))
            await writer.drain()
            return
        if isinstance(fate, Flip) and body:
            at = body.index(fate.what)
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        kept = [
            line for line in lines if line.lower().split(":")[0] not in {"expect", "connection"}
        ]
        sent = "\r\n".join([first, *kept, "Connection: close"]).encode("latin-1") + HEAD_END + body
        await self._forward(sent, writer, cut=fate == Reset("response"))

    async def _forward(self, sent: bytes, writer: asyncio.StreamWriter, *, cut: bool) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        try:
            up_writer.write(sent)
            await up_writer.drain()
            answer = await up_reader.readuntil(HEAD_END)
            # where an upload goes on must lead here again
            answer = answer.replace(b":%d/" % self.upstream_port, b":%d/" % self.port)
            writer.write(answer)
            rest = await up_reader.read(-1)
            writer.write(rest[: len(rest) // 2] if cut else rest)
            await writer.drain()
        finally:
            up_writer.close()


def _refusal(fate: Refuse, *, with_body: bool) -> bytes:
    body = f"<Error><Code>{fate.code}</Code><Message>{fate.code}</Message></Error>".encode()
    head = (
        f"HTTP/1.1 {fate.status} Refused\r\nContent-Type: application/xml\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    head += f"Retry-After: {fate.retry_after}\r\n\r\n" if fate.retry_after else "\r\n"
    return head.encode() + (body if with_body else b"")


@asynccontextmanager
async def proxy(upstream_port: int) -> AsyncIterator[Proxy]:
    """Keep a proxy in front of a server for the length of the block."""
    found = Proxy(upstream_port)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in list(found.serving):
            task.cancel()
        if found.serving:
            await asyncio.wait(found.serving)
