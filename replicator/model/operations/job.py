"""A job: one verb that the service runs for a client, from its request to its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

ASKED_AT: Final = "REPLICATOR_ASKED_AT"
"""Variable of a job's process: how whoever asked for it from a terminal names the service."""
CHANNEL: Final = "REPLICATOR_JOB_CHANNEL"
"""Environment variable with the descriptor of the pipe through which a job reports."""


class JobState(StrEnum):
    """Where a job stands. The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """The verb gave its result; a code other than 0 says that not all of it is good."""
    FAILED = "failed"
    """The verb gave an error, or ended without a word."""
    CANCELLED = "cancelled"
    """A client ended it; what was confirmed by then is safe, and another run goes on from there."""
    INTERRUPTED = "interrupted"
    """The service ended while it was queued or running; it can be run again."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more comes."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far a running job has come with what it is at."""

    what: str
    done: int
    total: int | None
    unit: str
    eta_s: float | None
    """Seconds left of this step, by its rate so far; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnswer:
    """What a verb has said: the document of `--json`, and the text that a terminal shows."""

    document: Mapping[str, Any] | None
    """JSON document of the verb; None: it printed none, because it was killed for example."""
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, without its answer."""

    id: str
    verb: str
    request: Mapping[str, Any]
    """The client's request, as JSON."""
    targets: tuple[str, ...]
    exclusive: bool
    """Whether it changes its targets, so that no second such job may have one of them."""
    by: str
    """Name of the token, the certificate or the schedule that asked for it."""
    state: JobState
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    progress: JobProgress | None = None
    exit_code: int | None = None
    """Exit code of the verb; None: its process did not end by itself."""
    why: str = ""
    """Why it was cancelled, interrupted or failed, in a sentence."""
    plan: str | None = None
    """Digest of the plan that it carries out."""
    again: str | None = None
    """Id of the job of which this is another run."""

    @property
    def is_good(self) -> bool:
        """Whether it did all that it was asked to do, and found nothing wrong."""
        return self.state is JobState.DONE and self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedPlan:
    """A plan that a client can have carried out, by its digest."""

    digest: str
    verb: str
    request: Mapping[str, Any]
    document: Mapping[str, Any]
    """The plan as a document; for a restore, the plan file itself."""
    targets: tuple[str, ...]
    by: str
    made_at: datetime
