"""Name nodes in memory: WebHDFS over one tree of files, each node in a state of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

ACTIVE = "active"
DATA = "/webhdfs/v1/data"
"""Where a data node's part of each server begins."""
REFUSALS = {
    "standby": (403, "StandbyException"),
    "starting": (403, "RetriableException"),
    "safe mode": (403, "SafeModeException"),
    "unavailable": (503, "ServiceUnavailable"),
    "bad gateway": (502, "BadGateway"),
}
DENIED = (403, "AccessControlException")
STATES = (*REFUSALS, "hangs", "dead")
"""Of a node that is not at work; one that hangs says nothing, a dead one is not there."""


@dataclass
class NameNodes:
    """Files by their absolute paths, and the states of the nodes."""

    states: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    """Paths of which nothing is told."""
    sends_to: str = ""
    """Where the nodes send for bytes, if not to themselves."""

    async def answer(self, node: int, request: web.Request) -> web.StreamResponse:
        state = self.states[node]
        if state == "hangs":
            await asyncio.Event().wait()
        if state != ACTIVE:
            status, name = REFUSALS.get(state, DENIED)
            return _remote_exception(status, name)
        path = unquote(request.rel_url.raw_path).removeprefix("/webhdfs/v1").rstrip("/")
        op = request.query["op"]
        if path in self.denied:
            return _remote_exception(*DENIED)
        if op in {"OPEN", "CREATE", "APPEND"}:
            if op != "CREATE" and path not in self.files:
                return _remote_exception(404, "FileNotFoundException")
            wanted = "&".join(
                f"{name}={request.query.get(name, '')}" for name in ("op", "offset", "length")
            )
            place = self.sends_to or f"{self.urls[node]}{DATA}{quote(path)}"
            return web.json_response({"Location": f"{place}?{wanted}"})
        return self._metadata(op, path, request.query.get("destination", ""))

    def _metadata(self, op: str, path: str, destination: str) -> web.Response:
        below = sorted(name for name in self.files if name.startswith(f"{path}/"))
        found: object = {"boolean": True}
        if op == "LISTSTATUS":
            names = sorted({name.removeprefix(f"{path}/").split("/")[0] for name in below})
            listed = [self._status(f"{path}/{name}", name) for name in names]
            found = {"FileStatuses": {"FileStatus": listed}}
        elif op == "DELETE":
            if below:
                return _remote_exception(403, "PathIsNotEmptyDirectoryException")
            found = {"boolean": self.files.pop(path, None) is not None}
        elif op == "RENAME":
            found = {"boolean": self._renamed(path, destination)}
        elif op == "GETFILESTATUS":
            if path not in self.files:
                return _remote_exception(404, "FileNotFoundException")
            found = {"FileStatus": self._status(path, "")}
        return web.json_response(found)

    def _renamed(self, path: str, destination: str) -> bool:
        done = path in self.files and destination not in self.files
        if done:
            self.files[destination] = self.files.pop(path)
        return done

    def _status(self, path: str, suffix: str) -> dict[str, object]:
        data = self.files.get(path)
        return {
            "pathSuffix": suffix,
            "type": "DIRECTORY" if data is None else "FILE",
            "length": len(data or b""),
            "modificationTime": 1_700_000_000_000,
        }

    async def data(self, request: web.Request) -> web.Response:
        path = unquote(request.rel_url.raw_path).removeprefix(DATA)
        match request.query["op"]:
            case "OPEN":
                start, length = int(request.query["offset"]), int(request.query["length"])
                return web.Response(body=self.files[path][start : start + length])
            case "CREATE":
                self.files[path] = await request.read()
            case _:
                self.files[path] += await request.read()
        return web.Response(status=201)


@asynccontextmanager
async def name_nodes(*states: str) -> AsyncIterator[NameNodes]:
    """Run a node for each state; a dead one has an address where nobody listens."""
    found = NameNodes(list(states))
    async with AsyncExitStack() as stack:
        for node, state in enumerate(states):
            if state == "dead":
                found.urls.append(f"http://127.0.0.1:{unused_port()}")
                continue
            app = web.Application(client_max_size=64 << 20)
            app.router.add_route("*", DATA + "/{path:.*}", found.data)

            async def answer(request: web.Request, node: int = node) -> web.StreamResponse:
                return await found.answer(node, request)

            app.router.add_route("*", "/webhdfs/v1/{path:.*}", answer)
            server = await stack.enter_async_context(TestServer(app))
            found.urls.append(str(server.make_url("")).rstrip("/"))
        yield found


def _remote_exception(status: int, name: str) -> web.Response:
    text = {"RemoteException": {"exception": name, "message": f"{name}: so it is"}}
    return web.json_response(text, status=status)
