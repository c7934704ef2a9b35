"""Google Cloud Storage."""

from dataclasses import dataclass
from pathlib import Path

from replicator.adapters.bucket_google import GoogleBucket
from replicator.adapters.google_token import GoogleToken
from replicator.adapters.http_session import HttpSession
from replicator.adapters.object_reader import ObjectStorageReader
from replicator.adapters.object_upload import Sizes, WriterUpload
from replicator.adapters.pacing import InFlight, Pace
from replicator.adapters.storage_object import ObjectStorage

GOOGLE = "https://storage.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleAddress:
    """Where a bucket is and who asks."""

    bucket: str
    prefix: str
    endpoint_url: str | None = None
    key_file: Path | None = None
    anonymous: bool = False
    ca_file: Path | None = None
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 300.0


def google_reader(address: GoogleAddress, *, pace: Pace, sizes: Sizes) -> ObjectStorageReader:
    """Return a `DeepStorageReader` of a bucket."""
    http = _http(address)
    return ObjectStorageReader(
        _bucket(address, http, pace),
        address.prefix,
        piece_bytes=sizes.part_bytes,
        close=http.close,
    )


def google_storage(
    address: GoogleAddress, *, pace: Pace, in_flight: InFlight, sizes: Sizes
) -> ObjectStorage:
    """Return a `DeepStorage` in a bucket."""
    http = _http(address)
    bucket = _bucket(address, http, pace)
    return ObjectStorage(
        bucket,
        address.prefix,
        upload=WriterUpload(bucket, in_flight, sizes),
        in_flight=in_flight,
        sizes=sizes,
        close=http.close,
    )


def _http(address: GoogleAddress) -> HttpSession:
    return HttpSession(
        ca_file=address.ca_file,
        connect_timeout_s=address.connect_timeout_s,
        request_timeout_s=address.request_timeout_s,
    )


def _bucket(address: GoogleAddress, http: HttpSession, pace: Pace) -> GoogleBucket:
    return GoogleBucket(
        address.bucket,
        url=address.endpoint_url or GOOGLE,
        token=GoogleToken(key_file=address.key_file, anonymous=address.anonymous),
        http=http,
        pace=pace,
    )
