"""Jobs: accepted, started in order, watched, ended, and stored."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any, Final

import orjson
import structlog

from replicator.adapters.sqlite.jobs import JobStore
from replicator.config.operations.control import ControlJobsSettings
from replicator.control.requests.planned import Planned
from replicator.control.work.job_locks import JobLocks
from replicator.control.work.launch import Order, Program, error_document, planned
from replicator.control.work.live_job import LiveJob
from replicator.control.work.processes import STOPPED, JobProcesses, outcome
from replicator.control.work.refusals import BusyError, FullError, KeyReusedError
from replicator.errors import NotFoundError, RefusedError, ReplicatorError, defects_named
from replicator.model.operations.job import AgreedPlan, Job, JobAnswer, JobState
from replicator.ports import Clock
from replicator.task_group import TaskGroup

log = structlog.get_logger("replicator")
UNFINISHED: Final = (JobState.QUEUED, JobState.RUNNING)
Listener = Callable[[Job], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An accepted order."""

    job: Job
    changes: bool
    """Whether the order can change something: a look, and a repetition of an order, cannot."""


class Jobs:
    """The jobs of one service.

    Args:
        store: Stores the jobs.
        program: Program that they run.
        clock: Clock that dates them.
        settings: Limits of jobs.
        drain_s: Longest clean-up of a job before it is killed, in seconds.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        program: Program,
        clock: Clock,
        settings: ControlJobsSettings,
        drain_s: float,
    ) -> None:
        self._store, self._clock = store, clock
        self._settings, self._drain_s = settings, drain_s
        self._locks = JobLocks(program.folder, drain_s, program.threads)
        self._processes = JobProcesses(program, self._locks, drain_s)
        self._live: dict[str, LiveJob] = {}
        self._taking = asyncio.Lock()
        self._woken = asyncio.Event()
        self._listeners: list[Listener] = []
        self._stopped = False

    # ------------------------------------------------------------------------------- for everyone

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with each job that has ended, after its answer is stored."""
        self._listeners.append(listener)

    async def submit(self, order: Order) -> Job:
        """Accept an order and return its job; see `accept`."""
        return (await self.accept(order)).job

    async def accept(self, order: Order) -> Accepted:
        """Accept an order; with a known key, its job is that of the first order.

        Raises:
            BusyError: another job changes the same target.
            FullError: too many jobs wait.
            KeyReusedError: the key belongs to another order.
            RefusedError: the order needs a plan and has none.
        """
        may_start = order.planning or order.plan or order.agreed
        if isinstance(order.request, Planned) and not may_start:
            raise RefusedError(
                f"no plan of {order.verb} was agreed to",
                hint="make a plan, read it, and run it by its digest",
            )
        # The store is awaited between the checks and the job's entry: without the lock two orders
        # could both find a target free, or the last place.
        async with self._taking:
            return await self._taken(order)

    async def job(self, id_: str) -> Job:
        """Return a job in its present state.

        Raises:
            NotFoundError: no job has this id.
        """
        if (live := self._live.get(id_)) is not None:
            return live.job
        if (found := await self._store.job(id_)) is None:
            raise NotFoundError(
                f"there is no job {id_!r}",
                hint="only the newest jobs are kept, see web.control.jobs.kept_max",
            )
        return found

    async def newest(self, *, limit: int, states: tuple[JobState, ...] = ()) -> list[Job]:
        """Return the newest jobs, newest first."""
        found = await self._store.newest(limit=limit, states=states)
        return [self._live[one.id].job if one.id in self._live else one for one in found]

    async def answer(self, id_: str) -> JobAnswer | None:
        """Return the output of a job's verb; None: there is none yet."""
        return await self._store.answer(id_)

    async def plan(self, digest: str) -> AgreedPlan:
        """Return a plan that can still be carried out.

        Raises:
            NotFoundError: there was no such plan, or it is too old.
        """
        found = await self._store.plan(digest)
        if found is None or found.made_at < self._clock.now() - self._settings.plan_valid:
            raise NotFoundError(
                f"there is no plan {digest!r} any more",
                hint="make it again: a plan is valid for web.control.jobs.plan_valid",
            )
        return found

    async def ended(self, id_: str, within_s: float) -> Job:
        """Return a job once it has ended, or its state after `within_s` seconds."""
        if (live := self._live.get(id_)) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await live.ended.wait()
        return await self.job(id_)

    async def cancel(self, id_: str, by: str) -> Job:
        """End a job: a waiting one at once, a running one after it has cleaned up.

        Raises:
            NotFoundError: no job has this id.
            RefusedError: the job has ended already.
        """
        live = self._live.get(id_)
        if live is None:
            job = await self.job(id_)
            raise RefusedError(f"job {id_} is {job.state.value} already: there is nothing to end")
        live.end(f"cancelled by {by}", self._drain_s)
        if live.job.state is JobState.QUEUED:
            await self._close(live, replace(live.job, state=JobState.CANCELLED, why=live.ending))
        return live.job

    # ------------------------------------------------------------------------------- as a service

    async def recover(self) -> None:
        """Close each job that an earlier service left unfinished."""
        for job in reversed(await self._store.newest(limit=100_000, states=UNFINISHED)):
            lives = job.state is JobState.RUNNING and not await self._locks.is_let_go(job.id)
            why = (
                "the service ended while it ran"
                if job.state is JobState.RUNNING
                else ("the service ended before it was begun")
            )
            await self._store.put(
                replace(
                    job,
                    state=JobState.INTERRUPTED,
                    ended_at=self._clock.now(),
                    why=f"{why}; its process still cleans up" if lives else why,
                )
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Start jobs in order until `stop` is set; then end the running ones."""
        async with TaskGroup() as group:
            stopping = group.create_task(stop.wait())
            stopping.add_done_callback(lambda _: self._woken.set())
            try:
                while not stop.is_set():
                    self._woken.clear()
                    for live in self._due():
                        live.job = replace(
                            live.job, state=JobState.RUNNING, started_at=self._clock.now()
                        )
                        group.create_task(self._work(live))
                    await self._woken.wait()
                self._stopped = True
                for live in list(self._live.values()):
                    await self._stop(live)
            finally:
                stopping.cancel()

    # -------------------------------------------------------------------------------- one by one

    async def _taken(self, order: Order) -> Accepted:
        job = Job(
            id=token_hex(8),
            verb=order.verb,
            request=order.request_json,
            targets=order.request.changed if order.exclusive else order.request.touched,
            exclusive=order.exclusive,
            by=order.by,
            state=JobState.QUEUED,
            created_at=self._clock.now(),
            plan=None if order.plan is None else order.plan.digest,
            again=order.again,
        )
        if order.key is not None and (known := await self._store.keyed(order.by, order.key)):
            return Accepted(job=self._same(known, job), changes=False)
        self._refuse_busy(job)
        waiting = sum(live.job.state is JobState.QUEUED for live in self._live.values())
        self._leave_places(order)
        if waiting >= self._settings.queued_max + self._settings.running_max or self._stopped:
            raise FullError(
                f"{waiting} jobs wait already", hint="try again when some of them have ended"
            )
        await self._store.add(
            job,
            key=order.key,
            kept_max=self._settings.kept_max,
            kept_bytes_max=self._settings.kept_bytes_max,
        )
        self._live[job.id] = LiveJob(job=job, order=order)
        self._woken.set()
        return Accepted(job=job, changes=not order.only_looks)

    def _same(self, known: Job, job: Job) -> Job:
        if (known.verb, known.request, known.plan) != (job.verb, job.request, job.plan):
            raise KeyReusedError(
                f"the idempotency key stands for job {known.id}, which is another order",
                hint="a key belongs to one order; use a new one",
            )
        return self._live[known.id].job if known.id in self._live else known

    def _refuse_busy(self, job: Job) -> None:
        if not job.exclusive:
            return
        for live in self._live.values():
            for target in set(live.job.targets) & set(job.targets):
                if live.job.exclusive:
                    raise BusyError(target, live.job)

    def _leave_places(self, order: Order) -> None:
        """Keep half of the places for jobs that change something, a quarter for other principals.

        Raises:
            FullError: too many read-only jobs wait already, or too many of one principal.
        """
        places = self._settings.queued_max + self._settings.running_max
        waiting = [one for one in self._live.values() if one.job.state is JobState.QUEUED]
        looks = sum(one.order.only_looks for one in waiting)
        if order.only_looks and looks >= (places + 1) // 2:
            raise FullError(
                f"{looks} read-only jobs wait already; other places are kept for operators",
                hint="try again when some of them have ended",
            )
        own = sum(one.job.by == order.by for one in waiting)
        if own >= max(1, places - max(1, places // 4)):
            raise FullError(
                f"{own} jobs of {order.by} wait already; other places are kept for others",
                hint="try again when some of them have ended",
            )

    def _due(self) -> list[LiveJob]:
        """Return the jobs to start now; one of several places is kept free of read-only jobs."""
        running = [one for one in self._live.values() if one.job.state is JobState.RUNNING]
        free = self._settings.running_max - len(running)
        looks_free = max(1, self._settings.running_max - 1) - sum(
            one.order.only_looks for one in running
        )
        due = list[LiveJob]()
        for live in self._live.values():
            if live.job.state is not JobState.QUEUED or len(due) >= free:
                continue
            if live.order.only_looks:
                if looks_free <= 0:
                    continue
                looks_free -= 1
            due.append(live)
        return due

    async def _work(self, live: LiveJob) -> None:
        try:
            with defects_named(f"job {live.job.id}"):
                await self._carry_out(live)
        except ReplicatorError as exc:  # the machine lacks something: other jobs continue
            await self._failed(live, exc)

    async def _failed(self, live: LiveJob, error: ReplicatorError) -> None:
        job = replace(live.job, state=JobState.FAILED, progress=None, why=str(error))
        document = error_document(job.verb, type(error).__name__, str(error), error.hint)
        try:
            answer = JobAnswer(written=orjson.dumps(document), stdout="", stderr="")
            await self._close(live, job, answer)
        except ReplicatorError as exc:  # the next start marks the job as interrupted
            log.error("a job was lost sight of", id=job.id, reason=str(exc))  # noqa: TRY400
            self._let_go(live, job)

    async def _carry_out(self, live: LiveJob) -> None:
        await self._store.put(live.job)
        ended, answer = await self._processes.run(live)
        job = outcome(live, ended, answer)
        if live.order.planning and (found := planned(live.order, ended)) is not None:
            await self._keep_plan(live.order, *found)
            job = replace(job, plan=found[0])
        await self._close(live, job, answer)

    async def _keep_plan(self, order: Order, digest: str, document: Mapping[str, Any]) -> None:
        now = self._clock.now()
        plan = AgreedPlan(
            digest=digest,
            verb=order.request.name,
            request=order.request_json,
            written=orjson.dumps(document),
            targets=order.request.changed,
            by=order.by,
            made_at=now,
        )
        await self._store.keep_plan(
            plan,
            forget_before=now - self._settings.plan_valid,
            kept_bytes_max=self._settings.kept_bytes_max,
        )

    async def _close(self, live: LiveJob, job: Job, answer: JobAnswer | None = None) -> None:
        ended = replace(job, ended_at=self._clock.now())
        await self._store.put(ended, answer)
        log.info("job ended", id=job.id, verb=job.verb, state=job.state.value, by=job.by)
        self._let_go(live, ended)

    def _let_go(self, live: LiveJob, job: Job) -> None:
        """Notify all listeners that a job has ended."""
        live.job = job
        self._live.pop(job.id, None)
        live.ended.set()
        self._woken.set()
        for listener in self._listeners:
            listener(job)

    async def _stop(self, live: LiveJob) -> None:
        live.end(STOPPED, self._drain_s)
        if live.job.state is JobState.QUEUED:
            await self._close(live, replace(live.job, state=JobState.INTERRUPTED, why=STOPPED))
