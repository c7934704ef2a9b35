"""Folders below a root, opened name by name; every action in one goes through its descriptor.

Each call that takes a path resolves it anew. A user who can write to a shared folder can replace a
folder by a link between two such calls, and redirect the second. An open folder cannot be replaced,
so nothing here takes a path below a root, and no link below one is followed.
The root's own path is the operator's, and may be a link.
"""

import errno
import fcntl
import os
import stat as kinds
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, ParamSpec, Self, TypeVar

from replicator.errors import RefusedError

DEPTH_MAX = 32
"""Depth to which folders are walked; each is open meanwhile. Druid makes about six levels."""
ENTRIES_MAX = 1_000_000
"""Number of entries of one folder that are read; a file server can list a folder without end."""
LINK_HINT = "make it a folder: the replicator does not follow links to its own files"
NAME_HINT = "it would lead out of the folder"

# Passing through a folder needs no right to list it, and neither does this.
_WAY = os.O_PATH | os.O_DIRECTORY
_LISTED = os.O_RDONLY | os.O_DIRECTORY
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK  # so that opening a pipe does not block

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class LinkError(RefusedError):
    """A link stands in the place of a folder."""


class Folder:
    """An open folder, which must be closed, by a `with` block for example."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor, self._path = descriptor, path

    @classmethod
    def root(cls, path: Path) -> Self:
        """Open a root, which may be a link.

        Raises:
            OSError: the operating system's error.
        """
        return cls(os.open(path, _WAY), str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def __str__(self) -> str:
        return self._path

    def where(self, name: str) -> str:
        """Return the path of a name in the folder, as of its opening, for messages."""
        return f"{self._path}/{name}"

    # Each of the following methods raises the operating system's error, with the whole path.

    def folder(self, name: str) -> "Folder":
        """Open a folder in this folder.

        Raises:
            LinkError: it is a link.
        """
        try:
            return Folder(self.open(name, _WAY), self.where(name))
        except NotADirectoryError:
            if self.is_link(name):
                raise LinkError(
                    f"{self.where(name)} is a link, and is not followed", hint=LINK_HINT
                ) from None
            raise

    def made(self, name: str, mode: int) -> "Folder":
        """Open a folder in this folder; make it if it is missing."""
        with suppress(FileExistsError):
            self._call(name, os.mkdir, name, mode, dir_fd=self._descriptor)
        return self.folder(name)

    def made_durably(self, name: str, mode: int) -> "Folder":
        """Like `made`, and the folder survives a loss of power.

        An existing folder is synced too: its maker may have died before its own sync.
        """
        made = self.made(name, mode)
        try:
            self.sync()
        except BaseException:
            os.close(made._descriptor)
            raise
        return made

    def open(self, name: str, flags: int, mode: int = 0) -> int:
        """Open the file of a name, unless it is a link, and return the descriptor."""
        return self._call(name, os.open, name, flags | _FILE, mode, dir_fd=self._descriptor)

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of a name's file, of a link itself; None: there is no such file."""
        with suppress(FileNotFoundError):
            return self._call(name, os.stat, name, dir_fd=self._descriptor, follow_symlinks=False)
        return None

    def is_link(self, name: str) -> bool:
        """Return whether a name is a link."""
        found = self.stat(name)
        return found is not None and kinds.S_ISLNK(found.st_mode)

    @contextmanager
    def entries(self, entries_max: int | None = None) -> "Generator[list[os.DirEntry[str]]]":
        """Yield the folder's entries, which can be queried inside the `with` block.

        More than `entries_max`, by default `ENTRIES_MAX`, are an error of the operating system.
        """
        entries_max = ENTRIES_MAX if entries_max is None else entries_max
        descriptor = self.open(".", _LISTED)
        try:
            with os.scandir(descriptor) as found:
                listed = list(islice(found, entries_max + 1))
            if len(listed) > entries_max:
                raise too_many(self._path, entries_max)
            yield listed
        finally:
            os.close(descriptor)

    def rename(self, name: str, to: "Folder", new_name: str) -> None:
        """Move a file or folder to another folder, replacing what has that name there."""
        self._require_name(new_name)
        self._call(
            name, os.rename, name, new_name,
            src_dir_fd=self._descriptor, dst_dir_fd=to._descriptor,
        )  # fmt: skip

    def link(self, name: str, to: "Folder", new_name: str) -> None:
        """Give a file a second name, which must be free."""
        self._require_name(new_name)
        self._call(
            name, os.link, name, new_name,
            src_dir_fd=self._descriptor, dst_dir_fd=to._descriptor, follow_symlinks=False,
        )  # fmt: skip

    def unlink(self, name: str) -> None:
        """Remove a file, or a link itself, which may be gone."""
        with suppress(FileNotFoundError):
            self._call(name, os.unlink, name, dir_fd=self._descriptor)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder."""
        self._call(name, os.rmdir, name, dir_fd=self._descriptor)

    def remove_tree(self, name: str) -> None:
        """Remove a folder with all that is in it, as far as that can be done.

        What is in it deeper than `walk` goes stays, and the folders around that.
        """
        with suppress(OSError, LinkError):
            with self.folder(name) as folder:
                for one in walk(folder, passing=OSError):
                    one.clear()
            self.rmdir(name)

    def sync(self) -> None:
        """Make the names in the folder survive a loss of power."""
        descriptor = self.open(".", _LISTED)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, name: str, mode: int) -> int | None:
        """Return a descriptor that locks a file until it is closed; None: the file is locked."""
        descriptor = self.open(name, os.O_RDWR | os.O_CREAT, mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _require_name(self, name: str) -> None:
        if name in {"", ".."} or "/" in name:
            raise RefusedError(f"{name!r} is no name of a file in {self}", hint=NAME_HINT)

    def _call(
        self,
        name: str,
        call: Callable[_Parameters, _Result],
        *args: _Parameters.args,
        **named: _Parameters.kwargs,
    ) -> _Result:
        self._require_name(name)
        try:
            return call(*args, **named)
        except OSError as exc:
            exc.filename, exc.filename2 = self.where(name), None
            raise


class Leaf(NamedTuple):
    """The last name of a path in its open folder, whether or not it exists."""

    folder: Folder
    name: str

    def __str__(self) -> str:
        return self.folder.where(self.name)

    def stat(self) -> os.stat_result | None:
        """Return the status of the file or folder, of a link itself; None: nothing is there."""
        return self.folder.stat(self.name)

    def is_folder(self) -> bool:
        """Return whether a folder is there."""
        found = self.stat()
        return found is not None and kinds.S_ISDIR(found.st_mode)


class Walked(NamedTuple):
    """One folder of a walk, yielded after the folders in it."""

    folder: Folder
    below: str
    """Names of the folders from the walk's start, each with a slash at its end."""
    folders: Sequence[str]
    too_deep: Sequence[str]
    """Folders beyond the walk's depth."""
    others: Sequence[str]

    def clear(self) -> None:
        """Remove what is directly in it, as far as that can be done."""
        for name in self.others:
            with suppress(OSError):
                self.folder.unlink(name)
        for name in self.folders:
            with suppress(OSError):
                self.folder.rmdir(name)


def opened(root: Path, names: Sequence[str] = ()) -> Folder:
    """Open a folder below a root.

    Raises:
        LinkError: a folder on the way is a link; the message names it.
        OSError: the operating system's error.
    """
    return _along(Folder.root(root), names, Folder.folder)


def made(root: Path, names: Sequence[str], mode: int, *, above: Sequence[str] = ()) -> Folder:
    """Open a folder below a root; make missing folders, durably.

    Args:
        root: Folder that the names are below.
        names: Names of the folders that may be missing.
        mode: Mode of new folders.
        above: Names of the folders above them, which exist and need no sync.

    Raises:
        LinkError: a folder on the way is a link; the message names it.
        OSError: the operating system's error.
    """
    return _along(opened(root, above), names, lambda folder, name: folder.made_durably(name, mode))


def _along(folder: Folder, names: Sequence[str], step: Callable[[Folder, str], Folder]) -> Folder:
    for name in names:
        with folder:
            inner = step(folder, name)
        folder = inner
    return folder


def walk(folder: Folder, *, passing: type[OSError] = FileNotFoundError) -> Generator[Walked]:
    """Yield a folder and all folders below it down to `DEPTH_MAX`, inner ones first.

    Links are not followed.

    Args:
        folder: Start of the walk; it stays open.
        passing: Kind of error for which a folder is skipped; by default a folder that is gone.

    Raises:
        OSError: a folder cannot be listed, or the walk has come upon more than `ENTRIES_MAX` names:
            those of the folders above the present one are in memory.
    """
    count = 0

    def within(folder: Folder, below: str) -> Generator[Walked]:
        nonlocal count
        if count > ENTRIES_MAX:
            raise too_many(str(folder), ENTRIES_MAX)
        with folder.entries() as entries:
            inner = {one.name: one.is_dir(follow_symlinks=False) for one in entries}
        count += len(inner)
        folders = [name for name, is_folder in inner.items() if is_folder]
        others = [name for name, is_folder in inner.items() if not is_folder]
        too_deep = folders if below.count("/") >= DEPTH_MAX else []
        walked = [] if too_deep else folders
        for name in walked:
            with suppress(passing), folder.folder(name) as one:
                yield from within(one, f"{below}{name}/")
        yield Walked(folder, below, walked, too_deep, others)

    return within(folder, "")


def too_many(path: str, names_max: int) -> OSError:
    """Return the error for more names than are read."""
    return OSError(errno.E2BIG, f"it has more than {names_max} names", path)
