"""What a server, or a proxy in its place, answers is read by its type: odd ones come again."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from replicator.adapters.bucket import bucket as module
from replicator.adapters.bucket.bucket import Bucket
from replicator.adapters.google.bucket import GoogleBucket
from replicator.adapters.google.storage import GoogleAddress, google_reader
from replicator.adapters.hdfs import DEPTH_MAX, HdfsAddress, HdfsFolder
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.transfer.answers import AnswerShape, OddAnswerError
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import TransientError, UnreadableObjectError
from tests.contract.storages import SIZES
from tests.servers.fake_http import Fake, serving

FILE = {"type": "FILE", "length": 1, "modificationTime": 1_700_000_000_000, "pathSuffix": "a"}
FOLDER = {**FILE, "type": "DIRECTORY"}
OBJECT = {
    "name": "a",
    "size": "1",
    "generation": "7",
    "updated": "2026-01-01T00:00:00.000Z",
    "metadata": {"A": "b"},
}


def statuses(*found: dict[str, Any]) -> dict[str, Any]:
    return {"FileStatuses": {"FileStatus": list(found)}}


@asynccontextmanager
async def hdfs(url: str) -> AsyncIterator[Bucket]:
    bucket = HdfsFolder(HdfsAddress(urls=(url,), root="/druid"), Pace(), SystemClock())
    yield bucket
    await bucket.close()


@asynccontextmanager
async def google(url: str) -> AsyncIterator[Bucket]:
    address = GoogleAddress(bucket="b", prefix="", endpoint_url=url, anonymous=True)
    reader = google_reader(address, pace=Pace(), sizes=SIZES)
    yield reader.bucket
    await reader.close()


async def look(bucket: Bucket) -> object:
    return await bucket.stat("a")


async def listing(bucket: Bucket) -> list[list[str]]:
    return [[one.key for one in page] async for page in bucket.pages("x")]


ODD = [
    "",
    "[]",
    "null",
    '"text"',
    "[" * 3000,
    {},
    {"FileStatus": [], "FileStatuses": [], "items": {}},
    {"FileStatus": {**FILE, "length": -1}, **statuses({**FILE, "length": "many"}), **OBJECT}
    | {"size": "-1", "items": [{**OBJECT, "size": "many"}]},
    {"FileStatus": {**FILE, "modificationTime": 10**30}, **OBJECT}
    | {**statuses({**FILE, "pathSuffix": "../a"}), "updated": "noon", "items": [{}]},
    {"FileStatus": {"type": "FILE"}, **OBJECT, "generation": None}
    | {**statuses({**FILE, "type": "?"}), "items": [{**OBJECT, "updated": "2026-01-01T00:00:00"}]},
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("asked", [look, listing])
@pytest.mark.parametrize("of", [hdfs, google])
async def test_an_odd_answer_is_no_traceback(
    of: Callable[[str], Any], asked: Callable[[Bucket], Awaitable[object]], body: Any
):
    async with serving(Fake(body=body)) as url, of(url) as bucket:
        if of is google and asked is listing and body in ({}, ""):
            assert await asked(bucket) == [[]]  # the API leaves out what is empty
            return
        with pytest.raises(TransientError, match="is not what this service answers"):
            await asked(bucket)


async def test_a_copy_of_google_that_does_not_go_on_ends():
    body = {**OBJECT, "done": False, "rewriteToken": "again", "totalBytesRewritten": "5"}
    async with serving(fake := Fake(body=body)) as url, google(url) as bucket:
        assert isinstance(bucket, GoogleBucket)
        with pytest.raises(TransientError, match="does not go on"):
            await bucket.copy_from(bucket, "a", "7", "b")
        assert len(fake.asked) == 3


@pytest.mark.parametrize("body", ["", "null", {}])
async def test_a_removal_may_be_answered_with_nothing(body: Any):
    async with serving(Fake(body=body)) as url, google(url) as bucket:
        await bucket.delete("a")


async def test_what_is_documented_is_read():
    async with serving(Fake(body={"FileStatus": FILE})) as url, hdfs(url) as bucket:
        found = await bucket.stat("a")
        assert found is not None
        assert (found.size_bytes, found.tag) == (1, "1700000000000-1")
    async with serving(Fake(body=OBJECT)) as url, google(url) as bucket:
        found = await bucket.stat("a")
        assert found is not None
        assert (found.size_bytes, found.tag, found.metadata) == (1, "7", {"a": "b"})


async def test_a_time_beyond_the_calendar_is_its_end():
    late = {"FileStatus": {**FILE, "modificationTime": 10**18}}
    async with serving(Fake(body=late)) as url, hdfs(url) as bucket:
        found = await bucket.stat("a")
        assert found is not None
        assert found.stored_at.year == 9000


async def test_a_listing_that_does_not_go_on_ends():
    fake = Fake(body={"items": [OBJECT], "nextPageToken": "again"})
    async with serving(fake) as url, google(url) as bucket:
        with pytest.raises(TransientError, match="does not go on"):
            await listing(bucket)
    assert len(fake.asked) == 2


async def test_folders_in_one_another_end():
    fake = Fake(body=statuses(FOLDER))
    async with serving(fake) as url, hdfs(url) as bucket:
        assert await listing(bucket) == [[]] * (DEPTH_MAX + 1)
    fake = Fake(body=statuses({**FOLDER, "pathSuffix": ""}))
    async with serving(fake) as url, hdfs(url) as bucket:
        assert await listing(bucket) == [[]]


def test_what_is_odd_is_named():
    with pytest.raises(OddAnswerError, match=r"^a\.1: Input should be a valid integer"):
        AnswerShape[dict[str, list[int]]](dict[str, list[int]]).read(b'{"a": [1, "x"]}')


async def removal(bucket: Bucket) -> None:
    await bucket.delete("a")


async def writing(bucket: Bucket) -> object:
    return await bucket.create("a", b"x")


async def reading(bucket: Bucket) -> object:
    return [piece async for piece in bucket.read("a", tag="7", start=0, end=1, piece_bytes=1)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("asked", [look, listing, removal, writing, reading])
@pytest.mark.parametrize("of", [hdfs, google])
async def test_no_server_lets_us_ask_another_one(
    of: Callable[[str], Any], asked: Callable[[Bucket], Awaitable[object]], status: int
):
    other = Fake(body={})
    async with serving(other) as elsewhere:
        sending = Fake(status=status, headers={"Location": f"{elsewhere}/latest/meta-data"})
        async with serving(sending) as url, of(url) as bucket:
            with pytest.raises(TransientError, match="redirects, which is not followed"):
                await asked(bucket)
    assert other.asked == []


async def test_a_large_upload_goes_to_the_server_that_was_asked():
    other = Fake(body={})
    async with serving(other) as elsewhere:
        sending = Fake(body={}, headers={"Location": f"{elsewhere}/upload"})
        async with serving(sending) as url, google(url) as bucket:
            with pytest.raises(TransientError, match="another server for the upload"):
                await bucket.writer("a", part_bytes=1)
    assert other.asked == []


async def test_page_tokens_that_go_round_end_a_listing():
    said = iter("abcab")

    class Round(Fake):
        async def answer(self, request: Any) -> Any:
            self.body = {"items": [OBJECT], "nextPageToken": next(said)}
            return await super().answer(request)

    async with serving(Round()) as url, google(url) as bucket:
        with pytest.raises(TransientError, match="does not go on"):
            await listing(bucket)
    assert next(said) == "b"


@pytest.mark.parametrize("found", [[OBJECT], []], ids=["objects", "none"])
async def test_a_listing_that_goes_on_for_ever_is_one_folders_trouble(
    found: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "LISTED_MAX", 5)
    monkeypatch.setattr(module, "PAGES_MAX", 9)
    numbers = count()

    class Endless(Fake):
        async def answer(self, request: Any) -> Any:
            self.body = {"items": found, "nextPageToken": str(next(numbers))}
            return await super().answer(request)

    async with serving(Endless()) as url, google(url) as bucket:
        with pytest.raises(UnreadableObjectError, match="the listing of x has no end"):
            await module.listed(bucket, "x")
