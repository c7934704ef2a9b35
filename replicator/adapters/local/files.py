"""Files as a deep storage needs them: listed, read in pieces, written so that they survive.

Everything here blocks: adapters call it through `finished`.
"""

import errno
import os
import stat as kinds
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from replicator.errors import (
    ConfigError,
    CorruptionError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.ports import Piece, too_large

ERRNO_ERRORS: dict[int, type[ReplicatorError]] = {
    errno.EACCES: ConfigError,
    errno.EPERM: ConfigError,
    errno.EXDEV: ConfigError,
    errno.EEXIST: RefusedError,
    errno.ENOTEMPTY: RefusedError,
    errno.ENOTDIR: RefusedError,
    errno.EISDIR: RefusedError,
    errno.ENAMETOOLONG: RefusedError,
}
"""What an error of the operating system asks of the caller; of any other kind: try again.

So it is for a full disk, and for one that is read-only: the kernel makes it so after an error of
the device, and a following process goes on by itself once it is mounted again.
"""
HINTS: dict[int, str] = {
    errno.ENOSPC: "free space on the disk named above; what was being written is not visible",
    errno.EDQUOT: "raise the quota on the disk named above; what was being written is not visible",
    errno.EACCES: "give this process's user the rights on the folder named above",
    errno.EPERM: "give this process's user the rights on the folder named above",
    errno.EROFS: "mount the disk named above for writing",
    errno.EXDEV: "keep the whole deep storage on one file system",
}
HINT = "look at the disk, the mount and the folder named above, then run the command again"

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Modes for our own files: they hold what Druid's tables hold, passwords of supervisors too."""
FILE, FOLDER = 0o666, 0o777
"""Modes of files and folders, less the umask: a Druid of another user may have to read them."""


class Found(NamedTuple):
    """One file below a folder."""

    name: str
    size_bytes: int
    mtime_ns: int


@contextmanager
def translated(doing: str) -> Generator[None]:
    """Raise our error for the operating system's."""
    try:
        yield
    except OSError as exc:
        code = exc.errno or 0
        kind = ERRNO_ERRORS.get(code, TransientError)
        raise kind(f"{doing}: {exc}", hint=HINTS.get(code, HINT)) from exc


def is_text(name: str) -> bool:
    """Return whether a file's name is printable text, as all names of Druid's and ours are.

    A name that is not UTF-8, or holds a line break, can stand in no document.
    """
    return name.isprintable()


def files_at(path: Path) -> list[Found]:
    """Return the file at a path, named '', or the files directly in a folder; sorted by name.

    Those are a segment's, and Druid reads those; what lies deeper is at other locations.

    Raises:
        RefusedError: something there is neither a file nor a folder, or its name is no text; links
            are not followed.
        OSError: as the operating system says it.
    """
    stat = path.stat()
    if path.is_dir():
        return sorted(_directly_in(path))
    _require_file(stat, path)
    return [Found("", stat.st_size, stat.st_mtime_ns)]


def _require_file(stat: os.stat_result, path: Path) -> None:
    """Refuse pipes, sockets and devices: a read of one may never end."""
    if not kinds.S_ISREG(stat.st_mode):
        raise RefusedError(f"{path} is neither a file nor a folder")


def _open_file(path: str, flags: int) -> int:
    """Open a file; a pipe is opened without waiting for its other end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    try:
        _require_file(os.fstat(descriptor), Path(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


LINK_HINT = "make it a folder of its own: what is ours is never looked for elsewhere"


def refuse_links(path: Path, root: Path) -> None:
    """Refuse a path on which a link stands below `root`, its last part included.

    Raises:
        RefusedError: there is one; the message names it.
    """
    for one in (path, *path.parents):
        if one == root:
            return
        if one.is_symlink():
            raise RefusedError(f"{one} is a link, and is not followed", hint=LINK_HINT)


@contextmanager
def folder_inside(root: Path, names: Sequence[str]) -> Generator[int]:
    """Open a folder below `root`, and give its descriptor; no link on the way is followed.

    Raises:
        RefusedError: there is one; the message names it.
        OSError: as the operating system says it.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor, path = os.open(root, flags), root
    try:
        for name in names:
            path /= name
            try:
                inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            except OSError as exc:
                if exc.errno in {errno.ELOOP, errno.ENOTDIR}:
                    refuse_links(path, root)
                raise
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def read_inside(root: Path, names: Sequence[str], bytes_max: int) -> bytes:
    """Return the bytes of a file of ours below `root`; no link is followed.

    Raises:
        CorruptionError: it is a link, a pipe or a device, or larger than `bytes_max`.
        RefusedError: a folder on the way is a link.
        OSError: as the operating system says it.
    """
    path = root.joinpath(*names)
    with folder_inside(root, names[:-1]) as folder:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(names[-1], flags, dir_fd=folder)
        except OSError as exc:
            if exc.errno not in {errno.ELOOP, errno.ENXIO}:
                raise
            raise CorruptionError(f"{path} is no file, but a link or a socket") from exc
    stat = os.fstat(descriptor)
    if not kinds.S_ISREG(stat.st_mode) or stat.st_size > bytes_max:
        os.close(descriptor)
        if kinds.S_ISREG(stat.st_mode):
            raise too_large(str(path), stat.st_size, bytes_max)
        raise CorruptionError(f"{path} is no file, but a folder, a pipe or a device")
    with FileIO(descriptor, "rb") as file:
        data = bytearray()
        while piece := file.read(bytes_max - len(data) + 1):
            data += piece
            if len(data) > bytes_max:
                raise too_large(str(path), len(data), bytes_max)
        return bytes(data)


def _directly_in(folder: Path) -> Iterator[Found]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_text(entry.name):
                raise RefusedError(
                    f"{folder} has a file whose name is no text: {entry.name!r}",
                    hint="no segment has such a file: take it away, or rename it",
                )
            if entry.is_file(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                yield Found(entry.name, stat.st_size, stat.st_mtime_ns)
            elif not entry.is_dir(follow_symlinks=False):
                raise RefusedError(f"{entry.path} is neither a file nor a folder")


def deeper(path: Path) -> Path | None:
    """Return a file that lies deeper in a folder than its own files do, None: there is none."""
    found = ((folder, names) for folder, _, names in os.walk(path) if Path(folder) != path)
    return next((Path(folder, names[0]) for folder, names in found if names), None)


def remove_files(path: Path, names: Iterable[str]) -> None:
    """Remove some files of a folder, durably, and the empty folders in it; others stay."""
    for name in names:
        if not (path / name).is_dir():
            (path / name).unlink(missing_ok=True)
    sync(path)
    for folder, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()
    sync(path.parent)


class FileReading:
    """One file, read in pieces from a byte on; `locate` gives its path once it is opened."""

    def __init__(self, locate: Callable[[], Path], piece_bytes: int, start: int = 0) -> None:
        self._locate, self._piece_bytes, self._start = locate, piece_bytes, start
        self._file: FileIO | None = None

    def piece(self) -> bytes:
        """Return the next piece, b'' at the end; all but the last have the full size."""
        if self._file is None:
            self._file = FileIO(self._locate(), "rb", opener=_open_file)
            self._file.seek(self._start)
        piece = self._file.read(self._piece_bytes) or b""
        while piece and len(piece) < self._piece_bytes and (more := self._rest(len(piece))):
            piece += more
        return piece

    def mtime_ns(self) -> int | None:
        """Return when the open file was last written, None before it is opened."""
        return None if self._file is None else os.fstat(self._file.fileno()).st_mtime_ns

    def close(self) -> None:
        """Close the file; it may not have been opened."""
        if self._file is not None:
            self._file.close()

    def _rest(self, size_bytes: int) -> bytes:
        return (self._file and self._file.read(self._piece_bytes - size_bytes)) or b""


class FileWriting:
    """One new file, written in pieces, its checksum computed on the way."""

    def __init__(self, path: Path, mode: int = FILE) -> None:
        self._path, self._mode = path, mode
        self._file: FileIO | None = None
        self._sha256 = sha256()
        self.size_bytes = 0

    def piece(self, data: Piece) -> None:
        """Add bytes at the end."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(self._path, "xb", opener=self._made)
        self._sha256.update(data)
        self.size_bytes += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def end(self, data: Piece) -> str:
        """Add the last bytes, make all of them durable and return their SHA-256."""
        self.piece(data)
        if self._file is not None:
            os.fsync(self._file.fileno())
        self.close()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file; it may not have been opened."""
        if self._file is not None:
            self._file.close()

    def _made(self, path: str, flags: int) -> int:
        return os.open(path, flags, self._mode)


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file of ours whose bytes survive; its name does so once the folder is synced."""
    writing = FileWriting(path, PRIVATE_FILE)
    try:
        writing.end(data)
    finally:
        writing.close()


def make_folders(folder: Path, top: Path, mode: int = FOLDER) -> None:
    """Make folders below `top`, each durable in the one above.

    Existing folders are synced too: the process that made them may have died before its own sync.
    """
    if folder != top:
        make_folders(folder.parent, top, mode)
        with suppress(FileExistsError):
            folder.mkdir(mode)
        sync(folder.parent)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove folders below `top` that hold nothing any more, from here upwards."""
    while folder != top:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass  # another process removed it
        except OSError:
            return
        folder = folder.parent


def sync_tree(path: Path) -> None:
    """Make the names in all folders from here on down durable."""
    if path.is_dir():
        for folder, _, _ in os.walk(path, topdown=False):
            sync(Path(folder))


def sync(path: Path) -> None:
    """Make a file's bytes or a folder's names survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
