"""Searches a log for the events of one subject, in bounded memory; only those are decoded."""

import asyncio
import sys
from collections.abc import Callable
from typing import Final, Protocol

from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.log.peek import EventSubject
from replicator.model.log.reading import Attempt
from replicator.model.log.wire import CUT_CLOSED
from replicator.model.observation import Observer, Progress
from replicator.services.history.attempts import OpenAttempt, attempt_of
from replicator.services.history.closed_cuts import closed_cut
from replicator.services.history.reader import History

RECORDS_PER_TURN: Final = 250
"""Records after which others have their turn: a service answers while it searches."""


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


class Search:
    """A search that can stop anywhere in the log and go on from there.

    Args:
        history: Log to search.
        wanted: Returns what a record speaks of; None if the visitor does not need it.
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
            self.at = Offset(records[-1].offset + 1)
            read()
            if self.at >= stop_at:
                return self.at >= end
        return True

    def jump(self, offset: Offset) -> None:
        """Go on at a later offset, without the events between."""
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

    def tell() -> None:
        done, total = found.at - span.first, end - span.first
        observer(
            Progress(what="search the log", done=min(done, total), total=total, unit="records")
        )

    await found.advance(end, read=tell)
    visitor.discard()
