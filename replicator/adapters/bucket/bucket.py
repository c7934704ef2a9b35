"""What a deep storage needs of a bucket, a container or a file system that has objects by keys."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from replicator.errors import ConfigError, TransientError
from replicator.ports import Piece

MIB = 1 << 20
PAGE_OBJECTS_MAX = 1000
"""Number of objects that S3 and Google list by one request."""
ARCHIVED_HINT = (
    "bring the object back from its archive tier (S3: RestoreObject, Azure: rehydrate), and leave"
    " what Druid still uses out of the lifecycle rule that moved it"
)


class DeniedKeyError(ConfigError):
    """The server denied a request about a key: it may deny all, or this one."""


class RejectedKeyError(TransientError):
    """The server found fault with a request about a key: with all such, or with this key's."""


OF_ONE_PERHAPS = (DeniedKeyError, RejectedKeyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One object of a bucket."""

    key: str
    size_bytes: int
    tag: str
    stored_at: datetime
    """Time at which the object was written, by the server's clock, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat(Listed):
    """One object with its metadata."""

    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """An object whose bytes may be on their way."""

    stat: Stat
    rest: Callable[[], Awaitable[Piece]] | None
    """Gives all bytes, once; None when they have to be asked for."""


class Writer(Protocol):
    """Writes one object in pieces, in their order; nothing is there before `complete`."""

    async def write(self, data: Piece) -> None:
        """Add bytes at the end."""
        ...

    async def complete(self) -> None:
        """Make it visible.

        Raises:
            FileExistsError: there is an object meanwhile; it was not changed.
        """
        ...

    async def abort(self) -> None:
        """Leave nothing behind, where the service does not forget by itself."""
        ...


class Bucket(Protocol):
    """Objects by their keys. Every call raises TransientError and ConfigError as a port does."""

    @property
    def name(self) -> str:
        """For messages, like `s3://bucket`."""
        ...

    @property
    def keeps_metadata(self) -> bool:
        """Whether `create` can store texts with an object."""
        ...

    async def stat(self, key: str) -> Stat | None:
        """Return an object's size, tag and metadata, None when there is none."""
        ...

    async def begin(self, key: str) -> Begun | None:
        """Return an object as `stat` does, its bytes on their way where that is one request."""
        ...

    def pages(
        self, prefix: str, *, page_objects_max: int = PAGE_OBJECTS_MAX
    ) -> AsyncIterator[Sequence[Listed]]:
        """Yield the objects below a folder, '' for all, a page for each request.

        Those below one folder follow each other. An object whose key is the folder's is not below.
        """
        ...

    def read(
        self, key: str, *, tag: str, start: int, end: int, piece_bytes: int
    ) -> AsyncIterator[Piece]:
        """Yield a range of an object that still has this tag.

        Raises:
            MissingObjectError: it is gone.
            TransientError: it was written again since it was listed.
        """
        ...

    async def create(
        self,
        key: str,
        data: Piece,
        metadata: Mapping[str, str] | None = None,
        *,
        retained: bool = True,
    ) -> bool:
        """Store an object; return False, and change nothing, when there is one.

        Where the bucket locks objects, this one is locked if it is `retained`.
        """
        ...

    async def replace(self, key: str, data: Piece, *, retained: bool = False) -> None:
        """Store an object of our own, whatever was there; locked as by `create`."""
        ...

    async def writer(self, key: str, *, part_bytes: int) -> Writer:
        """Return what writes a large object."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; it may be gone."""
        ...

    async def clear(self, key: str) -> None:
        """Leave no object at a key; where older versions are kept, they stay."""
        ...

    async def extend(self, key: str, until: datetime) -> bool:
        """Lock an object until then, where the bucket has locks; False: there is no object."""
        ...


async def listed(bucket: Bucket, prefix: str) -> list[Listed]:
    """Return all files below a folder of few, sorted by key."""
    found = [one async for page in files(bucket.pages(prefix), prefix) for one in page]
    folders = {key[:at] for key in (one.key for one in found) for at in _slashes(key)}
    real = [one for one in found if one.size_bytes or one.key not in folders]
    return sorted(real, key=lambda one: one.key)


async def segment_files(bucket: Bucket, key: str) -> list[Listed]:
    """Return the files directly in a folder, sorted: those are a segment's, and Druid reads those.

    What lies deeper is at other locations, which a row of the source may have named.
    """
    return [one for one in await listed(bucket, key) if "/" not in one.key[len(key) :]]


async def files(
    pages: AsyncIterator[Sequence[Listed]], prefix: str
) -> AsyncIterator[Sequence[Listed]]:
    """Yield the objects of a listing that are no folder.

    Consoles, file system gateways and accounts with a hierarchical namespace list folders as
    objects of no bytes: by the folder's name, with a slash (which obstore drops), or with Hadoop's
    ending (S3Utils.isDirectoryPlaceholder). What no other object lies below can be a file.
    """
    held: Listed | None = None
    async for page in pages:
        found = list[Listed]()
        for one in page:
            if held is not None and not one.key.startswith(f"{held.key}/"):
                found.append(held)
            held = None
            if one.size_bytes:
                found.append(one)
            elif not _names_folder(one.key, prefix):
                held = one
        yield found
    if held is not None:
        yield [held]


def _names_folder(key: str, prefix: str) -> bool:
    return key.endswith(("/", "_$folder$")) or key == prefix.rstrip("/")


def _slashes(key: str) -> list[int]:
    return [at for at, one in enumerate(key) if one == "/"]
