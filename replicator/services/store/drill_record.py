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

    async def newest(self, count: int) -> tuple[Sequence[Evidence], Sequence[str]]:
        """Return the evidence of the newest drills, newest first, and what is wrong with others."""
        found, faults = list[Evidence](), list[str]()
        for name in reversed((await self._names())[-count:]):
            try:
                found.append(await self._read(name))
            except CorruptionError as exc:
                faults.append(str(exc))
        return found, faults

    async def drilled(self) -> Drilled:
        """Return how the drills stand; that nobody can say is an answer, too.

        Evidence that is altered counts for nothing: it is named, and the drill is made again.
        """
        last, faults = None, list[str]()
        try:
            for name in reversed((await self._names())[-READ_MAX:]):
                try:
                    found = await self._read(name)
                except CorruptionError as exc:
                    faults.append(str(exc))
                    continue
                last = last or found
                if found.is_good:
                    return Drilled(last=last, last_good=found, faults=tuple(faults))
        except (TransientError, ConfigError, NotFoundError) as exc:
            return Drilled(unknown=str(exc))
        return Drilled(last=last, faults=tuple(faults))

    async def _names(self) -> Sequence[str]:
        return await self._area.names(f"{DRILLS}/")

    async def _read(self, name: str) -> Evidence:
        if name not in self._known:
            while len(self._known) >= KEPT_MAX:
                del self._known[next(iter(self._known))]
            self._known[name] = evidence_of(name, await self._area.get(name))
        return self._known[name]
