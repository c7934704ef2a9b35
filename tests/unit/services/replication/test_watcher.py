"""The watcher finds whatever changed, in one consistent cut, and remembers by the log alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from numpy.typing import NDArray

from replicator.adapters.memory.metadata import MemorySnapshot
from replicator.adapters.refusals import refuse_large
from replicator.errors import (
    ConfigError,
    CorruptionError,
    FencedError,
    LogCutShortError,
    TransientError,
)
from replicator.model.checkpoint import TargetState
from replicator.model.event import CutClosed, CutNumber, Entry, Offset, RowChanged, RowRemoved
from replicator.model.fingerprint import EMPTY_DIGEST, changed, fingerprint
from replicator.model.log.wire import decode
from replicator.model.observed.faults import Waiting
from replicator.model.row import Kind, Row, RowKey, Segment, key_of
from replicator.services.replication import readers
from tests.builders import (
    CREATED,
    commit,
    json_bytes,
    segment,
    segment_payload,
    table_definition,
)
from tests.unit.pipeline import SOURCE, HandClock, Pipeline


async def entries(pipeline: Pipeline) -> list[Entry]:
    return [decode(record) for record in await pipeline.log.read(Offset(0), records_max=100)]


async def last_cut(pipeline: Pipeline) -> list[Entry]:
    found = await entries(pipeline)
    return [entry for entry in found if entry.envelope.cut == found[-1].envelope.cut]


async def test_the_first_cut_holds_everything_and_adds_up():
    pipeline = Pipeline()
    rows: tuple[Row, ...] = (segment(), segment("orders"), commit())
    pipeline.publish(*rows)
    await pipeline.cut()
    *changes, closed = (entry.event for entry in await entries(pipeline))
    found = {fingerprint(event.row) for event in changes if isinstance(event, RowChanged)}
    assert found == {fingerprint(row) for row in rows}
    assert isinstance(closed, CutClosed)
    assert closed.count == 3
    assert closed.digest == changed(EMPTY_DIGEST, gone=(), come=map(fingerprint, rows))


async def test_a_payload_rewritten_without_any_timestamp_is_seen():
    """Trap 3: move, archive and restore tasks touch no timestamp."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    moved = replace(segment(), payload=json_bytes(segment_payload(size=1968)))
    assert moved.used_status_last_updated == segment().used_status_last_updated
    pipeline.publish(moved)
    await pipeline.cut()
    event = (await last_cut(pipeline))[0].event
    assert isinstance(event, RowChanged)
    assert event.row == moved
    assert event.previous == fingerprint(segment())


async def test_a_cut_is_never_older_than_the_one_before():
    """A replica that lost its primary shows as much as before, and cannot say so any more."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    first = (await last_cut(pipeline))[-1].envelope.time
    pipeline.source.clock = HandClock(first - timedelta(hours=1))
    pipeline.publish(segment("orders"))
    await pipeline.cut()
    assert {entry.envelope.time for entry in await last_cut(pipeline)} == {first}


async def test_a_source_whose_clock_is_far_ahead_gives_no_cut_its_time():
    """Every later cut would have kept it: no restore by time, and no lag seen, for ever."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    right = pipeline.source.clock
    pipeline.publish(segment("orders"))
    pipeline.source.clock = HandClock(pipeline.clock.now() + timedelta(days=900_000))
    with pytest.raises(TransientError, match="the source says that it is 44"):
        await pipeline.watcher.poll()
    pipeline.source.clock = HandClock(pipeline.clock.now() + timedelta(days=1))
    pipeline.publish(segment("clicks"))
    await pipeline.cut()
    assert (await last_cut(pipeline))[-1].envelope.cut == 2
    pipeline.source.clock = right


async def test_a_row_that_is_back_dated_is_seen():
    """Trap 1: rows become visible after their timestamps; a time cursor would pass them by."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    late = segment("orders", created_date="2020-01-01T00:00:00.000Z")
    pipeline.publish(late)
    await pipeline.cut()
    assert (await last_cut(pipeline))[0].event == RowChanged(
        row=late, fingerprint=fingerprint(late), previous=None
    )


async def test_a_deleted_row_is_seen():
    """Trap 2: a kill leaves nothing behind, no tombstone and no timestamp."""
    pipeline = Pipeline()
    pipeline.publish(segment(), segment("orders"))
    await pipeline.cut()
    pipeline.kill(segment("orders"))
    await pipeline.cut()
    event = (await last_cut(pipeline))[0].event
    assert isinstance(event, RowRemoved)
    assert event.key.key == segment("orders").id


async def test_a_quiet_poll_publishes_nothing_until_an_idle_cut_is_due():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    assert not await pipeline.watcher.poll()
    assert len(await entries(pipeline)) == 2


async def test_a_new_watcher_goes_on_where_the_log_ends():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(segment("orders"))
    await pipeline.cut()
    cut = await last_cut(pipeline)
    assert [type(entry.event) for entry in cut] == [RowChanged, CutClosed]
    assert cut[0].envelope.cut == 2
    assert cut[0].envelope.epoch == 2


async def test_a_second_watcher_shuts_out_the_first():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.new_watcher().poll()
    pipeline.publish(segment("orders"))
    with pytest.raises(FencedError):
        await pipeline.watcher.poll()


async def test_an_attempt_that_was_given_up_is_not_part_of_the_next_cut(
    monkeypatch: pytest.MonkeyPatch,
):
    """A watcher that died in the middle of a large cut leaves events that no record closes."""
    pipeline = Pipeline()
    pipeline.publish(segment(), segment("orders"), segment("clicks"))
    log = pipeline.watcher._writer._log
    append, calls = log.append, 0

    async def append_once(documents):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise TransientError("gone")
        return await append(documents)

    monkeypatch.setattr(log, "append", append_once)
    with pytest.raises(TransientError):
        await pipeline.watcher.poll()
    await pipeline.cut()
    found = await entries(pipeline)
    assert len(found) == 2 + 3 + 1
    closed = found[-1].event
    assert isinstance(closed, CutClosed)
    assert (closed.cut, closed.count) == (1, 3)
    await pipeline.follow()
    assert len(pipeline.target_ids()) == 3


async def test_what_only_a_given_up_attempt_speaks_of_was_never_there(
    monkeypatch: pytest.MonkeyPatch,
):
    pipeline = Pipeline()
    pipeline.publish(segment(), segment("orders"), segment("clicks"))
    log = pipeline.watcher._writer._log
    append = log.append

    async def append_and_fail(documents):
        await append(documents)
        raise TransientError("the answer was lost")

    monkeypatch.setattr(log, "append", append_and_fail)
    with pytest.raises(TransientError):
        await pipeline.watcher.poll()
    monkeypatch.undo()
    told = (await entries(pipeline))[0].event
    assert isinstance(told, RowChanged)
    gone = pipeline.source.rows.pop(key_of(told.row))
    await pipeline.cut()
    await pipeline.new_watcher().poll()
    assert len(await last_cut(pipeline)) == 1, "it saw a row go that was never there"
    await pipeline.follow()
    assert isinstance(gone, Segment)
    assert len(pipeline.target_ids() - {gone.id}) == len(pipeline.target_ids()) == 2


@pytest.mark.parametrize("loss", ["replaced", "shortened"])
async def test_a_log_that_is_not_the_one_it_led_gets_no_change_from_a_watcher(loss: str):
    """What it knows is what the former log held: its changes would follow nothing there."""
    pipeline = Pipeline()
    pipeline.publish(segment(), segment("orders"))
    await pipeline.cut()
    stored = pipeline.log._stored
    await pipeline.new_watcher().poll()  # the next look of the first one begins with a doubt
    records = list(stored.records)
    if loss == "replaced":
        stored.log_id, said = "another", "is another: it was replaced"
    else:
        stored.records[1:], stored.end, said = [], Offset(1), "the log ends at offset 1, and"
    pipeline.publish(segment("clicks"))
    with pytest.raises(FencedError):
        await pipeline.watcher.poll()
    with pytest.raises(CorruptionError, match=said) as refused:
        await pipeline.watcher.poll()
    assert "run --new-log" in refused.value.hint
    assert stored.records == records[: len(stored.records)]


async def test_a_log_that_was_put_back_to_an_older_copy_gets_no_cut():
    """A new watcher knows nothing of it; the target does, and a second history would part them."""
    pipeline = Pipeline()
    for name in ("wiki", "orders"):
        pipeline.publish(segment(name))
        await pipeline.cut()
        await pipeline.follow()
    stored = pipeline.log._stored
    del stored.records[2:]
    stored.end = Offset(2)
    pipeline.publish(segment("clicks"))
    for watcher in (pipeline.new_watcher(), pipeline.new_watcher()):
        with pytest.raises(LogCutShortError, match=r"'standby' is at offset \d, .* ends at 2"):
            await watcher.poll()
    assert (len(stored.records), stored.epoch) == (2, 1), "and nobody was fenced"


async def written_by_somebody(pipeline: Pipeline, *, paused: bool = False) -> None:
    """Put a checkpoint far beyond the log into the target's own table."""
    books = pipeline.target.sources[SOURCE]
    assert books.checkpoint is not None
    books.checkpoint = replace(
        books.checkpoint, offset=Offset(10**6), cut=CutNumber(10**5), paused=paused
    )


async def test_a_checkpoint_that_nobody_applied_halts_its_target_and_no_watcher():
    """Who can write to one target's database cannot say that the log was put back."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    await written_by_somebody(pipeline)
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(segment("orders"))
    await pipeline.cut()
    (told,) = (one for one in pipeline.seen if isinstance(one, Waiting))
    assert "'standby' says that it is at offset 1000000; neither the log" in told.reason
    with pytest.raises(CorruptionError, match="no applier wrote it") as halted:
        await pipeline.new_applier().apply_next()
    assert "replicator apply standby --adopt" in halted.value.hint
    pipeline.applier = pipeline.new_applier(adopt=True)
    await pipeline.follow()
    assert pipeline.target_ids() == {segment().id, segment("orders").id}
    pipeline.publish(segment("clicks"))
    await pipeline.cut()
    await pipeline.follow()
    found = (await pipeline.target.state(SOURCE)).checkpoint
    assert found is not None
    assert found.cut == 3


async def test_what_a_paused_target_says_holds_until_its_operator_lets_it_go():
    """A restore needs no history in its target's store: only the operator knows."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    await written_by_somebody(pipeline, paused=True)
    with pytest.raises(LogCutShortError, match="'standby' is at offset") as refused:
        await pipeline.new_watcher().poll()
    assert "replicator apply standby --adopt" in refused.value.hint
    pipeline.applier = pipeline.new_applier(adopt=True)
    await pipeline.follow()
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(segment("orders"))
    await pipeline.cut()


async def test_a_log_that_a_store_knows_more_of_is_refused_whatever_is_adopted():
    pipeline = Pipeline()
    for name in ("wiki", "orders"):
        pipeline.publish(segment(name))
        await pipeline.cut()
        await pipeline.follow()
    stored = pipeline.log._stored
    del stored.records[2:]
    stored.end = Offset(2)
    with pytest.raises(
        LogCutShortError, match="the log has lost records that were already applied"
    ):
        await pipeline.new_applier(adopt=True).apply_next()


async def test_a_store_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    await written_by_somebody(pipeline)

    async def names(prefix: str) -> list[str]:
        raise TransientError("it is away")

    with monkeypatch.context() as patched:
        patched.setattr(pipeline.area, "names", names)
        with pytest.raises(TransientError, match="whether the log was put back"):
            await pipeline.new_watcher().poll()
    await pipeline.new_watcher().poll()


async def test_a_target_that_cannot_be_asked_holds_up_no_watcher(monkeypatch: pytest.MonkeyPatch):
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    asked = [0]

    async def state(source: str) -> TargetState:
        asked[0] += 1
        if asked[0] == 1:
            raise TransientError("the target is away")
        return await asyncio.Future[TargetState]()

    monkeypatch.setattr(readers, "ANSWER_MAX_S", 0.01)
    monkeypatch.setattr(pipeline.target, "state", state)
    for name in ("orders", "clicks"):
        pipeline.watcher = pipeline.new_watcher()
        pipeline.publish(segment(name))
        await pipeline.cut()
    assert (asked[0], (await last_cut(pipeline))[0].envelope.cut) == (2, 3)


async def test_a_defect_that_one_target_brings_out_ends_no_watcher(monkeypatch: pytest.MonkeyPatch):
    """Its own applier says what it is; the watcher asked it where it is, and ended `run`."""
    pipeline = Pipeline()

    async def state(source: str) -> TargetState:
        del source
        raise RecursionError("nobody thought of that")

    monkeypatch.setattr(pipeline.target, "state", state)
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(segment())
    await pipeline.cut()


async def test_a_defect_that_its_store_brings_out_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    await written_by_somebody(pipeline)

    async def names(prefix: str) -> list[str]:
        del prefix
        raise RecursionError("nobody thought of that")

    monkeypatch.setattr(pipeline.area, "names", names)
    with pytest.raises(TransientError, match="nobody thought of that"):
        await pipeline.new_watcher().poll()


async def test_a_log_that_was_altered_is_refused():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    records = pipeline.log._stored.records
    document = orjson.loads(records[0].data)
    document["data"]["row"]["used"] = False
    records[0] = records[0]._replace(data=orjson.dumps(document))
    with pytest.raises(CorruptionError, match="offset 0 does not match"):
        await pipeline.new_watcher().poll()


async def test_a_lost_event_is_noticed():
    """The digest of a cut is of everything: a log with a hole in it does not add up."""
    pipeline = Pipeline()
    pipeline.publish(segment(), segment("orders"))
    await pipeline.cut()
    records = pipeline.log._stored.records
    del records[0]
    records[0] = records[0]._replace(offset=Offset(0))
    with pytest.raises(CorruptionError, match="does not add up"):
        await pipeline.new_watcher().poll()


async def test_a_database_that_computes_other_fingerprints_is_refused(
    monkeypatch: pytest.MonkeyPatch,
):
    """Both sides compute; when they disagree, no cut is closed."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    monkeypatch.setattr(
        "replicator.services.replication.watcher.fingerprint", lambda row: fingerprint(commit())
    )
    with pytest.raises(CorruptionError, match="computes other fingerprints"):
        await pipeline.watcher.poll()
    assert all(not isinstance(entry.event, CutClosed) for entry in await entries(pipeline))


async def test_used_flips_are_published_with_their_own_timestamps():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    flipped = segment(used=False, used_status_last_updated="2024-07-01T00:00:00.000Z")
    pipeline.publish(flipped)
    await pipeline.cut()
    event = (await last_cut(pipeline))[0].event
    assert isinstance(event, RowChanged)
    assert event.row == flipped
    assert CREATED != "2024-07-01T00:00:00.000Z"


async def test_two_rows_with_one_key_are_refused_and_spoil_no_log():
    """A table without its primary key, and two keys of the catalog whose texts are one."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    first = table_definition("b.c", schemaname="a")
    second = table_definition("c", schemaname="a.b", state="D")
    assert key_of(first) == key_of(second)
    pipeline.publish(first)
    twin = RowKey(Kind.TABLE_DEFINITION, "its twin")
    pipeline.source.rows[twin] = second
    with pytest.raises(ConfigError, match=r"of its table tabledefs with one key 'a\.b\.c'"):
        await pipeline.watcher.poll()
    pipeline.watcher = pipeline.new_watcher()  # which knows the log alone
    with pytest.raises(ConfigError, match="one key"):
        await pipeline.cut()
    del pipeline.source.rows[twin]
    await pipeline.cut()
    *_, event, closed = (entry.event for entry in await last_cut(pipeline))
    assert isinstance(event, RowChanged)
    assert event.row == first
    assert isinstance(closed, CutClosed)
    assert closed.count == 1
    pipeline.source.rows[twin] = second  # beside one that the log knows
    pipeline.watcher = pipeline.new_watcher()
    with pytest.raises(ConfigError, match="one key"):
        await pipeline.cut()


async def test_a_row_that_no_log_takes_does_not_fill_the_disk():
    """Each try appended again all that comes before it."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    large = table_definition(columns=b"x" * (2 << 20))  # of the table that comes last
    pipeline.publish(segment("orders"), segment("clicks"), large)
    end = Offset(0)
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"table_definition 'druid\.wiki'.*row_bytes_max"):
            await pipeline.cut()
        end = (await pipeline.log.span()).end
        pipeline.watcher = pipeline.new_watcher()  # a restart knows the log alone
    for _ in range(2):
        with pytest.raises(ConfigError, match="row_bytes_max"):
            await pipeline.cut()
    assert [entry.event for entry in await entries(pipeline)].count(
        RowChanged(row=segment("orders"), fingerprint=fingerprint(segment("orders")), previous=None)
    ) == 1
    assert (await pipeline.log.span()).end == end
    del pipeline.source.rows[key_of(large)]
    await pipeline.cut()
    closed = (await last_cut(pipeline))[-1].event
    assert isinstance(closed, CutClosed)
    assert closed.count == 2


async def test_rows_that_are_too_many_bytes_are_read_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
):
    pipeline = Pipeline()
    pipeline.publish(*(segment(partition=one) for one in range(9)))
    fetched, at_once = MemorySnapshot.fetch, list[int]()

    async def fetch(self: MemorySnapshot, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        refuse_large("segments", len(handles), len(handles) * (9 << 20), "one")
        at_once.append(len(handles))
        return await fetched(self, kind, handles)

    monkeypatch.setattr(MemorySnapshot, "fetch", fetch)
    await pipeline.cut()
    assert sum(at_once) == 9
    assert max(at_once) == 1
    with pytest.raises(ConfigError, match="row 'one' has 70000000 bytes"):
        refuse_large("segments", 1, 70_000_000, "one")
