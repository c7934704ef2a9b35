"""One aiohttp session, opened at its first use, for storages with plain HTTP APIs."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    TCPConnector,
)

from replicator.adapters.boundary import reason
from replicator.adapters.tls import distrust_hint, trusting
from replicator.adapters.transfer.answers import OddAnswerError
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.errors import ConfigError, ReplicatorError, TransientError

if TYPE_CHECKING:
    from aiohttp.client import _RequestContextManager

CONNECTIONS_MAX = 64
ANSWER_BYTES_MAX = 64 << 20
"""Limit for an answer that is in memory as a whole; HDFS lists 200,000 files of a folder in it."""
ERROR_BYTES_MAX = 64 << 10
"""Number of bytes that are read of an answer which says what is wrong."""


class HttpSession:
    """Opens its session late, because a session belongs to the running event loop."""

    def __init__(
        self,
        *,
        ca_file: Path | None,
        connect_timeout_s: float,
        request_timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.request_timeout_s = request_timeout_s
        self._ca_file, self._headers = ca_file, dict(headers or {})
        self._timeout = ClientTimeout(
            total=None, sock_connect=connect_timeout_s, sock_read=request_timeout_s
        )
        self._session: ClientSession | None = None
        self._proxies: dict[tuple[str, str], str | None] = {}

    def request(self, method: str, url: str, **options: Any) -> "_RequestContextManager":
        """Send a request, through the environment's proxy for its host.

        No redirect is followed: a server could let this process ask anything of any other host, and
        a DELETE keeps its method on the way.
        """
        parts = urlsplit(url)
        server = parts.scheme, parts.netloc
        if server not in self._proxies:
            self._proxies[server] = proxy_for(url)
        proxy = self._proxies[server]
        return self.session().request(method, url, proxy=proxy, allow_redirects=False, **options)

    def session(self) -> ClientSession:
        """Return the session.

        Raises:
            ConfigError: `ca_file` cannot be read.
        """
        if self._session is None:
            self._session = ClientSession(
                timeout=self._timeout,
                headers=self._headers,
                connector=TCPConnector(limit=CONNECTIONS_MAX, ssl=self._ssl()),
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
            # aiohttp closes the transports in the loop's next pass ("Graceful shutdown" in its
            # documentation).
            await asyncio.sleep(0)

    def _ssl(self) -> ssl.SSLContext | bool:
        if self._ca_file is None:
            return True
        try:
            return trusting(self._ca_file)
        except OSError as exc:
            raise ConfigError(
                f"{self._ca_file} cannot be read: {exc}", hint="correct ca_file of the storage"
            ) from exc


CERTIFICATE_HINT = (
    "name the CA of the server's certificate in ca_file, or correct the host's name: the server"
    " answered, and is not trusted"
)


def refuse_redirect(response: ClientResponse, doing: str) -> None:
    """Refuse an answer that sends to somewhere else.

    Args:
        response: Answer of a server that is not trusted.
        doing: What was requested, and of whom, in messages.

    Raises:
        TransientError: it does.
    """
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        raise TransientError(
            f"{doing}: {response.url.host} redirects, which is not followed (status"
            f" {response.status})",
            hint="configure the address that it redirects to",
        )


BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Status codes of a server with too many requests."""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the number of seconds that a server asks clients to wait; None: it does not ask.

    A date counts from the date of the answer, independent of this machine's clock.
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    after = by_name.get("retry-after", "")
    if after.isdecimal():
        return float(after)
    until, now = (_time_of(text) for text in (after, by_name.get("date", "")))
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def _time_of(text: str) -> datetime | None:
    """Return the time in a header; None: it is not a time, or none that can be reckoned with."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


async def whole(
    response: ClientResponse,
    doing: str,
    *,
    too_large: type[ReplicatorError],
    within_s: float | None = None,
) -> bytes:
    """Return a body of at most `ANSWER_BYTES_MAX`, of which no more than that is read.

    Args:
        response: Answer of a server that is not trusted.
        doing: What was requested, and of whom, in messages.
        too_large: Class of the error for a larger body.
        within_s: Time for all of it; None: the request has a limit of its own.

    Raises:
        TimeoutError: it did not arrive in time.
    """
    body = await _beginning(response, ANSWER_BYTES_MAX, within_s)
    if len(body) > ANSWER_BYTES_MAX:
        raise too_large(
            f"{doing}: {response.url.host} answered with more than {ANSWER_BYTES_MAX} bytes",
            hint="no answer to this is so large: is it the right server? A folder of HDFS may hold"
            " too many files",
        )
    return body


async def complaint(response: ClientResponse, *, within_s: float) -> str:
    """Return the beginning of a body that says what is wrong.

    Raises:
        TimeoutError: it did not arrive in time.
    """
    return (await _beginning(response, ERROR_BYTES_MAX, within_s)).decode(errors="replace")


async def _beginning(response: ClientResponse, bytes_max: int, within_s: float | None) -> bytes:
    """Return a body, or some more of it than `bytes_max`, and then close its connection."""
    body = bytearray()
    async with asyncio.timeout(within_s):
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > bytes_max:
                response.close()
                break
    return bytes(body)


SLOW_BYTES: Final = 8 << 20
"""Bytes of a body that may take the time of a request: each byte in time would take for ever."""


async def in_pieces(
    response: ClientResponse, *, size_bytes: int, piece_bytes: int, request_timeout_s: float
) -> AsyncIterator[bytes]:
    """Yield a body in pieces of similar size.

    Only what its server takes counts as its time, and not what is done with the pieces.

    Raises:
        TransientError: it ended early, which is not noticed without a length from the server, or
            more came than was requested, or `SLOW_BYTES` took longer than a request may.
    """
    pieces, held_bytes, left_bytes = list[bytes](), 0, size_bytes
    arriving, waited_s = aiter(response.content.iter_any()), 0.0
    clock = asyncio.get_running_loop().time
    while True:
        waiting_since_s = clock()
        piece = await anext(arriving, None)
        waited_s += clock() - waiting_since_s
        if piece is None:
            break
        if waited_s > request_timeout_s * (1 + (size_bytes - left_bytes) // SLOW_BYTES):
            raise TransientError(
                f"{response.url.host}: {size_bytes - left_bytes} bytes of a body took"
                f" {waited_s:.0f} s",
                hint="if its network is so slow, raise `request_timeout_s` of the storage: it is"
                " the time of 8 MiB",
            )
        pieces.append(piece)
        held_bytes, left_bytes = held_bytes + len(piece), left_bytes - len(piece)
        if left_bytes < 0:
            host = response.url.host
            raise TransientError(f"{host}: a body is longer than the {size_bytes} bytes requested")
        if held_bytes >= piece_bytes:
            yield b"".join(pieces)
            pieces, held_bytes = [], 0
    if left_bytes > 0:
        raise TransientError(f"{response.url.host}: a body broke off {left_bytes} bytes early")
    if pieces:
        yield b"".join(pieces)


@contextmanager
def reached(name: str, doing: str) -> Generator[None]:
    """Translate errors of the connection into the replicator's.

    Raises:
        ConfigError: the server's certificate is not trusted.
        TransientError: no answer came, or an incomplete one.
    """
    try:
        yield
    except OddAnswerError as exc:
        raise TransientError(
            f"{name}: {doing}: the answer broke off, or is not what this service answers: {exc}"
        ) from exc
    except (ClientConnectorCertificateError, ssl.SSLCertVerificationError) as exc:
        hint = distrust_hint(str(exc), CERTIFICATE_HINT)
        raise ConfigError(f"{name}: {doing}: {exc}", hint=hint) from exc
    except (ClientError, TimeoutError, OSError) as exc:
        raise TransientError(f"{name}: {doing}: {reason(exc)}") from exc
