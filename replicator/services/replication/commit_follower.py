"""Turns a source's change stream into cuts: each of its commits becomes one, in order.

The log says how far it has the stream. Every cut of a commit names the commit's place; a cut by a
poll names the place from which the stream continues its snapshot. If the last cut names none, or
the stream breaks, a poll is needed, which brings the log to a snapshot that the stream continues.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from replicator.errors import BrokenStreamError, CorruptionError, TransientError
from replicator.model.event import Offset, RowChanged, RowEvent, RowRemoved
from replicator.model.fingerprint import fingerprint, key_hash
from replicator.model.observation import (
    CutPublished,
    Observer,
    StreamBegun,
    StreamDropped,
    StreamEnded,
    StreamFollowed,
    StreamRetained,
)
from replicator.model.row import TABLES, Row, RowKey
from replicator.model.stream import (
    Lsn,
    NoStream,
    RowChange,
    RowPut,
    Shown,
    SourceCommit,
    StreamPosition,
)
from replicator.ports import ChangeStream, StreamRead
from replicator.services.history.reader import History
from replicator.services.replication.cut_writer import (
    CutWriter,
    OpenCuts,
    PresentRow,
    PublishedCut,
)

CONFIRM_S = 0.25
"""Seconds between two moves of the slot: each reads the source's WAL since the last checkpoint."""
UNSENT_S = 0.1
"""Seconds that a commit waits for the rest of its read before it is appended alone."""
BROKEN_FIRST_S, BROKEN_MAX_S = 10.0, 3600.0
"""Seconds of polling after a break; they double with each further break."""
SETTLED_S = 600.0
"""Seconds without a break after which the next one counts as the first."""
REACH_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowLimits:
    """How often the stream is read, and how much WAL the source may keep for it."""

    read_interval_s: float
    idle_cut_interval_s: float
    audit_interval_s: float
    retained_bytes_max: int


class CommitFollower:
    """Follows one source's change stream.

    Args:
        stream: The commits of the source.
        writer: Writes the log; it must lead whenever a method is called.
        history: Reads the same log.
        limits: Intervals and sizes.
        observer: Receives cuts, and each start and end of the stream.
    """

    def __init__(
        self,
        stream: ChangeStream,
        *,
        writer: CutWriter,
        history: History,
        limits: FollowLimits,
        observer: Observer,
    ) -> None:
        self._stream, self._writer, self._history = stream, writer, history
        self._limits, self._observer = limits, observer
        self._confirmed, self._confirmed_at_s = Lsn(0), -float("inf")
        self._audited_at_s: float | None = None
        self._broken_at_s, self._is_broken = -float("inf"), False
        self._rest_s, self._rests_until_s = 0.0, -float("inf")
        self._reported: str | None = None
        """Why the stream is off, as last reported; empty: it is on; None: not reported yet."""

    @property
    def wants_position(self) -> bool:
        """Whether a cut is needed that the stream can continue, even one without a change."""
        return self._writer.stream is None or self._is_broken

    async def step(self) -> float | None:
        """Publish the next commits; return when to look again, None if a poll is needed.

        Raises:
            TransientError: the source or the log is unreachable; the next call continues.
            FencedError: another watcher has taken over.
        """
        position, now_s = self._writer.stream, _now_s()
        # While polls take the stream's place nothing moves the slot, and the source's WAL grows.
        if position is None or now_s < self._rests_until_s or self._writer.left_open:
            # a poll tries what gave a cut up before it appends anything again
            await self.guard()
            return None
        if self._is_audit_due():
            return None
        try:
            read, _ = await self._follow(position)
            # Only now, as the cuts are durable in the log: a crash before this repeats commits and
            # skips none. Each read decodes the WAL from the slot on, so a long backlog moves the
            # slot at once.
            await self._confirm(self._writer.stream or position, at_once=not read.is_whole)
        except BrokenStreamError as exc:
            self._break(exc)
            await self.guard()  # the poll may fail, too, as while the source's clock is wrong
            return None
        self._is_broken = False
        self._say("")
        if read.retained_bytes > self._limits.retained_bytes_max:
            await self.guard()
        read_s = _now_s() - now_s
        # a source that is slow to answer is not asked all the time
        pause_s = max(self._limits.read_interval_s - read_s, read_s / 2)
        return pause_s if read.is_whole else 0.0

    async def guard(self) -> None:
        """Drop the stream if the source keeps too much WAL for it: its disk is worth more."""
        retained = await self._stream.retained_bytes()
        self._observer(
            StreamRetained(bytes=retained or 0, bytes_max=self._limits.retained_bytes_max)
        )
        if retained is not None and retained > self._limits.retained_bytes_max:
            await self._stream.drop()
            self._observer(StreamDropped(bytes=retained, bytes_max=self._limits.retained_bytes_max))

    async def reach(self, snapshot: StreamPosition | NoStream) -> bool:
        """Bring the log to exactly what a snapshot shows, if an audit is due.

        Returns whether the log is there: then whatever a scan of the snapshot finds was missed. It
        is not if a streamed commit is not visible yet, or if the stream breaks.
        """
        if isinstance(snapshot, NoStream):
            self._say(snapshot.reason)
            return False
        position = self._writer.stream
        if not self._is_audit_due() or position is None or snapshot.shown is None:
            return False
        self._audited_at_s = _now_s()
        try:
            for _ in range(REACH_ATTEMPTS):
                read, commits = await self._follow(position, until=snapshot.shown.until)
                position = self._writer.stream or position
                # A commit is in the WAL before it is visible: the stream may have delivered one
                # that this snapshot does not show. A scan of the snapshot would take its rows for
                # vanished, so the audit is put off.
                if commits.unseen_by(snapshot.shown):
                    return False
                if read.until >= snapshot.shown.until:
                    return True
                await asyncio.sleep(self._limits.read_interval_s)
        except BrokenStreamError as exc:
            self._break(exc)
        return False

    def _is_audit_due(self) -> bool:
        now_s = _now_s()
        if self._audited_at_s is None:
            self._audited_at_s = now_s
        return self._reported == "" and now_s - self._audited_at_s >= self._limits.audit_interval_s

    async def close(self) -> None:
        """Close the stream's connection."""
        await self._stream.close()

    async def _follow(
        self, position: StreamPosition, *, until: Lsn | None = None
    ) -> "tuple[StreamRead, _Commits]":
        started_s, written = _now_s(), list[PublishedCut]()
        try:
            async with self._writer.cuts(rows_recur=True) as cuts:
                written = cuts.written
                commits = _Commits(position, cuts, self._history)
                read = await self._stream.read(position, commits, until=until)
                is_idle = self._writer.quiet_s >= self._limits.idle_cut_interval_s
                is_past = not read.is_whole and read.until > position.at
                if not commits.closed and (is_past or (is_idle and read.is_whole)):
                    # an incomplete read has reported what the last cut's snapshot shows already
                    cuts.begin(read.at if read.is_whole else self._writer.source_time or read.at)
                    await cuts.close(distrusts_versions=False, stream=position.moved(read.until))
                await cuts.flush()
        finally:  # what was appended before the stream broke is in the log as well
            read_s = _now_s() - started_s
            for cut in written:
                self._observer(_published(cut, read_s))
        self._observer(
            StreamFollowed(
                messages=read.messages,
                told_until=read.at if read.is_whole and until is None else None,
                behind_bytes=read.behind_bytes,
                retained_bytes=read.retained_bytes,
                retained_bytes_max=self._limits.retained_bytes_max,
                read_s=read_s,
            )
        )
        return read, commits

    async def _confirm(self, position: StreamPosition, *, at_once: bool) -> None:
        """Let the source discard, from time to time, what the log has durably."""
        now_s = _now_s()
        is_due = at_once or now_s - self._confirmed_at_s >= CONFIRM_S
        if position.at > self._confirmed and is_due:
            await self._stream.confirm(position.at)
            self._confirmed, self._confirmed_at_s = position.at, now_s

    def _break(self, exc: BrokenStreamError) -> None:
        """Poll from now on, for longer if the stream breaks again and again."""
        now_s = _now_s()
        # Each start of the stream costs a poll: a source that breaks it by every commit would be
        # scanned all the time.
        if not self._is_broken:
            settled = now_s - self._broken_at_s >= SETTLED_S
            longer_s = min(BROKEN_MAX_S, max(BROKEN_FIRST_S, 2 * self._rest_s))
            self._rest_s = 0.0 if settled else longer_s
            self._broken_at_s, self._rests_until_s = now_s, now_s + self._rest_s
        self._is_broken = True
        self._say(f"{exc}: {exc.hint}" if exc.hint != TransientError.hint else str(exc))

    def _say(self, reason: str) -> None:
        if reason == self._reported:
            return
        self._observer(StreamEnded(reason=reason) if reason else StreamBegun())
        self._reported = reason


class _Commits:
    """A `CommitVisitor`: turns the changes of each commit into the events of a cut."""

    def __init__(self, position: StreamPosition, cuts: OpenCuts, history: History) -> None:
        self.closed = 0
        self._transactions = set[int]()
        self._position, self._cuts, self._history = position, cuts, history
        self._commit: SourceCommit | None = None

    async def begin(self, commit: SourceCommit) -> None:
        """Take a commit; its cut is opened with its first event."""
        self._commit = commit
        self._transactions.add(commit.transaction)

    def unseen_by(self, shown: Shown) -> bool:
        """Return whether a commit was taken that a snapshot does not show."""
        return not all(map(shown.holds, self._transactions))

    async def change(self, changes: Sequence[RowChange]) -> None:
        """Add the events of some changes; a change that leaves a row equal has none."""
        rows = dict[Offset, Row]()
        await self._read_behind(changes, rows)
        for change in changes:
            if _needs_former(change):  # again, for rows that were appended meanwhile
                await self._read_behind((change,), rows)
            for event in self._events(change, rows):
                if self._commit is not None:
                    self._open(self._commit)
                    self._commit = None
                await self._cuts.add([event])

    def _open(self, commit: SourceCommit) -> None:
        try:
            self._cuts.begin(commit.time)
        except TransientError as exc:
            # A commit keeps its time when the clock is right again; a poll has the clock's.
            raise BrokenStreamError(str(exc), hint=exc.hint) from exc

    async def end(self, at: Lsn) -> None:
        """Close the commit's cut, if it has events."""
        if self._commit is None:
            await self._cuts.close(distrusts_versions=False, stream=self._position.moved(at))
            self.closed += 1
            if self._cuts.unsent_s > UNSENT_S:
                await self._cuts.flush()
        self._commit = None

    def _events(self, change: RowChange, rows: dict[Offset, Row]) -> Iterator[RowEvent]:
        if isinstance(change, RowKey):
            yield self._removed(change)
            return
        key = _key_of(change)
        known = self._cuts.latest(key_hash(key))
        row = self._whole(change, rows)
        if change.former_key is not None:
            yield self._removed(RowKey(change.kind, change.former_key))
        mark = fingerprint(row)
        # Of an append-only table the row with the largest id or version counts in Druid, and
        # commits may come in another order than their ids.
        if known is not None and (known.fingerprint == mark or not _is_newer(change, known, rows)):
            return
        yield RowChanged(row=row, fingerprint=mark, previous=known.fingerprint if known else None)

    def _removed(self, key: RowKey) -> RowRemoved:
        if (known := self._cuts.latest(key_hash(key))) is None:
            raise BrokenStreamError(f"the {key.kind.value} row {key.key} went unseen")
        return RowRemoved(key=key, previous=known.fingerprint)

    def _whole(self, change: RowPut, rows: dict[Offset, Row]) -> Row:
        """Return the row; what the stream leaves out is taken from the row's last event."""
        values: dict[str, Any] = dict(change.columns)
        extras = dict(change.extras)
        # PostgreSQL leaves a value out of an UPDATE that is stored out of line and did not change.
        # What the table holds now may be of a later commit, so the log's last event of the row is
        # read.
        if change.unchanged:
            before = self._before(change, rows)
            for name in change.unchanged:
                if name in TABLES[change.kind].columns:
                    values[name] = getattr(before, name)
                elif name in before.extras:
                    extras[name] = before.extras[name]
        return TABLES[change.kind].row_type(**values, extras=extras)

    def _before(self, change: RowPut, rows: dict[Offset, Row]) -> Row:
        key = _key_of(change)
        word = self._cuts.latest(key_hash(_former(change, key)))
        if word is None:
            raise BrokenStreamError(f"the {key.kind.value} row {key.key} was changed unseen")
        return _row_of(word, rows)

    async def _read_behind(self, changes: Sequence[RowChange], rows: dict[Offset, Row]) -> None:
        """Read the rows in the log that are needed to understand some changes."""
        offsets = set[Offset]()
        for change in changes:
            if isinstance(change, RowPut) and _needs_former(change):
                word = self._cuts.latest(key_hash(_former(change, _key_of(change))))
                if word is not None and word.row is None and word.offset is not None:
                    offsets.add(word.offset)
        if not (offsets := offsets - rows.keys()):
            return
        async for entries in self._history.pick(np.array(sorted(offsets), np.int64)):
            for entry in entries:
                if not isinstance(entry.event, RowChanged):
                    raise CorruptionError(f"the event at offset {entry.offset} is not of a row")
                rows[entry.offset] = entry.event.row


def _published(written: PublishedCut, read_s: float) -> CutPublished:
    closed = written.cut.closed
    return CutPublished(
        cut=closed.cut,
        offset=written.cut.offset,
        events=closed.count,
        types=written.types,
        scanned_rows=0,
        poll_s=read_s,
    )


def _needs_former(change: RowChange) -> bool:
    """Return whether a change needs the row that it changes to be understood."""
    if isinstance(change, RowKey):
        return False
    return bool(change.unchanged) or TABLES[change.kind].newest_by is not None


def _is_newer(change: RowPut, known: PresentRow, rows: dict[Offset, Row]) -> bool:
    """Return whether a row of an append-only table counts instead of the one that is known."""
    if (by := TABLES[change.kind].newest_by) is None:
        return True
    row = _row_of(known, rows)
    before = (getattr(row, by), getattr(row, "id"))  # noqa: B009 - both such kinds have one
    return (change.columns[by], change.columns["id"]) > before


def _row_of(word: PresentRow, rows: dict[Offset, Row]) -> Row:
    if word.row is not None:
        return word.row
    if word.offset is None:
        raise CorruptionError("a row is neither in the log nor on its way there")
    return rows[word.offset]


def _key_of(change: RowPut) -> RowKey:
    table = TABLES[change.kind]
    if not change.columns.keys() >= set(table.key):
        raise BrokenStreamError(
            f"a {change.kind.value} row was changed, and its key is not reported"
        )
    return RowKey(change.kind, table.key_text(change.columns))


def _former(change: RowPut, key: RowKey) -> RowKey:
    return key if change.former_key is None else RowKey(change.kind, change.former_key)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
