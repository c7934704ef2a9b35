"""Searches a log for the events of one subject, in bounded memory; only those are decoded."""

from collections.abc import Callable
from typing import Protocol

from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.observation import Observer, Progress
from replicator.model.peek import EventSubject
from replicator.model.reading import Attempt
from replicator.model.wire import CUT_CLOSED
from replicator.services.history.attempts import OpenAttempt, attempt_of
from replicator.services.history.closed_cuts import closed_cut
from replicator.services.history.reader import History


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
    at, end = span.first, span.end if until is None else Offset(until + 1)
    attempt = OpenAttempt()
    while at < end and (records := await history.raw(at)):
        for record in records:
            if record.offset >= end:
                break
            if record.type == CUT_CLOSED:
                cut = closed_cut(record)
                if attempt.is_given_up_by(attempt_of(cut.closed)):
                    visitor.discard()
                visitor.close(cut)
                attempt.forget()
            elif (found := wanted(record)) is not None:
                if attempt.read(Attempt(found.epoch, found.cut)):
                    visitor.discard()
                visitor.see(found, record)
        at = Offset(records[-1].offset + 1)
        done, total = at - span.first, end - span.first
        observer(
            Progress(what="search the log", done=min(done, total), total=total, unit="records")
        )
    visitor.discard()
