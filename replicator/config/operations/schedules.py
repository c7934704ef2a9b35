"""Settings of schedules: what runs by itself, when, and for how long."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from replicator.config.values import (
    AsTuple,
    Delay,
    Duration,
    Section,
    Size,
    SomeAsTuple,
    TargetName,
)
from replicator.model.operations.schedule import Timing, checked_cron, checked_zone, longest_pause

if TYPE_CHECKING:
    from replicator.model.operations.rotation import Tier

ScheduleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Cron = Annotated[str, AfterValidator(checked_cron)]
TimeZone = Annotated[str, AfterValidator(checked_zone)]
PeriodName = Literal["all", "hour", "day", "week", "month", "year"]


class TimedSettings(Section):
    """When a verb runs, whichever it is."""

    cron: Cron
    """Minute, hour, day of the month, month and day of the week, like `30 3 * * 1-5`."""
    time_zone: TimeZone = "UTC"
    """Time zone of `cron`, like Europe/Berlin."""
    jitter: Delay = timedelta(0)
    """Longest random delay of a run, so that not all begin at once."""
    late_max: Duration = timedelta(hours=1)
    """A run that could not begin within this time is skipped; the next one comes at its time."""
    run_max: Duration = timedelta(hours=24)
    """Longest duration of a run; then it is ended, and the next one goes on from there."""
    targets: Annotated[tuple[TargetName, ...], AsTuple] = ()
    """For which targets; default: all."""

    @property
    def timing(self) -> Timing:
        """When it is due."""
        return Timing(
            cron=self.cron, time_zone=self.time_zone, jitter=self.jitter, late_max=self.late_max
        )


class ExpireScheduleSettings(TimedSettings):
    """`replicator expire`: delete what no point in the retention needs."""

    type: Literal["expire"]
    orphans: bool = False
    """Whether objects that nothing refers to are deleted too."""


class LockScheduleSettings(TimedSettings):
    """`replicator lock`: extend object locks."""

    type: Literal["lock"]


class VerifyScheduleSettings(TimedSettings):
    """`replicator verify`: another share each day, so that all is read in turn."""

    type: Literal["verify"]
    level: Literal["rows", "exists", "checksum", "query"] = "checksum"
    """How deep; `query` needs the two Brokers."""
    share: Annotated[str, Field(pattern=r"^[0-9.]{1,12}%$")] = "5%"
    """Share of the objects, or of the intervals that are queried."""
    bytes_max: Annotated[Size, Field(ge=1)] | None = None
    """Bytes that one run may read; default: no limit."""


class DrillScheduleSettings(TimedSettings):
    """`replicator drill`: prove that the store alone is enough."""

    type: Literal["drill"]
    any_cut: bool = True
    """Whether a cut is drawn by chance, so that in time all history is tried; else the newest."""
    unless_younger: Duration | None = None
    """Skip it while the last good drill is younger than this; default: drill each time."""

    @property
    def pause_max(self) -> timedelta:
        """The longest time between two drills of which the first one was good."""
        return longest_pause(self.timing) + self.jitter + (self.unless_younger or timedelta(0))


class TierSettings(Section):
    """How long one point of each period is kept."""

    each: PeriodName
    """`all` keeps each point."""
    keep: Duration
    """How old a point may be."""

    @property
    def tier(self) -> "Tier":
        """The tier that these settings describe."""
        from replicator.model.operations.rotation import Period, Tier  # noqa: PLC0415 - for who rotates

        return Tier(each=Period(self.each), keep=self.keep)


class PointsScheduleSettings(TimedSettings):
    """`replicator points rotate`: named points, kept grandfather-father-son."""

    type: Literal["points"]
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")] = "auto"
    """What their names begin with; points of other names are left alone."""
    tiers: Annotated[tuple[TierSettings, ...], SomeAsTuple]
    """Tiers: what is kept for how long."""


ScheduleSettings = Annotated[
    ExpireScheduleSettings
    | LockScheduleSettings
    | VerifyScheduleSettings
    | DrillScheduleSettings
    | PointsScheduleSettings,
    Field(discriminator="type"),
]
SchedulesSettings = Mapping[ScheduleName, ScheduleSettings]
