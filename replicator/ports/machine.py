"""The machine that this process runs on: its clock and its processes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from replicator.model.event import Record

Result = TypeVar("Result")


class Clock(Protocol):
    """Wall time only; durations come from the running event loop."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        ...


class Workers(Protocol):
    """Where pure work on many records is done: in this process, or in worker processes."""

    def each(
        self,
        work: Callable[[Sequence[Record]], Result],
        batches: AsyncIterator[Sequence[Record]],
    ) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        """Yield the result of `work` for each batch, in order, within the block.

        A bounded number of batches is read ahead. `work`, its results and its errors must be
        picklable. When the block ends, nothing is left running.

        Raises:
            TransientError: a worker was killed. Reading the results also raises whatever `work` and
                `batches` raise: no result of a later batch is then yielded.
        """
        ...
