"""Follows a log cut by cut, and folds it into ledgers."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np

from replicator.errors import CorruptionError, GapError
from replicator.model.event import ClosedCut, CutNumber, Offset
from replicator.model.fingerprint import (
    DIGEST_MODULUS,
    EMPTY_DIGEST,
    Digest,
    hex_digest,
)
from replicator.model.inventory.ledger import KEY, Folding, Keys, Ledger, Offsets, empty
from replicator.model.log.folded_rows import FoldedRows
from replicator.model.log.reading import AttemptEvents, CutClosing, Reading, Rule
from replicator.model.plans.plan import latest_per_key
from replicator.model.store.archive import Base
from replicator.model.stream import StreamPosition
from replicator.services.history.attempts import OpenAttempt, attempt_of
from replicator.services.history.reader import LOST_RECORDS_HINT, History

Seen: TypeAlias = Callable[[int], None]
"""Called from time to time with the number of events read so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSpan:
    """A whole cut: the offsets of the last event of each row, and the rows' keys."""

    at: ClosedCut
    offsets: Offsets
    keys: Keys


class CutReader:
    """Follows a log cut by cut, remembering where it is, and checks the chain of digests."""

    def __init__(self, history: History, rows: FoldedRows | None = None) -> None:
        """Read `history`; `rows` get what totals need of the rows that are folded."""
        self._history, self._rows = history, rows
        self.at, self.last, self.digest = Offset(0), CutNumber(0), EMPTY_DIGEST
        self.source_time: datetime | None = None
        """When the source had the last cut; None before the first cut."""
        self.distrusts_versions = False
        """Whether the last cut that was read distrusts the source's row versions."""
        self.reached: ClosedCut | None = None
        """The last cut that was read here; None: none was, or the caller set the position."""
        self.left_open = False
        """Whether what was read ends with events whose cut was given up, or is not closed yet."""
        self.stream: StreamPosition | None = None
        """Position from which the source's change stream continues the last cut that was read."""
        self._parts: list[AttemptEvents | CutClosing] = []
        self._is_begun_here = False
        """Whether the first fold is not at its end: what it began with may come from stores."""
        self._open = OpenAttempt()
        self._sum = 0
        self._count = 0
        self._keys = bytearray()
        self._offsets = array("q")

    async def next(self) -> CutSpan | None:
        """Return the next whole cut; None if the log has no further one yet."""
        while (part := await self._next_part()) is not None:
            if isinstance(part, CutClosing):
                at = self._close(part)
                offsets = np.array(self._offsets, np.int64)
                keys = np.frombuffer(bytes(self._keys), KEY)
                self._forget()
                if at.closed.stream is not None:  # a commit may change a row more than once
                    last = np.isin(offsets, latest_per_key(offsets, keys), assume_unique=True)
                    offsets, keys = offsets[last], keys[last]
                return CutSpan(at=at, offsets=offsets, keys=keys)
            self._take(part)
            self._keys += part.keys
            self._offsets.extend(part.offsets)
        return None

    async def fold(
        self, folding: Folding, rule: Rule, *, until: Offset, seen: Seen = lambda _: None
    ) -> None:
        """Fold all further cuts that are closed at or before `until`.

        After a TransientError the same call with the same `folding` continues where it stopped. If
        the log was trimmed meanwhile, the fold continues from a later base, if there is one.

        A beginning that comes from stores is believed if it leads to the log's own cuts.

        Raises:
            DamagedStoreError: no store has such a beginning.
            CorruptionError: the log itself does not add up.
        """
        self._parts = []
        self._is_begun_here = self._is_begun_here or self.at == 0
        damage: CorruptionError | None = None
        while True:
            try:
                if self.at == 0:
                    await self._begin_from_base(folding, rule, until, seen)
                await self._fold_until(folding, rule, until, seen)
            except (CorruptionError, GapError) as exc:
                if isinstance(exc, CorruptionError):
                    damage = damage or exc
                if damage is None or not self._is_begun_here:
                    raise
                folding.restart(empty())
                self._begin_anew()
                self._forget_rows()
                if (raised := await self._history.doubted(damage)) is not None:
                    raise raised from exc
            else:
                self._is_begun_here = False
                return

    def _forget_rows(self) -> None:
        if self._rows is not None:
            self._rows.forget()

    def _keep_rows(self, reading: Reading) -> None:
        if self._rows is not None and reading.rows is not None:
            self._rows.add(reading.rows)

    def _begin_anew(self) -> None:
        self.at, self.last, self.digest = Offset(0), CutNumber(0), EMPTY_DIGEST
        self.source_time, self.reached, self.stream = None, None, None
        self.distrusts_versions, self._parts = False, []
        self._forget()

    async def _fold_until(self, folding: Folding, rule: Rule, until: Offset, seen: Seen) -> None:
        try:
            await self._fold_on(folding, rule, until, seen)
        except GapError:  # the log was trimmed while it was read
            base = await self._history.base_before(until)
            # Only a base beyond the hole stands for what was trimmed.
            if base is None or base.offset < self.at:
                raise
            await self._begin_from_base(folding, rule, until, seen)
            await self._fold_on(folding, rule, until, seen)

    async def _fold_on(self, folding: Folding, rule: Rule, until: Offset, seen: Seen) -> None:
        count, history = 0, self._history
        for_totals = self._rows is not None
        async with history.readings(self.at, until, rule, for_totals=for_totals) as readings:
            async for reading in readings:
                self._keep_rows(reading)
                for part in reading.parts:
                    self._fold(folding, part)
                    count += len(part.offsets) if isinstance(part, AttemptEvents) else 0
                self.at = Offset(reading.last + 1)
                self.left_open = self._open.has_events
                seen(count)
        folding.discard()
        self._forget()

    async def _begin_from_base(
        self, folding: Folding, rule: Rule, until: Offset, seen: Seen
    ) -> None:
        """Start from the newest whole base at or before `until`, if there is one.

        One that was written again while it was read is read again.
        """
        bar, before = until, None
        while (base := await self._history.base_before(bar)) is not None:
            if base == before:
                bar = Offset(base.offset - 1)
                continue
            try:
                self._forget_rows()
                folding.restart(await self._base_ledger(base, rule, seen))
            except CorruptionError as exc:
                self._forget_rows()
                self._history.pass_over(exc)
                before = base
            else:
                closed = base.cut.closed
                self.skip_to(base.offset, closed.cut, closed.digest, closed.source_time)
                self.distrusts_versions, self.stream = closed.distrusts_versions, closed.stream
                self.reached = base.cut
                return

    async def _base_ledger(self, base: Base, rule: Rule, seen: Seen) -> Ledger:
        """Return the rows of a base as `fold` returns them.

        Raises:
            CorruptionError: the rows do not add up to the base's cut.
        """
        folding, count = Folding(empty()), 0
        for_totals = self._rows is not None
        async with self._history.base_readings(base, rule, for_totals=for_totals) as readings:
            async for reading in readings:
                self._keep_rows(reading)
                for part in reading.parts:
                    if isinstance(part, AttemptEvents):
                        folding.extend(part.keys, part.marks, part.removed, part.offsets)
                        count += len(part.offsets)
                seen(count)
        folding.close()
        return folding.ledger()

    def _fold(self, folding: Folding, part: AttemptEvents | CutClosing) -> None:
        if isinstance(part, CutClosing):
            if self._open.is_given_up_by(attempt_of(part.closed)):
                folding.discard()
            self._close(part)
            folding.close()
            self._forget()
            return
        if self._take(part):
            folding.discard()
        folding.extend(part.keys, part.marks, part.removed, part.offsets)

    def skip_to(
        self, offset: Offset, cut: CutNumber, digest: Digest, source_time: datetime
    ) -> None:
        """Continue after the record at `offset`, which closed a cut that the caller knows."""
        self.at, self.last, self.digest = Offset(offset + 1), cut, digest
        self.source_time = source_time
        self._parts, self.left_open = [], False
        self._forget()

    def take(self, cut: ClosedCut) -> None:
        """Continue after a cut that the caller has just closed."""
        closed = cut.closed
        self.skip_to(cut.offset, closed.cut, closed.digest, closed.source_time)
        self.distrusts_versions, self.stream = closed.distrusts_versions, closed.stream

    async def _next_part(self) -> AttemptEvents | CutClosing | None:
        if not self._parts:
            reading = await self._history.reading(self.at)
            if reading is None:
                return None
            self._parts, self.at = [*reversed(reading.parts)], Offset(reading.last + 1)
        return self._parts.pop()

    def _take(self, part: AttemptEvents) -> bool:
        """Add events; return whether the open events before them were given up."""
        if given_up := self._open.is_given_up_by(part.attempt):
            self._forget()
        self._open.read(part.attempt)
        self._count += len(part.offsets)
        self._sum += part.come - part.gone
        return given_up

    def _close(self, closing: CutClosing) -> ClosedCut:
        event = closing.closed
        if self._open.is_given_up_by(attempt_of(event)):
            self._forget()  # the open attempt was given up, and this cut has no events
        digest = Digest((self.digest + self._sum) % DIGEST_MODULUS)
        expected = (self.last + 1, event.count, event.digest)
        if (event.cut, self._count, digest) != expected:
            raise CorruptionError(
                f"cut {event.cut}, closed at offset {closing.offset}, does not add up: it follows"
                f" cut {self.last}, says {event.count} events with digest"
                f" {hex_digest(event.digest)}, and the log has {self._count} events with digest"
                f" {hex_digest(digest)}",
                hint=LOST_RECORDS_HINT,
            )
        self.last, self.digest, self.source_time = event.cut, digest, event.source_time
        self.distrusts_versions, self.stream = event.distrusts_versions, event.stream
        self.reached = ClosedCut(offset=closing.offset, closed=event)
        return self.reached

    def _forget(self) -> None:
        self._open.forget()
        self._sum, self._count = 0, 0
        del self._keys[:], self._offsets[:]


async def fold(
    history: History, until: Offset, rule: Rule, *, seen: Seen = lambda _: None
) -> Ledger:
    """Return the ledger of all cuts closed at or before `until`.

    `rule` decides what a row counts as. The events' own chain of digests is checked on the way.

    Raises:
        GapError: the log was trimmed, and there is no base to start from.
    """
    ledger, _ = await fold_and_tell(history, until, rule, seen=seen)
    return ledger


async def fold_and_tell(
    history: History,
    until: Offset,
    rule: Rule,
    *,
    seen: Seen = lambda _: None,
    rows: FoldedRows | None = None,
) -> tuple[Ledger, ClosedCut | None]:
    """Return a ledger as `fold` does, and the last cut in it; None: there is none.

    `rows` get what totals need of the rows that were read.

    Raises:
        GapError: as for `fold`.
    """
    folding, reader = Folding(empty()), CutReader(history, rows)
    await reader.fold(folding, rule, until=until, seen=seen)
    return folding.ledger(), reader.reached
