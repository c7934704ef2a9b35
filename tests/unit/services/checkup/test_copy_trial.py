"""`check` copies an object of several parts as a segment is copied, and leaves nothing behind."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.errors import ConfigError, RefusedError, ReplicatorError
from replicator.model.load_spec import Location
from replicator.ports import Checked, CopySource, DeepStorageReader, Receipt, StoredObject
from replicator.services.checkup.copy_trial import (
    FOLDER,
    LOCKED_FOR,
    SAMPLE_BYTES_MAX,
    CopyTrial,
    MadeObject,
    Sample,
)
from tests.simulation.virtual_time import VirtualTimeLoop

PART_BYTES = 3 << 20
ONE = Location("wiki/i/v/0/index.zip")
SAMPLE = Sample(location=ONE, objects=(StoredObject(name="", size_bytes=5, tag="1"),))


class Storage(MemoryDeepStorage):
    """A target that copies within its service, and denies what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.denies_copies = self.denies_from_now_on = self.alters = False
        self.copied: list[Location] = []
        self.removal: ReplicatorError | None = None

    def copies_from(self, reader: DeepStorageReader, location: Location) -> bool:
        return isinstance(reader, Storage) and not self.denies_copies

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        if isinstance(copy_source.reader, Storage):
            self.copied.append(copy_source.location)
            self.denies_copies = self.denies_from_now_on
        return await super().put(location, copy_source)

    async def check(self, location: Location) -> tuple[Checked, ...]:
        found = await super().check(location)
        return tuple(replace(one, sha256="0") for one in found) if self.alters else found

    async def remove(self, location: Location) -> None:
        if self.removal is not None:
            raise self.removal
        await super().remove(location)


def trial(storage: Storage, *, locks: bool = False) -> CopyTrial:
    return CopyTrial("standby", storage, locks=locks, part_bytes=PART_BYTES, rng=Random(1))


async def tried(
    storage: Storage, source: DeepStorageReader | None = None, samples: Sequence[Sample] = ()
) -> list[tuple[bool, bool, str]]:
    found = await trial(storage).run(source or MadeObject(5, Random(2)), samples)
    assert {one.what for one in found} == {"target standby copy"}
    return [(one.good, one.note, one.detail) for one in found]


async def test_an_object_larger_than_a_part_is_stored_copied_and_removed():
    storage = Storage()
    assert await tried(storage) == [
        (True, False, "4 MiB were stored as a segment is, and read back"),
        (True, False, "the service copied an object within the target by itself"),
    ]
    assert storage.stored == {}
    (origin,) = storage.copied
    assert origin.startswith(f"{FOLDER}/")


async def test_an_object_of_the_source_is_copied_where_the_service_can():
    storage, source = Storage(), Storage()
    await source.put(
        ONE, CopySource(reader=MadeObject(5, Random(2)), location=ONE, objects=SAMPLE.objects)
    )
    sample = Sample(location=ONE, objects=tuple(await source.objects(ONE)))
    found = await tried(storage, source, [sample])
    assert found[-1] == (True, False, "the service copied an object from the source by itself")
    assert storage.copied[-1] == ONE
    assert storage.stored == {}


async def test_what_is_too_large_for_a_check_is_not_copied():
    storage, source = Storage(), Storage()
    large = StoredObject(name="", size_bytes=SAMPLE_BYTES_MAX + 1, tag="1")
    found = await tried(storage, source, [Sample(location=ONE, objects=(large,))])
    assert len(found) == 2
    assert ONE not in storage.copied


async def test_a_copy_that_the_service_denies_is_a_note_because_bytes_take_the_other_way():
    storage = Storage()
    storage.denies_from_now_on = True
    (_, (good, note, detail)) = await tried(storage)
    assert (good, note) == (True, True)
    assert detail.startswith("the service did not copy an object within the target")


async def test_other_bytes_than_sent_are_a_fault():
    storage = Storage()
    storage.alters = True
    ((good, _, detail),) = await tried(storage)
    assert not good
    assert "with other bytes than sent" in detail
    assert storage.stored == {}


@pytest.mark.parametrize(
    ("refusal", "good"),
    [(ConfigError("AccessDenied: s3:DeleteObject"), False), (RefusedError("locked"), True)],
)
async def test_what_may_not_be_removed_is_named(refusal: ReplicatorError, good: bool):
    storage = Storage()
    storage.removal = refusal
    *_, (is_good, note, detail) = await tried(storage)
    assert (is_good, note) == (good, good)
    assert "stays on the target" in detail
    assert str(refusal) in detail
    assert any(location in detail for location in storage.stored)


def test_a_lock_is_waited_for_before_the_object_is_removed():
    loop, storage = VirtualTimeLoop(), Storage()
    try:
        found = loop.run_until_complete(
            trial(storage, locks=True).run(MadeObject(5, Random(2)), ())
        )
        waited_s = loop.time()
    finally:
        loop.close()
    assert "locked for 30 s" in found[0].detail
    assert waited_s > LOCKED_FOR.total_seconds()
    assert storage.stored == {}
