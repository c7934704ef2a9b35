"""Searches a log for the events of one subject, in bounded memory; only those are decoded."""

import asyncio
import sys
from collections.abc import Callable
from typing import Final, Protocol

from replicator.errors import GapError
from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.log.peek import EventSubject
from replicator.model.log.reading import Attempt
from replicator.model.log.wire import CUT_CLOSED
from replicator.model.observation import Observer, Progress
from replicator.model.store.archive import Base
from replicator.services.history.attempts import OpenAttempt, attempt_of
from replicator.services.history.closed_cuts import closed_cut
from replicator.services.history.reader import History

RECORDS_PER_TURN: Final = 250
"""Number of records after which other tasks get a turn: a service answers while it searches."""


class Visitor(Protocol):
    """Receives the events that a search finds, in the order of the log."""

    def see(self, found: EventSubject, record: Record) -> None:
        """Take an event; it counts once its cut is closed."""
        ...

    def close(self, cut: ClosedCut) -> None:
        """Count all events seen since the last cut."""
        ...

    def discard(self) -> None:
        """Forget the events seen since the last cut: their attempt was given up."""
        ...


class Rememberer(Visitor, Protocol):
    """A visitor that can also begin with a base, if the log before it is gone."""

    def restart(self) -> None:
        """Forget everything: the rows of a base follow."""
        ...

    def note(self, found: EventSubject, record: Record) -> None:
        """Take a row of a base; the base's cut is closed after the last row."""
        ...


class Search:
    """A search that can stop anywhere in the log and continue from there.

    Args:
        history: Log to search.
        wanted: Returns a record's subject; None if the visitor does not need the record.
        visitor: Receives what is found.
        start: Offset of the first record to read.
    """

    def __init__(
        self,
        history: History,
        wanted: Callable[[Record], EventSubject | None],
        visitor: Visitor,
        *,
        start: Offset,
    ) -> None:
        self._history, self._wanted, self._visitor = history, wanted, visitor
        self._attempt = OpenAttempt()
        self.at = start
        """Offset of the next record to read."""

    async def advance(
        self,
        end: Offset,
        *,
        records_max: int = sys.maxsize,
        read: Callable[[], None] = lambda: None,
    ) -> bool:
        """Search on to `end` (excluded); return False if that takes more than `records_max`.

        `read` is called after each read of the log.

        Raises:
            CorruptionError: a record does not match its type.
            GapError: the log was trimmed beyond the next record.
        """
        stop_at = self.at + records_max
        while self.at < end and (records := await self._history.raw(self.at)):
            for place, record in enumerate(records, 1):
                if record.offset >= end:
                    break
                self._take(record)
                if place % RECORDS_PER_TURN == 0:
                    await asyncio.sleep(0)
            # what was appended since `end` was asked for is the next call's: it was not taken
            self.at = Offset(min(end, records[-1].offset + 1))
            read()
            if self.at >= stop_at:
                return self.at >= end
        return True

    def jump(self, offset: Offset) -> None:
        """Continue at a later offset, without the events in between."""
        self.at = offset
        self._attempt.forget()
        self._visitor.discard()

    def _take(self, record: Record) -> None:
        if record.type == CUT_CLOSED:
            cut = closed_cut(record)
            if self._attempt.is_given_up_by(attempt_of(cut.closed)):
                self._visitor.discard()
            self._visitor.close(cut)
            self._attempt.forget()
        elif (found := self._wanted(record)) is not None:
            if self._attempt.read(Attempt(found.epoch, found.cut)):
                self._visitor.discard()
            self._visitor.see(found, record)


async def begin_from_base(
    search: Search,
    history: History,
    base: Base,
    *,
    wanted: Callable[[Record], EventSubject | None],
    visitor: Rememberer,
) -> None:
    """Hand a visitor a base instead of all that came before it, and continue after the base."""
    visitor.restart()
    async for records in history.base_records(base):
        for record in records:
            if (found := wanted(record)) is not None:
                visitor.note(found, record)
    visitor.close(base.cut)
    search.jump(Offset(base.offset + 1))


async def search_all(
    history: History,
    wanted: Callable[[Record], EventSubject | None],
    visitor: Rememberer,
    *,
    observer: Observer,
) -> None:
    """Search as `search` does; if a store lacks records, continue from its next base.

    Raises:
        CorruptionError: a record does not match its type.
        GapError: records are missing, and no base stands in for them.
    """
    span = await history.span()
    found = Search(history, wanted, visitor, start=span.first)
    tell = _teller(found, span.first, span.end, observer)
    while True:
        try:
            await found.advance(span.end, read=tell)
            break
        except GapError:
            next_ = await history.resume(found.at)
            base = None if next_ is None else await history.base_at(next_)
            if base is None:
                raise
            await begin_from_base(found, history, base, wanted=wanted, visitor=visitor)
    visitor.discard()


async def search(
    history: History,
    wanted: Callable[[Record], EventSubject | None],
    visitor: Visitor,
    *,
    until: Offset | None = None,
    observer: Observer,
) -> None:
    """Hand a visitor every wanted event and every cut, up to `until` (included).

    Raises:
        CorruptionError: a record does not match its type.
    """
    span = await history.span()
    end = span.end if until is None else Offset(until + 1)
    found = Search(history, wanted, visitor, start=span.first)
    await found.advance(end, read=_teller(found, span.first, end, observer))
    visitor.discard()


def _teller(found: Search, first: Offset, end: Offset, observer: Observer) -> Callable[[], None]:
    def tell() -> None:
        done, total = found.at - first, end - first
        observer(
            Progress(what="search the log", done=min(done, total), total=total, unit="records")
        )

    return tell
