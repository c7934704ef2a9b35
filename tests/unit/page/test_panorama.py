"""Looks are bounded and cost the store little; requests cost it nothing."""

import asyncio
from datetime import timedelta

import pytest

from replicator.errors import TransientError
from replicator.services.running.patience import Patience
from replicator.services.store.store import Store
from replicator.web import notes as notes_of
from replicator.web.notes import NotesReader
from tests.builders import segment
from tests.page.made_up import made_up
from tests.unit.pipeline import SOURCE, Pipeline


def reader(pipeline: Pipeline) -> NotesReader:
    return NotesReader(
        source=SOURCE,
        metadata=pipeline.target,
        area=pipeline.area,
        store=lambda: Store(pipeline.area),
        clock=pipeline.clock,
    )


async def followed() -> Pipeline:
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


async def test_notes_are_what_points_says():
    pipeline = await followed()
    found = reader(pipeline)
    await found.look("log")
    notes = found.notes
    assert notes is not None
    (window,) = notes.windows.windows
    assert window.last.closed.cut == 1
    assert (notes.named, notes.holds, notes.gaps, notes.drills) == ([], [], (), [])


async def test_a_store_is_read_again_when_it_is_due_or_asked_for(monkeypatch: pytest.MonkeyPatch):
    pipeline = await followed()
    found = reader(pipeline)
    await found.look("log")
    first = found.notes
    await found.look("log")
    assert found.notes is first, "not due yet"
    found.refresh()
    await found.look("log")
    assert found.notes is not first
    await found.look("")
    assert found.notes is None, "there is no log"
    monkeypatch.setattr(notes_of, "PAUSE_MIN_S", 0.0)
    monkeypatch.setattr(notes_of, "PAUSE_PER_SECOND", 0)
    await found.look("log")
    second = found.notes
    await found.look("log")
    assert found.notes is not second


async def test_a_store_that_is_away_keeps_its_last_notes(monkeypatch: pytest.MonkeyPatch):
    pipeline = await followed()
    found = reader(pipeline)
    await found.look("log")
    known = found.notes

    async def away(prefix: str):
        raise TransientError("nobody is there", hint="wait")

    monkeypatch.setattr(pipeline.area, "names", away)
    found.refresh()
    await found.look("log")
    assert (found.notes, str(found.failure)) == (known, "nobody is there")


async def test_a_store_that_hangs_holds_up_no_notes_of_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notes_of, "PAUSE_MIN_S", 0.0)
    made = await made_up(cuts=5, datasources=2)
    vault, standby = (made.panorama._notes[name] for name in ("vault", "standby"))
    vault._patience, known = Patience(0.05), standby.notes

    async def hangs(log_id: str):
        await asyncio.Event().wait()

    monkeypatch.setattr(vault, "_read", hangs)
    made.panorama.refresh()
    async with asyncio.timeout(30):
        await made.panorama.look()
    assert standby.notes is not known
    assert (standby.failure, str(vault.failure)) == (None, "its store did not answer within 0.05 s")


async def test_a_look_at_a_known_log_reads_nothing_of_it():
    made = await made_up(cuts=50, datasources=3)
    read = made.log.records_read
    await made.panorama.look()
    assert made.log.records_read == read > 0


async def test_what_was_changed_counts_as_looked_at_after_the_next_look_alone():
    """Whoever makes a hold and lists the holds must find it."""
    made = await made_up(cuts=5, datasources=2)
    await made.panorama.look()
    await made.panorama.settled()
    made.panorama.refresh()
    async with asyncio.TaskGroup() as group:
        settled = group.create_task(made.panorama.settled())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not settled.done()
        await made.panorama.look()


async def test_it_looks_at_once_when_something_was_changed():
    made = await made_up(cuts=5, datasources=2)
    stop, looks = asyncio.Event(), list[None]()
    look = made.panorama.look

    async def counted() -> None:
        looks.append(None)
        await look()

    made.panorama.look = counted  # type: ignore[method-assign]
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(made.panorama.run(stop))
        while len(looks) < 3:
            made.panorama.refresh()
            await asyncio.sleep(0.001)
        stop.set()
    assert made.panorama.trend.points("standby")[-1].at == made.clock.now()
    assert made.clock.now() - made.panorama.trend.points("standby")[0].at <= timedelta(days=1)
