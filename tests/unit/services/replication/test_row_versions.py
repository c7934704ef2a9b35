"""A poll by row versions finds what a poll of all rows finds, and says so when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.adapters.memory import metadata
from replicator.adapters.memory.metadata import MemoryMetadata, MemorySnapshot
from replicator.adapters.memory.versions import MemoryVersions, Tuple
from replicator.errors import TransientError
from replicator.model.event import Document, Offset, RowChanged, RowRemoved
from replicator.model.inventory.ledger import KEY
from replicator.model.log.wire import CUT_CLOSED, decode
from replicator.model.observation import Polled, Progress, ScanBegun, VersionsMissed, Why
from replicator.model.row import Kind, Row, RowKey, Segment, key_of
from replicator.model.versions import STAMPS, TRANSACTIONS_MAX, Moves, Places, Versions
from replicator.ports import Visit
from replicator.services.replication import scout
from tests.builders import commit, json_bytes, segment, segment_payload
from tests.rings import times
from tests.unit.pipeline import Pipeline

A, B, C = segment(), segment("orders"), segment("clicks")
DAY_S = 86_400.0
BEGIN = Offset(0)


def other(row: Segment, size: int = 1) -> Segment:
    """The same row with another payload, and no other timestamp."""
    return replace(row, payload=json_bytes(segment_payload(datasource=row.datasource, size=size)))


def again(row: Segment) -> Segment:
    """The same row, written once more."""
    return replace(row)


@dataclass
class Watched(Pipeline):
    """A watcher that has looked once at three segments and some offsets."""

    told_rows: dict[RowKey, Row] = field(default_factory=dict)
    told_until: Offset = BEGIN

    @property
    def versions(self) -> MemoryVersions:
        return self.source.versions

    def last_poll(self) -> Polled:
        return [one for one in self.seen if isinstance(one, Polled)][-1]

    def whys(self) -> list[Why]:
        return [one.why for one in self.seen if isinstance(one, ScanBegun)]

    def missed(self) -> int:
        return sum(one.rows for one in self.seen if isinstance(one, VersionsMissed))

    def let_pass(self, seconds: float) -> None:
        self.watcher._scout._scanned_at_s -= seconds

    async def told(self) -> dict[RowKey, Row]:
        """Return the rows that the log says the source has; each record is read once."""
        for record in await self.log.read(self.told_until, records_max=1000):
            self.told_until = Offset(record.offset + 1)
            match decode(record).event:
                case RowChanged(row=row):
                    self.told_rows[key_of(row)] = row
                case RowRemoved(key=key):
                    self.told_rows.pop(key, None)
                case _:
                    pass
        return self.told_rows

    async def poll_and_compare(self) -> None:
        await self.watcher.poll()
        assert await self.told() == self.source.rows


async def watched(*rows: Row) -> Watched:
    pipeline = Watched()
    pipeline.publish(*(rows or (A, B, C, commit())))
    await pipeline.cut()
    pipeline.seen.clear()
    return pipeline


async def test_only_rows_with_a_new_version_are_looked_at():
    pipeline = await watched()
    assert not await pipeline.watcher.poll()
    assert (pipeline.last_poll().scanned_rows, pipeline.last_poll().fingerprinted_rows) == (4, 0)
    pipeline.publish(other(B))
    pipeline.kill(C)
    await pipeline.poll_and_compare()
    assert (pipeline.last_poll().scanned_rows, pipeline.last_poll().fingerprinted_rows) == (3, 1)
    assert not pipeline.last_poll().full
    assert pipeline.whys() == []


async def test_a_long_scan_and_a_long_log_show_how_far_they_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scout, "SHOWN_ROWS_MIN", 2)
    pipeline = Watched()
    pipeline.source.chunk_rows = 1
    pipeline.publish(A, B, C)
    await pipeline.cut()
    first = progress(pipeline, "scan the source")
    assert first == [(2, None), (3, None), (3, 3)], "how many there are is not known before"
    pipeline.seen.clear()
    pipeline.publish(segment("d"))
    pipeline.watcher = pipeline.new_watcher()
    await pipeline.cut()
    assert progress(pipeline, "read the log")[-1] == (4, 4)
    assert progress(pipeline, "scan the source") == [(2, 3), (3, 3), (4, 4), (4, 4)]


def progress(pipeline: Pipeline, what: str) -> list[tuple[int, int | None]]:
    told = [one for one in pipeline.seen if isinstance(one, Progress) and one.what == what]
    return [(one.done, one.total) for one in told]


async def test_a_row_that_moved_makes_no_event():
    """An update and back, a used flag set to what it was: the same row at another place."""
    pipeline = await watched()
    pipeline.versions.vacuums = False
    pipeline.publish(again(A))
    assert not await pipeline.watcher.poll()
    assert pipeline.last_poll().fingerprinted_rows == 1
    pipeline.kill(A)
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full


async def test_a_row_that_takes_the_place_of_another_is_seen():
    pipeline = await watched()
    pipeline.kill(A)
    pipeline.publish(segment("new"))
    assert pipeline.versions.vacuums
    await pipeline.poll_and_compare()
    assert pipeline.last_poll().fingerprinted_rows == 1


async def test_an_id_that_is_killed_and_published_again_between_two_polls_is_one_change():
    pipeline = await watched()
    pipeline.kill(A)
    await pipeline.poll_and_compare()
    pipeline.publish(other(A, 2))
    await pipeline.poll_and_compare()
    pipeline.kill(A)
    pipeline.publish(other(A, 3))
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full


async def test_a_start_without_memory_reads_every_row():
    pipeline = await watched()
    pipeline.watcher = pipeline.new_watcher()
    await pipeline.poll_and_compare()
    assert pipeline.whys() == [Why.START]
    assert pipeline.last_poll().fingerprinted_rows == 4
    assert not await pipeline.watcher.poll()
    assert pipeline.last_poll().fingerprinted_rows == 0


# ------------------------------------------------------------------ where two versions look alike


async def rewound(guard: str) -> Watched:
    """Put the source back to a backup and let it go on: ids and places are given out again."""
    pipeline = await watched()
    rows, versions = dict(pipeline.source.rows), pipeline.versions.copy()
    pipeline.publish(other(A, 2))
    await pipeline.poll_and_compare()
    then = pipeline.versions.tuples[key_of(A)]
    pipeline.source.rows.clear()
    pipeline.source.rows.update(rows)
    pipeline.source.versions = versions
    versions.server[guard] = "2"
    pipeline.publish(other(A, 3))
    versions.see(pipeline.source.rows)
    now = versions.tuples[key_of(A)]
    assert (now.place, now.transaction) == (then.place, then.transaction), "they look alike"
    await pipeline.poll_and_compare()
    return pipeline


@pytest.mark.parametrize("guard", ["timeline", "start"])
async def test_a_server_that_was_put_back_and_went_on_is_another_one(guard: str):
    pipeline = await rewound(guard)
    assert pipeline.whys() == [Why.BROKEN]
    assert pipeline.last_poll().full


async def test_transaction_ids_that_went_back_are_noticed_by_themselves():
    pipeline = await watched()
    rows, versions = dict(pipeline.source.rows), pipeline.versions.copy()
    for size in (2, 3, 4):
        pipeline.publish(other(A, size), other(B, size))
        await pipeline.poll_and_compare()
    pipeline.source.rows.clear()
    pipeline.source.rows.update(rows)
    pipeline.source.versions = versions
    pipeline.publish(other(A, 9))
    await pipeline.poll_and_compare()
    assert pipeline.whys() == [Why.BROKEN]


async def test_a_table_that_was_rewritten_is_read_anew():
    """VACUUM FULL: the same transactions, and each row where another one was."""
    pipeline = await watched()
    pipeline.versions.rewrite(Kind.SEGMENT)
    pipeline.kill(A)
    await pipeline.poll_and_compare()
    assert pipeline.whys() == [Why.BROKEN]


async def test_two_milliards_of_transactions_are_too_many():
    pipeline = await watched()
    pipeline.versions.next += TRANSACTIONS_MAX
    pipeline.publish(other(A))
    await pipeline.poll_and_compare()
    assert pipeline.whys() == [Why.BROKEN]


async def alike(pipeline: Watched, *, transactions: int) -> None:
    """Let a row's place be taken by another whose transaction has the same stamp."""
    then = pipeline.versions.tuples[key_of(A)]
    pipeline.versions.next = then.transaction + STAMPS - transactions
    pipeline.publish(again(B))
    await pipeline.poll_and_compare()
    pipeline.seen.clear()


async def test_a_stamp_of_a_full_circle_ago_proves_nothing():
    pipeline = await watched()
    # not by one poll: a step of that size would be another reason to doubt
    pipeline.watcher._scout._memory = None
    await alike(pipeline, transactions=1)
    then = pipeline.versions.tuples[key_of(A)]
    pipeline.publish(other(A))
    pipeline.versions.see(pipeline.source.rows)
    now = pipeline.versions.tuples[key_of(A)]
    assert (now.place, now.transaction) == (then.place, then.transaction + STAMPS)
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full


async def test_nor_does_that_of_a_transaction_that_was_open_for_long():
    pipeline = await watched()
    pipeline.watcher._scout._memory = None
    pipeline.versions.open_for = 50
    await alike(pipeline, transactions=-20)
    then = pipeline.versions.tuples[key_of(A)]
    pipeline.versions.late = then.transaction + STAMPS
    assert pipeline.versions.next > pipeline.versions.late
    pipeline.publish(other(A))
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full


async def test_an_open_transaction_costs_the_rows_since_and_no_more():
    pipeline = await watched()
    pipeline.versions.open_for = 2
    for size in range(2, 6):
        pipeline.publish(other(A, size))
        await pipeline.poll_and_compare()
    assert pipeline.last_poll().fingerprinted_rows == 1
    assert not await pipeline.watcher.poll()
    assert pipeline.last_poll().fingerprinted_rows == 1, "A could have been written again"


async def test_a_store_without_versions_is_read_whole_and_that_is_told_once():
    pipeline = Watched()
    pipeline.versions.reason = "no xmin"
    pipeline.publish(A, B)
    for size in range(2, 5):
        pipeline.publish(other(A, size))
        await pipeline.poll_and_compare()
        assert pipeline.last_poll().full
    pipeline.kill(B)
    await pipeline.poll_and_compare()
    assert [one for one in pipeline.seen if isinstance(one, ScanBegun)] == [
        ScanBegun(why=Why.UNAVAILABLE, detail="no xmin")
    ]


# --------------------------------------------------------------------------------------- the audit


def lie(pipeline: Watched, row: Segment) -> None:
    """Change a row in place, which no store with versions does."""
    was = pipeline.versions.tuples[key_of(row)]
    pipeline.publish(row)
    pipeline.versions.tuples[key_of(row)] = Tuple(row, was.place, was.transaction)


async def test_an_audit_that_finds_nothing_goes_on_by_versions():
    pipeline = await watched()
    pipeline.publish(other(A))
    pipeline.kill(C)
    pipeline.let_pass(DAY_S)
    await pipeline.poll_and_compare()
    assert pipeline.whys() == [Why.DUE]
    assert pipeline.last_poll().full
    assert pipeline.missed() == 0
    pipeline.publish(other(B))
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full
    pipeline.kill(A)
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full


async def test_an_audit_publishes_what_was_missed_says_so_and_ends_the_trust():
    pipeline = await watched()
    lie(pipeline, other(A))
    assert not await pipeline.watcher.poll(), "or this test shows nothing"
    pipeline.let_pass(DAY_S)
    await pipeline.poll_and_compare()
    assert pipeline.missed() == 1
    for size in (5, 6):
        lie(pipeline, other(A, size))
        await pipeline.poll_and_compare()
        assert pipeline.last_poll().full
    assert pipeline.whys() == [Why.DUE, Why.DISTRUSTED]
    pipeline.let_pass(DAY_S)
    lie(pipeline, other(A, 7))
    await pipeline.poll_and_compare()
    assert pipeline.missed() == 1, "nobody asked row versions any more"


async def test_the_trust_comes_back_when_the_operator_says_so_and_not_with_a_new_process():
    pipeline = await watched()
    lie(pipeline, other(A))
    pipeline.let_pass(DAY_S)
    await pipeline.poll_and_compare()
    for _ in range(2):
        pipeline.watcher = pipeline.new_watcher()
        await pipeline.poll_and_compare()
        await pipeline.poll_and_compare()
        assert pipeline.last_poll().full
    pipeline.watcher = pipeline.new_watcher(trust_versions=True)
    await pipeline.poll_and_compare()
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full
    pipeline.watcher = pipeline.new_watcher()
    await pipeline.poll_and_compare()
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full, "the log says it, too"


async def test_an_audit_notices_versions_that_are_remembered_of_other_rows():
    """Two rows that changed places in place: their contents are those of the log."""
    pipeline = await watched()
    tuples = pipeline.versions.tuples
    first, second = tuples[key_of(A)], tuples[key_of(B)]
    tuples[key_of(A)] = Tuple(A, second.place, second.transaction)
    tuples[key_of(B)] = Tuple(B, first.place, first.transaction)
    pipeline.let_pass(DAY_S)
    assert not await pipeline.watcher.poll()
    assert pipeline.missed() == 2


async def test_an_audit_notices_a_row_that_went_without_a_version():
    pipeline = await watched()
    memory = pipeline.watcher._scout._memory
    assert memory is not None
    place = np.array([pipeline.versions.tuples[key_of(A)].place], np.uint64)
    nothing = Versions(places=place[:0], stamps=np.empty(0, np.uint32))
    memory.tables[Kind.SEGMENT].move(Moves(gone=place, come=nothing, keys=np.empty(0, KEY)))
    pipeline.kill(A)
    assert not await pipeline.watcher.poll(), "or this test shows nothing"
    pipeline.let_pass(DAY_S)
    await pipeline.poll_and_compare()
    assert pipeline.missed() == 1


class Misplaced(MemorySnapshot):
    """Of a store that finds no row by its place."""

    async def scan(
        self,
        kind: Kind,
        visit: Visit,
        *,
        datasources: Sequence[str] | None = None,
        places: Places | None = None,
    ) -> None:
        if places is None:
            await super().scan(kind, visit, datasources=datasources)


async def test_rows_that_are_not_where_their_versions_said_end_the_trust_at_once(
    monkeypatch: pytest.MonkeyPatch,
):
    pipeline = await watched()
    monkeypatch.setattr(metadata, "MemorySnapshot", Misplaced)
    pipeline.publish(other(A))
    await pipeline.poll_and_compare()
    assert pipeline.missed() == 1
    assert pipeline.whys() == [Why.DISTRUSTED]


# ------------------------------------------------------------------- appends of unknown end, others


async def test_a_cut_whose_append_was_not_told_is_remembered_with_its_versions(
    monkeypatch: pytest.MonkeyPatch,
):
    """What came and went around it would be missed by the versions of before."""
    pipeline = await watched()
    append = pipeline.watcher._writer._log.append

    async def append_and_fail(documents: Sequence[Document]) -> Offset:
        offset = await append(documents)
        if documents[-1].type == CUT_CLOSED:
            raise TransientError("the answer was lost")
        return offset

    monkeypatch.setattr(pipeline.watcher._writer._log, "append", append_and_fail)
    pipeline.publish(segment("new"), other(B))
    with pytest.raises(TransientError):
        await pipeline.watcher.poll()
    monkeypatch.undo()
    pipeline.kill(segment("new"))
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full


async def test_a_cut_that_was_given_up_is_found_again(monkeypatch: pytest.MonkeyPatch):
    pipeline = await watched()

    async def fail(documents: Sequence[Document]) -> Offset:
        raise TransientError("gone")

    monkeypatch.setattr(pipeline.watcher._writer._log, "append", fail)
    pipeline.publish(segment("new"), other(B))
    pipeline.kill(A)
    with pytest.raises(TransientError):
        await pipeline.watcher.poll()
    monkeypatch.undo()
    pipeline.publish(B)
    await pipeline.poll_and_compare()
    assert not pipeline.last_poll().full
    assert pipeline.last_poll().fingerprinted_rows == 2


async def test_what_another_watcher_has_published_ends_the_memory():
    """It may have read a replica that was behind: the log's rows are not those of this memory."""
    pipeline = await watched()

    async def fail(documents: Sequence[Document]) -> Offset:
        raise TransientError("gone")

    pipeline.publish(other(B))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.watcher._writer._log, "append", fail)
        with pytest.raises(TransientError):
            await pipeline.watcher.poll()
    primary = pipeline.source
    pipeline.source = MemoryMetadata(pipeline.clock, [other(A, 9), B, C], target=False)
    await pipeline.new_watcher().poll()
    pipeline.source = primary
    pipeline.seen.clear()
    await pipeline.poll_and_compare()
    assert pipeline.whys() == [Why.START]


# ------------------------------------------------------------------------------------------ the law

KEYS = ("wiki", "orders", "clicks", "pages")


class History:
    """What befalls a source, step by step; two watchers look at it, each with a log of its own."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.by_versions, self.by_rows = Watched(), Watched()
        self.by_rows.source = self.source = self.by_versions.source
        self.by_rows.row_versions = False
        self.by_rows.watcher = self.by_rows.new_watcher()
        self.backups = [self.backup()]
        self.lives = 1

    @property
    def versions(self) -> MemoryVersions:
        return self.source.versions

    def backup(self) -> tuple[dict[RowKey, Row], MemoryVersions]:
        self.versions.see(self.source.rows)
        return dict(self.source.rows), self.versions.copy()

    def step(self) -> None:
        acts: dict[Callable[[], None], float] = {
            self.write: 12,
            self.kill: 4,
            self.commit: 2,
            self.some_time: 2,
        }
        acts |= {self.full_vacuum: 1, self.put_back: 1, self.restart: 1, self.long_ago: 1}
        acts |= {self.open_transaction: 1, self.untold: 1, self.restart_watcher: 0.5}
        self.rng.choices(list(acts), list(acts.values()))[0]()
        self.versions.vacuums = self.rng.random() < 0.8

    def write(self) -> None:
        for name in self.rng.sample(KEYS, self.rng.randrange(1, 4)):
            self.by_versions.publish(other(segment(name), self.rng.randrange(1, 4)))

    def commit(self) -> None:
        """Another commit of the source between two polls."""
        self.versions.see(self.source.rows)

    def kill(self) -> None:
        rows = [row for row in self.source.rows.values() if isinstance(row, Segment)]
        for row in self.rng.sample(rows, min(len(rows), 2)):
            del self.source.rows[key_of(row)]

    def some_time(self) -> None:
        self.by_versions.let_pass(self.rng.choice([100.0, DAY_S]))

    def full_vacuum(self) -> None:
        self.versions.see(self.source.rows)
        self.versions.rewrite(Kind.SEGMENT)

    def put_back(self) -> None:
        self.backups.append(self.backup())
        rows, versions = self.rng.choice(self.backups)
        self.source.rows.clear()
        self.source.rows.update(rows)
        self.source.versions = versions.copy()
        self.restart()

    def restart(self) -> None:
        self.lives += 1
        self.versions.server[self.rng.choice(["timeline", "start"])] = str(self.lives)

    def long_ago(self) -> None:
        """Let stamps come round."""
        stamps = [one.transaction for one in self.versions.tuples.values()] or [3]
        ahead = (self.rng.choice(stamps) - self.versions.next) % STAMPS
        self.versions.next += min(ahead, self.rng.choice([ahead, TRANSACTIONS_MAX - 60]))

    def open_transaction(self) -> None:
        self.versions.open_for = self.rng.choice([0, 1, 5, 50])
        if self.versions.open_for and self.rng.random() < 0.5:
            self.versions.late = None

    def untold(self) -> None:
        self.versions.reason = self.rng.choice([None, None, "no xmin"])

    def restart_watcher(self) -> None:
        self.by_versions.watcher = self.by_versions.new_watcher()


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=times(40, 4_000), deadline=None)
def test_cuts_by_versions_and_by_all_rows_fold_to_the_same(seed: int):
    """Whatever befalls the source: vacuums, rewrites, restores, restarts, ids that come round."""

    async def live() -> None:
        history = History(Random(seed))
        for _ in range(25):
            for _ in range(history.rng.choice([1, 1, 3])):
                history.step()
            await history.by_versions.watcher.poll()
            await history.by_rows.watcher.poll()
            assert await history.by_versions.told() == history.source.rows
            assert await history.by_rows.told() == history.source.rows
        assert history.by_versions.missed() == 0

    asyncio.run(live())
