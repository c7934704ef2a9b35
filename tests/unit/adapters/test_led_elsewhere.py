"""Whoever can write to a shared folder puts a link in the place of one of its folders, at any step.

Each deed is done again and again, with the link put there before the first call that takes a name,
before the second, and so on to the last. It may fail, and what is elsewhere is as it was.
"""

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from replicator.adapters.local.storage import LocalDeepStorage
from replicator.errors import ReplicatorError
from replicator.model.load_spec import Location
from tests.contract.storages import Origin

TAKE_NAMES = (
    "access", "link", "listdir", "lstat", "mkdir", "open", "readlink", "rename", "replace",
    "rmdir", "scandir", "stat", "unlink",
)  # fmt: skip
FOLDER, ZIP = Location("wiki/v1/0/index/"), Location("wiki/v1/1/index.zip")
NEW_FOLDER, NEW_ZIP = Location("wiki/v1/2/index/"), Location("wiki/v1/3/index.zip")
OURS, FOREIGN = b"ours" * 100, b"evil" * 100
FILES = {"00000.smoosh": OURS, "version.bin": OURS}
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
AREA, OWN = "_replicator", ".replicator"
Deed = Callable[[LocalDeepStorage], Awaitable[object]]
_readlink = os.readlink  # the one that is not counted


@pytest.fixture(autouse=True)
def _not_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power is lost here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "sync", lambda: None)


@contextmanager
def led_elsewhere(folder: Path, elsewhere: Path, *, before: int) -> Iterator[list[str]]:
    """Put a link in a folder's place before one of the calls about it; give all of them."""
    calls: list[str] = []
    really = {name: getattr(os, name) for name in TAKE_NAMES}

    def counted(name: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if any(path.is_relative_to(folder) for path in paths_of(args, named)):
                calls.append(name)
                if len(calls) == before:
                    really["rename"](folder, folder.with_name("aside"))
                    folder.symlink_to(elsewhere)
            return really[name](*args, **named)

        return call

    with pytest.MonkeyPatch.context() as patched:
        for name in TAKE_NAMES:
            patched.setattr(os, name, counted(name))
        yield calls


def paths_of(args: Sequence[Any], named: Mapping[str, Any]) -> list[Path]:
    """What a call is about: paths, or names in the folders behind descriptors."""
    ends = (named.get("src_dir_fd", named.get("dir_fd")), named.get("dst_dir_fd"))
    return [
        (Path() if end is None else behind(end)) / (behind(name) if isinstance(name, int) else name)
        for name, end in zip(args, ends, strict=False)
        if isinstance(name, str | Path) or (isinstance(name, int) and name is args[0])
    ]


def behind(descriptor: int) -> Path:
    return Path(_readlink(f"/proc/self/fd/{descriptor}"))


def contents(folder: Path) -> dict[str, bytes]:
    found = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*"))
    return {name: path.read_bytes() if path.is_file() else b"/" for name, path in found}


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def put(storage: LocalDeepStorage, location: Location) -> None:
    files = FILES if location.endswith("/") else {"": OURS}
    await storage.put(location, await Origin(files).copy_source(location))


async def replace(storage: LocalDeepStorage, location: Location) -> None:
    files = FILES if location.endswith("/") else {"": OURS}
    await storage.replace(location, await Origin(files).copy_source(location), None)


async def read(storage: LocalDeepStorage, location: Location) -> None:
    for stored in await storage.objects(location):
        found = b"".join([piece async for piece in storage.read(location, stored)])
        assert found == OURS


async def look(storage: LocalDeepStorage) -> None:
    listed = [one async for page in storage.stored_locations(lambda _: False) for one in page]
    assert not [one.location for one in listed if "evil" in one.location]


async def read_of_ours(storage: LocalDeepStorage) -> None:
    area = storage.area()
    for name in await area.names("points/"):
        assert await area.get(name) == OURS


DEEDS: dict[str, tuple[str, Deed]] = {
    "read a folder": ("wiki", lambda storage: read(storage, FOLDER)),
    "read a file": ("wiki", lambda storage: read(storage, ZIP)),
    "look around": ("wiki", look),
    "write a folder": ("wiki", lambda storage: put(storage, NEW_FOLDER)),
    "write a file": ("wiki", lambda storage: put(storage, NEW_ZIP)),
    "replace a folder": ("wiki", lambda storage: replace(storage, FOLDER)),
    "remove a folder": ("wiki", lambda storage: storage.remove(FOLDER)),
    "remove a file": ("wiki", lambda storage: storage.remove(ZIP)),
    "read ours": (AREA, read_of_ours),
    "create ours": (AREA, lambda storage: storage.area().create("points/b", OURS)),
    "replace ours": (AREA, lambda storage: storage.area().replace("points/a", OURS)),
    "delete ours": (AREA, lambda storage: storage.area().delete("points/a")),
    "write by way of our folder": (OWN, lambda storage: put(storage, NEW_ZIP)),
    "create by way of it": (OWN, lambda storage: storage.area().create("points/b", OURS)),
    "clean it": (OWN, lambda storage: storage.clean()),
    "close it": (OWN, lambda storage: storage.close()),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: a busy disk takes most of the time."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture
async def kept(folder: Path) -> Path:
    """A storage with a bit of everything; each round begins with a copy."""
    root = folder / "kept"
    root.mkdir()
    async with LocalDeepStorage(root) as storage:
        await put(storage, FOLDER)
        await put(storage, ZIP)
        await storage.area().create("points/a", OURS)
    return root


def somebody_elses(folder: Path, elsewhere: Path) -> dict[str, bytes]:
    """Make files elsewhere that look like those of a folder."""
    shutil.copytree(folder, elsewhere)
    for path in filter(Path.is_file, elsewhere.rglob("*")):
        was = path.stat()
        path.write_bytes(path.read_bytes().replace(OURS, FOREIGN))
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    (elsewhere / "evil.zip").write_bytes(FOREIGN)
    return contents(elsewhere)


@pytest.mark.parametrize("name", DEEDS)
async def test_no_deed_is_led_elsewhere(folder: Path, kept: Path, name: str):
    led, deed = DEEDS[name]
    root, elsewhere = folder / "root", folder / "elsewhere"
    at_first = descriptors()
    before, calls = 0, [""]
    while before <= len(calls):
        before += 1
        shutil.copytree(kept, root, copy_function=os.link)
        async with LocalDeepStorage(root) as storage:
            await storage.clean()
            was = somebody_elses(root / led, elsewhere)
            with (
                led_elsewhere(root / led, elsewhere, before=before) as calls,
                suppress(ReplicatorError),
            ):
                await deed(storage)
            assert contents(elsewhere) == was, f"{name}: led elsewhere before call {before}"
        assert contents(elsewhere) == was, f"{name}: led elsewhere by its end"
        assert descriptors() == at_first, f"one stayed open before call {before}"
        shutil.rmtree(root)
        shutil.rmtree(elsewhere)
    assert before > 2, "nothing was counted"
