"""The evidence of a target's drills, in its own store."""

from collections.abc import Sequence

from replicator.errors import ConfigError, CorruptionError, NotFoundError, TransientError
from replicator.model.drill import (
    DRILLS,
    Drilled,
    Evidence,
    evidence_bytes,
    evidence_name,
    evidence_of,
)
from replicator.ports import Area

KEPT_MAX = 1_000
"""Drills of which the evidence is kept: one a day, and it is that of three years."""
READ_MAX = 100
"""So many of the newest are looked through for a good one."""


class DrillRecord:
    """Keeps evidence and reads it back; each file is read once."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._known: dict[str, Evidence] = {}

    async def keep(self, evidence: Evidence) -> None:
        """Store the evidence of one drill, durably; the oldest goes when there is too much of it.

        Raises:
            TransientError: the store is away, or there is evidence of another drill of that moment.
            ConfigError: this process may not write there.
        """
        name = evidence_name(evidence)
        if not await self._area.create(name, evidence_bytes(evidence)):
            raise TransientError(f"there is evidence of another drill in {name} already")
        for old in (await self._names())[:-KEPT_MAX]:
            await self._area.delete(old)

    async def newest(self, count: int) -> Sequence[Evidence]:
        """Return the evidence of the newest drills, newest first.

        Raises:
            CorruptionError: a file is altered; the message names it.
        """
        return [await self._read(name) for name in reversed((await self._names())[-count:])]

    async def drilled(self) -> Drilled:
        """Return how the drills stand; that nobody can say is an answer, too."""
        last: Evidence | None = None
        try:
            for name in reversed((await self._names())[-READ_MAX:]):
                found = await self._read(name)
                last = last or found
                if found.is_good:
                    return Drilled(last=last, last_good=found)
        except (TransientError, ConfigError, CorruptionError, NotFoundError) as exc:
            return Drilled(unknown=str(exc))
        return Drilled(last=last)

    async def _names(self) -> Sequence[str]:
        return await self._area.names(f"{DRILLS}/")

    async def _read(self, name: str) -> Evidence:
        if name not in self._known:
            while len(self._known) >= KEPT_MAX:
                del self._known[next(iter(self._known))]
            self._known[name] = evidence_of(name, await self._area.get(name))
        return self._known[name]
