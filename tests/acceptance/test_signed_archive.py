"""A signed store, as its operators meet it: what somebody else put there is not restored.

S3 in the gate, all storages in the long run. What is done to the store behind the
replicator's back goes through its own storage, without keys.
"""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
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

from replicator import config
from replicator.app import Application
from replicator.model.load_spec import Location
from replicator.model.operations.signature import split
from replicator.model.store.archive import pack, record_line, unpack
from replicator.model.store.seal import seal_name
from replicator.model.store.testimony import WITHOUT_WITNESS
from replicator.ports import DOCUMENT_BYTES_MAX, Area, TargetStorage
from tests.acceptance.test_cli import User, user
from tests.acceptance.test_clouds import ENV, TARGETS, Clouds, clouds
from tests.contract.storages import Origin
from tests.servers.postgresql import connected
from tests.servers.process import Ended

__all__ = ["clouds", "user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("stores"),
]

IN_GATE = {"s3"}
RESTORE = ("restore", "--from", "vault", "--into", "standby", "--latest", "--yes")
VERIFY = ("verify", "vault", "--from", "vault", "--level", "checksum")


def new_key(path: Path) -> str:
    """Write a private key to a file; return its public half as `trusted_keys` has it."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode()


@dataclass
class Vault:
    """A user with an archive `vault`, which `standby` is a witness of."""

    user: User
    storage: dict[str, Any]

    def __post_init__(self) -> None:
        self.signs()

    def signs(self, **settings: Any) -> None:
        """Configure the vault with these settings of `signing`; without any: no keys."""
        found = yaml.safe_load(self.user.config.read_text())
        found["targets"]["vault"] = {"deep_storage": self.storage, "kill_wait_s": 0}
        if settings:
            found["targets"]["vault"]["signing"] = {"witness": "standby", **settings}
        self.user.config.write_text(yaml.safe_dump(found))

    async def types(self, *args: str) -> Ended:
        return await self.user.forks.run(
            *args, "--config", str(self.user.config), within_s=120, env=ENV
        )

    async def is_fine(self, *args: str) -> Ended:
        ended = await self.types(*args)
        assert ended.code == 0, ended.out + ended.err
        return ended

    async def is_refused(self, *args: str, words: str, code: int = 9) -> None:
        ended = await self.types(*args)
        assert ended.code == code, ended.out + ended.err
        assert words in ended.out + ended.err

    async def cut(self, step: str) -> None:
        await self.user.play(step)
        await self.is_fine("watch", "--once")
        await self.is_fine("apply", "vault", "--once")

    @asynccontextmanager
    async def behind(self) -> AsyncIterator[TargetStorage]:
        """The storage as anybody has it who may write there."""
        async with Application(
            config.load(self.user.config, ENV), environ=ENV, observer=lambda _: None
        ) as application:
            yield application.target("vault").plain_storage


async def files_of(area: Area) -> dict[str, bytes]:
    return {
        name: await area.get(name, bytes_max=DOCUMENT_BYTES_MAX)
        for name in await area.names("")
        if not name.startswith("receipts/")
    }


async def put_back(area: Area, files: dict[str, bytes]) -> None:
    for name in (await files_of(area)).keys() - files:
        await area.delete(name)
    for name, data in files.items():
        await area.replace(name, data)


async def some_place(storage: TargetStorage) -> Location:
    pages = storage.stored_locations(lambda _: False)
    return min([one.location async for page in pages for one in page if one.has_receipt])


async def exchange(storage: TargetStorage, place: Location) -> None:
    """Put other bytes of the same size there, with a right receipt."""
    files: dict[str, bytes] = {}
    for one in await storage.objects(place):
        pieces = [bytes(piece) async for piece in storage.read(place, one)]
        files[one.name] = b"".join(pieces)[::-1]
    await storage.remove(place)
    await storage.put(place, await Origin(files).copy_source(place))


def forged(name: str, data: bytes) -> bytes:
    """Return a file of the history that was written an hour later; its checksums add up."""
    file = unpack(name, split(name, data)[0])
    late = [one._replace(appended_at=one.appended_at + timedelta(hours=1)) for one in file.records]
    lines = [record_line(one) for one in late]
    return pack(file.header, lines, end=file.footer.end, last=file.footer.last)[0]


async def datasources(dsn: str) -> set[str]:
    async with connected(dsn) as connection:
        found = await connection.fetch("SELECT DISTINCT datasource FROM druid_segments")
    return {row["datasource"] for row in found}


@pytest.mark.parametrize(
    "where",
    [pytest.param(one, marks=[] if one in IN_GATE else [pytest.mark.long]) for one in TARGETS],
)
async def test_a_store_with_a_key(user: User, request: pytest.FixtureRequest, where: str):
    vault = Vault(user, storage_of(user, request, where))
    await vault.cut("1-history")
    old, new = user.folder / "old.pem", user.folder / "new.pem"
    old_public, new_public = new_key(old), new_key(new)

    await is_signed_and_sealed_once(vault, old)
    await vault.cut("2-publish")
    await is_signed_again_with_a_new_key(vault, old_public, new)
    vault.signs(key_file=str(new))
    await refuses_exchanged_bytes_until_they_are_repaired(vault)
    await refuses_to_be_put_back(vault, new_public)
    await goes_without_its_witness_only_when_told(vault, new_public)
    await is_restored_with_the_public_key_alone(vault, new_public)
    vault.signs(key_file=str(new))
    await is_not_believed_when_somebody_else_wrote_it(vault)


def storage_of(user: User, request: pytest.FixtureRequest, where: str) -> dict[str, Any]:
    if where != "local":
        clouds: Clouds = request.getfixturevalue("clouds")
        return TARGETS[where](clouds).settings
    root = user.folder / "vault"
    root.mkdir()
    return {"type": "local", "root": str(root)}


async def is_signed_and_sealed_once(vault: Vault, key: Path) -> None:
    vault.signs(key_file=str(key))
    await vault.is_refused("apply", "vault", "--once", words="replicator target sign")
    await vault.is_refused("target", "sign", "vault", words="--yes", code=4)
    signed = await vault.is_fine("target", "sign", "vault", "--yes", "--json")
    assert signed.result["signed"] > 3
    assert signed.result["sealed"] > 3
    again = await vault.is_fine("target", "sign", "vault", "--yes", "--json")
    assert (again.result["signed"], again.result["sealed"]) == (0, 0)


async def is_signed_again_with_a_new_key(vault: Vault, old_public: str, new: Path) -> None:
    vault.signs(key_file=str(new))
    await vault.is_refused("points", "--from", "vault", words="is not trusted")
    vault.signs(key_file=str(new), trusted_keys=[old_public])
    await vault.is_fine("target", "sign", "vault", "--yes")
    vault.signs(key_file=str(new))
    await vault.is_fine(*VERIFY)
    await vault.cut("3-overwrite")


async def refuses_exchanged_bytes_until_they_are_repaired(vault: Vault) -> None:
    async with vault.behind() as storage:
        place = await some_place(storage)
        await exchange(storage, place)
    await vault.is_refused(*VERIFY, words=f"{place} is not what its seal")
    await vault.is_refused(*RESTORE, words=f"{place} is not what its seal")
    async with vault.behind() as storage:
        await storage.area().delete(seal_name(place))
    await vault.is_refused(*RESTORE, words=f"{place} has no valid receipt")
    assert await datasources(vault.user.target) == set()
    await vault.is_fine("repair", "vault", "--yes")
    await vault.is_fine(*VERIFY)


async def refuses_to_be_put_back(vault: Vault, public: str) -> None:
    async with vault.behind() as storage:
        earlier = await files_of(storage.area())
        await vault.cut("3b-overshadowed")
        newest = await files_of(storage.area())
        await put_back(storage.area(), earlier)
    words = "put back to an earlier state"
    vault.signs(trusted_keys=[public])
    points = await vault.is_fine("points", "--from", "vault")
    assert words in points.out
    await vault.is_refused(*VERIFY, words=words)
    await vault.is_refused(*RESTORE, words=words)
    anyhow = await vault.is_fine(*RESTORE[:-1], WITHOUT_WITNESS, "--dry-run")
    assert "NOT PROVED" in anyhow.out
    async with vault.behind() as storage:
        await put_back(storage.area(), newest)


async def goes_without_its_witness_only_when_told(vault: Vault, public: str) -> None:
    """The witness is a folder now that is not mounted."""
    (away := vault.user.folder / "unmounted").mkdir()
    plan = str(vault.user.folder / "plan.json")
    whose = ("--from", "vault", "--into", "standby", "--latest")
    vault.signs(trusted_keys=[public], witness=None, witness_folder=str(away))
    await vault.is_refused(*RESTORE, words="remembers nothing of log", code=6)
    await vault.is_refused("drill", "vault", words=WITHOUT_WITNESS, code=6)
    checked = (await vault.types("check", "--json")).result["findings"]
    (told,) = [one for one in checked if one["what"] == "target vault witness"]
    assert (told["good"], told["note"]) == (True, True)
    assert "remembers nothing yet" in told["detail"]
    wrong = (await vault.types("status", "--json")).result["wrong"]
    assert any(f"{away} remembers nothing of its log" in one["what"] for one in wrong)
    points = await vault.is_fine("points", "--from", "vault")
    assert "NOT PROVED vault: it is unknown" in points.out
    planned = await vault.is_fine("restore", "plan", *whose, WITHOUT_WITNESS, "--output", plan)
    assert "NOT PROVED" in planned.out
    restored = await vault.is_fine("restore", "run", plan, "--yes")
    assert "restore without a witness" in restored.err
    kept = list((vault.user.folder / "target/_replicator/audit").rglob("*.json"))
    assert [json.loads(one.read_text())["operation"] for one in kept] == [
        f"restore {WITHOUT_WITNESS}"
    ]


async def is_restored_with_the_public_key_alone(vault: Vault, public: str) -> None:
    vault.signs(trusted_keys=[public])
    await vault.is_fine(*RESTORE)
    assert await datasources(vault.user.target) == await datasources(vault.user.source)
    vault.signs()
    await vault.is_fine("points", "--from", "vault")  # it needs no key to be read


async def is_not_believed_when_somebody_else_wrote_it(vault: Vault) -> None:
    """Without a key the same file is: its checksums add up."""
    async with vault.behind() as storage:
        area = storage.area()
        last = (await area.names("history/"))[-1]
        await area.replace(last, forged(last, await area.get(last)))
    await vault.is_refused(*VERIFY, words=f"{last} is not signed")
    vault.signs()
    await vault.is_fine(*VERIFY)
