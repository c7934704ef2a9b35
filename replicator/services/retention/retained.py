"""Reads what a target's store must keep: for its history from a cut on, its holds and its rows.

An expiry looks twice. The second look starts when the intent can be seen, and everything that the
expiry deletes follows from that look. A hold, a base, a history file or a checkpoint that the look
misses was written after the intent. Its writer has therefore seen the intent, or will see it before
relying on what was written (`services/store/expiry_guard.py`, `Holds.create`).
"""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from replicator.errors import (
    CorruptionError,
    MalformedRowError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.checkpoint import MALFORMED_ROW, Checkpoint
from replicator.model.event import Offset
from replicator.model.load_spec import Layout
from replicator.model.log.locations import location_hash
from replicator.model.log.row_mapping import located
from replicator.model.row import Kind, Segment
from replicator.model.store.archive import Base
from replicator.ports import Chunk, Snapshot, fetched
from replicator.services.retention.look import Look
from replicator.services.retention.references import (
    Records,
    ReferencedLocations,
    References,
    ending_after,
)
from replicator.services.store.archived_log import ArchivedLog, archived_gaps
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Listing, Store
from replicator.services.target.reconciler import Reconciler, refuse_foreign_rows, refuse_promoted
from replicator.services.target.target import Target

ROWS_PER_FETCH_MAX = 1_000


@dataclass(slots=True)
class Marked:
    """The mark phase's result so far: what must stay; it only grows."""

    locations: ReferencedLocations = field(default_factory=ReferencedLocations)
    history: set[str] = field(default_factory=set)
    bases: set[tuple[str, Offset]] = field(default_factory=set)
    """Log id and offset of each base that was read."""
    with_rows: bool = False
    """Whether the target's rows are always read, and not only if they may be of no retained cut."""


class Retained:
    """Reads what must stay; a repeated read only reads what is new.

    Args:
        target: Target whose rows and holds retain something.
        store: The target's files, with the history that retains the rest.
        reconciler: Counts the target's foreign rows.
        references: Reads which locations the history references.
        layout: Layout of the target's storage.
    """

    def __init__(
        self,
        target: Target,
        store: Store,
        *,
        reconciler: Reconciler,
        references: References,
        layout: Layout,
    ) -> None:
        self._target, self._store, self._reconciler = target, store, reconciler
        self._points = StorePoints(store, clock=target.clock)
        self._references, self._layout = references, layout

    async def look(self, log_id: str | None = None) -> Look:
        """Look at the target and its store; `log_id` is that of an earlier look.

        Raises:
            RefusedError: the target was promoted, or its rows are foreign.
            NotFoundError: it is unknown which log the target follows.
        """
        checkpoint = await self.checkpoint()
        if log_id is None and checkpoint is not None:
            log_id = checkpoint.log_id
        holds, now = await self._points.holds(), self._target.clock.now()
        listing = await self._store.listing()
        log_id = log_id or self._only_log(listing)
        return Look(
            checkpoint=checkpoint,
            holds=tuple(
                hold for hold in holds if hold.point.log_id == log_id and hold.holds_at(now)
            ),
            ended_holds=tuple(hold.point.name for hold in holds if not hold.holds_at(now)),
            listing=listing,
            archive=self._archive(log_id, listing),
        )

    def _archive(self, log_id: str, listing: Listing) -> ArchivedLog:
        archive = ArchivedLog(self._store, log_id)
        archive.take(listing)
        return archive

    def _only_log(self, listing: Listing) -> str:
        if len(logs := listing.logs()) != 1:
            raise NotFoundError(
                f"the store of target {self._target.name!r} has histories of {len(logs)} logs, and"
                " the target has no checkpoint that names the log that it follows"
            )
        return logs[0]

    async def mark(self, look: Look, horizon: Offset, marked: Marked) -> None:
        """Add what must stay by this look; only what was not read before is read.

        Raises:
            RefusedError, CorruptionError: as for `ExpiryPlanner.plan`.
        """
        parts = await self.records(look, horizon, marked)
        await self._references.gather(*parts, into=marked.locations, what="read what is kept")
        is_read = marked.with_rows and look.checkpoint is not None
        if is_read or await self._is_elsewhere(look, horizon):
            await self._mark_rows(marked.locations)
        await self._require_placed(look, marked.locations)

    async def records(self, look: Look, horizon: Offset, marked: Marked) -> list[Records]:
        """Return the records of all logs that must stay and were not read before.

        Raises:
            RefusedError, CorruptionError, TransientError: as for `mark`.
        """
        extra = look.held_offsets
        await self._require_bases(look, {offset for offset in extra if offset < horizon})
        if look.checkpoint_offset is not None:
            extra.add(look.checkpoint_offset)
        parts = await self._sources(look.log_id, look.listing, horizon, extra, marked)
        for other in look.listing.logs():
            if other != look.log_id:
                parts += await self._sources(other, look.listing, Offset(0), set(), marked)
        return parts

    async def checkpoint(self) -> Checkpoint | None:
        """Return the target's checkpoint.

        Raises:
            RefusedError: the target was promoted, or its rows are foreign.
        """
        checkpoint = await self._target.checkpoint()
        refuse_promoted(checkpoint, self._target.name)
        if checkpoint is None:
            refuse_foreign_rows(await self._reconciler.foreign_rows(), self._target.name)
        return checkpoint

    async def _is_elsewhere(self, look: Look, horizon: Offset) -> bool:
        """Return whether the target's rows may belong to no retained cut."""
        if (checkpoint := look.checkpoint) is None:
            return False
        if await self._target.renamed():
            return True  # renamed rows are in no cut
        end = look.archive.listed_end or Offset(0)
        return checkpoint.paused or not horizon <= checkpoint.offset < end

    async def _sources(
        self, log_id: str, listing: Listing, horizon: Offset, extra: set[Offset], marked: Marked
    ) -> list[Records]:
        """Return the records of a log that are retained and were not read before."""
        # A base repeats rows that history before it published. Behind the horizon that history is
        # read anyway, as long as no file is missing: `covered` is the end of that unbroken history.
        # Only the base that starts a new window has rows that no retained file contains (their
        # events are before the horizon or in the hole); without it the bytes of such rows would be
        # deleted.
        archive, covered = self._archive(log_id, listing), horizon
        parts: list[Records] = []
        for offset in listing.offsets(log_id):
            begins = offset >= horizon and offset >= covered
            if (begins or offset in extra) and (log_id, offset) not in marked.bases:
                marked.bases.add((log_id, offset))
                parts.append(self._references.base(archive, await listed_base(archive, offset)))
            if begins:
                covered = await archive.whole_until(offset)
        after = horizon or Offset(-1)
        names = ending_after(listing.history_of(log_id), after)
        names = [name for name in names if name not in marked.history]
        marked.history.update(names)
        return [*parts, self._references.history(names, after=after, until=None, tolerant=False)]

    async def _require_bases(self, look: Look, held_offsets: set[Offset]) -> None:
        gone = held_offsets.difference(look.listing.offsets(look.log_id))
        if not gone:
            return
        still = {hold.point.offset for hold in await self._points.holds_in_force(look.log_id)}
        for offset in sorted(gone):
            if offset not in still:
                raise TransientError(f"the hold on offset {offset} was removed meanwhile")
            raise CorruptionError(
                f"the base of the hold on offset {offset} is missing: its references are unknown",
                hint="restore the base from a copy of this store, or remove the hold",
            )

    async def _require_placed(self, look: Look, wanted: ReferencedLocations) -> None:
        """Require that each record whose load spec leads to no storage is a recorded gap.

        With the former configuration such a record may reference bytes that would now be deleted.
        """
        if not wanted.unlocated:
            return
        gaps = list(await self._target.gaps(look.log_id))
        for one in look.listing.logs():
            gaps += await archived_gaps(self._store.area, one)
        known = {gap.opened for gap in gaps if gap.reason == MALFORMED_ROW}
        if unknown := sorted(wanted.unlocated - known):
            raise RefusedError(
                f"{len(unknown)} segments of target {self._target.name!r} have load specs that this"
                f" configuration cannot read, the first at offset {unknown[0]}",
                hint="restore the former source.deep_storage and source.other_deep_storages:"
                " they must name all storages that the history references",
            )

    async def _mark_rows(self, wanted: ReferencedLocations) -> None:
        """Spare the bytes that the target's own rows reference, whatever their cut is."""
        async with self._target.metadata.snapshot() as snapshot:
            if Kind.SEGMENT not in snapshot.kinds:
                return
            handles: list[NDArray[Any]] = []

            def visit(chunk: Chunk) -> None:
                handles.append(chunk.handles)

            await snapshot.scan(Kind.SEGMENT, visit)
            for found in handles:
                for at in range(0, len(found), ROWS_PER_FETCH_MAX):
                    await self._mark_fetched(snapshot, found[at : at + ROWS_PER_FETCH_MAX], wanted)

    async def _mark_fetched(
        self, snapshot: Snapshot, handles: NDArray[Any], wanted: ReferencedLocations
    ) -> None:
        async for rows in fetched(snapshot, Kind.SEGMENT, handles):
            for row in rows:
                if not isinstance(row, Segment):
                    continue
                try:
                    location = located(row.payload, self._layout)
                except MalformedRowError as exc:
                    raise RefusedError(f"{row.id} on target {self._target.name!r}: {exc}") from exc
                if location is not None:
                    wanted.found.add(location_hash(location))


async def listed_base(archive: ArchivedLog, offset: Offset) -> Base:
    """Return a base that was just listed.

    Raises:
        TransientError: it was deleted meanwhile, with a refused hold or by another expiry.
        CorruptionError: it is altered.
    """
    try:
        return await archive.base(offset)
    except CorruptionError as exc:
        if offset in await archive.offsets():
            raise
        raise TransientError(
            f"the base at offset {offset} was removed while it was looked at", hint="run it again"
        ) from exc
