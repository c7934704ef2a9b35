"""Restores a cut from a target's store into a scratch area, proves it, and keeps the evidence."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from replicator.errors import GapError, RefusedError, ReplicatorError
from replicator.model.event import Offset
from replicator.model.extent import Extent
from replicator.model.observation import DrillEnded, Observer
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
from replicator.services.drills.progress import DrillProgress
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


class Drill:
    """One drill, and what is known of it so far.

    Args:
        point: Requested restore point.
        target: Name of the drilled target.
        program: Version of this program, for the evidence.
        started_at: Time at which the drill began.
        bytes_max: Number of bytes that the drill may take of the scratch area's disk.
        rng: Draws a cut.
        progress: Counts the bytes that the drill copies.
    """

    def __init__(
        self,
        point: DrillPoint,
        *,
        target: str,
        program: str,
        started_at: datetime,
        bytes_max: int,
        rng: Random,
        progress: DrillProgress,
    ) -> None:
        self._point, self._target = point, target
        self._program, self._started_at = program, started_at
        self._bytes_max, self._rng, self._progress = bytes_max, rng, progress
        self._rehearsal: Rehearsal | None = None
        self._rehearsed: Rehearsed | None = None
        self._trial: Trial | None = None
        self._steps = list[DrillStep]()
        self._findings: tuple[str, ...] = ()
        self._findings_count = 0

    @property
    def observer(self) -> Observer:
        """The observer of everything that rehearses."""
        return self._progress.observe

    async def run(self, rehearsal: Rehearsal) -> None:
        """Restore the cut into the scratch area, and prove it.

        Raises:
            GapError: the store lacks the cut, or some of its bytes.
            CorruptionError: bytes or history are not those that were stored.
            RefusedError: there is not enough room for the drill.
            ReplicatorError: any other reason that ended the drill early.
        """
        self._rehearsal, restorer = rehearsal, rehearsal.restorer
        with self._step(PLAN):
            wanted = self._wanted(rehearsal.windows)
            plan = await restorer.plan(wanted, datasource=None, adopt=False)
        estimate = plan.estimate
        self._rehearsed = rehearsed = Rehearsed(
            cut=plan.cut.closed.cut,
            offset=plan.cut.offset,
            source_time=plan.cut.closed.source_time,
            digest=plan.cut.closed.digest,
            rows=estimate.segments + estimate.other_rows,
            segments=estimate.segments,
        )
        self._refuse_crowding(estimate, rehearsal)
        async with restorer.leased(plan):
            with self._step(COPY):
                copied = await restorer.copy(plan)
            with self._step(ROWS):
                await restorer.commit(copied, accept_gaps=False)
            await self._prove(rehearsal.verifier, rehearsed)  # it reads the history again
        if rehearsal.trial is not None and not self._findings_count:
            await self._try(rehearsal.trial)

    @property
    def has_run(self) -> bool:
        """Whether the drill got as far as an opened store and a scratch area."""
        return self._rehearsal is not None

    def evidence(self, *, ended_at: datetime, failure: str | None) -> Evidence:
        """Return the evidence of a drill that has run."""
        rehearsal = self._rehearsal
        assert rehearsal is not None  # noqa: S101 - it has run
        return Evidence(
            target=self._target,
            source=rehearsal.source,
            log_id=rehearsal.windows.log_id,
            point=point_text(self._point),
            program=self._program,
            started_at=self._started_at,
            ended_at=ended_at,
            rehearsed=self._rehearsed,
            trial=self._trial,
            steps=tuple(self._steps),
            findings=self._findings,
            findings_count=self._findings_count,
            failure=failure,
            not_proved=rehearsal.not_proved,
        )

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Record how long the block took, also if it failed."""
        loop, before = asyncio.get_running_loop(), self._progress.copied_bytes
        begun_s = loop.time()
        try:
            yield
        finally:
            size_bytes = self._progress.copied_bytes - before if name == COPY else None
            self._steps.append(
                DrillStep(name=name, seconds=loop.time() - begun_s, size_bytes=size_bytes)
            )

    async def _prove(self, verifier: Verifier, rehearsed: Rehearsed) -> None:
        begun_s = asyncio.get_running_loop().time()
        found = await verifier.verify(Level.CHECKSUM, extent=Extent(structure=True))
        took_s = asyncio.get_running_loop().time() - begun_s
        self._steps.append(DrillStep(name=VERIFY, seconds=took_s, size_bytes=found.read_bytes))
        self._rehearsed = replace(rehearsed, rows=found.rows, objects=found.objects)
        self._findings_count = found.findings_count
        self._findings = tuple(found.findings[:FINDINGS_MAX])

    async def _try(self, trial: DruidTrial) -> None:
        """Let a Druid read what was proved; a restore with known damage is not tried."""
        tried = await trial.run()
        self._trial = tried.trial
        self._steps.append(DrillStep(name=LOAD, seconds=tried.load_s))
        self._steps.append(DrillStep(name=QUERY, seconds=tried.query_s))
        self._findings_count = tried.findings_count
        self._findings = tuple(tried.findings[:FINDINGS_MAX])

    def _wanted(self, found: Windows) -> RestorePoint:
        match self._point:
            case AnyCut():
                return drawn(_spans(found), self._rng)
            case Latest() if not found.windows:
                raise GapError(f"the store of target {self._target!r} keeps no whole history")
            case Latest():
                return ToOffset(offset=found.windows[-1].last.offset)
            case _:
                return self._point

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


class Driller:
    """Drills one target; neither the target nor any other cluster is written to.

    Args:
        target: Name of the target whose store is drilled.
        record: Keeps the evidence; nothing else in the store is written.
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
        bytes_max: int,
        program: str,
        clock: Clock,
        rng: Random,
        observer: Observer,
    ) -> None:
        self._target, self._record = target, record
        self._bytes_max, self._program = bytes_max, program
        self._clock, self._rng, self._observer = clock, rng, observer

    def begin(self, point: DrillPoint) -> Drill:
        """Return a drill that has begun: its store is opened, and its scratch area made, for it."""
        return Drill(
            point,
            target=self._target,
            program=self._program,
            started_at=self._clock.now(),
            bytes_max=self._bytes_max,
            rng=self._rng,
            progress=DrillProgress(self._observer),
        )

    async def end(self, drill: Drill) -> Evidence:
        """Keep the evidence of a drill that has run, and return it; its scratch area is gone.

        Raises:
            TransientError, ConfigError: the store cannot be written.
        """
        found = drill.evidence(ended_at=self._clock.now(), failure=None)
        await self._record.keep(found)
        self._observer(DrillEnded(evidence=found, failure=None))
        return found

    async def fail(self, drill: Drill, failure: ReplicatorError) -> None:
        """Keep the evidence of a drill that failed as it ran, or as its scratch area was removed.

        A drill that could not begin to run leaves none: nothing is known of its store.

        Raises:
            TransientError, ConfigError: the store cannot be written.
        """
        self._observer(DrillEnded(evidence=None, failure=str(failure)))
        if drill.has_run:
            await self._record.keep(
                drill.evidence(ended_at=self._clock.now(), failure=str(failure))
            )


def _spans(found: Windows) -> list[tuple[Offset, Offset]]:
    """Return the ranges of cuts without a hole; expired cuts are left out."""
    windows = [one for one in found.windows if one.last.offset >= found.horizon]
    offsets = [hold.point.offset for hold in found.holds]
    return [
        *((max(one.first.offset, found.horizon), one.last.offset) for one in windows),
        *((offset, offset) for offset in offsets),
    ]
