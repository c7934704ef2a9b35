"""Bodies that end early are noticed, also where no length was said."""

import asyncio
from contextlib import suppress

import pytest

from replicator.adapters.transfer.http_session import (
    HttpSession,
    in_pieces,
    reached,
    retry_after_s,
    whole,
)
from replicator.errors import TransientError


@pytest.mark.parametrize(("told", "sent"), [(10, b"12345"), (5, b"")])
async def test_a_body_without_a_length_that_breaks_off(told: int, sent: bytes):
    with pytest.raises(TransientError, match="broke off"):
        await _read(sent, told)


@pytest.mark.parametrize("sent", [b"12345", b""])
async def test_a_body_without_a_length_that_is_whole(sent: bytes):
    assert await _read(sent, len(sent)) == sent


async def test_a_body_that_goes_on_after_what_was_asked_for():
    with pytest.raises(TransientError, match="longer than the 3 bytes requested"):
        await _read(b"12345", 3)


async def test_a_body_that_comes_a_byte_at_a_time_has_an_end():
    """Each byte comes in time; what is done with it does not count."""
    with pytest.raises(TransientError, match=r"\d bytes of a body took") as slow:
        await _read(b"x" * 1000, 1000, pause_s=0.02, request_timeout_s=0.1)
    assert "request_timeout_s" in slow.value.hint
    assert await _read(b"x" * 20, 20, done_s=0.02, request_timeout_s=0.1) == b"x" * 20


async def test_an_answer_that_comes_a_byte_at_a_time_has_an_end():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        with suppress(OSError, RuntimeError):
            for _ in range(1000):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
                if reader.at_eof():
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    http = HttpSession(ca_file=None, connect_timeout_s=5, request_timeout_s=5)
    try:
        with pytest.raises(TransientError), reached("here", "cannot look"):
            async with http.session().get(url) as response:
                await whole(response, "look", too_large=TransientError, within_s=0.1)
    finally:
        await http.close()
        server.close()
        await asyncio.sleep(0.1)  # so that who answers sees that nobody reads


async def _read(
    sent: bytes,
    told: int,
    *,
    pause_s: float = 0.0,
    done_s: float = 0.0,
    request_timeout_s: float = 5.0,
) -> bytes:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        with suppress(OSError, RuntimeError):
            for byte in sent if pause_s else ():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(pause_s)
                if reader.at_eof():
                    break
        writer.write(b"" if pause_s else sent)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    http = HttpSession(ca_file=None, connect_timeout_s=5, request_timeout_s=5)
    try:
        with reached("here", "cannot read"):
            async with http.session().get(url) as response:
                pieces = in_pieces(
                    response, size_bytes=told, piece_bytes=2, request_timeout_s=request_timeout_s
                )
                found = list[bytes]()
                async for piece in pieces:
                    found.append(piece)
                    await asyncio.sleep(done_s)
                return b"".join(found)
    finally:
        await http.close()
        server.close()
        await asyncio.sleep(0.1)  # so that who answers sees that nobody reads


DATE = "Wed, 21 Oct 2026 07:26:30 GMT"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": DATE}, 90.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:00:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "soon", "Date": DATE}, None),
        ({"Retry-After": "-5", "Date": DATE}, None),
        ({"Retry-After": "Wed, 21 Oct 20260000000000000000 07:28:00 GMT", "Date": DATE}, None),
        ({"Retry-After": f"{DATE[:-3]}+{10**20}", "Date": DATE}, None),
        ({"Retry-After": "7", "Date": f"{DATE[:-3]}+{10**20}"}, 7.0),
        ({}, None),
    ],
)
def test_what_a_server_asks_for(headers: dict[str, str], wait_s: float | None):
    assert retry_after_s(headers) == wait_s
