"""A store with keys: what somebody else wrote, altered, renamed or put back is not believed."""

import tracemalloc
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from replicator.adapters.local.area import LocalArea
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.signing.area import Signatures, SignedArea
from replicator.adapters.signing.ed25519 import Ed25519Keys, private_key, public_key
from replicator.errors import ConfigError, CorruptionError, NotFoundError
from replicator.model.observation import Observation
from replicator.model.observed.faults import FileUnsigned
from replicator.model.store.proof import Level
from replicator.ports import Area
from replicator.services.store.signing import Signed, sign_all
from replicator.services.target import rates
from tests.builders import segment
from tests.unit.pipeline import Pipeline

NAME = "points/a.json"
DATA = b'{"format":1}'
OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def rule(
    own: Ed25519PrivateKey | None = OURS,
    *trusted: Ed25519PrivateKey,
    accept: bool = False,
    warned: list[Observation] | None = None,
) -> Signatures:
    keys = Ed25519Keys(own, [key.public_key() for key in trusted])
    told = [] if warned is None else warned
    return Signatures(keys, accept_unsigned=accept, warn=told.append)


def pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public(key: Ed25519PrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode()


@pytest.fixture
def area() -> MemoryArea:
    return MemoryArea()


async def test_what_is_written_is_signed_and_read(area: Area):
    ours = SignedArea(area, rule())
    assert await ours.create(NAME, DATA) is True
    assert await ours.create(NAME, b"other") is False
    assert await ours.get(NAME) == DATA
    assert await area.get(NAME) != DATA
    await ours.replace(NAME, b"{}")
    assert await ours.get(NAME) == b"{}"
    assert await ours.names("points/") == [NAME]
    await ours.delete(NAME)
    with pytest.raises(NotFoundError):
        await ours.get(NAME)


async def test_who_has_no_keys_reads_what_is_signed(area: Area):
    await SignedArea(area, rule()).create(NAME, DATA)
    assert await SignedArea(area, None).get(NAME) == DATA


async def test_a_public_key_is_enough_to_read(area: Area):
    await SignedArea(area, rule()).create(NAME, DATA)
    reader = SignedArea(area, rule(None, OURS))
    assert await reader.get(NAME) == DATA
    await reader.create("drills/a.json", DATA)
    assert await area.get("drills/a.json") == DATA
    with pytest.raises(CorruptionError, match=r"drills/a\.json is not signed"):
        await SignedArea(area, rule()).get("drills/a.json")


async def test_an_unsigned_file_is_refused(area: Area):
    await area.create(NAME, DATA)
    with pytest.raises(CorruptionError, match=r"points/a\.json is not signed") as caught:
        await SignedArea(area, rule()).get(NAME)
    assert "replicator target sign" in caught.value.hint


async def test_or_read_with_one_warning_a_folder(area: Area):
    warned: list[Observation] = []
    reader = SignedArea(area, rule(accept=True, warned=warned))
    for name in (NAME, "points/b.json", "holds/a.json"):
        await area.create(name, DATA)
        assert await reader.get(name) == DATA
    assert warned == [FileUnsigned(name=NAME), FileUnsigned(name="holds/a.json")]


@pytest.mark.parametrize("accept", [False, True])
async def test_a_signature_by_another_key_is_refused_whatever_is_accepted(area: Area, accept: bool):
    await SignedArea(area, rule(THEIRS)).create(NAME, DATA)
    with pytest.raises(CorruptionError, match=r"is signed by key [0-9a-f]{16}, which is not trust"):
        await SignedArea(area, rule(accept=accept)).get(NAME)


@pytest.mark.parametrize("accept", [False, True])
async def test_altered_bytes_are_refused(area: Area, accept: bool):
    ours = SignedArea(area, rule(accept=accept))
    await ours.create(NAME, DATA)
    whole = await area.get(NAME)
    await area.replace(NAME, whole.replace(b"1", b"2", 1))
    with pytest.raises(CorruptionError, match=r"is not what key [0-9a-f]{16} signed"):
        await ours.get(NAME)


async def test_a_file_under_the_name_of_another_is_refused(area: Area):
    ours = SignedArea(area, rule())
    await ours.create("holds/a.json", DATA)
    await area.create("holds/b.json", await area.get("holds/a.json"))
    with pytest.raises(CorruptionError, match=r"holds/b\.json is not what key"):
        await ours.get("holds/b.json")


async def test_a_file_as_large_as_allowed_can_be_read_with_its_signature(tmp_path: Path):
    inner: LocalArea = LocalDeepStorage(tmp_path).area()
    ours = SignedArea(inner, rule())
    await ours.create(NAME, DATA)
    assert await ours.get(NAME, bytes_max=len(DATA)) == DATA


async def test_after_a_change_of_keys_the_former_one_counts_while_it_is_trusted(area: Area):
    await SignedArea(area, rule(OURS)).create(NAME, DATA)
    assert await SignedArea(area, rule(THEIRS, OURS)).get(NAME) == DATA
    with pytest.raises(CorruptionError):
        await SignedArea(area, rule(THEIRS)).get(NAME)


async def test_a_store_is_signed_again_file_by_file(area: Area):
    """Signed, unsigned and forged files: the last ones keep what they have, and are named."""
    former = SignedArea(area, rule(OURS))
    await former.create("history/log/1.zst", b"history")
    await former.create("applier.json", b"{}")
    await area.create("points/old.json", DATA)
    await SignedArea(area, rule(Ed25519PrivateKey.generate())).create("holds/x.json", DATA)
    now = SignedArea(area, rule(THEIRS, OURS))
    first = await sign_all(now, observer=lambda _: None)
    assert (first.signed, first.signed_before) == (3, 0)
    assert [one.split(" is ")[0] for one in first.refused] == ["holds/x.json"]
    alone = SignedArea(area, rule(THEIRS))
    assert await alone.get("history/log/1.zst") == b"history"
    assert await alone.get("points/old.json") == DATA
    assert await alone.get("applier.json") == b"{}"
    again = await sign_all(now, observer=lambda _: None)
    assert again == Signed(signed=0, signed_before=3, refused=first.refused)


async def test_all_that_a_target_wrote_without_a_key_is_read_with_one_once_it_is_signed():
    """Only what is written again when it cannot be read is left out."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    await pipeline.verifier().verify(Level.ROWS)
    with_key = SignedArea(pipeline.area, rule())
    await sign_all(with_key, observer=lambda _: None)
    for name in {*await pipeline.area.names("")} - {rates.NAME}:
        assert await with_key.get(name)


class ManySeals(SignedArea):
    """The files of a store with many seals: their names are made when they are asked for."""

    def __init__(self, count: int) -> None:
        super().__init__(MemoryArea(), None)
        self.count, self.signed = count, 0

    async def names(self, prefix: str) -> Sequence[str]:
        folder = prefix.removeprefix("seals/").rstrip("/")
        each = self.count if not folder else self.count // 256 * (len(folder) == 2)
        return [f"{prefix}{number:064x}.json" for number in range(each)]

    async def sign(self, name: str, *, bytes_max: int) -> bool:
        del name, bytes_max
        self.signed += 1
        return True


async def test_signing_a_store_takes_the_memory_of_one_folder():
    peaks = []
    for count in (1_280, 12_800):
        area = ManySeals(count)
        tracemalloc.start()
        found = await sign_all(area, observer=lambda _: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.signed == area.signed >= count
    assert max(peaks) < 100_000, f"all names of the larger one take 1.5 MB, not {peaks}"


async def test_nothing_is_signed_without_a_private_key(area: Area):
    await area.create(NAME, DATA)
    for one in (rule(None, OURS), None):
        with pytest.raises(ConfigError):
            await SignedArea(area, one).sign(NAME, bytes_max=100)
    assert await area.get(NAME) == DATA


def test_keys_are_read_from_what_openssl_writes():
    assert pem(private_key(pem(OURS), what="it")) == pem(OURS)
    assert public_key(public(OURS), what="it") == OURS.public_key()


def test_what_is_no_key_is_refused_without_being_repeated():
    other = generate_private_key(public_exponent=65537, key_size=2048)
    rsa = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    der = other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for text in ("secret-text", rsa, ""):
        with pytest.raises(ConfigError) as caught:
            private_key(text, what="the key")
        assert not text or text not in f"{caught.value}{caught.value.hint}"
    for text in ("secret-text", b64encode(der).decode(), "", "AAAA"):
        with pytest.raises(ConfigError, match="no public key of Ed25519"):
            public_key(text, what="the key")
