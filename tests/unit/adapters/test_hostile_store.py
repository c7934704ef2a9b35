"""A folder that somebody else can write to: nothing of it leads out of it, or never ends."""

import asyncio
import os
import resource
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from replicator.adapters.bucket import receipts
from replicator.adapters.bucket.bucket import Bucket, Stat
from replicator.adapters.local import workspace
from replicator.adapters.local.files import read_document
from replicator.adapters.local.folder import Leaf, opened
from replicator.adapters.local.reader import LocalDeepStorageReader
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.signing.area import SignedArea
from replicator.errors import (
    CorruptionError,
    RefusedError,
    ReplicatorError,
    TransientError,
    UnreadableObjectError,
)
from replicator.model.druid.answer import Measure, Number
from replicator.model.event import Offset
from replicator.model.load_spec import Location
from replicator.model.observation import Observation
from replicator.model.observed.faults import Waiting
from replicator.model.store.testimony import Attested
from replicator.ports import Checked, Piece, Receipt, StoredObject
from replicator.ports.druid import QueryBroker
from replicator.services.history.backlog import BacklogReader
from replicator.services.monitoring.canary import Canary, CanaryRules, CanaryTarget, kept_canary
from replicator.services.monitoring.status import StatusReader, _KnownLog
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Store
from replicator.services.store.witness import HeadKeeper, Witness
from replicator.services.target.rates import RateBook
from replicator.task_group import TaskGroup
from tests.contract.storages import Origin
from tests.schemas.golden_documents import DOCUMENTS
from tests.unit.pipeline import SOURCE, HandClock, Pipeline
from tests.unit.services.store.test_archive import golden_cut

PLACE = Location("wiki/2024/v1/0/index/")
ZIP = Location("wiki/0/index.zip")
FDS = Path("/proc/self/fd")
CANARY = CanaryRules(
    datasource="canary", window=timedelta(days=1), lost_after=timedelta(hours=1), interval_s=5
)


class Silent:
    """A `QueryBroker` of a Druid without a row."""

    async def measure(self, *_: object) -> dict[Measure, Number]:
        return {}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "deep"
    root.mkdir()
    (root / "some").write_text("file")
    return root


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Files of somebody else, beside which anybody can make a lock."""
    victim = tmp_path / "elsewhere"
    for name in ("data", "0" * 32):
        (victim / name).mkdir(parents=True)
        (victim / name / "file").write_text("precious")
        (victim / f"{name}.lock").touch()
    return victim


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"/"
        for path in folder.rglob("*")
    }


@contextmanager
def ends() -> Iterator[None]:
    """Fail a test whose read never returns; a thread that hangs cannot be cancelled."""
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)


async def put(root: Path) -> None:
    async with LocalDeepStorage(root) as storage:
        await storage.put(PLACE, await Origin({"version.bin": b"\0\0\0\x09"}).copy_source(PLACE))


async def use(root: Path) -> None:
    async with LocalDeepStorage(root) as storage:
        area = storage.area()
        await area.replace("drills/one.json", b"{}")
        await area.names("drills/")
        await area.get("drills/one.json")
        await area.delete("drills/one.json")


@pytest.mark.parametrize("link", [".replicator", ".replicator/tmp", ".replicator/locks"])
async def test_a_link_among_our_unfinished_work_deletes_nothing_elsewhere(
    root: Path, victim: Path, link: str
):
    before = contents(victim)
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(victim)
    for work in (use, put):
        with pytest.raises(RefusedError, match="is a link"):
            await work(root)
    assert contents(victim) == before


async def test_a_link_beside_a_lock_of_a_dead_process_deletes_nothing(root: Path, victim: Path):
    before = contents(victim)
    await use(root)
    name = "0" * 32
    (root / ".replicator" / "tmp" / name).symlink_to(victim / name)
    (root / ".replicator" / "tmp" / f"{name}.lock").touch()
    (root / ".replicator" / "tmp" / f"{'1' * 32}.lock").symlink_to(victim / f"{name}.lock")
    with pytest.raises(ReplicatorError):
        await use(root)
    assert contents(victim) == before


@pytest.mark.parametrize("link", ["_replicator", "_replicator/drills"])
async def test_a_link_among_our_files_is_not_followed(root: Path, victim: Path, link: str):
    before = contents(victim)
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(victim)
    with pytest.raises(RefusedError, match="is a link"):
        await use(root)
    async with LocalDeepStorage(root) as storage:
        for call in (storage.area().names("drills/"), storage.area().get("drills/data/file")):
            with pytest.raises(RefusedError, match="is a link"):
                await call
    assert contents(victim) == before


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def an_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_folder_of_a_link(path: Path) -> None:
    path.symlink_to(path.parents[2], target_is_directory=True)


def a_file_elsewhere(path: Path) -> None:
    path.symlink_to(path.parents[2] / "some")


def too_much(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(17 << 20)


@pytest.mark.parametrize("make", [a_pipe, an_endless_device, a_folder, a_file_elsewhere, too_much])
async def test_what_is_no_small_file_of_ours_is_damage(root: Path, make: Callable[[Path], None]):
    await use(root)
    (root / "_replicator" / "holds").mkdir()
    make(root / "_replicator" / "holds" / "audit.json")
    async with LocalDeepStorage(root) as storage:
        with ends(), pytest.raises(CorruptionError, match=r"audit\.json"):
            await storage.area().get("holds/audit.json")


@pytest.mark.parametrize("make", [a_pipe, an_endless_device, a_folder, too_much])
async def test_what_is_no_small_file_of_ours_stops_no_other_one(
    root: Path, make: Callable[[Path], None]
):
    async with LocalDeepStorage(root) as storage:
        for name in ("hold.json", "point.json"):
            golden = DOCUMENTS[name]
            await storage.area().replace(golden.name, golden.write(golden.value))
            make(root / "_replicator" / golden.name.replace("before-", "odd-"))
        points = StorePoints(Store(storage.area()), clock=SystemClock())
        with ends():
            for found, faults in (await points.points(), await points.readable_holds()):
                assert len(found) == 1
                assert len(faults) == (0 if make is a_folder else 1), "a folder is not listed"


async def test_large_receipts_are_read_one_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Reading one takes several times its size of memory; eight at once would fill a machine."""
    await put(root)
    monkeypatch.setattr(workspace, "DOCUMENT_BYTES_MAX", 10)
    at_work, most = 0, 0

    def read(leaf: Leaf, bytes_max: int) -> tuple[bytes, float]:
        nonlocal at_work, most
        if bytes_max == 10:
            return read_document(leaf, bytes_max)
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.01)
        at_work -= 1
        return read_document(leaf, bytes_max)

    monkeypatch.setattr(workspace, "read_document", read)
    async with LocalDeepStorage(root) as storage, TaskGroup() as group:
        tasks = [group.create_task(storage.written_receipt(PLACE)) for _ in range(4)]
    assert all(task.result() is not None for task in tasks)
    assert most == 1


async def test_large_receipts_of_a_bucket_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(receipts, "DOCUMENT_BYTES_MAX", 10)
    one = Checked(name="a", size_bytes=1, sha256="0" * 64)
    text = receipts.document(PLACE, Receipt(objects=(one,), copied_from=()))
    at_work, most = 0, 0

    class OneObject:
        async def stat(self, key: str) -> Stat:
            return Stat(
                key=key,
                size_bytes=len(text),
                tag="",
                stored_at=datetime(2026, 1, 1, tzinfo=UTC),
                metadata={},
            )

        async def read(self, key: str, **_: object) -> AsyncIterator[bytes]:
            del key
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.001)
            at_work -= 1
            yield text

    found = receipts.Receipts(cast("Bucket", OneObject()), "area")
    async with TaskGroup() as group:
        for _ in range(4):
            group.create_task(found.written_receipt(PLACE))
    assert most == 1


@pytest.mark.parametrize("make", [a_pipe, a_file_elsewhere, too_much])
async def test_a_receipt_that_is_no_file_is_damage(root: Path, make: Callable[[Path], None]):
    await put(root)
    (receipt,) = (root / ".replicator" / "receipts").rglob("*.json")
    receipt.unlink()
    if make is too_much:
        with receipt.open("wb") as file:
            file.truncate(65 << 20)
    else:
        make(receipt)
    async with LocalDeepStorage(root) as storage:
        with ends(), pytest.raises(CorruptionError, match=r"receipt|no file"):
            await storage.receipt(PLACE)


@pytest.mark.parametrize("where", ["index.zip", "index/00000.smoosh"])
async def test_a_pipe_in_a_place_of_bytes_is_refused_and_not_waited_for(root: Path, where: str):
    path = root / "wiki" / "0" / where
    location = Location(f"wiki/0/{where.partition('00000')[0]}")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with ends(), pytest.raises(RefusedError, match="neither a file nor a folder"):
        await LocalDeepStorageReader(root).objects(location)


async def test_a_pipe_that_comes_after_the_listing_is_not_waited_for(root: Path):
    path = root / ZIP
    path.parent.mkdir(parents=True)
    path.write_bytes(b"bytes")
    reader = LocalDeepStorageReader(root)
    (stored,) = await reader.objects(ZIP)
    path.unlink()
    os.mkfifo(path)
    with ends(), pytest.raises(RefusedError, match="neither a file nor a folder"):
        async for _ in reader.read(ZIP, stored):
            pass


async def test_where_a_link_leads_is_said_in_text(root: Path):
    """What is said becomes a gap's detail: in a database, a document and a heartbeat."""
    (root / "wiki/0").mkdir(parents=True)
    (root / ZIP).symlink_to(os.fsdecode(b"/elsewhere/\xff"))
    with pytest.raises(RefusedError, match="leads out of the deep storage") as told:
        await LocalDeepStorageReader(root).objects(ZIP)
    assert "elsewhere" in str(told.value)
    str(told.value).encode()


async def test_links_of_the_operator_lead_where_they_did(root: Path, tmp_path: Path):
    """The root's own path may be one, and the owner may have moved things within the root."""
    link = tmp_path / "link"
    link.symlink_to(root)
    await put(link)
    (root / "disks").mkdir()
    (root / "wiki").rename(root / "disks" / "wiki")
    (root / "wiki").symlink_to(root / "disks" / "wiki")
    async with LocalDeepStorage(link) as storage:
        receipt = await storage.receipt(PLACE)
        assert receipt is not None
        assert await storage.check(PLACE) == receipt.objects
        other = Location("wiki/2024/v1/1/index.zip")
        await storage.put(other, await Origin({"": b"zip"}).copy_source(other))
        assert (root / "disks" / other).read_bytes() == b"zip"
        for place in (PLACE, other):
            await storage.remove(place)
    assert [path.name for path in (root / "disks" / "wiki").iterdir()] == []
    assert (root / "wiki").is_symlink()


@pytest.mark.parametrize("place", ["in/lock", "lock"])
async def test_a_link_in_the_root_is_no_way_to_our_own_files(root: Path, place: str):
    await put(root)
    (root / "in").symlink_to(".replicator")
    (root / "lock").symlink_to(".replicator/lock")
    async with LocalDeepStorage(root) as storage:
        with pytest.raises(RefusedError, match="leads out of the deep storage"):
            await storage.objects(Location(place))


async def test_folders_without_end_stop_nothing_and_use_up_no_descriptors(root: Path):
    deep = "d/" * 100
    (root / "_replicator" / "holds" / deep).mkdir(parents=True)
    (root / PLACE / deep).mkdir(parents=True)
    (root / PLACE / deep / "file").touch()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(FDS.iterdir())) + 64, limit[1]))
    try:
        async with LocalDeepStorage(root) as storage:
            await storage.area().create("holds/audit.json", b"{}")
            assert await storage.area().names("holds/") == ["holds/audit.json"]
            assert [one async for one in storage.stored_locations(lambda _: False)]
            with pytest.raises(RefusedError, match="another row's segment in it"):
                await put(root)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize("name", ["..", "a/b", "/etc", ""])
def test_a_name_in_an_open_folder_leads_nowhere_else(root: Path, name: str):
    with opened(root) as folder:
        for call in (folder.folder, folder.stat, folder.unlink, folder.rmdir, folder.remove_tree):
            with pytest.raises(RefusedError, match="is no name of a file"):
                call(name)
        for move in (folder.rename, folder.link):
            with pytest.raises(RefusedError, match="is no name of a file"):
                move("some", folder, name)
    assert (root / "some").read_text() == "file"


async def test_a_folder_of_many_folders_in_one_another_ends_no_process(root: Path):
    """Whoever can write to a store makes one among the unfinished work: it was a RecursionError."""
    left = root / ".replicator" / "tmp" / ("0" * 32)
    (left / "new").mkdir(parents=True)
    (left / "new" / "file").touch()
    left.with_name(f"{left.name}.lock").touch()
    try:
        _nest(left, 1100)
        async with LocalDeepStorage(root) as storage:
            await storage.clean()
        assert not (left / "new").exists()
        assert not left.with_name(f"{left.name}.lock").exists()
    finally:
        _remove_deep(left)


@pytest.mark.parametrize("folders", [1, 3])
async def test_a_listing_of_too_many_names_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, folders: int
):
    """Each name takes 300 bytes, and a file server's listing need not end."""
    for number in range(6):
        folder = root / "_replicator" / "history" / f"log-{number % folders}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jsonl.zst").touch()
    async with LocalDeepStorage(root) as storage:
        assert len(await storage.area().names("history/")) == 6
        for module in ("folder", "area"):
            monkeypatch.setattr(f"replicator.adapters.local.{module}.ENTRIES_MAX", 5)
        with pytest.raises(UnreadableObjectError, match="more than 5"):
            await storage.area().names("history/")


async def test_a_folder_of_very_many_locations_is_read(root: Path, monkeypatch: pytest.MonkeyPatch):
    """A datasource with a segment for each minute has a million folders after two years."""
    for number in range(6):
        (root / "wiki").mkdir(exist_ok=True)
        (root / "wiki" / f"{number}").touch()
    monkeypatch.setattr("replicator.adapters.local.folder.ENTRIES_MAX", 5)
    async with LocalDeepStorage(root) as storage:
        pages = [page async for page in storage.stored_locations(lambda _: False)]
        assert sum(one.location.startswith("wiki/") for page in pages for one in page) == 6
        monkeypatch.setattr("replicator.adapters.local.locations.LOCATIONS_MAX", 5)
        with pytest.raises(UnreadableObjectError, match="more than 5"):
            [page async for page in storage.stored_locations(lambda _: False)]


async def test_folders_of_folders_without_files_are_names_too(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file server can make up folders for ever, and a walk holds the names above it."""
    for number in range(6):
        (root / "_replicator" / "history" / f"{number % 3}" / f"{number}").mkdir(parents=True)
    async with LocalDeepStorage(root) as storage:
        assert await storage.area().names("history/") == []
        monkeypatch.setattr("replicator.adapters.local.folder.ENTRIES_MAX", 5)
        with pytest.raises(UnreadableObjectError, match="more than 5"):
            await storage.area().names("history/")


def _nest(folder: Path, levels: int) -> None:
    deep = os.open(folder, os.O_PATH)
    for _ in range(levels):
        os.mkdir("d", dir_fd=deep)
        inner = os.open("d", os.O_PATH, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)


def _remove_deep(folder: Path) -> None:
    """Remove it from above: what clears up after tests goes no deeper than Python's stack."""
    shutil.rmtree(folder / "new", ignore_errors=True)
    while (inner := folder / "d").exists():
        aside = folder.with_name("aside")
        inner.rename(aside)
        folder.rmdir()
        aside.rename(folder)
    folder.rmdir()


class Growing(Origin):
    """An object that grows as long as it is read."""

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        del location, stored, start, end
        while True:
            self.reads += 1
            yield bytes(1 << 20)


async def test_an_object_that_grows_while_it_is_read_fills_no_disk(root: Path):
    """A file of a few bytes that is made sparse, and huge, once it was listed."""
    origin = Growing({"": bytes(3 << 20)})
    async with LocalDeepStorage(root) as storage:
        with pytest.raises(TransientError, match="more bytes than it was listed with"):
            await storage.put(ZIP, await origin.copy_source(ZIP))
    assert origin.reads == 4


@pytest.mark.parametrize("make", [a_folder_of_a_link, a_folder])
async def test_what_is_in_the_way_of_notes_stops_nothing(root: Path, make: Callable[[Path], None]):
    """A link at `canary` ended `run`, one at `drills` hid a target, a folder stopped its copies."""
    names = ["canary", "drills", "proofs", "heads", "rates.json"]
    if make is a_folder:
        names = ["canary/latest.json", "rates.json", "heads/standby/log.json"]
    for name in names:
        path = root / "_replicator" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)
    told, broker = list[Observation](), cast("QueryBroker", Silent())
    clock = HandClock()
    async with LocalDeepStorage(root) as storage:
        area = storage.area()
        book = RateBook(area, told.append)
        await book.copied(10, 1, 1.0)
        assert (await book.rates()).copied_bytes == 10
        status = StatusReader(
            source=SOURCE, history=Pipeline().history(), clock=clock, kill_buffer=None
        )
        known = _KnownLog(BacklogReader(Pipeline().history()))
        await status._look_into_store(known, area)
        assert (known.unread != "") is (make is a_folder_of_a_link)
        canary = Canary(
            CANARY,
            broker,
            {"standby": CanaryTarget(broker=broker, area=area)},
            clock=clock,
            observer=told.append,
        )
        await canary.look()
        assert any("keep the canary" in one.what for one in told if isinstance(one, Waiting))
        assert await kept_canary(area) is None
        witness = Witness(SignedArea(area, None), "standby", "the witness")
        keeper = HeadKeeper(witness, told.append)
        assert (await witness.memory("log")).head is None
        await keeper.compare("log", None)
        await keeper.reached("log", golden_cut())
        assert (await witness.testimony("log", Offset(0), ["log"])).verdict is Attested.UNKNOWN
