"""S3's object lock: a stored object cannot be removed before its time, not even by the replicator.

A bucket with object lock keeps every version of an object. Overwriting or removing an object adds a
version or a marker; the locked version stays.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from awscrt.checksums import crc64nvme
from botocore.exceptions import ClientError

from replicator.adapters.s3.bucket import S3Bucket, Sdk
from replicator.adapters.s3.session import crc_text, ending, error_code
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
    """How long stored objects are locked, and whether a privileged user may shorten the lock."""

    mode: Literal["governance", "compliance"]
    retention: timedelta
    clock: Clock

    @property
    def s3_mode(self) -> Literal["GOVERNANCE", "COMPLIANCE"]:
        """The mode in S3's spelling."""
        return "GOVERNANCE" if self.mode == "governance" else "COMPLIANCE"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a request that stores a locked object now."""
        return {
            "ObjectLockMode": self.s3_mode,
            "ObjectLockRetainUntilDate": self.clock.now() + self.retention,
        }


class LockedBucket(S3Bucket):
    """A bucket with object lock: locks the objects it creates, deletes all versions of an object.

    Small objects are stored through the SDK, because obstore does not support object lock.
    """

    def __init__(
        self, store: "S3Store", bucket: str, *, lock: S3Lock, sdk: Sdk, pace: Pace
    ) -> None:
        super().__init__(store, bucket, sdk=sdk, pace=pace)
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
        """Remove all versions of an object, the newest first, because its lock ends last.

        Raises:
            LockedError: the object is locked; at most delete markers were removed.
        """
        client, doing = await self._sdk.client(), f"cannot remove {key}"
        found: list[tuple[datetime, str]] = []
        with self._sdk.translated(doing):
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=key
            )
            async for page in ending(pages, f"the versions of {key}"):
                await self._sdk.pace()
                found += [
                    (one["LastModified"], one["VersionId"])
                    for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
                    if one["Key"] == key
                ]
        for _, version in sorted(found, key=lambda one: one[0], reverse=True):
            await self._delete_version(client, key, version)

    async def _delete_version(self, client: "S3Client", key: str, version: str) -> None:
        await self._sdk.pace()
        try:
            with self._sdk.translated(f"cannot remove {key}"):
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
        """Return when the lock of a version (default: newest) ends; None: no lock, or no object."""
        _, _, until = await self._look(key, version)
        return until if until is not None and until > self._lock.clock.now() else None

    async def extend(self, key: str, until: datetime) -> bool:
        """Lock an object's newest version at least until a time; False: there is no object."""
        version, mode, locked = await self._look(key, None)
        if version is None:
            return False
        # S3 keeps whole seconds: compared to the microsecond, each run would set every lock anew.
        if locked is not None and locked >= until.replace(microsecond=0):
            return True
        client = await self._sdk.client()
        await self._sdk.pace()
        with self._sdk.translated(f"cannot lock {key}"):
            await client.put_object_retention(
                Bucket=self._bucket,
                Key=key,
                VersionId=version,
                Retention={
                    # S3 refuses to turn a lock of compliance into one of governance.
                    "Mode": "COMPLIANCE" if mode == "COMPLIANCE" else self._lock.s3_mode,
                    "RetainUntilDate": until,
                },
            )
        return True

    async def require_lock(self) -> None:
        """Raise a ConfigError if the bucket has no object lock."""
        client = await self._sdk.client()
        await self._sdk.pace()
        enabled = False
        with self._sdk.translated("cannot ask for its object lock"):
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
        """Ask for a version and its lock, of an unlocked object that is made for this.

        Raises:
            ConfigError: one of these requests is denied.
        """
        client = await self._sdk.client()
        await self.create(key, b"probe", retained=False)
        try:
            version, _, _ = await self._look(key, None)
            await self._look(key, version)
            await self._sdk.pace()
            with self._sdk.translated(f"cannot ask for the lock of {key}"):
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
        """Return version, lock mode and end of the lock."""
        client = await self._sdk.client()
        await self._sdk.pace()
        which: dict[str, Any] = {} if version is None else {"VersionId": version}
        try:
            with self._sdk.translated(f"cannot look at {key}"):
                found = await client.head_object(Bucket=self._bucket, Key=key, **which)
                return (
                    found["VersionId"],
                    found.get("ObjectLockMode"),
                    found.get("ObjectLockRetainUntilDate"),
                )
        except MissingObjectError:
            return None, None, None

    async def _put(
        self, key: str, data: Piece, metadata: Mapping[str, str], *, retained: bool, **how: Any
    ) -> None:
        client = await self._sdk.client()
        await self._sdk.pace()
        await self._pace.transfer(len(data))
        lock = self._lock.arguments() if retained else {}
        with self._sdk.translated(f"cannot write {key}"):
            await client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=bytes(data),  # the SDK takes no memoryview
                Metadata=metadata,
                ChecksumCRC64NVME=crc_text(crc64nvme(data)),
                **lock,
                **how,
            )
