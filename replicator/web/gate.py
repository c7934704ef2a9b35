"""Guards a port: few connections, each for a short time, and only for names of this server.

Without a login an answer is made of what was seen before and costs little. What could still be used
up is connections, lines of the log, and the trust of a browser that is led here under another name
(DNS rebinding).
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import urlsplit

import orjson
import structlog
from aiohttp import web

LINE_BYTES_MAX, FIELD_BYTES_MAX, FIELDS_MAX = 4096, 4096, 64
"""Largest request line, largest header, and most headers."""
HANDSHAKE_S_MAX: Final = 10.0
"""Longest handshake of TLS, in seconds."""
SERVER: Final = "druid-replicator"
"""Value of the header `Server`, in place of the versions of Python and aiohttp."""
PROBLEM_TYPE: Final = "application/problem+json"
"""Media type of a problem document (RFC 9457)."""
PHRASES: Final = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.REQUEST_URI_TOO_LONG: "URI Too Long",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "Range Not Satisfiable",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}
"""What RFC 9110 calls statuses that Python calls otherwise before 3.13."""
ALWAYS: Final = frozenset({"localhost"})
_Connection = TypeVar("_Connection")
log = structlog.get_logger("replicator")
_SILENT: Final = logging.getLogger(f"{__name__}.aiohttp")
_SILENT.disabled = True  # it would write a traceback for each malformed request


IDLE_S_MAX: Final = 60.0
"""Longest pause between two requests of one connection, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """Limits of one port's connections."""

    connections_max: int = 64
    """Open at once; one more closes one of a stranger's: the oldest of the address with most."""
    connection_s_max: float = 10.0
    """Longest life of a connection, in seconds, its answers included."""
    unsent_bytes_max: int = 64 << 20
    """Answers that wait until one known client reads them; more closes its oldest connection."""

    @property
    def known_max(self) -> int:
        """Open at once of those who are known: a quarter of the places is for who is not yet."""
        return max(1, self.connections_max - max(1, self.connections_max // 4))


def host_is_allowed(header: str | None, names: Collection[str]) -> bool:
    """Return whether a `Host` header names this server.

    An address does, as a name that leads here is what an attack needs; and no header at all, which
    no browser leaves out.
    """
    if header is None:
        return True
    try:
        host = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    try:
        ip_address(host)
    except ValueError:
        return host in names or host in ALWAYS
    return True


def guard(names: Collection[str]) -> Any:
    """Return the middleware that lets a request through, or answers why not.

    Args:
        names: By which this server may be called, beside addresses and `localhost`.
    """

    @web.middleware
    async def guarded(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            answer = refused(request, names) or await handler(request)
        except web.HTTPException as exc:  # no such path, no such method
            answer = plain_answer(HTTPStatus(exc.status), allow=exc.headers.get("Allow"))
        answer.headers["Server"] = SERVER
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.force_close()
        return answer

    return guarded


def refused(request: web.Request, names: Collection[str]) -> web.Response | None:
    """Return why a request is not answered, None where it is."""
    if not host_is_allowed(request.headers.get("Host"), names):
        return plain_answer(HTTPStatus.MISDIRECTED_REQUEST, "add this name to web.allowed_hosts")
    if request.can_read_body:
        return plain_answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "no request here has a body")
    return None


def phrase(status: HTTPStatus) -> str:
    """Return a status in the words of RFC 9110, whichever Python this is."""
    return PHRASES.get(status, status.phrase)


def plain_answer(status: HTTPStatus, more: str = "", *, allow: str | None = None) -> web.Response:
    """Return a short answer in plain text."""
    text = f"{phrase(status)}: {more}\n" if more else f"{phrase(status)}\n"
    headers = {"Server": SERVER} | ({"Allow": allow} if allow else {})
    return web.Response(status=status, text=text, headers=headers)


def problem(status: HTTPStatus) -> web.Response:
    """Return a problem document (RFC 9457) for a request that reaches no route."""
    detail = (
        "it is no request, or one of its lines is longer than"
        f" {LINE_BYTES_MAX} bytes, or it has more than {FIELDS_MAX} headers"
        if status is HTTPStatus.BAD_REQUEST
        else phrase(status)
    )
    document = {
        "type": "about:blank",
        "title": phrase(status),
        "status": status.value,
        "detail": detail,
    }
    return web.Response(
        status=status,
        body=orjson.dumps(document),
        content_type=PROBLEM_TYPE,
        headers={"Server": SERVER},
    )


class Crowd(Generic[_Connection]):
    """Connections by whose they are, each one's in the order in which they came."""

    def __init__(self) -> None:
        self._whose: dict[_Connection, str] = {}
        self._of: dict[str, dict[_Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._whose)

    def __contains__(self, connection: _Connection) -> bool:
        return connection in self._whose

    def add(self, connection: _Connection, whose: str) -> None:
        """Take one in, as the newest of this name or address."""
        self.discard(connection)
        self._whose[connection] = whose
        self._of.setdefault(whose, {})[connection] = None

    def discard(self, connection: _Connection) -> None:
        """Let one go, if it is there."""
        if (whose := self._whose.pop(connection, None)) is None:
            return
        theirs = self._of[whose]
        del theirs[connection]
        if not theirs:
            del self._of[whose]

    def like(self, connection: _Connection) -> list[_Connection]:
        """Return all connections of the same client, the oldest first."""
        whose = self._whose.get(connection)
        return [] if whose is None else list(self._of[whose])

    def first_to_go(self) -> _Connection:
        """Return the oldest connection of the client with the most: it loses its own ones."""
        most = max(self._of, key=lambda whose: len(self._of[whose]))
        return next(iter(self._of[most]))


class Gate:
    """Creates the protocols of a server's connections, and ends connections that last too long."""

    def __init__(self, server: web.Server, limits: GateLimits) -> None:
        """Take the server that gets the requests of the connections."""
        self._server, self._limits = server, limits
        self._timers: dict[Connection | Handshake, asyncio.TimerHandle] = {}
        self._strangers = Crowd[Connection | Handshake]()
        """Connections by address."""
        self._known = Crowd[Connection]()
        """Connections by the principal's name; no stranger ends one of these."""

    def __call__(self) -> "Connection":
        """Return the protocol of one more connection."""
        return Connection(self, self._server, loop=asyncio.get_running_loop())

    def encrypting(self, tls: ssl.SSLContext) -> Callable[[], "Handshake"]:
        """Return the factory for protocols of connections that are to be encrypted."""
        return lambda: Handshake(self, tls)

    def enter(self, connection: "Connection | Handshake", address: str) -> None:
        """Take note of a stranger's connection; where there are too many, another gives way."""
        if len(self._timers) >= self._limits.connections_max:
            (self._strangers or self._known).first_to_go().abort()
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(self._limits.connection_s_max, connection.abort)
        self._strangers.add(connection, address)

    def recognise(self, connection: "Connection", name: str) -> None:
        """Take note of whose a connection is; where they are too many, one of theirs gives way."""
        if connection not in self._strangers:
            return
        self._strangers.discard(connection)
        self._known.add(connection, name)
        if len(self._known) > self._limits.known_max:
            self._known.first_to_go().abort()

    def make_room(self, connection: "Connection", size_bytes: int) -> None:
        """Let a known client have an answer of this size; its connections that read none give way.

        Each answer stays in memory until it is read.
        """
        others = [one for one in self._known.like(connection) if one.unsent_bytes]
        unsent_bytes = size_bytes + sum(one.unsent_bytes for one in others)
        for other in others:
            if unsent_bytes <= self._limits.unsent_bytes_max:
                return
            if other is not connection:
                unsent_bytes -= other.unsent_bytes
                other.abort()

    def leave(self, connection: "Connection | Handshake") -> None:
        """Forget a connection that is closed, or will be at once."""
        if (timer := self._timers.pop(connection, None)) is not None:
            timer.cancel()
        self._strangers.discard(connection)
        if isinstance(connection, Connection):
            self._known.discard(connection)

    def close(self) -> None:
        """Close all of them."""
        for connection in list(self._timers):
            connection.abort()


class Handshake(asyncio.Protocol):
    """A connection that is to be encrypted; it counts from its first byte on.

    A server that is given a TLS context reports no connection before its handshake has
    ended, so the gate could not count connections that never send a byte. So one without a context
    accepts them, and hands on the socket before a byte was read: what was read could not be given
    back.

    Args:
        gate: Counts it.
        tls: With which it is encrypted.
    """

    def __init__(self, gate: Gate, tls: ssl.SSLContext) -> None:
        self._gate, self._tls = gate, tls
        self._socket: socket.socket | None = None
        self._shaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the gate, and begin."""
        number = transport.get_extra_info("socket").fileno()
        self._socket = socket.socket(fileno=os.dup(number))
        cast("asyncio.Transport", transport).abort()  # uvloop's are none of asyncio's classes
        self._gate.enter(self, _address(transport))
        self._shaking = asyncio.get_running_loop().create_task(self._shake(self._socket))

    def abort(self) -> None:
        """Close it at once."""
        self._gate.leave(self)
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    async def _shake(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._gate, accepted, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_S_MAX
            )
        except (OSError, EOFError):  # the client gave up, or does not speak TLS
            accepted.close()
        finally:
            self._gate.leave(self)


class Connection(web.RequestHandler):
    """One connection; bytes that are no request are answered in one line, and logged nowhere."""

    def __init__(self, gate: Gate, server: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # as web.AppRunner takes it
            max_line_size=LINE_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
            lingering_time=0.0,
            keepalive_timeout=IDLE_S_MAX,
            logger=_SILENT,
        )
        self._gate = gate
        self._began_s = loop.time()
        self._answer_bytes = 0

    @property
    def age_s(self) -> float:
        """Seconds since it was opened."""
        return asyncio.get_running_loop().time() - self._began_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the gate."""
        super().connection_made(transport)
        self._gate.enter(self, _address(transport))

    def is_of(self, name: str) -> None:
        """Assign the connection to a principal, so that no stranger's connection ends it."""
        self._gate.recognise(self, name)

    @property
    def unsent_bytes(self) -> int:
        """Size of the answer that the client has not read to its end: all of it is in memory."""
        is_sent = self.transport is None or not self.transport.get_write_buffer_size()
        return 0 if is_sent else self._answer_bytes

    def make_room(self, answer: web.StreamResponse) -> None:
        """Make room for an answer, if it has one size."""
        size_bytes = answer.content_length or 0
        self._gate.make_room(self, size_bytes)
        self._answer_bytes = size_bytes

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; requests that aiohttp itself refuses get an answer of the same form."""
        if isinstance(resp, web.HTTPException):
            resp = problem(HTTPStatus(resp.status))
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave it."""
        self._gate.leave(self)
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close it at once, whatever was to be sent."""
        self._gate.leave(self)
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer bytes that are no request, or a request that failed; only the latter is logged."""
        del message
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("a request could not be answered", path=request.path, reason=repr(exc))
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        answer = problem(HTTPStatus(status))
        answer.force_close()
        return answer


def _address(transport: asyncio.BaseTransport) -> str:
    """Return whence a connection comes; empty: it is closed already."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
