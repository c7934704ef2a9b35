"""Problem documents (RFC 9457): what went wrong, and which member of the request is invalid."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from replicator.control.work.refusals import BusyError, FullError, KeyReusedError
from replicator.errors import (
    ConfigError,
    NotFoundError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.web.gate import PROBLEM_TYPE, phrase

FAULTS_MAX = 20


class Fault(BaseModel):
    """One invalid member of a request."""

    where: str = Field(description="`body`, `query`, `path` or `header`.")
    field: str = Field(description="The member's path, with dots; empty: the whole of it.")
    detail: str


class ProblemDocument(BaseModel):
    """The body of every answer with a status of 400 or more (RFC 9457)."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(description="`about:blank`, or the error's name as in `--json`.")
    title: str
    status: int
    detail: str
    hint: str = ""
    job_id: str | None = Field(default=None, description="The job that prevents the request.")
    faults: list[Fault] = []


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """A request that is answered by a problem document."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        hint: str = "",
        faults: list[Fault] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.hint = status, detail, hint
        self.faults, self.headers = faults or [], dict(headers or {})
        self.type = "about:blank"
        self.job_id: str | None = None

    def response(self) -> web.Response:
        """Return the answer."""
        document = ProblemDocument(
            type=self.type,
            title=phrase(self.status),
            status=self.status,
            detail=self.detail,
            hint=self.hint,
            job_id=self.job_id,
            faults=self.faults,
        )
        body = orjson.dumps(document.model_dump(exclude_none=True), option=orjson.OPT_INDENT_2)
        return web.Response(
            body=body, status=self.status, content_type=PROBLEM_TYPE, headers=self.headers
        )


def problem_of(error: ReplicatorError) -> Problem:
    """Return the problem that represents an expected failure."""
    match error:
        case FullError():
            status = HTTPStatus.TOO_MANY_REQUESTS
        case KeyReusedError():
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        case RefusedError():
            status = HTTPStatus.CONFLICT
        case NotFoundError():
            status = HTTPStatus.NOT_FOUND
        case ConfigError():
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        case TransientError():
            status = HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
    found = Problem(status, str(error), hint=error.hint)
    found.type = type(error).__name__
    found.job_id = error.job_id if isinstance(error, BusyError) else None
    return found


def invalid(where: str, error: ValidationError) -> Problem:
    """Return the problem of a request with invalid members; their values are not repeated."""
    faults = [
        Fault(where=where, field=".".join(map(str, one["loc"])), detail=one["msg"])
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = faults[0]
    named = f"{where}.{first.field}" if first.field else where
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{named}: {first.detail}",
        faults=faults[:FAULTS_MAX],
    )


def reply_of(status: HTTPStatus, content: Any) -> web.Response:
    """Return an answer in JSON, with times in UTC."""
    body = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)
    return web.Response(body=body, status=status, content_type="application/json")
