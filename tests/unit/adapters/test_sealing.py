"""A store with keys believes no bytes that somebody else put there, with or without a receipt."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.signing.area import SignedArea
from replicator.adapters.signing.storage import SealedStorage
from replicator.errors import ConfigError, CorruptionError, MissingObjectError
from replicator.model.load_spec import LocalLayout, Location
from replicator.model.observation import Observation
from replicator.model.observed.faults import FileUnsigned
from replicator.model.plans.restore_point import Latest
from replicator.model.store.seal import SEALS, seal_json, seal_name, seal_of
from replicator.ports import CopySource
from replicator.services.store.signing import seal_all, sign_all
from replicator.services.target.copier import Backup
from tests.builders import segment
from tests.contract.storages import Origin
from tests.unit.adapters.test_signing import OURS, THEIRS, rule
from tests.unit.pipeline import TARGET_ROOT, HandClock, Pipeline

PLACE, OTHER = Location("wiki/0/index.zip"), Location("wiki/1/index.zip")


@pytest.fixture
def plain() -> MemoryDeepStorage:
    return MemoryDeepStorage(HandClock())


def sealed(
    plain: MemoryDeepStorage,
    own: Ed25519PrivateKey | None = OURS,
    *trusted: Ed25519PrivateKey,
) -> SealedStorage:
    return SealedStorage(plain, rule(own, *trusted))


async def store(storage: SealedStorage | MemoryDeepStorage, place: Location, data: bytes) -> None:
    await storage.put(place, await Origin({"": data}).copy_source(place))


async def exchange(plain: MemoryDeepStorage, place: Location, data: bytes) -> None:
    """Write other bytes with a right receipt, as anybody can who may write to the store."""
    plain.stored.pop(place)
    plain.receipts.pop(place)
    await store(plain, place, data)


async def test_what_is_stored_is_sealed_and_believed(plain: MemoryDeepStorage):
    ours = sealed(plain)
    await store(ours, PLACE, b"ours")
    assert await ours.receipt(PLACE) == await plain.receipt(PLACE) is not None
    assert await ours.written_receipt(PLACE) is not None
    assert await sealed(plain, None, OURS).receipt(PLACE) is not None, "the public key is enough"


async def test_exchanged_bytes_are_refused_though_their_receipt_is_right(plain: MemoryDeepStorage):
    ours = sealed(plain)
    await store(ours, PLACE, b"ours")
    await exchange(plain, PLACE, b"evil")
    for reading in (ours.receipt, ours.written_receipt):
        with pytest.raises(CorruptionError, match=rf"{PLACE} is not what its seal .* says"):
            await reading(PLACE)


@pytest.mark.parametrize("glue", ["name", "checksum"])
@pytest.mark.parametrize("accept", [False, True])
async def test_one_file_cannot_stand_for_two(plain: MemoryDeepStorage, glue: str, *, accept: bool):
    """The lines of two files are one name, or one checksum, with a line break."""
    ours = SealedStorage(plain, rule(accept=accept))
    folder = Location("wiki/0/index/")
    await ours.put(folder, await Origin({"a": b"1", "b": b"2"}).copy_source(folder))
    first, second = plain.receipts[folder].objects
    if glue == "name":
        line = f"{first.name}\n{second.sha256} {second.size_bytes} {second.name}"
        one = replace(first, name=line)
    else:
        line = f"{first.sha256} {first.size_bytes} {first.name}\n{second.sha256}"
        one = replace(second, sha256=line)
    plain.receipts[folder] = replace(plain.receipts[folder], objects=(one,))
    plain.stored[folder] = {one.name: b"?"}
    for reading in (ours.receipt, ours.written_receipt):
        with pytest.raises(CorruptionError, match="cannot be sealed"):
            await reading(folder)


async def test_files_of_a_folder_do_not_pass_for_packed_ones(plain: MemoryDeepStorage):
    ours = sealed(plain)
    folder = Location("wiki/0/index/")
    await ours.put(folder, await Origin({"a": b"1", "b": b"2"}).copy_source(folder))
    first, second = plain.receipts[folder].objects
    plain.receipts[folder] = replace(plain.receipts[folder], objects=(first,), packed=(second,))
    plain.stored[folder] = {first.name: b"1"}
    with pytest.raises(CorruptionError, match="takes files for packed"):
        await ours.receipt(folder)


async def test_a_seal_is_of_one_location(plain: MemoryDeepStorage):
    ours = sealed(plain)
    await store(ours, PLACE, b"ours")
    await store(ours, OTHER, b"other")
    await exchange(plain, PLACE, b"other")
    area = plain.area()
    await area.replace(seal_name(PLACE), await area.get(seal_name(OTHER)))
    with pytest.raises(CorruptionError, match="is not what key"):
        await ours.receipt(PLACE)


async def test_a_seal_of_a_stranger_is_none_of_ours(plain: MemoryDeepStorage):
    await store(sealed(plain, THEIRS), PLACE, b"evil")
    with pytest.raises(CorruptionError, match="which is not trusted"):
        await sealed(plain).receipt(PLACE)
    assert await sealed(plain, OURS, THEIRS).receipt(PLACE) is not None


async def test_bytes_without_a_seal_count_as_missing_and_are_compared_and_sealed(
    plain: MemoryDeepStorage,
):
    """A process died between receipt and seal; or somebody else put both there."""
    await store(plain, PLACE, b"ours")
    ours = sealed(plain)
    assert await ours.receipt(PLACE) is None
    await store(ours, PLACE, b"ours")
    assert await ours.receipt(PLACE) is not None


async def test_bytes_without_a_seal_can_be_accepted_with_one_warning(plain: MemoryDeepStorage):
    await store(plain, PLACE, b"ours")
    await store(plain, OTHER, b"ours too")
    warned: list[Observation] = []
    storage = SealedStorage(plain, rule(accept=True, warned=warned))
    assert await storage.receipt(PLACE) is not None
    assert await storage.receipt(OTHER) is not None
    assert [type(one) for one in warned] == [FileUnsigned]


async def test_a_seal_goes_with_its_bytes_and_is_locked_with_them(plain: MemoryDeepStorage):
    ours = sealed(plain)
    await store(ours, PLACE, b"ours")
    until = HandClock().now() + timedelta(days=1)
    await ours.extend(PLACE, until)
    await ours.remove(OTHER)
    assert await plain.area().names(f"{SEALS}/") == [seal_name(PLACE)]
    plain.locked_until.clear()
    await ours.remove(PLACE)
    assert await plain.area().names(f"{SEALS}/") == []
    await store(plain, PLACE, b"ours")
    with pytest.raises(MissingObjectError, match="no seal"):
        await ours.extend(PLACE, until)


async def test_what_was_stored_before_there_was_a_key_is_sealed_once(plain: MemoryDeepStorage):
    for place in (PLACE, OTHER):
        await store(plain, place, b"ours")
    ours = sealed(plain)
    done = await seal_all(ours, observer=lambda _: None)
    assert (done.signed, done.signed_before, done.refused) == (2, 0, ())
    await exchange(plain, OTHER, b"evil")
    again = await seal_all(ours, observer=lambda _: None)
    assert (again.signed, again.signed_before) == (0, 1)
    assert [OTHER in fault for fault in again.refused] == [True], "a wrong seal is not replaced"
    with pytest.raises(CorruptionError):
        await ours.receipt(OTHER)


async def test_seals_are_signed_with_a_new_key_like_other_files(plain: MemoryDeepStorage):
    await store(sealed(plain), PLACE, b"ours")
    await sign_all(SignedArea(plain.area(), rule(THEIRS, OURS)), observer=lambda _: None)
    assert await sealed(plain, THEIRS).receipt(PLACE) is not None


async def test_who_has_no_private_key_seals_nothing(plain: MemoryDeepStorage):
    await store(plain, PLACE, b"ours")
    with pytest.raises(ConfigError, match="no key to sign with"):
        await sealed(plain, None, OURS).seal(PLACE)


def test_a_seal_names_its_location(plain: MemoryDeepStorage):
    seal = seal_of(seal_name(PLACE), seal_json(SEAL))
    assert seal == SEAL
    with pytest.raises(CorruptionError, match="it is that of"):
        seal_of(seal_name(OTHER), seal_json(SEAL))


SEAL = seal_of(
    seal_name(PLACE),
    b'{"format":1,"location":"wiki/0/index.zip","sha256":"%s"}' % (b"ab" * 32),
)


# ------------------------------------------------------------------------------------- restores


async def backed_up(storage: MemoryDeepStorage) -> Pipeline:
    """Return a target with rows, and in `storage` a sealed copy of its bytes; its own are lost."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    vault = sealed(storage)
    for place, files in pipeline.target_storage.stored.items():
        await vault.put(place, await Origin(files).copy_source(place))
    lost = pipeline.target_storage
    lost.stored.clear()
    lost.receipts.clear()
    pipeline.target.rows.clear()
    pipeline.backup = Backup(layout=LocalLayout(root=TARGET_ROOT), storage=vault)
    return pipeline


async def restored(pipeline: Pipeline) -> None:
    restorer = pipeline.restorer()
    plan = await restorer.plan(Latest(), datasource=None, adopt=True)
    await restorer.execute(plan, accept_gaps=False)


async def test_a_restore_takes_the_sealed_bytes_of_a_backup(plain: MemoryDeepStorage):
    pipeline = await backed_up(plain)
    await restored(pipeline)
    assert pipeline.target.rows


async def test_a_restore_refuses_exchanged_bytes_each_time(plain: MemoryDeepStorage):
    pipeline = await backed_up(plain)
    (place,) = plain.stored
    data = plain.stored[place]["00000.smoosh"]
    plain.stored[place] = {"00000.smoosh": b"y" * len(data)}
    for _ in range(2):  # what the first try left must not be believed by the second
        with pytest.raises(CorruptionError, match="other bytes than its receipt says"):
            await restored(pipeline)
        assert not pipeline.target.rows
        assert not pipeline.target_storage.stored
    receipt = plain.receipts[place]
    evil = Origin(plain.stored[place])
    plain.receipts[place] = replace(receipt, objects=await evil.check(place))
    with pytest.raises(CorruptionError, match="is not what its seal"):
        await restored(pipeline)
    assert not pipeline.target.rows


async def test_a_restore_does_not_believe_what_was_copied_from_exchanged_bytes(
    plain: MemoryDeepStorage,
):
    """They are at the target, with a receipt that says truly where they came from."""
    pipeline = await backed_up(plain)
    pipeline.target = MemoryMetadata(pipeline.clock)
    (place,) = plain.stored
    data = plain.stored[place]["00000.smoosh"]
    plain.stored[place] = {"00000.smoosh": b"y" * len(data)}
    objects = tuple(await plain.objects(place))
    exchanged = CopySource(reader=plain, location=place, objects=objects)
    await pipeline.target_storage.put(place, exchanged)
    with pytest.raises(CorruptionError, match=r"not those of the backup's receipt"):
        await restored(pipeline)
    assert not pipeline.target.rows


async def test_a_restore_refuses_bytes_without_a_seal_before_it_copies_them(
    plain: MemoryDeepStorage,
):
    pipeline = await backed_up(plain)
    (place,) = plain.stored
    await plain.area().delete(seal_name(place))
    with pytest.raises(CorruptionError, match="no valid receipt in the backup"):
        await restored(pipeline)
    assert not pipeline.target_storage.stored
