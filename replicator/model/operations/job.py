"""A job: one verb that the service runs for a client, from its request to its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson


class JobState(StrEnum):
    """State of a job; the last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """The verb gave its result; an exit code other than 0 means that not all of it is good."""
    FAILED = "failed"
    """The verb gave an error, or ended without a result."""
    CANCELLED = "cancelled"
    """A client ended it; confirmed changes are safe, and another run continues from there."""
    INTERRUPTED = "interrupted"
    """The service ended while the job was queued or running; it can be run again."""

    @property
    def is_final(self) -> bool:
        """Whether the state is final."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """Progress of a running job's present step."""

    what: str
    done: int
    total: int | None
    unit: str
    eta_s: float | None
    """Seconds left of this step at its rate so far; None: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnswer:
    """A verb's output: the document of `--json`, and the text for a terminal."""

    written: bytes | None
    """The verb's document in JSON; None: it printed none, because it was killed for example.

    It may be large, and is sent to the client as it is.
    """
    stdout: str
    stderr: str

    @property
    def document(self) -> Mapping[str, Any] | None:
        """The verb's document."""
        return None if self.written is None else orjson.loads(self.written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, without its answer."""

    id: str
    verb: str
    request: Mapping[str, Any]
    """The client's request, as JSON."""
    targets: tuple[str, ...]
    exclusive: bool
    """Whether the job changes its targets, each of which then allows no second such job."""
    by: str
    """Name of the token, the certificate or the schedule that requested the job."""
    state: JobState
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    progress: JobProgress | None = None
    exit_code: int | None = None
    """Exit code of the verb; None: its process did not end by itself."""
    why: str = ""
    """Reason for a cancelled, interrupted or failed job, in a sentence."""
    plan: str | None = None
    """Digest of the plan that the job carries out."""
    again: str | None = None
    """Id of the job that this one repeats."""

    @property
    def is_good(self) -> bool:
        """Whether the job did everything requested and found nothing wrong."""
        return self.state is JobState.DONE and self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedPlan:
    """A plan that a client can carry out by its digest."""

    digest: str
    verb: str
    request: Mapping[str, Any]
    written: bytes
    """The plan's document in JSON; for a restore, the plan file itself."""
    targets: tuple[str, ...]
    by: str
    made_at: datetime

    @property
    def document(self) -> Mapping[str, Any]:
        """The plan as a document."""
        found: Mapping[str, Any] = orjson.loads(self.written)
        return found
