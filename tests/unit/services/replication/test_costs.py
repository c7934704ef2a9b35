"""What follows costs as much as has changed: the same calls, rows and bytes for every inventory."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.memory.metadata import (
    MemoryMetadata,
    MemorySnapshot,
    MemoryTransaction,
)
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.model.row import Segment
from replicator.ports import Chunk
from replicator.services.monitoring.status import StatusReader
from tests.builders import segment
from tests.unit.pipeline import Pipeline
from tests.unit.services.monitoring.test_status import look, surveyed

SIZES = (110, 330)
"""Segments of the source; offsets and sizes have three digits in both."""
BYTES_APART = 64
"""What compression makes of other numbers."""
COUNTED: dict[type[object], tuple[str, ...]] = {
    MemoryEventLog: ("read", "append", "span", "offset_at", "report"),
    MemoryMetadata: ("acquire", "state", "gaps", "renamed", "columns"),
    MemorySnapshot: ("scan", "fetch"),
    MemoryTransaction: ("upsert", "remove", "remove_hashed", "record"),
    MemoryArea: ("names", "get", "create", "replace", "delete"),
    MemoryDeepStorage: ("objects", "check", "receipt", "put"),
}


class Costs:
    """Counts calls of everything outside, and what went through them."""

    def __init__(self) -> None:
        self.calls, self.items, self.bytes = Counter[str](), Counter[str](), 0

    def note(self, name: str, values: Sequence[object]) -> None:
        self.calls[name] += 1
        for value in values:
            if isinstance(value, bytes):
                self.bytes += len(value)
            elif isinstance(value, list | tuple | np.ndarray):
                self.items[name] += len(value)


@contextmanager
def counting() -> Iterator[Costs]:
    costs = Costs()
    with pytest.MonkeyPatch.context() as patch:
        for kind, names in COUNTED.items():
            for name in names:
                patch.setattr(kind, name, counted(costs, kind, name))
        yield costs


def counted(costs: Costs, kind: type[object], name: str) -> Callable[..., Awaitable[object]]:
    real = getattr(kind, name)

    def watching(visit: Callable[[Chunk], None]) -> Callable[[Chunk], None]:
        def visiting(chunk: Chunk) -> None:
            costs.items[f"{name} visited"] += len(chunk.keys)
            visit(chunk)

        return visiting

    async def call(*args: Any, **options: Any) -> object:
        given = [watching(one) if callable(one) else one for one in args]
        found: object = await real(*given, **options)
        costs.note(f"{kind.__name__}.{name}", [*args[1:], *options.values(), found])
        return found

    return call


async def followed(size: int) -> Pipeline:
    """Give processes that have found out once where they stand."""
    pipeline = Pipeline(records_max=100)
    pipeline.publish(*(segment("wiki", number) for number in range(size)))
    await pipeline.cut()
    await pipeline.follow()
    pipeline.publish(segment("first"))
    await pipeline.cut()
    await pipeline.follow()
    return pipeline


def ten_rows(size: int) -> tuple[list[Segment], list[Segment]]:
    """Eight that come or change, and two that go."""
    changed = [segment("wiki", number, used=False) for number in range(size - 5, size)]
    return [*changed, *(segment("orders", number) for number in range(3))], [
        segment("wiki", number) for number in (3, 4)
    ]


async def idle_poll(pipeline: Pipeline, reader: StatusReader, size: int) -> None:
    assert not await pipeline.watcher.poll()


async def poll_of_ten(pipeline: Pipeline, reader: StatusReader, size: int) -> None:
    came, gone = ten_rows(size)
    pipeline.publish(*came)
    pipeline.kill(*gone)
    pipeline.clock.move(10)
    assert await pipeline.watcher.poll()


async def idle_target(pipeline: Pipeline, reader: StatusReader, size: int) -> None:
    assert not await pipeline.applier.apply_next()


async def cut_of_ten(pipeline: Pipeline, reader: StatusReader, size: int) -> None:
    assert await pipeline.applier.apply_next()


async def status_of_an_idle_target(pipeline: Pipeline, reader: StatusReader, size: int) -> None:
    """Of a process that looks again and again, as `run` does: the first look is another matter."""
    status = await look(pipeline, reader)
    assert status.lag is not None


async def kill_margin_behind_ten(pipeline: Pipeline, reader: StatusReader, size: int) -> None:
    status = await look(pipeline, reader)
    assert status.lag is not None


STEPS = (
    idle_poll,
    idle_target,
    status_of_an_idle_target,
    poll_of_ten,
    kill_margin_behind_ten,
    cut_of_ten,
)


async def costs_of_following(size: int) -> dict[str, Costs]:
    pipeline = await followed(size)
    reader = surveyed(pipeline)
    await look(pipeline, reader)
    found = dict[str, Costs]()
    for step in STEPS:
        with counting() as costs:
            await step(pipeline, reader, size)
        found[step.__name__] = costs
    return found


async def test_following_costs_the_same_whatever_the_size_of_the_inventory():
    small, large = [await costs_of_following(size) for size in SIZES]
    for name in small:
        assert small[name].calls == large[name].calls, name
        assert small[name].items == large[name].items, name
        assert abs(small[name].bytes - large[name].bytes) <= BYTES_APART, name
    assert small["idle_poll"].calls["MemorySnapshot.fetch"] == 0
    assert small["cut_of_ten"].items["MemoryTransaction.upsert"] == 8
