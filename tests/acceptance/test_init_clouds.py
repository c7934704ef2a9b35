"""`init` with a deep storage in each cloud, and with MySQL: each answer is tried on the server."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from replicator.config import load
from tests.acceptance.test_init import Newcomer, newcomer
from tests.contract.storages import fresh
from tests.rings import IS_LONG
from tests.servers.mariadb import Mariadb
from tests.servers.process import Ended
from tests.servers.stores import AZURE_ACCOUNT, AZURE_KEY, S3, S3_KEY, S3_SECRET, Azure, Gcs, Hdfs

__all__ = ["newcomer"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
ENV = {
    "S3_ID": S3_KEY, "S3_KEY": S3_SECRET,
    "AZURE_KEY": AZURE_KEY, "WRONG_KEY": b64encode(bytes(64)).decode(),
}  # fmt: skip
DENIED = "check the credentials and what they may do there (docs/storages.md#permissions)\n"
NOBODY = "http://127.0.0.1:1"
MAY_COME = {"no-such-bucket", "no-such-container", "reachable", "127.0.0.1:1"}
"""Said where the same answer may work later: exit code 8."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A good answer to the question of a deep storage, and bad ones with what is said of each."""

    good: str
    bad: Mapping[str, str]


def url(place: str, **further: str) -> str:
    return f"{place}?{urlencode(further)}"


def in_s3(server: S3) -> Answers:
    bucket = fresh()
    server.bucket(bucket)
    keys = {"access_key_id_env": "S3_ID", "secret_access_key_env": "S3_KEY", "path_style": "true"}
    wrong = keys | {"secret_access_key_env": "S3_ID", "endpoint_url": server.url}
    return Answers(
        good=url(f"s3://{bucket}/druid/segments", endpoint_url=server.url, **keys),
        bad={
            url("s3://no-such-bucket", endpoint_url=server.url, **keys): "no-such-bucket",
            url(f"s3://{bucket}", **wrong): "SignatureDoesNotMatch",
            url(f"s3://{bucket}", endpoint_url=NOBODY, **keys): "reachable",
            url(f"s3://{bucket}", endpoint_url=server.url, acces_key="x"): "acces_key",
        },
    )


def in_google(server: Gcs) -> Answers:
    bucket = fresh()
    server.bucket(bucket)
    return Answers(
        good=url(f"gs://{bucket}/segments", endpoint_url=server.url, anonymous="true"),
        bad={
            url("gs://no-such-bucket", endpoint_url=server.url, anonymous="true"): "no-such-bucket",
            url(f"gs://{bucket}", endpoint_url=NOBODY, anonymous="true"): "reachable",
        },
    )


def in_azure(server: Azure) -> Answers:
    container = fresh()
    server.container(container)
    keys = {"endpoint_url": server.url, "account_key_env": "AZURE_KEY"}
    wrong, nobody = keys | {"account_key_env": "WRONG_KEY"}, keys | {"endpoint_url": NOBODY}
    return Answers(
        good=url(f"azure://{AZURE_ACCOUNT}/{container}", **keys),
        bad={
            url(f"azure://{AZURE_ACCOUNT}/no-such-container", **keys): "no-such-container",
            f"azure://{AZURE_ACCOUNT}": "is no deep storage",
            url(f"azure://{AZURE_ACCOUNT}/{container}", **wrong): DENIED,
            url(f"azure://{AZURE_ACCOUNT}/{container}", **nobody): "reachable",
        },
    )


def in_hdfs(server: Hdfs) -> Answers:
    root = f"/{fresh()}/segments"
    server.folder(root)
    name_node = server.filesystem
    return Answers(
        good=url(f"{name_node}{root}", urls=server.url, user=server.user),
        bad={
            url(f"{name_node}{root}", urls=NOBODY, user=server.user): "reachable",
            url(f"{name_node}{root}", urls=server.url, user=server.user, rot="1"): "rot",
        },
    )


PLACES: Mapping[str, Callable[[pytest.FixtureRequest], Answers]] = {
    "s3": lambda request: in_s3(request.getfixturevalue("s3")),
    "gcs": lambda request: in_google(request.getfixturevalue("gcs")),
    "azure": lambda request: in_azure(request.getfixturevalue("azure")),
    "hdfs": lambda request: in_hdfs(request.getfixturevalue("hdfs")),
}


async def typed(who: Newcomer, *args: str, without: str = "") -> Ended:
    environ = {name: value for name, value in {**who.environ, **ENV}.items() if name != without}
    return await who.forks.run(*args, "--config", str(who.config), env=environ, within_s=120)


async def inits(who: Newcomer, *, without: str = "", **changed: str) -> Ended:
    given = who.answers | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    flags = (part for pair in given.items() for part in pair)
    return await typed(who, "init", *flags, without=without)


@pytest.mark.xdist_group("stores")
@pytest.mark.parametrize("kind", PLACES)
async def test_a_deep_storage_in_a_cloud(
    newcomer: Newcomer, kind: str, request: pytest.FixtureRequest
):
    """Nothing is written while an answer does not work; then the next commands do."""
    answers = PLACES[kind](request)
    for bad, said in answers.bad.items():
        refused = await inits(newcomer, target_storage=bad)
        told = refused.err
        code = 8 if said in MAY_COME else 2
        assert (refused.code, "--target-storage" in told, said in told) == (code, True, True), told
        assert "Traceback" not in told
        assert not newcomer.config.exists()
    wrote = await inits(newcomer, target_storage=answers.good, target="archive")
    assert wrote.code == 0, wrote.err
    assert S3_SECRET not in newcomer.config.read_text()
    assert AZURE_KEY not in newcomer.config.read_text()
    checked = await typed(newcomer, "check")
    assert (checked.code, "next: replicator run" in checked.out) == (0, True), checked.out
    if IS_LONG or kind == "s3":
        assert (await typed(newcomer, "watch", "--once")).code == 0
        applied = await typed(newcomer, "apply", "archive", "--once")
        assert (applied.code, "15 segments copied" in applied.out) == (0, True), applied.err
        assert (await typed(newcomer, "verify", "archive", "--level", "checksum")).code == 0


@pytest.mark.xdist_group("mariadb")
async def test_mysql_as_a_target(newcomer: Newcomer, mariadb: Mariadb):
    """Its user has no password, so no variable of one is set."""
    standby = "STANDBY_PASSWORD"
    async with mariadb.database(None) as empty:
        host = empty.rpartition("@")[2]
        for bad, said in (
            (f"mysql://{host.replace(host.partition('/')[2], 'nosuch')}", "nosuch"),
            (f"mysql://nobody:wrong@{host}", "Access denied"),
            (f"mysql://root@127.0.0.1:1/{host.partition('/')[2]}", "127.0.0.1:1"),
        ):
            refused = await inits(newcomer, target=bad, without=standby)
            told = refused.err
            code = 8 if said in MAY_COME else 2
            assert (refused.code, "--target:" in told, said in told) == (code, True, True), told
            assert not newcomer.config.exists()
        wrote = await inits(newcomer, target=empty, without=standby)
        assert wrote.code == 0, wrote.err
        assert load(newcomer.config, {}).targets["standby"].metadata is not None
        assert (await typed(newcomer, "target", "create", "standby", without=standby)).code == 0
        checked = await typed(newcomer, "check", without=standby)
        assert (checked.code, "next: replicator run" in checked.out) == (0, True), checked.out


@pytest.mark.xdist_group("mariadb")
async def test_mysql_as_a_source(newcomer: Newcomer, mariadb: Mariadb):
    """A database without Druid's tables is not taken, one with them is."""
    async with mariadb.database(None) as empty, mariadb.database() as source:
        refused = await inits(newcomer, source_metadata=empty, without="SOURCE_PASSWORD")
        assert (refused.code, "there is no table" in refused.err) == (2, True), refused.err
        wrote = await inits(
            newcomer, source_metadata=source, target="archive", without="SOURCE_PASSWORD"
        )
        assert wrote.code == 0, wrote.err
    assert "type: mysql" in newcomer.config.read_text()
