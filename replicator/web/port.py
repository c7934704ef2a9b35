"""A port of this machine with an application behind it, through a gate."""

import asyncio
import ssl
from typing import Any

from aiohttp import web

from replicator.errors import ConfigError
from replicator.web.gate import Gate, GateLimits

SHUTDOWN_S = 1.0
"""Seconds that an answer may still take when the process ends."""


class Port:
    """Opens a port and closes it again.

    Args:
        application: Answers what comes in.
        listen: `host:port`; port 0 takes a free one.
        setting: Names the address in errors, like `web.listen`.
        limits: Of its connections.
        tls: With which connections are encrypted; None: they are not.
    """

    def __init__(
        self,
        application: web.Application,
        *,
        listen: str,
        setting: str,
        limits: GateLimits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listen, self._setting, self._limits, self._tls = listen, setting, limits, tls
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=SHUTDOWN_S, handle_signals=False
        )
        self._gate: Gate | None = None
        self._server: asyncio.Server | None = None

    async def open(self) -> str:
        """Open the port and return the address.

        Raises:
            ConfigError: the address is not one of this machine, or another process has the port.
        """
        host, _, port = self._listen.rpartition(":")
        await self._runner.setup()
        if self._runner.server is None:
            raise AssertionError("a runner that is set up has a server")
        self._gate = Gate(self._runner.server, self._limits)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._gate if self._tls is None else self._gate.encrypting(self._tls),
                host.strip("[]"),
                int(port),
                backlog=self._limits.connections_max,
            )
        except OSError as exc:
            raise ConfigError(
                f"{self._setting}: cannot listen at {self._listen}: {exc.strerror or exc}",
                hint="name an address of this machine, and a port that nothing else has;"
                " each process needs one of its own",
            ) from exc
        bound: tuple[Any, ...] = self._server.sockets[0].getsockname()
        return f"{'http' if self._tls is None else 'https'}://{host}:{bound[1]}"

    async def close(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        if self._gate is not None:
            self._gate.close()
