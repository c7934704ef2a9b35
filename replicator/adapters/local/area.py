"""A target's own files in a folder, `<root>/_replicator/`.

A file is written in this process's unfinished work, made durable, and linked or renamed into place.
A link fails if the name is taken, so of two processes that create a file at once, one succeeds. The
next process removes what a killed one left. Other users cannot read the files: history and bases
hold the contents of Druid's tables, including supervisors' passwords.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath

from replicator.adapters.local.files import (
    PRIVATE_FOLDER,
    is_text,
    read_document,
    translated,
)
from replicator.adapters.local.folder import ENTRIES_MAX, Folder, Leaf, made, opened, too_many, walk
from replicator.adapters.local.workspace import MOUNT, Workspace
from replicator.adapters.machine.threads import Threads
from replicator.errors import NotFoundError, RefusedError, TransientError
from replicator.ports import DOCUMENT_BYTES_MAX

HIDDEN = "."
"""Prefix of names that belong to the file system, like NFS's `.nfs…`."""


class LocalArea:
    """An `Area` below the folder `root`, which must exist.

    Args:
        root: The deep storage's folder, as this process sees it.
        name: Name of the area's folder in it.
        unfinished: Workspace for files that are not complete yet.
        threads: What makes the file calls.
    """

    def __init__(self, root: Path, name: str, unfinished: Workspace, threads: Threads) -> None:
        self._root, self._name, self._unfinished = root, name, unfinished
        self._threads = threads

    async def names(self, prefix: str) -> Sequence[str]:
        return await self._threads.answered(lambda: self._names(prefix))

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        return await self._threads.answered(lambda: self._get(name, bytes_max))

    async def create(self, name: str, data: bytes) -> bool:
        return await self._threads.finished(lambda: self._create(name, data))

    async def replace(self, name: str, data: bytes) -> None:
        await self._threads.finished(lambda: self._replace(name, data))

    async def delete(self, name: str) -> None:
        await self._threads.finished(lambda: self._delete(name))

    async def extend(self, name: str, until: datetime) -> None:
        """Do nothing: a folder has no locks."""

    # ------------------------------------------------------------------------------ in a thread

    def _names(self, prefix: str) -> list[str]:
        above = prefix.rpartition("/")[0]
        names = (self._name, *PurePosixPath(above).parts)
        with translated(f"cannot list {self._root.joinpath(*names)}"):
            self._require_root()
            try:
                with opened(self._root, names) as folder:
                    below = f"{above}/" if above else ""
                    listed = (
                        f"{below}{one.below}{name}"
                        for one in walk(folder)
                        for name in one.others
                        if not name.startswith(HIDDEN)
                    )
                    found = list(islice(listed, ENTRIES_MAX + 1))
                    if len(found) > ENTRIES_MAX:
                        raise too_many(str(folder), ENTRIES_MAX)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(name for name in found if name.startswith(prefix) and is_text(name))

    def _get(self, name: str, bytes_max: int) -> bytes:
        names = self._parts(name)
        path = self._root.joinpath(*names)
        with translated(f"cannot read {path}"):
            try:
                with opened(self._root, names[:-1]) as folder:
                    return read_document(Leaf(folder, names[-1]), bytes_max)[0]
            except (FileNotFoundError, NotADirectoryError) as exc:
                self._require_root()
                raise NotFoundError(f"there is no {path}") from exc

    def _create(self, name: str, data: bytes) -> bool:
        names = self._parts(name)
        with translated(f"cannot write {self._root.joinpath(*names)}"):
            self._unfinished.prepare()
            with self._made(names) as folder, self._unfinished.new_document(data) as new:
                try:
                    new.folder.link(new.name, folder, names[-1])
                except FileExistsError:
                    folder.sync()  # the process that made it may have died before its own sync
                    return False
                folder.sync()
        return True

    def _replace(self, name: str, data: bytes) -> None:
        names = self._parts(name)
        with translated(f"cannot write {self._root.joinpath(*names)}"):
            self._unfinished.prepare()
            with self._made(names) as folder, self._unfinished.new_document(data) as new:
                new.folder.rename(new.name, folder, names[-1])
                folder.sync()

    def _delete(self, name: str) -> None:
        names = self._parts(name)
        with translated(f"cannot remove {self._root.joinpath(*names)}"):
            try:
                folder = opened(self._root, names[:-1])
            except (FileNotFoundError, NotADirectoryError):
                return
            with folder:
                folder.unlink(names[-1])
                folder.sync()

    def _made(self, names: Sequence[str]) -> Folder:
        return made(self._root, names[:-1], PRIVATE_FOLDER)

    def _parts(self, name: str) -> tuple[str, ...]:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in name:
            raise RefusedError(f"{name!r} is no name of a file in {self._root / self._name}")
        return (self._name, *parts)

    def _require_root(self) -> None:
        """Raise a TransientError for a missing mount: it must never look like an empty history."""
        if not self._root.is_dir():
            raise TransientError(
                f"{self._root}: the deep storage is not there; is it mounted?", hint=MOUNT
            )
