"""What every event log promises, whatever keeps it (`replicator/ports.py`)."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from replicator.adapters.kafka.log import KafkaEventLog, KafkaLimits
from replicator.adapters.kafka.session import KafkaSession
from replicator.adapters.kafka.topic import TopicSettings
from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.errors import FencedError, GapError, NotFoundError, TransientError
from replicator.model.event import Document, Offset
from replicator.model.operations.pulse import BYTES_MAX
from replicator.ports import EventLog, EventLogWriter, Keeping, Pulses

pytest_plugins = ["tests.servers.fixtures"]

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
BEGIN = Offset(0)

PREFIX = "replicator"
_T = TypeVar("_T")
Trim: TypeAlias = Callable[[Offset], Awaitable[None]]


class SetClock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


class Log(EventLogWriter, Pulses, Protocol):
    """What every adapter is."""


class Place:
    """Where one log is kept: every `open` is another process's view of it."""

    def __init__(self, open_: Callable[[], Log], trim: Trim, clock: SetClock) -> None:
        self.open, self.trim, self.clock = open_, trim, clock


def memory(_: Path, clock: SetClock, __: AsyncExitStack) -> Place:
    log = MemoryEventLog(clock, "prod")

    async def trim(before: Offset) -> None:
        log.trim(before)

    return Place(log.reopen, trim, clock)


def sqlite(folder: Path, clock: SetClock, stack: AsyncExitStack) -> Place:
    path = folder / "new" / "events.db"
    path.parent.mkdir(parents=True)

    def opened() -> SqliteEventLog:
        log = SqliteEventLog(path, clock, "prod")
        stack.push_async_callback(log.close)
        return log

    async def trim(before: Offset) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM records WHERE offset < ?", (before,))
        connection.close()

    return Place(opened, trim, clock)


def kafka(bootstrap: str, folder: Path, clock: SetClock, stack: AsyncExitStack) -> Place:
    session = KafkaSession(bootstrap_servers=(bootstrap,), request_timeout_s=20)
    topic = TopicSettings(
        name=f"{PREFIX}.{uuid4().hex}.changes",
        replication_factor=1,
        min_insync_replicas=1,
        record_bytes_max=1 << 20,
    )

    def opened() -> KafkaEventLog:
        log = KafkaEventLog(session, topic, clock, KafkaLimits())
        stack.push_async_callback(log.close)
        return log

    async def trim(before: Offset) -> None:
        admin = AIOKafkaAdminClient(**session.options())
        await admin.start()
        places = {TopicPartition(topic.name, 0): RecordsToDelete(before)}
        await admin.delete_records(places)
        await admin.close()

    return Place(opened, trim, clock)


Make: TypeAlias = Callable[[Path, SetClock, AsyncExitStack], Place]
PLACES: dict[str, Make] = {"memory": memory, "sqlite": sqlite}


KAFKA = pytest.param("kafka", marks=[pytest.mark.real, pytest.mark.xdist_group("jvms")])


@pytest.fixture(params=[*PLACES, KAFKA])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param in PLACES:
        return PLACES[request.param]
    broker = request.getfixturevalue("kafka_broker")
    return partial(kafka, broker.bootstrap)


@pytest.fixture
async def place(make: Make, tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield make(tmp_path, SetClock(), stack)


@pytest.fixture
async def log(place: Place) -> EventLogWriter:
    log = place.open()
    await log.acquire()
    return log


def documents(*names: str) -> Sequence[Document]:
    return [Document(type="segment.published", subject=n, data=n.encode()) for n in names]


async def contents(log: EventLog, start: Offset = BEGIN) -> list[bytes]:
    found: list[bytes] = []
    while records := await log.read(start, records_max=1000):
        found += [record.data for record in records]
        start = Offset(records[-1].offset + 1)
    return found


async def test_records_come_back_whole_in_the_order_of_their_appends(log: EventLogWriter):
    await log.append(documents("a", "b"))
    await log.append([Document(type="cut.closed", subject="1", data=b"\x00\xff")])
    records = await log.read(BEGIN, records_max=10)
    assert [(record.type, record.data, record.appended_at) for record in records] == [
        ("segment.published", b"a", NOON),
        ("segment.published", b"b", NOON),
        ("cut.closed", b"\x00\xff", NOON),
    ]


async def test_the_offsets_of_one_append_are_consecutive_and_later_ones_larger(
    log: EventLogWriter,
):
    one = await log.append(documents("a", "b", "c"))
    two = await log.append(documents("d", "e"))
    offsets = [record.offset for record in await log.read(BEGIN, records_max=10)]
    assert offsets == [one, one + 1, one + 2, two, two + 1]
    assert two > one + 2


async def test_a_read_gives_at_most_what_was_asked_for_and_goes_on_from_there(log: EventLogWriter):
    await log.append(documents("a", "b", "c"))
    first = await log.read(BEGIN, records_max=2)
    rest = await log.read(Offset(first[-1].offset + 1), records_max=2)
    assert [record.data for record in first] == [b"a", b"b"]
    assert [record.data for record in rest] == [b"c"]


async def test_a_read_beyond_the_end_is_empty(log: EventLogWriter):
    first = await log.append(documents("a"))
    assert not await log.read(Offset(first + 1), records_max=10)
    assert not await log.read(Offset(first + 1000), records_max=10)


async def test_a_log_that_nobody_made_is_not_found(place: Place):
    log = place.open()
    with pytest.raises(NotFoundError):
        await log.span()
    with pytest.raises(NotFoundError):
        await log.read(BEGIN, records_max=1)
    with pytest.raises(NotFoundError):
        await log.offset_at(NOON)


async def test_a_new_log_is_empty(log: EventLogWriter):
    span = await log.span()
    assert span.first <= span.end
    assert not await log.read(span.first, records_max=10)
    assert not await log.read(span.end, records_max=10)
    assert not await log.read(BEGIN, records_max=10)
    assert await log.offset_at(NOON) is None


async def test_the_span_covers_all_records_and_nothing_is_read_at_its_end(log: EventLogWriter):
    first = await log.append(documents("a"))
    last = await log.append(documents("b"))
    span = await log.span()
    assert span.first <= first
    assert (await log.read(span.first, records_max=10))[0].offset == first
    assert span.end > last
    assert not await log.read(span.end, records_max=10)


async def test_an_append_of_nothing_adds_nothing(log: EventLogWriter):
    await log.append(documents("a"))
    await log.append([])
    await log.append(documents("b"))
    assert await contents(log) == [b"a", b"b"]


# ------------------------------------------------------------------------------------- one writer


async def test_an_older_writer_cannot_append_once_a_newer_one_has_acquired(place: Place):
    old, new = place.open(), place.open()
    await old.acquire()
    await old.append(documents("old"))
    await new.acquire()
    with pytest.raises(FencedError):
        await old.append(documents("late"))
    await new.append(documents("new"))
    with pytest.raises(FencedError):
        await old.append(documents("later"))
    assert await contents(new) == [b"old", b"new"]


async def test_who_never_acquired_cannot_append(place: Place, log: EventLogWriter):
    with pytest.raises(FencedError):
        await place.open().append(documents("a"))
    assert await contents(log) == []


async def test_epochs_grow_over_writers_and_over_reopening(place: Place):
    one, two = place.open(), place.open()
    epochs = [await one.acquire(), await two.acquire(), await one.acquire()]
    epochs.append(await place.open().acquire())
    assert epochs == sorted(set(epochs))
    assert epochs[0] > 0


async def test_a_writer_that_acquires_again_goes_on(place: Place):
    one, two = place.open(), place.open()
    await one.acquire()
    await two.acquire()
    await one.acquire()
    await one.append(documents("a"))
    with pytest.raises(FencedError):
        await two.append(documents("b"))
    assert await contents(two) == [b"a"]


async def test_appends_still_waiting_when_the_epoch_changes_are_stored_before_it_or_never(
    log: EventLogWriter,
):
    """After `acquire` the end of the log is read: nothing may come in behind it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_tried(log, f"{n}")) for n in range(30)]
        await asyncio.sleep(0)
        await log.acquire()
        seen = await contents(log)
    accepted = [task.result() for task in tasks if task.result()]
    assert await contents(log) == seen
    assert sorted(seen) == sorted(name.encode() for name in accepted)


async def _tried(log: EventLogWriter, name: str) -> str:
    try:
        await log.append(documents(name))
    except FencedError:
        return ""
    return name


# ---------------------------------------------------------------------- together, and interrupted


async def test_concurrent_appends_lose_nothing_and_stay_together(log: EventLogWriter):
    names = [(f"{n}-a", f"{n}-b", f"{n}-c") for n in range(100)]
    async with asyncio.TaskGroup() as group:
        for triple in names:
            group.create_task(log.append(documents(*triple)))
    found = await contents(log)
    assert len(found) == 300
    triples = {tuple(found[at : at + 3]) for at in range(0, 300, 3)}
    assert triples == {tuple(name.encode() for name in triple) for triple in names}


async def test_every_append_is_told_its_own_offset(log: EventLogWriter):
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(log.append(documents(name))) for name in "abcdefgh"}
    for name, task in tasks.items():
        assert (await log.read(task.result(), records_max=1))[0].data == name.encode()


@pytest.mark.parametrize("steps", range(8))
async def test_an_append_that_is_cancelled_is_whole_or_absent_and_the_log_goes_on(
    log: EventLogWriter, steps: int
):
    await log.append(documents("before"))
    task = asyncio.create_task(log.append(documents(*["cancelled"] * 50)))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await log.append(documents("after"))
    found = await contents(log)
    assert found in ([b"before", b"after"], [b"before", *[b"cancelled"] * 50, b"after"])


@pytest.mark.parametrize("steps", range(6))
async def test_an_acquire_that_is_cancelled_leaves_a_log_that_can_be_acquired(
    place: Place, log: EventLogWriter, steps: int
):
    other = place.open()
    task = asyncio.create_task(other.acquire())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await log.acquire()
    await log.append(documents("a"))
    assert await contents(other) == [b"a"]


async def test_other_readers_see_what_was_appended_at_once(place: Place, log: EventLogWriter):
    reader = place.open()
    for name in ("a", "b", "c"):
        await log.append(documents(name))
        assert (await contents(reader))[-1] == name.encode()


async def test_reads_during_appends_see_a_prefix_that_grows(place: Place, log: EventLogWriter):
    reader, seen = place.open(), [0]

    async def look() -> None:
        while seen[-1] < 200:
            found = await contents(reader)
            assert found == [str(n).encode() for n in range(len(found))]
            assert len(found) % 4 == 0
            seen.append(len(found))

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        for n in range(0, 200, 4):
            await log.append(documents(*map(str, range(n, n + 4))))
    assert seen == sorted(seen)


# ------------------------------------------------------------------------------------------- time


async def test_the_first_offset_at_or_after_a_time_is_found(place: Place, log: EventLogWriter):
    offsets = []
    for minutes in (0, 10, 20, 30):
        place.clock.time = NOON + timedelta(minutes=minutes)
        offsets.append(await log.append(documents("a", "b", "c")))
    second = timedelta(seconds=1)
    asked = {
        NOON - second: offsets[0],
        NOON: offsets[0],
        NOON + second: offsets[1],
        NOON + timedelta(minutes=10): offsets[1],
        NOON + timedelta(minutes=29): offsets[3],
        NOON + timedelta(minutes=30): offsets[3],
        NOON + timedelta(minutes=30, microseconds=1): None,
    }
    assert {time: await log.offset_at(time) for time in asked} == asked


async def test_times_do_not_go_back_with_the_clock(place: Place, log: EventLogWriter):
    """Otherwise a restore to a time would not mean one place in the log."""
    first = await log.append(documents("a"))
    place.clock.time = NOON - timedelta(hours=1)
    await log.append(documents("b"))
    place.clock.time = NOON + timedelta(hours=1)
    third = await log.append(documents("c"))
    times = [record.appended_at for record in await log.read(BEGIN, records_max=10)]
    assert times == [NOON, NOON, NOON + timedelta(hours=1)]
    assert await log.offset_at(NOON - timedelta(minutes=1)) == first
    assert await log.offset_at(NOON + timedelta(microseconds=1)) == third


async def test_milliseconds_survive(place: Place, log: EventLogWriter):
    """Kafka keeps no more."""
    place.clock.time = NOON + timedelta(milliseconds=123)
    await log.append(documents("a"))
    assert (await log.read(BEGIN, records_max=1))[0].appended_at == datetime(
        2024, 5, 1, 12, 0, 0, 123_000, tzinfo=UTC
    )


async def test_a_log_keeps_its_records_for_ever_unless_it_is_told_otherwise(log: EventLogWriter):
    assert await log.keeping() == Keeping()


async def test_a_log_that_is_not_there_keeps_nothing(place: Place):
    with pytest.raises(NotFoundError):
        await place.open().keeping()


# ----------------------------------------------------------------------------- trimmed, or another


async def test_a_start_before_the_oldest_record_kept_is_a_gap(place: Place, log: EventLogWriter):
    first = await log.append(documents("a", "b", "c", "d"))
    await place.trim(Offset(first + 2))
    with pytest.raises(GapError):
        await log.read(first, records_max=10)
    with pytest.raises(GapError):
        await log.read(Offset(first + 1), records_max=10)
    assert await contents(log, Offset(first + 2)) == [b"c", b"d"]
    span = await log.span()
    assert (span.first, await log.offset_at(NOON)) == (first + 2, first + 2)


async def test_a_log_trimmed_of_all_gives_no_offset_a_second_time(
    place: Place, log: EventLogWriter
):
    first = await log.append(documents("a", "b"))
    await place.trim(Offset(first + 2))
    span = await log.span()
    assert span.end >= span.first == first + 2
    with pytest.raises(GapError):
        await log.read(first, records_max=10)
    assert not await log.read(span.first, records_max=10)
    assert not await log.read(span.end, records_max=10)
    assert await log.append(documents("c")) >= span.end


async def test_a_log_trimmed_of_all_gives_no_epoch_a_second_time(place: Place, log: EventLogWriter):
    epochs = [await log.acquire(), await log.acquire()]
    first = await log.append(documents("a"))
    await place.trim(Offset(first + 1))
    assert await place.open().acquire() > max(epochs)


async def test_a_trimmed_log_still_does_not_go_back_in_time(place: Place, log: EventLogWriter):
    first = await log.append(documents("a"))
    await place.trim(Offset(first + 1))
    place.clock.time = NOON - timedelta(hours=1)
    await log.append(documents("b"))
    assert (await log.read(Offset(first + 1), records_max=1))[0].appended_at == NOON


async def test_the_id_of_a_log_stays_over_reopening(place: Place, log: EventLogWriter):
    log_id = (await log.span()).log_id
    other = place.open()
    await other.acquire()
    assert (await other.span()).log_id == log_id


async def test_another_log_has_another_id(make: Make, tmp_path: Path):
    async with AsyncExitStack() as stack:
        ids = set()
        for name in ("one", "two"):
            log = make(tmp_path / name, SetClock(), stack).open()
            await log.acquire()
            ids.add((await log.span()).log_id)
    assert len(ids) == 2


async def asked_again(ask: Callable[[], Awaitable[_T]]) -> _T:
    """A broker that nobody has asked for a group before makes the place for them first."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask()
            except TransientError:
                await asyncio.sleep(0.2)


async def test_what_a_process_says_of_itself_others_hear(place: Place):
    """Beside the log: it is not made for that, and no offset is taken."""
    log, other = place.open(), place.open()
    with pytest.raises(NotFoundError):
        await log.beat("watch", b"{}")
    await log.acquire()
    assert await asked_again(lambda: other.heard("watch")) is None
    before = await log.span()
    for said in (b'{"pid":1}', b'{"pid":"%s"}' % (b"2" * (BYTES_MAX - 10))):
        await asked_again(partial(log.beat, "watch", said))
        assert await other.heard("watch") == said
    assert await other.heard("apply.standby") is None
    assert await log.span() == before


async def test_what_a_target_reported_is_remembered_with_its_store(place: Place):
    """An archive's checkpoint lies in its store; without this nobody would miss both."""
    log, other = place.open(), place.open()
    await log.acquire()
    offset = await log.append(documents("a"))
    assert await asked_again(lambda: other.reported("standby")) is None
    for store in ("first", "second"):
        await asked_again(partial(log.report, "standby", offset, store))
        assert await other.reported("standby") == store
    assert await other.reported("vault") is None
