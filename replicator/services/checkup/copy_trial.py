"""Copies an object of more than one part to a target by the real path, and removes it again.

A probe of a few bytes uses one request. A segment uses others: it is uploaded in parts with
checksums and a lock, or the service copies it by itself, tags included. A right that is missing
for one of these would first show weeks later, with the first large segment.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from random import Random

from replicator.errors import (
    CorruptionError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.load_spec import Location
from replicator.ports import (
    Checked,
    CopySource,
    DeepStorageReader,
    Piece,
    StoredObject,
    TargetStorage,
)
from replicator.services.checkup.finding import Finding, failed

FOLDER = "druid-replicator-check"
"""Folder of the copies. What a killed check leaves there is an orphan for `expire`."""
LOCKED_FOR = timedelta(seconds=30)
"""How long a storage with locks locks the copies: short, because none is kept."""
UNLOCK_MARGIN_S = 5.0
"""Seconds to wait after the end of a lock: the service's clock may be behind this one."""
SAMPLE_BYTES_MAX = 1 << 30
"""Largest object of the source that is copied; a service copies this much within seconds."""
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A segment of the source whose bytes are known to be readable."""

    location: Location
    objects: tuple[StoredObject, ...]

    @property
    def is_small(self) -> bool:
        """Whether it is one object that a check may copy."""
        return len(self.objects) == 1 and self.objects[0].size_bytes <= SAMPLE_BYTES_MAX


class MadeObject:
    """A `DeepStorageReader` of one object that is generated as it is read, in bounded memory."""

    def __init__(self, size_bytes: int, rng: Random) -> None:
        self._size_bytes, self._block = size_bytes, rng.randbytes(_BLOCK_BYTES)

    @property
    def sha256(self) -> str:
        """Checksum of the whole object."""
        whole, rest = divmod(self._size_bytes, _BLOCK_BYTES)
        found = sha256()
        for _ in range(whole):
            found.update(self._block)
        found.update(self._block[:rest])
        return found.hexdigest()

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        """Return the one object, whatever the location."""
        del location, ahead
        return (StoredObject(name="", size_bytes=self._size_bytes, tag="made"),)

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield the bytes of a range."""
        del location, stored
        end = self._size_bytes if end is None else min(end, self._size_bytes)
        while start < end:
            at = start % _BLOCK_BYTES
            piece = self._block[at : at + min(end - start, _BLOCK_BYTES - at)]
            yield piece
            start += len(piece)

    async def check(self, location: Location) -> tuple[Checked, ...]:
        """Return the checksum of the one object."""
        del location
        return (Checked(name="", size_bytes=self._size_bytes, sha256=self.sha256),)


class CopyTrial:
    """Tries everything that is done with a segment's bytes on one target.

    Args:
        name: Name of the target, for findings.
        storage: The target's storage; if it locks objects, then for `LOCKED_FOR`.
        locks: Whether it locks objects.
        part_bytes: Size above which an object is stored in parts.
        rng: Source of bytes and names.
    """

    def __init__(
        self, name: str, storage: TargetStorage, *, locks: bool, part_bytes: int, rng: Random
    ) -> None:
        self._what, self._storage, self._locks = f"target {name} copy", storage, locks
        self._made = MadeObject(part_bytes + _BLOCK_BYTES, rng)
        self._folder = f"{FOLDER}/{rng.getrandbits(64):016x}"

    async def run(self, source: DeepStorageReader, samples: Sequence[Sample]) -> list[Finding]:
        """Store, check, copy and remove an object; return what was found.

        Where the service copies from the source by itself, it copies one of the `samples`, too.
        """
        stored: list[Location] = []
        try:
            findings = await self._stored(stored)
            findings += await self._copied(self._storage, self._at("parts"), "copy", stored)
            small = (one for one in samples if one.is_small)
            sample = next((s for s in small if self._copies_from(source, s)), None)
            if sample is not None:
                findings += await self._copied(source, sample.location, "sample", stored)
        except ReplicatorError as exc:
            findings = [failed(self._what, exc)]
        finally:
            left = await self._removed(stored)
        return [*findings, *left]

    def _at(self, name: str) -> Location:
        return Location(f"{self._folder}/{name}/index.zip")

    def _copies_from(self, source: DeepStorageReader, sample: Sample) -> bool:
        return self._storage.copies_from(source, sample.location)

    async def _stored(self, stored: list[Location]) -> list[Finding]:
        """Store the made object in parts, and read all of it back."""
        location = self._at("parts")
        stored.append(location)
        objects = tuple(await self._made.objects(location))
        receipt = await self._storage.put(
            location, CopySource(reader=self._made, location=location, objects=objects)
        )
        self._require(receipt.objects, await self._made.check(location), "was stored")
        found = await self._storage.receipt(location)
        if found is None:
            raise CorruptionError(f"{location} was stored, and its receipt is not there")
        self._require(await self._storage.check(location), receipt.objects, "is read")
        size_mib = objects[0].size_bytes >> 20
        locked = f", locked for {LOCKED_FOR.total_seconds():g} s" if self._locks else ""
        detail = f"{size_mib} MiB were stored as a segment is{locked}, and read back"
        return [Finding(what=self._what, good=True, detail=detail)]

    async def _copied(
        self, reader: DeepStorageReader, sample: Location, name: str, stored: list[Location]
    ) -> list[Finding]:
        """Copy within the service, if the service can."""
        if not self._storage.copies_from(reader, sample):
            return []
        location = self._at(name)
        stored.append(location)
        objects = tuple(await reader.objects(sample))
        copied = await self._storage.put(
            location, CopySource(reader=reader, location=sample, objects=objects)
        )
        self._require(await self._storage.check(location), copied.objects, "was copied")
        whose = "from the source" if name == "sample" else "within the target"
        if self._storage.copies_from(reader, sample):
            detail = f"the service copied an object {whose} by itself"
            return [Finding(what=self._what, good=True, detail=detail)]
        return [
            Finding(
                what=self._what,
                good=True,
                note=True,
                detail=f"the service did not copy an object {whose}: bytes go through this process",
                hint="let the target's login read the copied object with its tags, and write tags"
                " (docs/storages.md), if the service should copy by itself",
            )
        ]

    def _require(self, found: Sequence[Checked], wanted: Sequence[Checked], what: str) -> None:
        if list(found) != list(wanted):
            raise CorruptionError(f"an object of {self._folder} {what} with other bytes than sent")

    async def _removed(self, stored: Sequence[Location]) -> list[Finding]:
        """Remove every probe; name those that the operator must remove."""
        if self._locks and stored:
            await asyncio.sleep(LOCKED_FOR.total_seconds() + UNLOCK_MARGIN_S)
        findings = list[Finding]()
        for location in stored:
            try:
                await self._storage.remove(location)
            except (RefusedError, TransientError) as exc:
                findings.append(self._stays(location, exc, good=True))
            except ReplicatorError as exc:
                findings.append(self._stays(location, exc, good=False))
        return findings

    def _stays(self, location: Location, exc: ReplicatorError, *, good: bool) -> Finding:
        return Finding(
            what=self._what,
            good=good,
            note=good,
            detail=f"{location} stays on the target: {exc}",
            hint="give the right to delete (docs/storages.md): expiry and repair need it, too."
            " `expire --orphans` removes it then",
        )
