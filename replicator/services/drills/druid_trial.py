"""Lets a Druid load what was restored, and reads all of it.

A checksum shows that bytes are unchanged. It cannot show that they are segments which a Druid can
read, not even for the day on which they were copied.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from random import Random

from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.druid.answer import ROWS, Measure
from replicator.model.druid.interval import Interval
from replicator.model.observation import Observer, Progress
from replicator.model.operations.retry import RetryPolicy
from replicator.model.store.drill import Trial
from replicator.ports.druid import Availability, QueryBroker, RunningDruid, ScratchDruid
from replicator.services.running.retry import Retry
from replicator.services.verification.queries import answer, parts, questions, together

LOOK_S = 1.0
"""Seconds between two checks of what is loaded."""
READ_WAIT_S = 30.0
"""Longest wait, in seconds, until the Broker knows the columns of one more loaded segment.

The Broker refreshes once a second; a segment without rows, which is rare, never shows up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLimits:
    """How long a trial waits, and how much it queries at once."""

    stall_timeout_s: float
    """Seconds without a further loaded segment after which the trial gives up."""
    in_flight_max: int
    columns_per_query_max: int
    interval_min_s: float
    retry: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """The result of a trial."""

    trial: Trial
    load_s: float
    """Seconds from the start of the Druid until everything was loaded, or loading stopped."""
    query_s: float
    findings: Sequence[str]
    """Messages for what is wrong; of segments that are not loaded, some are named."""
    findings_count: int


@dataclass(slots=True, kw_only=True)
class _Read:
    """What was read of one datasource."""

    name: str
    intervals: Sequence[Interval] = ()
    """Intervals of the datasource's segments, ascending, each once."""
    rows: int = 0
    findings: list[str] = field(default_factory=list)

    def compared(self, said: Mapping[str, int]) -> Iterator[str]:
        """Yield what is wrong with the number of rows, compared with what the segments say.

        Overlapping intervals cannot be compared: there a segment is partly hidden, like a month in
        which one day was written again.
        """
        hidden = any(one.overlaps(other) for one, other in pairwise(self.intervals))
        if not hidden and self.rows != (rows := said.get(self.name, 0)):
            yield f"{self.name}: a Broker counts {self.rows} rows, its segments have {rows}"


class DruidTrial:
    """A service over a Druid that is started for a trial."""

    def __init__(
        self, druid: ScratchDruid, *, limits: TrialLimits, rng: Random, observer: Observer
    ) -> None:
        self._druid, self._limits, self._observer = druid, limits, observer
        self._retry = Retry(limits.retry, rng=rng, observer=observer)

    async def run(self) -> TrialResult:
        """Return what the Druid could load and read.

        Raises:
            TransientError: the Druid does not start, or does not answer what it serves.
        """
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        async with self._druid.running() as running:
            found = await self._loaded(running)
            loaded_s = loop.time()
            names = sorted({*found.rows, *await self._names(running)})
            read = [await self._read(running.broker, name) for name in names]
        findings = [*_unloaded(found), *(text for one in read for text in one.findings)]
        if not findings:
            findings = [text for one in read for text in one.compared(found.rows)]
        return TrialResult(
            trial=Trial(
                release=self._druid.release,
                segments=found.served,
                rows=sum(one.rows for one in read),
            ),
            load_s=loaded_s - begun_s,
            query_s=loop.time() - loaded_s,
            findings=findings,
            findings_count=len(findings) + found.unserved - len(found.unserved_ids),
        )

    async def _loaded(self, running: RunningDruid) -> Availability:
        """Wait until everything is served, or nothing more for some time."""
        loop = asyncio.get_running_loop()
        best, since_s = (0, 0), loop.time()
        while True:
            found = await self._retry.call("ask what is loaded", running.availability)
            missing = found.unserved + found.unknown
            total = found.served + missing
            what = "load segments into a Druid"
            self._observer(Progress(what=what, done=found.served, total=total, unit="segments"))
            if not missing and not found.unread:
                return found
            if (now := (found.served, found.served - found.unread)) > best:
                best, since_s = now, loop.time()
            limit_s = self._limits.stall_timeout_s if missing else READ_WAIT_S
            if loop.time() - since_s > limit_s:
                return found
            await asyncio.sleep(LOOK_S)

    async def _names(self, running: RunningDruid) -> Sequence[str]:
        return await self._retry.call("ask for datasources", running.broker.datasources)

    async def _read(self, broker: QueryBroker, name: str) -> _Read:
        """Query something of every column in every interval of a datasource."""
        asking, read = f"ask what {name} holds", _Read(name=name)
        asked = questions(await self._retry.call(asking, partial(broker.columns, name)))
        served = await self._retry.call(asking, partial(broker.served, name))
        read.intervals = sorted({one.interval for one in served})
        wanted = parts(read.intervals, shortest_s=self._limits.interval_min_s)
        for start in range(0, len(wanted), self._limits.in_flight_max):
            some = wanted[start : start + self._limits.in_flight_max]
            for found in await together(
                [partial(self._count, broker, name, asked, part) for part in some]
            ):
                if isinstance(found, str):
                    read.findings.append(found)
                else:
                    read.rows += found
        return read

    async def _count(
        self, broker: QueryBroker, name: str, asked: Sequence[Measure], interval: Interval
    ) -> int | str:
        """Return how many rows were read, or why they were not."""
        try:
            found = await answer(
                broker,
                name,
                asked,
                interval,
                columns_max=self._limits.columns_per_query_max,
                retry=self._retry,
            )
        except (TransientError, ConfigError, NotFoundError) as exc:
            return f"{name} {interval}: a Broker cannot read it: {exc}"
        rows = found.get(ROWS)
        return rows if isinstance(rows, int) else 0


def _unloaded(found: Availability) -> Iterator[str]:
    for id_ in found.unserved_ids:
        yield f"segment {id_} is not loaded by any Historical"
    if found.unknown:
        yield f"{found.unknown} used segments are not known to a Coordinator"
