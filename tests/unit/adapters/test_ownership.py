"""What root leaves in the folders of a service is named, and nothing is written through a link."""

import os
from pathlib import Path

import pytest

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.ownership import foreign
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.app.verbs.ownership import of_others
from replicator.config import Settings
from replicator.model.load_spec import Location
from replicator.model.operations.pulse import WATCH

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes such files")
SERVICE = 65534
PLACE = Location("wiki/2024/v1/0/index/")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A log and a target whose folders a service has."""
    for name in ("log", "deep", "told"):
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
    notifications = {"folder": str(tmp_path / "told")}
    return Settings.model_validate(
        {"source": source, "log": log, "targets": targets, "notifications": notifications}
    )


async def test_what_root_has_left_before_is_named_with_who_cannot_use_it(
    tmp_path: Path, settings: Settings
):
    (tmp_path / "log" / "prod.log-running-watch.json").touch()
    (tmp_path / "deep" / "_replicator" / "proofs").mkdir(parents=True)
    os.chown(tmp_path / "deep" / "_replicator", SERVICE, SERVICE)
    (tmp_path / "deep" / "wiki").mkdir()
    (tmp_path / "told" / "notifications-prod.sqlite-wal").touch()
    (log, journal, store), silent = await of_others(settings, ["vault"])
    assert silent == []
    assert (journal.first.name, journal.count) == ("notifications-prod.sqlite-wal", 1)
    assert (log.first.name, log.count, log.owner) == ("prod.log-running-watch.json", 1, "root")
    assert (store.first.name, store.count) == ("wiki", 2)
    assert {log.user, store.user} == {"nobody"}
    assert foreign(tmp_path, [tmp_path]) is None, "root's own folder is root's to use"


async def test_a_heartbeat_is_written_through_no_link(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"as it was")
    async with SqliteEventLog(tmp_path / "prod.log", SystemClock(), "prod") as log:
        await log.acquire()
        (tmp_path / f".prod.log-running-{WATCH}.json.{os.getpid()}").symlink_to(elsewhere)
        await log.beat(WATCH, b"{}")
        assert await log.heard(WATCH) == b"{}"
    assert elsewhere.read_bytes() == b"as it was"
