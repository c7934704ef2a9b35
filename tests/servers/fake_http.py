"""A server that says what it is told to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Fake:
    """Answers everything alike, and remembers what it was asked."""

    status: int = 200
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes, str | None]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """As they were written, quotes and all."""
    received: list[dict[str, str]] = field(default_factory=list)
    """All headers of each request, their names in lower case."""
    delay_s: float = 0.0
    """Seconds that each answer takes."""

    async def answer(self, request: web.Request) -> web.Response:
        login = request.headers.get("Authorization")
        self.asked.append((request.method, request.path, await request.read(), login))
        self.paths.append(request.rel_url.raw_path)
        self.received.append({name.lower(): value for name, value in request.headers.items()})
        await asyncio.sleep(self.delay_s)
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(status=self.status, text=text, headers=self.headers)


@asynccontextmanager
async def serving(fake: Fake, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run it, and give its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    server = TestServer(app, scheme="http" if tls is None else "https")
    await server.start_server(ssl=tls, shutdown_timeout=0)
    async with server:
        yield str(server.make_url("")).rstrip("/")
