"""Reading a deep storage in a folder, in pieces, and never outside the folder."""

import errno
import os
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath

from replicator.adapters.local.files import (
    FileReading,
    Found,
    files_at,
    opened_file,
    translated,
)
from replicator.adapters.local.folder import Folder, Leaf, LinkError, opened, walk
from replicator.adapters.machine.threads import Threads
from replicator.errors import (
    DeniedObjectError,
    MissingObjectError,
    RefusedError,
    RewrittenObjectError,
    TransientError,
    UnreadableObjectError,
)
from replicator.model.load_spec import Location
from replicator.ports import AREAS, Checked, StoredObject

PIECE_BYTES = 1 << 20
OF_ITS_NAME = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})
OF_ONE_PERHAPS = frozenset({errno.EACCES, errno.EPERM, errno.EIO})
FILES_TRIED_MAX = 1000
"""Limit for reading other files, to tell one file's fault from a fault of the whole storage."""
OF_FILE_SYSTEMS = frozenset({"lost+found", ".snapshot", ".zfs"})
"""Folders that file systems make: a disk without other entries is not the deep storage."""
EMPTY_HINT = (
    "mount the deep storage; if it is mounted and really holds no segment any more, put any file"
    " into it"
)


class LocalDeepStorageReader:
    """A `DeepStorageReader` of the folder `root`; it has no method that writes.

    Locations outside the root are refused, also through links, whenever such a link appears.

    Args:
        root: `druid.storage.storageDirectory`, as this process sees it.
        piece_bytes: Bytes read at once.
        threads: What makes the file calls; default: threads of this folder alone.
    """

    def __init__(
        self, root: Path, *, piece_bytes: int = PIECE_BYTES, threads: Threads | None = None
    ) -> None:
        self._root, self._piece_bytes = root, piece_bytes
        self._threads = Threads(f"the folder {root}") if threads is None else threads

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        del ahead
        found = await self._threads.answered(lambda: self._files(location))
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
                piece = await self._threads.answered(partial(self._piece, reading, location, name))
                if end is not None:
                    piece = piece[:left]
                if not piece:
                    break
                left -= len(piece)
                yield piece
            await self._threads.answered(partial(self._end, reading, location, stored))
        finally:
            self._let_go(reading)

    async def check(self, location: Location) -> tuple[Checked, ...]:
        return tuple([await self._check(location, found) for found in await self.objects(location)])

    async def _check(self, location: Location, stored: StoredObject) -> Checked:
        reading, checksum, size_bytes = self._opened(location, stored.name), sha256(), 0

        def add() -> int:
            piece = self._piece(reading, location, stored.name)
            checksum.update(piece)
            if len(piece) < self._piece_bytes:
                reading.close()
            return len(piece)

        try:
            got_bytes = self._piece_bytes
            while got_bytes == self._piece_bytes:
                got_bytes = await self._threads.answered(add)
                size_bytes += got_bytes
        finally:
            self._let_go(reading)
        return Checked(name=stored.name, size_bytes=size_bytes, sha256=checksum.hexdigest())

    def _files(self, location: Location) -> list[Found]:
        with self._reading(location):
            with self._read_at(self._names(location)) as leaf:
                is_folder = leaf.is_folder()
                if location.endswith("/") and not is_folder and leaf.stat() is not None:
                    raise UnreadableObjectError(
                        f"{leaf} is a file, its load spec names a folder",
                        hint="put the segment's folder there",
                    )
                if not location.endswith("/") and is_folder:
                    raise UnreadableObjectError(
                        f"{leaf} is a folder, its load spec names a file",
                        hint="write a slash at the end of the load spec's path if it is one's",
                    )
                found = files_at(leaf)
            if not found:
                raise FileNotFoundError(f"{location} holds no file")
            return found

    def _opened(self, location: Location, name: str, *, start: int = 0) -> FileReading:
        return FileReading(partial(self._file, location, name), self._piece_bytes, start)

    def _let_go(self, reading: FileReading) -> None:
        """Close a file that was not read to its end; that may hang like any other call."""
        if reading.is_open:
            self._threads.leave(reading.close)

    def _end(self, reading: FileReading, location: Location, stored: StoredObject) -> None:
        """Close a file; raise a RewrittenObjectError if it was written since it was listed."""
        tag = reading.mtime_ns()
        reading.close()
        if tag is not None and str(tag) != stored.tag:
            raise RewrittenObjectError(
                f"{location}{stored.name} of {self._root} was written while it was read",
                hint="it is listed and read again",
            )

    def _piece(self, reading: FileReading, location: Location, name: str) -> bytes:
        with self._reading(f"{location}{name}"):
            return reading.piece()

    def _file(self, location: Location, name: str) -> int:
        names = self._names(Location(f"{location.rstrip('/')}/{name}" if name else location))
        with self._read_at(names) as leaf:
            return opened_file(leaf)

    def _names(self, location: Location) -> tuple[str, ...]:
        parts = PurePosixPath(location).parts
        reserved = {"/", "//", *AREAS}
        if not parts or parts[0] in reserved or ".." in parts or "\0" in location:
            raise RefusedError(f"{location!r} is not a location in the deep storage {self._root}")
        return parts

    @contextmanager
    def _at(self, names: Sequence[str]) -> Generator[Leaf]:
        """Open the folder that holds a name; the name itself may be a link."""
        with self._folder(names[:-1]) as folder:
            yield Leaf(folder, names[-1])

    @contextmanager
    def _read_at(self, names: Sequence[str]) -> Generator[Leaf]:
        """Open the folder of a file to be read; if the name is a link, of the link's target."""
        with self._at(names) as leaf:
            if not leaf.folder.is_link(leaf.name):
                yield leaf
                return
        with self._at(self._led(names)) as leaf:
            yield leaf

    def _folder(self, names: Sequence[str]) -> Folder:
        try:
            return opened(self._root, names)
        except LinkError:
            return opened(self._root, self._led(names))

    def _led(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return names resolved through links within the root, as the owner may have moved files.

        The resolved names are opened without following links: a link made later leads nowhere.
        """
        path, real_root = self._root.joinpath(*names), Path(os.path.realpath(self._root))
        real = Path(os.path.realpath(path))
        inside = real.relative_to(real_root).parts if real.is_relative_to(real_root) else ()
        if not inside or inside[0] in AREAS:
            raise RefusedError(f"{path} leads out of the deep storage {self._root}, to {real}")
        return inside

    @contextmanager
    def _reading(self, what: str) -> Generator[None]:
        with translated(f"cannot read {what} of {self._root}"):
            try:
                yield
            except (FileNotFoundError, NotADirectoryError) as exc:
                self._require_root()
                raise MissingObjectError(f"{what} is not in {self._root}") from exc
            except OSError as exc:
                self._judge(exc, what)
                raise

    def _judge(self, exc: OSError, what: str) -> None:
        """Raise an error of one file alone as such, if another file can be read."""
        if exc.errno in OF_ITS_NAME:
            raise UnreadableObjectError(
                f"{what} of {self._root}: {exc.strerror}", hint="no file can have such a name there"
            ) from exc
        if exc.errno in OF_ONE_PERHAPS and self._can_read_another(exc.filename):
            denied = exc.errno != errno.EIO
            raise (DeniedObjectError if denied else UnreadableObjectError)(
                f"{what} of {self._root}: {exc.strerror} (other files can be read)",
                hint="give this process's user the rights on it" if denied else "look at the disk",
            ) from exc

    def _can_read_another(self, path: object) -> bool:
        """Try some files of the root; folders that cannot be listed are skipped."""
        with (
            suppress(OSError),
            opened(self._root) as root,
            closing(walk(root, passing=OSError)) as walked,
        ):
            found = (Leaf(one.folder, name) for one in walked for name in one.others)
            others = (leaf for leaf in found if str(leaf) != str(path))
            return any(map(_can_be_read, islice(others, FILES_TRIED_MAX)))
        return False

    def _require_root(self) -> None:
        """Raise a TransientError for a missing mount: it must never look like killed segments."""
        try:
            with os.scandir(self._root) as entries:
                empty = all(entry.name in OF_FILE_SYSTEMS for entry in entries)
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


def _can_be_read(leaf: Leaf) -> bool:
    with suppress(OSError, RefusedError), os.fdopen(opened_file(leaf), "rb") as file:
        return bool(file.read(1))
    return False
