"""What `SegmentReplacer` promises: right bytes come where wrong ones were, no receipt is lost."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from replicator.adapters.bucket.storage import ObjectStorage
from replicator.errors import CorruptionError, MissingObjectError, TransientError
from replicator.model.load_spec import Location
from replicator.ports import Receipt, StoredObject
from tests.contract.storages import (
    ALL,
    IN_BUCKETS,
    MIB,
    Origin,
    Store,
    cells,
    checked,
    without_those_alike,
)

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("stores")

DAY = "wiki/2024-01-01_2024-01-02/v1"
FOLDER, ONE = Location(f"{DAY}/0/index/"), Location(f"{DAY}/1/index.zip")
LARGE = Location(f"{DAY}/2/index.zip")
PACKED = Location(f"{DAY}/3/index/")
FILES = {"00000.smoosh": b"rows" * 1000, "meta.smoosh": b"v1", "version.bin": b"\0\0\0\x09"}
RIGHT: dict[Location, dict[str, bytes]] = {
    FOLDER: FILES,
    ONE: {"": b"small"},
    LARGE: {"": bytes(5 * MIB + 7)},  # a whole part and a rest
}
WRONG: dict[Location, dict[str, bytes]] = {
    FOLDER: {**FILES, "00000.smoosh": b"rotS" * 1000, "more.bin": b"foreign"},
    ONE: {"": b"sMall"},
    LARGE: {"": b"\1" + bytes(5 * MIB + 6)},
}


@pytest.fixture(params=without_those_alike(ALL))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with ALL[request.param](tmp_path, request) as made:
        yield made


@pytest.fixture(params=without_those_alike(IN_BUCKETS))
async def in_bucket(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with ALL[request.param](tmp_path, request) as made:
        yield made


def in_metadata(store: Store) -> bool:
    """Whether a small object carries its receipt itself, and loses it when it is written over."""
    return isinstance(store.storage, ObjectStorage) and store.storage.bucket.keeps_metadata


async def put(store: Store, place: Location) -> Receipt:
    return await store.storage.put(place, await Origin(RIGHT[place]).copy_source(place))


async def mend(store: Store, place: Location, truth: Receipt | None, **change: bytes) -> Receipt:
    files = {**RIGHT[place], **change}
    return await store.storage.replace(place, await Origin(files).copy_source(place), truth)


@pytest.mark.parametrize(("store", "place"), cells(ALL, FOLDER, ONE, LARGE), indirect=["store"])
async def test_right_bytes_take_the_place_of_wrong_ones(store: Store, place: Location):
    truth = await put(store, place)
    await store.put_behind(place, WRONG[place])
    assert await mend(store, place, truth) == truth
    assert await store.storage.check(place) == checked(RIGHT[place])
    assert await store.storage.receipt(place) == await store.storage.written_receipt(place) == truth


@pytest.mark.parametrize(("store", "place"), cells(ALL, FOLDER, ONE, LARGE), indirect=["store"])
async def test_nothing_need_be_there_and_no_receipt(store: Store, place: Location):
    assert await store.storage.written_receipt(place) is None
    stored = await mend(store, place, None)
    assert stored.objects == checked(RIGHT[place])
    assert await store.storage.receipt(place) == stored
    await store.storage.remove(place)
    await store.put_behind(place, WRONG[place])
    stored = await mend(store, place, None)
    assert await store.storage.receipt(place) == stored
    assert await store.storage.check(place) == checked(RIGHT[place])


@pytest.mark.parametrize(("store", "place"), cells(ALL, FOLDER, ONE, LARGE), indirect=["store"])
async def test_bytes_that_the_receipt_does_not_know_are_refused(store: Store, place: Location):
    """The origin was read before, but it can change between two reads."""
    truth = await put(store, place)
    name = next(iter(RIGHT[place]))
    other = {name: bytes(len(RIGHT[place][name]) - 1) + b"!"}
    with pytest.raises(CorruptionError):
        await mend(store, place, truth, **other)
    assert await store.storage.written_receipt(place) == truth
    if await store.storage.receipt(place) is not None:
        assert await store.storage.check(place) == truth.objects
    assert await mend(store, place, truth) == truth


@pytest.mark.parametrize(("store", "place"), cells(ALL, FOLDER, ONE, LARGE), indirect=["store"])
async def test_a_receipt_outlives_what_it_speaks_of(store: Store, place: Location):
    truth = await put(store, place)
    await store.put_behind(place, {name: data + b"longer" for name, data in WRONG[place].items()})
    assert await store.storage.receipt(place) is None
    lost = place == ONE and in_metadata(store)
    assert await store.storage.written_receipt(place) == (None if lost else truth)


async def test_what_the_source_had_then_is_still_known(store: Store):
    """Whoever repaired it from elsewhere: the applier compares with the source's objects."""
    truth = await put(store, FOLDER)
    await store.put_behind(FOLDER, WRONG[FOLDER])
    origin = Origin(FILES)
    copy_source = await origin.copy_source(FOLDER)
    moved = type(copy_source)(
        reader=origin,
        location=FOLDER,
        objects=tuple(
            StoredObject(name=one.name, size_bytes=one.size_bytes, tag="2")
            for one in copy_source.objects
        ),
    )
    assert (await store.storage.replace(FOLDER, moved, truth)).copied_from == truth.copied_from


@pytest.mark.parametrize(("store", "place"), cells(ALL, FOLDER, ONE, LARGE), indirect=["store"])
async def test_a_receipt_is_written_for_bytes_that_were_compared(store: Store, place: Location):
    await store.put_behind(place, RIGHT[place])
    assert await store.storage.receipt(place) is None
    receipt = Receipt(objects=checked(RIGHT[place]), copied_from=())
    await store.storage.write_receipt(place, receipt)
    assert await store.storage.receipt(place) == receipt
    with pytest.raises(MissingObjectError):
        await store.storage.write_receipt(Location(f"{DAY}/9/index.zip"), receipt)


async def test_a_packed_segment_is_packed_again(in_bucket: Store):
    """Equal files are enough; the zip need not be the same to the byte."""
    place, storage = Location(f"{DAY}/3/index.zip"), in_bucket.storage
    truth = await storage.put(place, await Origin(FILES).copy_source(PACKED))
    assert truth.packed
    stored = await storage.replace(place, await Origin(FILES).copy_source(PACKED), truth)
    assert stored == truth
    other = {**FILES, "meta.smoosh": b"v2"}
    with pytest.raises(CorruptionError):
        await storage.replace(place, await Origin(other).copy_source(PACKED), truth)


@pytest.mark.parametrize(
    ("in_bucket", "place"), cells(IN_BUCKETS, FOLDER, ONE, LARGE), indirect=["in_bucket"]
)
async def test_a_repair_that_dies_at_any_step_is_finished_by_the_next(
    in_bucket: Store, place: Location, monkeypatch: pytest.MonkeyPatch
):
    storage = in_bucket.storage
    assert isinstance(storage, ObjectStorage)
    truth = await put(in_bucket, place)
    calls, dies_at = [0], 0

    def mortal(name: str) -> None:
        really = getattr(storage.bucket, name)

        async def call(*args: object, **options: object) -> object:
            calls[0] += 1
            if calls[0] > dies_at:
                raise TransientError("killed")
            return await really(*args, **options)

        monkeypatch.setattr(storage.bucket, name, call)

    await in_bucket.put_behind(place, WRONG[place])
    await storage._receipts.keep(place, truth)  # that of a small object was its metadata
    for name in ("clear", "replace", "create"):
        mortal(name)
    while True:
        calls[0] = 0
        with suppress(TransientError):
            assert await mend(in_bucket, place, truth) == truth
            break
        assert await storage.written_receipt(place) == truth
        dies_at += 1
    assert calls[0] >= 2
    assert await storage.check(place) == truth.objects
