"""A server of the page alone: its routes as they are, behind a door that lets one person in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from replicator.control.access.audit import AuditLog
from replicator.control.access.door import HEADERS, response
from replicator.control.endpoints.looks import LookRoutes
from replicator.control.endpoints.notifications import NotificationRoutes
from replicator.control.endpoints.points import PointRoutes
from replicator.control.endpoints.views import JobsQuery
from replicator.control.problems import Problem, invalid, problem_of
from replicator.control.routes import ApiCall, Reply, Route
from replicator.errors import ReplicatorError
from replicator.model.operations.access import Principal, Role
from replicator.page.routes import PageRoutes
from tests.page.made_up import MadeUp
from tests.page.made_up_log import SOURCE

TOKEN = "drt_made_up"
OPERATOR = Principal(name="ada", role=Role.OPERATOR)


async def _no_jobs(_: ApiCall) -> Reply:
    return Reply(raw=web.json_response({"jobs": []}))


NO_JOBS = Route(
    method="GET",
    path="/v1/jobs",
    operation="list_jobs",
    summary="Nobody has asked for anything.",
    handler=_no_jobs,
    role=Role.VIEWER,
    query=JobsQuery,
)


def application(routes: list[Route], principal: Principal) -> web.Application:
    made = web.Application()
    for route in routes:
        made.router.add_route(route.method, route.path, _handler(route, principal))
    return made


def _handler(route: Route, principal: Principal):
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            answer = await _answer(request, route, principal)
        except Problem as exc:
            answer = exc.response()
        except ReplicatorError as exc:
            answer = problem_of(exc).response()
        answer.headers.update(HEADERS)
        return answer

    return handle


async def _answer(request: web.Request, route: Route, principal: Principal) -> web.StreamResponse:
    if route.role is not None and request.headers.get("Authorization") != f"Bearer {TOKEN}":
        raise Problem(HTTPStatus.UNAUTHORIZED, "the token is wrong")
    try:
        query = route.query.model_validate_strings(dict(request.query))
    except ValidationError as exc:
        raise invalid("query", exc) from exc
    call = ApiCall(
        principal=principal,
        path=dict(request.match_info),
        query=query,
        body=None,
        key=None,
        request=request,
    )
    return response(await route.handler(call))


@asynccontextmanager
async def serving(made: MadeUp, principal: Principal = OPERATOR) -> AsyncIterator[str]:
    """Serve the page over a state; give its address."""
    page = PageRoutes(made.panorama, made.history, source=SOURCE).routes()
    looks = LookRoutes(
        panorama=made.panorama,
        targets={},
        audit=AuditLog(Path("none"), bytes_max=1, kept=timedelta(1), clock=made.clock, areas={}),
        clock=made.clock,
    )
    told = NotificationRoutes(made.journal, ("pager",))
    points = PointRoutes(made.panorama)
    routes = [*page, *looks.routes(), *points.routes(), *told.routes(), NO_JOBS]
    runner = web.AppRunner(application(routes, principal), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
