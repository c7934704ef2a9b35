"""What root leaves in the folders of a service can be used by that service."""

import os
from pathlib import Path

import pytest

from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.ownership import foreign, give_to_owner
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.app.verbs.ownership import of_others
from replicator.config import Settings
from replicator.model.event import Document
from replicator.model.load_spec import Location
from replicator.model.operations.pulse import WATCH
from tests.contract.storages import Origin

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
SERVICE = 65534
PLACE = Location("wiki/2024/v1/0/index/")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A log and a target whose folders a service has."""
    for name in ("log", "deep"):
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        os.chown(folder, SERVICE, SERVICE)
    local = {"type": "local", "root": str(tmp_path / "deep")}
    source = {
        "name": "prod",
        "metadata": {"type": "postgresql", "url": "postgresql://druid@127.0.0.1/druid"},
        "deep_storage": {"type": "local", "root": str(tmp_path / "source")},
    }
    log = {"type": "sqlite", "path": str(tmp_path / "log" / "prod.log")}
    targets = {"vault": {"deep_storage": local}}
    return Settings.model_validate({"source": source, "log": log, "targets": targets})


def owners(folder: Path) -> dict[str, int]:
    return {str(one.relative_to(folder)): one.stat().st_uid for one in folder.rglob("*")}


async def test_root_leaves_what_it_makes_to_the_owner_of_the_folder(
    tmp_path: Path, settings: Settings
):
    """A log with what is beside it, segments, receipts and our own files; `check` has no word."""
    storage = LocalDeepStorage(tmp_path / "deep")
    try:
        await storage.put(PLACE, await Origin({"00000.smoosh": b"y"}).copy_source(PLACE))
        await storage.area().create("proofs/1.json", b"{}")
    finally:
        await storage.close()
    async with SqliteEventLog(tmp_path / "log" / "prod.log", SystemClock(), "prod") as log:
        await log.acquire()
        await log.append([Document(type="t", subject="s", data=b"x")])
        await log.beat(WATCH, b"{}")
        found = owners(tmp_path / "log") | owners(tmp_path / "deep")
    assert {"prod.log", "prod.log-wal", "wiki/2024/v1/0/index/00000.smoosh"} <= found.keys()
    assert "_replicator/proofs/1.json" in found
    assert len(found) > 12
    assert {name for name, owner in found.items() if owner != SERVICE} == set()
    assert of_others(settings, ["vault"]) == []


def test_what_root_has_left_before_is_named_with_who_cannot_use_it(
    tmp_path: Path, settings: Settings
):
    (tmp_path / "log" / "prod.log-running-watch.json").touch()
    (tmp_path / "deep" / "_replicator" / "proofs").mkdir(parents=True)
    os.chown(tmp_path / "deep" / "_replicator", SERVICE, SERVICE)
    (tmp_path / "deep" / "wiki").mkdir()
    log, store = of_others(settings, ["vault"])
    assert (log.first.name, log.count, log.owner) == ("prod.log-running-watch.json", 1, "root")
    assert (store.first.name, store.count) == ("wiki", 2)
    assert {log.user, store.user} == {"nobody"}
    assert foreign(tmp_path, [tmp_path]) is None, "root's own folder is root's to use"


def test_a_file_that_has_another_name_elsewhere_stays_roots(tmp_path: Path):
    folder, elsewhere = tmp_path / "theirs", tmp_path / "elsewhere"
    folder.mkdir()
    os.chown(folder, SERVICE, SERVICE)
    elsewhere.write_bytes(b"x")
    (folder / "1.lock").hardlink_to(elsewhere)
    for name, owner in (("1.lock", 0), ("2.lock", SERVICE)):
        made = os.open(folder / name, os.O_RDWR | os.O_CREAT)
        give_to_owner(made, folder)
        os.close(made)
        assert (folder / name).stat().st_uid == owner


async def test_a_heartbeat_is_written_through_no_link(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"as it was")
    async with SqliteEventLog(tmp_path / "prod.log", SystemClock(), "prod") as log:
        await log.acquire()
        (tmp_path / f".prod.log-running-{WATCH}.json.{os.getpid()}").symlink_to(elsewhere)
        await log.beat(WATCH, b"{}")
        assert await log.heard(WATCH) == b"{}"
    assert elsewhere.read_bytes() == b"as it was"
