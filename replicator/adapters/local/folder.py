"""Folders below a root, opened name by name; what is done in one is done by its descriptor.

A path is looked up anew by each call that takes one. Whoever can write to a shared folder can put a
link in the place of a folder between two such calls, and lead the second elsewhere. An open folder
stays the one that it is: nothing here takes a path below a root, and no link below one is followed.
The root's own path is the operator's, and may be a link.
"""

import fcntl
import os
import stat as kinds
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, ParamSpec, Self, TypeVar

from replicator.errors import RefusedError

DEPTH_MAX = 32
"""Folders in one another that are walked through; each is open meanwhile. Druid makes about six."""
LINK_HINT = "make it a folder of its own: what is ours is never looked for elsewhere"
NAME_HINT = "it would lead out of the folder"

# To pass through a folder takes no right to list it, and neither does this.
_WAY = os.O_PATH | os.O_DIRECTORY
_LISTED = os.O_RDONLY | os.O_DIRECTORY
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe is not waited for

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class LinkError(RefusedError):
    """A link stands where a folder is looked for."""


class Folder:
    """An open folder. It is closed at the end of a `with` block, whoever opened it."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor, self._path = descriptor, path

    @classmethod
    def root(cls, path: Path) -> Self:
        """Open a root, which may be a link.

        Raises:
            OSError: as the operating system says it.
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
        """Return the path that a name in it had when it was opened, for messages."""
        return f"{self._path}/{name}"

    # Each of the following raises what the operating system says, with the whole path.

    def folder(self, name: str) -> "Folder":
        """Open a folder in it.

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
        """Open a folder in it, and make that if it is not there."""
        with suppress(FileExistsError):
            self._call(name, os.mkdir, name, mode, dir_fd=self._descriptor)
        return self.folder(name)

    def made_durably(self, name: str, mode: int) -> "Folder":
        """Do the same, so that it survives a loss of power.

        One that is there is synced too: its maker may have died before its own sync.
        """
        made = self.made(name, mode)
        try:
            self.sync()
        except BaseException:
            os.close(made._descriptor)
            raise
        return made

    def open(self, name: str, flags: int, mode: int = 0) -> int:
        """Open what has a name in it, unless that is a link, and return the descriptor."""
        return self._call(name, os.open, name, flags | _FILE, mode, dir_fd=self._descriptor)

    def stat(self, name: str) -> os.stat_result | None:
        """Return what stands under a name, a link as itself; None: nothing does."""
        with suppress(FileNotFoundError):
            return self._call(name, os.stat, name, dir_fd=self._descriptor, follow_symlinks=False)
        return None

    def is_link(self, name: str) -> bool:
        """Return whether a name is that of a link."""
        found = self.stat(name)
        return found is not None and kinds.S_ISLNK(found.st_mode)

    @contextmanager
    def entries(self) -> "Generator[list[os.DirEntry[str]]]":
        """Give what is in it; entries can be asked about themselves inside of the block."""
        descriptor = self.open(".", _LISTED)
        try:
            with os.scandir(descriptor) as found:
                listed = list(found)
            yield listed
        finally:
            os.close(descriptor)

    def rename(self, name: str, to: "Folder", new_name: str) -> None:
        """Move what has a name to another folder, in place of what stands there."""
        self._require_name(new_name)
        self._call(
            name, os.rename, name, new_name,
            src_dir_fd=self._descriptor, dst_dir_fd=to._descriptor,
        )  # fmt: skip

    def link(self, name: str, to: "Folder", new_name: str) -> None:
        """Give a file a second name, which nothing may have yet."""
        self._require_name(new_name)
        self._call(
            name, os.link, name, new_name,
            src_dir_fd=self._descriptor, dst_dir_fd=to._descriptor, follow_symlinks=False,
        )  # fmt: skip

    def unlink(self, name: str) -> None:
        """Remove a file, or a link itself; it may be gone."""
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
        """Make the names in it survive a loss of power."""
        descriptor = self.open(".", _LISTED)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, name: str, mode: int) -> int | None:
        """Return a descriptor that locks a file until it is closed, None when it is locked."""
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
    """The last name of a path in its open folder, whether something stands there or not."""

    folder: Folder
    name: str

    def __str__(self) -> str:
        return self.folder.where(self.name)

    def stat(self) -> os.stat_result | None:
        """Return what stands there, a link as itself; None: nothing does."""
        return self.folder.stat(self.name)

    def is_folder(self) -> bool:
        """Return whether a folder stands there."""
        found = self.stat()
        return found is not None and kinds.S_ISDIR(found.st_mode)


class Walked(NamedTuple):
    """One folder of a walk, after all that are in it."""

    folder: Folder
    below: str
    """Its names from where the walk began, each with a slash at its end."""
    folders: Sequence[str]
    too_deep: Sequence[str]
    """Folders that were not walked through."""
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
        LinkError: one on the way is a link; the message names it.
        OSError: as the operating system says it.
    """
    return _along(Folder.root(root), names, Folder.folder)


def made(root: Path, names: Sequence[str], mode: int, *, above: Sequence[str] = ()) -> Folder:
    """Open a folder below a root, and make those that are not there, durably.

    Args:
        root: What the names are below.
        names: Of the folders that may have to be made.
        mode: Of new ones.
        above: The names of folders before them, which are there and need no sync.

    Raises:
        LinkError: one on the way is a link; the message names it.
        OSError: as the operating system says it.
    """
    return _along(opened(root, above), names, lambda folder, name: folder.made_durably(name, mode))


def _along(folder: Folder, names: Sequence[str], step: Callable[[Folder, str], Folder]) -> Folder:
    for name in names:
        with folder:
            inner = step(folder, name)
        folder = inner
    return folder


def walk(
    folder: Folder, *, passing: type[OSError] = FileNotFoundError, below: str = ""
) -> Generator[Walked]:
    """Yield a folder and all below it to a depth of `DEPTH_MAX`, the inner ones first.

    No link is followed.

    Args:
        folder: Where it begins; it stays open.
        passing: For what error a folder below is passed over; without it, for one that is gone.
        below: The names of `folder` in what is yielded.
    """
    with folder.entries() as entries:
        inner = {one.name: one.is_dir(follow_symlinks=False) for one in entries}
    folders = [name for name, is_folder in inner.items() if is_folder]
    others = [name for name, is_folder in inner.items() if not is_folder]
    too_deep = folders if below.count("/") >= DEPTH_MAX else []
    walked = [] if too_deep else folders
    for name in walked:
        with suppress(passing), folder.folder(name) as one:
            yield from walk(one, passing=passing, below=f"{below}{name}/")
    yield Walked(folder, below, walked, too_deep, others)
