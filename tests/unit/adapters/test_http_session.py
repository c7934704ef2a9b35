"""Bodies that end early are noticed, also where no length was said."""

import asyncio

import pytest

from replicator.adapters.transfer.http_session import (
    HttpSession,
    asked_to_wait_s,
    in_pieces,
    reached,
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
    with pytest.raises(TransientError, match="longer than the 3 bytes asked for"):
        await _read(b"12345", 3)


async def _read(sent: bytes, told: int) -> bytes:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + sent)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    http = HttpSession(ca_file=None, connect_timeout_s=5, request_timeout_s=5)
    try:
        with reached("here", "cannot read"):
            async with http.session().get(url) as response:
                pieces = in_pieces(response, size_bytes=told, piece_bytes=2)
                return b"".join([piece async for piece in pieces])
    finally:
        await http.close()
        server.close()


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
    assert asked_to_wait_s(headers) == wait_s
