"""Whoever opens connections to an encrypted port and says nothing does not use it up."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from replicator.adapters.tls import trusting
from replicator.web.gate import GateLimits
from replicator.web.port import Port
from tests.servers.certificates import Authority

OPENED, OPEN_MAX = 60, 8
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {(await request.read()).decode()}")


@asynccontextmanager
async def encrypted(folder: Path) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    authority = Authority(folder / "ca", "ca")
    mine = authority.certificate("server", host="localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(mine.file, mine.key_file)
    application = web.Application()
    application.router.add_route("*", "/", hello)
    port = Port(
        application,
        listen="127.0.0.1:0",
        setting="web.control.listen",
        limits=GateLimits(connections_max=OPEN_MAX, connection_s_max=60.0),
        tls=tls,
    )
    try:
        url = await port.open()
        yield int(url.rpartition(":")[2]), trusting(authority.file)
    finally:
        await port.close()


async def asked(port: int, trusted: ssl.SSLContext, request: bytes = REQUEST) -> bytes:
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusted, server_hostname="localhost"
        )
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer


async def test_connections_that_never_shake_hands_are_counted(tmp_path: Path):
    async with encrypted(tmp_path) as (port, trusted):
        before = descriptors()
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(OPENED)]
        assert (await asked(port, trusted)).startswith(b"HTTP/1.1 200 OK")
        assert descriptors() - before <= OPENED + 2 * OPEN_MAX, "theirs, and few of ours"
        for _, writer in opened:
            writer.close()


async def test_requests_are_answered_whole(tmp_path: Path):
    body = b"x" * 200_000
    long = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    async with encrypted(tmp_path) as (port, trusted):
        for _ in range(20):
            assert (await asked(port, trusted)).endswith(b"hello ")
        answer = await asked(port, trusted, long % len(body) + body)
        assert answer.endswith(b"hello " + body)


async def test_who_speaks_no_tls_is_left_without_a_word(tmp_path: Path):
    async with encrypted(tmp_path) as (port, trusted):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        async with asyncio.timeout(30):
            assert b"HTTP" not in await reader.read()
        writer.close()
        assert (await asked(port, trusted)).startswith(b"HTTP/1.1 200 OK")
