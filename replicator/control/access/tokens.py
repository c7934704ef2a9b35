"""Identifies the principal of a request by its token or its certificate."""

import ssl
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from secrets import token_hex, token_urlsafe
from typing import Any, Final

from aiohttp import web

from replicator.adapters.sqlite.tokens import TokenStore
from replicator.config.operations.control import ControlClientSettings
from replicator.control.problems import Problem
from replicator.model.operations.access import (
    SECRET_BYTES,
    AccessToken,
    Principal,
    Role,
    digest_of,
    read_token,
    written_token,
)
from replicator.ports import Clock

SCHEME: Final = "bearer "
WINDOW_S: Final = 60.0
"""Window in which wrong tokens of one address are counted, in seconds."""
ADDRESSES_MAX: Final = 10_000
"""Number of remembered addresses; the oldest is forgotten first."""
HINT: Final = (
    "send `Authorization: Bearer TOKEN`; `replicator token create NAME --role ROLE` makes one"
)


class Logins:
    """Counts requests without a good token by address; after too many, answers get terse.

    A good token is always accepted: behind a proxy all clients have the same address.
    """

    def __init__(self, failed_max: int, clock: Clock) -> None:
        self._failed_max, self._clock = failed_max, clock
        self._failed: dict[str, deque[datetime]] = {}

    def failed(self, address: str) -> Problem | None:
        """Record one such request; return the answer after too many of them in a minute."""
        if address not in self._failed and len(self._failed) >= ADDRESSES_MAX:
            del self._failed[next(iter(self._failed))]
        times, now = self._failed.setdefault(address, deque()), self._clock.now()
        while times and (now - times[0]).total_seconds() >= WINDOW_S:
            times.popleft()
        if len(times) < self._failed_max:
            times.append(now)
            return None
        left_s = WINDOW_S - (now - times[0]).total_seconds()
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many requests without a good token from this address",
            headers={"Retry-After": str(int(left_s) + 1)},
        )


class Doorkeeper:
    """Identifies principals.

    Args:
        tokens: The issued tokens.
        clients: Permissions of client certificates, by their names.
        logins: Counts wrong tokens.
        clock: Clock by which tokens expire.
    """

    def __init__(
        self,
        *,
        tokens: TokenStore,
        clients: Mapping[str, ControlClientSettings],
        logins: Logins,
        clock: Clock,
    ) -> None:
        self._tokens, self._clients = tokens, clients
        self._logins, self._clock = logins, clock

    async def principal(self, request: web.Request) -> Principal:
        """Return the principal of a request.

        Raises:
            Problem: an unknown principal, or a token that is no longer valid (401, 429).
        """
        if (known := self._of_certificate(request)) is not None:
            return known
        why = await self._refusal(request)
        if isinstance(why, Principal):
            return why
        raise self.failed(request) or _nobody(why)

    def failed(self, request: web.Request) -> Problem | None:
        """Count a request of an unknown principal; return what to answer after too many."""
        return self._logins.failed(request.remote or "")

    async def _refusal(self, request: web.Request) -> Principal | str:
        """Return the principal of a good token, or the reason why the request has none."""
        header = request.headers.get("Authorization", "")
        if not header:
            return "no token was sent"
        parts = read_token(header[len(SCHEME) :].strip())
        if not header.lower().startswith(SCHEME) or parts is None:
            return "the token is wrong"
        token = await self._tokens.token(parts[0])
        if token is None:
            return "the token is wrong"
        return token.refusal(parts[1], self._clock.now()) or token.principal

    def _of_certificate(self, request: web.Request) -> Principal | None:
        transport = request.transport
        found = transport.get_extra_info("ssl_object") if transport is not None else None
        if not isinstance(found, ssl.SSLObject) or not (shown := found.getpeercert()):
            return None
        for name in _names(shown):
            if (client := self._clients.get(name)) is not None:
                return Principal(
                    name=f"certificate {name}",
                    role=Role(client.role),
                    targets=frozenset(client.targets) or None,
                )
        return None


def _nobody(why: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, why, hint=HINT, headers={"WWW-Authenticate": "Bearer"})


def _names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the common name of a verified certificate, then its DNS names."""
    for part in certificate.get("subject", ()):
        yield from (value for key, value in part if key == "commonName")
    yield from (value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")


def new_token(
    *, name: str, role: Role, targets: frozenset[str] | None, now: datetime, until: datetime | None
) -> tuple[AccessToken, str]:
    """Return a token as the service stores it, and as its owner gets it."""
    id_, secret = token_hex(4), token_urlsafe(SECRET_BYTES)
    kept = AccessToken(
        id=id_,
        name=name,
        role=role,
        targets=targets,
        created_at=now,
        expires_at=until,
        revoked_at=None,
        digest=digest_of(secret),
    )
    return kept, written_token(id_, secret)
