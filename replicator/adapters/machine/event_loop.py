"""The event loop of every verb: a host whose name is none is an unreachable host."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvloop


class Loop(uvloop.Loop):
    """A uvloop that raises `socket.gaierror` for names that cannot even be looked up.

    Python encodes names by a codec that raises a UnicodeError for empty and for long labels, and no
    client library expects one. Some of these names are chosen by servers: by a redirect, as that of
    a data node, or as the address of one more broker.
    """

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Look up a name."""
        with _looked_up(host):
            return await super().getaddrinfo(host, port, **options)

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """Connect to a host by its name, or to an address."""
        with _looked_up(host):
            return await super().create_connection(protocol_factory, host, port, **options)


@contextmanager
def _looked_up(host: object) -> Generator[None]:
    try:
        yield
    except UnicodeError as exc:
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r:.300} is no name of a host") from exc
