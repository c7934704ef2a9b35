"""Everything in a bucket, location by location, with one page of objects in memory at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import takewhile

from replicator.adapters.bucket.bucket import Bucket, Listed, files
from replicator.adapters.bucket.receipts import Noted, carries
from replicator.model.load_spec import Location
from replicator.ports import AREAS, Known, StoredLocation
from replicator.task_group import TaskGroup

FOLDER = "hdi_isfolder"
"""Metadata key by which Azure marks a folder in an account with a hierarchical namespace."""
LOOKS_MAX = 32
"""Objects that are looked at at once, whether they carry a receipt."""


class ObjectLocations:
    """What stands below a prefix and is not known; for one listing only."""

    def __init__(self, bucket: Bucket, prefix: str, noted: Noted, known: Known) -> None:
        """Take what is listed; `prefix` is what all keys begin with, '' for a whole bucket."""
        self._bucket, self._prefix = bucket, prefix
        self._noted, self._known = noted, known
        self._folder = ""
        self._owner: Location | None = None
        self._open: StoredLocation | None = None
        """The newest location: more objects of it may follow."""

    async def pages(self) -> AsyncIterator[Sequence[StoredLocation]]:
        """Yield the locations, about as many at once as a request lists."""
        async for page in files(self._bucket.pages(self._prefix), self._prefix):
            ended = [stored for one in page if (stored := self._ended_by(one)) is not None]
            if found := await self._looked_at(ended):
                yield found
        if self._open is not None and (found := await self._looked_at([self._open])):
            yield found

    def _ended_by(self, one: Listed) -> StoredLocation | None:
        """Take the next object; return the former location if the object is not in it."""
        if (stored := self._stored(one)) is None:
            return None
        before, self._open = self._open, stored
        if before is not None and before.location == stored.location:
            self._open = replace(
                stored,
                size_bytes=before.size_bytes + stored.size_bytes,
                stored_at=max(before.stored_at, stored.stored_at),
            )
            return None
        return before

    def _stored(self, one: Listed) -> StoredLocation | None:
        name = one.key[len(self._prefix) :]
        if name.split("/", 1)[0] in AREAS:
            return None
        location = self._owner_of(name.rpartition("/")[0]) or Location(name)
        if self._known(location):
            return None
        return StoredLocation(
            location=location,
            size_bytes=one.size_bytes,
            has_receipt=location in self._noted,
            stored_at=one.stored_at,
        )

    def _owner_of(self, folder: str) -> Location | None:
        """Return the location that all below a folder belongs to, None when there is none."""
        if folder == self._folder:
            return self._owner
        names, before = folder.split("/") if folder else [], self._folder.split("/")
        pairs = zip(names, before, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._folder = folder
        if self._owner is not None and self._owner.count("/") <= same:
            return self._owner
        # what both have in common was asked for the one before
        above = (Location("/".join(names[:n]) + "/") for n in range(same + 1, len(names) + 1))
        owners = (stored for stored in above if stored in self._noted or self._known(stored))
        self._owner = next(owners, None)
        return self._owner

    async def _looked_at(self, listed: Sequence[StoredLocation]) -> list[StoredLocation]:
        """Ask the objects that have no receipt beside them whether they carry one."""
        if not self._bucket.keeps_metadata:
            return list(listed)
        turns, found = asyncio.Semaphore(LOOKS_MAX), dict(enumerate(listed))

        async def look(number: int, stored: StoredLocation) -> None:
            async with turns:
                stat = await self._bucket.stat(self._prefix + stored.location)
            if stat is None or stat.metadata.get(FOLDER) == "true":
                del found[number]  # removed meanwhile, or never a file
            elif carries(stored.location, stat):
                found[number] = replace(stored, has_receipt=True)

        async with TaskGroup() as group:
            for number, stored in enumerate(listed):
                if not stored.has_receipt and not stored.location.endswith("/"):
                    group.create_task(look(number, stored))
        return list(found.values())
