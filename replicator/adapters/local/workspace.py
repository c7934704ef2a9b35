"""Our own corner of a local deep storage, `<root>/.replicator`: unfinished work, and receipts.

    tmp/<process>/     what one running process writes; `<process>.lock` is locked while it lives
    receipts/<2 hex>/  one small file a location, named by the location's SHA-256
    locks/<2 hex>      held while a location is put in its place

Receipts are not kept next to the bytes: Druid loads every file of a segment's folder, and deletes
that folder's parent when it kills the segment.
"""

import fcntl
import os
import re
import shutil
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from replicator.adapters.local.files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    folder_inside,
    make_folders,
    read_inside,
    refuse_links,
    sync,
    write_durably,
)
from replicator.adapters.transfer.receipt_json import FORMAT, HINT, ReceiptDocument, receipt_json
from replicator.errors import TransientError
from replicator.model.document import Natural, Shape, written
from replicator.model.load_spec import Location
from replicator.ports import Receipt

AREA = ".replicator"
MOUNT = "mount it there, then run the command again"
RECEIPT_BYTES_MAX = 64 << 20
"""Limit for a receipt's bytes; a folder with a hundred thousand files takes 20 MB."""
_LOCK = re.compile(r"[0-9a-f]{32}\.lock")
LOCK_DELAY_FIRST_S, LOCK_DELAY_MAX_S = 0.001, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class InodeReceipt:
    """A receipt, and the inode that tells its bytes from a file that another program put there."""

    receipt: Receipt
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _InodeReceiptDocument(ReceiptDocument):
    inode: Natural


_RECEIPT = Shape(_InodeReceiptDocument, HINT, formats=frozenset({FORMAT}))


class Workspace:
    """The private area below one root, as one process uses it. All calls block."""

    def __init__(self, root: Path, *, lock_timeout_s: float) -> None:
        self._root, self._top = root, root / AREA
        self._lock_timeout_s = lock_timeout_s
        self._own = self._top / "tmp" / uuid4().hex
        self._mutex = threading.Lock()
        self._alive: int | None = None

    def prepare(self) -> None:
        """Make the area when this process has not done so yet, and clean up after dead ones.

        It is made once: should it vanish later, then the mount under it did.

        Raises:
            TransientError: root or area is gone.
        """
        with self._mutex:
            if self._alive is None:
                self.require_root()
                for name in ("tmp", "receipts", "locks"):
                    refuse_links(self._top / name, self._root)
                    make_folders(self._top / name, self._root, PRIVATE_FOLDER)
                with self._locked(self._top / "lock"):
                    self._remove_dead()
                    self._alive = _lock_file(self._own.with_suffix(".lock"))
                    self._own.mkdir(PRIVATE_FOLDER)
            else:
                self.require_root()

    def require_root(self) -> None:
        """Raise a TransientError when the root, or the area once it was made, is gone."""
        if not self._root.is_dir():
            raise TransientError(
                f"{self._root}: the deep storage is not there; is it mounted?", hint=MOUNT
            )
        if self._alive is not None and not self._own.is_dir():
            raise TransientError(f"{self._own} is gone; is the deep storage still mounted?")

    def clean(self) -> None:
        """Remove what processes left that are dead; a live one holds a lock on its own."""
        self.prepare()
        with self._locked(self._top / "lock"):
            self._remove_dead()

    def close(self) -> None:
        """Remove this process's part; where that fails, the next process does it."""
        with self._mutex:
            if self._alive is not None:
                shutil.rmtree(self._own, ignore_errors=True)
                with suppress(OSError):
                    self._own.with_suffix(".lock").unlink()
                os.close(self._alive)
                self._alive = None

    def new_folder(self) -> Path:
        """Return the path of a folder, or a file, for one piece of work.

        The caller makes and removes it; when that is killed, the next process does.
        """
        return self._own / uuid4().hex

    @contextmanager
    def placing(self, location: Location) -> Generator[None]:
        """Shut out all other writers of a location, in this process and in others."""
        lock = self._top / "locks" / _name(location)[:2]
        refuse_links(lock, self._root)
        with self._locked(lock):
            yield

    def written_receipt(self, location: Location) -> InodeReceipt | None:
        """Return the receipt of a location, whatever has become of its bytes.

        Raises:
            CorruptionError: there is one and it cannot be read.
        """
        path = self._receipt_path(location)
        name = f"{path}: the receipt of {location}"
        try:
            names = path.relative_to(self._root).parts
            data = read_inside(self._root, names, RECEIPT_BYTES_MAX)
            stored_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None
        found = _RECEIPT.read(name, data)
        if found.location != location:
            raise _RECEIPT.unreadable(name, f"it is that of {found.location!r}")
        return InodeReceipt(
            receipt=replace(found.receipt(), stored_at=stored_at), inode=found.inode
        )

    def keep(self, location: Location, written_receipt: InodeReceipt) -> None:
        """Store a receipt in one step, durably."""
        path, new = self._receipt_path(location), self._own / f"{uuid4().hex}.json"
        found = {
            "location": location,
            "inode": written_receipt.inode,
            **receipt_json(written_receipt.receipt),
        }
        try:
            write_durably(new, written(found, FORMAT))
            refuse_links(path.parent, self._root)
            make_folders(path.parent, self._top / "receipts", PRIVATE_FOLDER)
            new.rename(path)
            sync(path.parent)
        finally:
            new.unlink(missing_ok=True)

    def has(self, location: Location) -> bool:
        """Return whether there is a receipt."""
        return self._receipt_path(location).exists()

    def forget(self, location: Location) -> None:
        """Remove a receipt, durably; it may be gone."""
        path = self._receipt_path(location)
        refuse_links(path.parent, self._root)
        if path.parent.is_dir():
            path.unlink(missing_ok=True)
            sync(path.parent)

    def _receipt_path(self, location: Location) -> Path:
        name = _name(location)
        return self._top / "receipts" / name[:2] / f"{name}.json"

    def _remove_dead(self) -> None:
        """Remove the work of dead processes: by descriptors, so that no link leads elsewhere."""
        with folder_inside(self._root, (AREA, "tmp")) as tmp:
            for name in os.listdir(tmp):  # noqa: PTH208 - of a descriptor
                if not _LOCK.fullmatch(name) or (descriptor := _try_lock(name, tmp)) is None:
                    continue
                shutil.rmtree(name.removesuffix(".lock"), ignore_errors=True, dir_fd=tmp)
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=tmp)
                os.close(descriptor)

    @contextmanager
    def _locked(self, path: Path) -> Generator[None]:
        # Polled and not waited for: a stopped process that holds it must not stop this one.
        deadline, delay_s = time.monotonic() + self._lock_timeout_s, LOCK_DELAY_FIRST_S
        while (descriptor := _try_lock(path)) is None:
            if time.monotonic() > deadline:
                raise TransientError(f"{path} is locked by another process")
            time.sleep(delay_s)
            delay_s = min(2 * delay_s, LOCK_DELAY_MAX_S)
        try:
            yield
        finally:
            os.close(descriptor)


def _name(location: Location) -> str:
    return sha256(location.encode()).hexdigest()


def _try_lock(path: Path | str, folder: int | None = None) -> int | None:
    """Return a descriptor that holds the lock until it is closed, None when it is taken."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, PRIVATE_FILE, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock_file(path: Path) -> int:
    descriptor = _try_lock(path)
    if descriptor is None:
        raise TransientError(f"{path} is locked by another process")
    return descriptor
