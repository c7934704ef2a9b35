"""The control API of one configured application: its jobs, its port, and their parts."""

import asyncio
import fcntl
import os
from collections.abc import Iterable
from functools import cached_property, partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import orjson
import structlog
from aiohttp import web

from replicator.adapters.sqlite.control_file import ControlFile, make_folder
from replicator.adapters.sqlite.jobs import JobStore
from replicator.adapters.sqlite.tokens import TokenStore
from replicator.app import Application
from replicator.app.bystanders import bystander
from replicator.app.control_folder import DATABASE, control_settings
from replicator.app.monitoring import Monitor
from replicator.app.verbs.schedules import scheduled_lines
from replicator.config.operations.control import ControlSettings
from replicator.control.access.audit import FILE as AUDIT_FILE
from replicator.control.access.audit import AuditLog
from replicator.control.access.door import KEPT_S_MAX, Door
from replicator.control.access.tls import Certificates
from replicator.control.access.tokens import Doorkeeper, Logins
from replicator.control.endpoints.article import ArticleRoutes
from replicator.control.endpoints.jobs import JobRoutes
from replicator.control.endpoints.looks import LookRoutes
from replicator.control.endpoints.notifications import NotificationRoutes
from replicator.control.endpoints.points import PointRoutes
from replicator.control.endpoints.schedules import ScheduleRoutes
from replicator.control.endpoints.views import WAIT_S_MAX
from replicator.control.openapi import openapi
from replicator.control.problems import Problem
from replicator.control.requests.verbs import only_looks
from replicator.control.routes import ApiCall, Reply, Route, RouteTable
from replicator.control.work.jobs import Jobs
from replicator.control.work.launch import Program
from replicator.errors import ConfigError
from replicator.model.operations.access import Role
from replicator.model.operations.job import Job
from replicator.task_group import TaskGroup
from replicator.web.gate import IDLE_S_MAX, GateLimits
from replicator.web.panorama import Panorama
from replicator.web.port import Port

log = structlog.get_logger("replicator")
LOCK: Final = "service.lock"
UNREAD_MAX: Final = 4
"""Number of the largest answers that may wait until one client reads them."""
CONNECTION_S_MAX: Final = KEPT_S_MAX + IDLE_S_MAX + 2 * WAIT_S_MAX
"""Longest life of a connection, in seconds, such that it never interrupts a request.

The last request begins after `KEPT_S_MAX` and a pause, waits, and has as long again to send its
body.
"""


class Control:
    """Offers the verbs over HTTP, as services that run beside others.

    Args:
        application: The configured application, whose `web.control` is set.
        monitor: What the application has seen.
        panorama: The same with the log's cuts and the targets' stores; its owner runs it.
        program: How its jobs are started.
        routes: Further routes, like the page's.
    """

    def __init__(
        self,
        application: Application,
        monitor: Monitor,
        panorama: Panorama,
        program: Program,
        *,
        routes: Iterable[Route] = (),
    ) -> None:
        settings, control = application.settings, control_settings(application.settings)
        self._folder = program.folder
        self._file = ControlFile(self._folder / DATABASE)
        self.tokens = TokenStore(self._file)
        self.jobs = Jobs(
            store=JobStore(self._file),
            program=program,
            clock=application.clock,
            settings=control.jobs,
            drain_s=settings.drain_s,
        )
        self.jobs.subscribe(partial(_refresh, panorama))
        self.audit = AuditLog(
            self._folder / AUDIT_FILE,
            bytes_max=control.audit_bytes_max,
            kept=control.audit_kept,
            clock=application.clock,
            areas={name: application.target(name).area() for name in application.target_names},
        )
        self._certificates = None if control.tls is None else Certificates(control.tls)
        looks = LookRoutes(
            panorama=panorama,
            targets=settings.targets,
            audit=self.audit,
            clock=application.clock,
        )
        job_routes = JobRoutes(jobs=self.jobs, poller=monitor.poller, settings=control.jobs)
        scheduled = ScheduleRoutes(
            scheduled_lines(application, application.target_names),
            application.clock,
            timeout_s=settings.look_timeout_s,
        )
        self.table = RouteTable(
            [
                *looks.routes(),
                *PointRoutes(panorama).routes(),
                *scheduled.routes(),
                *_notifications(application).routes(),
                *job_routes.routes(),
                *ArticleRoutes(job_routes).routes(),
                *routes,
                *_of_service(monitor, self),
            ]
        )
        self._port = Port(
            self._application(application, control),
            listen=control.listen,
            setting="web.control.listen",
            limits=GateLimits(
                connections_max=control.connections_max,
                connection_s_max=CONNECTION_S_MAX,
                unsent_bytes_max=UNREAD_MAX * control.jobs.answer_bytes_max,
            ),
            tls=None if self._certificates is None else self._certificates.context,
        )
        self._lock: int | None = None

    async def __aenter__(self) -> Self:
        self._lock = _alone_in(self._folder)
        await self.jobs.recover()
        self.url = await self._port.open()
        log.info("serving the control API", url=self.url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._port.close()
        await self.audit.close()
        await self._file.close()
        if self._lock is not None:
            os.close(self._lock)

    async def run(self, stop: asyncio.Event) -> None:
        """Accept jobs until `stop` is set; then end the running ones."""
        async with TaskGroup() as group:
            group.create_task(self.jobs.run(stop))
            group.create_task(bystander("audit log", self.audit).run(stop))
            if self._certificates is not None:
                group.create_task(bystander("certificates", self._certificates).run(stop))

    @cached_property
    def document(self) -> bytes:
        """The OpenAPI document; most services end before it is requested."""
        return orjson.dumps(openapi(self.table), option=orjson.OPT_INDENT_2)

    def _application(self, application: Application, control: ControlSettings) -> web.Application:
        assert application.settings.web is not None  # noqa: S101 - it has `control`
        hosts = (*application.settings.web.allowed_hosts, control.listen.rpartition(":")[0])
        door = Door(
            doorkeeper=Doorkeeper(
                tokens=self.tokens,
                clients=control.clients,
                logins=Logins(control.failed_logins_max, application.clock),
                clock=application.clock,
            ),
            audit=self.audit,
            clock=application.clock,
            hosts={host.lower().strip("[]") for host in hosts},
            targets=application.target_names,
            body_bytes_max=control.body_bytes_max,
            encrypted=control.tls is not None,
        )
        made = web.Application(middlewares=[door.middleware])
        for route in self.table.routes:
            made.router.add_route(route.method, route.path, door.handler(route))
        return made


def _refresh(panorama: Panorama, ended: Job) -> None:
    if not only_looks(ended):
        panorama.refresh(ended.targets)


def _notifications(application: Application) -> NotificationRoutes:
    settings = application.settings.notifications
    if settings is None:
        return NotificationRoutes(None, ())
    return NotificationRoutes(application.notifying().journal(), tuple(settings.webhooks))


def _alone_in(folder: Path) -> int:
    """Return an open lock on the folder, which keeps out a second service."""
    make_folder(folder)
    held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(held)
        raise ConfigError(
            f"{folder} belongs to another running service",
            hint="stop it, or name another web.control.folder",
        ) from exc
    return held


def _of_service(monitor: Monitor, control: Control) -> Iterable[Route]:
    """Yield the routes about the service itself."""

    async def document(_: ApiCall) -> Reply:
        return Reply(raw=web.Response(body=control.document, content_type="application/json"))

    async def health(call: ApiCall) -> Reply:
        return Reply(raw=await monitor.answers.health(call.request))

    async def ready(call: ApiCall) -> Reply:
        answer = await monitor.answers.ready(call.request)
        if answer.status != HTTPStatus.OK:
            raise Problem(HTTPStatus(answer.status), (answer.text or "").strip())
        return Reply(raw=answer)

    async def metrics(call: ApiCall) -> Reply:
        if call.by.targets is not None:
            raise Problem(HTTPStatus.FORBIDDEN, "metrics cover all targets, this token only some")
        return Reply(raw=await monitor.answers.metrics(call.request))

    open_ones = {
        "/openapi.json": ("get_openapi", "This document.", document, None),
        "/healthz": ("get_health", "Whether the service answers.", health, None),
        "/readyz": ("get_readiness", "Whether it can read the log.", ready, None),
        "/metrics": ("get_metrics", "Metrics for Prometheus.", metrics, Role.VIEWER),
    }
    for path, (operation, summary, handler, role) in open_ones.items():
        yield Route(
            method="GET",
            path=path,
            operation=operation,
            summary=summary,
            handler=handler,
            role=role,
            answers={HTTPStatus.OK: None},
            tag="service",
        )
