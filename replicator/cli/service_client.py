"""Asks a control API over HTTP, one request after the other."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from secrets import token_hex
from time import monotonic, sleep
from typing import Any, Final, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import orjson
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from replicator import errors
from replicator.control.requests.verb_request import VerbRequest
from replicator.errors import (
    ConfigError,
    NotFoundError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.document import refuse_many_values

_Result = TypeVar("_Result")
WAIT_S: Final = 2.0
"""Longest wait of one request for the end of a job, in seconds: progress is shown between them."""
TIMEOUT_S: Final = 60.0
ANSWER_BYTES_MAX: Final = 64 << 20
"""Limit for an answer, which is in memory as a whole."""
ANSWER_S_MAX: Final = 600.0
"""Longest time for the body of an answer, in seconds: a byte each minute would take for ever."""
PIECE_BYTES: Final = 1 << 16
PAUSES_S: Final = (0.5, 2.0, 5.0)
"""Before a request whose connection was cut is sent again, in seconds."""
FINAL: Final = frozenset({"done", "failed", "cancelled", "interrupted"})
BY_STATUS: Final[Mapping[int, type[ReplicatorError]]] = {
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: RefusedError,
    HTTPStatus.TOO_MANY_REQUESTS: TransientError,
    HTTPStatus.SERVICE_UNAVAILABLE: TransientError,
}


class _ProgressAnswer(BaseModel):
    what: str
    done: int
    total: int | None
    unit: str


class _JobSeen(BaseModel):
    """A job or a plan, as far as it is used; a later release may say more."""

    id: str = Field(pattern=r"^[0-9a-f]{1,64}$")
    state: str
    progress: _ProgressAnswer | None = None
    document: dict[str, Any] | None = None
    exit_code: int | None = None
    why: str = ""
    plan: str | None = None


class _TextAnswer(BaseModel):
    stdout: str
    stderr: str


class _LookAnswer(BaseModel):
    result: dict[str, Any]


class _RefusalAnswer(BaseModel):
    detail: str
    hint: str = ""
    type: str = ""


_JSON: Final[Mapping[type[BaseModel], TypeAdapter[BaseModel]]] = {
    shape: TypeAdapter(shape) for shape in (_JobSeen, _TextAnswer, _LookAnswer)
}


class ServiceClient:
    """One service, called with one token.

    Args:
        url: Where it listens.
        token: Who asks.
        named: How the service is named in commands that it prints; empty: not at all.

    Raises:
        ConfigError: the URL is none.
    """

    def __init__(self, url: str, token: str, named: str = "") -> None:
        address = urlsplit(url)
        if address.scheme not in {"http", "https"} or not address.hostname or "@" in address.netloc:
            raise ConfigError("--service: write it like https://replicator.example:9465")
        if address.scheme == "http" and not _is_of_this_machine(address.hostname):
            raise ConfigError(
                f"--service {url}: the token would cross the network for everybody to read",
                hint="write https://, or open a tunnel and use its end on this machine",
            )
        self._url, self._token, self._named = url.rstrip("/"), token, named
        self._opener = _ENCRYPTED if address.scheme == "https" else _UNENCRYPTED
        self.on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None

    def job(self, request: VerbRequest, columns: int) -> dict[str, Any]:
        """Have a job done, and return it when it has ended."""
        return self._ended(self._post("jobs", _body(request), columns))

    def plan(self, request: VerbRequest, columns: int) -> dict[str, Any]:
        """Have a plan made, and return its job: `plan` is the digest."""
        return self._ended(self._post("plans", _body(request), columns))

    def run(self, digest: str, columns: int) -> dict[str, Any]:
        """Have a plan carried out, and return its job when it has ended."""
        return self._ended(self._post("runs", {"digest": digest}, columns))

    def look(self, path: str, query: Mapping[str, object], shape: TypeAdapter[_Result]) -> _Result:
        """Return the result of a document that the service has at once."""
        given = {name: value for name, value in query.items() if value is not None}
        found = self._sent("GET", f"/v1/{path}?{urlencode(given)}", shape=_LookAnswer)
        return self._checked(shape, found["result"])

    def text(self, job_id: str) -> dict[str, Any]:
        """Return what a terminal would have shown of a job."""
        return self._sent("GET", f"/v1/jobs/{job_id}/text", shape=_TextAnswer)

    def _post(self, what: str, body: Mapping[str, Any], columns: int) -> dict[str, Any]:
        shown = {"columns": min(max(columns, 40), 1000), "service": self._named}
        # The same key in each attempt: what was cut off, and counted all the same, is the same job.
        path = f"/v1/{what}?{urlencode(shown)}"
        return self._sent("POST", path, body, key=token_hex(16), shape=_JobSeen)

    def _ended(self, job: dict[str, Any]) -> dict[str, Any]:
        try:
            while job["state"] not in FINAL:
                job = self._sent("GET", f"/v1/jobs/{job['id']}?wait={WAIT_S:g}", shape=_JobSeen)
                if job["progress"] is not None:
                    self.on_progress(job["progress"])
        except (KeyboardInterrupt, SystemExit):
            self._sent("POST", f"/v1/jobs/{job['id']}/cancel", shape=_JobSeen)
            raise
        if job["document"] is None:
            job = self._sent("GET", f"/v1/jobs/{job['id']}", shape=_JobSeen)
        return job

    def _sent(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        shape: type[BaseModel],
        key: str | None = None,
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        headers |= {} if key is None else {"Idempotency-Key": key}
        data = None if body is None else orjson.dumps(body)
        request = Request(self._url + path, data, headers, method=method)  # noqa: S310 - checked
        try:
            answer = self._answered(request)
        except HTTPError as exc:
            raise _error(exc) from exc
        except (URLError, OSError, ValueError, HTTPException) as exc:
            raise TransientError(
                f"the service at {self._url} cannot be reached: {getattr(exc, 'reason', exc)}",
                hint="check that it runs there, and that this machine trusts its certificate",
            ) from exc
        return self._checked(_JSON[shape], answer).model_dump()

    def _checked(self, shape: TypeAdapter[_Result], found: object) -> _Result:
        """Return what an answer holds.

        Raises:
            ConfigError: it has another form; another program answers, or another release.
        """
        try:
            return shape.validate_python(found)
        except ValidationError as exc:
            wrong = exc.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, wrong["loc"]))
            raise ConfigError(
                f"the service at {self._url} did not answer as a control API does: {where}:"
                f" {wrong['msg']}",
                hint="is this its address, and is it of this release?",
            ) from exc

    def _answered(self, request: Request) -> object:
        """Send a request, again if its connection is cut, and return the answer."""
        for pause_s in (*PAUSES_S, None):
            try:
                with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                    body = self._whole(answer)
                    refuse_many_values(body)
                    return orjson.loads(body)
            except (OSError, HTTPException) as exc:
                if pause_s is None or not _was_cut(exc):
                    raise
                sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _whole(self, answer: HTTPResponse) -> bytes:
        body = bytearray()
        began_s = monotonic()
        while piece := answer.read1(PIECE_BYTES):
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise ConfigError(
                    f"the service at {self._url} answered with more than {ANSWER_BYTES_MAX} bytes",
                    hint="is this the address of a control API?",
                )
            if monotonic() - began_s > ANSWER_S_MAX:
                raise TransientError(
                    f"the service at {self._url} did not end its answer within {ANSWER_S_MAX:g} s"
                )
        return bytes(body)


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: the token would go along, wherever the redirect leads."""

    def redirect_request(self, *_: object) -> None:
        return None


_ENCRYPTED: Final = build_opener(_NoRedirect)
_UNENCRYPTED: Final = build_opener(_NoRedirect, ProxyHandler({}))
"""Asks no proxy, which would be sent the token as it is; a proxy of https sees nothing of it."""


def _was_cut(exc: Exception) -> bool:
    """Return whether a connection ended that was there: the request may have counted."""
    kinds = (ConnectionResetError, BrokenPipeError, TimeoutError, HTTPException)
    return isinstance(getattr(exc, "reason", exc), kinds)


def _is_of_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _body(request: VerbRequest) -> dict[str, Any]:
    return request.model_dump(mode="json", by_alias=True)


def _error(exc: HTTPError) -> ReplicatorError:
    """Return the error that a problem document stands for."""
    try:
        problem = _RefusalAnswer.model_validate_json(exc.read(ANSWER_BYTES_MAX))
        detail, hint = problem.detail, problem.hint
        kind = getattr(errors, problem.type, None)
    except (ValueError, OSError, HTTPException):
        detail, hint, kind = f"the service answered {exc.code}", "", None
    if not (isinstance(kind, type) and issubclass(kind, ReplicatorError)):
        kind = BY_STATUS.get(exc.code, ConfigError)
    return kind(detail, hint=hint)
