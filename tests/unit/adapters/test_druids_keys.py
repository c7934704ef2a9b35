"""From the key that Druid's own pushers make to a copy, its receipt, a listing, and back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.adapters.bucket.bucket import PAGE_OBJECTS_MAX, Begun, Listed, Stat, Writer
from replicator.adapters.bucket.reader import ObjectStorageReader
from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.bucket.upload import WriterUpload
from replicator.adapters.transfer.pacing import InFlight
from replicator.adapters.transfer.source_storages import SourceStorages
from replicator.errors import MissingObjectError
from replicator.model.load_spec import (
    AREAS,
    AzureLayout,
    GoogleLayout,
    HdfsLayout,
    Layout,
    LocalLayout,
    S3Layout,
    SourceLayout,
    is_plain,
)
from replicator.ports import CopySource, Piece
from tests.contract.storages import MIB, SIZES

START = datetime(2026, 1, 1, tzinfo=UTC)
FILESYSTEM = "hdfs://nameservice"


@dataclass(frozen=True)
class Pushed:
    """What a pusher knows of a segment."""

    datasource: str
    start: str
    end: str
    version: str
    partition: int
    unique: str | None

    @property
    def by_default(self) -> str:
        """`DataSegmentPusher.getDefaultStorageDir`."""
        interval = f"{self.start}_{self.end}"
        return joined(self.datasource, interval, self.version, str(self.partition), self.unique)

    @property
    def without_colons(self) -> list[str | None]:
        """As `AzureDataSegmentPusher` and `HdfsDataSegmentPusher` begin: ISO's basic format."""
        basic = [text.replace("-", "").replace(":", "") for text in (self.start, self.end)]
        return [self.datasource, "_".join(basic), self.version.replace(":", "_")]


def joined(*names: str | None) -> str:
    """Druid's `JOINER`: by slashes, nulls left out."""
    return "/".join(name for name in names if name is not None)


@dataclass(frozen=True)
class Pusher:
    """One of Druid's deep storages as it is set: its load spec, and the key of each object."""

    layout: Layout
    load_spec: Mapping[str, str]
    keys: tuple[str, ...]
    prefix: str
    """What the reader of the bucket is given."""


def s3(base_key: str, pushed: Pushed, *, zipped: bool) -> Pusher:
    """`S3Utils.constructSegmentPath`; unpacked since 35 (`druid.storage.zip=false`)."""
    folder = joined(base_key or None, pushed.by_default)
    key = f"{folder}/index.zip" if zipped else f"{folder}/"
    keys = (key,) if zipped else (f"{key}00000.smoosh", f"{key}meta.smoosh")
    spec = {"type": "s3_zip", "bucket": "b", "key": key, "S3Schema": "s3n"}
    return Pusher(S3Layout(bucket="b", prefix=base_key), spec, keys, base_key)


def google(prefix: str, pushed: Pushed) -> Pusher:
    """`GoogleDataSegmentPusher.buildPath`."""
    path = f"{pushed.by_default}/index.zip"
    path = f"{prefix}/{path}" if prefix else path
    spec = {"type": "google", "bucket": "b", "path": path}
    return Pusher(GoogleLayout(bucket="b", prefix=prefix), spec, (path,), prefix)


def azure(prefix: str, pushed: Pushed) -> Pusher:
    """`AzureDataSegmentPusher.pushToPath`: one slash at the prefix's end is left out."""
    folder = joined(*pushed.without_colons, str(pushed.partition), pushed.unique)
    path = f"{joined(prefix.removesuffix('/') if prefix else None, folder)}/index.zip"
    spec = {"type": "azure", "containerName": "b", "blobPath": path}
    return Pusher(AzureLayout(container="b", prefix=prefix), spec, (path,), prefix)


def hdfs(root: str, pushed: Pushed) -> Pusher:
    """`HdfsDataSegmentPusher.push`: several segments in one folder."""
    unique = "" if pushed.unique is None else f"{pushed.unique}_"
    key = f"{joined(*pushed.without_colons)}/{pushed.partition}_{unique}index.zip"
    spec = {"type": "hdfs", "path": f"{FILESYSTEM}{root}/{key}"}
    return Pusher(HdfsLayout(filesystem=FILESYSTEM, root=root), spec, (key,), "")


def local(root: str, pushed: Pushed, *, zipped: bool) -> Pusher:
    """`LocalDataSegmentPusher.push`; a folder's path ends in a slash (`File.toURI`)."""
    name = "index.zip" if zipped else "index/"
    key = f"{pushed.by_default}/{name}"
    keys = (key,) if zipped else (f"{key}00000.smoosh", f"{key}meta.smoosh")
    return Pusher(LocalLayout(root=root), {"type": "local", "path": f"{root}/{key}"}, keys, "")


TARGETS: list[tuple[Layout, str]] = [
    (LocalLayout(root="/standby"), ""),
    (S3Layout(bucket="t", prefix="copies"), "copies"),
    (S3Layout(bucket="t", prefix="copies/", packed=False), "copies/"),
    (GoogleLayout(bucket="t", prefix=""), ""),
    (AzureLayout(container="t", prefix="a/b"), "a/b"),
    (HdfsLayout(filesystem="hdfs://other", root="/standby"), ""),
]
days = st.integers(0, 400).map(lambda day: START + timedelta(days=day, milliseconds=day))
instants = days.map(lambda day: day.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
# IdUtils.validateId: no slash, no whitespace but the space, no dot at the beginning
datasources = st.text(alphabet="ab_-.: \u00e9", min_size=1, max_size=5).filter(
    lambda name: name[0] != "." and name.strip() == name and name not in AREAS
)
pushed = st.builds(
    Pushed, datasources, instants, instants, instants, st.integers(0, 99),
    st.sampled_from([None, "6c82ac4d-8ebf-4a3b"]),
)  # fmt: skip
base_keys = st.sampled_from(
    ["", "druid", "druid/segments", "druid/", "druid//", "/druid", "/druid/", "a//b", "/"]
)
roots = st.sampled_from(["/druid/segments", "/d"])
pushers = st.one_of(
    st.builds(s3, base_keys, pushed, zipped=st.booleans()),
    st.builds(google, base_keys, pushed),
    st.builds(azure, base_keys, pushed),
    st.builds(hdfs, roots, pushed),
    st.builds(local, roots, pushed, zipped=st.booleans()),
)


@dataclass
class Versions:
    """A `Bucket` that keeps versions: what is removed has a marker on top."""

    objects: dict[str, list[tuple[bytes, dict[str, str]] | None]] = field(default_factory=dict)
    name: str = "memory"
    keeps_metadata: bool = True

    def newest(self, key: str) -> tuple[bytes, dict[str, str]] | None:
        return self.objects.get(key, [None])[-1]

    async def stat(self, key: str) -> Stat | None:
        if (found := self.newest(key)) is None:
            return None
        tag = str(len(self.objects[key]))
        return Stat(key=key, size_bytes=len(found[0]), tag=tag, stored_at=START, metadata=found[1])

    async def begin(self, key: str) -> Begun | None:
        stat = await self.stat(key)
        return None if stat is None else Begun(stat, None)

    async def pages(
        self, prefix: str, *, page_objects_max: int = PAGE_OBJECTS_MAX
    ) -> AsyncIterator[Sequence[Listed]]:
        below = f"{prefix.rstrip('/')}/" if prefix else ""
        for key in sorted(self.objects):
            if key.startswith(below) and (stat := await self.stat(key)) is not None:
                yield [stat]

    async def read(
        self, key: str, *, tag: str, start: int, end: int, piece_bytes: int
    ) -> AsyncIterator[Piece]:
        if (found := self.newest(key)) is None or str(len(self.objects[key])) != tag:
            raise MissingObjectError(key)
        yield found[0][start:end]

    async def create(
        self,
        key: str,
        data: Piece,
        metadata: Mapping[str, str] | None = None,
        *,
        retained: bool = True,
    ) -> bool:
        if self.newest(key) is not None:
            return False
        self.objects.setdefault(key, []).append((bytes(data), dict(metadata or {})))
        return True

    async def replace(self, key: str, data: Piece, *, retained: bool = False) -> None:
        self.objects.setdefault(key, []).append((bytes(data), {}))

    async def writer(self, key: str, *, part_bytes: int) -> Writer:
        raise AssertionError(key)

    async def delete(self, key: str) -> None:
        self.objects.setdefault(key, []).append(None)

    async def clear(self, key: str) -> None:
        await self.delete(key)

    async def extend(self, key: str, until: datetime) -> bool:
        return True


@settings(max_examples=40)
@given(pushers, st.booleans())
def test_a_load_spec_leads_to_a_place_and_back(pusher: Pusher, is_other: bool):
    elsewhere = AzureLayout(container="no such", prefix="")
    others = {"old": pusher.layout}
    source = SourceLayout(main=elsewhere if is_other else pusher.layout, others=others)
    location = source.locate(pusher.load_spec)
    assert location is not None
    assert source.load_spec(location) == pusher.load_spec
    for target, _ in TARGETS:
        placed = target.own_location(location)
        assert is_plain(placed)
        assert target.own_location(placed) == placed
        assert target.locate(target.load_spec(placed)) == placed


@settings(max_examples=40)
@given(pushed, pushed, base_keys, st.sampled_from([s3, google, azure, hdfs, local]))
def test_two_segments_never_meet(one: Pushed, other: Pushed, base_key: str, pusher: object):
    """Druid gives each version of a partition its own key; so does every target."""
    zipped = {"zipped": True} if pusher in {s3, local} else {}
    root = "/druid" if pusher in {hdfs, local} else base_key
    pair = [pusher(root, segment, **zipped) for segment in (one, other)]  # type: ignore[operator]
    places = [SourceLayout(main=found.layout, others={}).locate(found.load_spec) for found in pair]
    for target, _ in TARGETS:
        placed = {target.own_location(place) for place in places if place is not None}
        if pair[0].load_spec == pair[1].load_spec:
            assert len(placed) == 1
        elif _fold(one) != _fold(other):  # Azure and HDFS have no colons, and Druid none there
            assert len(placed) == 2


def _fold(one: Pushed) -> str:
    """What is left of a segment's names where colons are none."""
    return one.by_default.replace(":", "_")


@settings(max_examples=25)
@given(pushers, st.sampled_from(TARGETS), st.booleans())
async def test_a_copy_has_a_receipt_and_is_listed_and_goes(
    pusher: Pusher, target: tuple[Layout, str], was_there_before: bool
):
    """Whatever else lies in the bucket: folders, strays, versions of what was removed."""
    layout, prefix = target
    source, kept = Versions(), Versions()
    for key in pusher.keys:
        await source.create(key, f"bytes of {key}".encode())
    folder = pusher.keys[0].rpartition("/")[0]
    await source.create(f"{folder}/", b"")
    location = SourceLayout(main=pusher.layout, others={}).locate(pusher.load_spec)
    assert location is not None
    reader = SourceStorages(ObjectStorageReader(source, pusher.prefix), {})
    in_flight = InFlight(64 * MIB)
    upload = WriterUpload(kept, in_flight, SIZES)
    storage = ObjectStorage(kept, prefix, upload=upload, in_flight=in_flight, sizes=SIZES)
    placed = layout.own_location(location)
    top = f"{prefix.rstrip('/')}/" if prefix else ""
    strays = {f"{top}_replicator/receipts/{name}" for name in ("", "93/", "93", "x.json", "ab/c")}
    for key in (*strays, f"{top}odd//key", f"{top}_replicator/receipts/93/{'0' * 63}.json"):
        await kept.create(key, b"" if key.endswith(("/", "93")) else b"stray")
    if was_there_before:
        await kept.create(storage.key(placed).rstrip("/"), b"an older version, removed")
        await kept.delete(storage.key(placed).rstrip("/"))

    objects = tuple(await reader.objects(location))
    assert len(objects) == len(pusher.keys)
    copy_source = CopySource(reader=reader, location=location, objects=objects)
    stored = await storage.put(placed, copy_source)
    receipt = await storage.receipt(placed)
    assert receipt is not None
    assert receipt.objects == stored.objects == await storage.check(placed)
    assert receipt.source_objects == await reader.check(location)
    found = {
        one.location: one
        async for page in storage.stored_locations(lambda _: False)
        for one in page
    }
    assert found[placed].has_receipt
    assert {place for place in found if place != placed} == {"odd//key"}
    assert not found[next(place for place in found if place != placed)].has_receipt

    await storage.remove(placed)
    assert await storage.receipt(placed) is None
    left = {
        one.location async for page in storage.stored_locations(lambda _: False) for one in page
    }
    assert left == {"odd//key"}
