"""Who asks S3, by obstore for bytes and by aioboto3 for the rest, and what its refusals mean."""

import os
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from aiohttp import ClientError as HttpError
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigValueStore,
    ConstantProvider,
)
from botocore.exceptions import BotoCoreError, ClientError, SSLError
from obstore.exceptions import BaseError
from obstore.store import S3Store

from replicator.adapters.boundary import reason
from replicator.adapters.bucket.bare_environment import bare_environment
from replicator.adapters.bucket.bucket import ARCHIVED_HINT, DeniedKeyError
from replicator.adapters.bucket.obstore import RETRIES_MAX, ObstoreBucket, brief, client_options
from replicator.adapters.s3.service import (
    LOOKED_AT_EVERY_S,
    S3Keys,
    S3Service,
    S3Writing,
    definitions,
)
from replicator.adapters.transfer.http_session import BUSY, CERTIFICATE_HINT, asked_to_wait_s
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import (
    ArchivedObjectError,
    ConfigError,
    MissingObjectError,
    TransientError,
)

if TYPE_CHECKING:
    from aiobotocore.session import ClientCreatorContext
    from botocore.credentials import ReadOnlyCredentials
    from obstore.store import S3Config, S3Credential
    from types_aiobotocore_s3 import S3Client

CONNECTIONS_MAX = 64
ASKED_AGAIN_AFTER = timedelta(minutes=5, seconds=LOOKED_AT_EVERY_S)
"""obstore asks for keys that end five minutes ahead."""
DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccountProblem",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
ARCHIVED = "InvalidObjectState"
MISSING = frozenset({"404", "NoSuchKey"})
EXISTS = frozenset({"412", "PreconditionFailed"})
IMPOSSIBLE = frozenset({"InvalidRequest", "NotImplemented"})
MADE_BY = ("PutObject", "CopyObject", "CreateMultipartUpload")
"""The operations that make an object, and say how it is encrypted and kept."""


def s3_bucket(service: S3Service, pace: Pace) -> ObstoreBucket:
    """Return a bucket as obstore sees it."""
    return ObstoreBucket(s3_store(service), f"s3://{service.bucket}", pace=pace)


def s3_store(service: S3Service) -> S3Store:
    """Return obstore's view of a bucket.

    Raises:
        ConfigError: what is configured makes no connection, like a file that has no certificate.
    """
    try:
        return _s3_store(service)
    except (BaseError, ValueError) as exc:
        raise ConfigError(
            f"s3://{service.bucket}: {brief(exc)}",
            hint="correct endpoint_url, region or ca_file of this storage",
        ) from exc


def _s3_store(service: S3Service) -> S3Store:
    address = service.address
    with bare_environment():
        return S3Store(
            service.bucket,
            config={
                "endpoint": service.bucket_endpoint_url,
                "region": service.region.value,
                "virtual_hosted_style_request": not service.path_style,
                "unsigned_payload": True,
                "checksum_algorithm": "CRC64NVME",
                "disable_bulk_delete": True,  # not every service knows it, and we remove one by one
                **_encryption(address.writing),
            },
            client_options=client_options(
                address.ca_file,
                address.connect_timeout_s,
                address.request_timeout_s,
                proxy_url=service.proxy_url,
            ),
            retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=30)},
            credential_provider=_ObstoreKeys(service.keys),
        )


def _encryption(writing: S3Writing) -> "S3Config":
    """Return what obstore says of encryption with each object that it stores."""
    found: S3Config = {}
    if writing.encryption is not None:
        found["server_side_encryption"] = writing.encryption
    if writing.kms_key_id is not None:
        found["sse_kms_key_id"] = writing.kms_key_id
    if writing.bucket_key:
        found["sse_bucket_key_enabled"] = True
    return found


def _arguments(writing: S3Writing) -> dict[str, str | bool]:
    """Return the same for the SDK, and the storage class."""
    found: dict[str, str | bool | None] = {
        "ServerSideEncryption": writing.encryption,
        "SSEKMSKeyId": writing.kms_key_id,
        "BucketKeyEnabled": writing.bucket_key or None,
        "StorageClass": writing.storage_class,
    }
    return {name: value for name, value in found.items() if value is not None}


class _ObstoreKeys:
    """Gives obstore the keys; it asks again five minutes before the time that is said."""

    def __init__(self, keys: S3Keys) -> None:
        self._keys = keys

    def __call__(self) -> "S3Credential":
        current = self._keys.current()
        now = datetime.now(UTC)  # noqa: TID251 - obstore compares it with the system's clock
        return {
            "access_key_id": current.access_key or "",
            "secret_access_key": current.secret_key or "",
            "token": current.token,
            "expires_at": now + ASKED_AGAIN_AFTER if self._keys.end else None,
        }


class _AioKeys(AioCredentials):
    """Gives the SDK the same keys."""

    def __init__(self, keys: S3Keys) -> None:
        super().__init__("", "")
        self._keys = keys

    async def load_credentials(self) -> "_AioKeys":
        """Return itself: the SDK takes it for its chain."""
        return self

    async def get_frozen_credentials(  # type: ignore[override]  # as aiobotocore's own
        self,
    ) -> "ReadOnlyCredentials":
        """Return what one request is signed with."""
        return await self._keys.renewed()


def s3_client(service: S3Service) -> "ClientCreatorContext[S3Client]":
    """Return a client that is opened by `async with`."""
    address = service.address
    session = AioSession()
    session.register_component("data_loader", definitions())
    session.register_component("config_store", _nothing_found())
    session.register_component("credential_provider", _AioKeys(service.keys))
    said = _arguments(address.writing)

    def say(params: dict[str, Any], **_: object) -> None:
        params.update(said)

    for made in MADE_BY:
        session.register(f"before-parameter-build.s3.{made}", say)
    proxy = service.proxy_url
    return aioboto3.Session(botocore_session=session).client(
        "s3",
        region_name=service.region.value,
        endpoint_url=service.endpoint.value,
        verify=str(address.ca_file) if address.ca_file else True,
        config=AioConfig(
            signature_version="s3v4",
            s3={
                "payload_signing_enabled": False,
                "addressing_style": "path" if service.path_style else "virtual",
            },
            proxies={} if proxy is None else {"http": proxy, "https": proxy},
            ignore_configured_endpoint_urls=True,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=address.connect_timeout_s,
            read_timeout=address.request_timeout_s,
            max_pool_connections=CONNECTIONS_MAX,
            retries={"max_attempts": RETRIES_MAX + 1, "mode": "standard"},
        ),
    )


def _nothing_found() -> ConfigValueStore:
    """Return the SDK's own defaults for all that it would look for in environment and files."""
    defaults = {name: found[2] for name, found in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    files = {"config_file": os.devnull, "credentials_file": os.devnull}
    return ConfigValueStore(
        {name: ConstantProvider(value) for name, value in {**defaults, **files}.items()}
    )


@contextmanager
def translated(bucket: str, doing: str, pace: Pace) -> Generator[None]:
    """Raise our errors for the SDK's; pause when the server has too many requests."""
    try:
        yield
    except ClientError as exc:
        code, answer = error_code(exc), exc.response.get("ResponseMetadata", {})
        if answer.get("HTTPStatusCode") in BUSY:
            pace.refused(asked_to_wait_s(answer.get("HTTPHeaders", {})))
        said = f"s3://{bucket}: {doing}: {exc}"
        raise _meant(code, said) from exc
    except SSLError as exc:
        raise ConfigError(f"s3://{bucket}: {doing}: {exc}", hint=CERTIFICATE_HINT) from exc
    except (BotoCoreError, HttpError, TimeoutError) as exc:
        raise TransientError(f"s3://{bucket}: {doing}: {reason(exc)}") from exc


def _meant(code: str, said: str) -> Exception:
    if code in EXISTS:
        return FileExistsError(said)
    if code == ARCHIVED:
        return ArchivedObjectError(said, hint=ARCHIVED_HINT)
    if code in DENIED:
        return DeniedKeyError(
            said,
            hint="check the credentials, what they may do there (docs/storages.md#permissions), and"
            " this machine's clock",
        )
    if code in MISSING:
        return MissingObjectError(said)
    if code in IMPOSSIBLE:
        return ConfigError(said, hint="this server cannot do what is asked of it")
    return TransientError(said)


def crc_text(crc: int) -> str:
    """Return a CRC64NVME as S3 writes it."""
    return b64encode(crc.to_bytes(8, "big")).decode()


def error_code(exc: ClientError) -> str:
    """Return what S3 calls an error."""
    return str(exc.response.get("Error", {}).get("Code", ""))
