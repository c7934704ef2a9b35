"""What two Brokers answer is the same, or it is said where it is not, and never too early."""

from collections.abc import Callable, Sequence
from random import Random

import pytest

from replicator.adapters.memory.broker import MemoryBroker, MemoryDatasource
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.druid.answer import Answer, AnswerVerdict, Measure
from replicator.model.druid.interval import Interval
from replicator.model.extent import Extent
from replicator.model.observation import Observation
from replicator.model.observed.faults import Waiting
from replicator.ports.druid import Served
from replicator.services.verification.query_verifier import (
    QueryLimits,
    QueryVerification,
    QueryVerifier,
)
from tests.unit.pipeline import RETRY

DAY = 86_400_000
COLUMNS = {"__time": "TIMESTAMP", "page": "VARCHAR", "n": "BIGINT"}


def wiki(days: int = 5, **rows: int) -> MemoryDatasource:
    found = MemoryDatasource(COLUMNS)
    for day in range(days):
        served = Served(interval=Interval(day * DAY, (day + 1) * DAY), is_realtime=False)
        found.served.append(served)
        found.rows += [{"__time": day * DAY + n, "page": f"p{n}", "n": n} for n in range(3)]
    return found


class Brokers:
    """Two Brokers, and what happens each time before both are asked again."""

    def __init__(self, source: MemoryBroker, target: MemoryBroker, **limits: int) -> None:
        self.source, self.target, self.limits = source, target, limits
        self.meanwhile: Callable[[], None] = lambda: None
        self.waits = 0

    async def verify(self, **options: Extent) -> QueryVerification:
        limits = QueryLimits(
            in_flight_max=self.limits.get("in_flight_max", 2),
            columns_per_query_max=2,
            interval_min_s=1,
            repeats_max=self.limits.get("repeats_max", 2),
            repeat_wait_s=0.001,
            suspects_max=self.limits.get("suspects_max", 100),
            retry=RETRY,
        )
        verifier = QueryVerifier(
            source=self.source,
            target=self.target,
            limits=limits,
            rng=Random(1),
            observer=self.observe,
        )
        return await verifier.verify(**options)

    def observe(self, seen: Observation) -> None:
        if isinstance(seen, Waiting) and seen.what == "ask both Brokers again":
            self.waits += 1
            self.meanwhile()


def brokers(**limits: int) -> Brokers:
    return Brokers(MemoryBroker({"wiki": wiki()}), MemoryBroker({"wiki": wiki()}), **limits)


def verdicts(found: QueryVerification) -> dict[str, int]:
    return {str(verdict): count for verdict, count in found.verdicts.items() if count}


async def test_equal_answers_are_good_and_nothing_is_asked_twice():
    both = brokers()
    found = await both.verify()
    assert (found.is_good, found.repeats, verdicts(found)) == (True, 0, {"good": 5})
    assert len({(one[2], tuple(one[1])) for one in both.source.questions}) == len(
        both.source.questions
    )


async def test_one_value_that_differs_is_found_with_its_interval_and_column():
    both = brokers()
    both.target.stored["wiki"].rows[4] |= {"n": 7}
    found = await both.verify()
    assert (found.is_good, found.repeats, verdicts(found)) == (False, 2, {"good": 4, "differs": 1})
    (one,) = found.disagreements
    assert one.interval == Interval(DAY, 2 * DAY)
    assert [(str(d.measure), d.source, d.target) for d in one.differences] == [("sum of n", 3, 9)]


async def test_what_only_one_of_them_has_is_told_apart():
    both = brokers()
    both.target.stored["wiki"] = wiki(4)
    both.target.stored["orders"] = wiki(1)
    found = await both.verify()
    assert [(one.datasource, one.verdict) for one in found.disagreements] == [
        ("orders", AnswerVerdict.ONLY_IN_TARGET),
        ("wiki", AnswerVerdict.ONLY_IN_SOURCE),
    ]


async def test_a_difference_that_passes_is_not_said():
    """The target was behind, and has caught up when both are asked again."""
    both = brokers()
    both.target.stored["wiki"] = wiki(4)

    def catch_up() -> None:
        both.target.stored["wiki"] = wiki()

    both.meanwhile = catch_up
    found = await both.verify()
    assert (found.is_good, found.repeats, verdicts(found)) == (True, 1, {"good": 5})


async def test_a_datasource_that_is_dropped_in_between_is_not_said_either():
    both = brokers()
    del both.target.stored["wiki"]

    def drop() -> None:
        del both.source.stored["wiki"]

    both.meanwhile = drop
    assert (await both.verify()).is_good


async def test_differences_are_looked_at_again_a_bounded_number_of_times():
    both = brokers(repeats_max=3)
    both.target.stored["wiki"].rows.pop()
    found = await both.verify()
    assert (found.is_good, both.waits, found.repeats) == (False, 3, 3)


async def test_where_a_task_is_writing_nothing_is_compared():
    both = brokers()
    both.source.stored["wiki"].rows.append({"__time": 1, "page": "new", "n": 1})
    realtime = Served(interval=Interval(0, DAY), is_realtime=True)
    both.source.stored["wiki"].served.append(realtime)
    found = await both.verify()
    assert (found.is_good, verdicts(found)) == (True, {"good": 4})
    assert found.datasources["wiki"].ingesting == 1


async def test_what_a_task_begins_to_write_while_we_wait_is_let_go():
    both = brokers()
    both.source.stored["wiki"].rows.append({"__time": 1, "page": "new", "n": 1})

    def begin() -> None:
        realtime = Served(interval=Interval(0, DAY), is_realtime=True)
        both.source.stored["wiki"].served.append(realtime)

    both.meanwhile = begin
    found = await both.verify()
    assert (found.is_good, found.datasources["wiki"].ingesting) == (True, 1)


async def test_enough_differences_end_the_search_and_the_rest_is_counted():
    both = brokers(suspects_max=2)
    both.target.stored["wiki"].rows.clear()
    both.source.stored["more"] = wiki(2)
    found = await both.verify()
    assert len(found.disagreements) == 2
    assert sum(one.left for one in found.datasources.values()) == 5


async def test_a_share_is_asked_for_in_turn():
    seen: list[Interval] = []
    for window in range(2):
        both = brokers()
        await both.verify(extent=Extent(share=0.5, window=window))
        seen += {one[2] for one in both.target.questions}
    assert sorted(seen) == [Interval(day * DAY, (day + 1) * DAY) for day in range(5)]


async def test_columns_without_a_measure_are_named():
    both = brokers()
    both.source.stored["wiki"].columns = {**COLUMNS, "sketch": "COMPLEX<thetaSketch>"}
    assert (await both.verify()).datasources["wiki"].unmeasured == ["sketch"]


class Failing(MemoryBroker):
    """Answers once more than it fails."""

    failures: Sequence[Exception] = ()

    async def measure(
        self, datasource: str, measures: Sequence[Measure], interval: Interval
    ) -> Answer:
        if self.failures:
            failure, *self.failures = self.failures
            raise failure
        return await super().measure(datasource, measures, interval)


@pytest.mark.parametrize(
    ("failures", "error"),
    [
        ([TransientError("away")], None),
        ([TransientError("away")] * 9, TransientError),
        ([ConfigError("denied")], ConfigError),
    ],
)
async def test_a_broker_that_fails_is_asked_again_where_that_may_help(
    failures: list[Exception], error: type[Exception] | None
):
    failing = Failing({"wiki": wiki()})
    failing.failures = failures
    both = Brokers(failing, MemoryBroker({"wiki": wiki()}))
    if error is None:
        assert (await both.verify()).is_good
        return
    with pytest.raises(error):
        await both.verify()


async def test_a_datasource_that_goes_between_two_queries_counts_as_empty():
    failing = Failing({"wiki": wiki()})
    failing.failures = [NotFoundError("gone")] * 1000
    found = await Brokers(failing, MemoryBroker({"wiki": wiki()})).verify()
    assert {one.verdict for one in found.disagreements} == {AnswerVerdict.ONLY_IN_TARGET}
