"""What the API answers: jobs, plans and what was seen, as types that the OpenAPI document shows."""

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from replicator.control.asked.verbs import needed_role
from replicator.control.routes import RequestBody
from replicator.model.operations.access import Role
from replicator.model.operations.job import AgreedPlan, Job, JobAnswer, JobProgress, JobState
from replicator.web.document import SCHEMA


class View(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ProgressView(View):
    """How far a running job is with what it is at."""

    what: str
    done: int
    total: int | None
    unit: str
    eta_seconds: float | None
    """Time left of this step, by its rate so far; null: not known."""

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
    """Who asked for it."""
    role: Role
    """What a token needs to end it or to run it again; to end one it is at least operator."""
    state: JobState
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: ProgressView | None
    exit_code: int | None
    """As of the command line: 0 is good; 3, 9, 10 and 11 come with a result."""
    why: str
    """Why it was cancelled, interrupted or failed."""
    plan: str | None
    """Digest of the plan that it carries out, or has made."""
    again: str | None
    """The job of which it is another run."""
    document: dict[str, Any] | None = None
    """What `--json` prints: a `result`, or an `error` with its hint; null in lists."""

    @classmethod
    def of(cls, job: Job, answer: JobAnswer | None = None) -> Self:
        """Return the view of a job, with what its verb has said."""
        document = None if answer is None or answer.document is None else dict(answer.document)
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
            document=document,
        )


class JobsView(View):
    """The newest jobs, the newest first."""

    jobs: list[JobView]


class TextView(View):
    """What a terminal would have shown of a job."""

    stdout: str
    stderr: str
    exit_code: int | None


class PlanView(View):
    """A plan that can be carried out by its digest."""

    digest: str
    verb: str
    request: dict[str, Any]
    targets: list[str]
    """What it changes."""
    by: str
    made_at: datetime
    valid_until: datetime
    document: dict[str, Any]
    """What the verb would do, with bytes, time and price where they are known."""

    @classmethod
    def of(cls, plan: AgreedPlan, valid_until: datetime) -> Self:
        """Return the view of a plan."""
        return cls(
            digest=plan.digest,
            verb=plan.verb,
            request=dict(plan.request),
            targets=list(plan.targets),
            by=plan.by,
            made_at=plan.made_at,
            valid_until=valid_until,
            document=dict(plan.document),
        )


class RunAsked(RequestBody):
    """Which plan is to be carried out."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class JobsQuery(BaseModel):
    """Which jobs are listed."""

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
    """How a job is taken on."""

    columns: int = Field(
        default=120, ge=40, le=1000, description="Width of the terminal that its text is for."
    )
    service: ServiceNamed | None = Field(
        default=None,
        description="How commands in its text name this service, with `--service`; empty: not at"
        " all. Default: they are for the service's own machine.",
    )


class PrincipalView(View):
    """Who asks."""

    name: str
    role: str
    targets: list[str] | None
    """The only targets that are open; null: all."""


class StatusView(View):
    """The document of `status --json`, of what the service has seen last, at no cost."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    command: str = "status"
    generated_at: datetime
    result: dict[str, Any]


class TargetView(View):
    """A configured target, with what was last seen of it."""

    name: str
    has_metadata: bool
    """Whether it has a metadata store; without, it is an archive."""
    seen: dict[str, Any] | None
    """As in `status`; null: nothing was seen yet."""
    failure: dict[str, Any] | None
    """Why there is no newer look."""


class TargetsView(View):
    """All configured targets that are open to whoever asks."""

    targets: list[TargetView]


class DeedsView(View):
    """The newest lines of the audit log, the newest first."""

    deeds: list[dict[str, Any]]


class DeedsQuery(BaseModel):
    """How many lines are listed."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(default=100, ge=1, le=1000)
