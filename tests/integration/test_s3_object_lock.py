"""What is stored under object lock stays until its time, whoever asks for its removal."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from random import Random
from typing import Literal

import pytest
from botocore.exceptions import ClientError

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.lock import S3Lock
from replicator.adapters.s3.service import s3_service
from replicator.adapters.s3.session import s3_bucket, s3_client
from replicator.adapters.s3.storage import S3Reader, S3Storage
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.errors import (
    ConfigError,
    MissingObjectError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.load_spec import Location
from replicator.ports import CopySource
from tests.contract.storages import MIB, SIZES, Origin, checked, fresh, s3_address
from tests.servers.stores import S3

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("stores")]

ONE = Location("wiki/2024-01-01_2024-01-02/v1/0/index.zip")
LARGE = Location("wiki/2024-01-01_2024-01-02/v1/1/index.zip")
FOLDER = Location("wiki/2024-01-01_2024-01-02/v1/2/index/")
CONTENTS = {
    ONE: {"": b"small"},
    LARGE: {"": Random(4).randbytes(5 * MIB + 7)},  # a whole part and a rest
    FOLDER: {"00000.smoosh": b"rows", "meta.smoosh": b"v1", "version.bin": b"9"},
}
RETENTION = timedelta(hours=1)


@pytest.fixture
async def bucket(s3: S3) -> str:
    name = fresh("locked")
    async with s3_client(s3_service(s3_address(s3.url, name))) as client:
        await client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def storage(
    s3: S3,
    bucket: str,
    *,
    mode: Literal["governance", "compliance"] = "governance",
    retention: timedelta = RETENTION,
) -> S3Storage:
    return S3Storage(
        s3_address(s3.url, bucket),
        pace=Pace(),
        in_flight=InFlight(64 * MIB),
        sizes=SIZES,
        clock=SystemClock(),
        lock=S3Lock(mode=mode, retention=retention, clock=SystemClock()),
    )


@pytest.fixture
async def target(s3: S3, bucket: str) -> AsyncIterator[S3Storage]:
    async with storage(s3, bucket) as found:
        yield found


async def put(target: S3Storage, place: Location) -> None:
    await target.put(place, await Origin(CONTENTS[place]).copy_source(place))


async def locks(s3: S3, bucket: str) -> dict[str, datetime | None]:
    """Return until when each version of each object is locked, as the server says."""
    found: dict[str, datetime | None] = {}
    async with s3_client(s3_service(s3_address(s3.url, bucket))) as client:
        for one in (await client.list_object_versions(Bucket=bucket)).get("Versions", []):
            head = await client.head_object(
                Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"]
            )
            found[one["Key"]] = head.get("ObjectLockRetainUntilDate")
    return found


@pytest.mark.parametrize("place", [ONE, LARGE, FOLDER])
@pytest.mark.parametrize("mode", ["governance", "compliance"])
async def test_bytes_and_receipts_are_locked_from_the_beginning(
    s3: S3, bucket: str, place: Location, mode: Literal["governance", "compliance"]
):
    before = SystemClock().now().replace(microsecond=0)
    async with storage(s3, bucket, mode=mode) as target:
        await put(target, place)
        found = await locks(s3, bucket)
        assert len(found) == {ONE: 1, LARGE: 2, FOLDER: 4}[place]
        for until in found.values():
            assert until is not None
            assert before + RETENTION <= until <= SystemClock().now() + RETENTION
        with pytest.raises(RefusedError, match="locked until"):
            await target.remove(place)
        assert await target.check(place) == checked(CONTENTS[place])
        assert await target.receipt(place) is not None


async def hidden(s3: S3, bucket: str, target: S3Storage, place: Location) -> None:
    """Remove an object as a console does, which leaves a delete marker over its versions."""
    async with s3_client(s3_service(s3_address(s3.url, bucket))) as client:
        await client.delete_object(Bucket=bucket, Key=target.key(place))
    assert await target.receipt(place) is None


@pytest.mark.parametrize("place", [ONE, LARGE])
async def test_what_somebody_removed_is_stored_again_over_the_marker(
    s3: S3, bucket: str, target: S3Storage, place: Location
):
    """versitygw takes a marker for an object (412), Amazon documents success."""
    await put(target, place)
    await hidden(s3, bucket, target, place)
    await put(target, place)
    assert await target.check(place) == checked(CONTENTS[place])
    assert await target.receipt(place) is not None
    with pytest.raises(RefusedError, match="other bytes"):
        await target.put(place, await Origin({"": b"another"}).copy_source(place))


@pytest.mark.parametrize("place", [ONE, LARGE])
async def test_what_somebody_removed_can_be_mended(
    s3: S3, bucket: str, target: S3Storage, place: Location
):
    await put(target, place)
    truth = await target.receipt(place)
    await hidden(s3, bucket, target, place)
    await target.replace(place, await Origin(CONTENTS[place]).copy_source(place), truth)
    assert await target.check(place) == checked(CONTENTS[place])


async def test_the_server_itself_refuses_to_remove_a_locked_version(
    s3: S3, bucket: str, target: S3Storage
):
    await put(target, ONE)
    async with s3_client(s3_service(s3_address(s3.url, bucket))) as client:
        (version,) = (await client.list_object_versions(Bucket=bucket))["Versions"]
        with pytest.raises(ClientError, match="AccessDenied"):
            await client.delete_object(
                Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"]
            )


async def test_what_was_copied_by_the_service_is_locked(s3: S3, bucket: str, target: S3Storage):
    address = s3_address(s3.url, bucket, prefix="source")
    await s3_bucket(s3_service(address), Pace()).replace(f"source/{LARGE}", CONTENTS[LARGE][""])
    reader = S3Reader(address, pace=Pace(), sizes=SIZES)
    objects = tuple(await reader.objects(LARGE))
    await target.put(LARGE, CopySource(reader=reader, location=LARGE, objects=objects))
    found = await locks(s3, bucket)
    assert found.pop(f"source/{LARGE}") is None
    assert list(found) == [target.key(LARGE)], "it carries its receipt itself"
    assert None not in found.values()


@pytest.mark.parametrize("place", [ONE, LARGE, FOLDER])
async def test_after_its_time_a_place_goes_with_all_its_versions(
    s3: S3, bucket: str, place: Location
):
    async with storage(s3, bucket, retention=timedelta(seconds=3)) as target:
        await put(target, place)
        with pytest.raises(RefusedError, match="locked"):
            await target.remove(place)
        last = max(until for until in (await locks(s3, bucket)).values() if until is not None)
        await until_then(last)
        await target.remove(place)
        assert await target.receipt(place) is None
    assert await locks(s3, bucket) == {}


async def until_then(time: datetime) -> None:
    """Wait until the server lets go; its clock is this machine's."""
    while SystemClock().now() <= time:
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("place", [ONE, LARGE, FOLDER])
async def test_what_is_still_needed_is_locked_for_longer(
    s3: S3, bucket: str, target: S3Storage, place: Location
):
    await put(target, place)
    until = (SystemClock().now() + timedelta(days=2)).replace(microsecond=0)
    await target.extend(place, until)
    await target.extend(place, until - timedelta(days=1))  # a longer lock stays as it is
    assert set((await locks(s3, bucket)).values()) == {until}


async def test_what_is_not_there_cannot_be_locked(target: S3Storage):
    await put(target, ONE)
    for place in (LARGE, FOLDER):
        with pytest.raises(MissingObjectError):
            await target.extend(place, SystemClock().now() + RETENTION)


async def test_a_bucket_without_object_lock_is_said_so(s3: S3):
    name = fresh("plain")
    s3.bucket(name)
    async with storage(s3, name) as target:
        with pytest.raises(ConfigError, match="has no object lock") as found:
            await target.probe()
        assert "leave `object_lock` out" in found.value.hint


async def test_a_probe_is_not_locked_and_leaves_no_version(s3: S3, bucket: str, target: S3Storage):
    await target.probe()
    assert await locks(s3, bucket) == {}


async def test_our_own_immutable_files_are_locked_and_the_others_are_not(
    s3: S3, bucket: str, target: S3Storage
):
    area = target.area()
    assert await area.create("history/1", b"once")
    await area.replace("points", b"changes")
    await area.replace("points", b"again")
    with pytest.raises(RefusedError, match="locked"):
        await area.delete("history/1")
    await area.delete("points")
    assert await area.names("") == ["history/1"]
    assert list(await locks(s3, bucket)) == ["druid/segments/_replicator/history/1"]


async def test_our_own_files_are_locked_for_longer(s3: S3, bucket: str, target: S3Storage):
    area = target.area()
    await area.create("history/1", b"once")
    until = (SystemClock().now() + timedelta(days=2)).replace(microsecond=0)
    await area.extend("history/1", until)
    assert set((await locks(s3, bucket)).values()) == {until}
    with pytest.raises(NotFoundError):
        await area.extend("history/2", until)


async def test_a_folder_that_was_half_stored_is_taken_over(s3: S3, bucket: str, target: S3Storage):
    """Its files cannot be cleaned up, and need not be."""
    origin = Origin(CONTENTS[FOLDER])
    copy_source = await origin.copy_source(FOLDER)
    del origin.files["version.bin"]
    with pytest.raises(MissingObjectError):
        await target.put(FOLDER, copy_source)
    assert await target.receipt(FOLDER) is None
    await put(target, FOLDER)
    assert await target.check(FOLDER) == checked(CONTENTS[FOLDER])


async def test_the_same_bytes_again_are_fine_and_others_are_refused(target: S3Storage):
    for place in (ONE, LARGE):
        await put(target, place)
        await put(target, place)
        other = {"": CONTENTS[place][""][::-1]}
        with pytest.raises((RefusedError, TransientError)):
            await target.put(place, await Origin(other).copy_source(place))
        assert await target.check(place) == checked(CONTENTS[place])
