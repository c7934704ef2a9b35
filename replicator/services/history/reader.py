"""Reads a log as events, rows, closed cuts and restore points."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from replicator.errors import CorruptionError, DamagedStoreError, GapError, NotFoundError
from replicator.model.arrays import np
from replicator.model.event import ClosedCut, Entry, Offset, Record, RowChanged
from replicator.model.fingerprint import DIGEST_MODULUS
from replicator.model.log.peek import segment_update
from replicator.model.log.wire import CHANGED_TYPE, entry_of
from replicator.model.plans.restore_point import Latest
from replicator.services.history.closed_cuts import ClosedCuts

if TYPE_CHECKING:
    from replicator.model.inventory.ledger import Keys, Offsets
    from replicator.model.log.backlog import SegmentUpdate
    from replicator.model.log.reading import Reading, Rule
    from replicator.model.log.tally import Tally
    from replicator.model.observation import Observer
    from replicator.model.plans.restore_point import RestorePoint
    from replicator.model.row import Kind, Row
    from replicator.model.store.archive import Base
    from replicator.ports import Bases, EventLog, Keeping, Span, Workers

RECORDS_PER_READ_MAX = 2_000
PROVED_MAX = 4
"""Number of bases that are known to add up; a process needs the newest one, rarely another."""
# Verbs that fold no part of the log, like `status`, do not import how that is done.
LOST_RECORDS_HINT: Final = (
    "the log has lost records or they were altered, as by a topic that was compacted (`replicator"
    " status` names its settings); the targets' stores have the same history: `replicator verify"
    " TARGET --from TARGET` compares with it, and restores with `--from` read it. To follow the"
    " source again, delete the log's topic, or move its file away, and type `replicator run"
    " --new-log`"
)


class History:
    """A log of one source, its events decoded and checked.

    Args:
        log: Log to read.
        source: Name of the source cluster that all events must carry.
        workers: Processes that decode and check events.
        bases: Bases to start from; without them everything is folded from the log's start.
        records_per_read_max: Number of records in memory at once.
        observer: Receives each altered base that is skipped.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        source: str,
        workers: Workers,
        bases: Bases | None = None,
        records_per_read_max: int = RECORDS_PER_READ_MAX,
        observer: Observer | None = None,
    ) -> None:
        self._log = log
        self._workers = workers
        self._source = source
        self._bases = bases
        self._records_max = records_per_read_max
        self._observer = observer
        self._known: Sequence[Offset] = ()
        self._proved: dict[Offset, Base] = {}
        """Bases whose rows were read and add up to their cuts, the one read last at the end."""
        self._cuts = ClosedCuts(
            log, bases=bases, records_per_read_max=records_per_read_max, pass_over=self.pass_over
        )

    async def span(self) -> Span:
        """Return which offsets can be read now."""
        return await self._log.span()

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        """Tell the log how far a reader is, and the id of the store that has its bytes."""
        await self._log.report(reader, offset, store)

    async def reported(self, reader: str) -> str | None:
        """Return the id of the store in which a reader last reported to the log, if it did."""
        return await self._log.reported(reader)

    async def entries(self, start: Offset) -> list[Entry]:
        """Return the next events from `start` on, decoded; none at the log's end.

        Raises:
            CorruptionError: an event cannot be decoded.
            ConfigError: an event belongs to another source.
        """
        records = await self._log.read(start, records_max=self._records_max)
        return [entry_of(record, self._source) for record in records]

    async def raw(self, start: Offset) -> Sequence[Record]:
        """Return the next records from `start` on as they are; none at the log's end."""
        return await self._log.read(start, records_max=self._records_max)

    def entry(self, record: Record) -> Entry:
        """Return the event that a record holds, as `entries` does."""
        return entry_of(record, self._source)

    async def reading(self, start: Offset) -> Reading | None:
        """Return the next events from `start` on as a checked reading; None at the log's end.

        Raises:
            CorruptionError, ConfigError: as for `entries`.
        """
        from replicator.model.log.reading import Recorded, read  # noqa: PLC0415 - see above

        records = await self.raw(start)
        return read(records, source=self._source, rule=Recorded()) if records else None

    def readings(
        self, start: Offset, until: Offset, rule: Rule, *, for_totals: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[Reading]]:
        """Yield checked readings of the events from `start` to `until`, within the block.

        With `for_totals` each of them has what totals need of its rows.

        Raises:
            CorruptionError, ConfigError: as for `entries`.
        """
        return self._workers.each(self._fold(rule, for_totals), self._records(start, until))

    def _fold(self, rule: Rule, for_totals: bool) -> Callable[[Sequence[Record]], Reading]:  # noqa: FBT001 - inside
        from replicator.model.log.reading import read  # noqa: PLC0415 - see above

        return partial(read, source=self._source, rule=rule, for_totals=for_totals)

    async def _records(self, start: Offset, until: Offset) -> AsyncIterator[list[Record]]:
        while start <= until:
            records = await self._log.read(start, records_max=self._records_max)
            found = [record for record in records if record.offset <= until]
            if not found:
                break
            yield found
            start = Offset(found[-1].offset + 1)

    async def rows(self, kind: Kind, until: Offset) -> AsyncIterator[Row]:
        """Yield every content that rows of one table had up to an offset, in the log's order.

        Events of other tables are not decoded.
        """
        base = await self.base_before(until)
        if base is not None:
            async for records in self.base_records(base):
                for row in self._rows(records, kind):
                    yield row
        async for records in self._records(Offset(base.offset + 1 if base else 0), until):
            for row in self._rows(records, kind):
                yield row

    def _rows(self, records: Sequence[Record], kind: Kind) -> Iterator[Row]:
        for record in records:
            if record.type == CHANGED_TYPE[kind]:
                event = entry_of(record, self._source).event
                if isinstance(event, RowChanged):
                    yield event.row

    async def pick(self, offsets: Offsets) -> AsyncIterator[list[Entry]]:
        """Yield the events at the given ascending offsets, in bounded lists.

        Raises:
            CorruptionError: one of the offsets holds no record.
        """
        async for records in self.records(offsets):
            yield [entry_of(record, self._source) for record in records]

    async def tallies(
        self, offsets: Offsets, *, used_before: Keys | None = None
    ) -> AsyncIterator[Tally]:
        """Yield counts of the rows at the given ascending offsets.

        `used_before` are the ascending key hashes of the rows that were used segments.
        """
        from replicator.model.log.tally import tally  # noqa: PLC0415 - see above

        count = partial(tally, used_before=used_before)
        async with self._workers.each(count, self.records(offsets)) as tallies:
            async for found in tallies:
                yield found

    async def segment_updates(
        self, start: Offset, until: Offset
    ) -> tuple[Sequence[tuple[Offset, SegmentUpdate]], Offset]:
        """Return the segment updates in the next records, and the offset after the last one read.

        A bounded number of records is read, and none after `until`.

        Raises:
            GapError: the log was trimmed beyond `start`.
        """
        records = await self._log.read(start, records_max=self._records_max)
        wanted = [record for record in records if record.offset <= until]
        updates = [
            (one.offset, word) for one in wanted if (word := segment_update(one)) is not None
        ]
        at = wanted[-1].offset if wanted and len(wanted) == len(records) else until
        return updates, Offset(at + 1)

    async def appended_at(self, start: Offset, until: Offset) -> datetime | None:
        """Return when the first record from `start` to `until` was appended; None if there is none.

        Raises:
            GapError: the log was trimmed beyond `start`.
        """
        records = await self._log.read(start, records_max=1)
        return records[0].appended_at if records and records[0].offset <= until else None

    async def keeping(self) -> Keeping:
        """Return how long the log keeps its records, and what would lose them sooner."""
        return await self._log.keeping()

    async def records(self, offsets: Offsets) -> AsyncIterator[list[Record]]:
        """Yield the records at the given ascending offsets, undecoded.

        Old rows are read from the newest base before them: a base holds them close together, while
        the log has everything between them that is outdated by now. Only one that adds up counts:
        whoever can write to a store could put other rows into it.

        Raises:
            CorruptionError: one of the offsets holds no record.
        """
        at, base = 0, self._base_among(offsets)
        while at < len(offsets):
            found = list[Record]()
            if base is not None:
                found = await self._records_of_base(base, offsets[at:])
            if not found:
                base, found = None, await self._records_of_log(offsets[at:])
            yield found
            at += len(found)

    def _base_among(self, offsets: Offsets) -> Base | None:
        """Return the newest proved base not after these offsets, if they are far apart."""
        # One read of the log has all of them.
        if len(offsets) == 0 or offsets[-1] - offsets[0] < self._records_max:
            return None
        found = [offset for offset in self._proved if offset <= offsets[-1]]
        return self._proved[max(found)] if found else None

    async def _records_of_base(self, base: Base, offsets: Offsets) -> list[Record]:
        """Return the first of these records from a base; none if the base lacks one of them."""
        start = Offset(int(offsets[0]))
        try:
            records = await self._read_proved(base, start, self._records_max)
        except CorruptionError as exc:
            self.pass_over(exc)
            return []
        last = records[-1].offset if records else start - 1
        wanted = set(offsets[: np.searchsorted(offsets, last, side="right")].tolist())
        found = [record for record in records if record.offset in wanted]
        return found if len(found) == len(wanted) else []

    async def _records_of_log(self, offsets: Offsets) -> list[Record]:
        start = int(offsets[0])
        until = int(np.searchsorted(offsets, start + self._records_max))
        wanted = set(offsets[:until].tolist())
        records = await self._read(Offset(start), int(offsets[until - 1]) - start + 1)
        found = [record for record in records if record.offset in wanted]
        if not found or found[0].offset != start:
            raise CorruptionError(
                f"the log has no record at offset {start} any more", hint=LOST_RECORDS_HINT
            )
        return found

    async def _read(self, start: Offset, records_max: int) -> Sequence[Record]:
        """Read from the log, or from a base where the log was trimmed.

        The first base after a record contains it, unless the record was outdated by that base's
        cut.

        Raises:
            GapError: neither the log nor a base has the record at `start`.
        """
        try:
            return await self._log.read(start, records_max=records_max)
        except GapError as gap:
            found = await self._first_of_bases(self._known, start, records_max)
            if not found:  # bases may have expired, and others been written, since they were listed
                listed = await self._base_offsets()
                found = await self._first_of_bases(listed, start, records_max)
            if not found:
                raise gap from None
            return found

    async def _first_of_bases(
        self, offsets: Sequence[Offset], start: Offset, records_max: int
    ) -> Sequence[Record]:
        """Return records from `start` on from the first base that has it; none if no base does.

        One that is proved already comes first: another one has to be read whole before.
        """
        after = [offset for offset in offsets if offset >= start]
        for offset in sorted(after, key=lambda one: (one not in self._proved, one)):
            if self._bases is not None:
                try:
                    found = await self._of_base(offset, start, records_max)
                except CorruptionError as exc:
                    # One that has expired since it was listed reads like damage, and is none.
                    if offset in await self._base_offsets():
                        self.pass_over(exc)
                else:
                    if found and found[0].offset == start:
                        return found
        return ()

    async def base_before(self, until: Offset) -> Base | None:
        """Return the newest base at or before an offset whose manifest is whole."""
        for offset in reversed(await self._base_offsets()):
            if self._bases is not None and offset <= until:
                try:
                    return await self._bases.base(offset)
                except CorruptionError as exc:
                    self.pass_over(exc)
        return None

    @asynccontextmanager
    async def base_readings(
        self, base: Base, rule: Rule, *, for_totals: bool = False
    ) -> AsyncIterator[AsyncIterator[Reading]]:
        """Yield checked readings of a base's rows, as `readings` does for events.

        The last one is followed by a CorruptionError if the rows do not add up to the base's cut.
        """
        records = self.base_records(base, of=base)
        async with self._workers.each(self._fold(rule, for_totals), records) as readings:
            yield self._adding_up(base, readings)

    async def _adding_up(
        self, base: Base, readings: AsyncIterator[Reading]
    ) -> AsyncIterator[Reading]:
        from replicator.model.log.reading import added_up  # noqa: PLC0415 - see above

        count, come = 0, 0
        async for reading in readings:
            for part in reading.parts:
                added = added_up(part)
                if added is None:
                    raise CorruptionError(f"the base at offset {base.offset} has more than rows")
                count, come = count + added[0], come + added[1]
            yield reading
        if (count, come % DIGEST_MODULUS) != (base.rows, base.cut.closed.digest):
            raise CorruptionError(f"the base at offset {base.offset} does not add up to its cut")
        self._proved.pop(base.offset, None)
        self._proved[base.offset] = base
        while len(self._proved) > PROVED_MAX:
            del self._proved[next(iter(self._proved))]

    async def _prove(self, offset: Offset) -> Base:
        """Return a base once its rows are known to add up to its cut.

        Raises:
            CorruptionError: they do not, or it is altered.
        """
        from replicator.model.log.reading import Recorded  # noqa: PLC0415 - see above

        assert self._bases is not None  # noqa: S101 - for the type checker
        base = await self._bases.base(offset)
        async with self.base_readings(base, Recorded()) as readings:
            async for _ in readings:
                pass
        return base

    async def _of_base(self, offset: Offset, start: Offset, records_max: int) -> Sequence[Record]:
        """Return records of a base that adds up; one that was written again is proved again."""
        if (base := self._proved.get(offset)) is not None:
            with suppress(CorruptionError):
                return await self._read_proved(base, start, records_max)
        return await self._read_proved(await self._prove(offset), start, records_max)

    async def _read_proved(self, base: Base, start: Offset, records_max: int) -> Sequence[Record]:
        assert self._bases is not None  # noqa: S101 - for the type checker
        try:
            return await self._bases.read_base(base.offset, start, records_max=records_max, of=base)
        except CorruptionError:
            self._proved.pop(base.offset, None)
            raise

    async def resume(self, start: Offset) -> Offset | None:
        """Return the next offset that can be read, from `start` on; None if there is none."""
        if self._bases is not None:
            return await self._bases.resume(start)
        span = await self._log.span()
        return None if start >= span.end else max(start, span.first)

    async def base_at(self, offset: Offset) -> Base | None:
        """Return the base of the cut closed at an offset; None if there is none, or it is altered.

        While the log is whole it has no bases: none are needed.
        """
        if self._bases is None or offset not in await self._base_offsets():
            return None
        try:
            return await self._bases.base(offset)
        except CorruptionError as exc:
            self.pass_over(exc)
            return None

    async def base_records(
        self, base: Base, *, of: Base | None = None
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield the records that a base's cut consists of, in bounded lists; `of` as elsewhere."""
        start = Offset(0)
        while self._bases is not None and (
            records := await self._bases.read_base(
                base.offset, start, records_max=self._records_max, of=of
            )
        ):
            yield records
            start = Offset(records[-1].offset + 1)

    async def _base_offsets(self) -> Sequence[Offset]:
        self._known = () if self._bases is None else await self._bases.offsets()
        return self._known

    async def doubted(self, damage: CorruptionError) -> CorruptionError | None:
        """Return what is to be raised for a log that does not add up; None: try it once more.

        Where the log was trimmed its beginning comes from stores, of which each may be damaged.
        """
        others = None if self._bases is None else await self._bases.doubt()
        if others is None:
            return damage
        self._proved = {}
        if others:
            self.pass_over(damage)
            return None
        return DamagedStoreError(
            f"no target's store has a history that leads to what the log holds: {damage}",
            hint=damage.hint,
        )

    def pass_over(self, damage: CorruptionError) -> None:
        """Report an altered base to the observer, so that another base is tried.

        Raises:
            CorruptionError: there is no observer, so the damage must not go unnoticed.
        """
        if self._observer is None:
            raise damage
        from replicator.model.observed.faults import ArchiveDamaged  # noqa: PLC0415 - rare

        self._observer(ArchiveDamaged(reason=str(damage)))

    async def find(self, point: RestorePoint) -> ClosedCut:
        """Return the cut that a restore point means, as `ClosedCuts.find` does."""
        return await self._cuts.find(point)

    async def has_cuts(self, span: Span) -> bool:
        """Return whether the log holds a closed cut at all."""
        return await self._cuts.any(span)

    async def last_cut(self) -> ClosedCut | None:
        """Return the log's last closed cut; None: it has none, or there is no log yet."""
        try:
            span = await self.span()
        except NotFoundError:  # its watcher comes first
            return None
        return await self.find(Latest()) if await self.has_cuts(span) else None

    async def cuts(self, start: Offset, end: Offset) -> list[ClosedCut]:
        """Return the cuts closed in this range of offsets, ascending."""
        return await self._cuts.between(start, end)
