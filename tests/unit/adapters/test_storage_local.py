"""A local deep storage on bad days: a full disk, and a process that is killed in the middle."""

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from replicator.adapters.local.files import translated
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.errors import (
    MissingObjectError,
    RefusedError,
    TransientError,
    UnreadableObjectError,
)
from replicator.model.load_spec import Location
from tests.contract.storages import Origin
from tests.servers.tied import tied

PLACE = Location("wiki/2024/v1/0/index/")
SIZE_BYTES = 3_000_000
CHILD = """
import asyncio, resource, sys, time
from pathlib import Path
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.errors import TransientError
from replicator.ports import CopySource, StoredObject

full = sys.argv[2] == "full"
if full:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

class Origin:
    async def read(self, location, stored, *, start=0, end=None):
        for _ in range(30):
            yield b"x" * 100_000
            if not full:
                print("piece", flush=True)
                time.sleep(0.05)

async def main():
    objects = (StoredObject(name="00000.smoosh", size_bytes=3_000_000, tag="1"),)
    copy_source = CopySource(reader=Origin(), location=sys.argv[3], objects=objects)
    try:
        await LocalDeepStorage(Path(sys.argv[1])).put(sys.argv[3], copy_source)
    except TransientError as exc:
        print(exc)
        sys.exit(8)

asyncio.run(main())
"""


async def nothing_is_visible_and_the_next_put_works(root: Path) -> None:
    storage = LocalDeepStorage(root)
    assert await storage.receipt(PLACE) is None
    assert not (root / PLACE).exists()

    origin = Origin({"00000.smoosh": b"y" * SIZE_BYTES})
    receipt = await storage.put(PLACE, await origin.copy_source(PLACE))
    assert await storage.check(PLACE) == receipt.objects


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "other").write_bytes(b"so that the root is not empty")
    return tmp_path / "root"


async def test_a_full_disk_leaves_nothing_visible_and_is_a_matter_of_trying_later(root: Path):
    command = tied(sys.executable, "-c", CHILD, str(root), "full", PLACE)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 8, ended.stderr
    assert "File too large" in ended.stdout
    await nothing_is_visible_and_the_next_put_works(root)


async def test_a_file_s_name_never_reads_a_folder_with_other_places_in_it(root: Path):
    (root / "wiki/0.zip/index").mkdir(parents=True)
    (root / "wiki/0.zip/index/00000.smoosh").write_bytes(b"another segment's")
    with pytest.raises(UnreadableObjectError, match="is a folder, its load spec names a file"):
        await LocalDeepStorage(root).objects(Location("wiki/0.zip"))


async def test_what_is_no_folder_of_ours_or_of_the_other_kind_is_gone_already(root: Path):
    """A row of the source may name any place: what it removes is what was stored for it."""
    storage = LocalDeepStorage(root)
    origin = Origin({"00000.smoosh": b"y"})
    await storage.put(PLACE, await origin.copy_source(PLACE))
    for name in ("wiki", "wiki/", "wiki/2024/v1/0/index", "wiki/2024/v1/0/"):
        await storage.remove(Location(name))
    assert await storage.receipt(PLACE) is not None
    odd = await Origin({"": b"z"}).copy_source(Location("odd.zip"))
    await storage.put(Location("odd.zip"), odd)
    (root / "odd.zip").unlink()
    (root / "odd.zip").mkdir()
    await storage.remove(Location("odd.zip"))
    assert (root / "odd.zip").is_dir()
    assert await storage.written_receipt(Location("odd.zip")) is None


@pytest.mark.parametrize("pieces", [1, 10, 29])
async def test_a_kill_in_the_middle_leaves_nothing_visible(root: Path, pieces: int):
    command = tied(sys.executable, "-c", CHILD, str(root), "slow", PLACE)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(pieces):
            assert child.stdout.readline() == b"piece\n"
        child.send_signal(signal.SIGKILL)
    with pytest.raises(MissingObjectError):
        await LocalDeepStorage(root).objects(PLACE)
    await nothing_is_visible_and_the_next_put_works(root)


KILLED_CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from replicator.adapters.local.storage import LocalDeepStorage

def killed(*_, **__):
    print("about to be linked", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

os.link = killed
asyncio.run(LocalDeepStorage(Path(sys.argv[1])).area().create("history/log/1.zst", b"whole"))
"""


async def test_a_kill_leaves_no_file_of_ours_unfinished_for_ever(root: Path):
    """It stood beside its place, hidden from every listing, and nobody ever removed it."""
    command = tied(sys.executable, "-c", KILLED_CHILD, str(root))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "about to be linked\n")
    async with LocalDeepStorage(root) as storage:
        area = storage.area()
        assert await area.names("") == []
        assert await area.create("history/log/1.zst", b"again") is True
        assert await area.get("history/log/1.zst") == b"again"
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert left == {"other", ".replicator/lock", "_replicator/history/log/1.zst"}


async def test_closing_says_nothing_of_what_cannot_be_removed(tmp_path: Path):
    """A disk that has become read-only must not hide why the process ends."""
    storage = LocalDeepStorage(tmp_path)
    await storage.clean()
    (lock,) = (tmp_path / ".replicator" / "tmp").glob("*.lock")
    lock.unlink()
    lock.mkdir()
    await storage.close()
    assert lock.is_dir()


async def test_a_folder_that_was_restored_from_a_copy_is_used_again_after_one_error(root: Path):
    """A living process waited for ever for its own unfinished work, which the copy lacks."""
    storage = LocalDeepStorage(root)
    origin = Origin({"00000.smoosh": b"y"})
    await storage.put(PLACE, await origin.copy_source(PLACE))
    shutil.copytree(root, root.parent / "copy")
    shutil.rmtree(root)
    (root.parent / "copy").rename(root)
    for other in (root / ".replicator" / "tmp").iterdir():  # as any other process does
        other.rmdir() if other.is_dir() else other.unlink()
    with pytest.raises(TransientError, match="restored from a copy") as first:
        await storage.area().replace("store.json", b"{}")
    assert "--level exists" in first.value.hint
    await storage.area().replace("store.json", b"{}")
    later = Location("wiki/2025/v1/0/index/")
    await storage.put(later, await origin.copy_source(later))
    assert await storage.receipt(PLACE) is not None
    await storage.close()
    assert not [*(root / ".replicator" / "tmp").iterdir()]


async def test_an_empty_folder_under_a_mount_that_is_gone_is_never_written_to(root: Path):
    storage = LocalDeepStorage(root)
    await storage.clean()
    shutil.rmtree(root)
    root.mkdir()
    for _ in range(2):
        with pytest.raises(TransientError, match="still mounted"):
            await storage.area().replace("store.json", b"{}")
    assert not [*root.iterdir()]
    await storage.close()


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EIO])
def test_a_disk_that_cannot_be_written_may_get_well_again(code: int):
    with pytest.raises(TransientError) as caught, translated("write it"):
        raise OSError(code, "no")
    assert caught.value.hint


async def test_a_receipt_waits_for_its_own_file_system_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    """A mount elsewhere that is gone must not hold up a repair."""
    storage = LocalDeepStorage(root)
    receipt = await storage.put(PLACE, await Origin({"00000.smoosh": b"x"}).copy_source(PLACE))
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("it waits for every mount"))
    await storage.write_receipt(PLACE, receipt)


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines"])
async def test_a_name_that_is_no_text_is_one_segments_trouble_and_nobodys_document(
    root: Path, name: bytes
):
    storage = LocalDeepStorage(root)
    (root / PLACE).mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(root / PLACE) + b"/" + name)).write_bytes(b"x")
    with pytest.raises(RefusedError, match="a file whose name is no text"):
        await storage.objects(PLACE)
    area = storage.area()
    await area.create("about/prod.json", b"{}")
    Path(os.fsdecode(os.fsencode(root / "_replicator" / "about") + b"/" + name)).touch()
    assert await area.names("about/") == ["about/prod.json"]


async def test_where_a_removal_leads_is_looked_at_when_nobody_else_writes_any_more(
    tmp_path: Path, root: Path
):
    """Whoever holds the lock may put a link in the place of a folder meanwhile."""
    storage, origin = LocalDeepStorage(root), Origin({"00000.smoosh": b"y"})
    await storage.put(PLACE, await origin.copy_source(PLACE))
    shutil.copytree(root / "wiki", tmp_path / "elsewhere")
    with storage._area.placing(PLACE):
        removing = asyncio.create_task(storage.remove(PLACE))
        await asyncio.sleep(0.05)
        shutil.rmtree(root / "wiki")
        (root / "wiki").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="leads out of the deep storage"):
        await removing
    assert (tmp_path / "elsewhere/2024/v1/0/index/00000.smoosh").exists()
