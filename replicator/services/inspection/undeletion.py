"""Finds out how a datasource was dropped, and what would make its segments used again.

On a target, that is a restore of one datasource. At the source nothing is ever done: its operator
gets a list of requests to Druid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson

from replicator.errors import MalformedRowError, NotFoundError, RefusedError
from replicator.model.druid.interval import interval_or_eternity
from replicator.model.druid.load_rules import drops
from replicator.model.event import ClosedCut, Record, RowChanged
from replicator.model.fingerprint import key_hash
from replicator.model.inventory.ledger import Ledger, Offsets
from replicator.model.log.peek import EventSubject, kind_of, subject_of
from replicator.model.log.undeletion import (
    DruidCall,
    OfDatasource,
    Roots,
    SegmentState,
    Timeline,
    calls,
    roots_of,
)
from replicator.model.observation import Observer
from replicator.model.operations.command_line import typed
from replicator.model.plans.restore_point import Latest, RestorePoint
from replicator.model.row import DEFAULT_RULES, Kind, Rules, Segment
from replicator.services.history.cuts import fold
from replicator.services.history.datasources import nearest
from replicator.services.history.reader import History
from replicator.services.history.search import search_all

KILLED_SHOWN_MAX = 100
FIRST = 0
"""Offset that only a log that was never trimmed still has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedCount:
    """Number of used segments of a datasource in a cut."""

    cut: ClosedCut
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """How a datasource was dropped."""

    last: UsedCount
    """The last cut in which a segment of the datasource was used."""
    before: UsedCount
    """The last cut before the first of them was dropped; equal to `last` for a drop in one cut."""


@dataclass(slots=True, kw_only=True)
class SourcePlan:
    """What a source's operator can do to restore a datasource as it was in a cut."""

    cut: ClosedCut
    now: ClosedCut
    """The log's last cut, which is what is known of the source's present state."""
    wanted: int = 0
    """Number of segments that were used in the cut."""
    used: int = 0
    """Number of these segments that are used now."""
    mark_used: list[str] = field(default_factory=list)
    mark_unused: list[str] = field(default_factory=list)
    """Ids of newer segments that would hide them."""
    killed: list[str] = field(default_factory=list)
    """Ids of segments whose rows are gone, at most `KILLED_SHOWN_MAX`; their count is complete."""
    killed_count: int = 0
    drop_rules: Sequence[str] = ()
    """Types of load rules that may drop the datasource again at once."""
    calls: Sequence[DruidCall] = ()


class Undeletion:
    """Reads the log; changes nothing anywhere."""

    def __init__(self, *, history: History, observer: Observer) -> None:
        self._history = history
        self._observer = observer

    async def dropped(self, datasource: str) -> Drop:
        """Return how the datasource was dropped.

        Raises:
            NotFoundError: the log never had a used segment of it.
            RefusedError: it has used segments now.
        """
        tide = _UsedVisitor()
        wanted = _WantedOffsets(datasource)
        await search_all(self._history, wanted, tide, observer=self._observer)
        if tide.last is None or tide.before is None:
            raise NotFoundError(
                f"the log has no event of a used segment of a datasource {datasource!r}",
                hint=await nearest(self._history, datasource) + await self._if_trimmed(),
            )
        if used := tide.used or await self._used(datasource):
            raise RefusedError(
                f"datasource {datasource!r} is not dropped: {used} of its segments are used",
                hint="say to which cut: `--before` with the offset of the event that did the harm"
                f" (`replicator {typed('blame', datasource)}` names it), `--to-offset` or"
                " `--to-time`",
            )
        return Drop(last=tide.last, before=tide.before)

    async def _if_trimmed(self) -> str:
        if (await self._history.span()).first == FIRST:
            return ""
        return "; the log was trimmed: say to which cut with `--to-offset` or `--to-time`"

    async def _used(self, datasource: str) -> int:
        """Return how many segments are used now, including rows that a trimmed log lacks."""
        if (await self._history.span()).first == FIRST:
            return 0
        now = await self._history.find(Latest())
        used = OfDatasource(datasource=datasource, used_only=True)
        return len(await fold(self._history, now.offset, used))

    async def on_source(self, datasource: str, point: RestorePoint) -> SourcePlan:
        """Return what the source's operator can do to have the segments of a cut used again.

        Raises:
            GapError: the log has no such cut.
            NotFoundError: in that cut no segment of the datasource was used.
        """
        cut, now = await self._history.find(point), await self._history.find(Latest())
        used = OfDatasource(datasource=datasource, used_only=True)
        then = await fold(self._history, cut.offset, used)
        present = await fold(self._history, now.offset, OfDatasource(datasource=datasource))
        if not len(then):
            raise NotFoundError(
                f"in cut {cut.closed.cut} no segment of a datasource {datasource!r} was used",
                hint=f"`replicator {typed('blame', datasource)}` says when it had some;"
                f" {await nearest(self._history, datasource)}",
            )
        plan = SourcePlan(cut=cut, now=now, wanted=len(then))
        plan.drop_rules = await self._drop_rules(datasource, now)
        await self._killed(plan, _outside(then, present))
        timeline = await self._mark_used(plan, _outside(present, then, inside=True))
        await self._mark_unused(plan, _outside(present, then), timeline)
        plan.calls = calls(datasource, unused=plan.mark_unused, used=plan.mark_used)
        return plan

    async def _drop_rules(self, datasource: str, now: ClosedCut) -> list[str]:
        rules: dict[str, Rules] = {}
        async for row in self._history.rows(Kind.RULES, now.offset):
            if isinstance(row, Rules) and row.datasource in {datasource, DEFAULT_RULES}:
                rules[row.datasource] = row
        return [f"{name}: {type_}" for name in sorted(rules) for type_ in _drops(rules[name])]

    async def _killed(self, plan: SourcePlan, offsets: Offsets) -> None:
        plan.killed_count = len(offsets)
        for segment in await self._segments(offsets[:KILLED_SHOWN_MAX]):
            plan.killed.append(segment.id)

    async def _mark_used(self, plan: SourcePlan, offsets: Offsets) -> Timeline:
        """Collect the segments to mark as used; return the timeline of all wanted segments.

        Segments that are still used count too: Druid marks what an overwrite hides as unused only a
        quarter of an hour later (millisToWaitBeforeDeleting), and it is hidden until then as well.
        """
        wanted = await self._segments(offsets)
        plan.mark_used = sorted(one.id for one in wanted if not one.used)
        plan.used = len(wanted) - len(plan.mark_used)
        return Timeline(wanted)

    async def _mark_unused(self, plan: SourcePlan, offsets: Offsets, timeline: Timeline) -> None:
        newer = [one for one in await self._segments(offsets) if one.used]
        plan.mark_unused = sorted(one.id for one in newer if timeline.is_hidden_by(one))

    async def _segments(self, offsets: Offsets) -> list[SegmentState]:
        found: list[SegmentState] = []
        async for entries in self._history.pick(offsets):
            events = (entry.event for entry in entries)
            rows = (event.row for event in events if isinstance(event, RowChanged))
            found += [
                SegmentState(
                    row.id,
                    interval_or_eternity(row.start, row.end),
                    row.version,
                    row.used,
                    _roots(row),
                )
                for row in rows
                if isinstance(row, Segment)
            ]
        return found


class _WantedOffsets:
    """A `Visitor` that collects the segments of a datasource."""

    def __init__(self, datasource: str) -> None:
        self._datasource = datasource
        # As a record's JSON has it: only records with these bytes are decoded at all.
        self._text = orjson.dumps(datasource)[1:-1]

    def __call__(self, record: Record) -> EventSubject | None:
        if kind_of(record) is not Kind.SEGMENT or self._text not in record.data:
            return None
        found = subject_of(record)
        if found is None or not found.is_of(self._datasource):
            return None
        return found


class _UsedVisitor:
    """A `Visitor` that counts the used segments of each cut, in about 100 bytes for each."""

    def __init__(self) -> None:
        self.last: UsedCount | None = None
        self.before: UsedCount | None = None
        self._keys: set[bytes] = set()
        self._open: dict[bytes, bool] = {}

    @property
    def used(self) -> int:
        """Number of segments that are used now."""
        return len(self._keys)

    def see(self, found: EventSubject, _: Record) -> None:
        self._open[key_hash(found.row_key)] = bool(found.used)

    def close(self, cut: ClosedCut) -> None:
        used_before = len(self._keys)
        come = {key for key, used in self._open.items() if used} - self._keys
        self._keys -= {key for key, used in self._open.items() if not used}
        self._keys |= come
        height = UsedCount(cut=cut, used=len(self._keys))
        if height.used:
            # once segments have begun to go, only new ones make another height
            if come or (height.used == used_before == (self.before or height).used):
                self.before = height
            self.last = height
        self.discard()

    def discard(self) -> None:
        self._open = {}

    def restart(self) -> None:
        self._keys.clear()
        self.discard()

    def note(self, found: EventSubject, record: Record) -> None:
        self.see(found, record)


def _roots(segment: Segment) -> Roots:
    try:
        return roots_of(segment.payload)
    except MalformedRowError:
        return Roots()


def _drops(rules: Rules) -> list[str]:
    try:
        return drops(rules.payload)
    except MalformedRowError:
        return ["rules that cannot be read"]


def _outside(some: Ledger, other: Ledger, *, inside: bool = False) -> Offsets:
    """Return the offsets of rows that the other ledger lacks (or, with `inside`, has)."""
    found: Offsets = np.sort(some.offsets[np.isin(some.keys, other.keys) == inside])
    return found
