"""Proves that the source's Broker and a target's answer alike, interval by interval.

The source changes while it is queried, and a target is always a little behind. So an interval that
differs is queried again, a bounded number of times, before it is reported.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from replicator.errors import NotFoundError
from replicator.model.druid.answer import (
    Answer,
    AnswerVerdict,
    Difference,
    Measure,
    judge,
    unmeasured,
)
from replicator.model.druid.interval import Interval
from replicator.model.extent import WHOLE, Extent
from replicator.model.observation import Observer, Progress
from replicator.model.observed.faults import Waiting
from replicator.model.operations.retry import RetryPolicy
from replicator.ports.druid import QueryBroker
from replicator.services.running.retry import Retry
from replicator.services.verification.queries import answer, parts, questions, together


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """How much is queried at once, and how often."""

    in_flight_max: int
    """Number of intervals that are queried at once; each is queried at both Brokers."""
    columns_per_query_max: int
    interval_min_s: float
    repeats_max: int
    repeat_wait_s: float
    suspects_max: int
    retry: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An interval on which two Brokers differ."""

    datasource: str
    interval: Interval
    verdict: AnswerVerdict
    differences: Sequence[Difference]


@dataclass(slots=True, kw_only=True)
class Intervals:
    """Results for the intervals of one datasource."""

    verdicts: Counter[AnswerVerdict] = field(default_factory=Counter)
    ingesting: int = 0
    """Number of intervals not compared because a task ingests into them."""
    left: int = 0
    """Number of intervals not compared because enough differences had been found."""
    unmeasured: Sequence[str] = ()
    """Columns without a measure for their type."""


@dataclass(slots=True, kw_only=True)
class QueryVerification:
    """The result of comparing two Brokers."""

    datasources: dict[str, Intervals] = field(default_factory=dict)
    disagreements: list[Disagreement] = field(default_factory=list)
    """Differences that remained after all repeats."""
    repeats: int = 0
    """Number of repeated queries for differences."""

    @property
    def is_good(self) -> bool:
        """Whether everything that was compared is the same."""
        return not self.disagreements

    @property
    def verdicts(self) -> Counter[AnswerVerdict]:
        """Return the counts over all datasources."""
        return sum((one.verdicts for one in self.datasources.values()), Counter[AnswerVerdict]())


@dataclass(frozen=True, slots=True, kw_only=True)
class _ComparedDatasource:
    """A datasource as both Brokers know it now."""

    name: str
    source: Sequence[Measure]
    target: Sequence[Measure]
    intervals: Sequence[Interval]
    ingesting: Sequence[Interval]
    unmeasured: Sequence[str]

    def is_ingesting(self, interval: Interval) -> bool:
        return any(one.overlaps(interval) for one in self.ingesting)


class QueryVerifier:
    """Asks two Brokers the same questions."""

    def __init__(
        self,
        *,
        source: QueryBroker,
        target: QueryBroker,
        limits: QueryLimits,
        rng: Random,
        observer: Observer,
    ) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._rng = rng
        self._observer = observer
        self._retry = Retry(limits.retry, rng=rng, observer=observer)

    async def verify(self, *, extent: Extent = WHOLE) -> QueryVerification:
        """Return the differences between the Brokers; `extent` limits the number of intervals.

        Raises:
            TransientError: a Broker did not answer within the retry policy.
            ConfigError: a Broker refuses to answer.
        """
        found, suspects = QueryVerification(), list[Disagreement]()
        for name in await self._datasources():
            if extent.datasource not in {None, name}:
                continue
            subject = await self._subject(name)
            found.datasources[name] = Intervals(unmeasured=subject.unmeasured)
            chosen = [i for i in subject.intervals if extent.asks(name, i, self._rng)]
            room = self._limits.suspects_max - len(suspects)
            suspects += await self._compare(subject, chosen, found.datasources[name], room)
        while suspects and found.repeats < self._limits.repeats_max:
            await self._wait(len(suspects))
            suspects = await self._again(suspects, found)
            found.repeats += 1
        for one in suspects:
            found.datasources[one.datasource].verdicts[one.verdict] += 1
        found.disagreements = suspects
        return found

    async def _datasources(self) -> list[str]:
        source = await self._retry.call("ask for datasources", self._source.datasources)
        target = await self._retry.call("ask for datasources", self._target.datasources)
        return sorted({*source, *target})

    async def _subject(self, name: str) -> _ComparedDatasource:
        columns, intervals, ingesting = [], set[Interval](), set[Interval]()
        for broker in (self._source, self._target):
            asking = f"ask what {name} holds"
            columns.append(await self._retry.call(asking, partial(broker.columns, name)))
            for one in await self._retry.call(asking, partial(broker.served, name)):
                intervals.add(one.interval)
                # A task's rows are in no segment of the metadata store yet: the target cannot have
                # them.
                if one.is_realtime:
                    ingesting.add(one.interval)
        source, target = columns
        return _ComparedDatasource(
            name=name,
            source=questions(source),
            target=questions(target),
            intervals=parts(intervals, shortest_s=self._limits.interval_min_s),
            ingesting=sorted(ingesting),
            unmeasured=unmeasured({**target, **source}),
        )

    async def _compare(
        self, subject: _ComparedDatasource, chosen: Sequence[Interval], into: Intervals, room: int
    ) -> list[Disagreement]:
        """Compare intervals, some at a time; return those that differ, until there are enough."""
        suspects: list[Disagreement] = []
        step = self._limits.in_flight_max
        for start in range(0, len(chosen), step):
            if len(suspects) >= room:
                into.left += len(chosen) - start
                break
            suspects += await self._look(subject, chosen[start : start + step], into)
            done = min(start + step, len(chosen))
            what = f"compare answers on {subject.name}"
            self._observer(Progress(what=what, done=done, total=len(chosen), unit="intervals"))
        return suspects

    async def _look(
        self, subject: _ComparedDatasource, some: Sequence[Interval], into: Intervals
    ) -> list[Disagreement]:
        quiet = [interval for interval in some if not subject.is_ingesting(interval)]
        into.ingesting += len(some) - len(quiet)
        found = await together([partial(self._judge, subject, one) for one in quiet])
        suspects = [one for one in found if one.verdict is not AnswerVerdict.GOOD]
        into.verdicts[AnswerVerdict.GOOD] += len(found) - len(suspects)
        return suspects

    async def _judge(self, subject: _ComparedDatasource, interval: Interval) -> Disagreement:
        name = subject.name
        source, target = await together(
            [
                partial(self._answer, self._source, name, subject.source, interval),
                partial(self._answer, self._target, name, subject.target, interval),
            ]
        )
        verdict, differences = judge(source, target)
        return Disagreement(
            datasource=name, interval=interval, verdict=verdict, differences=differences
        )

    async def _answer(
        self, broker: QueryBroker, name: str, wanted: Sequence[Measure], interval: Interval
    ) -> Answer:
        """Query all measures; an unknown datasource has none."""
        most = self._limits.columns_per_query_max
        try:
            return await answer(broker, name, wanted, interval, columns_max=most, retry=self._retry)
        except NotFoundError:
            return {}

    async def _again(
        self, suspects: Sequence[Disagreement], found: QueryVerification
    ) -> list[Disagreement]:
        """Query differing intervals again; drop those that a task has started to ingest into."""
        still: list[Disagreement] = []
        for name in sorted({one.datasource for one in suspects}):
            subject = await self._subject(name)
            chosen = [one.interval for one in suspects if one.datasource == name]
            still += await self._compare(subject, chosen, found.datasources[name], len(chosen))
        return still

    async def _wait(self, count: int) -> None:
        delay_s = self._limits.repeat_wait_s
        what, reason = "ask both Brokers again", f"{count} intervals differ"
        self._observer(Waiting(what=what, reason=reason, delay_s=delay_s))
        await asyncio.sleep(delay_s)
