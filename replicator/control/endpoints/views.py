"""The API's answers about jobs, plans and what was seen, as the OpenAPI document shows them."""

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from replicator.control.requests.verbs import needed_role
from replicator.control.routes import RequestBody
from replicator.model.operations.access import Role
from replicator.model.operations.job import AgreedPlan, Job, JobProgress, JobState
from replicator.web.document import SCHEMA


class View(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ProgressView(View):
    """The progress of a running job's present step."""

    what: str
    done: int
    total: int | None
    unit: str
    eta_seconds: float | None
    """Time left of this step at its rate so far; null: unknown."""

    @classmethod
    def of(cls, progress: JobProgress) -> Self:
        """Return the view of a progress."""
        return cls(
            what=progress.what,
            done=progress.done,
            total=progress.total,
            unit=progress.unit,
            eta_seconds=progress.eta_s,
        )


class JobView(View):
    """One job."""

    id: str
    verb: str
    request: dict[str, Any]
    targets: list[str]
    by: str
    """Principal who requested the job."""
    role: Role
    """Role that a token needs to run the job again; ending a job needs at least operator."""
    state: JobState
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: ProgressView | None
    exit_code: int | None
    """As on the command line: 0 is good; 3, 9, 10 and 11 come with a result."""
    why: str
    """Reason for a cancelled, interrupted or failed job."""
    plan: str | None
    """Digest of the plan that the job carries out, or has made."""
    again: str | None
    """Id of the job that this one repeats."""
    document: dict[str, Any] | None = None
    """Document of `--json`: a `result`, or an `error` with its hint; null in lists."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the view of a job without its verb's output, which is added as it is stored."""
        return cls(
            id=job.id,
            verb=job.verb,
            request=dict(job.request),
            targets=list(job.targets),
            by=job.by,
            role=needed_role(job),
            state=job.state,
            created_at=job.created_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
            progress=None if job.progress is None else ProgressView.of(job.progress),
            exit_code=job.exit_code,
            why=job.why,
            plan=job.plan,
            again=job.again,
        )


class JobsView(View):
    """The newest jobs, the newest first."""

    jobs: list[JobView]


class TextView(View):
    """A job's output, as a terminal would have shown it."""

    stdout: str
    stderr: str
    exit_code: int | None


class PlanView(View):
    """A plan that can be carried out by its digest."""

    digest: str
    verb: str
    request: dict[str, Any]
    targets: list[str]
    """The targets that the plan changes."""
    by: str
    made_at: datetime
    valid_until: datetime
    document: dict[str, Any]
    """Effect of the plan, with bytes, duration and price as far as they are known."""

    @classmethod
    def of(cls, plan: AgreedPlan, valid_until: datetime) -> Self:
        """Return the view of a plan without its document, which is added as it is stored."""
        return cls(
            digest=plan.digest,
            verb=plan.verb,
            request=dict(plan.request),
            targets=list(plan.targets),
            by=plan.by,
            made_at=plan.made_at,
            valid_until=valid_until,
            document={},
        )


class RunPlanRequest(RequestBody):
    """Names the plan to carry out."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class JobsQuery(BaseModel):
    """Selects the listed jobs."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(default=50, ge=1, le=1000)
    state: JobState | None = None
    target: str | None = Field(default=None, max_length=63)


WAIT_S_MAX: Final = 60
"""Longest wait of one request, in seconds."""


class WaitQuery(BaseModel):
    """How long an answer may wait for the end of its job."""

    model_config = ConfigDict(extra="forbid")
    wait: float = Field(
        default=0,
        ge=0,
        le=WAIT_S_MAX,
        allow_inf_nan=False,
        description="Seconds; at most wait_max_s.",
    )


ServiceNamed = Annotated[
    str, StringConstraints(max_length=300, pattern=r"^(https?://[A-Za-z0-9.:/_\[\]-]+)?$")
]


class SubmitQuery(WaitQuery):
    """How a job is submitted."""

    columns: int = Field(
        default=120, ge=40, le=1000, description="Width of the terminal for the job's text."
    )
    service: ServiceNamed | None = Field(
        default=None,
        description="Address of this service in the text's commands, with `--service`; empty: none."
        " Default: commands for the service's own machine.",
    )


class PrincipalView(View):
    """The sender of the request."""

    name: str
    role: str
    targets: list[str] | None
    """The only targets that the principal may access; null: all."""


class StatusView(View):
    """The document of `status --json`, as last seen by the service, at no cost."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    command: str = "status"
    generated_at: datetime
    result: dict[str, Any]


class TargetView(View):
    """A configured target, as last seen."""

    name: str
    has_metadata: bool
    """Whether the target has a metadata store; without one it is an archive."""
    seen: dict[str, Any] | None
    """The target as in `status`; null: it was not seen yet."""
    failure: dict[str, Any] | None
    """Why there is no newer look; null: there is one."""


class TargetsView(View):
    """All configured targets that the principal may access."""

    targets: list[TargetView]


class DeedsView(View):
    """The newest lines of the audit log, newest first."""

    deeds: list[dict[str, Any]]


class DeedsQuery(BaseModel):
    """Selects the number of lines."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(default=100, ge=1, le=1000)
