"""Moves a log into another store, with its id, its offsets and its times.

Checkpoints, gaps, holds and the stores of targets name the log and its offsets, so all of them
continue with the other store as if nothing had happened.

The order is what makes a kill at any moment harmless: all is copied and read back, then nobody can
read or write the former log any more, and only then the other one can be read and written. A
process that starts in between is refused, with the command that finishes the move. At no moment can
two logs be written.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from replicator.errors import CorruptionError, RefusedError
from replicator.model.event import Offset, Record
from replicator.model.observation import Observer, Progress
from replicator.ports import LogHeir, LogState, MovableLog, Span

RECORDS_PER_READ_MAX = 2_000
WHAT = "move the log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Result of a move."""

    log_id: str
    first: Offset
    end: Offset
    copied: int
    """Number of records that this run copied, without those of an interrupted run."""
    was_done: bool
    """Whether an earlier run had moved the whole log."""


class LogMover:
    """Moves one log.

    Args:
        former: The log as it is configured now.
        heir: The log that takes its place.
        observer: Receives the progress.
        records_per_read_max: Number of records in memory at once.
    """

    def __init__(
        self,
        former: MovableLog,
        heir: LogHeir,
        observer: Observer,
        *,
        records_per_read_max: int = RECORDS_PER_READ_MAX,
    ) -> None:
        self._former, self._heir, self._observer = former, heir, observer
        self._records_max = records_per_read_max

    async def move(self) -> Moved:
        """Move the whole log; continue where an earlier move was interrupted.

        Raises:
            NotFoundError: there is no log.
            RefusedError: it was moved into another one, or the heir holds another log.
            FencedError: a watcher took the log back and must be stopped first.
            CorruptionError: the copy differs from the log; the copy was removed again.
        """
        state = await self._state()
        start = await self._heir.begin(state)
        if start is None:
            await self._seal(state)
            return self._moved(state, copied=0, was_done=True)
        if state.moved_into is None:
            await self._former.acquire()  # a watcher that still runs is fenced from here on
            state = await self._state()
        copied = await self._copy(start, state.span)
        await self._require_equal(state.span)
        await self._seal(state)
        await self._heir.finish(state)
        return self._moved(state, copied=copied, was_done=False)

    async def _state(self) -> LogState:
        state = await self._former.state()
        if state.moved_into not in {None, self._heir.name}:
            raise RefusedError(
                f"this log was moved into {state.moved_into} and not into {self._heir.name}",
                hint="name the configuration of that one",
            )
        return state

    async def _seal(self, state: LogState) -> None:
        if state.moved_into is None:
            await self._former.seal(self._heir.name)

    async def _copy(self, start: Offset, span: Span) -> int:
        at, copied = max(start, span.first), 0
        while records := await self._next(self._former, at, span):
            await self._heir.receive(records)
            copied, at = copied + len(records), Offset(records[-1].offset + 1)
            self._tell(at - span.first, span)
        return copied

    async def _require_equal(self, span: Span) -> None:
        """Read back all copied records, one by one."""
        received = self._each(self._heir, span)
        async for wanted in self._each(self._former, span):
            found = await anext(received, None)
            if found is None or not _is_same(wanted, found):
                await self._heir.forget()
                raise CorruptionError(
                    f"offset {wanted.offset} is not in {self._heir.name} as it is in the log; what"
                    " was copied was removed again, and the log is as it was",
                    hint="see that nothing else writes there, and run the command again",
                )

    async def _each(self, log: MovableLog | LogHeir, span: Span) -> AsyncIterator[Record]:
        at = span.first
        while records := await self._next(log, at, span):
            for record in records:
                yield record
            at = Offset(records[-1].offset + 1)

    async def _next(self, log: MovableLog | LogHeir, at: Offset, span: Span) -> list[Record]:
        found = await log.read(at, records_max=self._records_max)
        return [record for record in found if record.offset < span.end]

    def _tell(self, done: int, span: Span) -> None:
        total = span.end - span.first
        self._observer(Progress(what=WHAT, done=done, total=total, unit="offsets"))

    def _moved(self, state: LogState, *, copied: int, was_done: bool) -> Moved:
        span = state.span
        return Moved(
            log_id=span.log_id, first=span.first, end=span.end, copied=copied, was_done=was_done
        )


def _is_same(one: Record, other: Record) -> bool:
    """Compare all but the last digits of the time: Kafka has milliseconds."""
    return (one.offset, one.type, one.data) == (other.offset, other.type, other.data)
