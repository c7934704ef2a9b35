"""Whoever reaches the port can ask, and can neither use it up nor fill the log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from replicator.web.gate import GateLimits, host_is_allowed
from replicator.web.server import WebServer
from tests.unit.web.test_web import Monitored

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def serving(server: WebServer | None = None) -> AsyncIterator[int]:
    server = server or Monitored().server()
    url = await server.start()
    try:
        yield int(url.rpartition(":")[2])
    finally:
        await server.close()


async def said(
    port: int, request: bytes, *, wait_s: float = 30.0, half_is_fine: bool = False
) -> bytes:
    """Return all that is answered until the server closes the connection.

    With `half_is_fine` what was answered within `wait_s` is enough.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(wait_s):
            return await reader.read()
    except ConnectionError:
        return b""
    except TimeoutError:
        if half_is_fine:
            return b""
        raise
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HEALTH, 200),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: 10.1.2.3:9464\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example:9464\r\n\r\n", 421),
        (b"GET /status.json HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", 413),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 5000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: a\r\n" * 99 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\n\r\n", 417),
        (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nExpect: more\r\n\r\n", 417),
    ],
)
async def test_each_request_has_its_answer_and_nothing_is_logged(
    request_: bytes,
    status: int,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    async with serving() as port:
        capfd.readouterr()
        answer = await said(port, request_)
    out, err = capfd.readouterr()
    assert answer.startswith(b"HTTP/1.")
    assert answer.split()[1] == str(status).encode(), answer
    assert b"aiohttp" not in answer
    assert b"Python" not in answer
    assert b"Server: druid-replicator\r\n" in answer
    assert b"Traceback" not in answer
    assert (status in {400, 417}) == (b"\r\nContent-Type: application/problem+json\r\n" in answer)
    assert (out, err, caplog.records) == ("", "", [])


@pytest.mark.parametrize(
    ("header", "is_allowed"),
    [
        (None, True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("2130706433", False),
        ("replicator.example", True),
        ("Replicator.Example:9464", True),
        ("replicator.example.evil", False),
        ("evil", False),
        ("", False),
        ("[", False),
        ("a@127.0.0.1", True),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_a_name_must_be_ours_an_address_is_none(header: str | None, is_allowed: bool):
    assert host_is_allowed(header, {"replicator.example"}) == is_allowed


async def test_names_of_the_configuration_are_ours():
    monitored = Monitored()
    server = WebServer(
        listen="localhost:0", answers=monitored.answers, allowed_hosts=("Watched.example",)
    )
    async with serving(server) as port:
        for host in (b"watched.example:80", b"localhost"):
            answer = await said(port, b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            assert answer.split()[1] == b"200"


async def test_who_is_slow_is_closed_and_others_are_answered():
    """A request that never ends, and one whose answer is never read."""
    limits = GateLimits(connection_s_max=0.2)
    async with serving(Monitored().server(limits=limits)) as port:
        half = HEALTH[:20]
        slow = [asyncio.create_task(said(port, half)) for _ in range(5)]
        assert (await said(port, HEALTH)).endswith(b"ok\n")
        assert [await one for one in slow] == [b""] * 5


async def test_many_half_requests_keep_nobody_out():
    limits = GateLimits(connections_max=8)
    async with serving(Monitored().server(limits=limits)) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        for _, writer in opened:
            writer.write(HEALTH[:20])
        assert (await said(port, HEALTH)).endswith(b"ok\n")
        still_open = 0
        for reader, writer in opened:
            try:
                async with asyncio.timeout(0.01):
                    await reader.read()
            except TimeoutError:
                still_open += 1
            except ConnectionError:
                pass
            writer.close()
        assert still_open <= 8


async def test_whoever_opens_many_connections_closes_their_own():
    limits = GateLimits(connections_max=8)
    async with serving(Monitored().server(limits=limits)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEALTH[:20])
        theirs = ("127.0.1.2", 0)
        opened = [
            await asyncio.open_connection("127.0.0.1", port, local_addr=theirs) for _ in range(40)
        ]
        assert (await said(port, HEALTH)).endswith(b"ok\n"), "the newest is let in"
        writer.write(HEALTH[20:])
        async with asyncio.timeout(30):
            assert (await reader.read()).endswith(b"ok\n"), "the oldest is still there"
        for one in (writer, *(other for _, other in opened)):
            one.close()


async def test_an_answer_that_fails_is_told_in_a_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monitored = Monitored()

    def broken(*_: object) -> object:
        raise KeyError("cut")

    monkeypatch.setattr("replicator.web.server.seen_json", broken)
    async with serving(monitored.server()) as port:
        capfd.readouterr()
        answer = await said(port, b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.split()[1] == b"500"
    assert b"cut" not in answer
    out, err = capfd.readouterr()
    assert len((out + err).splitlines()) == 1
    assert "/status.json" in out + err
    assert "KeyError" in out + err
