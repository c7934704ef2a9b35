"""In which order a copy becomes durable: any power cut leaves it whole or invisible."""

import os
from pathlib import Path

import pytest

from replicator.adapters.local.storage import LocalDeepStorage
from replicator.model.load_spec import Location
from tests.contract.storages import Origin

PLACE = Location("wiki/2026/v1/0/index/")
DATA = b"smoosh" * 1000


async def put(storage: LocalDeepStorage) -> None:
    await storage.put(PLACE, await Origin({"00000.smoosh": DATA}).copy_source(PLACE))


def behind(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


@pytest.fixture
def deeds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What is done to the disk, in order: syncs and renames, by the paths behind descriptors."""
    found: list[tuple[str, Path]] = []
    fsync, rename = os.fsync, os.rename

    def synced(descriptor: int) -> None:
        found.append(("fsync", behind(descriptor)))
        fsync(descriptor)

    def renamed(name: str, new_name: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        found.append(("rename", behind(dst_dir_fd) / new_name))
        rename(name, new_name, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    return found


async def test_bytes_then_receipt_then_the_rename_then_its_folder(
    tmp_path: Path, deeds: list[tuple[str, Path]]
):
    storage, final = LocalDeepStorage(tmp_path), tmp_path / "wiki/2026/v1/0/index"
    await put(storage)
    await storage.close()
    visible = deeds.index(("rename", final))
    before, after = deeds[:visible], deeds[visible + 1 :]

    data = [path for what, path in before if what == "fsync" and path.name == "00000.smoosh"]
    assert len(data) == 1, "the bytes were not synced before they became visible"
    assert ("fsync", data[0].parent) in before, "nor was the folder that they are in"
    receipts = [n for n, (what, path) in enumerate(before) if what == "rename"]
    assert receipts, "the receipt was not in place before the bytes became visible"
    receipt = before[receipts[-1]][1]
    assert ("fsync", receipt.parent) in before[receipts[-1] :], "the receipt was not durable"
    for parent in final.parents[:4]:
        if parent != final.parent:
            assert ("fsync", parent) in before, f"the way to it was not durable: {parent}"
    assert ("fsync", final.parent) in after, "the rename was not made durable"
