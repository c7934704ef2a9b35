"""A signed store, as its operators meet it: what somebody else put there is not restored."""

from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from replicator.model.operations.signature import split
from replicator.model.store.archive import pack, record_line, unpack
from tests.acceptance.test_cli import User, user
from tests.servers.postgresql import connected

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


def new_key(path: Path) -> str:
    """Write a private key to a file; return its public half as `trusted_keys` has it."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode()


def signing(user: User, **settings: Any) -> None:
    found = yaml.safe_load(user.config.read_text())
    found["targets"]["vault"]["signing"] = settings or None
    user.config.write_text(yaml.safe_dump(found))


async def cut(user: User, step: str) -> None:
    await user.play(step)
    assert (await user.types("watch", "--once")).code == 0
    assert (await user.types("apply", "vault", "--once")).code == 0


async def datasources(dsn: str) -> set[str]:
    async with connected(dsn) as connection:
        found = await connection.fetch("SELECT DISTINCT datasource FROM druid_segments")
    return {row["datasource"] for row in found}


def forged(path: Path, area: Path) -> bytes:
    """Return a file of the history that was written an hour later; its checksums add up."""
    name = str(path.relative_to(area))
    data, _ = split(name, path.read_bytes())
    file = unpack(name, data)
    late = [one._replace(appended_at=one.appended_at + timedelta(hours=1)) for one in file.records]
    lines = [record_line(one) for one in late]
    return pack(file.header, lines, end=file.footer.end, last=file.footer.last)[0]


async def test_a_store_with_a_key(user: User):
    vault = user.folder / "vault"
    vault.mkdir()
    found = yaml.safe_load(user.config.read_text())
    storage = {"type": "local", "root": str(vault)}
    found["targets"]["vault"] = {"deep_storage": storage, "kill_wait_s": 0}
    user.config.write_text(yaml.safe_dump(found))
    await cut(user, "1-history")
    old = user.folder / "old.pem"
    old_public = new_key(old)

    await a_store_begun_before_there_was_a_key(user, old)
    await cut(user, "2-publish")
    await is_restored_with_the_public_key_alone(user, old_public)
    await is_signed_again_with_a_new_key(user, old_public)
    await is_not_believed_when_somebody_else_wrote_it(user, vault / "_replicator")


async def a_store_begun_before_there_was_a_key(user: User, key: Path) -> None:
    signing(user, key_file=str(key))
    refused = await user.types("apply", "vault", "--once")
    assert refused.code == 9, refused.err
    assert "is not signed" in refused.err
    assert "replicator target sign" in refused.err
    asked = await user.types("target", "sign", "vault")
    assert (asked.code, "--yes" in asked.err) == (4, True)
    signed = await user.types("target", "sign", "vault", "--yes", "--json")
    assert signed.code == 0, signed.err
    assert signed.result["signed"] > 3


async def is_restored_with_the_public_key_alone(user: User, public: str) -> None:
    signing(user, trusted_keys=[public])
    into = ("restore", "--from", "vault", "--into", "standby", "--latest", "--yes")
    restored = await user.types(*into)
    assert restored.code == 0, restored.err
    assert await datasources(user.target) == await datasources(user.source)
    signing(user)
    assert (await user.types("points", "--from", "vault")).code == 0, "it needs no key to be read"


async def is_signed_again_with_a_new_key(user: User, old_public: str) -> None:
    new = user.folder / "new.pem"
    new_key(new)
    signing(user, key_file=str(new))
    refused = await user.types("points", "--from", "vault")
    assert (refused.code, "is not trusted" in refused.err) == (9, True), refused.err
    signing(user, key_file=str(new), trusted_keys=[old_public])
    assert (await user.types("target", "sign", "vault", "--yes")).code == 0
    signing(user, key_file=str(new))


async def is_not_believed_when_somebody_else_wrote_it(user: User, area: Path) -> None:
    """Without a key the same file is: its checksums add up."""
    last = sorted((area / "history").rglob("*.zst"))[-1]
    last.write_bytes(forged(last, area))
    proving = ("verify", "vault", "--from", "vault", "--level", "checksum")
    refused = await user.types(*proving)
    assert refused.code in {3, 9}, refused.out + refused.err
    assert f"{last.relative_to(area)} is not signed" in refused.out + refused.err
    signing(user)
    believed = await user.types(*proving)
    assert believed.code == 0, believed.out + believed.err
