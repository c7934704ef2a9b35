"""Google, Azure, HDFS on bad days: nothing wrong is ever visible, and the next try ends well."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import pytest

from replicator.adapters.azure import AzureAddress, azure_reader
from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.hdfs import HdfsAddress, hdfs_reader
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import (
    ConfigError,
    CorruptionError,
    MissingObjectError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.load_spec import Location
from replicator.ports import CopySource
from tests.contract.storages import (
    MIB,
    SIZES,
    Origin,
    azure_target,
    checked,
    fresh,
    google_target,
    hdfs_target,
)
from tests.servers.proxy import Flip, Proxy, Refuse, Request, Reset, proxy
from tests.servers.stores import AZURE_ACCOUNT, Azure, Gcs, Hdfs

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("stores")]

ONE = Location("wiki/2024-01-01_2024-01-02/v1/0/index.zip")
OTHER = Location("wiki/2024-01-01_2024-01-02/v1/1/index.zip")
SMALL, LARGE = b"small", Random(5).randbytes(11 * MIB)  # two whole parts of 5 MiB and a rest
TRIES_MAX = 200


@dataclass
class Cloud:
    """One storage, straight and with a proxy before it."""

    front: Proxy
    straight: ObjectStorage
    through: Callable[[], ObjectStorage]


@pytest.fixture(params=["google", "azure", "hdfs"])
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    async with _cloud(request.param, request) as found:
        yield found


@asynccontextmanager
async def _cloud(name: str, request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    async with AsyncExitStack() as stack:
        make, port = _maker(name, request)
        front = await stack.enter_async_context(proxy(port))
        straight = await stack.enter_async_context(make(port))
        await straight.put(OTHER, await Origin({"": b"no empty root"}).copy_source(OTHER))
        yield Cloud(front, straight, lambda: make(front.port))


def _maker(name: str, request: pytest.FixtureRequest) -> tuple[Callable[[int], ObjectStorage], int]:
    word = fresh("bad")
    match name:
        case "google":
            gcs: Gcs = request.getfixturevalue("gcs")
            gcs.bucket(word)
            return (lambda port: google_target(gcs.url.replace(str(gcs.port), str(port)), word)), (
                gcs.port
            )
        case "azure":
            azure: Azure = request.getfixturevalue("azure")
            azure.container(word)
            return (
                lambda port: azure_target(azure.url.replace(str(azure.port), str(port)), word)
            ), azure.port
        case _:
            hdfs: Hdfs = request.getfixturevalue("hdfs")
            hdfs.folder(f"/{word}")
            return (lambda port: hdfs_target(_hdfs(hdfs, word, port))), hdfs.port


def _hdfs(hdfs: Hdfs, word: str, port: int) -> HdfsAddress:
    return HdfsAddress(urls=(f"http://127.0.0.1:{port}",), root=f"/{word}", user=hdfs.user)


async def put_until_it_works(cloud: Cloud, place: Location, data: bytes) -> None:
    """Try as the executor does, each time as a new process."""
    for _ in range(TRIES_MAX):
        async with cloud.through() as target:
            try:
                await target.put(place, await Origin({"": data}).copy_source(place))
            except TransientError:
                if (receipt := await cloud.straight.receipt(place)) is not None:
                    assert receipt.objects == await cloud.straight.check(place)
            else:
                return
    raise AssertionError("it never worked")


async def is_whole(cloud: Cloud, place: Location, data: bytes) -> None:
    receipt = await cloud.straight.receipt(place)
    assert receipt is not None
    assert receipt.objects == checked({"": data})
    assert await cloud.straight.check(place) == checked({"": data})


@pytest.mark.parametrize(
    ("data", "where"),
    [
        pytest.param(SMALL, "before", id="small-before"),
        pytest.param(SMALL, "response", id="small-response"),
        pytest.param(LARGE, "before", id="large-before", marks=pytest.mark.long),
        pytest.param(LARGE, "response", id="large-response"),
    ],
)
async def test_a_connection_lost_at_each_request(cloud: Cloud, where: str, data: bytes):
    """The request and the three that follow it, which may be the client's own tries."""
    nth = 0
    while True:
        place, seen, lost = Location(f"wiki/{nth}/index.zip"), [0], [0]

        def decide(
            _: Request, seen: list[int] = seen, lost: list[int] = lost, nth: int = nth
        ) -> Reset | None:
            seen[0] += 1
            if seen[0] > nth and lost[0] < 4:
                lost[0] += 1
                return Reset(where)
            return None

        cloud.front.decide = decide
        await put_until_it_works(cloud, place, data)
        await is_whole(cloud, place, data)
        if lost[0] == 0:
            break
        nth += 1
    assert nth >= (1 if data == SMALL else 4)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_storm_of_refusals(cloud: Cloud, data: bytes):
    rng, refused = Random(6), [0]

    def decide(_: Request) -> Refuse | None:
        if rng.random() < 0.3:
            refused[0] += 1
            return Refuse(503)
        return None

    cloud.front.decide = decide
    while refused[0] == 0:
        await put_until_it_works(cloud, ONE, data)
    await is_whole(cloud, ONE, data)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_credentials_that_fail_midway(cloud: Cloud, data: bytes):
    """They do so at the first request that writes."""
    code = "AccessControlException"  # as HDFS names it; the others go by the status

    def decide(request: Request) -> Refuse | None:
        return Refuse(403, code) if request.method in {"PUT", "POST"} else None

    cloud.front.decide = decide
    async with cloud.through() as target:
        with pytest.raises(ConfigError):
            await target.put(ONE, await Origin({"": data}).copy_source(ONE))
    assert await cloud.straight.receipt(ONE) is None
    with pytest.raises(MissingObjectError):
        await cloud.straight.objects(ONE)


async def test_a_listing_that_is_denied_is_a_matter_of_configuration(cloud: Cloud):
    folder = Location("wiki/1/index/")
    cloud.front.decide = lambda _: Refuse(403, "AccessControlException")
    async with cloud.through() as target:
        with pytest.raises(ConfigError):
            await target.objects(folder)


async def test_a_body_that_breaks_off_while_it_is_read(cloud: Cloud):
    await cloud.straight.put(ONE, await Origin({"": LARGE}).copy_source(ONE))
    async with cloud.through() as target:
        (stored,) = await target.objects(ONE)
        cloud.front.decide = lambda _: Reset("response")
        with pytest.raises(TransientError):
            _ = [piece async for piece in target.read(ONE, stored)]
        cloud.front.decide = lambda _: None
        assert b"".join([piece async for piece in target.read(ONE, stored)]) == LARGE


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_bytes_that_change_on_the_way_to_google_are_noticed(
    request: pytest.FixtureRequest, data: bytes
):
    """By CRC32C. Azure and HDFS compare nothing that we could give them."""
    what = SMALL if data == SMALL else b""
    kind = "POST" if data == SMALL else "PUT"
    async with _cloud("google", request) as cloud:
        cloud.front.decide = lambda r: Flip(what) if r.method == kind else None
        async with cloud.through() as target:
            with pytest.raises((TransientError, CorruptionError)):
                await target.put(ONE, await Origin({"": data}).copy_source(ONE))
        assert await cloud.straight.receipt(ONE) is None
        with pytest.raises(MissingObjectError):
            await cloud.straight.objects(ONE)


@pytest.mark.parametrize("fate", [Refuse(503), Refuse(403), Refuse(404), Reset("before")])
async def test_what_opens_a_storage_is_in_no_message(
    azure: Azure, hdfs: Hdfs, fate: Refuse | Reset, caplog: pytest.LogCaptureFixture
):
    """A SAS and a delegation token are part of the addresses that are asked."""
    caplog.set_level("DEBUG")
    secret = "TOPSECRET"
    async with proxy(azure.port) as front:
        front.decide = lambda _: fate
        in_azure = AzureAddress(
            account=AZURE_ACCOUNT,
            container="c",
            prefix="",
            endpoint_url=azure.url.replace(str(azure.port), str(front.port)),
            sas=f"sv=2021-12-02&sig={secret}",
        )
        in_hdfs = HdfsAddress(urls=(front.url,), root="/x", delegation_token=secret)
        asked = {
            "sig=": azure_reader(in_azure, pace=Pace(), sizes=SIZES),
            "delegation=": hdfs_reader(in_hdfs, pace=Pace(), sizes=SIZES, clock=SystemClock()),
        }
        for sent, reader in asked.items():
            front.seen.clear()
            for place in (ONE, Location("wiki/1/index/")):
                with pytest.raises(ReplicatorError) as found:
                    await reader.objects(place)
                for told in _chain(found.value):
                    assert secret not in f"{told!r} {told}"
            assert any(f"{sent}{secret}" in request.path for request in front.seen)
            await reader.close()
    assert secret not in caplog.text


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it came from: a traceback shows them."""
    seen = set[int]()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        if (one := waiting.pop()) is None:
            continue
        assert one not in (one.__cause__, one.__context__), "it came from itself"
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


class LaterClock:
    def now(self) -> datetime:
        return SystemClock().now() + timedelta(days=3)


async def test_nothing_unfinished_is_left_in_hdfs(hdfs: Hdfs):
    """What fails is removed at once, what a process that died has left two days later."""
    word = fresh("bad")
    hdfs.folder(f"/{word}")
    for name in ("left-1", "left-2"):
        hdfs.put(f"/{word}/_replicator/unfinished/{name}", b"half")
    origin = Origin({"": LARGE}, failure=TransientError("away"))

    async def unfinished(target: ObjectStorage) -> int:
        pages = target.bucket.pages("_replicator/unfinished")
        return sum([len(page) async for page in pages])

    for clock, left in ((SystemClock(), 2), (LaterClock(), 0)):
        async with hdfs_target(_hdfs(hdfs, word, hdfs.port), clock) as target:
            with pytest.raises(ReplicatorError):
                await target.put(ONE, await origin.copy_source(ONE))
            assert await unfinished(target) == left


@asynccontextmanager
async def in_google(gcs: Gcs, url: str, data: bytes) -> AsyncIterator[tuple[str, CopySource]]:
    """Let a source in the same service hold an object."""
    gcs.bucket(source := fresh("source"))
    gcs.put(source, f"druid/segments/{ONE}", data)
    async with google_target(url, source) as reader:
        objects = tuple(await reader.objects(ONE))
        yield source, CopySource(reader=reader, location=ONE, objects=objects)


async def test_google_copies_on_its_own(request: pytest.FixtureRequest, gcs: Gcs):
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(_cloud("google", request))
        _, copy_source = await stack.enter_async_context(in_google(gcs, cloud.front.url, LARGE))
        target = await stack.enter_async_context(cloud.through())
        await target.put(Location("first/index.zip"), copy_source)  # tries the service's conditions
        cloud.front.seen.clear()
        receipt = await target.put(ONE, copy_source)
        assert receipt.objects == checked({"": LARGE})
        assert await target.receipt(ONE) == receipt
        posts = [one.path for one in cloud.front.seen if one.method in {"POST", "PUT"}]
        assert "rewriteTo" in posts[0]
        assert len(posts) == 2, "the copy and its receipt: no byte was sent from here"
        with pytest.raises(RefusedError):
            await target.put(ONE, await Origin({"": LARGE[::-1]}).copy_source(ONE))


async def test_a_copy_within_google_does_not_have_the_receipt_of_its_original(gcs: Gcs):
    gcs.bucket(source := fresh("archive"))
    gcs.bucket(name := fresh("target"))
    place, data = Location("renamed/index.zip"), LARGE[: 2 * MIB]
    async with google_target(gcs.url, source) as archive, google_target(gcs.url, name) as target:
        await archive.put(ONE, await Origin({"": data}).copy_source(ONE))
        objects = tuple(await archive.objects(ONE))
        receipt = await target.put(place, CopySource(reader=archive, location=ONE, objects=objects))
        assert receipt.copied_from == objects
        assert await target.receipt(place) == receipt


async def test_google_does_not_copy_what_was_written_meanwhile(gcs: Gcs):
    gcs.bucket(name := fresh("target"))
    async with (
        in_google(gcs, gcs.url, LARGE) as (source, copy_source),
        google_target(gcs.url, name) as target,
    ):
        gcs.put(source, f"druid/segments/{ONE}", LARGE[::-1])
        with pytest.raises((TransientError, MissingObjectError)):
            await target.put(ONE, copy_source)
        assert await target.receipt(ONE) is None


async def test_where_google_may_not_copy_bytes_are_streamed(
    request: pytest.FixtureRequest, gcs: Gcs
):
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(_cloud("google", request))
        _, copy_source = await stack.enter_async_context(in_google(gcs, cloud.front.url, LARGE))
        target = await stack.enter_async_context(cloud.through())
        cloud.front.decide = lambda r: Refuse(403) if "rewriteTo" in r.path else None
        receipt = await target.put(ONE, copy_source)
        assert receipt.objects == checked({"": LARGE})
        await is_whole(cloud, ONE, LARGE)
