"""docker-compose.yml, as far as it can be held to something without Docker."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from replicator.cli import verb
from replicator.cli.command import Call
from replicator.cli.main import app
from replicator.cli.terminal.printed_commands import CONFIG_VARIABLE
from replicator.cli.terminal.signals import GRACE_S
from replicator.config import LocalStorageSettings, Settings, load
from replicator.model.druid.standby import REQUIREMENTS

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_every_image_has_a_version():
    images = [one["image"] for one in SERVICES.values() if "image" in one]
    assert len(images) > 10
    assert [image for image in images if not re.search(r":[^:]*\d", image)] == []


def test_what_is_named_is_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
        for config in service.get("configs", ()):
            assert config["source"] in COMPOSE["configs"]
        for other in service.get("depends_on", ()):
            assert other in SERVICES


def test_no_port_is_open_to_other_machines():
    """A Druid without a login, and servers whose passwords stand in the file."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 6
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def replicator() -> dict[str, Any]:
    return SERVICES["replicator"]


def settings(folder: Path) -> Settings:
    file = folder / "replicator.yaml"
    file.write_text(COMPOSE["configs"]["replicator"]["content"])
    return load(file, {})


def test_its_command_is_one_of_the_program(monkeypatch: pytest.MonkeyPatch):
    calls: list[Call] = []
    monkeypatch.setattr(verb, "run", lambda call, _: calls.append(call))
    app(replicator()["command"], standalone_mode=False)
    assert [call.command for call in calls] == ["run"]


def test_its_variables_are_those_of_the_configuration(tmp_path: Path):
    file = replicator()["configs"][0]["target"]
    image = replicator()["build"]["dockerfile_inline"]
    assert f"ENV {CONFIG_VARIABLE}={file}\n" in image
    found = settings(tmp_path)
    source, target = found.watched.metadata, found.targets["standby"].metadata
    assert target is not None
    assert {source.password_env, target.password_env} == set(replicator()["environment"])


def test_the_image_is_made_of_what_is_there():
    image = replicator()["build"]["dockerfile_inline"].splitlines()
    copied = [one for line in image if line.startswith("COPY ") for one in line.split()[1:-1]]
    assert len(copied) > 4
    assert [one for one in copied if not (ROOT / one).exists()] == []
    entry = next(line for line in image if line.startswith("ENTRYPOINT"))
    program = json.loads(entry.partition(" ")[2])
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert program == list(scripts)


def test_its_health_is_asked_where_it_answers(tmp_path: Path):
    web = settings(tmp_path).web
    assert web is not None
    assert web.listen is not None
    port = web.listen.rpartition(":")[2]
    assert f"http://127.0.0.1:{port}/healthz" in replicator()["healthcheck"]["test"][-1]
    assert replicator()["ports"] == [f"127.0.0.1:{port}:{port}"], "nobody else's business"


def test_it_has_the_time_to_end_what_is_in_hand(tmp_path: Path):
    grace = replicator()["stop_grace_period"]
    assert int(grace.removesuffix("s")) > settings(tmp_path).drain_s + GRACE_S


def test_what_druid_writes_is_where_the_replicator_looks_and_may_write(tmp_path: Path):
    """The image of Druid has one folder that its user owns, for a volume to take over: this."""
    found = settings(tmp_path)
    for name, storage, mode in (
        ("source", found.watched.deep_storage, ":ro"),
        ("standby", found.targets["standby"].deep_storage, ""),
    ):
        assert isinstance(storage, LocalStorageSettings)
        coordinator = SERVICES[f"{name}-coordinator"]
        assert coordinator["environment"]["druid_storage_storageDirectory"] == "/opt/shared"
        assert str(storage.druid_root) == "/opt/shared"
        assert f"{name}-segments:/opt/shared" in coordinator["volumes"]
        assert f"{name}-segments:{storage.root}{mode}" in replicator()["volumes"]
        assert str(storage.root) in replicator()["build"]["dockerfile_inline"]


def test_the_standby_is_set_up_as_one():
    said = SERVICES["standby-coordinator"]["environment"]
    for one in REQUIREMENTS:
        found = said.get(one.name.replace(".", "_"), one.default)
        assert found == one.wanted, one.name
