"""Druid's deep storage: the bytes of segments."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Protocol, TypeAlias, runtime_checkable

from replicator.errors import CorruptionError, RewrittenObjectError
from replicator.model.document import Natural, RelativeName
from replicator.model.load_spec import Location
from replicator.ports.area import Area


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """One effective setting of a storage; never a secret."""

    name: str
    value: str
    origin: str
    """Source of the value: `configuration`, `default`, a profile or a variable."""

    @classmethod
    def proxied(cls, proxy_url: str | None) -> "Effective":
        """Return the proxy of a storage's requests, without the proxy's login."""
        if proxy_url is None:
            return cls(name="proxy", value="none", origin="default")
        scheme, _, place = proxy_url.partition("://")
        shown = f"{scheme}://{place.rpartition('@')[2]}"
        return cls(name="proxy", value=shown, origin="environment")


@runtime_checkable
class TellsEffective(Protocol):
    """A storage that can name its effective settings."""

    async def effective(self) -> Sequence[Effective]:
        """Return the effective settings, and where each comes from.

        Raises:
            ConfigError: there are no credentials.
            TransientError: the service that issues credentials cannot be reached.
        """
        ...


@runtime_checkable
class LeadsOn(Protocol):
    """A storage before another one, which has the bytes: its service may copy them by itself."""

    def at(self, location: Location) -> "tuple[DeepStorageReader, Location]":
        """Return the storage that has the bytes of a location, and the location there."""
        ...


@runtime_checkable
class TriesReading(Protocol):
    """A storage that can deny more than the bytes of one object."""

    async def try_reading(self) -> None:
        """Read a missing object and list the storage, as far as reading one object proves less.

        Raises:
            ConfigError: access is denied.
            TransientError: the storage cannot be reached.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class StoredObject:
    """One object of a segment, as its storage lists it."""

    name: RelativeName
    """Name relative to the segment's location; '' if the location is the object."""
    size_bytes: Natural
    tag: str
    """Tag that changes when the object is written again (local: mtime; object stores: ETag)."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Checked:
    """One object whose bytes were all read."""

    name: RelativeName
    size_bytes: Natural
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The objects stored at a location, and the source's objects at that time."""

    objects: tuple[Checked, ...]
    """Objects at the location, sorted by name."""
    copied_from: tuple[StoredObject, ...]
    """The source's objects, sorted by name."""
    packed: tuple[Checked, ...] = ()
    """Files that were packed into the one object, sorted by name; empty for a plain copy."""
    stored_at: datetime | None = field(default=None, compare=False)
    """Time of storing by the storage's clock, UTC; None: it does not report that."""

    @property
    def source_objects(self) -> tuple[Checked, ...]:
        """Checksums of the bytes at their source."""
        return self.packed or self.objects

    def confirmed(self, truth: "Receipt | None") -> "Receipt | None":
        """Return what to keep of an older receipt once these bytes were stored at its location.

        Returns None if the older receipt is for other bytes.
        """
        if truth is None or self.objects == truth.objects:
            return truth or self
        same = (
            self.source_objects == truth.source_objects
        )  # packed again: equal files, perhaps in another zip
        return replace(self, copied_from=truth.copied_from) if same else None


Piece: TypeAlias = bytes | memoryview
"""Bytes in transit, as the client library returned them: a copy would cost as much as hashing."""


class DeepStorageReader(Protocol):
    """Read side of a deep storage; a source's storage is handed over as this."""

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        """Return the objects at a location, sorted by name, at least one.

        With `ahead` the caller reads all of it next: a small object may be fetched along.

        Raises:
            MissingObjectError: there are none, and the storage itself is there.
            TransientError: the storage cannot be reached (a mount that is gone, a server down).
            ConfigError: access is denied; the message names the object.
        """
        ...

    def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield an object's bytes from `start` up to `end` (excluded), in pieces of bounded size.

        Raises:
            MissingObjectError: the object is gone, possibly while it was read.
            RewrittenObjectError: the object was written again since it was listed.
            TransientError: as for `objects`.
        """
        ...

    async def check(self, location: Location) -> tuple[Checked, ...]:
        """Read all bytes at a location again and return their checksums, sorted by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """The bytes of one location on their way from one storage to another."""

    reader: DeepStorageReader
    """The storage that holds the bytes."""
    location: Location
    """Location of the bytes in that storage."""
    objects: tuple[StoredObject, ...]
    """Objects at the location, sorted by name."""
    expected: tuple[Checked, ...] = ()
    """The objects' expected checksums, if known; empty: any bytes."""

    @property
    def size_bytes(self) -> int:
        """Size of all objects together."""
        return sum(stored.size_bytes for stored in self.objects)

    def read(
        self, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield the bytes of one of the objects, as the reader's `read` does.

        Raises:
            RewrittenObjectError: more bytes come than were listed: an object that grows while it is
                read could fill the target's disk.
            CorruptionError: after the last byte of a whole object, which is not as expected.
        """
        size_bytes = (stored.size_bytes if end is None else end) - start
        pieces = self._at_most(
            stored, size_bytes, self.reader.read(self.location, stored, start=start, end=end)
        )
        is_whole = start == 0 and end is None
        return self._proved(stored, pieces) if self.expected and is_whole else pieces

    def require(self, found: Checked) -> None:
        """Refuse an object that is not as expected.

        Raises:
            CorruptionError: it has other bytes, or is not expected at all.
        """
        if self.expected and found not in self.expected:
            raise CorruptionError(
                f"{self.location}{found.name} has other bytes than its receipt says; nothing was"
                " stored",
                hint=f"take {self.location} from a copy of the store that it is in",
            )

    async def _at_most(
        self, stored: StoredObject, size_bytes: int, pieces: AsyncIterator[Piece]
    ) -> AsyncIterator[Piece]:
        async for piece in pieces:
            size_bytes -= len(piece)
            if size_bytes < 0:
                raise RewrittenObjectError(
                    f"{self.location}{stored.name} has more bytes than it was listed with",
                    hint="it is listed and read again",
                )
            yield piece

    async def _proved(
        self, stored: StoredObject, pieces: AsyncIterator[Piece]
    ) -> AsyncIterator[Piece]:
        digest, size_bytes = sha256(), 0
        async for piece in pieces:
            digest.update(piece)
            size_bytes += len(piece)
            yield piece
        found = Checked(name=stored.name, size_bytes=size_bytes, sha256=digest.hexdigest())
        self.require(found)


class DeepStorage(DeepStorageReader, Protocol):
    """Write side, given only to a target's executor."""

    async def receipt(self, location: Location) -> Receipt | None:
        """Return the receipt of what `put` stored here; None if nothing whole is here.

        This is cheap: sizes are compared with the storage's, bytes are not read.
        """
        ...

    def copies_from(self, reader: DeepStorageReader, location: Location) -> bool:
        """Return whether the service can copy a location of `reader` by itself.

        The bytes of such a copy do not pass through this process and need not be fetched ahead.
        """
        ...

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        """Store a source's objects, whole or not at all, durably, and return the receipt.

        Files of a folder are packed into one object if `location` is no folder. Checksums are
        computed on the way, or by the storage itself where it copies by itself. The receipt is
        written once everything is stored and survives a loss of power, and never before.

        Raises:
            CorruptionError: another number of bytes arrived than the source's objects have.
            RefusedError: other bytes are at the location, or another program's files.
            TransientError: the disk is full or the server refuses; nothing is visible.
        """
        ...

    async def probe(self) -> Sequence[str]:
        """Write, read back and remove a small object, to prove that this works.

        Returns:
            What it lacks and what is done about that, a sentence each; what cannot be done without
            is an error.

        Raises:
            ConfigError: this process may not write here; the message names the place.
            TransientError: as for `put`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLocation:
    """An object or folder in a target's storage."""

    location: Location
    """Location of an object, or of a folder with a receipt."""
    size_bytes: int
    has_receipt: bool
    """Whether the replicator stored it; `receipt` shows whether it is still complete."""
    stored_at: datetime
    """When the newest object was written, by the storage's clock, UTC."""


Known: TypeAlias = Callable[[Location], bool]
"""Whether a location is needed; called for each location and each folder above; must not block."""


class SegmentRemover(Protocol):
    """Deletes bytes: given only to a target's expiry and repair, never to the applier."""

    async def remove(self, location: Location) -> None:
        """Delete the bytes and the receipt of one location, durably; a missing one is no error.

        Only the objects that the location's receipt names are deleted: of a folder
        (`x/index/`) the files directly in it, never what lies deeper. Without a receipt nothing
        is: a row of the source can name any place. The receipt goes after the bytes: whenever this
        process dies, `receipt` returns None or what is whole, and a repeated call finishes. Empty
        folders above may be deleted too.

        Raises:
            LockedError: it is locked (see `extend`); nothing was deleted.
            RefusedError: nothing of ours can be there: the location is our own area, outside the
                root, or an object's name that is a folder; or the receipt of a folder cannot be
                read; nothing was deleted.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def extend(self, location: Location, until: datetime) -> None:
        """Protect a location from deletion until a time, if the storage has locks.

        Without locks nothing is done. A longer lock stays as it is. Stored objects are locked from
        the start, for the target's `retention`.

        Raises:
            MissingObjectError: an object of the location is missing.
            ConfigError, TransientError: as for `put`.
        """
        ...

    def stored_locations(self, known: Known) -> AsyncIterator[Sequence[StoredLocation]]:
        """Yield what is in the storage and not `known`, in pages of bounded size.

        The replicator's areas are excluded, and everything below a known folder. The folder of an
        unpacked segment is one location if it has a receipt; otherwise each object is a location.
        The order is undefined; what is written or deleted meanwhile may be seen or not.

        Raises:
            ConfigError, TransientError: as for `objects`.
        """
        ...


class SegmentReplacer(Protocol):
    """Replaces damaged bytes at a location: given only to a target's repair."""

    async def written_receipt(self, location: Location) -> Receipt | None:
        """Return the receipt that was written for a location, whatever has become of its bytes.

        Raises:
            CorruptionError: the receipt cannot be read.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def write_receipt(self, location: Location, receipt: Receipt) -> None:
        """Write a receipt for bytes that the caller has read and compared.

        Raises:
            MissingObjectError: an object is missing, or has another size.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def replace(
        self, location: Location, copy_source: CopySource, truth: Receipt | None
    ) -> Receipt:
        """Store a source's objects where other bytes may be, durably, and return the receipt.

        The new bytes are stored beside the old ones and replace them in one step where the storage
        can do so: local files, and objects that are stored by one request. Elsewhere the old bytes
        are deleted first. With `truth` the bytes must be those of that receipt. Whenever this
        process dies, `written_receipt` still returns `truth`, and a repeated call finishes.

        Raises:
            CorruptionError: other bytes arrived; they were not left there.
            RefusedError: the location cannot hold such bytes.
            MissingObjectError: the source has lost the object meanwhile.
            ConfigError, TransientError: as for `put`.
        """
        ...


class SealableStorage(Protocol):
    """A storage whose locations have seals."""

    async def seal(self, location: Location) -> bool:
        """Seal the contents of a location's receipt; return whether it had no seal.

        Raises:
            CorruptionError: the location has a seal of something else, or an altered one.
            ConfigError: this machine has no private key for the target.
            TransientError: the storage is unreachable.
        """
        ...

    def stored_locations(self, known: Known) -> AsyncIterator[Sequence[StoredLocation]]:
        """Yield what is in the storage, as `SegmentRemover.stored_locations` does."""
        ...


class TargetStorage(DeepStorage, SegmentRemover, SegmentReplacer, Protocol):
    """Everything that a target's storage can do; each service is given the part that it needs."""

    def area(self) -> Area:
        """Return the replicator's own files beside the bytes."""
        ...
