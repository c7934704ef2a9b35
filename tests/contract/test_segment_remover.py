"""What `SegmentRemover` promises, whoever keeps the bytes: exactly one place goes, and for good."""

from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.errors import MissingObjectError, RefusedError, ReplicatorError, TransientError
from replicator.model.load_spec import Location
from replicator.ports import LeadsOn, StoredLocation
from tests.contract.storages import (
    ALL,
    IN_BUCKETS,
    MIB,
    Origin,
    Store,
    cells,
    without_those_alike,
)

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("stores")

DAY = "wiki/2024-01-01_2024-01-02/v1"
FOLDER, ONE = Location(f"{DAY}/0/index/"), Location(f"{DAY}/1/index.zip")
LARGE, OTHER = Location(f"{DAY}/2/index.zip"), Location(f"{DAY}/10/index.zip")
FILES = {"00000.smoosh": b"rows" * 1000, "meta.smoosh": b"v1", "version.bin": b"\0\0\0\x09"}
FOLDER_BYTES = 4000 + 2 + 4
LARGE_BYTES = 5 * MIB + 7  # a whole part and a rest
NEEDED = Location("needed/a/index.zip")


@pytest.fixture(params=without_those_alike(ALL))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with ALL[request.param](tmp_path, request) as made:
        await put(made, NEEDED, {"": b"an empty root looks like a lost mount"})
        yield made


@pytest.fixture(params=without_those_alike(IN_BUCKETS))
async def in_bucket(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with ALL[request.param](tmp_path, request) as made:
        await put(made, NEEDED, {"": b"an empty root looks like a lost mount"})
        yield made


async def put(store: Store, place: Location, files: dict[str, bytes]) -> None:
    await store.storage.put(place, await Origin(files).copy_source(place))


async def put_all(store: Store) -> None:
    await put(store, FOLDER, FILES)
    await put(store, ONE, {"": b"small"})
    await put(store, LARGE, {"": bytes(LARGE_BYTES)})
    await put(store, OTHER, {"": b"other"})


async def listed(store: Store, *, known: Collection[str] = ()) -> list[StoredLocation]:
    pages = store.storage.stored_locations(lambda location: location in known)
    return sorted([place async for page in pages for place in page], key=lambda p: p.location)


async def short(store: Store, *, known: Collection[str] = ()) -> list[tuple[str, int, bool]]:
    return [
        (place.location, place.size_bytes, place.has_receipt)
        for place in await listed(store, known={NEEDED, *known})
    ]


@pytest.mark.parametrize(("store", "place"), cells(ALL, FOLDER, ONE, LARGE), indirect=["store"])
async def test_one_place_goes_with_its_receipt_and_nothing_else(store: Store, place: Location):
    await put_all(store)
    await store.storage.remove(place)
    assert await store.storage.written_receipt(place) is None
    with pytest.raises(MissingObjectError):
        await store.storage.objects(place)
    rest = [one for one in (FOLDER, LARGE, ONE, OTHER) if one != place]
    assert [location for location, _, _ in await short(store)] == sorted(rest)
    for one in rest:
        assert await store.storage.receipt(one) is not None


@pytest.mark.parametrize(("store", "place"), cells(ALL, FOLDER, ONE, LARGE), indirect=["store"])
async def test_what_is_absent_is_no_error(store: Store, place: Location):
    await store.storage.remove(place)
    await put_all(store)
    for _ in range(2):
        await store.storage.remove(place)
    assert await store.storage.receipt(place) is None


async def test_other_bytes_may_come_where_some_were_removed(store: Store):
    """The former receipt must not speak for them."""
    for place, before, after in (
        (ONE, {"": b"small"}, {"": b"other"}),
        (LARGE, {"": bytes(LARGE_BYTES)}, {"": b"\1" * LARGE_BYTES}),
        (FOLDER, FILES, {**FILES, "meta.smoosh": b"v2"}),
    ):
        await put(store, place, before)
        await store.storage.remove(place)
        await put(store, place, after)
        receipt = await store.storage.receipt(place)
        assert receipt is not None
        assert receipt.objects == await store.storage.check(place)


async def test_names_that_begin_alike_are_other_places(store: Store):
    await put_all(store)
    await store.put_behind(Location(f"{DAY}/0/index.bak"), {"": b"x"})
    await store.put_behind(Location(f"{DAY}/0/index2/"), {"00000.smoosh": b"x"})
    await store.storage.remove(FOLDER)
    assert {location for location, _, _ in await short(store)} == {
        f"{DAY}/0/index.bak", f"{DAY}/0/index2/00000.smoosh", ONE, LARGE, OTHER,
    }  # fmt: skip


async def test_what_is_partly_gone_is_removed_to_its_end(store: Store):
    """As after a crash in the middle, or when somebody else removed some of it."""
    await put_all(store)
    plain = store.storage.at(FOLDER)[0] if isinstance(store.storage, LeadsOn) else store.storage
    match plain:
        case LocalDeepStorage() as storage:
            (storage._root / FOLDER / "meta.smoosh").unlink()
        case ObjectStorage() as storage:
            await storage.bucket.delete(f"{storage.key(FOLDER)}meta.smoosh")
        case MemoryDeepStorage() as storage:
            del storage.stored[FOLDER]["meta.smoosh"]
        case _:
            raise AssertionError(store.storage)
    assert await store.storage.receipt(FOLDER) is None
    await store.storage.remove(FOLDER)
    assert [location for location, _, _ in await short(store)] == sorted([ONE, LARGE, OTHER])


@pytest.mark.parametrize(
    ("in_bucket", "place"), cells(IN_BUCKETS, FOLDER, ONE, LARGE), indirect=["in_bucket"]
)
async def test_a_removal_that_dies_at_any_step_leaves_no_receipt_of_what_is_not_whole(
    in_bucket: Store, place: Location, monkeypatch: pytest.MonkeyPatch
):
    storage = in_bucket.storage
    assert isinstance(storage, ObjectStorage)
    really, calls, dies_at = storage.bucket.delete, [0], 0

    async def delete(key: str) -> None:
        calls[0] += 1
        if calls[0] > dies_at:
            raise TransientError("killed")
        await really(key)

    await put_all(in_bucket)
    monkeypatch.setattr(storage.bucket, "delete", delete)
    while True:
        calls[0] = 0
        with suppress(TransientError):
            await storage.remove(place)
            break
        if (receipt := await storage.receipt(place)) is not None:
            assert await storage.check(place) == receipt.objects
        dies_at += 1
    assert await short(in_bucket) == [one for one in await short(in_bucket) if one[0] != place]
    assert calls[0] >= 2


@pytest.mark.parametrize("place", [FOLDER, ONE])
@pytest.mark.parametrize("step", ["unlink", "sync", "forget"])
async def test_a_local_removal_that_dies_at_any_step_is_finished_by_the_next(
    tmp_path: Path, request: pytest.FixtureRequest, place: Location, step: str
):
    def die(*_: object, **__: object) -> None:
        raise OSError("killed")

    async with ALL["local"](tmp_path, request) as made:
        await put_all(made)
        with pytest.MonkeyPatch.context() as patched:
            owner = {
                "unlink": "replicator.adapters.local.folder.Folder.unlink",
                "sync": "replicator.adapters.local.folder.Folder.sync",
                "forget": "replicator.adapters.local.workspace.Workspace.forget",
            }
            patched.setattr(owner[step], die)
            with pytest.raises(TransientError):
                await made.storage.remove(place)
        receipt = await made.storage.receipt(place)
        assert (receipt is not None) == (step == "unlink")
        if receipt is not None:
            assert await made.storage.check(place) == receipt.objects
        await made.storage.remove(place)
        assert place not in {location for location, _, _ in await short(made)}
        assert not list((tmp_path / "storage" / ".replicator" / "tmp").rglob("old"))


async def test_foreign_bytes_stay(store: Store):
    """A row of the source can name any place; that its bytes were stored there a receipt says.

    A removal once took what it found: of a row whose copy was refused, as foreign bytes were there,
    the expiry deleted what another program had there.
    """
    await store.put_behind(Location("foreign/x.zip"), {"": b"foreign"})
    await store.put_behind(Location("foreign/1/index/"), {"00000.smoosh": b"foreign"})
    for place in ("foreign/x.zip", "foreign/1/index/", "foreign/1/", "foreign/"):
        await store.storage.remove(Location(place))
    assert await short(store) == [
        ("foreign/1/index/00000.smoosh", 7, False),
        ("foreign/x.zip", 7, False),
    ]


async def test_a_folder_of_nothing_stored_removes_nothing_below_it(store: Store):
    """A row named it and its bytes never came; what is below are other rows' segments."""
    await put_all(store)
    before = await short(store)
    for place in ("wiki/", f"{DAY}/", f"{DAY}/0/", f"{DAY}/1/"):
        await store.storage.remove(Location(place))
    assert await short(store) == before
    for one in (FOLDER, ONE, LARGE, OTHER):
        assert await store.storage.receipt(one) is not None


@pytest.mark.parametrize("inner", [Location(f"{FOLDER}b/0/index/"), Location(f"{FOLDER}b/0.zip")])
async def test_locations_in_one_another_are_kept_apart(store: Store, inner: Location):
    files = FILES if inner.endswith("/") else {"": b"inner"}
    await put(store, FOLDER, FILES)
    await put(store, inner, files)
    for one in (FOLDER, inner):
        receipt = await store.storage.receipt(one)
        assert receipt is not None
        assert receipt.objects == await store.storage.check(one)
    await store.storage.remove(FOLDER)
    await store.storage.remove(FOLDER)
    assert await store.storage.receipt(FOLDER) is None
    receipt = await store.storage.receipt(inner)
    assert receipt is not None
    assert receipt.objects == await store.storage.check(inner)
    await store.storage.remove(inner)
    assert await short(store) == []


async def test_a_file_that_comes_into_a_folder_later_is_none_of_its_files(in_bucket: Store):
    """A row can name any place; the folder's own row is as good as it was."""
    storage, inner = in_bucket.storage, Location(f"{FOLDER}b.zip")
    await put(in_bucket, FOLDER, FILES)
    before = await storage.receipt(FOLDER)
    await put(in_bucket, inner, {"": b"inner"})
    for _ in range(2):
        receipt = await storage.receipt(FOLDER)
        assert receipt is not None
        assert receipt == before
        assert receipt.objects == await storage.check(FOLDER)
        await storage.write_receipt(FOLDER, replace(receipt, stored_at=None))
    await storage.remove(FOLDER)
    receipt = await storage.receipt(inner)
    assert receipt is not None
    assert receipt.objects == await storage.check(inner)


async def test_a_receipt_of_an_earlier_version_takes_no_other_location_along(in_bucket: Store):
    """Those named all that was below a folder, what other rows had there included."""
    storage, inner = in_bucket.storage, Location(f"{FOLDER}b/0/index/")
    assert isinstance(storage, ObjectStorage)
    await put(in_bucket, FOLDER, FILES)
    await put(in_bucket, inner, FILES)
    receipt = await storage.receipt(FOLDER)
    assert receipt is not None
    deeper = [replace(one, name=f"b/0/index/{one.name}") for one in receipt.objects]
    both = replace(receipt, objects=(*receipt.objects, *deeper))
    await storage._receipts.keep(FOLDER, both)
    await storage.remove(FOLDER)
    assert await storage.receipt(inner) is not None
    assert [location for location, _, _ in await short(in_bucket)] == [inner]


async def test_a_location_around_another_one_harms_it_in_no_way(store: Store):
    """Where a folder is renamed into place, the later row is refused, by name."""
    inner = Location(f"{FOLDER}b/0/index/")
    await put(store, inner, FILES)
    with suppress(RefusedError):
        await put(store, FOLDER, FILES)
    origin = await Origin(FILES).copy_source(FOLDER)
    with suppress(RefusedError):
        await store.storage.replace(FOLDER, origin, None)
    receipt = await store.storage.receipt(inner)
    assert receipt is not None
    assert receipt.objects == await store.storage.check(inner)
    await store.storage.remove(FOLDER)
    assert [location for location, _, _ in await short(store)] == [inner]


async def test_an_object_is_never_of_two_locations(store: Store):
    """The expiry of the one would delete what the other needs: the later one is refused."""
    if isinstance(store.storage, MemoryDeepStorage):
        pytest.skip("each location has bytes of its own")
    files = {**FILES, "0.zip": b"zipped"}
    inner = Location(f"{FOLDER}0.zip")
    await put(store, FOLDER, files)
    with pytest.raises(RefusedError, match=f"'{FOLDER}'"):
        await put(store, inner, {"": b"zipped"})
    await store.storage.remove(inner)
    receipt = await store.storage.receipt(FOLDER)
    assert receipt is not None
    assert receipt.objects == await store.storage.check(FOLDER)
    await store.storage.remove(FOLDER)

    await put(store, inner, {"": b"zipped"})
    with pytest.raises(RefusedError, match=r"which another row|a row that names it|did not write"):
        await put(store, FOLDER, files)
    await store.storage.remove(FOLDER)
    assert await store.storage.receipt(inner) is not None


@pytest.mark.parametrize("place", [FOLDER, LARGE])
async def test_the_receipt_that_a_dead_removal_left_speaks_for_no_later_bytes(
    in_bucket: Store, place: Location, monkeypatch: pytest.MonkeyPatch
):
    """Bytes of the same sizes come, and the process dies before their receipt is written."""
    storage = in_bucket.storage
    assert isinstance(storage, ObjectStorage)
    before, after = {"": bytes(LARGE_BYTES)}, {"": b"\1" * LARGE_BYTES}
    if place == FOLDER:
        before, after = FILES, {**FILES, "meta.smoosh": b"v2"}
    await put(in_bucket, place, before)

    async def killed(*_: object) -> None:
        raise TransientError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(storage._receipts, "drop", killed)
        with pytest.raises(TransientError):
            await storage.remove(place)
    with monkeypatch.context() as patched:
        patched.setattr(storage._receipts, "keep", killed)
        with pytest.raises(TransientError):
            await put(in_bucket, place, after)
    assert await storage.receipt(place) is None


@pytest.mark.parametrize("store", ALL, indirect=True)
async def test_everything_that_stands_there_is_listed(store: Store):
    before = SystemClock().now()
    await put_all(store)
    await store.put_behind(Location("foreign/1/index/"), FILES)
    await store.put_behind(Location("top.zip"), {"": b"top"})
    assert await short(store) == sorted(
        [
            ("foreign/1/index/00000.smoosh", 4000, False),
            ("foreign/1/index/meta.smoosh", 2, False),
            ("foreign/1/index/version.bin", 4, False),
            ("top.zip", 3, False),
            (FOLDER, FOLDER_BYTES, True),
            (ONE, 5, True),
            (LARGE, LARGE_BYTES, True),
            (OTHER, 5, True),
        ]
    )
    ours = [place for place in await listed(store) if place.has_receipt]
    near = timedelta(seconds=5)  # another clock, of whole seconds
    assert all(before - near < p.stored_at < SystemClock().now() + near for p in ours)


async def test_what_is_known_is_left_out_with_all_that_is_below_it(store: Store):
    await put_all(store)
    await store.put_behind(Location("foreign/1/index/"), FILES)
    await store.put_behind(Location("foreign/2.zip"), {"": b"x"})
    assert await short(store, known=["foreign/1/index/", FOLDER, LARGE]) == sorted(
        [("foreign/2.zip", 1, False), (ONE, 5, True), (OTHER, 5, True)]
    )


async def test_a_removed_place_is_not_listed_and_its_folders_hold_up_nobody(store: Store):
    await put_all(store)
    for place in (FOLDER, ONE, LARGE, OTHER):
        await store.storage.remove(place)
    assert await short(store) == []
    await put_all(store)
    assert len(await short(store)) == 4


async def test_our_own_areas_are_neither_listed_nor_removed(store: Store):
    await put_all(store)
    listed = {location.split("/")[0] for location, _, _ in await short(store)}
    assert listed == {"wiki"}
    for place in ("_replicator/receipts/", "_replicator/", ".replicator/", "_replicator/x.zip"):
        with pytest.raises(ReplicatorError):
            await store.storage.remove(Location(place))
    assert await store.storage.receipt(FOLDER) is not None
    assert await store.storage.receipt(LARGE) is not None


async def test_an_object_s_name_never_removes_a_folder(store: Store):
    await put_all(store)
    for name in ("wiki", f"{DAY}/0/index", f"{DAY}/0"):
        with suppress(RefusedError):
            await store.storage.remove(Location(name))
    assert len(await short(store)) == 4


@pytest.mark.parametrize("in_bucket", IN_BUCKETS, indirect=True)
async def test_more_places_than_a_page(in_bucket: Store, monkeypatch: pytest.MonkeyPatch):
    """A folder that goes over the end of a page is still one place."""
    files = {f"{n:05}.smoosh": b"x" for n in range(30)}
    await put(in_bucket, FOLDER, files)
    await put(in_bucket, OTHER, {"": b"other"})
    storage = in_bucket.storage
    assert isinstance(storage, ObjectStorage)
    monkeypatch.setattr(storage.bucket, "pages", partial(storage.bucket.pages, page_objects_max=7))
    sizes = [len(page) async for page in storage.bucket.pages(storage.key(FOLDER))]
    assert sum(sizes) == 30
    assert await short(in_bucket) == sorted([(FOLDER, 30, True), (OTHER, 5, True)])


async def test_empty_folders_of_a_local_storage_go(tmp_path: Path, request: pytest.FixtureRequest):
    async with ALL["local"](tmp_path, request) as made:
        await put_all(made)
        await made.storage.remove(FOLDER)
        assert not (tmp_path / "storage" / DAY / "0").exists()
        for place in (ONE, LARGE, OTHER):
            await made.storage.remove(place)
        assert [path.name for path in (tmp_path / "storage").iterdir()] == [".replicator"]


async def test_a_link_of_somebody_else_stays_and_is_not_followed(
    tmp_path: Path, request: pytest.FixtureRequest
):
    async with ALL["local"](tmp_path, request) as made:
        await put_all(made)
        root = tmp_path / "storage"
        (root / "link").symlink_to(root / "wiki")
        (root / "out").symlink_to(tmp_path)
        assert [p.location for p in await listed(made, known=["wiki/"])] == ["link", "out"]
        for name in ("out/storage/", "link", "link/"):
            with suppress(RefusedError):
                await made.storage.remove(Location(name))
        assert (root / "link").is_symlink()
        assert len(await listed(made)) == 6
