"""Copies the bytes of segments to a target's deep storage, and proves the copies."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import partial
from typing import NamedTuple, TypeAlias

from replicator.errors import (
    ArchivedObjectError,
    CorruptionError,
    DeniedObjectError,
    MalformedRowError,
    MisplacedError,
    MissingObjectError,
    NewerReleaseError,
    RefusedError,
    RewrittenObjectError,
    TransientError,
    UnreadableObjectError,
    worst_alone,
)
from replicator.model.checkpoint import (
    MALFORMED_ROW,
    NEWER_RELEASE,
    OBJECT_ARCHIVED,
    OBJECT_CHANGED,
    OBJECT_DENIED,
    OBJECT_MISSING,
    OBJECT_REWRITTEN,
    OBJECT_TRUNCATED,
    OBJECT_UNREADABLE,
    PLACE_REFUSED,
    Gap,
)
from replicator.model.event import Entry, Offset, RowChanged
from replicator.model.inventory.ledger import Offsets
from replicator.model.load_spec import Layout, Location, is_lz4
from replicator.model.log.row_mapping import RowMapping, check_segment, locate
from replicator.model.observation import ObjectCopied, Progress
from replicator.model.operations.clocks import CLOCK_SKEW_MAX
from replicator.model.operations.words import counted, moment
from replicator.model.plans.cost import AHEAD_MAX_BYTES, SERVER_SIDE_MIN_BYTES
from replicator.model.row import Kind, Row, RowKey, Segment, datasource_of, key_of
from replicator.model.timestamps import time_of
from replicator.ports import (
    Checked,
    DeepStorage,
    DeepStorageReader,
    Receipt,
    StoredObject,
)
from replicator.services.running.retry import Retry
from replicator.services.target.lz4_container import Lz4Container
from replicator.services.target.rates import RateBook
from replicator.services.target.target import Target
from replicator.services.target.unzipping import Unpacking, unpacked, unpacked_max
from replicator.services.target.watched_source import WatchedSource
from replicator.task_group import TaskGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncopied:
    """An event whose row the target cannot have, and why."""

    offset: Offset
    key: RowKey
    datasource: str
    reason: str
    """One of `GAP_REASONS`."""
    detail: str
    misplaced: bool = False
    """Whether the load spec leads to no configured storage."""

    @property
    def words(self) -> str:
        """What the row is, as `RowKey.words` says it."""
        return self.key.words(self.datasource)


_UNREADABLE: Mapping[type[UnreadableObjectError], str] = {
    ArchivedObjectError: OBJECT_ARCHIVED,
    DeniedObjectError: OBJECT_DENIED,
}
_Failure: TypeAlias = tuple[str, str]
"""Reason and detail of a gap."""


class Trust(Enum):
    """Whether bytes on the target are trusted, or compared with the source's.

    The location may have been written again since, by another segment with the same id.
    """

    NEVER = "never"
    """Compare always: an applier wants the bytes that the source has now."""
    WITHOUT_SOURCE = "without_source"
    """Compare while the source is reachable; a restore must also work when it is gone."""
    ALWAYS = "always"
    """Compare never: the target applied these rows before, and the source may have moved on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """Another target as the source of bytes.

    The bytes must match that target's receipts, so that damage in a backup does not spread.
    """

    layout: Layout
    storage: DeepStorage
    gaps: Sequence[Gap] = ()
    """Gaps of that target; the bytes of a row with an OBJECT_CHANGED gap are another row's."""


BytesFrom: TypeAlias = DeepStorageReader | Backup
"""The source's deep storage, or another target."""


class _Copy(NamedTuple):
    source_location: Location
    """Location that the bytes come from."""
    target_location: Location
    size_bytes: int
    doubted: bool
    """Whether the bytes at the target's location may be those of a former row."""
    born: datetime | None
    """When the youngest row with bytes of its own was created; None if none has a valid date."""

    def doubt(self, receipt: Receipt) -> str | None:
        """Return why the stored bytes may be another row's, if the source cannot be compared."""
        if self.doubted:
            return f"{self.source_location} had other bytes than were copied, and has none now"
        if (of_another := self._of_another(receipt)) is None:
            return None
        return f"{self.source_location} cannot be read, and {of_another}"

    def changed(self, receipt: Receipt) -> str:
        """Return what is known about source bytes that are not the stored ones."""
        if (of_another := self._of_another(receipt)) is not None:
            return f"{self.source_location} has other bytes now than were copied: {of_another}"
        return (
            f"{self.source_location} has other bytes now than were copied, and the row is not"
            " younger than the copy: find out which program other than Druid writes there"
        )

    def _of_another(self, receipt: Receipt) -> str | None:
        """Say that the stored bytes are those of a former segment; None: nothing says so.

        Druid gives an id out again, and with it the location: after a kill, and after its metadata
        store was put back to an earlier time.
        """
        born, stored_at = self.born, receipt.stored_at
        if born is None or stored_at is None or stored_at >= born - CLOCK_SKEW_MAX:
            return None
        return (
            f"the row is of {moment(born)}, and the copy of {moment(stored_at)}: that is a former"
            " segment with the same id, which is kept for the cuts that have it"
        )

    @property
    def unpacked_max(self) -> int | None:
        """Number of bytes that the zip may unpack to; None if its rows have no size."""
        return unpacked_max(self.size_bytes)

    @property
    def unpacks(self) -> bool:
        """Whether a segment that was packed for its store becomes a folder again."""
        return self.target_location.endswith("/") and not self.source_location.endswith("/")

    def expected(self, backed_up: Receipt) -> tuple[Checked, ...]:
        """Return a backup receipt's claims about the bytes to read; empty for an lz4's contents."""
        if self.repacks:
            return ()
        return backed_up.packed if self.unpacks else backed_up.objects

    @property
    def repacks(self) -> bool:
        """Whether a segment packed with lz4 becomes a zip or a folder."""
        return is_lz4(self.source_location) and not is_lz4(self.target_location)


@dataclass(slots=True)
class _WantedBytes:
    rows: list[tuple[Entry, Segment]] = field(default_factory=list)
    size_bytes: int = 0


class Copier:
    """Copies the bytes that events reference, from the source or a backup, and proves the copies.

    Args:
        target: Target that receives the bytes.
        bytes_from: Storage or backup that provides the bytes.
        mapping: Rule that finds a row's location at the source and on the target.
        retry: Number of attempts for one copy, and of copies at once.
        rates: Receives the throughput; None if it is not recorded.
    """

    def __init__(
        self,
        target: Target,
        *,
        bytes_from: BytesFrom,
        mapping: RowMapping,
        retry: Retry,
        rates: RateBook | None = None,
    ) -> None:
        self._history, self._observer = target.history, target.observer
        self._target_storage = target.storage
        self._backup = bytes_from if isinstance(bytes_from, Backup) else None
        self._source_storage = bytes_from.storage if isinstance(bytes_from, Backup) else bytes_from
        self._mapping, self._retry, self._rates = mapping, retry, rates
        self._changed = {
            gap.opened: gap
            for gap in (self._backup.gaps if self._backup else ())
            # A gap that is closed where it opened was healed: the backup has the row's own bytes.
            if gap.reason == OBJECT_CHANGED and gap.closed != gap.opened
        }
        self._copied_bytes = self._copied_objects = self._locations = 0
        self._source_is_away = self._probed = self._proved = self._again = False
        self._proving = asyncio.Lock()

    async def copy(
        self,
        picks: Offsets,
        *,
        trust: Trust,
        doubted: AbstractSet[RowKey] = frozenset(),
        again: bool = False,
    ) -> tuple[Uncopied, ...]:
        """Copy the bytes of all picked rows to the target; return the rows it cannot have.

        `trust` says what to do with bytes that the target already has. The location of a `doubted`
        row held other bytes once: its bytes, and those of rows that share them (upgraded segments),
        count only while the source still confirms them. With `again` the bytes of these rows were
        reported before; those that exist are not reported.

        An object that is written again during each attempt that the policy allows is a row's
        trouble.

        Raises:
            TransientError: a storage was unreachable for longer than the retry policy allows.
            CorruptionError: the bytes that arrived are not those that the source has.
        """
        self._source_is_away = self._probed = False
        self._locations, self._again = 0, again
        uncopied: list[Uncopied] = []
        began, done = asyncio.get_running_loop().time(), 0
        self._copied_bytes = self._copied_objects = 0
        async for entries in self._history.pick(picks):
            uncopied += await self._copy_entries(entries, trust=trust, doubted=doubted)
            done += len(entries)
            self._observer(Progress(what="copy segments", done=done, total=len(picks), unit="rows"))
        if self._rates is not None:
            took_s = asyncio.get_running_loop().time() - began
            await self._rates.copied(self._copied_bytes, self._copied_objects, took_s)
        # One row in a configured storage proves that the storages are configured rightly, so the
        # rows that cannot be located are broken themselves and no sign of a wrong setting.
        if self._locations:
            uncopied = [replace(row, misplaced=False) for row in uncopied]
        return tuple(sorted(uncopied, key=lambda row: row.offset))

    async def locations(self, offsets: Offsets) -> Sequence[Location]:
        """Return where the source has the bytes of the segments at ascending offsets, each once.

        Rows without bytes, and those that cannot be located, are left out.
        """
        found = dict[Location, None]()
        async for entries in self._history.pick(offsets):
            for entry in entries:
                if isinstance(entry.event, RowChanged) and isinstance(entry.event.row, Segment):
                    with suppress(MalformedRowError):
                        if location := locate(entry.event.row, self._mapping.source):
                            found[location] = None
        return [*found]

    async def is_there(self, location: Location) -> bool:
        """Return whether the copy source has an object at a location, readable or not.

        Raises:
            TransientError: it is unreachable.
        """
        try:
            await self._source_storage.objects(location)
        except MissingObjectError:
            return False
        except UnreadableObjectError:
            return True
        return True

    async def _copy_entries(
        self, entries: Sequence[Entry], *, trust: Trust, doubted: AbstractSet[RowKey]
    ) -> list[Uncopied]:
        wanted: dict[Location, _WantedBytes] = {}
        uncopied = [*self._placed(entries, wanted)]
        self._locations += len(wanted)
        # One copy for each location and not for each row: upgraded segments share one load spec
        # (trap 6).
        copies = {self._aim(location, found, doubted): found for location, found in wanted.items()}
        with worst_alone():
            async with TaskGroup() as group:
                tasks = {group.create_task(self._copy(copy, trust=trust)): copy for copy in copies}
        for task, copy in tasks.items():
            if (failure := task.result()) is not None:
                uncopied += [uncopied_row(entry, row, *failure) for entry, row in copies[copy].rows]
        return uncopied

    def _placed(
        self, entries: Sequence[Entry], wanted: dict[Location, _WantedBytes]
    ) -> Iterator[Uncopied]:
        """Collect the wanted rows by location; yield the rows that cannot be located."""
        for entry in entries:
            if not isinstance(entry.event, RowChanged):
                continue
            if (gap := self._changed.get(entry.offset)) is not None:
                yield uncopied_row(entry, entry.event.row, gap.reason, gap.detail)
                continue
            try:
                self._want(entry, entry.event.row, wanted)
            except MalformedRowError as exc:
                is_newer = isinstance(exc, NewerReleaseError)
                reason = NEWER_RELEASE if is_newer else MALFORMED_ROW
                row = uncopied_row(entry, entry.event.row, reason, str(exc))
                yield replace(row, misplaced=isinstance(exc, MisplacedError))

    def _want(self, entry: Entry, row: Row, wanted: dict[Location, _WantedBytes]) -> None:
        if not isinstance(row, Segment):
            self._mapping.mapped(row)
            return
        size_bytes = check_segment(row)
        if (location := locate(row, self._mapping.source)) is not None:
            self._mapping.placed(row, location)  # refused here, while the row is at hand
            found = wanted.setdefault(location, _WantedBytes())
            found.rows.append((entry, row))
            found.size_bytes = max(found.size_bytes, size_bytes)

    def _aim(self, location: Location, found: _WantedBytes, doubted: AbstractSet[RowKey]) -> _Copy:
        source_location = (
            location if self._backup is None else self._backup.layout.own_location(location)
        )
        return _Copy(
            source_location,
            self._mapping.target.own_location(location),
            found.size_bytes,
            doubted=any(not doubted.isdisjoint(_sharers(row)) for _, row in found.rows),
            born=max(filter(None, [_born(row) for _, row in found.rows]), default=None),
        )

    async def _copy(self, copy: _Copy, *, trust: Trust) -> _Failure | None:
        """Copy one location; return reason and detail if the target cannot have it."""
        async with self._retry.slots:
            try:
                if trust is Trust.WITHOUT_SOURCE:
                    return await self._copy_perhaps_without_source(copy)
                attempt = partial(self._copy_once, copy, trust=trust)
                return await self._retry.call(f"copy {copy.source_location}", attempt)
            except RewrittenObjectError as exc:
                tries = counted(self._retry.attempts_max, "attempt")
                return OBJECT_REWRITTEN, f"{exc}, until the last of {tries}"

    async def _copy_perhaps_without_source(self, copy: _Copy) -> _Failure | None:
        """Retry the source as usual until it is unreachable once; then stop waiting for it."""
        # All copies share the flag: a source that is gone would otherwise cost each of thousands of
        # copies all of its retries, in the disaster for which the restore is made.
        failure: TransientError | None = None
        for delay_s in self._retry.delays_s():
            if self._source_is_away:
                break
            try:
                return await self._copy_once(copy, trust=Trust.NEVER)
            except TransientError as exc:
                failure = exc
                await asyncio.sleep(delay_s)
        if not isinstance(failure, RewrittenObjectError):
            self._source_is_away = True
        return await self._copy_once(copy, trust=Trust.WITHOUT_SOURCE)

    async def _copy_once(self, copy: _Copy, *, trust: Trust) -> _Failure | None:
        try:
            return await self._copy_unless_there(copy, trust=trust)
        except MissingObjectError as exc:
            return OBJECT_MISSING, str(exc)
        except UnreadableObjectError as exc:
            return _UNREADABLE.get(type(exc), OBJECT_UNREADABLE), with_hint(str(exc), exc.hint)
        except RefusedError as exc:
            # One row must not stop the others, but a storage that takes no bytes must stop them
            # all.
            await self._require_storage_works()
            return PLACE_REFUSED, with_hint(str(exc), exc.hint)

    async def _require_storage_works(self) -> None:
        if not self._probed:
            await self._target_storage.probe()
            self._probed = True

    async def _require_proved(self) -> None:
        """Probe the storage once, before the first bytes are written: it must never overwrite."""
        async with self._proving:
            if not self._proved:
                await self._target_storage.probe()
                self._proved = self._probed = True

    async def _copy_unless_there(self, copy: _Copy, *, trust: Trust) -> _Failure | None:
        if (receipt := await self._receipt_of_target(copy)) is None:
            return await self._copy_new(copy)
        # There are bytes with a receipt: but are they this row's? Druid gives an id out again, and
        # with it the location (kill, then publish anew), so whole bytes can be a former row's.
        # - The source can be read: its objects decide.
        # - The source has none (killed, or archived): nothing proves the bytes. They count, unless
        # the row is `doubted` or younger than the copy's receipt.
        # - The source is unreachable: an applier retries (NEVER), because its wait costs nothing; a
        #   restore must work without the source and decides as in the second case.
        try:
            if trust is not Trust.ALWAYS and not await self._is_unchanged(copy, receipt):
                return OBJECT_CHANGED, copy.changed(receipt)
        except (MissingObjectError, UnreadableObjectError):
            if (doubt := copy.doubt(receipt)) is not None:
                return OBJECT_CHANGED, doubt
        except TransientError:
            if trust is Trust.NEVER:
                raise
            if (doubt := copy.doubt(receipt)) is not None:
                return OBJECT_CHANGED, doubt
        self._tell_there(copy, receipt)
        return None

    async def _receipt_of_target(self, copy: _Copy) -> Receipt | None:
        """Return the receipt of what the target has at a location; None: it has nothing whole.

        Raises:
            RefusedError: the receipt was altered; no other row needs it.
        """
        try:
            return await self._target_storage.receipt(copy.target_location)
        except CorruptionError as exc:
            raise RefusedError(str(exc), hint=exc.hint) from exc

    def _tell_there(self, copy: _Copy, receipt: Receipt) -> None:
        if not self._again:
            self._observer(
                ObjectCopied(
                    location=copy.target_location,
                    size_bytes=_size_bytes(receipt),
                    reused=True,
                    streamed=False,
                )
            )

    async def _copy_new(self, copy: _Copy) -> _Failure | None:
        if (
            self._source_storage is self._target_storage
            and copy.source_location == copy.target_location
        ):
            return OBJECT_MISSING, f"{copy.target_location} is missing, or incomplete"
        await self._require_proved()
        storage, location = self._reading(copy)
        ahead = copy.size_bytes <= ahead_bytes_max(self._target_storage, storage, location)
        # The receipt is checked first: an exchanged zip is not even opened.
        backed_up = await self._receipt_of_backup(copy)
        await self._require_receipt(copy, backed_up)
        objects = tuple(await storage.objects(location, ahead=ahead))
        copy_source = WatchedSource(
            reader=storage,
            location=location,
            objects=objects,
            expected=() if backed_up is None else copy.expected(backed_up),
            is_zip=location.endswith(".zip"),
        )
        least_bytes = copy.size_bytes if location.endswith("/") else min(copy.size_bytes, 1)
        if copy_source.size_bytes < least_bytes:
            # an unpacked segment is exactly as large as its payload says (seen with Druid 33.0.0),
            # and a packed one is not empty
            return OBJECT_TRUNCATED, (
                f"{copy.source_location} holds {copy_source.size_bytes} bytes, its payload says"
                f" {copy.size_bytes}"
            )
        most_bytes = copy.unpacked_max if self._backup is None else None
        if most_bytes is not None and copy_source.size_bytes > most_bytes:
            return OBJECT_UNREADABLE, (
                f"{copy.source_location} holds {copy_source.size_bytes} bytes, its payload says"
                f" {copy.size_bytes}: no segment has so many more, and none of them was copied"
            )
        stored = await self._target_storage.put(copy.target_location, copy_source)
        await self._require_backed_up(copy, backed_up, stored)
        self._copied_bytes += _size_bytes(stored)
        self._copied_objects += 1
        self._observer(
            ObjectCopied(
                location=copy.target_location,
                size_bytes=_size_bytes(stored),
                reused=False,
                streamed=copy_source.was_read,
            )
        )
        return None

    def _reading(self, copy: _Copy) -> tuple[DeepStorageReader, Location]:
        """Return the reader of a copy's bytes, and the location to read."""
        if copy.repacks:
            return Lz4Container(self._source_storage, bytes_max=copy.unpacked_max), unpacked(
                copy.source_location
            )
        if copy.unpacks:
            return Unpacking(self._source_storage, bytes_max=copy.unpacked_max), unpacked(
                copy.source_location
            )
        return self._source_storage, copy.source_location

    async def _receipt_of_backup(self, copy: _Copy) -> Receipt | None:
        """Return the backup's receipt for a copy; None if the bytes are the source's.

        Raises:
            CorruptionError: the receipt does not match its seal.
        """
        if self._backup is None:
            return None
        return await self._backup.storage.receipt(copy.source_location)

    async def _require_receipt(self, copy: _Copy, backed_up: Receipt | None) -> None:
        """Refuse a backup's bytes without a receipt; raise MissingObjectError if they are gone."""
        if self._backup is not None and backed_up is None:
            await self._source_storage.objects(copy.source_location)
            raise CorruptionError(
                f"{copy.source_location} has no valid receipt in the backup, so nothing proves its"
                " bytes; nothing was copied",
                hint=f"take {copy.source_location} from a copy of the backup, or restore without it"
                " from another target",
            )

    async def _require_backed_up(
        self, copy: _Copy, receipt: Receipt | None, stored: Receipt
    ) -> None:
        """Refuse bytes of a backup that differ from its receipt, at each retry."""
        if receipt is not None and not await self._is_of(copy, receipt, stored):
            raise CorruptionError(
                f"the bytes of {copy.source_location} are not those of the backup's receipt; no row"
                " that needs them was written",
                hint=f"take {copy.source_location} from a copy of the backup, and remove what was"
                f" copied from it to {copy.target_location}",
            )

    async def _is_of(self, copy: _Copy, receipt: Receipt, stored: Receipt) -> bool:
        """Return whether stored bytes are those of a backup's receipt."""
        if copy.repacks:  # no receipt describes the contents of an lz4
            return receipt.objects == await self._source_storage.check(copy.source_location)
        if copy.unpacks:
            return receipt.packed == stored.objects
        return receipt.objects == stored.source_objects

    async def _is_unchanged(self, copy: _Copy, receipt: Receipt) -> bool:
        """Return whether the source's objects are still the copied ones.

        Equal names, sizes and tags are enough; if tags differ, the bytes decide.

        Raises:
            CorruptionError: a backup's objects are not those of its own receipt.
        """
        storage, location = self._reading(copy)
        objects = tuple(await storage.objects(location))
        is_same = receipt.copied_from == objects
        if not is_same and not await self._is_equal(storage, location, objects, receipt):
            return False
        backed_up = await self._receipt_of_backup(copy)
        await self._require_receipt(copy, backed_up)
        await self._require_backed_up(copy, backed_up, receipt)
        return True

    async def _is_equal(
        self,
        storage: DeepStorageReader,
        location: Location,
        objects: Sequence[StoredObject],
        receipt: Receipt,
    ) -> bool:
        """Return whether a receipt's bytes are there; those of other sizes are not even read."""
        found = [(one.name, one.size_bytes) for one in objects]
        copied = [(one.name, one.size_bytes) for one in receipt.source_objects]
        # A tag changes when an object is copied to another bucket, or restored from a version: only
        # its bytes tell.
        return found == copied and await storage.check(location) == receipt.source_objects


def ahead_bytes_max(target: DeepStorage, reader: DeepStorageReader, location: Location) -> int:
    """Return the size up to which a segment's bytes are fetched before its copy is decided."""
    return SERVER_SIDE_MIN_BYTES if target.copies_from(reader, location) else AHEAD_MAX_BYTES


def _born(segment: Segment) -> datetime | None:
    """Return when a row was created; None if it shares the bytes of an older row."""
    if segment.upgraded_from_segment_id is not None:
        return None
    return time_of(segment.created_date)


def _sharers(segment: Segment) -> Iterator[RowKey]:
    """Yield the row, and the row whose bytes it shares: what is wrong with one is with both."""
    yield key_of(segment)
    if segment.upgraded_from_segment_id is not None:
        yield RowKey(Kind.SEGMENT, segment.upgraded_from_segment_id)


def uncopied_row(entry: Entry, row: Row, reason: str, detail: str) -> Uncopied:
    """Return an event's row as one that the target cannot have."""
    return Uncopied(
        offset=entry.offset,
        key=key_of(row),
        datasource=datasource_of(row) or "",
        reason=reason,
        detail=detail,
    )


def with_hint(message: str, hint: str) -> str:
    """Return the detail of a gap: what an error says, and what it tells to do."""
    return f"{message}; {hint}" if hint else message


def _size_bytes(receipt: Receipt) -> int:
    return sum(stored.size_bytes for stored in receipt.objects)
