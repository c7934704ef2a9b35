"""Keys as stores have them: with slashes before, behind and doubled, folders, foreign ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from replicator.adapters.bucket.bucket import listed
from replicator.adapters.bucket.obstore import ObstoreBucket, UnsayableKeyError
from replicator.adapters.bucket.reader import ObjectStorageReader
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.bucket import S3Bucket
from replicator.adapters.s3.client import S3Sdk
from replicator.adapters.s3.service import s3_service
from replicator.adapters.s3.session import s3_bucket, s3_store
from replicator.adapters.s3.storage import S3Storage
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.errors import MissingObjectError, UnreadableObjectError
from replicator.model.load_spec import Location
from tests.contract.storages import MIB, SIZES, Origin, checked, s3_address
from tests.servers.odd_s3 import OddS3, serving_s3

DATA = b"the bytes of a segment"


@asynccontextmanager
async def bucket_of(odd: OddS3) -> AsyncIterator[S3Bucket]:
    async with serving_s3(odd) as url:
        service, pace = s3_service(s3_address(url, "druid")), Pace()
        sdk = S3Sdk(service, pace)
        try:
            yield S3Bucket(s3_store(service), "druid", sdk=sdk, pace=pace)
        finally:
            await sdk.close()


@asynccontextmanager
async def storing(odd: OddS3, prefix: str = "copies") -> AsyncIterator[S3Storage]:
    async with serving_s3(odd) as url:
        storage = S3Storage(
            s3_address(url, "druid", prefix=prefix),
            pace=Pace(),
            in_flight=InFlight(64 * MIB),
            sizes=SIZES,
            clock=SystemClock(),
        )
        async with storage:
            yield storage


async def got(reader: ObjectStorageReader, place: str, *, ahead: bool = False) -> dict[str, bytes]:
    location = Location(place)
    found = {}
    for one in await reader.objects(location, ahead=ahead):
        found[one.name] = b"".join([bytes(piece) async for piece in reader.read(location, one)])
    return found


KEYS = [
    ("druid_deep_storage/", "/wiki/0/index.zip", "druid_deep_storage//wiki/0/index.zip"),
    ("/druid/segments", "wiki/0/index.zip", "/druid/segments/wiki/0/index.zip"),
    ("druid//segments", "wiki/0/index.zip", "druid//segments/wiki/0/index.zip"),
    ("", "/druid/wiki/0/index.zip", "/druid/wiki/0/index.zip"),
    ("/", "/wiki/0/index.zip", "//wiki/0/index.zip"),
    ("druid", "wiki/0/index.zip", "druid/wiki/0/index.zip"),
]


async def test_an_object_is_read_by_the_key_that_it_has():
    """obstore reads `/druid/x` as `druid/x`: another object, whose bytes would be taken."""
    plain = {"/".join(name for name in key.split("/") if name): b"other" for *_, key in KEYS}
    odd = OddS3({**plain, **{key: key.encode() for *_, key in KEYS}})
    async with bucket_of(odd) as bucket:
        for prefix, place, key in KEYS:
            odd.asked.clear()
            reader = ObjectStorageReader(bucket, prefix)
            assert await got(reader, place) == {"": key.encode()}
            assert await got(reader, place, ahead=True) == {"": key.encode()}
            assert await reader.check(Location(place)) == checked({"": key.encode()})
            with pytest.raises(MissingObjectError, match=r"index\.zipper is not in s3://druid"):
                await reader.objects(Location(f"{place}per"))
            assert {request.partition(" ")[2] for request in odd.asked} == {key, f"{key}per"}


async def test_files_of_a_segment_are_listed_by_the_keys_that_they_have():
    """A console's "create folder", s3a and gateways leave an object of no bytes for each folder."""
    files = {"00000.smoosh": b"1", "empty": b"", "sub/meta": DATA, "sub-1": b"2"}
    folders = ["", "wiki/0/", "wiki/0/sub/", "wiki/0/sub_$folder$"]
    prefixes = ["druid/", "/druid", "druid//x", "plain"]
    below = {prefix: f"{prefix}/" for prefix in prefixes}
    odd = OddS3()
    for top in below.values():
        odd.objects |= {f"{top}wiki/0/{name}": data for name, data in files.items()}
        odd.objects |= {f"{top}{folder}": b"" for folder in folders}
    async with bucket_of(odd) as bucket:
        for prefix in prefixes:
            place = "/wiki/0/" if prefix.endswith("/") else "wiki/0/"
            found = await got(ObjectStorageReader(bucket, prefix), place)
            assert found == {name: data for name, data in files.items() if "/" not in name}


async def test_one_foreign_key_does_not_hide_what_else_is_listed():
    odd = OddS3()
    async with storing(odd) as storage:
        origin = Origin({"": DATA})
        for name in ("a", "b", "c"):
            await storage.put(
                Location(f"{name}/index.zip"), await origin.copy_source(Location("x"))
            )
        odd.objects |= {"copies/backup//old.tar": DATA, "copies/a/marker/": b"", "copies/b//": b""}
        found = [one async for page in storage.stored_locations(lambda _: False) for one in page]

        assert {(one.location, one.has_receipt) for one in found} == {
            ("a/index.zip", True),
            ("b/index.zip", True),
            ("c/index.zip", True),
            ("backup//old.tar", False),
        }
        for size in (1, 2, 3, 1000):
            pages = storage.bucket.pages("copies", page_objects_max=size)
            keys = [one.key async for page in pages for one in page]
            assert len({key.rstrip("/") for key in keys}) == len(keys) == len(odd.objects)


async def test_folders_and_strays_are_neither_places_nor_receipts():
    """A folder's name was read as a receipt's, and with sixteen of them every receipt was lost."""
    odd, place = OddS3(), Location("wiki/0/index/")
    async with storing(odd) as storage:
        origin = Origin({"00000.smoosh": DATA, "meta": b"1"})
        receipt = await storage.put(place, await origin.copy_source(Location("x/")))
        receipts = "copies/_replicator/receipts"
        folders = [f"{receipts}/", *(f"{receipts}/{n:02x}/" for n in range(16))]
        folders += ["copies/", "copies/wiki/", f"copies/{place}"]
        odd.objects |= dict.fromkeys(folders, b"")
        odd.objects[f"{receipts}/README.md"] = b"stray"
        found = [one async for page in storage.stored_locations(lambda _: False) for one in page]
        assert [(one.location, one.has_receipt) for one in found] == [(place, True)]
        kept = await storage.receipt(place)
        assert kept is not None
        assert kept.objects == receipt.objects == await storage.check(place)
        assert await storage.put(place, await origin.copy_source(Location("x/"))) == receipt
        assert await storage.area().names("receipts/") != []

        await storage.remove(place)
        assert set(odd.objects) == {*folders, f"{receipts}/README.md"}


async def test_what_the_library_cannot_say_is_named():
    """Azure has no second client: its listing fails, and says by which key."""
    odd = OddS3({"druid/a/index.zip": DATA, "druid/backup//old.tar": DATA})
    async with serving_s3(odd) as url:
        bucket = s3_bucket(s3_service(s3_address(url, "druid")), Pace())
        assert type(bucket) is ObstoreBucket
        with pytest.raises(UnsayableKeyError, match=r"backup//old\.tar") as listing:
            await listed(bucket, "druid")
        assert "remove or rename" in listing.value.hint
        for key in ("druid//wiki/index.zip", "/druid/index.zip"):
            with pytest.raises(UnreadableObjectError, match=f"'{key}' of s3://druid begins"):
                await bucket.stat(key)
            with pytest.raises(UnreadableObjectError, match=f"'{key}' of s3://druid begins"):
                await bucket.begin(key)
    assert odd.asked == []
