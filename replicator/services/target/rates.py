"""Records the throughput of copies to a target in its area; a plan's ETA is based on it."""

import asyncio
from dataclasses import asdict, replace

from replicator.errors import CorruptionError, NotFoundError, TransientError
from replicator.model.document import Shape, written
from replicator.model.observation import Observer, Waiting
from replicator.model.store.rates import Rates
from replicator.ports import Area

NAME = "rates.json"
MEASURED_MIN_S = 0.05
"""Seconds below which a measurement is ignored."""
SAVED_EVERY_S = 600.0
_RATES = Shape(Rates, "remove it, it is measured again", formats=None)


class RateBook:
    """Adds up measurements, and writes them at intervals."""

    def __init__(self, area: Area, observer: Observer) -> None:
        self._area, self._observer = area, observer
        self._new = Rates()
        self._saved_at: float | None = None

    async def rates(self) -> Rates:
        """Return the throughput so far; none if it cannot be read."""
        try:
            return _RATES.read(NAME, await self._area.get(NAME)).after(self._new)
        except (NotFoundError, CorruptionError):
            return self._new  # the next copy measures again

    async def copied(self, size_bytes: int, objects: int, seconds: float) -> None:
        """Record that bytes were copied."""
        if objects and seconds >= MEASURED_MIN_S:
            self._new = replace(
                self._new,
                copied_bytes=self._new.copied_bytes + size_bytes,
                copied_objects=self._new.copied_objects + objects,
                copy_s=self._new.copy_s + seconds,
            )
            await self._keep_now_and_then()

    async def wrote(self, rows: int, seconds: float) -> None:
        """Record that rows were written."""
        if rows and seconds >= MEASURED_MIN_S:
            self._new = replace(
                self._new, rows=self._new.rows + rows, rows_s=self._new.rows_s + seconds
            )
            await self._keep_now_and_then()

    async def _keep_now_and_then(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._saved_at is None or now - self._saved_at >= SAVED_EVERY_S:
            self._saved_at = now
            await self.keep()

    async def keep(self) -> None:
        """Write the measurements; a failure is reported and stops nothing."""
        if self._new == Rates():
            return
        try:
            rates = await self.rates()
            await self._area.replace(NAME, written(asdict(rates), None))
        except TransientError as exc:
            what = "record the throughput"
            self._observer(Waiting(what=what, reason=str(exc), delay_s=SAVED_EVERY_S))
        else:
            self._new = Rates()
