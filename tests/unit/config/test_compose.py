"""docker-compose.yml, as far as it can be held to something without Docker."""

import re
from pathlib import Path
from typing import Any

import yaml

from replicator.config import LocalStorageSettings, load
from replicator.model.druid.standby import REQUIREMENTS

COMPOSE = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text())
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


def test_the_replicators_configuration_is_one(tmp_path: Path):
    file = tmp_path / "replicator.yaml"
    file.write_text(COMPOSE["configs"]["replicator"]["content"])
    settings = load(file, {})
    storage = settings.targets["standby"].deep_storage
    assert isinstance(storage, LocalStorageSettings)
    assert str(storage.druid_root) == "/druid/segments"


def test_the_standby_is_set_up_as_one():
    said = SERVICES["standby-coordinator"]["environment"]
    for one in REQUIREMENTS:
        found = said.get(one.name.replace(".", "_"), one.default)
        assert found == one.wanted, one.name
