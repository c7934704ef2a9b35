"""Our own files at a target in a folder, `<root>/_replicator/`.

A file is written among this process's unfinished work, made durable, and linked or renamed into its
place: a link fails when the name is taken, so of two that create it at once one gets it. What a
process that was killed has left there, the next one removes. No other user reads them: history
and bases hold what Druid's tables hold, passwords of supervisors too.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath

from replicator.adapters.local.files import (
    PRIVATE_FOLDER,
    is_text,
    make_folders,
    read_inside,
    refuse_links,
    sync,
    translated,
    write_durably,
)
from replicator.adapters.local.workspace import MOUNT, Workspace
from replicator.adapters.machine.threads import finished
from replicator.errors import NotFoundError, RefusedError, TransientError
from replicator.ports import DOCUMENT_BYTES_MAX

HIDDEN = "."
"""Prefix of names that belong to the file system, like NFS's `.nfs…`."""


class LocalArea:
    """An `Area` below the folder `root`, which must exist.

    Args:
        root: The deep storage's folder, as this process sees it.
        name: Of our own folder in it.
        unfinished: Where this process's work stands until it is whole.
    """

    def __init__(self, root: Path, name: str, unfinished: Workspace) -> None:
        self._root, self._top, self._unfinished = root, root / name, unfinished

    async def names(self, prefix: str) -> Sequence[str]:
        return await finished(lambda: self._names(prefix))

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        return await finished(lambda: self._get(name, bytes_max))

    async def create(self, name: str, data: bytes) -> bool:
        return await finished(lambda: self._create(name, data))

    async def replace(self, name: str, data: bytes) -> None:
        await finished(lambda: self._replace(name, data))

    async def delete(self, name: str) -> None:
        await finished(lambda: self._delete(name))

    async def extend(self, name: str, until: datetime) -> None:
        """Do nothing: a folder has no locks."""

    # ------------------------------------------------------------------------------ in a thread

    def _names(self, prefix: str) -> list[str]:
        folder = self._top / prefix.rpartition("/")[0]
        with translated(f"cannot list {folder}"):
            self._require_root()
            refuse_links(folder, self._root)
            found = [
                Path(parent, name).relative_to(self._top).as_posix()
                for parent, _, names in os.walk(folder, onerror=_raise_unless_missing)
                for name in names
                if not name.startswith(HIDDEN)
            ]
        return sorted(name for name in found if name.startswith(prefix) and is_text(name))

    def _get(self, name: str, bytes_max: int) -> bytes:
        path = self._path(name)
        with translated(f"cannot read {path}"):
            try:
                names = path.relative_to(self._root).parts
                return read_inside(self._root, names, bytes_max)
            except (FileNotFoundError, NotADirectoryError) as exc:
                self._require_root()
                raise NotFoundError(f"there is no {path}") from exc

    def _create(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        with translated(f"cannot write {path}"), self._written(path, data) as new:
            try:
                os.link(new, path)
            except FileExistsError:
                sync(path.parent)  # the process that made it may have died before its own sync
                return False
            sync(path.parent)
        return True

    def _replace(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with translated(f"cannot write {path}"), self._written(path, data) as new:
            new.replace(path)
            sync(path.parent)

    def _delete(self, name: str) -> None:
        path = self._path(name)
        with translated(f"cannot remove {path}"):
            refuse_links(path.parent, self._root)
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync(path.parent)

    @contextmanager
    def _written(self, path: Path, data: bytes) -> Generator[Path]:
        self._unfinished.prepare()
        refuse_links(path.parent, self._root)
        make_folders(path.parent, self._root, PRIVATE_FOLDER)
        new = self._unfinished.new_folder()
        try:
            write_durably(new, data)
            yield new
        finally:
            new.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in name:
            raise RefusedError(f"{name!r} is no name of a file in {self._top}")
        return self._top.joinpath(*parts)

    def _require_root(self) -> None:
        """A mount that is gone must never look like an empty history."""
        if not self._root.is_dir():
            raise TransientError(
                f"{self._root}: the deep storage is not there; is it mounted?", hint=MOUNT
            )


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
