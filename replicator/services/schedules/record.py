"""The runs of the schedules of one target, kept in the target's own store."""

from collections.abc import Sequence
from datetime import datetime

from replicator.errors import CorruptionError, NotFoundError, RefusedError
from replicator.model.operations.scheduled_run import (
    FOLDER,
    RunRecord,
    RunState,
    run_json,
    run_of,
    run_of_name,
)
from replicator.ports import Area

KEPT_MAX = 100
"""Number of attempts that are kept for each schedule: three months of a daily one."""
RECORD_BYTES_MAX = 64 << 10
"""Limit for the record of one attempt, most of which takes half a kilobyte."""


class ScheduleRecord:
    """Reads and writes the result of each run; creating the file gives the right to run it."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._ended: dict[str, RunRecord] = {}

    async def claim(self, record: RunRecord) -> bool:
        """Create the record of a run; return False if another process has created it, and runs.

        Raises:
            TransientError: the store is unreachable.
            ConfigError: this process may not write there.
        """
        return await self._area.create(record.name, run_json(record))

    async def write(self, record: RunRecord) -> None:
        """Replace the record of a run that this process has claimed."""
        await self._area.replace(record.name, run_json(record))

    async def newest(self, schedule: str, count: int = 1, *, now: datetime) -> Sequence[RunRecord]:
        """Return the newest attempts, the newest first; altered ones are left out.

        Attempts of later times than `now` are left out as well, because a clock that was ahead has
        made them; one that is at work is not.
        """
        past, later = await self._names(schedule, now)
        found = [await self._read(name) for name in (*later[-1:], *reversed(past[-count:]))]
        return [
            record
            for record in found
            if record is not None
            and (record.due <= now or record.state_at(now) is RunState.RUNNING)
        ]

    async def prune(self, schedule: str, *, now: datetime) -> None:
        """Delete the oldest attempts beyond those that are kept; locked ones stay for a while."""
        past, _ = await self._names(schedule, now)
        for name in past[:-KEPT_MAX]:
            self._ended.pop(name, None)
            try:
                await self._area.delete(name)
            except RefusedError:
                return

    async def _names(self, schedule: str, now: datetime) -> tuple[Sequence[str], Sequence[str]]:
        """Return the files of all attempts whose time has come, and of those of later times."""
        past, later = list[str](), list[str]()
        for name in await self._area.names(f"{FOLDER}/{schedule}/"):
            if (found := run_of_name(name)) is not None:
                (past if found[0] <= now else later).append(name)
        return past, later

    async def _read(self, name: str) -> RunRecord | None:
        if name in self._ended:
            return self._ended[name]
        try:
            found = run_of(name, await self._area.get(name, bytes_max=RECORD_BYTES_MAX))
        except (NotFoundError, CorruptionError):
            return None
        if found.ended_at is not None:
            self._ended[name] = found
        return found
