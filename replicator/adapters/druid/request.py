"""One HTTP request to a Druid server, with basic authentication if configured."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from replicator.adapters.boundary import reason
from replicator.adapters.tls import distrust_hint, trusting
from replicator.adapters.transfer.answers import AnswerShape, OddAnswerError, message_of
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.adapters.transfer.http_session import whole
from replicator.errors import ConfigError, ReplicatorError, TransientError

_T = TypeVar("_T")
AWAY = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
"""HTTP status codes after which another server may answer."""
REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DruidLogin:
    """Credentials, and the trusted certificates."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


@asynccontextmanager
async def send(
    login: DruidLogin, method: str, url: str, body: bytes | None = None, *, timeout_s: float
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send one request over a connection of its own.

    Raises:
        TransientError: no answer within `timeout_s`.
        ConfigError: the certificate is not trusted.
    """
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if login.username is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(login.username, login.password or "")
    real_url, proxy = _understood(url)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=timeout_s), headers=headers
            ) as session,
            session.request(
                method,
                real_url,
                data=body,
                ssl=_tls(login),
                allow_redirects=False,  # aiohttp would leave the login behind
                proxy=proxy,
            ) as answer,
        ):
            yield answer
    except aiohttp.ClientConnectorCertificateError as exc:
        hint = distrust_hint(str(exc), "name its CA in druid.ca_file")
        raise ConfigError(f"{url}: {exc}", hint=hint) from exc
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise TransientError(f"{method} {url}: {reason(exc)}") from exc


def _understood(url: str) -> tuple[URL, str | None]:
    """Return a URL, which may be a server's redirect, and the proxy for it.

    Raises:
        TransientError: it is none.
    """
    try:
        found = URL(url, encoded=True)
        _ = found.port  # read from the text only now
        return found, proxy_for(url)
    except ValueError as exc:
        raise TransientError(f"{url} is no address: {exc}") from exc


class DruidServers:
    """Servers of one kind: each may be down, and only one may lead.

    A Coordinator or Overlord that does not lead redirects to the leader (Druid's RedirectFilter),
    or answers 503 while it knows of none.
    """

    def __init__(self, urls: Sequence[str], login: DruidLogin) -> None:
        """Create the client; sends no request."""
        self._urls, self._login = [str(URL(url)).rstrip("/") for url in urls], login

    @property
    def first(self) -> str:
        """The server that answered last."""
        return self._urls[0]

    @asynccontextmanager
    async def send(
        self, method: str, path: str, body: bytes | None = None, *, timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request to the first server that answers and leads; `path` is quoted.

        Raises:
            TransientError: no server answers within `timeout_s`.
            ConfigError: a certificate is not trusted, or the leader is not configured.
        """
        failures: list[ReplicatorError] = []
        request = _DruidRequest(method, path, body, timeout_s)
        # Another request that ends meanwhile may reorder the list.
        for url in tuple(self._urls):
            async with AsyncExitStack() as stack:
                try:
                    answer, leader = await self._led(stack, url, request)
                except (TransientError, _LeaderUnknownError) as exc:
                    failures.append(exc)
                    continue
                # The last server's answer is handed on: its body says what is wrong.
                if answer.status in AWAY and len(failures) + 1 < len(self._urls):
                    failures.append(TransientError(f"{url} answered {answer.status}"))
                    continue
                self._prefer(leader)
                yield answer
                return
        unknown = [one for one in failures if isinstance(one, _LeaderUnknownError)]
        if unknown:
            raise unknown[0]
        raise TransientError("; ".join(map(str, failures)))

    async def _led(
        self, stack: AsyncExitStack, url: str, request: "_DruidRequest"
    ) -> tuple[aiohttp.ClientResponse, str]:
        """Ask one server, or the one that it redirects to; return the answer and its server."""
        answer = await stack.enter_async_context(request.to(f"{url}{request.path}", self._login))
        if answer.status not in REDIRECTS:
            return answer, url
        location = answer.headers.get("Location", "")
        leader = next((one for one in self._urls if location.startswith(f"{one}/")), None)
        if leader is None and self._login.username is not None:
            raise _LeaderUnknownError(
                f"{url} does not lead and redirects to {location}, which is not configured",
                hint="name that server too: the password is sent to configured servers only",
            )
        if leader is None and not _is_to_a_leader(location, f"{url}{request.path}", request.path):
            raise TransientError(
                f"{url} redirects to {location}, which is not the same question to another server",
                hint="name the leader among the configured servers",
            )
        return await stack.enter_async_context(request.to(location, self._login)), leader or url

    def _prefer(self, url: str) -> None:
        self._urls.remove(url)
        self._urls.insert(0, url)


def _is_to_a_leader(location: str, requested: str, path: str) -> bool:
    """Return whether a redirect is one to a leader: the same path at another server.

    A server without a login could otherwise let this process ask anything of any host.
    """
    try:
        before, after = urlsplit(requested), urlsplit(location)
    except ValueError:  # no address
        return False
    safe = after.scheme == "https" or after.scheme == before.scheme == "http"
    return safe and "@" not in after.netloc and location == f"{after.scheme}://{after.netloc}{path}"


@dataclass(frozen=True, slots=True)
class _DruidRequest:
    method: str
    path: str
    body: bytes | None
    timeout_s: float

    def to(
        self, url: str, login: DruidLogin
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return send(login, self.method, url, self.body, timeout_s=self.timeout_s)


class _LeaderUnknownError(ConfigError):
    """The leader is not configured, so it must not get the password."""


async def answered(
    answer: aiohttp.ClientResponse, url: str, *, whose: str, shape: AnswerShape[_T]
) -> _T:
    """Return the body of an answer.

    Raises:
        TransientError: the server asks to try again later.
        ConfigError: access is denied, the request is rejected, the answer is larger than any of
            Druid's, or this is not `whose` address.
    """
    body = await whole(answer, f"{answer.method} {url}", too_large=ConfigError)
    message = message_of(body.decode(errors="replace"))
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise ConfigError(
            f"{url}: access is denied ({answer.status})", hint="correct druid.username"
        )
    if answer.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT} or (
        answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        raise TransientError(f"{url} answered {answer.status}: {message}")
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise ConfigError(f"{url} answered {answer.status}: {message}")
    try:
        return shape.read(body)
    except OddAnswerError as exc:
        raise ConfigError(
            f"{url} did not answer in JSON as a Druid does ({exc}): {message}",
            hint=f"is this the address of {whose}?",
        ) from exc


def _tls(login: DruidLogin) -> ssl.SSLContext | bool:
    if login.ca_file is None:
        return True
    try:
        return trusting(login.ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"druid.ca_file cannot be used: {exc}") from exc
