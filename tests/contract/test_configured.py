"""What is configured is all that counts: each request of each storage, in a hostile environment.

Every variable that botocore, obstore and google-auth read is set to another login, region,
endpoint, emulator or proxy, and a proxy records where the requests go and who signed them.
"""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Literal

import google.auth.environment_vars
import orjson
import pytest
from aiohttp import web
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, DEFAULT_S3_CONFIG_VARS
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from replicator.adapters.azure import AzureAddress, azure_reader, azure_storage
from replicator.adapters.bucket.storage import COPIES_OVER, ObjectStorage
from replicator.adapters.google.storage import GoogleAddress, google_reader, google_storage
from replicator.adapters.hdfs import HdfsAddress, hdfs_reader, hdfs_storage
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.lock import S3Lock
from replicator.adapters.s3.service import S3Address, S3Writing
from replicator.adapters.s3.storage import S3Reader, S3Storage
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import ConfigError, MissingObjectError, RefusedError
from replicator.model.load_spec import Location
from replicator.ports import CopySource, DeepStorageReader
from tests.contract.storages import Origin
from tests.servers.recorder import Asked, Recorder, recorder, refusal
from tests.servers.stores import AZURE_KEY

KIB = 1024
SIZES = Sizes(part_bytes=256 * KIB, parts_in_flight_max=2)
SMALL, LARGE, COPIED = b"small" * 100, b"l" * (700 * KIB), b"c" * (1100 * KIB)
ONE, TWO, THREE = (Location(f"wiki/i/v/{n}/index.zip") for n in range(3))
FOLDER = Location("wiki/i/v/4/index/")
LOGINS = {
    "AWS_ACCESS_KEY_ID": "HOSTILE", "AWS_SECRET_ACCESS_KEY": "hostile",
    "AWS_SESSION_TOKEN": "hostile-token", "AWS_TOKEN": "hostile-token",
    "NETRC": "netrc",
}  # fmt: skip
FLAGS = re.compile(
    r"SKIP|ALLOW|USE_|DISABLE|IGNORE|ENABLED|V1|EXPRESS|PAYER|STYLE|UNSIGNED|FALLBACK|NO_GCE"
)
PLACES = re.compile(r"ENDPOINT|URL|_HOST|METADATA_IP|METADATA_ROOT|PROXY")
NUMBERS = re.compile(r"TIMEOUT|ATTEMPTS|PORT|BYTES|RETRIES")
WORDS = {
    "AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_KMS_KEY_ID": "hostile-key",
    "AWS_CONDITIONAL_PUT": "disabled", "AWS_COPY_IF_NOT_EXISTS": "multipart",
    "AWS_CHECKSUM_ALGORITHM": "sha256",
    "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY[::-1], "AWS_RETRY_MODE": "legacy",
    "AWS_DEFAULTS_MODE": "mobile", "AZURE_CREDENTIAL_TYPE": "azure_cli",
    "AWS_STS_REGIONAL_ENDPOINTS": "legacy", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy",
}  # fmt: skip


def variables() -> set[str]:
    """Return the names of all variables that the clouds' libraries read."""
    found = {"AWS_REGION", "AWS_PROXY_URL", "AZURE_PROXY_URL", "AWS_ALLOW_INVALID_CERTIFICATES"}
    found |= {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AZURE_STORAGE_CONNECTION_STRING"}
    found |= {"STORAGE_EMULATOR_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "NETRC"}
    spec = find_spec("obstore")
    assert spec is not None
    assert spec.origin is not None
    for stub in Path(spec.origin).parent.glob("_store/*.pyi"):
        found |= set(re.findall(r"`((?:AWS|AZURE|GOOGLE)_[A-Z0-9_]+)`", stub.read_text()))
    for described in (BOTOCORE_DEFAUT_SESSION_VARIABLES, DEFAULT_S3_CONFIG_VARS):
        for _, names, *_ in described.values():
            found |= {names} if isinstance(names, str) else set(names or ())
    found |= {
        name for name in vars(google.auth.environment_vars).values()
        if isinstance(name, str) and re.fullmatch(r"[A-Z_]+", name)
    }  # fmt: skip
    return found


def hostile(name: str, folder: Path) -> str:
    """Return what would lead astray."""
    if name in LOGINS:
        return str(folder / "netrc") if name == "NETRC" else LOGINS[name]
    if name in WORDS:
        return WORDS[name]
    if name in {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}:
        return str(folder / name)
    if FLAGS.search(name) and "ENDPOINT_URL" not in name.removeprefix("AWS_IGNORE"):
        return "true"
    if PLACES.search(name):
        return "http://hostile.test:1"
    return "1" if NUMBERS.search(name) else "hostile"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recorder]:
    """A proxy, and an environment that says something else than the configuration everywhere."""
    (tmp_path / "netrc").write_text("default login hostile password hostile\n")
    (tmp_path / "AWS_CONFIG_FILE").write_text(
        "[profile hostile]\nregion = hostile-1\nendpoint_url = http://hostile.test:1\n"
        "s3 =\n  addressing_style = path\n  use_accelerate_endpoint = true\n"
    )
    (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text(
        "[hostile]\naws_access_key_id = HOSTILE\naws_secret_access_key = hostile\n"
    )
    for name in variables():
        monkeypatch.setenv(name, hostile(name, tmp_path))
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with recorder() as found:
        monkeypatch.setenv("http_proxy", found.url)
        yield found
        assert not [asked for asked in found.seen if "hostile" in f"{asked}".lower()]


async def every_operation(storage: ObjectStorage, reader: DeepStorageReader) -> None:
    """Do all that a storage can do, with small and large objects, folders and copies."""
    await storage.probe()
    assert await storage.receipt(ONE) is None
    await storage.put(ONE, await Origin({"": SMALL}).copy_source(ONE))
    await storage.put(TWO, await Origin({"": LARGE}).copy_source(TWO))
    for name, data in (("from/index.zip", COPIED), ("from/x/index/a", b"a")):
        await storage.bucket.replace(f"druid/segments/{name}", data)
    there = Location("druid/segments/from/index.zip")
    objects = tuple(await reader.objects(there))
    await storage.put(THREE, CopySource(reader=reader, location=there, objects=objects))
    await storage.put(FOLDER, await Origin({"a": SMALL, "b": LARGE}).copy_source(FOLDER))
    for place in (ONE, TWO, THREE, FOLDER):
        assert await storage.receipt(place) is not None
        assert await storage.written_receipt(place) is not None
        await storage.check(place)
    await storage.objects(ONE, ahead=True)
    receipt = await storage.receipt(ONE)
    assert receipt is not None
    await storage.write_receipt(ONE, receipt)
    await storage.replace(ONE, await Origin({"": SMALL}).copy_source(ONE), None)
    await storage.extend(ONE, SystemClock().now() + timedelta(days=1))
    area = storage.area()
    assert await area.create("history/x", b"x")
    await area.replace("history/x", b"y")
    assert await area.get("history/x") == b"y"
    assert await area.names("history/") == ["history/x"]
    await area.delete("history/x")
    assert [place async for page in storage.stored_locations(lambda _: False) for place in page]
    for place in (ONE, TWO, THREE, FOLDER):
        await storage.remove(place)
    with pytest.raises(MissingObjectError):
        await storage.objects(ONE)


def s3(endpoint_url: str, bucket: str, *, path_style: bool) -> S3Address:
    return S3Address(
        bucket=bucket, prefix="druid/segments", endpoint_url=endpoint_url, region="configured-1",
        path_style=path_style, access_key_id="CONFIGURED", secret_access_key="configured",
    )  # fmt: skip


def of_s3(asked: Asked, host: str) -> None:
    """Check that a request went there, in that region, by that key, and with nothing else."""
    assert asked.host == host, asked
    signed = asked.headers["Authorization"]
    assert re.search(r"Credential=CONFIGURED/\d{8}/configured-1/s3/aws4_request", signed), signed
    unwanted = ("security-token", "encryption", "request-payer", "storage-class", "tagging")
    assert not [name for name in asked.headers if any(word in name.lower() for word in unwanted)]


@pytest.mark.parametrize("mode", [None, "governance"])
@pytest.mark.parametrize("path_style", [True, False])
async def test_s3(
    world: Recorder, *, path_style: bool, mode: Literal["governance", "compliance"] | None
):
    address = s3("http://s3.configured.test:81", "standby", path_style=path_style)
    source = s3("http://s3.configured.test:81", "standby", path_style=path_style)
    clock = SystemClock()
    lock = None
    if mode is not None:
        lock = S3Lock(mode=mode, retention=timedelta(days=1), clock=clock)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(
            S3Storage(
                address, pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES, clock=clock,
                lock=lock,
            )
        )  # fmt: skip
        # the whole bucket: the same keys, read by another login of the same service
        reader = S3Reader(_whole(source), pace=Pace(), sizes=SIZES)
        await every_operation(storage, reader)
    host = "s3.configured.test:81" if path_style else "standby.s3.configured.test:81"
    for asked in world.seen:
        of_s3(asked, host)
        assert asked.path.startswith("/standby") is path_style, asked
    kinds = {(asked.method, name) for asked in world.seen for name in asked.query}
    assert kinds >= {
        ("GET", "list-type"), ("GET", "uploads"), ("POST", "uploads"), ("PUT", "partNumber"),
        ("POST", "uploadId"),
    }  # fmt: skip
    assert any("x-amz-copy-source" in asked.headers for asked in world.seen)


async def test_what_s3_is_given_is_encrypted_and_kept_as_configured(world: Recorder):
    """Each request that makes an object says so, whichever client sends it."""
    writing = S3Writing(
        encryption="aws:kms", kms_key_id="configured-key", bucket_key=True,
        storage_class="STANDARD_IA",
    )  # fmt: skip
    address = replace(
        s3("http://s3.configured.test:81", "standby", path_style=True), writing=writing
    )
    clock = SystemClock()
    for lock in (None, S3Lock(mode="governance", retention=timedelta(days=1), clock=clock)):
        async with S3Storage(
            address, pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES, clock=clock, lock=lock
        ) as storage:
            reader = S3Reader(_whole(address), pace=Pace(), sizes=SIZES)
            await every_operation(storage, reader)
    making = [asked for asked in world.seen if _makes_an_object(asked)]
    assert {(asked.method, "uploads" in asked.query) for asked in making} == {
        ("PUT", False), ("POST", True),
    }  # fmt: skip
    assert any("x-amz-copy-source" in asked.headers for asked in making)
    wanted = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "configured-key",
        "x-amz-server-side-encryption-bucket-key-enabled": "true",
        "x-amz-storage-class": "STANDARD_IA",
    }
    for asked in making:
        said = {name: asked.headers.get(name, "").lower() for name in wanted}
        assert said == {name: value.lower() for name, value in wanted.items()}, asked


def _makes_an_object(asked: Asked) -> bool:
    is_part = "partNumber" in asked.query or "retention" in asked.query
    return (asked.method == "PUT" and not is_part) or (
        "uploads" in asked.query and (asked.method == "POST")
    )


def _whole(address: S3Address) -> S3Address:
    return S3Address(
        bucket=address.bucket, prefix="", endpoint_url=address.endpoint_url, region=address.region,
        path_style=address.path_style, access_key_id="CONFIGURED", secret_access_key="configured",
    )  # fmt: skip


async def test_azure(world: Recorder):
    address = AzureAddress(
        account="configured", container="standby", prefix="druid/segments",
        endpoint_url="http://configured.blob.test", account_key=AZURE_KEY,
    )  # fmt: skip
    whole = AzureAddress(
        account="configured", container="standby", prefix="",
        endpoint_url="http://configured.blob.test", account_key=AZURE_KEY,
    )  # fmt: skip
    async with azure_storage(
        address, pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES
    ) as storage:
        await every_operation(storage, azure_reader(whole, pace=Pace(), sizes=SIZES))
    assert world.hosts == {"configured.blob.test"}
    for asked in world.seen:
        assert asked.headers["Authorization"].startswith("SharedKey configured:")
        assert asked.path.startswith("/standby")


async def test_google(world: Recorder, tmp_path: Path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    told = {
        "type": "service_account", "client_email": "configured@test", "private_key": pem,
        "private_key_id": "1", "token_uri": "http://token.configured.test/token",
    }  # fmt: skip
    file = tmp_path / "key.json"
    file.write_bytes(orjson.dumps(told))

    def address(prefix: str) -> GoogleAddress:
        return GoogleAddress(
            bucket="standby", prefix=prefix, endpoint_url="http://google.configured.test",
            key_file=file,
        )  # fmt: skip

    reader = google_reader(address(""), pace=Pace(), sizes=SIZES)
    async with google_storage(
        address("druid/segments"), pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES
    ) as storage:
        await every_operation(storage, reader)
        await reader.close()
    assert world.hosts == {"google.configured.test", "token.configured.test"}
    for asked in world.seen:
        if asked.host == "google.configured.test":
            assert asked.headers["Authorization"] == "Bearer google-token"
            assert "/b/standby/o" in asked.path
        else:
            assert "Authorization" not in asked.headers


async def test_hdfs(world: Recorder):
    def address(root: str) -> HdfsAddress:
        return HdfsAddress(urls=("http://configured.test",), root=root, user="configured")

    reader = hdfs_reader(address("/"), pace=Pace(), sizes=SIZES, clock=SystemClock())
    async with hdfs_storage(
        address("/"), pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES, clock=SystemClock()
    ) as storage:
        await every_operation(storage, reader)
        await reader.close()
    assert world.hosts == {"configured.test", "datanode.configured.test"}
    for asked in world.seen:
        assert asked.query["user.name"] == "configured"
        assert "Authorization" not in asked.headers


def test_the_environment_is_as_it_was(world: Recorder):
    del world
    before = dict(os.environ)
    S3Reader(s3("http://x.test", "standby", path_style=True), pace=Pace(), sizes=SIZES)
    assert dict(os.environ) == before
    assert os.environb[b"AWS_SESSION_TOKEN"] == b"hostile-token"


def of_this(world: Recorder, bucket: str = "standby") -> S3Storage:
    del world
    address = s3("http://s3.configured.test:81", bucket, path_style=True)
    return S3Storage(
        address, pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES, clock=SystemClock()
    )


async def test_a_copy_never_replaces_what_the_service_would_let_it_replace(
    world: Recorder, monkeypatch: pytest.MonkeyPatch
):
    """Seen with versitygw 1.8, moto 5.2 and s3proxy 4.1: CopyObject ignores If-None-Match."""
    world.refuse = _copies_over
    async with of_this(world) as storage:
        assert await storage.probe() == (COPIES_OVER,)
        reader = S3Reader(
            _whole(s3("http://s3.configured.test:81", "standby", path_style=True)),
            pace=Pace(), sizes=SIZES,
        )  # fmt: skip
        await storage.bucket.replace("druid/segments/from/index.zip", COPIED)
        there = Location("druid/segments/from/index.zip")
        objects = tuple(await reader.objects(there))
        assert await storage.receipt(ONE) is None
        await storage.bucket.replace(storage.key(ONE), SMALL)  # by somebody else
        later = monotonic() + 60
        monkeypatch.setattr("replicator.adapters.bucket.storage.monotonic", lambda: later)
        copy_source = CopySource(reader=reader, location=there, objects=objects)
        with pytest.raises(RefusedError, match="other bytes"):
            await storage.put(ONE, copy_source)
        assert world.kept[f"s3.configured.test:81/standby/{storage.key(ONE)}"].data == SMALL
        await storage.put(TWO, copy_source)
        assert (await storage.check(TWO))[0].size_bytes == len(COPIED)
        await reader.close()


def _copies_over(asked: Asked) -> web.Response | None:
    if "x-amz-copy-source" in asked.headers:
        del asked.headers["If-None-Match"]
    return None


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda asked: "list-type" in asked.query, "cannot list"),
        (lambda asked: asked.method == "HEAD" and asked.path.endswith("/none"), "s3:ListBucket"),
        (lambda asked: "uploads" in asked.query, "upload"),
    ],
)
async def test_a_probe_tries_all_that_is_needed(
    world: Recorder, refused: Callable[[Asked], bool], words: str
):
    def refuse(asked: Asked) -> web.Response | None:
        return refusal(403, "AccessDenied") if refused(asked) else None

    world.refuse = refuse
    async with of_this(world) as storage:
        with pytest.raises(ConfigError) as found:
            await storage.probe()
        assert words in f"{found.value} {found.value.hint}"
    assert not world.kept


@pytest.mark.parametrize("status", [301, 400])
async def test_a_bucket_of_another_region_is_said_so(world: Recorder, status: int):
    def refuse(asked: Asked) -> web.Response | None:
        del asked
        return web.Response(status=status, headers={"x-amz-bucket-region": "eu-west-1"})

    world.refuse = refuse
    async with of_this(world) as storage:
        with pytest.raises(ConfigError, match="is in region eu-west-1") as found:
            await storage.receipt(ONE)
        assert found.value.hint == "set region: eu-west-1"


async def test_a_server_whose_copies_obey_lacks_nothing(world: Recorder):
    async with of_this(world) as storage:
        assert await storage.probe() == ()
    assert any("x-amz-copy-source" in asked.headers for asked in world.seen)
    assert not world.kept


@pytest.mark.parametrize("write", ["create", "replace", "mend"])
async def test_nothing_of_ours_is_written_where_a_write_could_replace_what_is_there(
    world: Recorder, write: str
):
    """Also by who only writes a file of ours, or only repairs: a hold, an expiry, a repair."""
    world.ignores_if_none_match = True
    async with of_this(world) as storage:
        area, copy_source = storage.area(), await Origin({"": SMALL}).copy_source(ONE)
        writes: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: area.create("history/x", b"x"),
            "replace": lambda: area.replace("points", b"x"),
            "mend": lambda: storage.replace(ONE, copy_source, None),
        }
        with pytest.raises(ConfigError, match="If-None-Match has no effect"):
            await writes[write]()
    assert not world.kept
    world.ignores_if_none_match = False
    async with of_this(world) as storage:
        await storage.area().create("history/x", b"x")
        await storage.area().replace("points", b"x")
        await storage.replace(ONE, copy_source, None)
    assert len({asked.path for asked in world.seen if "probe-" in asked.path}) < 8  # tried once


async def test_a_server_that_knows_no_conditional_writes_is_said_so(world: Recorder):
    async with of_this(world) as storage:
        world.refuse = lambda asked: refusal(501, "NotImplemented")
        with pytest.raises(ConfigError, match="501") as found:
            await storage.probe()
        assert "conditional writes" in found.value.hint
    world.refuse, world.ignores_if_none_match = lambda _: None, True
    async with of_this(world) as storage:
        with pytest.raises(ConfigError, match="If-None-Match has no effect"):
            await storage.probe()
