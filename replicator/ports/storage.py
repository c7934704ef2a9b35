"""Druid's deep storage: the bytes of segments."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

from replicator.model.document import Natural, RelativeName
from replicator.model.load_spec import Location
from replicator.ports.area import Area


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """One thing that counts for a storage, whoever said it; never a secret."""

    name: str
    value: str
    origin: str
    """`configuration`, `default`, a profile, or a variable of the environment."""

    @classmethod
    def proxied(cls, proxy_url: str | None) -> "Effective":
        """Return through which proxy it is asked, without the proxy's login."""
        if proxy_url is None:
            return cls(name="proxy", value="none", origin="default")
        scheme, _, place = proxy_url.partition("://")
        shown = f"{scheme}://{place.rpartition('@')[2]}"
        return cls(name="proxy", value=shown, origin="environment")


@runtime_checkable
class TellsEffective(Protocol):
    """A storage that can say what counts for it."""

    async def effective(self) -> Sequence[Effective]:
        """Return what counts, and from where each came.

        Raises:
            ConfigError: there are no credentials.
            TransientError: who gives them cannot be reached.
        """
        ...


@runtime_checkable
class TriesReading(Protocol):
    """A storage of which more can be denied than the bytes of one object."""

    async def try_reading(self) -> None:
        """Look for what is not there and list what is there, where reading one object shows less.

        Raises:
            ConfigError: it is denied.
            TransientError: the storage cannot be reached.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class StoredObject:
    """One object of a segment, as its storage lists it."""

    name: RelativeName
    """Relative to the segment's location, '' when the location is the object."""
    size_bytes: Natural
    tag: str
    """Changes when the object is written again (local: mtime; object stores: ETag)."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Checked:
    """One object whose bytes were read whole."""

    name: RelativeName
    size_bytes: Natural
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was stored at a location, and what the source's objects were then."""

    objects: tuple[Checked, ...]
    """Sorted by name."""
    copied_from: tuple[StoredObject, ...]
    """Sorted by name."""
    packed: tuple[Checked, ...] = ()
    """The files that were packed into the one object, sorted by name; none: it is a plain copy."""
    stored_at: datetime | None = field(default=None, compare=False)
    """When that was, by the storage's own clock, UTC; None: it does not say."""

    @property
    def source_objects(self) -> tuple[Checked, ...]:
        """What the bytes were where they came from."""
        return self.packed or self.objects

    def confirmed(self, truth: "Receipt | None") -> "Receipt | None":
        """Return what to keep of an older receipt once these bytes were stored in its place.

        None: they are other bytes than it says.
        """
        if truth is None or self.objects == truth.objects:
            return truth or self
        same = (
            self.source_objects == truth.source_objects
        )  # packed again: equal files, perhaps in another zip
        return replace(self, copied_from=truth.copied_from) if same else None


Piece: TypeAlias = bytes | memoryview
"""Bytes on their way, as a client library gave them: to copy them costs as much as to hash them."""


class DeepStorageReader(Protocol):
    """Read side of a deep storage; a source's storage is handed over as this."""

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        """Return the objects at a location, sorted by name, at least one.

        With `ahead` the caller reads all of it next: a small object may be fetched along.

        Raises:
            MissingObjectError: there are none, and the storage itself is there.
            TransientError: the storage cannot be reached (a mount that is gone, a server down).
            ConfigError: access is denied; the message says to what.
        """
        ...

    def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield an object's bytes from `start` up to `end` (excluded), in pieces of bounded size.

        Raises:
            MissingObjectError: it is gone, also while it is read.
            TransientError: as for `objects`; or the object was written again since it was listed.
        """
        ...

    async def check(self, location: Location) -> tuple[Checked, ...]:
        """Read all bytes at a location again and return their checksums, sorted by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """The bytes of one place on their way from one storage to another."""

    reader: DeepStorageReader
    """The storage that holds the bytes."""
    location: Location
    """Location of the bytes in that storage."""
    objects: tuple[StoredObject, ...]
    """What is there, sorted by name."""

    @property
    def size_bytes(self) -> int:
        """All of it together."""
        return sum(stored.size_bytes for stored in self.objects)

    def read(
        self, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield the bytes of one of the objects, as the origin's `read` does."""
        return self.reader.read(self.location, stored, start=start, end=end)


class DeepStorage(DeepStorageReader, Protocol):
    """Write side, given only to a target's executor."""

    async def receipt(self, location: Location) -> Receipt | None:
        """Return what `put` stored here; None when nothing whole is here.

        Cheap: sizes are compared with what is stored, bytes are not read.
        """
        ...

    def copies_from(self, reader: DeepStorageReader, location: Location) -> bool:
        """Return whether the service may copy by itself what is at a place of `origin`.

        Then its bytes need not come here, and are not to be fetched ahead.
        """
        ...

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        """Store what a source has, whole or not at all, durably, and return what was stored.

        Files of a folder are packed into one object when `location` is no folder. Checksums are
        computed on the way, or by the storage itself where it copies on its own. There is a receipt
        once everything is there and survives a loss of power, and never before.

        Raises:
            CorruptionError: another number of bytes arrived than the source's objects have.
            RefusedError: other bytes are at the location, or something that is not ours.
            TransientError: the disk is full or the server refuses; nothing is visible.
        """
        ...

    async def probe(self) -> Sequence[str]:
        """Write, read back and remove a small object of our own, to prove that it can be done.

        Returns:
            What it lacks and what is done about that, a sentence each; what cannot be done without
            is an error.

        Raises:
            ConfigError: this process may not write here; the message says where.
            TransientError: as for `put`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLocation:
    """What stands at one place of a target's storage, whoever put it there."""

    location: Location
    """An object, or a folder for which there is a receipt."""
    size_bytes: int
    has_receipt: bool
    """Whether this tool stored it; `receipt` says whether all of it is still there."""
    stored_at: datetime
    """When the newest object was written, by the storage's own clock, UTC."""


Known: TypeAlias = Callable[[Location], bool]
"""Whether a place is needed; called for every place and every folder above one, must not block."""


class SegmentRemover(Protocol):
    """Takes bytes away: given only to a target's expiry and repair, to nothing that follows."""

    async def remove(self, location: Location) -> None:
        """Remove the bytes and the receipt of one place, durably; what is absent is no error.

        An object is this object only, a folder (`x/index/`) all that is below it. The receipt does
        not outlive the bytes: whenever this process dies, `receipt` gives None or what is whole,
        and calling it again finishes. Folders above that hold nothing any more may go with it.

        Raises:
            RefusedError: the place is our own area, outside of the root, an object's name that is a
                folder, or it is locked (see `extend`); nothing was removed.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def extend(self, location: Location, until: datetime) -> None:
        """Keep a place from being removed by anybody until then, where the storage has locks.

        Elsewhere nothing is done. A lock that lasts longer stays as it is. What is stored is locked
        from the beginning, for the target's `retention`.

        Raises:
            MissingObjectError: something of it is not there.
            ConfigError, TransientError: as for `put`.
        """
        ...

    def stored_locations(self, known: Known) -> AsyncIterator[Sequence[StoredLocation]]:
        """Yield what stands in the storage and is not `known`, in pages of bounded size.

        Our own areas are left out, and all that is below a folder that is known. The folder of an
        unpacked segment is one place when there is a receipt for it; everything else is a place for
        each object. In no order; what is written or removed meanwhile may be seen or not.

        Raises:
            ConfigError, TransientError: as for `objects`.
        """
        ...


class SegmentReplacer(Protocol):
    """Puts right what a place holds: given only to a target's repair."""

    async def written_receipt(self, location: Location) -> Receipt | None:
        """Return the receipt that was written for a place, whatever has become of its bytes.

        Raises:
            CorruptionError: there is one and it cannot be read.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def write_receipt(self, location: Location, receipt: Receipt) -> None:
        """Write a receipt for bytes that are there, which the caller has read and compared.

        Raises:
            MissingObjectError: something of it is not there, or has another size.
            ConfigError, TransientError: as for `put`.
        """
        ...

    async def replace(
        self, location: Location, copy_source: CopySource, truth: Receipt | None
    ) -> Receipt:
        """Store what a source has where other bytes may be, durably, and return what is kept of it.

        What is new stands whole beside the old and takes its place in one step where the storage
        can do so: local files, and objects that are stored by one request. Elsewhere the old goes
        first. With `truth` the bytes must be those of that receipt. Whenever this process dies,
        `kept` still gives `truth`, and calling it again finishes.

        Raises:
            CorruptionError: other bytes arrived; they were not left there.
            RefusedError: the place cannot hold such bytes.
            MissingObjectError: the origin has lost it meanwhile.
            ConfigError, TransientError: as for `put`.
        """
        ...


class TargetStorage(DeepStorage, SegmentRemover, SegmentReplacer, Protocol):
    """All that a target's storage can do; each service is given the part that it needs."""

    def area(self) -> Area:
        """Return where our own files are kept beside the bytes."""
        ...
