"""Permissions of the control API: roles, tokens and principals."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest

PREFIX = "drt"
"""Start of each token, by which scanners for leaked secrets can recognise one."""
SECRET_BYTES = 32
"""Random bytes of a token's secret part: 256 bits cannot be guessed."""


class Role(StrEnum):
    """Permissions of a principal; each role includes those of the roles before it."""

    VIEWER = "viewer"
    """Look: status, points, holds, the log, jobs."""
    OPERATOR = "operator"
    """Restore, repair, prove, pause and hold."""
    ADMIN = "admin"
    """Also delete bytes, change the primary, create targets and give access."""

    def covers(self, needed: "Role") -> bool:
        """Return whether this role includes the permissions of `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The principal of a request: a token, or the holder of a certificate."""

    name: str
    role: Role
    token: str = ""
    """Id of the principal's token; empty: it showed a certificate."""
    targets: frozenset[str] | None = None
    """The only targets that the principal may see and change; None: all, and what has no target."""

    def may_touch(self, targets: Iterable[str]) -> bool:
        """Return whether all of these targets are open to it; no target: only without a limit."""
        if self.targets is None:
            return True
        requested = set(targets)
        return bool(requested) and requested <= self.targets


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token as the service stores it, without its secret part."""

    id: str
    name: str
    role: Role
    targets: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    digest: str
    """SHA-256 of the secret part, in hexadecimal.

    The secret has 256 random bits. A slow hash protects secrets that people choose and others can
    guess; here it would only let strangers burn this machine's CPU with wrong tokens.
    """

    def refusal(self, secret: str, now: datetime) -> str | None:
        """Return why the token gives no access; None: it does."""
        if not compare_digest(self.digest, digest_of(secret)):
            return "the token is wrong"
        if self.revoked_at is not None:
            return "the token was revoked"
        return None if self.is_good(now) else "the token has expired"

    def is_good(self, now: datetime) -> bool:
        """Return whether the token gives access: it was not revoked and has not expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    @property
    def principal(self) -> Principal:
        """The principal of the token."""
        return Principal(name=self.name, role=self.role, token=self.id, targets=self.targets)


def digest_of(secret: str) -> str:
    """Return the digest that is stored of a token's secret part."""
    return sha256(secret.encode()).hexdigest()


def written_token(id_: str, secret: str) -> str:
    """Return a token as its owner gets it, once."""
    return f"{PREFIX}_{id_}_{secret}"


def read_token(text: str) -> tuple[str, str] | None:
    """Return the id and the secret part of a token; None: it has another form."""
    prefix, _, rest = text.partition("_")
    id_, _, secret = rest.partition("_")
    return (id_, secret) if prefix == PREFIX and id_ and secret else None
