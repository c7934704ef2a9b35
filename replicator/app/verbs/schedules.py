"""The lines of the configured schedules, as far as they can be looked at."""

from collections.abc import Iterable

from replicator.app.application import Application
from replicator.services.schedules.record import ScheduleRecord
from replicator.services.schedules.states import ScheduledLine


def scheduled_lines(application: Application, targets: Iterable[str]) -> list[ScheduledLine]:
    """Return the schedules of these targets, in order of their names.

    Raises:
        ConfigError: a secret that opens a target's store is not there.
    """
    if not application.settings.schedules:
        return []
    records = {name: ScheduleRecord(application.target(name).area()) for name in targets}
    return [
        ScheduledLine(
            schedule=name,
            target=target,
            kind=settings.type,
            timing=settings.timing,
            record=record,
        )
        for name, settings in sorted(application.settings.schedules.items())
        for target, record in records.items()
        if target in (settings.targets or records)
    ]
