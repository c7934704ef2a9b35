"""A small disk of its own, which can be filled, and made read-only under open files."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path

SIZE_BYTES = 128 << 20
PIECES_BYTES = (1 << 20, 4096, 1)
BALLAST = "ballast"


@dataclass(frozen=True)
class Disk:
    """An ext4 in a file, mounted at a folder: only root can have one."""

    folder: Path
    image: Path

    def make(self) -> bool:
        """Make and mount it; return whether that is possible here."""
        self.folder.mkdir(exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        made = _ran("mkfs.ext4", "-q", "-F", "-m", "0", str(self.image))
        return made and self._mount()

    def remove(self) -> None:
        """Unmount it, also from under a process that a failed test has left."""
        assert _ran("umount", "-l", str(self.folder))
        self.image.unlink()

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
    program = shutil.which(name) or f"/usr/sbin/{name}"
    try:
        return subprocess.run([program, *args], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
