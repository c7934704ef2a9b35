"""Summarizes each cut in a few words: which datasource got, lost or changed segments.

One pass over the log's raw events, and about 30 bytes for each segment.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from replicator.model.event import ClosedCut, Record
from replicator.model.fingerprint import key_hash
from replicator.model.log.peek import EventSubject, kind_of, subject_of, summary_of
from replicator.model.log.wire import CHANGED_TYPE
from replicator.model.observation import Observer
from replicator.model.operations.words import counted
from replicator.model.row import Kind, RowKey
from replicator.services.history.reader import History
from replicator.services.history.search import search_all
from replicator.services.inspection.segment_book import BookedSegment, SegmentBook

NAMED_MAX = 3
"""Number of datasources that a cut's summary names."""
HARMED_MAX = 100
"""Number of harmed datasources that are kept for a cut."""
WORDS = {
    Kind.COMMIT: "stream offsets",
    Kind.SUPERVISOR: "supervisors",
    Kind.RULES: "rules",
    Kind.CONFIG: "configuration",
}
_UNKNOWN = "?"
"""Stands for the datasource of a removed segment whose id does not tell it."""


@dataclass(slots=True)
class SegmentTally:
    """What one cut did to the segments of one datasource."""

    before: int = 0
    """Number of segments that were used in the previous cut."""
    new: int = 0
    new_bytes: int = 0
    """Unpacked size of the new segments."""
    unused: int = 0
    used_again: int = 0
    changed: int = 0
    removed: int = 0
    removed_used: int = 0
    """Number of removed segments that were used until then."""

    @property
    def does_harm(self) -> bool:
        """Whether segments were marked unused or removed."""
        return bool(self.unused or self.removed)

    @property
    def lost(self) -> int:
        """Number of segments that were used before and are not any more."""
        return self.unused + self.removed_used

    def words(self) -> str:
        """Return the summary, with harmful changes first."""
        parts = []
        if self.unused:
            parts.append(f"{self.unused} of {self.before} marked unused")
        if self.removed:
            parts.append(f"{self.removed} removed")
        if self.new:
            parts.append(f"{self.new} new")
        if self.used_again:
            parts.append(f"{self.used_again} used again")
        if self.changed:
            parts.append(f"{self.changed} changed")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What one cut did."""

    cut: ClosedCut
    after: ClosedCut | None
    """The previous cut, which lacks the changes; None if there was none."""
    words: str
    does_harm: bool
    """Whether segments were marked unused or removed."""
    harmed: tuple[str, ...] = ()
    """Datasources that lost segments, at most `HARMED_MAX`."""
    new_segments: int = 0
    new_bytes: int = 0
    lost_segments: int = 0
    """Number of used segments that were marked unused or removed: an accident, perhaps."""


class CutSummaries:
    """A `Visitor` that summarizes each cut with a change, and keeps the book of all segments."""

    def __init__(self, on_cut: Callable[[ClosedCut, Happening | None], None]) -> None:
        """Register a listener for each cut and what happened in it; None if nothing was seen."""
        self.book = SegmentBook()
        self.last: ClosedCut | None = None
        self._on_cut = on_cut
        self._open: list[tuple[EventSubject, int]] = []
        self._is_base = False

    def see(self, found: EventSubject, record: Record) -> None:
        """Take an event; it counts once its cut is closed."""
        size_bytes = 0
        if record.type == CHANGED_TYPE[Kind.SEGMENT]:
            size_bytes = summary_of(record).size_bytes or 0
        self._open.append((found, size_bytes))

    def close(self, cut: ClosedCut) -> None:
        """Count the events seen since the last cut, and tell what they did."""
        happening = self._happening(cut) if self._open else self._begun(cut)
        self.last, self._is_base = cut, False
        self.discard()
        self._on_cut(cut, happening)

    def discard(self) -> None:
        """Forget the events seen since the last cut."""
        self._open = []

    def restart(self) -> None:
        """Forget all segments: the next are those of a base."""
        self.book.clear()
        self._is_base = True
        self.discard()

    def note(self, found: EventSubject, record: Record) -> None:
        """Take a row of a base: nothing happened to it."""
        if found.kind is Kind.SEGMENT:
            key = key_hash(found.row_key)
            size_bytes = summary_of(record).size_bytes or 0
            self.book.put(
                key, BookedSegment(found.datasource or _UNKNOWN, bool(found.used), size_bytes)
            )

    def _begun(self, cut: ClosedCut) -> Happening | None:
        """Return the happening of a base's cut, of which only the contents are known; else None."""
        if not self._is_base:
            return None
        had = [one.segments for one in self.book.totals.values() if one.segments]
        what = "first filling" if cut.closed.cut == 1 else "history begins"
        return Happening(
            cut=cut,
            after=None,
            words=f"{what}: {counted(sum(had), 'segment')} of {counted(len(had), 'datasource')}",
            does_harm=False,
        )

    def _happening(self, cut: ClosedCut) -> Happening:
        tallies, others = dict[str, SegmentTally](), dict[str, None]()
        for one, size_bytes in self._open:
            if one.kind is Kind.SEGMENT:
                self._count(one, size_bytes, tallies)
            elif (word := WORDS.get(one.kind)) is not None:
                others[word] = None
        summaries = [f"{name}: {tally.words()}" for name, tally in sorted(tallies.items())]
        if more := len(summaries) - NAMED_MAX:
            summaries[NAMED_MAX:] = [f"{more} more datasources"] if more > 0 else []
        harmed = sorted(name for name, tally in tallies.items() if tally.does_harm)
        return Happening(
            cut=cut,
            after=self.last,
            words="; ".join([*summaries, *others]),
            does_harm=bool(harmed),
            harmed=tuple(harmed[:HARMED_MAX]),
            new_segments=sum(tally.new for tally in tallies.values()),
            new_bytes=sum(tally.new_bytes for tally in tallies.values()),
            lost_segments=sum(tally.lost for tally in tallies.values()),
        )

    def _count(self, one: EventSubject, size_bytes: int, tallies: dict[str, SegmentTally]) -> None:
        key = key_hash(RowKey(one.kind, one.key))
        before = self.book.get(key)
        name = one.datasource or (before.datasource if before else _UNKNOWN)
        if name not in tallies:
            tallies[name] = SegmentTally(before=self.book.used_of(name))
        tally = tallies[name]
        if one.is_removal:
            tally.removed += 1
            tally.removed_used += before is not None and before.used
            self.book.put(key, None)
            return
        now = BookedSegment(name, bool(one.used), size_bytes)
        if before is None:
            tally.new += 1
            tally.new_bytes += size_bytes
        elif before.used == now.used:
            tally.changed += 1
        elif now.used:
            tally.used_again += 1
        else:
            tally.unused += 1
        self.book.put(key, now)


async def happenings(
    history: History, *, limit: int, observer: Observer, datasource: str | None = None
) -> list[Happening]:
    """Return what happened in the newest `limit` cuts with a change, the oldest first.

    With `datasource` only what happened to its segments. Where the log was trimmed, earlier
    segments count as never seen; a store's history begins with its first base.

    Raises:
        CorruptionError: a record does not match its type.
        GapError: records are missing, and no base stands in for them.
    """
    kept = deque[Happening](maxlen=limit)

    def keep(_: ClosedCut, happening: Happening | None) -> None:
        if happening is not None:
            kept.append(happening)

    wanted = subject_of if datasource is None else partial(_segment_of, datasource)
    await search_all(history, wanted, CutSummaries(keep), observer=observer)
    return list(kept)


def _segment_of(datasource: str, record: Record) -> EventSubject | None:
    if kind_of(record) is not Kind.SEGMENT:
        return None
    found = subject_of(record)
    return found if found is not None and found.is_of(datasource) else None
