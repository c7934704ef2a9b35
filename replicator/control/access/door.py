"""Checks every request before its handler: principal, permission and form."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from secrets import token_hex
from typing import Any, Final

import orjson
import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from replicator.control.access.audit import AuditLog
from replicator.control.access.naming import refuse_unknown
from replicator.control.access.tokens import Doorkeeper
from replicator.control.problems import Problem, invalid, problem_of, reply_of
from replicator.control.requests.verb_request import VerbRequest
from replicator.control.routes import IDEMPOTENCY_KEY, ApiCall, Reply, RequestBody, Route
from replicator.errors import ReplicatorError
from replicator.model.operations.access import Principal, Role
from replicator.ports import Clock
from replicator.services.records.deed_record import Deed, short_request
from replicator.web.gate import SERVER, Connection, host_is_allowed

log = structlog.get_logger("replicator")
KEPT_S_MAX: Final = 60.0
"""Age at which a connection is closed with its answer, in seconds; clients open another one."""
BODY_S_MAX: Final = 10.0
"""Longest wait for the whole body of a request, in seconds."""
KEY_CHARS_MAX: Final = 200
WHY_CHARS_MAX: Final = 500
"""Length of a refusal in the audit log; it may repeat names that the client sent."""
JSON: Final = "application/json"
HEADERS: Final = {
    "Server": SERVER,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " font-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
}
"""Headers of each answer. The service's page loads nothing from elsewhere, nor inline code."""
READ: Final = ("Authorization", IDEMPOTENCY_KEY, "Host", "Origin")
"""Headers whose text is used."""
SAME_SITE: Final = frozenset({"same-origin", "none"})
"""Values that a browser sends unless another site caused the request."""


@dataclass(slots=True)
class _Passage:
    """One request on its way to the handler, and what the door has found out."""

    request: web.Request
    route: Route | None = None
    principal: Principal | None = None
    request_body: dict[str, object] | None = None
    targets: tuple[str, ...] = ()
    job_id: str | None = None
    why: str = ""
    changes: bool = True
    """Whether the handler has accepted something that can change something."""
    begun: bool = False
    """Whether the first audit line was written, so that a second one must follow."""
    id: str = field(default_factory=lambda: token_hex(8))


class Door:
    """Passes valid requests on to their handlers.

    Args:
        doorkeeper: Identifies principals.
        audit: Records requests.
        clock: Clock that dates the records.
        hosts: Host names by which the service may be reached.
        targets: The configured targets.
        body_bytes_max: Largest body.
        encrypted: Whether the port has TLS.
    """

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        audit: AuditLog,
        clock: Clock,
        hosts: Collection[str],
        targets: Collection[str],
        body_bytes_max: int,
        encrypted: bool,
    ) -> None:
        self._doorkeeper, self._audit, self._clock = doorkeeper, audit, clock
        self._hosts, self._targets = frozenset(hosts), frozenset(targets)
        self._body_bytes_max = body_bytes_max
        hsts = {"Strict-Transport-Security": "max-age=31536000"} if encrypted else {}
        self._headers = HEADERS | hsts

    def handler(self, route: Route) -> Any:
        """Return the function that aiohttp calls for a route."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._passed(_Passage(request, route))

        return handle

    @property
    def middleware(self) -> Any:
        """Answers requests without a route, and completes every answer."""

        @web.middleware
        async def finish(request: web.Request, handler: Any) -> web.StreamResponse:
            try:
                answer: web.StreamResponse = await handler(request)
            except web.HTTPException as exc:  # no such path, no such method
                allow = exc.headers.get("Allow")
                problem = Problem(
                    HTTPStatus(exc.status),
                    f"there is nothing at {request.method} {request.path}",
                    hint="see /openapi.json",
                    headers={"Allow": allow} if allow else {},
                )
                answer = problem.response()
            for name, value in self._headers.items():
                answer.headers.setdefault(name, value)
            answer.headers.setdefault("Cache-Control", "no-store")
            if isinstance(request.protocol, Connection):
                request.protocol.make_room(answer)
                if request.protocol.age_s > KEPT_S_MAX:
                    answer.force_close()  # before the gate would, in the middle of a later request
            return answer

        return finish

    async def _passed(self, passage: _Passage) -> web.StreamResponse:
        try:
            answer = await self._answered(passage)
        except Problem as exc:
            answer = self._refused(passage, exc)
        except ReplicatorError as exc:
            answer = self._refused(passage, problem_of(exc))
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            path = _readable(passage.request.path)
            log.exception("a request could not be answered", path=path)
            problem = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"a bug of the program: {type(exc).__name__}",
                hint="its log has the lines to report",
            )
            answer = self._refused(passage, problem)
        try:
            await self._remember(passage, answer.status)
        except ReplicatorError as exc:  # the deed is done, and its first line is written
            path = _readable(passage.request.path)
            log.error("an audit line was lost", path=path, reason=str(exc))  # noqa: TRY400
        return answer

    def _refused(self, passage: _Passage, problem: Problem) -> web.Response:
        passage.why = problem.detail
        passage.job_id = problem.job_id
        return problem.response()

    async def _answered(self, passage: _Passage) -> web.StreamResponse:
        request, route = passage.request, passage.route
        assert route is not None  # noqa: S101 - for the type checker
        _refuse_odd_bytes(request)
        self._refuse_strangers(request, route)
        if route.role is not None:
            passage.principal = await self._doorkeeper.principal(request)
            if isinstance(request.protocol, Connection):
                request.protocol.is_of(passage.principal.name)
            if not passage.principal.role.covers(route.role):
                what = f"{request.method} {request.path}"
                raise Problem(HTTPStatus.FORBIDDEN, f"{what} needs the role {route.role.value}")
        query = _checked("query", route, dict(_once(request)))
        body = None if route.body is None else await self._body(request, route)
        self._admit(passage, body)
        call = ApiCall(
            principal=passage.principal,
            path=dict(request.match_info),
            query=query,
            body=body,
            key=_key(request) if route.idempotent else None,
            request=request,
        )
        if request.method != "GET" and not _only_looks(body):
            self._refuse_restless(passage.principal)
            passage.begun = True
            await self._remember(passage, None)
        reply = await route.handler(call)
        passage.job_id = reply.job_id
        passage.targets = passage.targets or reply.targets
        passage.changes = reply.changes
        return response(reply)

    def _refuse_restless(self, principal: Principal | None) -> None:
        """Refuse a principal with too many deeds without effect in this hour."""
        if principal is None:
            return
        if (wait := self._audit.closed_to(principal.name, principal.token)) is not None:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many requests of this token had no effect",
                hint="the audit log has the reasons; the token may send requests again later",
                headers={"Retry-After": str(int(wait.total_seconds()) + 1)},
            )

    def _refuse_strangers(self, request: web.Request, route: Route) -> None:
        """Refuse requests to another host name, and requests that another site caused."""
        if not host_is_allowed(request.headers.get("Host"), self._hosts):
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "the service does not have this host name",
                hint="add this name to web.allowed_hosts",
            )
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        opened = route.role is None and request.headers.get("Sec-Fetch-Mode") == "navigate"
        origin = request.headers.get("Origin")
        own = {f"{scheme}://{request.headers.get('Host')}" for scheme in ("http", "https")}
        if (site not in SAME_SITE and not opened) or (origin is not None and origin not in own):
            raise self._doorkeeper.failed(request) or Problem(
                HTTPStatus.FORBIDDEN, "another site's page sent this request"
            )

    def _admit(self, passage: _Passage, body: Any) -> None:
        """Refuse targets that are not configured, or not open to the principal."""
        named = [passage.request.match_info.get("target")]
        if isinstance(body, RequestBody):
            passage.request_body = body.model_dump(mode="json", by_alias=True)
            named += body.touched
        if isinstance(body, VerbRequest):
            self._require_role(passage, body)
        passage.targets = tuple(dict.fromkeys(name for name in named if name))
        principal = passage.principal
        if principal is not None:
            limited = isinstance(body, VerbRequest) or passage.targets
            if limited and not principal.may_touch(passage.targets):
                raise Problem(
                    HTTPStatus.FORBIDDEN,
                    f"{principal.name} may see and change only"
                    f" {', '.join(sorted(principal.targets or ()))}",
                )
        refuse_unknown(passage.targets, self._targets)

    def _configured(self, named: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in named if name in self._targets)

    def _require_role(self, passage: _Passage, request: VerbRequest) -> None:
        if passage.principal is not None and not passage.principal.role.covers(request.role):
            raise Problem(
                HTTPStatus.FORBIDDEN, f"{request.name} needs the role {request.role.value}"
            )

    async def _body(self, request: web.Request, route: Route) -> Any:
        if request.content_type != JSON:
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send a body of the type {JSON}")
        data = bytearray()
        try:
            async with asyncio.timeout(BODY_S_MAX):
                async for chunk in request.content.iter_any():
                    data += chunk
                    if len(data) > self._body_bytes_max:
                        raise _too_large(self._body_bytes_max)
        except (TimeoutError, ConnectionError, web.RequestPayloadError) as exc:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive") from exc
        adapter = route.body_adapter
        assert adapter is not None  # noqa: S101 - for the type checker
        try:
            orjson.loads(data)
            return adapter.validate_json(bytes(data), strict=True)
        except orjson.JSONDecodeError as exc:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {exc}") from exc
        except ValidationError as exc:
            raise invalid("body", exc) from exc

    async def _remember(self, passage: _Passage, status: int | None) -> None:
        """Record requests that change something, and refused requests.

        Requests without effect have lines up to a limit and are counted beyond it: no principal may
        push other principals' deeds out of the log.
        """
        refused = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        request, principal, route = passage.request, passage.principal, passage.route
        unnamed = principal is None and not refused
        if unnamed or (request.method == "GET" and not refused):
            return
        deed = Deed(
            id=passage.id,
            at=self._clock.now(),
            who=principal.name if principal else "",
            role=principal.role.value if principal else "",
            token=principal.token if principal else "",
            address=request.remote or "",
            operation=route.operation if route else "",
            method=request.method,
            path=_readable(request.path)[:KEY_CHARS_MAX],
            status=status,
            targets=() if refused else self._configured(passage.targets),
            job_id=passage.job_id,
            request=short_request(passage.request_body),
            why=passage.why[:WHY_CHARS_MAX],
        )
        if passage.begun:
            await self._audit.record_begun(deed, changes=passage.changes)
        else:
            await self._audit.record_some(deed)


def _only_looks(body: Any) -> bool:
    """Return whether a request is for a verb that changes nothing."""
    return isinstance(body, VerbRequest) and body.role is Role.VIEWER


def _readable(text: str) -> str:
    """Return text that can be encoded: aiohttp represents invalid bytes as surrogates."""
    return text.encode(errors="replace").decode()


def _refuse_odd_bytes(request: web.Request) -> None:
    """Refuse a request whose path or headers are not UTF-8."""
    headers = (request.headers.get(name, "") for name in READ)
    for text in (request.path, request.query_string, *headers):
        if _readable(text) != text:
            raise Problem(HTTPStatus.BAD_REQUEST, "the request's path or a header is not UTF-8")


def _once(request: web.Request) -> list[tuple[str, str]]:
    names = list(request.query.keys())
    if len(set(names)) < len(names):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "query: a parameter is given twice")
    return list(request.query.items())


def _checked(where: str, route: Route, values: dict[str, str]) -> BaseModel:
    try:
        return route.query.model_validate_strings(values, strict=False)
    except ValidationError as exc:
        raise invalid(where, exc) from exc


def _key(request: web.Request) -> str | None:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not 0 < len(key) <= KEY_CHARS_MAX:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"header.{IDEMPOTENCY_KEY}: between 1 and {KEY_CHARS_MAX} characters",
        )
    return key


def _too_large(bytes_max: int) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {bytes_max} bytes")


def response(reply: Reply) -> web.StreamResponse:
    """Return the HTTP answer for a handler's reply."""
    if reply.raw is not None:
        return reply.raw
    if reply.content is None:
        return web.Response(status=reply.status, headers=reply.headers)
    content = reply.content.model_dump(mode="json", by_alias=True)
    content |= {name: orjson.Fragment(data) for name, data in reply.written.items()}
    answer = reply_of(reply.status, content)
    answer.headers.update(reply.headers)
    return answer
