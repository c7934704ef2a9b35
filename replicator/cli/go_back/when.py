"""Options for the moment to restore: an offset, a time, an age, a name, or before a drop."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Annotated

import typer

from replicator.app import Application
from replicator.app.verbs.restoring import Place
from replicator.cli.terminal.console import hold_still
from replicator.cli.terminal.typed import OFFSET_MAX, parse_offset, parse_time, parse_zone
from replicator.config.values import duration
from replicator.errors import ConfigError
from replicator.model.event import Offset
from replicator.model.operations.words import enumerated
from replicator.model.plans.restore_point import (
    BEFORE_DROP,
    LATEST,
    BeforeEvent,
    Latest,
    RestorePoint,
    ToOffset,
    ToTime,
    reads_otherwise,
)
from replicator.model.store.holds import checked_name, is_name
from replicator.services.monitoring.life import Life

ToOffsetOption = Annotated[
    int | None,
    typer.Option(
        "--to-offset", min=0, max=OFFSET_MAX, help="The last cut at or before this offset."
    ),
]
ToTimeOption = Annotated[
    str | None,
    typer.Option(
        "--to-time",
        help="The last cut at or before this time, with its zone: 2026-01-31T12:00:00Z,"
        " '07:48 local', '07:48 Europe/Berlin', '10 minutes ago'.",
    ),
]
BeforeOption = Annotated[
    int | None,
    typer.Option("--before", min=0, max=OFFSET_MAX, help="The last cut before this event."),
]
ToPointOption = Annotated[str | None, typer.Option("--to-point", help="A named point.")]
ONE_OF = (
    "use one of --latest, --before-drop DATASOURCE, --ago 10m, --to-time, --to-offset, --before and"
    " --to-point; `replicator points` lists the cuts"
)
AGO = " ago"
_IN_WORDS = re.compile(r"(\d+) *(sec|seconds?|min|minutes?|hours?|days?)", re.ASCII | re.IGNORECASE)
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The options that name a moment, of which exactly one must be given."""

    to_offset: ToOffsetOption = None
    to_time: ToTimeOption = None
    before: BeforeOption = None
    to_point: ToPointOption = None
    latest: Annotated[bool, typer.Option("--latest", help="The newest cut.")] = False
    ago: Annotated[
        str | None, typer.Option("--ago", help="The last cut before this time span: 10m, 2h.")
    ] = None
    before_drop: Annotated[
        str | None,
        typer.Option(
            "--before-drop",
            metavar="DATASOURCE",
            help="The last cut in which this datasource had used segments.",
        ),
    ] = None

    async def point(self, application: Application, place: Place) -> RestorePoint:
        """Return the given restore point.

        Raises:
            ConfigError: no moment was given, more than one, or one that cannot be read.
            NotFoundError: the store has no point of this name, or the log no such datasource.
            RefusedError: the datasource was not dropped.
        """
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        given = [name for name, value in values.items() if value is not None and value is not False]
        if not given:
            raise ConfigError("no restore point was given", hint=ONE_OF)
        if len(given) > 1:
            options = enumerated(f"--{name.replace('_', '-')}" for name in given)
            raise ConfigError(f"{options} are {len(given)} moments", hint=ONE_OF)
        return await self._ways(application, place)[given[0]]()

    def _ways(
        self, application: Application, place: Place
    ) -> dict[str, Callable[[], Awaitable[RestorePoint]]]:
        async def to_point() -> RestorePoint:
            name = checked_name(self.to_point or "")
            point = await application.points(place.target).point(name)
            return ToOffset(offset=point.offset, log_id=point.log_id)

        async def before_drop() -> RestorePoint:
            history = None
            if place.from_store:
                history = (await place.open(application)).history
            drop = await application.undeletion(history).dropped(self.before_drop or "")
            if drop.before.used > drop.last.used:
                hold_still()
                typer.echo(
                    f"its segments went little by little: {drop.before.used} were used in cut"
                    f" {drop.before.cut.closed.cut} (--to-offset {drop.before.cut.offset}),"
                    f" {drop.last.used} in this one",
                    err=True,
                )
            return ToOffset(offset=drop.last.cut.offset)

        async def from_options() -> RestorePoint:
            point = self._from_options(application.clock.now())
            if isinstance(point, ToTime) and not place.from_store:
                return await _unchanged_since(application, point)
            return point

        return {
            "to_point": to_point,
            "before_drop": before_drop,
            **dict.fromkeys(("to_offset", "to_time", "before", "latest", "ago"), from_options),
        }

    def _from_options(self, now: datetime) -> RestorePoint:
        """Return a point that can be found without the log or a store."""
        if self.to_offset is not None:
            return ToOffset(offset=Offset(self.to_offset))
        if self.before is not None:
            return BeforeEvent(offset=Offset(self.before))
        if self.latest:
            return Latest()
        if self.ago is not None:
            return ToTime(time=now - _length(self.ago))
        return ToTime(time=time_of(self.to_time or "", now))


async def _unchanged_since(application: Application, point: ToTime) -> RestorePoint:
    """Return the newest cut for a later moment if a watcher polls and has found no change since.

    A source that does not change has no newer cut. Without a watcher, later changes are unknown,
    and the moment is refused as one that the log does not contain.
    """
    life = await application.processes.life(None)
    watcher = life.watcher
    if watcher.life is not Life.RUNNING or watcher.pulse is None or watcher.pulse.waits:
        return point
    last = await application.history.find(Latest())
    return Latest() if last.closed.source_time < point.time <= life.looked_at else point


def moment_of(text: str, datasource: str) -> Moment:
    """Return the moment in the text of `rollback --to`.

    Raises:
        ConfigError: the text names no moment.
    """
    if text.isdecimal():
        return Moment(to_offset=parse_offset(text))
    if text == LATEST:
        return Moment(latest=True)
    if text == BEFORE_DROP:
        return Moment(before_drop=datasource)
    if text.endswith(AGO):
        return Moment(ago=text.removesuffix(AGO))
    if text[:1].isdigit() and (reads_otherwise(text) or not is_name(text)):
        return Moment(to_time=text)
    return Moment(to_point=text)


def time_of(text: str, now: datetime) -> datetime:
    """Return a time; a time of day with its zone means its last occurrence.

    Raises:
        ConfigError: as for `parse_time`.
    """
    if text.strip().endswith(AGO):
        return now - _length(text.strip().removesuffix(AGO))
    day, _, zone = text.strip().partition(" ")
    if not _TIME_OF_DAY.fullmatch(day.removesuffix("Z")) or (zone and day.endswith("Z")):
        return parse_time(text)
    if not zone and not day.endswith("Z"):
        raise ConfigError(
            f"{text!r} has no zone",
            hint=f"use '{text} local', '{text} UTC' or '{text} Europe/Berlin'",
        )
    here = now.astimezone(parse_zone(zone or "UTC"))
    found = parse_time(f"{here.date().isoformat()}T{day.removesuffix('Z'):0>5} {zone or 'UTC'}")
    if found <= now:
        return found
    yesterday = (here - timedelta(days=1)).date().isoformat()
    return parse_time(f"{yesterday}T{day.removesuffix('Z'):0>5} {zone or 'UTC'}")


def _length(text: str) -> timedelta:
    """Return a time span, written as a duration or in words like "10 minutes"."""
    in_words = _IN_WORDS.fullmatch(text.strip())
    try:
        return duration(
            text.strip() if in_words is None else f"{in_words[1]}{in_words[2][0].lower()}"
        )
    except ValueError as exc:
        hint = f"use {text.strip()}m for minutes" if text.strip().isdecimal() else ""
        raise ConfigError(f"{text.strip()!r} is not how long ago: {exc}", hint=hint) from None
