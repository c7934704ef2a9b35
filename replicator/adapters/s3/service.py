"""The settings in force for one S3 bucket, decided here once; both clients are made from them.

The configuration decides. What it leaves open is looked up as the AWS SDK does: address and region
in profile and environment, keys in the SDK's whole chain
(https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader
from botocore.session import Session

from replicator.adapters.machine.threads import Threads
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.errors import ConfigError
from replicator.ports import Effective

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

AMAZON = re.compile(r"(^|\.)amazonaws\.com(\.cn)?$")
HOST_LABELS = re.compile(r"[a-z0-9]([a-z0-9.-]{1,61}[a-z0-9])")
"""Bucket names that can be part of a host name; a name with dots fits no HTTPS certificate."""
LOOKED_AT_EVERY_S = 30.0
"""Seconds between checks of expiring keys: botocore renews them 10 to 15 minutes before."""
CONFIGURATION, DEFAULT = "configuration", "default"
PATH, IN_HOST = "path", "virtual-hosted"
"""Whether the bucket is in the path or in the host name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Writing:
    """Settings of each request that makes an object; None leaves a setting to the bucket."""

    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = None
    bucket_key: bool = False
    storage_class: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Address:
    """A bucket's address and login, as configured; None: left to the SDK's sources."""

    bucket: str
    prefix: str
    endpoint_url: str | None = None
    region: str | None = None
    path_style: bool = False
    profile: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    writing: S3Writing = field(default_factory=S3Writing)
    ca_file: Path | None = None
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 300.0


class Setting(NamedTuple):
    """A setting's value, and where it comes from."""

    value: str
    origin: str


class S3Keys:
    """The keys of one login; expiring keys are renewed in time, for both clients."""

    def __init__(
        self, credentials: Credentials, origin: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the credentials that botocore found; makes no request."""
        self.origin = origin
        self.end = isinstance(credentials, RefreshableCredentials)
        self._credentials, self._clock = credentials, clock
        self._lock = Lock()
        self._current: ReadOnlyCredentials | None = None
        self._looked_at_s = 0.0
        self._threads = Threads(
            "what gives keys for S3", threads_max=1, hint="look at the SDK's profile and its role"
        )

    def current(self) -> "ReadOnlyCredentials":
        """Return keys that are valid for minutes; may request new ones, which takes seconds.

        Raises:
            BotoCoreError: the provider gives no keys.
        """
        with self._lock:
            if self._current is None or self._is_due():
                self._current = self._credentials.get_frozen_credentials()
                self._looked_at_s = self._clock()
            return self._current

    async def renewed(self) -> "ReadOnlyCredentials":
        """Return the current keys without blocking the event loop."""
        if (current := self._current) is not None and not self._is_due():
            return current
        return await self._threads.answered(self.current)

    def _is_due(self) -> bool:
        return self.end and self._clock() - self._looked_at_s >= LOOKED_AT_EVERY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Service:
    """The settings in force for one bucket."""

    address: S3Address
    endpoint: Setting
    """The service's address, without the bucket."""
    region: Setting
    style: Setting
    """`path` or `virtual-hosted`."""
    keys: S3Keys
    proxy_url: str | None

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.address.bucket

    @property
    def path_style(self) -> bool:
        """Whether the bucket's name is in the path rather than in the host name."""
        return self.style.value == PATH

    @property
    def bucket_endpoint_url(self) -> str:
        """The service's address, with the bucket in the host name if it belongs there."""
        return _with_bucket(self.address, self.endpoint, self.style)

    @property
    def name(self) -> tuple[str, str]:
        """Identity of the service: it copies between two buckets if theirs are equal."""
        host = _netloc(urlsplit(self.endpoint.value))
        # Amazon copies between its regions; to any other service each region may be a cluster of
        # its own.
        if AMAZON.search(host):
            return "amazonaws.com.cn" if host.endswith(".cn") else "amazonaws.com", ""
        return host, self.region.value

    async def effective(self) -> tuple[Effective, ...]:
        """Return the settings in force, and where each comes from.

        Raises:
            ConfigError: there are no credentials any more.
        """
        try:
            keys = await self.keys.renewed()
        except BotoCoreError as exc:
            raise ConfigError(f"s3://{self.bucket}: no credentials: {exc}") from exc
        return (
            Effective(name="endpoint", value=self.endpoint.value, origin=self.endpoint.origin),
            Effective(name="region", value=self.region.value, origin=self.region.origin),
            Effective(name="addressing", value=self.style.value, origin=self.style.origin),
            Effective(name="identity", value=keys.access_key or "", origin=self.keys.origin),
            Effective.proxied(self.proxy_url),
        )


def s3_service(address: S3Address) -> S3Service:
    """Decide the settings in force; credentials are looked up now.

    Raises:
        ConfigError: no credentials are found, or the named profile does not exist.
    """
    try:
        return _decided(address, _SdkSettings(address))
    except (BotoCoreError, ValueError) as exc:
        raise ConfigError(
            f"s3://{address.bucket}: {exc}",
            hint="set access_key_id_env and secret_access_key_env, a profile, or what the AWS SDK"
            " looks at: environment, shared credentials file, web identity, instance role",
        ) from exc


def s3_endpoint(address: S3Address) -> str:
    """Return the effective address of the service, without looking up credentials.

    Raises:
        ConfigError: the named profile does not exist.
    """
    sdk = _SdkSettings(address)
    try:
        return _endpoint(address, sdk, _region(address, sdk)).value
    except BotoCoreError as exc:
        raise ConfigError(f"s3://{address.bucket}: {exc}") from exc


def _decided(address: S3Address, sdk: "_SdkSettings") -> S3Service:
    region = _region(address, sdk)
    endpoint = _endpoint(address, sdk, region)
    style = _style(address, endpoint.value)
    return S3Service(
        address=address,
        endpoint=endpoint,
        region=region,
        style=style,
        keys=_keys(address, sdk, region),
        proxy_url=proxy_for(_with_bucket(address, endpoint, style)),
    )


class _SdkSettings:
    """Settings in the AWS SDK's files and environment, read at their first use."""

    def __init__(self, address: S3Address) -> None:
        self._address = address
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        if self._session is None:
            self._session = Session(profile=self._address.profile)
            if self._address.region is not None:
                self._session.set_config_variable("region", self._address.region)
        return self._session

    @property
    def profile(self) -> str:
        return f"profile {self.session.profile or 'default'}"

    def in_files(self, name: str) -> str | None:
        found = self.session.get_scoped_config().get(name)
        return found if isinstance(found, str) and found else None

    def endpoint_in_files(self) -> str | None:
        """Return the endpoint that a profile sets for S3, or for all services.

        https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
        """
        section: Any = {}
        if (services := self.in_files("services")) is not None:
            section = self.session.full_config.get("services", {}).get(services, {}).get("s3", {})
        url = section.get("endpoint_url") if isinstance(section, dict) else None
        return url or self.in_files("endpoint_url")

    @property
    def ignores_endpoints(self) -> bool:
        return bool(self.session.get_config_variable("ignore_configured_endpoint_urls"))


def _first(
    address: S3Address,
    variables: tuple[str, ...],
    in_files: Callable[[], str | None],
    sdk: _SdkSettings,
) -> Setting | None:
    """Return the setting of a profile or a variable: a configured profile comes first."""

    def from_environment() -> Iterator[Setting]:
        for name in variables:
            if value := os.environ.get(name):
                yield Setting(value, f"environment, {name}")

    def from_files() -> Iterator[Setting]:
        if value := in_files():
            yield Setting(value, sdk.profile)

    sources = [from_environment, from_files]
    if address.profile is not None:
        sources.reverse()
    return next((found for source in sources for found in source()), None)


def _region(address: S3Address, sdk: _SdkSettings) -> Setting:
    if address.region is not None:
        return Setting(address.region, CONFIGURATION)
    variables = ("AWS_REGION", "AWS_DEFAULT_REGION")
    found = _first(address, variables, lambda: sdk.in_files("region"), sdk)
    return found or Setting("us-east-1", DEFAULT)


def _endpoint(address: S3Address, sdk: _SdkSettings, region: Setting) -> Setting:
    if address.endpoint_url is not None:
        return Setting(address.endpoint_url.rstrip("/"), CONFIGURATION)
    variables = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if not sdk.ignores_endpoints and (
        found := _first(address, variables, sdk.endpoint_in_files, sdk)
    ):
        return Setting(found.value.rstrip("/"), found.origin)
    return Setting(f"https://s3.{region.value}.{_domain(region.value)}", DEFAULT)


class _Definitions(Loader):
    """The SDK's definitions of Amazon's services."""

    @property
    def search_paths(self) -> list[str]:
        """Return the folders of the definitions; boto3 appends its own for each client."""
        return [*super().search_paths]


@cache
def definitions() -> Loader:
    """Return the loader of all clients: a megabyte of JSON that each would parse again."""
    return _Definitions()


def _domain(region: str) -> str:
    """Return the domain of Amazon's services in a region."""
    partitions = definitions().load_data("partitions")["partitions"]
    for partition in partitions:
        if re.match(partition["regionRegex"], region):
            return str(partition["outputs"]["dnsSuffix"])
    return "amazonaws.com"


def _style(address: S3Address, endpoint_url: str) -> Setting:
    if address.path_style:
        return Setting(PATH, CONFIGURATION)
    parts = urlsplit(endpoint_url)
    fits = HOST_LABELS.fullmatch(address.bucket) is not None
    # A certificate for `*.s3.…` is good for one label before the service's name.
    if not fits or (parts.scheme == "https" and "." in address.bucket):
        return Setting(PATH, "default for a bucket with such a name")
    if _is_number(parts.hostname or ""):
        return Setting(PATH, "default for an endpoint that is an IP address")
    return Setting(IN_HOST, DEFAULT)


def _with_bucket(address: S3Address, endpoint: Setting, style: Setting) -> str:
    parts = urlsplit(endpoint.value)
    if style.value == PATH:
        return endpoint.value
    return parts._replace(netloc=f"{address.bucket}.{parts.netloc}").geturl()


def _keys(address: S3Address, sdk: _SdkSettings, region: Setting) -> S3Keys:
    if address.access_key_id is not None and address.secret_access_key is not None:
        own = Credentials(address.access_key_id, address.secret_access_key, address.session_token)
        return S3Keys(own, CONFIGURATION)
    if sdk.session.get_config_variable("region") is None:
        sdk.session.set_config_variable("region", region.value)  # of the token service to ask
    if (found := sdk.session.get_credentials()) is None:
        raise ConfigError(
            f"s3://{address.bucket}: no credentials found",
            hint="set access_key_id_env and secret_access_key_env, a profile, or what the AWS SDK"
            " looks at: environment, shared credentials file, web identity, instance role",
        )
    return S3Keys(found, _origin(found.method, sdk))


def _origin(method: str | None, sdk: _SdkSettings) -> str:
    named: Mapping[str | None, str] = {
        "env": "environment, AWS_ACCESS_KEY_ID",
        "iam-role": "role of the instance",
        "container-role": "role of the container",
        "assume-role-with-web-identity": "web identity",
    }
    return named.get(method) or f"{sdk.profile}, {method}"


def _netloc(parts: SplitResult) -> str:
    host, port = parts.hostname or "", parts.port
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return host if port in {None, usual} else f"{host}:{port}"


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
