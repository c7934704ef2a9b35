"""A row that a target's database cannot hold is that row's gap; everything else goes on."""

from collections.abc import Sequence
from dataclasses import replace
from math import log2

import pytest

from replicator.adapters.memory.metadata import MemoryTransaction
from replicator.errors import ConfigError, GapError, RefusedError, UnfitRowError
from replicator.model.event import Offset
from replicator.model.extent import Extent
from replicator.model.plans.restore_point import Latest
from replicator.model.row import Row, RowKey, Segment, key_of
from replicator.model.store.proof import Level
from replicator.services.store.archived_log import archived_gaps
from tests.builders import rules, segment, supervisor
from tests.unit.pipeline import SOURCE, Pipeline

BAD = segment("bad")


def refuse(pipeline: Pipeline, *rows: Row) -> None:
    """Let the target's tables hold no row with these keys, used or unused."""
    unfit = {_content(row) for row in rows}
    pipeline.target.unfit = lambda row: _content(row) in unfit


def _content(row: Row) -> tuple[RowKey, bool]:
    return key_of(row), getattr(row, "used", True)


async def with_unfit(*rows: Row, rows_unfit_max: int = 100) -> Pipeline:
    """A target that was asked to hold these rows, among others."""
    pipeline = Pipeline(rows_unfit_max=rows_unfit_max)
    pipeline.publish(segment("seed"))
    await pipeline.cut()
    await pipeline.follow()
    refuse(pipeline, *rows)
    pipeline.publish(*rows, segment("good"), rules("good"), supervisor("good"))
    await pipeline.cut()
    return pipeline


def has(pipeline: Pipeline, *rows: Row) -> bool:
    return all(key_of(row) in pipeline.target.rows for row in rows)


@pytest.mark.parametrize("bad", [BAD, rules("bad"), supervisor("bad")])
async def test_it_is_a_gap_and_the_rest_goes_on_until_it_fits(bad: Row):
    pipeline = await with_unfit(bad)
    await pipeline.follow()
    key = key_of(bad).key
    assert pipeline.gaps() == [(key, "row_unfit", True)]
    assert has(pipeline, segment("good"), rules("good"), supervisor("good"))
    assert not has(pipeline, bad)
    (gap,) = await pipeline.target.gaps(SOURCE, "log")
    assert gap.detail == "memory: a row does not fit; widen the column"
    assert pipeline.gaps_told() == ["row_unfit"], "once"
    assert [gap] == list(await archived_gaps(pipeline.area, "log")), "a restore knows it, too"
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good, "no stranger removed it"

    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert pipeline.gaps() == [(key, "row_unfit", True)], "it still does not fit"

    refuse(pipeline)
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    assert pipeline.gaps() == [(key, "row_unfit", False)]
    assert has(pipeline, bad)
    assert [gap.at(Offset(99)) for gap in await archived_gaps(pipeline.area, "log")] == [False]
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good


async def test_its_former_content_is_not_served_in_its_place():
    pipeline = await with_unfit()
    refuse(pipeline, longer := segment("seed", used=False))
    pipeline.publish(longer)
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(longer.id, "row_unfit", True)]
    assert not has(pipeline, longer)
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good

    pipeline.publish(segment("seed"))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(longer.id, "row_unfit", False)], "a later content fits"
    assert has(pipeline, longer)
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good


async def test_a_target_is_seeded_without_it():
    pipeline = Pipeline()
    refuse(pipeline, BAD)
    pipeline.publish(BAD, segment("good"))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(BAD.id, "row_unfit", True)]
    assert pipeline.target_ids() == {segment("good").id}
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good


async def test_a_takeover_removes_no_row_because_its_new_content_does_not_fit():
    pipeline = Pipeline()
    refuse(pipeline, BAD)
    pipeline.publish(BAD, segment("good"))
    pipeline.target.rows[key_of(BAD)] = replace(BAD, payload=b"as it was")
    await pipeline.cut()
    pipeline.applier = pipeline.new_applier(adopt=True)
    with pytest.raises(RefusedError, match="would lose 1 of 1 rows"):
        await pipeline.follow()
    assert pipeline.target_ids() == {BAD.id}


async def test_tables_that_hold_none_of_many_are_wrong_and_nothing_is_changed():
    bad = [segment(f"bad{n}") for n in range(4)]
    pipeline = await with_unfit(*bad, rows_unfit_max=3)
    with pytest.raises(ConfigError, match="4 rows do not fit into its database") as refused:
        await pipeline.follow()
    assert "rows_unfit_max" in refused.value.hint
    assert pipeline.gaps() == []
    assert pipeline.target_ids() == {segment("seed").id}


async def test_one_of_many_is_found_by_halves(monkeypatch: pytest.MonkeyPatch):
    """Each page of rows is written once more, and the page at fault in few statements."""
    rows = [segment("many", n) for n in range(256)]
    pipeline = Pipeline(records_max=256)
    refuse(pipeline, rows[77])
    pipeline.publish(*rows)
    await pipeline.cut()
    written = list[int]()
    upsert = MemoryTransaction.upsert

    async def counted(transaction: MemoryTransaction, some: Sequence[Row]) -> None:
        written.append(len(some))
        await upsert(transaction, some)

    monkeypatch.setattr(MemoryTransaction, "upsert", counted)
    await pipeline.follow()
    assert len(pipeline.target_ids()) == 255
    tried = 1 + 2 * log2(256)  # the whole, and two halves of each that fails
    assert len(written) == 1 + tried + 1, "the cut, the search, and the cut without the row"


# ------------------------------------------------------------------------------- restore, repair


async def test_a_restore_is_not_whole_without_it():
    pipeline = await with_unfit(BAD)
    await pipeline.follow()
    before = dict(pipeline.target.rows)
    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False, pause=True)
    with pytest.raises(GapError, match="1 row cannot be held by the target's database") as refused:
        await pipeline.restorer().execute(plan, accept_gaps=False)
    assert BAD.id in str(refused.value)
    assert pipeline.target.rows == before

    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False, pause=True)
    (left,) = await pipeline.restorer().execute(plan, accept_gaps=True)
    assert left.key == key_of(BAD)
    assert pipeline.gaps() == [(BAD.id, "row_unfit", True)], "still, and only once"
    assert (await pipeline.verifier().verify(Level.ROWS)).is_good

    refuse(pipeline)
    plan = await pipeline.restorer().plan(Latest(), datasource=None, adopt=False, pause=True)
    assert await pipeline.restorer().execute(plan, accept_gaps=False) == ()
    assert pipeline.gaps() == [(BAD.id, "row_unfit", False)]


async def test_a_restore_under_another_name_is_not_whole_without_it():
    pipeline = await with_unfit()
    await pipeline.follow()
    pipeline.target.unfit = lambda row: isinstance(row, Segment) and row.datasource == "good_then"
    renamer = pipeline.wired().renamer(pipeline.source_storage)
    plan = await renamer.plan(Latest(), datasource="good", to="good_then")
    with pytest.raises(GapError, match="1 row cannot be held"):
        await renamer.execute(plan, accept_gaps=False)
    assert await pipeline.target.renamed(SOURCE) == []
    assert len(await renamer.execute(plan, accept_gaps=True)) == 1


async def test_a_repair_closes_the_gap_once_the_row_fits():
    pipeline = await with_unfit(BAD, rows_unfit_max=1)
    await pipeline.follow()
    healer = pipeline.wired().gap_healer(pipeline.source_storage)
    epoch = (await pipeline.target.state(SOURCE)).epoch
    found = await healer.heal_all()
    assert [(row.key.key, row.reason) for row in found.left] == [(BAD.id, "row_unfit")]
    assert found.copied == ()
    assert (await pipeline.target.state(SOURCE)).epoch == epoch, "nobody was fenced for nothing"
    refuse(pipeline)
    assert [gap.key for gap in (await healer.heal_all()).copied] == [BAD.id]
    assert has(pipeline, BAD)
    assert pipeline.gaps() == [(BAD.id, "row_unfit", False)]


async def test_a_repair_of_rows_names_what_does_not_fit_and_writes_the_rest():
    pipeline = await with_unfit(BAD)
    refuse(pipeline)
    await pipeline.follow()
    del pipeline.target.rows[key_of(BAD)], pipeline.target.rows[key_of(segment("good"))]
    refuse(pipeline, BAD)
    verification = await pipeline.verifier().verify(Level.ROWS)
    repair = (
        await pipeline.wired()
        .repairer(pipeline.source_storage)
        .execute(verification, extent=Extent())
    )
    assert [row.key for row in repair.uncopied] == [key_of(BAD)]
    assert has(pipeline, segment("good"))


async def test_a_try_that_finds_all_rows_fitting_leaves_nothing_behind():
    """Somebody widens the column between the failure and the search for the row."""
    pipeline = await with_unfit(BAD)
    tries = iter([True])
    pipeline.target.unfit = lambda row: key_of(row) == key_of(BAD) and next(tries, False)
    with pytest.raises(UnfitRowError):
        await pipeline.follow()
    assert pipeline.target_ids() == {segment("seed").id}, "rows without their checkpoint"
    await pipeline.follow()
    assert has(pipeline, BAD)
    assert pipeline.gaps() == []
