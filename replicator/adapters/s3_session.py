"""Who asks S3, by obstore for bytes and by aioboto3 for the rest, and what its refusals mean."""

from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import aioboto3
import boto3
from aiobotocore.config import AioConfig
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from replicator.adapters.bucket_obstore import RETRIES_MAX, ObstoreBucket, client_options
from replicator.adapters.http_session import BUSY, asked_to_wait_s
from replicator.adapters.object_bucket import ARCHIVED_HINT, DeniedKeyError
from replicator.adapters.pacing import Pace
from replicator.errors import (
    ArchivedObjectError,
    ConfigError,
    MissingObjectError,
    TransientError,
)

if TYPE_CHECKING:
    from aiobotocore.session import ClientCreatorContext
    from obstore.store import S3Config
    from types_aiobotocore_s3 import S3Client

CONNECTIONS_MAX = 64
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


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Address:
    """Where a bucket is and who asks; without keys, the chain of the AWS SDK finds them."""

    bucket: str
    prefix: str
    endpoint_url: str | None = None
    region: str | None = None
    path_style: bool = False
    profile: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    ca_file: Path | None = None
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 300.0

    @property
    def service(self) -> tuple[str | None, str | None]:
        """What two buckets must have in common for the service to copy between them."""
        return self.endpoint_url, self.region if self.endpoint_url else None


def s3_bucket(address: S3Address, pace: Pace) -> ObstoreBucket:
    """Return a bucket; credentials are looked up now, as by `s3_store`."""
    return ObstoreBucket(s3_store(address), f"s3://{address.bucket}", pace=pace)


def s3_store(address: S3Address) -> S3Store:
    """Return obstore's view of a bucket; credentials are looked up now.

    Raises:
        ConfigError: no credentials are found.
    """
    keys: S3Config = {
        "region": address.region or "us-east-1",
        "virtual_hosted_style_request": not address.path_style,
        "unsigned_payload": True,
        "checksum_algorithm": "CRC64NVME",
    }
    provider = None
    if address.access_key_id is not None and address.secret_access_key is not None:
        keys["access_key_id"] = address.access_key_id
        keys["secret_access_key"] = address.secret_access_key
        if address.session_token is not None:
            keys["session_token"] = address.session_token
    else:
        provider = _chain(address)
    if address.endpoint_url is not None:
        keys["endpoint"] = address.endpoint_url
    return S3Store(
        address.bucket,
        config=keys,
        client_options=client_options(
            address.ca_file, address.connect_timeout_s, address.request_timeout_s
        ),
        retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=30)},
        credential_provider=provider,
    )


def _chain(address: S3Address) -> Boto3CredentialProvider:
    try:
        return Boto3CredentialProvider(
            boto3.Session(profile_name=address.profile, region_name=address.region)
        )
    except (ValueError, ProfileNotFound) as exc:
        raise ConfigError(
            f"s3://{address.bucket}: no credentials found: {exc}",
            hint="set access_key_id_env and secret_access_key_env, a profile, or what the AWS SDK"
            " looks at: environment, shared credentials file, web identity, instance role",
        ) from exc


def s3_client(address: S3Address) -> "ClientCreatorContext[S3Client]":
    """Return a client that is opened by `async with`."""
    try:
        session = aioboto3.Session(
            aws_access_key_id=address.access_key_id,
            aws_secret_access_key=address.secret_access_key,
            aws_session_token=address.session_token,
            profile_name=address.profile,
            region_name=address.region or "us-east-1",
        )
    except ProfileNotFound as exc:
        raise ConfigError(f"s3://{address.bucket}: {exc}") from exc
    return session.client(
        "s3",
        endpoint_url=address.endpoint_url,
        verify=str(address.ca_file) if address.ca_file else None,
        config=AioConfig(
            signature_version="s3v4",
            s3={
                "payload_signing_enabled": False,
                "addressing_style": "path" if address.path_style else "auto",
            },
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=address.connect_timeout_s,
            read_timeout=address.request_timeout_s,
            max_pool_connections=CONNECTIONS_MAX,
            retries={"max_attempts": RETRIES_MAX + 1, "mode": "standard"},
        ),
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
    except (BotoCoreError, HttpError, TimeoutError) as exc:
        raise TransientError(f"s3://{bucket}: {doing}: {exc}") from exc


def _meant(code: str, said: str) -> Exception:
    if code in EXISTS:
        return FileExistsError(said)
    if code == ARCHIVED:
        return ArchivedObjectError(said, hint=ARCHIVED_HINT)
    if code in DENIED:
        return DeniedKeyError(
            said, hint="check the credentials, what they may do there, and this machine's clock"
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
