"""The evidence of a target's drills, kept in the target's own store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from replicator.errors import CorruptionError, ReplicatorError, TransientError
from replicator.model.store.drilled import DRILLS, Drilled, evidence_name, is_evidence
from replicator.ports import Area

if TYPE_CHECKING:
    from replicator.model.store.drill import Evidence

# A `status` of targets without drills does not import what their evidence is made of.

KEPT_MAX = 1_000
"""Number of drills whose evidence is kept: with one drill a day, almost three years."""
READ_MAX = 100
"""Number of the newest drills among which the last successful one is searched; they stay read."""
EVIDENCE_BYTES_MAX = 1 << 20
"""Limit for the evidence of one drill, most of which takes a kilobyte."""


class DrillRecord:
    """Writes and reads evidence of drills; each file is read once."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._known: dict[str, Evidence] = {}

    async def keep(self, evidence: Evidence) -> None:
        """Store the evidence of one drill durably; delete the oldest beyond `KEPT_MAX`.

        Raises:
            TransientError: the store is unreachable, or has evidence of another drill at this
                moment.
            ConfigError: this process has no permission to write there.
        """
        from replicator.model.store.drill import evidence_bytes  # noqa: PLC0415 - see above

        name = evidence_name(evidence)
        if not await self._area.create(name, evidence_bytes(evidence)):
            raise TransientError(f"there is already evidence of another drill in {name}")
        for old in (await self._names())[:-KEPT_MAX]:
            await self._area.delete(old)

    async def newest(self, count: int) -> tuple[Sequence[Evidence], Sequence[str]]:
        """Return the evidence of the newest drills, newest first, and what is wrong with others."""
        found: list[Evidence] = []
        faults: list[str] = []
        for name in reversed((await self._names())[-count:]):
            try:
                found.append(await self._read(name))
            except CorruptionError as exc:
                faults.append(str(exc))
        return found, faults

    async def drilled(self) -> Drilled:
        """Return the state of the drills; an unreadable store is a state too.

        Altered evidence does not count: it is named, and the drill is repeated.
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
        except ReplicatorError as exc:
            return Drilled(unknown=str(exc))
        return Drilled(last=last, faults=tuple(faults))

    async def _names(self) -> Sequence[str]:
        return [name for name in await self._area.names(f"{DRILLS}/") if is_evidence(name)]

    async def _read(self, name: str) -> Evidence:
        if name not in self._known:
            from replicator.model.store.drill import evidence_of  # noqa: PLC0415 - see above

            while len(self._known) >= READ_MAX:
                del self._known[next(iter(self._known))]
            data = await self._area.get(name, bytes_max=EVIDENCE_BYTES_MAX)
            self._known[name] = evidence_of(name, data)
        return self._known[name]
