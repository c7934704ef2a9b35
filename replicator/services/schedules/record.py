"""The runs of the schedules of one target, kept in the target's own store."""

from collections.abc import Sequence

from replicator.errors import CorruptionError, NotFoundError, RefusedError
from replicator.model.operations.scheduled_run import (
    FOLDER,
    RunRecord,
    run_json,
    run_of,
    run_of_name,
)
from replicator.ports import Area

KEPT_MAX = 100
"""Attempts of each schedule that are kept: three months of a daily one."""


class ScheduleRecord:
    """Reads and writes what became of each run; the making of a file is the right to run it."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._ended: dict[str, RunRecord] = {}

    async def claim(self, record: RunRecord) -> bool:
        """Make the record of a run; False: another process has made it, and runs.

        Raises:
            TransientError: the store is unreachable.
            ConfigError: this process may not write there.
        """
        return await self._area.create(record.name, run_json(record))

    async def write(self, record: RunRecord) -> None:
        """Replace the record of a run that this process has claimed."""
        await self._area.replace(record.name, run_json(record))

    async def newest(self, schedule: str, count: int = 1) -> Sequence[RunRecord]:
        """Return the newest attempts, the newest first; altered ones are left out."""
        names = await self._names(schedule)
        found = [await self._read(name) for name in reversed(names[-count:])]
        return [record for record in found if record is not None]

    async def prune(self, schedule: str) -> None:
        """Delete the oldest attempts beyond those that are kept; locked ones stay for a while."""
        for name in (await self._names(schedule))[:-KEPT_MAX]:
            self._ended.pop(name, None)
            try:
                await self._area.delete(name)
            except RefusedError:
                return

    async def _names(self, schedule: str) -> Sequence[str]:
        names = await self._area.names(f"{FOLDER}/{schedule}/")
        return [name for name in names if run_of_name(name) is not None]

    async def _read(self, name: str) -> RunRecord | None:
        if name in self._ended:
            return self._ended[name]
        try:
            found = run_of(name, await self._area.get(name))
        except (NotFoundError, CorruptionError):
            return None
        if found.ended_at is not None:
            self._ended[name] = found
        return found
