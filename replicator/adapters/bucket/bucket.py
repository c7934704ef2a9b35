"""What a deep storage needs of a bucket, a container or a file system with objects by keys."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from replicator.errors import ConfigError, TransientError, UnreadableObjectError
from replicator.ports import Piece

MIB = 1 << 20
PAGE_OBJECTS_MAX = 1000
"""Number of objects that S3 and Google list per request."""
LISTED_MAX, PAGES_MAX = 1_000_000, 100_000
"""Objects of one folder that are in memory at once, and answers that it takes to list them."""
ARCHIVED_HINT = (
    "bring the object back from its archive tier (S3: RestoreObject, Azure: rehydrate), and leave"
    " what Druid still uses out of the lifecycle rule that moved it"
)


class DeniedKeyError(ConfigError):
    """The server denied a request for a key: it may deny all keys, or only this one."""


class RejectedKeyError(TransientError):
    """The server rejected a request for a key: it may reject all such keys, or only this one."""


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
    """An object whose bytes may be on their way already."""

    stat: Stat
    rest: Callable[[], Awaitable[Piece]] | None
    """Returns all bytes, once; None: they take a request of their own."""


class Writer(Protocol):
    """Writes one object in pieces, in order; it is invisible before `complete`."""

    async def write(self, data: Piece) -> None:
        """Add bytes at the end."""
        ...

    async def complete(self) -> None:
        """Make it visible.

        Raises:
            FileExistsError: an object has appeared meanwhile; it was not changed.
        """
        ...

    async def abort(self) -> None:
        """Remove what was sent, if the service does not do that by itself."""
        ...


class Bucket(Protocol):
    """Objects by their keys. Every call raises TransientError and ConfigError, as ports do."""

    @property
    def name(self) -> str:
        """Name in messages, such as `s3://bucket`."""
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
            RewrittenObjectError: it was written again since it was listed.
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
    """Return all files below a folder of few, sorted by key.

    Raises:
        UnreadableObjectError: there are too many, or the listing does not end.
    """
    found, pages = list[Listed](), 0
    async for page in files(bucket.pages(prefix), prefix):
        found += page
        pages += 1
        if len(found) > LISTED_MAX or pages > PAGES_MAX:
            raise UnreadableObjectError(
                f"{bucket.name}: the listing of {prefix or 'it'} has no end: {len(found)} objects"
                f" in {pages} answers",
                hint="no folder of a segment or of ours holds so many: look at what is there, and"
                " at the server",
            )
    folders = {key[:at] for key in (one.key for one in found) for at in _slashes(key)}
    # An object of no bytes under a folder's name is the folder's marker, of a console or a gateway.
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
