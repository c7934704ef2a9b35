"""Names the datasources of a log, so that the error for a wrong name suggests the right one."""

from contextlib import suppress
from difflib import get_close_matches
from functools import partial

import numpy as np

from replicator.errors import GapError, MalformedRowError, NotFoundError
from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.fingerprint import key_hash
from replicator.model.log.peek import EventSubject, kind_of, subject_of
from replicator.model.log.reading import Recorded
from replicator.model.log.row_mapping import supervised_datasource
from replicator.model.observation import Observation
from replicator.model.operations.words import whole_time
from replicator.model.plans.restore_point import Latest
from replicator.model.row import Kind, Supervisor
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.services.history.search import search_all

NAMED_MAX = 10
"""Number of datasources that an error names when no name is close."""


async def datasources(history: History, until: Offset) -> frozenset[str]:
    """Return the datasources of all rows of a cut, used or not."""
    ledger = await fold(history, until, Recorded())
    names = set[str]()
    async for found in history.tallies(np.sort(ledger.offsets)):
        names.update(name for name in found.by_datasource if name is not None)
    return frozenset(names)


async def is_known(history: History, name: str) -> bool:
    """Return whether the last cut has rows of this datasource, also after the log was trimmed."""
    try:
        last = await history.find(Latest())
    except (GapError, NotFoundError):
        return False
    return name in await datasources(history, last.offset)


async def nearest(history: History, name: str) -> str:
    """Return a hint with the datasources that the operator may have meant, dropped ones too.

    If the history has a datasource with exactly this name, the hint says when it existed.
    """
    try:
        last = await history.find(Latest())
    except (GapError, NotFoundError):
        return "names are exact"
    present = await datasources(history, last.offset)
    known = present | await _ever(history)
    if name in known:
        return _life(name, await _used(history, name)) or (
            f"the log has other rows of {name!r}, and no used segment"
        )
    if close := get_close_matches(name, sorted(known), n=1):
        used = await _used(history, close[0])
        was_dropped = "" if used.gone is None else f"; {_life(close[0], used)}"
        return f"did you mean {close[0]!r}? Names are exact{was_dropped}"
    if not known:
        return "names are exact, and the last cut has no datasource"
    words = f"names are exact; the last cut has {_listed(present) if present else 'no datasource'}"
    gone = known - present
    return f"{words}; dropped before it: {_listed(gone)}" if gone else words


def _listed(names: frozenset[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return f"{', '.join(sorted(names)[:NAMED_MAX])}{more}"


async def _ever(history: History) -> frozenset[str]:
    """Return the datasources of all segments that the history has ever had."""
    names = _EverNamed()
    try:
        await search_all(history, _segment, names, observer=_unseen)
    except GapError:  # what was trimmed and is in no store cannot be named
        return frozenset()
    return frozenset(names.closed)


async def _used(history: History, name: str) -> "_UsedCuts":
    """Return in which cuts a datasource had used segments, as far as the history reaches back."""
    used = _UsedCuts()
    with suppress(GapError):  # what was trimmed and is in no store
        await search_all(history, partial(_segment_of, name), used, observer=_unseen)
    return used


def _life(name: str, used: "_UsedCuts") -> str:
    """Return in words in which cuts a datasource had used segments; empty: in none."""
    if used.first is None or used.last is None:
        return ""
    if used.gone is None:
        return f"{name!r} has had used segments since {_words(used.first)}"
    return (
        f"{name!r} was dropped in {_words(used.gone)}; its last cut with used segments is"
        f" {_words(used.last)}: `--to-offset {used.last.offset}`"
    )


def _words(cut: ClosedCut) -> str:
    return f"cut {cut.closed.cut} ({whole_time(cut.closed.source_time)})"


def _unseen(_: Observation) -> None:
    """Ignore progress: an error is about to be printed."""


def _segment(record: Record) -> EventSubject | None:
    return subject_of(record) if kind_of(record) is Kind.SEGMENT else None


def _segment_of(name: str, record: Record) -> EventSubject | None:
    found = _segment(record)
    return found if found is not None and found.is_of(name) else None


class _EverNamed:
    """A `Rememberer` that collects the datasources of all segments."""

    def __init__(self) -> None:
        self.closed = set[str]()
        self._open = set[str]()

    def see(self, found: EventSubject, _: Record) -> None:
        if found.datasource is not None and not found.is_removal:
            self._open.add(found.datasource)

    def close(self, _: ClosedCut) -> None:
        self.closed |= self._open
        self.discard()

    def discard(self) -> None:
        self._open = set()

    def restart(self) -> None:
        self.discard()

    def note(self, found: EventSubject, record: Record) -> None:
        self.see(found, record)


class _UsedCuts:
    """A `Rememberer` that keeps in which cuts one datasource had used segments."""

    def __init__(self) -> None:
        self.first: ClosedCut | None = None
        self.last: ClosedCut | None = None
        self.gone: ClosedCut | None = None
        """The cut in which the last used segment went; None while there is one."""
        self._used = set[bytes]()
        self._open = dict[bytes, bool]()

    def see(self, found: EventSubject, _: Record) -> None:
        self._open[key_hash(found.row_key)] = bool(found.used)

    def close(self, cut: ClosedCut) -> None:
        was_used = bool(self._used)
        self._used -= {key for key, used in self._open.items() if not used}
        self._used |= {key for key, used in self._open.items() if used}
        if self._used:
            self.first, self.last, self.gone = self.first or cut, cut, None
        elif was_used:
            self.gone = cut
        self.discard()

    def discard(self) -> None:
        self._open = {}

    def restart(self) -> None:
        self._used.clear()
        self.discard()

    def note(self, found: EventSubject, record: Record) -> None:
        self.see(found, record)


def ingests_into(supervisor: Supervisor) -> str | None:
    """Return the datasource of a supervisor; None if its spec names none or cannot be read."""
    try:
        return supervised_datasource(supervisor)
    except MalformedRowError:
        return None
