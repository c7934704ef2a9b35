"""What counts for a bucket, from where each came, and keys that end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.loaders import JSONFileLoader

from replicator.adapters.s3.service import LOOKED_AT_EVERY_S, S3Address, S3Keys, s3_service
from replicator.adapters.s3.session import s3_client
from replicator.errors import ConfigError

FILE = """
[default]
region = of-default-1
[profile prod]
region = of-prod-1
endpoint_url = http://prod.test
[profile local]
services = mine
[services mine]
s3 =
  endpoint_url = http://services.test
"""
Said = tuple[str, str]
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nobody_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for _, names, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values():
        for name in [names] if isinstance(names, str) else names or ():
            monkeypatch.delenv(name, raising=False)
    for name in ("AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(FILE)
    (tmp_path / "credentials").write_text(
        "[prod]\naws_access_key_id = OFPROD\naws_secret_access_key = x\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def address(
    *, endpoint_url: str | None = None, region: str | None = None, profile: str | None = None,
    bucket: str = "standby", path_style: bool = False, keys: bool = True,
) -> S3Address:  # fmt: skip
    return S3Address(
        bucket=bucket, prefix="", endpoint_url=endpoint_url, region=region, profile=profile,
        path_style=path_style, access_key_id="OURS" if keys else None,
        secret_access_key="x" if keys else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("region", "profile", "environment", "said"),
    [
        ("eu-1", "prod", {"AWS_REGION": "env-1"}, ("eu-1", "configuration")),
        (None, "prod", {"AWS_REGION": "env-1"}, ("of-prod-1", "profile prod")),
        (None, None, {"AWS_REGION": "env-1"}, ("env-1", "environment, AWS_REGION")),
        (None, None, {"AWS_DEFAULT_REGION": "e-2"}, ("e-2", "environment, AWS_DEFAULT_REGION")),
        (None, None, {"AWS_PROFILE": "prod"}, ("of-prod-1", "profile prod")),
        (None, None, {}, ("of-default-1", "profile default")),
        (None, "local", {}, ("us-east-1", "default")),
    ],
)
def test_the_region(
    monkeypatch: pytest.MonkeyPatch, region: str | None, profile: str | None,
    environment: dict[str, str], said: Said,
):  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert s3_service(address(region=region, profile=profile)).region == said


@pytest.mark.parametrize(
    ("endpoint_url", "profile", "environment", "said"),
    [
        ("http://ours:1/", "prod", {"AWS_ENDPOINT_URL_S3": "http://e"},
         ("http://ours:1", "configuration")),
        (None, "prod", {"AWS_ENDPOINT_URL_S3": "http://e"}, ("http://prod.test", "profile prod")),
        (None, "local", {}, ("http://services.test", "profile local")),
        (None, None, {"AWS_ENDPOINT_URL_S3": "http://e", "AWS_ENDPOINT_URL": "http://f"},
         ("http://e", "environment, AWS_ENDPOINT_URL_S3")),
        (None, None, {"AWS_ENDPOINT_URL": "http://f"},
         ("http://f", "environment, AWS_ENDPOINT_URL")),
        (None, None,
         {"AWS_ENDPOINT_URL": "http://f", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
         ("https://s3.of-default-1.amazonaws.com", "default")),
    ],
)  # fmt: skip
def test_the_endpoint(
    monkeypatch: pytest.MonkeyPatch, endpoint_url: str | None, profile: str | None,
    environment: dict[str, str], said: Said,
):  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert s3_service(address(endpoint_url=endpoint_url, profile=profile)).endpoint == said


@pytest.mark.parametrize(
    ("ours", "bucket_endpoint_url"),
    [
        (address(endpoint_url="http://s3.test:9000"), "http://standby.s3.test:9000"),
        (address(endpoint_url="http://localhost:9000"), "http://standby.localhost:9000"),
        (address(endpoint_url="https://s3.test/x"), "https://standby.s3.test/x"),
        (address(endpoint_url="http://s3.test", path_style=True), "http://s3.test"),
        (address(endpoint_url="http://10.0.0.1:9000"), "http://10.0.0.1:9000"),
        (address(endpoint_url="http://[::1]:9000"), "http://[::1]:9000"),
        (address(endpoint_url="https://s3.test", bucket="a.b"), "https://s3.test"),
        (address(endpoint_url="http://s3.test", bucket="a.b"), "http://a.b.s3.test"),
        (address(endpoint_url="http://s3.test", bucket="Old_One"), "http://s3.test"),
        (address(region="eu-central-1"), "https://standby.s3.eu-central-1.amazonaws.com"),
        (address(region="cn-north-1"), "https://standby.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_bucket_is_in_the_host_or_in_the_path(ours: S3Address, bucket_endpoint_url: str):
    assert s3_service(ours).bucket_endpoint_url == bucket_endpoint_url


async def test_what_counts_is_told_without_secrets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@proxy.test:3128")
    service = s3_service(address(endpoint_url="http://s3.test", keys=False, profile="prod"))
    told = {one.name: (one.value, one.origin) for one in await service.effective()}
    assert told == {
        "endpoint": ("http://s3.test", "configuration"),
        "region": ("of-prod-1", "profile prod"),
        "addressing": ("virtual-hosted", "default"),
        "identity": ("OFPROD", "profile prod, shared-credentials-file"),
        "proxy": ("http://proxy.test:3128", "environment"),
    }


def test_a_profile_that_does_not_exist():
    with pytest.raises(ConfigError, match="ghost"):
        s3_service(address(profile="ghost", keys=False))


async def test_keys_are_renewed_before_they_end():
    now, made = [START], [0]

    def more() -> dict[str, str]:
        made[0] += 1
        end = now[0] + timedelta(minutes=16)
        return {
            "access_key": f"K{made[0]}", "secret_key": "s", "token": "t",
            "expiry_time": end.isoformat(),
        }  # fmt: skip

    found = RefreshableCredentials(
        "K0", "s", "t", now[0] + timedelta(minutes=16), more, "custom-process",
        time_fetcher=lambda: now[0],
    )  # fmt: skip
    keys = S3Keys(found, "profile", clock=lambda: now[0].timestamp() - START.timestamp())
    used = []
    for _ in range(4 * 16):
        used.append((await keys.renewed()).access_key)
        now[0] += timedelta(seconds=LOOKED_AT_EVERY_S)
    assert keys.end
    first_life = timedelta(minutes=16) / timedelta(seconds=LOOKED_AT_EVERY_S)
    assert used.count("K0") < first_life - 2
    assert len(set(used)) == made[0] + 1
    assert not S3Keys(Credentials("a", "b"), "configuration").end


async def test_the_definitions_of_the_service_are_read_for_the_first_client_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    async def opened(bucket: str) -> None:
        async with s3_client(s3_service(address(bucket=bucket, endpoint_url="http://s3.test"))):
            pass

    def refused(_: JSONFileLoader, path: str) -> object:
        raise AssertionError(f"{path} is read again")

    await opened("one")
    monkeypatch.setattr(JSONFileLoader, "load_file", refused)
    await opened("another")
