"""What `check` says of what a start needs beside the pipeline, and of a Druid that is away."""

from pathlib import Path

import pytest
import yaml

from replicator.app import Application
from replicator.cli.set_up.check import _services, _which
from replicator.config import load
from replicator.errors import ConfigError, TransientError
from replicator.model.druid.release import release_of
from replicator.services.checkup.finding import Finding
from replicator.services.standby.skew import Skew

SECRET = "an awfully long secret of a webhook"
URL = "https://pager.example/hook"


async def found(folder: Path, environ: dict[str, str]) -> dict[str, Finding]:
    config = folder / "replicator.yaml"
    storage = {"type": "local", "root": str(folder / "source")}
    metadata = {"type": "postgresql", "url": "postgresql://replicator@db1/druid"}
    said = {
        "source": {"name": "prod", "metadata": metadata, "deep_storage": storage},
        "log": {"type": "kafka", "bootstrap_servers": ["kafka:9092"]},
        "targets": {"standby": {"deep_storage": {**storage, "root": str(folder / "standby")}}},
        "notifications": {
            "folder": str(folder),
            "webhooks": {
                "pager": {"url_env": "PAGER_URL", "secret_env": "PAGER"},
                "short": {"url": URL, "secret_env": "SHORT"},
                "good": {"url": URL, "secret_env": "GOOD"},
            },
            "dead_mans_switch": {"url_file": str(folder / "switch")},
        },
        "web": {
            "control": {
                "listen": "127.0.0.1:9465",
                "tls": {
                    "certificate_file": str(folder / "control.pem"),
                    "key_file": str(folder / "control.key"),
                },
            }
        },
    }
    config.write_text(yaml.safe_dump(said))
    async with Application(load(config, {}), environ, lambda _: None) as application:
        return {one.detail: one for one in _services(application)}


async def test_each_secret_that_a_start_reads_is_read_and_its_setting_named(tmp_path: Path):
    findings = await found(tmp_path, {"SHORT": "abc", "GOOD": SECRET})
    said = "\n".join(findings)
    assert not any(one.good for one in findings.values())
    assert "notifications.webhooks.pager: the environment variable PAGER is not set" in said
    assert "notifications.webhooks.short: the secret of a webhook has 3 bytes" in said
    assert "notifications.dead_mans_switch: the address file" in said
    assert "web.control.folder is not set" in said
    assert "web.control.tls: " in said
    assert "webhooks.good" not in said
    unset = await found(tmp_path, {"SHORT": SECRET, "GOOD": SECRET, "PAGER": SECRET})
    (pager,) = [one for one in unset.values() if "webhooks.pager" in one.detail]
    assert "the environment variable PAGER_URL is not set; it should hold a" in pager.detail
    assert pager.hint == "set PAGER_URL, or name another variable in url_env"


@pytest.mark.parametrize(
    ("release", "away", "good", "says"),
    [
        (None, TransientError("refused"), False, "cannot be reached: refused; its release is not"),
        ("33.0.0", TransientError("refused"), True, "cannot be reached: refused; rows are written"),
        ("33.0.0", ConfigError("401"), False, "cannot be queried: 401; rows are written"),
        (None, None, True, "its release is unknown: rows are replicated"),
    ],
)
def test_a_druid_whose_address_was_said_and_that_is_silent_is_named(
    release: str | None, away: TransientError | ConfigError | None, good: bool, says: str
):
    target = None if release is None else release_of(release)
    (one,) = _which("target standby Druid", Skew(source=None, target=target), "standby", away)
    assert (one.good, one.note or not one.good) == (good, True)
    assert says in one.detail
    assert ("coordinator_url" in one.hint) != isinstance(away, ConfigError)
