"""S3 when things go wrong: nothing wrong is ever visible, and the next try finishes the work."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from random import Random

import pytest
from botocore.retries.standard import ExponentialBackoff

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.service import s3_service
from replicator.adapters.s3.session import s3_bucket, s3_client
from replicator.adapters.s3.storage import S3Reader, S3ServerCopy, S3Storage
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import (
    ConfigError,
    CorruptionError,
    MissingObjectError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.load_spec import Location
from replicator.model.plans.cost import AHEAD_MAX_BYTES, SERVER_SIDE_MIN_BYTES
from replicator.ports import Clock, CopySource, Receipt
from replicator.services.target.copier import ahead_bytes_max
from tests.contract.storages import MIB, SIZES, Origin, checked, fresh, s3_address
from tests.rings import IS_LONG
from tests.servers.process import PROJECT
from tests.servers.proxy import Flip, Proxy, Refuse, Request, Reset, proxy
from tests.servers.stores import S3, S3_SECRET
from tests.servers.tied import tied

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("stores")]

ONE = Location("wiki/2024-01-01_2024-01-02/v1/0/index.zip")
LARGE = Random(2).randbytes(17 * MIB)  # three whole parts of 5 MiB and a rest
SMALL = LARGE[: 2 * MIB]  # stored by one request, and large enough to be copied by the service
PARTS = 4
MULTIPART = ["CreateMultipartUpload", *["UploadPart"] * PARTS, "CompleteMultipartUpload"]


@pytest.fixture(autouse=True)
def _the_sdk_tries_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the seconds that it would wait nothing is proved here, and most tests let it try again."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)


@pytest.fixture
async def front(s3: S3) -> AsyncIterator[Proxy]:
    async with proxy(s3.port) as found:
        yield found


@pytest.fixture
def bucket(s3: S3) -> str:
    name = fresh("bad")
    s3.bucket(name)
    return name


class LaterClock:
    def now(self) -> datetime:
        return SystemClock().now() + timedelta(days=3)


def storage(
    url: str,
    bucket: str,
    prefix: str = "druid/segments",
    *,
    secret: str = S3_SECRET,
    clock: Clock | None = None,
) -> S3Storage:
    return S3Storage(
        s3_address(url, bucket, prefix=prefix, secret=secret),
        pace=Pace(),
        in_flight=InFlight(64 * MIB),
        sizes=SIZES,
        clock=clock or SystemClock(),
    )


async def copy_source(data: bytes = LARGE) -> CopySource:
    return await Origin({"": data}).copy_source(ONE)


async def put_until_it_works(url: str, bucket: str, data: bytes = LARGE) -> tuple[Receipt, int]:
    """Try as the executor does, each time as a new process; return how many tries failed."""
    for failed in range(20):
        async with storage(url, bucket) as target:
            try:
                return await target.put(ONE, await copy_source(data)), failed
            except TransientError:
                assert await target.receipt(ONE) is None
    raise AssertionError("it never worked")


async def is_whole(s3: S3, bucket: str, data: bytes = LARGE) -> None:
    """Look without the proxy: the bytes, and no parts left."""
    async with storage(s3.url, bucket) as target:
        assert await target.check(ONE) == checked({"": data})
        receipt = await target.receipt(ONE)
        assert receipt is not None
        assert receipt.objects == checked({"": data})
    assert await unfinished(s3, bucket) == []


async def unfinished(s3: S3, bucket: str) -> list[str]:
    async with s3_client(s3_service(s3_address(s3.url, bucket))) as client:
        found = await client.list_multipart_uploads(Bucket=bucket)
        return [one["Key"] for one in found.get("Uploads", [])]


async def test_how_many_requests_an_object_costs(s3: S3, front: Proxy, bucket: str):
    """Looking whether it is there, and storing it: no request that is not needed."""
    async with storage(front.url, bucket) as target:
        assert await target.receipt(ONE) is None
        await target.put(ONE, await copy_source(b"small"))
        assert front.kinds() == ["HEAD", "PUT"]
        front.seen.clear()
        other = Location("wiki/other/index.zip")
        assert await target.receipt(other) is None
        await target.put(other, await Origin({"": LARGE}).copy_source(other))
        # a receipt that a removal has left would speak for the new bytes: it is looked for
        kinds = ["HEAD", "HEAD receipt", "ListMultipartUploads", *MULTIPART, "HEAD", "PUT receipt"]
        assert sorted(front.kinds()) == sorted(kinds)
        front.seen.clear()
        assert await target.receipt(ONE) is not None
        assert front.kinds() == ["HEAD"]
        front.seen.clear()
        reader = S3Reader(s3_address(front.url, bucket), pace=Pace(), sizes=SIZES)
        (stored,) = await reader.objects(ONE)
        assert [piece async for piece in reader.read(ONE, stored)] == [b"small"]
        assert front.kinds() == ["HEAD", "GET"]
        front.seen.clear()
        (stored,) = await reader.objects(ONE, ahead=True)
        assert [piece async for piece in reader.read(ONE, stored)] == [b"small"]
        assert front.kinds() == ["GET"]


WHERE = ("before", "request", "response")
LOST = [
    (nth, where)
    for nth in range(len(MULTIPART))
    for number, where in enumerate(WHERE)
    if IS_LONG or number == nth % len(WHERE)
]
"""In the long run each request in each way; in the gate each request, and each way twice."""


@pytest.mark.parametrize(("nth", "where"), LOST)
async def test_a_connection_lost_at_each_request_of_an_upload(
    s3: S3, front: Proxy, bucket: str, where: str, nth: int
):
    """Each kind of request loses its connection as often as the client tries it again."""
    left = {"times": 4}
    order = list(dict.fromkeys(MULTIPART))
    kind = MULTIPART[nth]
    part = f"partNumber={nth}&" if kind == "UploadPart" else ""

    def decide(request: Request) -> Reset | None:
        if request.kind == kind and part in f"{request.path}&" and left["times"] > 0:
            left["times"] -= 1
            return Reset(where)
        return None

    assert kind in order
    front.decide = decide
    receipt, _ = await put_until_it_works(front.url, bucket)
    assert receipt.objects == checked({"": LARGE})
    assert left["times"] < 4, "the fault never happened"
    await is_whole(s3, bucket)


async def test_parts_that_were_sent_are_not_sent_again(s3: S3, front: Proxy, bucket: str):
    def decide(request: Request) -> Refuse | None:
        last = f"partNumber={PARTS}&" in f"{request.path}&"
        return Refuse(503) if request.kind == "UploadPart" and last else None

    front.decide = decide
    async with storage(front.url, bucket) as target:
        with pytest.raises(TransientError):
            await target.put(ONE, await copy_source())
        assert await target.receipt(ONE) is None
    front.decide = lambda _: None
    front.seen.clear()
    await put_until_it_works(front.url, bucket)
    assert Counter(front.kinds())["UploadPart"] == 1
    assert Counter(front.kinds())["CreateMultipartUpload"] == 0
    await is_whole(s3, bucket)


async def test_parts_of_other_bytes_are_not_used(s3: S3, front: Proxy, bucket: str):
    """The source's object was written again between the two tries."""

    def decide(request: Request) -> Refuse | None:
        return Refuse(503) if request.kind == "CompleteMultipartUpload" else None

    front.decide = decide
    async with storage(front.url, bucket) as target:
        with pytest.raises(TransientError):
            await target.put(ONE, await copy_source())
    front.decide = lambda _: None
    now = LARGE[: 6 * MIB] + b"new" + LARGE[6 * MIB + 3 :]
    front.seen.clear()
    await put_until_it_works(front.url, bucket, now)
    assert Counter(front.kinds())["UploadPart"] == 1
    await is_whole(s3, bucket, now)


async def test_a_storm_of_refusals(s3: S3, front: Proxy, bucket: str):
    rng = Random(3)
    front.decide = lambda _: Refuse(503) if rng.random() < 0.5 else None
    receipt, _ = await put_until_it_works(front.url, bucket)
    assert receipt.objects == checked({"": LARGE})
    assert rng.random() != Random(3).random(), "nothing was refused"
    await is_whole(s3, bucket)


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
async def test_bytes_that_change_on_the_way_are_refused_by_the_server(
    s3: S3, front: Proxy, bucket: str, data: bytes
):
    front.decide = lambda request: Flip() if request.kind in {"PUT", "UploadPart"} else None
    async with storage(front.url, bucket) as target:
        with pytest.raises((TransientError, CorruptionError)):
            await target.put(ONE, await copy_source(data))
    async with storage(s3.url, bucket) as target:
        assert await target.receipt(ONE) is None
        with pytest.raises((MissingObjectError, TransientError)):
            await target.objects(ONE)
    front.decide = lambda _: None
    await put_until_it_works(front.url, bucket, data)
    await is_whole(s3, bucket, data)


async def test_a_body_that_breaks_off_while_it_is_read(s3: S3, front: Proxy, bucket: str):
    async with storage(s3.url, bucket) as target:
        await target.put(ONE, await copy_source())
    front.decide = lambda request: Reset("response") if request.kind == "GET" else None
    reader = S3Reader(s3_address(front.url, bucket), pace=Pace(), sizes=SIZES)
    (stored,) = await reader.objects(ONE)
    with pytest.raises(TransientError):
        _ = [piece async for piece in reader.read(ONE, stored)]
    front.decide = lambda _: None
    assert b"".join([piece async for piece in reader.read(ONE, stored)]) == LARGE


async def test_wrong_credentials_are_a_matter_of_configuration(s3: S3, bucket: str):
    async with storage(s3.url, bucket, secret="wrong") as target:
        for call in (target.receipt(ONE), target.put(ONE, await copy_source()), target.probe()):
            with pytest.raises(ConfigError) as found:
                await call
            assert "wrong" not in str(found.value)


@pytest.mark.parametrize(
    ("code", "hint"), [("AccessDenied", "credentials"), ("RequestTimeTooSkewed", "clock")]
)
async def test_credentials_that_fail_midway(
    s3: S3, front: Proxy, bucket: str, code: str, hint: str
):
    front.decide = lambda r: Refuse(403, code) if r.kind == "CompleteMultipartUpload" else None
    async with storage(front.url, bucket) as target:
        with pytest.raises(ConfigError) as found:
            await target.put(ONE, await copy_source())
        assert hint in found.value.hint
        assert await target.receipt(ONE) is None
    front.decide = lambda r: Refuse(403, code) if r.kind == "GET" else None
    reader = S3Reader(s3_address(front.url, bucket), pace=Pace(), sizes=SIZES)
    async with storage(s3.url, bucket) as target:
        await target.put(Location("wiki/b.zip"), await copy_source(b"small"))
    (stored,) = await reader.objects(Location("wiki/b.zip"))
    with pytest.raises(ConfigError) as found:
        _ = [piece async for piece in reader.read(Location("wiki/b.zip"), stored)]
    assert hint in found.value.hint


async def test_an_object_that_goes_while_it_is_sent_leaves_no_parts(s3: S3, bucket: str):
    origin = Origin({"": LARGE}, failure=MissingObjectError("killed"))
    async with storage(s3.url, bucket) as target:
        with pytest.raises(MissingObjectError):
            await target.put(ONE, await origin.copy_source(ONE))
    assert await unfinished(s3, bucket) == []


async def test_uploads_that_nobody_finishes_are_aborted_below_our_prefix_only(s3: S3, bucket: str):
    async with s3_client(s3_service(s3_address(s3.url, bucket))) as client:
        for key in ("druid/segments/old.zip", "somebody/else.zip", "druid/segments2/x.zip"):
            await client.create_multipart_upload(Bucket=bucket, Key=key)
    async with storage(s3.url, bucket) as target:
        await target.put(ONE, await copy_source())
    assert len(await unfinished(s3, bucket)) == 3, "young ones may be somebody's at work"
    async with storage(s3.url, bucket, clock=LaterClock()) as target:
        other = Location("wiki/other.zip")
        await target.put(other, await Origin({"": LARGE}).copy_source(other))
    assert sorted(await unfinished(s3, bucket)) == ["druid/segments2/x.zip", "somebody/else.zip"]


CHILD = """
import asyncio, sys
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.storage import S3Storage
from tests.contract.storages import SIZES, Origin, s3_address
from tests.integration.test_s3_bad_days import LARGE, ONE

async def main():
    storage = S3Storage(
        s3_address(sys.argv[1], sys.argv[2]), pace=Pace(bytes_per_s_max=4 << 20),
        in_flight=InFlight(64 << 20), sizes=SIZES, clock=SystemClock(),
    )
    print("begin", flush=True)
    await storage.put(ONE, await Origin({"": LARGE}).copy_source(ONE))

asyncio.run(main())
"""


async def test_a_kill_in_the_middle_of_an_upload(s3: S3, front: Proxy, bucket: str):
    """The next start sends only the parts that the dead process did not."""
    command = tied(sys.executable, "-c", CHILD, front.url, bucket)
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT) as child:
        try:
            async with asyncio.timeout(60):
                while Counter(front.kinds())["UploadPart"] < 3:
                    await asyncio.sleep(0.02)
        finally:
            child.kill()
    assert await unfinished(s3, bucket) == [f"druid/segments/{ONE}"]
    async with storage(s3.url, bucket) as target:
        assert await target.receipt(ONE) is None
    front.seen.clear()
    await put_until_it_works(front.url, bucket)
    assert 1 <= Counter(front.kinds())["UploadPart"] < PARTS
    await is_whole(s3, bucket)


# ------------------------------------------------------------------------- within the service


async def shipped_from(url: str, bucket: str, data: bytes) -> CopySource:
    """Let a source in the same service hold an object."""
    address = s3_address(url, bucket, prefix="source")
    source = s3_bucket(s3_service(address), Pace())
    await source.replace(f"source/{ONE}", data)
    reader = S3Reader(address, pace=Pace(), sizes=SIZES)
    objects = tuple(await reader.objects(ONE))
    return CopySource(reader=reader, location=ONE, objects=objects)


async def test_the_service_copies_on_its_own_where_it_can(
    s3: S3, front: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
):
    # on this server a look that is a second old is not believed, and this machine may be slow
    monkeypatch.setattr("replicator.adapters.bucket.storage.monotonic", lambda: 0.0)
    copy_source = await shipped_from(front.url, bucket, LARGE)
    async with storage(front.url, bucket) as target:
        await target.probe()  # also whether a copy may replace what is there
        front.seen.clear()
        assert await target.receipt(ONE) is None
        receipt = await target.put(ONE, copy_source)
        assert receipt.objects == checked({"": LARGE})
        assert front.kinds() == ["HEAD", "HEAD receipt", "PUT"], "no byte passed this process"
        front.seen.clear()
        other = Location("wiki/other/index.zip")
        assert await target.receipt(other) is None
        await target.put(other, copy_source)
        assert front.kinds() == ["HEAD", "HEAD receipt", "PUT"]
        await target.remove(other)
        assert ahead_bytes_max(target, copy_source.reader, ONE) == SERVER_SIDE_MIN_BYTES
        front.seen.clear()
        assert await target.receipt(ONE) == receipt
        assert front.kinds() == ["HEAD", "HEAD"], "one more for the checksum that S3 keeps"
        assert await target.written_receipt(ONE) == receipt
    await is_whole(s3, bucket)


async def test_a_copy_whose_checksum_s3_does_not_keep_counts_as_not_there(s3: S3, bucket: str):
    """Its metadata alone proves nothing: somebody may have written other bytes with the same."""
    copy_source = await shipped_from(s3.url, bucket, LARGE)
    async with storage(s3.url, bucket) as target:
        receipt = await target.put(ONE, copy_source)
        key = target.key(ONE)
        stat = await target.bucket.stat(key)
        assert stat is not None
        await target.bucket.delete(key)
        await target.bucket.create(key, LARGE[::-1], stat.metadata)
        assert await target.receipt(ONE) is None
        with pytest.raises(RefusedError, match="other bytes"):
            await target.put(ONE, copy_source)
        await target.bucket.delete(key)
        await target.bucket.create(key, LARGE, stat.metadata)
        assert await target.put(ONE, copy_source) == receipt, "equal bytes are adopted"
        assert await target.receipt(ONE) == receipt


async def test_a_copy_does_not_have_the_receipt_of_its_original(s3: S3, bucket: str):
    """A restore under another name copies from one target to another."""
    place = Location("renamed/index.zip")
    async with storage(s3.url, bucket, "archive") as archive, storage(s3.url, bucket) as target:
        await archive.put(ONE, await Origin({"": SMALL}).copy_source(ONE))
        objects = tuple(await archive.objects(ONE))
        receipt = await target.put(place, CopySource(reader=archive, location=ONE, objects=objects))
        assert receipt.copied_from == objects
        assert await target.receipt(place) == receipt


async def test_a_receipt_that_came_along_when_somebody_copied_does_not_count(s3: S3, bucket: str):
    elsewhere = Location("elsewhere/index.zip")
    async with storage(s3.url, bucket) as target:
        receipt = await target.put(ONE, await Origin({"": SMALL}).copy_source(ONE))
        stat = await target.bucket.stat(target.key(ONE))
        assert stat is not None
        await target.bucket.create(target.key(elsewhere), SMALL, stat.metadata)
        assert await target.receipt(elsewhere) is None
        assert await target.receipt(ONE) == receipt
        places = [
            place
            async for page in target.stored_locations(frozenset().__contains__)
            for place in page
        ]
        ours = {place.location: place.has_receipt for place in places}
        assert ours == {ONE: True, elsewhere: False}, "it is nothing that we may remove"


async def test_very_large_objects_are_copied_by_ranges(s3: S3, front: Proxy, bucket: str):
    copy_source = await shipped_from(front.url, bucket, LARGE)
    async with storage(front.url, bucket) as target:
        server_copy = target._server_copy
        assert isinstance(server_copy, S3ServerCopy)
        server_copy._object_bytes_max, server_copy._part_bytes = 5 * MIB, 5 * MIB
        receipt = await target.put(ONE, copy_source)
        assert receipt.objects == checked({"": LARGE})
    assert Counter(front.kinds())["UploadPart"] == PARTS
    await is_whole(s3, bucket)


async def test_an_object_written_meanwhile_is_not_copied(s3: S3, bucket: str):
    copy_source = await shipped_from(s3.url, bucket, LARGE)
    await shipped_from(s3.url, bucket, LARGE[::-1])
    async with storage(s3.url, bucket) as target:
        with pytest.raises(TransientError, match="written"):
            await target.put(ONE, copy_source)
        assert await target.receipt(ONE) is None


async def test_where_the_service_may_not_copy_bytes_are_streamed(s3: S3, front: Proxy, bucket: str):
    copy_source = await shipped_from(front.url, bucket, LARGE)
    copies = {"denied": 0}

    def decide(request: Request) -> Refuse | None:
        if request.kind == "PUT" and "_replicator" not in request.path and not copies["denied"]:
            copies["denied"] += 1
            return Refuse(403, "AccessDenied")
        return None

    front.decide = decide
    async with storage(front.url, bucket) as target:
        receipt = await target.put(ONE, copy_source)
        assert ahead_bytes_max(target, copy_source.reader, ONE) == AHEAD_MAX_BYTES
    assert copies["denied"] == 1
    assert receipt.objects == checked({"": LARGE})
    assert Counter(front.kinds())["UploadPart"] == PARTS
    await is_whole(s3, bucket)


async def test_another_service_copies_nothing_so_bytes_are_fetched_at_once(s3: S3, bucket: str):
    elsewhere = S3Reader(s3_address("http://127.0.0.1:9", bucket), pace=Pace(), sizes=SIZES)
    async with storage(s3.url, bucket) as target:
        assert ahead_bytes_max(target, elsewhere, ONE) == AHEAD_MAX_BYTES


async def test_nothing_is_copied_over_what_is_there(s3: S3, bucket: str):
    copy_source = await shipped_from(s3.url, bucket, LARGE)
    async with storage(s3.url, bucket) as target:
        await target.bucket.replace(target.key(ONE), b"foreign")
        with pytest.raises(ReplicatorError, match="other bytes"):
            await target.put(ONE, copy_source)
        (stored,) = await target.objects(ONE)
        assert [piece async for piece in target.read(ONE, stored)] == [b"foreign"]


def test_parts_grow_with_the_object():
    """S3 takes 10,000 parts at most; memory is bounded by the budget, whatever the object."""
    sizes = Sizes(part_bytes=8 * MIB)
    assert sizes.part_of(1 * MIB) == 8 * MIB
    assert sizes.part_of(70 << 30) == 8 * MIB
    assert sizes.part_of(1 << 40) == 111 * MIB
    assert -(-(1 << 40) // sizes.part_of(1 << 40)) <= 10_000


@pytest.mark.parametrize("kind", ["UploadPart", "CompleteMultipartUpload"])
async def test_the_server_says_how_long_to_wait(s3: S3, front: Proxy, bucket: str, kind: str):
    """Retry-After of a 503 holds up everything that is asked of this storage."""
    front.decide = lambda r: Refuse(503, retry_after="2") if r.kind == kind else None
    loop = asyncio.get_running_loop()
    async with storage(front.url, bucket) as target:
        with pytest.raises(TransientError):
            await target.put(ONE, await copy_source())
        front.decide = lambda _: None
        start = loop.time()
        await target.receipt(Location("wiki/other.zip"))
        assert 1 < loop.time() - start < 20
        await target.put(ONE, await copy_source())
    await is_whole(s3, bucket)
