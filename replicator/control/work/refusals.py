"""Reasons for refusing an order."""

from replicator.errors import RefusedError
from replicator.model.operations.job import Job


class BusyError(RefusedError):
    """Another job changes the target; wait for its end."""

    def __init__(self, target: str, job: Job) -> None:
        super().__init__(
            f"job {job.id} ({job.verb}, {job.state.value}) is changing target {target!r}",
            hint="wait for its end, or cancel it",
        )
        self.job_id = job.id


class FullError(RefusedError):
    """The queue of jobs is full."""


class KeyReusedError(RefusedError):
    """The idempotency key belongs to another order."""
