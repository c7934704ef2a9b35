"""A stand-in for the Druid of a standby, as far as a promotion asks it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class StandIn:
    """A Coordinator and an Overlord in one: it resumes each supervisor that it is sent."""

    url: str = ""
    running: dict[str, Any] = field(default_factory=dict)
    slow_s: float = 0.0
    """How long it takes over each supervisor that it is sent."""
    offsets: dict[str, Any] = field(default_factory=dict)
    """Where the tasks of each supervisor begin to read."""

    async def status(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "33.0.0"})

    async def empty(self, request: web.Request) -> web.Response:
        return web.json_response([] if request.path.endswith("/tiers") else {})

    async def supervisor(self, request: web.Request) -> web.Response:
        spec = self.running.get(request.match_info["id"])
        if spec is None:
            raise web.HTTPNotFound(text="{}", content_type="application/json")
        payload = {
            "suspended": spec.get("suspended", False),
            "detailedState": "RUNNING",
            "activeTasks": [{"startingOffsets": self.offsets[request.match_info["id"]]}],
        }
        return web.json_response({"id": request.match_info["id"], "payload": payload})

    async def supervise(self, request: web.Request) -> web.Response:
        spec = await request.json()
        await asyncio.sleep(self.slow_s)
        name = spec["spec"]["dataSchema"]["dataSource"]
        self.running[name] = spec
        return web.json_response({"id": name})


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    """Serve one on a free port."""
    druid, application = StandIn(), web.Application()
    overlord, coordinator = "/druid/indexer/v1", "/druid/coordinator/v1"
    application.router.add_get("/status", druid.status)
    application.router.add_get("/status/properties", druid.empty)
    application.router.add_get(f"{coordinator}/tiers", druid.empty)
    application.router.add_get(f"{coordinator}/config", druid.empty)
    application.router.add_get(f"{overlord}/supervisor/{{id}}/status", druid.supervisor)
    application.router.add_post(f"{overlord}/supervisor", druid.supervise)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        druid.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield druid
    finally:
        await runner.cleanup()
