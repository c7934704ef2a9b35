"""A deep storage in a folder, as `druid.storage.type=local` keeps it; the folder may be a mount.

Nothing is ever linked: a hard link to the source's file would change and rot together with it.
"""

import os
import shutil
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from replicator.adapters.local_area import AREA, Area, Kept
from replicator.adapters.local_files import (
    Found,
    Reading,
    Writing,
    files_at,
    finished,
    make_folders,
    sync,
    sync_tree,
    translated,
    write_durably,
)
from replicator.errors import (
    CorruptionError,
    MissingObjectError,
    RefusedError,
    TransientError,
)
from replicator.model.load_spec import Location
from replicator.ports import Checked, ReadObject, Receipt, StoredObject

MIB = 1 << 20
EMPTY_HINT = (
    "mount the deep storage; if it is mounted and really holds no segment any more, put any file"
    " into it"
)


class LocalDeepStorageReader:
    """A `DeepStorageReader` of the folder `root`; it has no method that writes.

    A place outside the root is refused, also one behind a link.
    """

    def __init__(self, root: Path, *, piece_bytes: int = MIB) -> None:
        """Take the settings; nothing is opened yet.

        Args:
            root: `druid.storage.storageDirectory`, as this process sees it.
            piece_bytes: How much is read at once.
        """
        self._root, self._piece_bytes = root, piece_bytes

    async def objects(self, location: Location) -> Sequence[StoredObject]:
        found = await finished(lambda: self._files(location))
        return [
            StoredObject(name=file.name, size_bytes=file.size_bytes, tag=str(file.mtime_ns))
            for file in found
        ]

    async def read(self, location: Location, name: str) -> AsyncIterator[bytes]:
        path = await finished(lambda: self._object_path(location, name))
        reading = Reading(path, self._piece_bytes)
        try:
            while piece := await finished(lambda: self._piece(reading, path)):
                yield piece
                if len(piece) < self._piece_bytes:
                    break
        finally:
            reading.close()

    async def check(self, location: Location) -> tuple[Checked, ...]:
        return tuple([await self._check(location, found) for found in await self.objects(location)])

    async def _check(self, location: Location, stored: StoredObject) -> Checked:
        path = await finished(lambda: self._object_path(location, stored.name))
        reading, checksum, size_bytes = Reading(path, self._piece_bytes), sha256(), 0

        def add() -> int:
            piece = self._piece(reading, path)
            checksum.update(piece)
            return len(piece)

        try:
            while got_bytes := await finished(add):
                size_bytes += got_bytes
        finally:
            reading.close()
        return Checked(name=stored.name, size_bytes=size_bytes, sha256=checksum.hexdigest())

    def _files(self, location: Location) -> list[Found]:
        path = self._path(location)
        with self._reading(path):
            found = files_at(path)
            if not found:
                raise FileNotFoundError(f"{path} holds no file")
            return found

    def _piece(self, reading: Reading, path: Path) -> bytes:
        with self._reading(path):
            return reading.piece()

    def _object_path(self, location: Location, name: str) -> Path:
        return self._path(Location(f"{location.rstrip('/')}/{name}" if name else location))

    def _path(self, location: Location) -> Path:
        parts = PurePosixPath(location).parts
        if not parts or parts[0] in {"/", "//", AREA} or ".." in parts or "\0" in location:
            raise RefusedError(f"{location!r} is not a place in the deep storage {self._root}")
        path, real_root = self._root.joinpath(*parts), os.path.realpath(self._root)
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(real_root) or real.is_relative_to(Path(real_root, AREA)):
            raise RefusedError(f"{path} leads out of the deep storage {self._root}, to {real}")
        return path

    @contextmanager
    def _reading(self, path: Path) -> Generator[None]:
        with translated(f"cannot read {path}"):
            try:
                yield
            except (FileNotFoundError, NotADirectoryError) as exc:
                self._require_root()
                raise MissingObjectError(f"{path} is not there") from exc

    def _require_root(self) -> None:
        """A mount that is gone must never look like segments that were killed."""
        try:
            with os.scandir(self._root) as entries:
                empty = next(entries, None) is None
        except OSError as exc:
            raise TransientError(
                f"the deep storage {self._root} cannot be read: {exc}",
                hint="mount it; nothing is known about its segments until then",
            ) from exc
        if empty:
            raise TransientError(
                f"the deep storage {self._root} is empty, as when it is not mounted",
                hint=EMPTY_HINT,
            )


class LocalDeepStorage(LocalDeepStorageReader):
    """A `DeepStorage` in the folder `root`, which must exist.

    What is written stands in `<root>/.replicator` until it is whole and durable, then it is renamed
    into place. The receipt is durable before that: after any crash there are bytes with a receipt,
    or a receipt that no bytes belong to, which counts for nothing.
    """

    def __init__(
        self, root: Path, *, piece_bytes: int = MIB, lock_timeout_s: float = 60.0
    ) -> None:
        """Take the settings; nothing is opened yet.

        Args:
            root: `druid.storage.storageDirectory`, as this process sees it.
            piece_bytes: How much is read at once.
            lock_timeout_s: How long another process may be putting something in the same place.
        """
        super().__init__(root, piece_bytes=piece_bytes)
        self._area = Area(root, lock_timeout_s=lock_timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up this process's part of the private area."""
        await finished(self._area.close)

    async def clean(self) -> None:
        """Remove what dead processes left half written; the first `put` does so too."""
        await finished(self._clean)

    async def receipt(self, location: Location) -> Receipt | None:
        return await finished(lambda: self._receipt(location))

    async def put(
        self, location: Location, objects: Sequence[StoredObject], read: ReadObject
    ) -> Receipt:
        _require_names(location, objects)
        await finished(lambda: self._begin(location))
        work = self._area.new_folder()
        try:
            checked = [
                await self._write(work, location, wanted, read) for wanted in sorted(objects)
            ]
            receipt = Receipt(objects=tuple(checked), copied_from=tuple(sorted(objects)))
            return await finished(lambda: self._place(location, work, receipt))
        finally:
            await finished(lambda: shutil.rmtree(work, ignore_errors=True))

    async def probe(self) -> None:
        await finished(self._probe)

    # ------------------------------------------------------------------------------ in a thread

    def _clean(self) -> None:
        with translated(f"cannot clean {self._root}"):
            self._area.clean()

    def _receipt(self, location: Location) -> Receipt | None:
        path = self._path(location)
        with translated(f"cannot read {path}"):
            self._area.require_root()
            kept = self._area.kept(location)
            return kept.receipt if kept is not None and _is_whole(path, kept) else None

    def _begin(self, location: Location) -> None:
        """Refuse early, before anything is read; `_place` looks again."""
        path = self._path(location)
        with translated(f"cannot write {path}"):
            self._area.prepare()
            self._require_ours(path, self._area.kept(location))

    async def _write(
        self, work: Path, location: Location, wanted: StoredObject, read: ReadObject
    ) -> Checked:
        path = work / "new" / wanted.name if wanted.name else work / "new"
        writing, doing = Writing(path), f"cannot write {location}{wanted.name} to {self._root}"

        def add(piece: bytes) -> None:
            with translated(doing):
                writing.piece(piece)

        def end() -> str:
            with translated(doing):
                return writing.end()

        try:
            async for piece in read(wanted.name):
                await finished(lambda piece=piece: add(piece))  # type: ignore[misc]
            checksum = await finished(end)
        finally:
            writing.close()
        if writing.size_bytes != wanted.size_bytes:
            raise CorruptionError(
                f"{location}{wanted.name}: {writing.size_bytes} bytes arrived, its storage said"
                f" {wanted.size_bytes}; nothing was stored"
            )
        return Checked(name=wanted.name, size_bytes=wanted.size_bytes, sha256=checksum)

    def _place(self, location: Location, work: Path, receipt: Receipt) -> Receipt:
        path, new = self._path(location), work / "new"
        with translated(f"cannot write {path}"), self._area.placing(location):
            self._area.require_root()
            kept = self._area.kept(location)
            inode = new.stat().st_ino
            if kept is not None and _is_whole(path, kept):
                if kept.receipt.objects != receipt.objects:
                    raise RefusedError(f"{path} holds other bytes already, which stay")
                inode = kept.inode  # what is there stays, with what it equals now
            else:
                self._clear(path, work, kept)
                sync_tree(new)
            make_folders(path.parent, self._root)
            self._area.keep(location, Kept(receipt=receipt, inode=inode))
            if inode != kept_inode(kept):
                _rename(new, path)
        return receipt
