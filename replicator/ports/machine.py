"""The machine that this runs on, as far as it is told apart from others."""

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
    """Where pure work on many records is done: in this process, or in others beside it."""

    def each(
        self,
        work: Callable[[Sequence[Record]], Result],
        batches: AsyncIterator[Sequence[Record]],
    ) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        """Give what `work` makes of each batch, in their order, within the block.

        A bounded number of batches is read ahead. `work`, what it returns and what it raises can
        be pickled. When the block ends, nothing is left running.

        Raises:
            TransientError: a worker was killed. While the results are read, also whatever `work`
                and `batches` raise: then no result of a later batch is given.
        """
        ...
