"""What is ours alone no other user reads; what a Druid must read keeps the umask's rights."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.scratch.folder import scratch
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.app.verbs.privacy import open_to_others
from replicator.cli.demo import story
from replicator.cli.go_back import restore_plan as plans
from replicator.config import Settings
from replicator.errors import ConfigError
from replicator.model.event import Document
from replicator.model.load_spec import Location
from tests.contract.storages import Origin

PLACE = Location("wiki/2024/v1/0/index/")


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """One that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def shown(folder: Path) -> list[str]:
    """What others have rights on, in a folder that they may be able to enter."""
    return [str(path) for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


async def test_receipts_history_and_bases_are_closed_and_segments_are_readable(tmp_path: Path):
    root = tmp_path / "deep"
    root.mkdir()
    storage = LocalDeepStorage(root)
    await storage.put(PLACE, await Origin({"00000.smoosh": b"y"}).copy_source(PLACE))
    await storage.area().create("history/log/1.zst", b"passwords of supervisors")
    await storage.area().replace("bases/log/1/manifest.json", b"too")
    private = [root / ".replicator", root / "_replicator"]
    assert [shown(folder) for folder in private] == [[], []]
    assert [list(folder.rglob("*")) for folder in private] != [[], []]
    segment = root / PLACE
    assert segment.stat().st_mode & 0o777 == 0o777
    assert (segment / "00000.smoosh").stat().st_mode & 0o777 == 0o666


async def test_a_log_and_its_companions_are_closed(tmp_path: Path):
    path = tmp_path / "new" / "log.sqlite"
    path.parent.mkdir()
    async with SqliteEventLog(path, SystemClock(), "prod") as log:
        await log.acquire()
        await log.append([Document(type="t", subject="s", data=b"passwords of supervisors")])
        assert {one.name for one in path.parent.iterdir()} == {
            "log.sqlite", "log.sqlite-wal", "log.sqlite-shm",
        }  # fmt: skip
        assert shown(path.parent) == [str(path.parent)]  # that is its owner's to close


def test_a_plan_is_closed(tmp_path: Path):
    plans._write(tmp_path / "plan.json", {"plan": 1})
    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("is_link", [False, True])
def test_a_plan_is_written_into_nothing_that_somebody_else_has_put_there(
    tmp_path: Path, is_link: bool
):
    """In a folder that others can write to they would read it, or choose what it overwrites."""
    victim, path = tmp_path / "victim", tmp_path / "plan.json"
    victim.write_text("ours")
    if is_link:
        path.symlink_to(victim)
    else:
        path.touch(0o666)
    os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(ConfigError, match="belongs to"):
        plans._write(path, {"plan": 1})
    assert (victim.read_text(), path.stat().st_size) == ("ours", 4 if is_link else 0)
    plans._write(Path("/dev/null"), {"plan": 1})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_demo_begins_in_no_folder_of_somebody_else(tmp_path: Path):
    """Its owner could put links into it, and root gives away what is below it."""
    folder = tmp_path / "demo"
    folder.mkdir(0o755)
    os.chown(folder, 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to"):
        story._folder(folder)
    with pytest.raises(ConfigError, match="belongs to"):
        story._stop(folder)
    assert folder.stat().st_mode & 0o777 == 0o755


async def test_a_drills_folder_is_entered_by_nobody_but_roots_postgresql(tmp_path: Path):
    async def nothing(_: Path) -> None:
        pass

    async with scratch(tmp_path / "drills", nothing) as made:
        wanted = 0o711 if os.geteuid() == 0 else 0o700
        assert [one.stat().st_mode & 0o777 for one in (made.parent, made)] == [wanted, wanted]


async def test_what_others_can_read_is_named(tmp_path: Path):
    """Made by an earlier release, or brought back by a backup: log, companions and our folders."""
    log, root = tmp_path / "prod.log", tmp_path / "deep"
    found = settings(log, root)
    assert await open_to_others(found, ["standby"]) == [], "nothing is there yet"
    own = [log, tmp_path / "prod.log-running-watch.json", tmp_path / "prod.log-wal"]
    own.append(tmp_path / "notifications-prod.sqlite")
    folders, key = [root / ".replicator", root / "_replicator"], tmp_path / "key.pem"
    for path in (*own, key):
        path.touch(0o600)
    for path in folders:
        path.mkdir(0o700, parents=True)
    paths = [*own, *folders, key]
    assert await open_to_others(found, ["standby"]) == []
    for path, mode in zip(paths, (0o640, 0o604, 0o604, 0o604, 0o701, 0o710, 0o644), strict=True):
        path.chmod(mode)
    assert sorted(await open_to_others(found, ["standby"])) == sorted(paths)
    assert await open_to_others(found, []) == own


def settings(log: Path, root: Path) -> Settings:
    metadata = {"type": "postgresql", "url": "postgresql://druid@db/druid"}
    storage = {"type": "local", "root": root.parent / "source"}
    return Settings.model_validate(
        {
            "source": {"name": "prod", "metadata": metadata, "deep_storage": storage},
            "log": {"type": "sqlite", "path": log},
            "notifications": {"folder": log.parent},
            "targets": {
                "standby": {
                    "deep_storage": {"type": "local", "root": root},
                    "signing": {"key_file": root.parent / "key.pem"},
                }
            },
        }
    )
