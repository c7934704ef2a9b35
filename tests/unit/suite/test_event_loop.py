"""The loop of the tests fails for a connection left open, and never waits for its peer."""

import asyncio
import socket

import pytest

from tests.event_loop import Loop


async def connected(listening: socket.socket) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, *listening.getsockname())
    return transport


def test_a_connection_that_nobody_closed_is_named_at_once():
    loop = Loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = loop.run_until_complete(connected(listening))
        with pytest.raises(ResourceWarning, match="unclosed resource <TCPTransport"):
            loop.close()
    assert not kept.is_closing()


def test_a_connection_that_was_closed_is_none_to_complain_of():
    loop = Loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        loop.run_until_complete(connected(listening)).close()
        loop.close()
    assert loop.is_closed()
