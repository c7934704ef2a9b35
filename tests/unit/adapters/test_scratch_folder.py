"""Scratch goes away, whoever made it and however that ended; and nothing else does."""

import fcntl
import os
from pathlib import Path

import pytest

from replicator.adapters.scratch.folder import free_bytes, scratch
from replicator.errors import ConfigError, RefusedError, TransientError


class Tidy:
    """Notes what it was asked to tidy, while it was still there."""

    def __init__(self) -> None:
        self.tidied: list[str] = []

    async def __call__(self, path: Path) -> None:
        assert path.is_dir()
        self.tidied.append(path.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "scratch"


def held(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_what_was_made_is_gone_after_a_failure_too(folder: Path):
    tidy = Tidy()

    async def fail() -> None:
        async with scratch(folder, tidy) as made:
            (made / "postgresql").mkdir()
            raise TransientError("the disk is full")

    with pytest.raises(TransientError):
        await fail()
    assert held(folder) == ["lock"]
    assert tidy.tidied == [f"drill-{os.getpid()}"]


async def test_what_a_killed_process_left_is_ended_and_removed_first(folder: Path):
    (folder / "drill-17" / "postgresql").mkdir(parents=True)
    (folder / "drill-17" / "postgresql" / "postmaster.pid").write_text("17")
    (folder / "somebody's").mkdir()
    folder.chmod(0o755)
    tidy = Tidy()
    async with scratch(folder, tidy) as made:
        assert list(made.iterdir()) == []
        assert held(folder) == [made.name, "lock", "somebody's"]
        assert tidy.tidied == ["drill-17"]
    assert held(folder) == ["lock", "somebody's"]


async def test_two_at_once_are_refused_and_the_first_keeps_its_own(folder: Path):
    async with scratch(folder, Tidy()) as made:
        with pytest.raises(RefusedError, match="another drill is at work"):
            async with scratch(folder, Tidy()):
                pass
        assert made.is_dir()


async def test_the_lock_is_free_afterwards_and_no_child_inherits_it(folder: Path):
    async with scratch(folder, Tidy()):
        held_open = [fd for fd in Path("/proc/self/fd").iterdir() if links_to(fd, folder / "lock")]
        assert [os.get_inheritable(int(fd.name)) for fd in held_open] == [False]
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("mode", [0o777, 0o775])
async def test_a_folder_that_others_can_write_to_is_refused(folder: Path, mode: int):
    """What stands in it could be anything, a link to somewhere else for one."""
    (folder / "drill-17").mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="not this user's alone"):
        async with scratch(folder, Tidy()):
            pass
    assert (folder / "drill-17").is_dir()


async def test_a_link_is_refused(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="not this user's alone"):
        async with scratch(tmp_path / "link", Tidy()):
            pass


def test_free_bytes_are_those_of_the_disk(tmp_path: Path):
    found = os.statvfs(tmp_path)
    assert free_bytes(tmp_path) == pytest.approx(found.f_bavail * found.f_frsize, rel=0.1)


def links_to(fd: Path, path: Path) -> bool:
    try:
        return fd.resolve() == path
    except OSError:
        return False
