"""Which places objects belong to, against the plain rule: the outermost folder that is one."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from replicator.adapters.bucket.bucket import Listed, Stat
from replicator.adapters.bucket.locations import ObjectLocations
from replicator.adapters.bucket.receipts import NOTED_BYTES, Noted
from replicator.model.load_spec import Location

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)
KEYS = st.sets(NAMES, max_size=25)
FOLDERS = st.sets(NAMES.map(lambda name: f"{name}/"), max_size=6)


class Listing:
    """As much of a bucket as is listed."""

    keeps_metadata = False

    def __init__(self, keys: Sequence[str], page_objects: int) -> None:
        self.keys, self.page_objects = keys, page_objects

    async def pages(self, prefix: str, **_: int) -> AsyncIterator[Sequence[Listed]]:
        for start in range(0, len(self.keys), self.page_objects):
            yield [
                Listed(key=f"{prefix}{key}", size_bytes=1, tag="", stored_at=NOW)
                for key in self.keys[start : start + self.page_objects]
            ]

    async def stat(self, key: str) -> Stat | None:
        raise AssertionError(key)


def plainly(keys: set[str], noted: set[str], known: set[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key in keys:
        names = key.split("/")
        above = ["/".join(names[:n]) + "/" for n in range(1, len(names))]
        place = next((folder for folder in above if folder in noted | known), key)
        if place not in known:
            found[place] = found.get(place, 0) + 1
    return found


@given(KEYS, FOLDERS, st.sets(NAMES), FOLDERS | KEYS, st.integers(1, 5))
async def test_each_object_belongs_to_one_place(
    keys: set[str], folders: set[str], receipts: set[str], known: set[str], page_objects: int
):
    noted = folders | receipts
    digests = b"".join(sha256(name.encode()).digest()[:NOTED_BYTES] for name in noted)
    listing = Listing(sorted(keys), page_objects)
    places = ObjectLocations(
        listing,  # type: ignore[arg-type]  # it is only listed
        "p/",
        Noted(np.frombuffer(digests, dtype=f"S{NOTED_BYTES}")),
        lambda location: location in known,
    )
    found = [place async for page in places.pages() for place in page]
    assert {place.location: place.size_bytes for place in found} == plainly(keys, noted, known)
    assert len({place.location for place in found}) == len(found)
    assert all(place.has_receipt == (place.location in noted) for place in found)


def test_names_whose_ends_are_zeros_are_found():
    digests = [bytes([n]) * 8 + bytes(8) for n in range(20)]
    noted = Noted(np.frombuffer(b"".join(digests), dtype=f"S{NOTED_BYTES}"))
    assert Location("x") not in noted
    assert [bytes(noted._names[n : n + 16]) for n in range(0, 320, 16)] == digests
