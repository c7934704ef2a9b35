"""One target's store as one process reads it: its files are listed anew, and read once."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from replicator.errors import NotFoundError, worst_alone
from replicator.model.event import Offset
from replicator.model.store.archive import (
    BASES,
    HISTORY,
    MANIFEST_HEAD_BYTES_MAX,
    MANIFEST_PART_BYTES_MAX,
    UNPACKED_BYTES_MAX,
    ArchiveFile,
    Base,
    base_of,
    base_offset,
    unpack,
    unpacked_lines,
)
from replicator.ports import MANIFEST_BYTES_MAX, Area
from replicator.task_group import TaskGroup

CACHE_BYTES_MAX = 32 << 20
"""Limit for the unpacked bytes of cached files."""
KEPT_FILES = 2
"""Smallest number of files kept, however large: the current one and the previous one."""
KEPT_BASES_MAX = 1_000
"""Number of manifests that are kept."""
KEPT_PARTS_MAX = 200_000
"""Number of files that the kept manifests name in all, some 200 bytes each."""
RECORD_BYTES = 200
"""Number of bytes that a record takes in memory beside its event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of history and bases in a store, as they were at one moment."""

    history: Sequence[str]
    bases: Sequence[str]

    def logs(self) -> list[str]:
        """Return the logs that have files here."""
        return sorted({name.split("/")[1] for name in (*self.history, *self.bases)})

    def history_of(self, log_id: str) -> list[str]:
        """Return the files of a log's history."""
        prefix = f"{HISTORY}/{log_id}/"
        return [name for name in self.history if name.startswith(prefix)]

    def bases_of(self, log_id: str) -> list[str]:
        """Return all files of all bases of a log, also of those that were never finished."""
        prefix = f"{BASES}/{log_id}/"
        return [name for name in self.bases if name.startswith(prefix)]

    def offsets(self, log_id: str) -> list[Offset]:
        """Return the offsets of the cuts with a base, ascending."""
        found = [base_offset(name) for name in self.bases_of(log_id)]
        return sorted(offset for offset in found if offset is not None)


class Store:
    """One target's own files, shared by all that read its histories in one operation.

    Every list and every read is a request that costs money, so what cannot change is read
    once. Why that is safe while an expiry deletes beside it:

    - **Listings are never kept here.** A caller gets a `Listing`, a value, and hands it to all
      whose decisions must agree. What an expiry deletes follows from a look that began after its
      intent could be seen (`services/retention/retained.py`).
    - **Contents are the log's own records.** A file of history and a base are written once and
      deleted, never changed, and a process that writes one again writes the same offsets. Merging
      files (`services/store/merger.py`) writes another file with the same records. So
      what was read stays true after the file has gone; it is never taken for a sign that the file
      is there, because only names that were listed are read.
    - **A base may be split differently** when it is written again: a part counts only with the
      checksum that the manifest names, and a manifest that its parts contradict is read again.
    - **A proof of a store trusts nothing that was read before**: see `forget`.

    Holds, leases, intents, gaps and checkpoints change under the same name and are never kept.

    Args:
        area: The target's own files.
        target: Name of the target, for messages; empty: they need none.
        cache_bytes_max: Limit for unpacked files in memory; the least recently used go first.
        unpacked_bytes_max: Limit for one unpacked file; a larger one is not read.
    """

    def __init__(
        self,
        area: Area,
        *,
        target: str = "",
        cache_bytes_max: int = CACHE_BYTES_MAX,
        unpacked_bytes_max: int = UNPACKED_BYTES_MAX,
    ) -> None:
        self.area, self.target = area, target
        self._bytes_max, self._bytes = cache_bytes_max, 0
        self._unpacked_max = unpacked_bytes_max
        self._files: OrderedDict[str, tuple[ArchiveFile, int]] = OrderedDict()
        self._bases: dict[str, Base] = {}
        self._parts = 0

    async def listing(self, log_id: str | None = None) -> Listing:
        """Return the files that there are, of one log or of all: two requests, never from memory.

        History comes first: a base that it begins with was written before it.
        """
        folder = "" if log_id is None else f"{log_id}/"
        history = await self.area.names(f"{HISTORY}/{folder}")
        return Listing(history=history, bases=await self.area.names(f"{BASES}/{folder}"))

    async def base(self, name: str, *, parts_max: int) -> Base:
        """Return a base by its manifest's name.

        Args:
            name: Name of the manifest.
            parts_max: Number of files that are there beside it. A manifest whose size shows that it
                names more is not read: checking a forged one may take a second, and each look reads
                it again.

        Raises:
            NotFoundError: there is no such file.
            TooLargeError: it names more files than there are.
            CorruptionError: it is altered.
        """
        if (found := self._bases.get(name)) is None:
            size = MANIFEST_HEAD_BYTES_MAX + MANIFEST_PART_BYTES_MAX * parts_max
            data = await self.area.get(name, bytes_max=min(size, MANIFEST_BYTES_MAX))
            found = base_of(name, data)
            self._drop_base(name)  # another task may have read it meanwhile
            self._bases[name] = found
            self._parts += len(found.parts)
            while len(self._bases) > KEPT_BASES_MAX or (
                self._parts > KEPT_PARTS_MAX and len(self._bases) > 1
            ):
                self._drop_base(next(iter(self._bases)))
        return found

    def known(self, name: str, sha256: str | None = None) -> ArchiveFile | None:
        """Return the contents of a file that was read before; None: not read, or another checksum.

        Args:
            name: Name of the file.
            sha256: Checksum that the file must end with; None: any.
        """
        if name not in self._files:
            return None
        found, _ = self._files[name]
        if sha256 is not None and found.footer.sha256 != sha256:
            return None
        self._files.move_to_end(name)
        return found

    async def fetch(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of some files, fetched at once; None for a missing file."""
        with worst_alone():
            async with TaskGroup() as group:
                tasks = [group.create_task(self._get(name)) for name in names]
        return [task.result() for task in tasks]

    def unpacked(self, name: str, data: bytes) -> ArchiveFile:
        """Return the contents of a file, and keep them.

        Raises:
            CorruptionError: it is altered.
        """
        found = unpack(name, data, bytes_max=self._unpacked_max)
        self._drop(name)
        size = sum(len(record.data) + RECORD_BYTES for record in found.records)
        self._files[name] = found, size
        self._bytes += size
        while self._bytes > self._bytes_max and len(self._files) > KEPT_FILES:
            self._drop(next(iter(self._files)))
        return found

    async def read(self, name: str) -> ArchiveFile:
        """Return the contents of a file, read anew.

        Raises:
            NotFoundError: it is missing.
            CorruptionError: it is altered.
        """
        return self.unpacked(name, await self.area.get(name, bytes_max=self._unpacked_max))

    async def lines(self, name: str, *, bytes_max: int) -> tuple[bytes, ArchiveFile]:
        """Return the lines of a file, read anew and checked, and its contents; neither is kept.

        Raises:
            TooLargeError: there are more than `bytes_max`.
            NotFoundError, CorruptionError: as for `read`.
        """
        bytes_max = min(bytes_max, self._unpacked_max)
        data = await self.area.get(name, bytes_max=bytes_max)
        return unpacked_lines(name, data, bytes_max=bytes_max)

    async def delete(self, name: str) -> None:
        """Remove a file, as `Area.delete` does."""
        self.forget(name)
        await self.area.delete(name)

    def forget(self, name: str | None = None) -> None:
        """Read a file anew at its next use; None: every one."""
        for one in [name] if name is not None else [*self._files, *self._bases]:
            self._drop(one)
            self._drop_base(one)

    async def _get(self, name: str) -> bytes | None:
        """Return a file's bytes, None when it is missing: it may have been fetched too early."""
        try:
            return await self.area.get(name, bytes_max=self._unpacked_max)
        except NotFoundError:
            return None

    def _drop_base(self, name: str) -> None:
        if name in self._bases:
            self._parts -= len(self._bases.pop(name).parts)

    def _drop(self, name: str) -> None:
        if name in self._files:
            self._bytes -= self._files.pop(name)[1]
