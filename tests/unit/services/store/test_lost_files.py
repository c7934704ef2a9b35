"""A store that lost old files, as by a lifecycle rule of a bucket: it is told, and mended."""

from typing import cast

import pytest

from replicator.adapters.archive_metadata import ArchiveMetadata
from replicator.app.application import Application
from replicator.cli.follow.run import _applied
from replicator.cli.terminal.screen import Screen
from replicator.errors import GapError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import ClosedCut, Offset
from replicator.model.extent import WHOLE
from replicator.model.observed.faults import ArchiveDamaged
from replicator.model.plans.restore_point import ToOffset
from replicator.model.store.archive import BASES, HISTORY, history_span, manifest_name
from replicator.model.store.archive_notes import about_name
from replicator.model.store.proof import Level
from replicator.services.records.store_id import store_id
from replicator.services.replication.companions import BaseWriter
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store
from replicator.services.store.windows import Windows, windows
from replicator.services.verification.repairer import Repair
from tests.builders import segment
from tests.unit.pipeline import SOURCE, Pipeline
from tests.unit.services.store.test_archive import alone, followed

LOG = "log"


async def story() -> tuple[Pipeline, list[Offset]]:
    """Six cuts, and a base of the first and of the fourth."""
    pipeline = Pipeline()
    offsets = [Offset(offset) for offset in await followed(pipeline)]
    await pipeline.archivist().write_base(await cut_at(pipeline, offsets[3]))
    return pipeline, offsets


async def cut_at(pipeline: Pipeline, offset: Offset) -> ClosedCut:
    return await pipeline.history().find(ToOffset(offset=offset))


def lose(pipeline: Pipeline, *prefixes: str, manifests: bool = False) -> list[str]:
    """Delete files as a rule by age does, manifests only if that is said."""
    gone = [
        name
        for name in sorted(pipeline.area.files)
        if name.startswith(prefixes) and (manifests or not name.endswith("manifest.json"))
    ]
    for name in gone:
        del pipeline.area.files[name]
    return gone


def base_files(offset: Offset) -> str:
    return manifest_name(LOG, offset).removesuffix("manifest.json")


async def looked(pipeline: Pipeline) -> Windows:
    return await windows(Store(pipeline.area), LOG, pipeline.points())


async def repaired(pipeline: Pipeline, level: Level) -> Repair:
    repairer = pipeline.wired().repairer(pipeline.source_storage)
    plan = await repairer.plan(level, extent=WHOLE)
    done = await repairer.execute(plan, extent=WHOLE)
    if plan.history_is_damaged:
        archivist, deep = pipeline.archivist(), plan.level is Level.CHECKSUM
        done.history = await archivist.mend(plan.checkpoint, target="standby", deep=deep)
    return done


async def test_a_base_without_its_files_begins_no_window():
    """Its manifest stayed: `points` offered cuts whose restore was refused."""
    pipeline, offsets = await story()
    (gone,) = lose(pipeline, base_files(offsets[0]))
    found = await looked(pipeline)
    assert [one.first.offset for one in found.windows] == [offsets[3]]
    assert found.faults == (f"{gone} is missing from the archive",)
    history = alone(pipeline)
    assert await history.base_before(offsets[2]) is None
    base = await history.base_before(offsets[4])
    assert base is not None
    assert base.offset == offsets[3]


async def test_a_base_within_a_window_is_passed_over_and_verify_names_it():
    pipeline, offsets = await story()
    gone, *_ = lose(pipeline, base_files(offsets[3]))
    assert [one.first.offset for one in (await looked(pipeline)).windows] == [offsets[0]]
    base = await alone(pipeline).base_before(offsets[4])
    assert base is not None
    assert base.offset == offsets[0]
    found = await pipeline.verifier().verify(Level.EXISTS)
    assert found.findings == [f"{gone} is missing from the archive"]


async def test_a_file_that_goes_after_it_was_listed_hides_no_record_before_it():
    pipeline, _ = await story()
    archive = ArchivedLog(Store(pipeline.area), LOG)
    await archive.span()
    files = sorted(name for name in pipeline.area.files if name.startswith(HISTORY))
    span = history_span(files[0])
    assert span is not None
    del pipeline.area.files[files[1]]
    records = await archive.read(span[0], records_max=1000)
    assert [records[0].offset, records[-1].offset + 1] == list(span[:2])


async def test_a_hole_in_the_history_and_a_lost_description_are_told_by_their_names():
    pipeline, offsets = await story()
    files = sorted(name for name in pipeline.area.files if name.startswith(HISTORY))
    del pipeline.area.files[files[1]]
    del pipeline.area.files[about_name(LOG)]
    hole = f"there is no history from offset {offsets[1] + 1} to {offsets[2] + 1}, and no base"
    about = f"{about_name(LOG)} is missing: nothing can be restored from this store alone"
    assert (await looked(pipeline)).faults == (hole, about)
    found = await pipeline.verifier().verify(Level.EXISTS)
    assert found.findings == [about, hole]


@pytest.mark.parametrize("manifests", [True, False])
async def test_a_history_that_lost_its_bases_gets_one_when_the_next_look_is(manifests: bool):
    """A base that lost its files was the newest one, and none was due for another day."""
    pipeline, offsets = await story()
    lose(pipeline, f"{BASES}/", manifests=manifests)
    assert (await looked(pipeline)).windows == ()
    writer = pipeline.base_writer()
    assert await writer.write_if_due()
    assert not await writer.write_if_due()
    (window,) = (await looked(pipeline)).windows
    assert window.first.offset == window.last.offset == offsets[-1]


@pytest.mark.parametrize("level", [Level.EXISTS, Level.CHECKSUM])
async def test_a_repair_writes_again_what_the_log_still_has(level: Level):
    """It said `done`, and the store restored as little as before."""
    pipeline, offsets = await story()
    lose(pipeline, base_files(offsets[0]), about_name(LOG))
    done = await repaired(pipeline, level)
    assert (done.is_whole, done.did_something) == (True, True)
    assert done.history is not None
    assert (done.history.about, done.history.bases) == (True, (offsets[0],))
    found = await looked(pipeline)
    assert found.faults == ()
    assert [one.first.offset for one in found.windows] == [offsets[0]]
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good


async def test_a_repair_writes_an_altered_base_again():
    pipeline, offsets = await story()
    part = next(n for n in pipeline.area.files if n.startswith(base_files(offsets[3])))
    pipeline.area.files[part] = b"rubbish"
    done = await repaired(pipeline, Level.CHECKSUM)
    assert done.history is not None
    assert (done.is_whole, done.history.bases) == (True, (offsets[3],))


@pytest.mark.parametrize(("level", "first"), [(Level.EXISTS, 0), (Level.CHECKSUM, 1)])
async def test_a_repair_writes_lost_files_of_history_as_they_were(level: Level, first: int):
    """Cuts between two bases, which the log still has; the chain of checksums is whole again.

    That files before a base are lost, only the checksums tell.
    """
    pipeline, _ = await story()
    before = dict(pipeline.area.files)
    files = sorted(name for name in pipeline.area.files if name.startswith(HISTORY))
    lost = [*files[first : first + 2], files[3]]  # two holes, or one across a base
    for name in lost:
        del pipeline.area.files[name]
    done = await repaired(pipeline, level)
    assert done.history is not None
    assert (done.is_whole, list(done.history.files)) == (True, lost)
    assert {name: pipeline.area.files[name] for name in files} == {n: before[n] for n in files}
    assert (await looked(pipeline)).faults == ()
    assert (await pipeline.verifier().verify(Level.CHECKSUM)).is_good


async def test_files_whose_records_are_in_no_log_any_more_are_said_to_be_lost_for_good():
    pipeline, offsets = await story()
    files = sorted(name for name in pipeline.area.files if name.startswith(HISTORY))
    del pipeline.area.files[files[1]]
    pipeline.log.trim(Offset(offsets[-1]))
    done = await repaired(pipeline, Level.EXISTS)
    assert done.history is not None
    assert not done.is_whole
    lost = f"the cuts from offset {offsets[1] + 1} to {offsets[2]} cannot be restored"
    assert done.history.left[0].startswith(lost)


async def test_files_that_would_not_fit_are_not_written():
    """Another split, or another log: nobody could tell it from files that somebody exchanged."""
    pipeline, _ = await story()
    files = sorted(name for name in pipeline.area.files if name.startswith(HISTORY))
    del pipeline.area.files[files[1]]
    archivist = pipeline.archivist()
    archivist._source = "another"
    checkpoint = (await pipeline.target.state(SOURCE)).checkpoint
    assert checkpoint is not None
    mended = await archivist.mend(checkpoint, target="standby", deep=False)
    assert mended.files == ()
    assert files[1] not in pipeline.area.files
    assert "they were in other files" in mended.left[0]


async def test_the_lost_id_of_a_store_is_told_and_written_again_as_the_log_remembers_it():
    """A rule that deletes what is old takes this file first, and nobody was told."""
    pipeline = Pipeline()
    archive = ArchiveMetadata(pipeline.area, pipeline.clock)
    pipeline.applier = pipeline.new_applier(into=archive)
    await followed(pipeline)
    was = await store_id(pipeline.area)
    lose(pipeline, "store.json")
    verifier, repairer = (
        pipeline.wired(archive).verifier(),
        pipeline.wired(archive).repairer(pipeline.source_storage),
    )
    found = await verifier.verify(Level.EXISTS)
    assert "store.json is missing: nothing tells this store from another one" in found.findings
    plan = await repairer.plan(Level.EXISTS, extent=WHOLE)
    mended = await pipeline.archivist().mend(plan.checkpoint, target="standby", deep=False)
    assert (mended.store_id, mended.left) == (True, ())
    assert await store_id(pipeline.area) == was


async def test_an_archive_that_goes_on_without_its_id_gets_the_same_and_says_so():
    pipeline = Pipeline()
    archive = ArchiveMetadata(pipeline.area, pipeline.clock)
    pipeline.applier = pipeline.new_applier(into=archive)
    await followed(pipeline)
    was = await store_id(pipeline.area)
    lose(pipeline, "store.json")
    pipeline.publish(segment("later"))
    await pipeline.cut()
    pipeline.applier = pipeline.new_applier(into=archive)
    await pipeline.follow()
    assert await store_id(pipeline.area) == was
    told = [one.reason for one in pipeline.seen if isinstance(one, ArchiveDamaged)]
    assert told == ["store.json was missing, and was written again"]


async def test_a_repair_says_what_it_cannot_mend():
    """The log was trimmed: the cuts before the second base are lost."""
    pipeline, offsets = await story()
    (gone,) = lose(pipeline, base_files(offsets[0]))
    pipeline.log.trim(Offset(offsets[-1]))
    done = await repaired(pipeline, Level.EXISTS)
    assert (done.is_whole, done.did_something) == (False, False)
    assert done.history is not None
    why, left = done.history.left
    assert why.startswith(f"{left}, and cannot be written again: ")
    assert left == f"{gone} is missing from the archive"


async def test_a_history_without_a_base_and_without_its_log_says_so():
    """Following goes on, while no cut of the store could ever be restored."""
    pipeline, offsets = await story()
    lose(pipeline, f"{BASES}/")
    pipeline.log.trim(Offset(offsets[-1]))
    with pytest.raises(GapError):
        await pipeline.base_writer().write_if_due()


async def test_a_target_that_only_apply_once_follows_gets_its_bases():
    """Without them nothing ever expires, and a restore reads all history since the first cut."""
    pipeline, _ = await story()
    pipeline.clock.move(86_400)
    pipeline.publish(segment("next-day"))
    await pipeline.cut()
    seen = len(await ArchivedLog(Store(pipeline.area), LOG).offsets())
    application, screen = cast("Application", _OneTarget(pipeline)), Screen(quiet=True)
    outcome = await _applied(application, "standby", pipeline.applier, screen)
    assert outcome.result["steps"] == 1
    assert len(await ArchivedLog(Store(pipeline.area), LOG).offsets()) == seen + 1


class _OneTarget:
    """The little that `apply --once` asks of an application."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self.replication = pipeline, self

    async def checkpoint(self, name: str) -> Checkpoint | None:
        del name
        return (await self._pipeline.target.state(SOURCE)).checkpoint

    async def base_writer(self, name: str) -> BaseWriter:
        del name
        return self._pipeline.base_writer()
