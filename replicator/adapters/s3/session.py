"""Clients of S3, obstore's for bytes and aioboto3's for the rest, and the meaning of its errors."""

import os
from base64 import b64encode
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

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
from botocore.parsers import ResponseParserError
from obstore.exceptions import BaseError
from obstore.store import S3Store

from replicator.adapters.boundary import reason
from replicator.adapters.bucket.bare_environment import bare_environment
from replicator.adapters.bucket.bucket import (
    ARCHIVED_HINT,
    LISTED_MAX,
    PAGE_OBJECTS_MAX,
    DeniedKeyError,
)
from replicator.adapters.bucket.obstore import RETRIES_MAX, ObstoreBucket, brief, client_options
from replicator.adapters.s3.service import (
    LOOKED_AT_EVERY_S,
    S3Keys,
    S3Service,
    S3Writing,
    definitions,
)
from replicator.adapters.tls import distrust_hint
from replicator.adapters.transfer.http_session import BUSY, CERTIFICATE_HINT, retry_after_s
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

_Page = TypeVar("_Page")
CONNECTIONS_MAX = 64
RENEWED_AFTER = timedelta(minutes=5, seconds=LOOKED_AT_EVERY_S)
"""Announced life of keys that end: obstore asks for new ones five minutes before the end."""
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
"""The operations that make an object, and set its encryption and storage class."""


def s3_bucket(service: S3Service, pace: Pace) -> ObstoreBucket:
    """Return a bucket through obstore alone."""
    return ObstoreBucket(s3_store(service), f"s3://{service.bucket}", pace=pace)


def s3_store(service: S3Service) -> S3Store:
    """Return obstore's client of a bucket.

    Raises:
        ConfigError: the settings are unusable, for example a file without a certificate.
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
                "disable_bulk_delete": True,  # some services lack it, and it is not used here
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
    """Return obstore's settings for the encryption of each stored object."""
    found: S3Config = {}
    if writing.encryption is not None:
        found["server_side_encryption"] = writing.encryption
    if writing.kms_key_id is not None:
        found["sse_kms_key_id"] = writing.kms_key_id
    if writing.bucket_key:
        found["sse_bucket_key_enabled"] = True
    return found


def _arguments(writing: S3Writing) -> dict[str, str | bool]:
    """Return the SDK's arguments for encryption and storage class."""
    found: dict[str, str | bool | None] = {
        "ServerSideEncryption": writing.encryption,
        "SSEKMSKeyId": writing.kms_key_id,
        "BucketKeyEnabled": writing.bucket_key or None,
        "StorageClass": writing.storage_class,
    }
    return {name: value for name, value in found.items() if value is not None}


class _ObstoreKeys:
    """Provides keys to obstore, which asks again five minutes before `expires_at`."""

    def __init__(self, keys: S3Keys) -> None:
        self._keys = keys

    def __call__(self) -> "S3Credential":
        current = self._keys.current()
        now = datetime.now(UTC)  # noqa: TID251 - obstore compares it with the system's clock
        return {
            "access_key_id": current.access_key or "",
            "secret_access_key": current.secret_key or "",
            "token": current.token,
            "expires_at": now + RENEWED_AFTER if self._keys.end else None,
        }


class _AioKeys(AioCredentials):
    """Provides the same keys to the SDK."""

    def __init__(self, keys: S3Keys) -> None:
        super().__init__("", "")
        self._keys = keys

    async def load_credentials(self) -> "_AioKeys":
        """Return itself: to the SDK it is the chain of providers."""
        return self

    async def get_frozen_credentials(  # type: ignore[override]  # as aiobotocore's own
        self,
    ) -> "ReadOnlyCredentials":
        """Return the keys that sign one request."""
        return await self._keys.renewed()


def s3_client(service: S3Service) -> "ClientCreatorContext[S3Client]":
    """Return a client, to be opened by `async with`."""
    address = service.address
    session = AioSession()
    session.register_component("data_loader", definitions())
    # Otherwise a variable or a profile could send the SDK elsewhere than obstore, which was given
    # the decided settings.
    session.register_component("config_store", _nothing_found())
    session.register_component("credential_provider", _AioKeys(service.keys))
    arguments = _arguments(address.writing)

    def add(params: dict[str, Any], **_: object) -> None:
        params.update(arguments)

    for made in MADE_BY:
        session.register(f"before-parameter-build.s3.{made}", add)
    proxy = service.proxy_url
    return aioboto3.Session(botocore_session=session).client(
        "s3",
        region_name=service.region.value,
        endpoint_url=service.endpoint.value,
        verify=str(address.ca_file) if address.ca_file else True,
        config=AioConfig(
            signature_version="s3v4",
            s3={
                # The CRC64NVME of each request proves the bytes: a signature over them would hash
                # all of them once more.
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
    """Return the SDK's defaults of the settings that it looks up in environment and files."""
    defaults = {name: found[2] for name, found in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    files = {"config_file": os.devnull, "credentials_file": os.devnull}
    return ConfigValueStore(
        {name: ConstantProvider(value) for name, value in {**defaults, **files}.items()}
    )


PAGES_MAX: Final = LISTED_MAX // PAGE_OBJECTS_MAX
"""Answers that one listing through the SDK takes, which has all of it in memory."""


async def ending(pages: AsyncIterator[_Page], what: str) -> AsyncIterator[_Page]:
    """Yield the answers of a listing.

    Raises:
        TransientError: it does not end.
    """
    count = 0
    async for page in pages:
        count += 1
        if count > PAGES_MAX:
            raise TransientError(
                f"the listing of {what} has no end: {count} answers",
                hint="look at what is there, and at the server",
            )
        yield page


ODD = (ResponseParserError, KeyError, ValueError)
"""What an answer raises that the SDK cannot read, or that lacks a member."""


@contextmanager
def translated(bucket: str, doing: str, pace: Pace) -> Generator[None]:
    """Translate the SDK's errors; slow down if the server reports too many requests.

    Raises:
        FileExistsError: a condition of the request does not hold: the object is there, or changed.
        MissingObjectError, ArchivedObjectError, DeniedKeyError: what S3's code stands for.
        ConfigError: the certificate is not trusted, or the server knows no such request.
        TransientError: any other trouble, an answer that cannot be read included.
    """
    try:
        yield
    except ClientError as exc:
        code, answer = error_code(exc), exc.response.get("ResponseMetadata", {})
        if answer.get("HTTPStatusCode") in BUSY:
            pace.refused(retry_after_s(answer.get("HTTPHeaders", {})))
        message = f"s3://{bucket}: {doing}: {exc}"
        raise _meant(code, message) from exc
    except SSLError as exc:
        hint = distrust_hint(str(exc), CERTIFICATE_HINT)
        raise ConfigError(f"s3://{bucket}: {doing}: {exc}", hint=hint) from exc
    except (BotoCoreError, HttpError, TimeoutError) as exc:
        raise TransientError(f"s3://{bucket}: {doing}: {reason(exc)}") from exc
    except ODD as exc:
        raise TransientError(
            f"s3://{bucket}: {doing}: the answer is not what S3 answers: {exc!r}"
        ) from exc


def _meant(code: str, message: str) -> Exception:
    if code in EXISTS:
        return FileExistsError(message)
    if code == ARCHIVED:
        return ArchivedObjectError(message, hint=ARCHIVED_HINT)
    if code in DENIED:
        return DeniedKeyError(
            message,
            hint="check the credentials, what they may do there (docs/storages.md#permissions), and"
            " this machine's clock",
        )
    if code in MISSING:
        return MissingObjectError(message)
    if code in IMPOSSIBLE:
        return ConfigError(message, hint="this server does not support the request")
    return TransientError(message)


def crc_text(crc: int) -> str:
    """Return a CRC64NVME in S3's notation."""
    return b64encode(crc.to_bytes(8, "big")).decode()


def error_code(exc: ClientError) -> str:
    """Return S3's code of an error."""
    return str(exc.response.get("Error", {}).get("Code", ""))
