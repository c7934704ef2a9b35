"""Turns the source's metadata into events in the log, one consistent cut after the other.

A poll opens one snapshot. The scout compares it with the ledger, which is the log folded up to its
end; rows that differ are fetched and appended as events, a bounded number at a time. The closing
record with the digest of all rows makes them a cut: readers skip events without one.

Where the source has a change stream, each of its commits becomes a cut instead, and no row is
scanned. A poll then starts the stream, takes its place when it breaks, and audits it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from replicator.errors import CorruptionError, DamagedServerError, TransientError
from replicator.model.event import Entry, RowChanged, RowRemoved
from replicator.model.fingerprint import fingerprint, key_hash
from replicator.model.inventory.ledger import Offsets
from replicator.model.observation import CutPublished, Observer, Polled, Progress
from replicator.model.operations.retry import RetryPolicy
from replicator.model.row import Kind, Row, key_of
from replicator.model.stream import NoStream, StreamPosition
from replicator.ports import Snapshot, WatchedReader, fetched
from replicator.services.history.own_target import refuse_own_target
from replicator.services.history.reader import History
from replicator.services.history.twins import has_twins, refuse_twins
from replicator.services.history.vanished import refuse_vanished
from replicator.services.replication.commit_follower import CommitFollower
from replicator.services.replication.cut_writer import CutWriter, OpenCuts, PublishedCut
from replicator.services.replication.scout import Findings, Scout, VersionOptions
from replicator.services.running.loop import OF_THE_WATCHER, repeat

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLimits:
    """How often the source is polled, and how much is read at a time."""

    poll_interval_s: float
    jitter: float
    idle_cut_interval_s: float
    fetch_rows_max: int
    versions: VersionOptions
    vanished_share_max: float
    """Share of the rows that may be gone at once before the operator must agree."""


class Watcher:
    """Publishes the difference between what the log says and what the source holds.

    Args:
        metadata: The source.
        writer: Writes the log.
        history: Reads the same log.
        follower: Follows the source's change stream; None: it is only polled.
        limits: Intervals and sizes.
        retry: Waits after polls that failed.
        rng: Source of jitter.
        observer: Receives polls and cuts.
    """

    def __init__(
        self,
        *,
        metadata: WatchedReader,
        writer: CutWriter,
        history: History,
        follower: CommitFollower | None,
        limits: WatchLimits,
        retry: RetryPolicy,
        rng: Random,
        observer: Observer,
    ) -> None:
        self._metadata = metadata
        self._writer = writer
        self._history = history
        self._follower = follower
        self._limits = limits
        self._retry = retry
        self._rng = rng
        self._observer = observer
        self._scout = Scout(limits.versions, observer)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow or poll until `stop` is set; a running poll always finishes."""
        try:
            await repeat(
                self._step,
                stop,
                what="poll the source",
                retry=self._retry,
                halted_retry_s=self._retry.delay_max_s,
                rng=self._rng,
                observer=self._observer,
                tolerance=OF_THE_WATCHER,
            )
        finally:
            if self._follower is not None:
                await self._follower.close()

    async def _step(self) -> float:
        if (wait_s := await self._follow()) is not None:
            return wait_s
        await self.poll()
        spread = self._rng.uniform(-self._limits.jitter, self._limits.jitter)
        return self._limits.poll_interval_s * (1 + spread)

    async def catch_up(self) -> bool:
        """Publish what changed by now, by the change stream or a poll; return whether anything did.

        Raises:
            TransientError, FencedError: as for `poll`.
        """
        if not self._writer.is_leading:
            await self._lead()
        before, published = self._writer.last, False
        try:
            while (wait_s := await self._follow()) is not None:
                published |= self._writer.last > before
                if wait_s:
                    return published
            return await self.poll() or published
        finally:
            if self._follower is not None:
                await self._follower.close()

    async def _follow(self) -> float | None:
        """Publish the next commits; return when to look again, None if there must be a poll."""
        if self._follower is None:
            return None
        if not self._writer.is_leading:
            await self._lead()
        # An audit found that the stream had missed changes: only scans count until an operator says
        # otherwise.
        if self._scout.distrusts:
            return None
        wait_s = await self._follower.step()
        self._scout.settle(self._writer.known.digest)
        return wait_s

    async def poll(self) -> bool:
        """Publish what changed as one closed cut; False: nothing changed, and no cut is due.

        Raises:
            TransientError: the source or the log is unreachable; the next poll starts again.
            FencedError: another watcher has taken over.
        """
        if not self._writer.is_leading:
            await self._lead()
        known = self._writer.known
        started_s = asyncio.get_running_loop().time()
        async with self._metadata.snapshot() as snapshot:
            is_audit = self._follower is not None and await self._follower.reach(snapshot.stream)
            findings = await self._scout.look(snapshot, known, is_audit=is_audit)
            # The log was brought to exactly this snapshot, so that a difference is a change that
            # the stream missed.
            if is_audit and not findings.is_empty:
                self._scout.distrust(findings.changes)
            await self._refuse_vanished(findings.unseen)
            idle = findings.is_empty and not self._is_due(snapshot.stream)
            published = None if idle else await self._publish(snapshot, findings)
        if idle:
            self._scout.expect(known.digest)
        self._scout.settle(known.digest)
        poll_s = asyncio.get_running_loop().time() - started_s
        self._observer(
            Polled(
                scanned_rows=findings.scanned,
                fingerprinted_rows=findings.fingerprinted,
                full=findings.full,
                poll_s=poll_s,
            )
        )
        if published is None:
            return False
        self._observer(_cut_published(published, findings.scanned, poll_s))
        return True

    async def _refuse_vanished(self, gone: Offsets) -> None:
        known, share_max = self._writer.known.rows, self._limits.vanished_share_max
        try:
            await refuse_vanished(gone, known, share_max, self._history)
        except TransientError:
            await self._writer.heed_others()  # an operator may have published it by `watch --once`
            raise

    def _is_due(self, stream: StreamPosition | NoStream) -> bool:
        """Return whether an empty cut is due: as a sign of life, or to start the stream."""
        starts = self._follower is not None and self._follower.wants_position
        if starts and isinstance(stream, StreamPosition):
            return True
        return self._writer.quiet_s >= self._limits.idle_cut_interval_s

    async def _lead(self) -> None:
        if self._follower is not None:
            await self._follower.guard()  # the log may be unreachable for long, and the slot grows
        # Exchanged addresses would make the production cluster the target, and its own rows foreign
        # ones.
        await refuse_own_target(self._metadata, self._writer.source)
        await self._writer.lead()
        self._scout.heed(distrusted=self._writer.distrusts_versions)

    async def _publish(self, snapshot: Snapshot, findings: Findings) -> PublishedCut:
        """Append the cut's events in chunks; its closing record goes with the last of them."""
        async with self._writer.cuts() as cuts:
            cuts.begin(snapshot.taken_at)
            if self._writer.left_open:
                await self._try(snapshot, findings, cuts)
            for kind in [*findings.handles]:
                await self._publish_changed(snapshot, kind, findings, cuts)
            async for entries in self._history.pick(findings.unseen):
                await cuts.add([_removed(entry) for entry in entries])
            # Before the last append, whose outcome may stay unknown: the log's digest tells
            # afterwards whether the log has these rows.
            self._scout.expect(cuts.digest)
            stream = snapshot.stream if isinstance(snapshot.stream, StreamPosition) else None
            await cuts.close(distrusts_versions=self._scout.distrusts, stream=stream)
            await cuts.flush()
            (written,) = cuts.written
        return written

    async def _try(self, snapshot: Snapshot, findings: Findings, cuts: OpenCuts) -> None:
        """Require that all rows can be published before the first of them is.

        The log ends with a cut that was given up. What gave it up may be a row that no log takes;
        each further try would append again all that comes before that row, until the disk is full.
        """
        for kind, handles in findings.handles.items():
            some = handles.some(self._limits.fetch_rows_max)
            async for events in self._events(snapshot, kind, some, findings.sums[kind]):
                cuts.check(events)

    async def _publish_changed(
        self, snapshot: Snapshot, kind: Kind, findings: Findings, cuts: OpenCuts
    ) -> None:
        handles = findings.handles.pop(kind)
        total, done = len(handles), 0
        some = handles.drain(self._limits.fetch_rows_max)
        async for events in self._events(snapshot, kind, some, findings.sums[kind]):
            await cuts.add(events)
            done += len(events)
            self._observer(
                Progress(
                    what=f"publish {kind.value} rows",
                    done=done,
                    total=total,
                    unit="rows",
                )
            )

    async def _events(
        self, snapshot: Snapshot, kind: Kind, handles: "Iterable[NDArray[Any]]", sum_: int
    ) -> AsyncIterator[list[RowChanged]]:
        """Yield the events of a table's rows in bounded lists, and require that they are sound.

        Raises:
            DamagedServerError: the sum of their fingerprints is not the scan's.
            ConfigError: two rows have one key, or one is too large.
        """
        found, keys = 0, bytearray()
        for some in handles:
            async for rows in fetched(snapshot, kind, some):
                events = [self._changed(row) for row in sorted(rows, key=key_of)]
                keys += b"".join(key_hash(key_of(event.row)) for event in events)
                found += sum(int.from_bytes(event.fingerprint) for event in events)
                yield events
        # Both sums are of rows of one snapshot, so that no concurrent change explains a difference.
        if found != sum_:
            raise DamagedServerError(
                f"the source's database computes other fingerprints for {kind.value} rows than this"
                " program does",
                hint="report this with the versions of PostgreSQL and Druid; nothing was published",
            )
        if has_twins(keys):
            await refuse_twins(snapshot, kind)

    def _changed(self, row: Row) -> RowChanged:
        known = self._writer.known.find(key_hash(key_of(row)))
        return RowChanged(
            row=row, fingerprint=fingerprint(row), previous=known.fingerprint if known else None
        )


def _cut_published(written: PublishedCut, scanned_rows: int, poll_s: float) -> CutPublished:
    closed = written.cut.closed
    return CutPublished(
        cut=closed.cut,
        offset=written.cut.offset,
        events=closed.count,
        types=written.types,
        scanned_rows=scanned_rows,
        poll_s=poll_s,
    )


def _removed(entry: Entry) -> RowRemoved:
    event = entry.event
    if not isinstance(event, RowChanged):
        raise CorruptionError(f"the event at offset {entry.offset} is not the row it should be")
    return RowRemoved(key=key_of(event.row), previous=event.fingerprint)
