"""A deep storage in a folder, as `druid.storage.type=local` keeps it; the folder may be a mount.

Nothing is ever linked: a hard link to the source's file would change and rot together with it.
"""

import os
import shutil
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from errno import EACCES
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from replicator.adapters.area_local import LocalArea
from replicator.adapters.in_thread import finished
from replicator.adapters.local_area import AREA, Area, Kept
from replicator.adapters.local_files import (
    Found,
    Reading,
    Writing,
    files_at,
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
from replicator.ports import Checked, Receipt, Shipment, StoredObject

MIB = 1 << 20
PROBE_BYTES = 4096
OWN = "_replicator"
"""Our own folder below the root; what is half written stands in `.replicator` beside it."""
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

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        del ahead
        found = await finished(lambda: self._files(location))
        return [
            StoredObject(name=file.name, size_bytes=file.size_bytes, tag=str(file.mtime_ns))
            for file in found
        ]

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        name, left = stored.name, (stored.size_bytes if end is None else end) - start
        reading = self._opened(location, name, start=start)
        try:
            while end is None or left > 0:
                piece = await finished(partial(self._piece, reading, location, name))
                if end is not None:
                    piece = piece[:left]
                if not piece:
                    break
                left -= len(piece)
                yield piece
            await finished(partial(self._require_same, reading, location, stored))
        finally:
            reading.close()

    async def check(self, location: Location) -> tuple[Checked, ...]:
        return tuple([await self._check(location, found) for found in await self.objects(location)])

    async def _check(self, location: Location, stored: StoredObject) -> Checked:
        reading, checksum, size_bytes = self._opened(location, stored.name), sha256(), 0

        def add() -> int:
            piece = self._piece(reading, location, stored.name)
            checksum.update(piece)
            return len(piece)

        try:
            got_bytes = self._piece_bytes
            while got_bytes == self._piece_bytes:
                got_bytes = await finished(add)
                size_bytes += got_bytes
        finally:
            reading.close()
        return Checked(name=stored.name, size_bytes=size_bytes, sha256=checksum.hexdigest())

    def _files(self, location: Location) -> list[Found]:
        with self._reading(location):
            found = files_at(self._path(location))
            if not found:
                raise FileNotFoundError(f"{location} holds no file")
            return found

    def _opened(self, location: Location, name: str, *, start: int = 0) -> Reading:
        return Reading(partial(self._object_path, location, name), self._piece_bytes, start)

    def _require_same(self, reading: Reading, location: Location, stored: StoredObject) -> None:
        """Raise a TransientError when the file was written since it was listed."""
        if (tag := reading.mtime_ns()) is not None and str(tag) != stored.tag:
            raise TransientError(
                f"{location}{stored.name} of {self._root} was written while it was read",
                hint="it is listed and read again",
            )

    def _piece(self, reading: Reading, location: Location, name: str) -> bytes:
        with self._reading(f"{location}{name}"):
            return reading.piece()

    def _object_path(self, location: Location, name: str) -> Path:
        return self._path(Location(f"{location.rstrip('/')}/{name}" if name else location))

    def _path(self, location: Location) -> Path:
        parts = PurePosixPath(location).parts
        if not parts or parts[0] in {"/", "//", AREA, OWN} or ".." in parts or "\0" in location:
            raise RefusedError(f"{location!r} is not a place in the deep storage {self._root}")
        path, real_root = self._root.joinpath(*parts), os.path.realpath(self._root)
        real = Path(os.path.realpath(path))
        ours = any(real.is_relative_to(Path(real_root, name)) for name in (AREA, OWN))
        if not real.is_relative_to(real_root) or ours:
            raise RefusedError(f"{path} leads out of the deep storage {self._root}, to {real}")
        return path

    @contextmanager
    def _reading(self, what: str) -> Generator[None]:
        with translated(f"cannot read {what} of {self._root}"):
            try:
                yield
            except (FileNotFoundError, NotADirectoryError) as exc:
                self._require_root()
                raise MissingObjectError(f"{what} is not in {self._root}") from exc

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

    def __init__(self, root: Path, *, piece_bytes: int = MIB, lock_timeout_s: float = 60.0) -> None:
        """Take the settings; nothing is opened yet.

        Args:
            root: `druid.storage.storageDirectory`, as this process sees it.
            piece_bytes: How much is read at once.
            lock_timeout_s: How long another process may be putting something in the same place.
        """
        super().__init__(root, piece_bytes=piece_bytes)
        self._area = Area(root, lock_timeout_s=lock_timeout_s)
        self._settled = False

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

    def area(self) -> LocalArea:
        """Return where our own files are kept."""
        return LocalArea(self._root, OWN)

    async def clean(self) -> None:
        """Remove what dead processes left half written; the first `put` does so too."""
        await finished(self._clean)

    async def receipt(self, location: Location) -> Receipt | None:
        return await finished(lambda: self._receipt(location))

    async def put(self, location: Location, shipment: Shipment) -> Receipt:
        _require_names(location, shipment.objects)
        await finished(lambda: self._begin(location))
        work = self._area.new_folder()
        try:
            checked = [
                await self._write(work, location, wanted, shipment) for wanted in shipment.objects
            ]
            receipt = Receipt(objects=tuple(checked), copied_from=shipment.objects)
            return await finished(lambda: self._place(location, work, receipt))
        finally:
            await finished(lambda: shutil.rmtree(work, ignore_errors=True))

    async def create(self) -> None:
        await finished(self._create)

    async def probe(self) -> None:
        await finished(self._probe)

    async def _write(
        self, work: Path, location: Location, wanted: StoredObject, shipment: Shipment
    ) -> Checked:
        writing = Writing(work / "new" / wanted.name if wanted.name else work / "new")
        doing = f"cannot write {location}{wanted.name} to {self._root}"
        try:
            last = b""
            async for piece in shipment.read(wanted):
                if last:
                    with translated(doing):
                        await finished(partial(writing.piece, last))
                last = piece
            with translated(doing):
                checksum = await finished(partial(writing.end, last))
        finally:
            writing.close()
        if writing.size_bytes != wanted.size_bytes:
            raise CorruptionError(
                f"{location}{wanted.name}: {writing.size_bytes} bytes arrived, its storage said"
                f" {wanted.size_bytes}; nothing was stored"
            )
        return Checked(name=wanted.name, size_bytes=wanted.size_bytes, sha256=checksum)

    # ------------------------------------------------------------------------------ in a thread

    def _clean(self) -> None:
        with translated(f"cannot clean {self._root}"):
            self._area.clean()

    def _receipt(self, location: Location) -> Receipt | None:
        path = self._path(location)
        with translated(f"cannot read {path}"):
            self._area.require_root()
            kept = self._area.kept(location)
            if kept is None or not _is_whole(path, kept):
                return None
            self._settle()
            return kept.receipt

    def _settle(self) -> None:
        """Once a process: what a killed one has renamed, but not yet synced, is made durable."""
        if not self._settled:
            os.sync()
            self._settled = True

    def _begin(self, location: Location) -> None:
        """Refuse early, before anything is read; `_place` looks again."""
        path = self._path(location)
        with translated(f"cannot write {path}"):
            self._area.prepare()
            kept = self._area.kept(location)
            if kept is None or not _is_whole(path, kept):
                _require_ours(path, kept)

    def _place(self, location: Location, work: Path, receipt: Receipt) -> Receipt:
        path, new = self._path(location), work / "new"
        with translated(f"cannot write {path}"), self._area.placing(location):
            self._area.require_root()
            kept = self._area.kept(location)
            if kept is not None and _is_whole(path, kept):
                return self._confirm(location, path, kept, receipt)
            # Away first: under the new receipt the rest of older bytes might look whole.
            _set_aside(path, work, kept)
            sync_tree(new)
            make_folders(path.parent, self._root)
            self._area.keep(location, Kept(receipt=receipt, inode=new.stat().st_ino))
            _rename(new, path)
        return receipt

    def _confirm(self, location: Location, path: Path, kept: Kept, receipt: Receipt) -> Receipt:
        """Let whole bytes stay that are equal to the new ones, and note where they came from."""
        if kept.receipt.objects != receipt.objects:
            raise RefusedError(
                f"{path} holds other bytes already, which this tool wrote and will not replace",
                hint="compare the two; to have it copied again remove what is there",
            )
        make_folders(path.parent, self._root)
        sync(path.parent)  # whoever put it there may have died before it did
        if kept.receipt.copied_from != receipt.copied_from:
            self._area.keep(location, Kept(receipt=receipt, inode=kept.inode))
        return receipt

    def _create(self) -> None:
        with translated(f"cannot make {self._root}"):
            if not self._root.is_dir():
                self._root.parent.mkdir(parents=True, exist_ok=True)
                self._root.mkdir(exist_ok=True)
                sync(self._root.parent)

    def _probe(self) -> None:
        with translated(f"cannot write to {self._root}"):
            self._area.prepare()
            if not os.access(self._root, os.W_OK | os.X_OK):
                raise PermissionError(EACCES, os.strerror(EACCES), str(self._root))
            path, data = self._area.new_folder(), os.urandom(PROBE_BYTES)
            try:
                write_durably(path, data)
                if path.read_bytes() != data:
                    raise CorruptionError(f"{path}: other bytes are read than were written")
            finally:
                path.unlink(missing_ok=True)


def _is_whole(path: Path, kept: Kept) -> bool:
    try:
        found = {file.name: file.size_bytes for file in files_at(path)}
    except (FileNotFoundError, NotADirectoryError):
        return False
    return found == {stored.name: stored.size_bytes for stored in kept.receipt.objects}


def _require_ours(path: Path, kept: Kept | None) -> None:
    """Refuse what may be somebody else's: only a remainder of our own bytes may be replaced.

    Ours has the inode that was renamed into place, and no file that the receipt does not name.
    """
    if not os.path.lexists(path):
        return
    names = {file.name for file in files_at(path)}
    ours = kept is not None and path.stat().st_ino == kept.inode
    if names and not (ours and kept and names <= {stored.name for stored in kept.receipt.objects}):
        raise RefusedError(
            f"{path} holds something that this tool did not write",
            hint="move it away if nothing needs it, then run the command again",
        )


def _set_aside(path: Path, work: Path, kept: Kept | None) -> None:
    _require_ours(path, kept)
    if os.path.lexists(path):
        path.rename(work / "old")
        sync(path.parent)


def _rename(new: Path, path: Path) -> None:
    """Make it visible, and invisible again when that cannot be made durable."""
    new.rename(path)
    try:
        sync(path.parent)
    except OSError:
        path.rename(new)
        raise


def _require_names(location: Location, objects: Sequence[StoredObject]) -> None:
    names = [stored.name for stored in objects]
    if names == [""] and not location.endswith("/"):
        return
    if not names or len(set(names)) < len(names) or not all(map(_is_name, names)):
        raise RefusedError(f"{location}: {names!r} cannot be stored as the files of one folder")


def _is_name(name: str) -> bool:
    plain = name == PurePosixPath(name).as_posix() and "\0" not in name
    return plain and name != "." and name[:1] != "/" and ".." not in name.split("/")
