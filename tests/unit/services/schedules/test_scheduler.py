"""What is due runs once: over restarts, two processes, kills, and stores that are away."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.errors import (
    CorruptionError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.observation import Observation, ScheduledRunEnded, ScheduleSeen
from replicator.model.observed.faults import Waiting
from replicator.model.operations.notification import Topic
from replicator.model.operations.schedule import Timing
from replicator.model.operations.scheduled_run import (
    LEASE,
    RunRecord,
    RunState,
    run_json,
    run_name,
    run_of,
    run_of_name,
)
from replicator.services.running.patience import Patience
from replicator.services.schedules.record import KEPT_MAX, ScheduleRecord
from replicator.services.schedules.scheduler import ATTEMPTS_MAX, RunEnd, RunLine, Scheduler
from replicator.services.schedules.states import line_states
from replicator.task_group import TaskGroup
from tests.unit.pipeline import HandClock

DAILY = Timing(
    cron="0 3 * * *",
    time_zone="UTC",
    jitter=timedelta(minutes=10),
    late_max=timedelta(hours=2),
)
HOUR, DAY = 3600, 86_400
START = datetime(2026, 11, 30, tzinfo=UTC)


class Away(MemoryArea):
    """A store that comes and goes."""

    away: Exception | None = None

    async def replace(self, name: str, data: bytes) -> None:
        if self.away is not None:
            raise self.away
        await super().replace(name, data)

    async def names(self, prefix: str) -> Sequence[str]:
        if self.away is not None:
            raise self.away
        return await super().names(prefix)


class Works:
    """What a schedule does: it ends as a test says, at once or when it is let go."""

    def __init__(self) -> None:
        self.ends: list[RunEnd | Exception] = []
        self.begun = 0
        self.ended = 0
        self.cancelled = 0
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> RunEnd:
        self.begun += 1
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        end = self.ends.pop(0) if self.ends else RunEnd(exit_code=0)
        if isinstance(end, Exception):
            raise end
        return end


class Night:
    """A store, a clock, and processes that run its schedules."""

    def __init__(self) -> None:
        self.area, self.clock, self.work = Away(), HandClock(START), Works()
        self.told: list[Observation] = []

    def line(self, schedule: str = "nightly", timing: Timing = DAILY, **changed) -> RunLine:
        return RunLine(
            schedule=schedule,
            target="vault",
            kind="expire",
            timing=timing,
            record=ScheduleRecord(self.area),
            **{"run_max": timedelta(hours=20), "work": self.work, **changed},
        )

    def process(self, *lines: RunLine) -> Scheduler:
        return Scheduler(
            lines or (self.line(),), host="here", clock=self.clock, observer=self.told.append
        )

    async def looks(self, scheduler: Scheduler, *lines: RunLine) -> None:
        """Look once, and wait for what was begun."""
        async with TaskGroup() as group:
            for line in lines or scheduler._lines:
                await scheduler.look(line, group)

    async def begins(self, times: int) -> None:
        """Wait until the work was begun so often."""
        async with asyncio.timeout(5):
            while self.work.begun < times:
                await asyncio.sleep(0.001)

    async def states(self) -> list[tuple[str, int, RunState]]:
        """All attempts, oldest first: time, number, what became of it."""
        now = self.clock.now()
        return [
            (f"{one.due:%d.%H}", one.attempt, one.state_at(now))
            for one in reversed(await self.newest(1000))
        ]

    async def newest(self, count: int) -> Sequence[RunRecord]:
        return await ScheduleRecord(self.area).newest("nightly", count, now=self.clock.now())


@pytest.fixture
def night() -> Night:
    return Night()


async def test_it_runs_at_its_time_with_jitter_and_once(night: Night):
    process = night.process()
    await night.looks(process)
    night.clock.time = START + timedelta(hours=3)
    await night.looks(process)
    begun_at = None
    for minute in range(15):
        await night.looks(process)
        if night.work.begun and begun_at is None:
            begun_at = minute
        night.clock.move(60)
    assert begun_at is not None
    assert 0 < begun_at <= 10
    assert (night.work.begun, await night.states()) == (1, [("30.03", 1, RunState.GOOD)])
    (ended,) = [one.record for one in night.told if isinstance(one, ScheduledRunEnded)]
    assert (ended.state, ended.host, ended.missed) == (RunState.GOOD, "here", 0)
    seen = [one for one in night.told if isinstance(one, ScheduleSeen)][-1]
    assert seen.last_good is not None
    assert seen.next_due == START + timedelta(days=1, hours=3)


async def test_two_processes_run_it_once(night: Night):
    one, other = night.process(), night.process()
    night.clock.move(3 * HOUR + 700)
    async with TaskGroup() as group:
        for process in (one, other):
            group.create_task(night.looks(process))
    assert (night.work.begun, len(await night.states())) == (1, 1)


async def test_a_restart_does_not_run_it_again(night: Night):
    night_process = night.process()
    night.clock.move(3 * HOUR + 700)
    await night.looks(night_process)
    await night.looks(night.process())
    assert night.work.begun == 1


async def test_what_was_due_before_it_was_ever_running_is_nobodys(night: Night):
    night.clock.move(5 * HOUR)
    await night.looks(night.process())
    assert night.work.begun == 0


async def test_of_missed_times_the_newest_is_made_up_for_if_it_is_not_too_late(night: Night):
    process = night.process()
    night.clock.move(3 * HOUR + 700)
    await night.looks(process)
    night.clock.time = START + timedelta(days=5, hours=4)  # nothing ran for days
    await night.looks(night.process())
    assert await night.states() == [("30.03", 1, RunState.GOOD), ("05.03", 1, RunState.GOOD)]
    (newest,) = await night.newest(1)
    assert newest.missed == 4
    night.clock.time = START + timedelta(days=6, hours=12)
    await night.looks(night.process())
    assert (await night.states())[-1] == ("06.03", 1, RunState.SKIPPED)
    assert night.work.begun == 2


async def test_it_never_runs_twice_at_once(night: Night):
    """Times that come while a run is at work are passed over, by others' processes, too.

    The next run counts them.
    """
    each_minute = replace(DAILY, cron="* * * * *", jitter=timedelta(0))
    night.work.gate = asyncio.Event()
    line = night.line(timing=each_minute)
    process, other = night.process(line), night.process(line)
    async with TaskGroup() as group:
        night.clock.move(60)
        await process.look(line, group)
        await night.begins(1)
        for _ in range(3):
            night.clock.move(60)
            (at_work,) = await night.newest(9)
            await line.record.write(replace(at_work, lease_until=night.clock.now() + LEASE))
            for one in (other, process):
                await one.look(line, group)
                assert one.states()[0].last == (await night.newest(1))[0], "it is seen at work"
        night.work.gate.set()
    assert night.work.begun == 1
    for one in (other, process):
        await night.looks(one)
    assert night.work.begun == 1, "the last of them is passed over as well"
    night.clock.move(60)
    for one in (other, process):
        await night.looks(one)
    assert [(one.due.minute, one.state, one.missed) for one in await night.newest(9)] == [
        (5, RunState.GOOD, 3),
        (1, RunState.GOOD, 0),
    ]


async def test_a_run_that_its_store_forgot_meanwhile_is_not_begun_beside_itself(night: Night):
    """A store that is away for longer than a lease cannot be told that the run is at work."""
    night.work.gate, process = asyncio.Event(), night.process()
    line = process._lines[0]
    night.clock.move(3 * HOUR + 700)
    async with TaskGroup() as group:
        await process.look(line, group)
        await night.begins(1)
        night.clock.move(2 * LEASE.total_seconds())
        await process.look(line, group)
        night.area.away = TransientError("vault: nobody is there")
        night.work.gate.set()
    night.clock.move(2 * LEASE.total_seconds())
    night.area.away = None
    await night.looks(process)
    assert (night.work.begun, await night.states()) == (1, [("30.03", 1, RunState.GOOD)])


async def test_a_clock_that_is_put_back_runs_no_time_twice_and_leaves_none_out(night: Night):
    """It was a year ahead: what it left in the store holds nothing up, and is not seen."""
    night.clock.move(365 * DAY)
    ahead = night.process()
    night.clock.move(3 * HOUR + 700)
    await night.looks(ahead)
    assert await night.states() == [("30.03", 1, RunState.GOOD)]
    night.clock.time = START + timedelta(hours=4)
    assert await night.states() == []
    await night.looks(ahead)
    assert night.work.begun == 1, "nobody knows of a time before now"
    for process in (ahead, night.process()):
        night.clock.move(DAY)
        await night.looks(process)
    assert await night.states() == [("01.03", 1, RunState.GOOD), ("02.03", 1, RunState.GOOD)]
    night.clock.move(-HOUR * 2)
    await night.looks(ahead)
    night.clock.move(HOUR * 2)
    await night.looks(ahead)
    assert night.work.begun == 3, "a time that comes twice runs once"


async def test_a_run_at_work_stays_at_work_when_the_clock_is_put_back(night: Night):
    night.work.gate, process = asyncio.Event(), night.process()
    line = process._lines[0]
    night.clock.move(10 * DAY + 3 * HOUR + 700)
    async with TaskGroup() as group:
        await process.look(line, group)
        await night.begins(1)
        (record,) = await night.newest(1)
        night.clock.move(-5 * DAY)
        renewed = replace(record, lease_until=night.clock.now() + LEASE)
        assert record.state_at(night.clock.now()) is RunState.LOST, "no lease is that long"
        await line.record.write(renewed)
        for one in (process, night.process()):
            night.clock.move(1)
            await one.look(line, group)
            assert one.states()[0].last == renewed
        night.work.gate.set()
    assert night.work.begun == 1


async def test_a_run_whose_process_was_killed_is_begun_again_a_few_times(night: Night):
    night.work.gate = asyncio.Event()  # nobody opens it
    process = night.process()
    night.clock.move(3 * HOUR + 700)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        task = asyncio.create_task(night.looks(process))
        await night.begins(attempt)
        task.cancel()
        await asyncio.wait([task])
        process = night.process()
        night.clock.move(60)
    await night.looks(process)
    assert night.work.begun == ATTEMPTS_MAX
    assert await night.states() == [("30.03", n, RunState.LOST) for n in (1, 2, 3)]
    (sighting,) = process.sightings()
    assert (sighting.topic, sighting.is_bad) == (Topic.JOB, True)
    assert "lost" in sighting.summary
    night.work.gate.set()
    night.clock.time = START + timedelta(days=1, hours=3, minutes=15)
    await night.looks(process)
    assert (await night.states())[-1] == ("01.03", 1, RunState.GOOD)


async def test_a_run_that_is_silent_counts_as_at_work_until_its_lease_ends(night: Night):
    """`kill -9` says nothing: another process waits for the lease."""
    process = night.process()
    night.clock.move(3 * HOUR + 700)
    line = process._lines[0]
    claimed = await process._claimed(line, process._known[line.name])
    assert claimed is not None
    other = night.process()
    await night.looks(other)
    assert night.work.begun == 0
    night.clock.move(LEASE.total_seconds() + 1)
    await night.looks(other)
    assert night.work.begun == 1
    assert await night.states() == [("30.03", 1, RunState.LOST), ("30.03", 2, RunState.GOOD)]


async def test_what_fails_is_bad_and_says_why(night: Night):
    process = night.process()
    for end in (RunEnd(exit_code=9, message="3 differences", job="7"), NotFoundError("no cut yet")):
        night.work.ends.append(end)
    night.clock.move(3 * HOUR + 700)
    await night.looks(process)
    night.clock.move(DAY)
    await night.looks(process)
    one, other = reversed(await night.newest(9))
    assert (one.state, one.exit_code, one.message, one.job) == (
        RunState.BAD,
        9,
        "3 differences",
        "7",
    )
    assert (other.exit_code, other.message) == (6, "no cut yet")
    (sighting,) = process.sightings()
    assert sighting.is_bad
    assert "no cut yet" in sighting.summary


async def test_a_run_that_takes_too_long_is_ended(night: Night):
    night.work.gate = asyncio.Event()
    process = night.process(night.line(run_max=timedelta(seconds=0.05)))
    night.clock.move(3 * HOUR + 700)
    await night.looks(process)
    (record,) = await night.newest(1)
    assert (record.state, night.work.cancelled) == (RunState.BAD, 1)
    assert "run_max" in record.message


async def test_runs_of_one_target_wait_for_each_other(night: Night):
    night.work.gate = asyncio.Event()
    lines = [night.line("a"), night.line("b")]
    process = night.process(*lines)
    night.clock.move(3 * HOUR + 700)
    async with TaskGroup() as group:
        for line in lines:
            await process.look(line, group)
        for _ in range(10):
            await asyncio.sleep(0)
        assert night.work.begun == 1
        night.work.gate.set()
    assert night.work.ended == 2


@pytest.mark.parametrize("kind", [TransientError, RefusedError, CorruptionError, KeyError])
async def test_a_store_that_is_no_use_is_said_once_and_the_run_made_up_for(
    night: Night, kind: type[Exception]
):
    process = night.process()
    night.clock.move(3 * HOUR + 700)
    night.area.away = kind("vault: nobody is there")
    await night.looks(process)
    await night.looks(process)
    assert len([one for one in night.told if isinstance(one, Waiting)]) == 1
    assert "nobody is there" in process.states()[0].unknown
    assert (
        "nobody is there"
        in (await line_states(process._lines, night.clock.now(), Patience(5)))[0].unknown
    )
    night.area.away = None
    night.clock.move(HOUR)
    await night.looks(process)
    assert await night.states() == [("30.03", 1, RunState.GOOD)]
    (state,) = await line_states(process._lines, night.clock.now(), Patience(5))
    assert (state.ended, state.unknown, state.last_good) == (
        RunState.GOOD, "", night.clock.now(),
    )  # fmt: skip


async def test_old_runs_are_forgotten(night: Night):
    process = night.process()
    for day in range(KEPT_MAX + 5):
        night.clock.time = START + timedelta(days=day, hours=3, minutes=15)
        await night.looks(process)
    assert len(await night.newest(1000)) == KEPT_MAX


async def test_an_altered_record_hides_no_other(night: Night):
    process = night.process()
    night.clock.move(3 * HOUR + 700)
    await night.looks(process)
    await night.area.replace(run_name("nightly", night.clock.now() + timedelta(days=1), 1), b"{")
    await night.area.replace("schedules/nightly/notes.txt", b"")
    await night.area.replace("schedules/nightly/99999999T999999Z-001.json", b"")
    assert [one.due.hour for one in await night.newest(9)] == [3]


async def test_the_service_ends_when_it_is_told_and_leaves_its_run_to_the_next(night: Night):
    night.work.gate = asyncio.Event()
    process, stop = night.process(), asyncio.Event()
    night.clock.move(3 * HOUR + 700)
    running = asyncio.create_task(process.run(stop))
    await night.begins(1)
    stop.set()
    await running
    night.work.gate.set()
    night.clock.move(60)
    await night.looks(night.process())
    assert (night.work.cancelled, night.work.ended) == (1, 1)


def test_a_record_is_read_as_it_was_written():
    name = run_name("nightly", START, 12)
    assert name == "schedules/nightly/20261130T000000Z-012.json"
    assert run_of_name(name) == (START, 12)
    for other in ("x", "99999999T999999Z-001", "99990101T000000Z-001", "2026113\u0660T000000Z-001"):
        assert run_of_name(f"schedules/nightly/{other}.json") is None


def test_the_record_of_one_run_does_not_stand_in_for_another():
    """Whoever can write to a store could copy the record of a good run to a bad one's name."""
    record = RunRecord(
        schedule="nightly", target="standby", due=START, attempt=1, state=RunState.GOOD,
        started_at=START, lease_until=START,
    )  # fmt: skip
    assert run_of(record.name, run_json(record)) == record
    with pytest.raises(CorruptionError, match="it is that of"):
        run_of(run_name("nightly", START + timedelta(days=1), 1), run_json(record))


class Gone(MemoryArea):
    """A store whose folder is on a mount that answers nothing."""

    async def create(self, name: str, data: bytes) -> bool:
        del name, data
        await asyncio.Event().wait()
        return False


async def test_a_store_that_hangs_holds_up_no_schedule_of_other_targets(night: Night):
    hanging = replace(night.line(), target="gone", record=ScheduleRecord(Gone()))
    process, stop = night.process(hanging, night.line()), asyncio.Event()
    night.clock.move(3 * HOUR + 700)
    running = asyncio.create_task(process.run(stop))
    await night.begins(1)
    stop.set()
    await asyncio.sleep(0.01)
    running.cancel()  # as a process does after `drain_s`
    await asyncio.wait([running])
