"""Services that run beside the pipeline in one process: schedules and notifications."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from replicator.cli.command import OpenCall
from replicator.services.running.supervisor import Service

if TYPE_CHECKING:
    from replicator.control.work.jobs import Jobs
    from replicator.services.schedules.scheduler import Scheduler

# The control API takes a while to import: most runs do without.

DOCUMENT_BYTES_MAX: Final = 16 << 20
"""Largest document of a scheduled verb."""


def scheduled(call: OpenCall, targets: Sequence[str], jobs: "Jobs | None") -> "Scheduler | None":
    """Return the scheduler of these targets; None if no schedule is configured."""
    application, typed = call.application, call.typed
    if not application.settings.schedules:
        return None
    from replicator.control.work.launch import Program  # noqa: PLC0415 - see above
    from replicator.control.work.schedule_runs import ScheduleRuns  # noqa: PLC0415 - see above

    program = Program(
        config_path=typed.config_path.absolute(),
        overrides=typed.overrides,
        environ=typed.environ,
        folder=typed.config_path.absolute().parent,
        document_bytes_max=DOCUMENT_BYTES_MAX,
    )
    return ScheduleRuns(application, program, jobs).scheduler(targets)


def notified(
    call: OpenCall, scheduler: "Scheduler | None", jobs: "Jobs | None"
) -> Mapping[str, Service]:
    """Return the services that send notifications; none if none is configured.

    Raises:
        ConfigError: an address or a secret cannot be read, or is invalid.
    """
    application = call.application
    if application.settings.notifications is None:
        return {}
    watch = application.promise_watch()
    if scheduler is not None:
        watch.watch_too(scheduler.sightings)
    if jobs is not None:
        from replicator.control.work.job_news import JobNews  # noqa: PLC0415 - see above

        news = JobNews()
        jobs.subscribe(news.hear)
        watch.watch_too(news.sightings)
    return application.notifying().services(watch)
