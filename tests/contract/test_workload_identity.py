"""Who asks a cloud where nobody configured a login: each library's own chain, and a local endpoint.

The endpoint plays what machines, containers and pods of the three clouds ask for their login, and
a proxy plays the clouds. What the endpoint gives ends soon.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from google.auth.compute_engine import _metadata

from replicator.adapters.azure import AzureAddress, azure_storage
from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.google.storage import GoogleAddress, google_storage
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.service import S3Address
from replicator.adapters.s3.storage import S3Storage
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.model.load_spec import Location
from replicator.ports import Effective
from tests.contract.storages import Origin
from tests.contract.test_configured import variables
from tests.servers.recorder import Asked, Recorder, recorder, refusal

KIB = 1024
SIZES = Sizes(part_bytes=256 * KIB, parts_in_flight_max=2)
SMALL, LARGE = b"small" * 100, b"l" * (700 * KIB)
ONE, TWO = (Location(f"wiki/i/v/{n}/index.zip") for n in range(2))
CLOCK = SystemClock()


@dataclass
class Endpoint:
    """Gives logins with a number, and knows which of them have ended."""

    lifetime: timedelta
    given: list[datetime] = field(default_factory=list)
    """When each ends."""

    def give(self) -> int:
        self.given.append(CLOCK.now() + self.lifetime)
        return len(self.given)

    def is_good(self, number: int) -> bool:
        return CLOCK.now() < self.given[number - 1]

    def keys(self) -> web.Response:
        """Return keys as Amazon's endpoints do."""
        number = self.give()
        return web.json_response(
            {
                "Code": "Success", "Type": "AWS-HMAC",
                "AccessKeyId": f"KEY{number}", "SecretAccessKey": "s", "Token": f"token{number}",
                "Expiration": f"{self.given[-1]:%Y-%m-%dT%H:%M:%SZ}",
                "LastUpdated": "2026-01-01T00:00:00Z",
            }
        )  # fmt: skip

    def amazon(self, asked: Asked) -> web.Response | None:
        """Answer as a container's, an instance's or the token service's endpoint."""
        match asked.path:
            case "/container":
                assert asked.headers["Authorization"] == "from-the-agent"
                return self.keys()
            case "/latest/api/token":
                return web.Response(text="session")
            case "/latest/meta-data/iam/security-credentials/":
                return web.Response(text="role")
            case "/latest/meta-data/iam/security-credentials/role":
                return self.keys()
            case "/sts" | "/sts/":
                assert b"WebIdentityToken=of-the-pod" in asked.body
                number = self.give()
                return web.Response(
                    text="<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"
                    f"<Credentials><AccessKeyId>KEY{number}</AccessKeyId>"
                    f"<SecretAccessKey>s</SecretAccessKey><SessionToken>token{number}</SessionToken>"
                    f"<Expiration>{self.given[-1].isoformat()}</Expiration></Credentials>"
                    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
                    content_type="text/xml",
                )
            case _:
                return self.refused_by_amazon(asked)

    def refused_by_amazon(self, asked: Asked) -> web.Response | None:
        signed = re.search(r"Credential=KEY(\d+)/", asked.headers["Authorization"])
        assert signed is not None, asked
        assert asked.headers["X-Amz-Security-Token"] == f"token{signed[1]}"
        return None if self.is_good(int(signed[1])) else refusal(400, "ExpiredToken")

    def google(self, asked: Asked) -> web.Response | None:
        """Answer as Google's metadata server does."""
        if asked.host.startswith("127.0.0.1"):
            flavor = {"Metadata-Flavor": "Google"}
            assert asked.headers["Metadata-Flavor"] == "Google"
            if asked.path.endswith("/token"):
                told = {"access_token": f"token{self.give()}", "token_type": "Bearer"}
                left = {"expires_in": int(self.lifetime.total_seconds())}
                return web.json_response({**told, **left}, headers=flavor)
            if "/service-accounts/" in asked.path:
                mail = {"email": "pod@project.test", "scopes": ["devstorage"], "aliases": []}
                return web.json_response(mail, headers=flavor)
            return web.Response(text="project", headers=flavor)
        return self.refused_bearer(asked)

    def azure(self, asked: Asked) -> web.Response | None:
        """Answer as a managed identity's endpoint, or the login service of a pod's."""
        if asked.path == "/msi":
            assert asked.headers["x-identity-header"] == "of-the-app"
            assert asked.query["resource"] == "https://storage.azure.com"
            told = {"access_token": f"token{self.give()}", "token_type": "Bearer"}
            ends = {"expires_on": str(int(self.given[-1].timestamp())), "resource": "storage"}
            return web.json_response({**told, **ends})
        if asked.path == "/tenant/oauth2/v2.0/token":
            assert b"client_assertion=of-the-pod" in asked.body
            told = {"access_token": f"token{self.give()}", "token_type": "Bearer"}
            left = {"expires_in": int(self.lifetime.total_seconds())}
            return web.json_response({**told, **left})
        return self.refused_bearer(asked)

    def refused_bearer(self, asked: Asked) -> web.Response | None:
        signed = re.fullmatch(r"Bearer token(\d+)", asked.headers.get("Authorization", ""))
        assert signed is not None, asked
        return None if self.is_good(int(signed[1])) else web.Response(status=401)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recorder]:
    """A machine on which nobody said anything; clouds are behind a proxy."""
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    async with recorder() as found:
        monkeypatch.setenv("http_proxy", found.url)
        yield found


async def used(storage: ObjectStorage) -> None:
    """Ask by all clients of a storage."""
    await storage.probe()
    await asyncio.sleep(0.15)  # obstore takes what it was given less than 0.1 s ago
    for place, data in ((ONE, SMALL), (TWO, LARGE)):
        await storage.put(place, await Origin({"": data}).copy_source(place))
        await storage.check(place)


def s3() -> S3Storage:
    return S3Storage(
        S3Address(
            bucket="standby", prefix="druid/segments", endpoint_url="http://s3.test",
            region="r", path_style=True,
        ),
        pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES, clock=SystemClock(),
    )  # fmt: skip


def of_container(url: str, folder: Path) -> dict[str, str]:
    del folder
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/container",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "from-the-agent",
    }


def of_instance(url: str, folder: Path) -> dict[str, str]:
    del folder
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url}


def of_pod(url: str, folder: Path) -> dict[str, str]:
    (folder / "token").write_text("of-the-pod")
    return {
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/replicator",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"),
        "AWS_ENDPOINT_URL_STS": f"{url}/sts",
    }


@pytest.mark.parametrize(
    ("where", "origin"),
    [
        (of_container, "role of the container"),
        (of_instance, "role of the instance"),
        (of_pod, "web identity"),
    ],
)
async def test_amazon(
    world: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    where: Callable[[str, Path], dict[str, str]],
    origin: str,
):
    for name, value in where(world.url, tmp_path).items():
        monkeypatch.setenv(name, value)
    endpoint = Endpoint(timedelta(hours=1))
    world.refuse = endpoint.amazon
    async with await asyncio.to_thread(s3) as storage:  # the endpoint answers on this loop
        await used(storage)
        told = {one.name: one for one in await storage.effective()}
    assert told["identity"] == Effective(name="identity", value="KEY1", origin=origin)
    assert len(endpoint.given) == 1, "one login for both clients"


async def test_keys_of_a_role_are_renewed_before_they_end(
    world: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Amazon's last for an hour and are looked at twice a minute: all of it in a hundredth."""
    monkeypatch.setattr("replicator.adapters.s3.service.LOOKED_AT_EVERY_S", 0.3)
    renewed = timedelta(minutes=5, seconds=0.3)
    monkeypatch.setattr("replicator.adapters.s3.session.RENEWED_AFTER", renewed)
    for name, value in of_container(world.url, tmp_path).items():
        monkeypatch.setenv(name, value)
    endpoint = Endpoint(timedelta(seconds=5))
    refused: list[Asked] = []

    def answer(asked: Asked) -> web.Response | None:
        found = endpoint.amazon(asked)
        if found is not None and found.status == 400:
            refused.append(asked)
        return found

    world.refuse = answer
    async with await asyncio.to_thread(s3) as storage:  # the endpoint answers on this loop
        await used(storage)
        while endpoint.is_good(1):
            await used(storage)
            await asyncio.sleep(0.5)
        await used(storage)
    assert not refused
    assert len(endpoint.given) > 2


@pytest.fixture
async def machine() -> AsyncIterator[Recorder]:
    """Who gives this machine its login: never asked through the proxy, which has its own."""
    async with recorder() as found:
        yield found


LIFETIMES = pytest.mark.parametrize(
    ("lifetime", "is_renewed"), [(timedelta(hours=1), False), (timedelta(minutes=3), True)]
)
"""The libraries ask for another token some minutes before one ends."""


@LIFETIMES
async def test_google(
    world: Recorder,
    machine: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    lifetime: timedelta,
    *,
    is_renewed: bool,
):
    host = machine.url.removeprefix("http://")
    monkeypatch.setenv("GCE_METADATA_IP", host)
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)  # it reads the variable once
    monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", False)
    endpoint = Endpoint(lifetime)
    world.refuse = machine.refuse = endpoint.google
    address = GoogleAddress(
        bucket="standby", prefix="druid/segments", endpoint_url="http://google.test"
    )
    async with google_storage(
        address, pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES
    ) as storage:
        await used(storage)
        assert (len(endpoint.given) > 1) is is_renewed
        told = {one.name: one for one in await storage.effective()}
        assert told["identity"].value == "pod@project.test"
    assert world.hosts == {"google.test"}


@LIFETIMES
async def test_azure(
    world: Recorder,
    machine: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    lifetime: timedelta,
    *,
    is_renewed: bool,
):
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{machine.url}/msi")
    monkeypatch.setenv("IDENTITY_HEADER", "of-the-app")
    endpoint = Endpoint(lifetime)
    world.refuse = machine.refuse = endpoint.azure
    await _azure_is_used("managed identity")
    assert (len(endpoint.given) > 1) is is_renewed
    assert world.hosts == {"account.blob.test"}


async def test_azure_of_a_pod(world: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "token").write_text("of-the-pod")
    for name, value in {
        "AZURE_CLIENT_ID": "client",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_AUTHORITY_HOST": world.url,
    }.items():
        monkeypatch.setenv(name, value)
    endpoint = Endpoint(timedelta(hours=1))
    world.refuse = endpoint.azure
    await _azure_is_used("client")
    assert len(endpoint.given) == 1


async def _azure_is_used(identity: str) -> None:
    address = AzureAddress(
        account="account", container="standby", prefix="druid/segments",
        endpoint_url="http://account.blob.test",
    )  # fmt: skip
    async with azure_storage(
        address, pace=Pace(), in_flight=InFlight(1 << 26), sizes=SIZES
    ) as storage:
        await used(storage)
        told = {one.name: one for one in await storage.effective()}
    assert told["identity"].value == identity
