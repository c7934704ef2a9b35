"""A small HTTP server: `/metrics`, `/healthz`, `/status.json`. It only ever tells."""

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from replicator.errors import ConfigError
from replicator.ports import Clock
from replicator.services.inspection.poller import Poller
from replicator.web.document import document
from replicator.web.gate import CONNECTIONS_MAX, Gate, guard
from replicator.web.status_json import lookout_json

SHUTDOWN_S = 1.0
"""How long an answer may still take when the process ends."""
log = structlog.get_logger("replicator")


class WebServer:
    """Answers from what was counted and seen; no request reaches log, targets or source.

    Args:
        listen: `host:port`; port 0 takes a free one.
        registry: What `/metrics` tells.
        poller: What `/status.json` tells; this server runs it.
        clock: Stamps the documents.
        allowed_hosts: Names by which it may be called, beside addresses, `localhost` and that
            of `listen`.
    """

    def __init__(
        self,
        *,
        listen: str,
        registry: CollectorRegistry,
        poller: Poller,
        clock: Clock,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self._listen = listen
        self._registry = registry
        self._poller = poller
        self._clock = clock
        names = {name.lower() for name in (*allowed_hosts, listen.rpartition(":")[0])}
        application = web.Application(middlewares=[guard(names)])
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/status.json", self._status)
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=SHUTDOWN_S, handle_signals=False
        )
        self._gate: Gate | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Open the port and return the address.

        Raises:
            ConfigError: the address is not one of this machine, or another process has the port.
        """
        host, _, port = self._listen.rpartition(":")
        await self._runner.setup()
        if self._runner.server is None:
            raise AssertionError("a runner that is set up has a server")
        self._gate = Gate(self._runner.server)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._gate, host.strip("[]"), int(port), backlog=CONNECTIONS_MAX
            )
        except OSError as exc:
            raise ConfigError(
                f"web.listen: cannot listen at {self._listen}: {exc.strerror or exc}",
                hint="name an address of this machine, and a port that nothing else has;"
                " each process needs one of its own",
            ) from exc
        bound: tuple[Any, ...] = self._server.sockets[0].getsockname()
        url = f"http://{host}:{bound[1]}"
        log.info("serving metrics, health and status", url=url)
        return url

    async def close(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        if self._gate is not None:
            self._gate.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Look at log and targets at intervals until `stop` is set; answers go on until `close`."""
        await self._poller.run(stop)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _health(self, _: web.Request) -> web.Response:
        """Answer at all: a process whose watcher or applier has failed ends by itself."""
        return web.Response(text="ok\n")

    async def _status(self, _: web.Request) -> web.Response:
        seen = self._poller.log is not None
        body = document("status", lookout_json(self._poller), self._clock.now())
        status = HTTPStatus.OK if seen else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(body=body, status=status, content_type="application/json")
