"""What is wrong with one object is one row's trouble; what is wrong with all stops all."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from replicator.adapters.azure import AzureAddress, azure_reader
from replicator.adapters.bucket.obstore import ObstoreBucket
from replicator.adapters.bucket.reader import ObjectStorageReader
from replicator.adapters.google.storage import GoogleAddress, google_reader
from replicator.adapters.hdfs import HdfsAddress, hdfs_reader
from replicator.adapters.local.reader import LocalDeepStorageReader
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.service import s3_service
from replicator.adapters.s3.session import s3_bucket
from replicator.adapters.transfer import http_session
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import (
    ArchivedObjectError,
    ConfigError,
    CorruptionError,
    DeniedObjectError,
    RefusedError,
    ReplicatorError,
    TransientError,
    UnreadableObjectError,
)
from replicator.model.load_spec import Location
from replicator.ports import CopySource, DeepStorageReader, Receipt
from tests.builders import segment
from tests.contract.storages import SIZES, s3_address
from tests.servers.fake_http import Fake, serving
from tests.servers.name_nodes import ACTIVE, name_nodes
from tests.servers.odd_s3 import OddS3, Refusal, serving_s3
from tests.unit.pipeline import Pipeline, place_of

PLACE = Location("wiki/0/index.zip")
KEY, OTHER = f"druid/{PLACE}", "druid/wiki/1/index.zip"


@asynccontextmanager
async def s3_reader(odd: OddS3) -> AsyncIterator[ObjectStorageReader]:
    async with serving_s3(odd) as url:
        yield ObjectStorageReader(s3_bucket(s3_service(s3_address(url, "druid")), Pace()), "druid")


async def read(reader: DeepStorageReader, place: Location = PLACE, *, ahead: bool = False) -> None:
    for one in await reader.objects(place, ahead=ahead):
        async for _ in reader.read(place, one):
            pass


def stored(**refused: Refusal) -> OddS3:
    names = {"one": KEY, "all": ""}
    odd = OddS3({KEY: b"archived", OTHER: b"at hand"})
    odd.refused = {names[name]: refusal for name, refusal in refused.items()}
    return odd


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(403, "InvalidObjectState"), ArchivedObjectError),
        (Refusal(403, "AccessDenied"), DeniedObjectError),
        (Refusal(403, "AccessDenied", head=True), DeniedObjectError),  # of another account
        (Refusal(400, "InvalidRequest", head=True), DeniedObjectError),  # SSE-C
        (Refusal(400, "KMS.DisabledException"), DeniedObjectError),
    ],
)
async def test_one_object_of_a_bucket(refusal: Refusal, error: type[ReplicatorError], ahead: bool):
    async with s3_reader(stored(one=refusal)) as reader:
        with pytest.raises(error, match=KEY) as told:
            await read(reader, ahead=ahead)
        assert told.value.hint
        assert "<" not in str(told.value)
        await read(reader, Location("wiki/1/index.zip"))
        with pytest.raises(error):
            await read(reader, ahead=ahead)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(403, "AccessDenied", head=True), ConfigError),
        (Refusal(403, "InvalidAccessKeyId"), ConfigError),
        (Refusal(400, "ExpiredToken", head=True), TransientError),
    ],
)
async def test_all_objects_of_a_bucket(refusal: Refusal, error: type[ReplicatorError]):
    async with s3_reader(stored(all=refusal)) as reader:
        with pytest.raises(error):
            await read(reader)


async def test_the_last_that_was_read_is_asked_again():
    """Credentials that end between two reads are not the second object's trouble."""
    odd = stored()
    async with s3_reader(odd) as reader:
        await read(reader, Location("wiki/1/index.zip"))
        odd.refused = {"": Refusal(403, "AccessDenied", head=True)}
        with pytest.raises(ConfigError):
            await read(reader)


async def test_a_blob_in_the_archive_tier():
    archived = Fake(status=409, body="<Error><Code>BlobArchived</Code></Error>")
    async with serving(archived) as url:
        address = AzureAddress(
            account="a", container="c", prefix="", endpoint_url=f"{url}/a", account_key="AAAA"
        )
        reader = azure_reader(address, pace=Pace(), sizes=SIZES)
        assert isinstance(reader.bucket, ObstoreBucket)
        with pytest.raises(ArchivedObjectError, match="BlobArchived") as told:
            await read(reader, ahead=True)
        assert "Azure: rehydrate" in told.value.hint


@pytest.mark.parametrize(("status", "error"), [(403, ConfigError), (400, TransientError)])
async def test_google_denies_all(status: int, error: type[ReplicatorError]):
    async with serving(Fake(status=status, body="no")) as url:
        address = GoogleAddress(bucket="b", prefix="", endpoint_url=url, anonymous=True)
        reader = google_reader(address, pace=Pace(), sizes=SIZES)
        with pytest.raises(error):
            await read(reader)
        await reader.close()


async def test_google_answers_without_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_session, "ANSWER_BYTES_MAX", 1000)
    async with serving(Fake(body={"items": ["x" * 5_000_000]})) as url:
        address = GoogleAddress(bucket="b", prefix="", endpoint_url=url, anonymous=True)
        reader = google_reader(address, pace=Pace(), sizes=SIZES)
        with pytest.raises(
            UnreadableObjectError, match=r"127\.0\.0\.1 answered with more than 1000"
        ):
            await read(reader)
        await reader.close()


async def test_one_folder_of_hdfs():
    async with name_nodes(ACTIVE) as nodes:
        nodes.files = {f"/{KEY}": b"secret", f"/{OTHER}": b"at hand"}
        nodes.denied = {f"/{KEY}"}
        address = HdfsAddress(urls=tuple(nodes.urls), root="/druid")
        reader = hdfs_reader(address, pace=Pace(), sizes=SIZES, clock=SystemClock())
        with pytest.raises(DeniedObjectError, match="AccessControlException: ") as told:
            await read(reader)
        assert "{" not in str(told.value)
        nodes.denied |= {f"/{OTHER}"}
        with pytest.raises(ConfigError):
            await read(reader)
        await reader.close()


def folder(root: Path, files: Mapping[str, bytes]) -> LocalDeepStorageReader:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return LocalDeepStorageReader(root)


async def test_one_file_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    reader = folder(tmp_path, {PLACE: b"secret", "wiki/1/index.zip": b"at hand"})
    denied = {tmp_path / PLACE}

    def refusing(name: str, flags: int, *args: int, dir_fd: int | None = None) -> int:
        folder = Path() if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink()
        if folder / name in denied:
            raise PermissionError(13, "Permission denied", name)
        return opened(name, flags, *args, dir_fd=dir_fd)

    opened = os.open
    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(DeniedObjectError, match="other files can be read"):
        await read(reader)
    denied.add(tmp_path / "wiki/1/index.zip")
    with pytest.raises(ConfigError):
        await read(reader)


@pytest.mark.parametrize("place", ["wiki/0/index.zip/", "x" * 300 + "/index.zip"])
async def test_what_cannot_be_a_folder_or_a_name(tmp_path: Path, place: str):
    with pytest.raises(UnreadableObjectError):
        await folder(tmp_path, {PLACE: b"a file"}).objects(Location(place))


# ------------------------------------------------------------------------------------ the target


class Refusing:
    """A storage of a pipeline's target that refuses some places, or everything."""

    def __init__(self, pipeline: Pipeline, error: ReplicatorError, *places: Location) -> None:
        self.put_, self.error, self.places = pipeline.target_storage.put, error, places
        self.probed = 0
        self.works = True
        pipeline.target_storage.put = self.put  # type: ignore[method-assign]
        pipeline.target_storage.probe = self.probe  # type: ignore[method-assign]

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        if location in self.places:
            raise self.error
        return await self.put_(location, copy_source)

    async def probe(self) -> Sequence[str]:
        self.probed += 1
        if not self.works:
            raise ConfigError("no right to write")
        return ()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RefusedError("it leads out of the root", hint="mend it"), "place_refused"),
        (ArchivedObjectError("in GLACIER", hint="restore it"), "object_archived"),
        (DeniedObjectError("not yours", hint="ask for it"), "object_denied"),
        (UnreadableObjectError("odd", hint="mend it"), "object_unreadable"),
    ],
)
async def test_one_row_is_a_gap_with_its_remedy_and_the_rest_goes_on(
    error: ReplicatorError, reason: str
):
    pipeline = Pipeline()
    bad, worse, good = segment("bad"), segment("worse"), segment("good")
    refusing = Refusing(pipeline, error, place_of(bad), place_of(worse))
    pipeline.publish(bad, worse, good)
    await pipeline.cut()
    await pipeline.follow()
    assert sorted(pipeline.gaps()) == [(bad.id, reason, True), (worse.id, reason, True)]
    assert pipeline.target_ids() == {good.id}
    (kept,) = (found for found in pipeline.target.sources.values())
    assert all(gap.detail.endswith(f"; {error.hint}") for gap in kept.gaps.values())
    assert refusing.probed == 1, "once, before the first bytes"


async def test_an_altered_receipt_of_the_target_is_one_rows_gap_until_it_is_removed():
    pipeline = Pipeline()
    bad, good = segment("bad"), segment("good")
    pipeline.publish(bad, good)
    await pipeline.cut()
    await pipeline.follow()
    receipt, altered = pipeline.target_storage.receipt, {place_of(bad)}

    async def read(location: Location) -> Receipt | None:
        if location in altered:
            raise CorruptionError("the receipt cannot be read", hint="remove it")
        return await receipt(location)

    pipeline.target_storage.receipt = read  # type: ignore[method-assign]
    pipeline.publish(replace(bad, used=False), segment("new"))
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(bad.id, "place_refused", True)]
    assert pipeline.target_ids() == {good.id, segment("new").id}
    altered.clear()
    pipeline.publish(bad)
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.target_ids() == {bad.id, good.id, segment("new").id}


async def test_a_target_that_takes_nothing_stops():
    pipeline = Pipeline()
    refusing = Refusing(pipeline, RefusedError("no"), place_of(segment("bad")))
    refusing.works = False
    pipeline.publish(segment("bad"))
    await pipeline.cut()
    with pytest.raises(ConfigError, match="no right to write"):
        await pipeline.follow()
    assert pipeline.gaps() == []


async def test_too_many_that_are_refused_are_about_all_of_them():
    pipeline = Pipeline(objects_missing_max=2)
    rows = [segment(f"bad{n}") for n in range(3)]
    Refusing(pipeline, RefusedError("holds other bytes"), *map(place_of, rows))
    pipeline.publish(*rows)
    await pipeline.cut()
    with pytest.raises(RefusedError, match="3 segments cannot be read or stored, the first is"):
        await pipeline.follow()


async def test_an_empty_zip_is_truncated(tmp_path: Path):
    pipeline = Pipeline()
    pipeline.publish(segment("seed"), segment())
    pipeline.source_storage.stored[place_of(segment())] = {"": b""}
    await pipeline.cut()
    await pipeline.follow()
    assert pipeline.gaps() == [(segment().id, "object_truncated", True)]


async def test_a_link_out_of_the_root_is_refused_for_itself(tmp_path: Path):
    """A local target: its own folder of one segment may have become a link."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "wiki").symlink_to(tmp_path)
    async with LocalDeepStorage(tmp_path / "root") as storage:
        with pytest.raises(RefusedError, match="leads out"):
            await storage.receipt(PLACE)
        await storage.probe()
