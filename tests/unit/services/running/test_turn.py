"""A passive process begins when no other is heard, and not because two clocks differ."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from replicator.adapters.memory.log import MemoryEventLog
from replicator.errors import TransientError
from replicator.model.operations.pulse import BEAT_S, WATCH, Pulse, pulse_json
from replicator.services.running.turn import FIRST_BEAT_S, LOOK_S, SILENT_MAX_S, Turn
from tests.simulation.virtual_time import in_virtual_time
from tests.unit.pipeline import HandClock

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
PULSE = Pulse(
    verb="run", host="a", pid=7, since=LONG_AGO, seen_at=LONG_AGO, every=timedelta(seconds=BEAT_S)
)


class Log(MemoryEventLog):
    """A log that was made, and may be away."""

    def __init__(self) -> None:
        super().__init__(HandClock(), "prod", log_id="log")
        self.is_away = False
        self.beats = 0

    async def heard(self, who: str) -> bytes | None:
        if self.is_away:
            raise TransientError("the log is away")
        return await super().heard(who)

    async def beats_for(self, seconds: float) -> None:
        """Let another process live so long; its clock is years behind."""
        for _ in range(int(seconds / BEAT_S)):
            self.beats += 1
            seen = LONG_AGO + timedelta(seconds=self.beats)
            await self.beat(WATCH, pulse_json(replace(PULSE, seen_at=seen)))
            await asyncio.sleep(BEAT_S)


async def waited_s(log: Log, waits: list[str], stop: asyncio.Event | None = None) -> float | None:
    """Return how long it waited; None: its turn did not come."""
    clock = asyncio.get_running_loop().time
    began = clock()
    turn = Turn(log, [WATCH], waits_for=waits.append)
    return clock() - began if await turn.comes(stop or asyncio.Event()) else None


def test_where_nobody_was_ever_heard_it_begins_soon():
    assert in_virtual_time(waited_s(Log(), [])) == FIRST_BEAT_S


def test_of_two_that_begin_together_the_passive_one_waits():
    """The other has made the log a moment ago, and has not said so yet."""

    async def within() -> None:
        log, waits = Log(), list[str]()
        async with asyncio.TaskGroup() as group:
            waited = group.create_task(waited_s(log, waits))
            await log.acquire()
            await asyncio.sleep(FIRST_BEAT_S / 2)
            await log.beats_for(60)
        assert (waited.result() or 0) > 60
        assert waits == ["`run` on a, pid 7"]

    in_virtual_time(within())


def test_it_begins_when_the_other_goes_silent_whatever_its_clock_says():
    async def within() -> None:
        log, waits = Log(), list[str]()
        await log.acquire()
        await log.beats_for(BEAT_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(log.beats_for(3600))
            waited = group.create_task(waited_s(log, waits))
        assert 3600 < (waited.result() or 0) <= 3600 + SILENT_MAX_S + BEAT_S
        assert waits == ["`run` on a, pid 7"]

    in_virtual_time(within())


def test_it_says_at_once_for_whom_it_waits():
    """An operator at a terminal sees why nothing happens yet, also of one that is dead or ended."""

    async def within() -> None:
        log, waits = Log(), list[str]()
        await log.acquire()
        for pulse in (PULSE, replace(PULSE, ended_at=LONG_AGO)):
            await log.beat(WATCH, pulse_json(pulse))
            async with asyncio.TaskGroup() as group:
                group.create_task(waited_s(log, waits))
                await asyncio.sleep(LOOK_S / 2)
                assert len(waits) == 1
                waits.clear()

    in_virtual_time(within())


def test_the_word_of_one_that_ended_beside_a_run_is_no_end_of_the_run():
    """`apply --once`, typed beside it, says that it has ended under the same name."""

    async def within() -> None:
        log = Log()
        await log.acquire()
        ended = replace(PULSE, ended_at=LONG_AGO)
        await log.beat(WATCH, pulse_json(ended))
        async with asyncio.TaskGroup() as group:
            waited = group.create_task(waited_s(log, []))
            await asyncio.sleep(BEAT_S)
            await log.beats_for(60)
        assert (waited.result() or 0) > 60

    in_virtual_time(within())


def test_a_log_that_is_away_says_nothing_about_the_other():
    async def within() -> None:
        log, waits = Log(), list[str]()
        await log.acquire()
        log.is_away = True
        async with asyncio.TaskGroup() as group:
            waited = group.create_task(waited_s(log, waits))
            await asyncio.sleep(600)
            log.is_away = False
        assert (waited.result() or 0) >= 600
        assert waits == ["the log is away"]

    in_virtual_time(within())


def test_a_signal_ends_the_wait():
    async def within() -> None:
        log, stop = Log(), asyncio.Event()
        await log.acquire()
        await log.beats_for(BEAT_S)
        async with asyncio.TaskGroup() as group:
            waited = group.create_task(waited_s(log, [], stop))
            await asyncio.sleep(2)
            stop.set()
        assert waited.result() is None

    in_virtual_time(within())
