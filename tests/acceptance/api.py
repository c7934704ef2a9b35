"""A running service and whoever asks it, over a configuration of a `User`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

import aiohttp
import yaml

from tests.servers.process import Ended, Processes, Running

SERVING = "serving the control API"
PATIENCE_S = 240


class Typist(Protocol):
    """Somebody at a terminal."""

    @property
    def config(self) -> Path: ...

    @property
    def forks(self) -> Processes: ...

    async def types(self, *args: str) -> Ended: ...

    async def starts(self, *args: str) -> Running: ...


@dataclass(frozen=True, slots=True)
class Api:
    """One service, asked by an administrator."""

    user: Typist
    process: Running
    session: aiohttp.ClientSession
    url: str
    token: str

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and the document of an answer."""
        async with self.session.request(method, path, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def job(self, **body: object) -> dict[str, Any]:
        """Have a job done, and return it when it has ended."""
        status, job = await self.ask("POST", "/v1/jobs?wait=30", body)
        assert status in {200, 202}, job
        return await self.ended(job)

    async def result(self, **body: object) -> dict[str, Any]:
        """Have a job done that is good, and return its result."""
        job = await self.job(**body)
        assert (job["state"], job["exit_code"]) == ("done", 0), job
        found: dict[str, Any] = job["document"]["result"]
        return found

    async def plan(self, **body: object) -> dict[str, Any]:
        """Have a plan made, and return it."""
        status, found = await self.ask("POST", "/v1/plans?wait=30", body)
        if status == 202:
            job = await self.ended(found)
            status, found = await self.ask("GET", f"/v1/plans/{job['plan']}")
        assert status == 200, found
        plan: dict[str, Any] = found
        return plan

    async def run(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Have a plan carried out, and return its job when it has ended."""
        status, job = await self.ask("POST", "/v1/runs?wait=30", {"digest": plan["digest"]})
        assert status in {200, 202}, job
        return await self.ended(job)

    async def done(self, **body: object) -> dict[str, Any]:
        """Plan, carry out, and return the result, which is good."""
        job = await self.run(await self.plan(**body))
        assert (job["state"], job["exit_code"]) == ("done", 0), job
        found: dict[str, Any] = job["document"]["result"]
        return found

    async def ended(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Return a job once it has ended."""
        found = dict(job)
        async with asyncio.timeout(PATIENCE_S):
            while found["state"] in {"queued", "running"}:
                _, found = await self.ask("GET", f"/v1/jobs/{job['id']}?wait=5")
        return found

    async def types(self, *args: str) -> Ended:
        """Let somebody with the same token type a verb with `--service`."""
        environ = {"REPLICATOR_TOKEN": self.token}
        return await self.user.forks.run(
            *args, "--service", self.url, env=environ, within_s=PATIENCE_S
        )


def offered(user: Typist, **control: object) -> None:
    """Configure the API, on any port."""
    found = yaml.safe_load(user.config.read_text())
    web = found.setdefault("web", {})
    web["status_interval_s"] = 0.5
    web["control"] = {"listen": "127.0.0.1:0", **control}
    user.config.write_text(yaml.safe_dump(found))


@asynccontextmanager
async def served(
    user: Typist, *verb: str, role: str = "admin", code: int = 0
) -> AsyncIterator[Api]:
    """Run `serve`, or another verb that offers the API, and give somebody a token.

    It must end with `code`, by itself or when it is told to.
    """
    made = await user.types("token", "create", f"tester {token_hex(4)}", "--role", role)
    assert made.code == 0, made.err
    token = made.out.strip().splitlines()[-1]
    process = await user.starts(*(verb or ("serve",)))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while SERVING not in (said := process.out + process.err):
                assert process.is_running, said
                await asyncio.sleep(0.05)
        url = said.partition("url=")[2].split()[0]
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(url, headers=headers) as session:
            yield Api(user, process, session, url, token)
    finally:
        ended = await process.terminate()
    assert ended.code == code, ended.out + ended.err
