"""When a target was last proved good, and what is known to be bad, by proofs that can be read."""

from datetime import datetime

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.store.proof import PROOFS, Proof, bad_names, last_good, proof_of
from replicator.ports import Area

LOOKED_AT_MAX = 100
"""Newest proofs that are looked at; older ones say little of today."""


async def last_proved(area: Area) -> dict[str, datetime]:
    """Return when each level was last proved good.

    A name alone proves nothing: whoever can write to the store can make one. Of each level the
    newest file counts that is what it is called, and that is signed where the target has keys.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    found: dict[str, datetime] = {}
    for name in reversed((await area.names(f"{PROOFS}/"))[-LOOKED_AT_MAX:]):
        for level, time in last_good([name]).items():
            if level not in found and await _is_believed(area, name):
                found[level] = time
    return found


async def known_bad(area: Area) -> Proof | None:
    """Return the newest bad proof that no later one, at least as wide, has cleared.

    Only bad proofs and what may clear them are read: of a target that was never bad, none.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    names = (await area.names(f"{PROOFS}/"))[-LOOKED_AT_MAX:]
    for name, later in bad_names(names):
        if (bad := await _read(area, name)) is None:
            continue
        clearing = [await _read(area, one) for one in reversed(later)]
        if not any(one is not None and one.clears(bad) for one in clearing):
            return bad
    return None


async def _is_believed(area: Area, name: str) -> bool:
    return await _read(area, name) is not None


async def _read(area: Area, name: str) -> Proof | None:
    try:
        return proof_of(name, await area.get(name))
    except (CorruptionError, NotFoundError):
        return None
