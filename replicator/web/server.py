"""A small HTTP server: `/metrics`, `/healthz`, `/readyz`, `/status.json`. It changes nothing."""

from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from replicator.ports import Clock
from replicator.services.monitoring.poller import Poller
from replicator.web.document import document
from replicator.web.gate import GateLimits, guard
from replicator.web.port import Port
from replicator.web.status_json import seen_json

log = structlog.get_logger("replicator")


CONTENTS: Final = """\
druid-replicator tells here how it is:

  /metrics      metrics for Prometheus
  /healthz      ok, as long as this process works
  /readyz       ready, if the log could be read
  /status.json  log and targets, like `replicator status --json`

The page, and the API that can change something, have a port of their own: `web.control.listen`.
"""


class StatusAnswers:
    """Answers from what was counted and seen; no request reaches log, targets or source.

    Args:
        registry: Metrics of `/metrics`.
        poller: Status of `/status.json`.
        clock: Clock that dates the documents.
    """

    def __init__(self, *, registry: CollectorRegistry, poller: Poller, clock: Clock) -> None:
        self._registry, self._poller, self._clock = registry, poller, clock
        self._seen: tuple[int, dict[str, Any]] | None = None
        """What was seen, and after how many changes."""

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics that Prometheus scrapes."""
        encode, content_type = _encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def health(self, _: web.Request) -> web.Response:
        """Answer at all: a process whose watcher or applier has failed ends by itself."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Answer whether the log could be looked at, and can be now."""
        failure = self._poller.log_failure
        if self._poller.log is not None and failure is None:
            return web.Response(text="ready\n")
        why = "nothing was looked at yet" if failure is None else "the log cannot be read"
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=f"not ready: {why}\n")

    async def contents(self, _: web.Request) -> web.Response:
        """Answer with what is here."""
        return web.Response(text=CONTENTS)

    async def nothing(self, request: web.Request) -> web.Response:
        """Answer that a path has nothing, and which have something."""
        text = f"there is nothing at {request.path!r:.200}\n\n{CONTENTS}"
        return web.Response(status=HTTPStatus.NOT_FOUND, text=text)

    async def status(self, _: web.Request) -> web.Response:
        """Answer with the last look."""
        seen = self._poller.log is not None
        body = document("status", self._seen_json(), self._clock.now())
        status = HTTPStatus.OK if seen else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(body=body, status=status, content_type="application/json")

    def _seen_json(self) -> dict[str, Any]:
        """Return the last look, made once for all clients: it goes through all gaps."""
        if self._seen is None or self._seen[0] != self._poller.changes:
            self._seen = self._poller.changes, seen_json(self._poller)
        return self._seen[1]


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """Return how metrics are written for a client; for one whose header is none, as text."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # as prometheus_client 0.26 raises for odd versions
        return choose_encoder("")


class WebServer:
    """The port without a login.

    Args:
        listen: `host:port`; port 0 takes a free one.
        answers: What it answers.
        allowed_hosts: Names by which it may be called, beside addresses, `localhost` and that
            of `listen`.
        limits: Of its connections.
    """

    def __init__(
        self,
        *,
        listen: str,
        answers: StatusAnswers,
        allowed_hosts: Collection[str] = (),
        limits: GateLimits = GateLimits(),  # noqa: B008 - frozen
    ) -> None:
        names = {name.lower() for name in (*allowed_hosts, listen.rpartition(":")[0])}
        application = web.Application(middlewares=[guard(names)])
        application.router.add_get("/metrics", answers.metrics)
        application.router.add_get("/healthz", answers.health)
        application.router.add_get("/readyz", answers.ready)
        application.router.add_get("/status.json", answers.status)
        application.router.add_get("/", answers.contents)
        application.router.add_get("/{rest:.*}", answers.nothing)
        self._port = Port(application, listen=listen, setting="web.listen", limits=limits)

    async def start(self) -> str:
        """Open the port and return the address.

        Raises:
            ConfigError: the address is not one of this machine, or another process has the port.
        """
        url = await self._port.open()
        log.info("serving metrics, health and status", url=url)
        return url

    async def close(self) -> None:
        """Close the port."""
        await self._port.close()
