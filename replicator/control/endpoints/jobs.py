"""Routes of jobs and plans."""

from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus

from replicator.config.operations.control import ControlJobsSettings
from replicator.control.access.naming import refuse_unknown
from replicator.control.access.permits import require
from replicator.control.endpoints.views import (
    JobsQuery,
    JobsView,
    JobView,
    PlanView,
    RunPlanRequest,
    SubmitQuery,
    TextView,
    WaitQuery,
)
from replicator.control.problems import Problem
from replicator.control.requests.planned import Planned
from replicator.control.requests.upkeep import PauseRequest
from replicator.control.requests.verb_request import VerbRequest, touched_by
from replicator.control.requests.verbs import AnyJob, AnyPlan, needed_role, request_of
from replicator.control.routes import ApiCall, Reply, Route
from replicator.control.work.jobs import Accepted, Jobs
from replicator.control.work.launch import Order, Terminal
from replicator.errors import RefusedError
from replicator.model.operations.access import Role
from replicator.model.operations.job import AgreedPlan, Job, JobAnswer, JobState
from replicator.services.monitoring.poller import Poller


class JobRoutes:
    """Handlers that accept, show and end jobs, and carry out plans.

    Args:
        jobs: The service's jobs.
        poller: Knows each target's cut.
        settings: Limits of jobs.
    """

    def __init__(self, *, jobs: Jobs, poller: Poller, settings: ControlJobsSettings) -> None:
        self._jobs, self._poller, self._settings = jobs, poller, settings

    def routes(self) -> Iterator[Route]:
        """Yield the routes."""
        taken = {HTTPStatus.OK: JobView, HTTPStatus.ACCEPTED: JobView}
        yield Route(
            method="POST",
            path="/v1/jobs",
            operation="submit_job",
            summary="Submit a job.",
            handler=self._submit,
            role=Role.VIEWER,
            query=SubmitQuery,
            body=AnyJob,
            answers=taken,
            idempotent=True,
            tag="jobs",
        )
        yield Route(
            method="POST",
            path="/v1/plans",
            operation="make_plan",
            summary="Make a plan; its digest carries it out.",
            handler=self._make_plan,
            role=Role.OPERATOR,
            query=SubmitQuery,
            body=AnyPlan,
            answers={HTTPStatus.OK: PlanView, HTTPStatus.ACCEPTED: JobView},
            idempotent=True,
            tag="plans",
        )
        yield Route(
            method="GET",
            path="/v1/plans/{digest}",
            operation="get_plan",
            summary="Get a plan.",
            handler=self._plan,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: PlanView},
            tag="plans",
        )
        yield Route(
            method="POST",
            path="/v1/runs",
            operation="run_plan",
            summary="Carry out a plan, if it still applies.",
            handler=self._run,
            role=Role.OPERATOR,
            query=SubmitQuery,
            body=RunPlanRequest,
            answers=taken,
            idempotent=True,
            tag="plans",
        )
        yield from self._of_one()

    def _of_one(self) -> Iterator[Route]:
        yield Route(
            method="GET",
            path="/v1/jobs",
            operation="list_jobs",
            summary="List the newest jobs.",
            handler=self._list,
            role=Role.VIEWER,
            query=JobsQuery,
            answers={HTTPStatus.OK: JobsView},
            tag="jobs",
        )
        yield Route(
            method="GET",
            path="/v1/jobs/{id}",
            operation="get_job",
            summary="Get a job, or wait for its end.",
            handler=self._job,
            role=Role.VIEWER,
            query=WaitQuery,
            answers={HTTPStatus.OK: JobView},
            tag="jobs",
        )
        yield Route(
            method="GET",
            path="/v1/jobs/{id}/text",
            operation="get_job_text",
            summary="The terminal output of an ended job.",
            handler=self._text,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: TextView},
            tag="jobs",
        )
        yield Route(
            method="POST",
            path="/v1/jobs/{id}/cancel",
            operation="cancel_job",
            summary="End a job; confirmed changes stay.",
            handler=self._cancel,
            role=Role.OPERATOR,
            answers={HTTPStatus.ACCEPTED: JobView},
            tag="jobs",
        )
        yield Route(
            method="POST",
            path="/v1/jobs/{id}/again",
            operation="run_job_again",
            summary="Run an ended job again.",
            handler=self._again,
            role=Role.VIEWER,
            query=SubmitQuery,
            answers={HTTPStatus.OK: JobView, HTTPStatus.ACCEPTED: JobView},
            idempotent=True,
            tag="jobs",
        )

    async def _submit(self, call: ApiCall) -> Reply:
        return await self._taken(call, _order(call, self._completed(call.body)))

    def _completed(self, request: VerbRequest) -> VerbRequest:
        """Return a request completed with values that its verb needs.

        A pause at another cut than the present one would be a whole restore without a plan.
        """
        if not isinstance(request, PauseRequest):
            return request
        seen = self._poller.seen.get(request.target)
        if seen is None or seen.status.checkpoint is None:
            raise RefusedError(
                f"target {request.target!r} has no cut at which it could pause",
                hint="wait until its status is known",
            )
        offset = int(seen.status.checkpoint.offset)
        if request.to_offset not in {None, offset}:
            raise RefusedError(
                f"target {request.target!r} was last seen at offset {offset}, and a pause keeps it"
                f" there: not at {request.to_offset}",
                hint="leave out to_offset, or make a plan of a restore to that cut",
            )
        return request.model_copy(update={"to_offset": offset})

    async def _taken(self, call: ApiCall, order: Order) -> Reply:
        return await self._reply(await self._submitted(call, order))

    async def submitted(
        self,
        call: ApiCall,
        request: VerbRequest,
        *,
        planning: bool = False,
        plan: AgreedPlan | None = None,
        wait_s: float = 0.0,
    ) -> Accepted:
        """Submit a call's request, and return the job after the wait that the call asks for."""
        order = Order(request=request, by=call.by.name, key=call.key, planning=planning, plan=plan)
        return await self._submitted(call, order, wait_s=wait_s)

    async def _submitted(self, call: ApiCall, order: Order, *, wait_s: float = 0.0) -> Accepted:
        accepted = await self._jobs.accept(order)
        wait_s = max(wait_s, call.queried(WaitQuery).wait)
        return replace(accepted, job=await self._waited(accepted.job, wait_s))

    async def _reply(self, accepted: Accepted) -> Reply:
        job = accepted.job
        answer = await self._jobs.answer(job.id) if job.state.is_final else None
        status = HTTPStatus.OK if job.state.is_final else HTTPStatus.ACCEPTED
        headers = {"Location": f"/v1/jobs/{job.id}"}
        return Reply(
            content=JobView.of(job),
            written=_written(answer),
            status=status,
            headers=headers,
            job_id=job.id,
            targets=job.targets,
            changes=accepted.changes,
        )

    async def _waited(self, job: Job, wait_s: float) -> Job:
        return await self._jobs.ended(job.id, min(wait_s, self._settings.wait_max_s))

    async def _make_plan(self, call: ApiCall) -> Reply:
        accepted = await self._submitted(call, replace(_order(call, call.body), planning=True))
        job = accepted.job
        if job.state is JobState.DONE and job.plan is not None:
            reply = await self._plan_reply(job.plan)
            return replace(reply, job_id=job.id, changes=accepted.changes)
        if job.state.is_final:
            raise await self.no_plan(job)
        return await self._reply(accepted)

    async def no_plan(self, job: Job) -> Problem:
        """Return the problem of a plan that could not be made: the verb's own error."""
        answer = await self._jobs.answer(job.id)
        error = ((answer and answer.document) or {}).get("error", {})
        found = Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            error.get("message", f"job {job.id} is {job.state.value}: {job.why}"),
            hint=error.get("hint", ""),
        )
        found.type, found.job_id = error.get("type", found.type), job.id
        return found

    async def _plan_reply(self, digest: str) -> Reply:
        plan = await self._jobs.plan(digest)
        view = PlanView.of(plan, plan.made_at + self._settings.plan_valid)
        return Reply(content=view, written={"document": plan.written})

    async def _plan(self, call: ApiCall) -> Reply:
        plan = await self._jobs.plan(call.path["digest"])
        require(call.by, touched_by(plan.request))
        return await self._plan_reply(plan.digest)

    async def _run(self, call: ApiCall) -> Reply:
        request: RunPlanRequest = call.body
        plan = await self._jobs.plan(request.digest)
        wanted = request_of(plan.verb, plan.request)
        require(call.by, wanted.touched, wanted.role)
        return await self._taken(call, replace(_order(call, wanted), plan=plan))

    async def _list(self, call: ApiCall) -> Reply:
        query, principal = call.queried(JobsQuery), call.by
        if query.target is not None:
            refuse_unknown([query.target], self._poller.names)
        states = () if query.state is None else (query.state,)
        is_filtered = query.target is not None or principal.targets is not None
        limit = self._settings.kept_max if is_filtered else query.limit
        found = await self._jobs.newest(limit=limit, states=states)
        shown = [
            JobView.of(job)
            for job in found
            if principal.may_touch(touched_by(job.request))
            and (query.target is None or query.target in job.targets)
        ]
        return Reply(content=JobsView(jobs=shown[: query.limit]))

    async def _job(self, call: ApiCall) -> Reply:
        job = await self.own(call)
        job = await self._waited(job, call.queried(WaitQuery).wait)
        answer = await self._jobs.answer(job.id) if job.state.is_final else None
        return Reply(content=JobView.of(job), written=_written(answer))

    async def _text(self, call: ApiCall) -> Reply:
        job = await self.own(call)
        if (answer := await self._jobs.answer(job.id)) is None:
            raise RefusedError(f"job {job.id} is {job.state.value}: it has no output yet")
        text = TextView(stdout=answer.stdout, stderr=answer.stderr, exit_code=job.exit_code)
        return Reply(content=text)

    async def _cancel(self, call: ApiCall) -> Reply:
        job = await self.own(call)
        require(call.by, job.targets, needed_role(job))
        ended = await self._jobs.cancel(job.id, call.by.name)
        return Reply(
            content=JobView.of(ended),
            status=HTTPStatus.ACCEPTED,
            job_id=job.id,
            targets=job.targets,
            changes=job.by != call.by.name,  # to ask, and to take it back, changes nothing
        )

    async def _again(self, call: ApiCall) -> Reply:
        job = await self.own(call)
        if not job.state.is_final:
            raise RefusedError(f"job {job.id} is {job.state.value}: wait for its end")
        request = request_of(job.verb, job.request)
        require(call.by, request.touched, request.role)
        planning = job.verb != request.name
        if isinstance(request, Planned) and not planning:
            raise RefusedError(
                f"job {job.id} carried out a plan: a repetition needs a new plan",
                hint="make a plan with the same request, and run it by its digest",
            )
        order = _order(call, self._completed(request))
        order = replace(order, again=job.id, planning=planning)
        return await self._taken(call, order)

    async def plan(self, digest: str) -> AgreedPlan:
        """Return a plan that can still be carried out."""
        return await self._jobs.plan(digest)

    async def own(self, call: ApiCall) -> Job:
        """Return the job that a path names, if the principal may see it."""
        job = await self._jobs.job(call.path["id"])
        require(call.by, touched_by(job.request))
        return job


def _written(answer: JobAnswer | None) -> dict[str, bytes]:
    return {} if answer is None or answer.written is None else {"document": answer.written}


def _order(call: ApiCall, request: VerbRequest) -> Order:
    query = call.queried(SubmitQuery)
    return Order(
        request=request,
        by=call.by.name,
        key=call.key,
        terminal=Terminal(columns=query.columns, service=query.service),
    )
