"""What `DeepStorage` promises, whoever keeps it: whole and with a receipt, or not there."""

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from zipfile import ZipFile

import pytest

from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.clock import SystemClock
from replicator.errors import (
    CorruptionError,
    MissingObjectError,
    RefusedError,
    ReplicatorError,
    TransientError,
    UnreadableObjectError,
)
from replicator.model.load_spec import Location
from replicator.ports import CopySource, StoredObject
from replicator.services.target.watched_source import WatchedSource
from tests.contract.storages import (
    ALL,
    IN_BUCKETS,
    MIB,
    CountingPace,
    Origin,
    Store,
    checked,
    local,
)

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("stores")

DAY = "wiki/2024-01-01_2024-01-02/v1/0"
PLACE = Location(f"{DAY}/index/")
ONE = Location(f"{DAY}/index.zip")
OTHER = Location(f"{DAY}/other/index.zip")
FILES = {"00000.smoosh": b"rows" * 100_000, "meta.smoosh": b"v1", "version.bin": b"\0\0\0\x09"}
CHECKED = checked(FILES)
LARGE = Random(1).randbytes(12 * MIB + 7)  # two whole parts and a rest


@pytest.fixture(params=ALL)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with ALL[request.param](tmp_path, request) as made:
        yield made


@pytest.fixture(params=IN_BUCKETS)
async def in_bucket(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with ALL[request.param](tmp_path, request) as made:
        yield made


async def shipped(files: dict[str, bytes] = FILES, *, place: Location = PLACE) -> CopySource:
    return await Origin(files).copy_source(place)


async def read(store: Store, location: Location, name: str) -> bytes:
    """Read an object as it is listed."""
    (stored,) = [one for one in await store.storage.objects(location) if one.name == name]
    return b"".join([bytes(piece) async for piece in store.storage.read(location, stored)])


async def test_what_was_put_is_there_with_its_receipt(store: Store):
    receipt = await store.storage.put(PLACE, await shipped())
    assert receipt.objects == CHECKED
    assert receipt.copied_from == (await shipped()).objects
    assert await store.storage.receipt(PLACE) == receipt
    assert await store.storage.check(PLACE) == CHECKED
    assert [(o.name, o.size_bytes) for o in await store.storage.objects(PLACE)] == [
        (name, len(data)) for name, data in FILES.items()
    ]
    assert await read(store, PLACE, "00000.smoosh") == FILES["00000.smoosh"]


@pytest.mark.parametrize("place", [PLACE, ONE])
async def test_a_receipt_says_when_the_bytes_were_stored(store: Store, place: Location):
    before = SystemClock().now()
    files = FILES if place == PLACE else {"": b"small"}
    await store.storage.put(place, await shipped(files, place=place))
    receipt = await store.storage.receipt(place)
    assert receipt is not None
    assert receipt.stored_at is not None
    assert abs(receipt.stored_at - before) < timedelta(minutes=1)


async def test_a_range_of_an_object_is_read(store: Store):
    await store.storage.put(ONE, await shipped({"": LARGE}, place=ONE))
    (stored,) = await store.storage.objects(ONE)
    pieces = store.storage.read(ONE, stored, start=4 * MIB, end=11 * MIB + 1)
    assert b"".join([piece async for piece in pieces]) == LARGE[4 * MIB : 11 * MIB + 1]


@pytest.mark.parametrize("data", [b"", b"PK", LARGE], ids=["empty", "small", "large"])
async def test_one_object_is_stored_as_it_is(store: Store, data: bytes):
    receipt = await store.storage.put(ONE, await shipped({"": data}, place=ONE))
    assert receipt.objects == checked({"": data})
    assert await store.storage.receipt(ONE) == receipt
    assert await store.storage.check(ONE) == checked({"": data})


async def test_names_keep_their_letters(store: Store):
    """A datasource may have nearly any name, and versions have colons."""
    place = Location("wiki ü~#%+&=/2024-01-01T00:00:00.000Z_x/v:1/0/index.zip")
    if ":" in place and isinstance_of_hdfs(store):
        place = Location(place.replace(":", "_"))
    receipt = await store.storage.put(place, await shipped({"": b"x"}, place=place))
    assert await store.storage.receipt(place) == receipt
    assert await read(store, place, "") == b"x"


def isinstance_of_hdfs(store: Store) -> bool:
    bucket = getattr(store.storage, "bucket", None)
    return bucket is not None and bucket.name.startswith("hdfs:")


async def test_nothing_is_there_before(store: Store):
    # an empty root looks like a lost mount
    await store.put_behind(Location("another/index/"), FILES)
    assert await store.storage.receipt(PLACE) is None
    assert await store.storage.receipt(ONE) is None
    gone = StoredObject(name="meta.smoosh", size_bytes=2, tag="1")
    for place in (PLACE, ONE):
        with pytest.raises(MissingObjectError):
            await store.storage.objects(place)
        with pytest.raises(MissingObjectError):
            await store.storage.check(place)
    with pytest.raises(MissingObjectError):
        _ = [piece async for piece in store.storage.read(PLACE, gone)]


@pytest.mark.parametrize("failure", [TransientError("away"), MissingObjectError("killed")])
async def test_a_put_that_fails_leaves_nothing_visible(store: Store, failure: ReplicatorError):
    await store.put_behind(Location("another/index/"), FILES)
    origin = Origin(FILES, failure=failure)
    with pytest.raises(type(failure)):
        await store.storage.put(PLACE, await origin.copy_source(PLACE))
    assert await store.storage.receipt(PLACE) is None
    with pytest.raises(MissingObjectError):
        await store.storage.objects(PLACE)
    await store.storage.put(PLACE, await shipped())
    assert await store.storage.check(PLACE) == CHECKED


@pytest.mark.parametrize("failure", [TransientError("away"), MissingObjectError("killed")])
async def test_a_large_put_that_fails_leaves_nothing_visible(
    store: Store, failure: ReplicatorError
):
    await store.put_behind(Location("another/index/"), FILES)
    origin = Origin({"": LARGE}, failure=failure)
    with pytest.raises(type(failure)):
        await store.storage.put(ONE, await origin.copy_source(ONE))
    assert await store.storage.receipt(ONE) is None
    with pytest.raises(MissingObjectError):
        await store.storage.objects(ONE)
    origin.failure = None
    await store.storage.put(ONE, await origin.copy_source(ONE))
    assert await store.storage.check(ONE) == checked({"": LARGE})


@pytest.mark.parametrize("data", [b"rows" * 100, LARGE], ids=["small", "large"])
async def test_fewer_bytes_than_announced_are_refused(store: Store, data: bytes):
    origin = Origin({"": data})
    copy_source = await origin.copy_source(ONE)
    origin.files[""] = data[:-1]
    with pytest.raises(CorruptionError):
        await store.storage.put(ONE, copy_source)
    assert await store.storage.receipt(ONE) is None


@pytest.mark.parametrize("data", [b"rows" * 100, LARGE], ids=["small", "large"])
async def test_other_bytes_than_expected_are_refused_and_not_left_there(store: Store, data: bytes):
    """A backup's receipt says what comes; somebody has exchanged the bytes."""
    await store.put_behind(Location("another/index/"), FILES)
    for place, name in ((ONE, ""), (PLACE, "00000.smoosh")):
        copy_source = await Origin({name: data[::-1]}).copy_source(place)
        with pytest.raises(CorruptionError, match="other bytes than its receipt says"):
            await store.storage.put(place, replace(copy_source, expected=checked({name: data})))
        assert await store.storage.receipt(place) is None
        with pytest.raises(MissingObjectError):
            await store.storage.objects(place)
        copy_source = await Origin({name: data}).copy_source(place)
        await store.storage.put(place, replace(copy_source, expected=checked({name: data})))
        assert await store.storage.check(place) == checked({name: data})


async def test_the_same_bytes_again_are_fine_and_others_are_never_written_over(store: Store):
    first = await store.storage.put(PLACE, await shipped())
    again = await store.storage.put(PLACE, await shipped())
    assert again.objects == first.objects
    other = await shipped({name: data[::-1] for name, data in FILES.items()})
    with pytest.raises(RefusedError):
        await store.storage.put(PLACE, other)
    assert await store.storage.check(PLACE) == CHECKED


@pytest.mark.parametrize("data", [b"rows" * 100, LARGE], ids=["small", "large"])
async def test_the_same_object_again_is_fine_and_another_never_written_over(
    store: Store, data: bytes
):
    first = await store.storage.put(ONE, await shipped({"": data}, place=ONE))
    again = await store.storage.put(ONE, await shipped({"": data}, place=ONE))
    assert again.objects == first.objects
    with pytest.raises(RefusedError):
        await store.storage.put(ONE, await shipped({"": data[::-1]}, place=ONE))
    assert await store.storage.check(ONE) == checked({"": data})


async def test_what_somebody_else_wrote_is_not_written_over(store: Store):
    await store.put_behind(PLACE, {"00000.smoosh": b"foreign"})
    await store.put_behind(ONE, {"": b"foreign"})
    with pytest.raises(RefusedError):
        await store.storage.put(PLACE, await shipped())
    for data in (b"ours", LARGE):
        with pytest.raises(RefusedError):
            await store.storage.put(ONE, await shipped({"": data}, place=ONE))
    assert await read(store, PLACE, "00000.smoosh") == b"foreign"
    assert await read(store, ONE, "") == b"foreign"


@pytest.mark.parametrize("size_bytes", [1000, len(LARGE)], ids=["small", "large"])
async def test_a_zip_without_its_end_is_not_stored(store: Store, size_bytes: int):
    """However its bytes pass: at once, in pieces, or as ranges at the same time."""
    found = io.BytesIO()
    with ZipFile(found, "w") as zipped:
        zipped.writestr("version.bin", LARGE[:size_bytes])
    whole = found.getvalue()
    for data in (whole[:-40], whole):
        origin = await shipped({"": data}, place=ONE)
        copy_source = WatchedSource(
            reader=origin.reader, location=ONE, objects=origin.objects, is_zip=True
        )
        if data == whole:
            await store.storage.put(ONE, copy_source)
            continue
        with pytest.raises(UnreadableObjectError, match="is no whole zip"):
            await store.storage.put(ONE, copy_source)
        assert await store.storage.receipt(ONE) is None
    assert await store.storage.check(ONE) == checked({"": whole})


@pytest.mark.parametrize("rot", [None, b"v2"], ids=["equal", "rotted"])
async def test_what_was_copied_by_other_means_is_adopted_if_it_is_equal(
    store: Store, rot: bytes | None
):
    """As `cp` and `rsync` fill a standby: every byte is compared, and none is written over."""
    there = FILES if rot is None else {**FILES, "meta.smoosh": rot}
    await store.put_behind(PLACE, there)
    await store.put_behind(ONE, {"": rot or b"v1"})
    for place, source in ((PLACE, await shipped()), (ONE, await shipped({"": b"v1"}, place=ONE))):
        before = await store.storage.objects(place)
        if rot is None:
            await store.storage.put(place, source)
            receipt = await store.storage.receipt(place)
            assert receipt is not None
            assert receipt.objects == await store.storage.check(place)
            assert receipt.copied_from == source.objects
        else:
            with pytest.raises(RefusedError, match="other bytes already"):
                await store.storage.put(place, source)
            assert await store.storage.receipt(place) is None
        assert await store.storage.objects(place) == before


async def test_a_receipt_counts_only_while_all_bytes_are_there(store: Store):
    await store.storage.put(PLACE, await shipped())
    await store.put_behind(PLACE, {**FILES, "meta.smoosh": b"cut"})
    assert await store.storage.receipt(PLACE) is None
    if store.heals:
        await store.storage.put(PLACE, await shipped())
        assert await store.storage.check(PLACE) == CHECKED
    else:
        with pytest.raises(RefusedError):
            await store.storage.put(PLACE, await shipped())


async def test_rot_of_the_same_length_shows_when_the_bytes_are_read(store: Store):
    await store.storage.put(PLACE, await shipped())
    await store.put_behind(PLACE, {**FILES, "meta.smoosh": b"v2"})
    assert await store.storage.receipt(PLACE) is not None
    assert await store.storage.check(PLACE) != CHECKED


async def test_an_object_that_is_written_while_it_is_read_is_noticed(store: Store):
    await store.put_behind(ONE, {"": LARGE})
    (stored,) = await store.storage.objects(ONE)
    await store.put_behind(ONE, {"": LARGE[::-1]})
    with pytest.raises(TransientError, match="written"):
        _ = [piece async for piece in store.storage.read(ONE, stored)]


async def test_a_probe_leaves_nothing_behind(store: Store):
    await store.storage.probe()
    await store.storage.put(PLACE, await shipped())
    assert await store.storage.check(PLACE) == CHECKED


async def test_a_folder_is_packed_where_druid_reads_no_folders(in_bucket: Store):
    receipt = await in_bucket.storage.put(ONE, await shipped())
    assert receipt.packed == CHECKED
    assert await in_bucket.storage.receipt(ONE) == receipt
    packed = ZipFile(io.BytesIO(await read(in_bucket, ONE, "")))
    assert {name: packed.read(name) for name in packed.namelist()} == FILES
    again = await in_bucket.storage.put(ONE, await shipped())
    assert again.objects == receipt.objects


async def test_a_large_folder_is_packed_in_parts(in_bucket: Store):
    files = {"00000.smoosh": LARGE, "version.bin": b"\0\0\0\x09"}
    receipt = await in_bucket.storage.put(ONE, await shipped(files))
    assert receipt.packed == checked(files)
    packed = ZipFile(io.BytesIO(await read(in_bucket, ONE, "")))
    assert {name: packed.read(name) for name in packed.namelist()} == files


async def test_every_request_and_every_byte_waits_for_its_turn(in_bucket: Store):
    storage = in_bucket.storage
    assert isinstance(storage, ObjectStorage)
    pace = storage.bucket._pace  # type: ignore[attr-defined]
    assert isinstance(pace, CountingPace)
    for place, data, receipt_bytes_max in ((ONE, LARGE, 1000), (OTHER, b"small" * 1000, 1000)):
        pace.requests = pace.bytes = 0
        await storage.put(place, await shipped({"": data}, place=place))
        assert pace.requests >= 1
        assert len(data) <= pace.bytes <= len(data) + receipt_bytes_max
        pace.requests = pace.bytes = 0
        assert await storage.check(place) == checked({"": data})
        assert pace.requests >= 2, "to list and to read"
        assert pace.bytes == len(data)


async def test_a_bucket_that_holds_nothing_is_no_missing_object(in_bucket: Store):
    """A wrong prefix must never look like segments that were killed."""
    with pytest.raises(TransientError, match="nothing below"):
        await in_bucket.storage.objects(PLACE)


@pytest.mark.parametrize(
    "place", ["../x/", "/etc/", "a/../../x/", ".replicator/x/", "_replicator/x/"]
)
async def test_a_place_outside_the_root_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest, place: str
):
    async with local(tmp_path, request) as made:
        with pytest.raises(ReplicatorError):
            await made.storage.put(Location(place), await shipped())
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "place", ["../x/", "/etc/", "a/../../x/", "_replicator/x.zip", ".replicator/x.zip"]
)
async def test_a_place_outside_the_prefix_is_refused(in_bucket: Store, place: str):
    with pytest.raises(RefusedError):
        await in_bucket.storage.put(Location(place), await shipped({"": b"x"}))


async def test_a_link_that_leads_out_of_the_root_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest
):
    async with local(tmp_path, request) as made:
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret" / "file").write_bytes(b"secret")
        (tmp_path / "storage" / "link").symlink_to(tmp_path / "secret")
        with pytest.raises(ReplicatorError):
            await made.storage.objects(Location("link/"))


async def test_a_root_that_is_gone_is_no_missing_object(
    tmp_path: Path, request: pytest.FixtureRequest
):
    async with local(tmp_path, request) as made:
        (tmp_path / "storage").rename(tmp_path / "elsewhere")
        with pytest.raises(TransientError):
            await made.storage.objects(PLACE)
        with pytest.raises(TransientError):
            await made.storage.put(PLACE, await shipped())
        (tmp_path / "storage").mkdir()  # where it would be mounted
        with pytest.raises(TransientError, match="is empty, as when it is not mounted"):
            await made.storage.objects(PLACE)
        (tmp_path / "storage" / "lost+found").mkdir()  # an empty disk in its place
        with pytest.raises(TransientError, match="is empty, as when it is not mounted"):
            await made.storage.objects(PLACE)


async def test_what_shares_its_bytes_with_other_names_is_not_adopted(
    tmp_path: Path, request: pytest.FixtureRequest
):
    """A hard link would rot with the source's file, and another row's file go with that row."""
    async with local(tmp_path, request) as store:
        await store.put_behind(PLACE, FILES)
        file, linked = tmp_path / "storage" / PLACE / "meta.smoosh", tmp_path / "linked"
        linked.hardlink_to(file)
        with pytest.raises(RefusedError, match="is a hard link"):
            await store.storage.put(PLACE, await shipped())
        linked.unlink()
        inner = Location(f"{PLACE}meta.smoosh")
        await store.storage.put(inner, await shipped({"": b"v1"}, place=inner))
        with pytest.raises(RefusedError, match="is stored for a row that names it"):
            await store.storage.put(PLACE, await shipped())
        assert await store.storage.receipt(PLACE) is None


async def test_a_copy_is_never_a_hard_link(tmp_path: Path, request: pytest.FixtureRequest):
    async with local(tmp_path, request) as source:
        (tmp_path / "target").mkdir()
        await source.put_behind(PLACE, FILES)
        objects = tuple(await source.storage.objects(PLACE))
        async with LocalDeepStorage(tmp_path / "target") as target:
            copy_source = CopySource(reader=source.storage, location=PLACE, objects=objects)
            await target.put(PLACE, copy_source)
        for name in FILES:
            one, other = (tmp_path / folder / PLACE / name for folder in ("storage", "target"))
            assert one.stat().st_ino != other.stat().st_ino
            assert other.stat().st_nlink == 1
