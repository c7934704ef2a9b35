"""A deep storage in a folder, laid out as `druid.storage.type=local`; the folder may be a mount.

The source's files are never hard-linked: a link would change and decay together with its file.
"""

import os
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from errno import EACCES, ENOENT
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from replicator.adapters.local.area import LocalArea
from replicator.adapters.local.files import (
    FILE,
    FOLDER,
    FileWriting,
    Found,
    files_at,
    folder_with_more,
    is_text,
    new_file,
    read_document,
    remove_empty,
    remove_files,
    sync_file_system,
    sync_files,
    sync_tree,
    translated,
)
from replicator.adapters.local.folder import Folder, Leaf, LinkError, made
from replicator.adapters.local.locations import local_locations
from replicator.adapters.local.reader import PIECE_BYTES, LocalDeepStorageReader
from replicator.adapters.local.workspace import InodeReceipt, Workspace, new_name
from replicator.adapters.machine.threads import Threads
from replicator.adapters.transfer.hashing import Sha256
from replicator.errors import (
    CorruptionError,
    MissingObjectError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.load_spec import Location
from replicator.ports import (
    OWN_AREA,
    Checked,
    CopySource,
    DeepStorageReader,
    Known,
    Piece,
    Receipt,
    StoredLocation,
    StoredObject,
)

PROBE_BYTES = 4096
NEW, OLD = "new", "old"
"""Names within one piece of work: the new bytes, and the old ones that they replace."""
PAGE_PLACES_MAX = 1000

FOLDER_HINT = (
    "if a disk belongs there, mount it; if there never was one, `replicator target create TARGET`"
    " makes it"
)


class LocalDeepStorage(LocalDeepStorageReader):
    """A `TargetStorage` in the folder `root`, which must exist.

    Bytes are written to `<root>/.replicator` until they are complete and durable, then renamed into
    place. The receipt is durable before that: after any crash there are bytes with a receipt, or a
    receipt without bytes, which counts for nothing.

    Args:
        root: `druid.storage.storageDirectory`, as this process sees it.
        piece_bytes: Bytes read at once.
        lock_timeout_s: Longest wait for another process that writes to the same location.
        threads: What makes the file calls; default: threads of this folder alone.
    """

    def __init__(
        self,
        root: Path,
        *,
        piece_bytes: int = PIECE_BYTES,
        lock_timeout_s: float = 60.0,
        threads: Threads | None = None,
    ) -> None:
        super().__init__(root, piece_bytes=piece_bytes, threads=threads)
        self._area = Workspace(root, lock_timeout_s=lock_timeout_s)
        self._settled = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Remove this process's part of the workspace; if it hangs, the next process removes it."""
        if self._area.is_in_use:
            with suppress(TransientError):
                await self._threads.finished(self._area.close)

    def area(self) -> LocalArea:
        """Return the target's own files."""
        return LocalArea(self._root, OWN_AREA, self._area, self._threads)

    async def clean(self) -> None:
        """Remove unfinished work of dead processes, as the first `put` does too."""
        await self._threads.finished(self._clean)

    async def receipt(self, location: Location) -> Receipt | None:
        found = await self._threads.answered(lambda: self._receipt(location))
        # A rename that a killed process did not sync is seen by everybody until the power fails: a
        # row may point there only once it is durable.
        if found is not None and not self._settled:
            await self._threads.finished(self._settle)
        return found

    def copies_from(self, reader: DeepStorageReader, location: Location) -> bool:
        del reader, location
        return False

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        _require_names(location, copy_source.objects)
        if await self._threads.finished(lambda: self._begin(location, copy_source)):
            return await self._adopt(location, copy_source)
        work = new_name()
        try:
            receipt = await self._written(work, location, copy_source)
            return await self._threads.finished(lambda: self._place(location, work, receipt))
        finally:
            await self._threads.finished(lambda: self._area.discard(work))

    async def remove(self, location: Location) -> None:
        await self._threads.finished(lambda: self._remove(location))

    async def written_receipt(self, location: Location) -> Receipt | None:
        found = await self._threads.answered(lambda: self._inode_receipt(location))
        return None if found is None else found.receipt

    async def write_receipt(self, location: Location, receipt: Receipt) -> None:
        await self._threads.finished(lambda: self._write_receipt(location, receipt))

    async def replace(
        self, location: Location, copy_source: CopySource, truth: Receipt | None
    ) -> Receipt:
        _require_names(location, copy_source.objects)
        await self._threads.finished(lambda: self._prepare(location))
        work = new_name()
        try:
            receipt = (await self._written(work, location, copy_source)).confirmed(truth)
            if receipt is None:
                raise CorruptionError(
                    f"{location}: the bytes that arrived differ from its receipt; the old ones stay"
                )
            final = receipt
            await self._threads.finished(lambda: self._swap(location, work, final))
            return final
        finally:
            await self._threads.finished(lambda: self._area.discard(work))

    async def extend(self, location: Location, until: datetime) -> None:
        del until
        self._names(location)

    async def stored_locations(self, known: Known) -> AsyncIterator[Sequence[StoredLocation]]:
        found = local_locations(self._root, self._area, known)
        while page := await self._threads.answered(lambda: self._page(found)):
            yield page

    async def create(self) -> None:
        await self._threads.finished(self._create)

    async def probe(self) -> Sequence[str]:
        await self._threads.finished(self._probe)
        return ()

    async def _adopt(self, location: Location, copy_source: CopySource) -> Receipt:
        """Adopt files of another program if they are equal; nothing is overwritten."""
        arriving = [await _digest(location, wanted, copy_source) for wanted in copy_source.objects]
        receipt = Receipt(objects=tuple(arriving), copied_from=copy_source.objects)
        try:
            listed, there = await self.objects(location), await self.check(location)
        except MissingObjectError as exc:
            raise TransientError(f"{exc}: it was there when its copy began") from exc
        if there != receipt.objects:
            raise _holds_others(str(self._path(location)))
        await self._threads.finished(lambda: self._take_over(location, receipt, listed))
        return receipt

    async def _written(self, work: str, location: Location, copy_source: CopySource) -> Receipt:
        """Write the source's bytes into the workspace, next to their location."""
        checked = [
            await self._write(work, location, wanted, copy_source) for wanted in copy_source.objects
        ]
        return Receipt(objects=tuple(checked), copied_from=copy_source.objects)

    async def _write(
        self, work: str, location: Location, wanted: StoredObject, copy_source: CopySource
    ) -> Checked:
        writing = FileWriting(partial(self._new_file, work, wanted.name))
        doing = f"cannot write {location}{wanted.name} to {self._root}"
        try:
            last: Piece = b""
            async for piece in copy_source.read(wanted):
                if last:
                    with translated(doing):
                        await self._threads.finished(partial(writing.piece, last))
                last = piece
            with translated(doing):
                checksum = await self._threads.finished(partial(writing.end, last))
        finally:
            if writing.is_open:
                await self._threads.finished(writing.close)
        if writing.size_bytes != wanted.size_bytes:
            raise _other_number(location, wanted, writing.size_bytes)
        return Checked(name=wanted.name, size_bytes=wanted.size_bytes, sha256=checksum)

    # ------------------------------------------------------------------------------ in a thread

    def _clean(self) -> None:
        with translated(f"cannot clean {self._root}"):
            self._area.clean()

    def _new_file(self, work: str, name: str) -> int:
        """Create a file of a location in the unfinished work: in its folder, or as the only one."""
        with self._area.work(work) as unfinished:
            if not name:
                return new_file(Leaf(unfinished, NEW), FILE)
            with unfinished.made(NEW, FOLDER) as folder:
                return new_file(Leaf(folder, name), FILE)

    def _receipt(self, location: Location) -> Receipt | None:
        with translated(f"cannot read {self._path(location)}"):
            self._area.require_root()
            with (
                suppress(FileNotFoundError, NotADirectoryError),
                self._at(self._names(location)) as leaf,
            ):
                written_receipt = self._area.written_receipt(location)
                if written_receipt is not None and _holds(leaf, written_receipt.receipt):
                    return written_receipt.receipt
            return None

    def _settle(self) -> None:
        """Once per process, sync what a killed process may have renamed without a sync."""
        with translated(f"cannot sync {self._root}"):
            sync_file_system(self._root)
        self._settled = True

    def _begin(self, location: Location, copy_source: CopySource) -> bool:
        """Refuse early, before anything is read; `_place` checks again.

        Returns:
            Whether another program's files are here that may be equal to the source's.
        """
        with translated(f"cannot write {self._path(location)}"):
            self._area.prepare()
            self._require_in_no_folder(location)
            written_receipt = self._area.written_receipt(location)
            with suppress(FileNotFoundError), self._at(self._names(location)) as leaf:
                if written_receipt is not None and _holds(leaf, written_receipt.receipt):
                    return False
                if not _is_remainder(leaf, written_receipt):
                    self._require_adoptable(location, leaf, copy_source.objects)
                    return True
        return False

    def _require_adoptable(
        self, location: Location, leaf: Leaf, objects: Sequence[StoredObject]
    ) -> Sequence[Found]:
        """Refuse files of other names or sizes, hard links, and files stored for another row."""
        _require_kind(leaf, location)
        found = files_at(leaf)
        for one in found:
            if one.name and self._area.has(Location(location + one.name)):
                raise RefusedError(
                    f"{leaf}/{one.name} is stored for a row that names it, and {location!r} would"
                    " take it for one of its own files",
                    hint="correct the load spec of the row whose segment is not there",
                )
        there = [(one.name, one.size_bytes) for one in found]
        if there != sorted((one.name, one.size_bytes) for one in objects):
            raise _holds_others(str(leaf))
        for one in found:
            if one.links > 1:
                raise RefusedError(
                    f"{leaf}{one.name and '/'}{one.name} is a hard link: whoever writes to the"
                    " file's other name changes it",
                    hint="copy the file, and put the copy in its place",
                )
        return found

    def _path(self, location: Location) -> Path:
        """Return the path of a location, for messages."""
        return self._root.joinpath(*self._names(location))

    @contextmanager
    def _made(self, location: Location) -> Generator[Leaf]:
        """Open the folder that holds a location; make missing folders."""
        *above, name = self._names(location)
        try:
            folder = made(self._root, above, FOLDER)
        except LinkError:
            folder = made(self._root, self._led(above), FOLDER)
        with folder:
            yield Leaf(folder, name)

    def _place(self, location: Location, work: str, receipt: Receipt) -> Receipt:
        with (
            translated(f"cannot write {self._path(location)}"),
            self._area.placing(location),
            self._area.work(work) as unfinished,
        ):
            self._area.require_root()
            with self._made(location) as leaf:
                written_receipt = self._area.written_receipt(location)
                if written_receipt is not None and _holds(leaf, written_receipt.receipt):
                    return self._confirm(location, leaf, written_receipt, receipt)
                # Remove first: under the new receipt, remains of older bytes might look complete.
                _clear(leaf, written_receipt)
                new = Leaf(unfinished, NEW)
                sync_tree(new)
                self._area.keep(location, InodeReceipt(receipt=receipt, inode=_inode(new)))
                _rename(new, leaf)
        return receipt

    def _take_over(
        self, location: Location, receipt: Receipt, listed: Sequence[StoredObject]
    ) -> None:
        """Write the receipt of compared files, if they are still as they were listed."""
        with (
            translated(f"cannot adopt {self._path(location)}"),
            self._area.placing(location),
            self._made(location) as leaf,
        ):
            self._area.require_root()
            found = self._require_adoptable(location, leaf, receipt.copied_from)
            if [str(one.mtime_ns) for one in found] != [one.tag for one in listed]:
                raise TransientError(f"{leaf} was written while it was compared")
            sync_files(leaf, [one.name for one in found])
            self._area.keep(location, InodeReceipt(receipt=receipt, inode=_inode(leaf)))

    def _confirm(
        self, location: Location, leaf: Leaf, written_receipt: InodeReceipt, receipt: Receipt
    ) -> Receipt:
        """Adopt complete bytes that equal the new ones, and record their origin."""
        if written_receipt.receipt.objects != receipt.objects:
            raise _holds_others(str(leaf))
        leaf.folder.sync()  # the process that wrote it may have died before its own sync
        # The same bytes under other tags: without the new ones each later comparison would read
        # them again.
        if written_receipt.receipt.copied_from != receipt.copied_from:
            self._area.keep(location, InodeReceipt(receipt=receipt, inode=written_receipt.inode))
        return receipt

    def _remove(self, location: Location) -> None:
        with translated(f"cannot remove {self._path(location)}"):
            self._area.prepare()
            with self._area.placing(location):
                # The replicator's own bytes always have a receipt. Bytes without one may belong to
                # another location: a row of the source can name any.
                if not self._area.has(location):
                    return
                with suppress(FileNotFoundError, NotADirectoryError):
                    self._remove_bytes(location)
                self._area.forget(location)
            remove_empty(self._folder, self._names(location)[:-1])

    def _remove_bytes(self, location: Location) -> None:
        with self._at(self._names(location)) as leaf:
            if not _is_of_kind(leaf, location):
                return
            if location.endswith("/"):
                remove_files(leaf, self._own_names(location))
            else:
                leaf.folder.unlink(leaf.name)
                leaf.folder.sync()

    def _own_names(self, location: Location) -> list[str]:
        """Return the files that a folder's receipt names; earlier versions named deeper ones."""
        try:
            written_receipt = self._area.written_receipt(location)
        except CorruptionError as exc:
            raise RefusedError(
                f"the files of {location} are unknown: {exc}",
                hint="look at the folder, and remove it by hand if nothing needs it",
            ) from exc
        objects = () if written_receipt is None else written_receipt.receipt.objects
        return [stored.name for stored in objects if _is_name(stored.name)]

    def _inode_receipt(self, location: Location) -> InodeReceipt | None:
        with translated(f"cannot read {self._path(location)}"):
            self._area.require_root()
            return self._area.written_receipt(location)

    def _prepare(self, location: Location) -> None:
        with translated(f"cannot write {self._path(location)}"):
            self._area.prepare()

    def _write_receipt(self, location: Location, receipt: Receipt) -> None:
        with translated(f"cannot write the receipt of {self._path(location)}"):
            self._area.prepare()
            with self._area.placing(location):
                inode = self._inode_of(location, receipt)
                if inode is None:
                    path = self._path(location)
                    raise MissingObjectError(f"{path} does not match its new receipt")
                # the process that wrote it may have died before its own sync
                sync_file_system(self._root)
                self._area.keep(location, InodeReceipt(receipt=receipt, inode=inode))

    def _inode_of(self, location: Location, receipt: Receipt) -> int | None:
        """Return the inode of bytes that match a receipt; None: none match."""
        names = self._names(location)
        with suppress(FileNotFoundError, NotADirectoryError), self._at(names) as leaf:
            return _inode(leaf) if _holds(leaf, receipt) else None
        return None

    def _swap(self, location: Location, work: str, receipt: Receipt) -> None:
        with (
            translated(f"cannot write {self._path(location)}"),
            self._area.placing(location),
            self._area.work(work) as unfinished,
        ):
            self._area.require_root()
            self._require_in_no_folder(location)
            with self._made(location) as leaf:
                _require_kind(leaf, location)
                _require_nothing_deeper(leaf)
                new = Leaf(unfinished, NEW)
                sync_tree(new)
                # Moved aside and not removed: whatever stops this puts the old bytes back.
                if leaf.stat() is not None:
                    leaf.folder.rename(leaf.name, unfinished, OLD)
                try:
                    self._area.keep(location, InodeReceipt(receipt=receipt, inode=_inode(new)))
                    _rename(new, leaf)
                except BaseException:
                    if unfinished.stat(OLD) is not None:
                        unfinished.rename(OLD, leaf.folder, leaf.name)
                    raise

    def _require_in_no_folder(self, location: Location) -> None:
        """Refuse a file in the folder of another location: it would become one of its files."""
        folder, slash, name = location.rpartition("/")
        above = Location(folder + slash)
        if name and folder and self._area.has(above):
            raise RefusedError(
                f"{location!r} would be a file of the segment at {above!r}, which another row"
                " names",
                hint="correct the load spec of the row whose segment is not there",
            )

    def _page(self, found: Iterator[StoredLocation]) -> list[StoredLocation]:
        with translated(f"cannot list {self._root}"):
            self._area.require_root()
            return list(islice(found, PAGE_PLACES_MAX))

    def _create(self) -> None:
        with translated(f"cannot make {self._root}"):
            if not self._root.is_dir():
                self._root.parent.mkdir(parents=True, exist_ok=True)
                self._root.mkdir(exist_ok=True)
                with Folder.root(self._root.parent) as parent:
                    parent.sync()

    def _probe(self) -> None:
        if not self._root.is_dir():
            raise NotFoundError(f"the folder {self._root} is not there", hint=FOLDER_HINT)
        with translated(f"cannot write to {self._root}"):
            self._area.prepare()
            if not os.access(self._root, os.W_OK | os.X_OK):
                raise PermissionError(EACCES, os.strerror(EACCES), str(self._root))
            data = os.urandom(PROBE_BYTES)
            with self._area.new_document(data) as leaf:
                if read_document(leaf, PROBE_BYTES)[0] != data:
                    raise CorruptionError(f"{leaf}: the bytes read differ from those written")


def _holds(leaf: Leaf, receipt: Receipt) -> bool:
    try:
        found = {file.name: file.size_bytes for file in files_at(leaf)}
    except (FileNotFoundError, NotADirectoryError):
        return False
    return found == {stored.name: stored.size_bytes for stored in receipt.objects}


def _inode(leaf: Leaf) -> int:
    stat = leaf.stat()
    if stat is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(leaf))
    return stat.st_ino


def _is_remainder(leaf: Leaf, written_receipt: InodeReceipt | None) -> bool:
    """Return whether nothing is there, or remains of the replicator's own, which may be replaced.

    Such remains have the inode that was renamed into place, and only files that the receipt names.
    """
    if (stat := leaf.stat()) is None:
        return True
    _require_nothing_deeper(leaf)
    if not (names := {file.name for file in files_at(leaf)}):
        return True
    return (
        written_receipt is not None
        and stat.st_ino == written_receipt.inode
        and names <= {stored.name for stored in written_receipt.receipt.objects}
    )


def _require_ours(leaf: Leaf, written_receipt: InodeReceipt | None) -> None:
    """Refuse what another program owns, and files that came since the copy began."""
    if not _is_remainder(leaf, written_receipt):
        raise RefusedError(
            f"{leaf} holds something that the replicator did not write",
            hint="move it away if nothing needs it, then run the command again",
        )


def _require_kind(leaf: Leaf, location: Location) -> None:
    """Refuse a folder under a file's name, as it may hold other locations, and the reverse."""
    if leaf.stat() is not None and not _is_of_kind(leaf, location):
        raise RefusedError(f"{leaf} is not what {location!r} names: one is a folder, one a file")


def _is_of_kind(leaf: Leaf, location: Location) -> bool:
    """Return whether a folder stands at a folder's location, or something else at a file's."""
    return leaf.stat() is not None and location.endswith("/") == leaf.is_folder()


def _require_nothing_deeper(leaf: Leaf) -> None:
    """Refuse a folder that holds other locations: renaming one into place would lose them."""
    if (found := folder_with_more(leaf)) is not None:
        raise RefusedError(
            f"{leaf} has another row's segment in it, at {found}",
            hint="correct the load spec of the row whose segment is not there",
        )


def _clear(leaf: Leaf, written_receipt: InodeReceipt | None) -> None:
    """Remove the replicator's own remains; files added meanwhile stay, and are refused."""
    _require_ours(leaf, written_receipt)
    if leaf.is_folder():
        remove_files(leaf, [file.name for file in files_at(leaf)])
        _require_nothing_deeper(leaf)
    elif leaf.stat() is not None:
        leaf.folder.unlink(leaf.name)
        leaf.folder.sync()


def _rename(new: Leaf, leaf: Leaf) -> None:
    """Make the new bytes visible; undo that if it cannot be made durable."""
    new.folder.rename(new.name, *leaf)
    try:
        leaf.folder.sync()
    except OSError:
        leaf.folder.rename(leaf.name, *new)
        raise


def _holds_others(path: str) -> RefusedError:
    return RefusedError(
        f"{path} holds other bytes already, which are not overwritten",
        hint="compare the two; remove these to have the segment copied again",
    )


async def _digest(location: Location, wanted: StoredObject, copy_source: CopySource) -> Checked:
    """Read the source's bytes for their checksum, without writing."""
    checksum = Sha256()
    async for piece in copy_source.read(wanted):
        await checksum.add(piece)
    if checksum.size_bytes != wanted.size_bytes:
        raise _other_number(location, wanted, checksum.size_bytes)
    return Checked(name=wanted.name, size_bytes=wanted.size_bytes, sha256=checksum.hexdigest())


def _other_number(location: Location, wanted: StoredObject, size_bytes: int) -> CorruptionError:
    return CorruptionError(
        f"{location}{wanted.name}: {size_bytes} bytes arrived, the listing promised"
        f" {wanted.size_bytes}; nothing was stored"
    )


def _require_names(location: Location, objects: Sequence[StoredObject]) -> None:
    names = [stored.name for stored in objects]
    if names == [""] and not location.endswith("/"):
        return
    if not names or len(set(names)) < len(names) or not all(map(_is_name, names)):
        raise RefusedError(f"{location}: {names!r} cannot be stored as the files of one folder")


def _is_name(name: str) -> bool:
    """Return whether this names a file directly in a folder; deeper files are other locations."""
    return name not in {"", ".", ".."} and "/" not in name and is_text(name)
