"""A log that is moved is the same log, and a move that dies at any moment goes on."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import pytest

from replicator.adapters.kafka.heir import KafkaHeir
from replicator.adapters.kafka.log import KafkaEventLog, KafkaLimits
from replicator.adapters.kafka.session import KafkaSession
from replicator.adapters.kafka.topic import TopicSettings
from replicator.adapters.sqlite.heir import SqliteHeir
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.errors import ConfigError, CorruptionError, FencedError, NotFoundError, RefusedError
from replicator.model.event import Document, Offset, Record
from replicator.ports import EventLog, Span
from replicator.services.replication.log_mover import LogMover, Moved
from tests.contract.test_event_log import SetClock
from tests.rings import times
from tests.servers.kafka import Kafka

pytest_plugins = ["tests.servers.fixtures"]
Opened: TypeAlias = SqliteEventLog | KafkaEventLog
PER_READ = 3


@dataclass(frozen=True)
class Where:
    """A place for a log, and for one that is moved there; every call opens it anew."""

    log: Callable[[], Opened]
    heir: Callable[[], SqliteHeir | KafkaHeir]


@dataclass
class Bench:
    """Makes places, and closes all that was opened."""

    folder: Path
    bootstrap: str | None
    clock: SetClock
    stack: AsyncExitStack
    numbers: Any = field(default_factory=count)

    def file(self) -> Where:
        path = self.folder / f"{next(self.numbers)}.log"
        return Where(
            lambda: self._kept(SqliteEventLog(path, self.clock, "prod")),
            lambda: self._kept(SqliteHeir(path, "prod")),
        )

    def topic(self) -> Where:
        assert self.bootstrap is not None
        session = KafkaSession(bootstrap_servers=(self.bootstrap,), request_timeout_s=20)
        topic = TopicSettings(
            name=f"moved.{uuid4().hex}.changes",
            replication_factor=1,
            min_insync_replicas=1,
            record_bytes_max=1 << 20,
        )
        return Where(
            lambda: self._kept(KafkaEventLog(session, topic, self.clock, KafkaLimits())),
            lambda: self._kept(KafkaHeir(session, topic, transaction_timeout_s=60)),
        )

    def _kept(self, opened: Any) -> Any:
        self.stack.push_async_callback(opened.close)
        return opened


@pytest.fixture
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    needs = "kafka" in request.node.name
    broker: Kafka | None = request.getfixturevalue("kafka_broker") if needs else None
    async with AsyncExitStack() as stack:
        yield Bench(tmp_path, broker.bootstrap if broker else None, SetClock(), stack)


JVM = [pytest.mark.real, pytest.mark.xdist_group("jvms")]
WAYS = {
    "file-file": (Bench.file, Bench.file),
    "file-kafka": (Bench.file, Bench.topic),
    "kafka-file": (Bench.topic, Bench.file),
    "kafka-kafka": (Bench.topic, Bench.topic),
}
EACH_WAY = pytest.mark.parametrize(
    "way", [pytest.param(one, marks=JVM if "kafka" in one else []) for one in WAYS]
)


def document(number: int) -> Document:
    data = b'{"subject":"wiki_%d","n":%d}' % (number, number)
    return Document(type="segment.published", subject=f"wiki_{number}", data=data)


async def filled(log: Opened, clock: SetClock) -> None:
    """Write as several watchers do: each begins an epoch, each append is one transaction."""
    numbers = count()
    for _ in range(3):
        await log.acquire()
        for size in (1, 4, 2):
            clock.time += timedelta(milliseconds=1500)
            await log.append([document(next(numbers)) for _ in range(size)])


async def all_of(log: EventLog) -> list[Record]:
    found: list[Record] = []
    at = (await log.span()).first
    while records := await log.read(at, records_max=PER_READ):
        found += records
        at = Offset(records[-1].offset + 1)
    return found


async def moved(origin: Any, heir: Any) -> Moved:
    return await LogMover(origin, heir, lambda _: None, records_per_read_max=PER_READ).move()


async def is_the_same_log(where: Where, before: list[Record], span: Span) -> None:
    """Also for who writes to it: a larger epoch, and offsets behind all that there were."""
    log, log_id = where.log(), span.log_id
    found = await log.span()
    assert (found.log_id, found.first) == (log_id, span.first)
    assert (await log.read(span.first, records_max=1))[0] == before[0], "nothing was trimmed"
    assert await all_of(log) == before
    for record in before:
        first = next(one.offset for one in before if one.appended_at == record.appended_at)
        assert await log.offset_at(record.appended_at) == first
        assert (await log.read(record.offset, records_max=1))[0] == record
    epoch = (await log.state()).epoch
    assert await log.acquire() > epoch >= 3
    at = await log.append([document(99)])
    assert at > before[-1].offset
    again = where.log()
    assert [record.offset for record in (await all_of(again))[-2:]] == [before[-1].offset, at]
    assert (await again.span()).log_id == log_id


async def is_left(where: Where) -> None:
    """Nobody reads or writes it any more, and both are told why."""
    with pytest.raises(ConfigError, match="was moved to"):
        await where.log().span()
    with pytest.raises(ConfigError, match="was moved to"):
        await where.log().acquire()


@EACH_WAY
async def test_id_offsets_and_times_are_kept(bench: Bench, way: str):
    make_origin, make_heir = WAYS[way]
    origin, heir = make_origin(bench), make_heir(bench)
    log = origin.log()
    await filled(log, bench.clock)
    before, span = await all_of(log), await log.span()
    done = await moved(origin.log(), heir.heir())
    assert (done.log_id, done.copied, done.was_done) == (span.log_id, len(before), False)
    with pytest.raises(FencedError):
        await log.append([document(0)])
    await is_left(origin)
    again = await moved(origin.log(), heir.heir())
    assert (again.copied, again.was_done) == (0, True)
    await is_the_same_log(heir, before, span)


@pytest.mark.parametrize("way", [pytest.param("kafka-file-kafka", marks=JVM)])
async def test_there_and_back_again(bench: Bench, way: str):
    """Offsets between those of records stay free, wherever the log goes."""
    places = [bench.topic(), bench.file(), bench.topic(), bench.file()]
    log = places[0].log()
    await filled(log, bench.clock)
    before, span = await all_of(log), await log.span()
    for here, there in pairwise(places):
        await moved(here.log(), there.heir())
        await is_left(here)
        assert await all_of(there.log()) == before
    await is_the_same_log(places[-1], before, span)


class Death(BaseException):
    """A kill, as far as the one who is killed can tell."""


class Mortal:
    """Calls what it has, and dies before or after one of the calls."""

    def __init__(self, one: Any, dies_at: Callable[[], bool]) -> None:
        self._one, self._dies_at = one, dies_at

    @property
    def name(self) -> str:
        return str(self._one.name)

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            if self._dies_at():
                raise Death
            found = await getattr(self._one, name)(*args, **kwargs)
            if self._dies_at():
                raise Death
            return found

        return call


@pytest.mark.parametrize(
    "way",
    [
        "file-file",
        pytest.param("file-kafka", marks=JVM),
        pytest.param("kafka-file", marks=JVM),
        pytest.param("kafka-kafka", marks=[*JVM, pytest.mark.long]),
    ],
)
async def test_a_move_that_dies_at_any_moment_goes_on(bench: Bench, way: str):
    """And whoever starts in between finds one log that can be written, or is told to end it."""
    step = times(3, 1) if way == "file-file" else times(29, 3)
    for last in count(1, step):
        make_origin, make_heir = WAYS[way]
        origin, heir = make_origin(bench), make_heir(bench)
        await filled(log := origin.log(), bench.clock)
        before, span = await all_of(log), await log.span()
        calls = count(1)

        def dies(calls: Any = calls, last: int = last) -> bool:
            return bool(next(calls) == last)

        try:
            await moved(Mortal(origin.log(), dies), Mortal(heir.heir(), dies))
        except Death:
            await one_is_written_at_most(origin, heir)
            await moved(origin.log(), heir.heir())
            await is_left(origin)
            await is_the_same_log(heir, before, span)
        else:
            assert last > 20, "it died nowhere"
            return


async def one_is_written_at_most(origin: Where, heir: Where) -> None:
    """Neither may be, for as long as the move has not ended; never both."""
    spans = 0
    for where in (origin, heir):
        try:
            spans += bool(await where.log().span())
        except (ConfigError, RefusedError, NotFoundError):
            pass
    assert spans <= 1


@EACH_WAY
async def test_another_log_is_never_overwritten(bench: Bench, way: str):
    make_origin, make_heir = WAYS[way]
    origin, heir = make_origin(bench), make_heir(bench)
    await filled(origin.log(), bench.clock)
    other = heir.log()
    await other.acquire()
    await other.append([document(7)])
    held = await all_of(heir.log())
    with pytest.raises(RefusedError, match=r"another log|not this log"):
        await moved(origin.log(), heir.heir())
    assert await all_of(heir.log()) == held
    assert await origin.log().acquire(), "it is as it was"


async def test_what_was_copied_wrongly_is_found_and_removed(bench: Bench):
    origin, heir = bench.file(), bench.file()
    await filled(origin.log(), bench.clock)

    class Careless(Mortal):
        def __getattr__(self, name: str) -> Any:
            async def receive(records: list[Record]) -> None:
                wrong = [one._replace(data=one.data.replace(b"5", b"6")) for one in records]
                await self._one.receive(wrong)

            return receive if name == "receive" else getattr(self._one, name)

    with pytest.raises(CorruptionError, match="not in the file"):
        await moved(origin.log(), Careless(heir.heir(), lambda: False))
    assert (await moved(origin.log(), heir.heir())).copied == 21


async def test_a_watcher_that_takes_the_log_back_ends_the_move(bench: Bench):
    origin, heir = bench.file(), bench.file()
    await filled(origin.log(), bench.clock)

    class Late(Mortal):
        def __getattr__(self, name: str) -> Any:
            async def seal(into: str) -> None:
                await origin.log().acquire()
                await self._one.seal(into)

            return seal if name == "seal" else getattr(self._one, name)

    with pytest.raises(FencedError):
        await moved(Late(origin.log(), lambda: False), heir.heir())
    assert (await moved(origin.log(), heir.heir())).copied == 0, "all was copied before"
    await is_left(origin)
