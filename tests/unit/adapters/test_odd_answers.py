"""What a server, or a proxy in its place, answers is read by its type: odd ones come again."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from replicator.adapters.bucket import bucket as module
from replicator.adapters.bucket.bucket import Bucket, Stat
from replicator.adapters.bucket.receipts import METADATA, mapped
from replicator.adapters.google.bucket import GoogleBucket
from replicator.adapters.google.storage import GoogleAddress, google_reader
from replicator.adapters.google.token import GoogleToken
from replicator.adapters.hdfs import DEPTH_MAX, HdfsAddress, HdfsFolder
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3 import session
from replicator.adapters.s3.lock import LockedBucket
from replicator.adapters.s3.storage import S3ServerCopy, _ServerSideCopy
from replicator.adapters.s3.uploads import S3Uploads
from replicator.adapters.transfer.answers import AnswerShape, OddAnswerError
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import CorruptionError, TransientError, UnreadableObjectError
from replicator.model.load_spec import Location
from replicator.ports import StoredObject
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


class _Sdk:
    """Requests of S3's SDK that are answered as they are told to be."""

    region = "eu-central-1"

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def answer(**_: object) -> Any:
            return self._answers[name]

        return answer

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: self._pages(self._answers[name]))

    async def _pages(self, page: Any) -> AsyncIterator[Any]:
        for _ in count():
            yield page

    async def client(self) -> "_Sdk":
        return self

    async def pace(self) -> None:
        """Wait for nothing."""

    def locking(self) -> dict[str, Any]:
        return {}

    def translated(self, doing: str) -> AbstractContextManager[None]:
        return session.translated("druid", doing, Pace())


def server_copy(**answers: Any) -> S3ServerCopy:
    service = SimpleNamespace(bucket="druid")
    return S3ServerCopy(_Sdk(**answers), service)  # type: ignore[arg-type] # what is asked of them


SUM = b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "copied",
    [
        {},
        {"CopyObjectResult": {}},
        {"CopyObjectResult": {"ETag": '"a"', "ChecksumSHA256": "a"}},
        {"CopyObjectResult": {"ETag": '"a"', "ChecksumSHA256": SUM[:20]}},
    ],
)
async def test_an_odd_answer_to_a_copy_within_s3_is_no_traceback(copied: dict[str, Any]):
    """It ended `run` with all targets."""
    stored = StoredObject(name="", size_bytes=1, tag="a")
    copy = _ServerSideCopy("source", "a", "b", stored, {})
    with pytest.raises(TransientError, match="the answer is not what S3 answers"):
        await server_copy(copy_object=copied)._copy_object(copy)
    good = {"CopyObjectResult": {"ETag": '"a"', "ChecksumSHA256": SUM}}
    found = await server_copy(copy_object=good)._copy_object(copy)
    assert found is not None
    assert found.sha256 == "0" * 64


@pytest.mark.parametrize("reported", ["a", SUM[:20], "=" * 44])
async def test_a_checksum_of_s3_that_is_none_is_no_traceback(reported: str):
    with pytest.raises(TransientError, match="the answer is not what S3 answers"):
        await server_copy(head_object={"ChecksumSHA256": reported}).sha256("a")
    assert await server_copy(head_object={"ChecksumSHA256": SUM}).sha256("a") == "0" * 64
    assert await server_copy(head_object={"ChecksumSHA256": f"{SUM}-2"}).sha256("a") is None


async def test_a_listing_of_s3s_sdk_that_does_not_end_has_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session, "PAGES_MAX", 3)
    sdk, pace = _Sdk(list_multipart_uploads={}, list_parts={}, list_object_versions={}), Pace()
    uploads = S3Uploads.__new__(S3Uploads)
    uploads._service = SimpleNamespace(  # type: ignore[assignment] # what is asked of it
        bucket="druid", address=SimpleNamespace(prefix="")
    )
    uploads._clock, uploads._sdk = SystemClock(), sdk  # type: ignore[assignment]
    locked = LockedBucket.__new__(LockedBucket)
    client: Any = sdk
    locked._bucket, locked._sdk, locked._pace = "druid", client, pace
    for listing_ in (
        uploads._found(client),
        uploads._parts(client, "a", "id"),
        locked.delete("a"),
    ):
        with pytest.raises(TransientError, match="has no end: 4 answers"):
            await listing_


def test_a_receipt_without_objects_is_none():
    """Whoever can write to a store can give an object any metadata: it ended `run`."""
    location = Location("wiki/0/index.zip")
    text = {"format": 1, "location": location, "objects": [], "copied_from": []}
    stat = Stat(
        key=location,
        size_bytes=1,
        tag="a",
        stored_at=SystemClock().now(),
        metadata={METADATA: json.dumps(text)},
    )
    with pytest.raises(CorruptionError, match=r"the receipt of wiki/0/index\.zip cannot be read"):
        mapped(location, stat)


@pytest.mark.parametrize(
    "odd", [KeyError("access_token"), TypeError(), OverflowError("date"), AttributeError("get")]
)
async def test_an_odd_answer_of_googles_token_server_is_no_traceback(odd: Exception):
    """google-auth reads some members of it without a look."""

    class Credentials:
        valid = False

        def refresh(self, _: object) -> None:
            raise odd

    token = GoogleToken(key_file=None, anonymous=False)
    token._credentials = Credentials()  # type: ignore[assignment] # what is asked of it
    with pytest.raises(TransientError, match="Google gives no access token"):
        await token.headers()
