"""Why an order is not taken on."""

from replicator.errors import RefusedError
from replicator.model.operations.job import Job


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
