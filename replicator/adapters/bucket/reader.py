"""Reads a deep storage in a bucket of any service."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from secrets import token_hex

from replicator.adapters.bucket.bucket import (
    MIB,
    OF_ONE_PERHAPS,
    Begun,
    Bucket,
    Listed,
    RejectedKeyError,
    segment_files,
)
from replicator.adapters.transfer.hashing import Sha256
from replicator.errors import (
    ConfigError,
    CorruptionError,
    DeniedObjectError,
    GapError,
    MissingObjectError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.load_spec import Location, key_prefix
from replicator.ports import AREAS, OWN_AREA, Checked, Effective, Piece, StoredObject

AHEAD_OBJECTS_MAX = 1024
"""Number of objects that are opened ahead: as many as can be copied at once."""
LOOKS_OF_PAGE, LOOKS_MAX, PAGES_LOOKED_AT = 4, 16, 20
"""Number of objects tried and pages listed to tell one bad object from a bad storage."""


class ObjectStorageReader:
    """A `DeepStorageReader` of a bucket below a prefix; it has no method that writes.

    Args:
        bucket: The bucket.
        prefix: Beginning of all keys of this cluster, '' for the whole bucket; exactly as Druid
            has it, so slashes before and in it are parts of the keys.
        piece_bytes: Number of bytes that are read at once.
        close: Closes the connections.
        effective: Returns the settings in force, and where each comes from.
    """

    def __init__(
        self,
        bucket: Bucket,
        prefix: str,
        *,
        piece_bytes: int = 8 * MIB,
        close: Callable[[], Awaitable[None]] | None = None,
        effective: Callable[[], Awaitable[Sequence[Effective]]] | None = None,
    ) -> None:
        self._effective = effective
        self._bucket, self._prefix = bucket, key_prefix(prefix)
        self._piece_bytes, self._close = piece_bytes, close
        self._ahead: dict[Location, Begun] = {}
        self._read_last = ""

    async def close(self) -> None:
        """Give up connections."""
        if self._close is not None:
            await self._close()

    async def effective(self) -> Sequence[Effective]:
        return () if self._effective is None else await self._effective()

    async def try_reading(self) -> None:
        await self._require_absent(self._below(f"{OWN_AREA}/probe-{token_hex(8)}"))
        async for _ in self._bucket.pages(self._prefix, page_objects_max=1):
            return

    @property
    def bucket(self) -> Bucket:
        """The bucket that it reads."""
        return self._bucket

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        key = self.key(location)
        try:
            found = await self._found(location, key, ahead=ahead)
        except OF_ONE_PERHAPS as exc:
            await self._refuse_one(key, exc)
            raise
        if not found:
            await self._require_any()
            raise MissingObjectError(f"{key} is not in {self._bucket.name}")
        return [stored_object(one, key) for one in found]

    async def _found(self, location: Location, key: str, *, ahead: bool) -> Sequence[Listed]:
        if location.endswith("/"):
            return await segment_files(self._bucket, key)
        if ahead:
            return await self._begun(location, key)
        stat = await self._bucket.stat(key)
        return [] if stat is None else [stat]

    async def _begun(self, location: Location, key: str) -> Sequence[Listed]:
        """Look at an object by the request that also reads it, if it is small."""
        if (begun := await self._bucket.begin(key)) is None:
            return []
        if begun.rest is not None and begun.stat.size_bytes <= self._piece_bytes:
            # Those that were opened and never read, as their copy failed elsewhere, must not pile
            # up.
            if len(self._ahead) >= AHEAD_OBJECTS_MAX:
                self._ahead.clear()
            self._ahead[location] = begun
        return [begun.stat]

    def forget(self, location: Location) -> None:
        """Drop the bytes of an object that is not read after all."""
        self._ahead.pop(location, None)

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        end = stored.size_bytes if end is None else end
        begun, key = self._ahead.pop(location, None), self.key(location) + stored.name
        if begun is not None and begun.rest is not None and begun.stat.tag == stored.tag:
            yield (await begun.rest())[start:end]
            self._read_last = key
            return
        pieces = self._bucket.read(
            key, tag=stored.tag, start=start, end=end, piece_bytes=self._piece_bytes
        )
        try:
            async for piece in pieces:
                yield piece
        except OF_ONE_PERHAPS as exc:
            await self._refuse_one(key, exc)
            raise
        self._read_last = key

    async def check(self, location: Location) -> tuple[Checked, ...]:
        return tuple([await self._check(location, one) for one in await self.objects(location)])

    async def _check(self, location: Location, stored: StoredObject) -> Checked:
        checksum = Sha256()
        async for piece in self.read(location, stored):
            await checksum.add(piece)
        return Checked(
            name=stored.name, size_bytes=checksum.size_bytes, sha256=checksum.hexdigest()
        )

    def key(self, location: Location) -> str:
        """Return the key of a location.

        Raises:
            RefusedError: it is not below the prefix, or it is in the replicator's own area.
        """
        names = location.split("/")
        if not any(names) or not {".", ".."}.isdisjoint(names) or names[0] in AREAS:
            raise RefusedError(f"{location!r} is not a place in {self._bucket.name}/{self._prefix}")
        return self._below(location)

    async def _refuse_one(self, key: str, exc: ReplicatorError) -> None:
        """Raise a DeniedObjectError if another object can be read: then only this one is denied."""
        async for other in self._others(key):
            if await self._can_read(other):
                raise DeniedObjectError(
                    f"{exc} (others can be read)",
                    hint="let the credentials read this object too: its own owner, access list or"
                    " encryption key says who may",
                ) from exc

    async def _others(self, key: str) -> AsyncIterator[str]:
        """Yield a few other keys: the one read last, and some from all over the listing."""
        if self._read_last not in {"", key}:
            yield self._read_last
        pages, looks = 0, 0
        try:
            async for page in self._bucket.pages(self._prefix):
                others = [one.key for one in page if one.size_bytes and one.key != key]
                for other in others[:: max(1, len(others) // LOOKS_OF_PAGE)][:LOOKS_OF_PAGE]:
                    yield other
                    looks += 1
                pages += 1
                if pages >= PAGES_LOOKED_AT or looks >= LOOKS_MAX:
                    return
        except (ConfigError, RejectedKeyError):
            return  # a denied listing says nothing about what may be read

    async def _can_read(self, key: str) -> bool:
        try:
            if (stat := await self._bucket.stat(key)) is None:
                return False
            read = self._bucket.read(key, tag=stat.tag, start=0, end=1, piece_bytes=1)
            return [piece async for piece in read] != []
        except (*OF_ONE_PERHAPS, GapError):
            return False

    async def _require_absent(self, key: str) -> None:
        if await self._bucket.stat(key) is not None:
            raise CorruptionError(f"{self._bucket.name}: {key} was never written")

    def _below(self, name: str) -> str:
        return self._prefix + name

    async def _require_any(self) -> None:
        """Refuse an empty prefix: a wrong one must never look like killed segments."""
        async for page in self._bucket.pages(self._prefix, page_objects_max=1):
            if page:
                return
        raise TransientError(
            f"{self._bucket.name} holds nothing below {self._prefix or 'its root'}",
            hint="correct bucket and prefix; if it really holds no segment any more, put any"
            " object below the prefix",
        )


def stored_object(one: Listed, key: str) -> StoredObject:
    """Return an object as listed, with its name below a location's key."""
    return StoredObject(name=one.key[len(key) :], size_bytes=one.size_bytes, tag=one.tag)
