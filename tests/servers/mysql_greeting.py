"""A MariaDB as a program sees it that MySQL, or a proxy which speaks MySQL, answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

HEADER_BYTES = 4
BEHIND_VERSION = 4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 6
"""Bytes between the version's end and MariaDB's own capabilities, in the server's first packet."""
CAPABILITIES_BYTES = 4


@asynccontextmanager
async def without_mariadbs_own(upstream_port: int) -> AsyncIterator[int]:
    """Give a port that leads to a server, whose greeting there has nothing that MySQL lacks."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
        try:
            writer.write(await greeting(up_reader))
            async with asyncio.TaskGroup() as group:
                group.create_task(carry(reader, up_writer))
                group.create_task(carry(up_reader, writer))
        except* ConnectionError:
            pass
        finally:
            up_writer.close()
            writer.close()
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        if serving:
            await asyncio.wait(serving)


async def greeting(reader: asyncio.StreamReader) -> bytes:
    """Read the server's first packet, and take MariaDB's own capabilities out of it."""
    header = await reader.readexactly(HEADER_BYTES)
    packet = bytearray(await reader.readexactly(int.from_bytes(header[:3], "little")))
    at = packet.index(0) + 1 + BEHIND_VERSION
    assert any(packet[at : at + CAPABILITIES_BYTES]), "not a MariaDB's greeting"
    packet[at : at + CAPABILITIES_BYTES] = bytes(CAPABILITIES_BYTES)
    return header + packet


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until one side ends."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
