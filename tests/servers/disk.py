"""A small disk of its own, which can be filled, and made read-only under open files."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path

SIZE_BYTES = 128 << 20
PIECES_BYTES = (1 << 20, 4096, 1)
BALLAST = "ballast"
GUARD = 'read -r _; while "$1" -l "$2" 2>/dev/null; do :; done; rm -f "$3"'
"""For a shell whose standard input ends with us: what is mounted at the folder goes then, also
views over it, and from under processes that a failed test has left."""


@dataclass
class Disk:
    """An ext4 in a file, mounted at a folder: only root can have one.

    It is gone with the process that made it, however that ends.
    """

    folder: Path
    image: Path
    _guard: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def make(self) -> bool:
        """Make and mount it; return whether that is possible here."""
        self.folder.mkdir(exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        if not _ran("mkfs.ext4", "-q", "-F", "-m", "0", str(self.image)):
            return False
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "sh", _program("umount"), str(self.folder), str(self.image)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # who kills our group leaves it alive
        )
        if not self._mount():
            self.remove()
            return False
        return True

    def remove(self) -> None:
        """Unmount it, also from under a process that a failed test has left."""
        assert self._guard is not None
        self._guard.communicate()
        assert not self.folder.is_mount()

    def fill(self, *, left_bytes: int) -> None:
        """Fill it but for so many bytes, and less than a block."""
        with (self.folder / BALLAST).open("wb", buffering=0) as file:
            for piece in PIECES_BYTES:
                _until_full(file.fileno(), b"x" * piece)
            file.truncate(max(0, file.tell() - left_bytes))

    def empty(self) -> None:
        """Take the filling away."""
        (self.folder / BALLAST).unlink()

    def abort(self) -> None:
        """Make it read-only at once, as the kernel does after an error of the device."""
        assert _ran("mount", "-o", "remount,abort", str(self.folder))

    def repair(self) -> None:
        """Check it and mount it again; nobody has a file open any more."""
        assert _ran("umount", str(self.folder)), f"{self.folder} is still in use"
        _ran("e2fsck", "-p", "-f", str(self.image))
        assert self._mount()

    @contextmanager
    def read_only_by_path(self) -> Iterator[None]:
        """Lay a read-only view over it: what is opened meanwhile cannot be written."""
        assert _ran("mount", "--bind", str(self.folder), str(self.folder))
        try:
            assert _ran("mount", "-o", "remount,bind,ro", str(self.folder))
            yield
        finally:
            assert _ran("umount", "-l", str(self.folder))

    def _mount(self) -> bool:
        return _ran("mount", "-o", "loop", str(self.image), str(self.folder))


def _until_full(descriptor: int, piece: bytes) -> None:
    try:
        while os.write(descriptor, piece) == len(piece):
            pass
    except OSError as exc:
        if exc.errno != ENOSPC:
            raise


def _ran(name: str, *args: str) -> bool:
    try:
        ended = subprocess.run([_program(name), *args], check=False, capture_output=True)
    except FileNotFoundError:
        return False
    return ended.returncode == 0


def _program(name: str) -> str:
    return shutil.which(name) or f"/usr/sbin/{name}"
