"""File operations of a deep storage: listing, reading in pieces, and durable writing.

Everything here blocks: adapters call it through `Threads`.
"""

import errno
import os
import stat as kinds
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from replicator.adapters.local.folder import Folder, Leaf, walk
from replicator.errors import (
    ConfigError,
    CorruptionError,
    RefusedError,
    ReplicatorError,
    TransientError,
    UnreadableObjectError,
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
    errno.E2BIG: UnreadableObjectError,  # raised by `too_many` alone
}
"""Meaning of the operating system's errors for the caller; all others: try again.

That includes full disks and read-only ones: the kernel mounts a disk read-only after an I/O error,
and a running replicator continues by itself once the disk is mounted again.
"""
HINTS: dict[int, str] = {
    errno.ENOSPC: "free space on the disk named above; what was being written is not visible",
    errno.EDQUOT: "raise the quota on the disk named above; what was being written is not visible",
    errno.EACCES: "give this process's user the rights on the folder named above",
    errno.EPERM: "give this process's user the rights on the folder named above",
    errno.EROFS: "mount the disk named above for writing",
    errno.E2BIG: "no folder of a segment or of ours holds so many: look at what is there",
    errno.EXDEV: "keep the whole deep storage on one file system",
}
HINT = "look at the disk, the mount and the folder named above, then run the command again"

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Modes of the replicator's own files: they copy Druid's tables, with supervisors' passwords."""
FILE, FOLDER = 0o666, 0o777
"""Modes of files and folders, less the umask: a Druid of another user may have to read them."""


class Found(NamedTuple):
    """One file below a folder."""

    name: str
    size_bytes: int
    mtime_ns: int
    links: int
    """Number of the file's names: more than one are hard links."""


@contextmanager
def translated(doing: str) -> Generator[None]:
    """Translate the operating system's errors into the replicator's."""
    try:
        yield
    except OSError as exc:
        code = exc.errno or 0
        kind = ERRNO_ERRORS.get(code, TransientError)
        raise kind(f"{doing}: {exc}", hint=HINTS.get(code, HINT)) from exc


def is_text(name: str) -> bool:
    """Return whether a file's name is printable text, as all names of Druid and the replicator are.

    A name that is not UTF-8 or holds a line break cannot be written in any document.
    """
    return name.isprintable()


def files_at(leaf: Leaf) -> list[Found]:
    """Return the file at a location, named '', or the files directly in a folder; sorted by name.

    Those are the segment's files, which Druid reads; deeper ones belong to other locations.

    Raises:
        RefusedError: an entry is neither a file nor a folder, or its name is no text; links are not
            followed.
        OSError: the operating system's error.
    """
    stat = leaf.stat()
    if stat is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(leaf))
    if kinds.S_ISDIR(stat.st_mode):
        with leaf.folder.folder(leaf.name) as folder:
            return sorted(_directly_in(folder))
    _require_file(stat, str(leaf))
    return [Found("", stat.st_size, stat.st_mtime_ns, stat.st_nlink)]


def _require_file(stat: os.stat_result, path: str) -> None:
    """Refuse links, pipes, sockets and devices: reading one of these may never end."""
    if not kinds.S_ISREG(stat.st_mode):
        raise RefusedError(f"{path} is neither a file nor a folder")


def opened_file(leaf: Leaf) -> int:
    """Open a file for reading; opening a pipe does not block.

    Raises:
        RefusedError: it is no file.
        OSError: the operating system's error.
    """
    descriptor = leaf.folder.open(leaf.name, os.O_RDONLY)
    try:
        _require_file(os.fstat(descriptor), str(leaf))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_document(leaf: Leaf, bytes_max: int) -> tuple[bytes, float]:
    """Return the contents of one of the replicator's own files, and its modification time.

    Raises:
        CorruptionError: it is a link, a pipe or a device, or larger than `bytes_max`.
        OSError: the operating system's error.
    """
    try:
        descriptor = leaf.folder.open(leaf.name, os.O_RDONLY)
    except OSError as exc:
        if exc.errno not in {errno.ELOOP, errno.ENXIO}:
            raise
        raise CorruptionError(f"{leaf} is not a file, but a link or a socket") from exc
    stat = os.fstat(descriptor)
    if not kinds.S_ISREG(stat.st_mode) or stat.st_size > bytes_max:
        os.close(descriptor)
        if kinds.S_ISREG(stat.st_mode):
            raise too_large(str(leaf), stat.st_size, bytes_max)
        raise CorruptionError(f"{leaf} is not a file, but a folder, a pipe or a device")
    with FileIO(descriptor, "rb") as file:
        data = bytearray()
        while piece := file.read(bytes_max - len(data) + 1):
            data += piece
            if len(data) > bytes_max:
                raise too_large(str(leaf), len(data), bytes_max)
        return bytes(data), stat.st_mtime


def _directly_in(folder: Folder) -> Iterator[Found]:
    with folder.entries() as entries:
        for entry in entries:
            if not is_text(entry.name):
                raise RefusedError(
                    f"{folder} has a file whose name is no text: {entry.name!r}",
                    hint="no segment has such a file: remove it, or rename it",
                )
            if entry.is_file(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                yield Found(entry.name, stat.st_size, stat.st_mtime_ns, stat.st_nlink)
            elif not entry.is_dir(follow_symlinks=False):
                raise RefusedError(f"{folder.where(entry.name)} is neither a file nor a folder")


def sync_files(leaf: Leaf, names: Iterable[str]) -> None:
    """Make another program's files survive a loss of power; '' is the location's only file."""
    for name in names:
        inner = leaf.folder.folder(leaf.name) if name else nullcontext(leaf.folder)
        with inner as folder:
            descriptor = opened_file(Leaf(folder, name or leaf.name))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    sync_tree(leaf)
    leaf.folder.sync()


def folder_with_more(leaf: Leaf) -> str | None:
    """Return a folder with files deeper in a folder; None: there is none."""
    if not leaf.is_folder():
        return None
    with leaf.folder.folder(leaf.name) as folder, closing(walk(folder)) as walked:
        more = (one for one in walked if one.too_deep or (one.below and one.others))
        return next((str(one.folder) for one in more), None)


def remove_files(leaf: Leaf, names: Iterable[str]) -> None:
    """Remove some files of a folder and the empty folders in it, durably; other files stay."""
    with leaf.folder.folder(leaf.name) as folder:
        for name in names:
            if not Leaf(folder, name).is_folder():
                folder.unlink(name)
        folder.sync()
        for one in walk(folder):
            for name in one.folders:
                _remove_if_empty(one.folder, name)
    _remove_if_empty(*leaf)
    leaf.folder.sync()


def _remove_if_empty(folder: Folder, name: str) -> None:
    with suppress(OSError):
        folder.rmdir(name)


class FileReading:
    """One file, read in pieces from an offset; `opened` returns its descriptor when needed."""

    def __init__(self, opened: Callable[[], int], piece_bytes: int, start: int = 0) -> None:
        self._opened, self._piece_bytes, self._start = opened, piece_bytes, start
        self._file: FileIO | None = None

    def piece(self) -> bytes:
        """Return the next piece, b'' at the end; all pieces but the last have the full size."""
        if self._file is None:
            self._file = FileIO(self._opened(), "rb")
            self._file.seek(self._start)
        piece = self._file.read(self._piece_bytes) or b""
        # One read may return less than there is, as read(2) says.
        while piece and len(piece) < self._piece_bytes and (more := self._rest(len(piece))):
            piece += more
        return piece

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._file is not None and not self._file.closed

    def mtime_ns(self) -> int | None:
        """Return the open file's modification time, None before it is opened."""
        return None if self._file is None else os.fstat(self._file.fileno()).st_mtime_ns

    def close(self) -> None:
        """Close the file; it may not have been opened."""
        if self._file is not None:
            self._file.close()

    def _rest(self, size_bytes: int) -> bytes:
        return (self._file and self._file.read(self._piece_bytes - size_bytes)) or b""


class FileWriting:
    """One new file, written in pieces and hashed on the way; `made` creates it."""

    def __init__(self, made: Callable[[], int]) -> None:
        self._made = made
        self._file: FileIO | None = None
        self._sha256 = sha256()
        self.size_bytes = 0

    def piece(self, data: Piece) -> None:
        """Add bytes at the end."""
        if self._file is None:
            self._file = FileIO(self._made(), "wb")
        self._sha256.update(data)
        self.size_bytes += len(data)
        # One write may take a part only, as write(2) says.
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._file is not None and not self._file.closed

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


def new_file(leaf: Leaf, mode: int) -> int:
    """Create a file and return its descriptor."""
    return leaf.folder.open(leaf.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


def write_durably(leaf: Leaf, data: bytes) -> None:
    """Write a new file of the replicator's durably; its name is durable after the folder's sync."""
    writing = FileWriting(lambda: new_file(leaf, PRIVATE_FILE))
    try:
        writing.end(data)
    finally:
        writing.close()


def remove_empty(opened: Callable[[Sequence[str]], Folder], names: Sequence[str]) -> None:
    """Remove empty folders below a root, from the innermost upwards."""
    for depth in reversed(range(len(names))):
        try:
            with opened(names[:depth]) as folder:
                folder.rmdir(names[depth])
        except FileNotFoundError:
            pass  # another process removed it
        except (OSError, RefusedError):
            return


def sync_tree(leaf: Leaf) -> None:
    """Make the names in a folder and all folders below it durable."""
    if leaf.is_folder():
        with leaf.folder.folder(leaf.name) as folder:
            for one in walk(folder):
                one.folder.sync()


def sync_file_system(root: Path) -> None:
    """Make all that was written to the file system of a folder durable, and wait for no other one.

    `os.sync` would wait for every mount of the machine, also for one that is gone.

    Raises:
        OSError: the operating system's error.
    """
    import ctypes  # noqa: PLC0415 - a look does without

    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "syncfs"):  # not Linux
            os.sync()
        elif library.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(root))
    finally:
        os.close(descriptor)
