"""The lines of the configured schedules, as far as they can be looked at."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, assert_never

from replicator.config.operations.schedules import (
    DrillScheduleSettings,
    ExpireScheduleSettings,
    LockScheduleSettings,
    PointsScheduleSettings,
    ScheduleSettings,
    VerifyScheduleSettings,
)
from replicator.config.values import duration_setting

if TYPE_CHECKING:
    from replicator.app.application import Application
    from replicator.services.schedules.states import LineState, ScheduledLine


def scheduled_lines(application: Application, targets: Iterable[str]) -> list[ScheduledLine]:
    """Return the schedules of these targets, in order of their names.

    Raises:
        ConfigError: a secret that opens a target's store is not there.
    """
    if not application.settings.schedules:
        return []
    from replicator.services.schedules.record import ScheduleRecord  # noqa: PLC0415 - few have any
    from replicator.services.schedules.states import ScheduledLine  # noqa: PLC0415 - see above

    records = {name: ScheduleRecord(application.target(name).area()) for name in targets}
    return [
        ScheduledLine(
            schedule=name,
            target=target,
            kind=settings.type,
            verb=_typed(settings, target),
            timing=settings.timing,
            record=record,
        )
        for name, settings in sorted(application.settings.schedules.items())
        for target, record in records.items()
        if target in (settings.targets or records)
    ]


async def schedule_states(application: Application) -> list[LineState]:
    """Return the state of each schedule; without schedules none.

    Raises:
        ConfigError: a secret that opens a target's store is not there.
    """
    if not (lines := scheduled_lines(application, application.target_names)):
        return []
    from replicator.services.running.patience import Patience  # noqa: PLC0415 - see above
    from replicator.services.schedules.states import line_states  # noqa: PLC0415 - see above

    patience = Patience(application.settings.look_timeout_s)
    return await line_states(lines, application.clock.now(), patience)


def _typed(settings: ScheduleSettings, target: str) -> str:
    """Return what an operator types who does not wait for the next time."""
    match settings:
        case ExpireScheduleSettings():
            words = ["expire", target, *(["--orphans"] if settings.orphans else [])]
        case LockScheduleSettings():
            words = ["lock", target]
        case VerifyScheduleSettings():
            words = ["verify", target, "--level", settings.level, "--subset", settings.share]
        case DrillScheduleSettings():
            words = ["drill", target]
        case PointsScheduleSettings():
            words = ["points", "rotate", target]
            for tier in settings.tiers:
                words += ["--tier", f"{tier.each}={duration_setting(tier.keep)}"]
            words += ["--prefix", settings.prefix, "--time-zone", settings.time_zone]
        case _:
            assert_never(settings)
    return shlex.join(words)
