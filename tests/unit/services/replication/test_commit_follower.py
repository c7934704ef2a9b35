"""A change stream as cuts, over a store in memory: breaks, returns, limits, audits."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from replicator.adapters.memory import stream as memory_stream
from replicator.adapters.memory.stream import BEGINNING, MemoryChangeStream, MemoryCommit
from replicator.app.wiring import pipeline as wiring
from replicator.app.wiring.pipeline import Following
from replicator.errors import TransientError
from replicator.model.event import CutClosed, Offset, RowChanged, RowRemoved
from replicator.model.fingerprint import fingerprint
from replicator.model.log.wire import decode
from replicator.model.observation import (
    CutPublished,
    Polled,
    StreamBegun,
    StreamDropped,
    StreamEnded,
    VersionsMissed,
)
from replicator.model.row import RowKey, Segment, key_of
from replicator.model.stream import Lsn
from replicator.services.replication import commit_follower
from replicator.services.replication.readers import LogReader
from replicator.services.replication.watcher import Watcher
from tests.builders import segment, supervisor
from tests.rings import times
from tests.unit.pipeline import RETRIES, SOURCE, HandClock, Pipeline
from tests.wiring import watch_settings

RETAINED_MAX = 1 << 20


class Followed(Pipeline):
    """A pipeline whose watcher follows a stream."""

    full_scan_interval = timedelta(days=1)

    def new_watcher(
        self,
        *,
        trust_versions: bool = False,
        accept_vanished: bool = False,
        readers: Mapping[str, LogReader] | None = None,
    ) -> Watcher:
        if self.source.change_stream is None:
            self.source.change_stream = MemoryChangeStream(self.source)
        self.stream = self.source.change_stream
        return wiring.watcher(
            watch_settings(
                poll_interval_s=1.0,
                jitter=0.0,
                idle_cut_interval_s=3600.0,
                fetch_rows_max=2,
                append_bytes_max=self.append_bytes_max,
                full_scan_interval=self.full_scan_interval,
                retry=RETRIES,
            ),
            source=SOURCE,
            metadata=self.source,
            log=self.log.reopen(),
            history=self.history(preferred=False),
            tools=self.tools(),
            observer=self.seen.append,
            trust_versions=trust_versions,
            accept_vanished=accept_vanished,
            readers={"standby": LogReader(self.target, self.area)} if readers is None else readers,
            following=Following(
                stream=self.stream, read_interval_s=0.01, retained_bytes_max=RETAINED_MAX
            ),
        )

    append_bytes_max = 1 << 20

    async def look(self) -> int:
        """Follow until nothing is left; return how many cuts that made."""
        before = len(await self.closed())
        await self.watcher.catch_up()
        assert await self.told() == {key: fingerprint(row) for key, row in self.source.rows.items()}
        return len(await self.closed()) - before

    def polls(self) -> int:
        return sum(isinstance(one, Polled) for one in self.seen)

    async def events(self):
        records = await self.log.read(Offset(0), records_max=1_000_000)
        return [decode(record).event for record in records]

    async def closed(self) -> list[CutClosed]:
        return [one for one in await self.events() if isinstance(one, CutClosed)]

    async def told(self) -> dict[RowKey, bytes]:
        rows: dict[RowKey, bytes] = {}
        for event in await self.events():
            match event:
                case RowChanged(row=row):
                    assert event.previous == rows.get(key_of(row))
                    rows[key_of(row)] = fingerprint(row)
                case RowRemoved(key=key, previous=previous):
                    assert rows.pop(key) == previous
                case _:
                    pass
        return rows


async def following() -> Followed:
    pipeline = Followed()
    pipeline.publish(segment("a"), segment("b"))
    await pipeline.watcher.catch_up()
    await pipeline.look()
    assert StreamBegun() in pipeline.seen
    return pipeline


def mark(pipeline: Followed, name: str) -> None:
    """Change a row, and make that a commit."""
    row = segment(name)
    known = pipeline.source.rows.get(key_of(row), row)
    assert isinstance(known, Segment)
    pipeline.source.rows[key_of(row)] = replace(known, used=not known.used)
    pipeline.stream.look()


async def test_each_commit_is_a_cut_and_nothing_is_polled():
    pipeline = await following()
    polls = pipeline.polls()
    for name in ("a", "b", "a"):
        mark(pipeline, name)
    assert await pipeline.look() == 3
    assert pipeline.polls() == polls


async def test_the_slot_is_moved_only_as_far_as_the_log_is():
    pipeline = await following()
    mark(pipeline, "a")
    append = pipeline.watcher._writer._log.append

    async def fail(documents):
        raise TransientError("gone")

    pipeline.watcher._writer._log.append = fail  # type: ignore[method-assign]
    with pytest.raises(TransientError):
        await pipeline.watcher.catch_up()
    pipeline.watcher._writer._log.append = append  # type: ignore[method-assign]
    assert await pipeline.look() == 1
    assert not [one for one in pipeline.seen if isinstance(one, StreamEnded)]


async def test_a_broken_stream_is_polled_once_and_goes_on():
    pipeline = await following()
    polls = pipeline.polls()
    pipeline.stream.identity = "1" * 32
    mark(pipeline, "a")
    mark(pipeline, "b")
    assert await pipeline.look() == 1, "both are in the poll's cut"
    assert pipeline.polls() == polls + 1
    mark(pipeline, "a")
    assert await pipeline.look() == 1
    assert pipeline.polls() == polls + 1


async def test_a_stream_that_breaks_again_and_again_is_left_alone_for_longer():
    pipeline = await following()
    for number in range(4):
        pipeline.stream.identity = str(number) * 32
        mark(pipeline, "a")
        await pipeline.look()
        await pipeline.look()
    follower = pipeline.watcher._follower
    assert follower is not None
    assert follower._rest_s == commit_follower.BROKEN_FIRST_S
    assert pipeline.polls() >= 4


async def test_a_lost_slot_is_polled_until_there_is_another():
    pipeline = await following()
    pipeline.stream.has_slot = False
    for _ in range(3):
        mark(pipeline, "a")
        await pipeline.look()
    assert len([one for one in pipeline.seen if isinstance(one, StreamEnded)]) == 1, "said once"
    await pipeline.stream.create()
    await pipeline.look()
    polls = pipeline.polls()
    mark(pipeline, "b")
    assert await pipeline.look() == 1
    assert pipeline.polls() == polls


async def test_a_slot_that_was_moved_by_others_is_noticed():
    pipeline = await following()
    mark(pipeline, "a")
    await pipeline.stream.confirm(pipeline.stream.end)
    polls = pipeline.polls()
    assert await pipeline.look() == 1
    assert pipeline.polls() == polls + 1


async def test_what_the_source_keeps_has_a_limit():
    pipeline = await following()
    pipeline.stream.end = Lsn(pipeline.stream.end + RETAINED_MAX + 1)
    pipeline.watcher._writer._epoch = None
    await pipeline.watcher.catch_up()
    assert any(isinstance(one, StreamDropped) for one in pipeline.seen)
    assert not pipeline.stream.has_slot


async def test_an_audit_finds_what_the_stream_missed_and_ends_the_trust():
    pipeline = await following()
    follower = pipeline.watcher._follower
    assert follower is not None
    follower._audited_at_s = -1e9
    polls = pipeline.polls()
    await pipeline.look()
    assert pipeline.polls() == polls + 1
    assert not any(isinstance(one, VersionsMissed) for one in pipeline.seen)
    mark(pipeline, "a")
    pipeline.stream.commits.clear()
    follower._audited_at_s = -1e9
    await pipeline.look()
    assert VersionsMissed(rows=1) in pipeline.seen
    mark(pipeline, "b")
    polls = pipeline.polls()
    await pipeline.look()
    assert pipeline.polls() == polls + 1
    assert (await pipeline.closed())[-1].distrusts_versions


async def test_many_commits_are_read_in_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory_stream, "READ_COMMITS_MAX", 3)
    pipeline = await following()
    for number in range(10):
        pipeline.publish(segment(f"new{number}"))
        pipeline.stream.look()
    assert await pipeline.look() == 10


@pytest.mark.parametrize("waits_s", [-1.0, 3600.0])
async def test_a_read_that_takes_long_does_not_keep_its_commits_from_the_log(
    waits_s: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(commit_follower, "UNSENT_S", waits_s)
    pipeline = await following()
    published = sum(isinstance(one, CutPublished) for one in pipeline.seen)
    pipeline.source.rows[key_of(supervisor())] = supervisor()
    pipeline.stream.look()
    mark(pipeline, "a")
    del pipeline.source.rows[key_of(supervisor())]  # of this the stream does not tell enough
    pipeline.stream.look()
    cuts = await pipeline.look()
    assert cuts == (3 if waits_s < 0 else 1)  # the last is that of the poll
    assert sum(isinstance(one, CutPublished) for one in pipeline.seen) == published + cuts


async def anything(pipeline: Followed, rng: Random) -> None:
    """Let one thing happen to the source, its stream or the watcher; changes above all."""
    names = "abcdef"
    match rng.randrange(9):
        case 0:
            pipeline.source.rows.pop(key_of(segment(rng.choice(names))), None)
            pipeline.stream.look()
        case 1:
            pipeline.stream.identity = f"{rng.randrange(10)}" * 32
        case 2:
            pipeline.stream.has_slot = False
        case 3:
            await pipeline.stream.create()
        case 4:
            pipeline.watcher = pipeline.new_watcher()
            await pipeline.stream.confirm(Lsn(pipeline.stream.end - rng.choice([0, 1000])))
        case _:
            for _ in range(rng.randrange(4)):
                mark(pipeline, rng.choice(names))


@pytest.mark.parametrize("seed", range(times(4, 200)))
async def test_whatever_happens_the_log_says_what_the_source_has(seed: int):
    rng = Random(seed)
    pipeline = await following()
    pipeline.append_bytes_max = rng.choice([1, 1 << 20])
    for _ in range(times(40, 100)):
        await anything(pipeline, rng)
        if rng.random() < 0.6:
            await pipeline.look()
    await pipeline.look()


async def test_a_commit_that_a_wrong_clock_dated_is_passed_by_a_poll():
    """It keeps its time in the source's log: to set the clock right helped nobody."""
    pipeline = await following()
    right = pipeline.source.clock
    pipeline.source.clock = HandClock(pipeline.clock.now() + timedelta(days=900))
    mark(pipeline, "a")
    with pytest.raises(TransientError, match="the source says that it is"):
        await pipeline.watcher.catch_up()
    pipeline.source.clock = right
    assert await pipeline.look() == 1
    mark(pipeline, "b")
    polls = pipeline.polls()
    assert await pipeline.look() == 1
    assert pipeline.polls() == polls, "the stream goes on behind it"
    records = await pipeline.log.read(Offset(0), records_max=1_000)
    assert max(decode(one).envelope.time for one in records) == pipeline.clock.now()


async def test_while_a_wrong_clock_holds_up_polls_too_the_source_keeps_no_more_than_it_may():
    pipeline = await following()
    pipeline.source.clock = HandClock(pipeline.clock.now() + timedelta(days=900))
    mark(pipeline, "a")
    pipeline.stream.end = Lsn(pipeline.stream.end + 2 * RETAINED_MAX)
    with pytest.raises(TransientError, match="the source says that it is"):
        await pipeline.watcher.catch_up()
    assert [one for one in pipeline.seen if isinstance(one, StreamDropped)]
    assert not pipeline.stream.has_slot


async def test_a_time_that_the_log_has_already_holds_up_no_stream():
    """An earlier build took it from a wrong clock; a long backlog is dated by the last cut."""
    pipeline = await following()
    pipeline.source.clock = HandClock(pipeline.clock.now() + timedelta(days=1))
    mark(pipeline, "a")
    await pipeline.look()
    pipeline.clock.move(-timedelta(days=30).total_seconds())
    pipeline.source.clock = pipeline.clock
    for _ in range(memory_stream.READ_COMMITS_MAX + 1):
        end, now = pipeline.stream.end, pipeline.clock.now()
        pipeline.stream.commits.append(MemoryCommit(lsn=end, time=now, changes=()))
        pipeline.stream.end = Lsn(end + memory_stream.COMMIT_BYTES)
    assert await pipeline.look() == 1
    assert pipeline.stream.confirmed > BEGINNING
