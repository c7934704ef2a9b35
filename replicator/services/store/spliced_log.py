"""A log whose trimmed records are read from the histories that targets keep."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from replicator.errors import (
    CorruptionError,
    DamagedStoreError,
    GapError,
    NotFoundError,
    ReplicatorError,
    TransientError,
    UnreadableObjectError,
    defects_named,
)
from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.log.wire import CUT_CLOSED
from replicator.model.store.archive import Base, manifest_name
from replicator.ports import EventLog, Keeping, Span
from replicator.services.history.closed_cuts import closed_cut
from replicator.services.running.patience import given_up
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store

_Found = TypeVar("_Found")
FIRST = Offset(0)
"""Offset that only a log that was never trimmed still has."""
SLOW_S: Final = 5.0
"""Seconds after which a store that has not answered is left out, or the next one asked as well."""
COMPARED_MAX: Final = 1_000
"""Number of bases that are known to be of cuts of the log."""


@dataclass(frozen=True)
class _Answers(Generic[_Found]):
    """What stores have answered, and what is wrong with the others."""

    found: list[_Found] = field(default_factory=list)
    troubles: list[ReplicatorError] = field(default_factory=list)

    async def take(self, answering: Awaitable[_Found | None]) -> None:
        """Take an answer, or why there is none."""
        try:
            answer = await answering
        except ReplicatorError as exc:
            self.troubles.append(exc)
            return
        if answer is not None:
            self.found.append(answer)

    def require_any(self) -> None:
        """Refuse to go on if no store has answered and some could not.

        Raises:
            TransientError: one is away, or an operator must mend it while its readers wait.
            DamagedStoreError: files are altered.
        """
        if not self.found:
            self.require_all()

    def require_all(self) -> None:
        """Refuse to go on if some stores could not answer.

        Raises:
            TransientError, DamagedStoreError: as for `require_any`.
        """
        if self.troubles:
            away = (one for one in self.troubles if isinstance(one, TransientError))
            raise next(away, self.troubles[0])


class SplicedLog:
    """An `EventLog` with `Bases`: the log as far back as it reaches, and archives before that.

    While the log is whole, bases are read from archives only if that is `preferred`, so that a
    watcher does not depend on the targets' stores without need. A store that is away, damaged or
    slow is skipped as long as the log is whole, as its bases only save reading; and where another
    one has an answer, unless a reader that prefers stores shows what all of them have.

    Whoever can write to a store can write a base of any cut: one that the log itself has otherwise
    is damage.

    Args:
        log: The log itself.
        stores: Returns, when called, the stores in which targets keep the log's history.
        preferred: Whether to start from a base although the log could be read from its start, and
            to wait for each store.
    """

    def __init__(
        self, log: EventLog, stores: Callable[[], Sequence[Store]], *, preferred: bool
    ) -> None:
        self._log, self._stores, self._preferred = log, stores, preferred
        self._archives: list[ArchivedLog] | None = None
        self._compared: dict[Offset, ClosedCut] = {}
        self._alone: int | None = None
        """Index of the only archive that is asked; None: all are."""

    async def span(self) -> Span:
        """Return which offsets can be read, from the log or from an archive."""
        span = await self._log.span()
        if span.first == FIRST:
            return span
        firsts = await self._of_each(span, lambda archive: _first_before(archive, span))
        return Span(log_id=span.log_id, first=min([span.first, *firsts]), end=span.end)

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        """Return records of the log or, where it was trimmed, of an archive.

        Raises:
            GapError: neither has them.
        """
        try:
            return await self._log.read(start, records_max=records_max)
        except GapError as exc:
            found = await self._of_each(
                await self._log.span(),
                lambda archive: _records_of(archive, start, records_max),
                count=1,
            )
            for records in filter(None, found):
                return records
            raise GapError(f"{exc}; no target's store has it", hint=GapError.beyond_hole) from exc

    async def offset_at(self, time: datetime) -> Offset | None:
        """Return the first offset appended at or after `time`; None also if that is unclear."""
        found, span = await self._log.offset_at(time), await self._log.span()
        if span.first == FIRST or (found is not None and found > span.first):
            return found
        earlier = await self._of_each(span, lambda archive: archive.offset_at(time), count=1)
        return earlier[0] if earlier else found

    async def keeping(self) -> Keeping:
        """Return how the log itself keeps its records; archives have their own retention."""
        return await self._log.keeping()

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        """Tell the log itself how far a reader is."""
        await self._log.report(reader, offset, store)

    async def reported(self, reader: str) -> str | None:
        """Return what a reader has reported to the log itself."""
        return await self._log.reported(reader)

    async def offsets(self) -> Sequence[Offset]:
        """Return the offsets of the cuts with a base, ascending."""
        span = await self._log.span()
        # A watcher of a whole log must not wait for the stores of its targets.
        if span.first == FIRST and not self._preferred:
            return []
        found = await self._of_each(span, _offsets_of)
        return sorted({offset for offsets in found for offset in offsets})

    async def base(self, offset: Offset) -> Base:
        """Return a base from any archive that has it whole."""
        return await self._first(offset, self._base_of)

    async def _base_of(self, archive: ArchivedLog, offset: Offset) -> Base:
        found = await archive.base(offset)
        if self._compared.get(offset) != found.cut:
            await self._refuse_other_cut(found)
            self._compared[offset] = found.cut
            while len(self._compared) > COMPARED_MAX:
                del self._compared[next(iter(self._compared))]
        return found

    async def _refuse_other_cut(self, base: Base) -> None:
        """Refuse a base of a cut that the log does not have, or has otherwise.

        Where the log was trimmed it says nothing about the base.
        """
        span = await self._log.span()
        if not span.first <= base.offset < span.end:
            return
        try:
            records = await self._log.read(base.offset, records_max=1)
        except GapError:
            return  # trimmed meanwhile
        there = [one for one in records if one.offset == base.offset and one.type == CUT_CLOSED]
        if [closed_cut(one) for one in there] != [base.cut]:
            raise CorruptionError(
                f"{manifest_name(base.log_id, base.offset)} is not of the cut that the log has"
                " there: another program wrote it",
                hint="remove that base from the store, and see who can write there",
            )

    async def read_base(
        self, offset: Offset, start: Offset, *, records_max: int, of: Base | None = None
    ) -> Sequence[Record]:
        """Return records of a base from any archive that has it whole."""
        return await self._first(
            offset,
            lambda archive, at: archive.read_base(at, start, records_max=records_max, of=of),
        )

    async def whole_until(self, start: Offset) -> Offset:
        """Return the offset up to which no file is missing after the base or record at `start`."""
        span = await self._log.span()
        if span.first == FIRST:
            return span.end
        found = await self._of_each(span, lambda archive: archive.whole_until(start))
        until = Offset(max([start + 1, *found]))
        return span.end if until >= span.first else until

    async def resume(self, start: Offset) -> Offset | None:
        """Return the next offset with records, from `start` on; None if there is none."""
        span = await self._log.span()
        if start >= span.first:
            return start if start < span.end else None
        found = await self._of_each(span, lambda archive: archive.resume(start))
        return min([span.first, *found])

    async def doubt(self) -> bool | None:
        """Read from one archive alone from now on, another one at each call; False: from none.

        Files that contradict the log may be of any of them, and each may have files of its own.
        None: the log is whole, and contradicts itself.
        """
        if (await self._log.span()).first == FIRST:
            return None
        known = self._archives or []
        self._alone = 0 if self._alone is None else self._alone + 1
        if len(known) > 1 and self._alone < len(known):
            return True
        self._alone = None
        return False

    async def _first(
        self, offset: Offset, ask: Callable[[ArchivedLog, Offset], Awaitable[_Found]]
    ) -> _Found:
        failure: ReplicatorError = CorruptionError(f"there is no base at offset {offset} any more")
        for archive in await self._archives_from(await self._log.span()):
            try:
                with self._named(archive):
                    if await archive.has_base(offset):
                        return await ask(archive, offset)
            except ReplicatorError as exc:
                failure = _of_its_store(exc, archive)
        raise failure

    def _named(self, archive: ArchivedLog) -> AbstractContextManager[None]:
        """Let a defect that one store brings out be its trouble, where others will do."""
        return nullcontext() if self._preferred else defects_named(_store_words(archive))

    async def _answer_of(
        self, archive: ArchivedLog, ask: Callable[[ArchivedLog], Awaitable[_Found | None]]
    ) -> _Found | None:
        try:
            with self._named(archive):
                return await ask(archive)
        except ReplicatorError as exc:
            raise _of_its_store(exc, archive) from exc

    async def _of_each(
        self,
        span: Span,
        ask: Callable[[ArchivedLog], Coroutine[Any, Any, _Found | None]],
        *,
        count: int | None = None,
    ) -> list[_Found]:
        """Return what the archives answer but None, at most `count` answers.

        Raises:
            TransientError: the log was trimmed, no archive has an answer, and one cannot be asked.
            DamagedStoreError: as before, and its files are altered.
        """
        answers = await self._answers(span, ask, count=count)
        if span.first != FIRST:
            answers.require_any()
        return answers.found

    async def _answers(
        self,
        span: Span,
        ask: Callable[[ArchivedLog], Coroutine[Any, Any, _Found | None]],
        *,
        count: int | None = None,
    ) -> _Answers[_Found]:
        """Ask the archives: side by side, or one after the other if `count` answers will do.

        Once one has answered, others get only a moment: a store that hangs holds up nothing that
        another one has.

        Raises:
            TransientError, DamagedStoreError: the log was trimmed, one cannot be asked, and the
                reader waits for each.
        """
        left, running = deque(await self._archives_from(span)), set[asyncio.Task[_Found | None]]()
        answers = _Answers[_Found]()
        if len(left) == 1:
            await answers.take(self._answer_of(left.popleft(), ask))
        waits = self._preferred and span.first != FIRST
        try:
            while (left or running) and (count is None or len(answers.found) < count):
                for _ in range(len(left) if count is None else min(1, len(left))):
                    running.add(asyncio.create_task(self._answer_of(left.popleft(), ask)))
                is_enough = not waits and (left or answers.found)
                done, running = await asyncio.wait(
                    running,
                    timeout=SLOW_S if is_enough else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done and not left:
                    break
                for task in done:
                    await answers.take(task)
        finally:
            for task in running:
                await given_up(task)
        if waits and count is None:
            answers.require_all()
        return answers

    async def _archives_from(self, span: Span) -> list[ArchivedLog]:
        if self._archives is None or any(a.log_id != span.log_id for a in self._archives):
            self._archives = [ArchivedLog(store, span.log_id) for store in self._stores()]
            self._compared, self._alone = {}, None
        return self._archives if self._alone is None else [self._archives[self._alone]]


async def _offsets_of(archive: ArchivedLog) -> Sequence[Offset] | None:
    return await archive.offsets() or None


async def _first_before(archive: ArchivedLog, span: Span) -> Offset | None:
    """Return the first base from which an archive reaches the log; None: from none."""
    until = Offset(0)
    for base in [*await archive.offsets()]:
        if base >= until and (until := await archive.whole_until(base)) >= span.first:
            return base
    return None


async def _records_of(
    archive: ArchivedLog, start: Offset, records_max: int
) -> Sequence[Record] | None:
    """Return records from `start` on, none if only a base is there; None: nothing is."""
    # An applier writes history while this reads; only a listing that is older than the record lacks
    # it.
    if await archive.resume(start) != start:
        await archive.refresh()  # history was written since the listing
        if await archive.resume(start) != start:
            return None
    try:
        return await archive.read(start, records_max=records_max)
    except UnreadableObjectError:
        raise
    except GapError:
        return ()


def _store_words(archive: ArchivedLog) -> str:
    target = archive.store.target
    return f"the store of target {target!r}" if target else "the store"


def _of_its_store(exc: ReplicatorError, archive: ArchivedLog) -> ReplicatorError:
    """Return an error that says whose store it is: each target has files of the same names.

    Only altered files are damage. Whatever else is wrong with a store is mended by an operator,
    while its readers wait.
    """
    message = f"{_store_words(archive)}: {exc}" if archive.store.target else str(exc)
    if isinstance(exc, CorruptionError | NotFoundError):
        return DamagedStoreError(message, hint=exc.hint)
    return TransientError(message, hint=exc.hint)
