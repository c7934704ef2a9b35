"""The workspace of a local deep storage, `<root>/.replicator`: unfinished work, and receipts.

    tmp/<process>/     unfinished work of a running process, which keeps `<process>.lock` locked
    receipts/<2 hex>/  one small file per location, named by the location's SHA-256
    locks/<2 hex>      locked while a location is written

Receipts are not kept next to the bytes: Druid loads every file of a segment's folder, and deletes
that folder's parent when it kills the segment.
"""

import os
import re
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from replicator.adapters.local.files import (
    FOLDER,
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    read_document,
    write_durably,
)
from replicator.adapters.local.folder import Folder, Leaf, LinkError, made, opened
from replicator.adapters.transfer.receipt_json import FORMAT, HINT, ReceiptDocument, receipt_json
from replicator.errors import TooLargeError, TransientError
from replicator.model.document import Natural, Shape, written
from replicator.model.load_spec import Location
from replicator.model.timestamps import at_seconds
from replicator.ports import DOCUMENT_BYTES_MAX, Receipt

AREA = ".replicator"
TMP, RECEIPTS, LOCKS = "tmp", "receipts", "locks"
MOUNT = "mount it there, then run the command again"
RECEIPT_BYTES_MAX = 64 << 20
"""Limit of a receipt's size; one of a folder with a hundred thousand files takes 20 MB."""
_LOCK = re.compile(r"[0-9a-f]{32}\.lock")
LOCK_DELAY_FIRST_S, LOCK_DELAY_MAX_S = 0.001, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class InodeReceipt:
    """A receipt, and the inode that identifies its bytes among files of other programs."""

    receipt: Receipt
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _InodeReceiptDocument(ReceiptDocument):
    inode: Natural


_RECEIPT = Shape(_InodeReceiptDocument, HINT, formats=frozenset({FORMAT}))


class Workspace:
    """The workspace below one root, as one process uses it. All calls block."""

    def __init__(self, root: Path, *, lock_timeout_s: float) -> None:
        self._root = root
        self._lock_timeout_s = lock_timeout_s
        self._own = uuid4().hex
        self._mutex = threading.RLock()
        self._large = threading.Lock()
        """Held while a large receipt is read, which takes many times its size of memory."""
        self._alive: int | None = None

    @property
    def is_in_use(self) -> bool:
        """Whether this process has made its part."""
        return self._alive is not None

    def prepare(self) -> None:
        """Make the workspace at this process's first call, and clean up after dead processes.

        It is made only once: if it vanishes later, its mount did, or the folder is another one now.

        Raises:
            TransientError: root or workspace is gone.
        """
        with self._mutex:
            if self._alive is None:
                self.require_root()
                for name in (TMP, RECEIPTS, LOCKS):
                    with made(self._root, (AREA, name), PRIVATE_FOLDER):
                        pass
                with self._cleaning() as tmp:
                    self._alive = _lock_file(tmp, f"{self._own}.lock")
                    with tmp.made(self._own, PRIVATE_FOLDER):
                        pass
            else:
                self.require_root()

    def require_root(self) -> None:
        """Raise a TransientError if the root is gone, or the workspace after it was made.

        If another workspace is in its place, as in a folder that was restored from a copy, this
        process begins anew there after the error: whoever tries again asks first, by the store's
        id, whether the folder is still the target's.
        """
        if not self._root.is_dir():
            raise TransientError(
                f"{self._root}: the deep storage is not there; is it mounted?", hint=MOUNT
            )
        own = self._root / AREA / TMP / self._own
        with self._mutex:
            if self._alive is None or own.is_dir():
                return
            if not own.parent.is_dir():
                raise TransientError(f"{own} is gone; is the deep storage still mounted?")
            os.close(self._alive)
            self._alive = None
        raise TransientError(
            f"{own} is gone: {self._root} was exchanged, or restored from a copy, while this"
            " process used it",
            hint="run the command again; a process that goes on looks anew by itself. Then"
            " `replicator verify TARGET --level exists` names what the copy lacks",
        )

    def clean(self) -> None:
        """Remove the work of dead processes; a living one holds a lock."""
        self.prepare()
        with self._cleaning():
            pass

    def close(self) -> None:
        """Remove this process's part; if that fails, the next process removes it."""
        with self._mutex:
            if self._alive is not None:
                with suppress(OSError, LinkError), opened(self._root, (AREA, TMP)) as tmp:
                    tmp.remove_tree(self._own)
                    tmp.unlink(f"{self._own}.lock")
                os.close(self._alive)
                self._alive = None

    def unfinished(self) -> Folder:
        """Open the folder of this process's unfinished work.

        The caller names its work by `new_name` and removes it; if the caller is killed, the next
        process removes it.
        """
        return opened(self._root, (AREA, TMP, self._own))

    def work(self, name: str) -> Folder:
        """Open the folder of one piece of unfinished work; make it if it is missing."""
        with self.unfinished() as unfinished:
            return unfinished.made(name, FOLDER)

    def discard(self, name: str) -> None:
        """Remove a piece of work; if that fails, the next process removes it."""
        with suppress(OSError, LinkError), self.unfinished() as unfinished:
            unfinished.remove_tree(name)

    @contextmanager
    def placing(self, location: Location) -> Generator[None]:
        """Lock a location against all other writers, in this process and others."""
        with self._locked((AREA, LOCKS), _name(location)[:2]):
            yield

    def written_receipt(self, location: Location) -> InodeReceipt | None:
        """Return the receipt of a location, whether or not its bytes are still there.

        Raises:
            CorruptionError: the receipt cannot be read.
        """
        try:
            return self._receipt(location, DOCUMENT_BYTES_MAX)
        except TooLargeError:
            with self._large:
                return self._receipt(location, RECEIPT_BYTES_MAX)

    def _receipt(self, location: Location, bytes_max: int) -> InodeReceipt | None:
        try:
            with self._receipts_of(location) as folder:
                leaf = Leaf(folder, _receipt_name(location))
                data, mtime_s = read_document(leaf, bytes_max)
        except FileNotFoundError:
            return None
        name = f"{leaf}: the receipt of {location}"
        found = _RECEIPT.read(name, data)
        if found.location != location:
            raise _RECEIPT.unreadable(name, f"it belongs to {found.location!r}")
        stored_at = at_seconds(mtime_s)
        return InodeReceipt(
            receipt=replace(found.receipt(), stored_at=stored_at), inode=found.inode
        )

    def keep(self, location: Location, written_receipt: InodeReceipt) -> None:
        """Store a receipt in one step, durably."""
        found = {
            "location": location,
            "inode": written_receipt.inode,
            **receipt_json(written_receipt.receipt),
        }
        of_location, receipts = [_name(location)[:2]], (AREA, RECEIPTS)
        with (
            made(self._root, of_location, PRIVATE_FOLDER, above=receipts) as folder,
            self.new_document(written(found, FORMAT)) as new,
        ):
            new.folder.rename(new.name, folder, _receipt_name(location))
            folder.sync()

    @contextmanager
    def new_document(self, data: bytes) -> Generator[Leaf]:
        """Write a new document in the unfinished work, to be renamed or linked from there."""
        with self.unfinished() as unfinished:
            new = Leaf(unfinished, new_name())
            try:
                write_durably(new, data)
                yield new
            finally:
                unfinished.unlink(new.name)

    def has(self, location: Location) -> bool:
        """Return whether a location has a receipt."""
        try:
            with self._receipts_of(location) as folder:
                return folder.stat(_receipt_name(location)) is not None
        except FileNotFoundError:
            return False

    def forget(self, location: Location) -> None:
        """Remove a receipt, which may be gone, durably."""
        with suppress(FileNotFoundError), self._receipts_of(location) as folder:
            folder.unlink(_receipt_name(location))
            folder.sync()

    def _receipts_of(self, location: Location) -> Folder:
        return opened(self._root, (AREA, RECEIPTS, _name(location)[:2]))

    @contextmanager
    def _cleaning(self) -> Generator[Folder]:
        """Remove the work of dead processes, while other processes are kept from doing the same."""
        # Making its own lock and removing those of others must not overlap: a process that starts
        # meanwhile would find its new folder removed.
        with self._locked((AREA,), "lock"), opened(self._root, (AREA, TMP)) as tmp:
            with tmp.entries() as entries:
                names = [entry.name for entry in entries]
            for name in filter(_LOCK.fullmatch, names):
                if (descriptor := tmp.lock(name, PRIVATE_FILE)) is not None:
                    tmp.remove_tree(name.removesuffix(".lock"))
                    tmp.unlink(name)
                    os.close(descriptor)
            yield tmp

    @contextmanager
    def _locked(self, names: Sequence[str], name: str) -> Generator[None]:
        # Polled with a deadline: a stopped process that has the lock must not stop this one.
        deadline, delay_s = time.monotonic() + self._lock_timeout_s, LOCK_DELAY_FIRST_S
        with opened(self._root, names) as folder:
            while (descriptor := folder.lock(name, PRIVATE_FILE)) is None:
                if time.monotonic() > deadline:
                    raise TransientError(f"{folder.where(name)} is locked by another process")
                time.sleep(delay_s)
                delay_s = min(2 * delay_s, LOCK_DELAY_MAX_S)
        try:
            yield
        finally:
            os.close(descriptor)


def new_name() -> str:
    """Return a name that is not in use."""
    return uuid4().hex


def _name(location: Location) -> str:
    return sha256(location.encode()).hexdigest()


def _receipt_name(location: Location) -> str:
    return f"{_name(location)}.json"


def _lock_file(folder: Folder, name: str) -> int:
    descriptor = folder.lock(name, PRIVATE_FILE)
    if descriptor is None:
        raise TransientError(f"{folder.where(name)} is locked by another process")
    return descriptor
