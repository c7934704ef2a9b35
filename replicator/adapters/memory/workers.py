"""`Workers` without processes: everything is done by the caller."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from replicator.model.event import Record

_Result = TypeVar("_Result")


class InPlaceWorkers:
    """`Workers` in the caller's own process, for tests, simulations and small machines."""

    @asynccontextmanager
    async def each(
        self,
        work: Callable[[Sequence[Record]], _Result],
        batches: AsyncIterator[Sequence[Record]],
    ) -> AsyncIterator[AsyncIterator[_Result]]:
        yield (work(batch) async for batch in batches)
