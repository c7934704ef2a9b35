"""Starts drills when they are due, one at a time, beside the replication, which they never stop."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from replicator.errors import ReplicatorError
from replicator.model.observation import Observer, Waiting
from replicator.model.store.drill import DrillPoint, next_start
from replicator.ports import Clock
from replicator.services.drills.driller import Driller
from replicator.services.records.drill_record import DrillRecord
from replicator.services.running.pause import pause, unless

LOOK_S = 60.0
"""Seconds between two checks whether a drill is due; a check lists one folder."""
LATE_MAX = 0.1
"""Share of the interval by which a drill may be late, so that targets do not fall into step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """The drills of one target."""

    target: str
    point: DrillPoint
    every: timedelta
    again_after: timedelta
    record: DrillRecord
    driller: Driller
    observer: Observer


class DrillSchedule:
    """A service that runs the drills of several targets."""

    def __init__(self, scheduled: Sequence[Scheduled], *, clock: Clock, rng: Random) -> None:
        self._scheduled = scheduled
        self._clock = clock
        self._late = {one.target: rng.uniform(0, LATE_MAX) for one in scheduled}
        self._failed_at: dict[str, datetime] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Check at intervals until `stop` is set; a running drill is then abandoned."""
        while not stop.is_set():
            await unless(stop, self.drill_what_is_due())
            await pause(stop, LOOK_S)

    async def drill_what_is_due(self) -> int:
        """Drill the targets whose drill is due, one after the other; return how many there were."""
        due = [one for one in self._scheduled if await self._is_due(one)]
        for one in due:
            try:
                await one.driller.drill(one.point)
            except (
                ReplicatorError
            ):  # the driller has reported it, and a drill must not stop a backup
                self._failed_at[one.target] = self._clock.now()
        return len(due)

    async def _is_due(self, one: Scheduled) -> bool:
        drilled = await one.record.drilled()
        if drilled.unknown is not None:
            what = f"look at the drills of {one.target}"
            one.observer(Waiting(what=what, reason=drilled.unknown, delay_s=LOOK_S))
            return False
        start = next_start(
            drilled, every=one.every, again_after=one.again_after, late=self._late[one.target]
        )
        failed_at = self._failed_at.get(one.target)  # known even if the drill left no evidence
        again = None if failed_at is None else failed_at + one.again_after
        return self._clock.now() >= max(
            (time for time in (start, again) if time is not None), default=self._clock.now()
        )
