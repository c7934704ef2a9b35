"""Google Cloud Storage."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replicator.adapters.bucket.reader import ObjectStorageReader
from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.bucket.upload import Contents, WriterUpload
from replicator.adapters.google.bucket import GoogleBucket
from replicator.adapters.google.token import GoogleToken
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.adapters.transfer.http_session import HttpSession
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import ConfigError
from replicator.model.load_spec import Location
from replicator.model.plans.cost import SERVER_SIDE_MIN_BYTES
from replicator.ports import Checked, DeepStorageReader, Effective, LeadsOn

GOOGLE = "https://storage.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleAddress:
    """A bucket's address and login, as configured."""

    bucket: str
    prefix: str
    endpoint_url: str | None = None
    key_file: Path | None = None
    anonymous: bool = False
    ca_file: Path | None = None
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 300.0

    @property
    def url(self) -> str:
        """The address of the JSON API."""
        return self.endpoint_url or GOOGLE


def google_reader(address: GoogleAddress, *, pace: Pace, sizes: Sizes) -> ObjectStorageReader:
    """Return a `DeepStorageReader` of a bucket."""
    http = _http(address)
    bucket = _bucket(address, http, pace)
    return ObjectStorageReader(
        bucket,
        address.prefix,
        piece_bytes=sizes.part_bytes,
        close=http.close,
        effective=_effective(address, bucket),
    )


def google_storage(
    address: GoogleAddress, *, pace: Pace, in_flight: InFlight, sizes: Sizes
) -> ObjectStorage:
    """Return a `DeepStorage` in a bucket."""
    http = _http(address)
    bucket = _bucket(address, http, pace)
    copies = GoogleServerCopy(bucket)
    return ObjectStorage(
        bucket,
        address.prefix,
        upload=WriterUpload(bucket, in_flight, sizes),
        in_flight=in_flight,
        sizes=sizes,
        server_copy=copies,
        close=http.close,
        effective=_effective(address, bucket),
    )


class GoogleServerCopy:
    """Copies within Google Cloud Storage if the credentials allow it.

    Google provides no SHA-256, so the copy is read once to compute it; only the upload is saved.
    """

    def __init__(self, bucket: GoogleBucket) -> None:
        self._bucket = bucket
        self._denied = False

    def reaches(self, reader: DeepStorageReader, location: Location) -> bool:
        return self._within(reader, location) is not None

    async def run(
        self, key: str, contents: Contents, metadata: Mapping[str, str]
    ) -> Checked | None:
        del metadata
        within = self._within(contents.copy_source.reader, contents.copy_source.location)
        stored = contents.stored
        if within is None or stored is None or stored.size_bytes < SERVER_SIDE_MIN_BYTES:
            return None
        source, source_key = within
        try:
            await self._bucket.copy_from(source, source_key, stored.tag, key)
        except ConfigError:
            self._denied = True  # these credentials cannot read there
            return None
        return Checked(name="", size_bytes=stored.size_bytes, sha256="")

    async def is_refused(self, key: str) -> bool:
        del key
        return True

    async def sha256(self, key: str) -> None:
        del key

    def _within(
        self, reader: DeepStorageReader, location: Location
    ) -> tuple[GoogleBucket, str] | None:
        """Return the same service's bucket that holds a location, with the key; None: none does."""
        while isinstance(reader, LeadsOn):
            reader, location = reader.at(location)
        if not isinstance(reader, ObjectStorageReader) or self._denied:
            return None
        bucket = reader.bucket
        if not isinstance(bucket, GoogleBucket) or bucket.service != self._bucket.service:
            return None
        return bucket, reader.key(location)


def _effective(
    address: GoogleAddress, bucket: GoogleBucket
) -> Callable[[], Awaitable[tuple[Effective, ...]]]:
    async def effective() -> tuple[Effective, ...]:
        origin = "default" if address.endpoint_url is None else "configuration"
        return (
            Effective(name="endpoint", value=address.url, origin=origin),
            await bucket.identity(),
            Effective.proxied(proxy_for(address.url)),
        )

    return effective


def _http(address: GoogleAddress) -> HttpSession:
    return HttpSession(
        ca_file=address.ca_file,
        connect_timeout_s=address.connect_timeout_s,
        request_timeout_s=address.request_timeout_s,
    )


def _bucket(address: GoogleAddress, http: HttpSession, pace: Pace) -> GoogleBucket:
    return GoogleBucket(
        address.bucket,
        url=address.url,
        token=GoogleToken(key_file=address.key_file, anonymous=address.anonymous),
        http=http,
        pace=pace,
    )
