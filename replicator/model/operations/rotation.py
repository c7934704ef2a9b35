"""Which named points are kept: all of them for a while, then one per day, per month and so on.

Known as grandfather-father-son. Each tier keeps the oldest point of each of its periods until the
point is as old as the tier keeps points; a point goes when no tier keeps it. The oldest stays the
oldest: a kept point is not replaced by a younger one of the same period.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Period(StrEnum):
    """The period of which a tier keeps one point."""

    ALL = "all"
    """Each point."""
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    """From Monday on."""
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Length of time for which one point per period is kept."""

    each: Period
    keep: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotating:
    """A point made by a rotation."""

    name: str
    time: datetime
    """The source's time of the point's cut."""
    is_held: bool = False
    """Whether a hold keeps its cut from expiring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan:
    """What a rotation does with the existing points."""

    keep: tuple[Rotating, ...]
    remove: tuple[Rotating, ...]
    hold: tuple[Rotating, ...]
    """Kept points whose cuts would expire before the points do."""


def rotation(
    points: Iterable[Rotating],
    tiers: Sequence[Tier],
    *,
    now: datetime,
    retention: timedelta | None,
    time_zone: str = "UTC",
) -> RotationPlan:
    """Return which points are kept, which go, and which need a hold from now on.

    Laws (tests/unit/model/operations/test_rotation.py): the newest point stays; rotating again
    changes nothing; what goes is kept by no tier; each period of a tier that had a point has one.

    Args:
        points: Points made by rotations.
        tiers: Tiers that keep points.
        now: Time by which points age.
        retention: Time after which cuts without a hold expire; None: never.
        time_zone: Zone in which days, weeks, months and years begin.
    """
    by_age = sorted(points, key=lambda point: (point.time, point.name))
    zone = ZoneInfo(time_zone)
    kept = {point.name for tier in tiers for point in _kept_by(tier, by_age, now, zone)}
    kept |= {point.name for point in by_age[-1:]}
    keep = tuple(point for point in by_age if point.name in kept)
    return RotationPlan(
        keep=keep,
        remove=tuple(point for point in by_age if point.name not in kept),
        hold=tuple(
            point
            for point in keep
            if not point.is_held and retention is not None and now - point.time > retention / 2
        ),
    )


def _kept_by(
    tier: Tier, by_age: Sequence[Rotating], now: datetime, zone: ZoneInfo
) -> Iterable[Rotating]:
    seen: set[tuple[int, ...]] = set()
    for point in by_age:
        period = _period(tier.each, point.time.astimezone(zone))
        is_oldest = period is None or period not in seen
        if period is not None:
            seen.add(period)
        if is_oldest and now - point.time <= tier.keep:
            yield point


def _period(each: Period, time: datetime) -> tuple[int, ...] | None:
    """Return the period of a time; None: each point is its own period."""
    match each:
        case Period.ALL:
            return None
        case Period.HOUR:  # an hour that a day has twice counts as two hours
            offset = time.utcoffset() or timedelta(0)
            return (*time.timetuple()[:4], int(offset.total_seconds()))
        case Period.DAY:
            return (time.year, time.month, time.day)
        case Period.WEEK:
            return tuple(time.isocalendar()[:2])
        case Period.MONTH:
            return (time.year, time.month)
        case Period.YEAR:
            return (time.year,)
