"""When a target was last proved good, and what is known to be bad, by proofs that can be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from replicator.errors import ConfigError, CorruptionError, NotFoundError
from replicator.model.store.proof import (
    PROOF_BYTES_MAX,
    PROOFS,
    Proof,
    bad_names,
    by_time,
    last_good,
    proof_of,
)
from replicator.ports import Area

LOOKED_AT_MAX = 100
"""Number of newest proofs that are read, and of later times; older ones say little of today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """Result of the newest proofs of a target."""

    good_at: dict[str, datetime]
    """When each level was last proved good."""
    bad: Proof | None
    """The newest bad proof that no later one, at least as wide, has cleared."""
    unread: str = ""
    """Why the newest proof that this user may not read cannot be read; empty: all can."""


async def last_proved(area: Area, *, now: datetime) -> Proved:
    """Return the last proofs of a target.

    A name alone proves nothing: an attacker who can write to the store can make one. For each level
    the newest file counts whose contents fit its name, and which is signed if the target has keys.
    Files with other names, or with future times, push no proof out of the newest ones.

    Raises:
        TransientError, ConfigError: as for `Area`, where it cannot be listed.
    """
    found = _Proofs(area)
    past, later = by_time(await area.names(f"{PROOFS}/"), now)
    names = [*past[-LOOKED_AT_MAX:], *later[-LOOKED_AT_MAX:]]
    good_at: dict[str, datetime] = {}
    for name in reversed(names):
        for level, time in last_good([name]).items():
            if level not in good_at and await found.read(name) is not None:
                good_at[level] = time
    bad = await _not_cleared(found, names)
    return Proved(good_at=good_at, bad=bad, unread=found.unread)


class _Proofs:
    """Reads proofs, and remembers why one could not be read."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._known: dict[str, Proof | None] = {}
        self.unread = ""

    async def read(self, name: str) -> Proof | None:
        """Return a proof; None if it is gone, not signed by a trusted key, or not readable."""
        if name not in self._known:
            self._known[name] = await self._read(name)
        return self._known[name]

    async def _read(self, name: str) -> Proof | None:
        try:
            return proof_of(name, await self._area.get(name, bytes_max=PROOF_BYTES_MAX))
        except (CorruptionError, NotFoundError):
            return None
        except ConfigError as exc:
            self.unread = self.unread or str(exc)
            return None


async def _not_cleared(found: _Proofs, names: Sequence[str]) -> Proof | None:
    """Read bad proofs and those that may clear them; none for a target that was never bad."""
    for name, later in bad_names(names):
        bad = await found.read(name)
        if bad is not None and not await _is_cleared(found, bad, later):
            return bad
    return None


async def _is_cleared(found: _Proofs, bad: Proof, later: Sequence[str]) -> bool:
    for name in reversed(later):
        proof = await found.read(name)
        if proof is not None and proof.clears(bad):
            return True
    return False
