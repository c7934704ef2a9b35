"""How far each target is, what threatens what it does not have yet, and which promises are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from replicator.errors import NotFoundError, ReplicatorError, TransientError
from replicator.model.checkpoint import Checkpoint, Gap, TargetState, newest
from replicator.model.event import ClosedCut, Offset
from replicator.model.plans.restore_point import Latest
from replicator.model.store.drilled import Drilled
from replicator.model.store.proof import Proof
from replicator.model.store.rates import Rates
from replicator.ports import Area, Clock, Freshness, MetadataWriter, Obstacle, SourceReader
from replicator.services.history.backlog import NOTHING, BacklogReader
from replicator.services.history.reader import History
from replicator.services.records.drill_record import DrillRecord
from replicator.services.records.proof_record import last_proved
from replicator.services.records.store_id import refuse_other_store, store_id, with_reported
from replicator.services.target.rates import RateBook

if TYPE_CHECKING:
    from replicator.model.store.testimony import WitnessMemory
    from replicator.services.store.witness import Witness

RPO, KILL_MARGIN, LOG_MARGIN = "rpo", "kill_margin_min", "log_margin_min"
DRILL = "drill.promise"
STORE_LOOK = timedelta(minutes=1)
"""Time between two reads of drills and proofs in a target's store, which are days apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """What the log holds."""

    log_id: str
    records: int
    last: ClosedCut | None
    first: Offset
    retention: timedelta | None = None
    """How long the log keeps a record; None: until an operator trims it."""
    threat: Obstacle | None = None
    """Why it takes no records, or would lose some sooner than configured; None: neither."""
    failure: ReplicatorError | None = None
    """Why it cannot be read; None: it can."""
    missing: str = ""
    """Why there is none, and what that may come from; empty: there is one, or it cannot be read."""
    is_counted: bool = True
    """Whether the number of its records may be shown to every client."""

    @property
    def unknown(self) -> str:
        """Why it cannot be read, in words; empty: it can."""
        return "" if self.failure is None else str(self.failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """How old the data in the source's metadata store is."""

    freshness: Freshness | None
    """Freshness of the source; None: the source cannot be queried."""
    unknown: str = ""
    """Why the source cannot be queried; empty: it can."""
    left_behind: Sequence[str] = ()
    """Tables with Druid's prefix that are neither replicated nor known to be left out."""


async def look_at_source(metadata: SourceReader) -> SourceStatus:
    """Ask the source; an unreachable one breaks no promise as long as targets keep up.

    A server that answers is not enough: the segments' table must be there. No name is empty, so
    that this search of its index finds nothing.
    """
    try:
        await metadata.without_used([""])
        freshness = await metadata.freshness()
        return SourceStatus(freshness=freshness, left_behind=await metadata.left_behind())
    except ReplicatorError as exc:
        return SourceStatus(freshness=None, unknown=str(exc))


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """The promises for one target, each by the name of its setting."""

    rpo: timedelta
    silence: timedelta = timedelta(seconds=60)
    """Longest time without a poll of the source: the configured `rpo`, without the delay."""
    kill_margin_min: timedelta
    log_margin_min: timedelta
    drill: timedelta | None = None
    """Greatest age of the last good drill; None: nothing is promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What a target has not copied yet, as far as the log tells."""

    objects: int
    """Segments with bytes that came after its cut."""
    size_bytes: int
    """Unpacked size of these segments, which is more than will be copied."""
    kill_margins: Mapping[str, timedelta]
    """Time until the source's kill could delete some bytes, by datasource with waiting bytes.

    Empty: no bytes wait, or nothing is killed at the source.
    """

    def nearest_kills(self, count: int) -> Sequence[tuple[str, timedelta]]:
        """Return the datasources with the smallest kill margins, the smallest first."""
        return nsmallest(count, self.kill_margins.items(), key=lambda item: item[1])


NAMED_MAX: Final = 200
"""Gaps, and datasources with a kill margin, that are listed of each target.

Every client that reaches `web.listen` may ask, and none may hold up the process by it.
"""


@dataclass(frozen=True, kw_only=True)
class TargetStatus:
    """Where one target is."""

    target: str
    checkpoint: Checkpoint | None
    applied_at: datetime | None
    lag: timedelta | None
    """Time since the source's time of the target's cut; None before the first cut."""
    lag_records: int | None
    """Records of the log after the target's cut, up to the last closed one; None: unknown, or it
    follows another log."""
    log_gone: bool
    """Whether the log that it follows does not exist."""
    other_log: bool
    """Whether it follows another log than the configured one, and so gets nothing."""
    gaps: tuple[Gap, ...]
    """Gaps of the cut that the target is at."""
    pending: Pending | None
    """What is not copied yet; None: unknown, or without meaning for a promoted target."""
    log_margin: timedelta | None
    """Time until the log could trim a record that the target still needs; None: it never does."""
    cut_short: bool
    """Whether the log ends before the cut that the target is at: it has lost records."""
    trimmed: bool
    """Whether the log has trimmed such a record: the target cannot continue from this log."""
    promises: Promises
    looked_at: datetime
    drilled: Drilled
    proved: Mapping[str, datetime] = field(default_factory=dict)
    """When each level of `verify` was last good for the whole target."""
    known_bad: Proof | None = None
    """What a `verify` found wrong, and no later one found good."""
    unread: str = ""
    """Why results of `verify` cannot be read; empty: they can."""
    rates: Rates = field(default_factory=Rates)
    """Throughput of copies to it so far."""
    memory: WitnessMemory | None = None
    """What its witness remembers; None: there is no witness, or the target follows nothing."""
    lacks_store_id: bool = False
    """Whether the file is lost that tells its store from another one."""

    @cached_property
    def newest_gaps(self) -> Sequence[Gap]:
        """The newest gaps, in their order; looked for once for all clients that ask."""
        return newest(self.gaps, NAMED_MAX)

    @property
    def catch_up(self) -> timedelta | None:
        """Time to catch up at the measured rates; None: nothing waits, or no rate is known.

        Compressed bytes are fewer than `pending` says, so the real time is rather shorter.
        """
        if self.pending is None or not self.lag_records:
            return None
        size_bytes = self.pending.size_bytes
        seconds = self.rates.seconds(size_bytes=size_bytes, rows=self.lag_records)
        return None if seconds is None else timedelta(seconds=seconds)

    @property
    def kill_margin(self) -> timedelta | None:
        """The smallest kill margin of all datasources."""
        return min(self.pending.kill_margins.values(), default=None) if self.pending else None

    @property
    def broken(self) -> tuple[str, ...]:
        """The broken promises, by the names of their settings.

        Without its log a target gets nothing any more, however small its lag still is. A paused
        target may lag, but what it needs must not disappear. A promoted one needs nothing any more.
        """
        return tuple(self._broken())

    def _broken(self) -> Iterator[str]:
        checkpoint, promises = self.checkpoint, self.promises
        if checkpoint is not None and checkpoint.promoted:
            return
        stands = checkpoint is not None and checkpoint.paused
        is_late = self.lag is None or self.lag > promises.rpo
        if self.log_gone or self.cut_short or (is_late and not stands):
            yield RPO
        if self.kill_margin is not None and self.kill_margin < promises.kill_margin_min:
            yield KILL_MARGIN
        if self.trimmed or (
            self.log_margin is not None and self.log_margin < promises.log_margin_min
        ):
            yield LOG_MARGIN
        if not self.drilled.keeps(promises.drill, self.looked_at):
            yield DRILL

    @property
    def keeps_promise(self) -> bool:
        """Whether all promises are kept."""
        return not self.broken


@dataclass(slots=True)
class _KnownLog:
    """What was read of the log for one target, so that the next look reads only new records."""

    backlog: BacklogReader
    needed: Offset = NOTHING
    appended_at: datetime | None = None
    """When the first record from `needed` on was appended."""
    drilled: Drilled = field(default_factory=Drilled)
    proved: Mapping[str, datetime] = field(default_factory=dict)
    known_bad: Proof | None = None
    unread: str = ""
    rates: Rates = field(default_factory=Rates)
    memory: WitnessMemory | None = None
    store_seen_at: datetime | None = None
    store: str | None = None
    """Id of the store, if it was seen: None for one without."""
    store_seen: bool = False
    witness_seen_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class StatusReader:
    """Reads the status of log and targets on each call."""

    source: str
    history: History
    clock: Clock
    kill_buffer: timedelta | None
    """How long the source spares an unused segment; None if no kill task runs there."""
    records_per_look_max: int | None = None
    """Limit for the records that one look reads for a target; None: no limit."""
    _log: LogStatus | None = field(default=None, init=False)
    _known: dict[str, _KnownLog] = field(default_factory=dict, init=False)

    async def log_or_why(self) -> LogStatus:
        """Return the state of the log; an unreadable log is a state too and hides no target."""
        try:
            return await self.log()
        except ReplicatorError as exc:
            return LogStatus(log_id="", records=0, last=None, first=Offset(0), failure=exc)

    async def log(self) -> LogStatus:
        """Return the state of the log; an empty one if there is no log yet."""
        try:
            span = await self.history.span()
            keeping = await self.history.keeping()
        except NotFoundError as exc:
            missing = f"{exc}; {exc.hint}" if exc.hint else str(exc)
            return LogStatus(log_id="", records=0, last=None, first=Offset(0), missing=missing)
        known, last = self._log, None
        # Nothing was appended since the last look, and to find the last cut is to read the log.
        if known and (known.log_id, known.first + known.records) == (span.log_id, span.end):
            last = known.last
        elif await self.history.has_cuts(span):
            last = await self.history.find(Latest())
        self._log = LogStatus(
            log_id=span.log_id,
            records=span.end - span.first,
            last=last,
            first=span.first,
            retention=keeping.retention,
            threat=keeping.threat,
        )
        return self._log

    async def target(
        self,
        name: str,
        *,
        metadata: MetadataWriter,
        area: Area,
        log: LogStatus,
        promises: Promises,
        witness: Witness | None = None,
    ) -> TargetStatus:
        """Return where a target is, from its own checkpoint, the log after it and its store."""
        state = await metadata.state(self.source)
        checkpoint = state.checkpoint
        gaps = () if checkpoint is None else await metadata.gaps(self.source, checkpoint.log_id)
        reached = NOTHING if checkpoint is None else checkpoint.offset
        needs = log.last is not None and _follows(state, log)
        end = log.last.offset if log.last and needs else reached
        trimmed = reached < end and log.first > reached + 1
        known = self._known.setdefault(name, _KnownLog(BacklogReader(self.history)))
        await self._look_into_store(known, area)
        # An archive whose store was emptied has lost its checkpoint as well; the log remembers the
        # store.
        if checkpoint is None and known.store_seen and log.failure is None:
            state = await with_reported(name, state, self.history)
        is_other = state.store not in {None, known.store}
        lacks_store_id = checkpoint is not None and known.store is None
        if known.store_seen and (is_other or lacks_store_id):
            known.store = await store_id(area)  # the first filling may have given it one meanwhile
            refuse_other_store(name, state, known.store)
        if witness is not None and checkpoint is not None and not checkpoint.promoted:
            await self._ask_witness(known, witness, checkpoint)
        return TargetStatus(
            target=name,
            checkpoint=checkpoint,
            applied_at=state.applied_at,
            lag=self.clock.now() - checkpoint.source_time if checkpoint else None,
            lag_records=_lag_records(state, log),
            log_gone=state.checkpoint is not None and not log.log_id and not log.unknown,
            other_log=_is_elsewhere(state, log),
            gaps=tuple(gap for gap in gaps if gap.at(reached)),
            pending=await self._pending(known, reached, end) if needs and not trimmed else None,
            log_margin=await self._log_margin(known, reached, end, log) if not trimmed else None,
            cut_short=await self._is_cut_short(state, log),
            trimmed=trimmed,
            promises=promises,
            looked_at=self.clock.now(),
            drilled=known.drilled,
            proved=known.proved,
            known_bad=known.known_bad,
            unread=known.unread,
            rates=known.rates,
            memory=known.memory,
            lacks_store_id=known.store_seen and lacks_store_id and known.store is None,
        )

    async def _look_into_store(self, known: _KnownLog, area: Area) -> None:
        """Read drills, proofs and rates; keep the last values while the store is unreachable."""
        now = self.clock.now()
        if known.store_seen_at is not None and now - known.store_seen_at < STORE_LOOK:
            return
        known.store_seen_at = now
        with suppress(ReplicatorError):  # `drilled.unknown` reports the same store
            known.store, known.store_seen = await store_id(area), True
        found = await DrillRecord(area).drilled()
        if found.unknown is None or known.drilled.last is None:
            known.drilled = found
        with suppress(TransientError):  # `drilled.unknown` reports the same store
            known.unread = await self._read_proofs(known, area)
        with suppress(ReplicatorError):  # without rates nothing is estimated
            known.rates = await RateBook(area, lambda _: None).rates()

    async def _read_proofs(self, known: _KnownLog, area: Area) -> str:
        """Read what `verify` has found; return why some of it cannot be read, empty: it can."""
        try:
            proofs = await last_proved(area, now=self.clock.now())
        except TransientError:
            raise
        except ReplicatorError as exc:
            return str(exc)
        known.proved, known.known_bad = proofs.good_at, proofs.bad
        return proofs.unread

    async def _is_cut_short(self, state: TargetState, log: LogStatus) -> bool:
        """Return whether the target is at a cut that the log has lost.

        The log was read before the target, which may have followed it meanwhile.
        """
        reached = state.reached_in(log.log_id) if log.log_id else None
        if reached is None or reached < log.first + log.records:
            return False
        try:
            span = await self.history.span()
        except (NotFoundError, TransientError):
            return False  # nothing is known of it now, which the next look tells
        return span.log_id == log.log_id and reached >= span.end

    async def _ask_witness(
        self, known: _KnownLog, witness: Witness, checkpoint: Checkpoint
    ) -> None:
        """Ask what is remembered of a target's log, once a minute."""
        now = self.clock.now()
        if known.witness_seen_at is None or now - known.witness_seen_at >= STORE_LOOK:
            known.witness_seen_at = now
            known.memory = await witness.memory(checkpoint.log_id)

    async def _pending(self, known: _KnownLog, reached: Offset, end: Offset) -> Pending | None:
        reader = known.backlog
        if not await reader.read(reached, end, records_max=self.records_per_look_max):
            return None
        objects, size_bytes = reader.backlog.pending()
        margins: Mapping[str, timedelta] = {}
        if self.kill_buffer is not None:
            margins = reader.backlog.kill_margins(self.clock.now(), self.kill_buffer)
        return Pending(objects=objects, size_bytes=size_bytes, kill_margins=margins)

    async def _log_margin(
        self, known: _KnownLog, reached: Offset, end: Offset, log: LogStatus
    ) -> timedelta | None:
        """Return how long the log keeps the first record after the cut, or the next one."""
        if log.retention is None:
            return None
        if end <= reached:
            return log.retention
        needed = Offset(reached + 1)
        if known.needed != needed or known.appended_at is None:
            known.needed = needed
            known.appended_at = await self.history.appended_at(needed, end)
        if known.appended_at is None:
            return log.retention
        return known.appended_at + log.retention - self.clock.now()


def _is_elsewhere(state: TargetState, log: LogStatus) -> bool:
    return bool(state.checkpoint and log.log_id and state.checkpoint.log_id != log.log_id)


def _lag_records(state: TargetState, log: LogStatus) -> int | None:
    """Return the number of this log's records after the target's cut."""
    if log.last is None or _is_elsewhere(state, log):
        return None
    reached = state.checkpoint.offset if state.checkpoint else NOTHING
    return max(0, log.last.offset - reached)


def _follows(state: TargetState, log: LogStatus) -> bool:
    """Return whether the target still needs records of this log."""
    checkpoint = state.checkpoint
    if checkpoint is None:
        return True
    return checkpoint.log_id == log.log_id and not checkpoint.promoted
