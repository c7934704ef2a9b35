"""Every deep storage, and how somebody else would write into it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from replicator.adapters.azure import AzureAddress, azure_storage
from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.google.storage import GoogleAddress, google_storage
from replicator.adapters.hdfs import HdfsAddress, hdfs_storage
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.s3.service import S3Address
from replicator.adapters.s3.storage import S3Storage
from replicator.adapters.signing.area import Signatures
from replicator.adapters.signing.ed25519 import Ed25519Keys
from replicator.adapters.signing.storage import SealedStorage
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import MissingObjectError, ReplicatorError
from replicator.model.load_spec import Location
from replicator.ports import (
    Checked,
    Clock,
    CopySource,
    Piece,
    StoredObject,
    TargetStorage,
)
from tests.servers.stores import AZURE_ACCOUNT, AZURE_KEY, S3, S3_KEY, S3_SECRET, Azure, Gcs, Hdfs

MIB = 1 << 20
SIZES = Sizes(part_bytes=5 * MIB, parts_in_flight_max=3)
PlaceBehind = Callable[[Location, Mapping[str, bytes]], Awaitable[None]]
_numbers = count(1)


class CountingPace(Pace):
    """Counts what it is asked for and holds up nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = self.bytes = 0

    async def request(self) -> None:
        self.requests += 1
        await super().request()

    async def transfer(self, size_bytes: int) -> None:
        self.bytes += size_bytes
        await super().transfer(size_bytes)


@dataclass(frozen=True)
class Store:
    storage: TargetStorage
    put_behind: PlaceBehind
    """Write as somebody else would: a Druid, or a disk that rots."""
    heals: bool
    """Whether what rotted is put again; nobody can rewrite an object in a bucket by accident."""


class Origin:
    """A storage with these files at each of its places."""

    def __init__(
        self, files: Mapping[str, bytes], *, failure: ReplicatorError | None = None
    ) -> None:
        self.files, self.failure = dict(files), failure
        self.reads = 0

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        del location, ahead
        return [
            StoredObject(name=name, size_bytes=len(data), tag="1")
            for name, data in sorted(self.files.items())
        ]

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        self.reads += 1
        data = self.files.get(stored.name)
        if data is None:
            raise MissingObjectError(f"{location}{stored.name} is not there")
        data = data[start:end]
        half = len(data) // 2
        yield data[:half]
        if self.failure is not None:
            raise self.failure
        yield data[half:]

    async def check(self, _: Location) -> tuple[Checked, ...]:
        return checked(self.files)

    async def copy_source(self, place: Location) -> CopySource:
        objects = tuple(await self.objects(place))
        return CopySource(reader=self, location=place, objects=objects)


def checked(files: Mapping[str, bytes]) -> tuple[Checked, ...]:
    return tuple(
        Checked(name=name, size_bytes=len(data), sha256=sha256(data).hexdigest())
        for name, data in sorted(files.items())
    )


def fresh(word: str = "druid") -> str:
    """Return a name for a bucket of a test's own."""
    return f"{word}-{next(_numbers)}"


@asynccontextmanager
async def memory(_: Path, __: pytest.FixtureRequest) -> AsyncIterator[Store]:
    storage = MemoryDeepStorage(SystemClock())

    async def put_behind(location: Location, files: Mapping[str, bytes]) -> None:
        storage.stored[location] = dict(files)

    yield Store(storage, put_behind, heals=True)


@asynccontextmanager
async def local(folder: Path, _: pytest.FixtureRequest) -> AsyncIterator[Store]:
    root = folder / "storage"
    root.mkdir()

    async def put_behind(location: Location, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            path = root / location / name if name else root / location
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    async with LocalDeepStorage(root) as storage:
        yield Store(storage, put_behind, heals=True)


@asynccontextmanager
async def sealed(folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with local(folder, request) as store:
        keys = Ed25519Keys(Ed25519PrivateKey.generate(), [])
        rule = Signatures(keys, accept_unsigned=False, warn=lambda _: None)
        yield replace(store, storage=SealedStorage(store.storage, rule))


@asynccontextmanager
async def s3(_: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    server: S3 = request.getfixturevalue("s3")
    bucket = fresh()
    server.bucket(bucket)
    async with s3_storage(server, bucket) as storage:
        yield _object_store(storage)


def s3_storage(
    server: S3 | SimpleNamespace, bucket: str, *, prefix: str = "druid/segments"
) -> S3Storage:
    return S3Storage(
        s3_address(server.url, bucket, prefix=prefix),
        pace=CountingPace(),
        in_flight=InFlight(64 * MIB),
        sizes=SIZES,
        clock=SystemClock(),
    )


def s3_address(
    url: str, bucket: str, *, prefix: str = "druid/segments", secret: str = S3_SECRET
) -> S3Address:
    return S3Address(
        bucket=bucket,
        prefix=prefix,
        endpoint_url=url,
        region="us-east-1",
        path_style=True,
        access_key_id=S3_KEY,
        secret_access_key=secret,
        request_timeout_s=20.0,
    )


@asynccontextmanager
async def google(_: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    server: Gcs = request.getfixturevalue("gcs")
    bucket = fresh()
    server.bucket(bucket)
    async with google_target(server.url, bucket) as storage:
        yield _object_store(storage)


@asynccontextmanager
async def azure(_: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    server: Azure = request.getfixturevalue("azure")
    container = fresh()
    server.container(container)
    async with azure_target(server.url, container) as storage:
        yield _object_store(storage)


@asynccontextmanager
async def hdfs(_: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    server: Hdfs = request.getfixturevalue("hdfs")
    root = f"/{fresh()}/segments"
    server.folder(root)
    address = HdfsAddress(urls=(server.url,), root=root, user=server.user)
    async with hdfs_target(address) as storage:
        yield _object_store(storage)


def hdfs_target(address: HdfsAddress, clock: Clock | None = None) -> ObjectStorage:
    return hdfs_storage(
        address,
        pace=CountingPace(),
        in_flight=InFlight(64 * MIB),
        sizes=SIZES,
        clock=clock or SystemClock(),
    )


def google_target(url: str, bucket: str) -> ObjectStorage:
    address = GoogleAddress(
        bucket=bucket, prefix="druid/segments", endpoint_url=url, anonymous=True
    )
    return google_storage(address, pace=CountingPace(), in_flight=InFlight(64 * MIB), sizes=SIZES)


def azure_target(url: str, container: str) -> ObjectStorage:
    address = AzureAddress(
        account=AZURE_ACCOUNT,
        container=container,
        prefix="druid/segments",
        endpoint_url=url,
        account_key=AZURE_KEY,
    )
    return azure_storage(address, pace=CountingPace(), in_flight=InFlight(64 * MIB), sizes=SIZES)


def _object_store(storage: ObjectStorage) -> Store:
    async def put_behind(location: Location, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            await storage.bucket.replace(storage.key(location) + name, data)

    return Store(storage, put_behind, heals=False)


ALL = {
    "memory": memory, "local": local, "sealed": sealed,
    "s3": s3, "google": google, "azure": azure, "hdfs": hdfs,
}  # fmt: skip
IN_BUCKETS = {name: ALL[name] for name in ("s3", "google", "azure", "hdfs")}
ALIKE = {"google", "azure"}
"""Buckets to which S3 is enough in the gate: all three carry receipts in metadata, HDFS not."""
IN_GATE = {"s3": {2}, "google": {1}, "azure": {0}, "hdfs": {0}}
"""Which of the places of `cells` the gate has of a bucket."""


def without_those_alike(stores: Iterable[str]) -> list[Any]:
    """Return storages for what one class does over the calls of all buckets alike."""
    return [
        pytest.param(store, marks=[pytest.mark.long] if store in ALIKE else []) for store in stores
    ]


def cells(stores: Iterable[str], folder: Location, small: Location, large: Location) -> list[Any]:
    """Return every pair of a storage and a place; of the buckets' most are for the long run.

    What is done to a place in a bucket is one class over the calls of all four.
    """
    return [
        pytest.param(
            store,
            place,
            id=f"{store}-{('folder', 'small', 'large')[number]}",
            marks=[] if number in IN_GATE.get(store, {0, 1, 2}) else [pytest.mark.long],
        )
        for store in stores
        for number, place in enumerate((folder, small, large))
    ]
