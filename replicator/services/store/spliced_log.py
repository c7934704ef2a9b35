"""A log whose trimmed records are read from the histories that targets keep."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from replicator.errors import (
    ConfigError,
    CorruptionError,
    GapError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.event import Offset, Record
from replicator.model.store.archive import Base
from replicator.ports import EventLog, Keeping, Span
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store

_Found = TypeVar("_Found")
_AWAY = (TransientError, ConfigError)
FIRST = Offset(0)
"""Offset that only a log that was never trimmed still has."""


class SplicedLog:
    """An `EventLog` with `Bases`: the log as far back as it reaches, and archives before that.

    While the log is whole, bases are read from archives only if that is `preferred`, so that a
    watcher does not depend on the targets' stores without need. An unreachable store is skipped as
    long as the log is whole: its bases only save reading.

    Args:
        log: The log itself.
        stores: Returns, when called, the stores in which targets keep the log's history.
        preferred: Whether to start from a base although the log could be read from its start.
    """

    def __init__(
        self, log: EventLog, stores: Callable[[], Sequence[Store]], *, preferred: bool
    ) -> None:
        self._log, self._stores, self._preferred = log, stores, preferred
        self._archives: list[ArchivedLog] | None = None

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
                await self._log.span(), lambda archive: _that_has(archive, start), count=1
            )
            for archive in found:
                return await archive.read(start, records_max=records_max)
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
        found = await self._of_each(span, lambda archive: archive.offsets())
        return sorted({offset for offsets in found for offset in offsets})

    async def base(self, offset: Offset) -> Base:
        """Return a base from any archive that has it whole."""
        return await self._first(offset, lambda archive: archive.base(offset))

    async def read_base(
        self, offset: Offset, start: Offset, *, records_max: int
    ) -> Sequence[Record]:
        """Return records of a base from any archive that has it whole."""
        return await self._first(
            offset, lambda archive: archive.read_base(offset, start, records_max=records_max)
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

    async def _first(
        self, offset: Offset, ask: Callable[[ArchivedLog], Awaitable[_Found]]
    ) -> _Found:
        failure: ReplicatorError = CorruptionError(f"there is no base at offset {offset} any more")
        for archive in await self._archives_from(await self._log.span()):
            try:
                if await archive.has_base(offset):
                    return await ask(archive)
            except CorruptionError as exc:
                failure = _of_its_store(exc, archive.store.target)
            except RefusedError as exc:
                failure = _in_the_way(exc, archive.store.target)
            except _AWAY as exc:
                failure = exc
        raise failure

    async def _of_each(
        self,
        span: Span,
        ask: Callable[[ArchivedLog], Awaitable[_Found | None]],
        *,
        count: int | None = None,
    ) -> list[_Found]:
        """Return what the archives answer but None, at most `count` answers.

        While the log is whole, an archive that cannot be read is left out. One in whose store a
        link is in the way is left out if another one has an answer.

        Raises:
            TransientError: no archive has one, and there is such a store.
        """
        found, in_the_way = list[_Found](), list[TransientError]()
        for archive in await self._archives_from(span):
            with suppress(*(_AWAY if span.first == FIRST else ())):
                try:
                    answer = await ask(archive)
                except RefusedError as exc:
                    in_the_way.append(_in_the_way(exc, archive.store.target))
                    continue
                if answer is not None:
                    found.append(answer)
            if len(found) == count:
                break
        if in_the_way and not found and span.first != FIRST:
            raise in_the_way[0]
        return found

    async def _archives_from(self, span: Span) -> list[ArchivedLog]:
        if self._archives is None or any(a.log_id != span.log_id for a in self._archives):
            self._archives = [ArchivedLog(store, span.log_id) for store in self._stores()]
        return self._archives


async def _first_before(archive: ArchivedLog, span: Span) -> Offset | None:
    """Return the first base from which an archive reaches the log; None: from none."""
    until = Offset(0)
    for base in [*await archive.offsets()]:
        if base >= until and (until := await archive.whole_until(base)) >= span.first:
            return base
    return None


async def _that_has(archive: ArchivedLog, start: Offset) -> ArchivedLog | None:
    # An applier writes history while this reads; only a listing that is older than the record lacks
    # it.
    if await archive.resume(start) != start:
        await archive.refresh()  # history was written since the listing
    return archive if await archive.resume(start) == start else None


def _in_the_way(refused: RefusedError, target: str) -> TransientError:
    """Return the error of a store that an operator must mend, while its readers wait."""
    where = f"the store of target {target!r}: " if target else ""
    return TransientError(f"{where}{refused}", hint=refused.hint)


def _of_its_store(damage: CorruptionError, target: str) -> CorruptionError:
    """Return an error that says whose store is damaged: each target has files of the same names."""
    if not target:
        return damage
    return CorruptionError(f"the store of target {target!r}: {damage}", hint=damage.hint)
