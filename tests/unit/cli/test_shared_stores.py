"""Two clusters in one place are refused, however its address is written."""

import shutil
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from replicator.app import Application
from replicator.app.signing import shared_keys
from replicator.app.verbs import shared_stores
from replicator.app.verbs.shared_stores import refuse_shared
from replicator.config import load
from replicator.errors import ConfigError, TransientError
from replicator.model.checkpoint import TargetState
from replicator.model.event import Epoch
from replicator.model.operations.signature import key_id_of
from replicator.services.records.store_id import NAME, made_store_id


async def refuse(folder: Path, **roots: Path) -> None:
    config = folder / "replicator.yaml"
    source = {
        "name": "prod",
        "metadata": {"type": "postgresql", "url": "postgresql://replicator@db1/druid"},
        "deep_storage": {"type": "local", "root": str(folder / "source")},
    }
    targets = {
        name: {"deep_storage": {"type": "local", "root": str(root)}} for name, root in roots.items()
    }
    log = {"type": "sqlite", "path": str(folder / "log")}
    config.write_text(yaml.safe_dump({"source": source, "log": log, "targets": targets}))
    async with Application(load(config, {}), {}, lambda _: None) as application:
        await refuse_shared(application)


@pytest.mark.parametrize(
    ("leads_to", "other"), [("source", "source"), ("one", "targets.one"), ("one/in", "targets.one")]
)
async def test_a_link_leads_into_what_it_leads_to(tmp_path: Path, leads_to: str, other: str):
    for name in ("source", "one", "one/in"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / leads_to)
    message = rf"targets.two.deep_storage and {other}.deep_storage overlap.* links lead to"
    with pytest.raises(ConfigError, match=message):
        await refuse(tmp_path, one=tmp_path / "one", two=tmp_path / "link")


async def test_folders_of_their_own_are_good_whether_they_are_there_or_not(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    await refuse(tmp_path, one=tmp_path / "one", two=tmp_path / "link")


def signing(*targets: str) -> dict[str, dict[str, object]]:
    """Settings of archives whose files one key signs."""
    return {
        name: {
            "deep_storage": {"type": "local", "root": f"/{name}"},
            "signing": {"key_env": "KEY"},
        }
        for name in targets
    }


async def test_a_key_that_two_targets_trust_is_named(tmp_path: Path):
    key, other = (Ed25519PrivateKey.generate() for _ in range(2))
    targets = signing("one", "two", "apart")
    targets["apart"]["signing"] = {"key_env": "OTHER", "trusted_keys": []}
    config = tmp_path / "replicator.yaml"
    config.write_text(yaml.safe_dump({"targets": targets}))
    environ = {"KEY": pem(key), "OTHER": pem(other)}
    async with Application(load(config, environ), environ, lambda _: None) as application:
        names = application.target_names
        (shared,) = shared_keys({name: application.target(name).signatures for name in names})
    assert shared.targets == ["one", "two"]
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert shared.key_id == key_id_of(public)


def pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def test_two_places_with_one_id_are_one_store(tmp_path: Path):
    """As a bucket behind two names of its server, or a folder that is mounted twice."""
    one, two = tmp_path / "one", tmp_path / "two"
    await refuse(tmp_path, one=one, two=two)
    for folder in (tmp_path / "source", one):
        folder.mkdir()
    async with Application(load(tmp_path / "replicator.yaml", {}), {}, lambda _: None) as made:
        await made_store_id(made.target("one").area())
    await refuse(tmp_path, one=one, two=two)
    shutil.copytree(one, two)
    with pytest.raises(ConfigError, match=r"targets.one.deep_storage and targets.two.* are one"):
        await refuse(tmp_path, one=one, two=two)
    (two / "_replicator" / NAME).unlink()
    await refuse(tmp_path, one=one, two=two)


async def test_an_id_that_somebody_wrote_into_another_store_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its own target refuses that store; the others go on."""
    await refuse(tmp_path, one=tmp_path / "one", two=tmp_path / "two")
    for name in ("source", "one", "two"):
        (tmp_path / name).mkdir()
    config = load(tmp_path / "replicator.yaml", {})
    async with Application(config, {}, lambda _: None) as made:
        id_ = await made_store_id(made.target("one").area())
        assert await made_store_id(made.target("two").area(), before=id_) == id_
    stores = {"one": id_, "two": "its own"}
    async with Application(config, {}, lambda _: None) as application:
        for name, store in stores.items():
            found = TargetState(checkpoint=None, epoch=Epoch(1), applied_at=None, store=store)
            monkeypatch.setattr(
                application.target(name).metadata, "state", AsyncMock(return_value=found)
            )
        await refuse_shared(application)
        monkeypatch.setattr(
            application.target("two").metadata,
            "state",
            AsyncMock(side_effect=TransientError("away")),
        )
        with pytest.raises(ConfigError, match="are one store"):
            await refuse_shared(application)


async def test_a_defect_that_one_store_brings_out_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared_stores, "store_id", AsyncMock(side_effect=RecursionError("odd")))
    await refuse(tmp_path, one=tmp_path / "one", two=tmp_path / "two")
