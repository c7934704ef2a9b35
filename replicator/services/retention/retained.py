"""What a target's store must keep: what its history needs from a cut on, its holds, its rows.

An expiry looks twice. The second look begins when its intent can be seen, and all that it deletes
follows from that look: a hold, a base, a file of history or a checkpoint that is not in it came
after the intent, so whoever wrote it has seen the intent, or will before it relies on what it
wrote (`services/store/expiry_guard.py`, `Holds.create`).
"""

from collections.abc import AsyncIterator, Sequence
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
from replicator.model.archive import Base
from replicator.model.checkpoint import MALFORMED_ROW, Checkpoint
from replicator.model.event import Offset, Record
from replicator.model.holds import Hold
from replicator.model.load_spec import Layout
from replicator.model.locations import location_hash
from replicator.model.row import Kind, Segment
from replicator.model.row_mapping import located
from replicator.ports import Chunk, Snapshot
from replicator.services.retention.references import (
    ReferencedLocations,
    References,
    chained,
    ending_after,
)
from replicator.services.store.archived_log import ArchivedLog, archived_gaps
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Listing, Store
from replicator.services.target.reconciler import Reconciler, refuse_foreign_rows, refuse_promoted
from replicator.services.target.target import Target

ROWS_PER_FETCH_MAX = 1_000


@dataclass(slots=True)
class Spared:
    """What must stay, as far as it was read: it only grows."""

    wanted: ReferencedLocations = field(default_factory=ReferencedLocations)
    history: set[str] = field(default_factory=set)
    bases: set[tuple[str, Offset]] = field(default_factory=set)
    """By log and offset."""
    with_rows: bool = False
    """Whether the target's rows are asked in any case, and not only where it stands elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a target and its store: where it is, then what people hold, then the files.

    In this order: a hold's base is written before the hold, history before the checkpoint. So a
    hold or a checkpoint that was seen has its files in the listing, unless they are gone.
    """

    log_id: str
    """The log that the target follows."""
    checkpoint: Checkpoint | None
    holds: tuple[Hold, ...]
    """Those in force, on cuts of this log."""
    listing: Listing

    @property
    def held_offsets(self) -> set[Offset]:
        """Return the cuts that are held."""
        return {hold.point.offset for hold in self.holds}

    @property
    def checkpoint_offset(self) -> Offset | None:
        """Return the cut that all of the target is at: its base stays, so that it can be proved."""
        if self.checkpoint is None or self.checkpoint.datasource:
            return None
        return self.checkpoint.offset


class Retained:
    """Reads what must stay, again and again, and only what is new.

    Args:
        target: The one whose rows and holds keep something.
        store: Its files, with the history that keeps the rest.
        reconciler: Counts rows that are not ours.
        references: Reads which locations the history references.
        layout: Of its storage.
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
        """Look at what there is now; `log_id` is that of an earlier look.

        Raises:
            RefusedError: the target was promoted, or its rows are not ours.
            NotFoundError: nothing says which log the target follows.
        """
        checkpoint = await self.checkpoint()
        if log_id is None and checkpoint is not None:
            log_id = checkpoint.log_id
        holds = await self._points.holds_in_force(log_id)
        listing = await self._store.listing()
        log_id = log_id or self._only_log(listing)
        return Look(
            log_id=log_id,
            checkpoint=checkpoint,
            holds=tuple(hold for hold in holds if hold.point.log_id == log_id),
            listing=listing,
        )

    def _only_log(self, listing: Listing) -> str:
        if len(logs := listing.logs()) != 1:
            raise NotFoundError(
                f"the store of target {self._target.name!r} has histories of {len(logs)} logs, and"
                " the target has no checkpoint that says which one it follows"
            )
        return logs[0]

    async def spare(self, look: Look, horizon: Offset, spared: Spared) -> None:
        """Add what must stay to what was read of it before; what is new is read.

        Raises:
            RefusedError, CorruptionError: as for `ExpiryPlanner.plan`.
        """
        parts = await self.records(look, horizon, spared)
        await self._references.gather(chained(parts), spared.wanted, what="read what is kept")
        is_read = spared.with_rows and look.checkpoint is not None
        if is_read or await self._is_elsewhere(look, horizon):
            await self._spare_rows(spared.wanted)
        await self._require_placed(look, spared.wanted)

    async def records(
        self, look: Look, horizon: Offset, spared: Spared
    ) -> list[AsyncIterator[Sequence[Record]]]:
        """Return the records that must stay and were not read before, of all logs.

        Raises:
            RefusedError, CorruptionError, TransientError: as for `spare`.
        """
        extra = look.held_offsets
        await self._require_bases(look, {offset for offset in extra if offset < horizon})
        if look.checkpoint_offset is not None:
            extra.add(look.checkpoint_offset)
        parts = await self._sources(look.log_id, look.listing, horizon, extra, spared)
        for other in look.listing.logs():
            if other != look.log_id:
                parts += await self._sources(other, look.listing, Offset(0), set(), spared)
        return parts

    async def checkpoint(self) -> Checkpoint | None:
        """Return where the target is.

        Raises:
            RefusedError: it was promoted, or its rows are not ours.
        """
        checkpoint = await self._target.checkpoint()
        refuse_promoted(checkpoint, self._target.name)
        if checkpoint is None:
            refuse_foreign_rows(await self._reconciler.foreign_rows(), self._target.name)
        return checkpoint

    async def _is_elsewhere(self, look: Look, horizon: Offset) -> bool:
        """Return whether the target's rows may not be those of a cut that is kept."""
        if (checkpoint := look.checkpoint) is None:
            return False
        if await self._target.renamed():
            return True  # those rows are in no cut
        archive = ArchivedLog(self._store, look.log_id)
        archive.take(look.listing)
        end = archive.listed_end or Offset(0)
        return checkpoint.paused or not horizon <= checkpoint.offset < end

    async def _sources(
        self, log_id: str, listing: Listing, horizon: Offset, extra: set[Offset], spared: Spared
    ) -> list[AsyncIterator[Sequence[Record]]]:
        """Return the records of a log that are kept and were not read before.

        Of the bases behind the horizon only those that begin a stretch hold what no history says.
        """
        archive, covered = ArchivedLog(self._store, log_id), horizon
        archive.take(listing)
        parts: list[AsyncIterator[Sequence[Record]]] = []
        for offset in listing.offsets(log_id):
            begins = offset >= horizon and offset >= covered
            if (begins or offset in extra) and (log_id, offset) not in spared.bases:
                spared.bases.add((log_id, offset))
                parts.append(self._references.base(archive, await listed_base(archive, offset)))
            if begins:
                covered = await archive.whole_until(offset)
        after = horizon or Offset(-1)
        names = ending_after(listing.history_of(log_id), after)
        names = [name for name in names if name not in spared.history]
        spared.history.update(names)
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
                f"the base of the hold on offset {offset} is missing: nobody knows what it keeps",
                hint="take it from a copy of this store, or remove the hold",
            )

    async def _require_placed(self, look: Look, wanted: ReferencedLocations) -> None:
        """Require that whatever leads nowhere is known as a gap.

        With another configuration the same records might lead to bytes that would be deleted.
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
                hint="were source.deep_storage or source.other_deep_storages changed? They must"
                " name all storages that the history speaks of",
            )

    async def _spare_rows(self, wanted: ReferencedLocations) -> None:
        """Spare what the target's own rows point to, at whatever cut they are."""
        async with self._target.metadata.snapshot() as snapshot:
            if Kind.SEGMENT not in snapshot.kinds:
                return
            handles: list[NDArray[Any]] = []

            def visit(chunk: Chunk) -> None:
                handles.append(chunk.handles)

            await snapshot.scan(Kind.SEGMENT, visit)
            for found in handles:
                for at in range(0, len(found), ROWS_PER_FETCH_MAX):
                    await self._spare_fetched(snapshot, found[at : at + ROWS_PER_FETCH_MAX], wanted)

    async def _spare_fetched(
        self, snapshot: Snapshot, handles: NDArray[Any], wanted: ReferencedLocations
    ) -> None:
        for row in await snapshot.fetch(Kind.SEGMENT, handles):
            if isinstance(row, Segment):
                try:
                    location = located(row.payload, self._layout)
                except MalformedRowError as exc:
                    raise RefusedError(f"{row.id} on target {self._target.name!r}: {exc}") from exc
                if location is not None:
                    wanted.found.add(location_hash(location))


async def listed_base(archive: ArchivedLog, offset: Offset) -> Base:
    """Return a base that was listed a moment ago.

    Raises:
        TransientError: it went meanwhile, with a hold that was refused or with another expiry.
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
