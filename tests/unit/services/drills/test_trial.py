"""What a Druid made of a restored cluster: all of it read, or it is said what was not."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest

from replicator.adapters.memory.broker import MemoryBroker, MemoryDatasource
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.druid.answer import Answer, Measure
from replicator.model.druid.interval import Interval
from replicator.model.observation import Observation, Progress
from replicator.model.store.drill import Trial
from replicator.ports.druid import Availability, RunningDruid, Served
from replicator.services.drills.druid_trial import READ_WAIT_S, DruidTrial, TrialLimits, TrialResult
from tests.simulation.virtual_time import in_virtual_time
from tests.unit.pipeline import RETRY
from tests.unit.services.verification.test_query_verifier import DAY, wiki

ALL = Availability(served=5, rows={"wiki": 15}, unread=0, unknown=0, unserved=0, unserved_ids=())


class Scratch:
    """A Druid that says of its segments what a test wants, once and then for ever the last."""

    release = "33.0.0"

    def __init__(
        self, broker: MemoryBroker, *looks: Availability, stall_timeout_s: float = 10
    ) -> None:
        self.broker, self.looks, self.stall_timeout_s = broker, list(looks), stall_timeout_s
        self.is_up, self.starts = False, 0
        self.told: list[Progress] = []

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[RunningDruid]:
        self.is_up = True
        self.starts += 1
        yield RunningDruid(broker=self.broker, availability=self.look)
        self.is_up = False

    async def look(self) -> Availability:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def observe(self, seen: Observation) -> None:
        if isinstance(seen, Progress):
            self.told.append(seen)

    def trial(self) -> DruidTrial:
        limits = TrialLimits(
            stall_timeout_s=self.stall_timeout_s,
            in_flight_max=2,
            columns_per_query_max=2,
            interval_min_s=1,
            retry=RETRY,
        )
        return DruidTrial(self, limits=limits, rng=Random(1), observer=self.observe)

    def tried(self) -> TrialResult:
        return in_virtual_time(self.trial().run())


def availability(**other: object) -> Availability:
    found: dict[str, object] = {name: getattr(ALL, name) for name in Availability.__slots__}
    return Availability(**(found | other))  # type: ignore[arg-type]


def test_all_is_loaded_and_every_column_of_every_interval_is_read():
    druid = Scratch(
        MemoryBroker({"wiki": wiki(), "orders": wiki(2)}),
        availability(rows={"wiki": 15, "orders": 6}),
    )
    tried = druid.tried()
    assert tried.trial == Trial(release="33.0.0", segments=5, rows=21)
    assert not tried.findings
    assert not druid.is_up
    asked = {(name, one.column, i) for name, some, i in druid.broker.questions for one in some}
    days = [Interval(day * DAY, (day + 1) * DAY) for day in range(5)]
    assert asked == {
        (name, column, day)
        for name, some in (("wiki", days), ("orders", days[:2]))
        for column in ("", "__time", "page", "n")
        for day in some
    }


def test_it_is_waited_for_the_coordinator_the_historical_and_the_broker():
    looks = (
        availability(served=0, rows={}, unknown=5),
        availability(served=2, rows={}, unserved=3, unserved_ids=("a", "b", "c"), unread=2),
        availability(rows={}, unread=5),
        ALL,
    )
    druid = Scratch(MemoryBroker({"wiki": wiki()}), *looks)
    tried = druid.tried()
    assert (tried.trial.rows, tried.findings) == (15, [])
    assert [(one.done, one.total) for one in druid.told] == [(0, 5), (2, 5), (5, 5), (5, 5)]


def test_what_is_not_loaded_in_time_is_named_and_the_rest_is_read():
    look = availability(served=3, rows={}, unserved=3, unserved_ids=("a", "b"), unknown=4)
    druid = Scratch(MemoryBroker({"wiki": wiki(3)}), look)
    tried = druid.tried()
    assert tried.trial == Trial(release="33.0.0", segments=3, rows=9)
    assert tried.findings == [
        "segment a is not loaded by any Historical",
        "segment b is not loaded by any Historical",
        "4 used segments are not known to a Coordinator",
    ]
    assert tried.findings_count == 3 + 1


def test_each_segment_that_is_loaded_gives_the_others_their_time_again():
    looks = [availability(served=n, unserved=9 - n, unserved_ids=("x",)) for n in range(9)]
    slow = [look for look in looks for _ in range(8)]
    tried = Scratch(MemoryBroker({"wiki": wiki()}), *slow, ALL).tried()
    assert not tried.findings
    assert tried.load_s == 72
    stuck = Scratch(MemoryBroker({"wiki": wiki()}), *looks[:4], looks[3]).tried()
    assert (len(stuck.findings), stuck.findings_count) == (1, 6)
    assert stuck.load_s == 14


def test_a_segment_without_rows_is_not_waited_for_for_ever():
    tried = Scratch(MemoryBroker({"wiki": wiki()}), availability(unread=1)).tried()
    assert not tried.findings
    assert tried.load_s == READ_WAIT_S + 1


class Unreadable(MemoryBroker):
    """Fails on one day, or on one datasource."""

    def __init__(self, failure: Exception) -> None:
        super().__init__({"wiki": wiki()})
        self.failure = failure

    async def measure(
        self, datasource: str, measures: Sequence[Measure], interval: Interval
    ) -> Answer:
        if interval.start_ms == DAY:
            raise self.failure
        return await super().measure(datasource, measures, interval)


@pytest.mark.parametrize(
    "failure",
    [TransientError("500: cannot decompress"), ConfigError("400: cannot decompress")],
)
def test_an_interval_that_cannot_be_read_is_named_with_the_reason(failure: Exception):
    tried = Scratch(Unreadable(failure), ALL).tried()
    (finding,) = tried.findings
    assert finding.startswith("wiki 1970-01-02")
    assert "cannot decompress" in finding
    assert tried.findings_count == 1
    assert tried.trial.rows == 12


def test_a_datasource_that_goes_while_it_is_read_is_named():
    tried = Scratch(Unreadable(NotFoundError("no datasource 'wiki'")), ALL).tried()
    assert len(tried.findings) == 1
    assert "no datasource 'wiki'" in tried.findings[0]


def test_rows_that_a_broker_does_not_find_are_a_finding():
    broker = MemoryBroker(
        {"wiki": MemoryDatasource(wiki().columns, wiki().served, wiki().rows[1:])}
    )
    tried = Scratch(broker, ALL).tried()
    assert tried.findings == ["wiki: a Broker counts 14 rows, its segments have 15"]


def test_a_datasource_that_the_broker_does_not_list_is_missed():
    """One without rows, all of tombstones, is no table of Druid's either."""
    look = availability(rows={"wiki": 15, "orders": 6, "erased": 0})
    tried = Scratch(MemoryBroker({"wiki": wiki()}), look).tried()
    assert tried.findings == ["orders: a Broker counts 0 rows, its segments have 6"]


def test_a_segment_that_is_hidden_in_part_has_rows_that_nobody_counts():
    """A month of which a day was written again."""
    month = Served(interval=Interval(0, 31 * DAY), is_realtime=False)
    part = MemoryDatasource(wiki().columns, [month, *wiki().served], wiki().rows)
    tried = Scratch(MemoryBroker({"wiki": part}), availability(rows={"wiki": 900})).tried()
    assert not tried.findings


def test_a_druid_that_says_nothing_is_no_verdict():
    druid = Scratch(MemoryBroker({}), ALL)

    async def silent() -> Availability:
        raise TransientError("no answer")

    druid.look = silent  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="no answer"):
        druid.tried()
