"""A look by `status` or by the page costs source and log the same, however much there is.

Each call to the source and to the log is counted, with the records that it returns, at an inventory
and a history of one size and of twenty times that size.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.services.history.reader import History
from replicator.services.inspection.chronicle import Chronicle
from replicator.services.monitoring.life import Ear, LifeSigns
from replicator.services.monitoring.poller import Poller, Watched
from replicator.services.monitoring.status import (
    LogStatus,
    SourceStatus,
    StatusReader,
    look_at_source,
)
from replicator.services.notifications.queues import WebhookQueue
from replicator.services.schedules.states import LineState
from replicator.services.store.store import Store
from replicator.web.notes import NotesReader
from replicator.web.panorama import Panorama, Surroundings
from tests.builders import segment
from tests.unit.pipeline import SOURCE, Pipeline
from tests.unit.services.monitoring.test_status import PROMISES

SIZES = (20, 400)
CUTS = 10
RECORDS_MAX = 100_000
READ_MAX = 16
"""Records of one read, less than either log has: the last cut is looked for in one of them."""


class Counting:
    """Passes every call on, and counts it; of a read it counts the records as well."""

    def __init__(self, to: Any, counts: Counter[str], whose: str) -> None:
        self._to, self._counts, self._whose = to, counts, whose

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._to, name)
        return self._passed(name, found) if callable(found) else found

    def _passed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*args: Any, **named: Any) -> Any:
            self._counts[f"{self._whose}.{name}"] += 1
            answer = await call(*args, **named)
            if isinstance(answer, list | tuple):
                self._counts[f"{self._whose}.{name} returned"] += len(answer)
            return answer

        return counted


class Looked:
    """A pipeline that has followed everything, and what looks at it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.counts = pipeline, Counter[str]()
        self.log: Any = Counting(pipeline.log.reopen(), self.counts, "log")
        self.source: Any = Counting(pipeline.source, self.counts, "source")
        self.history = History(
            self.log, source=SOURCE, workers=InPlaceWorkers(), records_per_read_max=READ_MAX
        )
        self.reader = StatusReader(
            source=SOURCE,
            history=self.history,
            clock=pipeline.clock,
            kill_buffer=timedelta(days=30),
            records_per_look_max=RECORDS_MAX,
        )

    async def status(self) -> None:
        """Look as the verb does, which has seen nothing before."""
        log = await self.reader.log()
        await self.look_at_source()
        await self.life(log)
        target, area = self.pipeline.target, self.pipeline.area
        await self.reader.target("a", metadata=target, area=area, log=log, promises=PROMISES)

    async def look_at_source(self) -> SourceStatus:
        return await look_at_source(self.source)

    async def life(self, log: LogStatus) -> LifeSigns:
        return await Ear(self.log, self.pipeline.clock).life_signs(["a"], log)

    def panorama(self) -> Panorama:
        pipeline = self.pipeline
        watched = Watched(metadata=pipeline.target, area=pipeline.area, promises=PROMISES)
        notes = NotesReader(
            source=SOURCE,
            metadata=pipeline.target,
            area=pipeline.area,
            store=lambda: Store(pipeline.area),
            clock=pipeline.clock,
        )
        return Panorama(
            poller=Poller(
                status_reader=self.reader,
                targets={"a": watched},
                clock=pipeline.clock,
                interval_s=1.0,
            ),
            chronicle=Chronicle(self.history),
            notes={"a": notes},
            surroundings=Surroundings(
                life=self.life,
                source=self.look_at_source,
                schedules=_none,
                webhooks=_told_all,
                retention={},
            ),
            clock=pipeline.clock,
            interval_s=1.0,
            records_per_look_max=RECORDS_MAX,
        )


async def _none() -> list[LineState]:
    return []


async def _told_all() -> list[WebhookQueue]:
    return []


async def looked(size: int) -> Looked:
    """Return a pipeline whose source has so many segments, published in as many cuts as fit."""
    pipeline = Pipeline(records_max=1_000)
    for cut in range(size // CUTS):
        for number in range(CUTS):
            pipeline.publish(segment(f"wiki{cut % 7}", cut * CUTS + number))
        await pipeline.cut()
    await pipeline.follow()
    return Looked(pipeline)


async def test_status_costs_the_same_at_any_size():
    costs = list[Counter[str]]()
    for size in SIZES:
        found = await looked(size)
        await found.status()
        costs.append(found.counts)
    assert costs[0] == costs[1]
    assert costs[0]["source.freshness"] == 1, "the source was asked at all"
    assert not [name for name in costs[0] if name.startswith("source.s")], "no snapshot of it"


@pytest.mark.parametrize("looks", [1, 5])
async def test_a_look_of_the_page_costs_the_same_at_any_size(looks: int):
    costs = list[Counter[str]]()
    for size in SIZES:
        found = await looked(size)
        panorama = found.panorama()
        await panorama.poller.look()
        while not panorama.is_read:
            await panorama.look()
        assert found.counts["log.read returned"] >= size, "the first look reads the log once"
        found.counts.clear()
        for _ in range(looks):
            await panorama.poller.look()
            await panorama.look()
        costs.append(Counter(found.counts))
    assert costs[0] == costs[1]
    assert costs[0]["log.read returned"] == 0
    assert costs[0]["source.freshness"] == looks
