"""Notes of a target's store: windows, points, holds, drills; read at intervals."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Final

from replicator.errors import ReplicatorError
from replicator.model.checkpoint import Gap
from replicator.model.store.canary import CanarySummary
from replicator.model.store.drill import Evidence
from replicator.model.store.holds import Hold, NamedPoint
from replicator.ports import Area, Clock, MetadataWriter
from replicator.services.inspection.points_report import GapCounts
from replicator.services.monitoring.canary import kept_canary
from replicator.services.records.drill_record import DrillRecord
from replicator.services.running.patience import Patience
from replicator.services.store.archived_log import other_logs
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Store
from replicator.services.store.windows import Windows, windows

DRILLS_MAX: Final = 50
"""Newest drills that are shown."""
PAUSE_MIN_S: Final = 10.0
"""Least time between two looks into one store."""
PAUSE_PER_SECOND: Final = 50
"""Seconds of pause per second that reading a store takes: at most 2 % of the time is reading."""


@dataclass(frozen=True, kw_only=True)
class StoreNotes:
    """The notes of one target's store at one moment."""

    looked_at: datetime
    windows: Windows
    named: Sequence[NamedPoint]
    holds: Sequence[Hold]
    gaps: Sequence[Gap]
    """Gaps of all cuts of this log, including closed ones."""
    drills: Sequence[Evidence]
    """The newest, newest first."""
    faults: Sequence[str]
    """Messages for files that are missing or altered."""
    altered_points: Sequence[str]
    """The messages about named points."""
    altered_holds: Sequence[str]
    other_logs: Sequence[str]
    """Ids of further logs whose histories the store keeps."""
    canary: CanarySummary | None = None
    """The canary's results for the target; None: there are none."""

    @cached_property
    def gap_counts(self) -> GapCounts:
        """How many gaps each cut has; counted once for all clients that ask."""
        return GapCounts(self.gaps)


class NotesReader:
    """Reads the notes of one target, no more often than they are worth.

    Args:
        source: Name of the source cluster.
        metadata: The target's metadata store, which keeps its gaps.
        area: The replicator's own files in the target's store.
        store: Opens the store for one look.
        clock: Ends holds and stamps notes.
        has_canary: Whether a canary is configured, which the store keeps notes of.
        timeout_s: Time for the store to be read, in seconds.
    """

    def __init__(
        self,
        *,
        source: str,
        metadata: MetadataWriter,
        area: Area,
        store: Callable[[], Store],
        clock: Clock,
        has_canary: bool = False,
        timeout_s: float = 60.0,
    ) -> None:
        self._patience = Patience(timeout_s)
        self._source, self._metadata, self._store = source, metadata, store
        self._clock, self._area, self._has_canary = clock, area, has_canary
        self._drills = DrillRecord(area)
        self._log_id = ""
        self._due_s = 0.0
        self.notes: StoreNotes | None = None
        """The last notes of this log; None: there are none yet."""
        self.failure: ReplicatorError | None = None
        """Why the notes are old; None: they are not."""

    def refresh(self) -> None:
        """Make the next look read the store again, however recent the last one was."""
        self._due_s = 0.0

    async def look(self, log_id: str) -> bool:
        """Read the notes on one log again, if they are due; return whether they were."""
        loop = asyncio.get_running_loop()
        if log_id != self._log_id:
            self.notes, self._log_id, self._due_s = None, log_id, 0.0
        begun_s = loop.time()
        if not log_id or begun_s < self._due_s:
            return False
        try:
            self.notes = await self._patience.answer("its store", partial(self._read, log_id))
            self.failure = None
        except ReplicatorError as exc:
            self.failure = exc
        took_s = loop.time() - begun_s
        self._due_s = loop.time() + max(PAUSE_MIN_S, PAUSE_PER_SECOND * took_s)
        return True

    async def _read(self, log_id: str) -> StoreNotes:
        store = self._store()
        points = StorePoints(store, clock=self._clock)
        found = await windows(store, log_id, points)
        named, altered = await points.points()
        holds, altered_holds = await points.readable_holds()
        drills, altered_drills = await self._drills.newest(DRILLS_MAX)
        faults = dict.fromkeys([*found.faults, *altered, *altered_holds, *altered_drills])
        return StoreNotes(
            looked_at=self._clock.now(),
            windows=found,
            named=named,
            holds=holds,
            gaps=tuple(await self._metadata.gaps(self._source, log_id)),
            drills=drills,
            faults=tuple(faults),
            canary=await kept_canary(self._area) if self._has_canary else None,
            altered_points=altered,
            altered_holds=altered_holds,
            other_logs=await other_logs(self._area, log_id),
        )
