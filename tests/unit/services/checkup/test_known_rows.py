"""`check` says when a source lacks most of what the log knows of it."""

from collections.abc import Sequence

from replicator.adapters.memory.log import MemoryEventLog
from replicator.model.load_spec import LocalLayout
from replicator.model.row import Segment
from replicator.ports import Obstacle
from replicator.services.checkup.checkup import Checkup
from replicator.services.checkup.finding import Finding
from tests.builders import ROOT, segment
from tests.unit.pipeline import SOURCE, Pipeline


class WritableLog(MemoryEventLog):
    """A log that nothing keeps a watcher from."""

    async def obstacles(self) -> Sequence[Obstacle]:
        return ()


async def watched(*rows: Segment) -> Pipeline:
    pipeline = Pipeline()
    pipeline.publish(*rows)
    await pipeline.cut()
    return pipeline


def checkup_of(pipeline: Pipeline) -> Checkup:
    return Checkup(
        metadata=pipeline.source,
        storage=pipeline.source_storage,
        layout=LocalLayout(root=ROOT),
        log=WritableLog(pipeline.clock, SOURCE, log_id="log"),
        history=pipeline.history(),
        clock=pipeline.clock,
        vanished_share_max=0.5,
    )


async def bad(pipeline: Pipeline) -> list[Finding]:
    """Return what `check` finds wrong."""
    checkup = checkup_of(pipeline)
    found = [*await checkup.log(), *await checkup.source()]
    return [one for one in found if not one.good]


async def test_a_source_that_has_what_the_log_knows_is_good():
    pipeline = await watched(segment("a"), segment("b"))
    pipeline.publish(segment("new"))
    assert await bad(pipeline) == []


async def test_another_database_is_named():
    """The URL of an empty one, or of another cluster with as many rows."""
    pipeline = await watched(segment("a"), segment("b"))
    for rows in ((), (segment("others"), segment("too"))):
        pipeline.source.rows.clear()
        pipeline.publish(*rows)
        (finding,) = await bad(pipeline)
        assert finding.what == "source rows"
        assert "2 of the 2 rows that the source had are gone at once" in finding.detail
        assert "correct source.metadata" in finding.hint
        assert "--accept-vanished" not in finding.hint, "no watcher asks for so few"


async def test_a_hundred_rows_are_asked_for_by_a_watcher_and_the_hint_names_the_answer():
    pipeline = await watched(*(segment(partition=number) for number in range(100)))
    pipeline.source.rows.clear()
    (finding,) = await bad(pipeline)
    assert "--accept-vanished" in finding.hint


async def test_what_was_unused_may_be_gone():
    pipeline = await watched(segment("a", used=False), segment("b"))
    pipeline.kill(segment("a", used=False))
    pipeline.publish(segment("c"))
    assert await bad(pipeline) == []


async def test_a_log_that_is_not_there_is_new_only_while_nothing_follows_it():
    pipeline = await watched(segment())
    await pipeline.follow()
    checkpoint = await pipeline.wired().target.checkpoint()
    pipeline.log = MemoryEventLog(pipeline.clock, SOURCE, log_id="another")
    checkup = checkup_of(pipeline)
    assert all(one.good for one in await checkup.log())
    assert checkup.followed("standby", None) == []
    (finding,) = checkup.followed("standby", checkpoint)
    assert (finding.good, "it follows a log, and" in finding.detail) == (False, True)
