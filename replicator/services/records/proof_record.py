"""When a target was last proved good, and what is known to be bad, by proofs that can be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.store.proof import PROOFS, Proof, bad_names, last_good, proof_of
from replicator.ports import Area

LOOKED_AT_MAX = 100
"""Newest proofs that are looked at; older ones say little of today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What the newest proofs of a target say together."""

    good_at: dict[str, datetime]
    """When each level was last proved good."""
    bad: Proof | None
    """The newest bad proof that no later one, at least as wide, has cleared."""


async def last_proved(area: Area) -> Proved:
    """Return the last proofs of a target.

    A name alone proves nothing: whoever can write to the store can make one. Of each level the
    newest file counts that is what it is called, and that is signed where the target has keys.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    names = (await area.names(f"{PROOFS}/"))[-LOOKED_AT_MAX:]
    good_at: dict[str, datetime] = {}
    for name in reversed(names):
        for level, time in last_good([name]).items():
            if level not in good_at and await _read(area, name) is not None:
                good_at[level] = time
    return Proved(good_at=good_at, bad=await _not_cleared(area, names))


async def _not_cleared(area: Area, names: Sequence[str]) -> Proof | None:
    """Read the bad proofs and what may clear them: of a target that was never bad, none."""
    for name, later in bad_names(names):
        bad = await _read(area, name)
        if bad is not None and not await _is_cleared(area, bad, later):
            return bad
    return None


async def _is_cleared(area: Area, bad: Proof, later: Sequence[str]) -> bool:
    for name in reversed(later):
        proof = await _read(area, name)
        if proof is not None and proof.clears(bad):
            return True
    return False


async def _read(area: Area, name: str) -> Proof | None:
    """Return a proof; None if it is gone, or not signed by a trusted key."""
    try:
        return proof_of(name, await area.get(name))
    except (CorruptionError, NotFoundError):
        return None
