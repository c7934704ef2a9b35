"""The table of routes: path, role, and types of request and answer."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

from replicator.model.operations.access import Principal, Role

_Type = TypeVar("_Type")
Method = Literal["GET", "POST", "DELETE"]
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
PARAMETER: Final = re.compile(r"\{(\w+)\}")


class NoParameters(BaseModel):
    """The query of a route without parameters."""

    model_config = {"extra": "forbid"}


class RequestBody(BaseModel):
    """A request's body: unknown members are rejected, and named targets must be configured."""

    model_config = {"frozen": True, "extra": "forbid", "use_attribute_docstrings": True}

    @property
    def touched(self) -> tuple[str, ...]:
        """The configured targets that the body names."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One request after all checks: every member has the type that its route names."""

    principal: Principal | None
    """Who sent the request; None: the route is open to everybody."""
    path: Mapping[str, str]
    query: Any
    """The query, of the route's `query` type."""
    body: Any
    """The body, of the route's `body` type; None without one."""
    key: str | None
    """The idempotency key, if the request has one."""
    request: web.Request
    """The original request, for its headers; its body was read already."""

    def queried(self, kind: type[_Type]) -> _Type:
        """Return the query as the type that the route names."""
        if not isinstance(self.query, kind):
            raise TypeError(f"the route's query is not {kind.__name__}")
        return self.query

    @property
    def by(self) -> Principal:
        """The principal, on a route that has a role."""
        if self.principal is None:
            raise TypeError("the route has no role")
        return self.principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A handler's answer."""

    content: BaseModel | None = None
    written: Mapping[str, bytes] = field(default_factory=dict)
    """Members of `content` that are JSON already, like a job's document, which may be large."""
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    job_id: str | None = None
    """The job that was accepted, or ended."""
    targets: tuple[str, ...] = ()
    """The targets of the answer, if the request does not name them."""
    changes: bool = True
    """Whether what was requested can have changed something."""
    raw: web.StreamResponse | None = None
    """An answer that is not JSON, like a file; the other members are ignored then."""


AskedHandler: TypeAlias = Callable[[ApiCall], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path."""

    method: Method
    path: str
    """The path, like `/v1/jobs/{id}`; a name in braces is one segment of the path."""
    operation: str
    """The name of the call in generated clients; unique."""
    summary: str
    handler: AskedHandler
    role: Role | None
    """The role that a principal needs; None: open to everybody."""
    query: type[BaseModel] = NoParameters
    body: Any = None
    """A type that pydantic supports; None: the request has no body."""
    answers: Mapping[HTTPStatus, type[BaseModel] | None] = field(default_factory=dict)
    """The types of the bodies, by status; None: the body is not JSON."""
    idempotent: bool = False
    """Whether the route accepts an idempotency key."""
    tag: str = "control"
    hidden: bool = False
    """Whether the OpenAPI document omits the route, as it does for a page's files."""

    @property
    def parameters(self) -> list[str]:
        """Names of the path's segments in braces."""
        return PARAMETER.findall(self.path)

    @property
    def body_adapter(self) -> TypeAdapter[Any] | None:
        """The validator of the body."""
        return None if self.body is None else TypeAdapter(self.body)


class RouteTable:
    """All routes of a service, by method and path.

    Raises:
        ValueError: two routes have the same operation, or the same method and path.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        places = [f"{route.method} {route.path}" for route in self.routes]
        operations = [route.operation for route in self.routes]
        for names in (places, operations):
            if len(set(names)) < len(names):
                raise ValueError(f"named twice: {[one for one in names if names.count(one) > 1]}")
