"""Amazon S3 and compatible services.

Bytes go through obstore. aioboto3 makes the requests that obstore cannot: resumable multipart
uploads, copies within the service, and aborting unfinished uploads.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from replicator.adapters.bucket.bucket import MIB, segment_files
from replicator.adapters.bucket.reader import ObjectStorageReader
from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.bucket.upload import Contents
from replicator.adapters.s3.bucket import S3Bucket
from replicator.adapters.s3.client import S3Sdk
from replicator.adapters.s3.lock import LockedBucket, S3Lock
from replicator.adapters.s3.service import S3Address, S3Service, s3_service
from replicator.adapters.s3.session import EXISTS, error_code, s3_store
from replicator.adapters.s3.uploads import S3Uploads
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import ConfigError, CorruptionError, MissingObjectError, RewrittenObjectError
from replicator.model.load_spec import Location
from replicator.model.plans.cost import SERVER_SIDE_MIN_BYTES
from replicator.ports import OWN_AREA, Checked, Clock, DeepStorageReader, LeadsOn, StoredObject

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

COPY_OBJECT_BYTES_MAX = 5 << 30
"""Limit of S3 for a copy in one request: 5 GiB."""
COPY_PART_BYTES = 512 * MIB
SHA256_BYTES = 32


class S3Reader(ObjectStorageReader):
    """A `DeepStorageReader` of an S3 bucket."""

    def __init__(self, address: S3Address, *, pace: Pace, sizes: Sizes) -> None:
        self.service = service = s3_service(address)
        sdk = S3Sdk(service, pace)
        bucket = S3Bucket(s3_store(service), service.bucket, sdk=sdk, pace=pace)
        super().__init__(
            bucket,
            address.prefix,
            piece_bytes=sizes.part_bytes,
            close=sdk.close,
            effective=service.effective,
        )


class S3Storage(ObjectStorage):
    """A `DeepStorage` in an S3 bucket, which may lock stored objects."""

    def __init__(
        self,
        address: S3Address,
        *,
        pace: Pace,
        in_flight: InFlight,
        sizes: Sizes,
        clock: Clock,
        lock: S3Lock | None = None,
    ) -> None:
        self.service = service = s3_service(address)
        uploads = S3Uploads(
            service, pace=pace, in_flight=in_flight, sizes=sizes, clock=clock, lock=lock
        )
        self._uploads = uploads
        store, self._locked = s3_store(service), None
        if lock is not None:
            self._locked = LockedBucket(store, address.bucket, lock=lock, sdk=uploads, pace=pace)
        super().__init__(
            self._locked
            or S3Bucket(
                store,
                address.bucket,
                sdk=uploads,
                pace=pace,
                storage_class=address.writing.storage_class,
            ),
            address.prefix,
            upload=uploads,
            in_flight=in_flight,
            sizes=sizes,
            server_copy=S3ServerCopy(uploads, service),
            close=uploads.close,
            effective=service.effective,
        )

    async def probe(self) -> Sequence[str]:
        key = self._below(f"{OWN_AREA}/probe-{token_hex(8)}")
        if self._locked is not None:
            await self._locked.require_lock()
            await self._locked.try_versions(key)
        lacks = await super().probe()
        await self._uploads.probe(key)
        return lacks

    async def remove(self, location: Location) -> None:
        if self._locked is not None:
            # The receipt is stored and extended last, so its lock ends last: until then, no object
            # may be removed before the others.
            await self._locked.require_unlocked(self._receipts.key(location))
        await super().remove(location)

    async def extend(self, location: Location, until: datetime) -> None:
        key = self.key(location)
        if self._locked is None:
            return
        found = [key]
        if location.endswith("/"):
            found = [one.key for one in await segment_files(self._locked, key)]
        extended = [await self._locked.extend(one, until) for one in found]
        if not extended or not all(extended):
            raise MissingObjectError(f"{key} is not in {self._locked.name}")
        await self._locked.extend(self._receipts.key(location), until)


class _ServerSideCopy(NamedTuple):
    bucket: str
    source_key: str
    key: str
    stored: StoredObject
    metadata: Mapping[str, str]


class S3ServerCopy:
    """Copies within S3 if both buckets are of one service and the credentials allow it."""

    def __init__(
        self,
        uploads: S3Uploads,
        service: S3Service,
        *,
        object_bytes_max: int = COPY_OBJECT_BYTES_MAX,
        part_bytes: int = COPY_PART_BYTES,
    ) -> None:
        self._uploads, self._service = uploads, service
        self._object_bytes_max, self._part_bytes = object_bytes_max, part_bytes
        self._denied = False

    def reaches(self, reader: DeepStorageReader, location: Location) -> bool:
        return self._within(reader, location) is not None

    async def run(
        self, key: str, contents: Contents, metadata: Mapping[str, str]
    ) -> Checked | None:
        within = self._within(contents.copy_source.reader, contents.copy_source.location)
        stored = contents.stored
        if within is None or stored is None or stored.size_bytes < SERVER_SIDE_MIN_BYTES:
            return None
        reader, location = within
        reader.forget(location)
        copy = _ServerSideCopy(reader.service.bucket, reader.key(location), key, stored, metadata)
        try:
            if stored.size_bytes > self._object_bytes_max:
                return await self._copy_parts(copy)
            copied = await self._copy_object(copy)
        except ConfigError:
            copied = None  # these credentials cannot read there
        self._denied = copied is None
        return copied

    async def is_refused(self, key: str) -> bool:
        client = await self._uploads.client()
        await self._uploads.pace()
        bucket = self._service.bucket
        try:
            with self._uploads.translated(f"cannot copy {key}"):
                await client.copy_object(
                    Bucket=bucket,
                    Key=key,
                    CopySource={"Bucket": bucket, "Key": key},
                    MetadataDirective="REPLACE",
                    IfNoneMatch="*",
                )
        except (FileExistsError, ConfigError):
            return True  # there are no copies at all where they are denied
        return False

    async def sha256(self, key: str) -> str | None:
        client = await self._uploads.client()
        await self._uploads.pace()
        try:
            with self._uploads.translated(f"cannot ask for the checksum of {key}"):
                found = await client.head_object(
                    Bucket=self._service.bucket, Key=key, ChecksumMode="ENABLED"
                )
                return _sha256(found.get("ChecksumSHA256"))
        except MissingObjectError:
            return None  # removed since it was looked at

    def _within(
        self, reader: DeepStorageReader, location: Location
    ) -> tuple[S3Reader | S3Storage, Location] | None:
        """Return the same service's bucket that holds a location; None: another storage does."""
        while isinstance(reader, LeadsOn):
            reader, location = reader.at(location)
        if not isinstance(reader, S3Reader | S3Storage) or self._denied:
            return None
        return (reader, location) if reader.service.name == self._service.name else None

    async def _copy_object(self, copy: "_ServerSideCopy") -> Checked | None:
        """Copy by one request; None: the service does not report the copy's SHA-256."""
        client = await self._uploads.client()
        bucket, source_key, key, stored, metadata = copy
        await self._uploads.pace()
        with self._uploads.translated(f"cannot copy {bucket}/{source_key} to {key}"):
            try:
                copied = await client.copy_object(
                    Bucket=self._service.bucket,
                    Key=key,
                    CopySource={"Bucket": bucket, "Key": source_key},
                    CopySourceIfMatch=_match(stored.tag),
                    ChecksumAlgorithm="SHA256",
                    Metadata=metadata,
                    MetadataDirective="REPLACE",
                    IfNoneMatch="*",
                    **self._uploads.locking(),
                )
            except ClientError as exc:
                if error_code(exc) in EXISTS:
                    raise RewrittenObjectError(
                        f"{source_key} of s3://{bucket} was written during the copy"
                    ) from exc
                raise
            # An encrypted object's ETag is no MD5 sum, and proves nothing.
            result, encrypted = copied["CopyObjectResult"], "ServerSideEncryption" in copied
            etag = "" if encrypted else result["ETag"]
            sha256 = _sha256(result.get("ChecksumSHA256"))
        if _differ(etag, stored.tag):
            raise CorruptionError(
                f"s3://{self._service.bucket}/{key} has the ETag {etag}, its original {stored.tag}",
                hint="remove it; it is copied again",
            )
        if sha256 is None:
            return None
        return Checked(name="", size_bytes=stored.size_bytes, sha256=sha256)

    async def _copy_parts(self, copy: "_ServerSideCopy") -> Checked:
        """Copy by ranges; the whole object must be read for its checksum."""
        client = await self._uploads.client()
        bucket, source_key, key, stored, _ = copy
        ours, parts = self._service.bucket, list["CompletedPartTypeDef"]()
        with self._uploads.translated(f"cannot copy {bucket}/{source_key} to {key}"):
            upload = await client.create_multipart_upload(
                Bucket=ours, Key=key, **self._uploads.locking()
            )
            try:
                for number, start in enumerate(range(0, stored.size_bytes, self._part_bytes), 1):
                    end = min(start + self._part_bytes, stored.size_bytes)
                    await self._uploads.pace()
                    sent = await client.upload_part_copy(
                        Bucket=ours,
                        Key=key,
                        UploadId=upload["UploadId"],
                        PartNumber=number,
                        CopySource={"Bucket": bucket, "Key": source_key},
                        CopySourceIfMatch=_match(stored.tag),
                        CopySourceRange=f"bytes={start}-{end - 1}",
                    )
                    parts.append({"PartNumber": number, "ETag": sent["CopyPartResult"]["ETag"]})
                await client.complete_multipart_upload(
                    Bucket=ours,
                    Key=key,
                    UploadId=upload["UploadId"],
                    MultipartUpload={"Parts": parts},
                    IfNoneMatch="*",
                )
            except ClientError:
                await client.abort_multipart_upload(
                    Bucket=ours, Key=key, UploadId=upload["UploadId"]
                )
                raise
        return Checked(name="", size_bytes=stored.size_bytes, sha256="")


def _sha256(reported: str | None) -> str | None:
    """Return the checksum that S3 reports of a whole object; one of parts is a different value.

    Raises:
        ValueError: it is no SHA-256 in base64.
    """
    if not reported or "-" in reported:
        return None
    found = b64decode(reported, validate=True)
    if len(found) != SHA256_BYTES:
        raise ValueError(f"a SHA-256 of {len(found)} bytes")
    return found.hex()


def _match(tag: str) -> str:
    return f'"{tag}"' if tag else "*"


def _differ(one: str, other: str) -> bool:
    """Whether two ETags that are MD5 sums prove different bytes; ETags of parts prove nothing."""
    one, other = one.strip('"'), other.strip('"')
    return "-" not in one + other and bool(one and other) and one != other
