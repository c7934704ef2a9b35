"""What `DeepStorage` promises, whoever keeps it: whole and with a receipt, or not there."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from replicator.adapters.memory_storage import MemoryDeepStorage
from replicator.adapters.storage_local import LocalDeepStorage
from replicator.errors import (
    CorruptionError,
    MissingObjectError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.load_spec import Location
from replicator.ports import Checked, DeepStorage, StoredObject

PLACE = Location("wiki/2024-01-01_2024-01-02/v1/0/index/")
FILES = {"00000.smoosh": b"rows" * 100_000, "meta.smoosh": b"v1", "version.bin": b"\0\0\0\x09"}
CHECKED = tuple(
    Checked(name=n, size_bytes=len(d), sha256=sha256(d).hexdigest()) for n, d in FILES.items()
)


@dataclass(frozen=True)
class Store:
    storage: DeepStorage
    put_behind: Callable[[Location, Mapping[str, bytes]], None]
    """Write as somebody else would: a Druid, or a disk that rots."""


def memory(_: Path) -> Store:
    storage = MemoryDeepStorage()

    def put_behind(location: Location, files: Mapping[str, bytes]) -> None:
        storage.stored[location] = dict(files)

    return Store(storage, put_behind)


def local(folder: Path) -> Store:
    root = folder / "storage"
    root.mkdir()

    def put_behind(location: Location, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            path = root / location / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    return Store(LocalDeepStorage(root), put_behind)


@pytest.fixture(params=[memory, local], ids=["memory", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    made: Store = request.param(tmp_path)
    return made


def listed(files: Mapping[str, bytes] = FILES, tag: str = "1") -> list[StoredObject]:
    return [StoredObject(name=n, size_bytes=len(d), tag=tag) for n, d in files.items()]


def reading(
    files: Mapping[str, bytes] = FILES, *, failure: ReplicatorError | None = None
) -> Callable[[str], AsyncIterator[bytes]]:
    async def read(name: str) -> AsyncIterator[bytes]:
        yield files[name][:10]
        if failure is not None:
            raise failure
        yield files[name][10:]

    return read


async def test_what_was_put_is_there_with_its_receipt(store: Store):
    receipt = await store.storage.put(PLACE, listed(), reading())
    assert receipt.objects == CHECKED
    assert list(receipt.copied_from) == listed()
    assert await store.storage.receipt(PLACE) == receipt
    assert await store.storage.check(PLACE) == CHECKED
    assert [(o.name, o.size_bytes) for o in await store.storage.objects(PLACE)] == [
        (name, len(data)) for name, data in FILES.items()
    ]
    pieces = [piece async for piece in store.storage.read(PLACE, "00000.smoosh")]
    assert b"".join(pieces) == FILES["00000.smoosh"]


async def test_nothing_is_there_before(store: Store):
    store.put_behind(Location("another/index/"), FILES)  # an empty root looks like a lost mount
    assert await store.storage.receipt(PLACE) is None
    with pytest.raises(MissingObjectError):
        await store.storage.objects(PLACE)
    with pytest.raises(MissingObjectError):
        await store.storage.check(PLACE)
    with pytest.raises(MissingObjectError):
        _ = [piece async for piece in store.storage.read(PLACE, "meta.smoosh")]


@pytest.mark.parametrize("failure", [TransientError("away"), MissingObjectError("killed")])
async def test_a_put_that_fails_leaves_nothing_visible(store: Store, failure: ReplicatorError):
    with pytest.raises(type(failure)):
        await store.storage.put(PLACE, listed(), reading(failure=failure))
    assert await store.storage.receipt(PLACE) is None
    with pytest.raises(MissingObjectError):
        await store.storage.objects(PLACE)
    await store.storage.put(PLACE, listed(), reading())
    assert await store.storage.check(PLACE) == CHECKED


async def test_another_number_of_bytes_than_announced_is_refused(store: Store):
    short = {**FILES, "meta.smoosh": b""}
    with pytest.raises(CorruptionError):
        await store.storage.put(PLACE, listed(), reading(short))
    assert await store.storage.receipt(PLACE) is None


async def test_the_same_bytes_again_are_fine_and_others_are_never_written_over(store: Store):
    first = await store.storage.put(PLACE, listed(), reading())
    again = await store.storage.put(PLACE, listed(), reading())
    assert again.objects == first.objects
    other = {name: data[::-1] + b"" for name, data in FILES.items()}
    with pytest.raises(RefusedError):
        await store.storage.put(PLACE, listed(other), reading(other))
    assert await store.storage.check(PLACE) == CHECKED


async def test_what_somebody_else_wrote_is_not_written_over(store: Store):
    store.put_behind(PLACE, {"00000.smoosh": b"foreign"})
    with pytest.raises(RefusedError):
        await store.storage.put(PLACE, listed(), reading())
    assert [piece async for piece in store.storage.read(PLACE, "00000.smoosh")] == [b"foreign"]


async def test_a_receipt_counts_only_while_all_bytes_are_there(store: Store):
    await store.storage.put(PLACE, listed(), reading())
    store.put_behind(PLACE, {**FILES, "meta.smoosh": b"cut"})
    assert await store.storage.receipt(PLACE) is None
    await store.storage.put(PLACE, listed(), reading())
    assert await store.storage.check(PLACE) == CHECKED


async def test_rot_of_the_same_length_shows_when_the_bytes_are_read(store: Store):
    await store.storage.put(PLACE, listed(), reading())
    store.put_behind(PLACE, {**FILES, "meta.smoosh": b"v2"})
    assert await store.storage.receipt(PLACE) is not None
    assert await store.storage.check(PLACE) != CHECKED


async def test_a_probe_leaves_nothing_behind(store: Store):
    await store.storage.probe()
    await store.storage.put(PLACE, listed(), reading())
    assert await store.storage.check(PLACE) == CHECKED


@pytest.mark.parametrize("place", ["../x/", "/etc/", "a/../../x/", ".replicator/x/"])
async def test_a_place_outside_the_root_is_refused(tmp_path: Path, place: str):
    storage = local(tmp_path).storage
    with pytest.raises(ReplicatorError):
        await storage.put(Location(place), listed(), reading())
    assert not (tmp_path / "x").exists()


async def test_a_link_that_leads_out_of_the_root_is_refused(tmp_path: Path):
    made = local(tmp_path)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_bytes(b"secret")
    (tmp_path / "storage" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ReplicatorError):
        await made.storage.objects(Location("link/"))


async def test_a_root_that_is_gone_is_no_missing_object(tmp_path: Path):
    made = local(tmp_path)
    (tmp_path / "storage").rename(tmp_path / "elsewhere")
    with pytest.raises(TransientError):
        await made.storage.objects(PLACE)
    with pytest.raises(TransientError):
        await made.storage.put(PLACE, listed(), reading())


async def test_a_copy_is_never_a_hard_link(tmp_path: Path):
    source, target = local(tmp_path), LocalDeepStorage(tmp_path / "target")
    (tmp_path / "target").mkdir()
    source.put_behind(PLACE, FILES)
    objects = await source.storage.objects(PLACE)
    await target.put(PLACE, objects, lambda name: source.storage.read(PLACE, name))
    for name in FILES:
        one, other = (tmp_path / folder / PLACE / name for folder in ("storage", "target"))
        assert one.stat().st_ino != other.stat().st_ino
        assert other.stat().st_nlink == 1
