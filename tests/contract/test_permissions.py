"""The policies of docs/storages.md are enough, none of their actions is idle, and check sees it.

versitygw enforces them: as policies of the buckets, for accounts that may do nothing else.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from botocore.exceptions import ClientError

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.lock import S3Lock
from replicator.adapters.s3.service import s3_service
from replicator.adapters.s3.session import s3_client
from replicator.adapters.s3.storage import S3Reader, S3Storage
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.errors import ConfigError, MissingObjectError, RefusedError
from replicator.model.load_spec import Location
from replicator.ports import CopySource
from replicator.services.checkup.copy_trial import CopyTrial, Sample
from tests.contract.storages import MIB, SIZES, Origin, fresh, s3_address
from tests.servers.stores import S3

if TYPE_CHECKING:
    from aiobotocore.session import ClientCreatorContext
    from types_aiobotocore_s3 import S3Client

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("stores")]

DOCS = Path(__file__).parents[2] / "docs" / "storages.md"
PREFIX = "druid/segments"
ONE, TWO, THREE = (Location(f"wiki/i/v/{n}/index.zip") for n in range(3))
FOLDER, NONE = Location("wiki/i/v/3/index/"), Location("wiki/i/v/4/index.zip")
SMALL, LARGE = b"small" * 100, b"l" * (SIZES.part_bytes + MIB)
LOCKED_S = 4  # a busy machine takes a while between saying until when and writing
Statements = list[dict[str, Any]]


def lock() -> S3Lock:
    return S3Lock(mode="governance", retention=timedelta(seconds=LOCKED_S), clock=SystemClock())


def documented(heading: str) -> Statements:
    """Return the statements of the policy that follows a heading of the docs."""
    found = re.search(rf"{re.escape(heading)}.*?```json\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None, heading
    statements: Statements = orjson.loads(found[1])["Statement"]
    return statements


READING = documented("**S3, a source**")
WRITING = documented("**S3, a target or an archive**")
LOCKING = documented("With `object_lock` also:")


def listed(statement: dict[str, Any]) -> list[str]:
    actions: str | list[str] = statement["Action"]
    return [actions] if isinstance(actions, str) else actions


def without(statements: Statements, action: str) -> Statements:
    left = [{**one, "Action": [a for a in listed(one) if a != action]} for one in statements]
    return [one for one in left if one["Action"]]


def actions_of(statements: Statements) -> list[str]:
    return [action for one in statements for action in listed(one)]


async def made(s3: S3, word: str, *, with_lock: bool = False) -> str:
    """Make a bucket as its owner does; one that is only a folder has no owner."""
    bucket = fresh(word)
    async with rooted(s3, bucket) as client:
        await client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=with_lock)
    return bucket


def rooted(s3: S3, bucket: str) -> "ClientCreatorContext[S3Client]":
    """Return a client of the bucket's owner."""
    return s3_client(s3_service(s3_address(s3.url, bucket)))


async def allow(root: "S3Client", bucket: str, allowed: dict[str, Statements]) -> None:
    """Let each account do this in the bucket, and nothing else."""
    statements = [
        {
            **one,
            "Principal": {"AWS": [account]},
            "Resource": re.sub(r"(?<=:::)[a-z-]+", bucket, one["Resource"]),
        }
        for account, policy in allowed.items()
        for one in policy
    ]
    policy = orjson.dumps({"Version": "2012-10-17", "Statement": statements}).decode()
    await root.put_bucket_policy(Bucket=bucket, Policy=policy)


@pytest.fixture
async def source_bucket(s3: S3) -> str:
    """A bucket with one packed segment and one of files; the target's login may read it too."""
    bucket = await made(s3, "source")
    async with rooted(s3, bucket) as root:
        await root.put_object(Bucket=bucket, Key=f"{PREFIX}/{ONE}", Body=LARGE)
        await root.put_object(Bucket=bucket, Key=f"{PREFIX}/{FOLDER}00000.smoosh", Body=SMALL)
        await allow(root, bucket, {"source": READING, "target": READING})
    return bucket


def reader_of(s3: S3, bucket: str) -> S3Reader:
    address = replace(s3_address(s3.url, bucket), access_key_id="source")
    return S3Reader(address, pace=Pace(), sizes=SIZES)


@asynccontextmanager
async def target_of(s3: S3, bucket: str, *, lock: S3Lock | None = None) -> AsyncIterator[S3Storage]:
    async with S3Storage(
        replace(s3_address(s3.url, bucket), access_key_id="target"),
        pace=Pace(),
        in_flight=InFlight(64 * MIB),
        sizes=SIZES,
        clock=SystemClock(),
        lock=lock,
    ) as storage:
        yield storage


async def read_all(reader: S3Reader) -> None:
    """Do all that is done with a source."""
    await reader.try_reading()
    for place in (ONE, FOLDER):
        for stored in await reader.objects(place, ahead=True):
            assert [piece async for piece in reader.read(place, stored)]
        await reader.check(place)
    with pytest.raises(MissingObjectError):
        await reader.objects(NONE)


async def write_all(storage: S3Storage, reader: S3Reader) -> None:
    """Do all that is done with a target, but what a lock is in the way of."""
    await storage.probe()
    await storage.put(ONE, await Origin({"": SMALL}).copy_source(ONE))
    await storage.put(TWO, await Origin({"": LARGE}).copy_source(TWO))
    stored = tuple(await reader.objects(ONE))
    await storage.put(THREE, CopySource(reader=reader, location=ONE, objects=stored))
    await storage.put(FOLDER, await Origin({"a": SMALL, "b": LARGE}).copy_source(FOLDER))
    for place in (ONE, TWO, THREE, FOLDER):
        assert await storage.receipt(place) is not None
        await storage.check(place)
        await storage.extend(place, SystemClock().now() + timedelta(seconds=LOCKED_S))
    area = storage.area()
    assert await area.create("history/x", b"x")
    await area.replace("points/y", b"y")
    assert await area.get("points/y") == b"y"
    assert await area.names("history/") == ["history/x"]
    await area.delete("points/y")
    assert [place async for page in storage.stored_locations(lambda _: False) for place in page]
    await storage.replace(ONE, await Origin({"": SMALL}).copy_source(ONE), None)


async def test_a_source_is_read_with_the_policy_of_the_docs_and_not_written(
    s3: S3, source_bucket: str
):
    reader = reader_of(s3, source_bucket)
    await read_all(reader)
    with pytest.raises(ConfigError, match="denied"):
        await reader.bucket.create(f"{PREFIX}/new", b"")
    with pytest.raises(ConfigError, match="denied"):
        await reader.bucket.clear(f"{PREFIX}/{ONE}")
    await reader.close()


async def test_a_target_is_kept_with_the_policy_of_the_docs(s3: S3, source_bucket: str):
    bucket = await made(s3, "standby")
    async with rooted(s3, bucket) as root:
        await allow(root, bucket, {"target": WRITING})
    reader = reader_of(s3, source_bucket)
    async with target_of(s3, bucket) as storage:
        await write_all(storage, reader)
        await storage.replace(TWO, await Origin({"": LARGE}).copy_source(TWO), None)
        assert await copied_within(s3, bucket)
        for place in (ONE, TWO, THREE, FOLDER):
            await storage.remove(place)
    await reader.close()


async def copied_within(s3: S3, bucket: str) -> bool:
    """Return whether the service copied the third: only then it keeps a SHA-256 of it."""
    async with rooted(s3, bucket) as client:
        key = f"{PREFIX}/{THREE}"
        head = await client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    return "ChecksumSHA256" in head


async def test_a_target_with_locks_is_kept_with_the_policies_of_the_docs(
    s3: S3, source_bucket: str
):
    bucket = await made(s3, "locked", with_lock=True)
    async with rooted(s3, bucket) as root:
        await allow(root, bucket, {"target": WRITING + LOCKING})
    reader = reader_of(s3, source_bucket)
    async with target_of(s3, bucket, lock=lock()) as storage:
        await write_all(storage, reader)
        with pytest.raises(RefusedError, match="is locked until"):
            await storage.remove(FOLDER)
        await asyncio.sleep(LOCKED_S + 1)  # to the server's second
        for place in (ONE, TWO, THREE, FOLDER):
            await storage.remove(place)
    await reader.close()


async def test_a_source_that_lacks_an_action_is_seen_by_a_check(s3: S3, source_bucket: str):
    async with rooted(s3, source_bucket) as root:
        for action in actions_of(READING):
            await allow(root, source_bucket, {"source": without(READING, action)})
            reader = reader_of(s3, source_bucket)
            with pytest.raises(ConfigError) as found:
                await checked(reader)
            assert_says_where_the_policy_is(found.value, action)
            await reader.close()


async def checked(reader: S3Reader) -> None:
    """Do what `check` does with a source."""
    await reader.try_reading()
    for stored in await reader.objects(ONE):
        assert [piece async for piece in reader.read(ONE, stored)]


@pytest.mark.parametrize(
    ("needed", "tried", "end"),
    [(WRITING, WRITING, None), (WRITING + LOCKING, LOCKING, lock())],
    ids=["target", "lock"],
)
async def test_a_target_that_lacks_an_action_is_seen_by_its_probe(
    s3: S3, needed: Statements, tried: Statements, end: S3Lock | None
):
    bucket = await made(s3, "standby", with_lock=end is not None)
    async with rooted(s3, bucket) as root:
        for action in actions_of(tried):
            await allow(root, bucket, {"target": without(needed, action)})
            async with target_of(s3, bucket, lock=end) as storage:
                with pytest.raises(ConfigError) as found:
                    await storage.probe()
                assert_says_where_the_policy_is(found.value, action)


async def test_a_check_copies_in_parts_and_within_the_service_with_the_policy_of_the_docs(
    s3: S3, source_bucket: str
):
    """With a right to delete that ends at our own area, what was copied stays and is named."""
    bucket = await made(s3, "standby")
    reader = reader_of(s3, source_bucket)
    sample = Sample(location=ONE, objects=tuple(await reader.objects(ONE)))
    async with rooted(s3, bucket) as root:
        await allow(root, bucket, {"target": WRITING})
        async with target_of(s3, bucket) as storage:
            found = await trial_of(storage).run(reader, [sample])
            assert [(one.good, one.note) for one in found] == [(True, False)] * 3, found
            assert "6 MiB were stored as a segment is" in found[0].detail
            assert "within the target by itself" in found[1].detail
            assert "from the source by itself" in found[2].detail
            assert [one async for one in storage.stored_locations(lambda _: False) if one] == []
        await allow(root, bucket, {"target": without(WRITING, "s3:DeleteObject")})
        async with target_of(s3, bucket) as storage:
            *_, last = await trial_of(storage).run(reader, [])
            assert not last.good
            assert "stays on the target" in last.detail
            assert "AccessDenied" in last.detail
    await reader.close()


async def test_a_target_that_may_not_read_the_source_copies_bytes_itself_and_says_so(
    s3: S3, source_bucket: str
):
    bucket = await made(s3, "standby")
    reader = reader_of(s3, source_bucket)
    sample = Sample(location=ONE, objects=tuple(await reader.objects(ONE)))
    async with rooted(s3, bucket) as root, rooted(s3, source_bucket) as owner:
        await allow(root, bucket, {"target": WRITING})
        await allow(owner, source_bucket, {"source": READING})
        async with target_of(s3, bucket) as storage:
            *_, last = await trial_of(storage).run(reader, [sample])
    assert (last.good, last.note) == (True, True)
    assert "the service did not copy an object from the source" in last.detail
    await reader.close()


def trial_of(storage: S3Storage) -> CopyTrial:
    return CopyTrial(
        "standby", storage, locks=False, part_bytes=SIZES.part_bytes, rng=Random(token_bytes(8))
    )


def assert_says_where_the_policy_is(exc: ConfigError, action: str) -> None:
    assert "AccessDenied" in str(exc) or "403" in str(exc), (action, exc)
    assert "docs/storages.md#permissions" in exc.hint, (action, exc.hint)


async def test_an_account_may_do_nothing_that_no_policy_allows(s3: S3, source_bucket: str):
    """It has no right of its own, or what is above would prove nothing."""
    address = replace(s3_address(s3.url, await made(s3, "other")), access_key_id="source")
    async with s3_client(s3_service(address)) as client:
        with pytest.raises(ClientError, match="AccessDenied"):
            await client.list_objects_v2(Bucket=address.bucket)
        with pytest.raises(ClientError, match="AccessDenied"):
            await client.put_object(Bucket=source_bucket, Key=f"{PREFIX}/{ONE}", Body=b"")
