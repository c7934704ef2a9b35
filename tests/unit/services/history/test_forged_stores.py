"""A store that somebody else writes to: what it says of the log is held against the log."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.errors import CorruptionError, DamagedStoreError, GapError, TransientError
from replicator.model.event import ClosedCut, Offset, RowChanged
from replicator.model.fingerprint import EMPTY_DIGEST, fingerprint
from replicator.model.log.wire import decode, encode
from replicator.model.observed.faults import Halted, WentOn
from replicator.model.plans.restore_point import Latest, ToOffset
from replicator.model.row import Segment
from replicator.model.store.archive import (
    HISTORY,
    Base,
    manifest,
    manifest_name,
    pack,
    part_name,
    record_line,
)
from replicator.ports import DOCUMENT_BYTES_MAX
from replicator.services.running.supervisor import supervise
from replicator.services.store.spliced_log import SplicedLog
from replicator.services.store.store import Store
from tests.builders import segment
from tests.unit.pipeline import SOURCE, Pipeline


async def followed(pipeline: Pipeline, *, cuts: int = 4) -> ClosedCut:
    for number in range(cuts):
        pipeline.publish(*[segment(f"s{number}-{i}") for i in range(3)])
        await pipeline.cut()
        await pipeline.follow()
    return await pipeline.history().find(Latest())


def forge(area: MemoryArea, cut: ClosedCut, *, offset: Offset | None = None) -> None:
    """Write a base that adds up: no rows at all."""
    closed = replace(cut.closed, digest=EMPTY_DIGEST)
    forged = ClosedCut(offset=cut.offset if offset is None else offset, closed=closed)
    base = Base(source=SOURCE, log_id="log", cut=forged, rows=0, parts=())
    area.files[manifest_name("log", forged.offset)] = manifest(base)


async def test_a_base_of_a_cut_that_the_log_has_otherwise_starts_no_watcher():
    """It made the next cut follow nothing: no target could ever apply one again."""
    pipeline = Pipeline()
    last = await followed(pipeline)
    pipeline.log.trim(last.offset)
    forge(pipeline.area, last)
    pipeline.watcher, pipeline.applier = pipeline.new_watcher(), pipeline.new_applier()
    pipeline.publish(segment("later"))
    await pipeline.cut()
    await pipeline.follow()
    assert len(pipeline.target_ids()) == 13


async def test_no_more_does_one_where_the_log_closes_no_cut():
    pipeline = Pipeline()
    last = await followed(pipeline)
    pipeline.log.trim(Offset(last.offset - 2))
    forge(pipeline.area, last, offset=Offset(last.offset - 1))
    assert await pipeline.history().find(Latest()) == last
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(segment("later"))
    await pipeline.cut()


async def test_a_restore_by_the_log_believes_no_base_of_another_inventory():
    """It removed all rows of the target, under the log's own digest."""
    pipeline = Pipeline()
    last = await followed(pipeline)
    forge(pipeline.area, last)
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=last.offset), datasource=None, adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    assert len(pipeline.target_ids()) == 12
    pipeline.applier = pipeline.new_applier(resume=True)
    await pipeline.follow()
    assert len(pipeline.target_ids()) == 12


async def test_no_row_is_written_from_a_base_that_does_not_add_up():
    """Whoever could write to a target's bucket could write any row into its database."""
    pipeline = Pipeline(file_bytes_max=10_000_000)
    base = await pipeline.archivist().write_base(await followed(pipeline))
    (part,) = base.parts
    name = part_name("log", base.offset, part.start)
    file = await Store(pipeline.area).read(name)
    first, *others = file.records
    other = first._replace(data=first.data.replace(b'"datasource":"s0-0"', b'"datasource":"x"'))
    assert other != first
    lines = [record_line(one) for one in (other, *others)]
    data, footer = pack(file.header, lines, end=file.footer.end, last=None)
    forged = replace(base, parts=(replace(part, sha256=footer.sha256),))
    pipeline.area.files[name] = data
    pipeline.area.files[manifest_name("log", base.offset)] = manifest(forged)
    pipeline.publish(segment("later"))
    await pipeline.cut()
    pipeline.target.rows.clear()
    restorer = pipeline.restorer()
    plan = await restorer.plan(Latest(), datasource=None, adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    found = [row.datasource for row in pipeline.target.rows.values() if isinstance(row, Segment)]
    assert len(found) == 13
    assert "x" not in found


async def test_a_trimmed_row_is_read_from_no_base_that_does_not_add_up():
    pipeline = Pipeline(file_bytes_max=10_000_000)
    last = await followed(pipeline)
    base = await pipeline.archivist().write_base(last)
    offsets = np.array([0, 1], np.int64)
    for name in [one for one in pipeline.area.files if one.startswith(HISTORY)]:
        del pipeline.area.files[name]
    (older,) = [name for name in pipeline.area.files if name.endswith("3/manifest.json")]
    del pipeline.area.files[older]
    pipeline.log.trim(last.offset)
    found = [one async for records in pipeline.history().records(offsets) for one in records]
    assert [one.offset for one in found] == [0, 1]
    (part,) = base.parts
    name = part_name("log", base.offset, part.start)
    file = await Store(pipeline.area).read(name)
    first, *others = file.records
    other = first._replace(data=first.data.replace(b'"datasource":"s0-0"', b'"datasource":"x"'))
    lines = [record_line(one) for one in (other, *others)]
    data, footer = pack(file.header, lines, end=file.footer.end, last=None)
    forged = replace(base, parts=(replace(part, sha256=footer.sha256),))
    pipeline.area.files[name] = data
    pipeline.area.files[manifest_name("log", base.offset)] = manifest(forged)
    with pytest.raises(GapError):
        [one async for records in pipeline.history().records(offsets) for one in records]


class Away(MemoryArea):
    """Fails, or never answers."""

    def __init__(self, failure: Exception | None) -> None:
        super().__init__()
        self._failure = failure

    async def names(self, prefix: str) -> Sequence[str]:
        del prefix
        if self._failure is None:
            await asyncio.Event().wait()
        raise self._failure or AssertionError

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        del bytes_max
        return (await self.names(name))[0].encode()


FAILURES = [
    TransientError("it is away"),
    GapError("its listing has no end"),
    CorruptionError("it is altered"),
    RecursionError("nobody thought of that"),
    None,
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda one: type(one).__name__)
async def test_one_store_holds_up_no_watcher_that_finds_the_history_elsewhere(
    failure: Exception | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("replicator.services.store.spliced_log.SLOW_S", 0.01)
    pipeline = Pipeline()
    last = await followed(pipeline)
    pipeline.log.trim(last.offset)
    bad, good = Store(Away(failure), target="bad"), Store(pipeline.area, target="good")
    for stores in ([bad, good], [good, bad]):
        log = SplicedLog(pipeline.log.reopen(), lambda stores=stores: stores, preferred=False)  # type: ignore[misc]
        async with asyncio.timeout(5):
            assert (await log.span()).first < last.offset
            assert await log.offsets()
            assert await log.read(Offset(8), records_max=3)
            assert await log.resume(Offset(8)) == 8
            assert await log.whole_until(Offset(3)) == last.offset + 1


async def test_an_altered_file_in_one_store_is_read_from_another_one():
    pipeline = Pipeline()
    last = await followed(pipeline)
    pipeline.log.trim(last.offset)
    bad = MemoryArea()
    for name, data in pipeline.area.files.items():
        bad.files[name] = b"rubbish" if name.startswith(HISTORY) else data
    stores = [Store(bad, target="bad"), Store(pipeline.area, target="good")]
    log = SplicedLog(pipeline.log.reopen(), lambda: stores, preferred=False)
    assert [one.offset for one in await log.read(Offset(8), records_max=3)] == [8, 9, 10]
    log = SplicedLog(pipeline.log.reopen(), lambda: stores[:1], preferred=False)
    with pytest.raises(DamagedStoreError, match="store of target 'bad'"):
        await log.read(Offset(8), records_max=3)


async def test_a_history_that_does_not_lead_to_the_log_is_left_for_that_of_another_store():
    pipeline = Pipeline()
    last = await followed(pipeline)
    cuts = await pipeline.history().cuts(Offset(0), Offset(1_000))
    pipeline.log.trim(cuts[2].offset)
    bad = MemoryArea()
    for name, data in pipeline.area.files.items():
        bad.files[name] = data
    forge(bad, cuts[1])
    empty = MemoryArea()
    forge(empty, cuts[1])  # history that begins there is missing
    for stores in ([bad, pipeline.area], [pipeline.area, bad], [empty, pipeline.area]):
        pipeline.stores = stores
        pipeline.watcher = pipeline.new_watcher()
        pipeline.publish(segment(f"later-{len(pipeline.source.rows)}"))
        await pipeline.cut()
    assert (await pipeline.history().find(Latest())).closed.cut == last.closed.cut + 3


@pytest.mark.parametrize("was_empty", [False, True])
async def test_if_there_is_no_other_one_the_watcher_halts_and_ends_nothing(*, was_empty: bool):
    pipeline = Pipeline()
    if was_empty:  # then the stores reach back to offset 0, as a whole log does
        await pipeline.cut()
        await pipeline.follow()
    await followed(pipeline)
    cuts = await pipeline.history().cuts(Offset(0), Offset(1_000))
    pipeline.log.trim(cuts[2].offset)
    forge(pipeline.area, cuts[1])
    pipeline.watcher = pipeline.new_watcher()
    stop = asyncio.Event()
    running = asyncio.create_task(supervise({"watch": pipeline.watcher}, stop=stop, drain_s=1))
    while not any(isinstance(one, Halted) for one in pipeline.seen):
        assert not running.done()
        await asyncio.sleep(0.001)
    del pipeline.area.files[manifest_name("log", cuts[1].offset)]
    pipeline.publish(segment("later"))
    while not any(isinstance(one, WentOn) for one in pipeline.seen):
        await asyncio.sleep(0.001)
    stop.set()
    await running


async def test_no_total_of_a_plan_is_from_a_base_that_does_not_add_up():
    """Its rows are read before that is known, and their totals come with them."""
    pipeline = Pipeline(file_bytes_max=10_000_000)
    base = await pipeline.archivist().write_base(await followed(pipeline))
    (part,) = base.parts
    name = part_name("log", base.offset, part.start)
    file = await Store(pipeline.area).read(name)
    entry = decode(file.records[0])
    assert isinstance(entry.event, RowChanged)
    assert isinstance(entry.event.row, Segment)
    row = replace(entry.event.row, datasource="x")
    event = replace(entry.event, row=row, fingerprint=fingerprint(row))
    other = file.records[0]._replace(data=encode(event, entry.envelope).data)
    lines = [record_line(one) for one in (other, *file.records[1:])]
    data, footer = pack(file.header, lines, end=file.footer.end, last=None)
    forged = replace(base, parts=(replace(part, sha256=footer.sha256),))
    pipeline.area.files[name] = data
    pipeline.area.files[manifest_name("log", base.offset)] = manifest(forged)
    pipeline.target = MemoryMetadata(pipeline.clock)
    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False)
    assert "x" not in plan.estimate.by_datasource
    assert plan.estimate.by_datasource.keys() == {f"s{n}-{i}" for n in range(4) for i in range(3)}
    assert {one.datasource for one in plan.estimate.effects} == plan.estimate.by_datasource.keys()
