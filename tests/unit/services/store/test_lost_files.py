"""A store that lost old files, as by a lifecycle rule of a bucket: it is told, and mended."""

from typing import cast

import pytest

from replicator.app.application import Application
from replicator.cli.follow.run import _applied
from replicator.cli.terminal.screen import Screen
from replicator.errors import GapError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import ClosedCut, Offset
from replicator.model.extent import WHOLE
from replicator.model.plans.restore_point import ToOffset
from replicator.model.store.archive import BASES, HISTORY, manifest_name
from replicator.model.store.archive_notes import about_name
from replicator.model.store.proof import Level
from replicator.services.replication.base_writer import BaseWriter
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
        done.history = await archivist.mend(plan.checkpoint, deep=deep)
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
        self._pipeline = pipeline

    async def checkpoint(self, name: str) -> Checkpoint | None:
        del name
        return (await self._pipeline.target.state(SOURCE)).checkpoint

    async def base_writer(self, name: str) -> BaseWriter:
        del name
        return self._pipeline.base_writer()
