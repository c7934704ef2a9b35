"""A control API over a small configuration, whose verbs say what a test wants them to say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from replicator import config
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.verb_process import VerbEnded
from replicator.app import Application
from replicator.app.control_folder import control_folder
from replicator.app.panorama import panorama
from replicator.control.access.tokens import new_token
from replicator.control.service import Control
from replicator.control.work.launch import Program, Terminal
from replicator.model.event import Offset
from replicator.model.operations.access import Role
from replicator.page.routes import PageRoutes
from replicator.services.monitoring.poller import Poller, Seen
from tests.unit.cli.test_status import TARGET

SETTINGS = """
source:
  name: prod
  metadata: {{type: postgresql, url: "postgresql://nobody@127.0.0.1:1/druid"}}
  deep_storage: {{type: local, root: {folder}/source}}
log: {{type: sqlite, path: {folder}/prod.log}}
targets:
  standby: {{deep_storage: {{type: local, root: {folder}/standby}}}}
  vault: {{deep_storage: {{type: local, root: {folder}/vault}}}}
web:
  control:
    listen: "127.0.0.1:0"
    body_bytes_max: 2KiB
    failed_logins_max: 3
    jobs: {{running_max: 1, queued_max: 2}}
drain_s: 0.5
"""
SECRET = "s3cret-of-the-environment"
Says = Callable[[Sequence[str]], VerbEnded]


def ended(result: object = None, *, error: Mapping[str, str] | None = None, code: int = 0):
    """Return how a verb has ended, by its result or its error."""
    document: dict[str, object] = {"schema": "replicator.v1", "command": "x"}
    document |= {"error": error} if error else {"result": result or {}}
    return VerbEnded(code=code, document=document, stdout="said\n", stderr="")


@dataclass(slots=True)
class ScriptedProcess:
    """A process that says what the script says, once it may."""

    arguments: list[str]
    says: Says
    may_end: asyncio.Event
    told: list[Mapping[str, Any]]
    signals: list[str] = field(default_factory=list)

    async def run(self, told: Callable[[Mapping[str, Any]], None]) -> VerbEnded:
        for one in self.told:
            told(one)
        await self.may_end.wait()
        if self.signals:
            return VerbEnded(code=143, document=None, stdout="", stderr="")
        return self.says(self.arguments)

    def terminate(self) -> None:
        self.signals.append("TERM")
        self.may_end.set()

    def kill(self) -> None:
        self.signals.append("KILL")


@dataclass(frozen=True, kw_only=True)
class Scripted(Program):
    """A program of which each run is a `ScriptedProcess`; all runs are remembered."""

    runs: list[ScriptedProcess] = field(default_factory=list)
    says: list[Says] = field(default_factory=lambda: [lambda _: ended()])
    """The last one counts."""
    holds: list[bool] = field(default_factory=lambda: [False])
    """Whether the next process waits until the test lets it end."""
    told: list[Mapping[str, Any]] = field(default_factory=list)

    def process(self, arguments: Sequence[str], *, terminal: Terminal, held: int | None):
        made = ScriptedProcess(list(arguments), self.says[-1], asyncio.Event(), self.told)
        if not self.holds[-1]:
            made.may_end.set()
        self.runs.append(made)
        return made


@dataclass
class Served:
    """A running service and whoever asks it."""

    control: Control
    program: Scripted
    application: Application
    session: aiohttp.ClientSession
    folder: Path
    poller: Poller
    tokens: dict[str, str] = field(default_factory=dict)

    async def token(
        self,
        role: Role,
        *,
        targets: Sequence[str] | None = None,
        until: datetime | None = None,
        name: str = "",
    ) -> str:
        """Give out a token."""
        kept, text = new_token(
            name=name or role.value,
            role=role,
            targets=None if targets is None else frozenset(targets),
            now=SystemClock().now(),
            until=until,
        )
        await self.control.tokens.add(kept)
        return text

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: Role | None = Role.ADMIN,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Return the status and the document of an answer."""
        sent = dict(headers or {})
        if token is None and role is not None:
            if role.value not in self.tokens:
                self.tokens[role.value] = await self.token(role)
            token = self.tokens[role.value]
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, path, data=data, headers=sent) as answer:
            self.headers = answer.headers
            text = await answer.read()
            assert SECRET.encode() not in text
            return answer.status, orjson.loads(text) if text.startswith(b"{") else text

    async def sees(self, target: str, offset: int) -> None:
        """Let the service have seen a target at a cut, and look no more."""

        async def looks_no_more() -> None:
            pass

        async with self.poller._looking:
            self.poller.look = looks_no_more  # type: ignore[method-assign]
        assert TARGET.checkpoint is not None
        checkpoint = replace(TARGET.checkpoint, offset=Offset(offset))
        status = replace(TARGET, target=target, checkpoint=checkpoint)
        self.poller.seen[target] = Seen(at=SystemClock().now(), status=status)

    def audited(self) -> list[dict[str, Any]]:
        """Return the lines of the audit log."""
        path = self.folder / "prod.log.control" / "audit.jsonl"
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]


@asynccontextmanager
async def served(
    folder: Path,
    *,
    more: Mapping[str, object] | None = None,
    routes: Sequence[Any] = (),
    page: bool = False,
) -> AsyncIterator[Served]:
    """Serve a configuration in `folder` until the block ends.

    With `page` the data of the page are served, too, and are in the document like all else.
    """
    file = folder / "replicator.yaml"
    for name in ("source", "standby", "vault"):
        (folder / name).mkdir(exist_ok=True)
    if not file.exists():
        file.write_text(SETTINGS.format(folder=folder))
    settings = config.load(file, {}, dict(more or {}))
    async with Application(settings, {}, lambda _: None) as application:
        monitor = await application.monitor(application.target_names)
        assert monitor is not None
        program = Scripted(
            config_path=file,
            environ={"PASSWORD": SECRET},
            folder=control_folder(settings),
            document_bytes_max=1 << 20,
        )
        seen = panorama(application, monitor.poller)
        shown = PageRoutes(seen, application.history, source="prod").routes() if page else []
        data = [replace(one, hidden=False) for one in shown if one.role is not None]
        control = Control(application, monitor, seen, program, routes=[*routes, *data])
        async with control:
            stop = asyncio.Event()
            running = asyncio.create_task(control.run(stop))
            looking = asyncio.create_task(seen.run(stop))
            async with aiohttp.ClientSession(control.url) as session:
                yield Served(control, program, application, session, folder, monitor.poller)
            stop.set()
            await running
            await looking


def soon(seconds: float) -> datetime:
    """Return a time from now."""
    return SystemClock().now() + timedelta(seconds=seconds)


async def soon_running(stage: Served, count: int) -> None:
    async with asyncio.timeout(10):
        while len(stage.program.runs) < count:
            await asyncio.sleep(0.005)
