"""Routes under Druid's own paths, for programs that use the REST calls of a backup of Druid.

They create the same jobs as `/v1`, with names in Druid's spelling. A cluster is a configured
target. A target has a copied datasource within one cut of the source, so a copy brings the target
to the source's present state, with all its datasources: see docs/api.md.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from replicator.config.values import DruidRelease, TargetName
from replicator.control.endpoints.jobs import JobRoutes
from replicator.control.endpoints.views import View, WaitQuery
from replicator.control.problems import Problem
from replicator.control.requests.planned import RestoreRequest
from replicator.control.requests.upkeep import ApplyRequest, TargetCreateRequest
from replicator.control.requests.verb_request import OffsetNumber, Text, VerbRequest
from replicator.control.routes import ApiCall, Reply, RequestBody, Route
from replicator.control.work.jobs import Accepted
from replicator.model.operations.access import Role
from replicator.model.operations.job import JobState

WAIT_S = 30.0
"""Longest wait for a plan, in seconds; a larger plan is requested again."""
CODES = {
    JobState.QUEUED: "RUNNING",
    JobState.RUNNING: "RUNNING",
    JobState.DONE: "SUCCESS",
    JobState.FAILED: "FAILED",
    JobState.CANCELLED: "FAILED",
    JobState.INTERRUPTED: "FAILED",
}
"""Druid's name for a task's state."""


class ClusterRequest(RequestBody):
    """Request to create a target."""

    clusterName: TargetName  # noqa: N815 - as Druid writes names
    druidVersion: DruidRelease | None = None  # noqa: N815
    """Release whose tables are created; default: the release that the target's Druid reports."""
    centralizedDatasourceSchema: bool = False  # noqa: N815

    @property
    def touched(self) -> tuple[str, ...]:
        """The target."""
        return (self.clusterName,)


class CopyTask(RequestBody):
    """Copy a datasource's segments to a target."""

    type: Literal["copy"]
    dataSource: Text  # noqa: N815
    targetCluster: TargetName  # noqa: N815

    @property
    def touched(self) -> tuple[str, ...]:
        """The target."""
        return (self.targetCluster,)


class IngestTask(RequestBody):
    """Restore a datasource from a backup."""

    type: Literal["ingest"]
    dataSource: Text  # noqa: N815
    targetCluster: TargetName  # noqa: N815
    """The target that gets the datasource."""
    backupCluster: TargetName | None = None  # noqa: N815
    """The target whose store has the backup; default: `targetCluster` and the log."""
    timestamp: Text | None = None
    """The moment, with its zone; default: the newest cut."""
    offset: OffsetNumber | None = None
    """The moment as an offset of the log."""
    plan: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest in the first call's answer; without it nothing is changed."""

    @property
    def touched(self) -> tuple[str, ...]:
        """The target, and the backup's target."""
        return tuple(name for name in (self.targetCluster, self.backupCluster) if name)

    @model_validator(mode="after")
    def _one_moment(self) -> Self:
        if self.timestamp is not None and self.offset is not None:
            raise ValueError("give timestamp or offset, not both")
        return self


AnyTask = Annotated[CopyTask | IngestTask, Field(discriminator="type")]


class MetadataUpdateRequest(RequestBody):
    """Request to bring a target's metadata up to date."""

    targetCluster: TargetName  # noqa: N815

    @property
    def touched(self) -> tuple[str, ...]:
        """The target."""
        return (self.targetCluster,)


class TaskView(View):
    """An accepted task."""

    task: str
    """The task's id, which is the job's."""
    cluster: str
    plan: str | None = None
    """Digest of an `ingest`'s plan, to be sent in a second call."""


class TaskState(View):
    """A task's state in Druid's spelling."""

    id: str
    status: Literal["RUNNING", "SUCCESS", "FAILED"]
    statusCode: Literal["RUNNING", "SUCCESS", "FAILED"]  # noqa: N815
    errorMsg: str | None  # noqa: N815


class TaskStatusView(View):
    """The status of one task."""

    task: str
    status: TaskState


class ArticleRoutes:
    """Calls under Druid's paths.

    Args:
        jobs: Accepts the requested jobs.
    """

    def __init__(self, jobs: JobRoutes) -> None:
        self._jobs = jobs

    def routes(self) -> Iterator[Route]:
        """Yield the routes."""
        taken = {HTTPStatus.OK: TaskView, HTTPStatus.ACCEPTED: TaskView}
        yield Route(
            method="POST",
            path="/druid/cluster/v1/clusters",
            operation="create_cluster",
            summary="Create a target's tables and folder.",
            handler=self._create,
            role=Role.ADMIN,
            query=WaitQuery,
            body=ClusterRequest,
            answers=taken,
            idempotent=True,
            tag="druid",
        )
        yield Route(
            method="POST",
            path="/druid/indexer/v1/task",
            operation="submit_task",
            summary="Copy a datasource to a target, or restore it from a backup.",
            handler=self._submit,
            role=Role.OPERATOR,
            query=WaitQuery,
            body=AnyTask,
            answers=taken,
            idempotent=True,
            tag="druid",
        )
        yield Route(
            method="GET",
            path="/druid/indexer/v1/task/{id}/status",
            operation="get_task_status",
            summary="A task's state.",
            handler=self._status,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: TaskStatusView},
            tag="druid",
        )
        yield Route(
            method="POST",
            path="/druid/metadata/v1/segment",
            operation="update_metadata",
            summary="Bring a target's metadata up to date.",
            handler=self._update,
            role=Role.OPERATOR,
            query=WaitQuery,
            body=MetadataUpdateRequest,
            answers=taken,
            idempotent=True,
            tag="druid",
        )

    async def _create(self, call: ApiCall) -> Reply:
        request: ClusterRequest = call.body
        return await self._taken(
            call,
            TargetCreateRequest(
                target=request.clusterName,
                druid_release=request.druidVersion,
                centralized_schema=request.centralizedDatasourceSchema,
            ),
        )

    async def _submit(self, call: ApiCall) -> Reply:
        task: CopyTask | IngestTask = call.body
        match task:
            case CopyTask():
                return await self._taken(call, ApplyRequest(target=task.targetCluster))
            case IngestTask(plan=None):
                return await self._planned(call, _restore(task))
            case IngestTask():
                return await self._run(call, task)

    async def _update(self, call: ApiCall) -> Reply:
        request: MetadataUpdateRequest = call.body
        return await self._taken(call, ApplyRequest(target=request.targetCluster))

    async def _taken(self, call: ApiCall, request: VerbRequest) -> Reply:
        return _reply(await self._jobs.submitted(call, request), request)

    async def _planned(self, call: ApiCall, request: RestoreRequest) -> Reply:
        accepted = await self._jobs.submitted(call, request, planning=True, wait_s=WAIT_S)
        if (job := accepted.job).state.is_final and job.plan is None:
            raise await self._jobs.no_plan(job)
        return _reply(accepted, request, plan=job.plan)

    async def _run(self, call: ApiCall, task: IngestTask) -> Reply:
        request = _restore(task)
        plan = await self._jobs.plan(task.plan or "")
        if plan.request != request.model_dump(mode="json", by_alias=True):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "body.plan: this plan was made for another request",
                hint="send the same members as in the first call",
            )
        return _reply(await self._jobs.submitted(call, request, plan=plan), request)

    async def _status(self, call: ApiCall) -> Reply:
        job = await self._jobs.own(call)
        code = CODES[job.state]
        if job.state is JobState.DONE and job.exit_code:
            code = "FAILED"
        why = job.why or (f"exit code {job.exit_code}" if code == "FAILED" else None)
        state = TaskState.model_validate(
            {"id": job.id, "status": code, "statusCode": code, "errorMsg": why}
        )
        return Reply(content=TaskStatusView(task=job.id, status=state))


def _restore(task: IngestTask) -> RestoreRequest:
    has_store = task.backupCluster not in {None, task.targetCluster}
    return RestoreRequest(
        target=None if has_store else task.targetCluster,
        from_store=task.backupCluster if has_store else None,
        into=task.targetCluster if has_store else None,
        to_time=task.timestamp,
        to_offset=task.offset,
        latest=task.timestamp is None and task.offset is None,
        datasource=task.dataSource,
    )


def _reply(accepted: Accepted, request: VerbRequest, plan: str | None = None) -> Reply:
    job = accepted.job
    status = HTTPStatus.OK if job.state.is_final else HTTPStatus.ACCEPTED
    view = TaskView(task=job.id, cluster=request.changed[0], plan=plan)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    return Reply(
        content=view, status=status, headers=headers, job_id=job.id, changes=accepted.changes
    )
