"""Who stands behind a request: its token, or its certificate."""

import ssl
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from secrets import token_hex, token_urlsafe
from typing import Any, Final

from aiohttp import web

from replicator.adapters.sqlite.tokens import TokenStore
from replicator.config.control import ControlClientSettings
from replicator.control.problems import Problem
from replicator.model.access import (
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
"""In which wrong tokens of one address are counted, in seconds."""
ADDRESSES_MAX: Final = 10_000
"""Addresses that are remembered for it; the one that came first gives way."""
HINT: Final = "send `Authorization: Bearer TOKEN`; `replicator token create` makes one"


class Logins:
    """Counts the wrong tokens of each address, and shuts it out for a while after too many."""

    def __init__(self, failed_max: int, clock: Clock) -> None:
        self._failed_max, self._clock = failed_max, clock
        self._failed: dict[str, deque[datetime]] = {}

    def refuse_many(self, address: str) -> None:
        """Refuse an address with too many of them, also with a good token.

        Raises:
            Problem: so it is, until its oldest one is a minute old.
        """
        failed, now = self._failed.get(address, deque()), self._clock.now()
        while failed and (now - failed[0]).total_seconds() >= WINDOW_S:
            failed.popleft()
        if not failed:
            self._failed.pop(address, None)
        if len(failed) >= self._failed_max:
            left_s = WINDOW_S - (now - failed[0]).total_seconds()
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many wrong tokens from this address",
                headers={"Retry-After": str(int(left_s) + 1)},
            )

    def count(self, address: str) -> None:
        """Take note of a wrong token."""
        if address not in self._failed and len(self._failed) >= ADDRESSES_MAX:
            del self._failed[next(iter(self._failed))]
        failed = self._failed.setdefault(address, deque(maxlen=self._failed_max))
        failed.append(self._clock.now())


class Doorkeeper:
    """Finds out who asks.

    Args:
        tokens: Those that were given out.
        clients: What holders of client certificates may do, by their names.
        logins: Counts wrong tokens.
        clock: Says which tokens have expired.
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
        """Return who asks.

        Raises:
            Problem: nobody whom we know, or a token that is good no more (401, 429).
        """
        if (known := self._of_certificate(request)) is not None:
            return known
        address = request.remote or ""
        self._logins.refuse_many(address)
        header = request.headers.get("Authorization", "")
        if not header:
            raise _nobody("no token was sent")
        why = "the token is wrong"
        if header.lower().startswith(SCHEME) and (
            parts := read_token(header[len(SCHEME) :].strip())
        ):
            token = await self._tokens.token(parts[0])
            if token is not None:
                refusal = token.refusal(parts[1], self._clock.now())
                if refusal is None:
                    return token.principal
                why = refusal
        self._logins.count(address)
        raise _nobody(why)

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
    """Yield the common name of a certificate that was checked, then its DNS names."""
    for part in certificate.get("subject", ()):
        yield from (value for key, value in part if key == "commonName")
    yield from (value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")


def new_token(
    *, name: str, role: Role, targets: frozenset[str] | None, now: datetime, until: datetime | None
) -> tuple[AccessToken, str]:
    """Return a token as it is kept, and as its owner gets it."""
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
