"""Asks two Brokers for the newest row of a tiny datasource: the lag that users see."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from replicator.errors import (
    CorruptionError,
    NotFoundError,
    RefusedError,
    ReplicatorError,
    defects_named,
)
from replicator.model import timestamps
from replicator.model.druid.answer import Aggregate, Measure, Number
from replicator.model.druid.interval import Interval
from replicator.model.observation import CanaryArrived, CanarySeen, Observer
from replicator.model.observed.faults import Waiting
from replicator.model.store.canary import NAME, CanarySummary, CanaryTrack, canary_json, canary_of
from replicator.ports import Area, Clock
from replicator.ports.druid import QueryBroker
from replicator.services.running.patience import Patience
from replicator.services.running.pause import pause, unless
from replicator.task_group import TaskGroup

NEWEST: Final = Measure(Aggregate.MOST, "__time")
KEEP_S: Final = 60.0
"""Seconds between two summaries in a target's store."""
_FIRST_MS, _LAST_MS = (
    int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000
    for year in (timestamps.FIRST_YEAR, timestamps.LAST_YEAR)
)
AHEAD: Final = timedelta(days=1)
"""How far in the future a row of the canary may be dated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRules:
    """The question to the Brokers, and how often it is asked."""

    datasource: str
    window: timedelta
    """How far back the newest row is looked for."""
    lost_after: timedelta
    interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTarget:
    """A standby with a Broker."""

    broker: QueryBroker
    area: Area


class Canary:
    """A service that follows the rows of the canary from the source to each standby.

    Args:
        rules: The question, and how often it is asked.
        source: The source's Broker.
        targets: The standbys, by their names.
        clock: Clock for both ends, so that no skew counts.
        observer: Receives arrivals, and Brokers that do not answer.
        timeout_s: Time for a target's store to take a summary, in seconds.
    """

    def __init__(
        self,
        rules: CanaryRules,
        source: QueryBroker,
        targets: Mapping[str, CanaryTarget],
        *,
        clock: Clock,
        observer: Observer,
        timeout_s: float = 60.0,
    ) -> None:
        self._patience = Patience(timeout_s)
        self._rules, self._source, self._targets = rules, source, targets
        self._clock, self._observer = clock, observer
        self._tracks = {name: CanaryTrack(lost_after=rules.lost_after) for name in targets}
        self._kept_at: dict[str, datetime] = {}
        self._failing: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set."""
        while not stop.is_set():
            await unless(stop, self.look())
            await pause(stop, self._rules.interval_s)

    async def look(self) -> None:
        """Ask the targets, then the source: a row is never at a target before it was asked for.

        The summaries are kept last: a store that hangs holds up no Broker's answer.
        """
        async with TaskGroup() as group:
            for name, target in self._targets.items():
                group.create_task(self._look_at(name, target))
        newest = await self._newest("source", self._source)
        for track in self._tracks.values():
            track.source_shows(newest, self._clock.now())
        async with TaskGroup() as group:
            for name, target in self._targets.items():
                group.create_task(self._keep(name, target))

    async def _look_at(self, name: str, target: CanaryTarget) -> None:
        newest = await self._newest(name, target.broker)
        track, now = self._tracks[name], self._clock.now()
        for seconds in track.target_shows(newest, now):
            self._observer(CanaryArrived(target=name, seconds=seconds))
        waiting_s = track.waiting_s(now)
        self._observer(CanarySeen(target=name, waiting_s=waiting_s, lost=track.lost))

    async def _keep(self, name: str, target: CanaryTarget) -> None:
        now = self._clock.now()
        before = self._kept_at.get(name)
        if before is not None and (now - before).total_seconds() < KEEP_S:
            return
        # Noted before the attempt, so that a store that hangs is tried once in `KEEP_S`, too.
        self._kept_at[name] = now
        try:
            summary = self._tracks[name].summary(self._rules.datasource, name, now)
            keep = partial(target.area.replace, NAME, canary_json(summary))
            await self._patience.answer(f"the store of {name!r}", keep)
        except ReplicatorError as exc:  # one store's trouble stops no other target
            self._fails(f"keep the canary of {name}", str(exc))

    async def _newest(self, who: str, broker: QueryBroker) -> datetime | None:
        """Return the time of the newest row; None: there is none, or no Broker answers."""
        now = self._clock.now()
        start, end = now - self._rules.window, now + AHEAD
        interval = Interval(round(start.timestamp() * 1000), round(end.timestamp() * 1000))
        what = f"ask the Broker of {who} for the canary {self._rules.datasource}"
        try:
            with defects_named(f"the Broker of {who}"):
                answer = await broker.measure(self._rules.datasource, [NEWEST], interval)
                newest = time_of(answer.get(NEWEST))
        except NotFoundError:
            return None  # a standby that has not loaded it yet
        except ReplicatorError as exc:
            self._fails(what, str(exc))
            return None
        self._failing.discard(what)
        return newest

    def _fails(self, what: str, why: str) -> None:
        """Report a failure once for as long as it lasts."""
        if what not in self._failing:
            self._failing.add(what)
            self._observer(Waiting(what=what, reason=why, delay_s=self._rules.interval_s))


def time_of(answer: Number) -> datetime | None:
    """Return the time in a Broker's answer, in ISO 8601 or milliseconds; None: there is no row."""
    match answer:
        case str():
            return timestamps.time_of(answer)
        case int() | float() if _FIRST_MS <= answer <= _LAST_MS:
            return datetime.fromtimestamp(answer / 1000, UTC)
        case _:
            return None


async def kept_canary(area: Area) -> CanarySummary | None:
    """Return what a target's store keeps of its canary; None: nothing readable."""
    try:
        return canary_of(await area.get(NAME))
    except (NotFoundError, CorruptionError, RefusedError):
        return None
