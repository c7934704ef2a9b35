"""Restores a cut from a target's store into a scratch area, proves it, and keeps the evidence."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeAlias

from replicator.errors import GapError, RefusedError, ReplicatorError
from replicator.model.event import Offset
from replicator.model.extent import Extent
from replicator.model.observation import DrillEnded, ObjectCopied, Observation, Observer, Progress
from replicator.model.observed.faults import ArchiveDamaged, FileUnsigned, Waiting
from replicator.model.plans.plan import Estimate
from replicator.model.plans.restore_point import Latest, RestorePoint, ToOffset
from replicator.model.store.drill import (
    COPY,
    FINDINGS_MAX,
    LOAD,
    PLAN,
    QUERY,
    ROWS,
    VERIFY,
    AnyCut,
    DrillPoint,
    DrillStep,
    Evidence,
    Rehearsed,
    Trial,
    drawn,
    point_text,
)
from replicator.model.store.proof import Level
from replicator.ports import Clock
from replicator.services.drills.druid_trial import DruidTrial
from replicator.services.records.drill_record import DrillRecord
from replicator.services.restore.restorer import Restorer
from replicator.services.store.windows import Windows
from replicator.services.verification.verifier import Verifier

ROW_BYTES = 4 << 10
"""Bytes of disk that a row takes in the scratch database with its indexes, roughly."""
EMPTY_BYTES = 128 << 20
"""Bytes of disk that an empty scratch database takes with its journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A target's store, opened for reading, and an empty scratch area to restore it to."""

    source: str
    windows: Windows
    free_bytes: int
    """Number of free bytes on the disk of the scratch area."""
    restorer: Restorer
    verifier: Verifier
    trial: DruidTrial | None = None
    """Trial of the restored segments; None if there is no Druid for it."""
    not_proved: str | None = None
    """What the drill does not prove; None: nothing was left out."""


Rehearse: TypeAlias = Callable[[Observer], AbstractAsyncContextManager[Rehearsal]]
"""Sets up a rehearsal for the length of a block, and removes its scratch area afterwards."""


@dataclass(slots=True, kw_only=True)
class _Notes:
    """What is known so far of a running drill."""

    copied_bytes: int = 0
    rehearsed: Rehearsed | None = None
    trial: Trial | None = None
    steps: list[DrillStep] = field(default_factory=list)
    findings: tuple[str, ...] = ()
    findings_count: int = 0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record how long the block took, also if it failed."""
        loop, before = asyncio.get_running_loop(), self.copied_bytes
        begun_s = loop.time()
        try:
            yield
        finally:
            size_bytes = self.copied_bytes - before if name == COPY else None
            self.steps.append(
                DrillStep(name=name, seconds=loop.time() - begun_s, size_bytes=size_bytes)
            )


class Driller:
    """Drills one target; neither the target nor any other cluster is written to.

    Args:
        target: Name of the target whose store is drilled.
        record: Keeps the evidence; nothing else in the store is written.
        rehearse: Opens the store, and creates a scratch area.
        bytes_max: Number of bytes that a drill may take of the scratch area's disk.
        program: Version of this program, for the evidence.
        clock: Clock that dates the drill.
        rng: Draws a cut.
        observer: Receives progress and the result of the drill.
    """

    def __init__(
        self,
        *,
        target: str,
        record: DrillRecord,
        rehearse: Rehearse,
        bytes_max: int,
        program: str,
        clock: Clock,
        rng: Random,
        observer: Observer,
    ) -> None:
        self._target, self._record, self._rehearse = target, record, rehearse
        self._bytes_max, self._program = bytes_max, program
        self._clock, self._rng, self._observer = clock, rng, observer

    async def drill(self, point: DrillPoint) -> Evidence:
        """Restore a cut, prove it, and return the evidence, good or not.

        Once the store is open, a drill that fails leaves its evidence as well.

        Raises:
            GapError: the store lacks the cut, or some of its bytes.
            CorruptionError: bytes or history are not those that were stored.
            RefusedError: there is not enough room for the drill.
            ReplicatorError: any other reason that ended the drill early.
        """
        notes, opened = _Notes(), list[Rehearsal]()
        started_at = self._clock.now()

        def evidence(failure: str | None) -> Evidence:
            return Evidence(
                target=self._target,
                source=opened[0].source,
                log_id=opened[0].windows.log_id,
                point=point_text(point),
                program=self._program,
                started_at=started_at,
                ended_at=self._clock.now(),
                rehearsed=notes.rehearsed,
                trial=notes.trial,
                steps=tuple(notes.steps),
                findings=notes.findings,
                findings_count=notes.findings_count,
                failure=failure,
                not_proved=opened[0].not_proved,
            )

        try:
            async with self._rehearse(self._watching(notes)) as rehearsal:
                opened.append(rehearsal)
                await self._do(rehearsal, point, notes)
        except ReplicatorError as exc:
            self._observer(DrillEnded(evidence=None, failure=str(exc)))
            if opened:
                await self._record.keep(evidence(str(exc)))
            raise
        found = evidence(None)
        await self._record.keep(found)
        self._observer(DrillEnded(evidence=found, failure=None))
        return found

    async def _do(self, rehearsal: Rehearsal, point: DrillPoint, notes: _Notes) -> None:
        restorer = rehearsal.restorer
        with notes.step(PLAN):
            wanted = self._point(point, rehearsal.windows)
            plan = await restorer.plan(wanted, datasource=None, adopt=False)
        estimate = plan.estimate
        notes.rehearsed = rehearsed = Rehearsed(
            cut=plan.cut.closed.cut,
            offset=plan.cut.offset,
            source_time=plan.cut.closed.source_time,
            digest=plan.cut.closed.digest,
            rows=estimate.segments + estimate.other_rows,
            segments=estimate.segments,
        )
        self._refuse_crowding(estimate, rehearsal)
        async with restorer.leased(plan):
            with notes.step(COPY):
                copied = await restorer.copy(plan)
            with notes.step(ROWS):
                await restorer.commit(copied, accept_gaps=False)
            await self._prove(rehearsal.verifier, rehearsed, notes)  # it reads the history again
        if rehearsal.trial is not None and not notes.findings_count:
            await self._try(rehearsal.trial, notes)

    async def _prove(self, verifier: Verifier, rehearsed: Rehearsed, notes: _Notes) -> None:
        begun_s = asyncio.get_running_loop().time()
        found = await verifier.verify(Level.CHECKSUM, extent=Extent(structure=True))
        took_s = asyncio.get_running_loop().time() - begun_s
        notes.steps.append(DrillStep(name=VERIFY, seconds=took_s, size_bytes=found.read_bytes))
        notes.rehearsed = replace(rehearsed, rows=found.rows, objects=found.objects)
        notes.findings_count = found.findings_count
        notes.findings = tuple(found.findings[:FINDINGS_MAX])

    async def _try(self, trial: DruidTrial, notes: _Notes) -> None:
        """Let a Druid read what was proved; a restore with known damage is not tried."""
        tried = await trial.run()
        notes.trial = tried.trial
        notes.steps.append(DrillStep(name=LOAD, seconds=tried.load_s))
        notes.steps.append(DrillStep(name=QUERY, seconds=tried.query_s))
        notes.findings_count = tried.findings_count
        notes.findings = tuple(tried.findings[:FINDINGS_MAX])

    def _point(self, point: DrillPoint, found: Windows) -> RestorePoint:
        match point:
            case AnyCut():
                return drawn(_spans(found), self._rng)
            case Latest() if not found.windows:
                raise GapError(f"the store of target {self._target!r} keeps no whole history")
            case Latest():
                return ToOffset(offset=found.windows[-1].last.offset)
            case _:
                return point

    def _refuse_crowding(self, estimate: Estimate, rehearsal: Rehearsal) -> None:
        """Refuse a drill that does not fit, before any of it is copied."""
        rows, free_bytes = estimate.segments + estimate.other_rows, rehearsal.free_bytes
        copies = 1 if rehearsal.trial is None else 2  # a Historical unpacks what it loads
        needed = copies * estimate.size_bytes + rows * ROW_BYTES + EMPTY_BYTES
        said = f"a drill of target {self._target!r} may take {needed} bytes"
        if needed > self._bytes_max:
            raise RefusedError(
                f"{said}, and drill.bytes_max allows {self._bytes_max}: nothing was copied",
                hint="raise drill.bytes_max, and name a drill.folder on a disk that has the room",
            )
        if needed > free_bytes:
            raise RefusedError(
                f"{said}, and the disk of drill.folder has {free_bytes} left: nothing was copied",
                hint="name a drill.folder on a disk that has the room",
            )

    def _watching(self, notes: _Notes) -> Observer:
        """Return an observer that counts a drill's bytes and passes on progress alone."""

        def observe(observation: Observation) -> None:
            match observation:
                case ObjectCopied(size_bytes=size_bytes):
                    notes.copied_bytes += size_bytes
                case Progress() | Waiting() | ArchiveDamaged() | FileUnsigned():
                    self._observer(observation)
                case _:
                    pass

        return observe


def _spans(found: Windows) -> list[tuple[Offset, Offset]]:
    """Return the ranges of cuts without a hole; expired cuts are left out."""
    windows = [one for one in found.windows if one.last.offset >= found.horizon]
    offsets = [hold.point.offset for hold in found.holds]
    return [
        *((max(one.first.offset, found.horizon), one.last.offset) for one in windows),
        *((offset, offset) for offset in offsets),
    ]
