"""Finds in a log what speaks of one thing, in bounded memory and without decoding the rest."""

from collections.abc import Callable
from typing import Protocol

from replicator.model.event import ClosedCut, CutNumber, Epoch, Offset, Record
from replicator.model.observation import Observer, Progress
from replicator.model.peek import EventSubject
from replicator.model.wire import CUT_CLOSED
from replicator.services.history.closed_cuts import closed_cut
from replicator.services.history.reader import History


class Visitor(Protocol):
    """Is told what is found, in the order of the log."""

    def see(self, found: EventSubject, record: Record) -> None:
        """Take an event; it counts once its cut is closed."""
        ...

    def close(self, cut: ClosedCut) -> None:
        """Let everything seen since the last cut count."""
        ...

    def discard(self) -> None:
        """Forget what was seen since the last cut: its attempt was given up."""
        ...


async def search(
    history: History,
    wanted: Callable[[Record], EventSubject | None],
    witness: Visitor,
    *,
    until: Offset | None = None,
    observer: Observer,
) -> None:
    """Tell a witness every event that is wanted, and every cut, up to `until` (included).

    Raises:
        CorruptionError: a record is not what its type says.
    """
    span = await history.span()
    at, end = span.first, span.end if until is None else Offset(until + 1)
    attempt: tuple[Epoch, CutNumber] | None = None
    while at < end and (records := await history.raw(at)):
        for record in records:
            if record.offset >= end:
                break
            if record.type == CUT_CLOSED:
                cut = closed_cut(record)
                if attempt not in {None, (cut.closed.epoch, cut.closed.cut)}:
                    witness.discard()
                witness.close(cut)
                attempt = None
            elif (found := wanted(record)) is not None:
                if attempt not in {None, (found.epoch, found.cut)}:
                    witness.discard()
                attempt = found.epoch, found.cut
                witness.see(found, record)
        at = Offset(records[-1].offset + 1)
        done, total = at - span.first, end - span.first
        observer(
            Progress(what="search the log", done=min(done, total), total=total, unit="records")
        )
    witness.discard()
