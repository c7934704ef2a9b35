"""Settings of deep storages, for each kind that Druid knows, and of the pace of requests."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from replicator.config.values import (
    AbsolutePath,
    HttpUrl,
    Positive,
    Section,
    Size,
    SomeAsTuple,
    secret_of,
)
from replicator.model.load_spec import key_prefix

Name = Annotated[str, Field(min_length=1)]
Prefix = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=512)]
"""Prefix exactly as Druid writes it, with leading and trailing slashes."""
StorageAddress: TypeAlias = tuple[tuple[str | None, ...], tuple[str, ...]]
"""Container and path; two storages overlap if one path begins with the other in one container."""


class LocalStorageSettings(Section):
    """Druid's deep storage in a directory, local or on a shared mount."""

    type: Literal["local"]
    """The kind of deep storage."""
    root: AbsolutePath
    """The storage directory as this program sees it."""
    root_in_load_spec: AbsolutePath | None = None
    """The same directory as Druid sees it (`druid.storage.storageDirectory`); default: `root`."""
    threads_max: Annotated[int, Field(ge=2, le=256)] = 8
    """Number of file calls at once; a mount that hangs holds up these threads and no others."""
    answer_timeout_s: Positive = 45.0
    """How long one call that reads may take until the folder counts as not answering, in seconds.

    Shorter than `look_timeout_s`, so that a look reports which folder it is. A call that
    writes is not given up: it goes on when the mount is back.
    """

    @property
    def druid_root(self) -> Path:
        """The storage directory as load specs name it."""
        return self.root_in_load_spec or self.root

    @property
    def address(self) -> StorageAddress:
        """Identity of the storage, by which two of them are compared."""
        return ("local",), self.root.parts


class _RemoteStorage(Section):
    """Settings of every storage that is reached over a network."""

    requests_per_s_max: Positive | None = None
    """Most requests in a second; default: no limit but the server's own answers."""
    bytes_per_s_max: Size | None = None
    """Most bytes in a second, in both directions together; default: no limit."""
    ca_file: AbsolutePath | None = None
    """Certificates of the signer of an https endpoint; default: the system's authorities."""
    connect_timeout_s: Positive = 10.0
    """Longest wait for a connection, in seconds."""
    request_timeout_s: Positive = 300.0
    """Longest run of one request, in seconds: a part of 8 MiB at 30 KB/s."""


class ObjectLockSettings(Section):
    """Object lock of everything that a target stores."""

    mode: Literal["governance", "compliance"]
    """Mode of the lock: with governance, users with `s3:BypassGovernanceRetention` may delete.

    Objects locked by `compliance` cannot be unlocked even by the account's owner or by Amazon.
    """


class S3EncryptionSettings(Section):
    """How S3 encrypts a target's objects; without it the bucket's default applies.

    `druid.storage.sse.type` is the same setting for the objects that Druid writes.
    """

    type: Literal["s3", "kms", "kms-dsse"]
    """Kind of keys: those of S3 (SSE-S3), of KMS (SSE-KMS), or two layers of KMS (DSSE-KMS)."""
    kms_key_id: Name | None = None
    """Id, ARN or alias of the KMS key; default: the account's key for S3."""
    bucket_key: bool = False
    """Whether an S3 bucket key is used, which saves most requests to KMS (only with `kms`)."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type == "s3" and self.kms_key_id is not None:
            raise ValueError("kms_key_id belongs to type kms or kms-dsse")
        if self.type != "kms" and self.bucket_key:
            raise ValueError("bucket_key belongs to type kms")
        return self

    @property
    def algorithm(self) -> Literal["AES256", "aws:kms", "aws:kms:dsse"]:
        """S3's name of the type."""
        match self.type:
            case "s3":
                return "AES256"
            case "kms":
                return "aws:kms"
            case "kms-dsse":
                return "aws:kms:dsse"


class S3StorageSettings(_RemoteStorage):
    """Druid's deep storage in Amazon S3 or a compatible service.

    Without keys the chain of the AWS SDK is used: environment, shared files, web identity, role.
    """

    type: Literal["s3"]
    """The kind of deep storage."""
    bucket: Name
    """`druid.storage.bucket`."""
    prefix: Prefix = ""
    """`druid.storage.baseKey`."""
    endpoint_url: HttpUrl | None = None
    """URL of an S3-compatible server, like `http://host:9000`, without the bucket.

    Default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile, else Amazon's.
    """
    region: Name | None = None
    """Region of the bucket.

    Default: the region of a configured `profile`, then AWS_REGION, AWS_DEFAULT_REGION, us-east-1.
    """
    path_style: bool = False
    """Whether URLs have the bucket in the path, as most S3-compatible servers want it.

    By default it is part of the host, `http://bucket.host:9000`, unless the host is an IP address
    or the bucket's name cannot be part of a host name.
    """
    profile: Name | None = None
    """A profile of the shared credentials file."""
    access_key_id_env: Name | None = None
    """Name of the environment variable that holds the key's id."""
    secret_access_key_env: Name | None = None
    """Name of the environment variable that holds the key."""
    session_token_env: Name | None = None
    """Name of the environment variable that holds a session's token."""
    s3_schema: Literal["s3n", "s3a"] = "s3n"
    """`S3Schema` of new load specs; `s3a` when `druid.storage.useS3aSchema` is true."""
    unpacked: bool = False
    """Whether unpacked segments are stored unpacked (`druid.storage.zip=false`, Druid 35.0.0).

    Set it before the first copy: the location of a stored segment never changes.
    """
    encryption: S3EncryptionSettings | None = None
    """Encryption of a target's objects; default: the bucket's."""
    storage_class: Name | None = None
    """`x-amz-storage-class` of a target's objects, like STANDARD_IA; default: the bucket's.

    Druid cannot read objects of a class that must be restored first, like GLACIER.
    """
    object_lock: ObjectLockSettings | None = None
    """Locks a target's objects for its `retention`; default: no lock.

    The bucket must have object lock enabled.
    """

    @model_validator(mode="after")
    def _both_keys(self) -> Self:
        if (self.access_key_id_env is None) != (self.secret_access_key_env is None):
            raise ValueError("access_key_id_env and secret_access_key_env belong together")
        return self

    @property
    def address(self) -> StorageAddress:
        """Identity of the storage, by which two of them are compared."""
        return ("s3", service_of(self.endpoint_url), self.bucket), _names(self.prefix)

    def secrets(self, environ: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
        """Return the key's id, the key and the token; None for each that is not configured.

        Raises:
            ConfigError: a variable is not set.
        """
        id_, key, token = (
            None if name is None else secret_of(environ, name)
            for name in (self.access_key_id_env, self.secret_access_key_env, self.session_token_env)
        )
        return id_, key, token


class GoogleStorageSettings(_RemoteStorage):
    """Druid's deep storage in Google Cloud Storage.

    Without a key file google-auth finds the credentials: GOOGLE_APPLICATION_CREDENTIALS, the gcloud
    configuration, workload identity, or the metadata server.
    """

    type: Literal["google"]
    """The kind of deep storage."""
    bucket: Name
    """`druid.google.bucket`."""
    prefix: Prefix = ""
    """`druid.google.prefix`."""
    endpoint_url: HttpUrl | None = None
    """Address of the JSON API; default: Google's own."""
    key_file: AbsolutePath | None = None
    """File with a service account's key."""
    anonymous: bool = False
    """Whether requests are sent without credentials."""
    unpacked: bool = False
    """Whether unpacked segments are stored unpacked, for a Druid that reads folders there.

    Druid 38 does not (https://github.com/apache/druid/pull/20382). Set it before the first copy.
    """

    @property
    def address(self) -> StorageAddress:
        """Identity of the storage, by which two of them are compared."""
        return ("google", service_of(self.endpoint_url), self.bucket), _names(self.prefix)


class AzureStorageSettings(_RemoteStorage):
    """Druid's deep storage in Azure Blob storage.

    Without key and SAS, AZURE_* variables, workload identity or managed identity are used.
    """

    type: Literal["azure"]
    """The kind of deep storage."""
    account: Name
    """`druid.azure.account`."""
    container: Name
    """`druid.azure.container`."""
    prefix: Prefix = ""
    """`druid.azure.prefix`."""
    endpoint_url: HttpUrl | None = None
    """Address of the account; default: `https://<account>.blob.core.windows.net`."""
    account_key_env: Name | None = None
    """Name of the environment variable that holds the account's key."""
    sas_env: Name | None = None
    """Name of the environment variable that holds a shared access signature."""
    use_cli: bool = False
    """Whether the login of the Azure CLI is used."""
    unpacked: bool = False
    """Whether unpacked segments are stored unpacked, for a Druid that reads folders there.

    This needs a Druid after 38 (https://github.com/apache/druid/pull/20327). Set it before the
    first copy.
    """

    @property
    def address(self) -> StorageAddress:
        """Identity of the storage, by which two of them are compared."""
        service = service_of(self.endpoint_url)
        return ("azure", service, self.account, self.container), _names(self.prefix)

    def secrets(self, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Return the account's key and the SAS; None for each that is not configured."""
        key, sas = (
            None if name is None else secret_of(environ, name)
            for name in (self.account_key_env, self.sas_env)
        )
        return key, sas


class HdfsStorageSettings(_RemoteStorage):
    """Druid's deep storage in HDFS, through WebHDFS or HttpFS; Kerberos is not supported."""

    type: Literal["hdfs"]
    """The kind of deep storage."""
    urls: Annotated[tuple[HttpUrl, ...], SomeAsTuple]
    """URLs of all name nodes, like `http://namenode:9870`, or of HttpFS, `http://httpfs:14000`."""
    root: AbsolutePath
    """`druid.storage.storageDirectory`, without the file system."""
    filesystem: Annotated[str, Field(pattern=r"^(hdfs|viewfs)://[^/]+$")]
    """Start of new load specs: `hdfs://namenode:8020`, `hdfs://nameservice`, `viewfs://…`."""
    lz4: bool = False
    """Whether segments that the source packed with lz4 stay packed so, for Druid 37 or later.

    Otherwise they become zips, which every release reads. Set it before the first copy.
    """
    user: Name | None = None
    """User of an HDFS with simple authentication."""
    delegation_token_env: Name | None = None
    """Name of the environment variable that holds a delegation token."""

    @property
    def address(self) -> StorageAddress:
        """Identity of the storage, by which two of them are compared."""
        return ("hdfs", self.filesystem), self.root.parts

    def secret(self, environ: Mapping[str, str]) -> str | None:
        """Return the delegation token; None if none is configured."""
        name = self.delegation_token_env
        return None if name is None else secret_of(environ, name)


RemoteStorage: TypeAlias = (
    S3StorageSettings | GoogleStorageSettings | AzureStorageSettings | HdfsStorageSettings
)
DeepStorageSettings: TypeAlias = Annotated[
    LocalStorageSettings | RemoteStorage, Field(discriminator="type")
]


class TransferSettings(Section):
    """How bytes are copied."""

    bytes_in_flight_max: Annotated[Size, Field(ge=16 << 20)] = 48 << 20
    """Bytes of segments that each target holds between reading and writing them.

    Libraries hold copies of these bytes, so a process takes three times as much memory.
    """
    part_bytes: Annotated[Size, Field(ge=5 << 20, le=1 << 30)] = 8 << 20
    """Largest object that one request stores; larger ones are stored in parts of at least this."""
    parts_in_flight_max: Annotated[int, Field(ge=1, le=64)] = 4
    """Number of parts of one object that are uploaded at once."""
    requests_per_s_max: Positive | None = None
    """Most requests in a second to all remote storages together; default: no limit."""
    bytes_per_s_max: Size | None = None
    """Most bytes in a second from and to all remote storages together; default: no limit."""
    pause_s_max: Positive = 30.0
    """Longest pause of all requests to a storage that answers 503 or 429, in seconds.

    A pause lasts as long as Retry-After says; otherwise half a second, doubled each time.
    """


OWN_SERVICES = re.compile(
    r"(^|\.)(amazonaws\.com(\.cn)?|blob\.core\.windows\.net|storage\.googleapis\.com)$"
)


def service_of(endpoint_url: str | None) -> str | None:
    """Return the identity of a service, however its address is written; None: the cloud's own.

    Amazon has one name space for buckets behind all of its addresses.
    """
    if endpoint_url is None:
        return None
    parts = urlsplit(endpoint_url)
    host, usual = parts.hostname or "", {"http": 80, "https": 443}.get(parts.scheme)
    if OWN_SERVICES.search(host):
        return None
    port = "" if parts.port in {None, usual} else f":{parts.port}"
    return f"{host}{port}{parts.path.rstrip('/')}"


def overlap(one: StorageAddress, other: StorageAddress) -> bool:
    """Return whether two storages overlap."""
    (container, path), (other_container, other_path) = one, other
    shared = min(len(path), len(other_path))
    return container == other_container and path[:shared] == other_path[:shared]


def require_plain_prefix(storage: DeepStorageSettings) -> None:
    """Refuse a target's prefix below which nothing can be written.

    Raises:
        ValueError: it begins with a slash, or has empty names.
    """
    prefix = (
        "" if isinstance(storage, LocalStorageSettings | HdfsStorageSettings) else storage.prefix
    )
    plain = "/".join(_names(prefix))
    if key_prefix(prefix) != key_prefix(plain):
        raise ValueError(
            f"deep_storage.prefix of a target is {prefix!r}: write {plain!r}. A key that begins"
            " with a slash or has an empty name is only read here, never written, and Druid reads"
            " each segment where its row says, whatever its own base key is"
        )


def _names(prefix: str) -> tuple[str, ...]:
    return tuple(name for name in prefix.split("/") if name)
