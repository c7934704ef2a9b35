"""Records the throughput of copies to a target in its area; a plan's ETA is based on it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from replicator.errors import CorruptionError, NotFoundError, ReplicatorError
from replicator.model.document import Shape, written
from replicator.model.store.rates import Rates

if TYPE_CHECKING:
    from replicator.model.observation import Observer
    from replicator.ports import Area

NAME = "rates.json"
MEASURED_MIN_S = 0.05
"""Shortest time that counts: a shorter measurement is mostly overhead, used for want of better."""
SAVED_EVERY_S = 600.0
COPIES, ROWS = "copies", "rows"
_RATES = Shape(Rates, "remove it, it is measured again", formats=None)


class RateBook:
    """Adds up measurements, and writes them at intervals."""

    def __init__(self, area: Area, observer: Observer) -> None:
        self._area, self._observer = area, observer
        self._new = Rates()
        self._saved_at: dict[str, float] = {}
        self._measured: set[str] = set()

    async def rates(self) -> Rates:
        """Return the throughput so far; none if it cannot be read."""
        try:
            return _RATES.read(NAME, await self._area.get(NAME)).after(self._new)
        except (NotFoundError, CorruptionError):
            return self._new  # the next copy measures again

    async def copied(self, size_bytes: int, objects: int, seconds: float) -> None:
        """Record that bytes were copied."""
        if objects and (seconds >= MEASURED_MIN_S or await self._is_first(COPIES)):
            new = Rates(copied_bytes=size_bytes, copied_objects=objects, copy_s=seconds)
            await self._add(COPIES, new)

    async def wrote(self, rows: int, seconds: float) -> None:
        """Record that rows were written."""
        if rows and (seconds >= MEASURED_MIN_S or await self._is_first(ROWS)):
            await self._add(ROWS, Rates(rows=rows, rows_s=seconds))

    async def _is_first(self, kind: str) -> bool:
        """Return whether nothing of that kind was ever measured; looks once per start."""
        if kind in self._measured:
            return False
        self._measured.add(kind)
        with suppress(ReplicatorError):
            known = await self.rates()
            return not (known.copy_s if kind == COPIES else known.rows_s)
        return False

    async def _add(self, kind: str, new: Rates) -> None:
        """Add a measurement; of each kind the first one is written at once, for the next start."""
        self._measured.add(kind)
        self._new = self._new.plus(new)
        now = asyncio.get_running_loop().time()
        if now - self._saved_at.get(kind, -SAVED_EVERY_S) >= SAVED_EVERY_S:
            self._saved_at[kind] = now
            await self.keep()

    async def keep(self) -> None:
        """Write the measurements; a failure is reported and stops nothing."""
        if self._new == Rates():
            return
        try:
            rates = await self.rates()
            await self._area.replace(NAME, written(asdict(rates), None))
        except ReplicatorError as exc:  # no copy needs it
            from replicator.model.observed.faults import Waiting  # noqa: PLC0415 - rare

            what = "record the throughput"
            self._observer(Waiting(what=what, reason=str(exc), delay_s=SAVED_EVERY_S))
        else:
            self._new = Rates()
