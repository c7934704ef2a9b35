"""How much of a target a verification looks at, and what is inside a packed segment."""

import io
import zipfile
from collections.abc import Mapping
from random import Random

import pytest

from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.release import Release
from replicator.model.extent import Extent, windows
from replicator.model.load_spec import Location
from replicator.model.store.proof import Level
from replicator.services.target.zip_directory import TAIL_BYTES, fault_in_zip
from tests.builders import segment
from tests.unit.pipeline import SIZE_BYTES, Pipeline

PLACES = [Location(f"wiki/{n}/index.zip") for n in range(2000)]
ZIP = Location("wiki/0/index.zip")


@pytest.mark.parametrize("share", [0.5, 0.3, 0.05, 0.011])
def test_rolling_windows_see_everything_once(share: float):
    seen = [
        [window for window in range(windows(share)) if Extent(share=share, window=window).holds(
            place, Random(1))]
        for place in PLACES
    ]  # fmt: skip
    assert all(len(found) == 1 for found in seen)
    sizes = [sum(found == [window] for found in seen) for window in range(windows(share) - 1)]
    assert all(0.3 * share < size / len(PLACES) < 2 * share for size in sizes)


def test_a_share_by_chance_is_about_that_share():
    rng, extent = Random(2), Extent(share=0.25)
    found = sum(extent.holds(place, rng) for place in PLACES)
    assert 0.2 < found / len(PLACES) < 0.3
    assert all(Extent().holds(place, rng) for place in PLACES)


async def test_reading_stops_when_the_bytes_are_used_up():
    pipeline = Pipeline()
    pipeline.publish(*[segment(f"wiki_{n}", partition=n) for n in range(5)])
    await pipeline.cut()
    await pipeline.follow()
    extent = Extent(bytes_max=3 * SIZE_BYTES - 1)
    found = await pipeline.verifier().verify(Level.CHECKSUM, extent=extent)
    assert (found.objects, found.left, found.read_bytes) == (5, 3, 2 * SIZE_BYTES)
    assert found.is_good


def packed(files: Mapping[str, bytes]) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_STORED) as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return found.getvalue()


SEGMENT = {
    "00000.smoosh": b"x" * 2 * TAIL_BYTES,
    "meta.smoosh": b"v1",
    "version.bin": b"\0\0\0\x09",
}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (packed(SEGMENT), None),
        (packed({"druid.segment": b"V10"}), None),
        (packed({**SEGMENT, "meta.smoosh": b""}), None),
        (packed({"00000.smoosh": b"x", "version.bin": b"9"}), "it has no meta.smoosh"),
        (packed({"readme": b"x"}), "it has no meta.smoosh and no version.bin"),
        (packed(SEGMENT)[:-30], "its directory of contents cannot be read"),
        (b"", "its directory of contents cannot be read"),
        (b"not a zip at all", "its directory of contents cannot be read"),
    ],
    ids=["good", "format 10", "empty file", "no meta", "no segment", "cut off", "empty", "other"],
)
async def test_a_packed_segment_is_looked_into(data: bytes, fault: str | None):
    storage = MemoryDeepStorage()
    storage.stored[ZIP] = {"": data}
    (stored,) = await storage.objects(ZIP)
    found = await fault_in_zip(storage, ZIP, stored, OlderDruid())
    assert (found is None) == (fault is None)
    assert fault is None or (found is not None and fault in found)


@pytest.mark.parametrize(("release", "reads"), [(33, False), (35, False), (36, True), (None, True)])
async def test_a_zip_that_the_targets_druid_is_too_old_for_is_named(
    release: int | None, reads: bool
):
    """Its bytes are equal, and no Historical of that release could load it."""
    storage = MemoryDeepStorage()
    storage.stored[ZIP] = {"": packed({"druid.segment": b"V10"})}
    (stored,) = await storage.objects(ZIP)
    druid = OlderDruid(release=None if release is None else Release(release))
    found = await fault_in_zip(storage, ZIP, stored, druid)
    assert (found is None) is reads
    assert found is None or "segments of version 10" in found
