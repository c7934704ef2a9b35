"""Summarizes each cut in a few words: which datasource got, lost or changed segments.

One pass over the log's raw events; takes about 100 bytes for each used segment.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import partial

from replicator.model.event import ClosedCut, Record
from replicator.model.fingerprint import key_hash
from replicator.model.observation import Observer
from replicator.model.peek import EventSubject, kind_of, subject_of
from replicator.model.row import Kind, RowKey
from replicator.services.history.reader import History
from replicator.services.history.search import search

NAMED_MAX = 3
"""Number of datasources that are named for each cut."""
WORDS = {
    Kind.COMMIT: "stream offsets",
    Kind.SUPERVISOR: "supervisors",
    Kind.RULES: "rules",
    Kind.CONFIG: "configuration",
}


@dataclass(slots=True)
class _HappeningTally:
    """What one cut did to the segments of one datasource."""

    before: int = 0
    """Number of segments that were used in the previous cut."""
    new: int = 0
    unused: int = 0
    used_again: int = 0
    changed: int = 0
    removed: int = 0

    def words(self) -> str:
        """Return the summary, with harmful changes first."""
        said = []
        if self.unused:
            said.append(f"{self.unused} of {self.before} marked unused")
        if self.removed:
            said.append(f"{self.removed} removed")
        if self.new:
            said.append(f"{self.new} new")
        if self.used_again:
            said.append(f"{self.used_again} used again")
        if self.changed:
            said.append(f"{self.changed} changed")
        return ", ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What one cut did."""

    cut: ClosedCut
    after: ClosedCut | None
    """The previous cut, which lacks the changes; None if there was none."""
    words: str
    does_harm: bool
    """Whether segments were marked unused or removed."""


@dataclass(slots=True)
class _Happenings:
    """A `Visitor` that keeps what happened in the newest cuts with a change."""

    limit: int
    kept: deque[Happening] = field(init=False)
    _last: ClosedCut | None = None
    _used: dict[bytes, str] = field(default_factory=dict)
    _known: set[bytes] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)
    _open: list[EventSubject] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept = deque(maxlen=self.limit)

    def see(self, found: EventSubject, _: Record) -> None:
        self._open.append(found)

    def close(self, cut: ClosedCut) -> None:
        if self._open:
            words, does_harm = self._words()
            self.kept.append(Happening(cut=cut, after=self._last, words=words, does_harm=does_harm))
        self._last = cut
        self.discard()

    def discard(self) -> None:
        self._open = []

    def _words(self) -> tuple[str, bool]:
        tallies, others = dict[str, _HappeningTally](), dict[str, None]()
        for one in self._open:
            if one.kind is Kind.SEGMENT:
                name = one.datasource or "?"
                tally = tallies.setdefault(name, _HappeningTally(before=self._counts.get(name, 0)))
                self._count(one, name, tally)
            elif (word := WORDS.get(one.kind)) is not None:
                others[word] = None
        said = [f"{name}: {tally.words()}" for name, tally in sorted(tallies.items())]
        if more := len(said) - NAMED_MAX:
            said[NAMED_MAX:] = [f"{more} more datasources"] if more > 0 else []
        does_harm = any(tally.unused or tally.removed for tally in tallies.values())
        return "; ".join([*said, *others]), does_harm

    def _count(self, one: EventSubject, name: str, tally: _HappeningTally) -> None:
        key = key_hash(RowKey(one.kind, one.key))
        was_used, was_known = key in self._used, key in self._known
        if one.is_removal:
            tally.removed += 1
            self._known.discard(key)
        else:
            self._known.add(key)
            tally.new += not was_known
            tally.unused += was_used and not one.used
            tally.used_again += was_known and not was_used and bool(one.used)
            tally.changed += was_known and was_used == bool(one.used)
        is_used = not one.is_removal and bool(one.used)
        if is_used and not was_used:
            self._used[key] = name
        elif was_used and not is_used:
            self._used.pop(key)
        self._counts[name] = self._counts.get(name, 0) + is_used - was_used


async def happenings(
    history: History, *, limit: int, observer: Observer, datasource: str | None = None
) -> list[Happening]:
    """Return what happened in the newest `limit` cuts with a change, the oldest first.

    With `datasource` only what happened to its segments. Where the log was trimmed, earlier
    segments count as never seen.

    Raises:
        CorruptionError: a record does not match its type.
    """
    found = _Happenings(limit)
    wanted = subject_of if datasource is None else partial(_segment_of, datasource)
    await search(history, wanted, found, observer=observer)
    return list(found.kept)


def _segment_of(datasource: str, record: Record) -> EventSubject | None:
    if kind_of(record) is not Kind.SEGMENT:
        return None
    found = subject_of(record)
    return found if found is not None and found.is_of(datasource) else None
