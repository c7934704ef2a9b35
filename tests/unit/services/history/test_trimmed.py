"""A log that is trimmed: what the store has is read from there, the rest is said to be missing."""

from collections.abc import Sequence

import numpy as np
import pytest

from replicator.adapters.memory.area import MemoryArea, SortedFiles
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.errors import GapError, RefusedError, TransientError
from replicator.model.event import Offset, Record
from replicator.model.log.reading import Recorded
from replicator.model.observed.faults import ArchiveDamaged
from replicator.model.plans.restore_point import Latest, ToOffset
from replicator.model.store.archive import BASES, HISTORY, history_span
from replicator.ports import DOCUMENT_BYTES_MAX
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.services.records.store_id import NAME as STORE_ID
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.spliced_log import SplicedLog
from replicator.services.store.store import Store
from tests.builders import segment
from tests.unit.pipeline import SOURCE, Pipeline


class CountingArea(MemoryArea):
    """Remembers which files were read."""

    def __init__(self, files: SortedFiles) -> None:
        super().__init__()
        self.files, self.read = files, list[str]()

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        self.read.append(name)
        return await super().get(name, bytes_max=bytes_max)


async def followed(pipeline: Pipeline, *, cuts: int = 6) -> None:
    for number in range(cuts):
        pipeline.publish(*[segment(f"s{number}-{i}") for i in range(3)])
        await pipeline.cut()
        await pipeline.follow()


def alone(area: MemoryArea) -> History:
    archive = ArchivedLog(Store(area), "log")
    return History(
        archive,
        source=SOURCE,
        workers=InPlaceWorkers(),
        bases=archive,
        records_per_read_max=4,
    )


async def test_rows_of_long_ago_are_read_from_a_base_and_not_from_all_history_before_it():
    pipeline = Pipeline()
    await followed(pipeline)
    last = await pipeline.history().find(Latest())
    await pipeline.archivist().write_base(last)
    pipeline.applier = pipeline.new_applier()
    pipeline.publish(segment("later"))
    await pipeline.cut()
    await pipeline.follow()
    area = CountingArea(pipeline.area.files)
    history = alone(area)
    cut = await history.find(Latest())
    area.read.clear()
    history = alone(area)
    offsets = np.sort((await fold(history, cut.offset, Recorded())).offsets)
    found = [record async for records in history.records(offsets) for record in records]
    assert [record.offset for record in found] == offsets.tolist()
    assert len(found) == 19
    read = [history_span(name) for name in area.read if name.startswith(HISTORY)]
    assert read
    assert all(span is not None and span[0] > last.offset for span in read)


async def test_where_a_base_is_altered_its_rows_are_read_from_the_history():
    pipeline = Pipeline()
    await followed(pipeline)
    last = await pipeline.history().find(Latest())
    base = await pipeline.archivist().write_base(last)
    damaged = next(name for name in pipeline.area.files if f"{base.offset:020}/0" in name)
    pipeline.area.files[damaged] = b"rubbish"
    history = pipeline.history()
    offsets = np.sort((await fold(history, last.offset, Recorded())).offsets)
    found = [record async for records in history.records(offsets) for record in records]
    assert [record.offset for record in found] == offsets.tolist()


async def test_the_newest_run_of_a_history_with_a_hole_reaches_the_log():
    """A target that jumped over cuts goes on although the log has lost those."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    for number in range(3):
        pipeline.publish(segment(f"jumped-{number}"))
        await pipeline.cut()
    await pipeline.archivist().cover(
        await pipeline.history().find(Latest()), (), whole=False
    )  # as a restore to there does
    pipeline.applier = pipeline.new_applier()
    restorer = pipeline.restorer()
    await restorer.execute(
        await restorer.plan(Latest(), datasource=None, adopt=False), accept_gaps=False
    )
    pipeline.applier = pipeline.new_applier(resume=True)
    await pipeline.follow()
    at = (await pipeline.target.state(SOURCE)).checkpoint
    assert at is not None
    pipeline.publish(segment("late"))
    await pipeline.cut()
    pipeline.log.trim(Offset(at.offset + 1))
    pipeline.watcher = pipeline.new_watcher()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert segment("late").id in pipeline.target_ids()


async def test_a_record_that_no_base_has_any_more_is_a_gap():
    """The base behind it was written when the row was something else already."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=1)
    pipeline.publish(segment("s0-0", used=False))
    await pipeline.cut()
    pipeline.publish(segment("s0-0"))
    await pipeline.cut()
    await pipeline.archivist().write_base(await pipeline.history().find(Latest()))
    pipeline.log.trim((await pipeline.log.span()).end)
    with pytest.raises(GapError):
        [records async for records in pipeline.history().records(np.array([4], np.int64))]


@pytest.mark.parametrize("resume", [False, True])
async def test_nobody_waits_for_the_first_cut_of_a_log_that_had_some(*, resume: bool):
    """The whole log is trimmed, and the store does not reach its end: that is said at once."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    if resume:
        restorer = pipeline.restorer()
        plan = await restorer.plan(ToOffset(offset=Offset(3)), datasource=None, adopt=False)
        await restorer.execute(plan, accept_gaps=False)
    else:
        for name in [*pipeline.area.files]:
            if name != STORE_ID:  # an emptied store is refused before
                del pipeline.area.files[name]
        pipeline.target.sources.clear()
        pipeline.target.rows.clear()
        pipeline.log._stored.reports.clear()  # a log that was moved knows of no store
    pipeline.publish(segment("lost"))
    await pipeline.cut()
    pipeline.log.trim((await pipeline.log.span()).end)
    with pytest.raises(GapError, match="was trimmed up to offset 10") as caught:
        await pipeline.new_applier(resume=resume).apply_next()
    assert "run --new-log" in caught.value.hint


@pytest.mark.parametrize("closes", [False, True])
async def test_a_hole_that_nobody_has_names_the_way_on(*, closes: bool):
    """A running watcher is no way on, whether or not it has closed a cut behind the hole."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    pipeline.publish(segment("lost"))
    await pipeline.cut()
    lost_until = (await pipeline.log.span()).end
    pipeline.publish(segment("kept"))
    await pipeline.cut()
    pipeline.log.trim(lost_until if closes else (await pipeline.log.span()).end)
    for attempt in (pipeline.new_applier().apply_next, pipeline.new_watcher().poll):
        with pytest.raises(GapError, match=r"trimmed.*no target's store has") as caught:
            await attempt()
        assert "run --new-log" in caught.value.hint
        assert "replicator watch" not in caught.value.hint


async def test_a_log_that_is_trimmed_while_it_is_folded_is_read_on_from_a_base(
    monkeypatch: pytest.MonkeyPatch,
):
    """A watcher that began with the log's first record goes on with the base of a target."""
    pipeline = Pipeline()
    await followed(pipeline)
    history = pipeline.history(preferred=False)
    read, end = history._log.read, (await pipeline.log.span()).end

    async def trimmed_meanwhile(start: Offset, *, records_max: int) -> Sequence[Record]:
        pipeline.log.trim(Offset(end - 2))
        return await read(start, records_max=records_max)

    monkeypatch.setattr(history._log, "read", trimmed_meanwhile)
    ledger = await fold(history, Offset(end - 1), Recorded())
    assert len(ledger) == 18


class BehindALink(MemoryArea):
    """A store in which somebody has put a link in the place of a folder."""

    async def names(self, prefix: str) -> Sequence[str]:
        raise RefusedError(f"{prefix} is a link, and is not followed", hint="make it a folder")


async def test_a_link_in_one_store_holds_up_nobody_who_finds_the_history_elsewhere():
    """It ended the watcher, and with it the process and all other targets."""
    pipeline = Pipeline()
    await followed(pipeline)
    cut = await pipeline.history().find(Latest())
    await pipeline.archivist().write_base(cut)
    pipeline.publish(segment("later"))
    await pipeline.cut()
    pipeline.log.trim(Offset(cut.offset + 1))
    bad, good = Store(BehindALink(), target="bad"), Store(pipeline.area)
    for stores in ([bad, good], [good, bad]):
        log = SplicedLog(pipeline.log.reopen(), lambda stores=stores: stores, preferred=False)  # type: ignore[misc]
        history = History(log, source=SOURCE, workers=InPlaceWorkers(), bases=log)
        last = await history.find(Latest())
        assert (await fold(history, last.offset, Recorded())).digest == last.closed.digest
        assert (await history.find(ToOffset(offset=cut.offset))) == cut
    log = SplicedLog(pipeline.log.reopen(), lambda: [bad], preferred=False)
    with pytest.raises(TransientError, match=r"store of target 'bad': .* is a link") as caught:
        await log.span()
    assert caught.value.hint == "make it a folder"


async def test_a_base_that_was_written_again_is_believed_again():
    """A repair split it otherwise: the running process called it damaged, and then nowhere."""
    pipeline = Pipeline()
    await followed(pipeline)
    last = await pipeline.history().find(Latest())
    first = await pipeline.archivist().write_base(last)
    for name in [one for one in pipeline.area.files if one.startswith(HISTORY)]:
        del pipeline.area.files[name]
    for name in [one for one in pipeline.area.files if one.startswith(BASES)]:
        if f"{last.offset:020}" not in name:
            del pipeline.area.files[name]
    store = Store(pipeline.area)
    log = SplicedLog(pipeline.log.reopen(), lambda: [store], preferred=True)
    history = History(
        log, source=SOURCE, workers=InPlaceWorkers(), bases=log, observer=pipeline.seen.append
    )
    pipeline.log.trim(last.offset)
    offsets = np.array([0, 1], np.int64)
    assert len([one async for some in history.records(offsets) for one in some]) == 2
    pipeline.file_bytes_max = 500
    second = await pipeline.archivist().write_base(last, anew=True)
    assert second.parts != first.parts
    store.forget()
    assert len([one async for some in history.records(offsets) for one in some]) == 2
    assert not [one for one in pipeline.seen if isinstance(one, ArchiveDamaged)]
