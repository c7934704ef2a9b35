"""Runs what is due: each run once, whatever restarts, and however many processes there are.

The rules (docs/schedules.md):

- Of the times that were missed, the newest is made up for, if it is not later than `late_max`.
- A run whose process died is begun again, at most `ATTEMPTS_MAX` times and not later than that.
- A schedule never runs twice at once for one target: a time that comes meanwhile is passed over,
  and the next run counts it.
- Runs of one target wait for each other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from replicator.errors import ReplicatorError, defects_named
from replicator.model.observation import Observer, ScheduledRunEnded, ScheduleSeen
from replicator.model.observed.faults import Waiting
from replicator.model.operations.notification import Sighting, Topic
from replicator.model.operations.schedule import Due, Timing, begins_at, due, next_due
from replicator.model.operations.scheduled_run import LEASE, RunRecord, RunState
from replicator.ports import Clock
from replicator.services.running.pause import pause
from replicator.services.schedules.states import (
    LOOKED_BACK,
    LineState,
    ScheduledLine,
    good_end,
)
from replicator.task_group import TaskGroup

LOOK_S = 15.0
"""Seconds between two looks whether something is due."""
RENEW_S = 60.0
ATTEMPTS_MAX = 3
MESSAGE_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How the work of a run has ended."""

    exit_code: int
    message: str = ""
    job: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether all was done, and nothing was found wrong."""
        return self.exit_code == 0


Work = Callable[[], Awaitable[RunEnd]]
"""Does the work of a run; when cancelled, ends what it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine(ScheduledLine):
    """One schedule of one target, with what is to be done."""

    run_max: timedelta
    work: Work


@dataclass(slots=True)
class _LineMemory:
    """State of a line in this process."""

    since: datetime
    """Times before this do not count: the schedule was not configured, or nothing ran."""
    last: RunRecord | None = None
    last_good: datetime | None = None
    is_read: bool = False
    """Whether the runs of earlier processes were read."""
    task: asyncio.Task[None] | None = None
    unwritten: RunRecord | None = None
    """How its last run ended, which its store did not take."""
    unknown: str = ""

    @property
    def is_at_work(self) -> bool:
        """Whether this process runs it now, whatever its store says."""
        return self.task is not None and not self.task.done()


class Scheduler:
    """A service that runs the lines of this process.

    Args:
        lines: What is run, and when.
        host: Name of this machine, for the records.
        clock: The time by which they are due.
        observer: Receives each run that has ended.
    """

    def __init__(
        self, lines: Sequence[RunLine], *, host: str, clock: Clock, observer: Observer
    ) -> None:
        self._lines, self._host = lines, host
        self._clock, self._observer = clock, observer
        now = clock.now()
        self._known = {line.name: _LineMemory(since=now) for line in lines}
        self._turns = {line.target: asyncio.Lock() for line in lines}

    async def run(self, stop: asyncio.Event) -> None:
        """Begin what is due until `stop` is set; what runs then is ended, and begun again later.

        Targets are looked at side by side: a store that hangs holds up no schedule of others.
        """
        async with TaskGroup() as group:
            targets = dict.fromkeys(line.target for line in self._lines)
            looks = [group.create_task(self._look_again(one, stop, group)) for one in targets]
            await stop.wait()
            self._end_runs()
            if looks:
                await asyncio.wait(looks)
            self._end_runs()  # those that a look has begun meanwhile

    def _end_runs(self) -> None:
        for known in self._known.values():
            if known.task is not None:
                known.task.cancel()

    async def _look_again(self, target: str, stop: asyncio.Event, group: TaskGroup) -> None:
        lines = [line for line in self._lines if line.target == target]
        while not stop.is_set():
            for line in lines:
                await self.look(line, group)
            await pause(stop, LOOK_S)

    def states(self) -> list[LineState]:
        """Return what is known of each line, without reading anything."""
        now = self._clock.now()
        return [
            LineState(
                line=line,
                last=known.last,
                last_good=known.last_good,
                next_due=next_due(line.timing, now),
                looked_at=now,
                unknown=known.unknown,
            )
            for line in self._lines
            for known in [self._known[line.name]]
        ]

    def sightings(self) -> list[Sighting]:
        """Return how each line's last run ended, for notifications."""
        found = []
        for state in self.states():
            last, ended = state.last, state.ended
            if last is None or ended is None:
                continue
            is_bad = ended is not RunState.GOOD
            what = f"{state.line.schedule} ({state.line.kind}) of {state.line.target}"
            found.append(
                Sighting(
                    topic=Topic.JOB,
                    target=state.line.target,
                    name=f"schedule {state.line.schedule}",
                    is_bad=is_bad,
                    mark=int(last.due.timestamp()),
                    summary=f"{what}: {ended.value}: {last.message}".rstrip(": "),
                    details={"due": last.due, "exit_code": last.exit_code, "job": last.job},
                )
            )
        return found

    async def look(self, line: RunLine, group: TaskGroup) -> None:
        """Begin a line's run if it is due."""
        known = self._known[line.name]
        try:
            with defects_named(f"the store of {line.target}"):
                await self._write_end(line, known)
                record = await self._claimed(line, known)
        except ReplicatorError as exc:  # one store's trouble stops no other schedule
            if not known.unknown:
                what = f"look at the schedule {line.schedule} of {line.target}"
                self._observer(Waiting(what=what, reason=str(exc), delay_s=LOOK_S))
            known.unknown = str(exc)
            return
        known.unknown = ""
        self._observer(
            ScheduleSeen(
                schedule=line.schedule,
                target=line.target,
                next_due=next_due(line.timing, self._clock.now()),
                last_good=known.last_good,
            )
        )
        if record is not None:
            known.last = record
            known.task = group.create_task(self._run(line, record), name=line.name)

    async def _claimed(self, line: RunLine, known: _LineMemory) -> RunRecord | None:
        """Return the record of a run that this process may begin now."""
        now = self._clock.now()
        count = 1 if known.is_read else LOOKED_BACK
        newest = await line.record.newest(line.schedule, count, now=now)
        known.is_read = True
        known.since = min(known.since, now)  # the clock may have been put back
        known.last_good = good_end(newest) or known.last_good
        last = known.last = newest[0] if newest else None
        if known.is_at_work or (last is not None and last.state_at(now) is RunState.RUNNING):
            return None
        if last is not None and self._is_to_be_repeated(last, now, line.timing):
            return await self._claim(line, Due(at=last.due, missed=last.missed), last.attempt + 1)
        since = known.since if last is None else last.due
        found = due(line.timing, last=since, now=now)
        if found is None or now < begins_at(line.timing, line.name, found.at):
            return None
        if last is not None and last.ended_at is not None and found.at <= last.ended_at <= now:
            return None  # it came while the run before it was at work
        if now - found.at > line.timing.late_max + line.timing.jitter:
            await self._skip(line, found, "it was too late: nothing could run it in time")
            return None
        return await self._claim(line, found, 1)

    @staticmethod
    def _is_to_be_repeated(last: RunRecord, now: datetime, timing: Timing) -> bool:
        return (
            last.state_at(now) is RunState.LOST
            and last.attempt < ATTEMPTS_MAX
            and now - last.due <= timing.late_max + timing.jitter
        )

    async def _claim(self, line: RunLine, found: Due, attempt: int) -> RunRecord | None:
        record = self._record(line, found, attempt, RunState.RUNNING)
        return record if await line.record.claim(record) else None

    async def _skip(self, line: RunLine, found: Due, why: str) -> None:
        record = self._record(line, found, 1, RunState.SKIPPED)
        record = replace(record, ended_at=record.started_at, message=why)
        if await line.record.claim(record):
            self._known[line.name].last = record
            self._tell(line, record)

    def _record(self, line: RunLine, found: Due, attempt: int, state: RunState) -> RunRecord:
        now = self._clock.now()
        return RunRecord(
            schedule=line.schedule,
            target=line.target,
            due=found.at,
            attempt=attempt,
            state=state,
            started_at=now,
            lease_until=now + LEASE,
            host=self._host,
            missed=found.missed,
        )

    async def _run(self, line: RunLine, record: RunRecord) -> None:
        renewing = asyncio.create_task(self._renew(line, record))
        try:
            async with self._turns[line.target]:
                end = await self._end_of(line)
        except asyncio.CancelledError:
            # this process ends: the lease goes at once, so that the next start begins it again
            with suppress(ReplicatorError):
                await line.record.write(replace(record, lease_until=self._clock.now()))
            raise
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
        await self._ended(line, record, end)

    async def _end_of(self, line: RunLine) -> RunEnd:
        try:
            async with asyncio.timeout(line.run_max.total_seconds()):
                return await line.work()
        except TimeoutError:
            return RunEnd(exit_code=1, message=f"ended after run_max, {line.run_max}")
        except ReplicatorError as exc:
            return RunEnd(exit_code=exc.exit_code, message=str(exc))

    async def _ended(self, line: RunLine, record: RunRecord, end: RunEnd) -> None:
        record = replace(
            record,
            state=RunState.GOOD if end.is_good else RunState.BAD,
            ended_at=self._clock.now(),
            exit_code=end.exit_code,
            message=end.message[:MESSAGE_MAX],
            job=end.job,
        )
        known = self._known[line.name]
        known.last = record
        if end.is_good:
            known.last_good = record.ended_at
        known.unwritten = record
        self._tell(line, record)
        try:
            await self._write_end(line, known)
        except ReplicatorError as exc:  # one store's trouble stops no other schedule
            what = f"record the run of {line.schedule} of {line.target}"
            self._observer(Waiting(what=what, reason=str(exc), delay_s=LOOK_S))

    async def _write_end(self, line: RunLine, known: _LineMemory) -> None:
        """Record how the last run ended: without that it counts as lost, and would run again."""
        if (record := known.unwritten) is None:
            return
        await line.record.write(record)
        known.unwritten = None
        await line.record.prune(line.schedule, now=self._clock.now())

    async def _renew(self, line: RunLine, record: RunRecord) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with suppress(ReplicatorError):  # the lease outlasts some failures
                await line.record.write(replace(record, lease_until=self._clock.now() + LEASE))

    def _tell(self, line: RunLine, record: RunRecord) -> None:
        self._observer(ScheduledRunEnded(kind=line.kind, record=record))
