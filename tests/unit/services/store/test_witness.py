"""A store that was put back to an earlier state is noticed, because a witness remembers."""

import asyncio
from copy import deepcopy

import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.adapters.signing.area import SignedArea
from replicator.app.wiring.stores import OpenStore, open_store
from replicator.errors import CorruptionError, ReplicatorError, TransientError
from replicator.model.event import Offset
from replicator.model.observed.faults import ArchiveDamaged, Waiting
from replicator.model.store import testimony
from replicator.model.store.head import HEADS, head_name
from replicator.model.store.testimony import WITHOUT_WITNESS, Attested
from replicator.ports import DOCUMENT_BYTES_MAX, Area
from replicator.services.store import witness as witnessing
from replicator.services.store.witness import Witness
from tests.builders import segment
from tests.unit.adapters.test_signing import OURS, THEIRS, rule
from tests.unit.pipeline import Pipeline

HEAD = head_name("standby", "log")
THE_WITNESS = "the witness target 'other'"


class Away(MemoryArea):
    """An area that cannot be reached."""

    async def get(self, name: str, *, bytes_max: int = 0) -> bytes:
        del bytes_max
        raise TransientError(f"{name} is away")

    async def names(self, prefix: str) -> list[str]:
        raise TransientError(f"{prefix} is away")


@pytest.fixture(autouse=True)
def each_cut_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnessing, "REMEMBERED_EVERY_S", 0.0)


def pipeline_with(area: Area) -> Pipeline:
    return Pipeline(witness=Witness(SignedArea(area, rule()), "standby", THE_WITNESS))


async def cut(pipeline: Pipeline, partition: int) -> None:
    pipeline.publish(segment(partition=partition))
    await pipeline.cut()
    await pipeline.follow()


async def opened(pipeline: Pipeline, *, without_witness: bool = False) -> OpenStore:
    return await open_store(
        pipeline.configured(),
        None,
        without_witness=without_witness,
        workers=InPlaceWorkers(),
        clock=pipeline.clock,
        observer=pipeline.seen.append,
    )


def said(store: OpenStore) -> testimony.Testimony:
    assert store.testimony is not None
    return store.testimony


def refused(store: OpenStore) -> ReplicatorError:
    with pytest.raises(ReplicatorError) as error:
        store.require_newest()
    assert WITHOUT_WITNESS in error.value.hint
    return error.value


async def put_back(pipeline: Pipeline, area: MemoryArea) -> None:
    """Two cuts, then all files of the store as they were after the first."""
    await cut(pipeline, 0)
    earlier = deepcopy(pipeline.area.files)
    await cut(pipeline, 1)
    pipeline.area.files = earlier
    del area


async def test_a_store_at_its_head_is_the_newest():
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await cut(pipeline, 0)
    await cut(pipeline, 1)
    assert await area.names(f"{HEADS}/") == [HEAD]
    store = await opened(pipeline)
    assert (said(store).verdict, store.windows.faults) == (Attested.NEWEST, ())
    assert f"has what {THE_WITNESS} remembers: cut 2 (offset 3" in said(store).text
    store.require_newest()


async def test_heads_are_written_once_a_minute_and_the_first_new_cut_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
):
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await cut(pipeline, 0)
    monkeypatch.setattr(witnessing, "REMEMBERED_EVERY_S", 60.0)
    keeper = witnessing.HeadKeeper(
        Witness(SignedArea(area, rule()), "standby", THE_WITNESS), pipeline.seen.append
    )
    await keeper.compare("log", Offset(2))
    for partition, remembered in ((1, 2), (2, 2)):
        pipeline.publish(segment(partition=partition))
        await pipeline.cut()
        newest = (await pipeline.history().cuts(Offset(0), Offset(9)))[-1]
        await keeper.reached("log", newest)
        (head,) = await Witness(SignedArea(area, rule()), "standby", THE_WITNESS).heads()
        assert head.cut == remembered


async def test_a_store_that_was_put_back_is_noticed_by_its_readers():
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await put_back(pipeline, area)
    store = await opened(pipeline)
    assert said(store).verdict is Attested.LOST
    assert "ends at offset 1, and had cut 2 (offset 3 of log log" in said(store).text
    assert store.windows.faults == (said(store).text,)
    assert isinstance(refused(store), CorruptionError)


async def test_an_operator_leaves_the_witness_out_and_is_told_what_is_missing():
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await put_back(pipeline, area)
    store = await opened(pipeline, without_witness=True)
    store.require_newest()
    assert said(store).verdict is Attested.NOT_ASKED
    assert not said(store).proves
    assert f"{THE_WITNESS} was not asked: nothing proves that the store" in said(store).text
    assert store.windows.faults == ()


async def test_a_witness_that_remembers_nothing_proves_nothing():
    """Its folder is not mounted, say, or somebody has emptied it."""
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await cut(pipeline, 0)
    await area.delete(HEAD)
    store = await opened(pipeline)
    assert said(store).verdict is Attested.UNKNOWN
    assert "remembers nothing of log log" in str(refused(store))
    assert "mounted" in refused(store).hint
    assert store.windows.faults == ()


async def test_a_whole_log_that_is_gone_is_noticed():
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await cut(pipeline, 0)
    head = await SignedArea(area, None).get(HEAD)
    other = head.replace(b'"log_id":"log"', b'"log_id":"later"')
    await SignedArea(area, rule()).replace(head_name("standby", "later"), other)
    store = await opened(pipeline)
    assert said(store).verdict is Attested.LOST
    assert "has no cut of that log" in said(store).text


async def test_who_follows_the_log_says_so_and_writes_the_history_again():
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await put_back(pipeline, area)
    pipeline.seen.clear()
    pipeline.applier = pipeline.new_applier()
    await cut(pipeline, 2)
    told = [one.reason for one in pipeline.seen if isinstance(one, ArchiveDamaged)]
    assert [("ends at offset 1" in one) for one in told] == [True]
    assert said(await opened(pipeline)).proves


async def test_a_restore_to_an_earlier_cut_leaves_the_head_where_it_was():
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await cut(pipeline, 0)
    await cut(pipeline, 1)
    before = await area.get(HEAD)
    first = (await pipeline.history().cuts(Offset(0), Offset(2)))[0]
    await pipeline.archivist().cover(first, (), whole=False)
    assert await area.get(HEAD) == before


@pytest.mark.parametrize("harm", ["altered", "foreign", "unsigned"])
async def test_a_head_that_somebody_else_wrote_is_not_believed(harm: str):
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await cut(pipeline, 0)
    data = await SignedArea(area, None).get(HEAD)
    match harm:
        case "altered":
            await area.replace(HEAD, (await area.get(HEAD)).replace(b'"cut":1', b'"cut":0'))
        case "foreign":
            await SignedArea(area, rule(THEIRS)).replace(HEAD, data)
        case _:
            await area.replace(HEAD, data)
    store = await opened(pipeline)
    assert isinstance(refused(store), CorruptionError)
    assert HEAD in str(refused(store))
    assert store.windows.faults == (said(store).text,)
    pipeline.seen.clear()
    pipeline.applier = pipeline.new_applier()
    await cut(pipeline, 1)
    assert any(isinstance(one, ArchiveDamaged) for one in pipeline.seen)
    assert said(await opened(pipeline)).proves


async def test_a_witness_that_is_away_stops_no_target_and_every_restore():
    pipeline = pipeline_with(Away())
    await cut(pipeline, 0)
    assert pipeline.target_ids()
    assert any(isinstance(one, Waiting) and "is away" in one.reason for one in pipeline.seen)
    store = await opened(pipeline)
    assert isinstance(refused(store), TransientError)
    assert "it is unknown whether the store of target 'standby' has its newest cuts" in str(
        refused(store)
    )
    assert store.windows.faults == ()  # nothing was altered
    (await opened(pipeline, without_witness=True)).require_newest()


async def test_another_target_s_head_is_none_of_this_one():
    area = MemoryArea()
    pipeline = pipeline_with(area)
    await cut(pipeline, 0)
    await area.replace(head_name("other", "log"), await area.get(HEAD))
    with pytest.raises(CorruptionError):
        await Witness(SignedArea(area, rule(OURS)), "other", THE_WITNESS).heads()


class Hanging(MemoryArea):
    """Answers nothing, like a mount that is gone."""

    hangs = False

    async def replace(self, name: str, data: bytes) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        await super().replace(name, data)

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        if self.hangs:
            await asyncio.Event().wait()
        return await super().get(name, bytes_max=bytes_max)


@pytest.mark.parametrize("from_the_start", [True, False])
async def test_a_witness_that_hangs_stops_no_target(
    monkeypatch: pytest.MonkeyPatch, *, from_the_start: bool
):
    """It may be another target's store; one that hung held up both targets."""
    monkeypatch.setattr(witnessing, "WITNESS_ANSWER_MAX_S", 0.01)
    area = Hanging()
    pipeline = pipeline_with(area)
    if not from_the_start:
        await cut(pipeline, 0)
    area.hangs = True
    async with asyncio.timeout(5):
        await cut(pipeline, 1)
    assert any(isinstance(one, Waiting) and "did not answer" in one.reason for one in pipeline.seen)
