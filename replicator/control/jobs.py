"""Jobs: taken on, begun in their turn, watched over, ended, and kept."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any, Final

import structlog

from replicator.adapters.machine.verb_process import VerbEnded, VerbProcess
from replicator.adapters.sqlite.jobs import JobStore
from replicator.config.operations.control import ControlJobsSettings
from replicator.control.job_locks import JobLocks
from replicator.control.launch import (
    NO_DOCUMENT,
    Launch,
    Order,
    Program,
    answer_of,
    error_answer,
    planned,
)
from replicator.control.verbs import Planned
from replicator.errors import NotFoundError, RefusedError, ReplicatorError
from replicator.model.operations.job import AgreedPlan, Job, JobAnswer, JobProgress, JobState
from replicator.ports import Clock

log = structlog.get_logger("replicator")
UNFINISHED: Final = (JobState.QUEUED, JobState.RUNNING)
STOPPED: Final = "the service was stopped"
Told = Callable[[Job], None]


class BusyError(RefusedError):
    """Another job changes the target: its end has to be waited for."""

    def __init__(self, target: str, job: Job) -> None:
        super().__init__(
            f"job {job.id} ({job.verb}, {job.state.value}) is changing target {target!r}",
            hint="wait for its end, or cancel it",
        )
        self.job_id = job.id


class FullError(RefusedError):
    """As many jobs wait as may."""


class KeyReusedError(RefusedError):
    """The idempotency key stands for another order."""


@dataclass(slots=True, kw_only=True)
class _Live:
    """A job that has not ended."""

    job: Job
    order: Order
    ended: asyncio.Event
    process: VerbProcess | None = None
    ending: str = ""
    """Why it is being ended; empty: it is not."""
    began_at_s: float = 0.0
    """Loop time at which its present step began."""


class Jobs:
    """The jobs of one service.

    Args:
        store: Keeps them.
        program: What each of them runs.
        clock: Stamps them.
        settings: Their limits.
        drain_s: How long an ended job may take to clean up before it is killed, in seconds.
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
        self._store, self._program, self._clock = store, program, clock
        self._settings, self._drain_s = settings, drain_s
        self._locks = JobLocks(program.folder, drain_s)
        self._live: dict[str, _Live] = {}
        self._taking = asyncio.Lock()
        self._woken = asyncio.Event()
        self._told: list[Told] = []
        self._stopped = False

    # ------------------------------------------------------------------------------- for everyone

    def subscribe(self, told: Told) -> None:
        """Let `told` hear of each job that has ended, after its answer is kept."""
        self._told.append(told)

    async def submit(self, order: Order) -> Job:
        """Take an order on, and return its job; with a known key that of the first time.

        Raises:
            BusyError: another job changes the same target.
            FullError: too many wait.
            KeyReusedError: the key stands for another order.
            RefusedError: it takes a plan, and there is none.
        """
        if isinstance(order.asked, Planned) and not (order.planning or order.plan or order.agreed):
            raise RefusedError(
                f"nobody has agreed to what {order.verb} would do",
                hint="make a plan, read it, and run it by its digest",
            )
        async with self._taking:
            return await self._taken(order)

    async def job(self, id_: str) -> Job:
        """Return a job as it stands.

        Raises:
            NotFoundError: there is none of that id.
        """
        if (live := self._live.get(id_)) is not None:
            return live.job
        if (found := await self._store.job(id_)) is None:
            raise NotFoundError(
                f"there is no job {id_!r}",
                hint="the newest jobs are kept, see web.control.jobs.kept_max",
            )
        return found

    async def newest(self, *, limit: int, states: tuple[JobState, ...] = ()) -> list[Job]:
        """Return the newest jobs, the newest first."""
        found = await self._store.newest(limit=limit, states=states)
        return [self._live[one.id].job if one.id in self._live else one for one in found]

    async def answer(self, id_: str) -> JobAnswer | None:
        """Return what a job's verb has said; None: nothing yet."""
        return await self._store.answer(id_)

    async def plan(self, digest: str) -> AgreedPlan:
        """Return a plan that can still be carried out.

        Raises:
            NotFoundError: nobody made it, or it is too old.
        """
        found = await self._store.plan(digest)
        if found is None or found.made_at < self._clock.now() - self._settings.plan_valid:
            raise NotFoundError(
                f"there is no plan {digest!r} any more",
                hint="make it again: a plan is valid for web.control.jobs.plan_valid",
            )
        return found

    async def ended(self, id_: str, within_s: float) -> Job:
        """Return a job once it has ended, or as it stands after so many seconds."""
        if (live := self._live.get(id_)) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await live.ended.wait()
        return await self.job(id_)

    async def cancel(self, id_: str, by: str) -> Job:
        """End a job: one that waits at once, one that runs when it has cleaned up.

        Raises:
            NotFoundError: there is none of that id.
            RefusedError: it has ended already.
        """
        live = self._live.get(id_)
        if live is None:
            job = await self.job(id_)
            raise RefusedError(f"job {id_} is {job.state.value} already: there is nothing to end")
        self._end(live, f"cancelled by {by}")
        if live.job.state is JobState.QUEUED:
            await self._close(live, replace(live.job, state=JobState.CANCELLED, why=live.ending))
        return live.job

    # ------------------------------------------------------------------------------- as a service

    async def recover(self) -> None:
        """Say of each job that another service left unfinished what became of it."""
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
        """Begin jobs in their turn until `stop` is set; then end those that run."""
        async with asyncio.TaskGroup() as group:
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

    async def _taken(self, order: Order) -> Job:
        job = Job(
            id=token_hex(8),
            verb=order.verb,
            request=order.request,
            targets=order.asked.changed if order.exclusive else order.asked.touched,
            exclusive=order.exclusive,
            by=order.by,
            state=JobState.QUEUED,
            created_at=self._clock.now(),
            plan=None if order.plan is None else order.plan.digest,
            again=order.again,
        )
        if order.key is not None and (known := await self._store.keyed(order.by, order.key)):
            return self._same(known, job)
        self._refuse_busy(job)
        waiting = sum(live.job.state is JobState.QUEUED for live in self._live.values())
        if waiting >= self._settings.queued_max + self._settings.running_max or self._stopped:
            raise FullError(
                f"{waiting} jobs wait already", hint="try again when some of them have ended"
            )
        await self._store.add(job, key=order.key, kept_max=self._settings.kept_max)
        self._live[job.id] = _Live(job=job, order=order, ended=asyncio.Event())
        self._woken.set()
        return job

    def _same(self, known: Job, job: Job) -> Job:
        if (known.verb, known.request, known.plan) != (job.verb, job.request, job.plan):
            raise KeyReusedError(
                f"the idempotency key stands for job {known.id}, which is another order",
                hint="a key is for one order alone; take a new one",
            )
        return self._live[known.id].job if known.id in self._live else known

    def _refuse_busy(self, job: Job) -> None:
        if not job.exclusive:
            return
        for live in self._live.values():
            for target in set(live.job.targets) & set(job.targets):
                if live.job.exclusive:
                    raise BusyError(target, live.job)

    def _due(self) -> list[_Live]:
        running = sum(live.job.state is JobState.RUNNING for live in self._live.values())
        waiting = [live for live in self._live.values() if live.job.state is JobState.QUEUED]
        return waiting[: max(0, self._settings.running_max - running)]

    async def _work(self, live: _Live) -> None:
        try:
            await self._carry_out(live)
        except ReplicatorError as exc:  # its own file cannot be written: others go on
            log.error("a job was lost sight of", id=live.job.id, reason=str(exc))  # noqa: TRY400
            self._let_go(live, replace(live.job, state=JobState.FAILED, why=str(exc)))

    async def _carry_out(self, live: _Live) -> None:
        await self._store.put(live.job)
        launch = Launch(live.order, live.job.id, self._program.folder)
        held = await self._locks.take(live.job.id)
        try:
            ended, answer = await self._processes(live, launch, held)
        finally:
            await launch.end()
            await self._locks.give_back(live.job.id, held)
        await self._close(live, await self._outcome(live, ended, answer), answer)

    async def _processes(
        self, live: _Live, launch: Launch, held: int
    ) -> tuple[VerbEnded, JobAnswer]:
        ended = await self._process(live, await launch.first(), held)
        following = None if live.ending else launch.second(ended)
        if isinstance(following, JobAnswer):
            return replace(ended, code=RefusedError.exit_code), following
        if following is not None:
            ended = await self._process(live, following, held)
        return ended, self._said(live, ended)

    async def _process(self, live: _Live, arguments: list[str], held: int) -> VerbEnded:
        live.process = self._program.process(arguments, columns=live.order.columns, held=held)
        live.began_at_s = asyncio.get_running_loop().time()
        if live.ending:
            self._end(live, live.ending)
        return await live.process.run(lambda told: self._progress(live, told))

    def _said(self, live: _Live, ended: VerbEnded) -> JobAnswer:
        if ended.document is not None:
            return answer_of(ended)
        if ended.too_large:
            return error_answer(
                live.job.verb,
                "RefusedError",
                "its document is larger than web.control.jobs.answer_bytes_max",
                "ask for less with `limit`",
                ended,
            )
        return error_answer(
            live.job.verb,
            "TransientError",
            live.ending or NO_DOCUMENT.format(code=ended.code),
            "stderr says more, where there was time to; the job can be run again",
            ended,
        )

    async def _outcome(self, live: _Live, ended: VerbEnded, answer: JobAnswer) -> Job:
        job = replace(live.job, progress=None, exit_code=ended.code if ended.code >= 0 else None)
        document = answer.document or {}
        if "result" in document:
            if live.order.planning and (found := planned(live.order, ended)) is not None:
                await self._keep_plan(live.order, *found)
                job = replace(job, plan=found[0])
            return replace(job, state=JobState.DONE)
        if live.ending == STOPPED:
            return replace(job, state=JobState.INTERRUPTED, why=STOPPED)
        if live.ending and ended.document is None:
            return replace(job, state=JobState.CANCELLED, why=live.ending)
        return replace(job, state=JobState.FAILED, why=str(document["error"]["message"]))

    async def _keep_plan(self, order: Order, digest: str, document: Mapping[str, Any]) -> None:
        now = self._clock.now()
        plan = AgreedPlan(
            digest=digest,
            verb=order.asked.name,
            request=order.request,
            document=document,
            targets=order.asked.changed,
            by=order.by,
            made_at=now,
        )
        await self._store.keep_plan(plan, forget_before=now - self._settings.plan_valid)

    async def _close(self, live: _Live, job: Job, answer: JobAnswer | None = None) -> None:
        ended = replace(job, ended_at=self._clock.now())
        await self._store.put(ended, answer)
        log.info("job ended", id=job.id, verb=job.verb, state=job.state.value, by=job.by)
        self._let_go(live, ended)

    def _let_go(self, live: _Live, job: Job) -> None:
        """Tell everybody that a job has ended."""
        live.job = job
        self._live.pop(job.id, None)
        live.ended.set()
        self._woken.set()
        for told in self._told:
            told(job)

    def _progress(self, live: _Live, told: Mapping[str, Any]) -> None:
        loop_s, before = asyncio.get_running_loop().time(), live.job.progress
        if before is None or before.what != told["what"]:
            live.began_at_s = loop_s
        done, total = int(told["done"]), told["total"]
        took_s = loop_s - live.began_at_s
        eta_s = took_s / done * max(0, total - done) if total is not None and done else None
        progress = JobProgress(
            what=str(told["what"]), done=done, total=total, unit=str(told["unit"]), eta_s=eta_s
        )
        live.job = replace(live.job, progress=progress)

    def _end(self, live: _Live, why: str) -> None:
        live.ending = live.ending or why
        if live.process is not None:
            live.process.terminate()
            asyncio.get_running_loop().call_later(self._drain_s, live.process.kill)

    async def _stop(self, live: _Live) -> None:
        self._end(live, STOPPED)
        if live.job.state is JobState.QUEUED:
            await self._close(live, replace(live.job, state=JobState.INTERRUPTED, why=STOPPED))
