"""S3's object lock: what is stored cannot be removed before its time, not even by us.

A bucket with object lock keeps every version of an object. Writing over one or removing it adds a
version or a marker; the locked version stays. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from awscrt.checksums import crc64nvme
from botocore.exceptions import ClientError

from replicator.adapters.s3.bucket import Asking, S3Bucket
from replicator.adapters.s3.session import crc_text, error_code
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import ConfigError, LockedError, MissingObjectError
from replicator.ports import Clock, Piece

if TYPE_CHECKING:
    from obstore.store import S3Store
    from types_aiobotocore_s3 import S3Client

NO_LOCK = "ObjectLockConfigurationNotFoundError"
NOT_LOCKED = "NoSuchObjectLockConfiguration"
GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Lock:
    """How long stored objects are locked, and whether a user may shorten that."""

    mode: Literal["governance", "compliance"]
    retention: timedelta
    clock: Clock

    @property
    def s3_mode(self) -> Literal["GOVERNANCE", "COMPLIANCE"]:
        """The mode in S3's word."""
        return "GOVERNANCE" if self.mode == "governance" else "COMPLIANCE"

    def arguments(self) -> dict[str, Any]:
        """Return what a request says that stores an object now."""
        return {
            "ObjectLockMode": self.s3_mode,
            "ObjectLockRetainUntilDate": self.clock.now() + self.retention,
        }


class LockedBucket(S3Bucket):
    """A bucket with object lock: what it creates is locked, what it deletes goes in all versions.

    Small objects are stored by the SDK, because obstore has no word for a lock.
    """

    def __init__(
        self, store: "S3Store", bucket: str, *, lock: S3Lock, asking: Asking, pace: Pace
    ) -> None:
        super().__init__(store, bucket, asking=asking, pace=pace)
        self._lock = lock

    async def create(
        self,
        key: str,
        data: Piece,
        metadata: Mapping[str, str] | None = None,
        *,
        retained: bool = True,
    ) -> bool:
        try:
            await self._put(key, data, metadata or {}, retained=retained, IfNoneMatch="*")
        except FileExistsError:
            return False
        return True

    async def replace(self, key: str, data: Piece, *, retained: bool = False) -> None:
        await self._put(key, data, {}, retained=retained)

    async def delete(self, key: str) -> None:
        """Remove an object with all its versions, the newest first: it is locked the longest.

        Raises:
            LockedError: it is locked; nothing was removed that was not a marker.
        """
        client, doing = await self._asking.client(), f"cannot remove {key}"
        found: list[tuple[datetime, str]] = []
        with self._asking.translated(doing):
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=key
            )
            async for page in pages:
                await self._asking.pace()
                found += [
                    (one["LastModified"], one["VersionId"])
                    for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
                    if one["Key"] == key
                ]
        for _, version in sorted(found, key=lambda one: one[0], reverse=True):
            await self._delete_version(client, key, version)

    async def _delete_version(self, client: "S3Client", key: str, version: str) -> None:
        await self._asking.pace()
        try:
            with self._asking.translated(f"cannot remove {key}"):
                await client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)
        except ConfigError as exc:
            if (until := await self.locked_until(key, version)) is None:
                raise
            raise self._locked(key, until) from exc

    async def require_unlocked(self, key: str) -> None:
        """Raise a LockedError while an object's newest version is locked; it may be gone."""
        if (until := await self.locked_until(key)) is not None:
            raise self._locked(key, until)

    def _locked(self, key: str, until: datetime) -> LockedError:
        return LockedError(
            f"{self.name}/{key} is locked until {until.isoformat()}",
            hint="it cannot be removed before then; run it again after that time",
        )

    async def locked_until(self, key: str, version: str | None = None) -> datetime | None:
        """Return until when the newest, or one, version is locked; None: not, or no object."""
        _, _, until = await self._look(key, version)
        return until if until is not None and until > self._lock.clock.now() else None

    async def extend(self, key: str, until: datetime) -> bool:
        """Lock an object's newest version until then, unless it is longer; False: there is none."""
        version, mode, locked = await self._look(key, None)
        if version is None:
            return False
        if locked is not None and locked >= until.replace(microsecond=0):
            return True
        client = await self._asking.client()
        await self._asking.pace()
        with self._asking.translated(f"cannot lock {key}"):
            await client.put_object_retention(
                Bucket=self._bucket,
                Key=key,
                VersionId=version,
                Retention={
                    "Mode": "COMPLIANCE" if mode == "COMPLIANCE" else self._lock.s3_mode,
                    "RetainUntilDate": until,
                },
            )
        return True

    async def require_lock(self) -> None:
        """Raise a ConfigError when the bucket has no object lock."""
        client = await self._asking.client()
        await self._asking.pace()
        enabled = False
        with self._asking.translated("cannot ask for its object lock"):
            try:
                found = await client.get_object_lock_configuration(Bucket=self._bucket)
                enabled = found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled"
            except ClientError as exc:
                if error_code(exc) != NO_LOCK:
                    raise
        if not enabled:
            raise ConfigError(
                f"{self.name} has no object lock, and `object_lock` is set",
                hint="make the bucket with object lock, turn it on for a bucket with versions, or"
                " leave `object_lock` out",
            )

    async def try_versions(self, key: str) -> None:
        """Ask for a version and its lock, of an object of our own that is not locked.

        Raises:
            ConfigError: one of it is denied.
        """
        client = await self._asking.client()
        await self.create(key, b"probe", retained=False)
        try:
            version, _, _ = await self._look(key, None)
            await self._look(key, version)
            await self._asking.pace()
            with self._asking.translated(f"cannot ask for the lock of {key}"):
                try:
                    await client.get_object_retention(Bucket=self._bucket, Key=key)
                except ClientError as exc:
                    if error_code(exc) != NOT_LOCKED:
                        raise
        finally:
            await self.delete(key)

    async def _look(
        self, key: str, version: str | None
    ) -> tuple[str | None, str | None, datetime | None]:
        """Return version, mode and end of the lock."""
        client = await self._asking.client()
        await self._asking.pace()
        which: dict[str, Any] = {} if version is None else {"VersionId": version}
        try:
            with self._asking.translated(f"cannot look at {key}"):
                found = await client.head_object(Bucket=self._bucket, Key=key, **which)
        except MissingObjectError:
            return None, None, None
        return (
            found["VersionId"],
            found.get("ObjectLockMode"),
            found.get("ObjectLockRetainUntilDate"),
        )

    async def _put(
        self, key: str, data: Piece, metadata: Mapping[str, str], *, retained: bool, **how: Any
    ) -> None:
        client = await self._asking.client()
        await self._asking.pace()
        await self._pace.transfer(len(data))
        lock = self._lock.arguments() if retained else {}
        with self._asking.translated(f"cannot write {key}"):
            await client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=bytes(data),  # the SDK takes no memoryview
                Metadata=metadata,
                ChecksumCRC64NVME=crc_text(crc64nvme(data)),
                **lock,
                **how,
            )
