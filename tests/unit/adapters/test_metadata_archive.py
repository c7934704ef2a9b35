"""An archive's checkpoint in files: one writer, whatever two processes do at once."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from replicator.adapters.archive_metadata import KEPT_STATES, ArchiveMetadata
from replicator.adapters.memory.area import MemoryArea
from replicator.errors import CorruptionError, FencedError, RefusedError
from replicator.model.checkpoint import OBJECT_MISSING, Checkpoint, Gap
from replicator.model.event import CutNumber, Epoch, Offset
from replicator.model.fingerprint import Digest
from replicator.ports import LIST_BYTES_MAX
from tests.builders import segment
from tests.unit.pipeline import SOURCE, HandClock, Pipeline

CHECKPOINT = Checkpoint(
    source=SOURCE,
    log_id="log",
    offset=Offset(7),
    cut=CutNumber(2),
    source_time=datetime(2024, 6, 1, 12, 0, 0, 123456, tzinfo=UTC),
    digest=Digest((1 << 255) + 3),
    paused=False,
)
GAP = Gap(key="s", datasource="d", reason=OBJECT_MISSING, detail="gone", opened=Offset(3))


@pytest.fixture
def area() -> MemoryArea:
    return MemoryArea()


@pytest.fixture
def archive(area: MemoryArea) -> ArchiveMetadata:
    return ArchiveMetadata(area, HandClock())


async def committed(archive: ArchiveMetadata, epoch: Epoch, checkpoint: Checkpoint) -> None:
    async with archive.transaction(SOURCE, epoch) as transaction:
        await transaction.upsert([segment("a")])
        await transaction.record(checkpoint, [GAP])


async def test_what_was_recorded_is_held(archive: ArchiveMetadata):
    assert (await archive.state(SOURCE)).checkpoint is None
    held = await archive.acquire(SOURCE)
    assert (held.epoch, held.checkpoint) == (1, None)
    await committed(archive, held.epoch, CHECKPOINT)
    found = await archive.state(SOURCE)
    assert (found.epoch, found.checkpoint) == (1, CHECKPOINT)
    assert found.applied_at == HandClock().now()
    assert await archive.gaps(SOURCE, CHECKPOINT.log_id) == [GAP]
    again = await archive.acquire(SOURCE)
    assert (again.epoch, again.checkpoint) == (2, CHECKPOINT)
    assert await archive.gaps(SOURCE, CHECKPOINT.log_id) == [GAP]


async def test_gaps_are_merged(archive: ArchiveMetadata):
    held = await archive.acquire(SOURCE)
    await committed(archive, held.epoch, CHECKPOINT)
    async with archive.transaction(SOURCE, held.epoch) as transaction:
        await transaction.record(CHECKPOINT, [replace(GAP, closed=Offset(9))])
    assert await archive.gaps(SOURCE, CHECKPOINT.log_id) == [replace(GAP, closed=Offset(9))]


async def test_gaps_of_another_log_are_forgotten(archive: ArchiveMetadata):
    held = await archive.acquire(SOURCE)
    await committed(archive, held.epoch, CHECKPOINT)
    assert await archive.gaps(SOURCE, "new") == []
    async with archive.transaction(SOURCE, held.epoch) as transaction:
        await transaction.record(replace(CHECKPOINT, log_id="new"), [])
    assert await archive.gaps(SOURCE, "new") == []


async def test_a_transaction_that_fails_leaves_nothing(archive: ArchiveMetadata):
    held = await archive.acquire(SOURCE)
    with pytest.raises(RuntimeError):  # noqa: PT012 - the end of the block matters
        async with archive.transaction(SOURCE, held.epoch) as transaction:
            await transaction.record(CHECKPOINT, [GAP])
            raise RuntimeError
    assert (await archive.state(SOURCE)).checkpoint is None


async def test_an_older_epoch_cannot_begin(archive: ArchiveMetadata):
    old = await archive.acquire(SOURCE)
    await archive.acquire(SOURCE)
    with pytest.raises(FencedError):
        await committed(archive, old.epoch, CHECKPOINT)
    assert (await archive.state(SOURCE)).checkpoint is None


async def test_a_writer_that_was_overtaken_cannot_end(archive: ArchiveMetadata):
    old = await archive.acquire(SOURCE)
    with pytest.raises(FencedError):  # noqa: PT012 - the end of the block raises
        async with archive.transaction(SOURCE, old.epoch) as transaction:
            await transaction.record(CHECKPOINT, ())
            await archive.acquire(SOURCE)
    assert (await archive.state(SOURCE)).checkpoint is None


async def test_a_writer_that_slept_while_states_were_pruned_cannot_end(
    area: MemoryArea, archive: ArchiveMetadata
):
    """Its number is free again, and still nothing of it counts."""
    old = await archive.acquire(SOURCE)
    with pytest.raises(FencedError):  # noqa: PT012 - the end of the block raises
        async with archive.transaction(SOURCE, old.epoch) as transaction:
            await transaction.record(replace(CHECKPOINT, cut=CutNumber(1)), ())
            new = await archive.acquire(SOURCE)
            for number in range(2 * KEPT_STATES):
                await committed(archive, new.epoch, replace(CHECKPOINT, cut=CutNumber(10 + number)))
            assert len(area.files) == KEPT_STATES
    assert len(area.files) == KEPT_STATES
    checkpoint = (await archive.state(SOURCE)).checkpoint
    assert checkpoint is not None
    assert checkpoint.cut == 9 + 2 * KEPT_STATES


async def test_an_altered_state_is_named(area: MemoryArea, archive: ArchiveMetadata):
    await archive.acquire(SOURCE)
    (name,) = area.files
    area.files[name] = b"{"
    with pytest.raises(CorruptionError, match=name):
        await archive.state(SOURCE)


async def test_a_state_from_before_the_first_release_is_read(
    area: MemoryArea, archive: ArchiveMetadata
):
    paused = replace(CHECKPOINT, paused=True)
    await committed(archive, (await archive.acquire(SOURCE)).epoch, paused)
    for name, state in area.files.items():
        area.files[name] = state.replace(b'"paused"', b'"standing"')
    assert (await archive.state(SOURCE)).checkpoint == paused
    assert (await archive.acquire(SOURCE)).checkpoint == paused


async def test_an_archive_follows_a_source_like_any_target():
    pipeline = Pipeline()
    archive = ArchiveMetadata(pipeline.area, pipeline.clock)
    pipeline.applier = pipeline.new_applier(into=archive)
    for name in ("a", "b"):
        pipeline.publish(segment(name))
        await pipeline.cut()
        await pipeline.follow()
    checkpoint = (await archive.state(SOURCE)).checkpoint
    assert checkpoint is not None
    assert checkpoint.cut == 2
    assert len(pipeline.target_storage.stored) == 2


async def test_a_state_that_leaves_no_number_is_named(area: MemoryArea, archive: ArchiveMetadata):
    """It fenced every applier for ever, without a word."""
    await archive.acquire(SOURCE)
    name = f"state/{SOURCE}/{'9' * 20}.json"
    area.files[name] = next(iter(area.files.values()))
    for ask in (archive.acquire, archive.state):
        with pytest.raises(CorruptionError, match=name) as caught:
            await ask(SOURCE)
        assert caught.value.hint == f"another program wrote it: remove {name}"


async def test_a_state_that_nobody_could_read_again_is_not_written(
    area: MemoryArea, archive: ArchiveMetadata, monkeypatch: pytest.MonkeyPatch
):
    held = await archive.acquire(SOURCE)
    before = dict(area.files.items())
    for name, limit, said in (
        ("ports.area.LIST_BYTES_MAX", 300, "more than the 300 that are read"),
        ("model.document.CONTAINERS_MAX", 1, "would not be read again: it has more than"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"replicator.{name}", limit)
            with pytest.raises(RefusedError, match=said):
                await committed(archive, held.epoch, CHECKPOINT)
        assert dict(area.files.items()) == before


def test_what_a_list_may_have_takes_less_than_a_gigabyte_and_a_half():
    """Half a million gaps with a character beyond the first 65,536 in each text take ten times."""
    assert 10 * LIST_BYTES_MAX < 3 << 29
