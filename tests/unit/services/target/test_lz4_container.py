"""What Druid 37 packed by lz4 is read as the folder that it was; nothing altered passes."""

import struct
from collections.abc import Mapping
from random import Random

import pytest

from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.errors import TransientError, UnreadableObjectError
from replicator.model.checkpoint import OBJECT_UNREADABLE
from replicator.model.load_spec import Location
from replicator.model.row import Segment, key_of
from replicator.model.store.proof import Level
from replicator.services.target.lz4_container import LZ4_RATIO_MAX, Lz4Container
from tests.builders import DATA, ROOT, json_bytes, segment, segment_payload
from tests.lz4 import END, block, container
from tests.unit.pipeline import SOURCE, Pipeline

PLACE = Location("wiki/0_index.lz4")
INSIDE = Location(f"{PLACE}/")
REAL = (DATA / "lz4" / "index.lz4").read_bytes()
"""As Druid's own classes wrote it: data/lz4/Written.java."""


def columns() -> bytes:
    state, found = 1, bytearray()
    for at in range(150_000):
        state = (state * 1103515245 + 12345) % 2147483648
        found.append((at // 97 if at < 130_000 else state >> 16) & 0xFF)
    return bytes(found)


FILES = {
    "00000.smoosh": columns(),
    "empty": b"",
    "meta.smoosh": b"v1,2147483647,1\n",
    "version.bin": b"\0\0\0\x09",
}


def reader(data: bytes, *, bytes_max: int | None = None) -> Lz4Container:
    storage = MemoryDeepStorage()
    storage.stored[PLACE] = {"": data}
    return Lz4Container(storage, bytes_max=bytes_max)


async def contents(data: bytes, *, bytes_max: int | None = None) -> dict[str, bytes]:
    opened = reader(data, bytes_max=bytes_max)
    return {
        stored.name: b"".join([piece async for piece in opened.read(INSIDE, stored)])
        for stored in await opened.objects(INSIDE)
    }


def made(files: Mapping[bytes, bytes], *, count: int | None = None, block_bytes: int = 7) -> bytes:
    """A container whose blocks are so small that each header is cut by some of them."""
    return container(files, count=count, block_bytes=block_bytes)


async def test_what_druid_packed_comes_out():
    assert await contents(REAL) == FILES
    (first, *_) = await reader(REAL).check(INSIDE)
    assert (first.name, first.size_bytes) == ("00000.smoosh", 150_000)


async def test_any_part_of_a_file_is_read_by_itself():
    opened, rng = reader(REAL), Random(1)
    (stored, *_) = await opened.objects(INSIDE)
    data = FILES[stored.name]
    for _ in range(50):
        start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        found = [piece async for piece in opened.read(INSIDE, stored, start=start, end=end)]
        assert b"".join(found) == data[start:end]


@pytest.mark.parametrize("block_bytes", [1, 2, 7, 64])
async def test_headers_may_begin_in_one_block_and_end_in_another(block_bytes: int):
    files = {b"version.bin": b"\0\0\0\x09", b"empty": b"", "größe".encode(): b"x" * 100}
    found = await contents(made(files, block_bytes=block_bytes))
    assert found == {name.decode(): content for name, content in files.items()}


async def test_whatever_byte_is_altered_what_comes_out_is_never_something_else():
    rng = Random(2)
    for _ in range(60):
        data = bytearray(REAL)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            found = await contents(bytes(data))
        except UnreadableObjectError:
            continue
        assert found == FILES


async def test_one_that_breaks_off_anywhere_is_not_read():
    whole = made({b"a": b"xyz", b"b": b"x" * 20})
    for end in range(len(whole)):
        with pytest.raises(UnreadableObjectError):
            await contents(whole[:end])
    with pytest.raises(UnreadableObjectError, match="goes on after its end"):
        await contents(whole + b"x")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (made({b"../x": b""}), r"it has a file b'\.\./x'"),
        (made({b"..": b""}), "it has a file"),
        (made({b"a/b": b""}), "it has a file"),
        (made({b"\xff": b""}), "it has a file"),
        (made({b"a\n": b""}), "it has a file"),
        (made({b"": b""}), "name has 0 bytes"),
        (made({b"x" * 256: b""}), "name has 256 bytes"),
        (made({b"a": b""}, count=2), "end in the middle"),
        (made({b"a": b"", b"b": b""}, count=1), "bytes after its last file"),
        (made({}), "it has 0 files"),
        (made({b"a": b""}, count=-1), "it has -1 files"),
        (made({b"a": b""}, count=100_001), "it has 100001 files"),
        (block(struct.pack(">i", 2) + 2 * (b"\0\0\0\x01a" + bytes(8))) + END, "two files a"),
        (struct.pack("<8sBIII", b"LZ4Block", 0x10, 2000, 2000, 0) + bytes(2000), "too large"),
        (struct.pack("<8sBIII", b"LZ4Block", 0x30, 1, 1, 0) + b"x", "there is no block"),
        (b"PK\x03\x04" + bytes(100), "there is no block"),
        (b"", "ends in the middle"),
    ],
)
async def test_what_is_no_container_of_a_segment_is_refused(data: bytes, words: str):
    with pytest.raises(UnreadableObjectError, match=words):
        await contents(data)


async def test_one_that_unpacks_to_more_than_its_row_allows_is_refused():
    total = sum(map(len, FILES.values()))
    with pytest.raises(UnreadableObjectError, match=f"more than {total}"):
        await contents(REAL, bytes_max=total)  # names and sizes count as well
    assert await contents(REAL, bytes_max=total + 1000) == FILES
    assert total < LZ4_RATIO_MAX * len(REAL)


PACKED = segment(
    payload=json_bytes(
        segment_payload(
            loadSpec={"type": "local", "path": f"{ROOT}/wiki/0/index.lz4"},
            size=sum(map(len, FILES.values())),
        )
    )
)
SOURCE_PLACE, PLACED = Location("wiki/0/index.lz4"), Location("wiki/0/index/")


async def followed(container: bytes = REAL) -> Pipeline:
    pipeline = Pipeline()
    pipeline.publish(PACKED, segment(partition=1))
    pipeline.source_storage.stored[SOURCE_PLACE] = {"": container}
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


async def test_a_target_has_the_folder_and_a_row_that_leads_there():
    pipeline = await followed()
    assert pipeline.target_storage.stored[PLACED] == FILES
    row = pipeline.target.rows[key_of(PACKED)]
    assert isinstance(row, Segment)
    assert b"wiki/0/index/" in row.payload
    found = await pipeline.verifier().verify(Level.CHECKSUM)
    assert (found.findings, found.gaps) == ([], ())


async def test_a_damaged_container_is_a_gap_of_its_row_alone():
    damaged = bytearray(REAL)
    damaged[len(REAL) // 2] ^= 1
    pipeline = await followed(bytes(damaged))
    (gap,) = pipeline.target.sources[SOURCE].gaps.values()
    assert (gap.key, gap.reason) == (PACKED.id, OBJECT_UNREADABLE)
    assert key_of(segment(partition=1)) in pipeline.target.rows


async def test_a_container_that_is_exchanged_after_it_was_listed_is_listed_again():
    storage = MemoryDeepStorage()
    storage.stored[PLACE] = {"": made({b"a": b"1", b"b": b"2"})}
    opened = Lz4Container(storage)
    _, stored = await opened.objects(INSIDE)
    storage.stored[PLACE] = {"": made({b"a": b"1"})}
    with pytest.raises(TransientError, match="was written since it was listed, and has no b"):
        [piece async for piece in opened.read(INSIDE, stored)]
