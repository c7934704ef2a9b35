"""Ended jobs as news for operators' notifications."""

from collections import deque
from collections.abc import Sequence

from replicator.control.requests.verbs import only_looks
from replicator.model.operations.job import Job, JobState
from replicator.model.operations.notification import Sighting, Topic

KEPT_MAX = 100
"""Number of ended jobs remembered until the next look at them."""
SCHEDULED = "schedule "
"""Prefix of a scheduled job's owner: the schedule itself reports such a job."""


class JobNews:
    """Is notified of each job that has ended, and reports it at the next look."""

    def __init__(self) -> None:
        self._ended: deque[Job] = deque(maxlen=KEPT_MAX)

    def hear(self, job: Job) -> None:
        """Record a job that has ended.

        A look that fails is news for its own client: a viewer must not be able to call operators,
        or to push what they need to know out of a webhook's queue.
        """
        if job.by.startswith(SCHEDULED) or job.state is JobState.CANCELLED or only_looks(job):
            return
        self._ended.append(job)

    def sightings(self) -> Sequence[Sighting]:
        """Return the jobs that ended since the last call, in order."""
        found = [_sighting(job) for job in self._ended]
        self._ended.clear()
        return found


def _sighting(job: Job) -> Sighting:
    target = job.targets[0] if job.targets else None
    of = f" of {', '.join(job.targets)}" if job.targets else ""
    how = "was good" if job.is_good else f"was not: {job.why or f'exit code {job.exit_code}'}"
    ended_at = job.ended_at or job.created_at
    return Sighting(
        topic=Topic.JOB,
        target=target,
        name=job.verb,
        is_bad=not job.is_good,
        mark=int(ended_at.timestamp()),
        summary=f"job {job.id}, {job.verb}{of}, {how}",
        details={"job": job.id, "by": job.by, "exit_code": job.exit_code, "ended_at": ended_at},
    )
