"""The OpenAPI 3.1 document, generated from the table of routes and their types."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from replicator import __version__
from replicator.control.problems import ProblemDocument
from replicator.control.routes import IDEMPOTENCY_KEY, NoParameters, Route, RouteTable
from replicator.web.gate import PROBLEM_TYPE, phrase

REFERENCE: Final = "#/components/schemas/{model}"
TITLE: Final = "druid-replicator"
DESCRIPTION: Final = (
    "Restores, proofs and all other verbs, for one configuration. Long work runs as a job; large"
    " changes and deletions are planned first and carried out by the plan's digest."
)


def openapi(table: RouteTable) -> dict[str, Any]:
    """Return the document of a table of routes."""
    shown = [route for route in table.routes if not route.hidden]
    schemas = _Schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "certificate": {"type": "mutualTLS"},
            },
        },
    }


class _Schemas:
    """The schemas of all types that the routes name."""

    def __init__(self, routes: list[Route]) -> None:
        adapters = dict(_named(routes))
        found, document = TypeAdapter.json_schemas(
            [(key, key[0], adapter) for key, adapter in adapters.items()], ref_template=REFERENCE
        )
        self._found = {key: schema for (key, _), schema in found.items()}
        self.definitions: dict[str, Any] = dict(sorted(document.get("$defs", {}).items()))

    def of(self, mode: JsonSchemaMode, kind: Any) -> Any:
        """Return the schema of a type, for requests or for answers."""
        return self._found[mode, _name(kind)]


_Key = tuple[JsonSchemaMode, str]


def _named(routes: list[Route]) -> Iterator[tuple[_Key, TypeAdapter[Any]]]:
    yield ("serialization", _name(ProblemDocument)), TypeAdapter(ProblemDocument)
    for route in routes:
        yield ("validation", _name(route.query)), TypeAdapter(route.query)
        if route.body is not None:
            yield ("validation", _name(route.body)), TypeAdapter(route.body)
        for kind in route.answers.values():
            if kind is not None:
                yield ("serialization", _name(kind)), TypeAdapter(kind)


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": list(_parameters(route)),
        "responses": _responses(route, schemas),
        "security": [] if route.role is None else [{"token": []}, {"certificate": []}],
    }
    if route.role is not None:
        found["x-role"] = route.role.value
    if route.body is not None:
        content = {"application/json": {"schema": schemas.of("validation", route.body)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in route.parameters:
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if route.query is not NoParameters:
        for name, field in route.query.model_fields.items():
            schema = TypeAdapter(route.query).json_schema(ref_template=REFERENCE)["properties"][
                field.alias or name
            ]
            yield {
                "name": field.alias or name,
                "in": "query",
                "required": field.is_required(),
                "schema": schema,
                "description": field.description or "",
            }
    if route.idempotent:
        yield {
            "name": IDEMPOTENCY_KEY,
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": "Repeating a request with the same key makes no second job.",
        }


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in sorted(route.answers.items()):
        found[str(status.value)] = {"description": phrase(status)}
        if kind is not None:
            schema = schemas.of("serialization", kind)
            found[str(status.value)]["content"] = {"application/json": {"schema": schema}}
    problem = {PROBLEM_TYPE: {"schema": schemas.of("serialization", ProblemDocument)}}
    for status in _refusals(route):
        found.setdefault(str(status.value), {"description": phrase(status), "content": problem})
    found["default"] = {"description": "A problem document.", "content": problem}
    return found


def _refusals(route: Route) -> Iterator[HTTPStatus]:
    if route.role is not None:
        yield HTTPStatus.UNAUTHORIZED
        yield HTTPStatus.FORBIDDEN
    if route.parameters:
        yield HTTPStatus.NOT_FOUND
    if route.body is not None:
        yield HTTPStatus.CONFLICT
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        yield HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    yield HTTPStatus.UNPROCESSABLE_ENTITY
    yield HTTPStatus.TOO_MANY_REQUESTS
