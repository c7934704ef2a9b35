"""A packed segment is read as the folder it was; nothing altered passes."""

import io
from random import Random
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest

from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.transfer.packing import Packing
from replicator.errors import CorruptionError, TransientError
from replicator.model.extent import Extent
from replicator.model.load_spec import Location
from replicator.model.row import Segment, key_of
from replicator.model.store.proof import Level
from replicator.ports import CopySource, StoredObject
from replicator.services.target.unzipping import Unpacking, unpacked
from tests.builders import ROOT, json_bytes, segment, segment_payload
from tests.contract.storages import Origin
from tests.unit.pipeline import Pipeline

FOLDER, ZIP = Location("wiki/0/index/"), Location("wiki/0/index.zip")
FILES = {
    "00000.smoosh": Random(1).randbytes(3 << 20) + bytes(3 << 20),
    "meta.smoosh": b"v1,2147483647,1\n",
    "version.bin": b"\0\0\0\x09",
    "empty": b"",
}


SMALL = {**FILES, "00000.smoosh": Random(3).randbytes(500)}


async def packed_by_us(files: dict[str, bytes] = FILES) -> MemoryDeepStorage:
    """Return a storage with the zip that we make of the folder."""
    storage = MemoryDeepStorage()
    storage.stored[FOLDER] = dict(files)
    objects = tuple(await storage.objects(FOLDER))
    packing = Packing(CopySource(reader=storage, location=FOLDER, objects=objects))
    data = b"".join([piece async for piece in packing.pieces()])
    storage.stored[ZIP] = {"": data}
    return storage


async def contents(storage: MemoryDeepStorage) -> dict[str, bytes]:
    reader = Unpacking(storage)
    return {
        stored.name: b"".join([piece async for piece in reader.read(unpacked(ZIP), stored)])
        for stored in await reader.objects(unpacked(ZIP))
    }


async def test_what_was_packed_comes_out():
    storage = await packed_by_us()
    assert await contents(storage) == FILES


async def test_a_file_that_breaks_off_is_not_packed():
    announced = (StoredObject(name="version.bin", size_bytes=4, tag="1"),)
    copy_source = CopySource(
        reader=Origin({"version.bin": b"abc"}), location=FOLDER, objects=announced
    )
    with pytest.raises(CorruptionError, match="3 bytes arrived, the listing promised 4"):
        async for _ in Packing(copy_source).pieces():
            pass


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
async def test_zips_of_others_come_out(method: int):
    storage, sink = MemoryDeepStorage(), io.BytesIO()
    with ZipFile(sink, "w", method) as made:
        for name, data in FILES.items():
            made.writestr(name, data)
    storage.stored[ZIP] = {"": sink.getvalue()}
    assert await contents(storage) == FILES


def of_zip(name: str) -> Segment:
    spec = {"type": "local", "path": f"{ROOT}/{name}/index.zip"}
    return segment(name, payload=json_bytes(segment_payload(datasource=name, loadSpec=spec)))


async def test_a_packed_segment_that_is_none_is_a_gap_and_no_copy():
    """Cut in half, an error page, zeros, or of a later zip: the others go on."""
    whole = (await packed_by_us(SMALL)).stored[ZIP][""]
    later = bytearray(whole)
    later[directory_of(later)[0] + 6] = 100  # the version that is needed to unpack it
    pipeline = Pipeline()
    broken = {"half": whole[: len(whole) // 2], "page": b"<html>503</html>", "zeros": bytes(900)}
    broken["later"] = bytes(later)
    for name, data in {"good": whole, **broken}.items():
        pipeline.source.rows[key_of(of_zip(name))] = of_zip(name)
        pipeline.source_storage.stored[Location(f"{name}/index.zip")] = {"": data}
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == {of_zip("good").id}
    gaps = {(of_zip(name).id, "object_unreadable", True) for name in broken}
    assert set(pipeline.gaps()) == gaps
    assert set(pipeline.target_storage.stored) == {Location("good/index.zip")}


async def test_a_flipped_byte_in_a_zip_is_found_when_its_structure_is_read_with_the_bytes():
    """It was copied as it was, so that its receipt is right, and its directory is whole."""
    whole = (await packed_by_us(SMALL)).stored[ZIP][""]
    data = bytearray(whole)
    data[data.index(SMALL["00000.smoosh"][:1]) + 300] ^= 1
    pipeline = Pipeline()
    pipeline.source.rows[key_of(of_zip("flipped"))] = of_zip("flipped")
    pipeline.source_storage.stored[Location("flipped/index.zip")] = {"": bytes(data)}
    await pipeline.cut()
    await pipeline.follow()
    verifier = pipeline.verifier()
    assert (await verifier.verify(Level.CHECKSUM)).is_good
    inside = Extent(structure=True)
    assert (await verifier.verify(Level.EXISTS, extent=inside)).is_good, "the directory alone"
    (finding,) = (await verifier.verify(Level.CHECKSUM, extent=inside)).findings
    assert "flipped/index.zip is no segment" in finding

    repairer = pipeline.wired().repairer(pipeline.source_storage)
    for better in (bytes(data), bytes(data[:-9]), whole):
        pipeline.source_storage.stored[Location("flipped/index.zip")] = {"": better}
        plan = await repairer.plan(Level.CHECKSUM, extent=inside)
        assert (await repairer.execute(plan, extent=inside)).is_whole is (better == whole)
        there = pipeline.target_storage.stored[Location("flipped/index.zip")][""]
        assert there == (whole if better == whole else data)
    assert (await verifier.verify(Level.CHECKSUM, extent=inside)).is_good


async def test_a_part_of_a_file_can_be_read():
    reader = Unpacking(await packed_by_us())
    (large,) = [one for one in await reader.objects(unpacked(ZIP)) if one.size_bytes > 1000]
    part = reader.read(unpacked(ZIP), large, start=1_000_000, end=4_000_000)
    assert b"".join([piece async for piece in part]) == FILES["00000.smoosh"][1_000_000:4_000_000]


async def test_every_altered_byte_is_noticed():
    """In the files, in their headers or in the directory: it raises, or no file has wrong bytes."""
    storage = await packed_by_us(SMALL)
    whole = storage.stored[ZIP][""]
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 0x10
        storage.stored[ZIP] = {"": bytes(altered)}
        try:
            found = await contents(storage)
        except CorruptionError:
            continue
        both = found.keys() & SMALL.keys()  # other names are noticed by the receipt
        assert all(found[name] == SMALL[name] for name in both), place


def zip_of(entries: dict[str, bytes]) -> bytearray:
    sink = io.BytesIO()
    with ZipFile(sink, "w", ZIP_DEFLATED) as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return bytearray(sink.getvalue())


def directory_of(data: bytes | bytearray) -> list[int]:
    """Return where the entries of the directory begin."""
    found, at = [], data.find(b"PK\x01\x02")
    while at >= 0:
        found.append(at)
        at = data.find(b"PK\x01\x02", at + 1)
    return found


async def test_files_that_share_their_bytes_are_refused():
    """Three thousand names over one body say more than any disk holds."""
    data = zip_of({"version.bin": b"\0\0\0\x09", "a": bytes(1 << 20), "b": bytes(1 << 20)})
    _, second, third = directory_of(data)
    data[third + 42 : third + 46] = data[second + 42 : second + 46]  # its offset
    storage = MemoryDeepStorage()
    storage.stored[ZIP] = {"": bytes(data)}
    with pytest.raises(CorruptionError, match="shares its bytes"):
        await contents(storage)


async def test_a_zip_that_says_more_than_deflate_can_is_refused():
    data = zip_of({"version.bin": b"\0\0\0\x09", "a": bytes(1 << 20)})
    _, second = directory_of(data)
    data[second + 24 : second + 28] = (1 << 31).to_bytes(4, "little")  # its size
    storage = MemoryDeepStorage()
    storage.stored[ZIP] = {"": bytes(data)}
    with pytest.raises(CorruptionError, match="any zip of its size"):
        await contents(storage)


async def test_a_file_that_is_longer_than_it_says_ends_there():
    data = zip_of({"version.bin": b"\0\0\0\x09", "a": bytes(20 << 20)})
    _, second = directory_of(data)
    data[second + 24 : second + 28] = (10).to_bytes(4, "little")
    storage = MemoryDeepStorage()
    storage.stored[ZIP] = {"": bytes(data)}
    reader = Unpacking(storage)
    (stored,) = [one for one in await reader.objects(unpacked(ZIP)) if one.name == "a"]
    read = bytearray()

    async def all_of_it() -> None:
        async for piece in reader.read(unpacked(ZIP), stored):
            read.extend(piece)

    with pytest.raises(CorruptionError, match="does not match the directory of its zip"):
        await all_of_it()
    assert len(read) <= 10


async def test_a_zip_holds_no_more_than_its_row_allows():
    storage = await packed_by_us()
    reader = Unpacking(storage, bytes_max=5 << 20)
    with pytest.raises(CorruptionError, match="more than 5242880"):
        await reader.objects(unpacked(ZIP))


async def test_a_zip_that_is_exchanged_after_it_was_listed_is_listed_again():
    storage = await packed_by_us(SMALL)
    reader = Unpacking(storage)
    listed = {one.name: one for one in await reader.objects(unpacked(ZIP))}
    storage.stored[ZIP] = (await packed_by_us({"version.bin": b"9"})).stored[ZIP]
    with pytest.raises(TransientError, match="was written since it was listed, and has no empty"):
        [piece async for piece in reader.read(unpacked(ZIP), listed["empty"])]


@pytest.mark.parametrize("says", [4 << 20, 1 << 20])
async def test_a_file_that_goes_on_after_its_end_is_not_read_on(says: int):
    """zlib keeps what follows a stream: a sparse file would fill the memory, as large as it is."""
    data = zip_of({"a": b"x" * 10, "meta.smoosh": b""})
    first, _ = directory_of(data)
    data[first:first] = bytes(8 << 20)
    first, second = directory_of(data)
    data[first + 20 : first + 24] = says.to_bytes(4, "little")  # what it takes in the zip
    data[second + 42 : second + 46] = (5 << 20).to_bytes(4, "little")
    end = data.rfind(b"PK\x05\x06")
    data[end + 16 : end + 20] = first.to_bytes(4, "little")
    storage = MemoryDeepStorage()
    storage.stored[ZIP] = {"": bytes(data)}
    with pytest.raises(CorruptionError, match=r"goes on after its end|no zip of a segment"):
        await contents(storage)
