"""Settings of schedules: the verbs that are run at set times, and their limits."""

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
    """Times of a schedule's runs, for every kind of schedule."""

    cron: Cron
    """Minute, hour, day of the month, month and day of the week, like `30 3 * * 1-5`."""
    time_zone: TimeZone = "UTC"
    """Time zone of `cron`, like Europe/Berlin."""
    jitter: Delay = timedelta(0)
    """Longest random delay of a run, so that several schedules do not start together."""
    late_max: Duration = timedelta(hours=1)
    """Time after which a run that could not begin is skipped; the next run keeps its time."""
    run_max: Duration = timedelta(hours=24)
    """Time after which a run is ended; the next run continues its work."""
    targets: Annotated[tuple[TargetName, ...], AsTuple] = ()
    """Targets of the schedule; default: all."""

    @property
    def timing(self) -> Timing:
        """The schedule's times."""
        return Timing(
            cron=self.cron, time_zone=self.time_zone, jitter=self.jitter, late_max=self.late_max
        )


class ExpireScheduleSettings(TimedSettings):
    """`replicator expire`: delete everything that no point in the retention needs."""

    type: Literal["expire"]
    orphans: bool = False
    """Whether unreferenced objects are deleted too."""


class LockScheduleSettings(TimedSettings):
    """`replicator lock`: extend object locks."""

    type: Literal["lock"]


class VerifyScheduleSettings(TimedSettings):
    """`replicator verify`: another share each day, so that everything is read in turn."""

    type: Literal["verify"]
    level: Literal["rows", "exists", "checksum", "query"] = "checksum"
    """Level of the proof; `query` needs both Brokers."""
    share: Annotated[str, Field(pattern=r"^[0-9.]{1,12}%$")] = "5%"
    """Share of the objects, or of the intervals that are queried."""
    bytes_max: Annotated[Size, Field(ge=1)] | None = None
    """Most bytes that one run reads; default: no limit."""


class DrillScheduleSettings(TimedSettings):
    """`replicator drill`: prove that a restore needs nothing but the target's store."""

    type: Literal["drill"]
    any_cut: bool = True
    """Whether each run restores a random cut instead of the newest one, to test all history."""
    unless_younger: Duration | None = None
    """Age of the last good drill up to which a run is skipped; default: every run drills."""

    @property
    def pause_max(self) -> timedelta:
        """The longest time between a good drill and the next one."""
        return longest_pause(self.timing) + self.jitter + (self.unless_younger or timedelta(0))


class TierSettings(Section):
    """How long one point for each period is kept."""

    each: PeriodName
    """Period of which one point is kept; `all` keeps every point."""
    keep: Duration
    """Highest age of these points."""

    @property
    def tier(self) -> "Tier":
        """The tier that these settings describe."""
        from replicator.model.operations.rotation import Period, Tier  # noqa: PLC0415 - for who rotates

        return Tier(each=Period(self.each), keep=self.keep)


class PointsScheduleSettings(TimedSettings):
    """`replicator points rotate`: named points, kept grandfather-father-son."""

    type: Literal["points"]
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")] = "auto"
    """Prefix of the points' names; points with other names are not removed."""
    tiers: Annotated[tuple[TierSettings, ...], SomeAsTuple]
    """Tiers of kept points."""


ScheduleSettings = Annotated[
    ExpireScheduleSettings
    | LockScheduleSettings
    | VerifyScheduleSettings
    | DrillScheduleSettings
    | PointsScheduleSettings,
    Field(discriminator="type"),
]
SchedulesSettings = Mapping[ScheduleName, ScheduleSettings]
