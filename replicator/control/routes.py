"""The table of routes: of each its path, who may ask, and the types of what goes in and out."""

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
    """A route that takes none."""

    model_config = {"extra": "forbid"}


class RequestBody(BaseModel):
    """What comes in: unknown members are refused, and the targets that it names are known."""

    model_config = {"frozen": True, "extra": "forbid", "use_attribute_docstrings": True}

    @property
    def touched(self) -> tuple[str, ...]:
        """The configured targets that it names."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One request, checked: everything in it is of the type that its route names."""

    principal: Principal | None
    """Who asks; None: on a route that is open to everybody."""
    path: Mapping[str, str]
    query: Any
    """Of the route's `query` type."""
    body: Any
    """Of the route's `body` type; None without one."""
    key: str | None
    """The idempotency key, where there is one."""
    request: web.Request
    """For what stands in headers; the body was read."""

    def queried(self, kind: type[_Type]) -> _Type:
        """Return the query, of the type that the route names."""
        if not isinstance(self.query, kind):
            raise TypeError(f"the route's query is not {kind.__name__}")
        return self.query

    @property
    def by(self) -> Principal:
        """Who asks, on a route that is not open to everybody."""
        if self.principal is None:
            raise TypeError("the route has no role")
        return self.principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a handler answers."""

    content: BaseModel | None = None
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    job_id: str | None = None
    """The job that was taken on, or ended."""
    targets: tuple[str, ...] = ()
    """Those that it is about, where the request does not name them."""
    raw: web.StreamResponse | None = None
    """An answer that is no JSON, like a file; then nothing else counts."""


AskedHandler: TypeAlias = Callable[[ApiCall], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path."""

    method: Method
    path: str
    """Like `/v1/jobs/{id}`; what stands in braces is one segment of the path."""
    operation: str
    """The name of the call in generated clients; unique."""
    summary: str
    handler: AskedHandler
    role: Role | None
    """What is needed to ask; None: open to everybody."""
    query: type[BaseModel] = NoParameters
    body: Any = None
    """A type that pydantic knows; None: the request has no body."""
    answers: Mapping[HTTPStatus, type[BaseModel] | None] = field(default_factory=dict)
    """The bodies by status; None: it is no JSON."""
    idempotent: bool = False
    """Whether an idempotency key is taken."""
    tag: str = "control"
    hidden: bool = False
    """Whether the OpenAPI document leaves it out, like files of a page."""

    @property
    def parameters(self) -> list[str]:
        """Names of what stands in braces."""
        return PARAMETER.findall(self.path)

    @property
    def body_adapter(self) -> TypeAdapter[Any] | None:
        """What checks the body."""
        return None if self.body is None else TypeAdapter(self.body)


class RouteTable:
    """All routes of a service, by method and path.

    Raises:
        ValueError: two have one operation, or one method and path.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        places = [f"{route.method} {route.path}" for route in self.routes]
        operations = [route.operation for route in self.routes]
        for names in (places, operations):
            if len(set(names)) < len(names):
                raise ValueError(f"named twice: {[one for one in names if names.count(one) > 1]}")
