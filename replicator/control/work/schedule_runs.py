"""The configured schedules: each run is a verb in a process of its own.

With a control API the run is a job, which clients can see, wait for and cancel; without one the
scheduler alone starts the same process.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, assert_never

from replicator.adapters.machine.process import host
from replicator.adapters.machine.verb_process import VerbEnded
from replicator.app import Application
from replicator.app.verbs.schedules import scheduled_lines
from replicator.config.operations.schedules import (
    DrillScheduleSettings,
    ExpireScheduleSettings,
    LockScheduleSettings,
    PointsScheduleSettings,
    ScheduleSettings,
    VerifyScheduleSettings,
)
from replicator.config.values import duration_setting, size_setting
from replicator.control.requests.kept_cuts import LockRequest, PointsRotateRequest
from replicator.control.requests.planned import ExpireRequest
from replicator.control.requests.upkeep import DrillRequest, VerifyRequest
from replicator.control.requests.verb_request import ProofLevel, VerbRequest
from replicator.control.work.jobs import Jobs
from replicator.control.work.launch import HERE, Launch, Order, Program
from replicator.control.work.refusals import BusyError, FullError
from replicator.errors import RefusedError
from replicator.model.operations.job import Job
from replicator.services.schedules.scheduler import RunEnd, RunLine, Scheduler
from replicator.services.schedules.states import ScheduledLine

BUSY_S = 15.0
"""Seconds until a refused job is tried again: another one is changing its target."""
WAIT_S = 3600.0
"""Seconds after which the state of a job that has not ended is requested again."""


class ScheduleRuns:
    """Creates the scheduler of one configured application.

    Args:
        application: The configured application.
        program: Starts verbs.
        jobs: The control API's jobs; None: there is no control API.
    """

    def __init__(self, application: Application, program: Program, jobs: Jobs | None) -> None:
        self._application, self._program, self._jobs = application, program, jobs

    def scheduler(self, targets: Iterable[str]) -> Scheduler | None:
        """Return the scheduler for these targets; None: they have no schedules."""
        application = self._application
        lines = [self._line(line) for line in scheduled_lines(application, targets)]
        if not lines:
            return None
        observer = application.monitoring.observer()
        return Scheduler(lines, host=host(), clock=application.clock, observer=observer)

    def _line(self, line: ScheduledLine) -> RunLine:
        settings = self._application.settings.schedules[line.schedule]
        order = Order(
            request=request_for(settings, line.target), by=f"schedule {line.schedule}", agreed=True
        )
        return RunLine(
            schedule=line.schedule,
            target=line.target,
            kind=line.kind,
            verb=line.verb,
            timing=line.timing,
            record=line.record,
            run_max=settings.run_max,
            work=lambda: self._run(order),
        )

    async def _run(self, order: Order) -> RunEnd:
        if self._jobs is not None:
            return await self._as_job(order, self._jobs)
        arguments = await Launch(order, "schedule", self._program).arguments()
        process = self._program.process(arguments, terminal=HERE, held=None)
        ended = await process.run(lambda _: None)
        return RunEnd(exit_code=ended.code, message=_message(ended))

    async def _as_job(self, order: Order, jobs: Jobs) -> RunEnd:
        job = await _submitted(order, jobs)
        try:
            while not job.state.is_final:
                job = await jobs.ended(job.id, WAIT_S)
        except asyncio.CancelledError:
            with suppress(RefusedError):  # the job has ended meanwhile
                await jobs.cancel(job.id, order.by)
            raise
        code = 1 if job.exit_code is None else job.exit_code
        answer = await jobs.answer(job.id)
        why = job.why or ("" if answer is None else _why(code, answer.document))
        return RunEnd(exit_code=code, message=why, job=job.id)


async def _submitted(order: Order, jobs: Jobs) -> Job:
    """Submit a job until it is accepted: another one may be changing the target."""
    while True:
        try:
            return await jobs.submit(order)
        except (BusyError, FullError):
            await asyncio.sleep(BUSY_S)


def request_for(settings: ScheduleSettings, target: str) -> VerbRequest:
    """Return the request that a schedule makes."""
    match settings:
        case ExpireScheduleSettings():
            return ExpireRequest(target=target, orphans=settings.orphans)
        case LockScheduleSettings():
            return LockRequest(target=target)
        case VerifyScheduleSettings():
            return VerifyRequest(
                target=target,
                level=ProofLevel(settings.level),
                subset=settings.share,
                rolling=True,
                bytes_max=None if settings.bytes_max is None else size_setting(settings.bytes_max),
            )
        case DrillScheduleSettings():
            younger = settings.unless_younger
            return DrillRequest(
                target=target,
                random=settings.any_cut,
                unless_younger=None if younger is None else duration_setting(younger),
            )
        case PointsScheduleSettings():
            tiers = [f"{tier.each}={duration_setting(tier.keep)}" for tier in settings.tiers]
            zone = settings.time_zone
            return PointsRotateRequest(
                target=target, tiers=tiers, prefix=settings.prefix, time_zone=zone
            )
        case _:
            assert_never(settings)


def _message(ended: VerbEnded) -> str:
    if ended.document is None:
        return ended.stderr.strip()[-500:] or f"it ended without a document, code {ended.code}"
    return _why(ended.code, ended.document)


def _why(code: int, document: Any) -> str:
    error = (document or {}).get("error")
    if isinstance(error, dict):
        return str(error.get("message", ""))
    return "" if code == 0 else f"it ended with code {code}: run it by hand to see the reason"
